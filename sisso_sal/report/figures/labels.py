"""Where names stand beside points, with a line to the point, so that they do not cover each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WIDTH, HEIGHT = 480.0, 440.0
"""Pixels of a map that names are placed for."""

LETTER, LINE, NEAR = 7.5, 16.0, 12.0
"""Width of a letter, height of a line and least distance of a name from its point, in pixels."""

MOST_LETTERS = 24
"""Of a name beside a point; a longer one is cut."""

MOST_POINTS = 300

STEPS = (0.0, 14.0, 30.0, 50.0, 75.0, 105.0)
"""How much farther away a name may stand, in pixels."""

ANGLES = np.radians([0, 180, 90, 270, 45, 135, 315, 225, 22, 158, 338, 202])

_Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in pixels."""


def placed(
    x: np.ndarray, y: np.ndarray, lengths: Sequence[int], crowd: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """Where the middle of each name stands, relative to its point.

    Each name in turn takes the nearest place in which it covers none of the names before it and none of the points; where there is
    none, that in which it covers least.

    Parameters
    ----------
    x, y : ndarray (n,)
        Places on the map, from 0 to 1.
    lengths : sequence of int, length n
        Letters of each name.
    crowd : pair of ndarray (m,), optional
        Places of points without a name that should be seen too; of many, `MOST_POINTS` are looked at.

    Returns
    -------
    ndarray (n, 2)
        To the right and upwards, in pixels of a map of `WIDTH` by `HEIGHT`.

    Examples
    --------
    >>> placed(np.array([0.5]), np.array([0.5]), [6]).round().tolist()
    [[34.0, 0.0]]
    >>> float(placed(np.array([0.99]), np.array([0.5]), [6])[0, 0].round())
    -34.0
    """
    places = np.column_stack([WIDTH * np.asarray(x, dtype=float), HEIGHT * np.asarray(y, dtype=float)])
    every = places if crowd is None else np.concatenate([places, _some(*crowd) * [WIDTH, HEIGHT]])
    points = [(px - NEAR / 2, py - NEAR / 2, px + NEAR / 2, py + NEAR / 2) for px, py in every]
    taken: list[_Box] = []
    chosen = []
    for (px, py), letters in zip(places, lengths, strict=True):
        half = np.array([0.5 * LETTER * letters, 0.5 * LINE])
        best, least = np.zeros(2), np.inf
        for step in STEPS:
            for angle in ANGLES:
                offset = _offset(angle, half, NEAR + step)
                box = _box(np.array([px, py]) + offset, half)
                cost = _outside(box) + sum(_common(box, other) for other in (*taken, *points)) + 0.1 * step
                if cost < least - 1e-9:
                    best, least = offset, cost
        chosen.append(best)
        taken.append(_box(np.array([px, py]) + best, half))
    return np.array(chosen).reshape(-1, 2)


def _some(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """At most `MOST_POINTS` of the points, evenly from all: ndarray (k, 2)."""
    step = max(1, -(-len(x) // MOST_POINTS))
    return np.column_stack([x, y])[::step]


def _offset(angle: float, half: np.ndarray, gap: float) -> np.ndarray:
    """Of the middle of a box of this half width and half height, so that its edge is `gap` away in the direction of the angle."""
    direction = np.array([np.cos(angle), np.sin(angle)])
    with np.errstate(divide="ignore"):
        reach = float(np.min(half / np.abs(direction)))
    return direction * (reach + gap)


def _box(middle: np.ndarray, half: np.ndarray) -> _Box:
    (left, bottom), (right, top) = middle - half, middle + half
    return float(left), float(bottom), float(right), float(top)


def _common(a: _Box, b: _Box) -> float:
    """Area that two boxes share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _outside(box: _Box) -> float:
    """Area of a box beyond the map, which counts double: a name that is cut off cannot be read."""
    return 2 * ((box[2] - box[0]) * (box[3] - box[1]) - _common(box, (0.0, 0.0, WIDTH, HEIGHT)))
