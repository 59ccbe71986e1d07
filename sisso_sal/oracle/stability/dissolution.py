"""Whether the known dissolved species can decide an acid stability: one rule for labels, candidates and the shipped table.

Without the dominant dissolved species an oxide looks more stable than it is: with Sn(II) alone SnO2 would be stable by 0.75
eV/atom.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sisso_sal.oracle.stability.pourbaix import Conditions, Species, transformed_energy
from sisso_sal.oxides.elements import element_data

__all__ = ["MEASURED_SOLIDS", "Missing", "missing_species", "oxidation_state"]

MEASURED_SOLIDS = (Species("PbO2", {"Pb": 1.0, "O": 2.0}, mu=-2.252158),)
"""Measured oxides of the metals whose highest common oxidation state only solids reach (CRC Handbook, in eV per formula unit)."""

_ROMAN = ("0", "I", "II", "III", "IV", "V", "VI", "VII", "VIII")


class Missing(NamedTuple):
    """A dissolved species that is needed.

    - ``name``: str; the metal with its oxidation state.
    - ``known``: str; what is known instead.
    """

    name: str
    known: str


def oxidation_state(species: Species, metal: str) -> float:
    """Oxidation state of the metal in a species that holds no other.

    Examples
    --------
    >>> oxidation_state(Species("HWO4-", {"H": 1, "W": 1, "O": 4}, charge=-1, state="aqueous"), "W")
    6.0
    """
    amounts = species.composition
    return (species.charge + 2 * amounts.get("O", 0.0) - amounts.get("H", 0.0)) / amounts[metal]


def missing_species(
    metal: str,
    ions: Iterable[Species],
    solids: Sequence[Species] = MEASURED_SOLIDS,
    conditions: Conditions | None = None,
) -> Missing | None:
    """The dissolved species without which the acid stability of a metal's oxides is not known.

    The dissolved species must reach the highest common oxidation state of the metal. If only a solid reaches it, that solid must
    not be the stable phase at the conditions: then the dissolved species that are known hold the answer.

    Parameters
    ----------
    metal : str
    ions : iterable of Species
        The dissolved species that are known, of this metal and others.
    solids : sequence of Species
        Measured solids.
    conditions : Conditions, optional
        By default U = 1.23 V, pH 0, 298.15 K, 1e-6 mol/L.

    Returns
    -------
    Missing or None
        None where the stability is known.

    Examples
    --------
    >>> tin = [Species("Sn++", {"Sn": 1}, charge=2, mu=-0.285, state="aqueous")]
    >>> missing_species("Sn", tin), missing_species("Ir", tin)
    (Missing(name='Sn(IV)', known='known up to Sn(II)'), Missing(name='Ir(IV)', known='no species known'))
    """
    own_ions = [ion for ion in ions if ion.metals == {metal}]
    element = element_data().get(metal)
    highest = max(element.common, default=0) if element else 0
    reached = max((oxidation_state(ion, metal) for ion in own_ions), default=None)
    if reached is None:
        return Missing(_named(metal, highest), "no species known")
    if reached >= highest:
        return None
    own = [*own_ions, *(solid for solid in solids if solid.metals == {metal})]
    stable = min(own, key=lambda s: (transformed_energy(s, conditions) / s.composition[metal], s.name))
    if stable.state == "aqueous" and any(oxidation_state(s, metal) >= highest for s in own):
        return None
    return Missing(_named(metal, highest), f"known up to {_named(metal, reached)}")


def _named(metal: str, state: float) -> str:
    """A metal with its oxidation state."""
    whole = round(state)
    if whole <= 0:
        return metal
    return f"{metal}({_ROMAN[whole] if whole == state and whole < len(_ROMAN) else f'{state:+.3g}'})"
