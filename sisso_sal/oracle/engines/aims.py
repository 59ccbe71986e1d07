"""FHI-aims runs: starting one, continuing from its last geometry, remedies for known failures, and the document of its results."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sisso_sal.errors import InputError, OracleError
from sisso_sal.oracle.engines.aims_bands import read_bands
from sisso_sal.oracle.engines.aims_beyond import GAP_OF_BANDS
from sisso_sal.oracle.engines.aims_control import read_control
from sisso_sal.oracle.engines.aims_inputs import AimsSettings, write_inputs
from sisso_sal.oracle.engines.aims_results import frames_of, read_output
from sisso_sal.oracle.engines.aims_verdict import RunVerdict, judge_run
from sisso_sal.oracle.engines.task_document import finished_document, trajectory_of
from sisso_sal.oxides.magnetism import magnetism_told
from sisso_sal.system.operating_system import KILL
from sisso_sal.system.programs import Kept, new_mark
from sisso_sal.system.programs import kept as keeping
from sisso_sal.system.slurm import cores_per_task

if TYPE_CHECKING:
    from pymatgen.core import Molecule, Structure

__all__ = [
    "OUTPUT",
    "calculation_document",
    "geometry_of",
    "has_advanced",
    "judge_folder",
    "last_geometry",
    "remedy",
    "run_aims",
]

OUTPUT = "aims.out"
_ERRORS = "aims.err"
_MOVED = 1e-6  # Å
_TRUST_RADIUS = 0.2  # Å, the default of FHI-aims
_KILLED = (
    128 + signal.SIGINT,
    128 + KILL,
    128 + signal.SIGTERM,
)  # exit codes with which a wrapper tells of a signal


def run_aims(
    folder: str | os.PathLike[str],
    structure: Structure | Molecule,
    settings: AimsSettings,
    *,
    command: str,
    walltime: float | None = None,
    kept: Kept | None = None,
) -> RunVerdict:
    """Write the inputs, run FHI-aims and judge its output.

    Parameters
    ----------
    folder : path
        Made if need be; without an output, so that nothing in it can be taken for this run.
    structure : pymatgen Structure
    settings : AimsSettings
    command : str
        As in a shell, without redirections: ``aims.x``, ``srun aims.x``, ``apptainer exec aims.sif mpirun -n 8 aims.x``.
    walltime : float, optional
        Seconds after which the run is ended.
    kept : Kept, optional
        The keeper of the program; by default it gets one of its own. Either way nothing of the program is left afterwards.

    Raises
    ------
    InputError
        The folder has an output, the program does not exist, or the inputs cannot be written.
    OracleError
        The program cannot be started.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    if (place / OUTPUT).exists():
        raise InputError(f"{place}: needs a folder without an output, found {OUTPUT}")
    write_inputs(place, structure, settings)
    with keeping(new_mark(), place) if kept is None else contextlib.nullcontext(kept) as program:
        code, ended = _execute(place, command, walltime, program)
    verdict = judge_folder(place, structure)
    if ended and verdict.verdict in ("interrupted", "failed"):
        return replace(verdict, verdict="interrupted", reason=ended)
    if verdict.verdict == "interrupted" and code > 0 and code not in _KILLED:
        return replace(verdict, verdict="failed", reason=f"{verdict.reason}; exit code {code}")
    return verdict


def _execute(folder: Path, command: str, walltime: float | None, program: Kept) -> tuple[int, str]:
    """Run the program to its end; its exit code, and why it was ended from here, or nothing."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"FHI-aims command {command!r}: cannot be read: {error}") from None
    if not words:
        raise InputError("FHI-aims: needs a command, set it to aims.x or 'srun aims.x'")
    with (folder / OUTPUT).open("wb") as output, (folder / _ERRORS).open("wb") as errors:
        try:
            process = subprocess.Popen(
                words,
                cwd=folder,
                env=program.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError) as error:
            raise InputError(f"FHI-aims command {command!r}: {words[0]}: {error.strerror}") from None
        except OSError as error:
            raise OracleError(f"FHI-aims command {command!r}: cannot be started: {error.strerror or error}") from error
        program.began(process.pid)
        try:
            process.wait(walltime)
        except subprocess.TimeoutExpired:
            program.end()
            process.wait()
            return process.returncode, f"out of walltime: ended after {walltime:g} s"
        program.end()  # what it left behind
    return process.returncode, ""


def judge_folder(folder: str | os.PathLike[str], structure: Structure | Molecule | None = None) -> RunVerdict:
    """Judge the run of a folder; a folder without output is a failed run, and what went to stderr is the reason.

    Parameters
    ----------
    folder : path
    structure : pymatgen Structure, optional
        What the run must be of.
    """
    output = Path(folder, OUTPUT)
    if not output.is_file():
        return RunVerdict(verdict="failed", reason=f"no output: there is no {OUTPUT}")
    wanted = None if structure is None else {str(e): int(n) for e, n in structure.composition.items()}
    verdict = judge_run(output, wanted)
    last_words = _last_words(Path(folder, _ERRORS))
    if verdict.verdict in ("failed", "interrupted") and last_words:
        return replace(verdict, reason=f"{verdict.reason}; stderr: {last_words}")
    return verdict


def _last_words(file: Path) -> str:
    """Last line of a file of errors, shortened; nothing where there is none."""
    if not file.is_file():
        return ""
    lines = [line.strip() for line in file.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:120] if lines else ""


def has_advanced(folder: str | os.PathLike[str], structure: Structure | Molecule) -> bool:
    """Whether a run came at least one geometry forward: what it would go on from is not what it began with.

    Parameters
    ----------
    folder : path
    structure : pymatgen Structure
        With the atoms of the run.
    """
    try:
        began, reached = read_geometry(Path(folder, "geometry.in")), last_geometry(folder, structure)
    except OracleError:  # a file that was cut with the run is no step forward
        return False
    return reached is not structure and bool(
        np.abs(began.cart_coords - reached.cart_coords).max() > _MOVED
        or np.abs(_vectors(began) - _vectors(reached)).max() > _MOVED
    )


def _vectors(structure: Structure | Molecule) -> np.ndarray:
    lattice = getattr(structure, "lattice", None)
    return np.zeros((3, 3)) if lattice is None else np.asarray(lattice.matrix)


def last_geometry(folder: str | os.PathLike[str], structure: Structure | Molecule) -> Structure | Molecule:
    """The structure a run had reached: that of geometry.in.next_step, else the one it began with.

    Parameters
    ----------
    folder : path
    structure : pymatgen Structure
        The start; its site properties (moments) are kept.

    Raises
    ------
    OracleError
        The file is there and cannot be read, or holds other atoms.
    """
    file = Path(folder, "geometry.in.next_step")
    if not file.is_file() or not file.stat().st_size:
        return structure
    reached = read_geometry(file)
    if [site.species_string for site in reached] != [site.species_string for site in structure]:
        raise OracleError(
            f"{file}: needs the atoms of {structure.composition.reduced_formula} in their order, found others"
        )
    for name, values in structure.site_properties.items():
        reached.add_site_property(name, values)
    return reached


def geometry_of(folders: Sequence[str | os.PathLike[str]], structure: Structure | Molecule) -> Structure | Molecule:
    """The geometry that the last of these runs reached; one whose file was cut with the run, or has none, is passed over.

    Parameters
    ----------
    folders : sequence of path
        Of attempts at one calculation, in their order.
    structure : pymatgen Structure
        What the first began with.
    """
    for folder in reversed(folders):
        with contextlib.suppress(OracleError):
            if (reached := last_geometry(folder, structure)) is not structure:
                return reached
    return structure


def read_geometry(file: str | os.PathLike[str]) -> Structure | Molecule:
    """A crystal or a molecule from geometry.in or geometry.in.next_step.

    Raises
    ------
    OracleError
        The file cannot be read, or has one or two lattice vectors.
    """
    from pymatgen.core import Lattice, Molecule, Structure

    vectors, symbols, places, fractional = [], [], [], []
    try:
        for line in Path(file).read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.partition("#")[0].split()
            if words[:1] == ["lattice_vector"]:
                vectors.append([float(x) for x in words[1:4]])
            elif words[:1] in (["atom"], ["atom_frac"]):
                places.append([float(x) for x in words[1:4]])
                fractional.append(words[0] == "atom_frac")
                symbols.append(words[4])
    except (OSError, ValueError, IndexError) as error:
        raise OracleError(f"{file}: needs a geometry of FHI-aims, cannot be read: {error}") from error
    if len(vectors) not in (0, 3) or not symbols:
        raise OracleError(
            f"{file}: needs atoms and no or three lattice vectors, found {len(symbols)} and {len(vectors)}"
        )
    if not vectors:
        return Molecule(symbols, places)
    lattice = Lattice(vectors)
    inside = [p if f else lattice.get_fractional_coords(p) for p, f in zip(places, fractional, strict=True)]
    return Structure(lattice, symbols, inside)


def remedy(verdict: RunVerdict, settings: AimsSettings, attempt: int) -> AimsSettings | None:
    """Settings with which a failed run may succeed; None where no remedy is known.

    A cycle that does not converge gets slower mixing, more iterations and a broader smearing; a relaxation that does not end gets
    more steps and, at the second try, a trust radius a tenth as large to begin with; a run that was interrupted is continued as it
    is, and one that broke off in the middle of a cycle gets one more try.

    Parameters
    ----------
    verdict : RunVerdict
    settings : AimsSettings
        Of the run that failed.
    attempt : int
        Which attempt it was, from 1.

    Examples
    --------
    >>> stuck = RunVerdict(verdict="scf_not_converged", reason="self-consistency cycle 1 did not converge")
    >>> remedy(stuck, AimsSettings(), 1).charge_mix_param
    0.05
    """
    if verdict.verdict == "scf_not_converged":
        mixing = 0.05 if attempt == 1 else 0.02
        changes: dict[str, Any] = {"charge_mix_param": mixing, "sc_iter_limit": 2 * settings.sc_iter_limit}
        return settings.model_copy(update={**changes, "smearing": max(settings.smearing or 0.01, 0.05)})
    if verdict.verdict == "relaxation_not_converged":
        radius = settings.trust_radius if attempt == 1 else 0.1 * (settings.trust_radius or _TRUST_RADIUS)
        more = {"max_relaxation_steps": 2 * settings.max_relaxation_steps, "trust_radius": radius}
        return settings.model_copy(update=more)
    again = verdict.verdict == "interrupted" or (verdict.has_crashed and attempt == 1)
    return settings if again else None


def calculation_document(
    folder: str | os.PathLike[str],
    structure: Structure | Molecule,
    verdict: RunVerdict,
    *,
    label: str,
    seconds: float | None = None,
    settings: AimsSettings | None = None,
    earlier: Sequence[str | os.PathLike[str]] = (),
) -> dict[str, Any]:
    """The results of a calculation, under the field names of the task documents of atomate2 and emmet-core.

    Parameters
    ----------
    folder : path
    structure : pymatgen Structure
        What the first attempt began with.
    verdict : RunVerdict
    label : str
        Name of the task: relax, static, bands.
    seconds : float, optional
        Wall time; core-hours are this times parallel tasks and the cores of each.
    settings : AimsSettings, optional
        Of the run.
    earlier : sequence of path
        Attempts before this one, in their order: their geometries stand before its own in the trajectory.

    Returns
    -------
    dict
        That JSON can hold: ``task_label dir_name state completed calc_code version formula_pretty nsites structure energy
        energy_per_atom energy_definition bandgap vbm cbm efermi has_bands band_reason forces stress magmoms ordering
        magnetic_start magnetic_order settings species steps aims_version verdict reason core_hours run_stats completed_at``;
        energies in eV, forces in eV/Å, the stress in eV/Å³, moments in Bohr magnetons, steps as the number of geometries that were
        computed. Settings and species are those of control.in as far as they decide the energy (see
        `sisso_sal.oracle.engines.aims_control.Control`). ``input`` has ``structure xc parameters species_info magnetic_moments
        k_grid n_k_points``, ``output`` what came out, and ``trajectory`` each geometry
        (`sisso_sal.oracle.engines.task_document.trajectory_of`). What a run does not give is None, and nothing of a run that is not
        finished counts as a result. Gap and edges are those of the band files if `has_bands`; bands that cannot be read leave the
        energy, with the reason.
    """
    finished = verdict.verdict == "finished"
    start = geometry_of(earlier, structure)
    reached = last_geometry(folder, start) if finished else geometry_of([folder], start)
    energy = verdict.energy_eV if finished else None
    details = _details(Path(folder)) if finished else _without_results(Path(folder))
    frames = [frame for place in earlier for frame in frames_of(Path(place, OUTPUT))] + details.pop("frames")
    grid = {key: details.pop(key) for key in ("k_grid", "n_k_points")}
    if finished and verdict.gap_definition:  # band files without GW in their names are those of the functional
        details |= {"bandgap": verdict.gap_eV, "vbm": verdict.vbm_eV, "cbm": verdict.cbm_eV, "band_reason": ""}
        details["has_bands"] = verdict.gap_definition == GAP_OF_BANDS
    document = {
        "task_label": label,
        "dir_name": str(Path(folder)),
        "state": "successful" if finished else "failed",
        "completed": finished,
        "calc_code": "aims",
        "version": verdict.version,
        "formula_pretty": structure.composition.reduced_formula,
        "nsites": len(structure),
        "structure": reached.as_dict(),
        "energy": energy,
        "energy_per_atom": None if energy is None else energy / len(structure),
        "energy_definition": verdict.energy_definition,
        **details,
        **magnetism_told(structure, details["magmoms"]),
        **_settings_of(Path(folder)),
        "steps": verdict.n_cycles,
        "aims_version": verdict.version,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "core_hours": None if seconds is None else seconds * verdict.n_tasks * cores_per_task() / 3600,
        "completed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    path = trajectory_of([site.specie.symbol for site in structure], frames)
    return finished_document(document, structure, path, **_inputs(structure, settings), **grid)


def _inputs(structure: Structure | Molecule, settings: AimsSettings | None) -> dict[str, Any]:
    """Functional, keywords and species of a run."""
    if settings is None:
        return {}
    magnetic = any(structure.site_properties.get("magmom") or ())
    symbols = sorted({site.specie.symbol for site in structure})
    species = {symbol: {"element": symbol, "species_defaults": settings.species} for symbol in symbols}
    return {
        "xc": settings.xc,
        "parameters": settings.keywords(periodic=hasattr(structure, "lattice"), magnetic=magnetic),
        "species_info": {"species_defaults": species},
    }


def _without_results(folder: Path) -> dict[str, Any]:
    """What a run leaves that is not finished: the geometries that it computed."""
    nothing = ("bandgap", "vbm", "cbm", "efermi", "forces", "stress", "magmoms", "k_grid", "n_k_points")
    told = {"has_bands": False, "band_reason": "", "run_stats": {}}
    return {**dict.fromkeys(nothing), **told, "frames": frames_of(folder / OUTPUT)}


def _settings_of(folder: Path) -> dict[str, Any]:
    """What the run was made with; None of a folder whose control.in cannot be read."""
    with contextlib.suppress(OracleError):
        if (control := read_control(folder)) is not None:
            return {"settings": control.numerics, "species": control.species}
    return {"settings": None, "species": None}


def _details(folder: Path) -> dict[str, Any]:
    """Edges, forces and stress; edges from the band files where there are any, because the k-grid may miss the extrema."""
    details = read_output(folder / OUTPUT) | {"has_bands": False, "band_reason": ""}
    if not any(folder.glob("band[12]*.out")):
        return details
    try:
        bands = read_bands(folder)
    except OracleError as error:
        return details | {"band_reason": str(error)}
    return details | {"has_bands": True, "bandgap": bands.gap, "vbm": bands.vbm, "cbm": bands.cbm}
