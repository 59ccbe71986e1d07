"""Simulated campaigns over classes: a planted class is found faster than by chance, and claims are of probabilities."""

import json
from functools import partial

import numpy as np
import pytest

from sisso_sal.cli.level_study import unfitted
from sisso_sal.data.table import Table
from sisso_sal.replay.simulate import Rules, Strategy, replay, simulate
from sisso_sal.report.text.study import replay_text
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.spaces.table import TableSpace

N_HITS = 12
RULES = Rules(goal="=cubic", n_start=10, evaluations=24, batch=4)


def planted(n=80, seed=1):
    """The cubic rows are those with the largest ratio of a and b, which neither of them tells alone."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 2, (n, 3))
    hit = np.zeros(n)
    hit[np.argsort(-X[:, 0] / X[:, 1])[:N_HITS]] = 1.0
    ids = tuple(f"m{i}" for i in range(n))
    made = Table(
        path="made.csv", ids=ids, id_name="id", feature_names=("a", "b", "c"), feature_units=("eV", "eV", ""), features=X,
        target_name="phase", target_unit="", target=hit, text={"id": ids},
        headers={"id": "id", "a": "a (eV)", "b": "b (eV)", "c": "c", "phase": "phase"},
        classes=tuple("cubic" if one else "hexagonal" for one in hit),
    )  # fmt: skip
    return TableSpace(made)


def strategy(kind):
    settings = CampaignSettings(goal="=cubic", surrogate=kind)
    model = settings.model.model_copy(update={"rung": 1, "dim": 1, "n_sis": 5, "operators": ("add", "div")})
    ensemble = settings.ensemble.model_copy(update={"members": 5})
    settings = settings.model_copy(update={"model": model, "ensemble": ensemble})
    return Strategy(f"{kind} hits", "hits", partial(unfitted, settings))


def test_a_planted_class_is_found_long_before_chance_finds_it():
    strategies = [strategy("sisso"), Strategy("random", "random")]
    document = replay(planted(), strategies, RULES, seeds=2)
    found = {name: np.array(one["found"]) for name, one in document["strategies"].items()}
    assert document["n_targets"] == N_HITS
    assert (found["sisso hits"][:, -1] == N_HITS).all()
    assert found["random"][:, -1].max() < N_HITS
    assert found["sisso hits"].sum() > 1.3 * found["random"].sum()
    json.dumps(document, allow_nan=False)
    text = replay_text(document | {"target": {"name": "phase", "unit": ""}, "materials": None})
    assert "best" not in text
    assert "in 95 %" not in text
    assert "targets claimed" in text


def test_claims_are_the_probabilities_of_the_picks_and_no_interval():
    document = replay(planted(), [strategy("logistic"), Strategy("random", "random")], RULES, seeds=2)
    told = document["strategies"]["logistic hits"]
    for row in told["claims"]:
        assert row["mean"] == row["hit"]
        assert set(row["low"] + row["high"]) == {None}
        assert set(row["label"]) <= {0.0, 1.0}
    assert told["honesty"]["coverage95"] is None
    claimed = np.mean([sum(row["hit"]) for row in told["claims"]])
    assert told["honesty"]["p_hit"]["claimed"] == pytest.approx(claimed)
    assert document["strategies"]["random"]["honesty"] is None


def test_without_a_hit_the_farthest_from_all_known_comes_as_in_a_campaign():
    space = planted()
    rules = Rules(goal="=cubic", n_start=4, start="worst", evaluations=3, batch=1)
    farthest, learned = (
        simulate(space, one, rules, 0) for one in (Strategy("distance", "distance"), strategy("sisso"))
    )
    assert farthest.n_found[0] == 0
    n = next((k for k, found in enumerate(learned.n_found) if found), 3)
    assert n > 0
    assert learned.picks[:n] == farthest.picks[:n]
