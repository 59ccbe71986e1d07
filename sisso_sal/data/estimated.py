"""Names of the columns that the command ``estimate`` makes."""

from __future__ import annotations

__all__ = ["ESTIMATED_BY", "is_estimated"]

ESTIMATED_BY = ("chgnet", "chgnet_0_2_0", "chgnet_r2scan", "sevenn")
"""Words for potentials with which the names of these columns end."""


def is_estimated(name: str) -> bool:
    """Whether a column of this name is one that ``estimate`` makes.

    Examples
    --------
    >>> is_estimated("H_f_chgnet"), is_estimated("EN_mean")
    (True, False)
    """
    return name.endswith(tuple(f"_{potential}" for potential in ESTIMATED_BY))
