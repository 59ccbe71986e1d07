"""Names of the columns that the command ``estimate`` makes."""

from __future__ import annotations

from sisso_sal.data.phonon_columns import FREE_ENERGY, LOWEST

__all__ = ["ESTIMATED_BY", "is_estimated"]

ESTIMATED_BY = ("chgnet", "chgnet_0_2_0", "chgnet_r2scan", "sevenn")
"""Words for potentials with which the names of these columns end."""


def is_estimated(name: str) -> bool:
    """Whether a column of this name is one that ``estimate`` makes from energies; those on phonons are no features by themselves.

    Examples
    --------
    >>> [is_estimated(name) for name in ("H_f_chgnet", "F_vib_chgnet", "EN_mean")]
    [True, False, False]
    """
    if name.startswith((f"{LOWEST}_", f"{FREE_ENERGY}_")):
        return False
    return name.endswith(tuple(f"_{potential}" for potential in ESTIMATED_BY))
