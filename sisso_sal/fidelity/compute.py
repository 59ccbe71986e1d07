"""Computing of structures what is asked for and is not there yet, on any executor."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from sisso_sal.errors import OracleError
from sisso_sal.fidelity.parts import KeptParts, Kind
from sisso_sal.fidelity.potentials import Potential, calculator_of
from sisso_sal.fidelity.starts import Start
from sisso_sal.system.machine import workers
from sisso_sal.system.storage import undisturbed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymatgen.core import Structure

__all__ = ["computed", "relaxers"]

_IN_HAND = 2
"""Structures for each worker that are handed out at once."""


Outcome = TypeVar("Outcome")
"""What becomes of a structure."""


def _compute_one(kind: Kind[Outcome], structure: Structure, potential: Potential, settings: Any) -> Outcome:
    """Runs where the worker is."""
    return kind.compute(structure, calculator_of(potential), settings)


def _begin_worker() -> None:
    """An interruption is for the process that started the workers: they end what they have in hand."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def relaxers(n_workers: int) -> Iterator[Executor]:
    """An executor for `computed`: this process, or so many processes with one thread each.

    Parameters
    ----------
    n_workers : int
    """
    if n_workers == 1:
        with workers(1) as executor:
            yield executor
        return
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    pool = ProcessPoolExecutor(n_workers, multiprocessing.get_context("spawn"), _begin_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def computed(
    starts: Sequence[Start],
    potential: Potential,
    settings: Any,
    parts: KeptParts[Outcome],
    executor: Executor,
    *,
    n_workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[tuple[str, str], Outcome]:
    """What becomes of every structure: from the parts, or computed now and added to them.

    Parameters
    ----------
    starts : sequence of Start
    potential : Potential
    settings : RelaxationSettings, or what the kind of the parts needs
    parts : KeptParts
    executor : Executor
        Calls return when they are done; an interruption waits for those in hand, and what they return is kept.
    n_workers : int
        Of the executor.
    progress : callable
        Called with (done, total) of what is computed now.

    Returns
    -------
    dict of (str, str) to Relaxed, or to the outcome of that kind
        By key of the formula and name of the start, in the order of `starts`.

    Raises
    ------
    OracleError
        A worker died.
    """
    keys = [parts.kind.key(start, potential, settings) for start in starts]
    asked = {key: start for key, start in zip(keys, starts, strict=True) if parts.get(key, settings) is None}
    progress(0, len(asked))
    try:
        _compute(asked, potential, settings, parts, executor, _IN_HAND * n_workers, progress)
    except BrokenExecutor as error:
        raise OracleError(
            f"{parts.folder}: a worker died ({error}); the same command goes on, with fewer --workers if memory was short"
        ) from error
    outcomes = {}
    for key, start in zip(keys, starts, strict=True):
        part = parts.get(key, settings)
        if part is None:
            raise OracleError(f"{parts.folder}: {start.formula} ({start.name}) was computed and is not there")
        outcomes[start.key, start.name] = part.outcome()
    return outcomes


def _compute(
    asked: Mapping[str, Start],
    potential: Potential,
    settings: Any,
    parts: KeptParts[Any],
    executor: Executor,
    in_hand: int,
    progress: Callable[[int, int], None],
) -> None:
    waiting = iter(asked.items())
    running: dict[Future[Any], tuple[str, Start]] = {}
    done, kind = 0, parts.kind

    def keep(finished: Iterator[Future[Any]]) -> int:
        n_kept = 0
        for future in finished:
            key, start = running.pop(future)
            parts.add(kind.part.of(key, start, settings, future.result()))
            n_kept += 1
        return n_kept

    try:
        while True:
            with undisturbed:  # in this process a call returns when it is done
                while len(running) < in_hand and (following := next(waiting, None)) is not None:
                    structure = following[1].structure
                    running[executor.submit(_compute_one, kind, structure, potential, settings)] = following
                    if any(future.done() for future in running):
                        break
                done += keep(iter([future for future in running if future.done()]))
            progress(done, len(asked))
            if not running and done == len(asked):
                return
            wait(running, return_when=FIRST_COMPLETED)
    except KeyboardInterrupt:
        going_on = [future for future in running if not future.cancel()]
        wait(going_on)
        keep(iter(going_on))
        raise
