"""How large a search is, and what it will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, comb

from sisso_sal.engine.admitted import admitted_pairs
from sisso_sal.engine.logarithms import VALUE_SECONDS
from sisso_sal.engine.parameters import parameter_cost
from sisso_sal.engine.problem import SQUARES, FitObjective, Problem
from sisso_sal.engine.screen import WORTH
from sisso_sal.engine.sweep import pair_seconds
from sisso_sal.errors import SettingsError
from sisso_sal.features.space import FeatureSpace
from sisso_sal.protocols.cost import Cost
from sisso_sal.system.costs import interpreter_seconds
from sisso_sal.system.durations import duration
from sisso_sal.system.executors import HERE, Workers

LONGEST = 86400.0
"""Seconds from which on a search is refused, unless the largest number of features was given."""

MANY = 3600.0
"""Seconds from which on people are told how much faster workers would be."""

SOME = 8
"""Workers for which they are told it."""

SEARCH_STEPS = (450_000, 2000)
"""Steps of the interpreter (`interpreter_seconds`) of a search: to load the kernels, and for each problem and dimension."""

SUBSET_SECONDS = 1e-9
"""What L0 takes for a subset."""


@dataclass(frozen=True, kw_only=True)
class SearchSize:
    """How much a search looks for.

    Parameters
    ----------
    dim : int
        Largest number of terms.
    n_sis : int or tuple of int
        Features added to each subspace per dimension, or in each dimension.
    n_residual : int
        Number of best models of a dimension whose residuals the next screening sees (Purcell et al., npj Comput. Mater. 9, 112
        (2023)).
    keep : int
        Fits kept for each dimension.
    n_scored : int
        Subsets kept for each dimension with their scores alone.
    objective : FitObjective
    max_correlation : float
        Largest correlation between features of a subspace, see `screen_decorrelated`.
    """

    dim: int
    n_sis: int | tuple[int, ...]
    n_residual: int = 1
    keep: int = 10
    n_scored: int = 0
    objective: FitObjective = SQUARES
    max_correlation: float = 1.0

    @property
    def sizes(self) -> tuple[int, ...]:
        """Features added in each dimension, (dim,).

        Examples
        --------
        >>> SearchSize(dim=2, n_sis=50).sizes, SearchSize(dim=2, n_sis=(50, 20)).sizes
        ((50, 50), (50, 20))
        """
        return self.n_sis[: self.dim] if isinstance(self.n_sis, tuple) else (self.n_sis,) * self.dim


def search_cost(
    space: FeatureSpace, problems: Sequence[Problem], size: SearchSize, threads: int, workers: Workers = HERE
) -> Cost:
    """Estimate what `search` with these arguments takes; the time is right to within a factor of 1.5 or so.

    Examples
    --------
    >>> from sisso_sal.features.space import SpaceSettings
    >>> import numpy as np
    >>> space = FeatureSpace(["a", "b"], ["", ""], np.eye(2, 9) + 1.0, SpaceSettings(operators=("mult", "div"), rung=1))
    >>> one = Problem(np.arange(9.0), np.ones(9), np.ones(2, bool))
    >>> search_cost(space, [one], SearchSize(dim=2, n_sis=2), threads=1).what
    '5 features, screened 2 times, and 8 subsets'
    """
    n, dim = space.n_samples, size.dim
    admitted = admitted_pairs(space, [problem.allowed for problem in problems])
    n_pairs = sum(part.n_features for own in admitted for part in own)
    each_pair = sum(pair_seconds(n, 1 if d == 0 else size.n_residual) for d in range(dim))
    if space.settings.logarithms:
        each_pair = dim * n * VALUE_SECONDS
    added = parameter_cost(space, problems, size.sizes)
    sizes = [
        min(number, space.n_features) + more for number, more in zip(accumulate(size.sizes), added.sizes, strict=True)
    ]
    n_subsets = len(problems) * sum(comb(number, d) for d, number in enumerate(sizes, start=1))
    on_pairs = n_pairs * each_pair
    elsewhere = (
        1
        if workers.is_here or space.settings.logarithms or on_pairs < dim * threads * WORTH
        else workers.n * workers.threads
    )
    shared = on_pairs / max(threads, elsewhere)
    steps = SEARCH_STEPS[0] + len(problems) * dim * SEARCH_STEPS[1]
    seconds = shared + n_subsets * SUBSET_SECONDS / threads + added.seconds + steps * interpreter_seconds()
    copies = 3 * space.values.nbytes // 2  # three in float32
    # Triples and more need a Gram matrix, in float64 and float32, and one for each level above.
    gram = sizes[-1] ** 2 * (12 + 8 * (dim - 3)) if dim > 2 else 0
    pool = 8 * n * min(9 * max(size.sizes), space.n_features)  # features that wait for `Pool.compact`
    n_bytes = copies + max(threads * (gram + 3 * 8 * sizes[-1] * n), min(threads, len(problems)) * pool)
    each = f" for {len(problems)} problems" if len(problems) > 1 else ""
    times = "once" if dim == 1 else f"{dim} times"
    times += " by logarithms of all values" if space.settings.logarithms else ""
    times += " at least" if size.max_correlation < 1 else ""
    what = f"{space.n_features:.3g} features, screened {times}{each}, and {n_subsets:.3g} subsets{added.what}"
    return Cost(what, seconds, n_bytes, "a smaller --n-sis or --dim", shared)


def check_length(space: FeatureSpace, cost: Cost, threads: int, workers: Workers = HERE) -> str:
    """What workers would gain where a search takes hours; empty where it is short, or where there are workers.

    Parameters
    ----------
    space : FeatureSpace
        The largest one of the search.
    cost : Cost
        Of all that is searched for, as with these threads and workers.
    threads : int
    workers : Workers

    Raises
    ------
    SettingsError
        The features alone would take longer than a day, and ``max_features`` does not say that a space of this size is wanted.

    Examples
    --------
    >>> from sisso_sal.features.space import SpaceSettings
    >>> import numpy as np
    >>> space = FeatureSpace(["a", "b"], ["", ""], np.eye(2, 9) + 1.0, SpaceSettings(operators=("mult", "div"), rung=1))
    >>> check_length(space, Cost("a search", 7200.0, 0, "", 7200.0), threads=2)
    'a search: about 4.0 h on one core; with --executor and --workers 8 about 30 min'
    """
    hands = threads if workers.is_here else workers.n * workers.threads
    seconds = cost.shared * hands
    if cost.shared > LONGEST and space.settings.max_features is None:
        needed = ceil(seconds / LONGEST)
        fewer = space.smaller(space.settings.rung, space.sizes[-1] * LONGEST / cost.shared)
        here = f"{hands} workers" if not workers.is_here else "one core" if hands == 1 else f"{hands} cores"
        raise SettingsError(
            f"{cost.what}: needs about {duration(cost.shared)} on {here}, more than a day; try --executor and --workers "
            f"{needed} (about {duration(seconds / needed)}) or {fewer}; --max-features {_above(space.n_features)} lets it begin"
        )
    if not workers.is_here or cost.shared < MANY:
        return ""
    return (
        f"{cost.what}: about {duration(seconds)} on one core; with --executor and --workers {SOME} about "
        f"{duration(seconds / SOME)}"
    )


def _above(number: int) -> int:
    """The next number of one digit and zeros.

    Examples
    --------
    >>> _above(52547585885), _above(7)
    (60000000000, 8)
    """
    step = 10 ** (len(str(number)) - 1)
    return (number // step + 1) * step
