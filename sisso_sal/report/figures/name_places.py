"""Where names stand beside their marks without covering each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_ANGLES = np.deg2rad(np.arange(0.0, 360.0, 11.25))
_GAPS = np.array([1.0, 4.0, 8.0, 13.0, 19.0, 26.0, 34.0, 43.0, 53.0, 64.0])  # a longer line would be hard to follow
_COVERED = 20.0  # what a name covers costs at most so much, in points of gap
_CROSSED = 40.0  # each line that a line crosses costs so much
_CORE = 0.5  # a line may touch the rim of another mark, but not its core: this share of it
_TRIES = 20
_SWEEPS = 3


class Room(NamedTuple):
    """Where names may stand; all lengths in one unit, such as points.

    - frame: ndarray (4,), x and y of the lower left corner, then of the upper right one
    - taken: ndarray (m, 4), boxes as the frame
    - crowd: ndarray (k, 3), points that had better stay visible, and what it costs to cover each, in units of the distance between
      mark and name
    """

    frame: np.ndarray
    taken: np.ndarray
    crowd: np.ndarray


def name_places(
    marks: np.ndarray, radius: float, sizes: np.ndarray, room: Room, *, may_cross: bool = False
) -> np.ndarray | None:
    """A box for the name of each mark: inside the frame, and free of other names, of marks, of what is taken and of lines.

    A name that does not stand at its mark has a line to it, from `line_to`. The nearest place is taken that covers few points of
    the crowd. Where a name finds no room, it goes first in another try. In the end each name is placed anew among the others.

    Parameters
    ----------
    marks : ndarray (n, 2)
    radius : float
        Of a mark.
    sizes : ndarray (n, 2)
        Width and height of each name.
    room : Room
    may_cross : bool
        Whether a line may pass over another mark.

    Returns
    -------
    ndarray (n, 4) or None
        None where no try had room for all.

    Examples
    --------
    >>> room = Room(np.array([0.0, 0.0, 100.0, 100.0]), np.empty((0, 4)), np.empty((0, 3)))
    >>> boxes = name_places(np.array([[50.0, 50.0], [52.0, 50.0]]), 2.0, np.full((2, 2), [30.0, 8.0]), room)
    >>> bool(overlap(boxes[0], boxes[1:])[0])
    False
    """
    search = _Search(marks, radius, sizes, room, 0.0 if may_cross else _CORE)
    order = list(range(len(marks)))
    for _ in range(_TRIES):
        boxes = np.full((len(marks), 4), np.nan)
        stuck = next((k for k in order if not search.put(k, boxes)), None)
        if stuck is None:
            return search.improved(boxes)
        if order[0] == stuck:
            return None
        order.remove(stuck)
        order.insert(0, stuck)
    return None


class _Search:
    """Places for names one by one."""

    def __init__(self, marks: np.ndarray, radius: float, sizes: np.ndarray, room: Room, core: float):
        self._marks, self._radius, self._sizes, self._room, self._core = marks, radius, sizes, room, core * radius
        self._own = np.hstack([marks - radius, marks + radius])

    def improved(self, boxes: np.ndarray) -> np.ndarray:
        """The boxes after a few sweeps in which each name takes its best place among the others."""
        for _ in range(_SWEEPS):
            before = boxes.copy()
            for k in range(len(boxes)):
                boxes[k] = np.nan
                if not self.put(k, boxes):
                    boxes[k] = before[k]
            if np.array_equal(boxes, before):
                break
        return boxes

    def put(self, k: int, boxes: np.ndarray) -> bool:
        """Write the best free box of name k into the boxes, of which those without a place are NaN; False where none is free."""
        gap, choices = self._choices(k)
        placed = np.isfinite(boxes[:, 0])
        taken = np.vstack([self._room.taken, boxes[placed]])
        lines = np.stack([self._marks[placed], line_to(self._marks[placed], boxes[placed])], axis=1)
        low, high = self._room.frame[:2], self._room.frame[2:]
        rows = np.flatnonzero(np.all((choices[:, :2] >= low) & (choices[:, 2:] <= high), axis=1))
        rows = rows[~overlap(choices[rows], np.vstack([taken, self._own])).any(axis=1)]
        rows = rows[~crossed(lines[:, 0], lines[:, 1], choices[rows]).any(axis=0)]
        starts, ends = np.broadcast_to(self._marks[k], (len(rows), 2)), line_to(self._marks[k], choices[rows])
        free = ~crossed(starts, ends, np.vstack([taken, self._cores(k)])).any(axis=1)
        rows, starts, ends = rows[free], starts[free], ends[free]
        if not len(rows):
            return False
        crowd = self._room.crowd
        covered = overlap(choices[rows], np.hstack([crowd[:, :2], crowd[:, :2]])) @ crowd[:, 2]
        cost = gap[rows] + _CROSSED * _meet(starts, ends, lines).sum(axis=1) + np.minimum(covered, _COVERED)
        boxes[k] = choices[rows[int(np.argmin(cost))]]
        return True

    def _choices(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Gaps (n,) and boxes (n, 4) around mark k."""
        angle, gap, corner = (grid.ravel() for grid in np.meshgrid(_ANGLES, _GAPS, [True, False], indexing="ij"))
        way = np.column_stack([np.cos(angle), np.sin(angle)])
        side = np.where(corner[:, None], np.sign(np.round(way, 6)), way / np.abs(way).max(axis=1, keepdims=True))
        middle = self._marks[k] + way * (self._radius + gap[:, None]) + side * 0.5 * self._sizes[k]
        return gap, np.hstack([middle - 0.5 * self._sizes[k], middle + 0.5 * self._sizes[k]])

    def _cores(self, k: int) -> np.ndarray:
        """The inner part of each other mark, as boxes (m, 4), but of those that mark k lies upon."""
        others = self._marks[np.abs(self._marks - self._marks[k]).max(axis=1) > self._core]
        return np.hstack([others - self._core, others + self._core]) if self._core else np.empty((0, 4))


def line_to(mark: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The point of a box that is nearest to a mark; ndarray (2,)."""
    return np.clip(mark, box[..., :2], box[..., 2:])


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether a box (…, 4) overlaps each of the others (m, 4); ndarray (…, m) of bool."""
    a, b = box[..., None, :], others
    return np.all((a[..., :2] < b[..., 2:]) & (b[..., :2] < a[..., 2:]), axis=-1)


def crossed(starts: np.ndarray, ends: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Whether each line from start to end (n, 2) passes through each box (m, 4); ndarray (n, m) of bool."""
    way = (ends - starts)[:, None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = ((boxes[None, :, k : k + 2] - starts[:, None, :]) / way for k in (0, 2))
    inside = (starts[:, None, :] > boxes[None, :, :2]) & (starts[:, None, :] < boxes[None, :, 2:])
    low = np.where(way == 0.0, np.where(inside, -np.inf, np.inf), np.minimum(one, other)).max(axis=-1)
    high = np.where(way == 0.0, np.where(inside, np.inf, -np.inf), np.maximum(one, other)).min(axis=-1)
    return (low < high) & (low < 1.0) & (high > 0.0)


def _meet(starts: np.ndarray, ends: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Whether each line from start to end (n, 2) crosses each of the lines (m, 2, 2); ndarray (n, m) of bool."""

    def side(a, b, c):
        return np.sign(
            (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
        )

    p, q, r, s = starts[:, None], ends[:, None], lines[None, :, 0], lines[None, :, 1]
    return (side(p, q, r) * side(p, q, s) < 0) & (side(r, s, p) * side(r, s, q) < 0)
