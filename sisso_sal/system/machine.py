"""What this process may use of its machine: cores and memory."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

R = TypeVar("R")
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as in glibc's malloc.h


def usable_cores() -> int:
    """Cores this process may use: its affinity, and the quota of its control group where there is one.

    Examples
    --------
    >>> usable_cores() >= 1
    True
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores


def usable_memory() -> int:
    """Bytes that this process may still use: the free memory of the system, or what the limit of its control group leaves.

    The smaller of both; where neither is known, a number too large to matter.

    Examples
    --------
    >>> usable_memory() > 0
    True
    """
    spare = [2**62]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        spare += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        group = Path("/sys/fs/cgroup")
        spare.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass
    return max(0, min(spare))


class _Here(Executor):
    """Runs each call at once in the calling thread: handing small pieces to one other thread costs more than they do."""

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def workers(threads: int) -> Executor:
    """An executor with so many threads; one is the calling thread itself, where an exception ends `submit` at once.

    Examples
    --------
    >>> with workers(1) as executor:
    ...     list(executor.map(abs, [-1, 2]))
    [1, 2]
    """
    return _Here() if threads == 1 else ThreadPoolExecutor(threads)


def unordered(executor: Executor, calls: Iterable[Callable[[], R]], ahead: int) -> Iterator[R]:
    """Results of the calls as they come, with at most `ahead` of them under way.

    Examples
    --------
    >>> with workers(1) as executor:
    ...     sorted(unordered(executor, [lambda: 1, lambda: 2], 4))
    [1, 2]
    """
    waiting: set[Future[R]] = set()
    for call in calls:
        waiting.add(executor.submit(call))
        if len(waiting) >= ahead:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in finished)
    while waiting:
        finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in finished)


@cache
def keep_freed_memory() -> None:
    """Let this process keep memory that arrays have given back, for the next ones: new pages cost more than the arithmetic.

    glibc does so by itself, but not where it was told a threshold, and Dask tells it one for its workers (the variable
    ``MALLOC_TRIM_THRESHOLD_``); a screening there took three times as long. Other C libraries have no such setting.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, 32 << 20)
        set_option(_TRIM_THRESHOLD, 128 << 20)


def start_blas() -> None:
    """Load the BLAS libraries of NumPy and SciPy with one thread each, unless the environment says how many.

    Otherwise each of them starts a thread for every core, and these look for work for a tenth of a second, in vain: our matrix
    products use one thread (`one_blas_thread`). To be called before NumPy is imported. Afterwards the environment is as before, so
    that programs that are started later do not see a change.
    """
    if _BLAS_THREADS in os.environ:
        return
    os.environ[_BLAS_THREADS] = "1"
    try:
        import numpy  # noqa: F401
        import scipy.linalg.cython_blas  # noqa: F401
    finally:
        del os.environ[_BLAS_THREADS]


@cache
def _controller() -> Any:
    """The BLAS libraries of NumPy and of the compiled kernels, which use SciPy's: it must be there to be limited."""
    import scipy.linalg.cython_blas  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager:
    """While this is entered, a matrix product uses one thread: our own threads share the cores.

    Examples
    --------
    >>> with one_blas_thread():
    ...     pass
    """
    return _controller().limit(limits=1, user_api="blas")
