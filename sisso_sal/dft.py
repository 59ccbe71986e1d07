"""Settings of first-principles labels: what a label is, and what computes it; two sections of the settings of a campaign."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

__all__ = ["MACHINE", "CalculationSettings", "LabelSettings", "first_problem"]

Step = Literal["relax", "static", "bands"]

MACHINE = ("command", "species_dir")
"""Settings of a calculation that belong to the machine and may change while a campaign goes on."""


class LabelSettings(BaseModel):
    """What a label is: section ``[label]``.

    Parameters
    ----------
    quantity : str
        dG_pbx, formation_energy, energy_above_hull (eV/atom), band_gap (eV), or an expression of these.
    potential : float
        Electrode potential against the standard hydrogen electrode, in V.
    pH : float
    concentration : float
        Of each dissolved species, in mol/L.
    oxygen_correction : float
        Added to the formation energy of a solid for each oxygen atom, in eV.
    ions : str, optional
        Table of further dissolved species, see `sisso_sal.oracle.stability.aqueous_species`.
    formula : str, optional
        Column of the formulas; by default the ids or, where these are none, a column ``formula`` or ``composition``.
    structures : str, optional
        Folder or ASE database of structures that go before prototypes.
    structure_column : str, optional
        Column of the candidates' structures in pymatgen's JSON.
    max_prototypes : int
        Starting structures of an oxide that has none of its own.
    competitors : mapping of str to sequence of str
        Formula -> the oxides that must be known beside it; by default the pool's oxides of its metals.

    Examples
    --------
    >>> LabelSettings(quantity="band_gap").potential
    1.23
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    quantity: str = "dG_pbx"
    potential: float = 1.23
    pH: float = 0.0
    concentration: float = Field(default=1e-6, gt=0)
    oxygen_correction: float = 0.0
    ions: str | None = None
    formula: str | None = None
    structures: str | None = None
    structure_column: str | None = None
    max_prototypes: int = Field(default=3, ge=1)
    competitors: dict[str, tuple[str, ...]] = {}


class CalculationSettings(BaseModel):
    """What computes and how: section ``[calculation]``.

    Parameters
    ----------
    command : str, optional
        How FHI-aims is started, as in ``srun aims.x``; by default ``$AIMS_COMMAND``, else ``aims.x``.
    species_dir : str, optional
        Species defaults of FHI-aims; by default ``$AIMS_SPECIES_DIR``.
    calculator : str
        Preset or class of an ASE calculator, see `sisso_sal.oracle.structure.calculator_preset`.
    steps : mapping of str to str
        Preset of each step of FHI-aims, see `sisso_sal.oracle.aims_inputs.PRESETS`.
    changes : mapping of str to mapping
        Changes to the settings of a step; "all" for every step.
    with_bands : bool
        Whether the candidate's bands are computed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    command: str | None = None
    species_dir: str | None = None
    calculator: str = "gpaw"
    steps: dict[Step, str] = {}
    changes: dict[Literal["all", "relax", "static", "bands"], dict[str, Any]] = {}
    with_bands: bool = True


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
