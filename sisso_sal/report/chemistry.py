"""Names of materials as chemists write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sisso_sal.oxides.elements import element_data
from sisso_sal.system.printable import printable

if TYPE_CHECKING:
    import numpy as np
    from markupsafe import Markup

_WRITTEN = re.compile(r"(?:[A-Z][a-z]?(?:\d+(?:\.\d+)?)?|[()\[\]](?:\d+(?:\.\d+)?)?)+")
_NUMBER = re.compile(r"(?<=[A-Za-z)\]])(\d+(?:\.\d+)?)")

MANY, OF_TWO = 0.9, 0.5
"""Names are formulas where this share of them can be read as one, and the other share names two elements at least."""

N_LOOKED_AT = 500


def are_formulas(ids: Sequence[str] | np.ndarray) -> bool:
    """Whether the names of materials are formulas, and no numbers like ``S12`` that look like some.

    Examples
    --------
    >>> are_formulas(["TiO2", "MgAl2O4"]), are_formulas(["S1", "S2", "S3"]), are_formulas(["M01", "M02"])
    (True, False, False)
    """
    looked = [str(id) for id in ids[:: max(1, len(ids) // N_LOOKED_AT)]]
    sizes = [len(elements_of(id)) for id in looked]
    return sum(n > 0 for n in sizes) >= MANY * len(sizes) and sum(n > 1 for n in sizes) >= OF_TWO * len(sizes)


def subscripted(id: str) -> str:
    """A formula with its numbers as subscripts, as HTML that plotly knows too; any other name escaped.

    Examples
    --------
    >>> subscripted("Ca(OH)2"), subscripted("a<2")
    ('Ca(OH)<sub>2</sub>', 'a&lt;2')
    """
    if not elements_of(id):
        return _escaped(id)
    return _NUMBER.sub(r"<sub>\1</sub>", id)


def typeset_formula(id: str) -> str:
    """A formula with its numbers as subscripts, as matplotlib writes them; any other name as it is.

    Examples
    --------
    >>> typeset_formula("Ca(OH)2"), typeset_formula("phase 2")
    ('Ca(OH)$_{2}$', 'phase 2')
    """
    return _NUMBER.sub(r"$_{\1}$", id) if elements_of(id) else printable(id).replace("$", r"\$")


def named(id: str, with_subscripts: bool) -> Markup:
    """A name as the page shows it: never broken inside, with subscripts where names are formulas."""
    from markupsafe import Markup

    return Markup(f'<span class="id">{subscripted(id) if with_subscripts else _escaped(id)}</span>')


def elements_of(id: str) -> set[str]:
    """The elements of a formula; empty where the text is none.

    Examples
    --------
    >>> sorted(elements_of("CaTiO3")), elements_of("M01")
    (['Ca', 'O', 'Ti'], set())
    """
    if not _WRITTEN.fullmatch(id) or id.count("(") != id.count(")") or id.count("[") != id.count("]"):
        return set()
    symbols = set(re.findall(r"[A-Z][a-z]?", id))
    return symbols if symbols <= element_data().keys() else set()


def _escaped(id: str) -> str:
    from markupsafe import escape

    return str(escape(printable(id, keep="\u00a0\u202f")))
