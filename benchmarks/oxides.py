"""What oxides enumerated in parts cost, with formulas and features, beside the same oxides made one by one.

    python benchmarks/oxides.py [--oxides 1000000] [--max-index 6] [--part 100000] [--sample 2000]

For 1 to 4 metals of all: parts spread evenly over the enumeration, until there are as many oxides as asked for. CPU time for each
oxide, and that of its composition. One by one means: every choice of indices and states is tried, `reduced_formula` writes the
formula, and `featurize` reads it again, a few at a time. From a table means: `featurize` reads formulas in a random order, all at
once. All are measured in one process, so the ratio holds where the times do not. The memory is the peak until then.
"""

from __future__ import annotations

import argparse
import itertools
import math
import resource
import time
from collections.abc import Iterator

import numpy as np

from sisso_sal.oxides.elements import element_data
from sisso_sal.oxides.enumeration import OxideEnumeration, OxidePart
from sisso_sal.oxides.metals import METALS
from sisso_sal.oxides.pool import reduced_formula
from sisso_sal.oxides.primary_features import featurize
from sisso_sal.report.text.table import aligned

FEW = 50
"""Formulas of which `featurize` looks at each."""


def one_by_one(n_metals: int, max_index: int, n: int) -> list[str]:
    """Some `n` oxides, of metals drawn at random."""
    rng = np.random.default_rng(0)
    formulas: list[str] = []
    for _ in range(n):
        formulas += _balanced(tuple(rng.choice(METALS, n_metals, replace=False).tolist()), max_index)
        if len(formulas) >= n:
            break
    return formulas


def _balanced(metals: tuple[str, ...], max_index: int) -> Iterator[str]:
    compositions = set()
    for indices in itertools.product(range(1, max_index + 1), repeat=len(metals)):
        for states in itertools.product(*(element_data()[metal].common for metal in metals)):
            charge = sum(n * state for n, state in zip(indices, states, strict=True))
            if charge % 2 == 0 and math.gcd(*indices, charge // 2) == 1:
                compositions.add((*indices, charge // 2))
    return (reduced_formula(dict(zip((*metals, "O"), indices, strict=True))) for indices in sorted(compositions))


def spread(oxides: OxideEnumeration, n: int, size: int) -> list[OxidePart]:
    """Parts with about `n` oxides, evenly over the enumeration."""
    parts = itertools.islice(oxides.parts(size), 0, None, max(1, oxides.count() // n))
    return list(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oxides", type=int, default=1_000_000, help="how many of each number of metals")
    parser.add_argument("--max-index", type=int, default=6, help="of a metal")
    parser.add_argument("--part", type=int, default=100_000, help="oxides in a part")
    parser.add_argument("--sample", type=int, default=2000, help="oxides made one by one")
    options = parser.parse_args()
    rows = [
        [
            "metals",
            "there are",
            "made",
            "s",
            "µs each",
            "composition",
            "from a table",
            "one by one",
            "ratio",
            "peak, MiB",
        ]
    ]
    for n_metals in (1, 2, 3, 4):
        oxides = OxideEnumeration(min_metals=n_metals, max_metals=n_metals, max_index=options.max_index)
        parts = spread(oxides, options.oxides, options.part)
        begin = time.process_time()
        n = sum(len(oxides.read(part).formulas) for part in parts)
        seconds = time.process_time() - begin
        with_shares = _seconds_for_shares(oxides, parts[:3])
        begin = time.process_time()
        formulas = one_by_one(n_metals, options.max_index, options.sample)
        for start in range(0, len(formulas), FEW):
            featurize(formulas[start : start + FEW])
        slow = 1e6 * (time.process_time() - begin) / len(formulas)
        fast, peak = 1e6 * seconds / n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        cells = [
            f"{n_metals}",
            f"{oxides.count()}",
            f"{n}",
            f"{seconds:.2f}",
            f"{fast:.2f}",
            f"{1e6 * with_shares:.2f}",
            f"{1e6 * _seconds_from_a_table(oxides, parts):.2f}",
        ]
        rows.append([*cells, f"{slow:.0f}", f"{slow / fast:.0f}", f"{peak:.0f}"])
    print(aligned(rows, numeric=range(len(rows[0]))))


def _seconds_for_shares(oxides: OxideEnumeration, parts: list[OxidePart]) -> float:
    """CPU time of the composition of an oxide."""
    blocks = [oxides.read(part) for part in parts]
    begin = time.process_time()
    n = sum(len(block.shares()) for block in blocks)
    return (time.process_time() - begin) / n


def _seconds_from_a_table(oxides: OxideEnumeration, parts: list[OxidePart]) -> float:
    """CPU time of the features of an oxide that is read as text."""
    rng = np.random.default_rng(0)
    chosen = [parts[number] for number in rng.permutation(len(parts))[:3]]
    formulas = rng.permutation(np.concatenate([oxides.read(part).formulas for part in chosen])).tolist()
    featurize(formulas)  # compiled code and tables are loaded
    begin = time.process_time()
    features, _ = featurize(formulas)
    return (time.process_time() - begin) / len(features)


if __name__ == "__main__":
    main()
