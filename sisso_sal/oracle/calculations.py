"""The steps that a workflow runs: relaxation, static energy, bands, each with its remedies and at most three tries.

A step never raises for a failed calculation: it gives a document whose state is "failed", so what depends on it can tell why it has
no label. Attempts are counted in the folder, so that a step that takes its worker down with it is not tried for ever.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sisso_sal.errors import InputError, OracleError, SettingsError
from sisso_sal.oracle.aims import calculation_document, last_geometry, remedy, run_aims
from sisso_sal.oracle.aims_inputs import AimsSettings, preset
from sisso_sal.oracle.aims_verdict import RunVerdict
from sisso_sal.oracle.structure import calculate, calculator_preset
from sisso_sal.storage import write_whole

if TYPE_CHECKING:
    from pymatgen.core import Molecule, Structure

__all__ = ["STEPS", "EngineSettings", "bands", "load_engine", "relax", "static"]

Step = Literal["relax", "static", "bands"]
STEPS: tuple[Step, ...] = ("relax", "static", "bands")
MAX_ATTEMPTS = 3
MACHINE_FILE = "machine.json"
_ATTEMPTS = "attempts.json"
_OF_THE_MACHINE = ("command", "species_dir", "walltime")


class EngineSettings(BaseModel):
    """What computes, and how each step does it.

    Parameters
    ----------
    engine : {"aims", "structure"}
        FHI-aims, or the ASE calculator named in `calculator`.
    command : str
        How FHI-aims is started.
    species_dir : str, optional
        Species defaults of FHI-aims; by default ``$AIMS_SPECIES_DIR``.
    walltime : float, optional
        Seconds for one run.
    calculator : str
        Preset or class, see `sisso_sal.oracle.structure.calculator_preset`.
    steps : mapping of str to str
        Preset of each step of FHI-aims.
    changes : mapping of str to mapping
        Changes to the settings of a step; "all" for every step.
    with_bands : bool
        Whether the candidate's bands are computed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    engine: Literal["aims", "structure"] = "aims"
    command: str = "aims.x"
    species_dir: str | None = None
    walltime: float | None = Field(default=None, gt=0)
    calculator: str = "gpaw"
    steps: dict[Step, str] = {}
    changes: dict[Literal["all", "relax", "static", "bands"], dict[str, Any]] = {}
    with_bands: bool = True

    def science(self) -> dict[str, Any]:
        """What decides the numbers: a campaign keeps it from its first calculation to its last."""
        return self.model_dump(mode="json", exclude=set(_OF_THE_MACHINE))

    def machine(self) -> dict[str, Any]:
        """What may change from one machine to the next."""
        return self.model_dump(mode="json", include=set(_OF_THE_MACHINE))

    def changes_of(self, step: Step) -> dict[str, Any]:
        """What is asked for all steps, and on top for this one."""
        return {**self.changes.get("all", {}), **self.changes.get(step, {})}


def load_engine(data: Mapping[str, Any]) -> EngineSettings:
    """Checked settings, with the settings of every step tried out.

    Raises
    ------
    SettingsError
        A setting is unknown or out of range.

    Examples
    --------
    >>> load_engine({"command": "srun aims.x"}).engine
    'aims'
    """
    try:
        engine = EngineSettings.model_validate(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        needed = first["msg"].removeprefix("Input should be ")
        raise SettingsError(f"oracle.{place}: needs {needed}, found {first['input']!r}") from error
    for step in STEPS:
        if engine.engine == "aims":
            _aims_settings(engine, step)
        else:
            calculator_preset(engine.calculator, **engine.changes_of(step))
    return engine


def _aims_settings(engine: EngineSettings, step: Step) -> AimsSettings:
    changes = engine.changes_of(step)
    if engine.species_dir is not None:
        changes = {"species_dir": engine.species_dir, **changes}
    return preset(engine.steps.get(step, step), **changes)


def relax(structure: dict[str, Any], engine: dict[str, Any]) -> dict[str, Any]:
    """Relax a structure in the current folder.

    Parameters
    ----------
    structure : dict
        Of a pymatgen Structure or Molecule.
    engine : dict
        The science of `EngineSettings`; what belongs to the machine is read from ``machine.json``, four folders up.

    Returns
    -------
    dict
        As `sisso_sal.oracle.aims.calculation_document`, with ``attempts``.
    """
    return _step("relax", _structure_of(structure), _here(engine))


def static(previous: dict[str, Any], engine: dict[str, Any]) -> dict[str, Any]:
    """Energy of what a finished step left; a failed one is handed on as it is."""
    return _after("static", previous, engine)


def bands(previous: dict[str, Any], engine: dict[str, Any]) -> dict[str, Any]:
    """Bands of what a finished step left; a failed one is handed on as it is."""
    return _after("bands", previous, engine)


def _after(step: Step, previous: dict[str, Any], engine: dict[str, Any]) -> dict[str, Any]:
    if previous["state"] != "successful":
        reason = f"{previous['task_label']}: {previous['reason']}".removeprefix(f"{step}: ")
        return {**previous, "task_label": step, "reason": reason, "core_hours": 0.0, "attempts": 0}
    return _step(step, _structure_of(previous["structure"]), _here(engine))


def _here(science: dict[str, Any]) -> EngineSettings:
    """The settings on this machine: a task runs in ROOT/tree/PHASE/STRUCTURE/STEP."""
    file = Path.cwd().parents[3] / MACHINE_FILE
    try:
        machine = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    return load_engine({**science, **machine})


def _structure_of(data: dict[str, Any]) -> Structure | Molecule:
    from pymatgen.core import Molecule, Structure

    return (Structure if "lattice" in data else Molecule).from_dict(data)


def _step(step: Step, structure: Structure | Molecule, engine: EngineSettings) -> dict[str, Any]:
    folder = Path.cwd()
    if engine.engine == "structure":
        number = _count_attempt(folder)
        if number > MAX_ATTEMPTS:
            raise OracleError(f"{step}: its worker died in each of {MAX_ATTEMPTS} attempts")
        settings = calculator_preset(engine.calculator, **engine.changes_of(step))
        return {**calculate(folder, structure, settings, label=step), "attempts": number}
    return _aims_step(folder, step, structure, engine)


def _aims_step(folder: Path, step: Step, structure: Structure | Molecule, engine: EngineSettings) -> dict[str, Any]:
    """Run, judge, mend and run again; a run that died with its worker counts as an attempt and is continued."""
    settings, start, spent = _aims_settings(engine, step), structure, 0.0
    verdict = RunVerdict(verdict="interrupted", reason=f"the worker died in each of {MAX_ATTEMPTS} attempts")
    while (number := _count_attempt(folder)) <= MAX_ATTEMPTS:
        start = last_geometry(folder, structure) if number > 1 and settings.relax != "none" else structure
        began = time.monotonic()
        verdict = run_aims(folder, start, settings, command=engine.command, walltime=engine.walltime)
        spent += time.monotonic() - began
        changed = None if verdict.verdict == "finished" else remedy(verdict, settings, number)
        if changed is None:
            break
        settings = changed
    document = calculation_document(folder, start, verdict, label=step, seconds=spent)
    return {**document, "attempts": min(number, MAX_ATTEMPTS)}


def _count_attempt(folder: Path) -> int:
    """Which attempt now begins, written down before it does."""
    file = folder / _ATTEMPTS
    try:
        number = int(json.loads(file.read_text())["attempts"]) + 1 if file.exists() else 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    write_whole(file, json.dumps({"attempts": number, "pid": os.getpid()}) + "\n")
    return number
