"""A campaign whose labels are computed: the command as a process, on the stand-in for FHI-aims, undisturbed and with faults.

Both campaigns run in ``make test-faults``. ``make test`` has their parts in tests/oracle/workflow: workers that a driver starts,
labels of several phases, failures, phases that are paid for once, dead workers.
"""

import csv
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("taskblaster")
pytest.importorskip("pyfhiaims")

import aims_stand_in
from lines import events, state
from species import write_species

from sisso_sal.campaign.inputs import all_changes, resolved
from sisso_sal.data.table import read_table
from sisso_sal.oracle.workflow.tasks import Workflow
from sisso_sal.settings.campaign import load_settings
from sisso_sal.spaces.table import TableSpace

from test_commands import call  # isort: skip

pytestmark = pytest.mark.faults
ROOT = Path(aims_stand_in.__file__).parents[1]
ASKED = {"MgO", "TiO2", "ZnO", "MgTiO3", "ZnTiO3", "Ti2O3", "PtTiO3"}
FOR_GOOD = "crash:ZnO"
MENDED = "scf:MgO,relax:TiO2,kill:Mg:1,orphan:MgTiO3:1"
SETTINGS = """
batch = 2
[run]
oracle = "aims"
calculations = 2
[model]
rung = 0
dim = 1
[ensemble]
members = 4
correction = "none"
[label]
max_prototypes = 1
[label.competitors]
MgTiO3 = ["MgO", "TiO2"]
ZnTiO3 = ["ZnO", "TiO2"]
Ti2O3 = []
[calculation]
command = "{command}"
species_dir = "species"
with_bands = false
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Measured oxides with gaps for seven candidates; one of them can have no label."""
    place = tmp_path_factory.mktemp("campaign")
    write_species(place / "species", ["Mg", "O", "Ti", "H", "Zn", "Pt"])
    with (ROOT / "data" / "oxides.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    known = [row for row in rows if row[1] and row[0] not in ASKED][:12]
    asked = [[row[0], "", *row[2:]] for row in rows if row[0] in ASKED]
    with (place / "oxides.csv").open("w", newline="") as file:
        csv.writer(file).writerows(row[:3] + row[9:12] for row in [head, *known, *asked])
    command = f"{sys.executable} {Path(aims_stand_in.__file__)}"
    (place / "campaign.toml").write_text(SETTINGS.format(command=command))
    return place


def start(folder, run, faults):
    words = [sys.executable, "-m", "sisso_sal", "discover", "oxides.csv", "--config", "campaign.toml", "--out", run]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "STAND_IN_FAULTS": faults}
    with (folder / f"{run}.log").open("a") as log:
        return subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log)


def finish(folder, run, driver):
    assert driver.wait(300) == 3, (folder / f"{run}.log").read_text()  # done, with failed calculations
    return (folder / f"{run}.log").read_text()


def kill_when(driver, folder, run, text):
    """End the driver, and it alone, as soon as its output has the text."""
    until = time.monotonic() + 120
    while text not in (folder / f"{run}.log").read_text():
        assert driver.poll() is None, (folder / f"{run}.log").read_text()
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(1.0)  # its workers are in the middle of a step
    driver.send_signal(signal.SIGKILL)
    driver.wait()


@pytest.fixture(scope="module")
def undisturbed(folder):
    return finish(folder, "calm", start(folder, "calm", FOR_GOOD))


@pytest.fixture(scope="module")
def disturbed(folder):
    """The same with faults that have a remedy, and a driver that is killed while its workers compute."""
    faults = f"{FOR_GOOD},{MENDED}"
    kill_when(start(folder, "rough", faults), folder, "rough", "iteration 1:")
    return finish(folder, "rough", start(folder, "rough", faults))


RUNS = ["calm", "rough"]


@pytest.fixture
def told_of(request):
    """What the campaign in a folder told; it runs only where a test asks for it."""
    return lambda run: request.getfixturevalue({"calm": "undisturbed", "rough": "disturbed"}[run])


def attempts(folder, run):
    return {task.name: task.document["attempts"] for task in Workflow(folder / run / "oracle", {}).tasks()}


def proposed(folder, run):
    return [[row["id"] for row in event["proposals"]] for event in events(folder / run, "proposal")]


@pytest.mark.parametrize("run", RUNS)
def test_all_that_can_be_labelled_is_and_failures_have_their_reasons(folder, told_of, run):
    told, found = told_of(run), state(folder / run)
    assert found.labels.keys() >= {"MgO", "TiO2", "Ti2O3", "MgTiO3"}
    assert [len(batch) for batch in proposed(folder, run)] == [2, 2, 2, 0]
    kinds = {case.id: case.failures[-1]["kind"] for case in found.failed}
    assert kinds == {"ZnO": "calculation", "ZnTiO3": "competitor"}
    (reason,) = [case.failures[-1]["reason"] for case in found.failed if case.id == "ZnTiO3"]
    assert reason.startswith("ZnO (failed: relax: the output ends in self-consistency cycle 1")
    assert "note: 1 of 7 candidates cannot be labelled: needs dissolved Pt(IV) (known up to Pt(II)) (1)" in told


def test_a_disturbed_campaign_comes_to_the_same_as_an_undisturbed_one(folder, undisturbed, disturbed):
    calm, rough = state(folder / "calm"), state(folder / "rough")
    assert calm.labels.keys() == rough.labels.keys()
    assert [rough.labels[id] for id in calm.labels] == pytest.approx([*calm.labels.values()], abs=1e-4)
    assert proposed(folder, "calm") == proposed(folder, "rough")


def test_faults_that_have_a_remedy_cost_a_try_and_nothing_is_computed_twice(folder, undisturbed, disturbed):
    calm, rough = attempts(folder, "calm"), attempts(folder, "rough")
    assert calm.keys() == rough.keys()
    assert {name for name in calm if calm[name] != 1} == {f"OZn/wurtzite/{step}" for step in ("relax", "static")}
    assert rough["OZn/wurtzite/relax"] == calm["OZn/wurtzite/relax"] == 2  # a crash may be a bad moment
    mended = {name for name in rough if rough[name] != calm[name]}
    chains = ("MgO/rocksalt", "Mg/element", "MgO3Ti/ilmenite")
    assert mended == {*(f"{chain}/{step}" for chain in chains for step in ("relax", "static")), "O2Ti/rutile/relax"}


@pytest.mark.parametrize("run", RUNS)
def test_shared_phases_are_charged_once(folder, told_of, run):
    told = told_of(run)
    given = [
        event["core_hours"]
        for kind in ("label", "failure")
        for event in events(folder / run, kind)
        if "intent" in event
    ]
    documents = [task.document for task in Workflow(folder / run / "oracle", {}).tasks()]
    assert sum(given) == pytest.approx(sum(document["core_hours"] for document in documents))
    (line,) = re.findall(r"6 evaluations, (\S+) core-hours; 4 fits", told)
    assert float(line) == pytest.approx(sum(given), rel=1e-3)


def test_status_tells_of_a_step_whose_worker_is_gone(folder, undisturbed, tmp_path):
    def status(*options):
        return call("status", "calm", *options, folder=tmp_path).stdout

    shutil.copytree(folder / "calm", tmp_path / "calm")
    assert json.loads(status("--json"))["silent"] == []
    with closing(sqlite3.connect(tmp_path / "calm" / "oracle" / ".taskblaster" / "registry.db")) as registry, registry:
        worker = "node7|12|a.b.1||0123456789abcdef"
        registry.execute("UPDATE registry SET state = 'r' WHERE name = 'MgO/rocksalt/relax'")
        registry.execute("UPDATE runinfo SET subworker_id = ? WHERE task_name = 'MgO/rocksalt/relax'", [worker])
    assert json.loads(status("--json"))["silent"] == [{"task": "MgO/rocksalt/relax", "worker": worker, "seconds": None}]
    told = "1 step is running without a living worker: MgO/rocksalt/relax (process 12 on node7 has ended); "
    assert told in status()


def test_other_settings_are_refused_and_another_machine_is_not(folder, undisturbed, monkeypatch):
    monkeypatch.chdir(folder)
    text = Path("campaign.toml").read_text().replace('"species"', f'"{folder}/species/"')
    Path("other.toml").write_text(text.replace("with_bands = false", 'steps = { relax = "relax-tight" }'))
    space = TableSpace(read_table("oxides.csv"))
    settings = resolved(load_settings("other.toml", {}), space)
    found = all_changes(Path("calm"), state(Path("calm")), space, settings, None, {})
    lines = ["calculation.with_bands: False -> True", "calculation.steps.relax: None -> relax-tight"]
    assert [line for line in found if "calculation" in line] == lines
