"""Looking at a run and telling it something: the commands status, label, retry, stop and ledger, as processes."""

import json
import os
import re
import shutil
import types

import pytest
from lines import KNOWN, MATERIALS, N_KNOWN, TRUE, N, contents, events, state

from sisso_sal.ledger.store import Ledger

LAST = f"M{int(KNOWN.nonzero()[0][-1]):02d}"


@pytest.fixture
def work(forks, in_memory):
    """A folder with tables, and the command in it."""
    MATERIALS.to_csv(in_memory / "table.csv", index=False)
    truth = MATERIALS[["formula"]].assign(**{"gap (eV)": MATERIALS["formula"].map(TRUE)})
    truth.to_csv(in_memory / "all.csv", index=False)
    truth[truth.index < 25].to_csv(in_memory / "some.csv", index=False)

    def call(*arguments, code=0, environment=None):
        done = forks.call(*arguments, cwd=in_memory, environment=environment)
        assert done.code == code, done
        assert "Traceback" not in done.out + done.err
        return done

    def discover(*arguments, code=0, environment=None):
        command = ("discover", "table.csv", "--out", "run", "--dim", 1, "--batch", 3)
        return call(*command, *arguments, code=code, environment=environment)

    return types.SimpleNamespace(folder=in_memory, run=in_memory / "run", call=call, discover=discover)


def proposed(work):
    return [row["id"] for row in events(work.run, "proposal")[-1]["proposals"]]


def test_people_label_what_was_proposed_and_the_next_iteration_learns(work):
    work.discover()
    first, second, third = proposed(work)
    told = work.call("status", "run").out
    assert f"proposed, no label yet: {first}, {second}, {third}" in told
    assert told.endswith(
        f"Next: sisso-sal label run {first} VALUE, for this and the others; then run the discover command again\n"
    )
    assert work.call("label", "run", first, "-1.25").out == "run: 1 event written\n"
    assert work.call("label", "run", second, "1.5", "--error", "0.2").out == "run: 1 event written\n"
    assert work.call("label", "run", third, "--failed", "no single phase").out == "run: 1 event written\n"
    found = state(work.run)
    assert (found.labels[first], found.labels[second], found.errors) == (-1.25, 1.5, {second: 0.2})
    assert found.failed[0].failures[0]["reason"] == "no single phase"
    document = json.loads(work.discover("--json").out)
    assert (document["iteration"], document["n_labelled"]) == (2, N_KNOWN + 2)
    assert document["best"] == {"id": first, "value": -1.25}
    assert not {first, second, third} & set(proposed(work))


def test_a_label_again_is_nothing_new_and_another_one_needs_replace(work):
    work.discover()
    work.call("label", "run", "M02", "0.5")
    before = contents(work.run)
    assert work.call("label", "run", "M02", "0.5").out == "run: nothing new: all of this is already in the ledger\n"
    line = work.call("label", "run", "M02", "0.75", code=2).error
    assert line == "error: label of 'M02': is already 0.5; --replace (in Python replace=True) changes it to 0.75"
    assert contents(work.run) == before
    work.call("label", "run", "M02", "0.75", "--replace", "--error", "0.1")
    assert (state(work.run).labels["M02"], state(work.run).errors["M02"]) == (0.75, 0.1)
    line = work.call("label", "run", "M02", "--failed", "x", code=2).error
    assert line == "error: 'M02': has the label 0.75; a label cannot be removed"


def test_labels_come_from_a_table_with_their_errors(work):
    work.discover()
    (work.folder / "results.csv").write_text(
        "formula,gap (eV),gap error (eV),remark\nM02,0.25,0.05,x\nM05,1.25,,y\nM08,,,not yet\n"
    )
    assert work.call("label", "run", "--file", "results.csv").out == "run: 2 events written\n"
    found = state(work.run)
    assert (found.labels["M02"], found.labels["M05"], found.errors) == (0.25, 1.25, {"M02": 0.05})
    assert "M08" not in found.labels
    assert {event["source"] for event in events(work.run, "label")} == {"table", "file"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("formula,gap (eV)\nM02,0.5\nM99,0.5\n", "error: 'M99': is no candidate of this run; did you mean 'M29'?"),
        (
            f"formula,gap (eV)\nM02,0.5\n{LAST},9.5\n",
            f"error: label of '{LAST}': is already {TRUE[LAST]}; --replace (in Python replace=True) changes it to 9.5",
        ),
        (
            "formula,gap (meV)\nM02,500\n",
            "error: results.csv: target column 'gap (eV)' is missing; did you mean 'gap (meV)'?",
        ),
        (
            "formula,gap (eV),gap error (meV)\nM02,0.5,20\n",
            "error: results.csv: needs 'gap error' in 'eV', found 'meV'",
        ),
        ("name,gap (eV)\nM02,0.5\n", "error: results.csv: id column 'formula' is missing"),
        (
            "formula,gap (eV)\nM02,0.5\nM02,0.6\n",
            "error: results.csv: row 2 (line 3), column 'formula': ids must differ",
        ),
    ],
)
def test_a_table_of_labels_is_taken_whole_or_not_at_all(work, content, told):
    work.discover()
    (work.folder / "results.csv").write_text(content)
    before = contents(work.run)
    assert work.call("label", "run", "--file", "results.csv", code=2).error.startswith(told)
    assert contents(work.run) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["label", "run", "M2", "0.5"], "error: 'M2': is no candidate of this run; did you mean 'M"),
        (["label", "run", "M02", "nan"], "error: Invalid value for '[VALUE]': needs a number, found 'nan'"),
        (
            ["label", "run", "M02", "1e308"],
            "error: Invalid value for '[VALUE]': needs a number no larger than 1e+100 in size, found '1e308'",
        ),
        (["label", "run", "M02", "much"], "error: Invalid value for '[VALUE]': needs a number, found 'much'"),
        (
            ["label", "run", "M02"],
            "error: needs ID and VALUE, ID and --failed REASON, --file TABLE, or --from folder:PATH",
        ),
        (
            ["label", "run", "M02", "1", "--failed", "x"],
            "error: needs ID and VALUE, ID and --failed REASON, --file TABLE, or --from folder:PATH",
        ),
        (
            ["label", "run", "M02", "--file", "all.csv"],
            "error: --file cannot be combined with ID, VALUE, --error or --failed",
        ),
        (
            ["label", "nowhere", "M02", "1"],
            "error: nowhere: needs a run folder, found none of this name; runs here: run",
        ),
        (["status", "nowhere"], "error: nowhere: needs a run folder, found none of this name; runs here: run"),
        (["ledger", "nowhere"], "error: nowhere: needs a run folder, found none of this name; runs here: run"),
        (["retry", "run"], "error: run: needs a failed calculation to retry, found none"),
        (["retry", "run", "M02"], "error: 'M02': needs a failed calculation to retry, found none"),
    ],
)
def test_what_cannot_be_told_is_refused_in_one_line(work, arguments, told):
    work.discover()
    before = contents(work.run)
    assert work.call(*arguments, code=2).error.startswith(told)
    assert contents(work.run) == before


def test_while_a_driver_is_at_work_notes_are_left_for_it_and_the_rest_can_be_read(work):
    work.discover()
    with Ledger(work.run):
        told = "run: a driver is running: left in run/inbox, the driver adds them at its next step\n"
        assert work.call("label", "run", "M02", "0.5").out == told
        assert work.call("stop", "run").out == told
        assert "running, process" in work.call("status", "run").out
        document = json.loads(work.call("status", "run", "--json").out)
        assert (document["standing"], document["driver"]["pid"]) == ("running", os.getpid())
        assert len(work.call("ledger", "run").out.splitlines()) == len(events(work.run))
        line = work.discover(code=75).error
        assert line.startswith("error: run: another process is driving this run")
    assert len(events(work.run, "label")) == N_KNOWN
    done = work.discover("--json")
    assert "note: recorded: label of M02 0.5" in done.err
    assert "note: recorded: stop" in done.err
    assert state(work.run).labels["M02"] == 0.5
    assert list((work.run / "inbox").iterdir()) == []


def test_a_campaign_with_failures_exits_3_says_which_and_goes_on_after_retry(work):
    arguments = ("--oracle", "lookup:some.csv", "--budget", 8)
    done = work.discover(*arguments, code=3)
    failed = [case.id for case in state(work.run).failed]
    assert failed
    for id in failed:
        assert f"\n{id}  " in done.out
        assert "some.csv has no label for it" in done.out
    assert "Stopped: the budget of 8 evaluations is spent" in done.out
    assert "or sisso-sal retry run" in done.out
    assert "not tried again" in done.err
    status = work.call("status", "run").out
    assert re.search(r"run: stopped at [-0-9]+ [0-9:]+: the budget of 8 evaluations is spent\n", status)
    assert "no_label" in status
    shutil.copy(work.folder / "all.csv", work.folder / "some.csv")
    assert work.call("retry", "run").out == f"run: {len(failed)} event{'s' if len(failed) > 1 else ''} written\n"
    work.discover(*arguments)
    assert state(work.run).failed == []
    assert len(state(work.run).asked) == 8


def test_a_lookup_whose_labels_changed_is_refused_with_a_diff(work):
    work.discover("--oracle", "lookup:all.csv", "--budget", 3)
    first = proposed(work)  # of the last iteration
    known = events(work.run, "proposal")[0]["proposals"][0]["id"]
    text = (work.folder / "all.csv").read_text().replace(f"{known},{TRUE[known]}", f"{known},77.5")
    (work.folder / "all.csv").write_text(text)
    before = contents(work.run)
    done = work.discover("--oracle", "lookup:all.csv", "--budget", 6, code=2)
    assert done.err.splitlines()[-2:] == [
        "error: run: this run was started with other inputs; give another --out, or undo these changes:",
        f"  all.csv: row '{known}': {TRUE[known]} -> 77.5",
    ]
    assert contents(work.run) == before
    assert first


def test_the_ledger_is_printed_as_json_lines_and_verified(work):
    work.discover("--oracle", "lookup:all.csv", "--budget", 3)
    lines = [json.loads(line) for line in work.call("ledger", "run").out.splitlines()]
    assert lines == events(work.run)
    label = next(line for line in lines if line["event"] == "label" and line["source"] == "oracle")
    assert label["value"] == TRUE[label["id"]]
    about = [json.loads(line) for line in work.call("ledger", "run", "--id", label["id"]).out.splitlines()]
    kinds = [event["event"] for event in about]
    assert kinds == ["created", "model", "proposal", "intent", "receipt", "label", "model"]
    told = work.call("ledger", "run", "--verify").out
    assert told == f"run: {len(lines)} events, none changed; the copy of the ledger and all files agree with them\n"
    (work.run / "iter-0001" / "predictions.csv").write_text("x")
    done = work.call("ledger", "run", "--verify", code=2)
    assert done.out == "iter-0001/predictions.csv: differs from what was written\n"
    assert done.error == "error: run: 1 finding, see above"


def test_a_damaged_ledger_is_read_told_and_mended_by_the_next_discover(work):
    work.discover("--oracle", "lookup:all.csv", "--budget", 3)
    whole = work.call("ledger", "run").out
    path = work.run / "campaign.db"
    path.write_bytes(path.read_bytes()[:-3000])
    done = work.call("ledger", "run")
    assert done.out == whole
    assert done.err.startswith("note: the ledger is damaged (")
    assert f"{len(whole.splitlines())} events can be read; the next discover repairs it" in done.err
    assert "note: the ledger is damaged" in work.call("status", "run").err
    done = work.discover("--oracle", "lookup:all.csv", "--budget", 3)
    assert "kept as campaign.db.damaged-1" in done.err
    assert work.call("ledger", "run").out == whole
    assert work.call("ledger", "run", "--verify").code == 0


def test_status_shows_every_proposal_back_to_its_origin(work):
    work.discover("--oracle", "lookup:all.csv", "--budget", 3, "--seed", 11)
    document = json.loads(work.call("status", "run", "--json").out)
    made, by_seq = document["provenance"], {event["seq"]: event for event in events(work.run)}
    proposal, model = by_seq[made["proposal_event"]], by_seq[made["model_event"]]
    assert (proposal["event"], proposal["model"], proposal["seed"]) == ("proposal", model["seq"], 11)
    assert by_seq[made["settings_event"]]["settings"]["seed"] == made["seed"] == 11
    assert made["sha256"] == model["files"]["model.json"]
    assert {"python", "sisso-sal", "numpy"} <= made["versions"].keys()
    assert [row["iteration"] for row in document["iterations"]] == [1, 2]
    assert (document["n_labelled"], document["n_candidates"]) == (N_KNOWN + 3, N - N_KNOWN - 3)
    assert document["stop"]["kind"] == "budget"
    assert document["sources"] == {"table": N_KNOWN, "oracle": 3}
    assert document["best"]["source"] in document["sources"]
    screen = work.call("status", "run").out
    assert f"{N_KNOWN + 3} labelled ({N_KNOWN} from table, 3 from oracle)" in screen
    assert len(screen.splitlines()) <= 24
    assert (
        f"last proposal: event {made['proposal_event']}, model {made['model']} (sha256 {made['sha256'][:12]})" in screen
    )


def test_a_dry_run_shows_the_proposals_and_writes_nothing(work):
    done = work.discover("--dry-run")
    assert done.out.startswith(
        f"Dry run: nothing was written. Iteration 1 of run would learn from {N_KNOWN} labels and propose\n"
    )
    assert not work.run.exists()
    work.discover()
    rows = [line.split() for line in done.out.partition("\n\n")[0].splitlines()[2:]]
    assert [row[1] for row in rows if row and row[0].isdigit() and not row[1].endswith(":")] == proposed(work)
    assert done.out.endswith("\n\nNext: run the same command without --dry-run\n")
    assert "learned from" in work.discover("--dry-run").out
    assert json.loads(work.discover("--dry-run", "--json").out)["iteration"] == 1


def test_once_does_one_step_for_cron(work):
    arguments = ("--oracle", "lookup:all.csv", "--budget", 5, "--once", "--json")
    found = [json.loads(work.discover(*arguments).out)["campaign"] for _ in range(4)]
    assert [len(document["pending"]) for document in found] == [3, 2, 0, 0]
    assert [document["stop"] is not None for document in found] == [False, False, True, True]
    work.call("stop", "run")
    again = work.discover("--oracle", "lookup:all.csv", "--budget", 9, "--once", "--json")
    assert json.loads(again.out)["campaign"]["evaluations"] == 5
    assert json.loads(work.discover(*arguments[:2], "--budget", 9, "--json").out)["campaign"]["evaluations"] == 9


def test_what_may_change_is_told_in_the_ledger_and_the_rest_refused(work):
    work.discover("--budget", 3)
    work.discover("--budget", 5, "--retries", 1)
    assert events(work.run, "settings")[0]["changes"] == ["run.budget: 3 -> 5", "run.retries: 3 -> 1"]
    done = work.discover("--budget", 5, "--retries", 1, "--asynchronous", code=2)
    assert done.err.splitlines()[-1] == "  asynchronous: False -> True"


def test_a_run_that_goes_on_is_not_changed_by_environment_or_user_settings_unsaid(work):
    """The user's file counts when a run begins; a variable is refused, or told where it may change, with its name."""
    own = work.folder / "sisso-sal" / "settings.toml"
    own.parent.mkdir()
    own.write_text('acquisition = "mean"\n[model]\nn_sis = 7\n')
    mine = {"XDG_CONFIG_HOME": str(work.folder)}
    work.discover("--budget", 9, environment=mine)
    (created,) = events(work.run, "created")
    assert created["settings"]["acquisition"] == "mean"
    assert created["origins"]["model.n_sis"] == {"kind": "user", "place": str(own)}
    assert created["origins"]["batch"] == {"kind": "option", "place": "--batch"}

    own.write_text('acquisition = "std"\n[ensemble]\nmembers = 3\n')
    before = contents(work.run)
    for environment in (mine, {}):  # the file is another one, or gone
        assert work.discover("--budget", 9, environment=environment).err == ""
        assert contents(work.run) == before

    line = work.discover("--budget", 9, code=2, environment={"SISSO_SAL_N_SIS": "8", "SISSO_SAL_GOAL": "max"}).err
    head = "error: run: this run was started with other inputs; give another --out, or undo these changes:\n"
    assert line == f"{head}  goal: min -> max (SISSO_SAL_GOAL)\n  model.n_sis: 7 -> 8 (SISSO_SAL_N_SIS)\n"
    assert contents(work.run) == before

    done = work.discover(environment={"SISSO_SAL_BUDGET": "8"})
    assert done.err == "note: setting changed since the last start: run.budget: 9 -> 8 (SISSO_SAL_BUDGET)\n"
    assert events(work.run, "settings")[-1]["changes"] == ["run.budget: 9 -> 8 (SISSO_SAL_BUDGET)"]
    line = work.discover(code=2, environment={"SISSO_SAL_BUDGETS": "8"}).error
    assert line == "error: SISSO_SAL_BUDGETS: unknown setting in the environment; did you mean SISSO_SAL_BUDGET?"


def test_what_people_tell_is_answered_as_json(work):
    work.discover()
    first, second, _ = proposed(work)
    answers = [
        json.loads(work.call("label", "run", first, "-1.25", "--json").out),
        json.loads(work.call("label", "run", first, "-1.25", "--json").out),
        json.loads(work.call("label", "run", second, "--failed", "x", "--json").out),
        json.loads(work.call("retry", "run", "--json").out),
        json.loads(work.call("stop", "run", "--json").out),
    ]
    assert [answer["n_events"] for answer in answers] == [1, 0, 1, 1, 1]
    assert all(answer["run"] == "run" and not answer["left_for_driver"] for answer in answers)
    done = work.call("ledger", "run", "--verify", "--json")
    assert json.loads(done.out) == {"run": "run", "n_events": len(events(work.run)), "findings": []}
    assert done.err == ""
    assert work.call("stop", "run").err == "Next: run the discover command again to continue\n"
    assert work.call("stop", "run", "--quiet").err == ""


def test_files_of_an_iteration_that_are_gone_are_told_by_status(work):
    work.discover("--oracle", "lookup:all.csv", "--budget", 3)
    shutil.rmtree(work.run / "iter-0001")
    told = "missing files: iter-0001/model.json, iter-0001/predictions.csv, iter-0001/proposals.csv, iter-0001/summary.json"
    assert told in work.call("status", "run").out
