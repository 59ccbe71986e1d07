"""How large a search is, and what it will take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from sisso_sal.engine.problem import Problem
from sisso_sal.engine.screen import admitted_pairs
from sisso_sal.features.space import FeatureSpace
from sisso_sal.system.durations import duration
from sisso_sal.system.machine import one_blas_thread, usable_memory

PAIR_SECONDS = 8e-9
"""What a pair costs beside its matrix products."""

SUBSET_SECONDS = 1e-9
"""What L0 takes for a subset."""

OVERHEAD = 1.3
"""Tiles of a staircase do a little more than the staircase."""


@dataclass(frozen=True, kw_only=True)
class SearchSize:
    """How much a search looks for.

    Parameters
    ----------
    dim : int
        Largest number of terms.
    n_sis : int
        Features added to each subspace per dimension.
    n_residual : int
        Number of best models of a dimension whose residuals the next screening sees (Purcell et al., npj Comput. Mater. 9, 112
        (2023)).
    keep : int
        Fits kept for each dimension.
    """

    dim: int
    n_sis: int
    n_residual: int = 1
    keep: int = 10


@dataclass(frozen=True)
class Plan:
    """What a search will take.

    Attributes
    ----------
    n_features : int
        Features of the space.
    n_problems, n_passes : int
        A pass screens the space for all problems.
    n_subsets : int
        Subsets that L0 looks at, over all problems and dimensions.
    seconds : float
        Estimate with the threads to be used, from the speed of a small matrix product.
    n_bytes : int
        Memory on top of what is in use.
    """

    n_features: int
    n_problems: int
    n_passes: int
    n_subsets: int
    seconds: float
    n_bytes: int

    def __str__(self) -> str:
        problems = f" for {self.n_problems} problems" if self.n_problems > 1 else ""
        times = "once" if self.n_passes == 1 else f"{self.n_passes} times"
        return (
            f"{self.n_features:.3g} features, screened {times}{problems}, then {self.n_subsets:.3g} subsets: "
            f"about {duration(max(self.seconds, 1.0))} and {max(self.n_bytes / 2**30, 0.1):.1f} GiB"
        )


def plan(space: FeatureSpace, problems: Sequence[Problem], size: SearchSize, threads: int) -> Plan:
    """Estimate what `search` with these arguments takes. `seconds` is right to within a factor of two or so.

    Examples
    --------
    >>> from sisso_sal.features.space import SpaceSettings
    >>> space = FeatureSpace(["a", "b"], ["", ""], np.eye(2, 9) + 1.0, SpaceSettings(operators=("mult", "div"), rung=1))
    >>> one = Problem(np.arange(9.0), np.ones(9), np.ones(2, bool))
    >>> planned = plan(space, [one], SearchSize(dim=2, n_sis=2), threads=1)
    >>> planned.n_features, planned.n_passes, planned.n_subsets
    (5, 2, 8)
    """
    n, dim = space.n_samples, size.dim
    pairs_of = admitted_pairs(space, problems)
    n_pairs = sum(part.n_features for problem in problems for part in pairs_of[problem.allowed.tobytes()])
    products = n * sum(3 if d == 0 else 2 + size.n_residual for d in range(dim))
    sizes = [min(d * size.n_sis, space.n_features) for d in range(1, dim + 1)]
    n_subsets = len(problems) * sum(comb(number, d) for d, number in enumerate(sizes, start=1))
    seconds = (
        n_pairs * OVERHEAD * (products * _multiply_add_seconds(n) + dim * PAIR_SECONDS) + n_subsets * SUBSET_SECONDS
    )
    copies = 3 * space.values.nbytes // 2  # three in float32
    # Triples and more need a Gram matrix, in float64 and float32, and one for each level above.
    gram = sizes[-1] ** 2 * (12 + 8 * (dim - 3)) if dim > 2 else 0
    pool = 8 * n * min(9 * size.n_sis, space.n_features)  # features that wait for `Pool.compact`
    n_bytes = copies + max(threads * (gram + 3 * 8 * sizes[-1] * n), min(threads, len(problems)) * pool)
    return Plan(space.n_features, len(problems), dim, n_subsets, seconds / threads, n_bytes)


def _multiply_add_seconds(n: int) -> float:
    """Time of one multiply-add in a float32 product of matrices with n columns, on one thread."""
    a, b = np.ones((128, n), np.float32), np.ones((256, n), np.float32)
    out = np.empty((128, 256), np.float32)
    spent = []
    with one_blas_thread():
        for _ in range(4):
            start = time.perf_counter()
            np.dot(a, b.T, out=out)
            spent.append(time.perf_counter() - start)
    return min(spent) / (128 * 256 * n)


def fits(planned: Plan) -> bool:
    """Whether the memory is there."""
    return planned.n_bytes <= usable_memory()
