"""Operators by name: the same for all rungs, or those of each rung."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sisso_sal.errors import SettingsError
from sisso_sal.features.operators import operators_named

__all__ = ["OperatorNames", "names_of", "of_each_rung", "several"]

OperatorNames = tuple[str | tuple[str, ...], ...]
"""Names of the operators of all rungs, or of each rung in a tuple of its own."""


def of_each_rung(operators: OperatorNames, rung: int) -> list[tuple[str, ...]]:
    """The operators of the rungs from 1 on; where each rung has its own, those of further rungs are left out.

    Parameters
    ----------
    operators : tuple of str, or tuple of tuple of str
        Names of the operators of all rungs, or of each rung.
    rung : int

    Raises
    ------
    SettingsError
        A name is not in the table, or a rung has no operators.

    Examples
    --------
    >>> of_each_rung(("add", "div"), 2)
    [('add', 'div'), ('add', 'div')]
    >>> of_each_rung((("add", "sub"), ("div",)), 1)
    [('add', 'sub')]
    """
    shared = tuple(names for names in operators if isinstance(names, str))
    own = [names for names in operators if not isinstance(names, str)]
    if shared and own:
        raise SettingsError(f"operators: needs names, or names of each rung, found both in {operators!r}")
    for names in own or [shared]:
        operators_named(names)
    groups = own or [shared] * rung
    if len(groups) < rung:
        raise SettingsError(
            f"operators: needs operators of all rungs, or of each of {rung}, found those of {len(groups)}"
        )
    if not all(groups):
        raise SettingsError("operators: needs at least one operator, found none")
    return groups[:rung]


def names_of(operators: OperatorNames) -> set[str]:
    """All operators that occur.

    Examples
    --------
    >>> sorted(names_of((("add", "sub"), ("add", "div"))))
    ['add', 'div', 'sub']
    """
    return {name for names in operators for name in ((names,) if isinstance(names, str) else names)}


def several(setting: str, names: Any) -> tuple[Any, ...]:
    """The names of a setting as a tuple.

    Raises
    ------
    SettingsError
        It is one text, or no sequence.

    Examples
    --------
    >>> several("operators", ["add", "div"])
    ('add', 'div')
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise SettingsError(f"{setting}: needs a sequence of names, found {names!r}")
    return tuple(names)
