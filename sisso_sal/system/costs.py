"""Estimates of time and memory: said before long work begins, and work that does not fit into the memory is refused."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import cache

import numpy as np

from sisso_sal.errors import SettingsError
from sisso_sal.protocols.cost import Cost
from sisso_sal.system.durations import duration
from sisso_sal.system.machine import one_blas_thread, usable_memory

LONG = 5.0
"""Seconds from which on people are told what to expect."""

logger = logging.getLogger(__name__)


def announce(costs: Sequence[Cost]) -> None:
    """Log what the parts of the work will take: for people (INFO) where it is long.

    Raises
    ------
    SettingsError
        A part needs more memory than there is.
    """
    free = usable_memory()
    for cost in costs:
        if cost.n_bytes > free:
            needed, found = cost.n_bytes / 2**30, free / 2**30
            raise SettingsError(f"{cost.what}: needs {needed:.1f} GiB, found {found:.1f} GiB free; try {cost.less}")
    is_long = sum(cost.seconds for cost in costs) > LONG
    logger.log(logging.INFO if is_long else logging.DEBUG, "%s", in_words(costs))


def in_words(costs: Sequence[Cost]) -> str:
    """The sum of all times, the largest memory, and the parts that take a second at least.

    Examples
    --------
    >>> in_words([Cost("a search", 130.0, 2**28, "fewer features"), Cost("the correction", 70.0, 2**31, "fewer labels")])
    'about 3 min and 2.0 GiB: 2 min for a search; 70 s for the correction'
    """
    seconds = sum(cost.seconds for cost in costs)
    n_bytes = max(cost.n_bytes for cost in costs)
    longest = max(costs, key=lambda cost: cost.seconds)
    parts = [f"{duration(cost.seconds)} for {cost.what}" for cost in costs if cost.seconds >= 1.0 or cost is longest]
    return f"about {duration(max(seconds, 1.0))} and {max(n_bytes / 2**30, 0.1):.1f} GiB: {'; '.join(parts)}"


def multiply_add_seconds(n: int, dtype: type = np.float32) -> float:
    """Time of one multiply-add in a product of small matrices with n columns, on one thread, as this process first measured it.

    It is measured for the next power of two, since it hardly depends on n.

    Examples
    --------
    >>> 0 < multiply_add_seconds(100) < 1e-6
    True
    """
    return _measured(1 << (n - 1).bit_length(), dtype)


@cache
def _measured(n: int, dtype: type) -> float:
    a, b = np.ones((128, n), dtype), np.ones((256, n), dtype)
    out = np.empty((128, 256), dtype)
    spent = []
    with one_blas_thread():
        for _ in range(4):
            start = time.perf_counter()
            np.dot(a, b.T, out=out)
            spent.append(time.perf_counter() - start)
    return min(spent) / (128 * 256 * n)
