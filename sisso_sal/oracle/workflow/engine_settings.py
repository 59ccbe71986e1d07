"""What computes the steps of a workflow, and how: section ``[calculation]``, and what a task finds of it on its machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from sisso_sal.errors import DocumentError, SettingsError
from sisso_sal.oracle.engines.aims_inputs import AimsSettings, preset
from sisso_sal.oracle.engines.ase_calculator import CalculatorSettings, calculator_preset
from sisso_sal.oracle.engines.potentials import WITHOUT_MOMENTS
from sisso_sal.oracle.engines.vibrations import TEMPERATURE, VibrationSettings, vibration_settings
from sisso_sal.oracle.workflow.leases import SECONDS
from sisso_sal.settings.calculation import (
    MACHINE,
    MACHINE_OF_JOBFLOW,
    CalculationSettings,
    JobflowSettings,
    Step,
    first_problem,
)
from sisso_sal.system.documents import read_json, shown

__all__ = ["MACHINE_FILE", "STEPS", "TAGS", "EngineSettings", "engine_here", "lease_of", "load_engine", "step_settings"]

STEPS: tuple[Step, ...] = ("relax", "static", "bands")
TAGS = ("prerelax", *STEPS, "vibrations")
"""What a worker may be asked to do: what ranks the structures, the steps, and the phonons of the lowest structure."""

MACHINE_FILE = "machine.json"

_OF_BANDS = ("bands", "band_density", "path_points", "hybrid")
_OF_THE_MACHINE = (*MACHINE, "walltime", "lease")


class EngineSettings(CalculationSettings):
    """What computes, on top of how each step does it.

    Parameters
    ----------
    engine : {"aims", "structure", "jobflow"}
        FHI-aims, the ASE calculator named in `calculator`, or a Maker of jobflow.
    maker : str
        The Maker that relaxes, where the engine is jobflow.
    walltime : float, optional
        Seconds for one run of FHI-aims.
    lease : float
        Seconds without a sign of life after which a worker is given up.
    vibrations : str, optional
        Preset or class of the ASE calculator that gives the vibrations of solids.
    temperature : float
        Of the vibrations, in K.
    """

    engine: Literal["aims", "structure", "jobflow"] = "aims"
    maker: str = ""
    walltime: float | None = Field(default=None, gt=0)
    lease: float = Field(default=SECONDS, ge=1)
    vibrations: str | None = None
    temperature: float = Field(default=TEMPERATURE, gt=0)

    def science(self) -> dict[str, Any]:
        """What decides the numbers: a campaign keeps it from its first calculation to its last.

        Without a relaxation before the steps, or without vibrations, there is no word of them: runs that are older go on.
        """
        without = set() if self.prerelax else {"prerelax", "prerelax_window"}
        without |= set() if self.vibrations else {"vibrations", "temperature"}
        without |= set() if self.engine == "jobflow" else {"jobflow", "maker"}
        excluded: dict[str, Any] = dict.fromkeys((*_OF_THE_MACHINE, *without), True)
        return self.model_dump(mode="json", exclude={"jobflow": {*MACHINE_OF_JOBFLOW}, **excluded})

    def machine(self) -> dict[str, Any]:
        """What may change from one machine to the next."""
        here = self.model_dump(mode="json", include=set(_OF_THE_MACHINE))
        if self.jobflow is not None:
            here["jobflow"] = self.jobflow.model_dump(mode="json", include={*MACHINE_OF_JOBFLOW})
        return here

    @property
    def program(self) -> str:
        """How FHI-aims is started on this machine."""
        return self.command or os.environ.get("AIMS_COMMAND", "").strip() or "aims.x"

    def changes_of(self, step: Step) -> dict[str, Any]:
        """What is asked for all steps, and on top for this one."""
        return {**self.changes.get("all", {}), **self.changes.get(step, {})}

    def calculator_of(self, step: Step) -> CalculatorSettings:
        """How the ASE calculator does a step."""
        return calculator_preset(self.calculator, **self.changes_of(step))

    @property
    def sees_moments(self) -> bool:
        """Whether moments change an energy: not without spin, and not for the potentials that are shipped; of a Maker it may."""
        if self.engine == "jobflow":
            return True
        if self.engine == "aims":
            return any(step_settings(self, step).spin != "none" for step in ("relax", "static"))
        return not self.calculator_of("static").calculator.startswith(WITHOUT_MOMENTS)

    @property
    def joins_bands(self) -> bool:
        """Whether bands can come out of the static run: the settings of both steps differ in nothing but the bands."""
        if self.engine == "aims":
            static, bands = (step_settings(self, step).model_dump() for step in ("static", "bands"))
        else:
            static, bands = (self.calculator_of(step).model_dump() for step in ("static", "bands"))
        return all(value == bands[key] for key, value in static.items() if key not in _OF_BANDS)

    @property
    def of_jobflow(self) -> JobflowSettings:
        """How the Maker is run."""
        return self.jobflow or JobflowSettings()

    def prerelaxation(self) -> CalculatorSettings | None:
        """How the potential relaxes, with lost symmetry given back unless told otherwise; None where there is no potential."""
        if not self.prerelax:
            return None
        return calculator_preset(self.prerelax, **{"refine_symmetry": True, **self.changes.get("prerelax", {})})

    def vibration(self) -> VibrationSettings | None:
        """How vibrations are computed; None where none are asked for."""
        if not self.vibrations:
            return None
        return vibration_settings(self.vibrations, self.temperature, self.changes.get("vibrations", {}))


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
        raise SettingsError(f"calculation: {first_problem(error, EngineSettings)}") from error
    if engine.prerelaxation() is None and engine.changes.get("prerelax"):
        raise SettingsError("calculation: changes.prerelax: needs prerelax, the potential that it is for")
    if engine.vibration() is None and engine.changes.get("vibrations"):
        raise SettingsError("calculation: changes.vibrations: needs label.vibrations, the potential that it is for")
    if engine.engine == "jobflow" and (unused := [name for name in ("all", *STEPS) if engine.changes.get(name)]):
        told = f"changes.{unused[0]}: a Maker has its settings in calculation.jobflow.parameters; leave it out"
        raise SettingsError(f"calculation: {told}")
    for step in STEPS:
        if engine.engine == "aims":
            step_settings(engine, step)
        elif engine.engine == "structure":
            engine.calculator_of(step)
    return engine


def step_settings(engine: EngineSettings, step: Step) -> AimsSettings:
    changes = engine.changes_of(step)
    if engine.species_dir is not None:
        changes = {"species_dir": engine.species_dir, **changes}
    return preset(engine.steps.get(step, step), **changes)


def engine_here(science: dict[str, Any]) -> EngineSettings:
    """The settings on this machine: a task runs in ROOT/tree/PHASE/STRUCTURE/STEP."""
    machine = _machine_of(Path.cwd().parents[3])
    of_jobflow = {**(science.get("jobflow") or {}), **(machine.get("jobflow") or {})}
    return load_engine({**science, **machine, "jobflow": of_jobflow or None})


def lease_of(root: Path) -> float:
    """How long others wait for a sign of life of a worker of this folder, in seconds.

    Raises
    ------
    DocumentError, SettingsError
        The settings of the machine cannot be read.
    """
    if not (root / MACHINE_FILE).exists():
        return SECONDS
    machine = _machine_of(root)
    return load_engine({"lease": machine.get("lease", SECONDS)}).lease


def _machine_of(root: Path) -> dict[str, Any]:
    file = root / MACHINE_FILE
    machine = read_json(file)
    if not isinstance(machine, dict):
        raise DocumentError(f"{file}: needs the settings of this machine, found {shown(machine)}")
    return machine
