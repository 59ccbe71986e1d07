"""Charge-balanced oxides of a few metals in common oxidation states, many at a time.

All choices of metals and of their indices stand in one fixed order, so that a range of positions says which are meant. The states
are those that `sisso_sal.oxides.oxidation_states.oxidation_states` chooses, whose first step always has a solution here.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement, pairwise
from typing import NamedTuple

import numpy as np

from sisso_sal.oxides.elements import element_data
from sisso_sal.oxides.oxidation_states import oxidation_states

__all__ = [
    "BalancedOxides",
    "MetalTable",
    "balanced_oxides",
    "common_states",
    "count_balanced",
    "formulas_of",
    "metal_table",
]

_ENTRIES = 1 << 18
"""Choices of states that are looked at together: they bound the memory."""

_CLOSE = 2e-6
"""Likelihoods that differ by less may be equal after the rounding to six digits in the rule, and the rule itself decides."""


class MetalTable(NamedTuple):
    """Metals in alphabetical order, each with its common states.

    - ``symbols``: tuple of str; (n_metals,)
    - ``n_states``: ndarray (n_metals,) of int
    - ``states``: ndarray (n_metals, most_states) of int; common states, ascending; zero beyond the last.
    - ``log_shares``: ndarray (n_metals, most_states); logarithm of the share of the state among the crystal structures of
      the element.
    - ``places``: ndarray (n_metals, most_states) of int; sorts the metals of a formula: by state, then electronegativity,
      then symbol, as `reduced_formula` does.
    """

    symbols: tuple[str, ...]
    n_states: np.ndarray
    states: np.ndarray
    log_shares: np.ndarray
    places: np.ndarray


class BalancedOxides(NamedTuple):
    """Oxides of the same number of metals, the metals of each in alphabetical order.

    - ``metals``: ndarray (n_metals, n) of int; numbers of the metals in the table.
    - ``indices``, ``states``: ndarray (n_metals, n) of int; atoms per formula unit, and the oxidation state of each.
    - ``order``: ndarray (n_metals, n) of int; which metal comes first in the formula, which second, ...
    - ``oxygen``: ndarray (n,) of int; atoms of oxygen per formula unit.
    """

    metals: np.ndarray
    indices: np.ndarray
    states: np.ndarray
    order: np.ndarray
    oxygen: np.ndarray


def metal_table(symbols: Sequence[str]) -> MetalTable:
    """The table of these metals; each has a common state and an electronegativity."""
    elements = [element_data()[symbol] for symbol in sorted(symbols)]
    n_states = np.array([len(element.common) for element in elements])
    states = np.zeros((len(elements), n_states.max()), dtype=np.int64)
    log_shares, places = np.zeros(states.shape), np.zeros(states.shape, dtype=np.int64)
    ions = [(state, e.value("EN (Pauling)"), e.symbol) for e in elements for state in e.common]
    place_of = {ion: place for place, ion in enumerate(sorted(ions))}
    for row, element in enumerate(elements):
        for column, state in enumerate(element.common):
            states[row, column] = state
            log_shares[row, column] = math.log(element.known.get(state, 1.0))
            places[row, column] = place_of[state, element.value("EN (Pauling)"), element.symbol]
    return MetalTable(tuple(element.symbol for element in elements), n_states, states, log_shares, places)


def balanced_oxides(
    table: MetalTable, n_metals: int, max_index: int, start: int, stop: int
) -> Iterator[BalancedOxides]:
    """The oxides at the positions from `start` to before `stop`, some thousand at a time.

    Each composition comes once, with coprime indices: of its metals at most `max_index`, of oxygen what balances the charges.

    Parameters
    ----------
    table : MetalTable
    n_metals, max_index : int
    start, stop : int
        Positions: metals in lexicographic order, then indices in lexicographic order.

    Yields
    ------
    BalancedOxides

    Examples
    --------
    >>> table = metal_table(["Ti", "Sr"])
    >>> (oxides,) = balanced_oxides(table, 2, 2, 0, 4)
    >>> oxides.indices.tolist(), oxides.oxygen.tolist()
    ([[1, 1, 2], [1, 2, 1]], [3, 5, 4])
    """
    most_choices = math.prod(sorted(table.n_states.tolist())[-n_metals:])
    step = max(1, _ENTRIES // most_choices)
    for first in range(start, stop, step):
        yield _at_positions(table, n_metals, max_index, first, min(stop, first + step))


def common_states(table: MetalTable, metals: np.ndarray, indices: np.ndarray, oxygen: np.ndarray) -> np.ndarray:
    """The states of given oxides where the first step of the rule decides, each metal being in one of its common states.

    Parameters
    ----------
    table : MetalTable
    metals, indices : ndarray (n_metals, n) of int
        Numbers of the metals in the table, ascending in each column, and atoms per formula unit.
    oxygen : ndarray (n,) of int
        Atoms of oxygen per formula unit.

    Returns
    -------
    ndarray (n_metals, n) of int; zeros where no common states balance the charges.

    Examples
    --------
    >>> table = metal_table(["Fe", "Ti"])
    >>> common_states(table, np.array([[0, 0], [1, 1]]), np.array([[2, 1], [1, 1]]), np.array([5, 9])).tolist()
    [[3, 0], [4, 0]]
    """
    states = np.zeros_like(metals)
    slab = (np.cumsum(table.n_states[metals].prod(axis=0)) - 1) // _ENTRIES
    edges = [0, *(np.flatnonzero(np.diff(slab)) + 1).tolist(), metals.shape[1]]
    for start, stop in pairwise(edges):
        rows = slice(start, stop)
        groups, group = np.unique(metals[:, rows], axis=1, return_inverse=True)
        choices = _choices(table, groups)
        position, choice, charge = _charges(choices, group.ravel(), indices[:, rows])
        balanced = np.flatnonzero(charge == 2 * oxygen[rows][position])
        position, choice, charge = position[balanced], choice[balanced], charge[balanced]
        likeliest = _likeliest(table, choices, indices[:, rows], position, choice, charge)
        states[:, start + position[likeliest]] = choices.states[:, choice[likeliest]]
    return states


def formulas_of(table: MetalTable, oxides: BalancedOxides) -> np.ndarray:
    """Formulas as `sisso_sal.oxides.pool.reduced_formula` writes them: ndarray (n,) of str objects."""
    metals = np.take_along_axis(oxides.metals, oxides.order, axis=0)
    indices = np.take_along_axis(oxides.indices, oxides.order, axis=0)
    n_numbers = int(oxides.indices.max(initial=0)) + 1
    atoms = np.array([_atoms(symbol, n) for symbol in table.symbols for n in range(n_numbers)], dtype=object)
    oxygen = np.array([_atoms("O", n) for n in range(int(oxides.oxygen.max(initial=0)) + 1)], dtype=object)
    pieces = [atoms[metal * n_numbers + index] for metal, index in zip(metals, indices, strict=True)]
    return sum(pieces[1:], pieces[0]) + oxygen[oxides.oxygen]


def _atoms(symbol: str, n: int) -> str:
    return f"{symbol}{n}" if n > 1 else symbol


def count_balanced(table: MetalTable, n_metals: int, max_index: int) -> int:
    """How many oxides of `n_metals` metals there are: metals with the same common states have equally many, so few are made.

    Examples
    --------
    >>> count_balanced(metal_table(["Ti", "Sr"]), 2, 2)
    3
    """
    alike: dict[tuple[int, ...], list[str]] = {}
    for symbol, states in zip(table.symbols, table.states.tolist(), strict=True):
        alike.setdefault(tuple(states), []).append(symbol)
    total = 0
    for kinds in combinations_with_replacement(alike, n_metals):
        numbers = Counter(kinds)
        times = math.prod(math.comb(len(alike[kind]), number) for kind, number in numbers.items())
        if times:
            some = metal_table([symbol for kind, number in numbers.items() for symbol in alike[kind][:number]])
            slabs = balanced_oxides(some, n_metals, max_index, 0, max_index**n_metals)
            total += times * sum(len(slab.oxygen) for slab in slabs)
    return total


class _Choices(NamedTuple):
    """For each group of metals every choice of their states, the groups one after the other."""

    first: np.ndarray  # (n_groups,): its first choice
    number: np.ndarray  # (n_groups,)
    metals: np.ndarray  # (n_metals, n_choices)
    states: np.ndarray  # (n_metals, n_choices)
    log_shares: np.ndarray  # (n_metals, n_choices)
    order: np.ndarray  # (n_metals, n_choices)


def _at_positions(table: MetalTable, n_metals: int, max_index: int, start: int, stop: int) -> BalancedOxides:
    n_patterns = max_index**n_metals
    first_group, last_group = start // n_patterns, (stop - 1) // n_patterns
    choices = _choices(table, _groups(len(table.symbols), n_metals, first_group, last_group + 1))
    group, pattern = np.divmod(np.arange(start, stop), n_patterns)
    group -= first_group
    indices = np.stack([pattern // max_index**power % max_index + 1 for power in reversed(range(n_metals))])
    # An oxide whose metals have a common divisor of three or more can be divided by it, or by half of it: oxygen as well.
    divisor = np.gcd.reduce(indices, axis=0)
    kept = np.flatnonzero(divisor <= 2)
    group, indices, divisor = group[kept], indices[:, kept], divisor[kept]

    position, choice, charge = _charges(choices, group, indices)
    coprime = (divisor == 1)[position] | (charge % 4 == 2)
    balanced = np.flatnonzero((charge % 2 == 0) & coprime)
    position, choice, charge = position[balanced], choice[balanced], charge[balanced]

    likeliest = _likeliest(table, choices, indices, position, choice, charge)
    position, choice, charge = position[likeliest], choice[likeliest], charge[likeliest]
    return BalancedOxides(
        choices.metals[:, choice],
        indices[:, position],
        choices.states[:, choice],
        choices.order[:, choice],
        charge // 2,
    )


def _charges(choices: _Choices, group: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every choice of states of every position, given its group and its indices: position, choice and charge, (n_entries,)."""
    position = np.repeat(np.arange(len(group)), choices.number[group])
    ends = np.cumsum(choices.number[group])
    choice = np.arange(len(position)) + (choices.first[group] - ends + choices.number[group])[position]
    charge = np.zeros(len(position), dtype=np.int64)
    for index, state in zip(indices, choices.states, strict=True):
        charge += index[position] * state[choice]
    return position, choice, charge


def _groups(n: int, size: int, start: int, stop: int) -> np.ndarray:
    """The combinations of `size` of `n` numbers with these places in lexicographic order: ndarray (size, stop - start).

    Read backwards, with n - 1 - number for each number, they are in colexicographic order, where the place of c_1 < c_2 < … is the
    sum of the binomials (c_1 over 1), (c_2 over 2), … [D. E. Knuth, The Art of Computer Programming 4A, 7.2.1.3, theorem L].
    """
    place = math.comb(n, size) - 1 - np.arange(start, stop)
    out = np.empty((size, len(place)), dtype=np.int64)
    for row in range(size):
        binomials = np.array([math.comb(number, size - row) for number in range(n)])
        number = np.searchsorted(binomials, place, side="right") - 1
        place -= binomials[number]
        out[row] = n - 1 - number
    return out


def _choices(table: MetalTable, groups: np.ndarray) -> _Choices:
    n_states = table.n_states[groups]
    number = n_states.prod(axis=0)
    first = np.cumsum(number) - number
    group = np.repeat(np.arange(groups.shape[1]), number)
    rest = np.arange(len(group)) - first[group]
    metals = groups[:, group]
    which = np.empty_like(metals)
    for row in reversed(range(len(groups))):
        rest, which[row] = np.divmod(rest, n_states[row][group])
    order = np.argsort(table.places[metals, which], axis=0)
    return _Choices(first, number, metals, table.states[metals, which], table.log_shares[metals, which], order)


def _likeliest(
    table: MetalTable,
    choices: _Choices,
    indices: np.ndarray,
    position: np.ndarray,
    choice: np.ndarray,
    charge: np.ndarray,
) -> np.ndarray:
    """Of entries with the same metals, indices and charge the one that the rule takes: ndarray (n_kept,) of int, ascending.

    Entries of one position stand together.
    """
    beaten = np.zeros(len(position), dtype=bool)
    undecided: dict[tuple[int, int], None] = {}
    near, distance = np.arange(len(position)), 0
    while len(near):
        distance += 1
        near = near[: np.searchsorted(near, len(position) - distance)]
        near = near[position[near] == position[near + distance]]
        one = near[charge[near] == charge[near + distance]]
        other = one + distance
        at = indices[:, position[one]]
        gain = (at * choices.log_shares[:, choice[one]]).sum(axis=0)
        gain -= (at * choices.log_shares[:, choice[other]]).sum(axis=0)
        beaten[one[gain < -_CLOSE]] = True
        beaten[other[gain > _CLOSE]] = True
        for entry in one[np.abs(gain) <= _CLOSE].tolist():
            undecided[int(position[entry]), int(charge[entry])] = None
    for place, total in undecided:
        entries = np.flatnonzero((position == place) & (charge == total))
        chosen = _by_the_rule(table, choices.metals[:, choice[entries[0]]], indices[:, place], total // 2)
        beaten[entries] = (choices.states[:, choice[entries]] != chosen[:, None]).any(axis=0)
    return np.flatnonzero(~beaten)


def _by_the_rule(table: MetalTable, metals: np.ndarray, indices: np.ndarray, oxygen: int) -> np.ndarray:
    """States of the metals of one oxide: ndarray (n_metals,)."""
    amounts = {table.symbols[metal]: int(n) for metal, n in zip(metals, indices, strict=True)}
    return np.array([ion.state for ion in oxidation_states(amounts | {"O": oxygen})[:-1]])
