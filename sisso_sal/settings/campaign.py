"""Settings of a discovery: frozen, validated, one TOML file; an unknown key is an error with a suggestion."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from sisso_sal.errors import SettingsError
from sisso_sal.settings import PEOPLE, names_classes
from sisso_sal.settings.calculation import MACHINE, MACHINE_OF_JOBFLOW, CalculationSettings, LabelSettings
from sisso_sal.settings.features import FeatureWords
from sisso_sal.settings.levels import LevelSettings, check_levels, level_text
from sisso_sal.system.documents import needed, read_toml, shown


class ModelSettings(BaseModel):
    """How formulas are looked for; the same names as the options of `fit`.

    What is None has a default of its own for one model and for the members of an ensemble, which choose up to `dim` terms.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    operators: tuple[str, ...] | tuple[tuple[str, ...], ...] | None = None
    rung: int = Field(default=2, ge=0, le=3)
    dim: int | None = Field(default=None, ge=1, le=6)
    n_sis: PositiveInt | tuple[PositiveInt, ...] | None = None
    n_residual: int = Field(default=5, ge=1)
    max_complexity: int | None = Field(default=None, ge=0)
    max_features: int | None = Field(default=None, ge=1)
    min_abs: float = Field(default=1e-5, ge=0)
    max_abs: float = Field(default=1e5, gt=0)
    intercept: bool = True
    units: Literal["strict", "sisso", "none"] = "strict"
    param_operators: tuple[str, ...] = Field(
        default=(), description="Operators that also occur with a scale and a shift, which are fitted."
    )
    regression: Literal["linear", "log"] = Field(
        default="linear", description="linear, or log: a product of powers; of fit and one model alone."
    )
    max_correlation: float = Field(default=1.0, gt=0, le=1)

    @field_validator("operators", mode="before")
    @classmethod
    def _of_rungs(cls, operators: Any) -> Any:
        """Semicolons may stand between the operators of rungs where they are written with commas."""
        if isinstance(operators, tuple | list) and all(isinstance(name, str) for name in operators):
            return _rungs_in(operators)
        return operators

    @field_validator("n_sis", mode="before")
    @classmethod
    def _of_dimensions(cls, n_sis: Any) -> Any:
        return next(iter(n_sis)) if isinstance(n_sis, tuple | list) and len(n_sis) == 1 else n_sis

    def completed(self, *, ensemble: bool, classes: bool = False) -> ModelSettings:
        """The same with every default filled in: those of one model, of the members of an ensemble, or of one for classes.

        Examples
        --------
        >>> [ModelSettings().completed(ensemble=ensemble).dim for ensemble in (False, True)]
        [2, 3]
        """
        if ensemble and self.regression != "linear":
            raise SettingsError(f"model.regression: needs linear for an ensemble, found {self.regression}")
        defaults = {"dim": 2 if classes else 3, "n_sis": 20} if ensemble else {"dim": 2, "n_sis": 50}
        return self.model_copy(update={name: value for name, value in defaults.items() if getattr(self, name) is None})

    def estimator_parameters(self) -> dict[str, Any]:
        """The parameters of both `SISSORegressor` and `SISSOEnsemble` that completed settings stand for."""
        parameters = self.model_dump(exclude={"intercept", "units", "regression"})
        return parameters | {"fit_intercept": self.intercept, "unit_rules": self.units}


def _rungs_in(names: Sequence[str]) -> tuple[str, ...] | tuple[tuple[str, ...], ...]:
    """Operators as they are written with commas between them and semicolons between rungs, after a split at the commas.

    >>> _rungs_in(("add", "sub;div")), _rungs_in(("add", "div"))
    ((('add', 'sub'), ('div',)), ('add', 'div'))
    """
    text = ",".join(names)
    rungs = tuple(tuple(name.strip() for name in part.split(",") if name.strip()) for part in text.split(";"))
    return rungs if len(rungs) > 1 else next(iter(rungs))


FEW_MEMBERS = 20
"""With fewer members some labels are left out by one or two of them only."""


class EnsembleSettings(BaseModel):
    """How the ensemble is drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    members: int = Field(default=30, ge=2)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    adapt: bool = True
    transform: Literal["none", "log", "yeo-johnson"] = "none"
    loss: Literal["squared", "huber"] = "squared"
    aggregation: Literal["mean", "median"] = "mean"
    correction: Literal["none", "trees", "process", "both"] = "both"
    recalibrate: Literal["none", "scale", "isotonic"] = "isotonic"
    positive: Literal["auto", "yes", "no"] = "auto"
    low: tuple[str, ...] | None = None

    def estimator_parameters(self) -> dict[str, Any]:
        """The parameters of `SISSOEnsemble` that these settings stand for; scikit-learn reserves the name `transform`."""
        parameters = self.model_dump(exclude={"transform"})
        return parameters | {"target_transform": self.transform, "low": self.low or ()}

    def doubt(self) -> str:
        """What is to be said of so few members; "" of enough.

        Examples
        --------
        >>> EnsembleSettings(members=10).doubt()
        'members 10: some labels are out of bag once or twice only, so sigma is rough; 20 or more are better'
        """
        if self.members >= FEW_MEMBERS:
            return ""
        rough = "some labels are out of bag once or twice only, so sigma is rough"
        return f"members {self.members}: {rough}; {FEW_MEMBERS} or more are better"


class RunSettings(BaseModel):
    """Who labels, when to stop and which elements are not wanted: what may change while a campaign goes on."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    oracle: str = PEOPLE
    budget: int | float | None = Field(default=None, gt=0)
    core_hours: float | None = Field(default=None, gt=0)
    hits: int | None = Field(default=None, ge=1)
    min_gain: float | None = Field(default=None, gt=0)
    retries: int = Field(default=3, ge=0)
    calculations: int = Field(default=1, ge=0)
    walltime: float | None = Field(default=None, gt=0)
    lease: float = Field(
        default=120.0,
        ge=1,
        description="Seconds without a sign of life after which a worker of first-principles calculations is given up.",
    )
    exclude_elements: tuple[str, ...] = ()
    only_elements: tuple[str, ...] = ()

    @field_validator("budget")
    @classmethod
    def _whole(cls, budget: float | None) -> float | None:
        return budget if budget is None or budget != int(budget) else int(budget)


class CampaignSettings(BaseModel):
    """All settings of `discover`.

    Examples
    --------
    >>> CampaignSettings(goal="<=0.3").ensemble.members
    30
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    target: str | None = None
    id: str | None = None
    group: str | None = None
    columns: tuple[str, ...] | None = None
    drop: tuple[str, ...] | None = None
    goal: str = "min"
    surrogate: str = "sisso"
    acquisition: str = "hits"
    improve_on: Literal["mean", "label"] = "mean"
    diversity: float = Field(default=0.0, ge=0, le=1)
    batch: int = Field(default=10, ge=1)
    asynchronous: bool = False
    seed: int = Field(default=0, ge=0)
    level: tuple[LevelSettings, ...] = Field(default=(), description="Levels of theory, the cheapest first.")
    features: FeatureWords = Field(
        default={}, description="What own primary features are, by their names, for the glossary of the report."
    )
    model: ModelSettings = ModelSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    run: RunSettings = RunSettings()
    label: LabelSettings = LabelSettings()
    calculation: CalculationSettings = CalculationSettings()

    @model_validator(mode="after")
    def _has_a_ladder(self) -> CampaignSettings:
        try:
            check_levels(self.level)
        except ValueError as error:
            raise PydanticCustomError("levels", "{told}", {"told": str(error)}) from error
        if self.level and self.run.oracle not in (PEOPLE, self.level[-1].oracle):
            found = f"'{self.run.oracle}' beside '{self.level[-1].oracle}' of the last level"
            raise PydanticCustomError("levels", "{told}", {"told": f"one oracle for the target, found {found}"})
        return self

    @property
    def looks_for_classes(self) -> bool:
        """Whether the goal names classes; labels are then names of classes, and not numbers.

        Examples
        --------
        >>> CampaignSettings(goal="=perovskite").looks_for_classes, CampaignSettings(goal="max").looks_for_classes
        (True, False)
        """
        return names_classes(self.goal)

    @property
    def lower(self) -> tuple[LevelSettings, ...]:
        """All levels but the last, the cheapest first."""
        return self.level[:-1]

    def level_text(self, name: str) -> str:
        """A level with its number, for messages: ``level 2 (hse06)``."""
        return level_text([level.name for level in self.level].index(name), name)

    @property
    def costs(self) -> dict[str, float]:
        """Cost of a calculation at each lower level by name, and under "" at the one that counts; without levels that is 1.

        Examples
        --------
        >>> CampaignSettings().costs
        {'': 1.0}
        """
        return {level.name: level.cost for level in self.lower} | {"": self.level[-1].cost if self.level else 1.0}

    @property
    def of_target(self) -> CampaignSettings:
        """What the target is computed with: these settings, or those of the last level."""
        return self.at_level(self.level[-1].name) if self.level else self

    def at_level(self, name: str) -> CampaignSettings:
        """What a level is computed with: its oracle, and sections ``label`` and ``calculation`` as it has them.

        How FHI-aims is started and where its species are is that of section ``calculation`` where the level does not say it.
        """
        level = next(one for one in self.level if one.name == name)
        calculation = level.calculation
        if calculation is not None:
            here = {key: getattr(self.calculation, key) for key in MACHINE if getattr(calculation, key) is None}
            calculation = calculation.model_copy(update=here)
        own = {"calculation": calculation, "label": level.label}
        changed = {section: value for section, value in own.items() if value is not None}
        run = self.run.model_copy(update={"oracle": level.oracle})
        return self.model_copy(update={"run": run, **changed})

    def on_machine_of(self, other: CampaignSettings) -> CampaignSettings:
        """The same with what may change while a campaign goes on as `other` has it: section run, where calculations run, the size
        from which on a feature space is refused, and the words for features.
        """
        calculation = _on_machine(self.calculation, other.calculation)
        levels = self.level
        if len(levels) == len(other.level):
            levels = tuple(
                one.model_copy(update={"calculation": _on_machine(one.calculation, its.calculation)})
                if one.calculation is not None and its.calculation is not None
                else one
                for one, its in zip(levels, other.level, strict=True)
            )
        model = self.model.model_copy(update={"max_features": other.model.max_features})
        changed = {
            "run": other.run,
            "calculation": calculation,
            "level": levels,
            "model": model,
            "features": other.features,
        }
        return self.model_copy(update=changed)


def _on_machine(calculation: CalculationSettings, other: CalculationSettings) -> CalculationSettings:
    changed = other.model_dump(include={*MACHINE})
    if calculation.jobflow is not None and other.jobflow is not None:
        of_jobflow = other.jobflow.model_dump(include={*MACHINE_OF_JOBFLOW})
        changed["jobflow"] = calculation.jobflow.model_copy(update=of_jobflow)
    return calculation.model_copy(update=changed)


_SECTIONS = {
    "model": ModelSettings,
    "ensemble": EnsembleSettings,
    "run": RunSettings,
    "label": LabelSettings,
    "calculation": CalculationSettings,
}


def load_settings(path: str | Path | None, changes: dict[str, Any]) -> CampaignSettings:
    """Settings from a TOML file, with changes on top.

    Parameters
    ----------
    path : path or None
    changes : dict
        Flat, by the names of the options: a key goes to whichever section has it. None leaves a setting as it is.

    Raises
    ------
    SettingsError
        A key is unknown, or a value is out of range.
    DocumentError
        The file cannot be read, or is no TOML.

    Examples
    --------
    >>> load_settings(None, {"rung": 1, "members": 5, "batch": None}).model.rung
    1
    """
    values = {} if path is None else flat_settings(read_toml(path))
    values |= {setting_named(key): value for key, value in changes.items() if value is not None}
    return validated(values, lambda _: "" if path is None else str(path))


def flat_settings(data: dict[str, Any]) -> dict[str, Any]:
    """Settings in sections as one mapping, by section and key.

    Examples
    --------
    >>> flat_settings({"batch": 3, "model": {"rung": 1}})
    {'batch': 3, 'model.rung': 1}
    """
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if key in _SECTIONS and isinstance(value, dict):
            flat |= {f"{key}.{name}": inner for name, inner in value.items()}
        else:
            flat[key] = value
    return flat


def known_settings() -> dict[str, Any]:
    """The annotation of every setting, by section and key, in their order."""
    annotations: dict[str, Any] = {}
    for key, field in CampaignSettings.model_fields.items():
        if section := _SECTIONS.get(key):
            annotations |= {f"{key}.{name}": inner.annotation for name, inner in section.model_fields.items()}
        else:
            annotations[key] = field.annotation
    return annotations


def setting_named(option: str) -> str:
    """Section and key of the setting that an option stands for.

    Examples
    --------
    >>> setting_named("rung"), setting_named("batch")
    ('model.rung', 'batch')
    """
    section = next((name for name, kind in _SECTIONS.items() if option in kind.model_fields), None)
    return option if section is None else f"{section}.{option}"


def validated(flat: dict[str, Any], place: Callable[[str], str]) -> CampaignSettings:
    """Checked settings from values by section and key.

    Parameters
    ----------
    flat : dict
    place : callable
        Where a setting was given, for the message; "" where that is not worth saying.

    Raises
    ------
    SettingsError
        A key is unknown, or a value is out of range.
    """
    data: dict[str, Any] = {key: value for key, value in flat.items() if "." not in key}
    for name, value in flat.items():
        section, dot, key = name.partition(".")
        if dot and isinstance(data.setdefault(section, {}), dict):
            data[section][key] = value
    try:
        settings = CampaignSettings.model_validate(data)
    except ValidationError as error:
        raise SettingsError(_explained(error, place, data.get("level"))) from error
    if not settings.level:
        return settings
    # The last level is the one that counts: its column is the target, and whoever computes it labels that.
    last = settings.level[-1]
    run = settings.run.model_copy(update={"oracle": last.oracle})
    return settings.model_copy(update={"run": run, "target": settings.target or last.column})


_KIND = re.compile(r"\[|constrained-|^(int|float|str|bool)$")


def _explained(error: ValidationError, place: Callable[[str], str], levels: Any) -> str:
    """The first problem in one line: where, what was needed, what was found; `levels` are those that were given."""
    first = error.errors()[0]
    # Of a setting that may be of several kinds pydantic names the kind behind it; an unknown key is the last, whatever its name.
    unknown = first["loc"][-1:] if first["type"] == "extra_forbidden" else ()
    known = first["loc"][: len(first["loc"]) - len(unknown)]
    location = [str(part) for part in known if not isinstance(part, int) and not _KIND.search(str(part))] + [
        str(key) for key in unknown
    ]
    where = place(".".join(location[:2]))
    where = f"{where}: " if where else ""
    match first["loc"]:
        case ("level", int(number), *inner):
            names = [level.get("name") if isinstance(level, dict) else None for level in levels]
            where, location = f"{where}{level_text(number, names[number])}: ", [str(part) for part in inner]
            if first["type"] == "extra_forbidden" and len(location) == 1:
                location = ["level", *location]
    if first["type"] == "missing":
        return f"{where}{'.'.join(location)}: needs a value, found none"
    if first["type"] == "extra_forbidden":
        sections = {**_SECTIONS, "level": LevelSettings}
        kind = sections.get(location[0], CampaignSettings) if len(location) > 1 else CampaignSettings
        close = get_close_matches(location[-1], kind.model_fields, n=1)
        if (elsewhere := setting_named(location[-1])) != location[-1]:  # the right name in the wrong section
            close = [elsewhere]
        hint = f"; did you mean '{close[0]}'?" if close else f"; known are {', '.join(kind.model_fields)}"
        return f"{where}unknown setting {shown('.'.join(location))}{hint}"
    if not location:  # of the settings as a whole
        where = place("level")
        return f"{where + ': ' if where else ''}level: needs {needed(first)}"
    return f"{where}{'.'.join(location)}: needs {needed(first)}, found {shown(first['input'])}"
