"""The oracles that come with the program: a column of a table, and a command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lines import MATERIALS, TRUE, state, step, table_of

from sisso_sal.errors import CampaignError, SettingsError, TableError
from sisso_sal.oracle.command import CommandOracle
from sisso_sal.oracle.lookup import Lookup
from sisso_sal.oracle.registry import make_oracle
from sisso_sal.protocols import Oracle, Receipt, Request
from sisso_sal.settings.campaign import CampaignSettings, RunSettings

PATIENCE = 30.0


def request(id="MgO", intent="r-MgO-1"):
    return Request(intent, id, {"formula": id, "a (eV)": 1.25})


def answers(oracle, *receipts):
    """What comes back, waited for."""
    found = {}
    end = time.monotonic() + PATIENCE
    while len(found) < len(receipts):
        assert time.monotonic() < end, f"no answer, found {found}"
        left = [receipt for receipt in receipts if receipt.intent not in found]
        found |= {answer.intent: answer for answer in oracle.collect(left)}
        time.sleep(0.01)
    return [found[receipt.intent] for receipt in receipts]


def answer_of(folder, script, **options):
    oracle = CommandOracle(f"sh -c '{script}' sh {{id}}", folder, **options)
    (found,) = answers(oracle, oracle.submit(request()))
    return found


# Lookup --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("name,gap (eV),note\nMgO,7.8,x\nCaO,,y\nBaO,4.0,z\n")
    return path


def test_a_lookup_answers_with_the_column_and_says_what_it_does_not_have(truth):
    oracle = Lookup(truth, "gap (eV)", "name")
    assert isinstance(oracle, Oracle)
    receipts = [oracle.submit(request(id, f"r-{id}-1")) for id in ("MgO", "CaO", "TiO2")]
    assert oracle.query(request("MgO", "r-MgO-1")) == receipts[0]
    found = oracle.collect(receipts)
    assert [answer.value for answer in found] == [7.8, None, None]
    assert [answer.kind for answer in found] == ["", "no_label", "no_label"]
    assert found[1].reason == f"{truth} has no label for it"
    assert Lookup(truth, "gap (eV)", "name").collect(receipts) == found


def test_a_lookup_in_another_unit_or_without_the_column_is_refused(truth):
    with pytest.raises(TableError, match=r"truth.csv: target column 'E_gap \(eV\)' is missing"):
        Lookup(truth, "E_gap (eV)", "name")
    with pytest.raises(TableError, match=r"truth.csv: target column 'gap \(meV\)' is missing"):
        Lookup(truth, "gap (meV)", "name")


def test_labels_that_changed_since_they_were_given_are_told(truth):
    oracle = Lookup(truth, "gap (eV)", "name")
    assert oracle.differences({"MgO": 7.8}) == []
    truth.write_text("name,gap (eV)\nMgO,7.9\nBaO,4.0\nSrO,5.0\n")
    changed = Lookup(truth, "gap (eV)", "name").differences({"MgO": 7.8, "BaO": 4.0, "TiO2": 3.2})
    assert changed == [f"{truth}: row 'MgO': 7.8 -> 7.9", f"{truth}: row 'TiO2': 3.2 -> no label"]


def test_a_campaign_over_a_lookup_that_changed_is_refused_with_a_diff(tmp_path):
    run, path = tmp_path / "run", tmp_path / "all.csv"
    frame = MATERIALS[["formula"]].assign(**{"gap (eV)": MATERIALS["formula"].map(TRUE)})
    frame.to_csv(path, index=False)
    spec = f"lookup:{path}"

    def go(budget):
        oracle = make_oracle(CampaignSettings(run=RunSettings(oracle=spec)), run, table_of(MATERIALS, tmp_path))
        return step(run, more={"oracle": oracle}, oracle=spec, budget=budget)

    go(3)
    known = next(case.id for case in state(run).of("labelled") if case.source == "oracle")
    frame.loc[frame["formula"] == known, "gap (eV)"] = 99.0
    frame.to_csv(path, index=False)
    with pytest.raises(CampaignError, match=rf"all\.csv: row '{known}': {TRUE[known]} -> 99\.0"):
        go(6)


# Command -------------------------------------------------------------------------------------------------------------


def test_a_command_gets_the_request_as_file_and_input_and_answers_on_its_output(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import json, os, sys\n"
        "asked = json.load(sys.stdin)\n"
        "assert asked == json.load(open(os.environ['SISSO_SAL_REQUEST']))\n"
        "print(json.dumps({'value': 2 * asked['candidate']['a (eV)'], 'error': 0.5, 'core_hours': 3, 'id': sys.argv[1]}))\n"
    )
    oracle = CommandOracle(f"{sys.executable} {script} {{id}}", tmp_path / "jobs")
    assert isinstance(oracle, Oracle)
    receipt = oracle.submit(request("Mg O;x"))
    (found,) = answers(oracle, receipt)
    assert (found.value, found.error, found.core_hours, found.kind) == (2.5, 0.5, 3.0, "")
    job = tmp_path / "jobs" / "r-MgO-1"
    asked = {"intent": "r-MgO-1", "id": "Mg O;x", "candidate": {"formula": "Mg O;x", "a (eV)": 1.25}}
    assert json.loads((job / "request.json").read_text()) == asked
    assert answers(oracle, receipt) == [found]


def test_a_command_may_write_its_answer_to_a_file(tmp_path):
    script = 'echo talk; echo "{\\"value\\": 1.5}" > "$SISSO_SAL_ANSWER"; test -d "$SISSO_SAL_FOLDER"'
    found = answer_of(tmp_path, script)
    assert (found.value, found.error) == (1.5, None)
    assert 0 <= found.core_hours < 0.01
    oracle = CommandOracle("sh -c 'cp $1 $0.copy; echo {}' {answer} {request}", tmp_path)
    answers(oracle, oracle.submit(request("CaO", "r-CaO-1")))
    assert json.loads((tmp_path / "r-CaO-1" / "answer.json.copy").read_text())["id"] == "CaO"


@pytest.mark.parametrize(
    ("script", "kind", "reason"),
    [
        ("echo bad >&2; echo worse >&2; exit 3", "crashed", "exit code 3: worse"),
        ("kill -9 $$", "crashed", "killed by signal 9"),
        ("exit 0", "invalid", "stdout: needs one JSON document, found nothing"),
        ("echo one; echo two; echo three", "invalid", "stdout: needs a JSON document, found: Expecting value: line 1 "),
        ("echo 1.5", "invalid", 'needs an answer such as {"value": 1.5}, found 1.5'),
        (
            'echo SCF cycle 1; echo "{\\"value\\": 1.5}"',
            "invalid",
            "stdout: needs one JSON document, printed 'SCF cycle 1' before its JSON",
        ),
        (
            'echo "{\\"value\\": 1.5"',
            "invalid",
            "stdout: needs a JSON document, found: Expecting ',' delimiter: line 2 ",
        ),
        ('echo "{\\"value\\": \\"1.5\\"}"', "invalid", 'needs an answer such as {"value": 1.5}, found '),
        ('echo "{\\"value\\": true}"', "invalid", 'needs an answer such as {"value": 1.5}, found '),
        ('echo "{\\"value\\": 1, \\"error\\": \\"x\\"}"', "invalid", 'needs an answer such as {"value": 1.5}, found '),
        ('echo "{\\"value\\": 1, \\"id\\": \\"CaO\\"}"', "invalid", "needs the answer for 'MgO', found one for 'CaO'"),
        ('echo "{\\"failure\\": \\"not_converged\\", \\"reason\\": \\"scf\\"}"', "not_converged", "scf"),
        ('echo "{\\"failure\\": \\"memory\\"}"; exit 1', "memory", "memory"),
        ('echo "{\\"failure\\": \\"bad luck\\"}"', "invalid", "bad luck"),
    ],
)
def test_what_is_no_label_is_a_typed_failure(tmp_path, script, kind, reason):
    found = answer_of(tmp_path, script)
    assert (found.value, found.kind) == (None, kind)
    assert found.reason.startswith(reason)


def test_the_same_intent_is_started_once_whoever_submits_it(tmp_path):
    script = f'sh -c \'echo x >> {tmp_path}/count; sleep 0.3; echo "{{\\"value\\": 1}}"\''
    first = CommandOracle(script, tmp_path / "jobs", workers=4)
    assert first.query(request()) is None
    receipt = first.submit(request())
    assert first.submit(request()) == receipt
    other = CommandOracle(script, tmp_path / "jobs", workers=4)
    assert other.query(request()) == receipt
    assert other.submit(request()) == receipt
    assert answers(other, receipt)[0].value == 1
    assert answers(first, receipt)[0].value == 1
    assert first.submit(request()) == receipt
    assert (tmp_path / "count").read_text() == "x\n"


@pytest.mark.parametrize("workers", [1, 3])
def test_as_many_run_at_a_time_as_there_are_workers(tmp_path, workers):
    script = f'sh -c \'echo + >> {tmp_path}/log; sleep 0.1; echo - >> {tmp_path}/log; echo "{{\\"value\\": 1}}"\''
    oracle = CommandOracle(script, tmp_path / "jobs", workers=workers)
    answers(oracle, *[oracle.submit(request(f"M{i}", f"r-M{i}-1")) for i in range(7)])
    running = most = 0
    for sign in (tmp_path / "log").read_text().split():
        running += 1 if sign == "+" else -1
        most = max(most, running)
    assert most == workers


def test_a_command_outlives_the_driver_that_started_it(tmp_path):
    script = 'sh -c \'sleep 1; echo "{\\"value\\": 4.5}"\''
    code = (
        "import os, signal, sys; from sisso_sal.oracle.command import CommandOracle; from sisso_sal.protocols import Request\n"
        "CommandOracle(sys.argv[1], sys.argv[2]).submit(Request('r-MgO-1', 'MgO', {}))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, script, tmp_path / "jobs"], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    oracle = CommandOracle(script, tmp_path / "jobs")
    receipt = oracle.query(request())
    assert oracle.collect([receipt]) == []
    assert answers(oracle, receipt)[0].value == 4.5


def test_a_worker_that_was_killed_is_seen_at_the_next_look(tmp_path):
    oracle = CommandOracle("sleep 60", tmp_path / "jobs", workers=60)
    receipts = [oracle.submit(request(f"M{i}", f"r-M{i}-1")) for i in range(50)]
    end = time.monotonic() + PATIENCE
    pids = [tmp_path / "jobs" / receipt.job / "pid" for receipt in receipts]
    while not all(path.exists() and path.read_text().endswith("\n") for path in pids):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert oracle.collect(receipts) == []
    for path in pids:
        os.killpg(int(path.read_text().split()[0]), signal.SIGKILL)
    found = answers(oracle, *receipts)
    assert {answer.kind for answer in found} == {"crashed"}
    assert {answer.reason for answer in found} == {"its process was killed, or the machine stopped"}


def test_a_submission_that_was_accepted_and_not_started_is_started_by_the_next_look(tmp_path):
    """As after a crash between the two."""
    job = tmp_path / "jobs" / "r-MgO-1"
    job.mkdir(parents=True)
    (job / "request.json").write_text(json.dumps({"intent": "r-MgO-1", "id": "MgO", "candidate": {}}))
    oracle = CommandOracle('sh -c \'echo "{\\"value\\": 2}"\'', tmp_path / "jobs")
    receipt = oracle.query(request())
    assert answers(oracle, receipt)[0].value == 2


def test_a_folder_that_is_gone_is_a_loss(tmp_path):
    oracle = CommandOracle("true", tmp_path / "jobs")
    (found,) = oracle.collect([Receipt("r-MgO-1", "r-MgO-1")])
    assert (found.kind, found.reason) == ("lost", "the folder r-MgO-1 is gone")


def test_a_command_is_ended_at_its_time_limit(tmp_path):
    oracle = CommandOracle("sleep 60", tmp_path / "jobs", walltime=0.2 / 3600)
    (found,) = answers(oracle, oracle.submit(request()))
    assert (found.kind, found.reason) == ("walltime", "ended after 5.556e-05 hours")


def test_a_process_of_another_host_is_not_declared_dead(tmp_path):
    oracle = CommandOracle("true", tmp_path / "jobs")
    job = tmp_path / "jobs" / "r-MgO-1"
    job.mkdir(parents=True)
    (job / "request.json").write_text('{"intent": "r-MgO-1", "id": "MgO", "candidate": {}}')
    (job / "pid").write_text("1234 login2\n")
    assert oracle.collect([oracle.query(request())]) == []


@pytest.mark.parametrize(("age", "is_over"), [(3600.0, False), (4100.0, False), (4300.0, True)])
def test_a_command_of_another_host_that_gives_no_answer_has_failed_after_its_time(tmp_path, age, is_over):
    """Its host, or the job that it ran in, may be gone; clocks may differ by ten minutes."""
    oracle = CommandOracle("true", tmp_path / "jobs", walltime=1.0)
    job = tmp_path / "jobs" / "r-MgO-1"
    job.mkdir(parents=True)
    (job / "request.json").write_text('{"intent": "r-MgO-1", "id": "MgO", "candidate": {}}')
    (job / "pid").write_text("1234 login2\n")
    os.utime(job / "pid", (time.time() - age, time.time() - age))
    found = oracle.collect([oracle.query(request())])
    told = [("walltime", "on login2, no answer after 1 hours", 1.0)] if is_over else []
    assert [(answer.kind, answer.reason, answer.core_hours) for answer in found] == told


@pytest.mark.parametrize("command", ["", "   ", "no-such-program-here {id}", "sh -c 'open"])
def test_a_command_that_cannot_run_is_refused(tmp_path, command):
    with pytest.raises(SettingsError, match=r"^oracle: needs a command"):
        CommandOracle(command, tmp_path)


def test_a_program_is_found_from_where_the_command_was_given(tmp_path, monkeypatch):
    (tmp_path / "run.sh").write_text('#!/bin/sh\necho "{\\"value\\": 3}"\n')
    (tmp_path / "run.sh").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    oracle = CommandOracle("./run.sh {id}", "jobs")
    monkeypatch.chdir("/")
    assert answers(oracle, oracle.submit(request()))[0].value == 3
    assert oracle.describe() == {"oracle": "command", "command": "./run.sh {id}"}


@pytest.mark.parametrize("spec", ["aims:x", "lookup", "lookup:", "none:x", "command:"])
def test_an_oracle_that_does_not_exist_is_refused(spec, tmp_path):
    told = rf"^oracle: needs none, aims, structure, lookup:FILE, folder:PATH, command:COMMAND or jobflow:MAKER, found '{spec}'$"
    with pytest.raises(SettingsError, match=told):
        make_oracle(CampaignSettings(run=RunSettings(oracle=spec)), Path("run"), table_of(MATERIALS, tmp_path))


def test_commands_need_a_worker(tmp_path):
    settings = CampaignSettings(run=RunSettings(oracle="command:true", calculations=0))
    with pytest.raises(
        SettingsError, match=r"^run.calculations: needs 1 or more with an oracle command:COMMAND, found 0$"
    ):
        make_oracle(settings, Path("run"), table_of(MATERIALS, tmp_path))


def test_a_campaign_through_a_command_is_the_one_through_a_lookup(tmp_path):
    """Dying commands included: the picks are those of the labels."""
    frame = MATERIALS[["formula"]].assign(**{"gap (eV)": MATERIALS["formula"].map(TRUE)})
    frame.to_csv(tmp_path / "all.csv", index=False)
    script = tmp_path / "run.sh"
    script.write_text(
        "#!/bin/sh\n"
        "case $SISSO_SAL_FOLDER in *-1) kill -9 $$;; esac\n"
        f'grep "^$1," {tmp_path}/all.csv | sed \'s/.*,\\(.*\\)/{{"value": \\1}}/\'\n'
    )
    script.chmod(0o755)
    proposed = []
    for name, spec in (("lookup", f"lookup:{tmp_path}/all.csv"), ("command", f"command:{script} {{id}}")):
        run = tmp_path / name
        settings = CampaignSettings(run=RunSettings(oracle=spec, calculations=3))
        oracle = make_oracle(settings, run, table_of(MATERIALS, tmp_path))
        found = step(run, more={"oracle": oracle}, oracle=spec, budget=5, calculations=3)
        proposed.append([row["proposed"] for row in found["campaign"]["iterations"]])
    assert proposed[0] == proposed[1]
    assert len(proposed[0]) == 3
    assert all(case.attempt == 2 for case in state(tmp_path / "command").of("labelled") if case.source == "oracle")
