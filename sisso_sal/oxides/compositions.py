"""Oxides as arrays, those of one shape together."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sisso_sal.oxides.balance import MetalTable, common_states, metal_table
from sisso_sal.oxides.elements import element_data, whole_amounts

__all__ = ["Compositions", "common_oxides", "compositions_of"]

_MOST_METALS = 5
"""Choices of states grow as a power of the metals."""


class Compositions(NamedTuple):
    """Oxides with the same number of elements, and the same number of oxidation states.

    - ``elements``: ndarray (n_elements, n) of int; numbers of the elements, as in `element_data`; those of an oxide in
      alphabetical order of the symbols.
    - ``amounts``: ndarray (n_elements, n); atoms of each element per formula unit.
    - ``ions``: ndarray (n_states, n); atoms in each oxidation state per formula unit, in the order of `oxidation_states`:
      oxygen last.
    - ``states``: ndarray (n_states, n); the oxidation states.
    """

    elements: np.ndarray
    amounts: np.ndarray
    ions: np.ndarray
    states: np.ndarray


def compositions_of(
    table: MetalTable, metals: np.ndarray, indices: np.ndarray, states: np.ndarray, oxygen: np.ndarray
) -> Compositions:
    """Oxides of metals of a table, each in one state: all (n_metals, n) but oxygen (n,), the metals of each ascending."""
    places = {symbol: number for number, symbol in enumerate(element_data())}
    elements = np.array([places[symbol] for symbol in table.symbols])[metals]
    # Oxygen stands between the metals by the alphabet, as in a composition that `parse_formula` reads.
    before = (metals < bisect(table.symbols, "O")).sum(axis=0)
    rows = np.arange(len(elements) + 1)[:, None]
    row_of = np.minimum(rows - (rows > before), len(elements) - 1)
    is_oxygen = rows == before
    return Compositions(
        np.where(is_oxygen, places["O"], np.take_along_axis(elements, row_of, axis=0)),
        np.where(is_oxygen, oxygen, np.take_along_axis(indices, row_of, axis=0)).astype(float),
        np.concatenate([indices, oxygen[None]]).astype(float),
        np.concatenate([states, np.full((1, len(before)), -2)]).astype(float),
    )


def common_oxides(formulas: Sequence[str], symbols: Sequence[str]) -> Iterator[tuple[np.ndarray, Compositions]]:
    """The oxides among formulas that need no look at each: plain, with whole indices, metals in common states.

    Parameters
    ----------
    formulas : sequence of str
    symbols : sequence of str
        Which elements may stand beside oxygen; each has common states and an electronegativity.

    Yields
    ------
    rows : ndarray (n_chosen,) of int
        Numbers of the formulas, those with equally many metals together.
    oxides : Compositions
        As `oxidation_states` gives them, whose first step always decides here.

    Examples
    --------
    >>> (rows, oxides), = common_oxides(["Fe3O4", "TiO2", "Ti0.5O", "H2"], ["Fe", "Ti"])
    >>> rows.tolist(), oxides.states.tolist()
    ([1], [[4.0], [-2.0]])
    """
    table = metal_table(symbols)
    places = {symbol: number for number, symbol in enumerate(element_data())}
    amounts = whole_amounts(formulas)
    oxygen = amounts[:, places["O"]].copy()
    of_metals = amounts[:, [places[symbol] for symbol in table.symbols]]
    n_metals = np.count_nonzero(of_metals, axis=1)
    is_oxide = (oxygen > 0) & (np.count_nonzero(amounts, axis=1) == n_metals + 1)
    for number in range(1, _MOST_METALS + 1):
        rows = np.flatnonzero(is_oxide & (n_metals == number))
        metals = np.nonzero(of_metals[rows])[1].reshape(len(rows), number).T
        indices = of_metals[rows, metals]
        states = common_states(table, metals, indices, oxygen[rows])
        solved = np.flatnonzero(states[0])
        if len(solved):
            rows = rows[solved]
            known = (metals[:, solved], indices[:, solved], states[:, solved], oxygen[rows])
            yield rows, compositions_of(table, *known)
