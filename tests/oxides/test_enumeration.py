"""Charge-balanced oxides in parts: every one once, with the formula, states and features of the row-by-row way."""

import itertools
import math
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from compiled import examples_of
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_oxides import balanced_formulas, primary_features

from sisso_sal.errors import InputError
from sisso_sal.oxides import balance, enumeration
from sisso_sal.oxides.elements import atomic_fractions, element_data, parse_formula
from sisso_sal.oxides.enumeration import OxideEnumeration, OxidePart
from sisso_sal.oxides.metals import METALS
from sisso_sal.oxides.pool import reduced_formula
from sisso_sal.oxides.primary_features import PRIMARY_FEATURES, featurize

HEADERS = [feature.header for feature in PRIMARY_FEATURES]
SEVERAL = [metal for metal in METALS if len(element_data()[metal].common) > 1]


def formulas_of(oxides, size=1000):
    return [formula for part in oxides.parts(size) for formula in oxides.read(part).formulas]


def exactly(n_metals, metals=METALS, **settings):
    return OxideEnumeration(tuple(metals), min_metals=n_metals, max_metals=n_metals, **settings)


def assert_as_row_by_row(block):
    formulas = block.formulas.tolist()
    assert block.formulas.dtype == object
    assert list(block.features) == HEADERS
    twin = [primary_features(formula) for formula in formulas]
    for header, values in block.features.items():
        assert values.dtype == np.float64
        assert values.tolist() == [row[header] for row in twin], header  # the same bits
    assert np.array_equal(block.shares(), atomic_fractions(formulas))


@settings(deadline=None, max_examples=examples_of(60))
@given(
    st.lists(st.one_of(st.sampled_from(SEVERAL), st.sampled_from(METALS)), min_size=1, max_size=4, unique=True),
    st.integers(1, 4),
)
def test_all_balanced_oxides_of_random_metals(metals, max_index):
    oxides = exactly(len(metals), metals, max_index=min(max_index, 6 - len(metals)))
    (part,) = oxides.parts(1_000_000)
    block = oxides.read(part)
    formulas = block.formulas.tolist()
    assert len(set(formulas)) == len(formulas) == oxides.count()
    assert set(formulas) == balanced_formulas(metals, oxides.max_index)
    assert_as_row_by_row(block)


@pytest.mark.parametrize("n_metals", [1, 2, 3, 4])
def test_random_parts_with_indices_up_to_12(n_metals):
    oxides = exactly(n_metals, max_index=12)
    rng = np.random.default_rng(n_metals)
    stop = math.comb(len(METALS), n_metals) * 12**n_metals
    for start in rng.integers(0, stop, 8).tolist():
        block = oxides.read(OxidePart(n_metals, start, min(stop, start + 250)))
        assert_as_row_by_row(block)
        assert all(reduced_formula(parse_formula(formula)) == formula for formula in block.formulas)
        amounts = [n for formula in block.formulas for e, n in parse_formula(formula).items() if e != "O"]
        assert max(amounts, default=1) <= 12


def test_features_in_a_table_are_those_of_one_row():
    formulas = [*formulas_of(OxideEnumeration(("Fe", "Os", "Li"), max_metals=3, max_index=2))]
    formulas += ["La0.5Sr0.5MnO3", "Fe3O4", "KO2", "Li1.2Mn0.54Co0.13Ni0.13O2", "Ca3(PO4)2"]
    features, rejected = featurize(formulas)
    assert not rejected
    assert features.to_dict("index") == {formula: primary_features(formula) for formula in formulas}


def test_parts_of_any_size_are_the_same_oxides():
    oxides = OxideEnumeration(("Fe", "Ti", "Sr", "Mn"), max_metals=3, max_index=4)
    whole = formulas_of(oxides, 10**6)
    assert len(whole) == oxides.count() == len(set(whole))
    for size in (1, 7, 300):
        assert formulas_of(oxides, size) == whole
    block = oxides.read(OxidePart(3, 5, 5 + 31))
    both = [oxides.read(OxidePart(3, 5, 20)), oxides.read(OxidePart(3, 20, 5 + 31))]
    assert block.formulas.tolist() == [formula for one in both for formula in one.formulas]
    for header in HEADERS:
        assert block.features[header].tolist() == np.concatenate([one.features[header] for one in both]).tolist()


@pytest.mark.parametrize(("n_metals", "size"), [(2, 5000), (3, 5000), (3, 50_000), (4, 20_000)])
def test_parts_have_about_the_size_asked_for(n_metals, size):
    oxides = exactly(n_metals)
    first = list(itertools.islice(oxides.parts(size), 200))
    lengths = [len(oxides.read(part).formulas) for part in first[:: max(1, len(first) // 10)]]
    assert size / 4 < np.median(lengths) < 2 * size
    assert max(lengths) < 4 * size


def test_a_part_may_have_no_oxide():
    (part,) = OxideEnumeration(("Al",), max_index=1).parts(100)  # Al2O3 needs 2
    block = OxideEnumeration(("Al",), max_index=1).read(part)
    assert (block.formulas.tolist(), list(block.features), block.shares().shape) == (
        [],
        HEADERS,
        (0, len(element_data())),
    )
    assert OxideEnumeration(("Al",), max_index=1).count() == 0


def test_the_metals_come_in_any_order():
    one, other = OxideEnumeration(("Ti", "Sr", "Fe")), OxideEnumeration(("Fe", "Sr", "Ti", "Sr"))
    assert one == other
    assert one.describe() == other.describe()
    assert formulas_of(one) == formulas_of(other)


def test_every_group_of_metals_in_lexicographic_order():
    for n, size in [(5, 1), (5, 2), (7, 4), (6, 6), (67, 2)]:
        groups = balance._groups(n, size, 0, math.comb(n, size))
        assert groups.T.tolist() == [list(group) for group in itertools.combinations(range(n), size)]
    last = balance._groups(67, 5, math.comb(67, 5) - 1, math.comb(67, 5))
    assert last.T.tolist() == [[62, 63, 64, 65, 66]]


def test_near_ties_are_for_the_rule_to_decide(monkeypatch):
    oxides = OxideEnumeration(("Mn", "Te", "Pt", "Fe"), max_metals=3, max_index=3)
    blocks = [oxides.read(part) for part in oxides.parts(500)]
    monkeypatch.setattr(balance, "_CLOSE", 1e9)
    for block, part in zip(blocks, oxides.parts(500), strict=True):
        slow = oxides.read(part)
        assert slow.formulas.tolist() == block.formulas.tolist()
        assert all(slow.features[header].tolist() == block.features[header].tolist() for header in HEADERS)


def test_equal_shares_are_a_tie(monkeypatch):
    """Cr 3 and 6 as likely as each other, Mo 4 and 6 too: the first in alphabetical order of the metals is taken."""
    data = dict(element_data())
    for symbol in ("Cr", "Mo"):
        even = dict.fromkeys(data[symbol].known, 0.25)
        data[symbol] = type(data[symbol])(symbol, data[symbol].values, data[symbol].common, even)
    monkeypatch.setattr(balance, "element_data", lambda: data)
    monkeypatch.setattr("sisso_sal.oxides.oxidation_states.element_data", lambda: data)
    table = balance.metal_table(("Cr", "Mo"))
    (oxides,) = balance.balanced_oxides(table, 2, 3, 0, 9)
    of_tie = (oxides.indices.T == [2, 3]).all(axis=1) & (oxides.oxygen == 12)
    assert oxides.states[:, of_tie].T.tolist() == [[3, 6]]  # not [6, 4]


def test_counts_without_making_them():
    assert [exactly(n).count() for n in (1, 2, 3)] == [90, 58_739, 11_443_491]
    assert exactly(2).count() == len(formulas_of(exactly(2), 10_000))


def test_metals_without_a_value_are_left_out_with_the_reason():
    oxides = OxideEnumeration(("Ti", "Pm", "Xe"), max_index=2)
    assert oxides.metals == ("Ti",)
    assert oxides.left_out == {"Pm": "element Pm: no value of r_vdw (AA)", "Xe": "element Xe: no value of CE (eV)"}
    assert formulas_of(oxides) == ["TiO2"]
    assert OxideEnumeration().left_out == {}


def test_everything_pickles_and_is_small():
    oxides = OxideEnumeration(max_metals=3)
    part = next(itertools.islice(oxides.parts(500), 100, None))
    assert len(pickle.dumps(part)) < 200
    assert len(pickle.dumps((oxides, part))) < 10_000
    again, same = pickle.loads(pickle.dumps((oxides, part)))
    block = pickle.loads(pickle.dumps(oxides.read(part)))
    assert again.read(same).formulas.tolist() == block.formulas.tolist()
    assert np.array_equal(block.shares(), again.read(same).shares())


def test_what_decides_the_content_is_described(monkeypatch):
    base = OxideEnumeration(("Ti", "Sr"))
    others = [
        OxideEnumeration(("Ti", "Ba")),
        OxideEnumeration(("Ti", "Sr"), max_metals=1),
        OxideEnumeration(("Ti", "Sr"), min_metals=2),
        OxideEnumeration(("Ti", "Sr"), max_index=5),
    ]
    described = [one.describe() for one in (base, *others)]
    assert all(a != b for a, b in itertools.combinations(described, 2))
    monkeypatch.setattr(enumeration, "_VERSION", 2)
    assert base.describe() not in described
    assert len(base.describe()["elements"]) == 64


def test_memory_of_a_part_is_bounded():
    oxides = exactly(4, SEVERAL, max_index=12)
    part = next(oxides.parts(20_000))
    oxides.read(part)
    tracemalloc.start()
    n = len(oxides.read(part).formulas)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 5000 < n < 80_000
    assert peak < 100e6


def test_pymatgen_is_not_needed():
    code = (
        "import sys; from sisso_sal.oxides.enumeration import OxideEnumeration as E\n"
        "oxides = E(max_metals=3); oxides.read(next(oxides.parts(500)))\n"
        "assert not {'pymatgen', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("oxides", (METALS, 2, 1, 6)),
        ("oxides:", (METALS, 2, 1, 6)),
        ("oxides:metals=Li,Na,Ti,max_metals=3", (("Li", "Na", "Ti"), 3, 1, 6)),
        (" oxides : max_index = 12 , metals = Ti , Sr ", (("Ti", "Sr"), 2, 1, 12)),
        ("oxides:min_metals=2,metals=Ti,Tl,Sr,U,exclude=toxic,Sr,Fe", None),
        ("oxides:max_metals=3,exclude=radioactive,metals=Ti,Sr,U", (("Ti", "Sr"), 3, 1, 6)),
    ],
)
def test_parse(text, settings):
    if settings is None:
        with pytest.raises(InputError, match=r"metals needs at least min_metals, 2, found Ti$"):
            OxideEnumeration.parse(text)
    else:
        assert OxideEnumeration.parse(text) == OxideEnumeration(*settings)


SETTINGS = "needs settings metals, exclude, max_metals, min_metals, max_index, each once, found"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("oxide:metals=Ti", "needs oxides or oxides:SETTINGS, found 'oxide'"),
        ("oxides:metal=Ti", f"{SETTINGS} 'metal'"),
        ("oxides:metals=Ti,metals=Li", f"{SETTINGS} 'metals' twice"),
        ("oxides:Ti", "needs SETTING=VALUE with commas between them, found 'Ti'"),
        ("oxides:metals=", "needs SETTING=VALUE with commas between them, found 'metals='"),
        ("oxides:metals=Ti,,Li", "needs SETTING=VALUE with commas between them, found ''"),
        ("oxides:metals=Ti,Xx", "metals: needs elements with a common positive state, found 'Xx'"),
        ("oxides:metals=Ti,O", "metals: needs elements with a common positive state, found 'O'"),
        ("oxides:metals=Pm", "metals needs at least min_metals, 1, found none; element Pm: no value of r_vdw (AA)"),
        ("oxides:max_metals=x", "max_metals needs a whole number, found 'x'"),
        ("oxides:max_metals=1,2", "max_metals needs a whole number, found '1,2'"),
        (f"oxides:max_index={'9' * 5000}", f"max_index needs a whole number, found '{'9' * 5000}'"),
        ("oxides:max_metals=7", "max_metals needs a whole number from 1 to 6, found 7"),
        ("oxides:max_index=0", "max_index needs a whole number from 1 to 99, found 0"),
        ("oxides:min_metals=3", "min_metals needs at most max_metals, 2, found 3"),
        ("oxides:max_metals=6,max_index=99", "needs fewer metals or a smaller max_index, found 99: too many to number"),
        (
            "oxides:exclude=toxc",
            "exclude: needs elements or groups (radioactive, toxic, scarce), found 'toxc'; did you mean 'toxic'?",
        ),
    ],
)
def test_refusals(text, problem):
    with pytest.raises(InputError) as caught:
        OxideEnumeration.parse(text)
    assert str(caught.value).removeprefix(f"pool '{text}'").removeprefix(":").strip() == problem


def test_numbers_are_checked():
    with pytest.raises(InputError, match=r"max_index needs a whole number from 1 to 99, found 2\.5"):
        OxideEnumeration(max_index=2.5)
    with pytest.raises(InputError, match="oxides: a part needs at least 1 oxide, found 0"):
        next(OxideEnumeration().parts(0))
