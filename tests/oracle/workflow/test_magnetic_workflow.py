"""Magnetic oxides through a whole workflow: orders beside each other, the lowest counts, documents and labels say which."""

import csv
import sys
from pathlib import Path

import pytest

pytest.importorskip("taskblaster")
pytest.importorskip("pyfhiaims")

import aims_stand_in
from species import write_species

from sisso_sal.oracle.workflow.engine_settings import TAGS, load_engine
from sisso_sal.oracle.workflow.label_table import LABELS_FILE, record_labels
from sisso_sal.oracle.workflow.outcomes import Question
from sisso_sal.oracle.workflow.repository import run_ready
from sisso_sal.oracle.workflow.tasks import Workflow
from sisso_sal.oracle.workflow.workers import worker_name
from sisso_sal.oxides.magnetism import moments_in_words, moments_of, type_of
from sisso_sal.oxides.prototypes import prototype_structures

TESTS = Path(aims_stand_in.__file__).parent
ORDERS = {"rocksalt": "FM", "rocksalt-afm-II": "AFM-II"}


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{TESTS.parent}:{TESTS}")
    monkeypatch.delenv("STAND_IN_FAULTS", raising=False)
    species = write_species(tmp_path / "species", ["Ni", "O", "H"])

    def workflow(structures=None, quantity="formation_energy", **engine):
        command = f"{sys.executable} {aims_stand_in.__file__}"
        given = {"command": command, "species_dir": species, "with_bands": False, **engine}
        question = Question(quantity=quantity, oxygen_energy=-4.9)
        made = Workflow(tmp_path / "oracle", given, question=question, structures=structures, max_prototypes=1)
        made.submit("NiO", "a")
        run_ready(made.root, set(TAGS), worker_name())
        assert not made.unfinished()
        return made

    return workflow


def rows_of(file):
    return list(csv.DictReader(file.read_text().splitlines()))


def documents(workflow):
    return {task.name: task.document for task in workflow.tasks()}


def test_antiferromagnetic_nickel_oxide_is_tried_and_is_lower(make):
    workflow = make()
    found = documents(workflow)
    assert {name.split("/")[1] for name in found if name.startswith("NiO/")} == set(ORDERS)
    parallel, opposite = (found[f"NiO/{name}/static"] for name in ORDERS)
    assert (parallel["magnetic_start"], parallel["magnetic_order"]) == ("FM", "FM")
    assert (opposite["magnetic_start"], opposite["magnetic_order"]) == ("AFM", "AFM")
    assert opposite["magmoms"] == pytest.approx([1.8, -1.8, 0, 0])
    assert parallel["settings"]["spin"] == opposite["settings"]["spin"] == "collinear"
    assert opposite["energy_per_atom"] < parallel["energy_per_atom"]
    geometry = (Path(opposite["dir_name"]) / "geometry.in").read_text()
    assert geometry.count("initial_moment") == 2
    (outcome,) = workflow.collect()
    assert (outcome.details["structure"], outcome.details["magnetic_order"]) == ("rocksalt-afm-II", "AFM-II")
    assert outcome.details["coverage"].startswith("1 of 3 structure types, 2 of 2 magnetic orders; 1 other phase: ")
    assert outcome.details["differences"] == []


def test_an_ase_calculator_starts_from_both_orders(make):
    workflow = make(engine="structure", calculator="stand_in_calculator:Exchanging")
    found = documents(workflow)
    assert {name: found[f"NiO/{name}/static"]["energy_per_atom"] for name in ORDERS} == pytest.approx(
        {"rocksalt": -5.05, "rocksalt-afm-II": -5.1}
    )
    assert {name: found[f"NiO/{name}/static"]["magnetic_order"] for name in ORDERS} == {
        "rocksalt": "FM",
        "rocksalt-afm-II": "AFM",
    }
    (outcome,) = workflow.collect()
    assert outcome.details["magnetic_order"] == "AFM-II"


def test_orders_are_tried_where_moments_change_an_energy():
    engines = {
        "aims": ({}, True),
        "without spin": ({"changes": {"all": {"spin": "none"}}}, False),
        "with it in one step": ({"changes": {"relax": {"spin": "none"}}}, True),
        "gpaw": ({"engine": "structure", "calculator": "gpaw"}, True),
        "chgnet": ({"engine": "structure", "calculator": "chgnet"}, False),
        "a Maker": ({"engine": "jobflow", "maker": "makers:Relax", "calculator": "chgnet"}, True),
    }
    for name, (settings, sees) in engines.items():
        assert load_engine(settings).sees_moments == sees, name


@pytest.mark.faults
def test_all_orders_of_a_type_that_a_potential_finds_low_are_computed(make):
    """The potential knows no moments, so it says nothing of the orders of the type that it finds lowest."""
    potential = {"prerelax": "stand_in_calculator:Pairs", "prerelax_window": 0.0}
    workflow = make(engine="structure", calculator="stand_in_calculator:Exchanging", **potential)
    found = documents(workflow)
    ranked = found["NiO/prototypes/prerelax"]["structures"]
    kept = {name for name, one in ranked.items() if one["chosen"]}
    lowest = min(ranked, key=lambda name: ranked[name]["energy_per_atom"])
    assert {name for name in ranked if type_of(name) == type_of(lowest) and ranked[name]["same_as"] is None} <= kept
    assert len(kept) > 1
    assert kept < set(ranked)


def test_a_structure_of_ones_own_keeps_its_moments_or_is_told_to_have_none(make):
    own = next(structure for _, structure in prototype_structures("NiO", ["rocksalt"]))
    bare = own.copy()
    bare.remove_site_property("magmom")
    (outcome,) = make({"NiO": [("bare.cif", bare)]}).collect()
    assert outcome.details["differences"] == [
        f"NiO (given-1, {step}): computed without spin, though Ni(+2) may have moments; give its structure moments"
        for step in ("relax", "static")
    ]
    assert outcome.details["magnetic_order"] == ""
    assert moments_in_words(moments_of(bare)) == "non-magnetic"


def test_labels_stand_in_a_table_beside_the_calculations(make):
    workflow = make(engine="structure", calculator="stand_in_calculator:Exchanging")
    outcomes = workflow.collect()
    record_labels(workflow.root, outcomes)
    file = workflow.root / LABELS_FILE
    (row,) = rows_of(file)
    assert (row["formula"], row["structure"], row["magnetic_order"]) == ("NiO", "rocksalt-afm-II", "AFM-II")
    assert float(row["label"]) == float(row["formation_energy (eV/atom)"]) == outcomes[0].value
    before = file.stat().st_mtime_ns
    record_labels(workflow.root, outcomes)
    assert file.stat().st_mtime_ns == before
    file.write_text("no table")
    record_labels(workflow.root, outcomes)
    assert [row["intent"] for row in rows_of(file)] == ["a"]
