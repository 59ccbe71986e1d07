"""For how many oxides there is a structure to start from, of which type, and how far its volume is off.

    python benchmarks/structures.py [TABLE] [--energies FILE] [--all]

TABLE has formulas in its first column; by default the 250 oxides of ../shared/data/oxides_gpbx.csv. Two kinds of volumes are
compared. Measured ones are those of the lattice constants in `cells.csv`, as they are commonly quoted: they were written down from
memory. Ten volumes were compared with cells of the AFLOW library that pymatgen holds (Al2O3, Cu2O, FeTiO3, Mn3O4, NbO, SiO2, Sb2O3,
TiO2 and ZrO2 agree within 0.2 %, ReO3 within 1.4 %), and those of examples of a type with `prototypes.toml` (Cs7O and Ti3O5 are 2
to 3 % larger here; where that file says "compiled" both are from memory). The others were not checked. Each oxide is built in the
type that it has; oxides whose own cell gave the type are told apart. Relaxed volumes are those of energies as `estimate` keeps them
and have the first structure of an oxide. --all prints every oxide.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path

import numpy as np
from labelled import HERE, SHARED
from pymatgen.core import Composition, Lattice, Structure

from sisso_sal.errors import InputError
from sisso_sal.fidelity.energies import read_energies
from sisso_sal.oxides.magnetism import type_of
from sisso_sal.oxides.prototypes import prototype_structures
from sisso_sal.oxides.roles import FURTHER_PROTOTYPES
from sisso_sal.oxides.structure_types import structure_types
from sisso_sal.oxides.structures import formula_key
from sisso_sal.report.text.table import aligned

CELLS = Path(__file__).with_name("cells.csv")
ENERGIES = HERE / "data" / "chgnet_energies.csv.gz"


def formulas_of(path: Path) -> list[str]:
    """The first column of a CSV."""
    with path.open(newline="", encoding="utf-8") as handle:
        return [row[0] for row in csv.reader(handle)][1:]


def starts_of(formula: str) -> list[tuple[str, Structure]] | str:
    """The structures of an oxide, or why there are none."""
    try:
        return [(name, structure) for name, structure in prototype_structures(formula) if type_of(name) == name]
    except InputError as error:
        return str(error).removeprefix(f"{formula}: ")


def measured() -> list[tuple[str, str, bool, float]]:
    """Formula, type, whether its cell gave the type, and by how much the volume is off."""
    rows = []
    with CELLS.open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            formula, name, *constants, units = row.values()
            structure = next(s for n, s in prototype_structures(formula, [name]) if n == name)
            volume = Lattice.from_parameters(*map(float, constants)).volume / int(units)
            ours = structure.volume / len(structure) * Composition(formula).num_atoms
            own = formula_key(structure_types()[name].example) == formula_key(formula)
            rows.append((formula, name, own, ours / volume - 1))
    return rows


def relaxed(starts: dict[str, list[tuple[str, Structure]]], energies: Path) -> list[tuple[str, str, float]]:
    """Formula, first type, and by how much its volume is off, where the structure was relaxed."""
    outcomes, rows = read_energies(energies).outcomes, []
    for formula, structures in starts.items():
        name, structure = structures[0]
        one = outcomes.get((formula_key(formula), name))
        if one is not None and one.converged and one.volume:
            rows.append((formula, name, structure.volume / len(structure) / one.volume - 1))
    return rows


def rms(errors: list[float]) -> str:
    """Over oxides, in percent."""
    values = 100 * np.abs(errors)
    return f"rms {np.sqrt(np.mean(values**2)):.1f} %, median of sizes {np.median(values):.1f} %, {len(values)} oxides"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, nargs="?", default=SHARED / "oxides_gpbx.csv")
    parser.add_argument("--energies", type=Path, default=ENERGIES, help="file of energies with volumes")
    parser.add_argument("--all", action="store_true", help="print every oxide")
    options = parser.parse_args()
    all_starts = {formula: starts_of(formula) for formula in formulas_of(options.table)}
    starts = {formula: one for formula, one in all_starts.items() if not isinstance(one, str)}
    further = {prototype.name for prototype in FURTHER_PROTOTYPES}
    new = [formula for formula, structures in starts.items() if {name for name, _ in structures} <= further]
    print(
        f"{len(starts)} of {len(all_starts)} oxides have a starting structure; {len(new)} of them in further types alone"
    )
    if options.all:
        print(aligned([["oxide", "types"], *([f, " ".join(name for name, _ in s)] for f, s in starts.items())]))
    firsts = Counter(structures[0][0] for structures in starts.values())
    print(
        "first types: "
        + ", ".join(f"{name} {n}" for name, n in sorted(firsts.items(), key=lambda one: (-one[1], one[0])))
    )
    print("none:")
    print(aligned([["oxide", "reason"], *([f, one] for f, one in all_starts.items() if isinstance(one, str))]))
    rows = measured()
    print("volume against measured cells, in the type that the oxide has")
    own, others = [row for row in rows if row[2]], [row for row in rows if not row[2]]
    for words, kept in (("all", rows), ("its own cell gave the type", own), ("others", others)):
        print(f"  {words}: {rms([error for *_, error in kept])}")
    in_table = {formula_key(formula): structures[0][0] for formula, structures in starts.items()}
    known = [(formula, name) for formula, name, _, _ in rows if formula_key(formula) in in_table]
    first = sum(in_table[formula_key(formula)] == name for formula, name in known)
    print(f"  the type that the oxide has comes first for {first} of {len(known)}")
    worst = sorted(rows, key=lambda row: -abs(row[3]))[:8]
    print("  largest: " + ", ".join(f"{formula} {name} {100 * error:+.0f} %" for formula, name, _, error in worst))
    pairs = relaxed(starts, options.energies)
    print(
        f"volume of the first structure against the one that was relaxed from it: {rms([error for *_, error in pairs])}"
    )
    worst = sorted(pairs, key=lambda row: -abs(row[2]))[:8]
    print("  largest: " + ", ".join(f"{formula} {name} {100 * error:+.0f} %" for formula, name, error in worst))


if __name__ == "__main__":
    main()
