"""What has to be computed for a label: the candidate, its competitors, water and hydrogen, and their starting structures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sisso_sal.errors import InputError
from sisso_sal.oracle.stability.labels import needed_beside
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.prototypes import prototype_structures
from sisso_sal.oxides.structures import formula_key

if TYPE_CHECKING:
    from pymatgen.core import Molecule, Structure

__all__ = ["MOLECULES", "element_structure", "molecule", "needed_formulas", "starting_structures"]

MOLECULES = ("H2O", "H2")
"""The references of oxygen and hydrogen."""


def needed_formulas(
    formula: str, competitors: Sequence[str] | None = None, quantity: str = "dG_pbx"
) -> tuple[str, ...]:
    """Everything whose energy the label of a candidate needs, the candidate first.

    Parameters
    ----------
    formula : str
    competitors : sequence of str, optional
    quantity : str
        See `sisso_sal.oracle.stability.labels.label`.

    Examples
    --------
    >>> needed_formulas("TiO2")
    ('TiO2', 'Ti', 'H2O', 'H2')
    >>> needed_formulas("TiO2", quantity="band_gap")
    ('TiO2',)
    """
    beside = needed_beside(formula, quantity, competitors)
    return tuple(dict.fromkeys([formula, *beside, *(MOLECULES if beside else ())]))


def starting_structures(
    formula: str, own: Mapping[str, Sequence[tuple[str, Structure]]] | None = None, limit: int = 3
) -> Iterator[tuple[str, Structure | Molecule]]:
    """Names and structures to start a phase from: the user's where there are any, else prototypes.

    Parameters
    ----------
    formula : str
        An oxide, an element, H2O or H2.
    own : mapping, optional
        As `sisso_sal.oxides.structures.read_structures` gives it.
    limit : int
        At most so many prototypes for an oxide.

    Raises
    ------
    InputError
        No structure is known.
    """
    if formula in MOLECULES:
        yield "molecule", molecule(formula)
        return
    given = (own or {}).get(formula_key(formula), ())
    if given:
        yield from ((f"given-{number}", structure) for number, (_, structure) in enumerate(given, 1))
    elif set(parse_formula(formula)) - {"O"} and "O" not in parse_formula(formula):
        yield "element", element_structure(formula)
    else:
        for _, found in zip(range(limit), prototype_structures(formula), strict=False):
            yield found


def element_structure(symbol: str) -> Structure:
    """The structure of an element at room temperature, by ASE's table of reference states.

    Raises
    ------
    InputError
        ASE is not installed, or cannot build the structure (alpha-Mn, Ga, U and a few others): give one.

    Examples
    --------
    >>> len(element_structure("Ti")), element_structure("Fe").site_properties["magmom"]
    (2, [2.0])
    """
    try:
        from ase.build import bulk
        from ase.data import atomic_numbers, ground_state_magnetic_moments
    except ImportError:
        raise InputError("structures of elements: need ASE; pip install 'sisso-sal[dft]'") from None
    from pymatgen.io.ase import AseAtomsAdaptor

    try:
        atoms: Any = bulk(symbol)
    except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        raise InputError(f"{symbol}: ASE has no structure of this element ({error}); give one") from None
    structure = AseAtomsAdaptor.get_structure(atoms)
    moment = {"Fe": 2.0, "Co": 1.7, "Ni": 0.7, "Gd": float(ground_state_magnetic_moments[atomic_numbers["Gd"]])}.get(
        symbol
    )
    if moment:
        structure.add_site_property("magmom", [moment] * len(structure))
    return structure


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
