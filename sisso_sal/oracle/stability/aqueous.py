"""Dissolved species of metals: those of ASE, those of ``dissolved.csv`` beside this file, and those of the user's table.

``data/build_ions.py`` writes ``dissolved.csv``, with the source of each row.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from sisso_sal.errors import InputError, TableError
from sisso_sal.oracle.stability.pourbaix import Species
from sisso_sal.oxides.elements import parse_formula

__all__ = ["aqueous_species", "dissolved"]


def aqueous_species(metals: Iterable[str], table: str | os.PathLike[str] | None = None) -> list[Species]:
    """Dissolved species of metals with oxygen and hydrogen: those of ASE, the shipped ones, and those of the user's table.

    ASE has none of most lanthanides, Ge, Te, Ta, Th and U, and of Sn and Sb none in the highest common oxidation state. The shipped
    ones are of these metals.

    Parameters
    ----------
    metals : iterable of str
    table : path, optional
        CSV with the columns ``species`` (as ``Fe+++`` or ``HFeO2-``) and ``mu (eV)``; a known species of this name is replaced.

    Raises
    ------
    InputError
        ASE is not installed, or the table has a defect.
    """
    wanted = frozenset(metals)
    if table is None:
        return [ion for metals, ions in _measured().items() if metals <= wanted for ion in ions]
    known = {ion.name: ion for ions in _measured().values() for ion in ions}
    known |= {name: dissolved(name, energy) for name, energy in _species_table(Path(table)).items()}
    return [ion for ion in known.values() if ion.metals and ion.metals <= wanted]


@cache
def _measured() -> Mapping[frozenset[str], Sequence[Species]]:
    """All of ASE's dissolved species and the shipped ones, by their metals."""
    try:
        from ase.data import chemical_symbols
        from ase.phasediagram import solvated
    except ImportError:
        raise InputError("aqueous species: need ASE; pip install 'sisso-sal[dft]'") from None
    species: dict[frozenset[str], list[Species]] = {}
    pairs = [(name.removesuffix("(aq)"), energy) for name, energy in solvated(set(chemical_symbols))]
    with resources.as_file(resources.files("sisso_sal.oracle.stability").joinpath("dissolved.csv")) as shipped:
        pairs += _species_table(shipped).items()
    for name, energy in pairs:
        ion = dissolved(name, energy)
        if ion.metals:
            species.setdefault(ion.metals, []).append(ion)
    return MappingProxyType(species)


def dissolved(name: str, energy: float) -> Species:
    """A dissolved species by its name, a formula and a sign for each elementary charge, and its free energy in eV.

    Examples
    --------
    >>> dissolved("Sn(OH)6--", -13.9).charge
    -2
    """
    bare = name.rstrip("+-")
    signs = name[len(bare) :]
    return Species(name, parse_formula(bare), signs.count("+") - signs.count("-"), energy, "aqueous")


def _species_table(path: Path) -> dict[str, float]:
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read: {error}") from error
    energies = {}
    for number, row in enumerate(rows, 2):
        try:
            name, energy = row["species"].strip(), float(row["mu (eV)"])
            dissolved(name, energy)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TableError(
                f"{path}: row {number}: needs 'species' and a number 'mu (eV)', found {dict(row)}"
            ) from error
        energies[name] = energy
    return energies
