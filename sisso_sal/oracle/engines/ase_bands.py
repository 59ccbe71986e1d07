"""Band gaps of ASE calculators: at its k-points, along a path through the Brillouin zone, with a hybrid functional.

Bands on a frozen density and hybrid functionals on top of it are GPAW's (`fixed_density`, `non_self_consistent_eigenvalues`). What
a calculator cannot do is left out, and the gap is the one that it has.
"""

from __future__ import annotations

import os
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sisso_sal.errors import InputError

if TYPE_CHECKING:
    from ase.spectrum.band_structure import BandStructure

__all__ = ["BANDS_FILE", "band_edges", "read_band_structure", "save_ase_band_figure"]

BANDS_FILE = "bands.json"


def band_edges(atoms: Any, folder: Path, *, path_points: int = 0, hybrid: str = "") -> dict[str, Any] | None:
    """Gap and edges of the bands, the best that was asked for.

    Parameters
    ----------
    atoms : ase Atoms
        With a calculator that has computed them.
    folder : path
        Where a band structure is written, as ASE's JSON.
    path_points : int
        K-points along ASE's path; 0 for those of the calculation alone.
    hybrid : str
        Functional of the gap, on the density and at the k-points of the calculation; of a metal there is none.

    Returns
    -------
    dict or None
        ``bandgap vbm cbm efermi`` in eV, edges None for a metal, and ``bandgap_definition``; None where the calculator has
        no bands.

    Raises
    ------
    InputError
        The hybrid functional is not to be had.
    """
    calculator = atoms.calc
    if not hasattr(calculator, "get_ibz_k_points"):
        return None
    energies = _on_grid(calculator)
    if energies is None:
        return None
    fermi = calculator.get_fermi_level()
    edges = _edges(energies, fermi) | {"bandgap_definition": "k-points of the calculation"}
    if path_points and hasattr(calculator, "fixed_density") and atoms.pbc.all():
        bands = _along_path(atoms, folder, path_points)
        edges = _edges(bands.energies, fermi) | {"bandgap_definition": "path through the Brillouin zone"}
    if hybrid and edges["vbm"] is not None:
        n_occupied = (energies < fermi).sum(axis=2).max(axis=1)
        with (folder / "hybrid.txt").open("w") as log, redirect_stdout(log):
            edges = _hybrid_edges(calculator, hybrid, n_occupied)
    return edges | {"efermi": float(fermi)}


def _on_grid(calculator: Any) -> NDArray[np.float64] | None:
    """ndarray (n_spins, n_kpoints, n_bands), in eV."""
    if not all(hasattr(calculator, name) for name in ("get_number_of_spins", "get_ibz_k_points", "get_eigenvalues")):
        return None
    try:
        n_spins, n_kpoints = calculator.get_number_of_spins(), len(calculator.get_ibz_k_points())
        return np.array([[calculator.get_eigenvalues(kpt=k, spin=s) for k in range(n_kpoints)] for s in range(n_spins)])
    except NotImplementedError:  # ASE's base class has the methods, and says so where there is nothing behind them
        return None


def _edges(energies: NDArray[np.float64], fermi: float) -> dict[str, Any]:
    """Edges from energies (n_spins, n_kpoints, n_bands); a band that crosses the Fermi level makes a metal."""
    occupied = energies < fermi
    if not occupied.any() or occupied.all() or (occupied.any(axis=1) & ~occupied.all(axis=1)).any():
        return {"bandgap": 0.0, "vbm": None, "cbm": None}
    vbm, cbm = float(energies[occupied].max()), float(energies[~occupied].min())
    return {"bandgap": cbm - vbm, "vbm": vbm, "cbm": cbm}


def _along_path(atoms: Any, folder: Path, n_points: int) -> BandStructure:
    """Bands on the frozen density; as many are converged as the calculation has."""
    n_bands = atoms.calc.get_number_of_bands()
    path = atoms.cell.bandpath(npoints=n_points)
    frozen = atoms.calc.fixed_density(
        kpts={"path": path.path, "npoints": n_points},
        symmetry="off",
        nbands=n_bands + 4,
        convergence={"bands": n_bands},
        txt=str(folder / "bands.txt"),
    )
    bands = frozen.band_structure()
    bands = type(bands)(bands.path, bands.energies[:, :, :n_bands], reference=atoms.calc.get_fermi_level())
    bands.write(folder / BANDS_FILE)
    return bands


def _hybrid_edges(calculator: Any, functional: str, n_occupied: NDArray[np.int64]) -> dict[str, Any]:
    """Edges of a semiconductor with a hybrid functional; `n_occupied` (n_spins,) bands lie below its gap."""
    try:
        non_self_consistent = import_module("gpaw.hybrids.eigenvalues").non_self_consistent_eigenvalues
        first, last = int(n_occupied.min()) - 1, int(n_occupied.max()) + 1
        semilocal, without, instead = non_self_consistent(calculator, functional, n1=first, n2=last)
    except (ImportError, AttributeError, NameError) as error:
        raise InputError(
            f"hybrid '{functional}': needs a functional of GPAW built with libxc "
            f"(apt-get install libxc-dev libblas-dev; CC=g++ pip install --force-reinstall --no-deps --no-cache-dir gpaw), "
            f"found: {error}"
        ) from error
    energies = semilocal - without + instead
    below = [energies[s, :, n - 1 - first].max() for s, n in enumerate(n_occupied)]
    above = [energies[s, :, n - first].min() for s, n in enumerate(n_occupied)]
    vbm, cbm = float(max(below)), float(min(above))
    definition = f"{functional} on the density and at the k-points of the calculation"
    return {"bandgap": max(0.0, cbm - vbm), "vbm": vbm, "cbm": cbm, "bandgap_definition": definition}


def read_band_structure(folder: str | os.PathLike[str]) -> BandStructure:
    """The band structure that a step left, as ASE has it; `InputError` where there is none."""
    from ase.io.jsonio import read_json

    file = Path(folder, BANDS_FILE)
    if not file.exists():
        raise InputError(f"{folder}: needs a band structure ({BANDS_FILE}), found none")
    bands: Any = read_json(file)
    return bands


def save_ase_band_figure(
    folder: str | os.PathLike[str], path: str | os.PathLike[str], window: float = 6.0
) -> dict[str, Any]:
    """Draw the bands that a step left around their gap.

    Parameters
    ----------
    folder : path
        Of a bands step.
    path : path
        Of the picture; the ending gives the format.
    window : float
        Energy shown below the valence band and above the conduction band, in eV.

    Returns
    -------
    dict
        ``bandgap vbm cbm`` along the path, in eV.
    """
    from matplotlib.figure import Figure

    bands = read_band_structure(folder)
    edges = _edges(bands.energies, bands.reference)
    zero = bands.reference if edges["vbm"] is None else edges["vbm"]
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    shifted = type(bands)(bands.path, bands.energies - zero, reference=0.0)
    shifted.plot(
        ax=axes, emin=-window, emax=edges["bandgap"] + window, colors=["tab:blue", "tab:red"][: len(bands.energies)]
    )
    level = "the Fermi level" if edges["vbm"] is None else "the valence band"
    axes.set_ylabel(f"energy above {level} (eV)")
    axes.set_title(f"gap {edges['bandgap']:.2f} eV" if edges["bandgap"] else "metal")
    figure.savefig(path, dpi=150)
    return edges
