"""Log regression in the engine: against the naive search, with the logarithms of all features as features."""

import naive
import numpy as np
import pytest

from sisso_sal.engine.plan import SearchSize, search_cost
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.search import search
from sisso_sal.features.space import FeatureSpace, SpaceSettings

NAMES = ("a", "b", "c")
SETTINGS = {"operators": ("add", "sub", "mult", "div"), "rung": 2}


def make(seed, n=25):
    rng = np.random.default_rng(seed)
    columns = dict(zip(NAMES, rng.uniform(1, 2, (3, n)), strict=True))
    columns["b"][3] = columns["a"][3]  # a - b is 0 there, and has no logarithm
    rows = np.array(list(columns.values()))
    space = FeatureSpace(NAMES, [""] * 3, rows, SpaceSettings(**SETTINGS, logarithms=True))
    return space, columns, rng


@pytest.mark.parametrize(("weighted", "centre"), [(False, True), (True, True), (True, False)])
def test_equals_the_naive_search_with_logarithms(weighted, centre):
    space, columns, rng = make(5)
    weights = rng.integers(0, 4, 25).astype(float) if weighted else np.ones(25)
    target = np.log(columns["a"] + columns["b"]) - 0.5 * np.log(columns["c"]) + rng.normal(0, 0.1, 25)
    rungs = naive.feature_space(columns, dict.fromkeys(NAMES, ""), **SETTINGS)
    features, values = [], []
    for rung in rungs:
        for feature, row in zip(rung.features, rung.values, strict=True):
            if (row != 0).all():
                features.append(feature)
                values.append(np.log(np.abs(row)))
    (outcome,), causes = search(
        space, [Problem(target, weights, np.ones(3, bool))], SearchSize(dim=2, n_sis=6), centre=centre
    )
    steps = naive.search(features, values, target, weights, dim=2, n_sis=6, centre=centre)
    for d, (subspace, fits, clear) in enumerate(steps, start=1):
        assert clear
        assert [space.key(*outcome.subspace.triple(i)) for i in range(6 * d)] == subspace
        found = outcome.fits[d - 1]
        assert [fit.subset for fit in found] == [fit.subset for fit in fits[: len(found)]]
        for fit, own in zip(found, fits, strict=False):
            np.testing.assert_allclose(fit.coefficients, own.coefficients, rtol=1e-6)
    last = rungs[-1]
    n_zero = sum((row == 0).any() for row in last.values)
    assert causes["domain"] + space.rejected[-1]["domain"] == last.rejected["domain"] + n_zero
    assert sum(causes.values()) + sum((row != 0).all() for row in last.values) == space.sizes[-1]


def test_the_result_does_not_depend_on_threads_and_the_plan_says_how_it_is_done():
    space, columns, _ = make(1)
    problem = Problem(np.log(columns["a"]), np.ones(25), np.ones(3, bool))
    size = SearchSize(dim=2, n_sis=5)
    one, two = (search(space, [problem], size, threads=threads)[0][0] for threads in (1, 2))
    for name in ("opcode", "left", "right", "score"):
        np.testing.assert_array_equal(getattr(one.subspace, name), getattr(two.subspace, name))
    assert "screened 2 times by logarithms of all values" in search_cost(space, [problem], size, threads=1).what
