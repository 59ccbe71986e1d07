"""Writes sisso_sal/oracle/stability/dissolved.csv: dissolved species beside those of ASE, for the metals that ASE has none of, or
none in their highest common oxidation state.

Run in the development environment:  python data/build_ions.py [--output FILE]
Species come from the CRC table in `chemicals`, and from further_ions.csv; data/README.md has the sources.
"""

import argparse
import csv
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import ase.units
from build_oxides import HERE, TEMPERATURE, ase_ions, crc_ions, crc_oxides, verified

from sisso_sal.oracle.stability.aqueous import dissolved
from sisso_sal.oracle.stability.pourbaix import BOLTZMANN, MU_WATER, Species
from sisso_sal.oxides.metals import METALS

CALORIE = ase.units.kcal / ase.units.mol / 1000  # eV
OUTPUT = HERE.parent / "sisso_sal" / "oracle" / "stability" / "dissolved.csv"
CRC = "CRC Handbook of Chemistry and Physics, table of aqueous ions in chemicals"


def from_crc() -> list[tuple[str, float, str]]:
    """Name, free energy in eV and source of the CRC's species, for metals without any in ASE."""
    covered = {metal for ion in ase_ions(METALS) for metal in ion.metals}
    return [(written(ion), ion.mu, CRC) for ion in crc_ions(set(METALS) - covered)]


def further() -> list[tuple[str, float, str]]:
    """The same of the species of further_ions.csv.

    A free energy is given there, or log K of the reaction in which the species forms from a solid of the CRC table or a species of
    ASE, with water, protons and electrons.
    """
    solids = {s.formula: s.species() for s in verified(crc_oxides(Counter()), Counter())}
    origins = {**solids, **{ion.name: ion for ion in ase_ions(METALS)}}
    with (HERE / "further_ions.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    species = []
    for row in rows:
        value, source = float(row["value"]), row["source"]
        if row["unit"] == "cal/mol":
            species.append((row["species"], value * CALORIE, source))
        else:
            mu = formed(dissolved(row["species"], 0.0), origins[row["from"]], value)
            species.append((row["species"], mu, f"{source}; from {row['from']}"))
    return species


def formed(ion: Species, origin: Species, log_k: float) -> float:
    """Free energy of formation in eV from log K of origin + water -> ion + protons + electrons, for one ion."""
    (metal,) = ion.metals
    n = ion.composition[metal] / origin.composition[metal]
    water = ion.composition.get("O", 0.0) - n * origin.composition.get("O", 0.0)
    return n * origin.mu + water * MU_WATER - BOLTZMANN * TEMPERATURE * math.log(10) * log_k


def written(ion: Species) -> str:
    """The name as `sisso_sal.oracle.stability.aqueous` reads it: a sign for each elementary charge."""
    atoms = "".join(f"{e}{'' if n == 1 else f'{n:g}'}" for e, n in ion.composition.items())
    return atoms + abs(ion.charge) * ("+" if ion.charge > 0 else "-")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    rows = sorted([*from_crc(), *further()])
    with options.output.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["species", "mu (eV)", "source"])
        writer.writerows([name, f"{mu:.6g}", source] for name, mu, source in rows)
    print(f"{len(rows)} dissolved species")


if __name__ == "__main__":
    main()
