"""One model with low columns: what its formulas are for, chosen by labels that were held out.

Formulas for the target and for what numbers and lines leave, each on all samples and without each fold, are searched for in one
pass over the feature space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sisso_sal.engine.problem import Problem
from sisso_sal.models.baseline import Baseline, Form, Low, LowError, compared, error_of, forms_of, left_out_alone, rests
from sisso_sal.models.fitting import Prepared, solve
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.linear import SISSOModel
from sisso_sal.models.lines import line_alone, on_baseline
from sisso_sal.models.search_counts import SearchCounts
from sisso_sal.models.trade_off import Folds, Searches, TradeOff, folds_of, trade_off
from sisso_sal.protocols import Progress
from sisso_sal.system.costs import announce


class _Searched(NamedTuple):
    """The problems of a form, that of all samples first, and what the target of each is the rest of."""

    form: Form
    problems: list[Problem]
    baselines: list[Baseline | None]


class _Candidate(NamedTuple):
    """A form with its models of each dimension, and its errors of labels that were held out."""

    searched: _Searched
    models: Sequence[Sequence[Sequence[SISSOModel]]]
    alternatives: list[list[SISSOModel]]
    error: LowError
    said: np.ndarray


class WithLow(NamedTuple):
    """One model with low columns; see `FittedModels`."""

    alternatives: list[list[SISSOModel]]
    counts: SearchCounts
    low: Low
    choices: list[dict[str, Any]]
    trade_off: TradeOff | None = None


def find_with_low(
    table: TrainingTable,
    prepared: Prepared,
    low: Sequence[str],
    progress: Progress | None = None,
    *,
    is_judged: bool = False,
) -> WithLow:
    """Search in every form, take the one with the least error of held-out labels, or a number or line where none is better.

    Parameters
    ----------
    table : TrainingTable
    prepared : Prepared
        The same, laid out for the search.
    low : sequence of str
        Names of the low columns.
    progress : callable, optional
        Called with (features done, features in all).
    is_judged : bool
        Whether formulas are judged by complexity too; see `TradeOff`.

    Raises
    ------
    FitError, SettingsError, KeyboardInterrupt
        See `solve`.
    """
    columns, folds = table.columns(prepared.order), folds_of(table, prepared)
    searched = _problems(table, prepared, low, folds)
    problems = [problem for one in searched for problem in one.problems]
    announce([prepared.cost(problems)])
    solved = solve(prepared, problems, progress)
    candidates, first = [], 0
    for one in searched:
        models = solved.models[first : first + len(one.problems)]
        first += len(one.problems)
        candidates.append(_judged(one, models, table, prepared, columns, folds))
    best = min(candidates, key=lambda candidate: candidate.error.mae)
    form, baseline = best.searched.form, best.searched.baselines[0]
    said = left_out_alone(table, low, prepared.order, prepared.settings.fit_intercept, folds.number)
    mean = np.full(len(table.y), np.nan)
    mean[prepared.order] = best.said
    told, simple = compared(Low(tuple(low), form.kind, baseline, None), table, prepared.order, mean, said)
    choices = [_told(prepared, candidate) for candidate in candidates]
    if simple is None:
        judged = None
        if is_judged and solved.counts.is_complete:
            searches = Searches(best.searched.problems, best.searched.baselines, best.models)
            judged = trade_off(searches, table, prepared, folds)
        return WithLow(best.alternatives, solved.counts, told, choices, judged)
    told = told.alone(simple, table, prepared.order, prepared.settings.fit_intercept)
    has_intercept = simple.what == "line" and prepared.settings.fit_intercept
    line = line_alone(simple.form, table, columns, prepared.target, prepared.weights, has_intercept)
    return WithLow([[line]], solved.counts, told, choices)


def _problems(table: TrainingTable, prepared: Prepared, low: Sequence[str], folds: Folds) -> list[_Searched]:
    """What is searched for; a number or line that leaves nothing to explain has no formulas."""
    columns, every = table.columns(prepared.order), np.ones(len(prepared.names), dtype=bool)
    problems = [Problem(prepared.target, own, every) for own in folds.weights(prepared.weights)]
    searched = []
    for form in forms_of(table, low):
        own, baselines = rests(form, problems, columns, prepared.settings.fit_intercept)
        if form.kind == "feature" or baselines[0] is not None:
            searched.append(_Searched(form, own, baselines))
    return searched


def _judged(
    searched: _Searched,
    models: Sequence[Sequence[Sequence[SISSOModel]]],
    table: TrainingTable,
    prepared: Prepared,
    columns: Mapping[str, np.ndarray],
    folds: Folds,
) -> _Candidate:
    """Models of all samples, and what the others say of the samples that they did not see."""
    each = zip(models, searched.baselines, searched.problems, strict=True)
    by_fold = [
        [
            [on_baseline(model, baseline, table, columns, problem.weights) for model in of_dimension]
            for of_dimension in own
            if of_dimension
        ]
        for own, baseline, problem in each
    ]
    said = np.full(len(prepared.order), np.nan)
    for fold, own in zip(folds.usable, by_fold[1:], strict=True):
        out = folds.number == fold
        said[out] = own[-1][0].predict({name: values[out] for name, values in columns.items()})[0]
    known = np.isfinite(said)
    error = error_of("model", "", said[known], prepared.target[known])
    return _Candidate(searched, models, _of_one_size(by_fold[0]), error, np.where(known, said, np.nan))


def _of_one_size(alternatives: Sequence[Sequence[SISSOModel]]) -> list[list[SISSOModel]]:
    """Models of each number of terms, in their order.

    Where the low column is among the descriptors too, both are one term: of each dimension those that have as many terms as its
    best one are kept, and of two dimensions with as many the larger one.
    """
    sizes: dict[int, list[SISSOModel]] = {}
    for models in alternatives:
        sizes[models[0].dimension] = [model for model in models if model.dimension == models[0].dimension]
    return list(sizes.values())


def _told(prepared: Prepared, candidate: _Candidate) -> dict[str, Any]:
    """A form and its errors as plain data; JSON has no infinity."""
    form, error = candidate.searched.form, candidate.error
    errors = {name: value if np.isfinite(value) else None for name, value in (("mae", error.mae), ("rmse", error.rmse))}
    place = {
        "rung": prepared.space.settings.rung,
        "dim": prepared.settings.dim,
        "form": form.kind,
        "column": form.column,
    }
    return place | errors
