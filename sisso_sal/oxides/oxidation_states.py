"""Charge-balanced oxidation states of an oxide, by a fixed rule."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from sisso_sal.errors import InputError
from sisso_sal.oxides.elements import element_data

__all__ = ["OxidationState", "check_oxide", "mean_states", "oxidation_states"]

_TOLERANCE = 1e-8
_OZONIDE = -1 / 3


class OxidationState(NamedTuple):
    """``amount`` atoms of ``element`` per formula unit in the oxidation state ``state``."""

    element: str
    amount: float
    state: float


def check_oxide(composition: Mapping[str, float]) -> None:
    """Refuse a composition that is no oxide; `InputError` then."""
    if "O" not in composition or len(composition) < 2:
        raise InputError("needs an oxide: oxygen and at least one other element")


def oxidation_states(composition: Mapping[str, float]) -> tuple[OxidationState, ...]:
    """Charge-balanced oxidation states of an oxide by a fixed rule.

    The first of these steps that has a solution decides; "metal" stands for every element but oxygen, which is -2:

    1. each metal in one of its common states;
    2. each metal in one of its known states, or one metal shared between two neighbouring known states (mixed valence)
       and the others in one;
    3. each metal in its highest common state, oxygen takes the remaining charge, at least -1/3 and at most -2
       (peroxides, superoxides, ozonides);
    4. as 2, the state 0 being allowed as well (metal-rich oxides).

    Of several solutions of a step the likeliest is taken: the greatest sum over the metals of amount x log(share of the
    state among the element's crystal structures), then the first in alphabetical order of the metals.

    Parameters
    ----------
    composition : mapping of str to float
        Element -> atoms per formula unit.

    Returns
    -------
    tuple of OxidationState
        The metals in alphabetical order, oxygen last. Amounts add up to the composition, charges to zero.

    Raises
    ------
    InputError
        If there is no oxygen, no metal, or no balanced solution.

    Examples
    --------
    >>> [(s.element, s.amount, s.state) for s in oxidation_states({"Fe": 3, "O": 4})]
    [('Fe', 1.0, 2), ('Fe', 2.0, 3), ('O', 4, -2.0)]
    """
    check_oxide(composition)
    metals = {m: composition[m] for m in sorted(composition) if m != "O"}
    elements = element_data()
    common = {m: elements[m].common for m in metals}
    known = {m: tuple(elements[m].known) for m in metals}
    charge = 2.0 * composition["O"]
    steps: tuple[tuple[_Step, dict[str, tuple[int, ...]]], ...] = (
        (_whole, common),
        (_whole_or_mixed, known),
        (_highest, common),
        (_whole_or_mixed, {m: (0, *states) for m, states in known.items() if states}),
    )
    for step, states in steps:
        solutions = list(step(metals, states, charge)) if len(states) == len(metals) else []
        if solutions:
            best = min(solutions, key=_preference)
            total = sum(s.amount * s.state for s in best)
            return (*best, OxidationState("O", composition["O"], round(-total / composition["O"], 9)))
    raise InputError("no charge-balanced oxidation states")


def mean_states(composition: Mapping[str, float]) -> dict[str, float]:
    """Element -> its mean oxidation state, oxygen included, as `oxidation_states` has them.

    Raises
    ------
    InputError
        As `oxidation_states`.

    Examples
    --------
    >>> mean_states({"Ba": 1, "O": 2}), round(mean_states({"Fe": 3, "O": 4})["Fe"], 3)
    ({'Ba': 2.0, 'O': -1.0}, 2.667)
    """
    charges: dict[str, float] = {}
    for element, amount, state in oxidation_states(composition):
        charges[element] = charges.get(element, 0.0) + amount * state
    return {element: charge / composition[element] for element, charge in charges.items()}


_Solution = tuple[OxidationState, ...]
_Step = Callable[[Mapping[str, float], Mapping[str, tuple[int, ...]], float], Iterator[_Solution]]


def _whole(metals: Mapping[str, float], states: Mapping[str, tuple[int, ...]], charge: float) -> Iterator[_Solution]:
    """Every choice of one state per metal that adds up to the charge."""
    for choice in itertools.product(*(states[m] for m in metals)):
        solution = tuple(OxidationState(m, n, s) for (m, n), s in zip(metals.items(), choice, strict=True))
        if abs(sum(s.amount * s.state for s in solution) - charge) < _TOLERANCE:
            yield solution


def _mixed(metals: Mapping[str, float], states: Mapping[str, tuple[int, ...]], charge: float) -> Iterator[_Solution]:
    """Every choice in which one metal sits between two neighbouring states and the others have one state."""
    for split, amount in metals.items():
        others = [m for m in metals if m != split]
        for choice in itertools.product(*(states[m] for m in others)):
            fixed = [OxidationState(m, metals[m], s) for m, s in zip(others, choice, strict=True)]
            mean = (charge - sum(s.amount * s.state for s in fixed)) / amount
            for low, high in itertools.pairwise(states[split]):
                if low < mean < high:
                    upper = round(amount * (mean - low) / (high - low), 12)
                    parts = [OxidationState(split, round(amount - upper, 12), low), OxidationState(split, upper, high)]
                    yield tuple(sorted(fixed + parts, key=lambda s: (s.element, s.state)))


def _whole_or_mixed(
    metals: Mapping[str, float], states: Mapping[str, tuple[int, ...]], charge: float
) -> Iterator[_Solution]:
    yield from _whole(metals, states, charge)
    yield from _mixed(metals, states, charge)


def _highest(metals: Mapping[str, float], states: Mapping[str, tuple[int, ...]], charge: float) -> Iterator[_Solution]:
    """Each metal in its highest state, if oxygen is then between -2 and -1/3."""
    if all(states.values()):
        solution = tuple(OxidationState(m, n, states[m][-1]) for m, n in metals.items())
        oxygen = -2.0 * sum(s.amount * s.state for s in solution) / charge
        if -2.0 < oxygen <= _OZONIDE + _TOLERANCE:
            yield solution


def _preference(solution: _Solution) -> tuple[float, _Solution]:
    """Sorts the likeliest solution first; rounding keeps float noise out of the choice."""
    elements = element_data()
    # The metal itself (state 0) competes with nothing: it is only offered where no ions balance.
    likelihood = sum(s.amount * math.log(elements[s.element].known.get(int(s.state), 1.0)) for s in solution)
    return -round(likelihood, 6), solution
