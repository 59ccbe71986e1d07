"""The feature space against its naive twin: the same features, the same counts by cause, nothing dropped uncounted."""

from collections import Counter

import naive
import numpy as np
import pytest
from screening import screen

from sisso_sal.engine.problem import Problem
from sisso_sal.errors import FitError, SettingsError, UnitError
from sisso_sal.features.dimension import NONE, parse_unit
from sisso_sal.features.operators import BY_OPCODE, OPERATORS
from sisso_sal.features.space import CAUSES, FeatureSpace, SpaceSettings

N = 9
EVERY = tuple(OPERATORS)
FEW = ("sub", "div", "abs_diff", "sqrt", "log", "sq")


def table(seed=0, signs=False):
    """Two energies, a length and two numbers; with `signs` some values are negative or zero."""
    rng = np.random.default_rng(seed)
    columns = {
        "E": rng.uniform(1, 3, N),
        "F": rng.uniform(2, 6, N),
        "r": rng.uniform(0.5, 2, N),
        "m": rng.uniform(0.2, 1.5, N),
        "n": rng.integers(1, 4, N).astype(float),
    }
    if signs:
        columns["F"] -= 4.0
        columns["n"] -= 1.0
    return columns, {"E": "eV", "F": "eV", "r": "AA", "m": "", "n": ""}


def with_products(data):
    """The same with columns that equal features of the first rung, of another unit and of none."""
    (columns, units), square = data, data[0]["r"] ** 2
    more = {"s": square, "p": columns["E"] / columns["r"]}
    return columns | more, units | {"s": "", "p": "eV"}


def make(columns, units, **settings):
    return FeatureSpace(
        list(columns), list(units.values()), np.array(list(columns.values())), SpaceSettings(**settings)
    )


def values_of(space):
    """Keys and values of all features of the space as it enumerates them."""
    keys, rows = [], []
    for opcode, left, right in space.triples():
        operands = (space.values[left], space.values[right])
        keys.append(space.key(opcode, left, right))
        rows.append(operands[0] if opcode == 0 else BY_OPCODE[opcode].numpy(*operands[: BY_OPCODE[opcode].arity]))
    return keys, rows


def screened_out(space):
    """What a pass counts as rejected in the last rung."""
    rng = np.random.default_rng(5)
    problem = Problem(rng.normal(size=space.n_samples), np.ones(space.n_samples), np.ones(len(space.names), bool))
    return screen(space, [problem], [problem.normalised(problem.target[None], True)], 1)[1]


CASES = {
    "every operator, rung 1": (table(), {"operators": EVERY, "rung": 1}),
    "every operator, rung 1, signs": (table(signs=True), {"operators": EVERY, "rung": 1}),
    "rung 2": (table(), {"operators": ("add", "sub", "div", "mult", "inv", "sq", "cbrt"), "rung": 2}),
    "rung 2, signs": (table(signs=True), {"operators": (*FEW, "exp", "inv", "neg_exp"), "rung": 2}),
    "rung 2, few bounds": (table(signs=True), {"operators": FEW, "rung": 2, "min_abs": 0.5, "max_abs": 3.0}),
    "rung 2, no units": (table(signs=True), {"operators": FEW, "rung": 2, "unit_rules": "none"}),
    "rung 2, complexity 2": (table(), {"operators": ("add", "div", "sq"), "rung": 2, "max_complexity": 2}),
    "rung 2, complexity 1": (table(), {"operators": ("add", "div", "sq"), "rung": 2, "max_complexity": 1}),
    "rung 3": (table(), {"operators": ("sub", "sqrt", "inv"), "rung": 3}),
    "rung 2, own operators": (table(), {"operators": (("add", "sub", "sq"), ("mult", "div", "sqrt")), "rung": 2}),
    "rung 3, own operators": (
        table(signs=True),
        {"operators": (("sub",), ("abs_diff", "inv"), ("mult", "sq")), "rung": 3},
    ),
    "rung 3, complexity 4": (table(), {"operators": ("sub", "div"), "rung": 3, "max_complexity": 4}),
}
CASES |= {
    f"rung 2, equal values in other units, {rules}": (
        with_products(table(signs=True)), {"operators": (*FEW, "exp", "inv"), "rung": 2, "unit_rules": rules},
    )
    for rules in ("strict", "sisso", "none")
}  # fmt: skip
LONG = {"rung 3, complexity 4": [pytest.mark.faults]}  # others are of rung 3, and others have a limit
SPACES = pytest.mark.parametrize(
    ("data", "settings"), [pytest.param(*case, id=name, marks=LONG.get(name, ())) for name, case in CASES.items()]
)


@SPACES
def test_features_and_counts_equal_the_naive_ones(data, settings):
    columns, units = data
    space = make(columns, units, **settings)
    rungs = naive.feature_space(columns, units, **settings)
    keys, rows = values_of(space)
    assert len(keys) == len(set(keys)) == space.n_features
    expected = {f.key: row for rung in rungs for f, row in zip(rung.features, rung.values, strict=True)}
    within = [naive._cause(row, settings.get("min_abs", 1e-5), settings.get("max_abs", 1e5)) == "" for row in rows]
    n_stored = len(space.values)
    last = {key for key, fits in zip(keys[n_stored:], within[n_stored:], strict=True) if fits}
    stored = set(keys[:n_stored])
    in_last = {_oriented(f.key): f.key for f in rungs[-1].features}
    assert stored == {f.key for rung in rungs[:-1] for f in rung.features}
    assert {_oriented(key) for key in last} == set(in_last)
    for key, row in zip(keys[:n_stored], rows[:n_stored], strict=True):
        np.testing.assert_array_equal(row, expected[key])
    causes = screened_out(space)
    assert space.sizes[:-1] == [len(rung.features) for rung in rungs[:-1]]
    assert space.sizes[-1] - causes.total() == len(rungs[-1].features)
    total = [Counter(rejected) for rejected in space.rejected]
    total[-1] += causes
    assert [+counts for counts in total] == [+rung.rejected for rung in rungs]
    assert set().union(*total) <= set(CAUSES)


def _oriented(key):
    """The key with a difference at the root written one way round: in the last rung a - b stands for b - a as well."""
    if not key.startswith("sub("):
        return key
    inner, depth = key[4:-1], 0
    for position, mark in enumerate(inner):
        depth += (mark == "(") - (mark == ")")
        if mark == "," and depth == 0:
            return "sub(" + ",".join(sorted([inner[:position], inner[position + 1 :]])) + ")"
    raise AssertionError(key)


@SPACES
def test_what_is_generated_is_kept_or_counted(data, settings):
    columns, units = data
    space = make(columns, units, **settings)
    rejected = [sum(counts.values()) for counts in space.rejected]
    assert rejected[0] == 0
    below = 0
    for rung in range(1, settings["rung"] + 1):
        operators = SpaceSettings(**settings).operators_of(rung)
        unary = sum(OPERATORS[name].arity == 1 for name in operators)
        binary = len(operators) - unary + ("div" in operators)  # a/b and b/a are two
        new, lower = space.sizes[rung - 1], below
        pairs = new * lower + new * (new - 1) // 2
        assert space.sizes[rung] + rejected[rung] == unary * new + binary * pairs
        below += new


def test_counts_by_hand():
    """Three columns, two of one unit: every number can be counted on fingers."""
    columns = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([2.0, 5.0, 3.5]), "c": np.array([1.0, 0.0, 2.0])}
    units = {"a": "eV", "b": "eV", "c": ""}
    space = make(columns, units, operators=("add", "mult", "div", "exp"), rung=1)
    # add: ab; mult: ab ac bc; div: ab ba ca cb; exp: c. Not add ac, bc (units), not exp a, b (units), not a/c, b/c (c has a zero).
    assert space.sizes == [3, 9]
    assert +space.rejected[1] == Counter(unit=4, domain=2)
    assert screened_out(space) == Counter()


@pytest.mark.parametrize("case", ["rung 2", "rung 2, signs", "rung 2, few bounds", "rung 2, no units"])
def test_streamed_last_rung_holds_what_a_stored_one_would_up_to_duplicates(case):
    (columns, units), settings = CASES[case]
    streamed = make(columns, units, **settings)
    deeper = make(columns, units, **{**settings, "rung": settings["rung"] + 1, "max_complexity": 2})
    bounds = settings.get("min_abs", 1e-5), settings.get("max_abs", 1e5)
    limited = make(columns, units, **{**settings, "max_complexity": 2})
    keys, rows = values_of(limited)
    n_before = len(limited.values)
    good = [
        (key, row) for key, row in zip(keys[n_before:], rows[n_before:], strict=True) if not naive._cause(row, *bounds)
    ]
    stored = {_oriented(deeper.stored_expression(t).key): deeper.values[t] for t in range(n_before, len(deeper.values))}
    assert set(stored) <= {_oriented(key) for key, _ in good}
    assert len(good) == deeper.sizes[2] + deeper.rejected[2]["duplicate"]
    for key, row in good:
        if _oriented(key) not in stored:
            scale = np.abs(row).max()
            assert min(np.abs(deeper.values - sign * row).max(axis=1).min() for sign in (1, -1)) <= 1e-10 * scale, key
    assert streamed.sizes[2] > limited.sizes[2]


def test_a_last_rung_has_no_array():
    columns, units = table()
    space = make(columns, units, operators=("add", "mult", "div", "sq"), rung=2)
    assert len(space.values) == sum(space.sizes[:2]) < space.n_features
    singles = list(space.singles(size=7))
    assert max(len(block.left) for block in singles) == 7
    n_singles = sum(len(block.left) for block in singles)
    assert n_singles + sum(pairs.n_features for pairs in space.pairs) == space.n_features


@pytest.mark.parametrize("limit", [None, 2])
def test_pieces_of_any_size_hold_the_same_features(limit):
    columns, units = table()
    space = make(columns, units, operators=("add", "sub", "div", "sq"), rung=2, max_complexity=limit)
    for pairs in space.pairs:
        expected = sorted(triples_of(pairs, 100_000))
        assert len(set(expected)) == len(expected) == pairs.n_features > 0
        for size in (1, 10, 1 << 16):
            assert sorted(triples_of(pairs, size)) == expected
            for granule in (1, 4, 64):
                parts = list(pairs.parts(size, granule))
                assert [len(part.rows) % granule for part in parts[:-1]] == [0] * (len(parts) - 1)
                assert sorted(t for part in parts for t in triples_of(part, 5)) == expected


def triples_of(pairs, size):
    return [
        (block.opcode, *operands)
        for block in pairs.blocks(size)
        for operands in zip(block.left.tolist(), block.right.tolist(), strict=True)
    ]


def test_pairs_of_admitted_features_only():
    columns, units = table()
    space = make(columns, units, operators=("add", "sub", "mult", "div", "sq"), rung=2)
    rng = np.random.default_rng(3)
    for pairs in space.pairs:
        rows, columns_ = rng.random((2, len(space.values))) < 0.6
        row, column = (1, 2) if pairs.is_row_left else (2, 1)
        expected = [t for t in triples_of(pairs, 50) if rows[t[row]] and columns_[t[column]]]
        assert sorted(triples_of(pairs.only(rows, columns_), 50)) == sorted(expected)
        assert len(expected) < pairs.n_features


def test_no_trivial_nesting_is_generated():
    columns = {key: table()[0][key] for key in ("m", "n")}
    space = make(columns, {"m": "", "n": ""}, operators=EVERY, rung=2)
    found = set()
    for triple in space.triples():
        formula = space.expression(*triple)
        for operand in formula.operands:
            if not operand.is_primary and formula.operator.arity == 1:
                found.add((formula.name, operand.name))
    forbidden = {(row.name, inner) for row in OPERATORS.values() for inner in row.trivial_on}
    assert not found & forbidden
    assert {("sq", "inv"), ("exp", "sq"), ("sqrt", "exp"), ("inv", "exp")} <= found
    assert space.rejected[2]["nesting"] > 0


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 5])
def test_max_complexity(limit):
    columns, units = table()
    space = make(columns, units, operators=("add", "mult", "sq"), rung=2, max_complexity=limit)
    free = make(columns, units, operators=("add", "mult", "sq"), rung=2)
    complexities = [space.expression(*triple).complexity for triple in space.triples()]
    assert max(complexities) == min(limit, 3)
    assert complexities == [c for c in (free.expression(*t).complexity for t in free.triples()) if c <= limit]
    arrays = [np.array(column) for column in zip(*space.triples(), strict=True)]
    assert space.complexity(*arrays).tolist() == complexities


def test_units_off():
    columns, units = table()
    on = make(columns, units, operators=("add", "exp"), rung=1)
    off = make(columns, units, operators=("add", "exp"), rung=1, unit_rules="none")
    assert [str(off.expression(*t)) for t in off.triples()].count("exp(E)") == 1
    assert off.sizes == [5, 15]
    assert off.rejected[1]["unit"] == 0
    assert on.sizes == [5, 2 + 2]  # E + F, m + n, exp(m), exp(n)
    assert on.rejected[1]["unit"] == 11


def test_equal_values_of_other_units_are_features_of_their_own():
    columns, units = with_products(table())
    keys = {
        rules: {space.stored_expression(t).key for t in range(len(space.values))}
        for rules in ("strict", "sisso", "none")
        for space in [make(columns, units, operators=("mult", "div", "sq"), rung=2, unit_rules=rules)]
    }
    assert {"s", "p", "sq(r)", "div(E,r)"} <= keys["strict"] == keys["sisso"]
    assert not {"sq(r)", "div(E,r)"} & keys["none"]
    units |= {"s": "AA**2", "p": "eV/AA"}
    space = make(columns, units, operators=("mult", "div", "sq"), rung=2)
    assert not {"sq(r)", "div(E,r)"} & {space.stored_expression(t).key for t in range(len(space.values))}


def test_the_rules_of_sisso_take_exp_of_any_quantity():
    columns, units = table()
    settings = {"operators": ("add", "exp", "log", "sin"), "rung": 2}
    strict, sisso = (make(columns, units, **settings, unit_rules=rules) for rules in ("strict", "sisso"))
    formulas = {str(sisso.expression(*t)): sisso.expression(*t).dimension for t in sisso.triples()}
    assert formulas["exp(E)"].is_none
    assert formulas["exp(E) + m"].is_none
    assert "E + exp(E)" not in formulas
    assert "exp(E)" not in {str(strict.expression(*t)) for t in strict.triples()}
    assert sisso.rejected[1]["unit"] < strict.rejected[1]["unit"]
    with pytest.raises(SettingsError, match="unit_rules: needs one of strict, sisso, none, found 'loose'"):
        SpaceSettings(unit_rules="loose")


def test_every_feature_has_a_legal_unit():
    columns, units = table()
    space = make(columns, units, operators=EVERY, rung=2)
    for triple in space.triples():
        space.expression(*triple)  # raises UnitError if the space combined what it must not
    bad = make(columns, units, operators=("add",), rung=1)
    with pytest.raises(UnitError):
        bad.expression(OPERATORS["add"].opcode, 0, 2)


def test_fractional_powers_of_units_meet_again():
    columns = {"a": np.array([1.0, 2.0, 4.0]), "b": np.array([3.0, 1.0, 2.0])}
    space = make(columns, {"a": "eV**2", "b": "eV"}, operators=("sqrt", "add"), rung=2)
    texts = [str(space.expression(*triple)) for triple in space.triples()]
    assert "b + sqrt(a)" in texts
    assert space.expression(*list(space.triples())[texts.index("b + sqrt(a)")]).dimension == parse_unit("eV")
    assert "a + b" not in texts


def test_key_equals_the_key_of_the_expression():
    columns, units = table()
    space = make(columns, units, operators=EVERY, rung=2)
    for triple in list(space.triples())[::17]:
        assert space.key(*triple) == space.expression(*triple).key


def test_a_negative_difference_is_turned_round_so_that_it_can_go_on():
    columns = {"a": np.array([1.0, 2.0, 1.5]), "b": np.array([5.0, 4.0, 7.0])}
    space = make(columns, {"a": "", "b": ""}, operators=("sub", "sqrt", "log"), rung=2)
    texts = [str(space.expression(*triple)) for triple in space.triples()]
    assert "b - a" in texts
    assert "a - b" not in texts
    assert {"sqrt(b - a)", "log(b - a)"} <= set(texts)


def test_masks_name_the_primaries():
    columns, units = table()
    space = make(columns, units, operators=("mult", "sq"), rung=2)
    for t in range(len(space.values)):
        bits = {name for p, name in enumerate(space.names) if int(space.masks[t, p // 64]) >> (p % 64) & 1}
        assert bits == set(space.stored_expression(t).primaries())


def test_masks_of_more_than_64_primaries():
    rng = np.random.default_rng(0)
    columns = {f"x{i:02d}": row for i, row in enumerate(rng.uniform(1, 2, (70, 5)))}
    space = make(columns, dict.fromkeys(columns, ""), operators=("mult",), rung=2, max_complexity=1)
    assert space.masks.shape == (70 + 70 * 69 // 2, 2)
    last = next(t for t in range(70, len(space.values)) if space.stored_expression(t).key == "mult(x01,x69)")
    assert [int(word) for word in space.masks[last]] == [1 << 1, 1 << 5]


def test_equal_columns_stay_apart_but_their_derivatives_are_one():
    columns = {"a": np.array([1.0, 2.0, 4.0]), "b": np.array([1.0, 2.0, 4.0])}
    space = make(columns, {"a": "", "b": ""}, operators=("sq",), rung=2)
    assert [space.stored_expression(t).key for t in range(len(space.values))] == ["a", "b", "sq(a)"]
    assert space.rejected[1] == Counter(duplicate=1)


def test_a_constant_result_is_rejected_and_a_constant_primary_is_not():
    columns = {"a": np.array([1.0, 2.0, 4.0]), "b": np.array([2.0, 4.0, 8.0]), "k": np.array([3.0, 3.0, 3.0])}
    space = make(columns, dict.fromkeys("abk", ""), operators=("div",), rung=2)
    keys = [space.stored_expression(t).key for t in range(len(space.values))]
    assert keys[:3] == ["a", "b", "k"]
    assert "div(a,b)" not in keys
    assert space.rejected[1]["constant"] == 2


@pytest.mark.parametrize("rung", [1, 2])
def test_bounds_are_of_the_largest_absolute_value_and_closed(rung):
    columns = {"a": np.array([-10.0, 1.0, 2.0]), "b": np.array([0.1, 0.01, 0.02])}
    settings = {"operators": ("sq",), "rung": rung}
    kept = []
    for lower, upper in ((0.0, 100.0), (0.0, 99.9), (0.1 * 0.1, 1e5), (0.0101, 1e5)):
        space = make(columns, {"a": "", "b": ""}, **settings, min_abs=lower, max_abs=upper)
        kept.append(space.n_features - screened_out(space).total() if rung == 1 else space.sizes[1])
    assert kept == ([4, 3, 4, 3] if rung == 1 else [2, 1, 2, 1])


def test_rung_zero_is_the_table():
    columns, units = table()
    space = make(columns, units, rung=0)
    assert [space.key(*t) for t in space.triples()] == list(columns)
    assert space.sizes == [5]
    assert space.n_samples == N


def test_a_rung_that_adds_nothing():
    columns = {"r": np.array([1.0, 2.0, 3.0])}
    space = make(columns, {"r": "AA"}, operators=("exp", "add"), rung=2)
    assert space.sizes == [1, 0, 0]
    assert space.rejected[1] == Counter(unit=1)


def test_a_value_that_is_not_finite():
    columns = {"a": np.array([1.0, 2.0]), "gap": np.array([1.0, np.inf])}
    with pytest.raises(FitError) as caught:
        make(columns, {"a": "", "gap": ""}, rung=1)
    assert str(caught.value) == "primary feature 'gap': needs finite values, found inf"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rung": 4}, "rung: needs an integer from 0 to 3, found 4"),
        ({"rung": 1.5}, "rung: needs an integer from 0 to 3, found 1.5"),
        ({"operators": (), "rung": 1}, "operators: needs at least one operator, found none"),
        ({"operators": (("add",), ()), "rung": 2}, "operators: needs at least one operator, found none"),
        (
            {"operators": (("add", "sub"),), "rung": 2},
            "operators: needs operators of all rungs, or of each of 2, found those of 1",
        ),
        (
            {"operators": ("add", ("sub",))},
            "operators: needs names, or names of each rung, found both in ('add', ('sub',))",
        ),
        ({"max_complexity": -1}, "max_complexity: needs a number >= 0, found -1"),
        ({"min_abs": 2.0, "max_abs": 1.0}, "min_abs, max_abs: needs 0 <= min_abs < max_abs, found 2.0, 1.0"),
        ({"min_abs": -1.0}, "min_abs, max_abs: needs 0 <= min_abs < max_abs, found -1.0, 100000.0"),
        ({"min_abs": float("nan")}, "min_abs, max_abs: needs 0 <= min_abs < max_abs, found nan, 100000.0"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(SettingsError) as caught:
        SpaceSettings(**settings)
    assert str(caught.value) == message


def test_stored_units_follow_the_rules():
    columns, units = table()
    space = make(columns, units, operators=("div", "inv"), rung=2)
    by_key = {space.stored_expression(t).key: space.stored_expression(t) for t in range(len(space.values))}
    assert by_key["div(E,F)"].dimension == NONE
    assert by_key["div(E,r)"].dimension == parse_unit("eV/AA")
