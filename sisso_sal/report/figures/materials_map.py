"""The materials map: a plane of two descriptors or primary features, its lines, and which of many points are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sisso_sal.errors import InputError
from sisso_sal.features.expression import Expression
from sisso_sal.models.calibration import ranks
from sisso_sal.models.linear import SISSOModel
from sisso_sal.report.run_view import EnsembleLike, RunView

N_DRAWN = 3000
"""Candidates that are drawn; a browser without a graphics card stays quick with so many."""

OUTSKIRTS = 0.005
"""Share of the materials that the axes leave out on either side; proposals are never left out."""

SKEWED = 8.0
"""An axis is logarithmic where its upper half is so many times as wide as its lower one."""

ALIKE = 0.95
"""Two descriptors whose rank correlation is larger span no plane."""

N_LINES = 7


@dataclass(frozen=True, eq=False)
class Axis:
    """One descriptor over all materials: `values` (n_materials,), NaN or infinite where it is undefined."""

    expression: Expression
    values: np.ndarray
    is_log: bool
    low: float
    high: float

    @property
    def unit(self) -> str:
        """Of the values; "" for none."""
        dimension = self.expression.dimension
        return "" if dimension is None or dimension.is_none else str(dimension)


@dataclass(frozen=True, eq=False)
class Line:
    """Where the formula has the value `level` (target's unit): x and y (n_points,) in the units of the axes."""

    level: float
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, eq=False)
class MaterialsMap:
    """A map and what is to be said of it.

    Attributes
    ----------
    model : SISSOModel or None
        The formula whose descriptors span it; None where primary features do.
    x, y : Axis
    drawn : ndarray (n_drawn,) of int
        Rows of the candidates that are drawn.
    n_candidates : int
    n_outside : int
        Materials that lie outside the axes.
    n_undefined : int
        Materials for which a descriptor is undefined.
    lines : tuple of Line
    notes : tuple of str
        What axes and lines show, and how well they agree with the prediction.
    """

    model: SISSOModel | None
    x: Axis
    y: Axis
    drawn: np.ndarray
    n_candidates: int
    n_outside: int
    n_undefined: int
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def number_of_maps(view: RunView) -> int:
    """One for each typical formula; without formulas one of primary features, if two of them span a plane."""
    if view.ensemble is not None:
        return len(view.summary["typical"])
    return int(len(_features_that_matter(view)) > 1)


def materials_map(
    view: RunView, formula: int = 1, levels: Sequence[float] | None = None, inside: np.ndarray | None = None
) -> MaterialsMap:
    """The map of a typical formula; without formulas the plane of the two primary features that matter most.

    Those are the features whose ranks agree most with the ranks of the prediction; features with few different values come last.

    Parameters
    ----------
    view : RunView
    formula : int
        Its rank; 1 is the most typical, and the only one without formulas.
    levels : sequence of float, optional
        Values of the formula that get a line, in the target's unit; by default round ones.
    inside : ndarray (n_inside,) of int, optional
        Rows that the axes never leave out, besides the proposals.

    Raises
    ------
    InputError
        There is no such formula, or no two features span a plane.
    """
    n_maps = number_of_maps(view)
    if not n_maps:
        raise InputError(f"{view.title}: needs two primary features that differ for a map, found fewer")
    if not 1 <= formula <= n_maps:
        raise InputError(f"formula: needs a number from 1 to {n_maps}, found {formula}")
    if view.ensemble is None:
        return _feature_map(view)
    model = view.ensemble.members[view.summary["typical"][formula - 1]["member"]]
    values = model.descriptors(view.columns)
    order = _by_weight(model, values)
    if len(order) > 1:
        first, second = (model.terms[k].expression for k in order[:2])
    else:
        first = model.terms[0].expression
        second = _another(view, view.ensemble, first)
    plane = _plane(model, values, order)
    bare = _without_lines(view, first, second, _notes(view, model, values, order, plane), inside)
    chosen = _levels(view, model) if levels is None else levels
    lines = [line for level in chosen for line in _at_level(model, plane, bare.x, bare.y, level)]
    return replace(bare, model=model, lines=tuple(lines))


def _without_lines(
    view: RunView, first: Expression, second: Expression, notes: Sequence[str], kept: np.ndarray | None = None
) -> MaterialsMap:
    """The plane of two expressions, without a formula."""
    proposed = np.isin(view.ids, [p["id"] for p in view.proposals])
    shown = proposed if kept is None else proposed | np.isin(np.arange(len(view.ids)), kept)
    x, y = (axis_of(expression, expression.evaluate(view.columns), shown) for expression in (first, second))
    inside, defined = _inside(x, y)
    candidates = np.flatnonzero(~view.labelled & inside)
    scores = view.values("score")
    drawn = thinned(place(x)[candidates], place(y)[candidates], scores[candidates], N_DRAWN)
    drawn = np.union1d(candidates[drawn], np.flatnonzero(proposed & defined))
    return MaterialsMap(
        None, x, y, drawn, int((~view.labelled).sum()), int((defined & ~inside).sum()), int((~defined).sum()), (), tuple(notes)
    )  # fmt: skip


def _feature_map(view: RunView) -> MaterialsMap:
    (first, agreement), (second, other) = _features_that_matter(view)
    note = (
        "The axes are the two primary features with the strongest rank correlation with the "
        f"prediction over all materials: {agreement:.2f} for {first}, {other:.2f} for {second}. A second feature that ranks the "
        f"materials as the first does is passed over. Features with fewer than {_fewest_values(view)} different values, which put "
        "many materials on one point, are used only if there are no others."
    )
    x, y = (Expression.primary(name, view.units[name]) for name in (first, second))
    return _without_lines(view, x, y, [note])


def _features_that_matter(view: RunView) -> list[tuple[str, float]]:
    """The feature with the largest absolute rank correlation with the prediction, and the next one that is not `ALIKE` to it;
    each with that correlation. Those with few different values come last. Fewer than two where the features do not differ.
    """
    mean, fewest = view.values("mean"), _fewest_values(view)
    agreement = {name: float(np.nan_to_num(_agreement(values, mean))) for name, values in view.columns.items()}
    n_values = {name: len(np.unique(values[np.isfinite(values)])) for name, values in view.columns.items()}
    ranked = sorted(
        (name for name, number in n_values.items() if number > 1),
        key=lambda name: (n_values[name] < fewest, -abs(agreement[name]), name),
    )
    others = [name for name in ranked[1:] if abs(_agreement(view.columns[ranked[0]], view.columns[name])) < ALIKE]
    return [(name, agreement[name]) for name in [*ranked[:1], *others[:1]]]


def _fewest_values(view: RunView) -> int:
    """Different values that an axis should have: two such axes can tell all materials apart."""
    return int(np.ceil(np.sqrt(len(view.ids))))


def _agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation of two columns (n_materials,) over the materials where both are known; NaN where one is constant."""
    both = np.isfinite(a) & np.isfinite(b)
    places = ranks(a[both]), ranks(b[both])
    if both.sum() < 3 or not all(np.ptp(row) for row in places):
        return float("nan")
    return float(np.corrcoef(*places)[0, 1])


def thinned(x: np.ndarray, y: np.ndarray, score: np.ndarray, most: int) -> np.ndarray:
    """The points that can be seen: the best-scored one of each cell of a grid, as fine as `most` allows.

    Parameters
    ----------
    x, y : ndarray (n,)
        Places, 0 to 1.
    score : ndarray (n,)
        Greater is better; NaN comes last.
    most : int

    Returns
    -------
    ndarray (n_kept,) of int
        In order.

    Examples
    --------
    >>> thinned(np.array([0.1, 0.1, 0.9]), np.array([0.1, 0.1, 0.9]), np.array([1.0, 2.0, 0.0]), 2).tolist()
    [1, 2]
    """
    if len(x) <= most:
        return np.arange(len(x))
    best_first = np.argsort(-np.where(np.isnan(score), -np.inf, score), kind="stable")
    kept = best_first[:1]
    for cells in (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512):
        row, column = ((np.clip(v, 0, 1) * (cells - 1)).astype(np.int64) for v in (y, x))
        _, first = np.unique((row * cells + column)[best_first], return_index=True)
        if len(first) > most:
            break
        kept = best_first[first]
    return np.sort(kept)


def _by_weight(model: SISSOModel, values: np.ndarray) -> list[int]:
    """Terms by what they move the prediction over the materials (range from the 5th to the 95th percentile), largest first."""
    spread = []
    for term, row in zip(model.terms, values, strict=True):
        low, high = np.quantile(row[np.isfinite(row)], [0.05, 0.95]) if np.isfinite(row).any() else (0.0, 0.0)
        spread.append(abs(term.coefficient) * (high - low))
    return sorted(range(len(spread)), key=lambda k: -spread[k])


def _another(view: RunView, ensemble: EnsembleLike, first: Expression) -> Expression:
    """A second axis for a formula of one term: a descriptor of the most typical other formula, else a primary feature, that orders
    the materials otherwise than the first axis.
    """
    others = [ensemble.members[number] for number, _ in ensemble.typical_members(view.columns, 10**6)]
    recurring = view.summary.get("recurrence", {}).get("primaries", {})
    choices = [term.expression for member in others for term in member.terms]
    choices += [Expression.primary(name, view.units[name]) for name in [*recurring, *view.units]]
    reference = first.evaluate(view.columns)
    for choice in choices:
        if abs(_agreement(reference, choice.evaluate(view.columns))) < ALIKE:
            return choice
    return choices[-1]


def axis_of(expression: Expression, values: np.ndarray, inside: np.ndarray) -> Axis:
    """The axis of a descriptor with these values (n,): it shows the rows that must be `inside` (n,), and all others but the
    outermost.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Axis(expression, values, False, 0.0, 1.0)
    low, middle, high = np.quantile(finite, [OUTSKIRTS, 0.5, 1.0 - OUTSKIRTS])
    shown = values[inside & np.isfinite(values)]
    low, high = (min(low, shown.min()), max(high, shown.max())) if len(shown) else (low, high)
    is_log = bool(finite.min() > 0 and (high - middle) > SKEWED * (middle - low))
    if is_log:
        pad = (high / low) ** 0.04
        return Axis(expression, values, True, float(low / pad), float(high * pad))
    pad = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
    return Axis(expression, values, False, float(low - pad), float(high + pad))


def place(axis: Axis) -> np.ndarray:
    """Where the values stand along the axis: 0 at its beginning, 1 at its end."""
    with np.errstate(all="ignore"):
        if axis.is_log:
            return np.log(axis.values / axis.low) / np.log(axis.high / axis.low)
        return (axis.values - axis.low) / (axis.high - axis.low)


def _inside(x: Axis, y: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Which materials lie within both axes, and for which both descriptors are defined: ndarray (n,) of bool each."""
    defined = np.isfinite(x.values) & np.isfinite(y.values)
    with np.errstate(invalid="ignore"):
        inside = (x.values >= x.low) & (x.values <= x.high) & (y.values >= y.low) & (y.values <= y.high)
    return defined & inside, defined


@dataclass(frozen=True)
class _Plane:
    """offset + a x + b y, on the scale on which the formula is a sum; in it the other terms have their medians."""

    offset: float
    a: float
    b: float


def _plane(model: SISSOModel, values: np.ndarray, order: Sequence[int]) -> _Plane:
    offset = model.intercept
    for k in order[2:]:
        offset += model.terms[k].coefficient * float(np.median(values[k][np.isfinite(values[k])]))
    first = model.terms[order[0]].coefficient
    return _Plane(offset, first, model.terms[order[1]].coefficient if len(order) > 1 else 0.0)


def _levels(view: RunView, model: SISSOModel) -> list[float]:
    """Round values between the 5th and 95th percentile of what the formula predicts for the materials."""
    predicted = model.predict(view.columns)[0]
    predicted = predicted[np.isfinite(predicted)]
    return _round_levels(*np.quantile(predicted, [0.05, 0.95])) if len(predicted) else []


def _at_level(model: SISSOModel, plane: _Plane, x: Axis, y: Axis, level: float) -> list[Line]:
    """Where the formula has this value; none where it has it nowhere within the axes."""
    with np.errstate(all="ignore"):
        total = float(model.link.forward(np.array([level]))[0]) - plane.offset
    if not np.isfinite(total):
        return []
    if len(model.terms) == 1:
        place = total / plane.a
        return [Line(level, np.array([place, place]), np.array([y.low, y.high]))] if x.low < place < x.high else []
    xs = np.geomspace(x.low, x.high, 121) if x.is_log else np.linspace(x.low, x.high, 121)
    return _clipped(level, xs, (total - plane.a * xs) / plane.b, y)


def _clipped(level: float, xs: np.ndarray, ys: np.ndarray, y: Axis) -> list[Line]:
    """The part of a line within the y axis, its ends exactly on the edge."""
    edges = np.interp([y.low, y.high], ys[:: 1 if ys[-1] >= ys[0] else -1], xs[:: 1 if ys[-1] >= ys[0] else -1])
    inside = (ys > y.low) & (ys < y.high)
    if not inside.any():
        return []
    at_edge = [(edge, end) for edge, end in zip(edges, (y.low, y.high), strict=True) if ys.min() < end < ys.max()]
    x_all = np.concatenate([xs[inside], [edge for edge, _ in at_edge]])
    y_all = np.concatenate([ys[inside], [end for _, end in at_edge]])
    order = np.argsort(x_all)
    return [Line(level, x_all[order], y_all[order])]


def _round_levels(low: float, high: float) -> list[float]:
    """Up to `N_LINES` or so multiples of 1, 2 or 5 times a power of ten from low to high."""
    if not high > low:
        return []
    rough = (high - low) / N_LINES
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9))
    return [float(f"{k * step:.12g}") for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _notes(view: RunView, model: SISSOModel, values: np.ndarray, order: Sequence[int], plane: _Plane) -> list[str]:
    n = len(order)
    if n == 1:
        notes = [
            "The formula has one term, which is d1; d2 is a descriptor of another formula. Along each line the formula has the "
            "same value."
        ]
    elif n == 2:
        notes = ["The formula has these two descriptors and no others. Along each line it has the same value."]
    else:
        notes = [
            f"The formula has {n} terms; d1 and d2 are the two that change its prediction most. Along each line the formula has "
            f"the same value, with the other {'term at its median' if n == 3 else 'terms at their medians'}."
        ]
    with np.errstate(invalid="ignore"):  # where both descriptors are infinite
        shown = plane.offset + plane.a * values[order[0]] + (plane.b * values[order[1]] if n > 1 else 0.0)
    mean = view.values("mean")
    if np.isfinite(agreement := _agreement(shown, mean)):
        notes.append(
            f"Colours show the prediction of the whole ensemble, lines that of one formula: the rank correlation of the two over "
            f"all materials is {agreement:.2f}."
        )
    shift = np.abs(mean - view.values("formulas_mean"))
    shift = shift[np.isfinite(shift)]
    if shift.any():
        unit = f" {view.unit}" if view.unit else ""
        notes.append(
            f"The prediction is the mean of the formulas plus a correction; the median absolute correction over all materials is "
            f"{np.median(shift):.2g}{unit}."
        )
    return notes
