"""Makers whose jobs jobflow-remote runs: its own controller and runner, on a database in memory, in the place of a server."""

import os
from pathlib import Path

import pytest

pytest.importorskip("jobflow_remote", reason="needs jobflow-remote; pip install 'sisso-sal[jobflow-remote]'")

import jobflow_remote
from jobflow_remote.jobs.runner import Runner
from jobflow_remote.jobs.state import JobState
from maggma.stores import MemoryStore
from pymongo.errors import AutoReconnect

from sisso_sal.data.table import read_table
from sisso_sal.errors import OracleError, TakenError, UnconfirmedError
from sisso_sal.oracle.registry import check_oracle, make_oracle
from sisso_sal.protocols import Oracle, Receipt, Request
from sisso_sal.settings.campaign import CampaignSettings

TESTS = Path(__file__).parents[1]
PROJECT = """
name: materials
workers:
  here: {{type: local, scheduler_type: shell, work_dir: {work}, pre_run: "export PYTHONPATH={paths}", timeout_execute: 60}}
queue: {{store: {{type: MemoryStore}}}}
jobstore: {{docs_store: {{type: MemoryStore}}}}
runner: {{delay_checkout: 1, delay_check_run_status: 1, delay_advance_status: 1}}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of jobflow-remote, with one controller for all who ask: its database lives in this process."""
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    (tmp_path / "work").mkdir()
    (tmp_path / "projects").mkdir()
    (tmp_path / "projects" / "materials.yaml").write_text(PROJECT.format(work=tmp_path / "work", paths=paths))
    monkeypatch.setattr(jobflow_remote.SETTINGS, "projects_folder", str(tmp_path / "projects"))
    monkeypatch.setattr(jobflow_remote.SETTINGS, "project", "materials")
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setattr(MemoryStore, "close", lambda self: None)  # what is in memory would be gone
    controller = jobflow_remote.JobController.from_project_name("materials")
    controller.reset(reset_output=True, max_limit=0)
    monkeypatch.setattr(controller, "close", lambda: None)
    monkeypatch.setattr(jobflow_remote.JobController, "from_project", classmethod(lambda cls, project: controller))
    monkeypatch.setattr(type(controller.project), "get_jobstore", lambda self, name=None: controller.jobstore)
    rows = [f"{metal}O,{1.5 + 0.1 * n:.2f}," for n, metal in enumerate(("Ni", "Cu"))]
    (tmp_path / "oxides.csv").write_text("\n".join(["name,EN,e (eV/atom)", *rows, "MgO,1.3,2.0"]) + "\n")
    return controller


def settings_of(maker, **jobflow):
    jobflow = {"value": "output.energy_per_atom", "runner": "remote", **jobflow}
    return CampaignSettings.model_validate({"run": {"oracle": f"jobflow:{maker}"}, "calculation": {"jobflow": jobflow}})


@pytest.fixture
def make(tmp_path, project):
    def oracle(maker="makers:Energy", run="run", **jobflow):
        table = read_table(tmp_path / "oxides.csv", target="e (eV/atom)")
        return make_oracle(settings_of(maker, **jobflow), tmp_path / run, table)

    return oracle


def run_jobs():
    Runner(project_name="materials").run_all_jobs(max_seconds=40)


def expected(formula="NiO"):
    from makers import emt_energy

    from sisso_sal.oxides.prototypes import prototype_structures

    _, structure = next(iter(prototype_structures(formula)))
    return emt_energy(structure.to_ase_atoms()) / len(structure)


def of_intent(project, intent):
    return project.get_jobs_info(metadata={"sisso_sal_intent": intent})


@pytest.mark.parametrize(("maker", "n_jobs"), [("makers:Energy", 1), ("makers:Chained", 2)])
def test_a_flow_is_submitted_once_run_elsewhere_and_collected_later(make, project, maker, n_jobs):
    oracle = make(maker)
    assert isinstance(oracle, Oracle)
    request = Request("r-NiO-1", "NiO", {})
    assert oracle.query(request) is None
    receipt = oracle.submit(request)
    assert oracle.submit(request) == receipt
    oracle.close()
    again = make(maker)  # as after the death of the driver
    assert again.query(request) == receipt
    assert len(of_intent(project, "r-NiO-1")) == n_jobs
    assert again.collect([receipt]) == []
    run_jobs()
    (answer,) = again.collect([Receipt(receipt.intent, receipt.job, "NiO")])
    assert answer.reason == ""
    assert answer.value == pytest.approx(expected(), rel=1e-9)
    assert answer.core_hours > 0
    assert {job.metadata["sisso_sal_id"] for job in of_intent(project, "r-NiO-1")} == {"NiO"}


def test_a_flow_of_the_same_question_is_taken_up(make, project):
    first = make()
    first.submit(Request("r-NiO-1", "NiO", {}))
    second = make(run="other-run")
    receipt = second.submit(Request("s-NiO-1", "NiO", {}))
    assert receipt == Receipt("s-NiO-1", "r-NiO-1")
    assert second.query(Request("s-NiO-1", "NiO", {})) == receipt
    run_jobs()
    (one,) = first.collect([Receipt("r-NiO-1", "r-NiO-1", "NiO")])
    (two,) = second.collect([receipt])
    assert one.value == two.value == pytest.approx(expected())
    assert (one.core_hours > 0, two.core_hours) == (True, 0.0)
    assert project.count_jobs() == 1


def test_a_failed_job_is_a_failure_and_a_new_attempt_a_new_flow(make, project):
    oracle = make("makers:Misbehaving", parameters={"how": "raises"})
    receipt = oracle.submit(Request("r-NiO-1", "NiO", {}))
    run_jobs()
    (answer,) = oracle.collect([receipt])
    assert (answer.value, answer.kind) == (None, "calculation")
    assert "(misbehave): FAILED: " in answer.reason
    assert "diverged" in answer.reason
    assert oracle.submit(Request("r-NiO-2", "NiO", {})).job == "r-NiO-2"
    assert project.count_jobs() == 2


def test_an_output_without_a_number_is_invalid_and_is_kept(make, project, tmp_path):
    receipt = make(value="energy").submit(Request("r-NiO-1", "NiO", {}))
    run_jobs()
    (answer,) = make(value="energy").collect([receipt])
    assert answer.kind == "invalid"
    assert answer.reason.startswith("energy: the output has no 'energy', it has output, state")
    (found,) = make(value="output.energy").collect([receipt])
    assert found.value == pytest.approx(2 * expected())


def test_an_intent_of_another_candidate_is_refused(make, project):
    oracle = make()
    oracle.submit(Request("r-1", "NiO", {}))
    for ask in (oracle.query, oracle.submit):
        with pytest.raises(TakenError, match="the intent r-1 was made for 'NiO', not for 'CuO'"):
            ask(Request("r-1", "CuO", {}))
    (answer,) = oracle.collect([Receipt("r-1", "r-1", "CuO")])
    assert (answer.kind, answer.reason) == ("invalid", "needs the answer for 'CuO', found the flow of 'NiO'")
    (lost,) = oracle.collect([Receipt("r-9", "r-9", "NiO")])
    assert lost.kind == "lost"


def test_a_database_that_does_not_answer_leaves_the_submission_open(make, project, monkeypatch):
    oracle, request = make(), Request("r-NiO-1", "NiO", {})

    def cut(*arguments, **options):
        raise AutoReconnect("connection closed")

    with monkeypatch.context() as patch:
        patch.setattr(project, "add_flow", cut)
        with pytest.raises(UnconfirmedError, match="jobflow-remote: AutoReconnect: connection closed"):
            oracle.submit(request)
    assert oracle.query(request) is None
    oracle.submit(request)
    with monkeypatch.context() as patch:
        patch.setattr(project, "get_jobs_info", cut)
        with pytest.raises(OracleError, match="AutoReconnect"):
            oracle.collect([Receipt("r-NiO-1", "r-NiO-1", "NiO")])
    with pytest.raises(OracleError, match=r"jobflow-remote: .*far"):
        make(worker="far").submit(Request("r-CuO-1", "CuO", {}))
    assert project.count_jobs() == 1


def test_a_job_that_a_person_stopped_is_a_failure(make, project):
    oracle = make()
    receipt = oracle.submit(Request("r-NiO-1", "NiO", {}))
    project.stop_jobs(states=JobState.READY)
    (answer,) = oracle.collect([receipt])
    assert answer.kind == "calculation"
    assert "USER_STOPPED" in answer.reason


def test_doctor_tells_who_runs_the_jobs(project):
    assert (
        check_oracle(settings_of("makers:Energy"))
        == "output.energy_per_atom by makers:Energy, 1 job for MgO, by jobflow-remote"
    )
