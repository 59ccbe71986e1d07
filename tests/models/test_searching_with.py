"""Models whose feature spaces were looked through by workers: the same as without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sisso_sal import SISSOEnsemble, SISSORegressor
from sisso_sal.engine import parts
from sisso_sal.engine import screen as screen_module
from sisso_sal.errors import SettingsError
from sisso_sal.models.fitting import searching_with
from sisso_sal.models.validation import tune
from sisso_sal.protocols import Cost


class Backwards:
    """Workers in this process that do the last part first."""

    n, threads, is_here = 2, 1, False

    def __init__(self):
        self.n_parts = 0

    def unordered(self, function, parts):
        for part in list(parts)[::-1]:
            self.n_parts += 1
            yield part, function(part)


@pytest.fixture
def workers(monkeypatch) -> Any:
    monkeypatch.setattr(screen_module, "WORTH", 0.0)
    monkeypatch.setattr(parts, "LEAST_SECONDS", 0.0)
    return Backwards()


def table(n: int = 40):
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 2, (n, 4))
    return X, X[:, 0] * X[:, 1] / X[:, 2] + rng.normal(0, 0.05, n)


def test_a_model_and_its_counts_are_the_same(workers):
    X, y = table()
    alone = SISSORegressor(n_sis=10).fit(X, y)
    with searching_with(workers):
        shared = SISSORegressor(n_sis=10).fit(X, y)
    assert workers.n_parts > 4
    np.testing.assert_array_equal(shared.predict(X), alone.predict(X))
    assert (shared.n_features_, shared.rejected_) == (alone.n_features_, alone.rejected_)


def test_an_ensemble_and_the_choice_of_its_settings_are_the_same(workers):
    X, y = table()
    ensemble = SISSOEnsemble(members=4, n_sis=5, dim=2, correction="none")
    grid = {"rung": (1,), "dim": (1,), "n_sis": (5,), "members": (4,), "dropout": (0.0, 0.2), "transform": ("none",)}
    alone, choice = ensemble.fit(X, y).predict(X), tune(ensemble, X, y, grid, folds=2)
    with searching_with(workers):
        shared = ensemble.fit(X, y).predict(X)
        n_parts = workers.n_parts
        assert tune(ensemble, X, y, grid, folds=2) == choice
    np.testing.assert_array_equal(shared, alone)
    assert workers.n_parts > n_parts > 4


def test_a_fit_that_takes_days_is_refused(monkeypatch):
    """Before it begins, and with what would let it run."""
    X, y = table()
    monkeypatch.setattr(
        "sisso_sal.models.fitting.search_cost",
        lambda *_: Cost("4 features, screened once", 3 * 86400.0, 0, "", 3 * 86400.0),
    )
    monkeypatch.setattr("sisso_sal.models.fitting.search", None)
    with pytest.raises(
        SettingsError, match=r"^4 features, screened once: needs about 3\.0 days on one core, more than a day"
    ):
        SISSORegressor(rung=1, threads=1).fit(X, y)
