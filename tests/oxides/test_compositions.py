"""Oxides read many at a time have the states and the features that the rule gives each of them alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.errors import InputError
from sisso_sal.oxides import balance, primary_features
from sisso_sal.oxides.compositions import common_oxides
from sisso_sal.oxides.elements import element_data, parse_formula
from sisso_sal.oxides.metals import METALS
from sisso_sal.oxides.oxidation_states import oxidation_states
from sisso_sal.oxides.primary_features import featurize

COMMON = {symbol for symbol, element in element_data().items() if element.common and symbol != "O"}
SEVERAL = [metal for metal in METALS if len(element_data()[metal].common) > 1]


def written(metals, indices, oxygen):
    return "".join(f"{metal}{index}" for metal, index in zip([*metals, "O"], [*indices, oxygen], strict=True))


def random_oxides(rng, n, among, most_index=12, most_metals=4):
    """Some that common states balance and some by chance, of several metals; oxygen stands at the end."""
    formulas = []
    for _ in range(n):
        metals = rng.choice(among, rng.integers(1, most_metals + 1), replace=False)
        indices = rng.integers(1, most_index + 1, len(metals))
        states = [rng.choice(element_data()[metal].common) for metal in metals]
        formulas.append(written(metals, indices, max(1, int(indices @ states) // 2)))
    return formulas


def by_the_rule(formula):
    return [(one.element, one.amount, one.state) for one in oxidation_states(parse_formula(formula))]


@pytest.mark.parametrize("among", [METALS, SEVERAL])
def test_states_are_those_of_the_rule(among):
    formulas = random_oxides(np.random.default_rng(1), 2000, among)
    n_read = 0
    for rows, oxides in common_oxides(formulas, among):
        n_read += len(rows)
        for row, numbers, states in zip(rows, oxides.ions.T, oxides.states.T, strict=True):
            assert list(zip(numbers, states, strict=True)) == [one[1:] for one in by_the_rule(formulas[row])]
    assert n_read > 1000


def test_what_common_states_balance_is_read():
    """All of the others need a later step of the rule, or have none."""
    formulas = random_oxides(np.random.default_rng(2), 1000, SEVERAL, most_index=3)
    read = {row for rows, _ in common_oxides(formulas, SEVERAL) for row in rows.tolist()}
    for row in set(range(len(formulas))) - read:
        try:
            states = by_the_rule(formulas[row])
        except InputError:
            continue
        in_common = all(state in element_data()[element].common for element, _, state in states[:-1])
        assert not (in_common and states[-1][2] == -2 and len(states) == len(parse_formula(formulas[row])))


def test_small_pieces_are_the_same(monkeypatch):
    formulas = random_oxides(np.random.default_rng(3), 300, SEVERAL)
    whole = list(common_oxides(formulas, SEVERAL))
    monkeypatch.setattr(balance, "_ENTRIES", 7)
    for (rows, oxides), (others, again) in zip(whole, common_oxides(formulas, SEVERAL), strict=True):
        assert rows.tolist() == others.tolist()
        assert all((one == other).all() for one, other in zip(oxides, again, strict=True))


TEXTS = st.one_of(
    st.sampled_from(["TiO2", "Ti2O4", "Fe3O4", "Na2O2", "Ti0.5Sr0.5O1.5", "Ca3(PO4)2", "H2O", "O2", "Fe", "PmO2", "RnO"]),
    st.sampled_from(["", "x", "TiO2 ", "ångström", "Ti1e3O2", "TiO02", "OTi", "TiOTiO3", "Ti\ud800O2", None, 7]),
    st.sampled_from(["Ti999999999999999O2", "Ti9999999999999999O2", "LiMnO3", "SrTiO3", "KPtCl6O", "TiSrMnFeCoNiO9"]),
    st.integers(0, 2**32 - 1).map(lambda seed: random_oxides(np.random.default_rng(seed), 1, sorted(COMMON))[0]),
)  # fmt: skip


@settings(deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=30))
def test_features_and_reasons_are_those_of_one_row_after_the_other(texts):
    alone, alone_rejected = featurize(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(primary_features, "_MANY", 1)
        many, rejected = featurize(texts)
    assert list(many.index) == list(alone.index)
    assert rejected == alone_rejected
    np.testing.assert_array_equal(many.to_numpy(), alone.to_numpy())


def test_many_are_read_together(monkeypatch):
    """Enough formulas take the fast way without being asked, and none of these takes the slow one."""
    formulas = random_oxides(np.random.default_rng(5), 300, METALS)
    chosen = [formulas[row] for rows, _ in common_oxides(formulas, METALS) for row in rows]
    monkeypatch.setattr(primary_features, "parse_formula", lambda formula: pytest.fail(f"{formula} was read alone"))
    features, rejected = featurize(chosen)
    assert len(features) == len(chosen) > 100
    assert not rejected
