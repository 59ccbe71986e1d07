"""Features with parameters beside those that the screening chose, and fits whose parameters move together.

Purcell, Scheffler, Ghiringhelli, J. Chem. Phys. 159, 114110 (2023) fit parameters while features are made. Here the shapes with the
best scores on a grid of parameters are fitted (`Shapes`), and the features that the screening kept, for each problem.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from sisso_sal.engine import _scores
from sisso_sal.engine.problem import SQUARES, FitObjective, Problem
from sisso_sal.engine.refit import Fit, error_of, refit
from sisso_sal.engine.scales import ParameterFit, rebuilt, tidied
from sisso_sal.engine.screen import ScreeningStep
from sisso_sal.engine.selection import Selection
from sisso_sal.engine.shapes import FoundShapes, ParameterShape, Shapes, SoughtShapes, grid_scores
from sisso_sal.features.expression import Expression
from sisso_sal.features.space import COPY, FeatureSpace
from sisso_sal.system.machine import one_blas_thread

STARTS = 3
"""Points of the grid from which the parameters of a shape are fitted: the best ones that lie apart."""

MOST_OPERATORS = 3
"""Operators with parameters in a feature."""

SAME_DIRECTION = 1e-6
"""Features with parameters are one if their unit vectors, up to sign, differ by less than this."""

DIGITS = 10
"""Scores, and shares of the variance, are equal when they agree to this many decimals."""

FIT_SECONDS = 5e-3
"""What a fit of the parameters of one feature takes, within a factor of two or so."""

SCORE_SECONDS = 1e-9
"""What a score on the grid of parameters takes for each sample and residual."""

_shapes: WeakKeyDictionary[FeatureSpace, Shapes] = WeakKeyDictionary()


def shapes_of(space: FeatureSpace) -> Shapes:
    """The shapes of a space, kept as long as the space."""
    if space not in _shapes:
        _shapes[space] = Shapes.of(space)
    return _shapes[space]


class ParameterCost(NamedTuple):
    """What features with parameters add to a search.

    - ``sizes``: list of int; features that were added to a subspace by each dimension, at most.
    - ``seconds``: float.
    - ``what``: str; for people.
    """

    sizes: list[int]
    seconds: float
    what: str


def parameter_cost(space: FeatureSpace, problems: Sequence[Problem], sizes: Sequence[int]) -> ParameterCost:
    """What `with_parameters` takes for all dimensions, where `sizes` are added to each subspace.

    Examples
    --------
    >>> from sisso_sal.features.space import SpaceSettings
    >>> settings = SpaceSettings(operators=("add",), rung=1, param_operators=("exp",))
    >>> space = FeatureSpace(["a", "b"], ["", ""], np.eye(2, 9) + 1.0, settings)
    >>> parameter_cost(space, [Problem(np.arange(9.0), np.ones(9), np.ones(2, bool))], [5, 5]).what
    ', 56 scores on grids of parameters, and 22 fits of parameters'
    """
    if not space.settings.param_operators:
        return ParameterCost([0] * len(sizes), 0.0, "")
    n_scores, n_shapes = shapes_of(space).n_scored(True) * len(problems) * len(sizes), shapes_of(space).n_shapes
    fits_each = [STARTS * min(size, n_shapes) + size for size in sizes]
    n_fits = len(problems) * sum(fits_each)
    seconds = n_scores * space.n_samples * SCORE_SECONDS * 3 + n_fits * FIT_SECONDS
    what = f", {n_scores:.3g} scores on grids of parameters, and {n_fits:.3g} fits of parameters"
    return ParameterCost(list(accumulate(sizes)), seconds, what)


def with_parameters(
    space: FeatureSpace,
    steps: Sequence[ScreeningStep],
    chosen: Sequence[Selection],
    n_sis: int,
    *,
    centre: bool,
    most: float = 1.0,
) -> list[Selection]:
    """What the screening chose, and as many features with parameters; the same where no operator gets any.

    Parameters
    ----------
    space : FeatureSpace
        The new features are added to it.
    steps : sequence of ScreeningStep
        One for each problem.
    chosen : sequence of Selection
        What `screen` gave for them.
    n_sis : int
        Features with parameters for each problem, at most.
    centre : bool
        Whether there is an intercept.
    most : float
        Largest absolute correlation of a feature with parameters with others of its subspace.
    """
    if not space.settings.param_operators:
        return list(chosen)
    with one_blas_thread():
        return _extended(space, steps, chosen, n_sis, centre, most)


def _extended(
    space: FeatureSpace,
    steps: Sequence[ScreeningStep],
    chosen: Sequence[Selection],
    n_sis: int,
    centre: bool,
    most: float,
) -> list[Selection]:
    open_ = [number for number, step in enumerate(steps) if len(step.residuals)]
    sought = [SoughtShapes(steps[number].problem, steps[number].residuals) for number in open_]
    found = shapes_of(space).best(sought, n_sis, centre) if sought else []
    out = list(chosen)
    for number, one, shapes in zip(open_, sought, found, strict=True):
        features = [*_of_shapes(space, one, shapes, centre), *_of_kept(space, one, chosen[number], centre)]
        rivals = Selection.joined([steps[number].taken, steps[number].added, chosen[number]])
        out[number] = Selection.joined([chosen[number], _best(space, one, features, rivals, n_sis, centre, most)])
    return out


def _of_shapes(
    space: FeatureSpace, one: SoughtShapes, found: FoundShapes, centre: bool
) -> Iterator[tuple[Expression, np.ndarray]]:
    """The shapes with their best parameters, and their values."""
    for shape in found.shapes:
        columns, best = shape.values(space), None
        for start in _starts(space, shape, one, centre):
            fit = _fitted(shape.skeleton(start), columns, one, centre)
            best = fit if fit is not None and (best is None or fit[1] < best[1]) else best
        if best is not None:
            leaves = {name: space.stored_expression(number) for name, number in shape.stand_ins().items()}
            yield from _made(space, shape.skeleton((1.0, 0.0)), best[0], columns, leaves, centre)


def _of_kept(
    space: FeatureSpace, one: SoughtShapes, kept: Selection, centre: bool
) -> Iterator[tuple[Expression, np.ndarray]]:
    """Features that the screening kept, their operators with parameters."""
    columns = _columns(space)
    for number in range(len(kept)):
        expression = _parametrised(space.expression(*kept.triple(number)), space)
        n_own = sum(part.parameters is not None for part in expression.parts())
        if 0 < n_own <= MOST_OPERATORS:
            fit = _fitted(expression, columns, one, centre)
            if fit is not None:
                yield from _made(space, expression, fit[0], columns, {}, centre)


def _parametrised(expression: Expression, space: FeatureSpace) -> Expression:
    """The same formula, its operators that get parameters with those that change nothing.

    An exponential of minus, or below a bar, is one with a negative scale.
    """
    if expression.is_primary:
        return expression
    operands = [_parametrised(operand, space) for operand in expression.operands]
    name, scale, last, rules = expression.name, 1.0, operands[-1], space.settings.rules
    if name == "neg_exp":
        name, scale = "exp", -1.0
    if name in ("div", "inv") and last.name == "exp" and last.parameters is not None:
        above = Expression.apply("exp", *last.operands, rules=rules, parameters=(-last.parameters[0], 0.0))
        return above if name == "inv" else Expression.apply("mult", operands[0], above, rules=rules)
    if name not in space.settings.param_operators:
        return Expression.apply(expression.name, *operands, rules=rules)
    return Expression.apply(name, *operands, rules=rules, parameters=(scale, 0.0))


def _columns(space: FeatureSpace) -> dict[str, np.ndarray]:
    return dict(zip(space.names, space.values, strict=False))


def _starts(space: FeatureSpace, shape: ParameterShape, one: SoughtShapes, centre: bool) -> list[tuple[float, float]]:
    """The best points of the grid that lie apart: along the lines no neighbour is better."""
    lines, scores = shape.starts(space, centre), grid_scores(shape, space, one, centre)
    along = scores.max(axis=1)
    padded = np.concatenate([[-1.0], along, [-1.0]])
    peaks = np.flatnonzero((along > 0) & (along >= padded[:-2]) & (along > padded[2:]))
    order = peaks[np.argsort(-along[peaks], kind="stable")][:STARTS]
    return [tuple(lines[line, int(scores[line].argmax())].tolist()) for line in order.tolist()]


def _scoring(one: SoughtShapes, centre: bool) -> _scores.Scoring:
    return _scores.Scoring(one.problem.shares, one.residuals, centre, np.empty(0))


def _fitted(
    skeleton: Expression, columns: dict[str, np.ndarray], one: SoughtShapes, centre: bool
) -> tuple[np.ndarray, float] | None:
    """The best parameters for the residual with which the feature correlates most, and what they leave of it."""
    row = skeleton.evaluate(columns)
    largest = float(np.abs(row).max())
    if not 0.0 < largest < np.inf:
        return None
    row, shares = row / largest, one.problem.shares
    if centre:
        row = row - shares @ row
    residual = one.residuals[int(np.abs((shares * one.residuals) @ row).argmax())]
    fit = ParameterFit([skeleton], [columns], residual, shares, centre).best()
    return None if fit is None else (fit[0][0], fit[1])


def _made(
    space: FeatureSpace,
    skeleton: Expression,
    parameters: np.ndarray,
    columns: dict[str, np.ndarray],
    leaves: dict[str, Expression],
    centre: bool,
) -> Iterator[tuple[Expression, np.ndarray]]:
    """The feature with these parameters and its values, if it is within the bounds of the space."""
    settings, rules = space.settings, space.settings.rules
    own = rebuilt(skeleton, parameters, {}, rules)
    tidy = tidied(own, parameters, columns, settings.max_abs, centre)
    if not tidy.reshape(-1, 2)[:, 0].all():
        return
    values = rebuilt(skeleton, tidy, {}, rules).evaluate(columns)
    largest = float(np.abs(values).max())
    if settings.min_abs <= largest <= settings.max_abs:
        yield rebuilt(skeleton, tidy, leaves, rules), values


def _best(
    space: FeatureSpace,
    one: SoughtShapes,
    features: Sequence[tuple[Expression, np.ndarray]],
    rivals: Selection,
    size: int,
    centre: bool,
    most: float,
) -> Selection:
    """The best features of different directions that no rival has: by score, complexity and key; none too like another."""
    if not features:
        return Selection.empty()
    shares, values = one.problem.shares, np.array([row for _, row in features])
    scores = np.empty(len(values))
    _scores.exact_scores(values, _scoring(one, centre), scores)
    order = sorted(
        range(len(values)), key=lambda t: (-round(scores[t], DIGITS), features[t][0].complexity, features[t][0].key)
    )
    known = _units(rivals.values(space), shares, centre)
    numbers: list[int] = []
    kept: list[float] = []
    for t in order:
        if len(numbers) == size or scores[t] <= 0.0:
            break
        unit = _units(values[t][None], shares, centre)
        nearest = np.abs(known @ unit[0]).max(initial=0.0)
        if 2 * (1 - nearest) > SAME_DIRECTION**2 and nearest <= most:
            known = np.concatenate([known, unit])
            numbers.append(space.add(*features[t]))
            kept.append(float(scores[t]))
    return _added(numbers, kept)


def _units(rows: np.ndarray, shares: np.ndarray, centre: bool) -> np.ndarray:
    """Weighted, centred vectors of norm 1; zero for constant rows."""
    rows = rows / np.maximum(np.abs(rows).max(axis=1, initial=0.0), np.finfo(float).tiny)[:, None]
    rows = (rows - (rows @ shares)[:, None] if centre else rows) * np.sqrt(shares)
    norms = np.sqrt((rows**2).sum(axis=1))
    return rows / np.where(norms > 1e-12, norms, np.inf)[:, None]


def _most_alike(rows: np.ndarray, shares: np.ndarray, centre: bool) -> float:
    """Largest absolute correlation of two different rows."""
    units = _units(rows, shares, centre)
    return float(np.abs(np.triu(units @ units.T, 1)).max())


def _added(numbers: Sequence[int], scores: Sequence[float]) -> Selection:
    left = np.array(numbers, np.int32)
    return Selection(np.full(len(left), COPY, np.int16), left, left, np.array(scores))


class Polished(NamedTuple):
    """A subspace, and fits in it whose parameters were fitted together.

    - ``subspace``: Selection.
    - ``fits``: tuple of Fit; best first.
    - ``made``: tuple of int; numbers of the features that were made for these fits, those of the best fits first.
    """

    subspace: Selection
    fits: tuple[Fit, ...]
    made: tuple[int, ...]


def polished(
    space: FeatureSpace,
    problem: Problem,
    subspace: Selection,
    fits: Sequence[Fit],
    n_polished: int,
    *,
    centre: bool,
    objective: FitObjective = SQUARES,
    most: float = 1.0,
) -> Polished:
    """The subspace and the fits in it, the best of which have parameters that were fitted together, each with all others.

    A feature was fitted to a residual while the other terms were not known yet: only together are they right.

    Parameters
    ----------
    space : FeatureSpace
        The new features are added to it.
    problem : Problem
    subspace : Selection
    fits : sequence of Fit
        Best first.
    n_polished : int
        Number of fits that are looked at.
    centre : bool
        Whether there is an intercept.
    objective : FitObjective
        By what one fit is better than another; parameters are fitted by least squares.
    most : float
        Largest absolute correlation of two features of a fit.
    """
    if not space.settings.param_operators:
        return Polished(subspace, tuple(fits), ())

    error = partial(error_of, problem, objective)
    out, parts = list(fits), [subspace]
    for number, fit in enumerate(fits[:n_polished]):
        better = _together(space, problem, subspace, fit, centre)
        if better is None:
            continue
        first = sum(map(len, parts))
        values = better.values(space)
        if most < 1.0 and _most_alike(values, problem.shares, centre) > most:
            continue
        again = refit(values, problem, range(len(better)), centre)
        if again is not None and error(again) < error(fit):
            parts.append(better)
            places = tuple(range(first, first + len(better)))
            out[number] = Fit(places, again.coefficients, again.intercept, again.sse, again.residual)
    total = max(float(problem.weights @ problem.target**2), np.finfo(float).tiny)
    ranked = tuple(sorted(out, key=lambda fit: round(error(fit) / total, DIGITS)))
    made = tuple(place for fit in ranked for place in fit.subset if place >= len(subspace))
    return Polished(Selection.joined(parts), ranked, made)


def closed_to_fits(
    space: FeatureSpace, problem: Problem, known: Polished, closed: Sequence[int], *, centre: bool, most: float
) -> list[int]:
    """Numbers of the features that no further fit has, so that no two of the others are correlated by more than a limit.

    Those whose parameters were fitted together come first, by the rank of their fits, then the others in their order. Each is left
    out that is too like one before it: mostly that from which a better one was made.

    Parameters
    ----------
    space : FeatureSpace
    problem : Problem
    known : Polished
    closed : sequence of int
        Those that were closed before.
    centre : bool
        Whether there is an intercept.
    most : float
        Largest absolute correlation.
    """
    if not known.made:
        return list(closed)
    units = _units(known.subspace.values(space), problem.shares, centre)
    is_open = np.zeros(len(units), dtype=bool)
    for place in [*known.made, *np.setdiff1d(np.arange(len(units)), [*known.made, *closed]).tolist()]:
        is_open[place] = np.abs(units[is_open] @ units[place]).max(initial=0.0) <= most
    return np.flatnonzero(~is_open).tolist()


def _together(space: FeatureSpace, problem: Problem, subspace: Selection, fit: Fit, centre: bool) -> Selection | None:
    """The features of a fit with parameters that were fitted together; None if none has any, or one alone has them."""
    terms = [space.expression(*subspace.triple(place)) for place in fit.subset]
    own = [any(part.parameters is not None for part in term.parts()) for term in terms]
    if not any(own) or len(terms) == 1:
        return None
    columns = _columns(space)
    found = ParameterFit(terms, [columns] * len(terms), problem.target, problem.shares, centre).best()
    if found is None:
        return None
    parts = []
    for place, term, parameters, is_own in zip(fit.subset, terms, found[0], own, strict=True):
        if not is_own:
            parts.append(subspace.take(np.array([place])))
            continue
        made = next(_made(space, term, parameters, columns, {}, centre), None)
        if made is None:
            return None
        parts.append(_added([space.add(*made)], [float(subspace.score[place])]))
    return Selection.joined(parts)
