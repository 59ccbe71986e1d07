"""Rules for units: what the units of columns allow in the feature space. Each is a record with its words beside it."""

from __future__ import annotations

from dataclasses import dataclass

from sisso_sal.errors import SettingsError
from sisso_sal.features.dimension import NONE, Dimension
from sisso_sal.features.operators import UNITLESS, Operator


@dataclass(frozen=True, kw_only=True)
class UnitRules:
    """One set of rules.

    Attributes
    ----------
    name : str
        As in the setting `units`.
    words : str
        What it says, for people.
    are_checked : bool
        Whether the space keeps to the units of its columns; otherwise they count as none.
    is_any_argument : bool
        Whether exp, neg_exp, log, sin and cos take a quantity with a unit; their result has none.
    """

    name: str
    words: str
    are_checked: bool = True
    is_any_argument: bool = False

    def result(self, row: Operator, *operands: Dimension) -> Dimension:
        """Unit of an operator's result.

        Raises
        ------
        UnitError
            The operands' units do not fit the rules.

        Examples
        --------
        >>> from sisso_sal.features.dimension import parse_unit
        >>> from sisso_sal.features.operators import OPERATORS
        >>> UNIT_RULES["sisso"].result(OPERATORS["exp"], parse_unit("eV")).is_none
        True
        """
        if self.is_any_argument and row.unit_rule == UNITLESS:
            return NONE
        return row.result_dimension(*operands)


STRICT = UnitRules(
    name="strict",
    words="sums and differences need equal units; exp, log, sin and cos need none",
)
SISSO = UnitRules(
    name="sisso",
    words="as in SISSO: sums and differences need equal units; exp, log, sin and cos take any quantity and give no unit",
    is_any_argument=True,
)
IGNORED = UnitRules(name="none", words="units are ignored", are_checked=False)

UNIT_RULES: dict[str, UnitRules] = {rules.name: rules for rules in (STRICT, SISSO, IGNORED)}


def unit_rules_named(name: str) -> UnitRules:
    """The rules of this name.

    Raises
    ------
    SettingsError
        There are no such rules.
    """
    if name not in UNIT_RULES:
        raise SettingsError(f"unit_rules: needs one of {', '.join(UNIT_RULES)}, found {name!r}")
    return UNIT_RULES[name]
