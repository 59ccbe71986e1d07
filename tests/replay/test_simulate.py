"""Simulated campaigns: that nothing leaks, that all start alike, and that the figures of merit mean what they say."""

import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sisso_sal.acquisition.batch import select
from sisso_sal.acquisition.proposal import propose
from sisso_sal.data.table import Table
from sisso_sal.errors import SettingsError
from sisso_sal.oxides.elements import atomic_fractions
from sisso_sal.protocols import Prediction
from sisso_sal.replay.merit import figures_of_merit
from sisso_sal.replay.simulate import Rules, Strategy, replay, simulate, start_pool, targets
from sisso_sal.report.text.study import replay_text
from sisso_sal.spaces.table import TableSpace
from sisso_sal.system.executors import open_workers

RANDOM = Strategy("random", "random")


def table(n=40, seed=0, ids=None, target=None, formulas=None):
    """The target is feature a less 10; ids are numbers unless given. Formulas fill a column of their own."""
    rng = np.random.default_rng(seed)
    features = np.column_stack([rng.permutation(n), rng.normal(size=n)]).astype(float)
    ids = tuple(ids or (f"m{i:03d}" for i in range(n)))
    text = {"id": ids} | ({"formula": tuple(formulas)} if formulas else {})
    made = Table(
        path="made.csv", ids=ids, id_name="id", feature_names=("a", "b"), feature_units=("eV", ""), features=features,
        target_name="y", target_unit="eV", target=features[:, 0] - 10.0 if target is None else target,
        text=text, headers={"id": "id", "a": "a (eV)", "b": "b", "y": "y (eV)"},
    )  # fmt: skip
    return TableSpace(made)


class Perfect:
    """Knows the law."""

    def __init__(self, seed):
        self.seed = seed

    def fit(self, space, numbers, labels, errors, progress=None):
        return self

    def predict(self, space, numbers):
        return self._prediction(space.rows(numbers).features["a"] - 10.0)

    @staticmethod
    def _prediction(mean):
        still = np.zeros(len(mean))
        return Prediction(mean, still, still, mean[None, :], np.isfinite(mean)[None, :])


class Line(Perfect):
    """Least squares on what it was shown; its seed blurs it a little."""

    def fit(self, space, numbers, labels, errors, progress=None):
        self.weights = np.linalg.lstsq(self._terms(space, numbers), labels, rcond=None)[0]
        return self

    def predict(self, space, numbers):
        noise = np.random.default_rng(self.seed).normal(0, 1e-3, len(numbers))
        return self._prediction(self._terms(space, numbers) @ self.weights + noise)

    @staticmethod
    def _terms(space, numbers):
        b = space.rows(numbers).features["b"]
        return np.column_stack([np.ones(len(b)), b**2, b])


class Silent(Perfect):
    def predict(self, space, numbers):
        return self._prediction(np.full(len(numbers), np.nan))


class Blurred(Perfect):
    """Knows the law, but not exactly, and the less the larger b is."""

    def predict(self, space, numbers):
        columns = space.rows(numbers).features
        mean, std = columns["a"] - 10.0, 3.0 + 4.0 * np.abs(columns["b"])
        members = mean + std * np.array([[-1.0], [1.0]])
        return Prediction(mean, std, std, members, np.ones(members.shape, dtype=bool))


class Spy(Line):
    """Keeps what every surrogate of a campaign was shown."""

    def __init__(self, seen, seed):
        super().__init__(seed)
        self.seen = seen

    def fit(self, space, numbers, labels, errors, progress=None):
        self.shown = (numbers.copy(), labels.copy(), self.seed)
        return super().fit(space, numbers, labels, errors)

    def predict(self, space, numbers):
        self.seen.append((*self.shown, numbers))
        return super().predict(space, numbers)


class Continuing(Line):
    """Keeps which fit it began from, and which number it has itself."""

    def __init__(self, seen, seed):
        super().__init__(seed)
        self.seen, self.before = seen, 0

    def begin_from(self, handover):
        self.before = handover["fits"]

    def handover(self):
        return {"fits": self.before + 1}

    def predict(self, space, numbers):
        self.seen.append(self.before)
        return super().predict(space, numbers)


PERFECT = Strategy("perfect", "mean", Perfect)
LINE = Strategy("line", "mean", Line)


def start_of(trace, table):
    """Ids of the starting labels of a campaign that went on to the end."""
    return set(table.ids) - set(trace.picks)


def start_of_all(table, rules, seed):
    """Ids of the starting labels of a campaign of any length: one that goes on to the end tells them."""
    return start_of(simulate(table, RANDOM, replace(rules, evaluations=len(table.ids)), seed), table)


def test_an_oracle_finds_a_target_with_every_evaluation():
    rules = Rules(target_share=0.2, n_start=10, start="worst", evaluations=12)
    trace = simulate(table(), PERFECT, rules, seed=0)
    assert trace.n_found == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8]
    assert trace.best[1:] == [-10.0] * 12
    assert trace.best[0] >= 10.0


@pytest.mark.parametrize(("goal", "best"), [("max", 29.0), ("4..6", 5.0), (">=25", 29.0), ("max 10%", 29.0)])
def test_an_oracle_goes_for_the_goal(goal, best):
    rules = Rules(goal=goal, target_share=0.1, n_start=10, start="worst", evaluations=4)
    trace = simulate(table(), PERFECT, rules, seed=1)
    assert trace.best[1] == best
    assert trace.n_found == ([0, 1, 2, 3, 3] if goal == "4..6" else [0, 1, 2, 3, 4])


def test_random_picks_find_as_many_as_the_hypergeometric_mean():
    rules = Rules(target_share=0.2, n_start=5, evaluations=10)
    data = table(30)
    found = np.array([simulate(data, RANDOM, rules, seed).n_found for seed in range(300)])
    law = [stats.hypergeom(30, 6, 5 + t) for t in range(11)]
    error = np.array([one.std() for one in law]) / np.sqrt(300)
    assert (np.abs(found.mean(axis=0) - [one.mean() for one in law]) < 4 * error).all()
    assert found[:, -1].std() == pytest.approx(law[-1].std(), rel=0.2)


@pytest.mark.parametrize("start", ["random", "worst"])
def test_all_strategies_start_from_the_same_labels(start):
    data, rules = table(20), Rules(n_start=6, evaluations=14, start=start)
    strategies = (RANDOM, Strategy("distance", "distance"), PERFECT, LINE, Strategy("line std", "thompson", Line))
    starts = []
    for seed in range(4):
        traces = [simulate(data, strategy, rules, seed) for strategy in strategies]
        assert len({frozenset(start_of(trace, data)) for trace in traces}) == 1
        assert len({(trace.n_found[0], trace.best[0]) for trace in traces}) == 1
        starts.append(frozenset(start_of(traces[0], data)))
    assert len(set(starts)) > 1


@pytest.mark.parametrize("strategy", [RANDOM, PERFECT, LINE, Strategy("silent", "ei", Silent)], ids=lambda s: s.name)
@pytest.mark.parametrize("batch", [1, 4])
def test_no_material_is_picked_twice_and_the_trace_is_that_of_the_picks(strategy, batch):
    data = table(25)
    rules = Rules(target_share=0.2, n_start=7, evaluations=18, batch=batch)
    trace = simulate(data, strategy, rules, seed=3)
    assert len(trace.picks) == len(set(trace.picks)) == 18
    row = {id: i for i, id in enumerate(data.ids)}
    wanted = targets(data.labels, rules)
    known = [row[id] for id in start_of(trace, data)]
    assert len(known) == 7
    for found, best, pick in zip(trace.n_found, trace.best, [*trace.picks, None], strict=True):
        assert found == wanted[known].sum()
        assert best == data.labels[known].min()
        known += [row[pick]] if pick else []
    assert trace.n_found[-1] == wanted.sum() == 5


def test_a_campaign_stops_where_asked():
    trace = simulate(table(), LINE, Rules(n_start=10, evaluations=7, batch=3), seed=0)
    assert (len(trace.picks), len(trace.n_found), len(trace.best)) == (7, 8, 8)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_surrogate_is_shown_the_labels_of_the_start_and_the_picks_and_no_others(batch):
    data, seen = table(30), []
    rules = Rules(n_start=10, evaluations=8, batch=batch)
    trace = simulate(data, Strategy("spy", "mean", partial(Spy, seen)), rules, seed=1)
    row = {id: i for i, id in enumerate(data.ids)}
    start = set(seen[0][0].tolist())
    assert len(start) == 10
    for number, (known, labels, _, predicted) in enumerate(seen):
        expected = sorted(start | {row[id] for id in trace.picks[: number * batch]})
        assert known.tolist() == expected
        assert np.array_equal(labels, data.labels[expected])
        assert predicted.tolist() == list(range(30))
    assert len(seen) == -(-8 // batch)
    assert len({seed for *_, seed, _ in seen}) == len(seen)


@pytest.mark.parametrize("goal", ["min", "min 20%", "<=-5"])
@pytest.mark.parametrize("acquisition", ["mean", "hits", "ei"])
def test_labels_of_materials_that_are_never_picked_change_no_pick(goal, acquisition):
    data, rules = table(40), Rules(goal=goal, n_start=10, evaluations=10)
    strategy = Strategy("line", acquisition, Line)
    trace = simulate(data, strategy, rules, seed=2)
    seen = []
    simulate(data, Strategy("spy", acquisition, partial(Spy, seen)), rules, seed=2)
    last = {data.ids[i] for i in seen[-1][0]} | set(trace.picks)
    hidden = np.array([id not in last for id in data.ids])
    assert hidden.sum() == 20
    moved = data.labels.copy()
    moved[hidden] = -data.labels[hidden] - 100.0
    assert simulate(table(40, target=moved), strategy, rules, seed=2).picks == trace.picks


def test_each_fit_begins_where_the_one_before_ended_and_each_campaign_anew():
    seen = []
    strategy = Strategy("continuing", "mean", partial(Continuing, seen))
    for seed in (0, 1):
        simulate(table(), strategy, Rules(n_start=5, evaluations=4), seed)
    assert seen == [0, 1, 2, 3, 0, 1, 2, 3]


def test_a_batch_is_the_best_of_one_prediction():
    data, seen = table(30), []
    rules = Rules(n_start=10, evaluations=6, batch=3)
    trace = simulate(data, Strategy("spy", "mean", partial(Spy, seen)), rules, seed=1)
    for number, (known, labels, seed, everything) in enumerate(seen):
        mean = Line(seed).fit(data, known, labels, np.zeros(len(known))).predict(data, everything).mean
        open_ = [i for i in np.argsort(mean) if i not in known]
        assert trace.picks[3 * number : 3 * number + 3] == [data.ids[i] for i in open_[:3]]


def test_the_last_batch_is_as_large_as_what_is_left(monkeypatch):
    seen = []

    def spy(scene):
        seen.append(scene.batch)
        return propose(scene)

    monkeypatch.setattr("sisso_sal.replay.simulate.propose", spy)
    rules = Rules(n_start=10, evaluations=9, batch=2)
    trace = simulate(table(30), Strategy("line", "hits", Line), rules, seed=1)
    assert seen == [2, 2, 2, 2, 1]
    assert len(set(trace.picks)) == 9


def test_a_campaign_goes_on_to_the_last_candidate():
    trace = simulate(table(20), Strategy("line", "hits", Line), Rules(n_start=10, evaluations=10, batch=3), seed=1)
    assert len(set(trace.picks)) == 10


@pytest.mark.parametrize("goal", ["min", "max"])
def test_strategies_look_for_the_share_that_counts(goal):
    strategy, few = Strategy("blurred", "hits", Blurred), {"n_start": 8, "evaluations": 12}
    picks = {
        share: simulate(table(), strategy, Rules(goal=goal, target_share=share, **few), seed=2).picks
        for share in (0.1, 0.4)
    }
    for share, found in picks.items():
        named = Rules(goal=f"{goal} {100 * share:g}%", target_share=0.7, **few)
        assert simulate(table(), strategy, named, seed=2).picks == found
    assert picks[0.1] != picks[0.4]


def test_diversity_spreads_a_batch_over_compositions():
    formulas = [f"Mg{1 + i % 3}O" if i % 2 else f"Ti{1 + i % 3}C" for i in range(40)]
    data = table(formulas=formulas)
    rules = Rules(n_start=10, evaluations=10, batch=2, diversity=0.9)
    picks = simulate(data, PERFECT, rules, seed=0).picks
    # A naive twin: of each pair the first is the best, the second what `select` says of features and compositions together.
    shares, known = atomic_fractions(formulas), {data.ids.index(id) for id in start_of_all(data, rules, 0)}
    for number in range(0, 10, 2):
        excluded = np.isin(np.arange(40), list(known))
        pair = select(
            -data.labels, data.ids, 2, excluded=excluded, features=data.rows().matrix, composition=shares, diversity=0.9
        )
        assert picks[number : number + 2] == [data.ids[i] for i in pair]
        known |= set(pair.tolist())
    assert picks != simulate(table(), PERFECT, rules, seed=0).picks


def test_a_surrogate_is_given_the_compositions_of_its_rows():
    formulas, seen = [f"Mg{i + 1}O" for i in range(30)], []

    class Knowing(Line):
        def fit(self, space, numbers, labels, errors, progress=None):
            self.fitted = (numbers.tolist(), space.rows(numbers).composition)
            return super().fit(space, numbers, labels, errors)

        def predict(self, space, numbers):
            seen.append((*self.fitted, space.rows(numbers).composition))
            return super().predict(space, numbers)

    simulate(
        table(30, formulas=formulas), Strategy("knowing", "mean", Knowing), Rules(n_start=10, evaluations=3), seed=1
    )
    shares = atomic_fractions(formulas)
    assert len(seen) == 3
    for rows, of_known, of_all in seen:
        assert np.array_equal(of_known, shares[rows])
        assert np.array_equal(of_all, shares)


def test_while_all_known_labels_are_equal_picks_are_random():
    """As a band gap is 0 for all metals: half of the labels, the worse ones, are equal."""
    target = np.maximum(table().labels - 9.0, 0.0)
    data, seen = table(target=target), []
    rules = Rules(goal="max", n_start=10, start="worst", evaluations=20)
    picks = []
    for seed in range(10):
        seen.clear()
        trace = simulate(data, Strategy("spy", "mean", partial(Spy, seen)), rules, seed)
        assert np.ptp(target[[data.ids.index(id) for id in start_of_all(data, rules, seed)]]) == 0
        first = next(number for number, best in enumerate(trace.best) if best > 0)
        assert len(seen) == 20 - first  # from the first label that differs it predicts
        assert trace.picks[:first] == simulate(data, RANDOM, rules, seed).picks[:first]
        picks.append(tuple(trace.picks[:first]))
    assert max(map(len, picks)) > 1
    assert len(set(picks)) == 10
    distance = Strategy("distance", "distance")  # needs no labels
    assert simulate(data, distance, rules, 0).picks[:5] != simulate(data, RANDOM, rules, 0).picks[:5]


def test_a_surrogate_that_says_nothing_is_followed_by_random_picks():
    data, rules = table(), Rules(n_start=10, evaluations=6)
    silent = Strategy("silent", "mean", Silent)
    picks = [simulate(data, silent, rules, seed).picks for seed in range(20)]
    assert len({tuple(row) for row in picks}) == 20
    assert simulate(data, silent, rules, 3).picks == picks[3]


@pytest.mark.parametrize("goal", ["min", "max", "4..6", "<=0", "max 20%"])
@pytest.mark.parametrize("n", [20, 21])
def test_the_worst_start_draws_from_the_worse_half(goal, n):
    data = table(n)
    worse = start_pool(data, data.labels, Rules(goal=goal, start="worst", n_start=5))
    assert worse.sum() == -(-n // 2)
    far = {"max": -data.labels, "4..6": np.abs(data.labels - 5.0)}.get(goal.split()[0], data.labels)
    assert far[worse].min() >= far[~worse].max()


def test_a_start_without_an_element_has_no_material_of_it():
    ids = ["TiO2", "Tl2O3", "SrTiO3", "TO", "MgO", "BaTi2O5", "CoO"]
    data = table(7, ids=ids)
    allowed = start_pool(data, data.labels, Rules(start="without:Ti", n_start=2))
    assert [id for id, ok in zip(ids, allowed, strict=True) if ok] == ["Tl2O3", "TO", "MgO", "CoO"]
    without_c = start_pool(table(3, ids=["CO2", "CoO", "Mg2C"]), np.arange(3.0), Rules(start="without:C", n_start=1))
    assert without_c.tolist() == [False, True, False]
    trace = simulate(data, PERFECT, Rules(start="without:Ti", n_start=3, evaluations=4), seed=0)
    assert start_of(trace, data) <= {"Tl2O3", "TO", "MgO", "CoO"}


def test_a_start_without_an_element_reads_the_column_of_formulas_where_ids_are_none():
    data = table(4, ids=["mp-1", "mp-2", "Ti-3", "mp-4"], formulas=["TiO2", "MgO", "CaO", "SrTiO3"])
    allowed = start_pool(data, data.labels, Rules(start="without:Ti", n_start=2))
    assert allowed.tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("goal", "share", "expected"),
    [
        ("min", 0.2, [1, 0, 0, 0, 0]),
        ("max", 0.4, [0, 0, 0, 1, 1]),
        ("min 60%", 0.1, [1, 1, 1, 0, 0]),
        ("<=2", 0.1, [1, 1, 0, 0, 0]),
        ("2..4", 0.1, [0, 1, 1, 1, 0]),
    ],
)
def test_targets(goal, share, expected):
    found = targets(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), Rules(goal=goal, target_share=share))
    assert found.astype(int).tolist() == expected


def test_the_document_says_what_every_campaign_found():
    rules, calls = Rules(n_start=8, evaluations=5, target_share=0.25), []
    found = replay(table(), [PERFECT, RANDOM], rules, seeds=3, progress=lambda *call: calls.append(call))
    assert json.loads(json.dumps(found)) == found
    assert (found["n_targets"], found["n_materials"], found["seeds"]) == (10, 40, 3)
    assert found["rules"] == vars(rules)
    assert list(found["strategies"]) == ["perfect", "random"]
    for strategy in (PERFECT, RANDOM):
        told = found["strategies"][strategy.name]
        traces = [simulate(table(), strategy, rules, seed) for seed in range(3)]
        assert told["found"] == [trace.n_found for trace in traces]
        for name in ("best", "picks"):
            assert told[name] == [getattr(trace, name) for trace in traces]
        assert (told["claims"], told["honesty"]) == (None, None)  # no sigma
        assert told["mean"] == np.mean([trace.n_found[-1] for trace in traces])
    assert calls == [(number, 6) for number in range(1, 7)]


def test_a_seed_gives_fresh_starts_which_follow_one_another():
    rules, strategies = Rules(n_start=8, evaluations=5), [LINE, RANDOM]
    first, later = (replay(table(), strategies, rules, seeds=4, seed=seed) for seed in (0, 2))
    assert (first["seed"], later["seed"]) == (0, 2)
    for strategy in strategies:
        a, b = first["strategies"][strategy.name]["picks"], later["strategies"][strategy.name]["picks"]
        assert a[2:] == b[:2]
        assert b[2:] != a[:2]
        assert b == [simulate(table(), strategy, rules, seed).picks for seed in (2, 3, 4, 5)]
    assert replay(table(), strategies, rules, seeds=4) == first


def test_a_seed_reaches_the_start_the_surrogate_and_the_random_picks():
    data, shown = table(30), []
    rules = Rules(n_start=10, evaluations=2)
    for seed in (0, 7):
        replay(data, [Strategy("spy", "mean", partial(Spy, shown))], rules, seeds=1, seed=seed)
    (start, _, fit, _), (other, _, another, _) = shown[0], shown[2]
    assert set(start.tolist()) != set(other.tolist())
    assert fit != another


def test_the_number_of_processes_changes_nothing():
    rules, calls = Rules(n_start=8, evaluations=4), []
    alone = replay(table(), [LINE, RANDOM], rules, seeds=2)
    with open_workers(n=2) as workers:
        shared = replay(
            table(), [LINE, RANDOM], rules, seeds=2, workers=workers, progress=lambda *call: calls.append(call)
        )
    assert json.dumps(shared) == json.dumps(alone)
    assert calls[-1] == (4, 4)


def test_figures_of_merit_by_hand():
    # 8 targets among 50 materials, 10 of them known at the start.
    found = figures_of_merit([[2, 3, 3, 4], [0, 1, 2, 3], [4, 4, 4, 4]], 8, 50, 10)
    assert found["mean"] == pytest.approx(11 / 3)
    half = stats.t.ppf(0.975, 2) * np.std([4, 3, 4], ddof=1) / np.sqrt(3)
    assert found["interval"] == pytest.approx([11 / 3 - half, 11 / 3 + half])
    # New targets per evaluation over the share of targets among the 40 others: 6, 8 and 4 of them.
    ratios = [(2 / 3) / (6 / 40), (3 / 3) / (8 / 40), 0.0]
    assert found["enrichment"]["mean"] == pytest.approx(np.mean(ratios))
    half = stats.t.ppf(0.975, 2) * np.std(ratios, ddof=1) / np.sqrt(3)
    assert half > np.mean(ratios)  # of what there cannot be less than none
    assert found["enrichment"]["interval"] == pytest.approx([0.0, np.mean(ratios) + half])
    # Half of all are 4: the first needs 2 more of 6 and three evaluations, the second is cut at three, the third is there.
    chance = [cut_mean(2, 6, 40, 3), cut_mean(4, 8, 40, 3)]
    assert found["acceleration"]["mean"] == pytest.approx(np.mean(chance) / 3)
    assert (found["acceleration"]["reached"], found["acceleration"]["of"]) == (1, 2)
    assert found["acceleration"]["interval"] is None  # of two
    found = figures_of_merit([[2, 3, 3, 4], [0, 1, 2, 3], [3, 3, 4, 4]], 8, 50, 10)["acceleration"]
    chance, own = np.array([*chance, cut_mean(1, 5, 40, 3)]), np.array([3, 3, 2])
    rest = (chance - found["mean"] * own) / own.mean()
    half = stats.t.ppf(0.975, 2) * np.std(rest, ddof=1) / np.sqrt(3)
    assert found["interval"] == pytest.approx([max(found["mean"] - half, 0), min(found["mean"] + half, 3)])


@given(st.data())
def test_intervals_hold_the_mean_and_only_what_is_possible(data):
    n_targets, n_start, evaluations = data.draw(st.tuples(st.integers(1, 12), st.integers(2, 9), st.integers(1, 12)))
    n_materials = n_targets + n_start + evaluations + data.draw(st.integers(0, 20))
    counts = []
    for _ in range(data.draw(st.integers(2, 6))):
        row = [data.draw(st.integers(0, min(n_targets, n_start)))]
        for is_hit in data.draw(st.lists(st.booleans(), min_size=evaluations, max_size=evaluations)):
            row.append(min(n_targets, row[-1] + is_hit))
        counts.append(row)
    found = figures_of_merit(counts, n_targets, n_materials, n_start)
    of_pool = (n_materials - n_start) / evaluations
    bounds = [
        (found, min(n_targets, n_start + evaluations)),
        (found["enrichment"], of_pool),
        (found["acceleration"], evaluations),
    ]
    for part, most in bounds:
        if part is not None and part["interval"] is not None:
            low, high = part["interval"]
            assert 0 <= low <= part["mean"] + 1e-9
            assert part["mean"] - 1e-9 <= high <= most
    assert (found["interval"] is None) == (len(counts) == 2)


def cut_mean(missing, left, pool, most):
    """Mean of min(T, most) from the probability of each T: the missing-th success falls on draw t."""
    total = 0.0
    for t in range(1, pool + 1):
        before = stats.hypergeom.pmf(missing - 1, pool, left, t - 1)
        total += min(t, most) * before * (left - missing + 1) / (pool - t + 1)
    return total


def test_the_half_of_an_odd_number_of_targets_is_rounded_up():
    assert figures_of_merit([[0, 1, 1]], 3, 20, 2)["acceleration"]["reached"] == 0
    assert figures_of_merit([[0, 1, 2]], 3, 20, 2)["acceleration"]["reached"] == 1
    assert figures_of_merit([[0, 1, 2]], 3, 20, 2)["acceleration"]["mean"] == pytest.approx(cut_mean(2, 3, 18, 2) / 2)


def test_a_strategy_that_never_comes_to_half_has_no_acceleration():
    found = figures_of_merit([[0] * 21] * 5, 10, 100, 10)
    assert found["acceleration"] == {"mean": None, "interval": None, "reached": 0, "of": 5}


def test_where_some_campaigns_come_to_half_the_acceleration_is_an_upper_bound():
    """The second campaign needs more evaluations than the four that there were."""
    short = figures_of_merit([[0, 2, 2, 2, 2], [0, 0, 0, 0, 0]], 4, 30, 2)["acceleration"]
    assert (short["reached"], short["of"]) == (1, 2)
    assert short["mean"] == pytest.approx(cut_mean(2, 4, 28, 4) / np.mean([1, 4]))


def test_the_table_shows_a_bound_as_one_and_what_is_not_known_as_a_dash():
    runs = {
        "all": [[0, 1, 2, 2], [0, 2, 2, 2], [0, 0, 2, 2]],
        "some": [[0, 1, 2, 2], [0, 0, 0, 1]], "none": [[0, 0, 1, 1], [0, 0, 0, 1]],
        "known": [[2, 2, 2, 2], [3, 3, 3, 3]],
    }  # fmt: skip
    rules = Rules(n_start=2, evaluations=3)
    told = {name: figures_of_merit(found, 4, 30, 2) | {"best": [[0.0]]} for name, found in runs.items()}
    document = {"n_targets": 4, "n_materials": 30, "seeds": 2, "rules": vars(rules), "target": {"unit": "eV"}}
    lines_of_text = replay_text(document | {"strategies": told}).splitlines()
    lines = {line.split()[0]: line for line in lines_of_text[3:7]}
    mean = {name: told[name]["acceleration"]["mean"] for name in ("all", "some")}
    low, high = told["all"]["acceleration"]["interval"]
    assert lines["all"].endswith(f"  {mean['all']:.1f}  {low:.1f} to {high:.1f}  3 of 3")
    assert "95 %: 2 starts are too few for an interval; --seeds 3 or more gives one" in lines_of_text
    assert re.search(rf" <={mean['some']:.1f}  +1 of 2$", lines["some"])
    assert re.search(r" -  +0 of 2$", lines["none"])
    assert lines["known"].rstrip().endswith(" -")


def test_where_all_targets_are_known_at_the_start_there_is_no_enrichment():
    found = figures_of_merit([[2, 2], [2, 2], [2, 2]], 2, 20, 5)
    assert found["enrichment"] == {"mean": None, "interval": None}
    assert found["acceleration"] is None
    assert found["interval"] == [2.0, 2.0]


@pytest.mark.parametrize("evaluations", [4, 10, 30])
def test_random_picks_have_an_enrichment_and_an_acceleration_of_one(evaluations):
    rng = np.random.default_rng(0)
    runs = []
    for _ in range(4000):
        hits = rng.permutation(np.arange(30) < 7)
        runs.append([1, *(1 + np.cumsum(hits)).tolist()])
    found = figures_of_merit([run[: evaluations + 1] for run in runs], 8, 34, 4)
    assert found["enrichment"]["mean"] == pytest.approx(1.0, abs=0.04)
    assert found["acceleration"]["mean"] == pytest.approx(1.0, abs=0.02)
    low, high = found["acceleration"]["interval"]
    assert low < 1.0 < high or evaluations == 4


@pytest.mark.parametrize(
    ("data", "rules", "strategies", "message"),
    [
        (
            table(5, target=np.array([1.0, np.nan, 2.0, np.nan, 3.0])), Rules(n_start=2, evaluations=2), [RANDOM],
            "made.csv: needs every label to simulate, found 2 gaps",
        ),
        (
            table(30), Rules(n_start=25, evaluations=6), [RANDOM],
            "evaluations: needs at most 5 after the start, found 6",
        ),
        (
            table(30), Rules(goal="<=-50", n_start=5, evaluations=6), [RANDOM],
            "replay: needs some targets but not all, found 0 of 30",
        ),
        (
            table(30), Rules(goal="<=50", n_start=5, evaluations=6), [RANDOM],
            "replay: needs some targets but not all, found 30 of 30",
        ),
        (
            table(30), Rules(start="best", n_start=5, evaluations=6), [RANDOM],
            "start: needs random, worst or without:ELEMENT, found 'best'",
        ),
        (
            table(3, ids=["TiO2", "MgO", "CaO"]), Rules(start="without:Xe", target_share=0.4, n_start=1, evaluations=1), [RANDOM],
            "start: needs an element that occurs in the formulas, found no 'Xe'",
        ),
        (
            table(30), Rules(start="without:Ti", n_start=5, evaluations=6), [RANDOM],
            "start: needs formulas as ids or in a column 'formula' or 'composition' for without:Ti, found none",
        ),
        (
            table(30), Rules(start="worst", n_start=16, evaluations=6), [RANDOM],
            "start: needs 16 materials to draw from, found 15",
        ),
        (
            table(30), Rules(n_start=5, evaluations=6), [RANDOM, LINE, Strategy("random", "distance")],
            "strategies: needs names that differ, found 'random' twice",
        ),
        (
            table(30), Rules(n_start=5, evaluations=6, improve_on="labels"), [RANDOM],
            "improve_on: needs one of mean, label, found 'labels'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_simulated_is_refused(data, rules, strategies, message):
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        replay(data, strategies, rules, seeds=2)


def test_a_table_without_target_is_refused():
    data = table(5)
    bare = TableSpace(replace(data.table, target=None, target_name=None))
    with pytest.raises(SettingsError, match=r"^made\.csv: needs every label to simulate, found no target$"):
        replay(bare, [RANDOM], Rules(n_start=2, evaluations=2))
