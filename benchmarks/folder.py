"""How long it takes to import calculations that were done already: read the first time, read again, and made into labels.

    python benchmarks/folder.py [--calculations 500] [--steps 10] [--keep FOLDER]

The outputs are those of the stand-in for FHI-aims (a third of a megabyte each, ten steps of a relaxation): oxides of nine metals in
their prototypes with their elements and molecules, every fourth with another functional as well. Printed are wall-clock seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
METALS = ("Mg", "Ca", "Sr", "Ba", "Ti", "Zn", "Al", "Zr", "Sn")


def structures() -> Iterator[tuple[str, str, Any]]:
    """Formula, name and starting structure: elements and molecules, then oxides with one metal and with two."""
    from sisso_sal.oxides.phases import starting_structures
    from sisso_sal.oxides.pool import candidate_oxides

    oxides = [oxide.formula for n in (1, 2) for oxide in candidate_oxides(METALS, n_metals=[n])]
    for formula in ("H2O", "H2", *METALS, *oxides):
        for name, structure in starting_structures(formula, {}, 3):
            yield formula, name, structure


def write_output(folder: Path, structure: Any, xc: str, n_steps: int) -> None:
    """An output as a relaxation of so many steps leaves it, with inputs beside it."""
    import stand_in_output
    from aims_stand_in import read_control, read_geometry
    from stand_in_energy import energy, gap_of

    from sisso_sal.oracle.engines.aims_inputs import AimsSettings, write_inputs

    folder.mkdir(parents=True)
    species = os.environ["AIMS_SPECIES_DIR"]
    write_inputs(folder, structure, AimsSettings(xc=xc, relax="bfgs", species_dir=species, spin="none"))
    control, geometry = (folder / "control.in").read_text(), (folder / "geometry.in").read_text()
    lattice, symbols, places, moments = read_geometry(geometry)
    settings, _, _ = read_control(control)
    state = (places, lattice, *energy(symbols, places, lattice))
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        stand_in_output.preamble()
        stand_in_output.head(control, geometry, settings, lattice, symbols, places)
        for number in range(1, n_steps + 1):
            stand_in_output.cycle(number, settings, state, symbols, moments, gap_of(symbols, xc), True, True)
            print(f"  Present geometry is {'converged' if number == n_steps else 'not yet converged'}.\n")
            stand_in_output.structure_block("Updated" if number < n_steps else "Final", symbols, places, lattice)
            print("-" * 60)
        stand_in_output.final(state[2])
    (folder / "aims.out").write_text(text.getvalue())


def make(folder: Path, n: int, n_steps: int) -> list[str]:
    """A folder of `n` calculations; returns the formulas of its oxides."""
    from species import write_species

    os.environ["AIMS_SPECIES_DIR"] = write_species(folder.parent / "species", [*METALS, "O", "H"])
    formulas: dict[str, None] = {}
    count = 0
    for number, (formula, name, structure) in enumerate(itertools.cycle(structures())):
        if count == n:
            break
        turn = f"again-{number}" if (folder / formula / name / "pbe").exists() else "pbe"
        for xc, place in (("pbe", turn), ("pbe0", "pbe0")):
            if count < n and (xc == "pbe" or number % 4 == 0) and not (folder / formula / name / place).exists():
                write_output(folder / formula / name / place, structure, xc, n_steps)
                count += 1
        formulas |= {formula: None} if "O" in formula and formula != "H2O" else {}
    return list(formulas)


def measure(folder: Path, formulas: list[str]) -> None:
    """Print what reading and labels take."""
    import pandas as pd

    from sisso_sal.data.table import read_table
    from sisso_sal.oracle.calculations.folder import find_calculations
    from sisso_sal.oracle.calculations.survey import survey
    from sisso_sal.settings.calculation import LabelSettings

    size = sum(file.stat().st_size for file in folder.rglob("aims.out")) / 1e6
    start = time.perf_counter()
    found = find_calculations(folder)
    print(f"read {len(found.calculations)} calculations ({size:.0f} MB): {time.perf_counter() - start:.1f} s")
    start = time.perf_counter()
    assert find_calculations(folder).n_read == 0
    print(f"read them again: {time.perf_counter() - start:.1f} s")
    frame = pd.DataFrame({"formula": formulas, "n": np.arange(len(formulas), dtype=float) % 7})
    table = read_table(frame, id="formula")
    for quantity in ("band_gap", "formation_energy", "dG_pbx"):
        start = time.perf_counter()
        looked = survey(folder, LabelSettings(quantity=quantity), table)
        print(f"{quantity} of {len(looked.labels)} of {len(formulas)} candidates: {time.perf_counter() - start:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calculations", type=int, default=500)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="Write the folder here and leave it.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = str(Path(scratch, "cache"))
        folder = (arguments.keep or Path(scratch)) / "own"
        start = time.perf_counter()
        formulas = make(folder, arguments.calculations, arguments.steps)
        print(f"made in {time.perf_counter() - start:.1f} s")
        measure(folder, formulas)


if __name__ == "__main__":
    main()
