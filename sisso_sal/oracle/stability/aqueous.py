"""Dissolved species of metals: those of ASE, and those of the user's table."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

from sisso_sal.errors import InputError, TableError
from sisso_sal.oracle.stability.pourbaix import Species
from sisso_sal.oxides.elements import parse_formula

__all__ = ["aqueous_species"]


def aqueous_species(metals: Iterable[str], table: str | os.PathLike[str] | None = None) -> list[Species]:
    """Dissolved species of metals with oxygen and hydrogen: those of ASE, and those of the user's table.

    Parameters
    ----------
    metals : iterable of str
    table : path, optional
        CSV with the columns ``species`` (as ``Fe+++`` or ``HFeO2-``) and ``mu (eV)``; a species that ASE has is replaced.

    Raises
    ------
    InputError
        ASE is not installed, or the table has a defect.
    """
    wanted = frozenset(metals)
    if table is None:
        return [ion for metals, ions in _measured().items() if metals <= wanted for ion in ions]
    known = {ion.name: ion for ions in _measured().values() for ion in ions}
    known |= {name: _dissolved(name, energy) for name, energy in _species_table(Path(table)).items()}
    return [ion for ion in known.values() if ion.metals and ion.metals <= wanted]


@cache
def _measured() -> Mapping[frozenset[str], Sequence[Species]]:
    """All of ASE's dissolved species, by their metals."""
    try:
        from ase.data import chemical_symbols
        from ase.phasediagram import solvated
    except ImportError:
        raise InputError("aqueous species: need ASE; pip install 'sisso-sal[dft]'") from None
    species: dict[frozenset[str], list[Species]] = {}
    for name, energy in solvated(set(chemical_symbols)):
        ion = _dissolved(name.removesuffix("(aq)"), energy)
        if ion.metals:
            species.setdefault(ion.metals, []).append(ion)
    return MappingProxyType(species)


def _dissolved(name: str, energy: float) -> Species:
    """A species by its name: a formula and a sign for each elementary charge."""
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
            _dissolved(name, energy)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TableError(
                f"{path}: row {number}: needs 'species' and a number 'mu (eV)', found {dict(row)}"
            ) from error
        energies[name] = energy
    return energies
