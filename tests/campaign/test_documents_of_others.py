"""Whatever comes from a file, a process or an oracle of one's own: a typed failure or one line, and all else goes on."""

import itertools
import json
import os
import shutil
from decimal import Decimal

import numpy as np
import pytest
from lines import MATERIALS, TRUE, N, events, state, step
from oracles import Cluster

from sisso_sal.campaign.answers import checked, checked_answers
from sisso_sal.campaign.inbox import leave
from sisso_sal.campaign.loop import Talk
from sisso_sal.campaign.summary import read_summary
from sisso_sal.errors import CampaignError, DocumentError, OracleError
from sisso_sal.oracle.answers import process_of
from sisso_sal.oracle.command import CommandOracle
from sisso_sal.protocols import FAILURES, Answer, Receipt
from sisso_sal.report.run_view import RunView

DOCUMENTS = {
    "nothing": b"",
    "white space": b" \n\t\n",
    "words": b"SCF converged\n",
    "words before": b'SCF cycle 1\n{"value": 1.5}\n',
    "words behind": b'{"value": 1.5}\ndone\n',
    "two documents": b'{"value": 1.5}\n{"value": 2.5}\n',
    "cut": b'{"value": 1.5',
    "number": b"1.5",
    "list": b'[{"value": 1.5}]',
    "null": b"null",
    "text": b'"value"',
    "no value": b'{"energy": 1.5}',
    "integer of 400 digits": b'{"value": ' + 400 * b"9" + b"}",
    "integer of 5000 digits": b'{"value": ' + 5000 * b"9" + b"}",
    "NaN": b'{"value": NaN}',
    "infinity": b'{"value": -Infinity}',
    "overflow": b'{"value": 1e999}',
    "value as text": b'{"value": "1.5"}',
    "value as bool": b'{"value": true}',
    "value as list": b'{"value": [1.5]}',
    "value as table": b'{"value": {"value": 1.5}}',
    "value null": b'{"value": null}',
    "error as text": b'{"value": 1.5, "error": "0.1"}',
    "core-hours as text": b'{"value": 1.5, "core_hours": "12"}',
    "core-hours as list": b'{"value": 1.5, "core_hours": [12]}',
    "other id": b'{"value": 1.5, "id": "other"}',
    "id as number": b'{"value": 1.5, "id": 7}',
    "failure as list": b'{"failure": ["memory"]}',
    "failure as table": b'{"failure": {"memory": 1}}',
    "failure as number": b'{"failure": 3}',
    "failure unknown": b'{"failure": "bad luck", "reason": "so it was"}',
    "reason as list": b'{"failure": "memory", "reason": ["a"]}',
    "failure of other id": b'{"failure": "memory", "id": "other"}',
    "half of a surrogate pair": b'{"failure": "memory", "reason": "\\ud800"}',
    "half of a pair as key": b'{"value": 1.5, "\\udfff": 1}',
    "half of a pair in bytes": b'{"failure": "memory", "reason": "\xed\xa0\x80"}',
    "deep lists": b'{"value": ' + 100_000 * b"[" + 100_000 * b"]" + b"}",
    "deep tables": 5000 * b'{"value": ' + b"1" + 5000 * b"}",
    "open lists": 100_000 * b"[",
    "same key twice": b'{"value": 1.5, "value": 2.5}',
    "Latin-1": b'{"failure": "memory", "reason": "\xe9"}',
    "UTF-16": '{"value": 1.5}'.encode("utf-16"),
    "NUL": b'{"value": 1.5}\0',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "two MiB": b'{"value": 1.5, "note": "' + (2 << 20) * b"x" + b'"}',
}
BAD = sorted(DOCUMENTS)


def is_one_line(text):
    return text.isprintable() and 0 < len(text) <= 2001


# Answers of a command ------------------------------------------------------------------------------------------------


def ended(root, intent, id, **files):
    """The folder of a submission whose command has ended."""
    job = root / intent
    job.mkdir(parents=True)
    (job / "request.json").write_text(json.dumps({"intent": intent, "id": id, "candidate": {}}))
    for name, content in {"pid": b"4194000 elsewhere\n", "status": b"0\n", **files}.items():
        (job / name.replace("_", ".")).write_bytes(content)
    return Receipt(intent, intent, id)


@pytest.mark.parametrize("door", ["answer_json", "stdout"])
@pytest.mark.parametrize("name", BAD)
def test_a_document_that_is_no_answer_is_a_typed_failure_and_the_others_of_the_look_are_taken(tmp_path, door, name):
    oracle = CommandOracle("true", tmp_path)
    receipts = [
        ended(tmp_path, "r-1", "MgO", **{door: DOCUMENTS[name]}),
        ended(tmp_path, "r-2", "CaO", **{door: b'{"value": 2.5, "core_hours": 3}'}),
    ]
    bad, good = oracle.collect(receipts)
    assert (good.value, good.core_hours) == (2.5, 3.0)
    assert (bad.value, bad.kind) == (None, "invalid")
    assert is_one_line(bad.reason)
    assert checked(bad).reason == bad.reason
    assert oracle.collect(receipts[:1]) == [bad]


@pytest.mark.parametrize(
    ("content", "value", "kind", "reason"),
    [
        (b'\xef\xbb\xbf{"value": 1}', 1.0, "", ""),
        (b'{"value": 9007199254740993, "error": null, "core_hours": null}', 2.0**53, "", ""),
        (b'{"value": -0.0, "failure": null, "unit": "eV"}', -0.0, "", ""),
        (b'{"failure": "memory", "value": null}', None, "memory", "memory"),
        (b'{"failure": "walltime", "reason": "two\\n lines \\u001b[31m"}', None, "walltime", "two lines \\x1b[31m"),
        (b'{"failure": "lost", "reason": "' + 300_000 * b"x" + b'"}', None, "lost", 2000 * "x" + "…"),
    ],
)
def test_an_odd_answer_that_is_right_is_taken(tmp_path, content, value, kind, reason):
    (found,) = CommandOracle("true", tmp_path).collect([ended(tmp_path, "r-1", "MgO", stdout=content)])
    assert (found.value, found.kind, found.reason) == (value, kind, reason)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"99999999999999999999999", b"-1", b"\xff", b"1\n2\n", 400 * b"9"], ids=repr
)
def test_an_exit_code_that_is_none_is_a_crash(tmp_path, content):
    (found,) = CommandOracle("true", tmp_path).collect([ended(tmp_path, "r-1", "MgO", status=content)])
    assert (found.kind, found.reason) == ("crashed", "its exit code is not known: the file 'status' holds none")


@pytest.mark.parametrize(
    "content",
    [b"", b"0 host\n", b"-1 host\n", b"1 host\n", b"x host\n", b"99999999999 host", b"\xff\xff", b"7"],
    ids=repr,
)
def test_a_pid_that_is_none_is_nobody_s_and_nothing_waits_for_it(tmp_path, content):
    """A process group 0 or 1 would be that of the driver, or all processes there are."""
    receipt = ended(tmp_path, "r-1", "MgO", pid=content)
    (tmp_path / "r-1" / "status").unlink()
    assert process_of(tmp_path / "r-1") is None
    oracle = CommandOracle("true", tmp_path, walltime=1e-9)
    assert oracle.collect([receipt]) == []  # it may be on its way
    os.utime(tmp_path / "r-1" / "pid", (0, 0))
    (found,) = oracle.collect([receipt])
    assert (found.kind, found.reason) == ("crashed", "its process was killed, or the machine stopped")


def test_a_pipe_in_the_place_of_an_answer_does_not_hold_the_driver_up(tmp_path):
    receipt = ended(tmp_path, "r-1", "MgO")
    os.mkfifo(tmp_path / "r-1" / "answer.json")
    (found,) = CommandOracle("true", tmp_path).collect([receipt])
    assert found.reason == "r-1/answer.json: needs a regular file, found a folder, device or pipe".removeprefix("r-1/")


class AllAtOnce(CommandOracle):
    """Answers when every command has ended."""

    poll = 0.02

    def collect(self, receipts):
        found = super().collect(receipts)
        return found if len(found) == len(receipts) else []


def test_a_campaign_goes_on_after_every_document(in_memory):
    """All of them in one look, among answers that are right; those are learned from, and the next start goes on."""
    known, n = 20, 20 + len(BAD) + 5
    frame = MATERIALS.loc[np.resize(np.arange(N), n)].reset_index(drop=True)
    frame["formula"] = [f"{'known' if i < known else 'bad' if i < known + len(BAD) else 'good'}{i}" for i in range(n)]
    frame["a (eV)"] += np.arange(n) / 1000
    frame["gap (eV)"] = np.where(np.arange(n) < known, np.arange(n) / 10, np.nan)
    contents = [*(DOCUMENTS[name] for name in BAD), *(b'{"value": %d}' % number for number in range(5))]
    for id, content in zip(frame["formula"][known:], contents, strict=True):
        (in_memory / id).write_bytes(content)
    run = in_memory / "run"

    def go(budget):
        oracle = AllAtOnce(f"cat {in_memory}/{{id}}", run / "jobs", workers=8)
        return step(run, frame, more={"oracle": oracle}, oracle="command:cat", batch=200, budget=budget, calculations=8)

    go(n)
    summary = go(n + 1)
    labels = state(run).labels
    assert {id: value for id, value in labels.items() if id[0] == "g"} == {
        f"good{n - 5 + k}": float(k) for k in range(5)
    }
    failed = summary["campaign"]["failed"]
    assert [case["kind"] for case in failed] == ["invalid"] * len(BAD)
    assert all(is_one_line(case["reason"]) for case in failed)


# Notes ---------------------------------------------------------------------------------------------------------------

NOTES = [
    {"note": ["label"]},
    {"note": 7},
    {"note": "label", "id": ["M02"], "value": 1.0},
    {"note": "label", "id": 2, "value": 1.0},
    {"note": "label", "id": "M02", "value": "1.0"},
    {"note": "label", "id": "M02", "value": True},
    {"note": "label", "id": "M02", "value": None},
    {"note": "label", "id": "M02", "value": 1e300},
    {"note": "label", "id": "M02", "value": 1.0, "error": "x"},
    {"note": "label", "id": "M02", "value": 1.0, "error": [1]},
    {"note": "label", "id": "M02", "value": 1.0, "error": -1},
    {"note": "label", "id": "M02", "value": 1.0, "replace": "yes"},
    {"note": "label", "id": "M02", "value": 1.0, "source": "oracle"},
    {"note": "label", "id": "M02", "value": 1.0, "errror": 0.1},
    {"note": "label", "id": "x" * 100_000, "value": 1.0},
    {"note": "failed", "id": "M02"},
    {"note": "failed", "id": "M02", "reason": {"a": 1}},
    {"note": "retry", "ids": "M02"},
    {"note": "retry", "ids": [["M02"]]},
    {"note": "retry", "ids": {"M02": 1}},
    {"note": "retry"},
]
FILES = {**DOCUMENTS, **{f"note {number}": json.dumps([note]).encode() for number, note in enumerate(NOTES)}}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run with one iteration."""
    folder = tmp_path_factory.mktemp("begun")
    step(folder / "run")
    return folder / "run"


@pytest.mark.parametrize("name", FILES)
def test_a_note_that_is_none_is_refused_with_a_reason_and_the_others_are_taken(begun, in_memory, name):
    run = in_memory / "run"
    shutil.copytree(begun, run)
    (run / "inbox").mkdir()
    (run / "inbox" / "000000-bad.json").write_bytes(FILES[name])
    leave(run, [{"note": "label", "id": "M05", "value": 0.25}])
    told = []
    step(run, more={"talk": Talk(told.append)})
    refused = [line for line in told if line.startswith("not accepted: ")]
    assert refused
    assert all(is_one_line(line.replace(str(run), "run")) for line in refused)
    assert state(run).labels["M05"] == 0.25
    assert "M02" not in state(run).cases
    assert [path.name for path in (run / "inbox").iterdir()] == ["000000-bad.refused"]
    told.clear()
    step(run, more={"talk": Talk(told.append)})
    assert told == []


def test_a_note_that_was_refused_before_is_kept_beside_the_new_one(begun, in_memory):
    run = in_memory / "run"
    shutil.copytree(begun, run)
    (run / "inbox").mkdir()
    for content in ("first", "second"):
        (run / "inbox" / "a.json").write_text(content)
        step(run)
    assert sorted(path.read_text() for path in (run / "inbox").iterdir()) == ["first", "second"]


def test_links_and_folders_in_the_inbox_hold_nothing_up(begun, in_memory):
    run = in_memory / "run"
    shutil.copytree(begun, run)
    (run / "inbox" / "a.json").mkdir(parents=True)
    (run / "inbox" / "b.json").symlink_to("nowhere")
    (run / "inbox" / "a.refused").mkdir()
    os.mkfifo(run / "inbox" / "c.json")
    leave(run, [{"note": "label", "id": "M05", "value": 0.25}])
    told = []
    step(run, more={"talk": Talk(told.append)})
    assert sum(line.startswith("not accepted: ") for line in told) == 3
    assert state(run).labels["M05"] == 0.25


# Files of an iteration -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["summary.json", "predictions.csv", "model.json"])
@pytest.mark.parametrize("name", BAD)
def test_files_of_an_iteration_that_were_changed_are_told_in_one_line(begun, in_memory, file, name):
    run = in_memory / "run"
    shutil.copytree(begun, run)
    (run / "iter-0001" / file).write_bytes(DOCUMENTS[name])
    with pytest.raises(CampaignError) as caught:
        RunView.read(run)
    assert str(caught.value) == (
        f"{run / 'iter-0001' / file}: differs from what was written; the next discover makes the files of the newest "
        "iteration again"
    )


@pytest.mark.parametrize("file", ["summary.json", "predictions.csv", "model.json"])
def test_files_of_an_iteration_that_were_changed_are_made_again(begun, in_memory, file):
    run = in_memory / "run"
    shutil.copytree(begun, run)
    written = (run / "iter-0001" / file).read_bytes()
    (run / "iter-0001" / file).write_bytes(DOCUMENTS["deep lists"])
    step(run)
    assert (run / "iter-0001" / file).read_bytes() == written


@pytest.mark.parametrize("name", BAD)
def test_a_summary_whose_digest_nobody_has_is_read_as_what_it_is(tmp_path, name):
    """As in runs of the first schema."""
    (tmp_path / "summary.json").write_bytes(DOCUMENTS[name])
    with pytest.raises(DocumentError, match=r"summary\.json: ") as caught:
        read_summary(tmp_path)
    assert is_one_line(str(caught.value))


@pytest.mark.parametrize(
    "change", [{"proposals": {}}, {"iteration": "1"}, {"target": [1]}, {"best": 3}, {"n_labelled": -1}]
)
def test_a_summary_with_another_type_is_none(begun, tmp_path, change):
    summary = json.loads((begun / "iter-0001" / "summary.json").read_text())
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    assert read_summary(tmp_path) == summary
    (tmp_path / "summary.json").write_text(json.dumps(summary | change))
    with pytest.raises(DocumentError, match=rf"summary\.json: {next(iter(change))}"):
        read_summary(tmp_path)


# Answers of an oracle of one's own -----------------------------------------------------------------------------------

BAD_ANSWERS = [
    {"value": float("nan")},
    {"value": "1.5"},
    {"value": 10**400},
    {"value": 10**5000},
    {"value": True},
    {"value": Decimal("1.5")},
    {"value": np.array([1.5, 2.5])},
    {"value": 1j},
    {"value": 1.0, "error": "x"},
    {"value": 1.0, "error": 10**400},
    {"value": 1.0, "core_hours": float("nan")},
    {"value": 1.0, "core_hours": "12"},
    {"value": 1.0, "core_hours": -1.0},
    {"value": 1.0, "arrays": [1]},
    {"value": 1.0, "arrays": {7: np.zeros(2)}},
    {"kind": "no such kind", "reason": "so it was"},
    {"kind": ["memory"]},
    {"kind": np.zeros(2)},
    {"kind": None, "reason": None},
    {"kind": "invalid", "reason": 10_000_000 * "x"},
    {"kind": "invalid", "reason": "\ud800 \x1b[31m\nnext\0"},
    {"kind": "invalid", "reason": {"a": 1}},
    {},
]


@pytest.mark.parametrize("answer", BAD_ANSWERS, ids=lambda answer: str(list(answer)))
def test_an_answer_of_an_own_oracle_that_is_none_is_invalid(answer):
    found = checked(Answer("r-1", **answer))
    assert (found.value, found.kind) == (None, "invalid")
    assert is_one_line(found.reason)
    json.dumps(vars(found) | {"arrays": None}, allow_nan=False).encode()


def test_answers_that_were_not_asked_for_or_are_none_are_told_and_the_others_are_taken():
    told = []
    good, other = Answer("a", 1.0), Answer("b", 2.0)
    answers = [None, "a", Answer("c", 3.0), Answer(["a"], 1.0), good, good, other, Answer("b", 2.5)]
    found = checked_answers(iter(answers), {"a", "b"}, told.append)
    assert found[0] == good
    assert (found[1].kind, found[1].reason) == ("invalid", "needs one answer, found two that differ")
    assert len(told) == 4
    assert told[2] == "an answer that was not asked for is not taken: 'c'"


@pytest.mark.parametrize("answers", [None, "abc", 7, {"a": 1}])
def test_no_list_of_answers_is_asked_for_again(in_memory, answers):
    calls = itertools.count()

    class Odd(Cluster):
        def collect(self, receipts):
            return answers if next(calls) % 2 == 0 else super().collect(receipts)

    run, told = in_memory / "run", []
    options = {"oracle": Odd(in_memory / "c"), "talk": Talk(told.append)}
    step(run, more=options, oracle="command:cluster", budget=2)
    line = f"the oracle does not answer; trying again (needs a list of answers, found {answers!r})"
    assert told.count(line) == 1
    assert len(events(run, "label")) == 22


# Three answers of no use ---------------------------------------------------------------------------------------------


def broken(
    folder, is_mended=lambda id: False, reason="stdout: needs one JSON document, printed 'hello' before its JSON"
):
    def answer(intent, id):
        return Answer(intent, TRUE[id]) if is_mended(id) else Answer(intent, kind="invalid", reason=reason)

    oracle = Cluster(folder, answer=answer)
    oracle.describe = lambda: {"oracle": "command", "command": "./run.sh {id}"}
    return oracle


def test_three_answers_of_no_use_stop_a_campaign_and_it_continues_when_the_command_is_mended(in_memory):
    run, options = in_memory / "run", {"oracle": "command:cluster", "budget": 9, "retries": 1}
    with pytest.raises(OracleError) as caught:
        step(run, more={"oracle": broken(in_memory / "c")}, **options)
    first = min(event["id"] for event in events(run, "failure"))
    assert str(caught.value) == (
        f"{run}: the first 3 answers of the command './run.sh {{id}}' cannot be used; '{first}': stdout: needs one JSON "
        "document, printed 'hello' before its JSON; mend this and run the same discover command again, without --once; it "
        "tries them again"
    )
    assert caught.value.exit_code == 1
    assert len(events(run, "intent")) == 3
    n = len(events(run))
    with pytest.raises(OracleError):  # a chain of single steps ends too
        step(run, more={"oracle": broken(in_memory / "c"), "once": True}, **options)
    assert len(events(run)) == n
    asked = {event["id"] for event in events(run, "intent")}
    summary = step(run, more={"oracle": Cluster(in_memory / "m")}, **options)
    assert summary["campaign"]["evaluations"] == 9
    assert summary["campaign"]["failed"] == []
    assert asked <= set(state(run).labels)


def test_what_was_submitted_before_the_stop_is_tried_again_too(in_memory):
    """Two of a batch of five are still out when the first three answers cannot be used."""
    run, options = in_memory / "run", {"oracle": "command:cluster", "budget": 5, "batch": 5}
    oracle, out = broken(in_memory / "c"), {}
    oracle.delay = lambda intent: 0 if out.setdefault(intent, len(out)) < 3 else 5
    with pytest.raises(OracleError, match="the first 3 answers"):
        step(run, more={"oracle": oracle}, **options)
    assert len(state(run).of("submitted")) == 2
    old = {case.intent for case in state(run).of("submitted")}

    def answer(intent, id):
        return Answer(intent, kind="invalid", reason="nothing") if intent in old else Answer(intent, TRUE[id])

    told = []
    options["more"] = {"oracle": Cluster(in_memory / "c", answer=answer), "talk": Talk(told.append)}
    summary = step(run, **options)
    assert summary["campaign"]["failed"] == []
    assert len(state(run).labels) == 25
    assert sum("trying again, as it was submitted before the campaign stopped" in line for line in told) == 2


def test_answers_of_no_use_do_not_count_as_tries(in_memory):
    """The command crashes one time after it was mended; with one retry that is not the end."""
    run, options = in_memory / "run", {"oracle": "command:cluster", "budget": 3, "retries": 1}
    with pytest.raises(OracleError):
        step(run, more={"oracle": broken(in_memory / "c")}, **options)

    def answer(intent, id):
        return Answer(intent, kind="crashed") if intent.endswith("-2") else Answer(intent, TRUE[id])

    summary = step(run, more={"oracle": Cluster(in_memory / "m", answer=answer)}, **options)
    assert summary["campaign"]["failed"] == []
    assert [case.attempt for case in state(run).of("labelled") if case.source == "oracle"] == [3] * 3


@pytest.mark.parametrize("kind", sorted(kind for kind in FAILURES if kind not in {"invalid", "person"}))
def test_failures_that_the_oracle_names_do_not_stop_a_campaign(in_memory, kind):
    oracle = Cluster(in_memory / "c", answer=lambda intent, id: Answer(intent, kind=kind, reason="so it was"))
    summary = step(in_memory / "run", more={"oracle": oracle}, oracle="command:cluster", budget=6, retries=0)
    assert len(summary["campaign"]["failed"]) == 6


def test_after_an_answer_of_use_the_campaign_goes_on(in_memory):
    run, first = in_memory / "run", []
    oracle = broken(in_memory / "c", is_mended=lambda id: not first.append(id) and first[0] == id)
    summary = step(run, more={"oracle": oracle}, oracle="command:cluster", budget=7)
    assert len(summary["campaign"]["failed"]) == 6
