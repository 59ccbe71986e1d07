"""Groups of elements that candidates can be kept free of: radioactive, toxic, scarce, each with its sources."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING

from sisso_sal.errors import SettingsError
from sisso_sal.oxides.elements import atomic_fractions, element_data

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ElementGroup:
    """One group of ``element_groups.toml``.

    Attributes
    ----------
    name, means, note : str
    sources : tuple of str
    reasons : mapping of str to str
        Symbol of each element -> why it is in the group; "" where `means` says it.
    """

    name: str
    means: str
    note: str
    sources: tuple[str, ...]
    reasons: Mapping[str, str]


@cache
def element_groups() -> Mapping[str, ElementGroup]:
    """The groups by name.

    Examples
    --------
    >>> list(element_groups()), element_groups()["toxic"].reasons["Tl"]
    (['radioactive', 'toxic', 'scarce'], 'acutely toxic (CLP)')
    """
    text = resources.files("sisso_sal.oxides").joinpath("element_groups.toml").read_text(encoding="utf-8")
    groups = {}
    for name, entry in tomllib.loads(text).items():
        listed = entry["elements"]
        reasons = listed if isinstance(listed, dict) else dict.fromkeys(listed, "")
        groups[name] = ElementGroup(name, entry["means"], entry["note"], tuple(entry["sources"]), reasons)
    return MappingProxyType(groups)


def elements_named(names: Sequence[str], setting: str) -> frozenset[str]:
    """Symbols of elements from symbols and names of groups.

    Parameters
    ----------
    names : sequence of str
    setting : str
        For the message.

    Raises
    ------
    SettingsError
        A name is neither an element nor a group.

    Examples
    --------
    >>> sorted(elements_named(["Hg", "scarce"], "exclude_elements"))[:4]
    ['Ag', 'Au', 'Bi', 'Hg']
    """
    groups, symbols = element_groups(), element_data()
    chosen: set[str] = set()
    for name in names:
        if name in symbols:
            chosen.add(name)
        elif name.lower() in groups:
            chosen |= groups[name.lower()].reasons.keys()
        else:
            known = {known.lower(): known for known in (*symbols, *groups)}
            close = get_close_matches(name.lower(), known, n=1)
            hint = f"; did you mean {known[close[0]]!r}?" if close else ""
            raise SettingsError(f"{setting}: needs elements or groups ({', '.join(groups)}), found {name!r}{hint}")
    return frozenset(chosen)


def groups_of(symbols: Iterable[str]) -> str:
    """The elements that are in a group, and the groups, as text; "" where there are none.

    Examples
    --------
    >>> groups_of(["Hg", "O", "U"])
    'Hg (toxic, scarce), U (radioactive, toxic)'
    """
    members = {
        symbol: [name for name, group in element_groups().items() if symbol in group.reasons] for symbol in symbols
    }
    return ", ".join(f"{symbol} ({', '.join(names)})" for symbol, names in members.items() if names)


def unwanted_formulas(formulas: Sequence[str], exclude: Sequence[str], only: Sequence[str]) -> dict[str, str]:
    """The formulas that contain an element that is not wanted, each with the reason; see `unwanted`.

    Raises
    ------
    SettingsError
        A name is unknown.

    Examples
    --------
    >>> unwanted_formulas(["MgO", "HgO"], ["toxic"], [])
    {'HgO': 'contains Hg'}
    """
    held = unwanted(atomic_fractions(formulas), exclude, only, "the formulas")
    return {formulas[row]: f"contains {', '.join(symbols)}" for row, symbols in held.items()}


def refused_elements(exclude: Sequence[str], only: Sequence[str]) -> set[str]:
    """Symbols of the elements that are not wanted; arguments as of `unwanted`.

    Raises
    ------
    SettingsError
        A name is unknown.

    Examples
    --------
    >>> sorted(refused_elements(["Pb", "Hg"], []))
    ['Hg', 'Pb']
    """
    refused = set(elements_named(exclude, "exclude_elements"))
    if only:
        refused |= element_data().keys() - elements_named(only, "only_elements") - {"O"}
    return refused


def unwanted(
    composition: "np.ndarray | None", exclude: Sequence[str], only: Sequence[str], place: str
) -> "dict[int, tuple[str, ...]]":
    """The materials that contain an element that is not wanted.

    Parameters
    ----------
    composition : ndarray (n, n_elements) or None
        Share of each element, elements as in `element_data`; None where there are no formulas.
    exclude, only : sequence of str
        Elements and groups: none of `exclude` is wanted and, if `only` is not empty, nothing but `only` and oxygen.
    place : str
        The table, for the message.

    Returns
    -------
    dict of int to tuple of str
        Number of the material -> its elements that are not wanted.

    Raises
    ------
    SettingsError
        A name is unknown, or there are no formulas.

    Examples
    --------
    >>> from sisso_sal.oxides.elements import atomic_fractions
    >>> unwanted(atomic_fractions(["MgO", "HgO", "PtO2"]), ["toxic"], ["Mg", "Pt"], "oxides.csv")
    {1: ('Hg',)}
    """
    import numpy as np

    if not exclude and not only:
        return {}
    refused = refused_elements(exclude, only)
    if composition is None:
        raise SettingsError(
            f"{place}: elements can be excluded only where every candidate has a formula: as its id, or in a column 'formula'"
        )
    symbols = tuple(element_data())
    columns = [number for number, symbol in enumerate(symbols) if symbol in refused]
    contained = composition[:, columns] > 0
    return {
        int(row): tuple(symbols[columns[column]] for column in np.flatnonzero(contained[row]))
        for row in np.flatnonzero(contained.any(axis=1))
    }
