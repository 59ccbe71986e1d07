"""Where to look a material up, and a picture of the cell that a calculation starts from."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from sisso_sal.errors import SissoSalError
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.report.chemistry import elements_of
from sisso_sal.report.figures.cell import cell_svg


class Link(NamedTuple):
    """A search page of somebody else.

    - name: str, whose.
    - address: str.
    """

    name: str
    address: str


def links(id: str) -> list[Link]:
    """Search pages for a formula; none for another name.

    Examples
    --------
    >>> [link.name for link in links("TiO2")], links("M01")
    (['Materials Project', 'OQMD', 'COD', 'literature'], [])
    """
    if not elements_of(id):
        return []
    amounts = parse_formula(id)
    hill = " ".join(f"{symbol}{amounts[symbol]:g}" if amounts[symbol] != 1 else symbol for symbol in sorted(amounts))
    return [
        Link("Materials Project", f"https://next-gen.materialsproject.org/materials?formula={quote(id)}"),
        Link("OQMD", f"https://oqmd.org/materials/composition/{quote(id)}"),
        Link("COD", f"https://www.crystallography.net/cod/result?formula={quote(hill)}"),
        Link("literature", f"https://scholar.google.com/scholar?q={quote(chr(34) + id + chr(34))}"),
    ]


def cell_of(id: str) -> tuple[str, str] | None:
    """Structure type and picture of the cell that comes first among the shipped ones; None where there is none.

    Examples
    --------
    >>> cell_of("TiO2")[0], cell_of("M01"), cell_of("MgF2")
    ('rutile', None, None)
    """
    from sisso_sal.oxides.prototypes import prototype_structures

    if "O" not in elements_of(id):
        return None
    try:
        name, structure = next(iter(prototype_structures(id)), ("", None))
    except SissoSalError:
        return None
    return None if structure is None else (name, cell_svg(structure, f"Starting cell of {id}: {name}"))
