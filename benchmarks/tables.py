"""Processor time and peak memory of `discover` on tables of many candidates, beside another checkout.

    python benchmarks/tables.py [--other CHECKOUT] [--rows 200000] [--labelled 100] [--no-formulas] [--runs 1] [--same]

The tables are made from a seed: oxides of the pool (``sisso-sal pool --metals 1,2``), then random ones of two to four metals, some
of them with fractions or brackets. They have 15 features, means over their elements; without formulas the features are random. With
``--same`` the files of the two run folders are compared byte for byte.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parents[1]
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
    from sisso_sal.oxides.pool import METALS

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


def measured(checkout: Path, folder: Path, arguments: list[str]) -> tuple[float, float, str]:
    """Processor time (s, user and system), peak memory (GiB) of the largest process, and the output of one command.

    Raises
    ------
    SystemExit
        The command fails.
    """
    environment = os.environ | {"PYTHONPATH": str(checkout), "XDG_CONFIG_HOME": str(folder)}
    command = [sys.executable, "-c", "from sisso_sal.cli import main; main()", *arguments]
    out = folder / "stdout"
    with out.open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=stdout, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{checkout}: exit code {process.returncode}\n{(folder / 'stderr').read_text()}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20, out.read_text()


def different(one: Path, other: Path) -> list[str]:
    """Files of two run folders that differ, without those that hold times and versions of this run."""
    names = sorted({str(path.relative_to(run)) for run in (one, other) for path in run.rglob("*") if path.is_file()})
    wanted = [name for name in names if name.endswith((".csv", ".parquet")) or name == "iter-0001/summary.json"]
    return [name for name in wanted if not all((run / name).is_file() for run in (one, other))] + [
        name
        for name in wanted
        if all((run / name).is_file() for run in (one, other))
        and (one / name).read_bytes() != (other / name).read_bytes()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", type=Path, help="the checkout to compare this one with")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--labelled", type=int, default=100)
    parser.add_argument("--no-formulas", action="store_true")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--same", action="store_true", help="also compare the files of the run folders")
    options = parser.parse_args()
    checkouts = {"this": HERE} | ({"other": options.other.resolve()} if options.other else {})
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pool_table(folder / "pool.csv", options.rows, options.labelled, formulas=not options.no_formulas)
        for turn in range(options.runs):
            for name, checkout in checkouts.items():
                arguments = ["discover", "pool.csv", "--dry-run", "--json"]
                if options.same:
                    arguments = ["discover", "pool.csv", "--json", "--out", f"{name}-{turn}"]
                seconds, memory, _ = measured(checkout, folder, arguments)
                print(f"{name:6}{seconds:9.2f} s of processor time{memory:7.2f} GiB", flush=True)
        if options.same and options.other:
            print("different files:", ", ".join(different(folder / "this-0", folder / "other-0")) or "none")


if __name__ == "__main__":
    main()
