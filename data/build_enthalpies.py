"""Writes data/enthalpies.csv: measured enthalpies of formation of oxides, for `sisso-sal estimate --fit-reference`.

Run in the development environment:  python data/build_enthalpies.py [--output FILE]
Only solids whose formula the identity guard of build_oxides.py has confirmed count; data/README.md has the rules.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from build_oxides import HERE, JOULE_PER_MOL, crc_oxides, verified

COLUMN = "H_f (eV/atom)"


def enthalpies() -> dict[str, float]:
    """Formula -> enthalpy of formation at 298.15 K, in eV/atom."""
    causes: Counter[str] = Counter()
    solids = verified(crc_oxides(causes), causes)
    return {s.formula: s.enthalpy * JOULE_PER_MOL / sum(s.composition.values()) for s in solids}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE / "enthalpies.csv")
    options = parser.parse_args(arguments)
    found = enthalpies()
    lines = [f"formula,{COLUMN}", *(f"{formula},{value:.6g}" for formula, value in sorted(found.items()))]
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(found)} enthalpies of formation")


if __name__ == "__main__":
    main()
