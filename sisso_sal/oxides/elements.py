"""Elements and formulas: the elemental values, and the composition that a formula stands for.

Elemental values with their units lie in ``elements.csv`` beside this file; ``data/build_elements.py`` writes it, and
``data/README.md`` has the sources.
"""

import csv
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING

from sisso_sal.errors import InputError, SissoSalWarning
from sisso_sal.oxides.formulas import TOLERANCE, cannot_be_formula, odd_atoms, plain_atoms

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from sisso_sal.data.table import Table

__all__ = ["ElementData", "atomic_fractions", "composition_of", "element_data", "parse_formula", "whole_amounts"]


@dataclass(frozen=True)
class ElementData:
    """One line of ``elements.csv``.

    Parameters
    ----------
    symbol : str
    values : mapping of str to float
        Header with unit, as ``"IP (eV)"``, -> value; a header without a value is absent.
    common : tuple of int
        Common positive oxidation states, ascending.
    known : mapping of int to float
        Every known positive oxidation state, ascending -> its share among the crystal structures counted in the table;
        a state without any counts as half a structure.
    """

    symbol: str
    values: Mapping[str, float]
    common: tuple[int, ...]
    known: Mapping[int, float]

    def value(self, header: str) -> float:
        """The elemental value, in the header's unit; `InputError` if the table has none."""
        if header not in self.values:
            raise InputError(f"element {self.symbol}: no value of {header}")
        return self.values[header]


@cache
def element_data() -> Mapping[str, ElementData]:
    """The shipped table of elements, read once.

    Examples
    --------
    >>> element_data()["Ti"].value("r_cov (AA)"), element_data()["Ti"].common
    (1.6, (4,))
    """
    text = resources.files("sisso_sal.oxides").joinpath("elements.csv").read_text(encoding="utf-8")
    return MappingProxyType({data.symbol: data for data in map(_element, csv.DictReader(text.splitlines()))})


def _element(row: dict[str, str]) -> ElementData:
    symbol = row.pop("element")
    common = tuple(int(state) for state in row.pop("OS_common").split())
    counts = [(int(state), int(n) or 0.5) for state, n in (pair.split(":") for pair in row.pop("OS_known").split())]
    known = {state: n / sum(n for _, n in counts) for state, n in counts}
    return ElementData(symbol, {header: float(text) for header, text in row.items() if text}, common, known)


def parse_formula(formula: str) -> dict[str, float]:
    """Element -> atoms per formula unit, elements in alphabetical order.

    Parameters
    ----------
    formula : str
        As ``"SrTiO3"``, ``"Ca3(PO4)2"``, ``"La0.5Sr0.5MnO3"``.

    Raises
    ------
    InputError
        If it is not a formula of known elements.

    Examples
    --------
    >>> parse_formula("Ca3(PO4)2")
    {'Ca': 3.0, 'O': 8.0, 'P': 2.0}
    """
    if not isinstance(formula, str) or not formula.strip():
        raise InputError(f"formula {formula!r}: needs a chemical formula")
    amounts = _plain_amounts(formula) or _odd_amounts(formula)
    unknown = sorted(set(amounts) - set(element_data()))
    if unknown or not amounts:
        raise InputError(f"formula {formula!r}: needs elements of the table, found {', '.join(unknown) or 'none'}")
    return dict(sorted(amounts.items()))


def _plain_amounts(formula: str) -> dict[str, float]:
    """Atoms of a plain formula of elements of the table; empty where it is another, or to say what is wrong."""
    amounts: dict[str, float] = {}
    for symbol, number in plain_atoms(formula) or ():
        if symbol not in element_data():
            return {}
        amounts[symbol] = amounts.get(symbol, 0.0) + number
    return {symbol: number for symbol, number in amounts.items() if number >= TOLERANCE}


_ISOTOPES = {"D": "H", "T": "H"}


def _odd_amounts(formula: str) -> dict[str, float]:
    atoms = None if cannot_be_formula(formula) else odd_atoms(formula)
    amounts: dict[str, float] = {}
    for own, number in atoms or ():
        symbol = _ISOTOPES.get(own, own)
        amounts[symbol] = amounts.get(symbol, 0.0) + number
    if atoms is None or any(number < -TOLERANCE for number in amounts.values()):
        raise InputError(f"formula {formula!r}: needs a chemical formula, cannot be read")
    return {symbol: number for symbol, number in amounts.items() if number >= TOLERANCE}


def atomic_fractions(formulas: Sequence[str]) -> "np.ndarray | None":
    """Share of each element: ndarray (n, n_elements), elements as in `element_data`, or None if a text is no formula.

    Examples
    --------
    >>> atomic_fractions(["MgO", "H2"])[:, 0].tolist()
    [0.0, 1.0]
    >>> atomic_fractions(["MgO", "sample 7"]) is None
    True
    """
    from sisso_sal.data.arrow import text_array

    amounts, others = _amounts(text_array(formulas))
    for row in others:
        if not _read_into(amounts[row], formulas[row]):
            return None
    shares, is_known = _shares(amounts)
    return shares if is_known.all() else None


def fractions_or_nan(formulas: "pa.StringArray") -> "np.ndarray":
    """The same of an Arrow array, with NaN where a text is no formula: ndarray (n, n_elements).

    Examples
    --------
    >>> from sisso_sal.data.arrow import text_array
    >>> fractions_or_nan(text_array(["sample 7", "H2"]))[:, 0].tolist()
    [nan, 1.0]
    """
    import numpy as np

    amounts, others = _amounts(formulas)
    for row in others:
        _read_into(amounts[row], formulas[row].as_py())
    shares, is_known = _shares(amounts)
    shares[~is_known] = np.nan
    return shares


def whole_amounts(formulas: Sequence[str]) -> "np.ndarray":
    """Atoms of each element where a text is a plain formula of whole numbers, zeros elsewhere: ndarray (n, n_elements) of int.

    Examples
    --------
    >>> whole_amounts(["H2", "H0.5", "sample 7"])[:, 0].tolist()
    [2, 0, 0]
    """
    import numpy as np

    from sisso_sal.data.arrow import text_array

    amounts, _ = _amounts(text_array(formulas))
    whole = amounts.astype(np.int64)
    whole[(whole != amounts).any(axis=1)] = 0
    return whole


def _amounts(formulas: "pa.StringArray") -> "tuple[np.ndarray, list[int]]":
    """Atoms of each element (n, n_elements), and numbers of the texts that are not plain, or no formulas: zeros stand for them."""
    import numpy as np

    from sisso_sal.data.arrow import bytes_of
    from sisso_sal.oxides._plain import read_plain

    data, ends = bytes_of(formulas)
    amounts, is_plain = np.zeros((len(formulas), len(_columns()))), np.empty(len(formulas), dtype=np.bool_)
    read_plain(data, ends, _places(), TOLERANCE, amounts, is_plain)
    return amounts, np.flatnonzero(~is_plain).tolist()


def _read_into(amounts: "np.ndarray", formula: str) -> bool:
    """Write the atoms of any formula into zeros (n_elements,); False where it is none."""
    try:
        read = _parsed(formula)
    except InputError:
        return False
    for symbol, number in read.items():
        amounts[_columns()[symbol]] = number if number >= TOLERANCE else 0.0
    return True


def _shares(amounts: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
    """Atoms as shares of all atoms (n, n_elements), in the same memory, and where there are any atoms (n,)."""
    import numpy as np

    total = amounts.sum(axis=1, keepdims=True)
    is_known = total > 0
    np.divide(amounts, total, out=amounts, where=is_known)
    return amounts, is_known[:, 0]


@cache
def _columns() -> Mapping[str, int]:
    return {symbol: number for number, symbol in enumerate(element_data())}


@cache
def _places() -> "np.ndarray":
    """What `read_plain` wants to know of symbols."""
    import numpy as np

    places = np.full(26 * 27, -1)
    for symbol, number in _columns().items():
        first, second = ord(symbol[0]) - ord("A"), ord(symbol[1]) - ord("a") + 1 if len(symbol) > 1 else 0
        places[27 * first + second] = number
    return places


_parsed = lru_cache(maxsize=65_536)(parse_formula)


def composition_of(table: "Table") -> "np.ndarray | None":
    """Share of each element in each row of a table, as `atomic_fractions` gives it.

    The formulas are the ids or, where these are no formulas, the text column ``formula`` or ``composition`` (any case).

    Returns
    -------
    ndarray (n_rows, n_elements), or None where there are no formulas.

    Warns
    -----
    SissoSalWarning
        More than half of the texts are formulas, but not all: no composition is used then.
    """
    columns = {name: cells for name, cells in table.text.items() if name.lower() in {"formula", "composition"}}
    texts = {"id": table.ids, **columns}
    for cells in texts.values():
        if (shares := atomic_fractions(cells)) is not None:
            return shares
    for name, cells in texts.items():
        # Most tables that get here have names of another kind, perhaps a million: looked at until half of them are no formulas.
        others = list(islice((cell for cell in cells if not _is_formula(cell)), (len(cells) + 1) // 2))
        if len(others) < len(cells) / 2:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            text = f"{table.path}: compositions are left out, {name} '{others[0]}'{more} being no formula of known elements"
            warnings.warn(text, SissoSalWarning, stacklevel=2)
            break
    return None


def _is_formula(text: str) -> bool:
    if cannot_be_formula(text):
        return False
    try:
        return bool(parse_formula(text))
    except InputError:
        return False
