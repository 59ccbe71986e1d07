"""Cells of text to numbers: which columns hold numbers, which text, and what to write where a cell is nearly a number."""

# pyarrow.compute makes its functions at import, out of a type checker's sight.
# pyright: reportAttributeAccessIssue=false

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sisso_sal.data.arrow import EMPTY, numbers_of, text_array, truths_of

LARGEST = 1e100

NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_FORTRAN = (r"^([+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+))[dD]([+-]?[0-9]+)$", r"^([+-]?[0-9]+)[dD]([+-][0-9]+)$")
"""Double precision as Fortran prints it. `3d5`, with neither point nor sign, is an electron configuration."""
_COMMA_NUMBER = r"[+-]?[0-9]+,[0-9]+([eE][+-]?[0-9]+)?"
_WHOLE = r"[+-]?[0-9]+([eE][+-]?[0-9]+)?"
_LIKE_THOUSANDS = {",": r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+", ".": r"[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+"}
_INFINITE = r"[+-]?(?i:inf|infinity)"
_UNKNOWN = r"(NA|N/A|n/a|#N/A|#NA|(?i:nan|null|none|-+))"
_BOOLEAN = r"(?i:true|false)"
_DATE = r"[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}([T ].*)?"
_BEGINS_AS_NUMBER = r"[<>≤≥~≈=]*\s*[+\-−–—]?\s?\.?[0-9].*"

_POINT = r"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_ANY = NUMBER.replace("(", "(?:")
_SPACE = "['’_ \u00a0\u2009\u202f]"
_NEARLY = tuple(
    (re.compile(pattern), advice)
    for pattern, advice in (
        (rf"({_ANY})\s*%", "write {0}, with % as the unit in the header, or the fraction"),
        (rf"({_ANY})\s*(?:±|\+/-|\+-).*", "write {0}, without the error"),
        (rf"({_ANY})\s?\([0-9]+\)", "write {0}, without the error in brackets"),
        (rf"[+-]?[0-9]{{1,3}}(?:{_SPACE}[0-9]{{3}})+(?:[.,][0-9]*)?", "write it without separators of thousands"),
        (r"[+-]?[0-9]{1,3}(?:(?:\.[0-9]{3})+,|(?:,[0-9]{3})+\.)[0-9]*", "write it without separators of thousands"),
        (rf"[<>≤≥~≈=]+\s*({_ANY})", "write {0}, or leave the cell empty"),
        (r"[0-9]{1,2}/[0-9]{1,2}", "write the fraction as a decimal number"),
        (rf"{_POINT}\s*[-–—]\s*{_POINT}", "write one number"),
        (rf"[–—‐‑﹣－]\s?({_ANY})", "write -{0}, with the minus sign of the keyboard"),
        (rf"({_ANY})\s?[*†‡§#]+", "write {0}, without the mark"),
    )
)
"""Cells that begin as a number and do not end as one, and what to write for them; `{0}` is the number."""
_WITH_UNIT = re.compile(rf"({_ANY})(\s*)([^\W\d_°µ%][^\s]{{0,15}}|[°µ%][^\s]{{1,15}})")


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one column, told apart into numbers and text.

    Attributes
    ----------
    cells : pyarrow.ChunkedArray (n_rows,)
        What the file holds: trimmed text, or typed values. Decimal commas have become points.
    values : ndarray (n_rows,) of float64 or None
        The numbers, NaN for an empty cell; None where the column holds no numbers, or is spoilt.
    bad : int or None
        0-based row of the first cell that is no number, in a column that holds numbers otherwise.
    problem : str
        What that cell needed and what was found.
    reason : str
        Why the column can only be left out: "text", "dates", "no value"; "" for numbers, also where they are spoilt.
    """

    cells: pa.ChunkedArray
    values: np.ndarray | None
    bad: int | None = None
    problem: str = ""
    reason: str = ""

    @property
    def n_gaps(self) -> int:
        """Number of empty cells of a numeric column."""
        return 0 if self.values is None else int(np.isnan(self.values).sum())

    def texts(self) -> tuple[str, ...]:
        """Every cell as text, "" where it is empty."""
        return tuple("" if cell is None else str(cell) for cell in self.cells.to_pylist())


def shown(value: object, width: int = 48) -> str:
    """A value quoted on one line, cut when it is long.

    >>> shown("n/a"), shown("x" * 100, width=8)
    ("'n/a'", "'xxxxx...'")
    """
    text = repr(value)
    return text if len(text) <= width + 2 else text[: width - 2] + "...'"


def number_in(text: str) -> float:
    """The number in a text, as a cell of a table is read.

    Parameters
    ----------
    text : str
        Such as ``1.5``, ``-2e3`` or ``1.5D+00``.

    Raises
    ------
    ValueError
        With what was needed and what was found: the text is no number, not finite or larger than `LARGEST`.

    Examples
    --------
    >>> number_in("1.2D+00"), number_in("−3")
    (1.2, -3.0)
    >>> number_in("7.2(1)")
    Traceback (most recent call last):
    ...
    ValueError: needs a number, found '7.2(1)'; write 7.2, without the error in brackets
    """
    column = pa.chunked_array([text_array([text.strip()])])
    plain = _plain_numbers(column)[0].as_py()
    if not re.fullmatch(NUMBER, plain):
        raise ValueError(_problem(text.strip(), bool(re.fullmatch(_COMMA_NUMBER, plain))))
    values = np.array([float(plain)])
    bad, problem = _too_large(values, column)
    if bad is not None:
        raise ValueError(problem)
    return float(values[0])


def is_text(kind: pa.DataType) -> bool:
    """Whether cells of this type are text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def classified(columns: Sequence[pa.ChunkedArray], *, commas: bool = False) -> tuple[list[Cells], list[int]]:
    """Tell numbers from text, column by column.

    Parameters
    ----------
    columns : sequence of pyarrow.ChunkedArray (n_rows,)
        Trimmed text, numbers or booleans.
    commas : bool
        Whether the file may have decimal commas: it may where commas do not separate its columns.

    Returns
    -------
    cells : list of Cells
        One for each column.
    converted : list of int
        Columns in which decimal commas were read.
    """
    if not commas:
        return [_classified(cells) for cells in columns], []
    marks = [_mark(cells) if is_text(cells.type) else ("", False) for cells in columns]
    has_commas = any(mark == "," and is_sure for mark, is_sure in marks)
    out, converted = [], []
    for number, (cells, (mark, is_sure)) in enumerate(zip(columns, marks, strict=True)):
        if mark == "," and has_commas:
            out.append(_classified(pc.replace_substring(cells, ",", ".")))
            converted.append(number)
        elif not is_sure and (mark == "," or (mark == "." and has_commas)):
            row = int(np.flatnonzero(_matches(cells, _LIKE_THOUSANDS[mark]))[0])
            cell = cells[row].as_py()
            problem = (
                f"needs one meaning, found {shown(cell)}, a decimal number or one with a separator of thousands; write "
                f"{cell.replace(mark, '.')}0 or {cell.replace(mark, '')}"
            )
            out.append(Cells(cells, None, row, problem))
        else:
            out.append(_classified(cells))
    return out, converted


def _matches(cells: pa.ChunkedArray, pattern: str) -> np.ndarray:
    """ndarray (n_rows,) of bool: whole cells that match; an empty one matches nothing."""
    return truths_of(pc.match_substring_regex(cells, f"^(?:{pattern})$"))


def _mark(cells: pa.ChunkedArray) -> tuple[str, bool]:
    """The decimal mark of a column of numbers ("" where it has none), and whether it can be nothing else."""
    is_empty = ~truths_of(pc.not_equal(cells, EMPTY))
    whole = _matches(cells, _WHOLE)
    for mark, pattern in ((",", _COMMA_NUMBER), (".", NUMBER)):
        marked = _matches(cells, pattern) & ~whole
        if marked.any() and (marked | whole | is_empty).all():
            return mark, bool((marked & ~_matches(cells, _LIKE_THOUSANDS[mark])).any())
    return "", False


def _plain_numbers(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """The cells with a typographic minus sign and the exponents of Fortran as most programs write them."""
    cells = pc.replace_substring_regex(cells, "^−([.0-9])", r"-\1")
    for pattern in _FORTRAN:
        cells = pc.replace_substring_regex(cells, pattern, r"\1e\2")
    return cells


def _classified(cells: pa.ChunkedArray) -> Cells:
    if not is_text(cells.type):
        values = numbers_of(cells.cast(pa.float64(), safe=False))
        return Cells(cells, values, *_too_large(values, cells))
    is_empty = pc.equal(cells, EMPTY)
    filled = pc.if_else(is_empty, pa.NA, cells) if pc.any(is_empty).as_py() else cells
    try:
        values = numbers_of(filled.cast(pa.float64()))
    except pa.ArrowInvalid:
        return _classified_cell_by_cell(cells, filled)
    if np.isnan(values).sum() != filled.null_count:
        return _classified_cell_by_cell(cells, filled)
    return Cells(cells, values, *_too_large(values, cells))


def _too_large(values: np.ndarray, cells: pa.ChunkedArray) -> tuple[int | None, str]:
    bad = np.flatnonzero(np.abs(values) > LARGEST)
    if not bad.size:
        return None, ""
    kind = "a finite number" if np.isinf(values[bad[0]]) else f"a number no larger than {LARGEST:.0e} in size"
    return int(bad[0]), f"needs {kind}, found {shown(str(cells[int(bad[0])].as_py()))}"


def _classified_cell_by_cell(cells: pa.ChunkedArray, filled: pa.ChunkedArray) -> Cells:
    """Decide between numbers, booleans, text, and numbers spoilt by other cells."""
    n_filled = len(filled) - filled.null_count
    plain = _plain_numbers(filled)
    number = _matches(plain, NUMBER)
    if number.sum() == n_filled:
        values = np.array([np.nan if cell is None else float(cell) for cell in plain.to_pylist()])
        return Cells(cells, values, *_too_large(values, cells))
    if _matches(filled, _BOOLEAN).sum() == n_filled:
        truth = {None: np.nan, "true": 1.0, "false": 0.0}
        return Cells(cells, np.array([truth[cell and cell.lower()] for cell in filled.to_pylist()]))
    comma, infinite, unknown = (_matches(filled, pattern) for pattern in (_COMMA_NUMBER, _INFINITE, _UNKNOWN))
    meant = number | comma
    if 2 * (meant | _matches(filled, _BEGINS_AS_NUMBER)).sum() >= n_filled:
        meant |= _nearly_numbers(filled, meant)
    if 2 * meant.sum() < n_filled and (number | infinite | unknown).sum() != n_filled:
        return Cells(cells, None, reason="dates" if 2 * _matches(filled, _DATE).sum() >= n_filled else "text")
    bad = int(np.flatnonzero(~number & truths_of(pc.is_valid(filled)))[0])
    return Cells(
        cells,
        None,
        bad,
        _problem(cells[bad].as_py(), bool(comma[bad])),
        reason="no value" if unknown.sum() == n_filled else "",
    )


def _nearly_numbers(filled: pa.ChunkedArray, known: np.ndarray) -> np.ndarray:
    """ndarray (n_rows,) of bool: cells that stand for numbers, or are numbers with the unit that most of the column has."""
    nearly, units = np.zeros(len(filled), dtype=bool), {}
    for row, cell in enumerate(filled.to_pylist()):
        if cell is not None and not known[row]:
            nearly[row] = any(pattern.fullmatch(cell) for pattern, _ in _NEARLY)
            if not nearly[row] and (unit := _unit_of(cell)):
                units[row] = unit
    if units:
        unit, n = Counter(units.values()).most_common(1)[0]
        if n > 1 and 2 * n >= len(filled) - filled.null_count:
            nearly[[row for row in units if units[row] == unit]] = True
    return nearly


def _unit_of(cell: str) -> str:
    """What follows a number as its unit would: after a space, or after a decimal number; "" where nothing does."""
    match = _WITH_UNIT.fullmatch(cell)
    if match is None or not (match[2] or re.fullmatch(_POINT, match[1])):
        return ""
    return match[3]


def _problem(cell: str, has_comma: bool) -> str:
    if has_comma:
        return f"needs a decimal point and no other separator, found {shown(cell)}"
    if re.fullmatch(_INFINITE, cell):
        return f"needs a finite number, found {shown(cell)}"
    if re.fullmatch(_UNKNOWN, cell):
        return f"needs a number, found {shown(cell)}; leave the cell empty where a value is unknown"
    for pattern, advice in _NEARLY:
        if match := pattern.fullmatch(cell):
            return f"needs a number, found {shown(cell)}; {advice.format(*match.groups())}"
    if unit := _unit_of(cell):
        number = cell.removesuffix(unit).strip()
        return f"needs a number, found {shown(cell)}; write {number}, with the unit {unit} in the header"
    return f"needs a number, found {shown(cell)}"
