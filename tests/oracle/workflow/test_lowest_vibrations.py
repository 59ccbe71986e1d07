"""Vibrations of the lowest structures in a workflow: springs with formulas, all solids or none, failures, dead workers."""

import importlib.util
import itertools
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("taskblaster")
if importlib.util.find_spec("phonopy") is None:
    pytest.skip("needs the extra phonons, which is not installed", allow_module_level=True)

import rocksalt_springs
from rocksalt_springs import frequencies, lowest
from scipy import constants

from sisso_sal.campaign.answers import checked
from sisso_sal.data.table import read_table
from sisso_sal.errors import InputError, SettingsError
from sisso_sal.oracle.engines.phonons import IMAGINARY
from sisso_sal.oracle.registry import make_oracle
from sisso_sal.oracle.workflow.chains import LOWEST, Chain, Task, phases_of
from sisso_sal.oracle.workflow.engine_settings import TAGS, load_engine
from sisso_sal.oracle.workflow.first_principles import check_calculator, check_label, check_machine
from sisso_sal.oracle.workflow.outcomes import Question
from sisso_sal.oracle.workflow.repository import run_ready
from sisso_sal.oracle.workflow.tasks import Workflow
from sisso_sal.oracle.workflow.vibrations import lowest_vibrations
from sisso_sal.oracle.workflow.workers import worker_name
from sisso_sal.protocols import Answer, Request
from sisso_sal.settings.calculation import LabelSettings
from sisso_sal.settings.campaign import CampaignSettings

SPRINGS = "rocksalt_springs:RockSalt"
OXYGEN = -4.948
TESTS = Path(rocksalt_springs.__file__).parent
HOT = 700.0


def workflow(root, quantity="formation_energy", **changed):
    engine = {
        "engine": "structure",
        "calculator": SPRINGS,
        "vibrations": SPRINGS,
        "temperature": HOT,
        "changes": {"vibrations": {"displacement": 0.002}},  # springs turn where atoms move sideways
        **changed,
    }
    asked = Question(quantity=quantity, oxygen_energy=OXYGEN, vibrations=engine["vibrations"] is not None)
    return Workflow(root, engine, question=asked, max_prototypes=1, competitors={"MgO": (), "CaO": (), "SrO": ()})


def run(made):
    run_ready(made.root, set(TAGS), worker_name())
    assert not made.unfinished()


def outcome(made, formula):
    made.submit(formula, formula)
    run(made)
    (found,) = made.collect({formula})
    return found


def documents(made):
    return {task.name: task.document for task in made.tasks()}


def of_modes(waves):
    """Free energy of modes with these frequencies in THz, in eV for each of them."""
    x = constants.h * 1e12 * np.array(waves) / (constants.k * HOT)
    return constants.k * HOT / constants.e * np.log(2 * np.sinh(x / 2))


def of_magnesia():
    """Frequencies of rock salt on the mesh, ndarray (512, 6)."""
    reciprocal = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    shares = (np.arange(8) + 0.5) / 8
    return np.array([frequencies("Mg", np.array(q) @ reciprocal) for q in itertools.product(shares, repeat=3)])


def test_the_label_has_the_sum_over_the_modes_of_the_springs(tmp_path):
    """Atoms of the metal feel nothing, so that each has three modes at the frequency below which none counts."""
    made = workflow(tmp_path)
    found = outcome(made, "MgO")
    told = documents(made)
    oxide, metal = told["MgO/lowest/vibrations"], told["Mg/lowest/vibrations"]
    expected = of_modes(of_magnesia()).sum(axis=1).mean() / 2
    assert oxide["vibration"] == pytest.approx(expected, abs=2e-5)
    zero_point = constants.h * 1e12 / constants.e * of_magnesia().sum(axis=1).mean() / 2 / 2
    assert oxide["zero_point"] == pytest.approx(zero_point, abs=2e-5)
    assert metal["vibration"] == pytest.approx(3 * of_modes(IMAGINARY), abs=1e-5)
    assert oxide["lowest_frequency"] <= min(lowest("Mg").values()) + 1e-3
    assert (oxide["supercell"], oxide["n_atoms"], oxide["temperature"], oxide["lowest"]) == (
        [2, 2, 2], 64, HOT, "rocksalt",
    )  # fmt: skip
    still = outcome(workflow(tmp_path / "still", vibrations=None, changes={}), "MgO")
    by_hand = expected - 3 * of_modes(IMAGINARY) / 2
    assert found.value - still.value == pytest.approx(by_hand, abs=3e-5)
    assert found.details["vibrations"] == {"MgO": oxide["vibration"], "Mg": metal["vibration"]}
    assert "vibrations" not in still.details
    kept = checked(Answer("a", value=found.value, details=found.details))
    assert (kept.kind, kept.details) == ("", found.details)
    assert checked(Answer("a", value=1.0, details={"vibrations": {"MgO": "much"}})).kind == "invalid"


@pytest.mark.parametrize(
    ("formula", "kind", "reason"),
    [
        ("CaO", "calculation", "CaO (no free energy of vibrations: imaginary_mode: -"),
        ("SrO", "calculation", "SrO (no free energy of vibrations: failed: RuntimeError: too many atoms"),
    ],
)
def test_a_solid_without_vibrations_makes_the_label_unknown(tmp_path, formula, kind, reason):
    made = workflow(tmp_path)
    found = outcome(made, formula)
    assert (found.value, found.failure) == (None, kind)
    assert found.reason.startswith(reason)
    key = {"CaO": "CaO", "SrO": "OSr"}[formula]
    document = documents(made)[f"{key}/lowest/vibrations"]
    assert (document["state"], document["vibration"]) == ("failed", None)
    if formula == "CaO":
        assert document["lowest_frequency"] < min(lowest("Ca").values()) / 2


def test_molecules_and_a_folder_without_vibrations_have_no_such_tasks(tmp_path):
    engine = {"engine": "structure", "calculator": SPRINGS, "vibrations": SPRINGS}
    made = Workflow(tmp_path / "a", engine, question=Question(quantity="formation_energy", vibrations=True))
    assert made.submit("MgO", "a").phases == ("MgO", "Mg", "H2O", "H2")
    assert {t.name for t in made.tasks() if "vibrations" in t.name} == {"MgO/lowest/vibrations", "Mg/lowest/vibrations"}
    bare = Workflow(tmp_path / "b", {**engine, "vibrations": None}, question=Question(quantity="formation_energy"))
    bare.submit("MgO", "a")
    assert not [task.name for task in bare.tasks() if LOWEST in task.name]
    assert "vibrations" not in bare.engine.science()
    with pytest.raises(InputError, match="other settings"):
        Workflow(tmp_path / "a", {**engine, "temperature": 300}).submit("CaO", "b")


@pytest.mark.faults
def test_a_gap_and_vibrations_of_one_phase_do_not_wait_for_each_other(tmp_path):
    """Springs have no bands; the vibrations are known all the same, and retry puts back what failed."""
    made = workflow(tmp_path, quantity="formation_energy + band_gap")
    found = outcome(made, "MgO")
    assert "no band gap" in found.reason
    assert documents(made)["MgO/lowest/vibrations"]["state"] == "successful"
    made = workflow(tmp_path / "soft", quantity="formation_energy + band_gap")
    outcome(made, "CaO")
    made.submit("CaO", "again")
    again = {task.name for task in made.tasks() if task.state == "queue"}
    assert "CaO/lowest/vibrations" in again


def chain(name, **steps):
    usual = {"state": "successful", "verdict": "finished", "reason": "", "energy_per_atom": None, "bandgap": None}
    return Chain(
        name,
        {
            step: Task(f"x/{name}/{step}", state, "", document and {**usual, "core_hours": 0.0, **document}, "")
            for step, (state, document) in steps.items()
        },
    )


def static(name, energy):
    return chain(name, relax=("done", {"energy_per_atom": energy}), static=("done", {"energy_per_atom": energy}))


def test_structures_of_the_same_energy_share_the_vibrations_and_others_have_none():
    of_lowest = chain(LOWEST, vibrations=("done", {"lowest": "b", "vibration": 0.1}))
    phases = phases_of("MgO", [static("c", -2.0), static("a", -2.0), of_lowest, static("b", -2.0), static("d", -1.0)])
    assert {phase.name: phase.vibration for phase in phases} == {"a": 0.1, "b": 0.1, "c": 0.1, "d": None}
    lost = chain(LOWEST, vibrations=("cancel", None))
    (phase,) = phases_of("MgO", [static("a", -2.0), lost])
    assert (phase.energy, phase.vibration, phase.no_vibration) == (-2.0, None, "not computed")


def test_bands_that_failed_do_not_end_the_chain_before_the_vibrations_are_there():
    assert not chain(LOWEST, bands=("fail", None), vibrations=("run", None)).ended
    assert chain(LOWEST, bands=("fail", None), vibrations=("done", {"lowest": "a", "vibration": 0.1})).ended


def test_without_an_energy_nothing_is_computed(tmp_path, monkeypatch):
    made = workflow(tmp_path)
    made.submit("MgO", "a")
    place = tmp_path / "tree" / "MgO" / "lowest" / "vibrations"
    place.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(place)
    nothing = lowest_vibrations(["a"], [{"energy_per_atom": None}], made.engine.science())
    assert (nothing["state"], nothing["lowest"], nothing["reason"]) == ("left_out", None, "no structure has an energy")


@pytest.mark.faults
def test_a_worker_that_dies_in_the_phonons_costs_an_attempt(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{TESTS.parent}:{TESTS}")
    made = workflow(tmp_path)
    made.submit("MgO", "MgO")
    monkeypatch.setenv("SPRINGS_PHONON_SECONDS", "60")
    (worker,) = made.start_workers(1)
    try:
        place = made.root / "tree" / "MgO" / "lowest" / "vibrations" / "attempt-1"
        until = time.monotonic() + 60
        while not place.exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert place.exists()
        worker.send_signal(signal.SIGKILL)
        worker.wait(60)
    finally:
        worker.kill()
        worker.wait()
    monkeypatch.setenv("SPRINGS_PHONON_SECONDS", "0")
    assert made.collect() == []  # puts the task back
    run(made)
    (found,) = made.collect()
    assert found.value is not None
    assert documents(made)["MgO/lowest/vibrations"]["attempts"] == 2


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (
            {"temperature": 300.0},
            "label.temperature: is that of the vibrations; give label.vibrations, or leave it out",
        ),
        ({"vibrations": "chgnet", "quantity": "band_gap"}, "label.vibrations: needs a quantity with an energy, found"),
        (
            {"vibrations": "chgnet", "temperature": 300.0},
            "label.temperature: needs 298.15 K for dG_pbx, at which water",
        ),
    ],
)
def test_what_cannot_be_had_is_refused(label, message):
    with pytest.raises(SettingsError) as error:
        check_label(LabelSettings(**label))
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"changes": {"vibrations": {"length": 9.0}}}, "changes.vibrations: needs label.vibrations"),
        ({"vibrations": SPRINGS, "changes": {"vibrations": {"relax": "none"}}}, "unknown setting 'relax'"),
        ({"vibrations": SPRINGS, "changes": {"vibrations": {"length": 0}}}, "length: needs greater than 0, found 0"),
        ({"vibrations": "chgnets"}, "calculator 'chgnets': needs one of"),
    ],
)
def test_settings_of_the_phonons_are_checked(settings, message):
    with pytest.raises(SettingsError) as error:
        load_engine({"engine": "structure", "calculator": SPRINGS, **settings})
    assert message in str(error.value)


def test_doctor_looks_for_the_packages(monkeypatch):
    settings = {
        "run": {"oracle": "structure"},
        "label": {"quantity": "formation_energy", "vibrations": SPRINGS, "oxygen_energy": OXYGEN},
        "calculation": {"calculator": "springs:Springs"},
    }
    assert check_calculator(CampaignSettings.model_validate(settings)).count("MgO, two atoms: ") == 2
    settings["label"]["vibrations"] = "no_such_package:Potential"
    with pytest.raises(InputError, match=r"calculator 'no_such_package:Potential': cannot be imported"):
        check_calculator(CampaignSettings.model_validate(settings))
    monkeypatch.setitem(sys.modules, "phonopy", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    engine = load_engine({"engine": "structure", "calculator": SPRINGS, "vibrations": SPRINGS})
    with pytest.raises(InputError, match=r"^phonopy: not installed; pip install"):
        check_machine(engine, (), runs_here=True)
    check_machine(engine, (), runs_here=False)


def test_a_campaign_asks_for_them_and_keeps_them(tmp_path):
    (tmp_path / "oxides.csv").write_text("name,EN,H (eV/atom)\nCaO,1.0,-3.1\nMgO,1.3,\nSrO,0.9,\n")
    settings = CampaignSettings.model_validate(
        {
            "run": {"oracle": "structure", "calculations": 0},
            "label": {
                "quantity": "formation_energy",
                "vibrations": SPRINGS,
                "temperature": HOT,
                "oxygen_energy": OXYGEN,
            },
            "calculation": {"calculator": SPRINGS, "changes": {"vibrations": {"displacement": 0.002}}},
        }
    )
    oracle = make_oracle(settings, tmp_path, read_table(tmp_path / "oxides.csv", target="H (eV/atom)"))
    assert oracle.describe()["label"]["vibrations"] == SPRINGS
    request = Request(intent="a", id="MgO", candidate={})
    receipt = oracle.submit(request)
    run(oracle.workflow)
    (answer,) = oracle.collect([receipt])
    assert answer.value == pytest.approx(outcome(workflow(tmp_path / "alone"), "MgO").value)
    assert set(answer.details["vibrations"]) == {"MgO", "Mg"}
