"""Computing of structures what is asked for and is not there yet, by any workers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sisso_sal.errors import OracleError
from sisso_sal.fidelity.parts import KeptParts, Kind
from sisso_sal.fidelity.potentials import Potential, calculator_of
from sisso_sal.fidelity.starts import Start
from sisso_sal.system.executors import HERE, Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["computed"]

Outcome = TypeVar("Outcome")
"""What becomes of a structure."""


def _compute_one(kind: Kind[Outcome], potential: Potential, settings: Any, asked: tuple[str, Start]) -> Outcome:
    """Runs where the worker is."""
    return kind.compute(asked[1].structure, calculator_of(potential), settings)


def computed(
    starts: Sequence[Start],
    potential: Potential,
    settings: Any,
    parts: KeptParts[Outcome],
    workers: Workers = HERE,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[tuple[str, str], Outcome]:
    """What becomes of every structure: from the parts, or computed now and added to them.

    Parameters
    ----------
    starts : sequence of Start
    potential : Potential
    settings : RelaxationSettings, or what the kind of the parts needs
    parts : KeptParts
    workers : Workers
        An interruption waits for the structures in hand, and what becomes of them is kept.
    progress : callable
        Called with (done, total) of what is computed now.

    Returns
    -------
    dict of (str, str) to Relaxed, or to the outcome of that kind
        By key of the formula and name of the start, in the order of `starts`.

    Raises
    ------
    ExecutorError
        Workers died again and again.
    """
    keys = [parts.kind.key(start, potential, settings) for start in starts]
    asked = {key: start for key, start in zip(keys, starts, strict=True) if parts.get(key, settings) is None}
    progress(0, len(asked))
    compute = partial(_compute_one, parts.kind, potential, settings)
    for done, ((key, start), outcome) in enumerate(workers.unordered(compute, asked.items(), drain=True), 1):
        parts.add(parts.kind.part.of(key, start, settings, outcome))
        progress(done, len(asked))
    outcomes = {}
    for key, start in zip(keys, starts, strict=True):
        part = parts.get(key, settings)
        if part is None:
            raise OracleError(f"{parts.folder}: {start.formula} ({start.name}) was computed and is not there")
        outcomes[start.key, start.name] = part.outcome()
    return outcomes
