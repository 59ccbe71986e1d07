"""A worker of a run with levels of theory works at all of them; one that is given a level, at that alone."""

import pytest
from test_commands import call, refused

pytest.importorskip("taskblaster")

from sisso_sal.oracle.workflow.outcomes import Question
from sisso_sal.oracle.workflow.run_folders import calculation_folders
from sisso_sal.oracle.workflow.tasks import Workflow

ENGINE = {"engine": "structure", "calculator": "ase.calculators.emt:EMT", "changes": {"all": {"relax": "none"}}}


def submitted(folder):
    question = Question(quantity="formation_energy", oxygen_energy=-5.0)
    workflow = Workflow(folder, ENGINE, question=question, max_prototypes=1, competitors={"NiO": ()})
    workflow.submit("NiO", "a")
    return workflow


def states(workflow):
    return {task.state for task in workflow.tasks()}


def test_the_steps_of_all_levels_are_done(tmp_path):
    run = tmp_path / "run"
    first, second = submitted(run / "levels" / "cheap" / "oracle"), submitted(run / "levels" / "dear" / "oracle")
    call("worker", "run/levels/cheap", folder=tmp_path)
    assert states(first) == {"done"}
    assert "done" not in states(second)
    last = submitted(run / "oracle")
    assert calculation_folders(run) == [workflow.root for workflow in (last, first, second)]
    call("worker", "run", folder=tmp_path)
    assert states(second) == states(last) == {"done"}
    assert "no step of a dead worker" in call("worker", "run", "--recover", folder=tmp_path).stdout


def test_a_run_without_calculations_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    assert "run: holds no calculations" in refused("worker", "run", folder=tmp_path)
