"""What the candidates of a table are for a calculation: their formulas, and the structures that a user has for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sisso_sal.data.table import Table
from sisso_sal.errors import InputError
from sisso_sal.oracle.candidates import formulas_of, text_column
from sisso_sal.oxides.phases import starting_structures
from sisso_sal.oxides.structures import formula_key, read_structures, structures_of_column
from sisso_sal.settings.campaign import CampaignSettings

if TYPE_CHECKING:
    from pymatgen.core import Molecule, Structure

__all__ = ["Starts", "own_structures"]


def own_structures(settings: CampaignSettings, table: Table) -> dict[str, Any]:
    """The user's structures, of both places."""
    label = settings.label
    by_formula = {} if label.structures is None else dict(read_structures(label.structures))
    if label.structure_column is not None:
        cells = text_column(table, label.structure_column, "label.structure_column")
        column = {id: cell for id, cell in zip(table.ids, cells, strict=True) if cell.strip()}
        for key, structures in structures_of_column(column).items():
            by_formula[key] = [*by_formula.get(key, ()), *structures]
    return by_formula


class Starts:
    """The one structure that stands for each candidate, where a calculation takes a candidate and not its phases.

    It is that of the candidate's own row, or the only one of its formula in ``label.structures``, or the first prototype.

    Parameters
    ----------
    settings : CampaignSettings
    table : Table

    Raises
    ------
    InputError
        Structures cannot be read, or a candidate without a structure in its row has no formula.
    """

    def __init__(self, settings: CampaignSettings, table: Table):
        label = settings.label
        self._by_formula = {} if label.structures is None else read_structures(label.structures)
        self._cells: dict[str, str] = {}
        if label.structure_column is not None:
            cells = text_column(table, label.structure_column, "label.structure_column")
            self._cells = {id: cell for id, cell in zip(table.ids, cells, strict=True) if cell.strip()}
        asked = [id for id, known in zip(table.ids, table.labelled, strict=True) if not known]
        self._formulas = {} if all(id in self._cells for id in asked) else formulas_of(table, label.formula)
        self.missing: dict[str, str] = {}
        for id in asked:
            try:
                self.structure(id)
            except InputError as error:
                if id in self._cells:
                    raise
                self.missing[id] = str(error)

    def structure(self, id: str) -> Structure | Molecule:
        """The structure of a candidate.

        Raises
        ------
        InputError
            There is none, or which one it is cannot be told.
        """
        if id in self._cells:
            (((_, structure),),) = structures_of_column({id: self._cells[id]}).values()
            return structure
        formula = self._formulas[id]
        own = self._by_formula.get(formula_key(formula), ())
        if len(own) > 1:
            files = ", ".join(name for name, _ in own[:3])
            raise InputError(
                f"needs one structure of {formula}, found {len(own)} ({files}); use label.structure_column"
            )
        start = next(iter(starting_structures(formula, self._by_formula, 1)), None)
        if start is None:
            raise InputError(f"no structure of {formula} is known")
        return start[1]
