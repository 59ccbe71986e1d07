"""Writes data/halides.csv: measured enthalpies of formation of binary halides, for the notebook on a table that is no oxide.

Run in the development environment:  python data/build_halides.py [--output FILE]
Only solids whose formula the identity guard of build_oxides.py has confirmed count; data/README.md has the rules.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Sequence
from math import gcd
from pathlib import Path

from build_oxides import HERE, JOULE_PER_MOL, METALS, OVERRIDES, CRC_standard_data, Solid, search_chemical, verified

from sisso_sal.errors import InputError
from sisso_sal.oxides.elements import parse_formula

COLUMN = "H_f (eV/atom)"
HALOGENS = ("F", "Cl", "Br", "I")


def crc_halides() -> list[Solid]:
    """Every solid of the CRC table made of one halogen and one of the metals."""
    with OVERRIDES.open(newline="", encoding="utf-8") as handle:
        overrides = {row["cas"]: row["formula"] for row in csv.DictReader(handle)}
    solids = []
    for cas, row in CRC_standard_data.dropna(subset=["Hfs"]).iterrows():
        try:
            composition = parse_formula(overrides.get(cas) or search_chemical(cas).formula)
        except (InputError, ValueError):
            continue
        halogens = [symbol for symbol in HALOGENS if symbol in composition]
        metals = [symbol for symbol in composition if symbol not in HALOGENS]
        if len(halogens) == 1 and len(metals) == 1 and metals[0] in METALS:
            name = _formula(metals[0], halogens[0], composition)
            solids.append(Solid(name, composition, float(row["Hfs"]), float(row["Gfs"]), float(row["S0s"]), cas))
    return solids


def _formula(metal: str, halogen: str, composition: dict[str, float]) -> str:
    amounts = [round(composition[symbol]) for symbol in (metal, halogen)]
    divisor = gcd(*amounts)
    return "".join(
        symbol + (str(n // divisor) if n > divisor else "") for symbol, n in zip((metal, halogen), amounts, strict=True)
    )


def enthalpies() -> dict[str, float]:
    """Formula -> enthalpy of formation at 298.15 K, in eV/atom."""
    solids = verified(crc_halides(), Counter())
    return {s.formula: s.enthalpy * JOULE_PER_MOL / sum(s.composition.values()) for s in solids}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE / "halides.csv")
    options = parser.parse_args(arguments)
    found = enthalpies()
    lines = [f"formula,{COLUMN}", *(f"{formula},{value:.6g}" for formula, value in sorted(found.items()))]
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(found)} enthalpies of formation")


if __name__ == "__main__":
    main()
