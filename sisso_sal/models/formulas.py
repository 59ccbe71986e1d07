"""A search for one formula, and what it finds: the best few models of each dimension."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sisso_sal.engine.problem import FitObjective, Problem
from sisso_sal.errors import SettingsError
from sisso_sal.models.alternatives import RankedModels
from sisso_sal.models.baseline import Low, low_names, wanted_columns
from sisso_sal.models.fitting import (
    Screened,
    SearchSettings,
    models_of_file,
    prepare,
    search_settings,
    solve,
    space_settings,
)
from sisso_sal.models.form_choice import find_with_low
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.linear import SISSOModel
from sisso_sal.models.magnitudes import check_labels
from sisso_sal.models.products import as_product, check_regression, logged
from sisso_sal.models.records import RegressorRecord, file_document
from sisso_sal.models.search_counts import SearchCounts
from sisso_sal.models.trade_off import NO_FOLDS, Searches, TradeOff, folds_of, trade_off
from sisso_sal.protocols import Cause, Progress
from sisso_sal.system.costs import announce

N_ALTERNATIVES = 10
"""Models kept of each dimension, unless `n_models` says how many."""

CRITERIA = ("rmse", "max_abs_error")
"""What the best model has the least of."""


@dataclass(frozen=True)
class FittedModels(RankedModels[SISSOModel]):
    """The models of a search for one formula.

    Attributes
    ----------
    alternatives : list of list of SISSOModel
        The best few of each dimension, best first.
    primaries : dict of str to str
        Unit of each primary feature, in the order of the names.
    counts : SearchCounts
    low : Low or None
        What low columns are worth, and what the formulas are the rest of; None where there are none. A low column that they are the
        rest of is a term more.
    choices : list of dict
        ``rung``, ``dim``, ``form`` and ``column`` of each form that was searched for (see `Form`), and the ``mae`` and ``rmse`` of
        labels that were held out, in the target's unit; None where none could be. Empty without low columns.
    trade_off : TradeOff or None
        Errors against complexity, where `n_models` was given and labels could be held out.
    subspaces : tuple of Screened
        The screened features of each dimension, where they were asked for; no file holds them.
    """

    alternatives: list[list[SISSOModel]]
    primaries: dict[str, str]
    counts: SearchCounts
    low: Low | None = None
    choices: list[dict[str, Any]] = field(default_factory=list)
    trade_off: TradeOff | None = None
    subspaces: tuple[Screened, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """Primary features without which `model` makes no prediction, sorted."""
        return self.model.primaries()

    def predict_with_validity(self, columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Predictions of `model`, and False where a descriptor is undefined or far outside its training range.

        Parameters
        ----------
        columns : mapping of str to ndarray (n,)
            Primary features in the units of the training table: those that `needed` names.

        Returns
        -------
        prediction : ndarray (n,)
            In the target's unit; NaN where a descriptor is undefined.
        valid : ndarray (n,) of bool
        """
        prediction, valid = self.model.predict(columns)
        return np.where(np.isfinite(prediction), prediction, np.nan), valid

    def reasons(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Why predictions of `model` are not valid: ndarray (n,) of str, "" where they are; see `Cause`."""
        causes = self.model.cause(columns)
        return np.array([(cause and Cause(cause).words) or "" for cause in causes.tolist()], dtype=object)

    def to_json(self) -> dict[str, Any]:
        """The models as plain data; floats keep every digit."""
        return {
            "models": [[model.to_json() for model in models] for models in self.alternatives],
            "choices": self.choices,
            "low": self.low.to_json() if self.low else None,
            "trade_off": self.trade_off.to_json() if self.trade_off else None,
        }

    def document(self, settings: Mapping[str, Any], target: str, target_unit: str = "") -> dict[str, Any]:
        """The content of a model file; see `file_document`.

        Parameters
        ----------
        settings : mapping
            Parameters of a `SISSORegressor`.
        target, target_unit : str
            Name and unit of what they predict.
        """
        counts, models = self.counts.to_json(), self.to_json()
        return file_document("regressor", (target, target_unit), self.primaries, settings, counts, models)

    @classmethod
    def of_file(cls, record: RegressorRecord) -> FittedModels:
        """The inverse of `document`, from a file that was read.

        Raises
        ------
        ModelFileError, SettingsError
            A setting cannot be; a tree is no formula of the primary features, or the settings do not allow it.
        """
        units, settings = record.units, record.settings.model_dump() | {"threads": None}
        space, search = space_settings(settings), formula_search(settings)
        n_given = int(record.low is not None and record.low.form != "feature")  # the low column
        alternatives = [
            models_of_file(models, f"models.{number}", units, space, search, n_given)
            for number, models in enumerate(record.models)
        ]
        low = None if record.low is None else Low.from_json(record.low)
        choices = [choice.model_dump(exclude_unset=True) for choice in record.choices]
        judged = None if record.trade_off is None else TradeOff.of_file(record.trade_off)
        return cls(alternatives, units, SearchCounts.of_file(record), low, choices, judged)


def formula_search(parameters: Mapping[str, Any]) -> SearchSettings:
    """The settings of the search among the parameters of a `SISSORegressor`.

    Raises
    ------
    SettingsError
        The criterion is unknown, or another one is out of range.
    """
    if (criterion := parameters["criterion"]) not in CRITERIA:
        raise SettingsError(f"criterion: needs {' or '.join(CRITERIA)}, found {criterion!r}")
    if criterion != "rmse" and wanted_columns(parameters["low"]):
        raise SettingsError("low: needs the criterion rmse, found max_abs_error")
    if parameters.get("regression", "linear") == "log":
        others = {"criterion": criterion != "rmse", "n_models": parameters.get("n_models") is not None}
        others["param_operators"] = bool(parameters.get("param_operators"))
        if given := next((name for name, is_given in others.items() if is_given), None):
            raise SettingsError(f"{given}: needs the regression linear, found log")
    objective = FitObjective(is_largest_error=criterion == "max_abs_error")
    n_models = parameters.get("n_models")
    return search_settings(parameters, N_ALTERNATIVES if n_models is None else n_models, objective=objective)


def find_formulas(
    settings: Mapping[str, Any],
    table: TrainingTable,
    progress: Progress | None = None,
    *,
    with_subspaces: bool = False,
) -> FittedModels:
    """The models of a table. They are not complete if Ctrl-C ended the search before the largest dimension was done.

    Parameters
    ----------
    settings : mapping
        Parameters of a `SISSORegressor`.
    table : TrainingTable
    progress : callable, optional
        Called with (features done, features in all).
    with_subspaces : bool
        Whether the screened features are wanted too; not beside low columns.

    Raises
    ------
    FitError, SettingsError
        See `SISSORegressor.fit`.
    KeyboardInterrupt
        On Ctrl-C before there is a model.
    """
    check_labels(table.target, table.y[table.weights > 0])
    low = low_names(wanted_columns(settings["low"]), table.names)
    check_regression(settings.get("regression", "linear"), low)
    is_product, is_judged = settings.get("regression") == "log", settings.get("n_models") is not None
    searched = logged(table) if is_product else table
    prepared = prepare(searched, space_settings(settings), formula_search(settings))
    if low:
        found = find_with_low(table, prepared, low, progress, is_judged=is_judged)
        return FittedModels(
            found.alternatives, table.primaries, found.counts, found.low, found.choices, found.trade_off
        )
    every = np.ones(len(prepared.names), dtype=bool)
    folds = folds_of(table, prepared) if is_judged else NO_FOLDS
    problems = [Problem(prepared.target, weights, every) for weights in folds.weights(prepared.weights)]
    cost = prepared.cost(problems)
    prepared.plan(cost)
    announce([cost])
    solved = solve(prepared, problems, progress)
    judged = None
    if is_judged and solved.counts.is_complete:
        judged = trade_off(Searches(problems, [None] * len(problems), solved.models), table, prepared, folds)
    found = [models for models in solved.models[0] if models]
    if is_product:
        found = [[as_product(model, table) for model in models] for models in found]
    subspaces = solved.subspaces(0) if with_subspaces else ()
    return FittedModels(found, table.primaries, solved.counts, trade_off=judged, subspaces=subspaces)


def summary(fitted: FittedModels, target: str, target_unit: str = "") -> str:
    """The best model of each dimension with its errors in training, and what is recommended, as text.

    Parameters
    ----------
    fitted : FittedModels
    target, target_unit : str
        Name and unit of what they predict.
    """
    unit = f" {target_unit}" if target_unit else ""
    parts = []
    for model in fitted.models:
        noun = "term" if model.dimension == 1 else "terms"
        errors = f"RMSE {model.rmse:.4g}{unit}, largest error {model.max_abs_error:.4g}{unit}"
        parts.append(f"{model.dimension} {noun}, {errors}\n{model.shown(target, target_unit)}")
    if fitted.trade_off is not None and (best := fitted.recommended) is not None:
        size = next(one for one in fitted.trade_off.sizes if one.dimension == best.dimension)
        error = f"{size.mae:.3g} ± {size.mae_error:.2g}{unit}"
        head = f"Recommended; mean absolute error of held-out labels {error} by searches of {best.dimension} terms"
        parts.append(f"{head}\n{best.shown(target, target_unit)}")
    return "\n\n".join(parts)
