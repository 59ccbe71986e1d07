"""What an oracle that computes needs of a table: the formulas of its candidates, and a target in the unit of the label."""

from __future__ import annotations

from collections.abc import Sequence

from sisso_sal.data.headers import split_header
from sisso_sal.data.table import Table
from sisso_sal.errors import SettingsError
from sisso_sal.oxides.elements import atomic_fractions, parse_formula

__all__ = ["UNITS", "check_unit", "formulas_of", "text_column"]

UNITS = {
    "dG_pbx": "eV/atom",
    "formation_energy": "eV/atom",
    "energy_above_hull": "eV/atom",
    "band_gap": "eV",
    "energy_per_atom": "eV/atom",
    "energy_per_formula": "eV",
    "volume_per_atom": "Å**3/atom",
    "volume_per_formula": "Å**3",
}
"""Units of the quantities that a label may be."""

_CUBIC = ("Å**3", "Å^3", "Å³", "AA**3", "AA^3", "angstrom**3", "angstrom^3", "A^3", "A**3")


def check_unit(quantity: str, table: Table) -> None:
    """Refuse a target in another unit than the label; an expression may have any.

    Raises
    ------
    SettingsError
    """
    wanted = UNITS.get(quantity.strip())
    unit = table.target_unit
    same = (unit.replace(form, "Å**3") for form in _CUBIC)
    if wanted is not None and unit != "" and wanted not in (unit, *same):
        header = table.header(table.target_name or "")
        raise SettingsError(f"label.quantity: {quantity} is in {wanted}, the target '{header}' is not")


def formulas_of(table: Table, column: str | None) -> dict[str, str]:
    """Candidate -> formula: from the column that is named, else the ids, else a column called so.

    Raises
    ------
    SettingsError
        There is no such column.
    InputError
        A candidate without a label has no formula.
    """
    if column is None:
        named = [cells for name, cells in table.text.items() if name.lower() in {"formula", "composition"}]
        cells = next((cells for cells in (table.ids, *named) if atomic_fractions(cells) is not None), table.ids)
    else:
        cells = text_column(table, column, "label.formula")
    formulas = dict(zip(table.ids, cells, strict=True))
    for id, is_labelled in zip(table.ids, table.labelled, strict=True):
        if not is_labelled:
            parse_formula(formulas[id])
    return {id: formula for id, formula in formulas.items() if atomic_fractions([formula]) is not None}


def text_column(table: Table, column: str, setting: str) -> Sequence[str]:
    """The cells of a column of text that a setting names.

    Raises
    ------
    SettingsError
        There is no such column.
    """
    name = split_header(column)[0]
    if name not in table.text:
        raise SettingsError(f"{setting}: needs a text column of {table.path}, found no '{column}'")
    return table.text[name]
