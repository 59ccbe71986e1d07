"""Descriptors in whose space the convex domains of classes overlap least: SISSO's own criterion for classes.

First counts the weight of the samples of one class in the domain of another, then the size of the overlap (Ouyang et al., Phys.
Rev. Mater. 2, 083802 (2018), sec. II C; the details are those of the program SISSO 3.5). Hulls in a plane whose edges cross each
other more than twice count as wholly overlapping, as there: of a feature and a power of it the hulls are thin and bent, and few
samples of one lie in the other although the classes are mixed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from sisso_sal.engine import _hulls, _overlap
from sisso_sal.engine.class_pass import Scorer, screen_classes
from sisso_sal.engine.class_problem import ClassProblem
from sisso_sal.engine.class_search import SubspaceClassFits, first_subsets
from sisso_sal.engine.convex import are_inside
from sisso_sal.engine.screen import Progress
from sisso_sal.engine.selection import Selection
from sisso_sal.engine.sparsify import Ranks
from sisso_sal.features.space import FeatureSpace

PARENTS = 10
"""Best subsets of one feature less that subsets of three and more features extend."""

TRIES = 20
"""Subsets of three and more features that are looked at exactly: those that may have the least weight in the overlap."""

PAD = 32
"""The kernels look at this many problems at a time."""


@dataclass(frozen=True)
class Separation:
    """How well a subset of features tells the classes.

    Attributes
    ----------
    subset : tuple of int
        Numbers of the features, ascending.
    weight : float
        Of the samples in the domain of another class, once for each pair of classes.
    size : float
        Mean over pairs of convex classes of the size of the overlap in units of the smaller domain; minus the smallest distance
        where no two domains meet.
    unclear : ndarray (n_samples,) of bool
        Samples of positive weight in the domain of another class.
    """

    subset: tuple[int, ...]
    weight: float
    size: float
    unclear: np.ndarray

    @property
    def is_perfect(self) -> bool:
        """Whether no sample is in the domain of another class."""
        return self.weight == 0.0


@dataclass(frozen=True)
class Domains:
    """Samples of one problem class by class, and what makes their domains.

    Attributes
    ----------
    samples : ndarray (n,) of int
        Numbers of the samples.
    starts : ndarray (n_classes + 1,) of int
        Where each class begins.
    weights : ndarray (n,)
    is_convex : ndarray (n_classes,) of bool
        Whether a class has a domain.
    width : float
        Distance from a domain up to which a sample counts as inside, in units of the features.
    """

    samples: np.ndarray
    starts: np.ndarray
    weights: np.ndarray
    is_convex: np.ndarray
    width: float

    @classmethod
    def of(
        cls, problem: ClassProblem, among: np.ndarray, is_convex: np.ndarray | None = None, width: float = 0.0
    ) -> Domains:
        """Those of the samples of positive weight that are `among` (n_samples,) of bool."""
        samples = np.flatnonzero(problem.present & among)
        samples = samples[np.argsort(problem.labels[samples], kind="stable")]
        starts = np.searchsorted(problem.labels[samples], np.arange(problem.n_classes + 1))
        convex = np.ones(problem.n_classes, dtype=bool) if is_convex is None else is_convex
        return cls(samples, starts, problem.weights[samples], convex, width)

    @property
    def offset(self) -> float:
        """What no weight in the overlaps exceeds: each sample counts at most once for each other class."""
        return float(self.weights.sum() * (len(self.starts) - 2)) + 1.0


def room_for(sizes: tuple[int, int], n_parts: int, n_classes: int, n_bounds: int = 0) -> _overlap.Room:
    """Room for one call of a kernel.

    Parameters
    ----------
    sizes : tuple of int
        Samples that it sees, and most samples of a problem.
    n_parts, n_classes : int
        Parts of the samples that it sees, and classes.
    n_bounds : int
        Problems for which a bound is looked for.
    """
    low, high = np.empty((2, n_parts))
    own_low, own_high = np.empty((2, n_classes))
    row, picked = np.empty(sizes[0]), np.empty(sizes[1])
    bins, order, counts = (
        np.empty(sizes[0], np.int64),
        np.empty(sizes[0], np.int64),
        np.empty(_overlap.N_BINS + 1, np.int64),
    )
    of_problems = (np.empty(shape, np.float32) for shape in ((n_classes, n_bounds), n_bounds, n_bounds))
    return _overlap.Room(row, picked, low, high, own_low, own_high, bins, order, counts, *of_problems)


def scorer_of(every: Sequence[Domains], n_samples: int) -> Scorer:
    """Scores by the overlap in one dimension, for a pass over the features.

    Parameters
    ----------
    every : sequence of Domains
        Of each problem.
    n_samples : int
    """
    first = every[0]
    if len(every) == 1:
        order, starts = first.samples, first.starts
    else:
        order, starts = np.arange(n_samples), np.array([0, n_samples])
    place = np.full(n_samples, -1)
    place[order] = np.arange(len(order))
    most = max(len(domains.samples) for domains in every)
    samples, weights = np.zeros((len(every), most), np.int64), np.zeros((len(every), most))
    for p, domains in enumerate(every):
        samples[p, : len(domains.samples)], weights[p, : len(domains.samples)] = place[domains.samples], domains.weights
    is_first = np.array([len(every) == 1] * len(every))
    offsets = np.array([domains.offset for domains in every])
    all_starts = np.array([domains.starts for domains in every])
    n_classes, n_bounds = len(first.starts) - 1, -(-len(every) // PAD) * PAD if len(every) > 1 else 0
    labels = np.zeros(n_samples if n_bounds else 0, np.int64)
    by_sample = np.zeros((n_samples, n_bounds), np.float32)
    for p, domains in enumerate(every if n_bounds else ()):
        own = np.repeat(np.arange(n_classes), np.diff(domains.starts))
        labels[domains.samples], by_sample[domains.samples, p] = own, domains.weights
    of_class = np.array([by_sample[labels == c].sum(axis=0) for c in range(n_classes)]).reshape(n_classes, -1)
    open_ = (of_class > 0) & first.is_convex[:, None]
    others = (open_ * (of_class.sum(axis=0) - of_class)).sum(axis=0)
    arguments = _overlap.Domains(
        samples, all_starts, weights, is_first, first.is_convex, first.width, offsets, labels, by_sample,
        open_.astype(np.float32), others.astype(np.float32),
    )  # fmt: skip

    def room() -> _overlap.Room:
        return room_for((len(order), most), len(starts) - 1, n_classes, n_bounds)

    return Scorer(order, _overlap.scan_pairs, _overlap.scan_rows, (starts, arguments), room)


def best_subsets(
    values: np.ndarray, domains: Domains, dim: int, keep: int, ranks: Ranks, parents: Sequence[Separation] = ()
) -> list[Separation]:
    """The subsets of features in whose space the domains overlap least, best first.

    Parameters
    ----------
    values : ndarray (m, n_samples)
        Of the features.
    domains : Domains
        Of all samples of positive weight.
    dim : int
        All subsets of one and two features are looked at. Of larger ones those that extend the best `PARENTS` of one feature less,
        and of these the `TRIES` whose samples in the overlaps of all planes weigh least.
    keep : int
    ranks : Ranks
        Of equal subsets the one with the least complex features comes first, then the first keys.
    parents : sequence of Separation
        The best of one feature less, for three and more.

    Examples
    --------
    >>> problem = ClassProblem(np.array([0, 0, 1, 1]), np.ones(4), np.ones(1, bool))
    >>> domains = Domains.of(problem, np.ones(4, bool))
    >>> values = np.array([[1.0, 2.0, 3.0, 5.0], [1.0, 3.0, 2.0, 4.0]])
    >>> best = best_subsets(values, domains, 1, 2, Ranks([0, 0].__getitem__, str))
    >>> [(one.subset, one.weight, one.size) for one in best]
    [((0,), 0.0, -1.0), ((1,), 2.0, 0.5)]
    """
    rows = np.ascontiguousarray(values[:, domains.samples])
    if dim == 1:
        members = np.arange(len(rows))[:, None]
        weights, sizes = _of_rows(rows, domains)
    elif dim == 2:
        members, weights, sizes = _of_planes(rows, domains, keep)
    else:
        members, weights, sizes = _of_spaces(rows, domains, parents)
    n_samples = values.shape[1]
    chosen = first_subsets(members, weights, sizes, keep, ranks)
    return [
        Separation(subset, float(weights[t]), float(sizes[t]), _unclear(rows[list(subset)], domains, n_samples))
        for t, subset in chosen
    ]


def overlaps(values: np.ndarray, domains: Domains) -> tuple[np.ndarray, np.ndarray]:
    """Weight of the samples in the overlaps, and the size of the overlap, of each feature alone; values (m, n_samples)."""
    return _of_rows(np.ascontiguousarray(values[:, domains.samples]), domains)


def unclear_samples(values: np.ndarray, domains: Domains) -> np.ndarray:
    """ndarray (n_samples,) of bool: samples in the domain of another class; values (dim, n_samples)."""
    return _unclear(values[:, domains.samples], domains, values.shape[1])


def _of_rows(rows: np.ndarray, domains: Domains) -> tuple[np.ndarray, np.ndarray]:
    """Weight in the overlaps and their size of each feature with the values rows (m, n)."""
    m, n = rows.shape
    weights, sizes, n_classes = np.empty(m), np.empty(m), len(domains.starts) - 1
    room = room_for((n, n), n_classes, n_classes)
    own = domains.starts, domains.weights, domains.is_convex, domains.width
    _overlap.overlaps(rows, own, room, weights, sizes)
    return weights, sizes


def _of_planes(rows: np.ndarray, domains: Domains, keep: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs (n_pairs, 2) of features that may be among the best, the weights in the overlaps of their planes and the sizes."""
    m, starts = len(rows), domains.starts
    orders = np.concatenate(
        [a + np.argsort(rows[:, a:b], axis=1, kind="stable") for a, b in pairwise(starts.tolist())], axis=1
    )
    totals, sizes = np.full((m, m), np.inf), np.zeros((m, m))
    plane = _hulls.Plane(starts, domains.weights, domains.is_convex, domains.width)
    _hulls.scan_planes(rows, orders, (0, m), plane, np.full(keep, np.inf), totals, sizes)
    left, right = np.nonzero(np.isfinite(totals))
    return np.column_stack([left, right]), totals[left, right], sizes[left, right]


def _of_spaces(
    rows: np.ndarray, domains: Domains, parents: Sequence[Separation]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Subsets of three and more features, the weights in the overlaps of their spaces, and zeros for sizes."""
    planes: dict[tuple[int, int], np.ndarray] = {}

    def is_unclear(pair: tuple[int, int]) -> np.ndarray:
        if pair not in planes:
            planes[pair] = _inside_others(rows[list(pair)], domains)
        return planes[pair]

    children = sorted(
        {
            tuple(sorted({*parent.subset, number}))
            for parent in parents[:PARENTS]
            for number in range(len(rows))
            if number not in parent.subset
        }
    )
    bounds = []
    for child in children:
        open_ = np.minimum.reduce([is_unclear(pair) for pair in combinations(child, 2)])
        bounds.append((float(open_ @ domains.weights), child))
    tried = [child for _, child in sorted(bounds)[:TRIES]]
    weights = [float(_inside_others(rows[list(child)], domains) @ domains.weights) for child in tried]
    return np.array(tried, dtype=np.int64).reshape(len(tried), -1), np.array(weights), np.zeros(len(tried))


def _inside_others(rows: np.ndarray, domains: Domains) -> np.ndarray:
    """ndarray (n,): in how many domains of other classes each sample lies; rows (dim, n)."""
    counts = np.zeros(rows.shape[1], dtype=np.int64)
    for c, (start, stop) in enumerate(pairwise(domains.starts.tolist())):
        if domains.is_convex[c] and stop > start:
            others = np.r_[0:start, stop : rows.shape[1]]
            counts[others] += are_inside(rows[:, others], rows[:, start:stop], domains.width)
    return counts


def unclear_weight(values: np.ndarray, domains: Domains) -> float:
    """Weight of the samples in the domain of another class, once for each; values (dim, n_samples)."""
    return float(_inside_others(values[:, domains.samples], domains) @ domains.weights)


def _unclear(rows: np.ndarray, domains: Domains, n_samples: int) -> np.ndarray:
    out = np.zeros(n_samples, dtype=bool)
    out[domains.samples] = _inside_others(rows, domains) > 0
    return out


@dataclass(frozen=True)
class OverlapCriterion:
    """SISSO's criterion: samples in the overlap of convex domains, then the size of the overlap.

    After the first dimension a feature is scored by the samples alone that the best descriptor leaves in an overlap.

    Parameters
    ----------
    width : float
        Distance from a domain up to which a sample counts as inside, in units of the features.
    is_convex : tuple of bool, optional
        For each class whether its samples make a domain; by default all do. Samples of a class without one are only counted in the
        domains of others.
    """

    width: float = 0.001
    is_convex: tuple[bool, ...] | None = None

    def domains(self, problem: ClassProblem, among: np.ndarray | None = None) -> Domains:
        """Those of the samples of positive weight, or of some of them (n_samples,)."""
        every = np.ones(len(problem.labels), dtype=bool)
        convex = None if self.is_convex is None else np.array(self.is_convex)
        return Domains.of(problem, every if among is None else among, convex, self.width)

    def screened(
        self,
        space: FeatureSpace,
        results: Sequence[SubspaceClassFits],
        n_sis: int,
        *,
        threads: int,
        progress: Progress | None,
    ) -> tuple[list[Selection], Counter]:
        """See `ClassCriterion`."""
        every = [self.domains(result.problem, left_after(result.problem, result.fits)) for result in results]
        problems, taken = [result.problem for result in results], [result.subspace for result in results]
        scorer = scorer_of(every, space.n_samples)
        return screen_classes(space, problems, taken, scorer, n_sis, threads=threads, progress=progress)

    def best(
        self,
        values: np.ndarray,
        problem: ClassProblem,
        dim: int,
        keep: int,
        ranks: Ranks,
        parents: Sequence[Separation],
    ) -> list[Separation]:
        """See `ClassCriterion`."""
        return best_subsets(values, self.domains(problem), dim, keep, ranks, parents)


def left_after(problem: ClassProblem, fits: Sequence[Sequence[Separation]]) -> np.ndarray:
    """ndarray (n_samples,) of bool: samples that the next feature shall tell apart, after the best subsets of each dimension."""
    if not fits:
        return np.ones(len(problem.labels), dtype=bool)
    unclear = fits[-1][0].unclear
    classes = np.unique(problem.labels[unclear])
    return unclear if len(classes) > 1 else unclear | ~np.isin(problem.labels, classes)
