"""Tables of many candidates for the other benchmarks, made from a seed.

    python benchmarks/tables.py TABLE [--rows 200000] [--labelled 100] [--seed 0] [--no-formulas]
    python benchmarks/tables.py TABLE --replicates-of data/oxides.csv [--materials 80] [--each 3] [--noise 0.08] [--jitter 0.01]

Candidates are oxides of the pool (``sisso-sal pool --metals 1,2``), then random ones of two to four metals, some of them with
fractions or brackets. They have 15 features, means over their elements, and a target of which only the composition tells a part.
Without formulas the features are random. With replicates some materials of a table stand several times, as polymorphs do:
with noise in the target, and features that differ a little.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from sisso_sal.data.table import Table

HEADERS = (
    "r_cov (AA)", "r_vdw (AA)", "alpha (AA**3)", "e_H (eV)", "e_s (eV)", "AN", "EA (eV)", "IP (eV)", "EN (Pauling)", "N_val",
    "N_unf", "CE (eV)", "n_atoms", "x_O", "n_kinds",
)  # fmt: skip
"""The features of both kinds of tables."""

TARGET = "dG (eV/atom)"


def pool_table(path: Path, n: int, n_labelled: int, seed: int = 0, formulas: bool = True) -> None:
    """Write a table of candidates as CSV.

    Parameters
    ----------
    path : path
    n, n_labelled : int
        Candidates, and those of them with a label.
    seed : int
    formulas : bool
        Whether the ids are formulas; else they are names that no element has.
    """
    import pyarrow as pa
    from pyarrow import csv

    rng = np.random.default_rng(seed)
    if formulas:
        names, features, own = oxides(n, rng)
    else:
        names, features = [f"m-{number:07d}" for number in range(n)], rng.lognormal(0.5, 0.4, (n, len(HEADERS)))
        own = np.zeros(n)
    features = features.round(6)
    x = (features - features.mean(axis=0)) / features.std(axis=0)
    target = 0.3 * x[:, 3] - 0.2 * x[:, 6] * x[:, 8] + 0.1 * x[:, 11] ** 2 + own + rng.normal(0, 0.05, n)
    target[rng.permutation(n)[n_labelled:]] = np.nan
    columns = {"formula" if formulas else "name": pa.array(names), TARGET: pa.array(target.round(6), from_pandas=True)}
    columns |= {header: pa.array(values) for header, values in zip(HEADERS, features.T, strict=True)}
    csv.write_csv(pa.table(columns), path, csv.WriteOptions(quoting_style="none", quoting_header="none"))


def oxides(n: int, rng: np.random.Generator) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Different formulas, their features (n, 15), and what each has of its own elements (n,), which no feature tells."""
    texts = dict(islice(_pooled(), n))
    while len(texts) < n:
        text, amounts = _random_oxide(rng)
        texts.setdefault(text, amounts)
    symbols = sorted({symbol for amounts in texts.values() for symbol in amounts})
    effects = dict(zip(symbols, rng.normal(0, 1, len(symbols)).tolist(), strict=True))
    own = [
        sum(effects[symbol] * n_atoms for symbol, n_atoms in amounts.items()) / sum(amounts.values())
        for amounts in texts.values()
    ]
    return list(texts), _features(list(texts.values())), np.array(own)


def _pooled() -> Iterator[tuple[str, dict[str, float]]]:
    """Formula and atoms of each oxide of one and two metals."""
    from sisso_sal.oxides.elements import parse_formula
    from sisso_sal.oxides.pool import candidate_oxides

    for oxide in candidate_oxides():
        yield oxide.formula, parse_formula(oxide.formula)


def _random_oxide(rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    """One of two to four metals; of ten one has fractions, and one a group in brackets."""
    from sisso_sal.oxides.metals import METALS

    metals = [METALS[number] for number in rng.choice(len(METALS), rng.integers(2, 5), replace=False)]
    kind = rng.random()
    if kind < 0.1:
        share, oxygen = round(float(rng.uniform(0.01, 0.99)), 2), int(rng.integers(1, 8))
        amounts = (
            {metals[0]: share, metals[1]: round(1 - share, 2)} | dict.fromkeys(metals[2:], 1.0) | {"O": float(oxygen)}
        )
    elif kind < 0.2:
        outer, inner, times = (int(number) for number in rng.integers(1, 6, 3))
        last, others = metals[-1], "".join(f"{metal}{outer}" for metal in metals[:-1])
        amounts = dict.fromkeys(metals[:-1], float(outer)) | {last: float(times), "O": float(inner * times)}
        return f"{others}({last}O{inner}){times}", amounts
    else:
        amounts = {metal: float(number) for metal, number in zip(metals, rng.integers(1, 7, len(metals)), strict=True)}
        amounts["O"] = float(rng.integers(1, 20))
    return "".join(metal + (f"{number:g}" if number != 1 else "") for metal, number in amounts.items()), amounts


def _features(compositions: list[dict[str, float]]) -> np.ndarray:
    """Means of elemental values over the atoms, and three numbers that count: ndarray (n, 15)."""
    from sisso_sal.oxides.elements import element_data

    elements = element_data()
    values = {symbol: [data.values.get(header, 1.0) for header in HEADERS[:12]] for symbol, data in elements.items()}
    out = np.empty((len(compositions), len(HEADERS)))
    for row, amounts in zip(out, compositions, strict=True):
        n_atoms = sum(amounts.values())
        row[:12] = np.array(list(amounts.values())) @ np.array([values[symbol] for symbol in amounts]) / n_atoms
        row[12:] = n_atoms, amounts["O"] / n_atoms, len(amounts)
    return out


def replicated(table: Table, rows: np.ndarray, each: int, noise: float, jitter: float, seed: int = 0) -> pd.DataFrame:
    """Some rows of a table, each of them several times.

    Parameters
    ----------
    table : Table
        Its ids are formulas, or names of the materials.
    rows : ndarray of int
        The rows that are taken.
    each : int
        How many times.
    noise : float
        Standard deviation of what is added to the target, in its unit.
    jitter : float
        Standard deviation of what is added to a feature, as a share of its spread over the table.
    seed : int

    Returns
    -------
    DataFrame
        ``sample``, a name for each row; ``formula``, the id of the table; then target and features.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    taken = np.repeat(rows, each)
    target = np.asarray(table.target)[taken] + rng.normal(0, noise, len(taken))
    spread = table.features.std(axis=0)
    features = table.features[taken] + jitter * spread * rng.normal(size=(len(taken), len(spread)))
    names = {"sample": [f"s{number:05d}" for number in range(len(taken))], "formula": [table.ids[row] for row in taken]}
    headers = [table.header(name) for name in table.feature_names]
    return pd.DataFrame(
        names | {table.header(table.target_name or ""): target} | dict(zip(headers, features.T, strict=True))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="the table to write")
    parser.add_argument("--rows", type=int, default=200_000, help="candidates")
    parser.add_argument("--labelled", type=int, default=100, help="those of them with a label")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-formulas", action="store_true", help="names and random features")
    parser.add_argument("--replicates-of", type=Path, help="materials of this table, several times each")
    parser.add_argument("--materials", type=int, default=80, help="materials with replicates")
    parser.add_argument("--each", type=int, default=3, help="rows of each of them")
    parser.add_argument("--noise", type=float, default=0.08, help="of the target, in its unit")
    parser.add_argument("--jitter", type=float, default=0.01, help="of a feature, as a share of its spread")
    options = parser.parse_args()
    if options.replicates_of:
        from sisso_sal.data.table import read_table

        table = read_table(options.replicates_of, require_target=True)
        known = np.flatnonzero(table.labelled)
        rows = np.random.default_rng(options.seed).permutation(known)[: options.materials]
        frame = replicated(table, rows, options.each, options.noise, options.jitter, options.seed)
        frame.to_csv(options.path, index=False)
        return
    pool_table(options.path, options.rows, options.labelled, options.seed, not options.no_formulas)


if __name__ == "__main__":
    main()
