"""Structures ranked by a potential before the engine: which are computed, from which geometry, and what no failure may lose."""

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("taskblaster")
pytest.importorskip("pyfhiaims")

import aims_stand_in
import numpy as np
from naive import computed_structures
from pymatgen.core import Structure
from species import write_species

from sisso_sal.errors import InputError, SettingsError
from sisso_sal.oracle.engines.aims import read_geometry
from sisso_sal.oracle.workflow import prerelax as module
from sisso_sal.oracle.workflow.engine_settings import TAGS, load_engine
from sisso_sal.oracle.workflow.first_principles import check_calculator, check_machine
from sisso_sal.oracle.workflow.outcomes import Question
from sisso_sal.oracle.workflow.repository import run_ready
from sisso_sal.oracle.workflow.tasks import Workflow
from sisso_sal.oracle.workflow.workers import worker_name
from sisso_sal.oxides.prototypes import prototype_structure, prototype_structures
from sisso_sal.settings.campaign import CampaignSettings

PAIRS = "stand_in_calculator:Pairs"
TESTS = Path(aims_stand_in.__file__).parent


@pytest.fixture(scope="module")
def species(tmp_path_factory):
    return write_species(tmp_path_factory.mktemp("species"), ["Mg", "O", "Ti", "Zn", "Ni", "H"])


@pytest.fixture
def make(tmp_path, species, monkeypatch):
    """A workflow on the stand-in whose structures are ranked by the energy of the stand-in; parameters of the potential apart."""
    monkeypatch.setenv("PYTHONPATH", f"{TESTS.parent}:{TESTS}")
    monkeypatch.delenv("STAND_IN_FAULTS", raising=False)

    def workflow(
        *, parameters=None, changes=None, root="oracle", structures=None, most=1, quantity="band_gap", **engine
    ):
        logged = {"log": str(tmp_path / "log"), **(parameters or {})}
        given = {
            "command": f"{sys.executable} {aims_stand_in.__file__}",
            "species_dir": species,
            "prerelax": PAIRS,
            "changes": {
                "bands": {"band_density": 3.0},
                "prerelax": {"parameters": logged, "force_tolerance": 1e-3},
                **(changes or {}),
            },
            **engine,
        }
        question = Question(quantity=quantity)
        return Workflow(tmp_path / root, given, question=question, structures=structures, max_prototypes=most)

    workflow.log = tmp_path / "log"
    return workflow


def run(workflow):
    """All tasks, in this process."""
    run_ready(workflow.root, set(TAGS), worker_name())
    assert not workflow.unfinished()


def run_with_workers(workflow):
    """Workers until all is done; a new one for each that died."""
    for _ in range(8):
        (worker,) = workflow.start_workers(1)
        worker.wait(120)
        if not workflow.unfinished():
            return
    raise AssertionError((workflow.root / "workers.log").read_text()[-2000:])


def documents(workflow):
    return {task.name: task.document for task in workflow.tasks()}


def inputs(workflow):
    """Task -> its input as Taskblaster keeps it, by which it tells whether a task is the same."""
    with closing(sqlite3.connect(workflow.root / ".taskblaster" / "registry.db")) as registry:
        return dict(registry.execute("SELECT name, input FROM inputs"))


def test_the_rule_is_that_of_its_twin():
    random = np.random.default_rng(0)
    for _ in range(2000):
        size, most = int(random.integers(1, 7)), int(random.integers(1, 5))
        window = float(random.choice([0.0, 0.02, 0.3]))
        energies = [None if random.random() < 0.2 else float(e) for e in random.choice([0, 4e-4, 0.01, 0.1, 0.5], size)]
        found = module.chosen(energies, most, window)
        assert found == computed_structures(energies, most, window, module.SAME), (energies, most, window)
        assert any(found)
        if None not in energies:  # the order does not matter
            order = random.permutation(size)
            assert module.chosen([energies[i] for i in order], most, window) == [found[i] for i in order]


def test_what_goes_on_starts_relaxed_and_what_is_left_out_keeps_its_energy(make):
    """With the energy of the engine itself nothing is left to relax: one geometry instead of several."""
    workflow = make()
    workflow.submit("MgO", "a")
    run(workflow)
    found = documents(workflow)
    ranking = found["MgO/prototypes/prerelax"]
    told = ranking["structures"]
    assert ranking["reason"] == "1 of 3 structures are computed"
    assert [name for name in told if told[name]["chosen"]] == ["rocksalt"]
    relaxed = found["MgO/rocksalt/relax"]
    assert (relaxed["state"], relaxed["steps"], relaxed["prerelax"]["start"]) == ("successful", 1, "relaxed")
    assert relaxed["prerelax"]["steps"] == told["rocksalt"]["steps"] > 1
    started = read_geometry(workflow.root / "tree/MgO/rocksalt/relax/attempt-1/geometry.in")
    assert started.lattice.matrix == pytest.approx(Structure.from_dict(told["rocksalt"]["structure"]).lattice.matrix)
    for step in ("relax", "static"):
        left = found[f"MgO/wurtzite/{step}"]
        above = told["wurtzite"]["energy_per_atom"] - told["rocksalt"]["energy_per_atom"]
        assert (left["state"], left["energy_per_atom"], left["core_hours"]) == ("left_out", None, 0.0)
        assert left["prerelax"]["energy_per_atom"] == told["wurtzite"]["energy_per_atom"]
        assert left["reason"] == f"{PAIRS}: {above:.3f} eV/atom above the lowest, window 0.05"
    assert found["MgO/tenorite/relax"]["reason"] == f"{PAIRS}: relaxes into rocksalt"
    # One run with HSE06: the energy and the bands of the structure that the potential ranks lowest.
    hybrid = [file for file in (workflow.root / "tree").rglob("control.in") if "hse06" in file.read_text()]
    assert [str(file.relative_to(workflow.root / "tree")) for file in hybrid] == [
        "MgO/rocksalt/static/attempt-1/control.in"
    ]
    assert found["MgO/lowest/bands"]["lowest"] == "rocksalt"
    (outcome,) = workflow.collect()
    assert outcome.value == pytest.approx(4.966, abs=1e-3)
    spent = sum(document["core_hours"] for document in found.values())
    assert outcome.core_hours == pytest.approx(spent)
    assert ranking["core_hours"] > 0


def test_without_it_the_same_phase_takes_more_steps_and_its_tasks_are_as_before(make):
    before = make(root="before", prerelax=None, changes={"prerelax": {}})
    assert "prerelax" not in json.dumps(before.engine.science(), default=str).replace('"prerelax": {}', "")
    before.submit("MgO", "a")
    run(before)
    relaxed = documents(before)["MgO/rocksalt/relax"]
    assert relaxed["steps"] > 1
    assert "prerelax" not in relaxed
    assert documents(before).keys() == {"MgO/rocksalt/relax", "MgO/rocksalt/static", "MgO/lowest/bands"}


def test_names_and_inputs_of_tasks_follow_the_settings(make):
    def made(root, formula="MgO", **settings):
        workflow = make(root=root, **settings)
        workflow.submit(formula, "a")
        return inputs(workflow)

    first = made("first")
    assert first.keys() == {"MgO/prototypes/prerelax", "MgO/lowest/bands"} | {
        f"MgO/{name}/{step}" for name in ("rocksalt", "wurtzite", "tenorite") for step in ("relax", "static")
    }
    assert made("again") == first
    for root, other in [
        ("window", {"prerelax_window": 0.1}),
        ("tolerance", {"changes": {"prerelax": {"force_tolerance": 0.02}}}),
        ("potential", {"prerelax": "stand_in_calculator:Awkward", "changes": {"prerelax": {}}}),
    ]:
        changed = made(root, **other)
        assert changed.keys() == first.keys()
        assert not set(changed.values()) & set(first.values()), root
    most = made("most", most=2)
    assert most["MgO/prototypes/prerelax"] != first["MgO/prototypes/prerelax"]
    off = made("off", prerelax=None, changes={"prerelax": {}})
    assert off.keys() == {"MgO/rocksalt/relax", "MgO/rocksalt/static", "MgO/lowest/bands"}
    assert not set(off.values()) & set(first.values())


def test_other_settings_are_refused_in_the_same_folder(make):
    make().submit("MgO", "a")
    for other, told in [
        (make(prerelax_window=0.1), "prerelax_window: 0.05 -> 0.1"),
        (make(most=2), "max_prototypes: 1 -> 2"),
    ]:
        with pytest.raises(InputError, match="holds calculations with other settings") as caught:
            other.submit("MgO", "b")
        assert told in str(caught.value)
    before = make(root="before", prerelax=None, changes={"prerelax": {}})
    before.submit("MgO", "a")
    with pytest.raises(InputError, match="prerelax: None -> 'stand_in_calculator:Pairs'"):
        make(root="before").submit("MgO", "b")


def test_a_phase_that_is_asked_for_again_is_ranked_once(make):
    workflow = make(quantity="formation_energy")
    workflow.submit("MgO", "a")
    assert "Mg/prototypes/prerelax" in inputs(workflow)
    assert not [name for name in inputs(workflow) if name.startswith(("H2/prototypes", "H2O/prototypes"))]
    first = inputs(workflow)
    workflow.submit("Mg2TiO4", "b")
    workflow.submit("Mg2O2", "c")
    assert inputs(workflow).items() >= first.items()


@pytest.mark.faults
def test_a_structure_that_the_potential_cannot_relax_is_computed_from_its_prototype(make):
    """Rocksalt, the first one, fails: it is computed unrelaxed, beside the lowest of those that were ranked."""
    workflow = make(parameters={"fails": [2]})
    workflow.submit("MgO", "a")
    run(workflow)
    found = documents(workflow)
    told = found["MgO/prototypes/prerelax"]["structures"]
    assert [name for name in told if told[name]["chosen"]] == ["rocksalt", "tenorite"]
    relaxed = found["MgO/rocksalt/relax"]
    assert (relaxed["state"], relaxed["prerelax"]["start"]) == ("successful", "unrelaxed")
    assert relaxed["prerelax"]["reason"] == "RuntimeError: no graph for 2 atoms"
    assert relaxed["steps"] > found["MgO/tenorite/relax"]["steps"]
    prototype = prototype_structure("rocksalt", {"A": ("Mg", 2)})
    started = read_geometry(workflow.root / "tree/MgO/rocksalt/relax/attempt-1/geometry.in")
    assert started.lattice.matrix == pytest.approx(prototype.lattice.matrix)


@pytest.mark.parametrize(
    ("potential", "told"),
    [
        ({"prerelax": "no_such_package:Potential"}, "cannot be imported (No module named 'no_such_package')"),
        ({"parameters": {"fails": [2, 4]}}, "RuntimeError: no graph for 2 atoms"),
        ({"changes": {"prerelax": {"max_steps": 1}}}, "forces above 0.05 eV/Å after 1 steps"),
    ],
)
def test_a_potential_that_fails_for_all_structures_loses_no_phase(make, potential, told):
    workflow = make(**potential)
    workflow.submit("MgO", "a")
    run(workflow)
    found = documents(workflow)
    ranking = found["MgO/prototypes/prerelax"]
    assert (ranking["energy_per_atom"], ranking["reason"]) == (None, "1 of 3 structures are computed")
    assert told in found["MgO/rocksalt/relax"]["prerelax"]["reason"]
    assert found["MgO/rocksalt/relax"]["prerelax"]["start"] == "unrelaxed"
    assert found["MgO/wurtzite/relax"]["reason"].endswith("; not among the first 1")
    assert workflow.collect()[0].value == pytest.approx(4.966, abs=1e-3)


def begun(make):
    """Numbers of atoms of the cells that the potential began, in their order."""
    return [int(line) for line in make.log.read_text().split()]


@pytest.mark.faults
def test_a_worker_that_is_killed_in_the_middle_costs_one_structure(make):
    """Wurtzite takes its worker with it, twice: what was relaxed before stays, and the third worker goes on from there."""
    workflow = make(parameters={"kills": [4], "times": 2})
    workflow.submit("MgO", "a")
    (worker,) = workflow.start_workers(1)
    assert worker.wait(120) == -9
    folder = workflow.root / "tree/MgO/prototypes/prerelax"
    assert [file.parent.name for file in folder.glob("*/prerelaxed.json")] == ["rocksalt"]
    run_with_workers(workflow)
    assert begun(make) == [2, 4, 4, 4, 4]  # rocksalt once, wurtzite three times, tenorite
    told = documents(workflow)["MgO/prototypes/prerelax"]["structures"]
    assert {name: result["attempts"] for name, result in told.items()} == {"rocksalt": 1, "wurtzite": 3, "tenorite": 1}
    assert {result["verdict"] for result in told.values()} == {"finished"}
    assert workflow.collect()[0].value == pytest.approx(4.966, abs=1e-3)


@pytest.mark.faults
def test_a_structure_that_kills_every_worker_is_given_up_and_the_phase_goes_on(make):
    workflow = make(parameters={"kills": [2]})
    workflow.submit("MgO", "a")
    run_with_workers(workflow)
    assert begun(make) == [2, 2, 2, 4, 4]
    relaxed = documents(workflow)["MgO/rocksalt/relax"]
    assert (relaxed["state"], relaxed["prerelax"]["start"]) == ("successful", "unrelaxed")
    assert relaxed["prerelax"]["reason"] == "its worker died in each of 3 attempts"
    assert workflow.collect()[0].value == pytest.approx(4.966, abs=1e-3)


@pytest.mark.faults
def test_another_attempt_at_the_engine_ranks_nothing_again(make, monkeypatch):
    monkeypatch.setenv("STAND_IN_FAULTS", "crash:MgO")
    workflow = make()
    workflow.submit("MgO", "a")
    run(workflow)
    (first,) = workflow.collect()
    assert first.failure == "calculation"
    assert first.reason.startswith("MgO (failed: relax: the output ends in self-consistency cycle 1")
    ranked = begun(make)
    monkeypatch.setenv("STAND_IN_FAULTS", "")
    assert workflow.submit("MgO", "b").pays == ("MgO",)
    run(workflow)
    assert workflow.collect(["b"])[0].value == pytest.approx(4.966, abs=1e-3)
    assert begun(make) == ranked
    again = documents(workflow)["MgO/rocksalt/relax"]
    assert (again["prerelax"]["start"], again["steps"]) == ("relaxed", 1)
    assert documents(workflow)["MgO/wurtzite/relax"]["state"] == "left_out"


@pytest.mark.faults
def test_a_ranking_that_cannot_be_read_is_told_and_can_be_repeated(make):
    workflow = make()
    workflow.submit("MgO", "a")
    damaged = workflow.root / "tree/MgO/prototypes/prerelax/rocksalt/prerelaxed.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    run(workflow)
    (outcome,) = workflow.collect()
    assert outcome.failure == "calculation"
    assert "prerelaxed.json" in outcome.reason
    damaged.unlink()
    workflow.submit("MgO", "b")
    run(workflow)
    assert workflow.collect(["b"])[0].value == pytest.approx(4.966, abs=1e-3)


def test_all_of_ones_own_structures_are_computed_from_relaxed_geometries(make):
    own = {"MgO": [(name, structure) for name, structure in prototype_structures("MgO", ["rocksalt", "wurtzite"])]}
    workflow = make(structures=own, prerelax_window=0.0)
    workflow.submit("MgO", "a")
    run(workflow)
    relaxed = {name: d for name, d in documents(workflow).items() if name.endswith("/relax")}
    assert {name: d["prerelax"]["start"] for name, d in relaxed.items()} == {
        "MgO/given-1/relax": "relaxed",
        "MgO/given-2/relax": "relaxed",
    }
    assert {d["state"] for d in relaxed.values()} == {"successful"}


@pytest.mark.faults
def test_an_ase_engine_takes_the_geometries_too_with_the_moments_to_start_from(make):
    """Two magnetic orders of one geometry have one energy in a potential: both are computed, as one of the lowest."""
    emt = "ase.calculators.emt:EMT"
    potential = {"prerelax": "stand_in_calculator:Awkward", "changes": {"prerelax": {}, "bands": {}}}
    workflow = make(engine="structure", calculator=emt, quantity="formation_energy", **potential)
    workflow.submit("NiO", "a")
    run(workflow)
    found = documents(workflow)
    told = found["NiO/prototypes/prerelax"]["structures"]
    assert [name for name in told if told[name]["chosen"]] == ["tenorite", "tenorite-afm"]
    start = Structure.from_dict(found["NiO/tenorite-afm/relax"]["structure"]).site_properties["magmom"]
    assert sorted({np.sign(moment) for moment in start}) == [-1, 0, 1]
    assert found["NiO/tenorite-afm/relax"]["steps"] == 1 < told["tenorite-afm"]["steps"]
    assert found["Ni/element/relax"]["prerelax"]["start"] == "relaxed"
    assert "prerelax" not in found["H2/molecule/relax"]
    assert workflow.collect()[0].value is not None


def test_structures_that_relax_into_one_are_told_by_geometry_and_moments():
    small = prototype_structure("rocksalt", {"A": ("Ni", 2)})
    large = small * (1, 1, 2)
    other = prototype_structure("wurtzite", {"A": ("Ni", 2)})
    alternating = large.copy()
    alternating.add_site_property("magmom", [2.0, -2.0, 0.0, 0.0])
    bare = small.copy()
    bare.remove_site_property("magmom")
    named = {"large": large, "small": small, "other": other, "afm": alternating, "bare": bare}
    data = {name: structure.as_dict() for name, structure in named.items()} | {"failed": None}
    assert module.twins_of(data, [-6.0] * 5 + [None]) == {"large": "small"}
    assert module.twins_of(data, [-6.0, -6.002, -6.0, -6.0, -6.0, None]) == {}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"prerelax": "mace"}, "calculator 'mace': needs one of gpaw, gpaw-light, elk, chgnet, sevenn or"),
        (
            {"changes": {"prerelax": {"max_steps": 5}}},
            "calculation: changes.prerelax: needs prerelax, the potential that it is for",
        ),
        ({"prerelax": "chgnet", "changes": {"prerelax": {"kpts": 5}}}, "unknown setting 'kpts'"),
        ({"prerelax": "chgnet", "prerelax_window": -1.0}, "prerelax_window: needs greater than or equal to 0"),
    ],
)
def test_settings(settings, told):
    with pytest.raises(SettingsError) as caught:
        load_engine(settings)
    assert told in str(caught.value)
    assert load_engine({"prerelax": PAIRS}).prerelaxation().refine_symmetry
    assert (
        not load_engine({"prerelax": PAIRS, "changes": {"prerelax": {"refine_symmetry": False}}})
        .prerelaxation()
        .refine_symmetry
    )


def test_a_potential_that_is_missing_or_fails_is_told_before_anything_runs(make):
    missing = make(prerelax="no_such_package:Potential").engine
    with pytest.raises(InputError, match=r"^calculator 'no_such_package:Potential': cannot be imported"):
        check_machine(missing, (), runs_here=True)
    check_machine(missing, (), runs_here=False)
    settings = {
        "run": {"oracle": "structure"},
        "calculation": {
            "calculator": PAIRS,
            "prerelax": PAIRS,
            "changes": {"prerelax": {"parameters": {"fails": [2]}}},
        },
    }
    with pytest.raises(InputError, match="MgO, two atoms: failed: RuntimeError: no graph for 2 atoms"):
        check_calculator(CampaignSettings.model_validate(settings))
