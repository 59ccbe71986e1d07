"""Columns on the phonons of a row: how `estimate` calls them, which are no features, and what the text says.

The text is for people and for marks of proposals. The numbers have gaps where a structure is unstable or large, and rows with a gap
in a feature are set aside; so beside the text they are features only where they are named.
"""

from __future__ import annotations

from collections.abc import Iterable

TEXT = "phonons"
LOWEST, FREE_ENERGY = "lowest_mode", "F_vib"
UNSTABLE = "dynamically unstable: "
"""How the text of an unstable structure begins."""


def phonon_headers(tag: str) -> dict[str, str]:
    """Headers of the columns of a potential.

    Parameters
    ----------
    tag : str
        Word for the potential.

    Examples
    --------
    >>> list(phonon_headers("chgnet").values())
    ['lowest_mode_chgnet (THz)', 'F_vib_chgnet (eV/atom)', 'phonons_chgnet']
    """
    return {
        LOWEST: f"{LOWEST}_{tag} (THz)",
        FREE_ENERGY: f"{FREE_ENERGY}_{tag} (eV/atom)",
        TEXT: f"{TEXT}_{tag}",
    }


def numbers_beside(names: Iterable[str]) -> frozenset[str]:
    """Names of the columns of numbers that belong to a text on phonons among these.

    Parameters
    ----------
    names : iterable of str
        Of the columns of text, without units.

    Examples
    --------
    >>> sorted(numbers_beside(["formula", "phonons_chgnet"]))
    ['F_vib_chgnet', 'lowest_mode_chgnet']
    """
    tags = [name.removeprefix(f"{TEXT}_") for name in names if name.startswith(f"{TEXT}_")]
    return frozenset(f"{number}_{tag}" for tag in tags for number in (LOWEST, FREE_ENERGY))


def instability(name: str, cell: object) -> str:
    """What a cell says of an unstable structure, with the potential; "" where the structure is not known to be unstable.

    Parameters
    ----------
    name : str
        Of the column.
    cell : object

    Examples
    --------
    >>> instability("phonons_chgnet", "dynamically unstable: -3.21 THz at R")
    'chgnet: -3.21 THz at R'
    >>> instability("phonons_chgnet", "stable: lowest 1.2 THz at X"), instability("phase", "cubic")
    ('', '')
    """
    if not name.startswith(f"{TEXT}_") or not isinstance(cell, str) or not cell.startswith(UNSTABLE):
        return ""
    return f"{name.removeprefix(f'{TEXT}_')}: {cell.removeprefix(UNSTABLE)}"
