"""The pairs of a pass as parts for other processes.

A part is a recipe, not values: what the space is made of, what the problems look for, and which rows of pairs to go over. A worker
makes the stored features once and keeps the space. It gives back the best of each problem, without equal features only (see
`Pool.compact`), so that what is chosen in the end depends neither on the parts nor on their order.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from functools import partial
from threading import Lock
from typing import NamedTuple

import numpy as np

from sisso_sal.engine import _scores
from sisso_sal.engine.admitted import admitted_pairs
from sisso_sal.engine.copies import copies_of
from sisso_sal.engine.pool import Pool
from sisso_sal.engine.selection import Selection
from sisso_sal.engine.sweep import TILE, PairSweep, evaluated_rows, run, shared_out
from sisso_sal.features.pairs import Pairs
from sisso_sal.features.space import FeatureSpace
from sisso_sal.system.executors import Workers
from sisso_sal.system.machine import unordered
from sisso_sal.system.machine import workers as threads_of

PARTS_EACH = 32
"""Parts for each worker, so that all of them end at about the same time."""

LEAST_SECONDS, MOST_SECONDS = 0.5, 20.0
"""Shortest and longest parts: starting one takes some milliseconds, and a worker that is lost costs one."""


class Sought(NamedTuple):
    """What the sweep of one problem looks for.

    - ``number``: int; of the sweep in its pass.
    - ``weights``, ``targets``, ``taken``: ndarray (n_samples,), ndarray (n_targets, n_samples), Selection; see `Pool`.
      Without targets the sweep only counts the states of features.
    - ``allowed``: ndarray (n_primary,) of bool; see `Problem`.
    - ``is_census``: bool; whether the states are counted.
    - ``top``: ndarray (n_held,); the best scores so far, see `Pool.best`.
    - ``tasks``, ``task``: ndarray (n_samples,) of int or None, see `Problem`; and the task of the sweep.
    """

    number: int
    weights: np.ndarray
    targets: np.ndarray
    taken: Selection
    allowed: np.ndarray
    is_census: bool
    top: np.ndarray
    tasks: np.ndarray | None
    task: int


class PairSpan(NamedTuple):
    """Rows from `start` to below `stop` of the pairs of the operators `group`, for the problem `place` of the part."""

    group: int
    place: int
    start: int
    stop: int


class PassPart(NamedTuple):
    """What a worker gets, as bytes. recipe: a pickled `SpaceRecipe`; size and centre as in `Pool`."""

    recipe: bytes
    sought: list[Sought]
    spans: list[PairSpan]
    size: int
    centre: bool
    threads: int


class PassBest(NamedTuple):
    """What a worker gives back, as bytes: numbers (m,) of sweeps and what they found, counts (4,) of states, features looked at."""

    numbers: np.ndarray
    found: Selection
    states: np.ndarray
    n_features: int


# Where the pass is ----------------------------------------------------------------------------------------------------


class Sharing:
    """A pass whose pairs are gone over by workers.

    Parameters
    ----------
    space : FeatureSpace
    sweeps : sequence of PairSweep
        All sweeps of the pass.
    allowed : sequence of ndarray (n_primary,)
        The primary features that each of them may use.
    size, centre
        As in `Pool`.
    workers : Workers
    """

    def __init__(
        self,
        space: FeatureSpace,
        sweeps: Sequence[PairSweep],
        allowed: Sequence[np.ndarray],
        size: int,
        centre: bool,
        workers: Workers,
    ):
        self.sweeps, self.allowed, self.size, self.centre, self.workers = sweeps, allowed, size, centre, workers
        self.space, self.recipe = space, pickle.dumps(space.recipe())

    def parts(self) -> Iterator[bytes]:
        """The pairs, operators by operators and problem by problem; a part starts from the best scores of the moment."""
        seconds = sum(sweep.n_features * sweep.seconds_each for sweep in self.sweeps)
        threads = self.workers.threads
        each = threads * min(max(seconds / (PARTS_EACH * self.workers.n * threads), LEAST_SECONDS), MOST_SECONDS)
        spans: list[PairSpan] = []
        held = 0.0
        for span in self._spans(each):
            sweep = self.sweeps[span.place]
            spans.append(span)
            held += sweep.pairs[span.group].between(span.start, span.stop).n_features * sweep.seconds_each
            if held >= each / 2:
                yield self._part(spans)
                spans, held = [], 0.0
        if spans:
            yield self._part(spans)

    def _spans(self, each: float) -> Iterator[PairSpan]:
        """Rows that take at most so many seconds on one thread; the places are numbers of sweeps."""
        for group in range(len(self.space.pairs)):
            for number, sweep in enumerate(self.sweeps):
                pairs = sweep.pairs[group]
                if pairs.n_features:
                    yield from (PairSpan(group, number, *cut) for cut in pairs.cuts(each / sweep.seconds_each, TILE[0]))

    def _part(self, spans: Sequence[PairSpan]) -> bytes:
        numbers = sorted({span.place for span in spans})
        own = [span._replace(place=numbers.index(span.place)) for span in spans]
        sought = [self._sought(number) for number in numbers]
        return pickle.dumps(PassPart(self.recipe, sought, own, self.size, self.centre, self.workers.threads))

    def _sought(self, number: int) -> Sought:
        sweep = self.sweeps[number]
        scoring, pool = sweep.scoring, sweep.pool
        weights, tasks = (pool.weights, pool.tasks) if pool else (scoring.weights, None)
        taken = pool.taken if pool else Selection.empty()
        top, held = sweep.best()
        about = (weights, scoring.targets, taken, self.allowed[number])
        return Sought(number, *about, sweep.is_census, top[:held], tasks, sweep.task)

    def merge(self, answer: bytes) -> tuple[int, np.ndarray]:
        """Give what a worker found to the pools; returns how many features were looked at, and counts (4,) of their states."""
        numbers, found, states, n_features = pickle.loads(answer)
        for sweep, own in zip(self.sweeps, found.split(numbers, len(self.sweeps)), strict=True):
            if sweep.pool and len(own):
                sweep.pool.add(_scored(sweep, own))
        return n_features, states


def _scored(sweep: PairSweep, selection: Selection) -> Selection:
    """With scores by this machine: another processor may round otherwise."""
    score = np.empty(len(selection))
    for part, rows in evaluated_rows(selection.opcode, selection.left, selection.right, sweep.values):
        _scores.exact_scores(rows, sweep.scoring, score[part])
    return Selection(selection.opcode, selection.left, selection.right, score)


# Where the worker is --------------------------------------------------------------------------------------------------


def look_through(content: bytes) -> bytes:
    """The best of each problem of a `PassPart`, as `PassBest`."""
    part: PassPart = pickle.loads(content)
    space = space_of(part.recipe)
    sweeps = _sweeps(space, part)
    n_features, states = 0, np.zeros(4, dtype=np.int64)
    with threads_of(part.threads) as executor:
        calls = (partial(run, batch) for batch in shared_out(_groups(sweeps, part.spans), part.threads))
        for looked_at, counts in unordered(executor, calls, 4 * part.threads):
            n_features += looked_at
            states += counts
    found = []
    for sweep in sweeps:
        if sweep.pool:
            sweep.pool.compact()
        found.append(sweep.pool.kept if sweep.pool else Selection.empty())
    numbers = np.repeat([own.number for own in part.sought], [len(selection) for selection in found])
    return pickle.dumps(PassBest(numbers, Selection.joined(found), states, n_features))


_made: dict[bytes, FeatureSpace] = {}
"""The space in use by its recipe; one, since it may fill half of the memory."""

_making = Lock()


def space_of(recipe: bytes) -> FeatureSpace:
    """The space of a pickled recipe, which is made when it is asked for the first time."""
    with _making:  # a worker may have several threads
        if recipe not in _made:
            _made.clear()
            _made[recipe] = pickle.loads(recipe).made()
        return _made[recipe]


def _sweeps(space: FeatureSpace, part: PassPart) -> list[PairSweep]:
    limits = _scores.Limits(space.settings.min_abs, space.settings.max_abs, False)
    copies, sweeps = copies_of(space), []
    for own, pairs in zip(part.sought, admitted_pairs(space, [own.allowed for own in part.sought]), strict=True):
        pool = None
        if len(own.targets):
            pool = Pool(space, own.weights, own.targets, part.size, part.centre, own.taken, own.tasks)
            pool.begin_at(own.top, len(own.top))
        scoring = pool.scoring if pool else _scores.Scoring(own.weights, own.targets, part.centre, np.empty(0))
        sweeps.append(PairSweep(space.values, copies, scoring, limits, own.is_census, tuple(pairs), pool, own.task))
    return sweeps


def _groups(sweeps: Sequence[PairSweep], spans: Sequence[PairSpan]) -> Iterator[list[tuple[PairSweep, Pairs]]]:
    for group in sorted({span.group for span in spans}):
        yield [
            (sweeps[span.place], sweeps[span.place].pairs[group].between(span.start, span.stop))
            for span in spans
            if span.group == group
        ]
