"""Where parts of a computation run: in this process, in other processes of this machine, or on a cluster.

Everything runs on a `concurrent.futures.Executor`; there is one way to hand out parts (`Workers.unordered`) for all of them.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple, NoReturn, TypeVar

from sisso_sal.errors import ExecutorError, SettingsError, reason_of
from sisso_sal.system.machine import keep_freed_memory, one_blas_thread, start_blas, usable_cores
from sisso_sal.system.storage import undisturbed

__all__ = ["HERE", "Span", "Workers", "open_workers"]

AHEAD = 2
"""Parts under way for each worker: one is computed, one waits."""

MOST_LOSSES = 5
"""Times that workers may be lost without a finished part in between."""

PATIENCE = 30.0
"""Seconds in which a scheduler has to answer."""

DASK = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
}
"""Settings of Dask's workers. By default each looks at itself a hundred times a second, for a dashboard: a tenth of its time."""

_NOTHING = object()

Part = TypeVar("Part")
Result = TypeVar("Result")


class Span(NamedTuple):
    """When a worker computed a part: host and process, and seconds since 1970 by its clock."""

    worker: str
    begin: float
    end: float


@dataclass(eq=False)
class Workers:
    """Processes that compute parts; opened by `open_workers`.

    Parameters
    ----------
    threads : int
        Threads that a part may use.
    where : str
        For messages.
    count : callable
        Gives the number of workers; on a cluster it changes while parts are computed.
    start : callable, optional
        Makes the executor, and makes it anew where a lost worker has broken it. Without it the parts are computed in this process.
    lost : tuple of exception types
        What a part raises whose worker was lost.
    spans : list of Span, optional
        Gets the span of each part that was computed elsewhere; a time line can be drawn of them.
    """

    threads: int
    where: str = "this process"
    count: Callable[[], int] = lambda: 1
    start: Callable[[], Executor] | None = None
    lost: tuple[type[BaseException], ...] = (BrokenExecutor,)
    spans: list[Span] | None = None
    _executor: Executor | None = field(default=None, init=False, repr=False)

    @property
    def n(self) -> int:
        """Number of workers, at least 1."""
        return max(1, self.count())

    @property
    def is_here(self) -> bool:
        """Whether the parts are computed in this process."""
        return self.start is None

    def unordered(
        self, function: Callable[[Part], Result], parts: Iterable[Part], *, drain: bool = False
    ) -> Generator[tuple[Part, Result]]:
        """Each part with its result, as they come.

        A bounded number of parts is under way, so that `parts` may be a generator without end in sight. The part of a worker that
        was lost is computed again.

        Parameters
        ----------
        function : callable
            Of a module, or a `functools.partial` of one, so that it can be sent to another process.
        parts : iterable
            Small: they are sent as well.
        drain : bool
            An interruption waits for the parts under way, and they are yielded before it is raised.

        Yields
        ------
        (part, result)

        Raises
        ------
        ExecutorError
            Workers were lost again and again, the scheduler does not answer, or a worker has another version of this program.

        Examples
        --------
        >>> sorted(HERE.unordered(abs, [-2, 1]))
        [(-2, 2), (1, 1)]
        """
        if self.start is None:
            yield from _here(function, parts, drain)
            return
        state = _UnderWay(self, partial(_compute, function, _version()), iter(parts))
        try:
            while state.fill():
                yield from state.finished()
        except KeyboardInterrupt:
            if drain:
                yield from state.rest()
            raise
        except BrokenExecutor as error:
            raise ExecutorError(
                f"{self.where}: its workers died ({reason_of(error)}); the same command goes on"
            ) from error
        except CancelledError as error:
            raise ExecutorError(f"{self.where}: the scheduler has gone; the same command goes on") from error
        finally:
            state.give_up()

    def executor(self) -> Executor:
        """The executor, which is started when it is asked for the first time."""
        if self.start is None:
            raise ExecutorError(f"{self.where}: has no executor")
        if self._executor is None:
            self._executor = self.start()
        return self._executor

    def replace(self, broken: Executor) -> None:
        """Start anew, if this is the executor in use and cannot be used any more."""
        if broken is self._executor and isinstance(broken, ProcessPoolExecutor):
            self.close()

    def close(self) -> None:
        """End the executor without waiting for parts that nobody asks for."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None


HERE = Workers(threads=1)
"""This process, with one thread."""


def _here(function: Callable, parts: Iterable, drain: bool) -> Iterator[tuple[Any, Any]]:
    for part in parts:
        if not drain:
            yield part, function(part)
            continue
        result: Any = _NOTHING
        try:
            with undisturbed:  # an interruption is raised at the end, when the result is there
                result = function(part)
        except KeyboardInterrupt:
            if result is not _NOTHING:
                yield part, result
            raise
        yield part, result


@dataclass(eq=False)
class _UnderWay:
    """The parts of one call of `Workers.unordered`."""

    workers: Workers
    call: Callable
    parts: Iterator
    running: dict[Future, tuple[Any, Executor]] = field(default_factory=dict)
    again: deque = field(default_factory=deque)
    n_losses: int = 0

    def fill(self) -> bool:
        """Hand out parts; whether any is under way."""
        while len(self.running) < self._most():
            try:
                part = next(self.parts)
            except StopIteration:
                if not self.again:
                    break
                part = self.again.popleft()
            executor = self.workers.executor()
            try:
                self.running[executor.submit(self.call, part)] = part, executor
            except self.workers.lost as error:
                self._lose(part, executor, error)
        return bool(self.running)

    def _most(self) -> int:
        """Parts under way; one where workers die again and again: then a part that kills its worker takes no other along."""
        return 1 if self.n_losses > MOST_LOSSES // 2 else AHEAD * self.workers.n

    def finished(self) -> Iterator[tuple[Any, Any]]:
        """Those that are done, after waiting for one at least."""
        done, _ = wait(self.running, return_when=FIRST_COMPLETED)
        yield from self._results(done)

    def rest(self) -> Iterator[tuple[Any, Any]]:
        """What is under way, to its end."""
        for future in list(self.running):
            if future.cancel():
                del self.running[future]
        done, _ = wait(self.running)
        yield from self._results(done)

    def give_up(self) -> None:
        for future in self.running:
            future.cancel()

    def _results(self, done: Iterable[Future]) -> Iterator[tuple[Any, Any]]:
        for future in done:
            part, executor = self.running.pop(future)
            try:
                result, span = future.result()
            except self.workers.lost as error:
                self._lose(part, executor, error)
                continue
            self.n_losses = 0
            if self.workers.spans is not None:
                self.workers.spans.append(span)
            yield part, result

    def _lose(self, part: Any, executor: Executor, error: BaseException) -> None:
        """It is computed again, after the others. Of an executor that broke all parts come here, and the loss counts once."""
        self.again.append(part)
        is_first = executor is self.workers._executor
        self.workers.replace(executor)
        if not is_first:
            return
        self.n_losses += 1
        if self.n_losses > MOST_LOSSES:
            raise ExecutorError(
                f"{self.workers.where}: {self.n_losses} times a worker died and no part was finished ({reason_of(error)}); "
                "where memory was short, take fewer workers; the same command goes on"
            ) from error


@cache
def _version() -> str:
    return version("sisso-sal")


def _compute(function: Callable, wanted: str, part: Any) -> tuple[Any, Span]:
    """Runs in the worker."""
    if wanted != _version():
        raise ExecutorError(f"worker: needs sisso-sal {wanted} as where the command runs, found {_version()}")
    keep_freed_memory()
    begin = time.time()
    with one_blas_thread():
        result = function(part)
    return result, Span(f"{socket.gethostname()}:{os.getpid()}", begin, time.time())


# Where ----------------------------------------------------------------------------------------------------------------


@contextmanager
def open_workers(
    executor: str = "local",
    n: int | None = None,
    threads: int | None = None,
    *,
    tell: Callable[[str], None] = lambda line: None,
) -> Iterator[Workers]:
    """The workers that a command asks for; they are ended with the context.

    Parameters
    ----------
    executor : str
        ``local``; ``dask:local`` (a scheduler and workers of Dask on this machine); ``dask:ADDRESS`` or ``dask:FILE``, a scheduler
        that runs already, by its address or its scheduler file; or ``package.module:name``, a callable that takes ``max_workers``
        and gives any `concurrent.futures.Executor`, for instance ``mpi4py.futures:MPIPoolExecutor``.
    n : int, optional
        Processes. Locally by default one, this process itself. Of a scheduler that runs already: how many to wait for, by
        default one.
    threads : int, optional
        For each part; by default this process takes all usable cores, local processes share them, and others take one.
    tell : callable
        Told while workers are waited for.

    Raises
    ------
    SettingsError
        There is no such executor, or a package is missing.
    ExecutorError
        A scheduler does not answer.

    Examples
    --------
    >>> with open_workers("local", 1) as workers:
    ...     workers.n, sorted(workers.unordered(abs, [-2, 1]))
    (1, [(-2, 2), (1, 1)])
    """
    kind, _, rest = executor.partition(":")
    with ExitStack() as stack:
        if executor == "local":
            yield _local(n or 1, threads, stack)
        elif kind == "dask" and rest:
            yield _dask(rest, n, threads or 1, stack, tell)
        elif kind and rest:
            yield _foreign(executor, n, threads or 1, stack)
        else:
            raise SettingsError(
                "executor: needs local, dask:local, dask:ADDRESS, dask:FILE (a scheduler file) or package.module:name, "
                f"found '{executor}'"
            )


def _local(n: int, threads: int | None, stack: ExitStack) -> Workers:
    if n == 1:
        return Workers(threads or usable_cores())
    share = threads or max(1, usable_cores() // n)
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    theirs, ours = context.Pipe(duplex=False)
    workers = Workers(
        share,
        f"{n} processes of this machine",
        lambda: n,
        lambda: ProcessPoolExecutor(n, context, _begin, (theirs, share)),
    )
    stack.callback(theirs.close)
    stack.callback(ours.close)  # before the other end: this ends the processes
    stack.callback(workers.close)
    return workers


def _begin(alive: Any, threads: int) -> None:
    """A worker process begins: interruptions are for the process that started it, and it ends when that one has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))
    start_blas()
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()


def _end_with(alive: Any) -> NoReturn:
    """Nothing is ever sent: the wait ends when the other end is closed, as it is when its process dies of whatever cause."""
    try:
        alive.poll(None)
    finally:
        os._exit(1)


def _dask(place: str, n: int | None, threads: int, stack: ExitStack, tell: Callable[[str], None]) -> Workers:
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        raise SettingsError(
            f"executor dask:{place}: needs the package dask: pip install 'sisso-sal[cluster]'"
        ) from error
    if place == "local":
        stack.enter_context(import_module("dask").config.set(DASK))
        cluster = distributed.LocalCluster(
            n_workers=n or usable_cores(), threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=logging.ERROR
        )  # fmt: skip
        client = distributed.Client(stack.enter_context(cluster))
    else:
        client = _client_of(distributed.Client, place)
    stack.enter_context(client)
    where = f"dask:{place}"
    wanted = n or 1
    if len(client.ncores()) < wanted:
        tell(f"{where}: waits for {wanted} {'worker' if wanted == 1 else 'workers'}, found {len(client.ncores())}")
        client.wait_for_workers(wanted)
    workers = Workers(
        threads,
        where,
        lambda: sum(client.ncores().values()),
        lambda: client.get_executor(pure=False),
        (distributed.scheduler.KilledWorker,),
    )
    stack.callback(workers.close)
    return workers


def _client_of(make: Callable[..., Any], place: str) -> Any:
    """A client of a scheduler that runs already."""
    is_file = Path(place).is_file()
    if not is_file and (place.endswith(".json") or os.sep in place.partition("://")[2] or place.startswith(("/", "."))):
        raise SettingsError(f"executor dask:{place}: there is no such scheduler file; does the scheduler run?")
    try:
        return make(scheduler_file=place, timeout=PATIENCE) if is_file else make(place, timeout=PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise ExecutorError(f"executor dask:{place}: no scheduler answers there: {reason_of(error)}") from error


def _foreign(name: str, n: int | None, threads: int, stack: ExitStack) -> Workers:
    try:
        make = resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"executor '{name}': cannot be imported: {reason_of(error)}") from error
    try:
        executor = make(**({"max_workers": n} if n else {}))
    except TypeError as error:
        raise SettingsError(f"executor '{name}': cannot be started: {reason_of(error)}") from error
    if not isinstance(executor, Executor):
        raise SettingsError(
            f"executor: needs a concurrent.futures.Executor, found {type(executor).__name__} of '{name}'"
        )
    stack.enter_context(executor)
    known = getattr(executor, "_max_workers", None) or n or 1
    return Workers(threads, name, lambda: known, lambda: executor, ())
