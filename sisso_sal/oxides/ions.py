"""Ions in crystals: their radii and the magnetic moments they start from.

Radii are those of R. D. Shannon, Acta Cryst. A 32, 751 (1976), as pymatgen carries them. Moments are those of the free ion in the
crystal field: high spin for 3d and f electrons, low spin for 4d, 5d and trivalent or higher d6 in octahedra.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from sisso_sal.errors import InputError

__all__ = ["ionic_radius", "starting_moment"]

_ROMAN = {
    "I": 1,
    "II": 2,
    "III": 3,
    "IV": 4,
    "V": 5,
    "VI": 6,
    "VII": 7,
    "VIII": 8,
    "IX": 9,
    "X": 10,
    "XI": 11,
    "XII": 12,
}
_LOW_SPIN_OCTAHEDRON = (0, 1, 2, 3, 2, 1, 0, 1, 2, 1, 0)


def ionic_radius(symbol: str, state: float, coordination: int) -> float:
    """Shannon's effective ionic radius, in Å.

    Where the table lacks the state or the coordination number, that of the nearest state, and then of the nearest number, is taken
    (of two equally near ones the smaller): radii differ by a few hundredths of an Å from one to the next. A state that is no whole
    number (mixed valence) has a radius between those of the two next ones that the table has, in proportion.

    Parameters
    ----------
    symbol : str
    state : float
        Oxidation state.
    coordination : int
        Number of neighbours.

    Raises
    ------
    InputError
        The table has no radius of the element in a state of this sign.

    Examples
    --------
    >>> ionic_radius("Ti", 4, 6), ionic_radius("O", -2, 6), ionic_radius("Fe", 3, 6)
    (0.605, 1.4, 0.645)
    >>> round(ionic_radius("Ti", 3.5, 6), 4)
    0.6375
    """
    states = {q: radii for q, radii in _shannon(symbol).items() if q * state > 0}
    if not states:
        raise InputError(f"ion {symbol}{state:+g}: needs a Shannon radius, the table has none")
    low = max((q for q in states if q <= state), default=None)
    high = min((q for q in states if q >= state), default=None)
    if state % 1 and low is not None and high is not None:
        share = (state - low) / (high - low)
        return (1 - share) * ionic_radius(symbol, low, coordination) + share * ionic_radius(symbol, high, coordination)
    radii = states[min(states, key=lambda q: (abs(q - state), abs(q)))]
    by_spin = radii[min(radii, key=lambda n: (abs(n - coordination), n))]
    order = (
        ("Low Spin", "", "High Spin") if _is_low_spin(symbol, state, coordination) else ("High Spin", "", "Low Spin")
    )
    return next(by_spin[spin] for spin in order if spin in by_spin)


@cache
def _shannon(symbol: str) -> Mapping[int, dict[int, dict[str, float]]]:
    """State -> coordination number -> spin -> radius in Å; square planes and pyramids are left out where they are set apart."""
    from pymatgen.core import Element

    table = Element(symbol).data.get("Shannon radii") or {}
    return MappingProxyType(
        {
            int(state): {
                _ROMAN[number]: {spin: float(entry["ionic_radius"]) for spin, entry in spins.items()}
                for number, spins in numbers.items()
                if number in _ROMAN
            }
            for state, numbers in table.items()
            if state and any(number in _ROMAN for number in numbers)
        }
    )


def starting_moment(symbol: str, state: float, coordination: int) -> float:
    """Spin moment from which a calculation may start, in Bohr magnetons.

    Parameters
    ----------
    symbol : str
    state : float
        Oxidation state; fractional ones (mixed valence) are rounded.
    coordination : int
        Number of neighbours.

    Examples
    --------
    >>> starting_moment("Mn", 2, 6), starting_moment("Co", 3, 6), starting_moment("Ru", 4, 6), starting_moment("Gd", 3, 8)
    (5.0, 0.0, 2.0, 7.0)
    """
    shell, electrons = _open_shell(symbol, state)
    if shell == "f":
        return float(min(electrons, 14 - electrons))
    if shell == "d" and _is_low_spin(symbol, state, coordination):
        return float(_LOW_SPIN_OCTAHEDRON[electrons])
    return float(min(electrons, 10 - electrons)) if shell == "d" else 0.0


def _is_low_spin(symbol: str, state: float, coordination: int) -> bool:
    shell, electrons = _open_shell(symbol, state)
    return shell == "d" and coordination == 6 and (_row(symbol) > 4 or (electrons == 6 and state >= 3))


def _row(symbol: str) -> int:
    from pymatgen.core import Element

    return Element(symbol).row


def _open_shell(symbol: str, state: float) -> tuple[str, int]:
    """Kind of the partly filled shell of an ion ("d", "f" or "") and the electrons in it."""
    from pymatgen.core import Element

    element, charge = Element(symbol), round(state)
    if element.is_lanthanoid or element.is_actinoid:
        electrons, capacity, shell = element.Z - (54 if element.is_lanthanoid else 86) - charge, 14, "f"
    elif element.is_transition_metal:
        electrons, capacity, shell = element.group - charge, 10, "d"
    else:
        return "", 0
    return (shell, electrons) if 0 < electrons < capacity else ("", 0)
