"""What is printed of a formula reads back as the same formula, whatever the features are called."""

import unicodedata

import intervals
import naive_latex
import naive_mathml
import numpy as np
import pytest
from compiled import examples_of
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_names import NAMES, ODD, PLAIN

from sisso_sal.errors import ExpressionError, SettingsError, UnitError
from sisso_sal.features.expression import Expression
from sisso_sal.features.names import is_plain, quoted, unquoted
from sisso_sal.features.operators import OPERATORS
from sisso_sal.features.reading import LARGEST, _sort_in, parse_formula
from sisso_sal.features.symbols import latex_symbol, mathml_symbol
from sisso_sal.features.unit_rules import IGNORED

BY_ARITY = {n: sorted(name for name, row in OPERATORS.items() if row.arity == n) for n in (1, 2)}


def trees(names, rung):
    """Nested lists over all operators up to a rung."""
    leaves = st.sampled_from(names)
    if rung == 0:
        return leaves
    inner = trees(names, rung - 1)
    unary = st.tuples(st.sampled_from(BY_ARITY[1]), inner).map(list)
    return leaves | unary | st.tuples(st.sampled_from(BY_ARITY[2]), inner, inner).map(list)


@st.composite
def formulas(draw, names=NAMES):
    chosen = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    units = dict.fromkeys(chosen, "")
    return Expression.from_json(draw(trees(chosen, 3)), units), units


def same(one, other):
    """Whether two expressions have the same tree, name by name and operator by operator."""
    return one.to_json() == other.to_json() and one == other


@settings(deadline=None, max_examples=examples_of(500))
@given(formulas())
def test_the_text_of_a_formula_reads_back_as_the_same_tree(made):
    formula, units = made
    assert same(parse_formula(str(formula), units), formula)
    assert str(formula).isprintable()


def every_pair():
    """Every operator in each place of every other one, over three names."""
    leaves = [Expression.primary(name) for name in ("p", "q/p", "r")]
    for outer in OPERATORS.values():
        for inner in OPERATORS.values():
            for order in ((0, 1, 2), (2, 1, 0)):
                p, q, r = (leaves[k] for k in order)
                operand = Expression.apply(inner.name, *(p, q)[: inner.arity])
                places = ((operand, r), (r, operand)) if outer.arity == 2 else ((operand,),)
                yield from (Expression.apply(outer.name, *operands) for operands in places)


def test_every_operator_in_every_place_reads_back_and_has_a_text_of_its_own():
    units = dict.fromkeys(("p", "q/p", "r"), "")
    by_text = {}
    for formula in every_pair():
        assert same(parse_formula(str(formula), units), formula)
        assert by_text.setdefault(str(formula), formula) == formula


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (["div", "a/b", "c/d"], "`a/b`/`c/d`"),
        (["sub", "I/P", "E-A"], "`I/P` - `E-A`"),
        (["mult", ["sqrt", "d b"], ["cb", "2r"]], "`2r`**3*sqrt(`d b`)"),
        (["exp", "sin"], "exp(`sin`)"),
        (["abs_diff", "a", "b"], "abs(a - b)"),
        (["abs", ["sub", "a", "b"]], "abs((a - b))"),
        (["abs", "sub"], "abs(sub)"),
        (["div", "div", "a"], "div/a"),
        (["add", "a", ["add", "b", "c"]], "a + (b + c)"),
        (["add", ["add", "a", "b"], "c"], "a + b + c"),
        (["sub", ["add", "a", "b"], "c"], "a + b - c"),
        (["add", "x", ["sub", "a", "b"]], "a - b + x"),
        (["neg_exp", ["mult", "a", "b"]], "exp(-a*b)"),
        (["inv", ["div", "a", "b"]], "1/(a/b)"),
    ],
)
def test_texts(tree, text):
    names = {"a/b", "c/d", "I/P", "E-A", "d b", "2r", "sin", "a", "b", "c", "x", "sub", "div"}
    units = dict.fromkeys(names, "")
    assert str(Expression.from_json(tree, units)) == text
    assert same(parse_formula(text, units), Expression.from_json(tree, units))


def test_which_names_are_quoted():
    for name in PLAIN:
        assert is_plain(name), name
        assert quoted(name) == name
    for name in ODD:
        assert not is_plain(name), name
        assert quoted(name)[0] == quoted(name)[-1] == "`"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a/b", "`a/b`"), ("x`y", r"`x\`y`"), ("a\\b", r"`a\\b`"), ("a\nb\t", r"`a\nb\t`"), ("\x1b[31m", r"`\x1b[31m`"),
        ("\u202e", r"`\u202e`"), ("\ud800", r"`\ud800`"), ("a\u00a0b", r"`a\xa0b`"), ("\U000e0001", r"`\U000e0001`"), ("", "``"),
    ],
)  # fmt: skip
def test_the_escapes_in_quotes(name, text):
    assert quoted(name) == text
    assert unquoted(text) == name


@settings(deadline=None)
@given(NAMES | st.text())
def test_a_name_in_quotes_is_one_line_and_reads_back(name):
    text = quoted(name)
    assert text.isprintable()
    assert name == (text if is_plain(name) else unquoted(text))


@given(st.lists(NAMES, unique=True, max_size=8))
def test_no_two_names_have_one_key(names):
    assert len({Expression.primary(name).key for name in names}) == len(names)
    a, b = Expression.primary("a"), Expression.primary("b")
    assert Expression.primary("add(a,b)") != Expression.apply("add", a, b)
    assert [Expression.primary(name).key for name in ("EA", "a/b", "r_s", "χ_A")] == ["EA", "a/b", "r_s", "χ_A"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs a name (in backticks if it is no identifier) or a function at character 1, found the end"),
        ("a +", "needs a name (in backticks if it is no identifier) or a function at character 4, found the end"),
        ("2*a", "needs a name (in backticks if it is no identifier) or a function at character 1, found '2'"),
        ("ln(a)", "needs a name (in backticks if it is no identifier) or a function at character 1, found 'ln'"),
        ("a b", "needs an operator or the end at character 3, found 'b'"),
        ("a**4", "needs one of the exponents 2, 3, 6 at character 4, found '4'"),
        ("a**2**3", "needs an operator or the end at character 5, found '**'"),
        ("(a", "needs ')' at character 3, found the end"),
        ("sin", "needs '(' at character 4, found the end"),
        ("1", "needs '/' at character 2, found the end"),
        ("exp(-a + b)", "needs ')' at character 8, found '+'"),
        ("`a/b", "needs a second backtick behind character 1, found '`a/b'"),
        (r"`\q`", r"needs \\, \`, \n, \r, \t, \x.., \u.... or \U........ in a name, found '\\q'"),
        (r"`\U00110000`", r"needs \\, \`, \n, \r, \t, \x.., \u.... or \U........ in a name, found '\\U00110000'"),
        ("a + z", "needs one of the features a, `a/b`, found 'z'"),
        ("(" * 1000, f"needs at most {LARGEST} operators and parentheses, found more"),
        ("a" + "+a" * 1000, f"needs at most {LARGEST} operators and parentheses, found more"),
    ],
)
def test_what_is_no_formula_is_refused(text, message):
    with pytest.raises(ExpressionError) as caught:
        parse_formula(text, {"a": "", "a/b": ""})
    assert str(caught.value) == f"formula: {message}"


def test_units_are_checked_or_not():
    units = {"a": "eV", "b": "AA"}
    with pytest.raises(UnitError, match="needs equal units"):
        parse_formula("a + b", units)
    assert parse_formula("a + b", units, rules=IGNORED).dimension is None
    assert str(parse_formula("a/b", units).dimension) == "eV/Å"


def test_a_template_that_cannot_be_read_back_is_refused():
    with pytest.raises(SettingsError) as caught:
        _sort_in("hypot", "hypot({0}, {1})")
    assert str(caught.value) == "operator 'hypot': needs a text that can be read back, found 'hypot({0}, {1})'"


@settings(deadline=None, max_examples=examples_of(300))
@given(formulas(), st.data())
def test_typeset_formulas_have_the_value_of_the_formula(made, data):
    """MathML and LaTeX, read by somebody who knows only what is seen; sums may be added in another order."""
    formula, _ = made
    names = formula.primaries()
    values = {name: data.draw(st.sampled_from([0.7, 1.3, 0.2, -0.4, 2.5])) for name in names}
    stand_ins = {name: f"x{k}" for k, name in enumerate(names)}
    seen = {quoted(name): stand_ins[name] for name in names}
    latex = {latex_symbol(name): stand_ins[name] for name in names}
    known = intervals.FUNCTIONS | {stand_ins[name]: intervals.Interval(v, v) for name, v in values.items()}
    expected = formula.evaluate({name: np.array([v]) for name, v in values.items()})[0]
    for text in (naive_mathml.as_python(formula.to_mathml(), seen), naive_latex.as_python(formula.to_latex(), latex)):
        assert expected in eval(text, {"__builtins__": {}} | known), text


def test_intervals_are_as_wide_as_the_terms_are_uncertain():
    one, tenth = intervals.Interval(1.0, 1.0), intervals.Interval(0.1, 0.1)
    rest = one + tenth - one - tenth
    assert 8.3e-17 in rest
    assert 1e-14 not in rest
    assert 3.0 in tenth / rest
    assert 0.1 in tenth / one
    assert 0.1 + 1e-15 not in tenth / one
    assert -0.1 not in abs(-tenth)


@given(st.lists(NAMES, unique_by=lambda name: unicodedata.normalize("NFC", name), max_size=6))
def test_typeset_names_differ(names):
    assert len({mathml_symbol(name) for name in names}) == len({latex_symbol(name) for name in names}) == len(names)
    for name in names:
        text = latex_symbol(name).replace(r"\{", "").replace(r"\}", "")
        assert text.count("{") == text.count("}")
        assert not {"%", "#", "&", "~"} & set(text.replace(r"\%", "").replace(r"\#", "").replace(r"\&", ""))
