"""What a part of the work will cost, as an estimate that is made before it begins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What one part of the work takes.

    Parts follow each other: their times add up, and of their memories the largest counts.

    Attributes
    ----------
    what : str
        The part and its size, as in ``correction by 5000 labels``.
    seconds : float
        On the clock, with the threads to be used.
    n_bytes : int
        Memory on top of what is in use.
    less : str
        What makes it need less memory, as in ``a smaller --n-sis``.
    shared : float
        Of the seconds, those that become fewer with more workers.
    """

    what: str
    seconds: float
    n_bytes: int
    less: str
    shared: float = 0.0
