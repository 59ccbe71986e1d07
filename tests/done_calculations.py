"""Folders of calculations that were done already: outputs in the format of FHI-aims, of any energy and settings, without a run."""

import contextlib
import io
from pathlib import Path

import numpy as np
import stand_in_output
from aims_stand_in import read_control, read_geometry
from pymatgen.core import Lattice, Molecule, Structure
from species import write_species
from stand_in_energy import energy as energy_of
from stand_in_energy import gap_of

from sisso_sal.oracle.engines.aims_inputs import AimsSettings, write_inputs

WATER = Molecule(["O", "H", "H"], [[0, 0, 0], [0.76, 0, 0.59], [-0.76, 0, 0.59]])
HYDROGEN = Molecule(["H", "H"], [[0, 0, 0], [0, 0, 0.74]])
OXYGEN = Molecule(["O", "O"], [[0, 0, 0], [0, 0, 1.21]])


def rocksalt(metal, a=4.2, n=1, moment=None):
    """Primitive rocksalt, `n` times along one vector."""
    corners = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) / 2
    cell = Structure(Lattice.cubic(a), [metal] * 4 + ["O"] * 4, [*corners, *(corners + 0.5) % 1])
    cell = cell.get_primitive_structure().make_supercell([n, 1, 1], in_place=False)
    if moment:
        cell.add_site_property("magmom", [moment if site.specie.symbol == metal else 0.0 for site in cell])
    return cell


def wurtzite(metal, a=3.3):
    lattice = Lattice.hexagonal(a, 1.6 * a)
    places = [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.38], [2 / 3, 1 / 3, 0.88]]
    return Structure(lattice, [metal, metal, "O", "O"], places)


def metal_of(symbol, a=3.2):
    return Structure(Lattice.cubic(a), [symbol, symbol], [[0, 0, 0], [0.5, 0.5, 0.5]])


def write_run(
    folder,
    structure,
    energy=None,
    *,
    gap=None,
    n_steps=1,
    ends="",
    change=lambda control: control,
    echo=True,
    **settings,
):
    """An output and its inputs.

    `energy` in eV for the cell, by default that of the stand-in; `ends` is how it fails: "scf", "cut" or "aborted"; `change`
    edits control.in, and without `echo` the output does not repeat the inputs.
    """
    folder = Path(folder)
    folder.mkdir(parents=True)
    species = write_species(folder / "species", sorted({site.specie.symbol for site in structure}))
    settings = {"spin": "none", "relax": "bfgs" if n_steps > 1 else "none", **settings}
    write_inputs(folder, structure, AimsSettings(species_dir=species, **settings))
    control, geometry = change((folder / "control.in").read_text()), (folder / "geometry.in").read_text()
    (folder / "control.in").write_text(control)
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        _print_run(control, geometry, energy, gap, n_steps, ends)
    content = text.getvalue()
    if not echo:
        content = content.replace("will be repeated verbatim below", "are not repeated")
    (folder / "aims.out").write_text(
        content[: content.rindex("Self-consistency cycle converged")] if ends == "cut" else content
    )
    return folder / "aims.out"


def _print_run(control, geometry, energy, gap, n_steps, ends):
    lattice, symbols, places, moments = read_geometry(geometry)
    keywords, _, _ = read_control(control)
    made = (
        energy_of(symbols, places, lattice)
        if energy is None
        else (energy, np.zeros((len(symbols), 3)), np.zeros((3, 3)))
    )
    state = (places, lattice, *made)
    gap = gap_of(symbols, keywords["xc"][0]) if gap is None else gap
    stand_in_output.preamble()
    stand_in_output.head(control, geometry, keywords, lattice, symbols, places)
    for number in range(1, n_steps + 1):
        converges = ends != "scf" or number < n_steps
        stand_in_output.cycle(number, keywords, state, symbols, moments, gap, converges, n_steps > 1)
        if n_steps > 1:
            is_last = number == n_steps
            print(f"  Present geometry is {'converged' if is_last and ends != 'aborted' else 'not yet converged'}.\n")
            if is_last and ends == "aborted":
                print("  Aborting optimization.\n")
            stand_in_output.structure_block("Final" if is_last else "Updated", symbols, places, lattice)
            print("-" * 60)
    stand_in_output.final(state[2])
