"""The choice among many primary features: planted laws, promises of the rounds, interruptions."""

from itertools import chain, zip_longest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sisso_sal.errors import SettingsError
from sisso_sal.models import variables
from sisso_sal.models.formulas import find_formulas
from sisso_sal.models.inputs import checked_table
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.models.variable_selector import VariableSelector
from sisso_sal.models.variables import (
    N_BEST,
    N_RESIDUAL,
    SelectionSettings,
    _subset,
    ranked_by_pairs,
    select_variables,
)

SEARCH = SISSORegressor(rung=2, dim=1, operators=("add", "sub", "mult", "div"), n_sis=20, threads=1).get_params()
LAW = ("x07", "x19", "x33")


def many(seed=0, p=48, n=60):
    """A law of rung 2 among noise; three columns are copies of those in it, with a correlation of 0.8."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, p))
    for law, copy in ((7, 8), (19, 20), (33, 34)):
        z[:, copy] = 0.8 * z[:, law] + 0.6 * z[:, copy]
    X = np.exp(0.4 * z)
    return checked_table([f"x{i:02d}" for i in range(p)], X, X[:, 7] * X[:, 19] / X[:, 33], np.ones(n), target="y")


@pytest.mark.parametrize("by", ["pairs", "subsets"])
def test_a_law_of_rung_2_is_among_what_is_chosen(by):
    table = many()
    chosen = select_variables(SEARCH, table, SelectionSettings(number=8, by=by))
    assert len(chosen.names) == len(set(chosen.names)) <= 8
    assert set(LAW) <= set(chosen.names)
    if by == "subsets":
        assert chosen.models.model.rmse < 1e-9
        assert chosen.names[:3] == chosen.models.needed == LAW
        assert chosen.to_json()["n_seen"] <= 48


def test_features_of_the_screenings_are_taken_in_turn(monkeypatch):
    monkeypatch.setattr(variables, "N_RANKED", 6)
    table, own = many(p=36), SEARCH | {"dim": 3, "rung": 1, "param_operators": ("exp",)}
    models = find_formulas(own | {"n_sis": 6, "n_residual": N_RESIDUAL}, table, with_subspaces=True)
    assert min(map(len, models.subspaces)) > 6
    place = {feature: number for number, (feature, _) in enumerate(chain(*models.subspaces))}
    best = [
        feature
        for some in reversed(models.alternatives)
        for model in some[:N_BEST]
        for feature in sorted((term.expression for term in model.terms), key=place.__getitem__)
    ]
    in_turn = [pair[0] for rank in zip_longest(*models.subspaces) for pair in rank if pair is not None]
    assert ranked_by_pairs(own, table) == list(dict.fromkeys(n for one in [*best, *in_turn] for n in one.primaries()))


def test_the_order_of_columns_does_not_matter():
    table = many()
    turned = table.only(table.names[::-1])
    assert ranked_by_pairs(SEARCH, turned) == ranked_by_pairs(SEARCH, table)
    settings = SelectionSettings(number=8, by="subsets", rounds=4)
    one, other = (select_variables(SEARCH, each, settings) for each in (table, turned))
    assert one.rounds == other.rounds
    assert (
        one.rounds
        != select_variables(SEARCH, table, SelectionSettings(number=8, by="subsets", rounds=4, seed=1)).rounds
    )


@given(st.integers(2, 12), st.integers(0, 14), st.sets(st.integers(0, 29)), st.integers(0, 2**32))
def test_a_subset_keeps_what_was_used_and_draws_first_what_no_round_has_seen(number, n_kept, seen, seed):
    names = [f"x{i:02d}" for i in range(30)]
    kept, seen = tuple(names[:n_kept]), {names[i] for i in seen}
    drawn = _subset(np.random.default_rng(seed), names, kept, seen, number)
    assert drawn[:n_kept] == kept
    fresh = drawn[n_kept:]
    assert len(set(drawn)) == len(drawn)
    assert len(fresh) == min(max(number - n_kept, -(-number // 3)), 30 - n_kept)
    unseen = [name for name in names if name not in seen and name not in kept]
    assert sum(name not in seen for name in fresh) == min(len(unseen), len(fresh))


def test_the_rounds_end_when_nothing_better_comes_and_the_best_never_gets_worse():
    table = many()
    noise = checked_table(table.names, table.X, np.random.default_rng(3).normal(size=60), np.ones(60), target="y")
    chosen = select_variables(SEARCH, noise, SelectionSettings(number=8, by="subsets", patience=3))
    errors = [one.rmse for one in chosen.rounds]
    best = min(errors)
    assert chosen.models.model.rmse == best
    assert len(errors) - errors.index(best) >= 4 or len(errors) == 100
    for one, before in zip(chosen.rounds[1:], chosen.rounds, strict=False):
        leader = min(chosen.rounds[: chosen.rounds.index(before) + 1], key=lambda r: (round(r.rmse, 12), len(r.used)))
        assert set(leader.used) <= set(one.searched)


def test_an_interruption_keeps_the_best_so_far():
    def stop(done, total):
        assert total == 100
        if done == 3:
            raise KeyboardInterrupt

    chosen = select_variables(SEARCH, many(), SelectionSettings(number=8, by="subsets"), stop)
    assert len(chosen.rounds) == 3
    assert not chosen.models.counts.is_complete
    assert chosen.models.model.rmse == min(one.rmse for one in chosen.rounds)


def test_low_columns_are_always_among_what_is_chosen():
    low = {**SEARCH, "low": ("x40",), "rung": 1}
    for by in ("pairs", "subsets"):
        settings = SelectionSettings(number=8, by=by, rounds=2)
        assert "x40" in select_variables(low, many(), settings).names
    with pytest.raises(SettingsError, match="needs a number above that of 2 low columns, found 2"):
        select_variables({**low, "low": ("x40", "x41")}, many(), SelectionSettings(number=2))


def test_few_features_are_all_taken_and_wrong_settings_are_refused():
    assert select_variables(SEARCH, many(p=36), SelectionSettings(number=40)).names == tuple(
        f"x{i:02d}" for i in range(36)
    )
    with pytest.raises(SettingsError, match="select-by: needs one of pairs, subsets, found 'all'"):
        SelectionSettings(by="all")
    with pytest.raises(SettingsError, match="number: needs an integer of at least 2, found 1"):
        SelectionSettings(number=1)


def test_the_transformer_keeps_the_columns_in_their_order():
    table = many()
    selector = VariableSelector(n_select=6, regressor=SISSORegressor(**SEARCH)).fit(table.X, table.y)
    names = [f"x{i:02d}" for i in np.flatnonzero(selector.get_support())]
    assert set(names) == {f"x{int(name[1:]):02d}" for name in selector.selected_.names}
    assert set(LAW) <= set(names)
    assert selector.transform(table.X).shape == (60, 6)
