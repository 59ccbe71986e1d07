"""Every answer belongs to the candidate that it was asked for, however much two ids look alike."""

import json
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lines import N_KNOWN, TRUE, events, state, step
from oracles import Cluster

import sisso_sal.campaign.exchange as exchange
from sisso_sal.campaign.exchange import intent_name
from sisso_sal.campaign.loop import Talk
from sisso_sal.campaign.verify import findings
from sisso_sal.errors import CampaignError, TakenError
from sisso_sal.ledger.store import Ledger
from sisso_sal.oracle.command import CommandOracle
from sisso_sal.oracle.lookup import Lookup
from sisso_sal.protocols import Receipt, Request

ALIKE = [f"structure-from-a-high-throughput-screening-of-many-oxides-2026-{number:06d}" for number in range(60)]
NOT_LATIN = [chr(0x4E00 + number) * 3 for number in range(20)]
ODD = [
    "../../up", "a/b/c", "..", "-rf", "{intent}", "{folder}/{id}", "two words", "two\nlines", "quote'\"", "$(id)", "e\u0301",
    "\u00e9", "tio2", "TIO2", "TiO2", "z" * 300, "z" * 299, "\u0416" * 200, "a;b", "*",
]  # fmt: skip
HUNDRED = [*ALIKE, *NOT_LATIN, *ODD]
SCRIPT = 'sed -n \'s/.*"k": \\([0-9]*\\).*/{"value": \\1}/p\''
"""Answers with the column k of the candidate."""


@pytest.fixture
def run(in_memory):
    return in_memory / "run"


def candidates(ids):
    """Twelve known materials and the ids, each with a number k of its own, which is also its label."""
    rng = np.random.default_rng(1)
    n = 12 + len(ids)
    frame = pd.DataFrame({"formula": [*(f"known{i}" for i in range(12)), *ids], "k": np.arange(n)})
    frame["a (eV)"] = rng.uniform(0.5, 2.0, n).round(4)
    frame.insert(1, "gap (eV)", np.where(np.arange(n) < 12, np.arange(n), np.nan))
    return frame


def answers(oracle, receipts, patience=30.0):
    found = {}
    end = time.monotonic() + patience
    while len(found) < len(receipts):
        assert time.monotonic() < end, found
        found |= {answer.intent: answer for answer in oracle.collect(receipts)}
        time.sleep(0.01)
    return [found[receipt.intent] for receipt in receipts]


def test_the_hundred_ids_have_a_hundred_names_that_any_file_system_takes():
    assert len(set(HUNDRED)) == 100
    assert len({id[:60] for id in ALIKE}) == 1
    names = {intent_name(32 * "0", id, 1) for id in HUNDRED}
    assert len({name.lower() for name in names}) == 100
    assert max(map(len, names)) <= 160
    assert all(name.replace("-", "").isalnum() and name.isascii() for name in names)


def test_the_two_ids_of_the_old_names_with_24_bits_have_two():
    first, second = (f"structure-from-high-throughput-screening-{number}" for number in ("003339", "003517"))
    assert intent_name("r", first, 1) != intent_name("r", second, 1)


@given(st.sets(st.text(st.characters(codec="utf-8")), min_size=2, max_size=8), st.integers(1, 99))
def test_different_ids_have_different_names(ids, attempt):
    names = [intent_name("r", id, attempt) for id in ids]
    assert len({name.lower() for name in names}) == len(ids)
    assert all(len(name.split("-")[2]) == 32 for name in names)


def test_each_of_a_hundred_ids_gets_its_own_label_from_a_command(run, in_memory):
    frame = candidates(HUNDRED)
    oracle = CommandOracle(SCRIPT, run / "jobs", workers=8)
    oracle.poll = 0.02
    step(run, frame, more={"oracle": oracle}, oracle="command:sed", batch=100, budget=100, calculations=8)
    expected = dict(zip(frame["formula"], frame["k"].astype(float), strict=True))
    assert state(run).labels == expected
    assert len(list((run / "jobs").iterdir())) == 100
    assert findings(run)[1] == []


@pytest.mark.parametrize("id", ODD)
def test_a_command_gets_the_id_as_it_is(tmp_path, id):
    oracle = CommandOracle('printf \'{"value": 1, "id": "%s"}\' {id}', tmp_path / "jobs")
    request = Request(intent_name("r", id, 1), id, {})
    (found,) = answers(oracle, [oracle.submit(request)])
    if id in {"two\nlines", "quote'\""}:  # printf writes no JSON of them
        assert found.kind == "invalid"
    else:
        assert (found.value, found.reason) == (1.0, "")


def test_names_in_braces_are_filled_in_once(tmp_path):
    oracle = CommandOracle("echo {id}-{intent}-{unknown}", tmp_path)
    receipt = oracle.submit(Request("r-1", "{intent}{folder}", {}))
    answers(oracle, [receipt])
    assert (tmp_path / "r-1" / "stdout").read_text() == "{intent}{folder}-r-1-{unknown}\n"


@pytest.mark.parametrize(
    ("id", "told"),
    [("a\0b", "found one with a NUL character"), ("x" * 200_000, "longer than")],
    ids=["nul", "long"],  # pytest puts the id of a test into the environment, which has a limit too
)
def test_an_id_that_no_command_can_take_is_a_failure_and_the_others_have_their_answers(tmp_path, id, told):
    oracle = CommandOracle("echo {id}", tmp_path, workers=2)
    receipts = [oracle.submit(Request("r-1", id, {})), oracle.submit(Request("r-2", "1", {}))]
    first, second = answers(oracle, receipts)
    assert (first.kind, second.kind) == ("invalid", "invalid")
    assert first.reason.startswith("cannot be started: ")
    assert told in first.reason
    assert second.reason == 'needs an answer such as {"value": 1.5}, found 1'


# An intent of another candidate --------------------------------------------------------------------------------------


def test_a_folder_of_another_candidate_is_refused_in_each_word_with_the_command(tmp_path):
    oracle = CommandOracle(SCRIPT, tmp_path)
    receipt = oracle.submit(Request("r-1", "MgO", {"k": 1}))
    for word in (oracle.submit, oracle.query):
        with pytest.raises(TakenError, match=r"^the folder r-1 was made for 'MgO', not for 'CaO'$"):
            word(Request("r-1", "CaO", {"k": 2}))
    (mine,) = answers(oracle, [Receipt("r-1", receipt.job, "MgO")])
    assert mine.value == 1.0
    (other,) = oracle.collect([Receipt("r-1", receipt.job, "CaO")])
    assert (other.kind, other.reason) == ("invalid", "needs the answer for 'CaO', found the folder of 'MgO'")


@pytest.mark.parametrize("content", [None, "{}", "[" * 100, '{"intent": "r-1", "id": 7, "candidate": {}}', "\x00"])
def test_a_folder_whose_request_cannot_be_read_is_nobody_s(tmp_path, content):
    (tmp_path / "r-1").mkdir()
    if content is not None:
        (tmp_path / "r-1" / "request.json").write_text(content)
    oracle = CommandOracle(SCRIPT, tmp_path)
    with pytest.raises(TakenError, match=r"^r-1/request.json: .*; for which candidate it was made is not known$"):
        oracle.submit(Request("r-1", "MgO", {}))
    (found,) = oracle.collect([Receipt("r-1", "r-1", "MgO")])
    assert found.kind == "invalid"
    assert found.reason.startswith("r-1/request.json: ")


def test_a_lookup_compares_the_id_too(tmp_path):
    (tmp_path / "truth.csv").write_text("name,gap (eV)\nMgO,7.8\nCaO,6.9\n")
    oracle = Lookup(tmp_path / "truth.csv", "gap (eV)", "name")
    receipt = oracle.submit(Request("r-1", "MgO", {}))
    (found,) = oracle.collect([Receipt("r-1", receipt.job, "CaO")])
    assert (found.kind, found.reason) == ("invalid", "needs the answer for 'CaO', found the receipt of 'MgO'")


def test_an_intent_that_belongs_to_another_id_is_refused_and_nothing_is_submitted(run, in_memory, monkeypatch):
    monkeypatch.setattr(exchange, "intent_name", lambda run_id, id, attempt: f"same-{attempt}")
    oracle = Cluster(in_memory / "c")
    with pytest.raises(
        CampaignError, match=r"needs an intent of its own for 'M\d\d', found same-1 of 'M\d\d'; nothing"
    ):
        step(run, more={"oracle": oracle}, oracle="command:cluster")
    assert oracle.started == []
    assert events(run, "intent") == []


def test_an_intent_that_the_oracle_has_for_another_id_is_tried_under_another_name(run, in_memory):
    """Also where the submission was not confirmed: the driver does not ask for ever."""
    step(run, more={"oracle": Cluster(in_memory / "c"), "once": True}, oracle="command:cluster", budget=1)
    (intent,) = events(run, "intent")

    class Taken(Cluster):
        def submit(self, request):
            if request.intent == intent["intent"]:
                raise TakenError("made for 'Other'")
            return super().submit(request)

        query = submit

    again = run.with_name("again")
    told = []
    options = {"oracle": Taken(in_memory / "t"), "talk": Talk(told.append)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "intent_name", lambda run_id, id, attempt: intent["intent"][:-1] + str(attempt))
        step(again, more=options, oracle="command:cluster", budget=1)
    (failed,) = events(again, "failure")
    assert (failed["kind"], failed["reason"], failed["final"]) == ("refused", "made for 'Other'", False)
    assert state(again).labels[intent["id"]] == TRUE[intent["id"]]
    assert state(again).cases[intent["id"]].attempt == 2


# A ledger of before --------------------------------------------------------------------------------------------------


def with_one_intent_for_two(run, folder, labelled=False):
    """A ledger in which two candidates have one intent, as short names made it happen."""
    oracle = Cluster(folder, delay=lambda intent: 10**6)
    step(run, more={"oracle": oracle, "once": True}, oracle="command:cluster", budget=1)
    (intent,) = events(run, "intent")
    second = next(row for row in TRUE if row not in state(run).cases)
    about = {"intent": intent["intent"], "id": second}
    with Ledger(run) as ledger:
        ledger.append("intent", {**about, "attempt": 1, "iteration": 1})
        if labelled:
            ledger.append("label", {"intent": intent["intent"], "id": intent["id"], "value": 1.0, "source": "oracle"})
            ledger.append("label", {**about, "value": 1.0, "source": "oracle"})
        else:
            ledger.append("receipt", {**about, "job": "job"})
    return intent, second


def test_verify_finds_two_candidates_with_one_intent_and_a_label_that_is_of_another(run, in_memory):
    intent, second = with_one_intent_for_two(run, in_memory / "c", labelled=True)
    n = events(run)[-1]["seq"]
    assert findings(run)[1] == [
        f"event {n - 2}: '{second}' has the intent {intent['intent']}, which is of '{intent['id']}'",
        f"event {n}: '{second}' has the label, to the intent {intent['intent']}, which is of '{intent['id']}'",
    ]


def test_a_driver_gives_the_answer_to_the_first_and_fails_the_second(run, in_memory):
    intent, second = with_one_intent_for_two(run, in_memory / "c")
    step(run, more={"oracle": Cluster(in_memory / "c")}, oracle="command:cluster", budget=2)
    now = state(run)
    assert now.labels[intent["id"]] == TRUE[intent["id"]]
    assert second not in now.labels
    (failed,) = now.failed
    assert (failed.id, failed.failures[-1]["kind"]) == (second, "invalid")
    assert failed.failures[-1]["reason"] == f"its intent {intent['intent']} belongs to '{intent['id']}'"


def test_verify_finds_the_request_of_another_candidate(run, in_memory):
    oracle = CommandOracle(SCRIPT, run / "jobs")
    oracle.poll = 0.02
    step(run, candidates(["first", "second"]), more={"oracle": oracle}, oracle="command:sed", budget=1)
    (intent,) = events(run, "intent")
    path = run / "jobs" / intent["intent"] / "request.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id": "other"}))
    place = f"jobs/{intent['intent']}/request.json"
    assert findings(run)[1] == [f"{place}: is the request of 'other', and the intent is of '{intent['id']}'"]
    path.write_text("[" * 100)
    assert findings(run)[1] == [f"{place}: needs at most 64 lists or tables within each other, found 100"]


def test_a_receipt_of_another_request_is_a_failure(run, in_memory):
    class Confused(Cluster):
        def submit(self, request):
            super().submit(request)
            return Receipt("other", "77")

    step(run, more={"oracle": Confused(in_memory / "c"), "once": True}, oracle="command:cluster", budget=1)
    (failed,) = events(run, "failure")
    assert failed["kind"] == "invalid"
    assert failed["reason"].endswith(", found one of 'other'")
    assert len(state(run).labels) == N_KNOWN
