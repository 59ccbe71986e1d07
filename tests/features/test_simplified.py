"""Simplified formulas: equal to the formula where it is defined, undefined where it is not, and the same in every notation."""

import mpmath
import naive_latex
import naive_mathml
import numpy as np
import pytest
from compiled import examples_of
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.features.expression import Expression
from sisso_sal.features.operators import OPERATORS
from sisso_sal.features.parameters import RULES
from sisso_sal.features.reading import parse_formula
from sisso_sal.features.simplified import _RULES, simplified
from sisso_sal.features.typeset import FORMS, in_ascii, written
from sisso_sal.features.unit_rules import UNIT_RULES

NAMES = ("a", "b", "c")
FREE = UNIT_RULES["none"]
MOST = mpmath.mpf(10) ** 9


PARAMETERS = st.tuples(st.sampled_from([1.0, -1.0, 0.5, -1.75]), st.sampled_from([0.0, 0.25, -1.5]))
"""Numbers that have the same value in text of six digits."""


class Undefined(Exception):
    """A real formula has no value here."""


def _sized(x):
    if x != 0 and not 1 / MOST < abs(x) < MOST:
        raise OverflowError
    return x


def _checked(function, is_inside=lambda x: True):
    def evaluate(x):
        if not is_inside(x):
            raise Undefined
        return function(x)

    return evaluate


FUNCTIONS = {
    "sqrt": _checked(mpmath.sqrt, lambda x: x >= 0), "log": _checked(mpmath.log, lambda x: x > 0), "exp": mpmath.exp,
    "sin": mpmath.sin, "cos": mpmath.cos, "abs": abs, "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
}  # fmt: skip


def exact(expression, columns):
    """The value of a formula, operator by operator, with 80 digits."""
    if expression.is_primary:
        return columns[expression.name]
    inner = [exact(operand, columns) for operand in expression.operands]
    if expression.parameters is not None:
        scale, shift = expression.parameters
        inner = [_sized(scale * inner[0] + shift)]
    text = expression.operator.text.format(*(f"v{i}" for i in range(len(inner))))
    return _sized(_value(text, dict(zip(("v0", "v1"), inner, strict=False))))


def _value(text, columns):
    try:
        return eval(text, {"__builtins__": {}}, FUNCTIONS | columns)
    except ZeroDivisionError:
        raise Undefined from None


def _outcome(evaluate):
    try:
        return evaluate()
    except Undefined:
        return None


@st.composite
def formulas(draw, depth=4):
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return Expression.primary(draw(st.sampled_from(NAMES)))
    row = OPERATORS[draw(st.sampled_from(sorted(OPERATORS)))]
    operands = [draw(formulas(depth=depth - 1)) for _ in range(row.arity)]
    own = draw(st.none() | PARAMETERS) if row.name in RULES else None
    return Expression.apply(row.name, *operands, rules=FREE, parameters=own)


@settings(max_examples=examples_of(400), deadline=None)
@given(formulas(), st.integers(0, 2**32 - 1))
def test_simplified_equals_the_formula_and_is_undefined_where_it_is(formula, seed):
    with mpmath.workdps(80):
        text = written(formula, "ascii")
        for point in np.random.default_rng(seed).uniform(-2.5, 2.5, (6, 3)):
            columns = {name: mpmath.mpf(float(x)) for name, x in zip(NAMES, point, strict=True)}
            try:
                known = _outcome(lambda columns=columns: exact(formula, columns))
            except OverflowError:
                continue
            short = _outcome(lambda columns=columns: _value(text, columns))
            assert (known is None) == (short is None), text
            assert known is None or abs(known - short) <= mpmath.mpf(10) ** -30 * (1 + abs(known)), text


def read_plain(text):
    """What a person reads in raised exponents, signs of roots, and bars."""
    out = ""
    for character in in_ascii(text):
        if character == "|":
            opens = not out or out[-1] in "(*/- +" or out.endswith("**")
            character = "abs(" if opens else ")"
        out += character
    return out


@settings(max_examples=examples_of(250), deadline=None)
@given(formulas(depth=3), st.integers(0, 2**32 - 1), st.booleans())
def test_every_notation_says_the_same(formula, seed, factor):
    readings = [
        read_plain(written(formula, "plain", factor=factor)),
        naive_mathml.as_python(written(formula, "mathml", factor=factor)),
        naive_latex.as_python(written(formula, "latex", factor=factor)),
    ]
    with mpmath.workdps(60):
        columns = {
            name: mpmath.mpf(float(x))
            for name, x in zip(NAMES, np.random.default_rng(seed).uniform(0.3, 2, 3), strict=False)
        }
        try:
            _outcome(lambda: exact(formula, columns))
        except OverflowError:
            return
        known = _outcome(lambda: _value(written(formula, "ascii"), columns))
        for text in readings:
            said = _outcome(lambda text=text: _value(text, columns))
            assert (known is None) == (said is None), text
            assert known is None or abs(known - said) <= mpmath.mpf(10) ** -20 * (1 + abs(known)), text


UNITS = dict.fromkeys(("r_cov", "r_cat", "e_H", "a", "b", "c"), "")

SHOWN = [
    (
        "r_cov**6/(r_cat/e_H)", "r_cov⁶·e_H/r_cat", "r_cov**6*e_H/r_cat",
        r"\frac{r_{\mathrm{cov}}^{6} \cdot e_{\mathrm{H}}}{r_{\mathrm{cat}}}",
    ),
    ("(a*b)/(c/a)", "a²·b/c", "a**2*b/c", r"\frac{a^{2} \cdot b}{c}"),
    ("sqrt(a)*sqrt(a)", "(√a)²", "sqrt(a)**2", r"\left(\sqrt{a}\right)^{2}"),  # undefined below zero, as the formula
    ("a*sqrt(a)", "a·√a", "a*sqrt(a)", r"a \cdot \sqrt{a}"),
    ("sqrt(a)/a", "1/√a", "1/sqrt(a)", r"\frac{1}{\sqrt{a}}"),
    ("sqrt((a/b)*(a*b))", "|a|", "abs(a)", r"\left|a\right|"),
    ("sqrt(a*b)", "√(a·b)", "sqrt(a*b)", r"\sqrt{a \cdot b}"),  # both may be below zero
    ("cbrt(a)**2*cbrt(b)", "∛(a²·b)", "cbrt(a**2*b)", r"\sqrt[3]{a^{2} \cdot b}"),
    ("abs(a)/abs(b)", "|a/b|", "abs(a/b)", r"\left|\frac{a}{b}\right|"),
    ("abs(a)**3", "|a³|", "abs(a**3)", r"\left|a^{3}\right|"),
    ("(a - b)/c - (c - b)/c", "(a - c)/c", "(a - c)/c", r"\frac{a - c}{c}"),
    ("a*b + a*c", "a·(b + c)", "a*(b + c)", r"a \cdot \left(b + c\right)"),
    ("exp(a)*exp(-b)", "exp(a - b)", "exp(a - b)", r"\exp\left(a - b\right)"),
    ("sqrt(exp(a))", "exp(a/2)", "exp(a/2)", r"\exp\left(\frac{a}{2}\right)"),
    ("log(a)/log(a)", "log(a)/log(a)", "log(a)/log(a)", r"\frac{\ln\left(a\right)}{\ln\left(a\right)}"),
    ("(b - a)*c", "c·(b - a)", "c*(b - a)", r"c \cdot \left(b - a\right)"),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "plain", "ascii_text", "latex"), SHOWN)
def test_formulas_as_a_person_would_write_them(formula, plain, ascii_text, latex):
    expression = parse_formula(formula, UNITS)
    assert [written(expression, form) for form in ("plain", "ascii", "latex")] == [plain, ascii_text, latex]


R, K = Expression.primary("r", "AA"), Expression.primary("k", "eV")
DECAY = Expression.apply("exp", R, parameters=(-0.5200000001, 0.0))
PARAMETRISED = [
    (
        Expression.apply("mult", K, DECAY), "exp(-0.52 [1/Å]·r)·k",
        r"\exp\left(-0.5200000001\,\text{\AA{}}^{-1} \cdot r\right) \cdot k",
    ),
    (Expression.apply("inv", R, parameters=(1.0, 0.5)), "1/(r + 0.5 [Å])", r"\frac{1}{r + 0.5\,\text{\AA{}}}"),
    (
        Expression.apply("sqrt", Expression.apply("sq", R), parameters=(-1.0, 2.0)), "√(-r² + 2 [Å²])",
        r"\sqrt{-r^{2} + 2\,\text{\AA{}}^{2}}",
    ),
    (Expression.apply("mult", DECAY, Expression.apply("exp", K, parameters=(2.0, 0.0))), "exp(2 [1/eV]·k - 0.52 [1/Å]·r)", None),
    (Expression.apply("sq", R, parameters=(1.0, -3.5)), "(r - 3.5 [Å])²", None),
    (Expression.apply("abs", R, parameters=(1.0, -3.5)), "|r - 3.5 [Å]|", None),
    (Expression.apply("log", Expression.apply("sub", R, R), parameters=(0.25, 3.5)), "log(0.25 [1/Å]·(r - r) + 3.5)", None),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "plain", "latex"), PARAMETRISED)
def test_scales_and_shifts_are_shown_with_their_units(formula, plain, latex):
    assert written(formula, "plain") == plain
    assert latex is None or written(formula, "latex") == latex


def test_units_of_parameters_are_those_of_the_formula_that_is_asked_for():
    told = [
        written(Expression.apply("exp", Expression.primary("T", unit), parameters=(2.0, 0.0)), "plain")
        for unit in ("K", "", "eV")
    ]
    assert told == ["exp(2 [1/K]·T)", "exp(2·T)", "exp(2 [1/eV]·T)"]


def test_every_operator_has_a_rule():
    assert set(_RULES) == set(OPERATORS)


def test_factors_get_parentheses_where_they_need_them():
    a, b = map(Expression.primary, "ab")
    added, inverse = Expression.apply("add", a, b), Expression.apply("inv", a)
    assert [written(one, "plain", factor=True) for one in (added, inverse, a)] == ["(a + b)", "(1/a)", "a"]
    assert written(inverse, "latex", factor=True) == r"\frac{1}{a}"


def test_bars_and_parentheses_stretch_in_mathml():
    text = written(parse_formula("abs(a/b - c)", UNITS), "mathml")
    assert text.count('stretchy="true"') == 2
    assert "<mfrac>" in text


def test_names_are_quoted_and_can_be_replaced():
    expression = Expression.apply("sq", Expression.primary("a/b"))
    assert written(expression, "plain") == "`a/b`²"
    assert written(expression, "plain", {"a/b": "x"}) == "x²"
    assert set(FORMS) == {"plain", "ascii", "latex", "mathml"}
    assert simplified(expression) is simplified(Expression.apply("sq", Expression.primary("a/b")))  # remembered


def test_a_terminal_without_raised_digits_gets_words():
    assert in_ascii("2 [eV/Å²] · √r_c·`a²·b`³/∛(|a|)") == "2 [eV/Å**2] * sqrt(r_c)*`a²·b`**3/cbrt(|a|)"
