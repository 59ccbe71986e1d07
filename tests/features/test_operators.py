"""The operator table, row by row: kernel, NumPy, text, sympy, C, Fortran, units and domain say the same of each operator."""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy
from naive_mathml import as_python

from sisso_sal.engine import _kernels as kernels
from sisso_sal.errors import SettingsError, UnitError
from sisso_sal.features.dimension import NONE, parse_unit
from sisso_sal.features.expression import Expression
from sisso_sal.features.operators import BY_OPCODE, DEFAULT_OPERATORS, OPERATORS, operators_named

EV, LENGTH = parse_unit("eV"), parse_unit("AA")
ROWS = pytest.mark.parametrize("row", OPERATORS.values(), ids=OPERATORS)

ANYWHERE = np.array([-3.7, -1.0, -0.25, -1e-3, 1e-3, 0.25, 0.5, 1.0, 1.5, 2.0, 3.14, 7.5, 40.0])
OTHER = np.array([2.5, -0.5, 1.0, 3.0, -2e-3, 0.25, 7.0, -1.0, 0.3, 2.0, -9.0, 11.0, 0.125])

MEANING = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mult": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "abs_diff": lambda a, b: abs(a - b),
    "abs": abs,
    "inv": lambda a: 1 / a,
    "sq": lambda a: a**2,
    "cb": lambda a: a**3,
    "six_pow": lambda a: a**6,
    "sqrt": math.sqrt,
    "cbrt": lambda a: math.copysign(abs(a) ** (1 / 3), a),
    "exp": math.exp,
    "neg_exp": lambda a: math.exp(-a),
    "log": math.log,
    "sin": math.sin,
    "cos": math.cos,
}


def operands_of(row):
    """Operands (arity, n) inside the operator's domain."""
    first = ANYWHERE[ANYWHERE > 0] if row.domain in {"positive", "nonnegative"} else ANYWHERE
    return np.array([first, OTHER[: len(first)]][: row.arity])


def kernel(opcode, *operands):
    out = np.empty(len(operands[0]))
    with np.errstate(all="ignore"):  # only matters where compilation is switched off
        kernels.evaluate(opcode, operands[0], operands[-1], out)
    return out


def functions(**extra):
    """Names that occur in the printed forms."""
    return {
        "sqrt": np.sqrt, "cbrt": np.cbrt, "exp": np.exp, "log": np.log, "sin": np.sin, "cos": np.cos, "abs": np.abs,
        "fabs": np.abs, "sisso_sq": lambda a: a**2, "sisso_cb": lambda a: a**3, "sisso_six_pow": lambda a: a**6,
        "sisso_cbrt": np.cbrt, **extra,
    }  # fmt: skip


def test_the_table_holds_the_names_of_sissopp():
    assert list(OPERATORS) == list(MEANING)
    assert set(DEFAULT_OPERATORS) == set(OPERATORS) - {"abs", "log", "sin", "cos"}


def test_opcodes_are_unique_and_leave_zero_for_a_copy():
    assert sorted(BY_OPCODE) == list(range(1, len(OPERATORS) + 1))


@ROWS
def test_numpy_form_means_what_the_name_says(row):
    operands = operands_of(row)
    expected = [MEANING[row.name](*column) for column in operands.T.tolist()]
    np.testing.assert_allclose(row.numpy(*operands), expected, rtol=1e-14)


@ROWS
def test_kernel_equals_numpy(row):
    operands = operands_of(row)
    np.testing.assert_allclose(kernel(row.opcode, *operands), row.numpy(*operands), rtol=4e-16)


@ROWS
def test_kernel_equals_numpy_outside_the_domain(row):
    operands = np.array([[0.0, -0.0, -1.0, -1e-300, 1e300, 800.0], [0.0, 1.0, -1.0, 0.0, 1e-300, 0.0]])[: row.arity]
    found, expected = kernel(row.opcode, *operands), row.numpy(*operands)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_a_copy_is_a_copy():
    np.testing.assert_array_equal(kernel(0, ANYWHERE), ANYWHERE)


@pytest.mark.parametrize("language", ["text", "c", "fortran"])
@ROWS
def test_printed_form_evaluates_to_the_same(row, language):
    operands = operands_of(row)
    formula = Expression.apply(row.name, *(Expression.primary(name) for name in "ab"[: row.arity]))
    code = formula.to_code(language, {"a": "p", "b": "q"}).replace("d0", "")
    found = eval(code, functions(p=operands[0], q=operands[-1]))
    np.testing.assert_allclose(found, row.numpy(*operands), rtol=1e-14)


@ROWS
def test_mathml_reads_as_the_same(row):
    operands = operands_of(row)
    formula = Expression.apply(row.name, *(Expression.primary(name) for name in "ab"[: row.arity]))
    code = as_python(formula.to_mathml({"a": "<mi>p</mi>", "b": "<mi>q</mi>"}))
    found = eval(code, functions(p=operands[0], q=operands[-1]))
    np.testing.assert_allclose(found, row.numpy(*operands), rtol=1e-14)


@ROWS
def test_sympy_form_evaluates_to_the_same(row):
    operands = operands_of(row)
    formula = Expression.apply(row.name, *(Expression.primary(name) for name in "ab"[: row.arity])).to_sympy()
    for column, expected in zip(operands.T.tolist(), row.numpy(*operands), strict=True):
        values = {sympy.Symbol(name, real=True): value for name, value in zip("ab", column, strict=False)}
        assert float(formula.subs(values)) == pytest.approx(expected, rel=1e-12)


@ROWS
def test_commutative_means_that_operands_may_change_places(row):
    if row.arity == 1:
        assert not row.commutative
        return
    a, b = operands_of(row)
    assert row.commutative == np.array_equal(row.numpy(a, b), row.numpy(b, a))


UNIT_OF = {
    **dict.fromkeys(["inv"], NONE / EV),
    "abs": EV, "sq": EV**2, "cb": EV**3, "six_pow": EV**6, "sqrt": EV ** Fraction(1, 2), "cbrt": EV ** Fraction(1, 3),
}  # fmt: skip


@pytest.mark.parametrize(("name", "unit"), UNIT_OF.items())
def test_unit_of_powers_and_roots(name, unit):
    assert OPERATORS[name].result_dimension(EV) == unit
    assert OPERATORS[name].result_dimension(NONE) == NONE


@pytest.mark.parametrize("name", ["sq", "cb", "six_pow", "sqrt", "cbrt", "inv"])
def test_declared_power_is_the_power_of_the_values(name):
    row = OPERATORS[name]
    np.testing.assert_allclose(row.numpy(np.array([3.0])), 3.0 ** float(row.power), rtol=1e-14)


@pytest.mark.parametrize("name", ["add", "sub", "abs_diff"])
def test_sums_need_equal_units(name):
    row = OPERATORS[name]
    assert row.result_dimension(EV, EV) == EV
    with pytest.raises(UnitError) as caught:
        row.result_dimension(EV, LENGTH)
    assert str(caught.value) == f"{name}: needs equal units, found eV and Å"
    with pytest.raises(UnitError, match=f"^{name}: needs equal units, found none and eV$"):
        row.result_dimension(NONE, EV)


def test_products_and_quotients_take_any_units():
    assert OPERATORS["mult"].result_dimension(EV, LENGTH) == EV * LENGTH
    assert OPERATORS["div"].result_dimension(EV, LENGTH) == EV / LENGTH
    assert OPERATORS["div"].result_dimension(EV, EV) == NONE


@pytest.mark.parametrize("name", ["exp", "neg_exp", "log", "sin", "cos"])
def test_transcendental_functions_need_no_unit(name):
    assert OPERATORS[name].result_dimension(NONE) == NONE
    with pytest.raises(UnitError) as caught:
        OPERATORS[name].result_dimension(EV)
    assert str(caught.value) == f"{name}: needs an operand without unit, found eV"


def test_every_unit_rule_is_tested_above():
    tested = {*UNIT_OF, "add", "sub", "abs_diff", "mult", "div", "exp", "neg_exp", "log", "sin", "cos"}
    assert tested == set(OPERATORS)


@ROWS
def test_domain_admits_a_feature_exactly_where_it_can_be_finite(row):
    """`admits` may let a feature through that fails on evaluation (single zeros), never refuse one that does not."""
    ranges = [(-2.0, -1.0), (-1.0, 0.0), (-1.0, 1.0), (0.0, 0.0), (0.0, 1.0), (1.0, 2.0)]
    least, largest = np.array(ranges).T
    other = np.ones(2)
    finite = []
    for low, high in ranges:
        inner = np.array([low, high])
        finite.append(np.isfinite(row.numpy(*([other, inner] if row.arity == 2 else [inner]))).all())
    admitted = row.admits(least, largest)
    assert not (np.array(finite) & ~admitted).any()
    expected = {
        "any": [True] * 6,
        "nonzero": [True, True, True, False, True, True],
        "nonnegative": [False, False, False, True, True, True],
        "positive": [False, False, False, False, False, True],
    }
    assert admitted.tolist() == expected[row.domain]


def test_operators_with_a_domain():
    domains = {name: row.domain for name, row in OPERATORS.items() if row.domain != "any"}
    assert domains == {"div": "nonzero", "inv": "nonzero", "sqrt": "nonnegative", "log": "positive"}


@pytest.mark.parametrize("row", [row for row in OPERATORS.values() if row.trivial_on], ids=lambda row: row.name)
def test_a_trivial_nesting_says_what_a_shorter_form_says(row):
    """For positive operands outer(inner(x)) is x, -x or a power of x that one operator, or a quotient, gives as well."""
    x = np.array([0.3, 0.7, 1.1, 1.9, 2.3])
    shorter = [x, -x, 1 / x, x**-0.5, x**2, x**3, x**6]
    for inner in row.trivial_on:
        operand = OPERATORS[inner].numpy(*[x, np.sqrt(x)][: OPERATORS[inner].arity])
        forms = [operand] if row.name == "abs" else shorter
        assert any(np.allclose(row.numpy(operand), form, rtol=1e-12) for form in forms), inner


def test_trivial_nestings():
    """The whole list: a pair more or less changes every space."""
    assert {name: set(row.trivial_on) for name, row in OPERATORS.items() if row.trivial_on} == {
        "abs": {"abs", "abs_diff", "sq", "six_pow", "sqrt", "exp", "neg_exp"},
        "inv": {"inv", "div"},
        "sq": {"sqrt", "abs"},
        "cb": {"cbrt"},
        "six_pow": {"sqrt", "cbrt", "abs"},
        "sqrt": {"sq", "six_pow"},
        "cbrt": {"cb", "six_pow"},
        "exp": {"log"},
        "neg_exp": {"log"},
        "log": {"exp", "neg_exp"},
    }


def test_operators_named_keeps_the_order_of_the_table():
    assert [row.name for row in operators_named(("cos", "sub", "add"))] == ["add", "sub", "cos"]
    assert operators_named(()) == ()


def test_unknown_operator():
    with pytest.raises(SettingsError) as caught:
        operators_named(["add", "mul"])
    message = str(caught.value)
    assert message.startswith("operators: needs names from add, sub, mult, div, abs_diff, abs, inv, sq, cb,")
    assert message.endswith("found 'mul'; did you mean 'mult'?")
    with pytest.raises(SettingsError, match=r"found 'zzzz'$"):
        operators_named(["zzzz"])
