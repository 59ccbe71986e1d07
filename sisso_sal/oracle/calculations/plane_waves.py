"""Outputs of VASP (vasprun.xml) and Quantum ESPRESSO (pw.x) as calculations that were done.

VASP is read by pymatgen, which knows whether the run converged; of Quantum ESPRESSO ASE reads energy and structure, and the lines
that tell convergence, functional, cutoff and pseudopotentials are looked for in the text.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sisso_sal.errors import InputError
from sisso_sal.oracle.calculations.record import FIXED, Cell, DoneCalculation, cell_of_atoms, density_range

__all__ = ["read_espresso", "read_vasp"]

_HYBRID = 0.25
_RYDBERG = 13.605693
_VASP_SMEARING = {-5: "tetrahedra with corrections", -4: "tetrahedra", -2: FIXED, -1: "fermi-dirac", 0: "gaussian"}


def read_vasp(path: Path, place: str) -> DoneCalculation:
    """The calculation of a vasprun.xml, plain or compressed.

    Raises
    ------
    Exception
        Whatever pymatgen stumbles on in a file that is cut or damaged.
    """
    from pymatgen.io.vasp.outputs import Vasprun

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run: Any = Vasprun(str(path), parse_dos=False, parse_eigen=False, parse_potcar_file=False)
    structure = run.final_structure
    moments = [float(m) for m in run.parameters.get("MAGMOM", []) if run.is_spin]
    cell = Cell.model_validate(
        {
            "symbols": [site.specie.symbol for site in structure],
            "positions": structure.cart_coords.tolist(),
            "lattice": structure.lattice.matrix.tolist(),
            "moments": (sum(moments), sum(map(abs, moments))),
        }
    )
    failure = ""
    if not run.converged_electronic:
        failure = "scf_not_converged: the last electronic cycle reached its limit of steps"
    elif not run.converged_ionic:
        failure = "relaxation_not_converged: the relaxation reached its limit of steps"
    grid = _vasp_grid(run)
    relativity = "spin-orbit coupling" if run.parameters.get("LSORBIT") else "scalar"
    cutoff = f"{float(run.parameters.get('ENMAX', run.parameters.get('ENCUT', 0.0))):g} eV"
    settings = {"code": "VASP", "xc": _vasp_functional(run), "relativity": relativity, "species": cutoff}
    settings["spin"] = "collinear" if run.is_spin else "none"
    settings["smearing"] = _vasp_smearing(run.parameters)
    settings |= {} if grid is None else {"k_grid": " ".join(map(str, grid))}
    potentials = {
        symbol.split()[1].partition("_")[0]: symbol for symbol in run.potcar_symbols if len(symbol.split()) > 1
    }
    return DoneCalculation(
        place=place,
        failure=failure,
        cell=cell,
        energy=None if failure else float(run.final_energy),
        relaxed=int(run.parameters.get("NSW", 0)) > 0 and int(run.parameters.get("IBRION", -1)) > 0,
        version=str(run.vasp_version),
        settings=settings,
        species=potentials,
        k_density=None if grid is None else density_range(cell, grid),
        entropy=_vasp_entropy(run),
    )


def _vasp_smearing(parameters: Mapping[str, Any]) -> str:
    """ISMEAR in words, with SIGMA where it is used."""
    kind, width = int(parameters.get("ISMEAR", 1)), f"{float(parameters.get('SIGMA', 0.2)):g} eV"
    if kind > 0:
        return f"methfessel-paxton {width} order {kind}"
    name = _VASP_SMEARING.get(kind, f"ISMEAR {kind}")
    return f"{name} {width}" if kind in (-1, 0) else name


def _vasp_entropy(run: Any) -> float | None:
    """Size of -TS of the last electronic step, in eV: VASP's energy without smearing is (F (n + 1) + E)/(n + 2) for order n."""
    try:
        last = run.ionic_steps[-1]["electronic_steps"][-1]
        shift = abs(float(last["e_0_energy"]) - float(last["e_fr_energy"]))
    except (IndexError, KeyError, TypeError, ValueError):
        return None
    return shift * (2 + max(0, int(run.parameters.get("ISMEAR", 1))))


def _vasp_functional(run: Any) -> str:
    """The type of run that pymatgen tells, with what else changes the energy."""
    parameters = run.parameters
    words = [str(run.run_type)]
    if parameters.get("LHFCALC"):
        words.append(
            f"AEXX {float(parameters.get('AEXX', _HYBRID)):g} HFSCREEN {float(parameters.get('HFSCREEN', 0)):g}"
        )
    values = {element: value for element, value in sorted((run.hubbards or {}).items()) if value}
    words += [f"U({element}) {value:g}" for element, value in values.items()]
    return " ".join(words)


def _vasp_grid(run: Any) -> tuple[int, int, int] | None:
    points = run.kpoints
    if points is None or ("onkhorst" not in str(points.style) and "amma" not in str(points.style)):
        return None
    first, second, third = (int(n) for n in points.kpts[0])
    return first, second, third


def read_espresso(path: Path, place: str) -> DoneCalculation:
    """The calculation of an output of pw.x.

    Raises
    ------
    InputError
        ASE is not installed.
    Exception
        Whatever ASE stumbles on in a file that is cut or damaged.
    """
    try:
        import ase.io
    except ImportError:
        raise InputError(f"{path}: needs ASE; pip install 'sisso-sal[dft]'") from None
    text = path.read_text(encoding="utf-8", errors="replace")
    is_relaxed = "BFGS Geometry Optimization" in text
    failure = _espresso_failure(text, is_relaxed)
    settings = _espresso_settings(text)
    grid = _espresso_grid(path)
    try:
        atoms: Any = ase.io.read(path, format="espresso-out")
        cell, energy = cell_of_atoms(atoms), float(atoms.get_potential_energy())
    except Exception as error:  # the text says why better than the reader that stumbled on its end
        if not failure:
            raise error
        cell, energy = None, None
    settings |= {} if grid is None else {"k_grid": " ".join(map(str, grid))}
    version = re.search(r"Program PWSCF v\.?\s*(\S+)", text)
    return DoneCalculation(
        place=place,
        failure=failure,
        cell=cell,
        energy=None if failure else energy,
        relaxed=is_relaxed,
        version=version[1] if version else "",
        settings=settings,
        species=_pseudopotentials(text),
        k_density=None if grid is None or cell is None else density_range(cell, grid),
        entropy=_espresso_entropy(text),
    )


def _espresso_smearing(text: str) -> str:
    if smearing := re.search(r"number of k points=\s*\d+\s+(\S.*?)\s+smearing, width \(Ry\)=\s*([\d.]+)", text):
        return f"{smearing[1].lower()} {float(smearing[2]) * _RYDBERG:.4g} eV"
    return "tetrahedra" if "(tetrahedron method)" in text else FIXED


def _espresso_entropy(text: str) -> float | None:
    """Size of the last -TS, in eV."""
    found = re.findall(r"smearing contrib\. \(-TS\)\s*=\s*(-?[\d.]+) Ry", text)
    return abs(float(found[-1])) * _RYDBERG if found else None


def _espresso_failure(text: str, is_relaxed: bool) -> str:
    if "convergence NOT achieved" in text:
        return "scf_not_converged: convergence was not achieved"
    if "JOB DONE." not in text:
        return "interrupted: the output ends without 'JOB DONE.'"
    if "convergence has been achieved" not in text:
        return "failed: no line says that convergence has been achieved"
    if is_relaxed and not re.search(r"End of BFGS Geometry Optimization|bfgs converged in", text, re.I):
        return "relaxation_not_converged: no line says that the optimization ended"
    return ""


def _espresso_settings(text: str) -> dict[str, str]:
    settings = {"code": "Quantum ESPRESSO"}
    if functional := re.search(r"Exchange-correlation\s*=\s*(.+)", text):
        settings["xc"] = re.sub(r"\s*\(.*", "", functional[1]).strip()
    if cutoff := re.search(r"kinetic-energy cutoff\s*=\s*([\d.]+)\s*Ry", text):
        settings["species"] = f"{float(cutoff[1]):g} Ry"
    is_collinear = re.search(r"Starting magnetic structure|SPIN UP", text) is not None
    settings["spin"] = "collinear" if is_collinear else "none"
    settings["relativity"] = "spin-orbit coupling" if "with spin-orbit" in text else "scalar"
    settings["smearing"] = _espresso_smearing(text)
    return settings


def _pseudopotentials(text: str) -> dict[str, str]:
    """Element -> its file, and the sum of its content where that is printed."""
    form = r"PseudoPot\. #\s*\d+ for\s+([A-Z][a-z]?)\w* read from file:\s*(\S+)(?:\s*MD5 check sum:\s*(\w+))?"
    found = {}
    for element, path, checksum in re.findall(form, text):
        found[element] = f"{Path(path).name} {checksum}".strip()
    return found


def _espresso_grid(path: Path) -> tuple[int, int, int] | None:
    """The grid of an input beside the output, which does not tell it."""
    for file in sorted(path.parent.iterdir()):
        if file.suffix.lower() in (".in", ".pwi") and file.stat().st_size < 1_000_000:
            text = file.read_text(encoding="utf-8", errors="replace")
            if grid := re.search(r"^\s*K_POINTS\W+automatic\W*\n\s*(\d+)\s+(\d+)\s+(\d+)", text, re.M | re.I):
                return int(grid[1]), int(grid[2]), int(grid[3])
    return None
