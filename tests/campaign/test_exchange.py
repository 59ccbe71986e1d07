"""A campaign with an oracle: nothing is submitted twice, nothing that came back is lost, and it ends for a reason that it tells."""

import itertools
import json

import numpy as np
import pytest
from lines import (
    KNOWN,
    MATERIALS,
    N_KNOWN,
    TRUE,
    TRUTH,
    Lines,
    N,
    contents,
    events,
    settings_of,
    space_of,
    state,
    step,
)
from oracles import REFUSED, TIMED_OUT, Cluster, Once

from sisso_sal.campaign.inbox import leave
from sisso_sal.campaign.learning import Tools
from sisso_sal.campaign.loop import Talk
from sisso_sal.campaign.preview import preview
from sisso_sal.errors import CampaignError, OracleError, SettingsError
from sisso_sal.ledger.store import Ledger
from sisso_sal.protocols import FAILURES, Answer, Oracle

OPEN = [f"M{i:02d}" for i in np.flatnonzero(~KNOWN)]
ASKED = {"oracle": "command:cluster"}


@pytest.fixture
def run(in_memory):
    return in_memory / "run"


def campaign(run, oracle, told=None, once=False, watch=lambda state: None, surrogate=Lines, **changes):
    talk = Talk((told if told is not None else []).append, watch)
    more = {"oracle": oracle, "once": once, "talk": talk}
    return step(run, surrogate=surrogate, more=more, **{**ASKED, **changes})


def picks(run):
    return [[row["id"] for row in event["proposals"]] for event in events(run, "proposal")]


def kinds(run):
    """Kinds of events after those of the start."""
    return [event["event"] for event in events(run)][2 + N_KNOWN :]


def failing(kind, which=lambda intent, id: True, hours=1.0):
    def answer(intent, id):
        if which(intent, id):
            return Answer(intent, kind=kind, reason=f"{kind} it was", core_hours=hours)
        return Answer(intent, value=TRUE[id])

    return answer


def test_the_oracle_of_these_tests_fits_the_seam(in_memory):
    assert isinstance(Cluster(in_memory), Oracle)


def test_a_campaign_goes_on_until_its_budget_is_spent(run, in_memory):
    told = []
    oracle = Cluster(in_memory / "c", delay=lambda intent: 2)
    summary = campaign(run, oracle, told, budget=5)
    first, second, third = picks(run)
    assert [id for _, id in oracle.started] == [*first, *second[:2]]
    assert summary["iteration"] == 3
    assert (summary["n_labelled"], summary["is_new"]) == (N_KNOWN + 5, True)
    assert [p["id"] for p in summary["proposals"]] == third
    found = summary["campaign"]
    assert (found["evaluations"], found["budget"], found["core_hours"]) == (5, 5, 10.0)
    assert found["stop"]["kind"] == "budget"
    assert found["stop"]["why"] == "the budget of 5 evaluations is spent"
    assert state(run).labels | {} == dict(zip(MATERIALS["formula"][KNOWN], TRUTH[KNOWN], strict=True)) | {
        id: TRUE[id] for id in [*first, *second[:2]]
    }
    assert kinds(run) == [
        *("model", "proposal", *["intent"] * 3, *["receipt"] * 3, *["label"] * 3),
        *("model", "proposal", *["intent"] * 2, *["receipt"] * 2, *["label"] * 2),
        *("model", "proposal", "stop"),
    ]
    assert told[0].startswith(f"iteration 1: {N_KNOWN} labels, best M")
    assert told[1] == f"{min(first)}: {TRUE[min(first)]:.6g}"


def test_every_submission_carries_its_row_and_a_name_of_its_own(run, in_memory):
    oracle = Cluster(in_memory / "c")
    campaign(run, oracle, budget=4)
    run_id = events(run, "created")[0]["run_id"]
    assert len({intent for intent, _ in oracle.started}) == 4
    for intent, id in oracle.started:
        assert intent.startswith(f"{run_id}-{id}-")
        assert intent.replace("-", "").isalnum()
        row = MATERIALS.set_index("formula").loc[id]
        expected = {"formula": id} | {name: row[name] for name in ("a (eV)", "b", "r (AA)")}
        assert json.loads((oracle.folder / intent).read_text()) == [id, expected]


def test_the_same_again_changes_nothing_and_more_budget_goes_on(run, in_memory):
    oracle = Cluster(in_memory / "c")
    first = campaign(run, oracle, budget=3)
    before = contents(run)
    again = campaign(run, oracle, budget=3)
    assert contents(run) == before
    assert again == first | {"is_new": False}
    campaign(run, oracle, budget=5)
    assert kinds(run)[13:16] == ["stop", "settings", "resumed"]
    (changed,) = events(run, "settings")
    assert changed["changes"] == ["run.budget: 3 -> 5"]
    campaign(run.with_name("whole"), Cluster(in_memory / "w"), budget=5)
    assert picks(run) == picks(run.with_name("whole"))


@pytest.mark.parametrize("workers", [1, 2, 16])
@pytest.mark.parametrize("seed", range(3))
def test_picks_depend_neither_on_the_number_of_workers_nor_on_which_calculation_ends_first(
    run, in_memory, workers, seed
):
    rng = np.random.default_rng(seed)
    delays = {}

    def delay(intent):
        return delays.setdefault(intent, int(rng.integers(0, 2 + 12 // workers)))

    campaign(run, Cluster(in_memory / "c", delay), budget=9, calculations=workers)
    plain = run.with_name("plain")
    campaign(plain, Cluster(in_memory / "p"), budget=9)
    assert picks(run) == picks(plain)
    assert state(run).labels == state(plain).labels


def test_an_asynchronous_campaign_proposes_whenever_one_ends(run, in_memory):
    """Of three that are out one takes long; the others are followed by new ones meanwhile."""
    slow = []

    def delay(intent):
        slow.append(intent)
        return 12 if intent == slow[0] else 1

    most = []
    campaign(
        run, Cluster(in_memory / "c", delay), budget=8, asynchronous=True, watch=lambda s: most.append(len(s.pending))
    )
    assert max(most) == 3
    order = [event["intent"] for event in events(run, "label") if "intent" in event]
    assert order[-1] == slow[0] or order.index(slow[0]) > 3
    assert len(picks(run)) > 4
    asked = [id for _, id in Cluster(in_memory / "c").started]
    assert len(asked) == len(set(asked)) == 8
    for event, proposed in zip(events(run, "proposal"), picks(run), strict=True):
        before = {e["id"] for e in events(run, "intent") if e["seq"] < event["seq"]}
        assert not before & set(proposed)


def test_one_step_at_a_time_comes_to_the_same(run, in_memory):
    def steps(once):
        oracle = Cluster(in_memory / "c")
        summary = campaign(run, oracle, once=True, budget=7)
        return summary["campaign"], oracle

    seen = []
    for number in range(100):
        found, _ = steps(number)
        seen.append(len(found["pending"]))
        if found["stop"]:
            break
    assert seen[0] == 3  # submitted and not waited for
    whole = run.with_name("whole")
    campaign(whole, Cluster(in_memory / "w"), budget=7)
    assert picks(run) == picks(whole)
    assert [event["kind"] for event in events(run, "stop")] == ["budget"]


# Submissions ---------------------------------------------------------------------------------------------------------


def test_a_hundred_submissions_that_time_out_though_accepted_are_not_repeated(in_memory):
    """Each campaign of ten evaluations has ten such submissions."""
    total = 0
    plain = in_memory / "plain"
    campaign(plain, Cluster(in_memory / "p"), budget=10)
    for number in range(10):
        folder = in_memory / f"run{number}"
        oracle = Cluster(in_memory / f"c{number}", trouble=Once("accepted", TIMED_OUT))
        campaign(folder, oracle, budget=10)
        started = oracle.started
        total += len(oracle.trouble.seen)
        assert len(started) == len({id for _, id in started}) == 10
        assert len(events(folder, "intent")) == len(events(folder, "receipt")) == 10
        assert picks(folder) == picks(plain)
    assert total == 100


def test_a_submission_that_timed_out_and_never_arrived_is_sent_again_under_the_same_name(run, in_memory):
    told = []
    oracle = Cluster(in_memory / "c", trouble=Once("submit", TIMED_OUT))
    campaign(run, oracle, told, budget=4)
    assert [event["intent"] for event in events(run, "intent")] == [intent for intent, _ in oracle.started]
    assert len(oracle.started) == 4
    (line,) = [line for line in told if line.startswith(f"{oracle.started[0][1]}: it is not known")]
    assert (
        line
        == f"{oracle.started[0][1]}: it is not known whether {oracle.started[0][0]} was accepted; asking again ({TIMED_OUT})"
    )


def test_as_long_as_it_cannot_be_found_out_nothing_is_sent_again(run, in_memory):
    both = Once("accepted", TIMED_OUT), Once("query", OracleError("the scheduler does not answer"), times=5)
    oracle = Cluster(in_memory / "c", trouble=lambda *about: [one(*about) for one in both])
    told = []
    campaign(run, oracle, told, budget=3)
    assert len(oracle.started) == 3
    assert set(both[1].seen.values()) == {6}
    assert len(events(run, "intent")) == 3
    lines = [line for line in told if "the scheduler does not answer" in line]
    assert len(lines) == 3  # said once for each


def test_a_scheduler_that_is_away_is_waited_for(run, in_memory):
    told = []
    oracle = Cluster(in_memory / "c", trouble=Once("collect", OracleError("squeue: timeout"), times=4))
    campaign(run, oracle, told, budget=3)
    assert told.count("the oracle does not answer; trying again (squeue: timeout)") == 1
    assert len(oracle.started) == 3


def test_a_refused_submission_is_tried_again_and_then_failed(run, in_memory):
    told = []
    oracle = Cluster(in_memory / "c", trouble=Once("submit", REFUSED, times=10**6))
    summary = campaign(run, oracle, told, budget=2, retries=2)
    assert oracle.started == []
    assert [f["kind"] for f in events(run, "failure")] == ["refused"] * 6
    assert [case["reason"] for case in summary["campaign"]["failed"]] == ["queue limit reached"] * 2
    first = picks(run)[0][0]
    assert [line for line in told if line.startswith(first)] == [
        f"{first}: refused: queue limit reached; trying again (1 of 2)",
        f"{first}: refused: queue limit reached; trying again (2 of 2)",
        f"{first}: refused: queue limit reached; not tried again",
    ]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("stride", [pytest.param(3, id="some"), pytest.param(1, id="each", marks=pytest.mark.faults)])
def test_a_driver_that_dies_between_any_two_writes_or_words_loses_nothing_and_pays_nothing_twice(
    in_memory, monkeypatch, stride
):
    """Killed before and after every write to the ledger, and after every word with the oracle, then continued."""
    plain = in_memory / "plain"
    campaign(plain, Cluster(in_memory / "p"), budget=4, batch=2)
    append_all = Ledger.append_all
    for place in itertools.count(0, stride):
        folder, cluster = in_memory / f"run{place}", in_memory / f"c{place}"
        counter = itertools.count()

        def die(*_, counter=counter, place=place):
            if next(counter) == place:
                raise Killed

        def written(self, new, die=die):
            die()
            found = append_all(self, new)
            die()
            return found

        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "append_all", written)
            try:
                campaign(folder, Cluster(cluster, trouble=die), budget=4, batch=2)
            except Killed:
                pass
            else:
                break
        oracle = Cluster(cluster)
        campaign(folder, oracle, budget=4, batch=2)
        assert picks(folder) == picks(plain)
        assert sorted(id for _, id in oracle.started) == sorted(id for _, id in Cluster(in_memory / "p").started)
        assert state(folder).labels == state(plain).labels
        assert [(e["id"], e["value"]) for e in events(folder, "label")] == [
            (e["id"], e["value"]) for e in events(plain, "label")
        ]
    assert place > 30


# Failures ------------------------------------------------------------------------------------------------------------


def test_fifty_worker_deaths_are_seen_tried_again_and_told(in_memory):
    """Every first and second attempt dies; no candidate is lost for it, none is a label that is not one."""
    run = in_memory / "run"
    oracle = Cluster(in_memory / "c", answer=failing("crashed", lambda intent, id: not intent.endswith("-3")))
    looks = []
    campaign(run, oracle, budget=10, batch=5, watch=lambda s: looks.append(s))
    failures = events(run, "failure")
    assert len(failures) == 20
    assert {failure["final"] for failure in failures} == {False}
    assert len(state(run).labels) == N_KNOWN + 10
    dead = in_memory / "dead"
    oracle = Cluster(in_memory / "d", answer=failing("memory"))
    summary = campaign(dead, oracle, budget=10, batch=5)
    failures = events(dead, "failure")
    assert len(failures) == 40  # the first attempt and three more
    assert sum(failure["final"] for failure in failures) == 10
    assert summary["campaign"]["pending"] == []
    assert [case["attempts"] for case in summary["campaign"]["failed"]] == [4] * 10
    assert state(dead).labels == dict(zip(MATERIALS["formula"][KNOWN], TRUTH[KNOWN], strict=True))
    assert summary["campaign"]["core_hours"] == 40.0


@pytest.mark.parametrize("kind", sorted(FAILURES))
def test_only_what_may_do_better_next_time_is_tried_again(run, in_memory, kind):
    campaign(run, Cluster(in_memory / "c", answer=failing(kind)), budget=1)
    assert len(events(run, "failure")) == (4 if FAILURES[kind] else 1)
    assert len(events(run, "retry")) == (3 if FAILURES[kind] else 0)
    assert state(run).failed[0].failures[0]["reason"] == f"{kind} it was"


def test_a_failed_candidate_is_not_proposed_again_until_a_person_says_so(run, in_memory):
    first_cluster = Cluster(in_memory / "c", answer=failing("not_converged", lambda intent, id: intent.endswith("-1")))
    summary = campaign(run, first_cluster, budget=3)
    failed = [case["id"] for case in summary["campaign"]["failed"]]
    assert failed == picks(run)[0]
    assert not set(failed) & set(picks(run)[1])
    leave(run, [{"note": "retry", "ids": failed[:1]}])
    summary = campaign(run, first_cluster, budget=3)
    assert state(run).labels[failed[0]] == TRUE[failed[0]]
    assert [case["id"] for case in summary["campaign"]["failed"]] == failed[1:]
    assert summary["campaign"]["evaluations"] == 3
    assert first_cluster.started[-1][0].endswith("-2")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"value": float("nan")}, "needs a finite number as the label, found nan"),
        ({"value": float("inf")}, "needs a finite number as the label, found inf"),
        ({"value": 1e308}, "needs a finite number as the label, found 1e+308"),
        ({"value": 1.0, "error": -1.0}, "needs a number >= 0 as the label's error, found -1.0"),
        ({"value": 1.0, "error": float("nan")}, "needs a number >= 0 as the label's error, found nan"),
    ],
)
def test_no_bad_number_becomes_a_label(run, in_memory, answer, reason):
    oracle = Cluster(in_memory / "c", answer=lambda intent, id: Answer(intent, **answer))
    summary = campaign(run, oracle, budget=1)
    (failed,) = summary["campaign"]["failed"]
    assert (failed["kind"], failed["reason"], failed["attempts"]) == ("invalid", reason, 1)


def test_an_answer_that_nobody_asked_for_is_not_taken(run, in_memory):
    class Confused(Cluster):
        def collect(self, receipts):
            return [Answer("other-run-M02", value=-99.0), *super().collect(receipts)]

    campaign(run, Confused(in_memory / "c"), budget=3)
    assert min(state(run).labels.values()) > -99


# Stopping ------------------------------------------------------------------------------------------------------------


def test_it_stops_when_the_core_hours_are_spent(run, in_memory):
    oracle = Cluster(in_memory / "c")
    summary = campaign(run, oracle, core_hours=11.0)
    stop = summary["campaign"]["stop"]
    assert (stop["kind"], stop["why"]) == ("core_hours", "12 of 11 core-hours are spent")
    assert len(oracle.started) == 6


def test_it_stops_when_enough_labels_reach_the_goal(run, in_memory):
    bound = float(np.sort(TRUTH)[11])
    had = int((TRUTH[KNOWN] <= bound).sum())
    summary = campaign(run, Cluster(in_memory / "c"), goal=f"<={bound}", hits=had + 1, batch=1)
    stop = summary["campaign"]["stop"]
    assert (stop["kind"], stop["why"]) == ("hits", f"{had + 1} labels reach <={bound}, {had + 1} were wanted")
    assert sum(value <= bound for value in state(run).labels.values()) == had + 1
    with pytest.raises(SettingsError, match=r"^hits: needs a goal with a bound, such as '<=0.3', found 'min'$"):
        campaign(run.with_name("other"), Cluster(in_memory / "c"), hits=1)


@pytest.mark.parametrize("goal", ["min", "max", "<=0.2"])
def test_it_stops_when_little_is_to_be_gained(run, in_memory, goal):
    """The gain that is recorded is that of the best open candidate, worked out from the predictions."""
    from scipy.stats import norm

    summary = campaign(run, Cluster(in_memory / "c"), goal=goal, min_gain=1e9 if goal != "<=0.2" else 1.0, batch=1)
    stop = summary["campaign"]["stop"]
    assert stop["kind"] == "gain"
    import pandas as pd

    table = pd.read_csv(run / "iter-0001" / "predictions.csv").set_index("id")
    mean, std = table["mean"][OPEN], table["std"][OPEN]
    if goal == "<=0.2":
        expected = norm.cdf((0.2 - mean) / std).max()
        assert stop["why"] == f"the largest probability to reach the goal is {expected:.3g}, below 1"
    else:
        sign = 1 if goal == "min" else -1
        gain = sign * (summary["improve_on"] - mean)
        expected = (gain * norm.cdf(gain / std) + std * norm.pdf(gain / std)).max()
        assert stop["why"] == f"the largest expected improvement is {expected:.3g}, below 1e+09"
    assert events(run, "proposal")[0]["gain"] == pytest.approx(expected, rel=1e-9)
    assert events(run, "intent") == []


def test_it_stops_when_nothing_is_left(run, in_memory):
    oracle = Cluster(in_memory / "c")
    summary = campaign(run, oracle, batch=4)
    stop = summary["campaign"]["stop"]
    assert (stop["kind"], stop["why"]) == ("nothing_left", "no candidate is left that can be proposed")
    assert sorted(id for _, id in oracle.started) == OPEN
    assert summary["n_candidates"] == 0


def test_without_an_oracle_a_budget_holds_for_the_answers_of_people(run):
    step(run, budget=1)
    assert state(run).stop is None
    leave(run, [{"note": "label", "id": "M02", "value": 0.5}])
    summary = step(run, budget=1)
    assert summary["campaign"]["stop"]["kind"] == "budget"
    assert summary["iteration"] == 2


# People --------------------------------------------------------------------------------------------------------------


def test_a_person_stops_a_driver_and_the_same_command_goes_on(run, in_memory):
    oracle = Cluster(in_memory / "c", delay=lambda intent: 3)
    seen = []

    def watch(found):
        seen.append(found.n_events)
        if len(seen) == 2:
            leave(run, [{"note": "stop"}])

    summary = campaign(run, oracle, budget=6, watch=watch)
    assert summary["campaign"]["stop"]["kind"] == "person"
    assert len(summary["campaign"]["pending"]) == 3
    n = len(events(run))
    assert campaign(run, oracle, once=True, budget=6)["campaign"]["stop"]["kind"] == "person"
    assert len(events(run)) == n
    summary = campaign(run, oracle, budget=6)
    assert summary["campaign"]["stop"]["kind"] == "budget"
    assert len(oracle.started) == 6
    whole = run.with_name("whole")
    campaign(whole, Cluster(in_memory / "w"), budget=6)
    assert picks(run) == picks(whole)


def test_a_label_from_a_person_takes_the_place_of_a_calculation_that_is_out(run, in_memory):
    oracle = Cluster(in_memory / "c", delay=lambda intent: 10**6)
    campaign(run, oracle, once=True, budget=3)
    out = picks(run)[0]
    leave(run, [{"note": "label", "id": id, "value": -5.0 - place, "error": 0.1} for place, id in enumerate(out)])
    summary = campaign(run, oracle, budget=3)
    assert [state(run).labels[id] for id in out] == [-5.0, -6.0, -7.0]
    assert state(run).errors == dict.fromkeys(out, 0.1)
    assert summary["best"] == {"id": out[2], "value": -7.0}
    assert list((run / "inbox").iterdir()) == []


def test_notes_that_do_not_fit_are_told_and_kept(run, in_memory):
    told = []
    step(run)
    leave(run, [{"note": "label", "id": "M00", "value": 77.0}, {"note": "label", "id": "M02", "value": 0.25}])
    leave(run, [{"note": "retry", "ids": ["M05"]}])
    step(run, more={"talk": Talk(told.append)})
    known = TRUE["M00"]
    assert (
        f"not accepted: label of 'M00': is already {known}; --replace (in Python replace=True) changes it to 77.0"
        in told
    )
    assert "not accepted: 'M05': needs a failed calculation to retry, found none" in told
    assert state(run).labels["M02"] == 0.25
    assert [path.suffix for path in (run / "inbox").iterdir()] == [".refused"] * 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "needs notes of sisso-sal, cannot be read: "),
        ('{"id": "M02"}', "needs a list of notes, found {'id': 'M02'}"),
        ('[{"id": "M02"}]', "note: needs a label, failed, retry or stop, found {'id': 'M02'}"),
        ('["hello"]', "note: needs a label, failed, retry or stop, found 'hello'"),
        ('[{"note": "label", "id": "M02", "value": "much"}]', "label of 'M02': needs a finite number, found 'much'"),
        ('[{"note": "label", "id": "M02", "value": []}]', "note: needs a label, failed, retry or stop, found "),
    ],
)
def test_what_is_no_note_is_told_and_kept(run, content, told):
    step(run)
    (run / "inbox").mkdir()
    (run / "inbox" / "a.json").write_text(content)
    lines = []
    step(run, more={"talk": Talk(lines.append)})
    assert lines[0].startswith("not accepted: ")
    assert told in lines[0]
    assert [path.name for path in (run / "inbox").iterdir()] == ["a.refused"]


def test_errors_of_labels_reach_the_surrogate(run):
    seen = []

    class Watched(Lines):
        def fit(self, space, numbers, labels, errors, progress=None):
            seen.append(errors.copy())
            return super().fit(space, numbers, labels, errors, progress)

    step(run, surrogate=Watched)
    leave(
        run,
        [
            {"note": "label", "id": "M02", "value": 9.0, "error": 2.0},
            {"note": "label", "id": "M05", "value": 1.0, "error": 2.0},
        ],
    )
    leave(run, [{"note": "label", "id": "M08", "value": 1.0, "error": 4.0}])
    step(run, surrogate=Watched)
    assert not seen[0].any()
    by_id = dict(zip(sorted(state(run).labels), seen[1], strict=True))
    assert (by_id["M02"], by_id["M05"], by_id["M08"]) == (2.0, 2.0, 4.0)
    assert {value for id, value in by_id.items() if id not in {"M02", "M05", "M08"}} == {0.0}


# What is shown without doing -----------------------------------------------------------------------------------------


def previewed(run, **changes):
    tools = Tools(lambda settings, seed: Lines())
    return preview(space_of(MATERIALS, run.parent / "tables"), settings_of(**changes), run, tools)


def test_a_preview_shows_the_next_proposals_and_writes_nothing(run, in_memory):
    found = previewed(run)
    assert not run.exists()
    step(run)
    assert [p["id"] for p in found["proposals"]] == picks(run)[0]
    assert (found["iteration"], found["is_new"], found["n_labelled"]) == (1, True, N_KNOWN)
    before = contents(run)
    with Ledger(run) as ledger:  # a driver is running
        found = previewed(run)
        assert (found["iteration"], found["is_new"]) == (1, False)
        assert [p["id"] for p in found["proposals"]] == picks(run)[0]
        ledger.append("label", {"id": "M02", "value": 0.1})
    found = previewed(run)
    assert (found["iteration"], found["is_new"], found["n_labelled"]) == (2, True, N_KNOWN + 1)
    step(run)
    assert [p["id"] for p in found["proposals"]] == picks(run)[1]
    with pytest.raises(CampaignError, match="goal: min -> max"):
        previewed(run, goal="max")
    assert before.keys() < contents(run).keys()
    assert len(MATERIALS) == N
