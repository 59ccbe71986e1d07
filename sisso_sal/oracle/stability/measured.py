"""Measured enthalpies of formation, and what energies of oxygen are compared with."""

from __future__ import annotations

import os

from sisso_sal.data.columns import read_columns
from sisso_sal.errors import TableError
from sisso_sal.oxides.elements import parse_formula

__all__ = ["MEASURED", "MP2020_OXYGEN", "OXYGEN_ENTROPY", "R2SCAN_OXYGEN", "read_enthalpies"]

MEASURED = "H_f (eV/atom)"
"""Header of measured enthalpies of formation."""

OXYGEN_ENTROPY = 0.2857
"""Free energy of formation minus enthalpy at 298.15 K, in eV for each oxygen atom of an oxide; measured: 0.29 in the mean."""

MP2020_OXYGEN = -4.948
"""Energy of an oxygen atom in O2, in eV, in the energies of the Materials Project. Its corrections of 2020 were fitted with it to
measured oxides (A. Wang et al., Sci. Rep. 11, 15496 (2021), doi 10.1038/s41598-021-94550-5).
"""

R2SCAN_OXYGEN = -5.788
"""The same of the molecule in a box of 12 Å, computed with the model r2scan of CHGNet."""


def read_enthalpies(path: str | os.PathLike[str]) -> dict[str, float]:
    """Measured enthalpies of formation of oxides, in eV/atom: columns ``formula`` and ``H_f (eV/atom)``.

    Raises
    ------
    TableError
        A column is missing or has no numbers, or a formula is no oxide without hydrogen.
    InputError
        A cell is no formula.
    """
    columns = {column.header: column for column in read_columns(path).columns}
    for header in ("formula", MEASURED):
        if header not in columns:
            raise TableError(f"{path}: needs the columns formula and '{MEASURED}', found no '{header}'")
    values = columns[MEASURED].values
    if values is None:
        raise TableError(f"{path}: column '{MEASURED}': needs numbers")
    pairs = zip(columns["formula"].texts(), values.tolist(), strict=True)
    known = {formula: value for formula, value in pairs if value == value}
    for formula in known:
        elements = parse_formula(formula).keys()
        if "O" not in elements or len(elements) < 2 or "H" in elements:
            raise TableError(f"{path}: needs oxides without hydrogen, found '{formula}'")
    return known
