"""Settings of the levels of theory at which a campaign computes: one table ``[[level]]`` for each, the cheapest first."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from sisso_sal.settings import PEOPLE
from sisso_sal.settings.calculation import CalculationSettings, LabelSettings

__all__ = ["LevelSettings", "check_levels", "level_text"]


class LevelSettings(BaseModel):
    """One level of theory.

    Examples
    --------
    >>> LevelSettings(name="hse06", cost=100, column="gap_hse06 (eV)").oracle
    'none'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    name: str
    """Letters, digits, hyphens and underscores."""
    cost: float = Field(gt=0)
    """Of one calculation, in any unit that all levels share."""
    column: str | None = None
    """Header of its values; of the last level the target, of any other a column that may have gaps or not be there at all."""
    oracle: str = PEOPLE
    """Who computes, as ``--oracle`` takes it."""
    calculation: CalculationSettings | None = None
    """What computes, in the place of section ``[calculation]``, of which ``command`` and ``species_dir`` hold all the same."""
    label: LabelSettings | None = None
    """What its value is, in the place of section ``[label]``."""

    @field_validator("name")
    @classmethod
    def _is_word(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", name):
            raise PydanticCustomError("name", "a name of at most 32 letters, digits, hyphens and underscores")
        return name

    @field_validator("column")
    @classmethod
    def _is_header(cls, column: str | None) -> str | None:
        if column is not None and not column.strip():
            raise PydanticCustomError("column", "a header of a column")
        return column


def level_text(number: int, name: object) -> str:
    """A level with its number, counted from 0 here and from 1 in messages.

    Examples
    --------
    >>> level_text(1, "hse06"), level_text(0, None)
    ('level 2 (hse06)', 'level 1')
    """
    return f"level {number + 1} ({name})" if isinstance(name, str) else f"level {number + 1}"


def check_levels(levels: Sequence[LevelSettings]) -> None:
    """Refuse levels that make no ladder.

    Raises
    ------
    ValueError
        There is only one; two have one column, or names that are equal but for upper and lower case; a lower one has no column; one
        costs less than that below it.

    Examples
    --------
    >>> check_levels([LevelSettings(name="pbe", cost=1, column="g"), LevelSettings(name="hse", cost=0.5)])
    Traceback (most recent call last):
    ...
    ValueError: levels in the order of their costs, the last one counts; 'hse' costs less than 'pbe'
    """
    if len(levels) == 1:
        raise ValueError("two levels or more; the last one counts")
    for below, above in itertools.pairwise(levels):
        if above.cost < below.cost:
            raise ValueError(
                f"levels in the order of their costs, the last one counts; '{above.name}' costs less than '{below.name}'"
            )
        if below.column is None:
            raise ValueError(f"a column for level '{below.name}'")
    for what in ("name", "column"):
        values = [value for level in levels if (value := getattr(level, what)) is not None]
        if twice := next((value for value in values if values.count(value) > 1), None):
            raise ValueError(f"a {what} of its own for each level; two have '{twice}'")
    folders = [level.name.casefold() for level in levels]
    for level, folder in zip(levels, folders, strict=True):
        if folders.count(folder) > 1:  # a disk may not tell the folders of the two apart
            other = next(one.name for one in levels if one.name.casefold() == folder and one is not level)
            raise ValueError(f"names that differ in more than upper and lower case, found '{level.name}' and '{other}'")
