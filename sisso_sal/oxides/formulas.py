"""Formulas, read as pymatgen reads them, to the same bits, and without it.

Plain ones (symbols, numbers and brackets, nothing between them) are read ten times faster than by pymatgen. Odd ones have spaces,
an ``@`` (Y3N@C80) or numbers such as 1e-3. Amounts are added in the order in which pymatgen adds them: groups of the innermost
brackets first, each atom times the factor of its brackets.
"""

import re
from collections.abc import Callable
from functools import lru_cache

__all__ = ["cannot_be_formula", "odd_atoms", "plain_atoms"]

TOLERANCE = 1e-8
"""Atoms below which pymatgen drops an element (`Composition.amount_tolerance`)."""

_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_TOKEN = re.compile(r"[A-Z][^A-Z]*")
_ATOM = re.compile(rf"([A-Z][a-z]?)({_NUMBER}?)")
_BRACKETS = re.compile(rf"\(([^()]+)\)({_NUMBER}?)")
_ODD_ATOM = re.compile(r"([A-Z][a-z]*)\s*([-*.e\d]*)")
_ODD_BRACKETS = re.compile(r"\(([^()]+)\)\s*([.e\d]*)")
_ROUND = str.maketrans("[]{}", "()()")
_FOREIGN = re.compile(
    r"\s*[^A-Z(\[{@\s]"  # no symbol at the start, and what stands there is never taken away
    r"|.*[^A-Za-z0-9\s()\[\]{}@*.\-]"
    r"|[A-Za-z0-9]*[A-Z][a-z]{2,}(?:0*[1-9]|[A-Z]|$)[A-Za-z0-9]*$",  # a symbol of three letters, at least once
    re.ASCII | re.DOTALL,
)


def plain_atoms(text: str) -> list[tuple[str, float]] | None:
    """Symbol and number of each group of a plain formula, in the order of the text; a symbol may come again.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of (str, float), or None
        None where the text is not plain, which does not say that it is no formula; a symbol need not be an element.

    Examples
    --------
    >>> plain_atoms("CuSO4(H2O)5")
    [('Cu', 1.0), ('S', 1.0), ('O', 4.0), ('H', 10.0), ('O', 5.0)]
    >>> plain_atoms("Y3N@C80") is None
    True
    """
    if "(" in text or "[" in text or "{" in text:
        text = _without_brackets(text.translate(_ROUND), _BRACKETS, plain_atoms)
    tokens = _TOKEN.findall(text)
    atoms = [_atom(token) for token in tokens]
    if not tokens or None in atoms or not text.startswith(tokens[0]):
        return None
    return atoms  # pyright: ignore[reportReturnType]


def odd_atoms(text: str) -> list[tuple[str, float]] | None:
    """The same for any formula that pymatgen reads; None where the text is no formula, whatever its symbols.

    Examples
    --------
    >>> odd_atoms("Y3N@C80"), odd_atoms("Mg O"), odd_atoms("Sample 7"), odd_atoms("CuSO4·5H2O")
    ([('Y', 3.0), ('N', 1.0), ('C', 80.0)], [('Mg', 1.0), ('O', 1.0)], [('Sample', 7.0)], None)
    """
    try:
        text = _without_brackets(text.replace("@", "").translate(_ROUND), _ODD_BRACKETS, _odd_group)
    except ValueError:  # a number such as 1.2.3
        return None
    return _odd_group(text)


def _odd_group(text: str) -> list[tuple[str, float]] | None:
    """Symbols and numbers of a text without brackets; None where something else but spaces stands between them."""
    if _ODD_ATOM.sub("", text).strip():
        return None
    try:
        return [(symbol, float(number or 1.0)) for symbol, number in _ODD_ATOM.findall(text)]
    except ValueError:
        return None


def _without_brackets(
    text: str, brackets: re.Pattern[str], read: Callable[[str], list[tuple[str, float]] | None]
) -> str:
    """The same atoms without brackets; a bracket, which is no atom, where one of them cannot be read."""
    while match := brackets.search(text):
        atoms = read(match[1])
        if atoms is None:
            return "("
        factor = float(match[2] or 1.0)
        amounts: dict[str, float] = {}
        for symbol, number in atoms:
            amounts[symbol] = amounts.get(symbol, 0.0) + number * factor
        group = "".join(f"{symbol}{number}" for symbol, number in amounts.items())
        text = text[: match.start()] + group + text[match.end() :]
    return text


@lru_cache(maxsize=65_536)
def _atom(token: str) -> tuple[str, float] | None:
    """Symbol and number of a token such as ``O3``; None where it is another."""
    match = _ATOM.fullmatch(token)
    return match and (match[1], float(match[2] or 1.0))


def cannot_be_formula(text: str) -> bool:
    """Whether a text is surely no formula, as most names of materials are; False leaves it open.

    Examples
    --------
    >>> cannot_be_formula("mp-1234"), cannot_be_formula("Sample 7"), cannot_be_formula("Sample7"), cannot_be_formula("MgO")
    (True, False, True, False)
    """
    return text.isascii() and _FOREIGN.match(text) is not None
