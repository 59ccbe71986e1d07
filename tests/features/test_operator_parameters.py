"""Scales and shifts inside operators: what they mean, what they are written as, their units and their derivatives."""

import math

import numpy as np
import pytest
import sympy
from compiled import examples_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sisso_sal.data.foreign import sisso_cpp
from sisso_sal.errors import ExpressionError, SettingsError
from sisso_sal.features.dimension import NONE, parse_unit
from sisso_sal.features.expression import Expression, render
from sisso_sal.features.operators import NONNEGATIVE, OPERATORS, POSITIVE
from sisso_sal.features.parameters import ALONE, FACTOR, RULES, WITHIN, param_operators_named
from sisso_sal.features.reading import parse_formula
from sisso_sal.features.slopes import own_parameters, value_and_slopes
from sisso_sal.features.undefined import why_undefined
from sisso_sal.features.unit_rules import IGNORED
from sisso_sal.protocols.cause import Cause

APPLY = Expression.apply
X, T = Expression.primary("x"), Expression.primary("T", "K")
NAMES = ("a", "b/c", "r_s")
NUMBERS = st.sampled_from([1.0, -1.0, 0.52, -3e-7, 2.5e20, 12345678.0]) | st.floats(-1e3, 1e3).filter(lambda x: x != 0)


@st.composite
def trees(draw, rung=3, names=NAMES, scales=NUMBERS, shifts=None):
    """Expressions over all operators; those that can have parameters have some or none."""
    if rung == 0 or draw(st.integers(0, 5)) == 0:
        return Expression.primary(draw(st.sampled_from(names)))
    row = OPERATORS[draw(st.sampled_from(sorted(OPERATORS)))]
    operands = [draw(trees(rung - 1, names, scales, shifts)) for _ in range(row.arity)]
    own = row.name in RULES and draw(st.booleans())
    shifts = st.just(0.0) | NUMBERS if shifts is None else shifts
    return APPLY(row.name, *operands, parameters=(draw(scales), draw(shifts)) if own else None)


@settings(deadline=None, max_examples=examples_of(100))
@given(trees())
def test_text_and_tree_read_back_as_the_same_formula(formula):
    units = dict.fromkeys(NAMES, "")
    for back in (parse_formula(str(formula), units), Expression.from_json(formula.to_json(), units)):
        assert back == formula
        assert back.to_json() == formula.to_json()


@pytest.mark.parametrize(
    ("formula", "text", "told"),
    [
        (APPLY("exp", T, parameters=(-0.52, 0.3)), "exp(-0.52*T + 0.3)", "exp(-0.52 [1/K] * T + 0.3)"),
        (APPLY("exp", T, parameters=(2.0, 0.0)), "exp(2.0*T)", "exp(2 [1/K] * T)"),
        (APPLY("log", T, parameters=(1.0, -0.5)), "log(T - 0.5)", "log(1 [1/K] * T - 0.5)"),
        (APPLY("inv", T, parameters=(1.0, 3.5)), "1/(T + 3.5)", "1/(T + 3.5 [K])"),
        (APPLY("sq", APPLY("add", T, T), parameters=(1.0, -3.5)), "((T + T) - 3.5)**2", "((T + T) - 3.5 [K])**2"),
        (
            APPLY("sin", APPLY("mult", X, X), parameters=(-1e-7, 2.0)),
            "sin(-1e-07*(x*x) + 2.0)",
            "sin(-1e-07*(x*x) + 2)",
        ),
    ],
)
def test_text_and_text_with_units(formula, text, told):
    assert str(formula) == text
    assert render(formula, "units")[0] == told
    assert parse_formula(text, {"T": "K", "x": ""}) == formula


def test_values_are_those_of_the_operator_on_the_argument():
    x = np.array([0.25, 1.0, 3.0])
    for name in RULES:
        formula = APPLY(name, X, parameters=(0.7, 0.4))
        assert np.array_equal(formula.evaluate({"x": x}), OPERATORS[name].numpy(0.7 * x + 0.4))
        assert float(formula.to_sympy().subs(sympy.Symbol("x", real=True), 3.0)) == pytest.approx(
            formula.evaluate({"x": x})[2], rel=1e-12
        )


def test_a_scale_takes_the_unit_away_and_a_shift_has_that_of_its_argument():
    for name in ("exp", "log", "sin", "cos"):
        formula = APPLY(name, T, parameters=(0.1, 0.2))
        assert (formula.dimension, str(formula.scale_dimension), formula.shift_dimension) == (NONE, "1/K", NONE)
    for name in set(RULES) - {"exp", "log", "sin", "cos"}:
        formula = APPLY(name, T, parameters=(0.1, 0.2))
        assert formula.dimension == APPLY(name, T).dimension
        assert (formula.scale_dimension, formula.shift_dimension) == (NONE, parse_unit("K"))
    mixed = APPLY("add", T, Expression.primary("r", "AA"), rules=IGNORED)
    unknown = APPLY("exp", mixed, rules=IGNORED, parameters=(0.1, 0.2))
    assert (unknown.dimension, unknown.scale_dimension) == (None, NONE)


def test_typeset_parameters_have_their_units():
    decay = APPLY("exp", T, parameters=(-0.52, 3e-7))
    assert decay.to_latex() == r"\exp\left(-0.52\,\mathrm{K}^{-1} \cdot T + 3 \times 10^{-7}\right)"
    mathml = decay.to_mathml()
    assert "<mo>−</mo><mn>0.52</mn>" in mathml
    assert "<msup><mtext>K</mtext><mn>−1</mn></msup>" in mathml
    assert APPLY("inv", T, parameters=(1.0, -3.5)).to_latex() == r"\frac{1}{T - 3.5\,\mathrm{K}}"


def test_code_has_every_digit():
    wave = APPLY("sin", X, parameters=(-1e-7, 0.25))
    assert wave.to_code("c", {"x": "x"}) == "sin((-1e-07 * x + 0.25))"
    assert wave.to_code("fortran", {"x": "x"}) == "sin((-1d-07 * x + 0.25d0))"
    assert APPLY("exp", X, parameters=(2.0, 0.0)).to_code("c", {"x": "x"}) == "exp((2.0 * x))"


def test_shape_and_key():
    one, other = (APPLY("mult", T, APPLY("exp", X, parameters=(scale, 0.5))) for scale in (0.1, -2e-9))
    assert one != other
    assert one.shape == other.shape == "mult(T,exp[](x))"
    odd = Expression.primary("a[1,2](b)")
    assert APPLY("exp", odd).shape == APPLY("exp", odd).key


def test_the_cause_is_that_of_the_argument():
    log = APPLY("log", X, parameters=(-1.0, 2.0))
    causes = why_undefined(log, {"x": np.array([1.0, 2.0, 3.0])}).tolist()
    assert causes == [0, Cause.ZERO_LOG, Cause.NEGATIVE_LOG]


def test_every_operator_with_one_operand_has_a_rule():
    assert {*RULES} == {row.name for row in OPERATORS.values() if row.arity == 1} - {"neg_exp"}
    assert {*RULES} == {*sisso_cpp.PARAM_OPERATORS}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["exp", "add"], "found 'add', which takes no parameters"),
        (["expo"], "param_operators: needs names from abs, inv, "),
        (["neg_exp"], "param_operators: needs exp in place of neg_exp: its scale may be negative"),
    ],
)
def test_names_that_are_refused(names, message):
    with pytest.raises(SettingsError) as caught:
        param_operators_named(names)
    assert message in str(caught.value)


@pytest.mark.parametrize("parameters", [(0.0, 1.0), (math.inf, 0.0), (1.0, math.nan)])
def test_parameters_that_are_refused(parameters):
    with pytest.raises(ExpressionError, match="needs a finite scale that is not 0 and a finite shift"):
        APPLY("exp", X, parameters=parameters)
    with pytest.raises(ExpressionError, match="for parameters, found 'add'"):
        APPLY("add", X, X, parameters=(1.0, 0.0))
    for tree in (
        ["exp", "x", {"scale": 1.0}],
        ["exp", "x", {"scale": "1", "shift": 0.0}],
        ["exp", {"scale": 1.0, "shift": 0.0}],
    ):
        with pytest.raises(ExpressionError):
            Expression.from_json(tree, {"x": ""})


@pytest.mark.parametrize(
    "text", ["(x + 0.3)", "(x + 0.3)*x", "x + 0.3", "exp(0.3)", "exp(0.5*)", "abs(x - x - 0.3)*0.5"]
)
def test_numbers_elsewhere_are_refused(text):
    with pytest.raises(ExpressionError):
        parse_formula(text, {"x": ""})


@settings(deadline=None, max_examples=examples_of(100))
@given(trees(2, scales=st.floats(0.3, 2.0), shifts=st.floats(-0.5, 2.0)), st.integers(0, 2**32 - 1))
def test_slopes_are_differences(formula, seed):
    parameters = own_parameters(formula)
    assume(len(parameters))
    rng = np.random.default_rng(seed)
    columns = {name: rng.uniform(0.6, 1.9, 5) for name in NAMES}
    value, slopes = value_and_slopes(formula, columns, parameters)
    assert np.array_equal(value, formula.evaluate(columns), equal_nan=True)
    for number in range(len(parameters)):
        step = np.zeros(len(parameters))
        step[number] = 1e-6
        above, below = (value_and_slopes(formula, columns, parameters + sign * step)[0] for sign in (1, -1))
        with np.errstate(all="ignore"):
            differences = (above - below) / 2e-6
            is_smooth = np.isfinite(differences) & (np.abs(value) < 1e4) & (np.abs(slopes[number]) < 1e4)
        # beside a kink or a pole differences mean nothing
        wider = value_and_slopes(formula, columns, parameters + 3 * step)[0]
        narrow = value_and_slopes(formula, columns, parameters - 3 * step)[0]
        with np.errstate(all="ignore"):
            is_smooth &= np.abs((wider - narrow) / 6e-6 - differences) < 1e-5 * (1 + np.abs(differences))
        assert np.allclose(slopes[number][is_smooth], differences[is_smooth], rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("row", OPERATORS.values(), ids=OPERATORS)
def test_slopes_of_every_operator(row):
    operands = np.array([[0.3, 0.8, 1.7, 2.9], [1.1, 0.4, 2.2, 0.7]])[: row.arity]
    for place, slope in enumerate(row.slopes(*operands)):
        step = np.zeros_like(operands)
        step[place] = 1e-6
        differences = (row.numpy(*(operands + step)) - row.numpy(*(operands - step))) / 2e-6
        assert np.allclose(slope, differences, rtol=1e-6, atol=1e-6)


def explained(row, target):
    """Share of the variance of a target that a row and an intercept explain."""
    row, target = row - row.mean(), target - target.mean()
    return (row @ target) ** 2 / (row @ row) / (target @ target)


@settings(deadline=None, max_examples=examples_of(100))
@given(st.sampled_from(sorted(RULES)), st.floats(0.2, 3.0), st.floats(0.2, 3.0), st.integers(0, 2**32 - 1))
def test_what_is_absorbed_changes_no_fit(name, scale, factor, seed):
    rng = np.random.default_rng(seed)
    columns = {"x": rng.uniform(0.5, 2.0, 12), "v": rng.uniform(0.5, 2.0, 12)}
    target, rule = rng.normal(size=12), RULES[name]
    for place, within in ((ALONE, lambda e: e), (FACTOR, lambda e: APPLY("mult", Expression.primary("v"), e))):
        is_free = rule.free(place, True)
        if not is_free[0]:  # a scale changes nothing if the zero of the argument stays
            pair = [(scale, 0.3 * scale), (scale * factor, 0.3 * scale * factor)]
        elif not is_free[1]:
            pair = [(scale, 0.3), (scale, 0.3 + factor)]
        else:
            continue
        shares = [explained(within(APPLY(name, X, parameters=own)).evaluate(columns), target) for own in pair]
        assert shares[0] == pytest.approx(shares[1], rel=1e-7, abs=1e-9)
    assert rule.free(WITHIN, True) == (True, True)


@pytest.mark.parametrize("name", RULES)
def test_starts_lie_in_the_domain(name):
    for low, high in ((-3.0, 2.0), (10.0, 10.5)):
        for free in ((True, True), RULES[name].free(ALONE, True)):
            starts = RULES[name].starts(low, high, free)
            assert starts.shape[2] == 2
            assert (starts[..., 0] != 0).all()
            ends = starts[..., :1] * np.array([low, high]) + starts[..., 1:]
            if OPERATORS[name].domain in (POSITIVE, NONNEGATIVE):
                assert (ends > 0).all()
            assert np.isfinite(OPERATORS[name].numpy(ends)).all()
