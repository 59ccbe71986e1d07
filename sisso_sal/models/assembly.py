"""From the members that were searched for to an ensemble: rung and number of terms, correction, calibration.

All of it follows from the out-of-bag predictions: those of each sample by the members that did not see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sisso_sal.models.aggregation import aggregate
from sisso_sal.models.baseline import Form, Low, LowError, baseline_of, compared, forms_of, left_out_alone, low_names
from sisso_sal.models.calibration import Calibration, calibrate
from sisso_sal.models.correction import FEWEST, Correction, Kernels, checked_composition
from sisso_sal.models.costs import choice_cost, correction_cost
from sisso_sal.models.ensemble_model import EnsembleModel, aggregated, evaluated
from sisso_sal.models.groups import Provenance, error_of_mean, n_materials
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.linear import SISSOModel
from sisso_sal.models.members import Draw, Stage, by_dimension, lines_alone, search_members
from sisso_sal.models.posterior import Certainty, Credence, certainty
from sisso_sal.models.program import Program
from sisso_sal.models.recalibration import Recalibration
from sisso_sal.models.recipe import EnsembleRecipe
from sisso_sal.models.robust import pseudo_observations
from sisso_sal.models.search_counts import SearchCounts
from sisso_sal.protocols import Cost, Progress


@dataclass(frozen=True, eq=False)
class Assembled:
    """An ensemble and what it predicts of its own samples without having seen them.

    Attributes
    ----------
    model : EnsembleModel
    oob_mean, oob_std : ndarray (n_samples,)
        Out-of-bag prediction and raw sigma, in the target's unit; NaN where there is none.
    """

    model: EnsembleModel
    oob_mean: np.ndarray
    oob_std: np.ndarray


@dataclass(frozen=True, eq=False)
class _Choice:
    """Members of one rung and number of terms, and their out-of-bag errors in the target's unit."""

    stage: Stage
    form: int
    dim: int
    members: tuple[SISSOModel, ...]
    mae: float
    rmse: float
    mae_error: float

    @property
    def place(self) -> dict[str, Any]:
        """Which choice it is, as plain data."""
        return _place(self.stage, self.dim, self.stage.forms[self.form])

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which has no infinity."""
        errors = {"mae": self.mae, "rmse": self.rmse, "mae_error": self.mae_error}
        return self.place | {name: value if np.isfinite(value) else None for name, value in errors.items()}


def fit_ensemble(
    recipe: EnsembleRecipe,
    table: TrainingTable,
    composition: np.ndarray | None = None,
    *,
    earlier: Mapping[str, Any] | None = None,
    later: Sequence[Cost] = (),
    progress: Progress | None = None,
) -> Assembled:
    """Search for all members in one pass over the feature space per dimension, and assemble them.

    Parameters
    ----------
    recipe : EnsembleRecipe
    table : TrainingTable
    composition : array (n_samples, n_elements), optional
        Share of each element, for the correction.
    earlier : mapping, optional
        What a fit on fewer labels handed over, see `Correction`.
    later : sequence of Cost
        What follows, announced with what the fit takes before it begins.
    progress : callable, optional
        Called with (features done, features in all).

    Raises
    ------
    FitError, SettingsError
        See `SISSOEnsemble.fit`.
    KeyboardInterrupt
        On Ctrl-C before there is a model.
    """
    composition = checked_composition(composition, len(table.y))
    recipe.floor(table.y[table.weights > 0])  # refused before the search, not after it
    draw = Draw(np.ones(len(table.y), dtype=bool), recipe.dropout)
    corrected = correction_cost(recipe, len(table.y), len(table.names), composition is not None)
    chosen = choice_cost(recipe, len(forms_of(table, recipe.low, recipe.target_transform)), len(table.y))
    stages = search_members(recipe, table, [draw], progress, (chosen, corrected, *later))
    return assemble(recipe, table, stages, 0, table.weights > 0, composition, earlier)


def assemble(
    recipe: EnsembleRecipe,
    table: TrainingTable,
    stages: Sequence[Stage],
    draw: int,
    present: np.ndarray,
    composition: np.ndarray | None = None,
    earlier: Mapping[str, Any] | None = None,
) -> Assembled:
    """Choose rung and number of terms, correct and calibrate.

    Parameters
    ----------
    recipe : EnsembleRecipe
    table : TrainingTable
    stages : sequence of Stage
    draw : int
        Number of the draw whose models are the members.
    present : ndarray (n_samples,) of bool
        Samples that may be used; the others are held out.
    composition : array (n_samples, n_elements), optional
        Share of each element, for the correction.
    earlier : mapping, optional
        See `Correction`.
    """
    order = stages[-1].solved.order
    problems = stages[-1].problems[stages[-1].part(draw)]
    unseen = np.zeros((recipe.members, len(table.y)), dtype=bool)
    for m, problem in enumerate(problems):
        unseen[m, order] = problem.weights == 0
    unseen &= present
    choices = [
        _Choice(stage, form, dim, members, *out_of_bag_errors(recipe, table, members, unseen, order))
        for stage, form, dim, members in _members(recipe, table, stages, draw)
    ]
    best = min(choices, key=lambda choice: (choice.mae, choice.stage.rung, choice.dim, choice.form))
    names = np.array(list(table.primaries), dtype=object)
    rows = order[present[order]]
    beliefs = best.stage.solved.beliefs[best.stage.part(draw, best.form)] if best.dim else []
    model = EnsembleModel(
        members=best.members,
        dropped=tuple(tuple(names[~problem.allowed]) for problem in problems),
        aggregation=recipe.aggregation,
        chosen=best.place,
        choices=[choice.as_dict() for choice in choices],
        primaries=table.primaries,
        labelled=features_of(table, rows),
        counts=_counts(stages, best.stage, int(present.sum())),
        certain=_certain(beliefs, list(names), best) if beliefs else None,
        low=_begun(recipe, table, best, rows),
    )
    judged = judged_ensemble(recipe, table, model, unseen, rows, composition, earlier)
    return judged if model.low is None else _compared(recipe, table, judged, stages[0], draw, rows)


def _certain(beliefs: Sequence[Credence], names: Sequence[str], best: _Choice) -> Certainty:
    known = certainty(beliefs, names)
    column = best.stage.forms[best.form].column
    return known.with_certain(column) if column else known


def _place(stage: Stage, dim: int, form: Form) -> dict[str, Any]:
    return {"rung": stage.rung, "dim": dim, "form": form.kind, "column": form.column}


def _members(
    recipe: EnsembleRecipe, table: TrainingTable, stages: Sequence[Stage], draw: int
) -> Iterator[tuple[Stage, int, int, tuple[SISSOModel, ...]]]:
    """Stage, number of the form, number of terms, and members of each choice there is."""
    for number, form in enumerate(stages[0].forms):
        part = stages[0].part(draw, number)
        if form.kind != "feature" and stages[0].baselines[part][0] is None:
            continue  # nothing is left to explain
        if form.kind != "feature":
            yield stages[0], number, 0, lines_alone(stages[0], draw, form, table, recipe.search.fit_intercept)
        for stage in stages:
            for dim, members in by_dimension(stage, stage.part(draw, number), table, recipe.dims):
                yield stage, number, dim, members


def _begun(recipe: EnsembleRecipe, table: TrainingTable, best: _Choice, rows: np.ndarray) -> Low | None:
    """What the correction learns the rest of; errors follow when there is one."""
    if not recipe.low:
        return None
    form, columns = best.stage.forms[best.form], table.columns(rows)
    baseline = baseline_of(form, columns, table.y[rows], table.weights[rows], recipe.search.fit_intercept)
    return Low(low_names(recipe.low, table.names), form.kind, baseline, None)


def _compared(
    recipe: EnsembleRecipe, table: TrainingTable, judged: Assembled, stage: Stage, draw: int, rows: np.ndarray
) -> Assembled:
    """The ensemble, or the best number or line where it is not better by more than a standard error; with the errors of all."""
    if judged.model.low is None:
        return judged
    said = left_out_alone(table, judged.model.low.columns, rows, recipe.search.fit_intercept)
    low, best = compared(judged.model.low, table, rows, judged.oob_mean, said)
    if best is None:
        return replace(judged, model=replace(judged.model, low=low))
    return _alone(recipe, table, judged, low, best, (stage, draw), rows, said[best.what, best.column])


def _alone(
    recipe: EnsembleRecipe,
    table: TrainingTable,
    judged: Assembled,
    low: Low,
    best: LowError,
    place: tuple[Stage, int],
    rows: np.ndarray,
    said: np.ndarray,
) -> Assembled:
    """The number or the line as the whole model: a member for each draw of the stage, and one sigma for all candidates."""
    stage, draw = place
    form = best.form
    members = lines_alone(stage, draw, form, table, form.kind == "line" and recipe.search.fit_intercept)
    low = low.alone(best, table, rows, recipe.search.fit_intercept)
    mean, sigma = np.full(len(table.y), np.nan), np.full(len(table.y), np.nan)
    mean[rows], sigma[rows] = said, low.spread
    floor = judged.model.floor
    calibration, recalibration = calibrated(recipe.recalibrate, table, mean, sigma, rows, floor)
    chosen = _place(stage, 0, form)
    choices = judged.model.choices
    if chosen not in [{name: one[name] for name in chosen} for one in choices]:
        choices = [*choices, chosen | {"mae": best.mae, "rmse": best.rmse, "mae_error": None}]
    model = replace(
        judged.model, members=members, chosen=chosen, choices=choices, correction=None, certain=None, low=low,
        calibration=calibration, formula_calibration=calibration, recalibration=recalibration,
    )  # fmt: skip
    return Assembled(model, mean, sigma)


def _counts(stages: Sequence[Stage], chosen: Stage, n_samples: int) -> SearchCounts:
    each = [stage.solved.counts for stage in stages]
    n_singular, is_complete = sum(one.n_singular for one in each), all(one.is_complete for one in each)
    return replace(chosen.solved.counts, n_samples=n_samples, n_singular=n_singular, is_complete=is_complete)


def features_of(table: TrainingTable, rows: np.ndarray) -> np.ndarray:
    """ndarray (n, n_primary): primary features of some samples, columns in the order of the names."""
    columns = table.columns()
    return np.column_stack([columns[name][rows] for name in table.primaries])


def out_of_bag_errors(
    recipe: EnsembleRecipe, table: TrainingTable, members, unseen, order
) -> tuple[float, float, float]:
    """Out-of-bag mean absolute and root mean square error, and the standard error of the first; infinite where none is known."""
    values, valid, _ = evaluated(Program.of(members), table.columns())
    mean, _ = aggregate(values, valid & unseen, 1, mean=recipe.aggregation)
    error = (table.y - mean)[order]  # summed in canonical order
    known = np.isfinite(error)
    if not known.any():
        return np.inf, np.inf, np.inf
    size = np.abs(error[known])
    mae_error = error_of_mean(size, table.groups[order][known]) if len(size) > 1 else np.inf
    return float(size.mean()), float(np.sqrt(np.mean(size**2))), mae_error


def judged_ensemble(
    recipe: EnsembleRecipe, table: TrainingTable, model: EnsembleModel, unseen, order, composition, earlier
) -> Assembled:
    """Out-of-bag predictions, the correction that is learned from them, and the calibration of both."""
    values, valid, _ = evaluated(model.program, table.columns())
    formula, _ = aggregated(values, valid & unseen, 1, recipe.aggregation)
    _, spread = aggregated(values, valid & unseen, 2, recipe.aggregation)
    floor = recipe.floor(table.y[order])
    calibration, recalibration = calibrated(recipe.recalibrate, table, formula, spread, order, floor)
    model = replace(
        model, calibration=calibration, formula_calibration=calibration, recalibration=recalibration, floor=floor
    )
    known = model.known_before(table.columns(), len(table.y))
    correction = learned_correction(
        recipe, table, model, model.link.forward(formula), known, order, composition, earlier
    )
    if correction is None:
        return Assembled(model, formula, spread)
    mean, std = np.full(len(table.y), np.nan), np.full(len(table.y), np.nan)
    mean[order], std[order] = model.link.back(correction.left_out_mean + known[order], correction.left_out_std)
    calibration, recalibration = calibrated(recipe.recalibrate, table, mean, std, order, floor)
    model = replace(model, correction=correction, calibration=calibration, recalibration=recalibration)
    return Assembled(model, mean, std)


def learned_correction(
    recipe: EnsembleRecipe, table: TrainingTable, model: EnsembleModel, formula, known, rows, composition, earlier
):
    """The correction, from transformed out-of-bag means `formula` (n_samples,); None where too little is known.

    It learns the rest that `known` (n_samples,) leaves, see `EnsembleModel.known_before`.

    Of a label for which no formula says anything, it learns as of one for which they say the mean of all labels.
    """
    said = np.isfinite(formula[rows])
    if recipe.correction == "none" or n_materials(table.groups[rows[said]]) < FEWEST:
        return None
    labels = model.link.forward(table.y[rows]) - known[rows]
    formula = np.where(said, formula[rows] - known[rows], labels.mean())
    if recipe.loss == "huber":
        labels = pseudo_observations(labels, formula)
    if np.ptp(labels) == 0:
        return None
    shares = None if composition is None else composition[rows]
    features, seed = features_of(table, rows), int(recipe.seed)
    errors = None if table.errors is None else model.link.forward_error(table.y[rows], table.errors[rows])
    provenance = Provenance(table.groups[rows], errors)
    return Correction(recipe.correction, features, formula, labels, seed, shares, Kernels(earlier=earlier), provenance)


def calibrated(
    kind: str, table: TrainingTable, mean, sigma, rows, floor: float
) -> tuple[Calibration | None, Recalibration | None]:
    """Both from the rows with an error and a spread, in canonical order; None where there are none."""
    known = rows[np.isfinite(table.y[rows] - mean[rows]) & (sigma[rows] > 0)]
    if not len(known):
        return None, None
    return calibrate(table.y[known], mean[known], sigma[known], kind, table.groups[known], floor)
