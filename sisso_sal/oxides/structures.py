"""Structures that a user has: a folder of files, an ASE database, or a column of a table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sisso_sal.errors import DocumentError, InputError
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.system.documents import LARGE, json_of, one_line, read_bytes
from sisso_sal.system.extras import require

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["read_structures", "structures_of_column"]

_SUFFIXES = (".cif", ".vasp", ".poscar", ".json", ".xsf")


def read_structures(path: str | os.PathLike[str]) -> dict[str, list[tuple[str, Structure]]]:
    """Structures of a folder of CIF, POSCAR and pymatgen JSON files, or of an ASE database.

    Parameters
    ----------
    path : path
        A folder, or a database that ASE reads (``.db``).

    Returns
    -------
    dict of str to list of (str, pymatgen Structure)
        Reduced formula, elements in alphabetical order -> where each structure comes from and the structure.

    Raises
    ------
    InputError
        There is no such path, a file cannot be read, or there is no structure at all.

    Examples
    --------
    >>> import tempfile
    >>> from pymatgen.core import Lattice
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     from pymatgen.core import Structure
    ...     oxide = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.2), ["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    ...     _ = oxide.to(str(Path(folder, "mgo.cif")))
    ...     list(read_structures(folder))
    ['MgO']
    """
    place = Path(path)
    if place.is_dir():
        structures = [(file.name, _of_file(file)) for file in sorted(place.iterdir()) if _is_structure_file(file)]
    elif place.is_file():
        structures = _of_database(place)
    else:
        raise InputError(f"{place}: there is no such folder or database of structures")
    if not structures:
        raise InputError(f"{place}: needs structures ({', '.join(_SUFFIXES)}, POSCAR), found none")
    return _by_formula(structures)


def structures_of_column(column: Mapping[str, str]) -> dict[str, list[tuple[str, Structure]]]:
    """Structures of a table's column of pymatgen JSON, by formula like `read_structures`.

    Parameters
    ----------
    column : mapping of str to str
        Id of the row -> the structure as `pymatgen.core.Structure.to(fmt="json")` writes it.

    Raises
    ------
    InputError
        A text is no structure; the message names the row.
    """
    return _by_formula((row, _of_json(text, f"row '{row}'")) for row, text in column.items())


def formula_key(formula: str) -> str:
    """The reduced formula with elements in alphabetical order: one key for all ways to write a composition.

    Examples
    --------
    >>> formula_key("Ti2O4"), formula_key("SrTiO3")
    ('O2Ti', 'O3SrTi')
    """
    from pymatgen.core import Composition

    amounts = parse_formula(formula)
    reduced, _ = Composition(amounts).get_reduced_composition_and_factor()
    return "".join(f"{e}{'' if n == 1 else f'{n:g}'}" for e, n in sorted((str(e), n) for e, n in reduced.items()))


def _by_formula(structures: Iterable[tuple[str, Structure]]) -> dict[str, list[tuple[str, Structure]]]:
    collected: dict[str, list[tuple[str, Structure]]] = {}
    for name, structure in structures:
        if not structure.is_ordered:
            raise InputError(f"{name}: needs a structure with whole atoms, found partly occupied sites")
        collected.setdefault(formula_key(structure.composition.formula), []).append((name, structure))
    return collected


def _is_structure_file(file: Path) -> bool:
    return file.is_file() and (file.suffix.lower() in _SUFFIXES or file.name.upper().startswith(("POSCAR", "CONTCAR")))


def _of_file(file: Path) -> Structure:
    require("pymatgen", str(file))
    from pymatgen.core import Structure

    if file.suffix.lower() == ".json":
        return _of_json(read_bytes(file, LARGE.size), str(file))
    try:
        return Structure.from_file(str(file))
    except Exception as error:  # each format of pymatgen has errors of its own
        reason = one_line(str(error).strip().partition("\n")[0], 200) or type(error).__name__
        raise InputError(f"{file}: needs a crystal structure, cannot be read: {reason}") from error


def _of_json(text: str | bytes, place: str) -> Structure:
    require("pymatgen", place)
    from pymatgen.core import Structure

    try:
        return Structure.from_dict(json_of(text, LARGE))
    except DocumentError as error:
        raise InputError(f"{place}: needs a structure in pymatgen's JSON, cannot be read: {error}") from error
    except Exception as error:  # pymatgen checks nothing before it computes with it
        raise InputError(f"{place}: needs a structure in pymatgen's JSON, cannot be read") from error


def _of_database(file: Path) -> list[tuple[str, Structure]]:
    try:
        from ase.db import connect
        from pymatgen.io.ase import AseAtomsAdaptor
    except ImportError:
        raise InputError(f"{file}: a database of structures needs ASE; pip install 'sisso-sal[dft]'") from None
    try:
        opened: Any = connect(str(file))
        with opened as database:
            rows = [(row.id, row.toatoms()) for row in database.select()]
    except Exception as error:  # ASE guesses the format, and each backend fails in its own way
        reason = one_line(str(error).strip().partition("\n")[0], 200) or type(error).__name__
        raise InputError(
            f"{file}: needs a folder or an ASE database of structures, cannot be read: {reason}"
        ) from error
    return [(f"{file.name} row {number}", AseAtomsAdaptor.get_structure(atoms)) for number, atoms in rows]
