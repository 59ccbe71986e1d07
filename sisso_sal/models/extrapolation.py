"""What a learning curve says: errors with their uncertainty, an extrapolation, and how few rows are enough.

All uncertainty comes from one bootstrap of the groups of held-out rows (Efron, Ann. Stat. 7, 1 (1979)), the same for all sizes and
orders, so that differences of errors are paired; it is widened for what the fits have in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sisso_sal.models.learning_curve import ORDERS, LearningCurves

N_DRAWS = 1000
"""Bootstrap samples."""

EXPONENTS = np.linspace(0.05, 2.0, 79)
"""Exponents of a power law that are tried. Errors of models that have the right form fall with 0.5, to their floor with 1."""

FLOORS = np.linspace(0.0, 1.0, 21)
"""Floors of a power law that are tried, in parts of the smallest error."""

N_LINE = 24
"""Numbers of labels at which the extrapolation is drawn."""

FEWEST_POINTS = 4
"""With fewer sizes there is no extrapolation: a power law with a floor has three parameters."""

TIMES = (2, 4)
"""Numbers of labels that are extrapolated to, in those that there are."""

MEASURES = ("rmse", "mae")

TWO_SIDED = 1.96
"""Standard errors in half of a 95 % interval."""

MOST_LOSS = 0.05
"""Largest share by which the error of a part of the rows may exceed that of all and still count as the same."""


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """Error = floor + scale (size / reference)^-exponent, for many fits at once.

    Attributes
    ----------
    floor, scale : ndarray (n_fits,)
        In the target's unit, not negative.
    exponent : ndarray (n_fits,)
    reference : float
        In rows.

    Examples
    --------
    >>> sizes = np.array([10, 20, 40, 80])
    >>> law = PowerLaw.fit(sizes, np.array([0.1 + sizes ** -0.5]), np.ones((1, 4)))
    >>> law.at(320).round(3)
    array([0.156])
    """

    floor: np.ndarray
    scale: np.ndarray
    exponent: np.ndarray
    reference: float

    @classmethod
    def fit(cls, sizes: np.ndarray, errors: np.ndarray, weights: np.ndarray) -> PowerLaw:
        """The one of least weighted squares for each row: of `EXPONENTS`, with floor and scale that are best for it.

        Parameters
        ----------
        sizes : ndarray (n_sizes,)
            In rows, ascending.
        errors : ndarray (n_fits, n_sizes)
            In the target's unit.
        weights : ndarray (n_fits, n_sizes)
        """
        reference = float(sizes[-1])
        x = (sizes / reference) ** -EXPONENTS[:, None]  # (n_exponents, n_sizes)
        w, wy = weights.sum(axis=1)[:, None], (weights * errors).sum(axis=1)[:, None]
        wx, wxx, wxy = weights @ x.T, weights @ (x * x).T, (weights * errors) @ x.T  # (n_fits, n_exponents)
        determinant = np.maximum(w * wxx - wx**2, np.finfo(float).tiny)
        slope = (w * wxy - wx * wy) / determinant
        floor = (wy - slope * wx) / w
        slope, floor = np.where(slope < 0, 0.0, slope), np.where(slope < 0, wy / w, floor)
        slope, floor = np.where(floor < 0, wxy / wxx, slope), np.maximum(floor, 0.0)
        loss = w * floor**2 + slope**2 * wxx + 2 * floor * slope * wx - 2 * floor * wy - 2 * slope * wxy
        best = np.argmin(loss, axis=1)
        rows = np.arange(len(errors))
        return cls(floor[rows, best], slope[rows, best], EXPONENTS[best], reference)

    @classmethod
    def sample(cls, sizes: np.ndarray, errors: np.ndarray, spread: np.ndarray, rng: np.random.Generator) -> PowerLaw:
        """One law for each row, drawn by how well it fits: of all `EXPONENTS` and `FLOORS` alike before, scale by least squares.

        The law of least squares often has no floor, and then promises too much; those with a floor fit hardly worse.

        Parameters
        ----------
        sizes : ndarray (n_sizes,)
            In rows, ascending.
        errors : ndarray (n_fits, n_sizes)
            In the target's unit.
        spread : ndarray (n_sizes,)
            Standard deviation of an error about the law, in the target's unit.
        rng : numpy Generator
        """
        reference = float(sizes[-1])
        x, w = (sizes / reference) ** -EXPONENTS[:, None], 1 / spread**2  # x: (n_exponents, n_sizes)
        floors = errors.min(axis=1)[:, None] * FLOORS  # (n_fits, n_floors)
        above = (errors * w) @ x.T  # (n_fits, n_exponents)
        wx, wxx = (x * w).sum(axis=1), (x * x * w).sum(axis=1)
        scale = np.maximum((above[:, None] - floors[:, :, None] * wx) / wxx, 0.0)  # (n_fits, n_floors, n_exponents)
        square = (w * errors**2).sum(axis=1)[:, None] - 2 * floors * (errors @ w)[:, None] + floors**2 * w.sum()
        loss = (square[:, :, None] - scale**2 * wxx).reshape(len(errors), -1)
        share = np.exp((loss.min(axis=1, keepdims=True) - loss) / 2).cumsum(axis=1)
        chosen = (share < rng.random((len(errors), 1)) * share[:, -1:]).sum(axis=1)
        rows, (floor, exponent) = np.arange(len(errors)), np.unravel_index(chosen, scale.shape[1:])
        return cls(floors[rows, floor], scale[rows, floor, exponent], EXPONENTS[exponent], reference)

    def at(self, size: float) -> np.ndarray:
        """ndarray (n_fits,): the error with so many rows, in the target's unit."""
        return self.floor + self.scale * (size / self.reference) ** -self.exponent


def read_curves(curves: LearningCurves, seed: int = 0) -> dict[str, Any]:
    """The curves as plain data, and what follows from them.

    Returns
    -------
    dict
        ``n_labels``, ``n_groups``, ``sizes``; ``curves``: for each order a list of dict with ``labels``, and ``rmse`` and ``mae``
        with their standard errors and 95 % intervals; ``extrapolation``: for each measure ``floor``, ``exponent`` and ``points``,
        or None; ``last_half``: what the last half of the labels did; ``enough``: for each order the fewest labels that reach the
        error of all; ``against_random``: for each other order its RMSE over that of the random one, at each size but the largest.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n := int(curves.groups.max()) + 1, np.full(n, 1 / n), N_DRAWS).astype(float)
    figures = {measure: {order: _figures(curves, order, measure, drawn) for order in ORDERS} for measure in MEASURES}
    rmse = figures["rmse"]
    return {
        "n_labels": curves.n_rows,
        "n_groups": n,
        "sizes": curves.sizes.tolist(),
        "curves": {order: _points(curves.sizes, {m: figures[m][order] for m in MEASURES}) for order in ORDERS},
        "extrapolation": {m: _extrapolated(curves, figures[m]["random"], rng) for m in MEASURES},
        "last_half": _last_half(curves, rmse["random"]),
        "enough": {order: _enough(curves, figures, order) for order in ORDERS},
        "against_random": {
            order: _ratios(curves, rmse[order], rmse["random"]) for order in ORDERS if order != "random"
        },
    }


@dataclass(frozen=True, eq=False)
class _Figures:
    """An error at each size (n_sizes,), and in each bootstrap sample (n_draws, n_sizes)."""

    value: np.ndarray
    draws: np.ndarray

    @property
    def spread(self) -> np.ndarray:
        return self.draws.std(axis=0, ddof=1)


def _figures(curves: LearningCurves, order: str, measure: str, drawn: np.ndarray) -> _Figures:
    """An error and its bootstrap samples; `drawn` (n_draws, n_groups) is how often each group is drawn.

    Fits of different folds share most of their rows, so the errors of held-out rows are not independent: the variance of their mean
    is larger by 1 + all rows / rows learned from (Nadeau, Bengio, Mach. Learn. 52, 239 (2003)).
    """
    power = 2 if measure == "rmse" else 1
    size = (np.abs(curves.errors[order]) ** power).mean(axis=1)  # (n_sizes, n_rows)
    n_groups = drawn.shape[1]
    total = np.array([np.bincount(curves.groups, row, n_groups) for row in size])
    count = np.bincount(curves.groups, minlength=n_groups)
    value = (total.sum(axis=1) / count.sum()) ** (1 / power)
    draws = (drawn @ total.T / (drawn @ count)[:, None]) ** (1 / power)
    tiny = np.finfo(float).tiny  # of errors of zero
    wider = np.sqrt(1 + curves.n_rows / curves.sizes[-1])
    return _Figures(value, value * (np.maximum(draws, tiny) / np.maximum(value, tiny)) ** wider)


def _interval(draws: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}


def _points(sizes: np.ndarray, figures: dict[str, _Figures]) -> list[dict[str, Any]]:
    return [
        {"labels": size}
        | {
            measure: {"value": float(one.value[i]), "error": float(one.spread[i]), **_interval(one.draws[:, i])}
            for measure, one in figures.items()
        }
        for i, size in enumerate(sizes.tolist())
    ]


def _extrapolated(curves: LearningCurves, figures: _Figures, rng: np.random.Generator) -> dict[str, Any] | None:
    """The power law of the random order: by least squares, and drawn for each bootstrap sample."""
    sizes = curves.sizes
    if len(sizes) < FEWEST_POINTS:
        return None
    spread, law = _about_the_law(sizes, figures)
    drawn = PowerLaw.sample(sizes, figures.draws, spread, rng)
    now = drawn.at(curves.n_rows)

    def point(size: float) -> dict[str, Any]:
        later = drawn.at(size)
        return {"labels": size, "value": float(np.median(later)), **_interval(later)}

    points = []
    for times in (1, *TIMES):
        gain = now - drawn.at(times * curves.n_rows)
        points.append(point(times * curves.n_rows) | {"gain": {"value": float(np.median(gain)), **_interval(gain)}})
    return {
        "least_squares": {"floor": float(law.floor[0]), "scale": float(law.scale[0]), "exponent": float(law.exponent[0]),
                          "reference": law.reference},
        "floor": {"value": float(np.median(drawn.floor)), **_interval(drawn.floor)},
        "exponent": {"value": float(np.median(drawn.exponent)), **_interval(drawn.exponent)},
        "points": points,
        "line": [point(size) for size in np.geomspace(sizes[0], TIMES[-1] * curves.n_rows, N_LINE).tolist()],
    }  # fmt: skip


def _about_the_law(sizes: np.ndarray, figures: _Figures) -> tuple[np.ndarray, PowerLaw]:
    """Standard deviation of each error about the law (n_sizes,), and the law of least squares.

    Errors at neighbouring sizes have most of their uncertainty in common, that of the rows. What differs is half of the variance of
    their difference. Where the law misses the errors by more, it is by as much more.
    """
    apart = np.diff(figures.draws, axis=1).var(axis=0, ddof=1) / 2
    variance = (np.append(apart[0], apart) + np.append(apart, apart[-1])) / 2
    spread = np.sqrt(np.maximum(variance, (1e-6 * figures.value.max()) ** 2 or 1.0))
    law = PowerLaw.fit(sizes, figures.value[None], 1 / spread[None] ** 2)
    missed = (figures.value - np.array([law.at(size)[0] for size in sizes])) / spread
    ratio = np.sqrt((missed**2).sum() / (len(sizes) - 3))
    return spread * max(1.0, ratio), law


def _last_half(curves: LearningCurves, figures: _Figures) -> dict[str, Any]:
    half = _half(curves)
    fall = figures.draws[:, half] - figures.draws[:, -1]
    return {
        "labels": int(curves.sizes[half]), "of": int(curves.sizes[-1]), "before": float(figures.value[half]),
        "now": float(figures.value[-1]), "fall": float(figures.value[half] - figures.value[-1]), **_interval(fall),
    }  # fmt: skip


def _half(curves: LearningCurves) -> int:
    return int(np.argmin(np.abs(curves.sizes - curves.sizes[-1] / 2)))


def falling(values: np.ndarray) -> np.ndarray:
    """The nearest values (n,) that do not rise, in least squares: those that rise are replaced by their mean.

    Source: Ayer et al., Ann. Math. Stat. 26, 641 (1955).

    Examples
    --------
    >>> falling(np.array([4.0, 2.0, 3.0, 1.0])).tolist()
    [4.0, 2.5, 2.5, 1.0]
    """
    blocks: list[list[float]] = []
    for value in values.tolist():
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) < np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    return np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])


def _enough(curves: LearningCurves, figures: dict[str, dict[str, _Figures]], order: str) -> dict[str, Any]:
    """The smallest size whose RMSE and mean absolute error are those of all rows, within the uncertainty of the difference (95 %).

    More rows make an error larger by chance only, so errors that rise count with their mean.
    """
    is_same = np.ones(len(curves.sizes), dtype=bool)
    for measure in MEASURES:
        one = figures[measure][order]
        value = falling(one.value)
        uncertainty = (one.draws - one.draws[:, -1:]).std(axis=0, ddof=1)
        is_same &= value - value[-1] <= np.minimum(TWO_SIDED * uncertainty, MOST_LOSS * value[-1])
    size = int(np.argmax(is_same))
    rmse = figures["rmse"][order]
    return {
        "labels": int(curves.sizes[size]), "of": int(curves.sizes[-1]), "kept": curves.kept(int(curves.sizes[size])),
        "rmse": float(rmse.value[size]), "rmse_of_all": float(rmse.value[-1]),
        "error": float((rmse.draws[:, size] - rmse.draws[:, -1]).std(ddof=1)),
    }  # fmt: skip


def _ratios(curves: LearningCurves, figures: _Figures, random: _Figures) -> list[dict[str, Any]]:
    """The error over that of the random order, for each size but the largest."""
    tiny = np.finfo(float).tiny
    draws = figures.draws / np.maximum(random.draws, tiny)
    value = figures.value / np.maximum(random.value, tiny)
    return [
        {"labels": size, "value": float(value[i]), **_interval(draws[:, i])}
        for i, size in enumerate(curves.sizes[:-1].tolist())
    ]
