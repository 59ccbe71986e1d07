"""Writes data/melting.csv: measured melting temperatures of oxides.

Run in the development environment:  python data/build_melting.py [--output FILE]
Only solids whose formula the identity guard of build_oxides.py has confirmed count; data/README.md has the rules.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from build_oxides import HERE, crc_oxides, verified
from chemicals.miscdata import CRC_inorganic_data

TARGET = "T_melt (K)"


def melting_temperatures() -> dict[str, float]:
    """Formula -> melting temperature in K, where the CRC table has one for the very substance (CAS number)."""
    causes: Counter[str] = Counter()
    known = CRC_inorganic_data["Tm"]
    found = {solid.formula: float(known.get(solid.cas, np.nan)) for solid in verified(crc_oxides(causes), causes)}
    return {formula: value for formula, value in sorted(found.items()) if np.isfinite(value)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE / "melting.csv")
    options = parser.parse_args(arguments)
    found = melting_temperatures()
    lines = [f"formula,{TARGET}", *(f"{formula},{value:.6g}" for formula, value in found.items())]
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(found)} melting temperatures")


if __name__ == "__main__":
    main()
