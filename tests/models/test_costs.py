"""What a fit takes is announced before it begins, all parts of it, and what does not fit into the memory is refused there."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from sisso_sal.data.table import read_table
from sisso_sal.errors import SettingsError
from sisso_sal.features.space import SpaceSettings
from sisso_sal.models.correction import Correction
from sisso_sal.models.costs import correction_cost, prediction_cost
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.fitting import SearchSettings
from sisso_sal.models.recipe import EnsembleRecipe
from sisso_sal.models.sisso import SISSO
from sisso_sal.models.surrogates import Process
from sisso_sal.protocols import Cost
from sisso_sal.spaces.table import TableSpace
from sisso_sal.system import costs

SETTINGS = {"members": 3, "rung": 1, "dim": 1, "n_sis": 5, "threads": 1, "random_state": 0}


def recipe(**changes):
    return EnsembleRecipe(space=SpaceSettings(rung=1), search=SearchSettings(dim=1), **changes)


def space(n=40):
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 2, (n, 2)).round(6)
    y = np.where(np.arange(n) < n - 10, x[:, 0] * x[:, 1], np.nan)
    return TableSpace(read_table(pd.DataFrame({"id": [f"m{i}" for i in range(n)], "a": x[:, 0], "b": x[:, 1], "y": y})))


def fitted(table, surrogate):
    known = np.flatnonzero(np.isfinite(table.labels))
    return surrogate.fit(table, known, table.labels[known], np.zeros(len(known)))


def complete(**changes):
    return SISSOEnsemble(**{**SETTINGS, **changes}).get_params()


def test_search_correction_and_prediction_are_announced_at_once(monkeypatch):
    told = []
    monkeypatch.setattr(costs, "in_words", lambda parts: told.append([cost.what for cost in parts]) or "")
    fitted(space(), SISSO(complete()))
    ((search, *later),) = told
    assert search.endswith(" subsets")
    assert later == ["the choice among 3 formulas", "the correction by 30 labels", "the prediction of 40 candidates"]


def test_what_follows_a_fit_is_announced_with_it(monkeypatch):
    told = []
    monkeypatch.setattr(costs, "in_words", lambda parts: told.append(list(parts)) or "")
    fitted(space(), SISSO(complete()))
    with costs.followed_by(costs.Sequel(3, (Cost("the report", 2.0, 0, ""),))):
        fitted(space(), SISSO(complete()))
    once, often = told
    assert often[-1] == Cost("the report", 2.0, 0, "")
    assert often[-2].what == once[-1].what == "the prediction of 40 candidates"
    assert often[-2].seconds == pytest.approx(3 * once[-1].seconds)


@pytest.mark.parametrize("part", ["the correction by 30 labels", "the prediction of 40 candidates"])
def test_a_part_that_needs_more_memory_than_there_is_ends_the_fit_before_the_search(monkeypatch, part):
    table, needed = space(), {}
    original = costs.usable_memory
    monkeypatch.setattr(
        costs, "in_words", lambda parts: needed.update({cost.what: cost.n_bytes for cost in parts}) or ""
    )
    fitted(table, SISSO(complete()))
    monkeypatch.setattr(costs, "usable_memory", lambda: min(needed[part] - 1, original()))
    monkeypatch.setattr("sisso_sal.models.members.solve", lambda *arguments: pytest.fail("the search has begun"))
    others = [what for what, n_bytes in needed.items() if n_bytes >= needed[part] and what != part]
    with pytest.raises(SettingsError) as refusal:
        fitted(table, SISSO(complete()))
    assert str(refusal.value).startswith(tuple(f"{what}: needs" for what in [part, *others]))


def test_without_correction_nothing_is_estimated_for_it():
    assert correction_cost(recipe(correction="none"), 5000, 10, True).seconds == 0.0
    assert correction_cost(recipe(correction="trees"), 5000, 10, True).n_bytes == 0
    both, process = (prediction_cost(recipe(correction=kind), 1000, 500, 10, True) for kind in ("both", "process"))
    assert both.seconds > process.seconds


@pytest.mark.parametrize("n", [400, *(pytest.param(n, marks=pytest.mark.faults) for n in (800, 1600))])
def test_the_memory_of_the_correction_is_what_it_takes(n):
    """Within a factor of two, where compositions are known and where not."""
    rng = np.random.default_rng(n)
    X = rng.uniform(0, 1, (n, 4))
    y = X[:, 0] + np.sin(6 * X[:, 1]) + rng.normal(0, 0.05, n)
    shares = rng.dirichlet(np.ones(5), n)
    Correction("process", X[:50], X[:50, 0], y[:50], 0, shares[:50])  # whatever is loaded only once
    for composition in (None, shares):
        estimate = correction_cost(recipe(correction="process"), n, 4, composition is not None).n_bytes
        tracemalloc.start()
        try:
            Correction("process", X, X[:, 0], y, 0, composition)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert estimate / 2 < peak < 2 * estimate


def test_the_process_by_itself_is_refused_as_well(monkeypatch):
    monkeypatch.setattr(costs, "usable_memory", lambda: 1000)
    with pytest.raises(
        SettingsError, match=r"^a Gaussian process of 30 labels: needs .* try fewer labels, or another --surrogate$"
    ):
        fitted(space(), Process())
