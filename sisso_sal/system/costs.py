"""Estimates of time and memory: said before long work begins, and work that does not fit into the memory is refused."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

import numpy as np

from sisso_sal.errors import SettingsError
from sisso_sal.protocols.cost import Cost
from sisso_sal.system import clock
from sisso_sal.system.durations import duration
from sisso_sal.system.machine import one_blas_thread, usable_memory

LONG = 5.0
"""Seconds from which on people are told what to expect."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sequel:
    """What a caller does with a model that is being fitted.

    Attributes
    ----------
    predictions : int
        Times that all candidates are predicted.
    costs : tuple of Cost
        Of all else that follows.
    """

    predictions: int = 1
    costs: tuple[Cost, ...] = ()


_ALONE = Sequel()
_sequel: ContextVar[Sequel] = ContextVar("sequel", default=_ALONE)


def sequel() -> Sequel:
    """What follows a fit, as the callers have said it."""
    return _sequel.get()


@contextmanager
def followed_by(what: Sequel) -> Iterator[None]:
    """Have what is announced in the body include what follows it.

    Examples
    --------
    >>> with followed_by(Sequel(predictions=3)):
    ...     sequel().predictions
    3
    >>> sequel()
    Sequel(predictions=1, costs=())
    """
    token = _sequel.set(what)
    try:
        yield
    finally:
        _sequel.reset(token)


def announce(costs: Sequence[Cost]) -> None:
    """Log what the parts of the work will take, and what follows them: for people (INFO) where it is long.

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
    costs = [*costs, *sequel().costs]
    is_long = sum(cost.seconds for cost in costs) > LONG
    logger.log(logging.INFO if is_long else logging.DEBUG, "%s", in_words(costs))


def in_words(costs: Sequence[Cost]) -> str:
    """The sum of all times, the largest memory, and the parts that take a second at least.

    A command counts from its start: what it has taken until now is the first part.

    Examples
    --------
    >>> in_words([Cost("a search", 130.0, 2**28, "fewer features"), Cost("the correction", 70.0, 2**31, "fewer labels")])
    'about 3 min and 2.0 GiB: 2 min for a search; 70 s for the correction'
    """
    until_now = clock.elapsed()
    seconds = until_now + sum(cost.seconds for cost in costs)
    n_bytes = max(cost.n_bytes for cost in costs)
    longest = max(costs, key=lambda cost: cost.seconds)
    parts = [f"{duration(until_now)} until now"] if until_now >= 1.0 else []
    parts += [f"{duration(cost.seconds)} for {cost.what}" for cost in costs if cost.seconds >= 1.0 or cost is longest]
    return f"about {duration(max(seconds, 1.0))} and {max(n_bytes / 2**30, 0.1):.1f} GiB: {'; '.join(parts)}"


@cache
def interpreter_seconds() -> float:
    """Time of a small step of the interpreter, which formats a number and puts it into a table, as this process first measured it.

    Examples
    --------
    >>> 0 < interpreter_seconds() < 1e-4
    True
    """
    n, spent = 2000, []
    for _ in range(4):
        start = time.perf_counter()
        table: dict[str, float] = {}
        for number in range(n):
            table[f"{number + 0.5:.6g}"] = 0.5 * number
        spent.append(time.perf_counter() - start)
    return min(spent) / n


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
