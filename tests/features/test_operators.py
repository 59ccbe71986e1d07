"""The operator table, row by row: whatever uses an operator says the same of it, and what the table does not know is refused.

Kernel, pair sweep, NumPy, units, domain, text, LaTeX, MathML, sympy, C, Fortran, the names that exports reserve and both
importers are walked here; `tests/export` compiles and runs the exports of every row.
"""

import math
import re
from dataclasses import replace
from fractions import Fraction

import naive
import naive_latex
import numpy as np
import pytest
import sympy
from naive_mathml import as_python
from screening import screen

from sisso_sal.data.foreign import sisso_cpp, sisso_fortran
from sisso_sal.engine import _values
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.sweep import scored_operators
from sisso_sal.errors import SettingsError, UnitError
from sisso_sal.export import RESERVED
from sisso_sal.features import operators as table
from sisso_sal.features.dimension import NONE, parse_unit
from sisso_sal.features.expression import Expression
from sisso_sal.features.operators import BY_OPCODE, COMPILED, DEFAULT_OPERATORS, MOMENTS, OPERATORS, operators_named
from sisso_sal.features.pairs import Pairs
from sisso_sal.features.space import FeatureSpace, SpaceSettings
from sisso_sal.features.unit_rules import IGNORED, UNIT_RULES

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
    values, out = np.array(operands, dtype=float), np.empty((1, len(operands[0])))
    places = np.array([0], np.int32), np.array([len(operands) - 1], np.int32)
    with np.errstate(all="ignore"):  # only matters where compilation is switched off
        _values.evaluate_many(np.array([opcode], np.int16), *places, values, out)
    return out[0]


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


def test_the_kernel_knows_the_opcodes_of_the_table_and_no_other():
    assert set(BY_OPCODE) == COMPILED
    operands = np.array([0.4, 0.6]), np.array([0.3, 0.1])  # inside of every domain
    known = {opcode for opcode in range(-5, 300) if not np.isnan(kernel(opcode, *operands)).any()}
    assert known == COMPILED | {0}
    assert all(np.isnan(kernel(opcode, *operands)).all() for opcode in range(-5, 300) if opcode not in known)


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
def test_latex_reads_as_the_same(row):
    operands = operands_of(row)
    formula = Expression.apply(row.name, *(Expression.primary(name) for name in "ab"[: row.arity]))
    code = naive_latex.as_python(formula.to_latex({"a": "p", "b": "q"}))
    found = eval(code, functions(p=operands[0], q=operands[-1]))
    np.testing.assert_allclose(found, row.numpy(*operands), rtol=1e-14)


@pytest.mark.parametrize("form", ["text", "latex", "mathml"])
@ROWS
def test_parentheses_stand_where_the_meaning_needs_them(row, form):
    """The row with every row in each of its places, and in each place of every row."""
    read = {"text": str, "latex": naive_latex.as_python, "mathml": as_python}[form]
    symbols = {name: f"<mi>{name}</mi>" if form == "mathml" else name for name in "pqr"}
    values = {"p": np.array([0.31, 1.7]), "q": np.array([0.83, 0.4]), "r": np.array([2.3, 0.9])}
    p, q, r = (Expression.primary(name) for name in "pqr")
    for inner in OPERATORS.values():
        operand = Expression.apply(inner.name, *(p, q)[: inner.arity], rules=IGNORED)
        for operands in ((operand, r), (r, operand)) if row.arity == 2 else ((operand,),):
            formula = Expression.apply(row.name, *operands, rules=IGNORED)
            written = {"text": lambda f: f.to_code("text", symbols), "latex": lambda f: f.to_latex(symbols)}
            text = read(written.get(form, lambda f: f.to_mathml(symbols))(formula))
            with np.errstate(invalid="ignore"):
                found = eval(text, functions(**values))
            np.testing.assert_allclose(found, formula.evaluate(values), rtol=1e-13, err_msg=text)


@ROWS
def test_sympy_form_evaluates_to_the_same(row):
    operands = operands_of(row)
    formula = Expression.apply(row.name, *(Expression.primary(name) for name in "ab"[: row.arity])).to_sympy()
    for column, expected in zip(operands.T.tolist(), row.numpy(*operands), strict=True):
        values = {sympy.Symbol(name, real=True): value for name, value in zip("ab", column, strict=False)}
        assert float(formula.subs(values)) == pytest.approx(expected, rel=1e-12)


@ROWS
def test_declared_symmetry_is_that_of_the_values(row):
    if row.arity == 1:
        assert not row.commutative
        assert not row.antisymmetric
        return
    a, b = operands_of(row)
    assert row.commutative == np.array_equal(row.numpy(a, b), row.numpy(b, a))
    assert row.antisymmetric == np.array_equal(row.numpy(a, b), -row.numpy(b, a))


# The pair sweep ------------------------------------------------------------------------------------------------------

BINARY = [row for row in OPERATORS.values() if row.arity == 2]


@pytest.mark.parametrize("n_sis", [1, 5, 40])
@pytest.mark.parametrize("row", BINARY, ids=lambda row: row.name)
def test_the_pair_sweep_finds_what_a_search_through_every_feature_finds(row, n_sis):
    rng = np.random.default_rng(row.opcode)
    columns = {f"x{i}": rng.uniform(1, 3, 25) * rng.choice([1.0, -1.0]) for i in range(8)}
    exact = row.numpy(columns["x0"], columns["x1"])
    target = exact + 0.1 * exact.std() * rng.normal(0, 1, 25)
    options = {"operators": (row.name,), "rung": 1}
    space = FeatureSpace(list(columns), [""] * 8, np.array(list(columns.values())), SpaceSettings(**options))
    problem = Problem(target, np.ones(25), np.ones(8, bool))
    (best,), _ = screen(space, [problem], [problem.normalised(target[None], True)], n_sis)
    rungs = naive.feature_space(columns, dict.fromkeys(columns, ""), **options)
    features, values = [f for r in rungs for f in r.features], [v for r in rungs for v in r.values]
    expected = naive.screen(features, values, np.ones(25), [target], n_sis)
    assert expected.is_clear
    triples = zip(best.opcode.tolist(), best.left.tolist(), best.right.tolist(), strict=True)
    keys = [space.key(*triple) for triple in triples]
    assert keys == [formula.key for formula in expected.features]
    assert any(key.startswith(row.name) for key in keys)
    np.testing.assert_allclose(best.score, expected.scores, rtol=1e-9)


@pytest.mark.parametrize("opcodes", [(99,), (3, 1), (1, 3), (8,), (4, 3), (1, 99)])
def test_the_pair_sweep_refuses_what_it_cannot_score(opcodes):
    numbers = np.arange(2, dtype=np.int32)
    pairs = Pairs(opcodes, True, numbers, numbers, np.zeros(2, np.int64), np.full(2, 2))
    with pytest.raises(SettingsError) as caught:
        scored_operators(pairs)
    message = f"pair sweep: needs sums, a product or a quotient, found the opcodes {opcodes}"
    assert str(caught.value) == message


# Rows that somebody may add ------------------------------------------------------------------------------------------


def add_row(monkeypatch, row):
    """The table with one more row."""
    monkeypatch.setattr(table, "_ROWS", (*table._ROWS, row))
    monkeypatch.setitem(OPERATORS, row.name, row)
    monkeypatch.setattr(table, "BY_OPCODE", {row.opcode: row, **BY_OPCODE})


@pytest.mark.parametrize(
    ("opcode", "message"),
    [
        (18, "operator 'tanh': needs an opcode that the kernels know, found 18"),
        (0, "operator 'tanh': needs an opcode that the kernels know, found 0"),
        (17, "operator 'tanh': needs an opcode of its own, found 17 twice"),
    ],
)
@pytest.mark.parametrize("rung", [0, 1, 2])
def test_a_row_that_no_kernel_evaluates_is_refused(monkeypatch, opcode, message, rung):
    add_row(monkeypatch, replace(OPERATORS["cos"], name="tanh", opcode=opcode, numpy=np.tanh, text="tanh({0})"))
    with pytest.raises(SettingsError) as caught:
        FeatureSpace(["a"], [""], np.array([[1.0, 2.0, 3.0]]), SpaceSettings(operators=("add", "tanh"), rung=rung))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("add", {"moments": None}, f"moments: needs one of {', '.join(MOMENTS)}, found None"),
        ("add", {"unit_rule": "unitless"}, "unit_rule: needs one of equal, product, quotient, found unitless"),
        ("cos", {"moments": "sum"}, "moments: needs one of None, found sum"),
        ("cos", {"unit_rule": "equal"}, "unit_rule: needs one of power, unitless, found equal"),
        ("cos", {"domain": "odd"}, "domain: needs one of any, nonzero, nonnegative, positive, found odd"),
        ("cos", {"arity": 3}, "arity: needs one of 1, 2, found 3"),
    ],
)
def test_a_row_with_a_field_that_the_program_does_not_know_is_refused(name, changes, message):
    with pytest.raises(SettingsError) as caught:
        replace(OPERATORS[name], **changes)
    assert str(caught.value) == f"operator '{name}': {message}"


# Exports and importers -----------------------------------------------------------------------------------------------


@ROWS
def test_no_primary_feature_takes_the_name_of_a_function_in_an_export(row):
    written_in = {"python": ("c", "text"), "c": ("c",), "fortran": ("fortran",), "sympy": ("sympy",)}
    for language, forms in written_in.items():
        formula = Expression.apply(row.name, *(Expression.primary(name) for name in "ab"[: row.arity]))
        codes = " ".join(formula.to_code(form, {"a": "p", "b": "q"}) for form in forms)
        called = {name for name in re.findall(r"(\w+)\(", codes) if not name.startswith("sisso_")}
        assert called <= RESERVED[language], language


@ROWS
def test_functions_that_an_export_defines_compute_what_the_operator_computes(row):
    called = {name for form in (row.c, row.fortran) for name in re.findall(r"sisso_\w+", form)}
    if row.body:
        assert called == {f"sisso_{row.name}"}
        x = operands_of(row)[0]
        np.testing.assert_array_equal(eval(row.body, {"x": x}), row.numpy(x))
    else:
        assert called <= {"sisso_cbrt"}  # of the C library


def test_both_importers_know_what_the_table_says_that_they_know():
    assert set(sisso_cpp.OPERATORS) == {row.name for row in OPERATORS.values() if row.in_sissopp}
    symbols = {row.sisso_symbol: row.name for row in OPERATORS.values() if row.sisso_symbol}
    assert symbols == sisso_fortran.OPERATORS
    assert len(symbols) == sum(bool(row.sisso_symbol) for row in OPERATORS.values())


def test_the_rules_of_sisso_differ_from_the_strict_ones_in_arguments_without_unit_alone():
    for row in OPERATORS.values():
        operands = [EV] * row.arity
        if row.unit_rule == "unitless":
            assert UNIT_RULES["sisso"].result(row, *operands) == NONE
            with pytest.raises(UnitError):
                UNIT_RULES["strict"].result(row, *operands)
        else:
            assert UNIT_RULES["sisso"].result(row, *operands) == UNIT_RULES["strict"].result(row, *operands)


# Units and domains ---------------------------------------------------------------------------------------------------

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
