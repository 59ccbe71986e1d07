"""The steps that a workflow runs: relaxation, static energy, bands, each with its remedies and at most three tries.

A step never raises for a failed calculation: it gives a document whose state is "failed", so what depends on it can tell why it has
no label. Its attempts have folders below its folder. So a step that takes its worker down with it is not tried for ever. A worker
that takes over goes on with the settings and from the geometry of the last attempt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sisso_sal.errors import OracleError
from sisso_sal.oracle.engines.aims import calculation_document, geometry_of, has_advanced, remedy, run_aims
from sisso_sal.oracle.engines.aims_inputs import AimsSettings
from sisso_sal.oracle.engines.aims_verdict import RunVerdict
from sisso_sal.oracle.engines.ase_calculator import calculate
from sisso_sal.oracle.engines.jobflow_maker import relaxed_by_maker
from sisso_sal.oracle.workflow.attempts import (
    MAX_ATTEMPTS,
    Attempt,
    attempts_of,
    begin_attempt,
    running_in,
    seconds_of,
)
from sisso_sal.oracle.workflow.chains import LEFT_OUT
from sisso_sal.oracle.workflow.engine_settings import EngineSettings, engine_here, step_settings
from sisso_sal.settings.calculation import Step
from sisso_sal.system.slurm import cores_per_task

if TYPE_CHECKING:
    from pymatgen.core import Molecule, Structure

__all__ = ["SAME", "lowest_bands", "lowest_of", "relax", "run_step", "static", "static_with_bands", "structure_of"]

SAME = 1e-3
"""Energies of a potential that differ by less, in eV/atom, count as one: it does not see by which moments structures differ."""

_DECIDING = ("smearing",)
"""Settings that a remedy may change and that change the energy; the others only help a run to its end."""


def relax(structure: dict[str, Any], engine: dict[str, Any]) -> dict[str, Any]:
    """Relax a structure in the current folder.

    Parameters
    ----------
    structure : dict
        Of a pymatgen Structure or Molecule.
    engine : dict
        The science of `sisso_sal.oracle.workflow.engine_settings.EngineSettings`; what belongs to the machine is read from
        ``machine.json``, four folders up.

    Returns
    -------
    dict
        As `sisso_sal.oracle.engines.aims.calculation_document`, with ``attempts`` (how many), ``changed`` (settings that a remedy
        changed, at the attempt whose results these are) and, if need be, ``beside``: attempts on other machines that were not seen
        to have ended.
    """
    return run_step("relax", structure_of(structure), engine_here(engine))


def static(previous: dict[str, Any], engine: dict[str, Any]) -> dict[str, Any]:
    """Energy of what a finished step left; a failed one is handed on as it is."""
    return _after("static", previous, engine)


def static_with_bands(previous: dict[str, Any], engine: dict[str, Any]) -> dict[str, Any]:
    """Energy and bands of what a finished step left, in one run; the energy alone if a potential found a lower structure."""
    ranked = previous.get("prerelax") or {}
    return _after("static", previous, engine, with_bands=(ranked.get("above") or 0.0) <= SAME)


def lowest_bands(names: list[str], statics: list[dict[str, Any]], engine: dict[str, Any]) -> dict[str, Any]:
    """Bands of the lowest structure of a phase: those of its static run, or computed now where that run has none.

    Parameters
    ----------
    names : list of str
        Of the structures.
    statics : list of dict
        What their static steps left.
    engine : dict
        As in `relax`.

    Returns
    -------
    dict
        As `relax`, with ``lowest``: the name of the structure. The state is "left_out" where no structure has an energy.
    """
    number = lowest_of(statics)
    if number is None:
        told = {"task_label": "bands", "state": LEFT_OUT, "verdict": LEFT_OUT, "reason": "no structure has an energy"}
        nothing = dict.fromkeys(("energy", "energy_per_atom", "bandgap", "vbm", "cbm", "lowest"))
        return {**told, **nothing, "core_hours": 0.0, "steps": 0, "attempts": 0}
    lowest = statics[number]
    if lowest["has_bands"]:
        return {**lowest, "task_label": "bands", "lowest": names[number], "core_hours": 0.0, "steps": 0, "attempts": 0}
    document = {**run_step("bands", structure_of(lowest["structure"]), engine_here(engine)), "lowest": names[number]}
    if document["state"] == "successful" and document["band_reason"]:
        return {**document, "state": "failed", "verdict": "failed", "reason": document["band_reason"]}
    return document


def lowest_of(statics: Sequence[dict[str, Any]]) -> int | None:
    """Which of these documents has the lowest energy, of equal ones the first; None where none has an energy."""
    energies = [document["energy_per_atom"] for document in statics]
    known = [(energy, number) for number, energy in enumerate(energies) if energy is not None]
    return min(known)[1] if known else None


def _after(step: Step, previous: dict[str, Any], engine: dict[str, Any], with_bands: bool = False) -> dict[str, Any]:
    if previous["state"] != "successful":
        place = "" if previous["state"] == LEFT_OUT else f"{previous['task_label']}: "
        reason = f"{place}{previous['reason']}".removeprefix(f"{step}: ")
        return {**previous, "task_label": step, "reason": reason, "core_hours": 0.0, "attempts": 0}
    here = engine_here(engine)
    if here.engine == "jobflow" and here.of_jobflow.static is None:  # the Maker that relaxes gives the energy as well
        return {**previous, "task_label": step, "core_hours": 0.0, "attempts": 0}
    return run_step(step, structure_of(previous["structure"]), here, with_bands=with_bands)


def structure_of(data: dict[str, Any]) -> Structure | Molecule:
    from pymatgen.core import Molecule, Structure

    return (Structure if "lattice" in data else Molecule).from_dict(data)


def run_step(
    step: Step, structure: Structure | Molecule, engine: EngineSettings, with_bands: bool = False
) -> dict[str, Any]:
    """A step in the current folder, on from the attempts that are there; see `relax`."""
    folder = Path.cwd()
    with_bands = with_bands and engine.engine != "jobflow" and engine.joins_bands
    if engine.engine == "aims":
        return _aims_step(folder, step, structure, engine, with_bands)
    attempt = begin_attempt(folder, patience=engine.lease / 2)
    if attempt is None:
        raise OracleError(f"{step}: its worker died in each of {MAX_ATTEMPTS} attempts")
    with running_in(attempt):
        if engine.engine == "jobflow":
            document = _by_maker(attempt.folder, step, structure, engine)
        else:
            settings = engine.calculator_of("bands" if with_bands else step)
            document = calculate(attempt.folder, structure, settings, label=step, with_bands=with_bands)
    verdict = {key: document[key] for key in ("verdict", "reason")}
    attempt.ended(verdict, document["run_stats"]["elapsed_time"])
    made = attempts_of(folder)
    return {**document, "core_hours": seconds_of(made) * cores_per_task() / 3600, **_told(made, made[-1])}


def _by_maker(folder: Path, step: Step, structure: Structure | Molecule, engine: EngineSettings) -> dict[str, Any]:
    """A step by the Maker that is for it; one of its own for the energy has no parameters."""
    settings, maker = engine.of_jobflow, engine.maker
    if step != "relax" and settings.static is not None:
        settings, maker = settings.model_copy(update={"parameters": {}}), settings.static
    return relaxed_by_maker(folder, maker, settings, structure, label=step)


def _told(attempts: Sequence[Attempt], used: Attempt) -> dict[str, Any]:
    """What a document says of the attempts behind it: how many, each of them, what changed, what was not seen to have ended."""
    last = attempts[-1].record
    beside = {"beside": last.beside} if last.beside else {}
    calculations = [_calculation(attempt) for attempt in reversed(attempts)]
    return {"attempts": len(attempts), "calcs_reversed": calculations, "changed": used.record.changes, **beside}


def _calculation(attempt: Attempt) -> dict[str, Any]:
    """An attempt under the names of atomate2, which has the newest first; the verdict is None of one that died with its worker."""
    record = attempt.record
    verdict = record.verdict or {}
    return {
        "dir_name": str(attempt.folder),
        "completed": verdict.get("verdict") == "finished",
        "verdict": verdict.get("verdict"),
        "reason": verdict.get("reason", ""),
        "changed": record.changes,
        "elapsed_time": attempt.seconds,
    }


def _aims_step(
    folder: Path, step: Step, structure: Structure | Molecule, engine: EngineSettings, with_bands: bool
) -> dict[str, Any]:
    """Run, judge, mend and run again, on from where the attempts before came to, whichever worker made them."""
    asked = step_settings(engine, "bands" if with_bands else step)
    while True:
        made = attempts_of(folder)
        settings = _next_settings(asked, made)
        if settings is None:
            break
        if with_bands and _gives_up_bands(made):
            settings = settings.model_copy(update={"bands": False})
        changes = {k: v for k, v in settings.model_dump(mode="json").items() if v != asked.model_dump(mode="json")[k]}
        attempt = begin_attempt(folder, changes=changes, is_free=_is_free(structure), patience=engine.lease / 2)
        if attempt is None:
            break
        start = structure if settings.relax == "none" else geometry_of([a.folder for a in made], structure)
        began = time.monotonic()
        with running_in(attempt) as program:
            verdict = run_aims(
                attempt.folder, start, settings, command=engine.program, walltime=engine.walltime, kept=program
            )
        attempt.ended(verdict.as_dict(), time.monotonic() - began)
    return _aims_document(step, structure, asked, made)


def _aims_document(
    step: Step, structure: Structure | Molecule, asked: AimsSettings, made: Sequence[Attempt]
) -> dict[str, Any]:
    """What came of all attempts: the last that finished, else the last."""
    used = next((attempt for attempt in reversed(made) if _has_finished(attempt)), made[-1])
    last = _verdict_of(used) or RunVerdict(
        verdict="interrupted", reason=f"the worker died in each of {MAX_ATTEMPTS} attempts"
    )
    document = calculation_document(
        used.folder,
        structure,
        last,
        label=step,
        seconds=seconds_of(made),
        settings=asked.model_copy(update=used.record.changes),
        earlier=[attempt.folder for attempt in made if attempt.number < used.number],
    )
    n_steps = sum(verdict.n_cycles for verdict in map(_verdict_of, made) if verdict is not None)
    return {**document, "steps": n_steps, **_told(made, used)}


def _next_settings(asked: AimsSettings, made: Sequence[Attempt]) -> AimsSettings | None:
    """Settings of the next attempt; None where the last one is the end: it finished, or nothing is known that would help.

    A run that finished with another energy than was asked for (a broader smearing) is followed by one with the settings of the
    step, from its geometry. If that one does not finish either, the first stands, and its document says what differs.
    """
    if not made:
        return asked
    settings = asked.model_copy(update=made[-1].record.changes)
    verdict = _verdict_of(made[-1])
    restored = {key: getattr(asked, key) for key in _DECIDING}
    if verdict is not None and verdict.verdict == "finished":
        differs = any(getattr(settings, key) != value for key, value in restored.items())
        return settings.model_copy(update=restored) if differs else None
    if any(_has_finished(attempt) for attempt in made):  # this attempt was the one that should have restored them
        return settings if verdict is None or verdict.verdict == "interrupted" else None
    if verdict is None:  # it died with its worker
        return settings
    n_tried = sum(_verdict_of(attempt) is not None for attempt in made)
    return remedy(verdict, settings, n_tried)


def _has_finished(attempt: Attempt) -> bool:
    verdict = _verdict_of(attempt)
    return verdict is not None and verdict.verdict == "finished"


def _gives_up_bands(made: Sequence[Attempt]) -> bool:
    """Whether the next attempt at a static run is for the energy alone: one crashed with bands, or it is the last one."""
    crashed = any(verdict is not None and verdict.has_crashed for verdict in map(_verdict_of, made))
    return crashed or (len(made) == MAX_ATTEMPTS - 1 and not any(map(_has_finished, made)))


def _verdict_of(attempt: Attempt) -> RunVerdict | None:
    return None if attempt.record.verdict is None else RunVerdict(**attempt.record.verdict)


def _is_free(structure: Structure | Molecule) -> Callable[[Attempt], bool]:
    """Whether an attempt costs none: it finished, or it was ended from outside, by a queue for instance, and came forward."""

    def came_forward(attempt: Attempt) -> bool:
        verdict = _verdict_of(attempt)
        if _has_finished(attempt):
            return True
        is_of_outside = verdict is None or verdict.verdict == "interrupted"
        return is_of_outside and has_advanced(attempt.folder, structure)

    return came_forward
