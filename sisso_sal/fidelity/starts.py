"""Which structures have to be relaxed so that the rows of a table can be estimated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sisso_sal.errors import InputError, reason_of
from sisso_sal.oracle.stability.labels import competing_formulas
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.phases import starting_structures
from sisso_sal.oxides.structures import formula_key

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["Competitors", "Plan", "Start", "competitors_of", "metals_of", "plan"]

Competitors = Literal["pool", "binary"]

_SHARED = 3
"""Prototypes of a binary oxide at the least: many rows compete with it."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """A structure to be relaxed.

    Attributes
    ----------
    formula : str
        As it was written where it came up first.
    key : str
        See `sisso_sal.oxides.structures.formula_key`.
    name : str
        Of the prototype, ``element``, or ``given-N``.
    structure : pymatgen Structure
    """

    formula: str
    key: str
    name: str
    structure: Structure

    def digest(self) -> str:
        """32 digits of the SHA-256 of lattice (Å) and fractional coordinates, ten decimals each, and symbols."""
        lattice = [[round(float(x), 10) + 0.0 for x in row] for row in self.structure.lattice.matrix]
        sites = [
            [str(site.specie.symbol), *(round(float(x), 10) + 0.0 for x in site.frac_coords)] for site in self.structure
        ]
        return hashlib.sha256(json.dumps([lattice, sites]).encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that is to be relaxed, and what cannot be.

    Attributes
    ----------
    starts : tuple of Start
        Elements first, then by number of elements and formula: what many rows need comes early.
    lacking : mapping of str to str
        Key of a formula -> why there is no structure of it.
    """

    starts: tuple[Start, ...]
    lacking: Mapping[str, str]


def metals_of(formula: str) -> tuple[str, ...]:
    """The elements without oxygen and hydrogen, in alphabetical order.

    >>> metals_of("MgTiO3")
    ('Mg', 'Ti')
    """
    return tuple(sorted(parse_formula(formula).keys() - {"O", "H"}))


def competitors_of(formula: str, rule: Competitors = "pool") -> tuple[str, ...]:
    """What must be known beside an oxide: its metals, and the oxides of the pool, all of them or the binary ones.

    Examples
    --------
    >>> competitors_of("MgTiO3", "binary")
    ('Mg', 'Ti', 'MgO', 'TiO2')
    """
    if rule == "pool":
        return competing_formulas(formula)
    own = formula_key(formula)
    metals = metals_of(formula)
    oxides = [oxide for metal in metals for oxide in competing_formulas(metal)[1:]]
    return (*metals, *(oxide for oxide in oxides if formula_key(oxide) != own))


def plan(
    formulas: Iterable[str],
    own: Mapping[str, Sequence[tuple[str, Structure]]] | None = None,
    max_prototypes: int = 3,
) -> Plan:
    """The structures of phases.

    Parameters
    ----------
    formulas : iterable of str
        Rows of a table and everything that is needed beside them; each composition counts once.
    own : mapping, optional
        The user's structures, as `sisso_sal.oxides.structures.read_structures` gives them; used before prototypes.
    max_prototypes : int
        For an oxide of two or more metals; elements have one structure, binary oxides at least three prototypes.

    Examples
    --------
    >>> [start.name for start in plan(["TiO2", "Ti"]).starts]
    ['element', 'rutile', 'anatase', 'quartz']
    """
    written: dict[str, str] = {}
    for formula in formulas:
        written.setdefault(formula_key(formula), formula)
    starts, lacking = [], {}
    for key, formula in sorted(written.items(), key=lambda pair: (len(parse_formula(pair[1])), pair[0])):
        limit = max(max_prototypes, _SHARED) if len(parse_formula(formula)) <= 2 else max_prototypes
        try:
            starts += _starts(key, formula, own, limit)
        except InputError as error:
            lacking[key] = reason_of(error).removeprefix(f"{formula}: ")
    return Plan(starts=tuple(starts), lacking=lacking)


def _starts(
    key: str, formula: str, own: Mapping[str, Sequence[tuple[str, Structure]]] | None, limit: int
) -> list[Start]:
    """Without starts that differ in their magnetic moments alone: a potential takes none."""
    return [
        Start(formula=formula, key=key, name=name, structure=structure)  # pyright: ignore[reportArgumentType]
        for name, structure in starting_structures(formula, own, limit, orders=False)
    ]
