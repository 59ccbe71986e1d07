"""THE operator table: everything the program knows of an operator is declared here, once.

The names are those of SISSO++ (Purcell et al., J. Open Source Softw. 7, 3960 (2022)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from sisso_sal.errors import SettingsError, UnitError
from sisso_sal.features.dimension import NONE, Dimension

EQUAL, PRODUCT, QUOTIENT, POWER, UNITLESS = "equal", "product", "quotient", "power", "unitless"
UNIT_RULES = (EQUAL, PRODUCT, QUOTIENT, POWER, UNITLESS)
ANY, NONZERO, NONNEGATIVE, POSITIVE = "any", "nonzero", "nonnegative", "positive"
DOMAINS = (ANY, NONZERO, NONNEGATIVE, POSITIVE)

OF_PRODUCT, OF_QUOTIENT = "product", "quotient"
OF_SUM, OF_DIFFERENCE, OF_ABSOLUTE_DIFFERENCE = "sum", "difference", "absolute difference"
MOMENTS = (OF_PRODUCT, OF_QUOTIENT, OF_SUM, OF_DIFFERENCE, OF_ABSOLUTE_DIFFERENCE)

COMPILED = frozenset(range(1, 18))
"""Opcodes that the compiled kernels of the engine evaluate. A test compares this set with the kernels."""

ARITHMETIC = frozenset(range(1, 12))
"""Opcodes of sums, products, quotients and square roots, which have one correct result: kernels and NumPy give the same bits, as a
test shows. Of the others NumPy has algorithms of its own.
"""

ATOM = 5
"""Binding strength of a name or a number."""


@dataclass(frozen=True)
class Binding:
    """Where a written form needs parentheses. Strengths: 1 sum, 2 product, 3 power, 4 call, 5 name.

    Attributes
    ----------
    own : int
        Strength of the whole form.
    places : tuple of int
        For each operand the smallest strength that needs no parentheses in its place.
    """

    own: int
    places: tuple[int, ...]


CALL = Binding(4, (0, 0))


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One row of the table.

    Parameters
    ----------
    name : str
        As in SISSO++.
    opcode : int
        Its number in the compiled kernels.
    arity : int
        1 or 2.
    unit_rule : str
        ``equal`` (operands need equal units, the result keeps them), ``product``, ``quotient``, ``power`` (exponents are
        multiplied by `power`) or ``unitless`` (operands need no unit).
    moments : str or None
        How the pair sweep computes the moments of the result from its two operands: as those of a ``product``,
        ``quotient``, ``sum``, ``difference`` or ``absolute difference``. None for one operand.
    domain : str
        Where the last operand is allowed: ``any``, ``nonzero``, ``nonnegative`` or ``positive``.
    commutative : bool
        Whether the result stays the same when the operands are exchanged.
    antisymmetric : bool
        Whether the result only changes its sign when the operands are exchanged.
    numpy : callable
        Evaluation on float64 arrays; NaN outside the domain.
    slopes : callable
        Derivatives with respect to each operand: from the operands a tuple of arrays or numbers.
    text, latex, mathml, c, fortran : str
        Templates with ``{0}`` and ``{1}`` for the operands. `text` is Python with sqrt, cbrt, exp, log, sin, cos as functions,
        `mathml` presentation MathML of the Core level.
    sympy : str
        Template for an expression that sympy parses with real symbols.
    body : str
        Body of the function ``sisso_<name>(x)`` that the templates `c` and `fortran` call: one text for Python, C and
        Fortran. Empty where they call no such function.
    binding : Binding
        Of the text form.
    latex_binding, mathml_binding : Binding or None
        Of the typeset forms, where it is another one; MathML follows LaTeX.
    is_fraction : bool
        Whether it is written as a fraction.
    set_apart : frozenset of str
        Operators whose result gets parentheses as an operand in text, whatever the binding: the text would else be that of
        another expression, or hard to read.
    trivial_on : frozenset of str
        Operators on whose result this one is not applied, since a shorter form says the same.
    sisso_symbol : str
        Its symbol in the inputs of the Fortran program SISSO; empty where that program lacks it.
    in_sissopp : bool
        Whether SISSO++ has it.

    Raises
    ------
    SettingsError
        A field has a value that the program does not know.
    """

    name: str
    opcode: int
    arity: int
    unit_rule: str
    numpy: Callable[..., np.ndarray]
    slopes: Callable[..., tuple[np.ndarray | float, ...]]
    text: str
    latex: str
    mathml: str
    sympy: str
    c: str
    fortran: str
    sisso_symbol: str
    in_sissopp: bool = True
    body: str = ""
    binding: Binding = CALL
    latex_binding: Binding | None = None
    mathml_binding: Binding | None = None
    is_fraction: bool = False
    set_apart: frozenset[str] = frozenset()
    power: Fraction = Fraction(1)
    moments: str | None = None
    commutative: bool = False
    antisymmetric: bool = False
    domain: str = ANY
    trivial_on: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        rules = (EQUAL, PRODUCT, QUOTIENT) if self.arity == 2 else (POWER, UNITLESS)
        admitted = {
            "arity": (1, 2), "unit_rule": rules, "domain": DOMAINS, "moments": MOMENTS if self.arity == 2 else (None,),
        }  # fmt: skip
        for field, values in admitted.items():
            if getattr(self, field) not in values:
                needed = ", ".join(map(str, values))
                raise SettingsError(
                    f"operator '{self.name}': {field}: needs one of {needed}, found {getattr(self, field)}"
                )

    @property
    def is_sum(self) -> bool:
        """Whether the pair sweep of sums scores it."""
        return self.moments in (OF_SUM, OF_DIFFERENCE, OF_ABSOLUTE_DIFFERENCE)

    def binding_in(self, form: str) -> Binding:
        """Binding of the form ``text``, ``latex`` or ``mathml``.

        Examples
        --------
        >>> OPERATORS["div"].binding_in("text").places, OPERATORS["div"].binding_in("mathml").places
        ((2, 3), (0, 0))
        """
        typeset = self.latex_binding or self.binding
        return {"text": self.binding, "latex": typeset, "mathml": self.mathml_binding or typeset}[form]

    def result_dimension(self, *operands: Dimension) -> Dimension:
        """Unit of the result.

        Raises
        ------
        UnitError
            The operands' units do not fit the rule.

        Examples
        --------
        >>> from sisso_sal.features.dimension import parse_unit
        >>> str(OPERATORS["div"].result_dimension(parse_unit("eV"), parse_unit("AA")))
        'eV/Å'
        """
        if self.unit_rule == PRODUCT:
            return operands[0] * operands[1]
        if self.unit_rule == QUOTIENT:
            return operands[0] / operands[1]
        if self.unit_rule == POWER:
            return operands[0] ** self.power
        if self.unit_rule == UNITLESS:
            if not operands[0].is_none:
                raise UnitError(f"{self.name}: needs an operand without unit, found {operands[0]}")
            return NONE
        if operands[0] != operands[1]:
            raise UnitError(
                f"{self.name}: needs equal units, found {str(operands[0]) or 'none'} and {str(operands[1]) or 'none'}"
            )
        return operands[0]

    def admits(self, least: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """Whether features with these extreme values lie in the domain.

        Parameters
        ----------
        least, largest : ndarray (n_features,)
            Smallest and largest value of each feature over the samples.

        Returns
        -------
        ndarray (n_features,) of bool
            For ``nonzero`` only features that are zero throughout are refused here; single zeros show on evaluation.
        """
        if self.domain == NONNEGATIVE:
            return least >= 0.0
        if self.domain == POSITIVE:
            return least > 0.0
        if self.domain == NONZERO:
            return (least != 0.0) | (largest != 0.0)
        return np.ones(len(least), dtype=bool)


def _quiet(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    def evaluate(*operands: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return function(*operands)

    return evaluate


def _six_pow(a: np.ndarray) -> np.ndarray:
    cube = a * a * a
    return cube * cube


_PART = '<mrow><mspace width="0.15em"/><mstyle scriptlevel="0">{}</mstyle><mspace width="0.15em"/></mrow>'
"""Of a fraction: as large as the rest, and narrower than the bar, so that the bars of nested fractions can be told apart."""

_FRACTION = f"<mfrac>{_PART.format('{0}')}{_PART.format('{1}')}</mfrac>"

_BAR = Binding(3, (0, 0))
"""Of a typeset fraction: its bar holds together what stands above and below it."""

_TEXT_POWER, _RAISED = Binding(3, (4,)), Binding(3, (ATOM,))

_ROWS = (
    Operator(
        name="add", opcode=1, arity=2, unit_rule=EQUAL, commutative=True, numpy=_quiet(np.add),
        slopes=lambda a, b: (1.0, 1.0),
        moments=OF_SUM, sisso_symbol="+", binding=Binding(1, (1, 2)), latex_binding=Binding(1, (1, 1)),
        mathml="{0}<mo>+</mo>{1}",
        text="{0} + {1}", latex="{0} + {1}", sympy="({0}) + ({1})", c="({0} + {1})", fortran="({0} + {1})",
    ),
    Operator(
        name="sub", opcode=2, arity=2, unit_rule=EQUAL, numpy=_quiet(np.subtract),
        slopes=lambda a, b: (1.0, -1.0),
        antisymmetric=True, moments=OF_DIFFERENCE, sisso_symbol="-", binding=Binding(1, (1, 2)),
        mathml="{0}<mo>−</mo>{1}",
        text="{0} - {1}", latex="{0} - {1}", sympy="({0}) - ({1})", c="({0} - {1})", fortran="({0} - {1})",
    ),
    Operator(
        name="mult", opcode=3, arity=2, unit_rule=PRODUCT, commutative=True, numpy=_quiet(np.multiply),
        slopes=lambda a, b: (b, a),
        moments=OF_PRODUCT, sisso_symbol="*", binding=Binding(2, (2, 3)),
        mathml="{0}<mo>⋅</mo>{1}",
        text="{0}*{1}", latex=r"{0} \cdot {1}", sympy="({0}) * ({1})", c="({0} * {1})", fortran="({0} * {1})",
    ),
    Operator(
        name="div", opcode=4, arity=2, unit_rule=QUOTIENT, domain=NONZERO, numpy=_quiet(np.divide),
        slopes=lambda a, b: (1.0 / b, -a / b**2),
        moments=OF_QUOTIENT, sisso_symbol="/", binding=Binding(2, (2, 3)), latex_binding=_BAR, is_fraction=True,
        set_apart=frozenset({"div", "inv"}), mathml=_FRACTION,
        text="{0}/{1}", latex=r"\frac{{{0}}}{{{1}}}", sympy="({0}) / ({1})", c="({0} / {1})", fortran="({0} / {1})",
    ),
    Operator(
        name="abs_diff", opcode=5, arity=2, unit_rule=EQUAL, commutative=True,
        slopes=lambda a, b: (np.sign(a - b), np.sign(b - a)),
        moments=OF_ABSOLUTE_DIFFERENCE, sisso_symbol="|-|", binding=Binding(4, (1, 2)), mathml_binding=Binding(ATOM, (1, 2)),
        numpy=_quiet(lambda a, b: np.abs(a - b)),
        mathml="<mrow><mo>|</mo>{0}<mo>−</mo>{1}<mo>|</mo></mrow>",
        text="abs({0} - {1})", latex=r"\left|{0} - {1}\right|", sympy="Abs(({0}) - ({1}))",
        c="fabs({0} - {1})", fortran="abs({0} - {1})",
    ),
    Operator(
        name="abs", opcode=6, arity=1, unit_rule=POWER, numpy=_quiet(np.abs),
        slopes=lambda a: (np.sign(a),),
        sisso_symbol="", mathml_binding=Binding(ATOM, (0,)), set_apart=frozenset({"sub"}),
        mathml="<mrow><mo>|</mo>{0}<mo>|</mo></mrow>",
        text="abs({0})", latex=r"\left|{0}\right|", sympy="Abs({0})", c="fabs({0})", fortran="abs({0})",
        trivial_on=frozenset({"abs", "abs_diff", "sq", "six_pow", "sqrt", "exp", "neg_exp"}),
    ),
    Operator(
        name="inv", opcode=7, arity=1, unit_rule=POWER, power=Fraction(-1), domain=NONZERO,
        slopes=lambda a: (-1.0 / a**2,),
        sisso_symbol="^-1", binding=Binding(2, (3,)), latex_binding=_BAR, is_fraction=True,
        numpy=_quiet(lambda a: 1.0 / a),
        mathml=_FRACTION.format("<mn>1</mn>", "{0}"),
        text="1/{0}", latex=r"\frac{{1}}{{{0}}}", sympy="1 / ({0})", c="(1.0 / {0})", fortran="(1.0d0 / {0})",
        trivial_on=frozenset({"inv", "div"}),
    ),
    Operator(
        name="sq", opcode=8, arity=1, unit_rule=POWER, power=Fraction(2), numpy=_quiet(lambda a: a * a),
        slopes=lambda a: (2.0 * a,),
        sisso_symbol="^2", body="x * x", binding=_TEXT_POWER, latex_binding=_RAISED,
        mathml="<msup><mrow>{0}</mrow><mn>2</mn></msup>",
        text="{0}**2", latex="{0}^{{2}}", sympy="({0})**2", c="sisso_sq({0})", fortran="sisso_sq({0})",
        trivial_on=frozenset({"sqrt", "abs"}),
    ),
    Operator(
        name="cb", opcode=9, arity=1, unit_rule=POWER, power=Fraction(3),
        slopes=lambda a: (3.0 * a**2,),
        sisso_symbol="^3", body="x * x * x", binding=_TEXT_POWER, latex_binding=_RAISED,
        numpy=_quiet(lambda a: a * a * a),
        mathml="<msup><mrow>{0}</mrow><mn>3</mn></msup>",
        text="{0}**3", latex="{0}^{{3}}", sympy="({0})**3", c="sisso_cb({0})", fortran="sisso_cb({0})",
        trivial_on=frozenset({"cbrt"}),
    ),
    Operator(
        name="six_pow", opcode=10, arity=1, unit_rule=POWER, power=Fraction(6), numpy=_quiet(_six_pow),
        slopes=lambda a: (6.0 * a**5,),
        sisso_symbol="^6", body="(x * x * x) * (x * x * x)", binding=_TEXT_POWER, latex_binding=_RAISED,
        mathml="<msup><mrow>{0}</mrow><mn>6</mn></msup>",
        text="{0}**6", latex="{0}^{{6}}", sympy="({0})**6", c="sisso_six_pow({0})", fortran="sisso_six_pow({0})",
        trivial_on=frozenset({"sqrt", "cbrt", "abs"}),
    ),
    Operator(
        name="sqrt", opcode=11, arity=1, unit_rule=POWER, power=Fraction(1, 2), domain=NONNEGATIVE,
        slopes=lambda a: (0.5 / np.sqrt(a),),
        sisso_symbol="sqrt",
        numpy=_quiet(np.sqrt),
        mathml="<msqrt>{0}</msqrt>",
        text="sqrt({0})", latex=r"\sqrt{{{0}}}", sympy="sqrt({0})", c="sqrt({0})", fortran="sqrt({0})",
        trivial_on=frozenset({"sq", "six_pow"}),
    ),
    Operator(
        name="cbrt", opcode=12, arity=1, unit_rule=POWER, power=Fraction(1, 3), numpy=_quiet(np.cbrt),
        slopes=lambda a: (1.0 / (3.0 * np.cbrt(a) ** 2),),
        sisso_symbol="cbrt",
        mathml="<mroot><mrow>{0}</mrow><mn>3</mn></mroot>",
        text="cbrt({0})", latex=r"\sqrt[3]{{{0}}}", sympy="sign({0}) * Abs({0})**Rational(1, 3)",
        c="cbrt({0})", fortran="sisso_cbrt({0})",
        trivial_on=frozenset({"cb", "six_pow"}),
    ),
    Operator(
        name="exp", opcode=13, arity=1, unit_rule=UNITLESS, numpy=_quiet(np.exp),
        slopes=lambda a: (np.exp(a),),
        sisso_symbol="exp",
        mathml="<mrow><mi>exp</mi><mo>(</mo>{0}<mo>)</mo></mrow>",
        text="exp({0})", latex=r"\exp\left({0}\right)", sympy="exp({0})", c="exp({0})", fortran="exp({0})",
        trivial_on=frozenset({"log"}),
    ),
    Operator(
        name="neg_exp", opcode=14, arity=1, unit_rule=UNITLESS, numpy=_quiet(lambda a: np.exp(-a)),
        slopes=lambda a: (-np.exp(-a),),
        sisso_symbol="exp-", binding=Binding(4, (2,)),
        mathml="<mrow><mi>exp</mi><mo>(</mo><mo>−</mo>{0}<mo>)</mo></mrow>",
        text="exp(-{0})", latex=r"\exp\left(-{0}\right)", sympy="exp(-({0}))", c="exp(-{0})", fortran="exp(-{0})",
        trivial_on=frozenset({"log"}),
    ),
    Operator(
        name="log", opcode=15, arity=1, unit_rule=UNITLESS, domain=POSITIVE, numpy=_quiet(np.log),
        slopes=lambda a: (1.0 / a,),
        sisso_symbol="log",
        mathml="<mrow><mi>ln</mi><mo>(</mo>{0}<mo>)</mo></mrow>",
        text="log({0})", latex=r"\ln\left({0}\right)", sympy="log({0})", c="log({0})", fortran="log({0})",
        trivial_on=frozenset({"exp", "neg_exp"}),
    ),
    Operator(
        name="sin", opcode=16, arity=1, unit_rule=UNITLESS, numpy=_quiet(np.sin),
        slopes=lambda a: (np.cos(a),),
        sisso_symbol="sin",
        mathml="<mrow><mi>sin</mi><mo>(</mo>{0}<mo>)</mo></mrow>",
        text="sin({0})", latex=r"\sin\left({0}\right)", sympy="sin({0})", c="sin({0})", fortran="sin({0})",
    ),
    Operator(
        name="cos", opcode=17, arity=1, unit_rule=UNITLESS, numpy=_quiet(np.cos),
        slopes=lambda a: (-np.sin(a),),
        sisso_symbol="cos",
        mathml="<mrow><mi>cos</mi><mo>(</mo>{0}<mo>)</mo></mrow>",
        text="cos({0})", latex=r"\cos\left({0}\right)", sympy="cos({0})", c="cos({0})", fortran="cos({0})",
    ),
)  # fmt: skip

OPERATORS: dict[str, Operator] = {row.name: row for row in _ROWS}
BY_OPCODE: dict[int, Operator] = {row.opcode: row for row in _ROWS}

DEFAULT_OPERATORS = (
    "add", "sub", "abs_diff", "mult", "div", "inv", "sq", "cb", "six_pow", "sqrt", "cbrt", "exp", "neg_exp",
)  # fmt: skip
"""Operators of the published acid-stability study; log, abs, sin and cos are there when asked for."""


def operators_named(names: tuple[str, ...] | list[str]) -> tuple[Operator, ...]:
    """The operators with these names, in the order of the table.

    Raises
    ------
    SettingsError
        A name is not in the table.

    Examples
    --------
    >>> [o.name for o in operators_named(["div", "add"])]
    ['add', 'div']
    """
    from difflib import get_close_matches

    for name in names:
        if name not in OPERATORS:
            close = get_close_matches(name, OPERATORS, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise SettingsError(f"operators: needs names from {', '.join(OPERATORS)}, found '{name}'{hint}")
    return tuple(row for row in _ROWS if row.name in set(names))


def refuse_uncompiled(operators: Iterable[Operator]) -> None:
    """Refuse operators that the kernels cannot evaluate: their features would be counted and never scored.

    Raises
    ------
    SettingsError
        No kernel evaluates an operator, or two operators have one opcode.
    """
    for row in operators:
        if row.opcode not in COMPILED:
            raise SettingsError(f"operator '{row.name}': needs an opcode that the kernels know, found {row.opcode}")
        if BY_OPCODE.get(row.opcode) is not row:
            raise SettingsError(f"operator '{row.name}': needs an opcode of its own, found {row.opcode} twice")
