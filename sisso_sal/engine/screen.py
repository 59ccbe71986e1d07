"""Sure-independence screening: one pass over the space ranks its features for many problems.

The score of a feature is the largest over the residuals of the absolute weighted Pearson correlation (Fan and Lv, J. R. Stat. Soc.
B 70, 849 (2008); Ouyang et al., Phys. Rev. Mater. 2, 083802 (2018)). float32 matrix products choose which features of the last rung
may matter, with a bound on their error; float64 on centred data decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from functools import cached_property, partial
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np

from sisso_sal.engine import _duplicates as duplicates
from sisso_sal.engine import _kernels as kernels
from sisso_sal.engine.problem import Problem
from sisso_sal.errors import SettingsError
from sisso_sal.features.operators import BY_OPCODE, OF_QUOTIENT, Operator
from sisso_sal.features.space import Block, Pairs, Space, SpaceSettings
from sisso_sal.system.machine import one_blas_thread, workers

SAME_DIRECTION = 1e-8
"""Two features are duplicates for a problem if their weighted, centred unit vectors differ by less than this."""

DIGITS = 10
"""Scores are equal when they agree to this many decimals."""

BLOCK = 1024
"""Single features that a thread takes at a time."""

WORK = 1e9
"""Most multiply-adds that a thread takes at a time: about 0.05 s, so that a pass can be stopped."""

ROUNDINGS = 24
"""Roundings of a float32 sum beyond one for each sample: those of the factors, with room for higher orders."""

Progress = Callable[[int, int], None]


class Stopped(KeyboardInterrupt):
    """Ctrl-C came during a pass.

    Attributes
    ----------
    selections : list of Selection
        The best features of each problem among those looked at.
    """

    def __init__(self, selections: list[Selection]):
        super().__init__()
        self.selections = selections


@dataclass(frozen=True)
class Selection:
    """Features of one problem, best first: parallel arrays of triples and scores.

    Attributes
    ----------
    opcode, left, right : ndarray (k,) of integers
        See `Space.expression`.
    score : ndarray (k,)
        Largest absolute weighted correlation with a residual, float64.
    """

    opcode: np.ndarray
    left: np.ndarray
    right: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.opcode)

    def take(self, index: np.ndarray) -> Selection:
        return Selection(self.opcode[index], self.left[index], self.right[index], self.score[index])

    @staticmethod
    def joined(parts: Sequence[Selection]) -> Selection:
        names = ("opcode", "left", "right", "score")
        return Selection(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @staticmethod
    def empty() -> Selection:
        return Selection(np.empty(0, np.int16), np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0))

    def values(self, space: Space) -> np.ndarray:
        """ndarray (k, n_samples): values of the features."""
        out = np.empty((len(self), space.n_samples))
        kernels.evaluate_many(self.opcode, self.left, self.right, space.values, out)
        return out


@dataclass
class _Pool:
    """The best features of one problem so far, without duplicates after each `compact`; several threads may add."""

    space: Space
    weights: np.ndarray
    targets: np.ndarray
    size: int
    centre: bool
    taken: Selection
    kept: Selection = field(default_factory=Selection.empty)
    lock: Lock = field(default_factory=Lock)
    _fresh: list[Selection] = field(default_factory=list)
    _n_fresh: int = 0

    def __post_init__(self) -> None:
        if len(self.taken):
            rows = self.taken.values(self.space)
            scores = [kernels.exact_score(row, self.weights, self.targets, self.centre) for row in rows]
            self.taken = Selection(self.taken.opcode, self.taken.left, self.taken.right, np.array(scores))
        self.taken_scores = np.sort(self.taken.score)
        self.top, self.held = np.empty(self.size), 0

    @property
    def threshold(self) -> float:
        return kernels.threshold(self.top, self.held)

    def best(self) -> tuple[np.ndarray, int]:
        """A copy of the best scores, see `kernels.offer`."""
        with self.lock:
            return self.top.copy(), self.held

    def add(self, found: Selection) -> None:
        with self.lock:
            self.held = kernels.offer_all(self.top, self.held, found.score, self.taken_scores)
            self._fresh.append(found)
            self._n_fresh += len(found)
            if self._n_fresh > 8 * self.size + 4096:
                self.compact()

    def compact(self) -> None:
        """Remove duplicates and whatever is below the k-th best."""
        n_taken = len(self.taken)
        every = Selection.joined([self.taken, self.kept, *self._fresh])
        self._fresh, self._n_fresh = [], 0
        reached = np.flatnonzero((every.score >= self.threshold) | (np.arange(len(every)) < n_taken))
        order = reached[np.argsort(-every.score[reached], kind="stable")]
        every, is_taken = every.take(order), order < n_taken
        if not len(every):
            return
        rows = every.values(self.space)
        duplicates.unit_vectors(rows, self.weights, self.centre, rows)
        labels = duplicates.cluster(rows, every.score, kernels.GATE, SAME_DIRECTION, self.size + n_taken)
        in_reach = np.flatnonzero(labels >= 0)
        every = every.take(in_reach)
        winners = self._winners(every, labels[in_reach], is_taken[in_reach])
        self.kept = self._ranked(every.take(winners))
        best = np.sort(self.kept.score)[::-1]
        self.top[: len(best)] = best  # before `held`: another thread may read the threshold meanwhile
        self.held = len(best)

    def _winners(self, every: Selection, labels: np.ndarray, is_taken: np.ndarray) -> np.ndarray:
        """Of each cluster without a taken feature, the least complex, then the first key."""
        complexity = self.space.complexity(every.opcode, every.left, every.right)
        order = np.lexsort((complexity, labels))
        starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
        least = complexity[order][starts]
        tied = np.add.reduceat(complexity[order] == np.repeat(least, np.diff(starts, append=len(order))), starts)
        winners = order[starts]
        for group in np.flatnonzero(tied > 1):
            rivals = order[starts[group] : starts[group] + tied[group]]
            winners[group] = min(rivals.tolist(), key=lambda t: self._key(every, int(t)))
        return winners[~np.isin(labels[winners], labels[is_taken])]

    def _ranked(self, unique: Selection) -> Selection:
        """The best `size`: higher score, then lower complexity, then canonical key."""
        score = np.round(unique.score, DIGITS)
        complexity = self.space.complexity(unique.opcode, unique.left, unique.right)
        order = np.lexsort((complexity, -score))
        steps = (np.diff(score[order]) != 0) | (np.diff(complexity[order]) != 0)
        groups = np.split(order, np.flatnonzero(steps) + 1)
        ranked: list[int] = []
        for group in groups:
            if len(ranked) >= self.size:
                break
            tied = group.tolist()
            ranked += sorted(tied, key=lambda t: self._key(unique, t)) if len(tied) > 1 else tied
        return unique.take(np.array(ranked[: self.size], dtype=np.int64))

    def _key(self, selection: Selection, t: int) -> str:
        triple = int(selection.opcode[t]), int(selection.left[t]), int(selection.right[t])
        return self.space.key(*triple)


@dataclass(frozen=True)
class _Search:
    """One problem's way through the pairs: what the kernels know of it, the pairs it may use, where its finds go.

    A search without pool only counts what becomes of the features.
    """

    problem: kernels.Problem
    pairs: list[Pairs]
    is_census: bool
    pool: _Pool | None


class _Copies:
    """float32 copies of the stored features, each made when it is first needed."""

    def __init__(self, values: np.ndarray):
        self._values = values

    @cached_property
    def values(self) -> kernels.Factors:
        return self._scaled(lambda rows: rows)

    @cached_property
    def inverses(self) -> kernels.Factors:
        return self._scaled(np.reciprocal)

    def _scaled(self, function: Callable[[np.ndarray], np.ndarray]) -> kernels.Factors:
        """Rows divided by powers of two, so that their largest value is about 1; rows that are not finite are zero."""
        out, squares = np.zeros(self._values.shape, dtype=np.float32), np.ones(len(self._values))
        for start in range(0, len(out), BLOCK):
            part = slice(start, start + BLOCK)
            with np.errstate(divide="ignore", over="ignore"):
                rows = function(self._values[part])
                largest = np.abs(rows).max(axis=1)
                scale = np.ldexp(1.0, np.frexp(np.where(np.isfinite(largest), largest, 1.0))[1])
                squares[part] = scale**2
            good = np.isfinite(largest)
            out[part][good] = rows[good] / scale[good, None]
        return kernels.Factors(out, squares)

    @cached_property
    def centred(self) -> tuple[np.ndarray, np.ndarray]:
        """Values less their means, and the means."""
        means = self._values.mean(axis=1)
        return self._less(means), means

    @cached_property
    def plain(self) -> tuple[np.ndarray, np.ndarray]:
        """Values as they are, and zeros."""
        means = np.zeros(len(self._values))
        return self._less(means), means

    def _less(self, means: np.ndarray) -> np.ndarray:
        out = np.empty(self._values.shape, dtype=np.float32)
        with np.errstate(over="ignore"):
            np.subtract(self._values, means[:, None], out=out, casting="same_kind")
        return out


_copies: WeakKeyDictionary[Space, _Copies] = WeakKeyDictionary()
"""Those of the spaces in use, so that each pass over a space need not make them again."""


def _forbidden(space: Space, problem: Problem) -> np.ndarray:
    """ndarray (n_words,) of uint64: bits of the primaries that the problem may not use, as in `Space.masks`."""
    words = np.zeros(space.masks.shape[1], dtype=np.uint64)
    for i in np.flatnonzero(~problem.allowed):
        words[i // 64] |= np.uint64(1) << np.uint64(i % 64)
    return words


def admitted_pairs(space: Space, problems: Sequence[Problem]) -> dict[bytes, list[Pairs]]:
    """The pairs that problems may use, by the bytes of `Problem.allowed`."""
    out = {}
    for problem in problems:
        key = problem.allowed.tobytes()
        if key not in out:
            allowed = np.logical_not((space.masks & _forbidden(space, problem)).any(axis=1))
            out[key] = [pairs.only(allowed, allowed) for pairs in space.pairs]
    return out


def scored_operators(pairs: Pairs) -> list[Operator]:
    """The operators of pairs, all of one sweep: sums, or a product or quotient alone.

    Raises
    ------
    SettingsError
        No sweep scores an operator with this opcode beside the others.
    """
    rows = [BY_OPCODE.get(opcode) for opcode in pairs.opcodes]
    known = [row for row in rows if row is not None and row.moments is not None]
    if len(known) < len(rows) or (len(rows) > 1 and not all(row.is_sum for row in known)):
        raise SettingsError(f"pair sweep: needs sums, a product or a quotient, found the opcodes {pairs.opcodes}")
    return known


class _Pass:
    """State that the threads of one pass share."""

    def __init__(
        self,
        space: Space,
        problems: Sequence[Problem],
        residuals: Sequence[np.ndarray],
        pools: list[_Pool],
        centre: bool,
        is_census: bool,
    ):
        self.space, self.pools, self.centre = space, pools, centre
        self.copies = _copies.setdefault(space, _Copies(space.values))
        self.limits = kernels.Limits(space.settings.min_abs, space.settings.max_abs, False)
        forbidden = np.array([_forbidden(space, problem) for problem in problems])
        shares = np.array([problem.shares for problem in problems])
        first = np.cumsum([0, *(len(rows) for rows in residuals)])
        self.problems = kernels.Problems(shares, np.concatenate(residuals), first, forbidden, centre)
        self.n_states = np.zeros(4, dtype=np.int64)
        self.is_census = is_census
        self.searches = self._searches(problems, residuals, is_census)
        self._lock = Lock()

    def _searches(self, problems, residuals, is_census: bool) -> list[_Search]:
        out = []
        n = self.space.n_samples
        pairs_of = admitted_pairs(self.space, problems)
        for p, (problem, rows) in enumerate(zip(problems, residuals, strict=True)):
            if not len(rows):
                continue
            counts = is_census and problem.is_uniform() and bool(problem.allowed.all())
            is_census = is_census and not counts
            seen = self._seen(self.problems.weights[p], rows, self.pools[p].taken_scores)
            out.append(_Search(seen, pairs_of[problem.allowed.tobytes()], counts, self.pools[p]))
        if is_census:
            seen = self._seen(np.full(n, 1.0 / n), np.empty((0, n)), np.empty(0))
            out.append(_Search(seen, self.space.pairs, True, None))
        return out

    def _seen(self, weights: np.ndarray, rows: np.ndarray, taken: np.ndarray) -> kernels.Problem:
        factors = np.concatenate([weights[None], weights * rows]).astype(np.float32)
        return kernels.Problem(weights, rows, factors, self.centre, (len(weights) + ROUNDINGS) * 2.0**-24, taken)

    @property
    def n_features(self) -> int:
        """Features to be looked at, counted once for each problem."""
        singles = self.space.n_features - sum(pairs.n_features for pairs in self.space.pairs)
        return singles + sum(pairs.n_features for search in self.searches for pairs in search.pairs)

    # Work: each piece returns how many features it looked at -----------------------------------------------------------

    def pieces(self, threads: int) -> Iterator[Callable[[], int]]:
        """The pairs in pieces, problem by problem."""
        for search in self.searches:
            most = WORK / (self.space.n_samples * (2 + len(search.problem.targets)))
            for pairs in search.pairs:
                rows = scored_operators(pairs)
                if rows[0].is_sum:
                    scan = partial(kernels.scan_sums, self._moments(search.problem))
                else:
                    is_quotient = rows[0].moments == OF_QUOTIENT
                    sides = [self.copies.values, self.copies.inverses if is_quotient else self.copies.values]
                    if is_quotient and not pairs.is_row_left:
                        sides.reverse()
                    scan = partial(kernels.scan_products, *sides)
                size = most if len(self.searches) > 4 * threads else min(most, pairs.n_features / (4 * threads))
                for part in pairs.parts(size, kernels.ROWS):
                    yield partial(self._scan_pairs, search, part, scan)

    def _moments(self, problem: kernels.Problem) -> kernels.Shifted:
        values, means = self.copies.centred if self.centre else self.copies.plain
        factors = problem.weights * np.vstack([np.ones_like(problem.weights), problem.targets])
        return kernels.Shifted(values, means, *kernels.moments(self.space.values, means, factors))

    def _scan_pairs(self, search: _Search, pairs: Pairs, scan: Callable) -> int:
        bits = sum(1 << opcode for opcode in pairs.opcodes)
        work = kernels.Work(bits, pairs.is_row_left, pairs.rows, pairs.columns, pairs.first, pairs.stop)
        top, held = search.pool.best() if search.pool else (np.empty(1), 0)
        triples, scores, states = scan(
            work, self.space.values, search.problem, top, held, search.is_census, self.limits
        )
        if search.pool:
            opcode, left, right = triples.T
            search.pool.add(Selection(opcode.astype(np.int16), left.astype(np.int32), right.astype(np.int32), scores))
        self._count(states)
        return pairs.n_features

    def scan_singles(self, block: Block) -> int:
        limits = self.limits
        if not block.opcode:  # they are within bounds, and without intercept a constant primary may be of use
            limits = limits._replace(min_abs=0.0, max_abs=np.inf, constants=not self.centre)
        thresholds = np.array([kernels.threshold(*pool.best()) for pool in self.pools])
        states, pairs, scores = kernels.scan_singles(
            block.opcode, block.left, self.space.values, self.space.masks, self.problems, thresholds, limits
        )
        if self.is_census and block.opcode:  # stored features were counted when their rung was made
            self._count(states)
        order = np.argsort(pairs[:, 1], kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(pairs[order, 1])) + 1):
            if len(part):
                numbers = block.left[pairs[part, 0]]
                opcodes = np.full(len(part), block.opcode, dtype=np.int16)
                self.pools[pairs[part[0], 1]].add(Selection(opcodes, numbers, numbers, scores[part]))
        return len(block.left)

    def _count(self, states: np.ndarray) -> None:
        with self._lock:
            self.n_states += states


def screen(
    space: Space,
    problems: Sequence[Problem],
    residuals: Sequence[np.ndarray],
    n_sis: int,
    *,
    taken: Sequence[Selection] | None = None,
    centre: bool = True,
    threads: int = 1,
    progress: Progress | None = None,
    is_census: bool = True,
) -> tuple[list[Selection], Counter]:
    """The `n_sis` best features of the space for each problem.

    Parameters
    ----------
    space : Space
    problems : sequence of Problem
    residuals : sequence of ndarray (n_residuals, n_samples)
        One or several residuals for each problem, centred and of weighted norm 1 (`Problem.normalised`); a problem without any
        gets no features.
    n_sis : int
        Number of features for each problem.
    taken : sequence of Selection, optional
        Features that a problem has already; they and their duplicates are not chosen again.
    centre : bool
        False for fits without intercept: the score is then the cosine, not the correlation.
    threads : int
        Number of threads; the result does not depend on it.
    progress : callable, optional
        Called with (features done, features in all).
    is_census : bool
        Whether to count the rejected features; that need be done once for a space.

    Returns
    -------
    list of Selection
        For each problem, best first: higher score, then lower complexity, then canonical key. Fewer than `n_sis` only if the space
        has no more.
    Counter
        Features rejected in the last rung once their values were known, by cause.

    Raises
    ------
    Stopped
        On Ctrl-C, with the best so far.

    Examples
    --------
    >>> from sisso_sal.features.space import SpaceSettings
    >>> x = np.array([[1.0, 2.0, 3.0, 5.0], [2.0, 1.0, 4.0, 3.0]])
    >>> space = Space(["a", "b"], ["", ""], x, SpaceSettings(operators=("mult",), rung=1))
    >>> problem = Problem(3 * x[0] * x[1] + 1, np.ones(4), np.ones(2, bool))
    >>> (best,), _ = screen(space, [problem], [problem.normalised(problem.target[None], True)], 1)
    >>> str(space.expression(best.opcode[0], best.left[0], best.right[0])), round(float(best.score[0]), 6)
    ('a*b', 1.0)
    """
    if not any(len(rows) for rows in residuals):
        return [Selection.empty() for _ in problems], Counter()
    taken = taken or [Selection.empty()] * len(problems)
    pools = [
        _Pool(space, problem.shares, rows, n_sis, centre, own)
        for problem, rows, own in zip(problems, residuals, taken, strict=True)
    ]
    state = _Pass(space, problems, residuals, pools, centre, is_census)
    total, done = state.n_features, 0
    with one_blas_thread(), workers(threads) as executor:
        try:
            singles = (partial(state.scan_singles, block) for block in space.singles(BLOCK))
            for pieces in (singles, state.pieces(threads)):  # the singles' scores are the first thresholds of the pairs
                for looked_at in _unordered(executor, pieces, 4 * threads):
                    done += looked_at
                    if progress:
                        progress(space.n_features * done // total, space.n_features)
        except KeyboardInterrupt:
            executor.shutdown(cancel_futures=True)
            for pool in pools:
                pool.compact()
            raise Stopped([pool.kept for pool in pools]) from None
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    for pool in pools:
        pool.compact()
    _, not_finite, out_of_bounds, constant = state.n_states.tolist()
    return [pool.kept for pool in pools], Counter(domain=not_finite, bounds=out_of_bounds, constant=constant)


def compile_kernels() -> None:
    """Have the kernels compiled or loaded, in this thread: a compilation in another one would hold up Ctrl-C."""
    settings = SpaceSettings(operators=("add", "mult", "div"), rung=1)
    space = Space(["a", "b"], ["", ""], np.array([[1.0, 2.0, 3.0, 5.0], [2.0, 1.0, 4.0, 3.0]]), settings)
    problem = Problem(np.arange(4.0) ** 2, np.ones(4), np.ones(2, dtype=bool))
    residual = problem.normalised(problem.target[None], True)
    pool = _Pool(space, problem.shares, residual, 2, True, Selection.empty())
    state = _Pass(space, [problem], [residual], [pool], True, True)
    with one_blas_thread():
        for piece in (*(partial(state.scan_singles, block) for block in space.singles()), *state.pieces(1)):
            piece()
    pool.compact()


def _unordered(executor: Executor, pieces: Iterable[Callable[[], int]], ahead: int) -> Iterator[int]:
    """Results of the pieces as they come, with at most `ahead` of them under way."""
    waiting: set[Future] = set()
    for piece in pieces:
        waiting.add(executor.submit(piece))
        if len(waiting) >= ahead:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in finished)
    while waiting:
        finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in finished)
