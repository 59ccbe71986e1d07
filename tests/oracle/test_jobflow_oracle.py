"""Makers of jobflow as oracles: their outputs by a path of keys, killed and failing jobs, and phases of a label."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from examples import blocks
from lines import events, state

from sisso_sal.data.table import read_table
from sisso_sal.errors import DocumentError, InputError, SettingsError
from sisso_sal.oracle.engines.jobflow_maker import at_path, number_at
from sisso_sal.oracle.registry import check_oracle, make_oracle
from sisso_sal.protocols import FAILURES, Oracle, Request
from sisso_sal.settings.campaign import CampaignSettings, load_settings
from sisso_sal.settings.written import differences

TESTS = Path(__file__).parents[1]
METALS = ("Ni", "Cu", "Pd", "Ag", "Pt", "Au", "Al")
PATIENCE = 120.0
needs_jobflow = pytest.mark.skipif(
    importlib.util.find_spec("jobflow") is None, reason="needs jobflow; pip install 'sisso-sal[jobflow]'"
)


@pytest.fixture
def oxides(tmp_path, monkeypatch):
    """Oxides of metals that the effective-medium potential knows; labels of those that are known are no energies of it."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("MAKERS_LOG", str(tmp_path / "began"))
    monkeypatch.setenv("MAKERS_FOLDER", str(tmp_path))
    rows = [f"{metal}O,{1.5 + 0.1 * n:.2f},{n % 3 + 1}," for n, metal in enumerate(METALS[:4])]
    known = [f"{metal}O,{1.0 + 0.07 * n:.2f},{n % 4 + 1},{1.0 + 0.3 * n:.2f}" for n, metal in enumerate(
        ("Mg", "Ca", "Sr", "Ba", "Zn", "Cd", "Mn", "Fe", "Co", "Be", "Ti", "V"))]  # fmt: skip
    (tmp_path / "oxides.csv").write_text("\n".join(["name,EN,N_val,e (eV/atom)", *known, *rows]) + "\n")
    return tmp_path


def settings_of(maker, jobflow, **sections):
    run = {"oracle": f"jobflow:{maker}", **sections.pop("run", {})}
    return CampaignSettings.model_validate({"run": run, "calculation": {"jobflow": jobflow}, **sections})


def oracle_of(folder, maker="makers:Energy", value="output.energy_per_atom", run="run", **jobflow):
    settings = settings_of(maker, {"value": value, **jobflow})
    return make_oracle(settings, folder / run, read_table(folder / "oxides.csv", target="e (eV/atom)"))


def answer(oracle, id="NiO", intent="r-NiO-1"):
    receipt = oracle.submit(Request(intent, id, {}))
    until = time.monotonic() + PATIENCE
    while not (found := oracle.collect([receipt])):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found[0]


def expected(formula="NiO"):
    """The energy for each atom of the first prototype, by EMT without jobflow."""
    from makers import emt_energy

    from sisso_sal.oxides.prototypes import prototype_structures

    _, structure = next(iter(prototype_structures(formula)))
    return emt_energy(structure.to_ase_atoms()) / len(structure)


def begun(folder):
    return (folder / "began").read_text().split()


# A path of keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (
            "output.energy_per_aotm",
            "output.energy_per_aotm: 'output' has no 'energy_per_aotm', it has energy, steps, why",
        ),
        ("outptu", "outptu: the output has no 'outptu', it has output"),
        ("output.steps.2", "output.steps.2: 'output.steps' has no '2', it is a list of 2"),
        ("output.energy.eV", "output.energy.eV: 'output.energy' has no 'eV', it is -1.5"),
        ("output.steps", "output.steps: needs a number, found "),
        ("output.why", "output.why: needs a number, found 'yes'"),
        ("output.steps.1", "output.steps.1: needs a number, found True"),
        ("output.nothing.x", "output.nothing.x: 'output' has no 'nothing'"),
    ],
)
def test_a_wrong_path_says_where_it_ends_and_what_is_there(path, told):
    output = {"@class": "Doc", "output": {"energy": -1.5, "steps": [3, True], "why": "yes"}}
    with pytest.raises(DocumentError) as caught:
        number_at(output, path)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


def test_a_path_goes_through_tables_and_lists():
    output = {"calcs": [{"e": 1}, {"e": {"total": -2.5}}]}
    assert number_at(output, "calcs.1.e.total") == -2.5
    assert number_at(output, "calcs.0.e") == 1.0
    assert at_path(output, "calcs.1") == {"e": {"total": -2.5}}


# Settings ------------------------------------------------------------------------------------------------------------------


def test_without_jobflow_it_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "jobflow", None)
    (tmp_path / "oxides.csv").write_text("name,EN,e (eV/atom)\nNiO,1.9,\nCuO,1.9,2.0\n")
    with pytest.raises(InputError) as caught:
        oracle_of(tmp_path)
    assert str(caught.value) == (
        "oracle jobflow: needs jobflow, which is not installed; pip install 'sisso-sal[jobflow]'"
    )


@needs_jobflow
@pytest.mark.parametrize(
    ("maker", "jobflow", "told"),
    [
        ("makers", {}, "oracle jobflow: needs package.module:Maker, found 'makers'"),
        ("no_such_package:Maker", {}, "Maker 'no_such_package:Maker': cannot be imported (ModuleNotFoundError: "),
        ("makers:Enegry", {}, "Maker 'makers:Enegry': cannot be imported (AttributeError: "),
        ("makers:Energy", {"parameters": {"scales": 2}}, "Maker 'makers:Energy': cannot be set up: TypeError: "),
        (
            "makers:an_object",
            {"parameters": {"scale": 2}},
            "Maker 'makers:an_object': needs a class or function for its",
        ),
        ("makers:METALS_LOG", {}, "cannot be imported"),
        ("makers:FIRST", {}, "Maker 'makers:FIRST': needs a method 'make', or a function, found "),
        (
            "makers:Energy",
            {"gap": "gap"},
            "calculation.jobflow.gap: is for a Maker that relaxes; leave it out, or value",
        ),
        ("makers:Energy", {"worker": "far"}, "calculation.jobflow.worker: needs runner = 'remote', found 'local'"),
        ("makers:Energy", {"value": None, "runner": "remote"}, "calculation.jobflow.runner: needs 'local' where"),
    ],
)
def test_what_cannot_run_is_told_before_anything_does(oxides, maker, jobflow, told):
    with pytest.raises(InputError) as caught:
        oracle_of(oxides, maker, **jobflow)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (oxides / "run").exists()


@needs_jobflow
def test_remote_without_jobflow_remote_is_one_line(oxides, monkeypatch):
    monkeypatch.setitem(sys.modules, "jobflow_remote", None)
    with pytest.raises(
        InputError, match=r"^oracle jobflow: needs jobflow-remote, which is not installed; pip install "
    ):
        oracle_of(oxides, runner="remote")


def test_a_section_for_jobflow_beside_another_oracle_is_refused(tmp_path):
    pytest.importorskip("taskblaster")
    from sisso_sal.oracle.workflow.first_principles import engine_of

    settings = CampaignSettings.model_validate({"calculation": {"jobflow": {"value": "e"}}})
    with pytest.raises(
        SettingsError, match=r"^calculation\.jobflow: needs an oracle jobflow:MAKER, found 'structure'$"
    ):
        engine_of("structure", settings)


def test_where_it_runs_may_change_and_what_it_computes_may_not():
    before, after = (
        CampaignSettings.model_validate({"calculation": {"jobflow": {"parameters": {"a": a}, "project": project}}})
        for a, project in ((1, "here"), (2, "there"))
    )
    changes = differences(before.on_machine_of(after), after)
    assert changes == ["calculation.jobflow.parameters.a: 1 -> 2"]
    assert load_settings(None, {}).calculation.jobflow is None


@needs_jobflow
def test_doctor_asks_the_maker_for_the_jobs_of_two_atoms(oxides):
    told = check_oracle(settings_of("makers:Chained", {"value": "e"}))
    assert told == "e by makers:Chained, 2 jobs for MgO, in 1 processes"
    for maker, problem in (("makers:Wrong", "needs to return a Job or Flow of jobflow, found str"),
                           ("makers:Broken", "Maker 'makers:Broken': KeyError: 'no input set'")):  # fmt: skip
        with pytest.raises(Exception, match=problem):
            check_oracle(settings_of(maker, {"value": "e"}))


# Labels from the output ----------------------------------------------------------------------------------------------------


@needs_jobflow
@pytest.mark.parametrize(
    ("maker", "path", "jobflow", "factor"),
    [
        ("makers:Energy", "output.energy_per_atom", {}, 1.0),
        ("makers:Energy", "output.energy_per_atom", {"parameters": {"scale": 3.0}, "store": "memory"}, 3.0),
        ("makers:an_object", "output.energy_per_atom", {"store": "jobflow"}, 2.0),
        ("makers:Chained", "output.energy_per_atom", {}, 1.0),
        ("makers:Replaced", "output.energy_per_atom", {}, 1.0),
        ("makers:Typed", "output.energy_per_atom", {}, 1.0),
        ("makers:recipe", "energy_per_atom", {"input": "atoms", "parameters": {"scale": 0.5}}, 0.5),
    ],
)
def test_a_maker_gives_the_energy_of_its_calculator(oxides, maker, path, jobflow, factor):
    oracle = oracle_of(oxides, maker, path, **jobflow)
    assert isinstance(oracle, Oracle)
    found = answer(oracle)
    assert found.reason == ""
    assert found.value == pytest.approx(factor * expected(), rel=1e-12)
    assert found.core_hours > 0
    stores = list((oxides / "run" / "jobflow" / "jobs").glob("*/work/outputs.json"))
    assert bool(stores) == (jobflow.get("store", "file") == "file")
    if stores:
        assert any("uuid" in kept for kept in json.loads(stores[0].read_text()))


@needs_jobflow
@pytest.mark.parametrize(
    ("maker", "jobflow", "kind", "told"),
    [
        ("makers:Misbehaving", {"parameters": {"how": "raises"}}, "calculation", "RuntimeError: the self-consistency cycle"),
        ("makers:Misbehaving", {"parameters": {"how": "nan"}}, "invalid", "output.energy_per_atom: needs a number, found none"),
        ("makers:Misbehaving", {"parameters": {"how": "text"}}, "invalid", "output.energy_per_atom: needs a number, found '-1.5"),
        ("makers:Misbehaving", {"parameters": {"how": "unconverged"}}, "calculation", "the state of the output is 'failed'"),
        ("makers:Energy", {"value": "energy_per_atom"}, "invalid", "energy_per_atom: the output has no 'energy_per_atom', it has "),
        ("makers:Wrong", {}, "invalid", "Maker 'makers:Wrong': needs to return a Job or Flow of jobflow, found str"),
        ("makers:Replaced", {"parameters": {"with_output": False}}, "calculation", "the jobs ended without an output; "),
        ("makers:Broken", {}, "calculation", "Maker 'makers:Broken': KeyError: 'no input set'"),
    ],
)  # fmt: skip
def test_a_failure_is_typed_and_one_line(oxides, maker, jobflow, kind, told):
    found = answer(oracle_of(oxides, maker, **jobflow))
    assert (found.value, found.kind) == (None, kind)
    assert found.reason.startswith(told)
    assert "\n" not in found.reason
    assert found.kind in FAILURES


@needs_jobflow
def test_the_same_question_is_computed_once(oxides):
    first = answer(oracle_of(oxides))
    again = answer(oracle_of(oxides), intent="r-NiO-2")  # another intent, as after a retry
    assert again.value == first.value
    wrong = answer(oracle_of(oxides, value="output.wrong"), intent="r-NiO-3")
    assert wrong.kind == "invalid"
    other = answer(oracle_of(oxides, value="output.steps.0.energy"), intent="r-NiO-4")
    assert other.value == pytest.approx(first.value * 2)
    assert begun(oxides) == ["NiO"]
    scaled = answer(oracle_of(oxides, parameters={"scale": 2.0}), intent="r-NiO-5")
    assert scaled.value == pytest.approx(2 * first.value)
    assert begun(oxides) == ["NiO", "NiO"]


@needs_jobflow
def test_labels_that_another_path_would_change_are_told(oxides):
    label = answer(oracle_of(oxides)).value
    assert oracle_of(oxides).differences({"NiO": label, "CuO": 1.0}) == []
    (line,) = oracle_of(oxides, value="output.energy").differences({"NiO": label, "MgO": 2.0})
    assert line == f"calculation.jobflow.value: 'NiO': {label} -> {2 * label}"
    (line,) = oracle_of(oxides, value="energy").differences({"NiO": label})
    assert "'NiO': " in line
    assert "the output has no 'energy'" in line


@needs_jobflow
def test_a_candidate_has_the_structure_of_its_row(oxides):
    from makers import emt_energy
    from pymatgen.core import Lattice, Structure

    cells = {f"copper {a}": Structure(Lattice.cubic(a), ["Cu"], [[0, 0, 0]]) for a in (2.4, 2.6)}
    lines = [
        f"{id},1.0,,{json.dumps(json.dumps(s.as_dict())).replace(chr(92) + chr(34), chr(34) * 2)}"
        for id, s in cells.items()
    ]
    (oxides / "oxides.csv").write_text("\n".join(["name,EN,e (eV/atom),cell", *lines, "known,2.0,1.0,", ""]))
    settings = settings_of("makers:Energy", {"value": "output.energy"}, label={"structure_column": "cell"})
    oracle = make_oracle(settings, oxides / "run", read_table(oxides / "oxides.csv", target="e (eV/atom)"))
    assert oracle.barred == {}
    for n, (id, structure) in enumerate(cells.items()):
        assert answer(oracle, id, f"r-{n}").value == pytest.approx(emt_energy(structure.to_ase_atoms()))


@needs_jobflow
def test_candidates_without_one_structure_are_barred(oxides):
    from pymatgen.core import Lattice, Structure

    (oxides / "cells").mkdir()
    for a in (4.2, 4.3):
        rock = Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["Ni", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
        rock.to(str(oxides / "cells" / f"nio-{a}.cif"))
    settings = settings_of("makers:Energy", {"value": "output.energy"}, label={"structures": str(oxides / "cells")})
    oracle = make_oracle(settings, oxides / "run", read_table(oxides / "oxides.csv", target="e (eV/atom)"))
    assert oracle.barred == {
        "NiO": "needs one structure of NiO, found 2 (nio-4.2.cif, nio-4.3.cif); use label.structure_column"
    }


# A campaign ----------------------------------------------------------------------------------------------------------------

CAMPAIGN = """
batch = 2
[run]
oracle = "jobflow:{maker}"
calculations = 2
[model]
rung = 0
dim = 1
[ensemble]
members = 4
correction = "none"
[calculation.jobflow]
value = "output.energy_per_atom"
{more}
"""


def start(folder, maker, more="", environment=None):
    (folder / "campaign.toml").write_text(CAMPAIGN.format(maker=maker, more=more))
    words = [sys.executable, "-m", "sisso_sal", "discover", "oxides.csv", "--config", "campaign.toml", "--out", "run"]
    with (folder / "log").open("a") as log:
        return subprocess.Popen(words, cwd=folder, env={**os.environ, **(environment or {})}, stdout=log, stderr=log)


@needs_jobflow
def test_a_campaign_that_is_killed_goes_on_and_computes_nothing_twice(oxides):
    driver = start(oxides, "makers:Chained", environment={"MAKERS_SECONDS": "3"})
    until = time.monotonic() + PATIENCE
    while not (oxides / "began").exists():
        assert driver.poll() is None, (oxides / "log").read_text()
        assert time.monotonic() < until
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert start(oxides, "makers:Chained").wait(PATIENCE) == 0, (oxides / "log").read_text()
    labels = {event["id"]: event["value"] for event in events(oxides / "run", "label") if event["source"] == "oracle"}
    assert labels == {f"{metal}O": pytest.approx(expected(f"{metal}O")) for metal in METALS[:4]}
    assert sorted(begun(oxides)) == sorted(labels)


@needs_jobflow
def test_jobs_that_die_are_repeated_and_those_that_fail_are_recorded(oxides):
    """The process of CuO dies once. The Maker of the second run always fails: nothing is lost, and a person may try again."""
    died = 'parameters = {how = "dies"}'
    assert start(oxides, "makers:Misbehaving", died).wait(PATIENCE) == 0, (oxides / "log").read_text()
    known = state(oxides / "run")
    assert set(known.labels) >= {"NiO", "CuO", "PdO", "AgO"}
    (crash,) = events(oxides / "run", "failure")
    assert (crash["id"], crash["kind"], crash["final"]) == ("CuO", "crashed", False)
    assert begun(oxides).count("CuO") == 2


@needs_jobflow
def test_failed_jobs_end_a_campaign_with_their_reasons(oxides):
    failing = 'parameters = {how = "raises"}'
    assert start(oxides, "makers:Misbehaving", failing).wait(PATIENCE) == 3, (oxides / "log").read_text()
    failures = {event["id"]: event for event in events(oxides / "run", "failure")}
    assert set(failures) == {"NiO", "CuO", "PdO", "AgO"}
    assert {f["kind"] for f in failures.values()} == {"calculation"}
    assert "RuntimeError: the self-consistency cycle" in (oxides / "log").read_text()
    assert "Traceback" not in (oxides / "log").read_text()


@needs_jobflow
def test_the_example_of_the_page_computes_the_energy_by_emt(oxides, monkeypatch):
    page = (TESTS.parent / "docs" / "howto" / "jobflow.md").read_text()
    block = next(block for block in blocks(page) if "class Energy" in block.body)
    (oxides / "my_makers.py").write_text(block.body)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(oxides), os.environ["PYTHONPATH"]]))
    monkeypatch.syspath_prepend(str(oxides))
    assert answer(oracle_of(oxides, "my_makers:Energy")).value == pytest.approx(expected())


# Phases of a label ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def label_of(oxides):
    """The answer to NiO's formation energy by an oracle, with its ledger of what began."""
    pytest.importorskip("taskblaster")

    def ask(oracle, calculation, run, quantity="formation_energy"):
        label = {"quantity": quantity, "max_prototypes": 1, "oxygen_energy": -4.948}
        settings = {"run": {"oracle": oracle}, "label": label, "calculation": calculation}
        (oxides / "began").unlink(missing_ok=True)
        table = read_table(oxides / "oxides.csv", target="e (eV/atom)")
        return answer(make_oracle(CampaignSettings.model_validate(settings), oxides / run, table))

    ask.folder = oxides
    return ask


@needs_jobflow
def test_a_maker_that_relaxes_gives_the_label_of_the_same_calculator(label_of):
    """The calculator is the same in the engine of the program and in the Maker, so the labels are equal."""
    by_ase = label_of("structure", {"calculator": "springs:Springs"}, "ase")
    assert by_ase.value is not None
    for n, jobflow in enumerate(({}, {"structure": "atoms", "gap": "gap"}, {"static": "makers:Static"})):
        by_maker = label_of("jobflow:makers:Relaxing", {"jobflow": jobflow}, f"jobflow-{n}")
        assert by_maker.reason == ""
        assert by_maker.value == pytest.approx(by_ase.value, abs=1e-9)
        assert by_maker.core_hours > 0
        assert begun(label_of.folder).count("NiO") == 2 * (2 if "static" in jobflow else 1)  # two magnetic orders


@needs_jobflow
def test_a_phase_whose_job_fails_is_a_failure_with_its_reason(label_of):
    for failing, kind in (("NiO", "calculation"), ("Ni", "competitor")):
        jobflow = {"parameters": {"failing": failing}}
        found = label_of("jobflow:makers:Relaxing", {"jobflow": jobflow}, f"failing-{failing}")
        assert (found.value, found.kind) == (None, kind), found.reason
        assert "RuntimeError: no convergence" in found.reason
    found = label_of("jobflow:makers:Relaxing", {"jobflow": {"energy": "output.energies"}}, "wrong")
    assert (
        "output.energies: 'output' has no 'energies', it has structure, energy, energy_per_atom, steps" in found.reason
    )
