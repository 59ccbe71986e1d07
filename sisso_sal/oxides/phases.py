"""Structures from which the calculation of a phase starts: oxides, elements, and the molecules water and hydrogen."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sisso_sal.errors import InputError
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.magnetism import type_of
from sisso_sal.oxides.prototypes import prototype_structures
from sisso_sal.oxides.structures import formula_key

if TYPE_CHECKING:
    from pymatgen.core import Molecule, Structure

__all__ = ["MOLECULES", "element_structure", "known_starts", "molecule", "starting_structures"]

MOLECULES = ("H2O", "H2")
"""The references of oxygen and hydrogen."""


def starting_structures(
    formula: str,
    own: Mapping[str, Sequence[tuple[str, Structure]]] | None = None,
    limit: int = 3,
    *,
    orders: bool = True,
) -> Iterator[tuple[str, Structure | Molecule]]:
    """Names and structures to start a phase from: the user's where there are any, else prototypes.

    Parameters
    ----------
    formula : str
        An oxide, an element, H2O or H2.
    own : mapping, optional
        As `sisso_sal.oxides.structures.read_structures` gives it.
    limit : int
        At most so many structure types for an oxide; each comes in all its magnetic orders, see `sisso_sal.oxides.magnetism`.
    orders : bool
        False leaves out starts that differ from another one in the order of their moments alone.

    Raises
    ------
    InputError
        No structure is known.
    """
    if formula in MOLECULES:
        yield "molecule", molecule(formula)
        return
    structures = (own or {}).get(formula_key(formula), ())
    if structures:
        yield from ((f"given-{number}", structure) for number, (_, structure) in enumerate(structures, 1))
    elif set(parse_formula(formula)) - {"O"} and "O" not in parse_formula(formula):
        yield "element", element_structure(formula)
    else:
        starts = _of_types(prototype_structures(formula), limit)
        yield from ((name, structure) for name, structure in starts if orders or type_of(name) == name)


def known_starts(
    formula: str, own: Mapping[str, Sequence[tuple[str, Structure]]] | None = None, *, orders: bool = True
) -> tuple[str, ...]:
    """Names of all structures that a phase could start from, as `starting_structures` takes them; none where none is known.

    Examples
    --------
    >>> known_starts("NiO")
    ('rocksalt', 'rocksalt-afm-II', 'wurtzite', 'wurtzite-afm', 'tenorite', 'tenorite-afm')
    """
    try:
        return tuple(name for name, _ in starting_structures(formula, own, sys.maxsize, orders=orders))
    except InputError:
        return ()


def _of_types(structures: Iterable[tuple[str, Structure]], limit: int) -> Iterator[tuple[str, Structure]]:
    """The structures of the first types, which stand together."""
    known: set[str] = set()
    for name, structure in structures:
        kind = type_of(name)
        if kind not in known and len(known) == limit:
            return
        known.add(kind)
        yield name, structure


def element_structure(symbol: str) -> Structure:
    """The structure of an element at room temperature: ASE's reference state, or that of ``element_structures.toml``.

    Raises
    ------
    InputError
        ASE is not installed, or there is no structure (nitrogen, halogens and a few others): give one.

    Examples
    --------
    >>> len(element_structure("Ti")), element_structure("Fe").site_properties["magmom"]
    (2, [2.0])
    >>> len(element_structure("Mn"))
    29
    """
    if symbol in _shipped():
        return _built(symbol, _shipped()[symbol])
    try:
        from ase.build import bulk
        from ase.data import atomic_numbers, ground_state_magnetic_moments
    except ImportError:
        raise InputError("structures of elements: need ASE; pip install 'sisso-sal[dft]'") from None
    from pymatgen.io.ase import AseAtomsAdaptor

    try:
        atoms: Any = bulk(symbol)
    except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        raise InputError(f"{symbol}: no structure of this element is known ({error}); give one") from None
    structure = AseAtomsAdaptor.get_structure(atoms)
    moment = {"Fe": 2.0, "Co": 1.7, "Ni": 0.7, "Gd": float(ground_state_magnetic_moments[atomic_numbers["Gd"]])}.get(
        symbol
    )
    if moment:
        structure.add_site_property("magmom", [moment] * len(structure))
    return structure


@cache
def _shipped() -> Mapping[str, Mapping[str, Any]]:
    """Structures of elements that ASE cannot build, read once."""
    text = resources.files("sisso_sal.oxides").joinpath("element_structures.toml").read_text(encoding="utf-8")
    return MappingProxyType(tomllib.loads(text))


def _built(symbol: str, entry: Mapping[str, Any]) -> Structure:
    """The primitive cell."""
    from pymatgen.core import Lattice, Structure

    lattice = Lattice.from_parameters(*entry["cell"])
    whole = Structure.from_spacegroup(entry["space_group"], lattice, [symbol] * len(entry["sites"]), entry["sites"])
    return whole.get_primitive_structure()


def molecule(formula: str) -> Molecule:
    """H2O or H2, at its measured geometry (Å).

    Examples
    --------
    >>> molecule("H2").formula
    'H2'
    """
    from pymatgen.core import Molecule

    places = {
        "H2O": (["O", "H", "H"], [[0.0, 0.0, 0.1173], [0.0, 0.7572, -0.4692], [0.0, -0.7572, -0.4692]]),
        "H2": (["H", "H"], [[0.0, 0.0, 0.3707], [0.0, 0.0, -0.3707]]),
    }
    if formula not in places:
        raise InputError(f"molecule '{formula}': needs one of {', '.join(places)}")
    return Molecule(*places[formula])
