"""Settings of first-principles labels: what a label is, and what computes it; two sections of the settings of a campaign."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

__all__ = ["MACHINE", "MACHINE_OF_JOBFLOW", "CalculationSettings", "JobflowSettings", "LabelSettings", "first_problem"]

Step = Literal["relax", "static", "bands"]
Compared = Literal["code", "xc", "relativity", "species", "k_grid", "spin", "smearing"]

MACHINE = ("command", "species_dir")
"""Settings of a calculation that belong to the machine and may change while a campaign goes on."""

MACHINE_OF_JOBFLOW = ("runner", "store", "project", "worker", "exec_config", "resources")
"""The same of section ``[calculation.jobflow]``."""


class LabelSettings(BaseModel):
    """What a label is: section ``[label]``.

    Examples
    --------
    >>> LabelSettings(quantity="band_gap").potential
    1.23
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    quantity: str = "dG_pbx"
    """dG_pbx, formation_energy, energy_above_hull (eV/atom), band_gap (eV), or an expression of these; of ``folder:PATH`` also
    energy_per_atom, energy_per_formula, volume_per_atom, volume_per_formula."""
    potential: float = 1.23
    """Electrode potential against the standard hydrogen electrode, in V."""
    pH: float = 0.0
    """pH at which the stability is computed."""
    concentration: float = Field(default=1e-6, gt=0)
    """Concentration of each dissolved species, in mol/L."""
    oxygen_correction: float = 0.0
    """Added to the formation energy of a solid for each oxygen atom, in eV."""
    oxygen_energy: float | None = None
    """Energy of an oxygen atom in O2, in eV; by default from H2O and H2, of CHGNet that of the scheme that its energies follow."""
    vibrations: str | None = None
    """Preset or class of the ASE calculator, such as "chgnet", whose phonons give the vibrational free energy of every solid; by
    default none is added."""
    temperature: float = Field(default=298.15, gt=0)
    """Of the vibrations, in K; oxygen stays that of 298.15 K."""
    measured: str | None = None
    """Table of measured enthalpies of formation (``formula``, ``H_f (eV/atom)``) that the oxides of a label are compared with."""
    measured_tolerance: float = Field(default=0.2, gt=0)
    """A label is refused where an oxide that it rests on is further from its measured enthalpy, in eV/atom."""
    ions: str | None = None
    """Table of further dissolved species, see `sisso_sal.oracle.stability.aqueous.aqueous_species`."""
    formula: str | None = None
    """Column of the formulas; by default the ids or, where these are none, a column ``formula`` or ``composition``."""
    structures: str | None = None
    """Folder or ASE database of structures that are used in the place of prototypes."""
    structure_column: str | None = None
    """Column of the candidates' structures in pymatgen's JSON."""
    max_prototypes: int = Field(default=3, ge=1)
    """Number of structure types to start from, for an oxide without a structure of its own; each in all its magnetic orders."""
    competitors: dict[str, tuple[str, ...]] = {}
    """Formula -> the oxides that it competes with; by default the pool's oxides of its metals."""
    same_settings: tuple[Compared, ...] = ("code", "xc", "relativity", "species", "k_grid", "spin", "smearing")
    """Of ``folder:PATH``: settings that must be the same in all calculations of a label."""
    calculated_with: dict[Compared, str] = {}
    """Of ``folder:PATH``: settings that calculations must have; by default those that label the most candidates."""


class JobflowSettings(BaseModel):
    """How a Maker of jobflow is called, where it runs, and where its result is: section ``[calculation.jobflow]``.

    A path is the keys that lead into what the job or flow returns, with dots between them; a number counts in a list, from 0.

    Examples
    --------
    >>> JobflowSettings(value="output.energy_per_atom").runner
    'local'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    value: str | None = Field(default=None, min_length=1)
    """Path of the label; without it the Maker relaxes phases for section ``[label]``."""
    energy: str = Field(default="output.energy", min_length=1)
    """Path of the energy of the cell, in eV, where the Maker relaxes phases."""
    structure: str = Field(default="output.structure", min_length=1)
    """Path of the relaxed structure, of pymatgen or ASE."""
    gap: str | None = Field(default=None, min_length=1)
    """Path of the band gap, in eV, for a label that needs one."""
    static: str | None = Field(default=None, min_length=1)
    """Maker of the energy of what was relaxed, ``package.module:Maker``; by default the relaxation gives it."""
    parameters: dict[str, Any] = {}
    """What the Maker is made with, where it is a class, or called with, where it is a function."""
    input: Literal["structure", "atoms"] = "structure"
    """What the Maker takes: a structure of pymatgen, or atoms of ASE."""
    runner: Literal["local", "remote"] = "local"
    """Processes of this machine, or jobflow-remote, which knows the machines."""
    store: Literal["file", "memory", "jobflow"] = "file"
    """Where ``local`` keeps the outputs: a JSON file of each calculation, nowhere, or the store of jobflow's own settings."""
    project: str | None = None
    """Project of jobflow-remote; by default its own default."""
    worker: str | None = None
    """Worker of jobflow-remote; by default the first one of the project."""
    exec_config: str | None = None
    """Execution configuration of jobflow-remote, by its name."""
    resources: dict[str, Any] = {}
    """What jobflow-remote asks of the queue."""


class CalculationSettings(BaseModel):
    """What computes and how: section ``[calculation]``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    command: str | None = None
    """How FHI-aims is started, as in ``srun aims.x``; by default ``$AIMS_COMMAND``, else ``aims.x``."""
    species_dir: str | None = None
    """Species defaults of FHI-aims; by default ``$AIMS_SPECIES_DIR``."""
    calculator: str = "gpaw"
    """Preset or class of an ASE calculator, see `sisso_sal.oracle.engines.ase_calculator.calculator_preset`."""
    steps: dict[Step, str] = {}
    """Preset of each step of FHI-aims, see `sisso_sal.oracle.engines.aims_inputs.PRESETS`."""
    changes: dict[Literal["all", "prerelax", "relax", "static", "bands", "vibrations"], dict[str, Any]] = {}
    """Changes to the settings of a step; "all" for every step but prerelax and vibrations."""
    prerelax: str | None = None
    """Preset or class of the ASE calculator, such as "chgnet", that relaxes and ranks all structures before the first step."""
    prerelax_window: float = Field(default=0.05, ge=0)
    """Energy above the lowest up to which a ranked structure is computed even if ``max_prototypes`` are lower, in eV/atom."""
    with_bands: bool = True
    """Whether a gap comes from bands along a path; else from the k-points of the static step."""
    jobflow: JobflowSettings | None = None
    """How the Maker of an oracle ``jobflow:MAKER`` is run."""


def first_problem(error: ValidationError, kind: type[BaseModel]) -> str:
    """The first problem of settings in one line: where, what was needed, what was found."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "settings"
    if first["type"] == "extra_forbidden":
        close = get_close_matches(place, kind.model_fields, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else f"; known are {', '.join(kind.model_fields)}"
        return f"unknown setting '{place}'{hint}"
    needed = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{place}: needs {needed}, found {first['input']!r}"
