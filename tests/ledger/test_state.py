"""The state is a fold over the events: over any prefix, in any pieces, and over whatever a campaign goes through."""

import shutil
import tempfile
from pathlib import Path

import pytest
from compiled import examples_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from lines import KNOWN, MATERIALS, TRUE, Lines, settings_of, space_of, step
from oracles import TIMED_OUT, Cluster

from sisso_sal.campaign.exchange import Journal
from sisso_sal.campaign.inbox import leave
from sisso_sal.campaign.learning import Tools
from sisso_sal.campaign.loop import discover
from sisso_sal.campaign.status import status_document
from sisso_sal.campaign.verify import findings
from sisso_sal.errors import CampaignError
from sisso_sal.ledger import fold as fold_module
from sisso_sal.ledger.fold import fold, kinds, register
from sisso_sal.ledger.rows import COPY
from sisso_sal.ledger.state import State
from sisso_sal.ledger.store import DATABASE, Ledger, read_ledger
from sisso_sal.protocols import FAILURES, Answer

ROOT = Path(__file__).parents[2]
OPEN = [id for id, known in zip(MATERIALS["formula"], KNOWN, strict=True) if not known]


def numbered(*events):
    return [
        {"seq": seq, "time": f"2026-11-24T10:00:{seq:02d}.000+00:00", **event} for seq, event in enumerate(events, 1)
    ]


CREATED = {"event": "created", "settings": {"run": {"oracle": "lookup:x"}}}
LABEL = {"event": "label", "id": "a", "value": 1.5, "source": "table"}
MODEL = {
    "event": "model",
    "iteration": 1,
    "folder": "iter-0001",
    "files": {"model.json": 64 * "a"},
    "best": {"id": "a", "value": 1.5},
}
PROPOSAL = {"event": "proposal", "iteration": 1, "folder": "iter-0001", "proposals": [{"id": "b"}]}
INTENT = {"event": "intent", "intent": "r-b-1", "id": "b", "attempt": 1, "iteration": 1}
RECEIPT = {"event": "receipt", "intent": "r-b-1", "id": "b", "job": "77"}
FAILURE = {
    "event": "failure",
    "id": "b",
    "kind": "crashed",
    "reason": "x",
    "final": False,
    "source": "oracle",
    "core_hours": 2.5,
}
RETRY = {"event": "retry", "id": "b", "by": "campaign"}


def test_every_prefix_of_the_life_of_a_candidate_has_its_state():
    again = INTENT | {"intent": "r-b-2", "attempt": 2}
    done = {"event": "label", "id": "b", "value": -1.0, "error": 0.1, "source": "oracle", "core_hours": 4.0}
    events = numbered(CREATED, LABEL, MODEL, PROPOSAL, INTENT, RECEIPT, FAILURE, RETRY, again, done)
    states = [fold(events[:n]) for n in range(len(events) + 1)]
    status = [found.cases["b"].status if "b" in found.cases else None for found in states]
    assert status == [*[None] * 5, "intended", "submitted", "failed", "again", "intended", "labelled"]
    assert [found.core_hours for found in states[6:]] == [0, 2.5, 2.5, 2.5, 6.5]
    assert [len(found.asked) for found in states] == [0] * 5 + [1] * 6  # what is known at the start was not asked for
    assert [found.is_current for found in states] == [False] * 4 + [True] * 6 + [False]
    last = states[-1].cases["b"]
    assert (last.intent, last.attempt, last.value, last.error, last.since) == (
        "r-b-2",
        2,
        -1.0,
        0.1,
        events[-1]["time"],
    )
    assert [failure["reason"] for failure in last.failures] == ["x"]
    assert states[-1].labels == {"a": 1.5, "b": -1.0}
    assert states[-1].run == {"oracle": "lookup:x"}
    assert states[0] == State()


def test_a_later_label_takes_the_place_of_an_earlier_one_and_a_new_start_of_everything():
    other = LABEL | {"value": 2.5}
    assert fold(numbered(CREATED, LABEL, other)).labels == {"a": 2.5}
    anew = fold(numbered(CREATED, LABEL, FAILURE | {"final": True}, CREATED))
    assert (anew.labels, anew.failed, anew.n_events, dict(anew.asked)) == ({}, [], 4, {})


def test_the_events_of_schema_1_are_understood():
    old = numbered({"event": "created", "settings": {}, "table": "a.csv", "digest": "x"}, LABEL, PROPOSAL, LABEL)
    found = fold(old)
    assert (found.iterations[0].number, found.iterations[0].model, found.is_current) == (1, None, False)
    assert found.proposal == old[2]


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (
            {"event": "dance"},
            r"needs a kind of created, .*, resumed, found 'dance'; a newer version of sisso-sal or a plug-in .*",
        ),
        ({"event": "label", "id": "a"}, r"label needs id, value, source; .*; found no key 'value'"),
        ({"event": "retry"}, r"retry needs id, by; found no key 'id'"),
        (LABEL | {"value": "abc"}, "label: value: needs a valid number, found 'abc'"),
        (LABEL | {"value": True}, "label: value: needs a valid number, found True"),
        (LABEL | {"value": None}, "label: value: needs a valid number, found None"),
        (LABEL | {"value": -1e300}, r"label: needs a number up to 1e\+100 in size, found -1e\+300"),
        (LABEL | {"id": None}, "label: id: needs text, found None"),
        (LABEL | {"id": ["a"]}, r"label: id: needs text, found \['a'\]"),
        (LABEL | {"core_hours": -1.0}, "label: core_hours: needs greater than or equal to 0, found -1.0"),
        (
            LABEL | {"arrays": {"forces": {"file": "../x", "sha256": 64 * "a"}}},
            "label: arrays.forces.file: .*, found '../x'",
        ),
        (CREATED | {"settings": []}, r"created: settings: needs a table, found \[\]"),
        (
            CREATED | {"settings": {"run": {"budget": "5"}}},
            "created: settings.run.budget: needs a valid number, found '5'",
        ),
        (CREATED | {"run_id": "../../x"}, "created: run_id: .*, found '../../x'"),
        (MODEL | {"folder": "/etc"}, "model: folder: .*, found '/etc'"),
        (MODEL | {"files": [1]}, r"model: files: needs a table, found \[1\]"),
        (MODEL | {"best": {"id": "a"}}, "model: best: no key 'value'"),
        (PROPOSAL | {"proposals": ["b"]}, "proposal: proposals.0: needs a table, found 'b'"),
        (PROPOSAL | {"iteration": 0}, "proposal: iteration: needs greater than or equal to 1, found 0"),
        (INTENT | {"intent": "../x"}, "intent: intent: .*, found '../x'"),
        (INTENT | {"attempt": 1.5}, "intent: attempt: needs a valid integer, found 1.5"),
        (RECEIPT | {"job": None}, "receipt: job: needs text, found None"),
        (FAILURE | {"final": "no"}, "failure: final: needs a valid boolean, found 'no'"),
        ({"event": "stop", "kind": [], "why": ""}, r"stop: kind: needs text, found \[\]"),
        (
            {"event": "candidates", "n_rows": -1, "sha256": 64 * "a"},
            "candidates: n_rows: needs greater than .*, found -1",
        ),
        ({"event": "settings", "run": [], "oracle": {}}, r"settings: run: needs a table, found \[\]"),
    ],
)
def test_an_event_that_is_none_or_carries_what_it_cannot_is_told_by_name_and_number(event, told):
    with pytest.raises(CampaignError, match=f"^ledger: event 1: {told}$"):
        fold(numbered(event))


@pytest.mark.parametrize("kind", [CREATED, LABEL, MODEL, PROPOSAL, INTENT, RECEIPT, FAILURE, RETRY])
@settings(deadline=None, max_examples=examples_of(60))
@given(data=st.data())
def test_a_state_or_one_line_comes_of_any_value_of_any_key(kind, data):
    plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    value = data.draw(st.recursive(plain, lambda part: st.lists(part) | st.dictionaries(st.text(), part), max_leaves=5))
    key = data.draw(st.sampled_from(sorted(kind.keys() - {"event"})))
    before = fold(numbered(CREATED, LABEL, MODEL, PROPOSAL, INTENT))
    event = {"seq": 6, "time": "2026-11-24T10:00:06.000+00:00", **kind, key: value}
    told = ""
    after = before
    try:
        after = fold([event], before)
    except CampaignError as error:
        told = str(error)
    assert told == "" or told.startswith(f"ledger: event 6: {kind['event']}")
    assert "\n" not in told
    status_document(Path("run"), after, None)
    assert all(isinstance(number, int | float) for number in after.labels.values())


def test_an_event_that_could_not_be_read_back_is_not_written(in_memory):
    with Ledger(in_memory / "run") as ledger:
        journal = Journal(ledger)
        journal.write(("label", {"id": "a", "value": 1.5}))
        with pytest.raises(CampaignError, match=r"^ledger: receipt: job: needs text, found 77$"):
            journal.write(("label", {"id": "b", "value": 1.5}), ("receipt", {"id": "a", "job": 77}))
    assert fold(read_ledger(in_memory / "run").events()).labels == {"a": 1.5}


@pytest.fixture
def meeting(monkeypatch):
    """A kind of event of another room, which is forgotten after the test."""
    monkeypatch.setattr(fold_module, "_KINDS", dict(fold_module._KINDS))

    def met(draft, event):
        draft.extra["meetings"] = (*draft.extra.get("meetings", ()), event["who"])
        draft.pay(event)

    register("meeting", met, "who, core_hours")
    return {"event": "meeting", "who": "Ada", "core_hours": 1.5}


def test_a_room_registers_a_kind_of_event_and_its_state_is_folded_with_the_rest(in_memory, meeting):
    events = numbered(CREATED, LABEL, meeting, meeting | {"who": "Emmy"})
    before = fold(events[:3])
    after = fold(events[3:], before)
    assert (before.extra, after.extra) == ({"meetings": ("Ada",)}, {"meetings": ("Ada", "Emmy")})
    assert (after.core_hours, after.labels) == (3.0, {"a": 1.5})
    assert fold(numbered(CREATED, meeting, CREATED)).extra == {}
    assert kinds()["meeting"].carries == "who, core_hours"
    with pytest.raises(CampaignError, match=r"^ledger: event 1: meeting needs who, core_hours; found no 'who'$"):
        fold(numbered({"event": "meeting"}))
    with pytest.raises(
        CampaignError, match=r"^ledger: needs a new kind of event, found 'meeting', which is registered"
    ):
        register("meeting", lambda draft, event: None, "")
    with Ledger(in_memory / "run") as ledger:
        ledger.append("meeting", {"who": "Ada"})
    assert fold(read_ledger(in_memory / "run").events()).extra == {"meetings": ("Ada",)}


def test_without_its_room_the_event_of_a_room_is_refused():
    with pytest.raises(
        CampaignError, match=r", found 'meeting'; a newer version of sisso-sal or a plug-in may know it$"
    ):
        fold(numbered(CREATED, {"event": "meeting", "who": "Ada"}))


def test_every_kind_of_event_is_described_in_the_reference():
    page = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    table = page.partition("## The ledger")[2].partition("\n## ")[0]
    assert [kind for kind in kinds() if f"`{kind}`" not in table] == []


def test_folding_leaves_the_former_state_as_it_was(in_memory):
    step(in_memory / "run", more={"oracle": Cluster(in_memory / "c")}, oracle="command:x", budget=5)
    events = list(read_ledger(in_memory / "run").events())
    whole, piece = fold(events), State()
    for n, event in enumerate(events):
        before = piece
        kept = (dict(before.cases), dict(before.asked), before.iterations)
        piece = fold([event], before)
        assert (dict(before.cases), dict(before.asked), before.iterations) == kept
        assert piece == fold(events[: n + 1])
    assert piece == whole


class Crash(BaseException):
    pass


class Life(RuleBasedStateMachine):
    """A campaign whose calculations end, fail and time out, whose driver dies anywhere, and whose files are cut."""

    def __init__(self):
        super().__init__()
        shared = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
        self.run = self.folder / "run"
        self.space = space_of(MATERIALS, self.folder / "tables")
        self.budget = 6
        self.ends = {}  # intent -> answer
        self.seen = set()  # labels that were in the ledger
        self.timing_out = []
        self.dies_at = None

    def teardown(self):
        shutil.rmtree(self.folder)

    def cluster(self):
        return Cluster(
            self.folder / "c",
            delay=lambda intent: 0 if intent in self.ends else 10**9,
            answer=lambda intent, id: self.ends[intent],
            trouble=self.trouble,
        )

    def trouble(self, what, intent):
        self.count()
        if what in {"submit", "accepted"} and self.timing_out:
            when = self.timing_out.pop()
            if when == what:
                raise TIMED_OUT

    def count(self):
        if self.dies_at is not None:
            self.dies_at -= 1
            if self.dies_at < 0:
                raise Crash

    @rule(dies_at=st.none() | st.integers(0, 25))
    def drive(self, dies_at):
        self.dies_at = dies_at
        append_all = Ledger.append_all

        def written(ledger, new):
            self.count()
            found = append_all(ledger, new)
            self.count()
            return found

        settings_now = settings_of(oracle="command:x", budget=self.budget, batch=2)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Ledger, "append_all", written)
                tools = Tools(lambda settings, seed: Lines(), oracle=self.cluster())
                discover(self.space, settings_now, self.run, tools, once=True)
        except Crash:
            pass
        self.dies_at = None

    @precondition(lambda self: self.out())
    @rule(data=st.data())
    def end(self, data):
        intent, id = data.draw(st.sampled_from(self.out()))
        kind = data.draw(st.sampled_from(["", "", "", "nan", *FAILURES]))
        if kind in FAILURES:
            self.ends[intent] = Answer(intent, kind=kind, reason="so it was", core_hours=1.0)
        else:
            self.ends[intent] = Answer(intent, value=float("nan") if kind else TRUE[id], core_hours=1.0)

    def out(self):
        return [(intent, id) for intent, id in self.cluster().started if intent not in self.ends]

    @rule(when=st.sampled_from(["submit", "accepted"]))
    def time_out(self, when):
        self.timing_out.append(when)

    @rule()
    def more_budget(self):
        self.budget += 2

    @precondition(lambda self: (self.run / DATABASE).exists())
    @rule(id=st.sampled_from(OPEN), what=st.sampled_from(["label", "failed", "retry", "stop"]))
    def person(self, id, what):
        note = {"note": what, "id": id, "value": 0.5, "reason": "no", "ids": [id], "source": "person"}
        leave(self.run, [note])

    @precondition(lambda self: (self.run / COPY).exists())
    @rule(cut=st.integers(1, 5000), of_database=st.booleans())
    def damage(self, cut, of_database):
        """One of the two files loses its end."""
        if fold(read_ledger(self.run).events()).created is None:
            return
        path = self.run / (DATABASE if of_database else COPY)
        with Ledger(self.run):
            pass  # both are whole, as after any driver
        content = path.read_bytes()
        path.write_bytes(content[: max(0, len(content) - cut)])

    @invariant()
    def nothing_is_lost_and_nothing_is_paid_twice(self):
        if not (self.run / DATABASE).exists():
            return
        events = list(read_ledger(self.run).events())
        found = fold(events)
        labels = {(event["id"], event["value"]) for event in events if event["event"] == "label"}
        assert labels >= self.seen
        self.seen = labels
        started = self.cluster().started
        assert len(set(started)) == len(started)
        intents = {event["intent"]: event["id"] for event in events if event["event"] == "intent"}
        assert set(started) <= set(intents.items())
        attempts = [id for _, id in started]
        tried = {id: 1 + sum(e["event"] == "retry" and e["id"] == id for e in events) for id in attempts}
        assert all(attempts.count(id) <= tried[id] for id in attempts)
        assert all(abs(value) < 100 for value in found.labels.values())
        if found.iterations:
            assert len(found.asked) <= self.budget + sum(
                case.source == "person" for case in found.cases.values()
            ) + len(found.failed)


@pytest.mark.parametrize(
    "examples", [pytest.param(12, id="some"), pytest.param(250, id="ten-thousand-steps", marks=pytest.mark.faults)]
)
def test_a_life_of_asking_labelling_failing_crashing_and_cutting(examples):
    """250 lives of 40 steps are ten thousand."""
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Life,
        settings=settings(deadline=None, max_examples=examples, stateful_step_count=40, suppress_health_check=quiet),
    )


def test_a_run_that_was_lived_through_verifies(in_memory):
    step(in_memory / "run", more={"oracle": Cluster(in_memory / "c")}, oracle="command:x", budget=5)
    assert findings(in_memory / "run") == (len(read_ledger(in_memory / "run").rows), [])
    (in_memory / "run" / "iter-0001" / "model.json").write_text("{}")
    (in_memory / "run" / "iter-0002" / "proposals.csv").unlink()
    (in_memory / "run" / COPY).write_bytes((in_memory / "run" / COPY).read_bytes()[:-9])
    n, found = findings(in_memory / "run")
    assert found == [
        f"campaign.jsonl: line {n} is not event {n}; the next discover repairs it",
        "iter-0001/model.json: differs from what was written",
        "iter-0002/proposals.csv: No such file or directory",
    ]
