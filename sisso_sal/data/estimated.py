"""Names of the columns that the command ``estimate`` makes."""

from __future__ import annotations

from sisso_sal.data.phonon_columns import FREE_ENERGY, LOWEST

__all__ = ["ESTIMATED_BY", "is_estimated", "is_of_phonons"]

ESTIMATED_BY = ("chgnet", "chgnet_0_2_0", "chgnet_r2scan", "sevenn")
"""Words for potentials with which the names of these columns end."""


def is_estimated(name: str) -> bool:
    """Whether a column of this name is one that ``estimate`` makes from energies; those on phonons are no features by themselves.

    Examples
    --------
    >>> [is_estimated(name) for name in ("H_f_chgnet", "F_vib_chgnet", "EN_mean")]
    [True, False, False]
    """
    return not is_of_phonons(name) and name.endswith(tuple(f"_{potential}" for potential in ESTIMATED_BY))


def is_of_phonons(name: str) -> bool:
    """Whether a column of this name is one of the two numbers that ``estimate`` makes from phonons.

    Examples
    --------
    >>> [is_of_phonons(name) for name in ("F_vib_chgnet", "lowest_mode_sevenn", "F_vib_measured")]
    [True, True, False]
    """
    return name in {f"{number}_{potential}" for number in (LOWEST, FREE_ENERGY) for potential in ESTIMATED_BY}
