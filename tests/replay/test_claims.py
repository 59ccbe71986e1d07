"""What campaigns claim of their picks, and whether it came true, counted by hand."""

import json

import numpy as np
import pytest
from scipy.stats import norm

from sisso_sal.acquisition.goal import Goal
from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Prediction
from sisso_sal.protocols.distribution import Distribution
from sisso_sal.replay.claims import ClaimLog, Claims, claims_of, fifths, honesty
from sisso_sal.replay.estimate import by_estimate
from sisso_sal.replay.simulate import Rules, Strategy, replay, simulate, targets
from sisso_sal.report.text.study import replay_text

from test_simulate import Blurred, Perfect, table  # isort: skip

BLURRED = Strategy("blurred", "hits", Blurred)


def made(mean, std, told=None):
    mean, std = np.array(mean, dtype=float), np.array(std, dtype=float)
    return Prediction(mean, std, std, mean[None], np.ones((1, len(mean)), dtype=bool), distribution=told)


def test_a_claim_is_the_interval_and_the_probability_of_the_prediction():
    prediction = made([1.0, 2.0, 3.0, 4.0], [0.5, 1.0, 0.0, 2.0])
    claims = claims_of(prediction, np.array([0.7, np.nan, np.nan, np.nan]), Goal.parse(">=2.5"))
    assert claims.is_made.tolist() == [True, True, False, True]
    assert claims.mean[[0, 1, 3]].tolist() == [1.0, 2.0, 4.0]
    centre, width = np.array([1.0, 2.0, 4.0]), norm.ppf(0.975) * np.array([0.5, 1.0, 2.0])
    assert claims.low[[0, 1, 3]] == pytest.approx(centre - width)
    assert claims.high[[0, 1, 3]] == pytest.approx(centre + width)
    assert claims.hit[[0, 1, 3]] == pytest.approx([norm.sf(3.0), norm.sf(0.5), norm.cdf(0.75)])


def test_a_claim_is_made_by_the_whole_distribution():
    """Of what cannot be below zero, both ends are lifted, and the probability is that of the Gaussian."""
    told = Distribution(np.array([1.0, 1.0]), np.array([1.0, 2.0]), floor=0.0)
    claims = claims_of(made(told.mean, told.std, told), np.array([np.nan, np.nan]), Goal.parse("<=0.5"))
    assert claims.hit == pytest.approx(norm.cdf(-0.5 / told.scale))
    assert claims.low.tolist() == [0.0, 0.0]
    assert claims.high == pytest.approx(1.0 + told.scale * norm.ppf(0.975))


def test_a_share_is_taken_of_labels_and_predictions():
    labels, prediction = np.array([0.0, np.nan, np.nan, np.nan]), made([9.0, 1.0, 2.0, 3.0], [1.0, 1e-9, 1e-9, 1e-9])
    found = claims_of(prediction, labels, Goal.parse("min").with_share(0.5))
    assert found.hit[1:].round(6).tolist() == [1.0, 0.0, 0.0]  # the label and the lowest prediction are the two


def test_without_a_sigma_nothing_is_claimed():
    found = claims_of(made([1.0, 2.0], [0.0, 0.0]), np.array([1.0, np.nan]), Goal.parse("min 50%"))
    assert not found.is_made.any()


def test_the_upper_edge_of_a_fifth_belongs_to_it():
    hit = np.array([0.0, 0.2, 0.2000001, 0.4, 0.6, 0.8, 0.80001, 1.0])
    found = fifths(hit, np.array([1, 0, 1, 1, 0, 1, 0, 1], dtype=bool))
    assert found[:, 0].tolist() == [2, 2, 1, 1, 2]
    assert found[:, 1] == pytest.approx([0.2, 0.6000001, 0.6, 0.8, 1.80001])
    assert found[:, 2].tolist() == [1, 2, 0, 1, 1]


def record(low, high, hit, label, is_target, pool=(), covered=(0, 0)):
    made_of = ClaimLog(list(low), list(low), list(high), list(hit), list(label), list(is_target))
    made_of.pool_covered[:] = covered
    for part, row in enumerate(pool):
        made_of.pool[part] = row
    return made_of


def test_coverage_and_reliability_by_hand():
    first = record([0, 0, None, 0], [1, 1, None, 1], [0.9, 0.1, None, 0.85], [0.5, 2.0, 9.0, 1.0], [True, False, True, False],
                   pool=[(4, 0.4, 1)], covered=(4, 3))  # fmt: skip
    second = record([0, 0, 0, 0], [1, 1, 1, 1], [0.1, 0.3, 0.5, 0.95], [-1.0, 0.0, 0.5, 0.5], [False, True, True, True],
                    pool=[(6, 0.2, 0), (1, 0.3, 1)], covered=(7, 7))  # fmt: skip
    found = honesty([first, second], 4)
    assert found is not None
    coverage, hits = found["coverage95"], found["p_hit"]
    assert (coverage["n"], coverage["share"]) == (7, pytest.approx(5 / 7))
    assert coverage["quarters"] == [
        {"n": 2, "share": 0.5}, {"n": 2, "share": 0.5}, {"n": 1, "share": 1.0}, {"n": 2, "share": 1.0},
    ]  # fmt: skip
    assert coverage["pool"] == {"n": 11, "share": pytest.approx(10 / 11)}
    assert hits["claimed"] == pytest.approx(3.7 / 2)
    assert hits["real"] == pytest.approx(4 / 2)
    sure = hits["proposals"][-1]
    assert (sure["from"], sure["to"], sure["n"]) == (0.8, 1.0, 3)
    assert (sure["claimed"], sure["real"]) == (pytest.approx(2.7 / 3), pytest.approx(2 / 3))
    assert [row["n"] for row in hits["proposals"]] == [2, 1, 1, 0, 3]
    assert hits["proposals"][3]["real"] is None
    assert [(row["n"], row["real"]) for row in hits["pool"][:2]] == [(10, pytest.approx(0.1)), (1, 1.0)]
    assert hits["pool"][0]["claimed"] == pytest.approx(0.06)


def test_a_campaign_without_claims_has_no_honesty():
    assert honesty([ClaimLog()], 5) is None
    assert honesty([record([None], [None], [None], [1.0], [True])], 1) is None


@pytest.mark.parametrize("batch", [1, 3])
def test_a_campaign_notes_what_was_claimed_when_a_material_was_picked(batch):
    """`Blurred` does not learn, so that its claims can be made again."""
    data, rules = table(30), Rules(goal="<=-3", n_start=10, evaluations=6, batch=batch)
    trace = simulate(data, BLURRED, rules, seed=1)
    prediction = Blurred(0).predict(data, np.arange(30))
    low, high = prediction.interval95
    hit = norm.cdf((-3.0 - prediction.mean) / prediction.std)
    place = [data.ids.index(id) for id in trace.picks]
    noted = trace.record
    assert noted.mean == pytest.approx(prediction.mean[place])
    assert (noted.low, noted.high) == (pytest.approx(low[place]), pytest.approx(high[place]))
    assert noted.hit == pytest.approx(hit[place])
    assert noted.label == data.labels[place].tolist()
    assert noted.is_target == targets(data.labels, rules)[place].tolist()
    known, tally, covered = np.ones(30, dtype=bool), np.zeros((5, 3)), np.zeros(2)
    start = {data.ids.index(id) for id in simulate(data, BLURRED, Rules(n_start=10, evaluations=20), 1).picks}
    known[list(start)] = False
    for number in range(0, 6, batch):
        for i in np.flatnonzero(~known):
            part = min(4, int(hit[i] * 5))
            tally[part] += [1, hit[i], data.labels[i] <= -3]
            covered += [1, low[i] <= data.labels[i] <= high[i]]
        known[place[number : number + batch]] = True
    assert noted.pool == pytest.approx(tally)
    assert noted.pool_covered.tolist() == covered.tolist()


def test_the_document_and_the_text_tell_what_was_claimed():
    rules = Rules(n_start=8, evaluations=5, target_share=0.25)
    strategies = [BLURRED, Strategy("perfect", "mean", Perfect)]
    document = replay(table(), strategies, rules, seeds=2) | {"target": {"name": "y", "unit": "eV"}}
    assert json.loads(json.dumps(document)) == document
    told, silent = document["strategies"]["blurred"], document["strategies"]["perfect"]
    traces = [simulate(table(), BLURRED, rules, seed) for seed in (0, 1)]
    assert told["claims"] == [
        {name: getattr(trace.record, name) for name in ("mean", "low", "high", "hit", "label", "is_target")} for trace in traces
    ]  # fmt: skip
    assert told["honesty"] == honesty([trace.record for trace in traces], 5)
    assert (silent["claims"], silent["honesty"]) == (None, None)
    lines = replay_text(document).splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("What was claimed"))
    share = told["honesty"]["coverage95"]["share"]
    assert lines[head + 2].split()[:2] == ["blurred", f"{share:.0%}"]
    assert not any(line.startswith("perfect") for line in lines[head:])
    document["strategies"].pop("blurred")
    assert "claimed" not in replay_text(document)


def test_an_estimate_learns_nothing_and_picks_its_best_value():
    data, rules = table(30), Rules(goal="max", n_start=5, evaluations=25)
    trace = simulate(data, by_estimate(data, "b", Goal.parse("max")), rules, seed=2)
    b = data.rows().features["b"]
    values = [b[data.ids.index(id)] for id in trace.picks]
    assert values == sorted(values, reverse=True)
    assert trace.record.hit == [None] * 25


def test_an_estimate_needs_no_labels_that_differ():
    data = table(30, target=np.where(np.arange(30) < 3, 1.0, 0.0))
    strategy = by_estimate(data, "a (eV)", Goal.parse(">=1"))
    trace = simulate(data, strategy, Rules(goal=">=1", n_start=5, start="worst", evaluations=25), seed=0)
    assert trace.best[0] == 0.0  # all labels of the start are equal
    a = data.rows().features["a"]
    values = [a[data.ids.index(id)] for id in trace.picks]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(
    ("goal", "name"),
    [("min", "lowest"), ("<=3", "lowest"), ("max 10%", "highest"), ("1..3", "nearest")],
)
def test_an_estimate_is_named_by_what_is_looked_for(goal, name):
    assert by_estimate(table(), "a", Goal.parse(goal)).name == f"{name} estimate first"


@pytest.mark.parametrize(
    ("column", "goal", "message"),
    [
        ("c", "min", "estimate: needs one of the features a, b, found 'c'"),
        ("b", "1..2", "estimate: needs a feature in eV for a window, found b"),
    ],
)
def test_an_estimate_that_cannot_be_used_is_refused(column, goal, message):
    with pytest.raises(SettingsError) as caught:
        by_estimate(table(), column, Goal.parse(goal))
    assert str(caught.value) == message


def test_claims_are_arrays_of_one_length():
    nothing = np.full(2, np.nan)
    assert not Claims(nothing, nothing, nothing, nothing).is_made.any()
