"""The steps as functions of a Taskblaster repository of one's own: the workflow of the page, run by Taskblaster's command."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytest.importorskip("taskblaster")
pytest.importorskip("pyfhiaims")

import aims_stand_in
from examples import blocks
from species import write_species

from sisso_sal.errors import InputError, SettingsError
from sisso_sal.oracle.stability.labels import References
from sisso_sal.oracle.stability.labels import label as label_of
from sisso_sal.oracle.stability.polymorphs import Phase
from sisso_sal.oracle.workflow import functions
from sisso_sal.oxides.prototypes import prototype_structure

ROOT = Path(aims_stand_in.__file__).parents[1]
TB = Path(sysconfig.get_path("scripts"), "tb")
PAGE = ROOT / "docs" / "howto" / "taskblaster.md"
SPRINGS = {"engine": "structure", "calculator": "springs:Springs"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A repository with the workflow of the page; FHI-aims is the stand-in, by the environment."""
    write_species(tmp_path / "species", ["Mg", "O", "H"])
    monkeypatch.setenv("AIMS_COMMAND", f"{sys.executable} {Path(aims_stand_in.__file__)}")
    monkeypatch.setenv("AIMS_SPECIES_DIR", str(tmp_path / "species"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (source,) = (block.body for block in blocks(PAGE.read_text()) if "def workflow(runner)" in block.body)
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "workflow.py").write_text(source)
    return folder


def tb(folder, *arguments, **more):
    done = subprocess.run(
        [str(TB), *arguments], cwd=folder, env={**os.environ, **more}, capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def output(folder, task):
    return json.loads((folder / "tree" / task / "output.json").read_text())


def test_the_workflow_of_the_page_comes_to_a_label(place):
    tb(place, "init")
    tb(place, "workflow", "workflow.py")
    tb(place, "run", "--greedy", "tree")
    listed = tb(place, "ls")
    assert listed.count("done") == 10
    label = output(place, "label")
    assert label["state"] == "successful"
    assert label["waits_for"] == []
    documents = {name: output(place, f"{name}/static") for name in ("oxide", "metal", "water", "hydrogen")}
    energies = {name: document["energy_per_atom"] for name, document in documents.items()}
    oxygen = (
        3 * energies["water"] - 2 * energies["hydrogen"]
    )  # of an atom, by H2O and H2; what is added to it does not depend on MgO
    bare = energies["oxide"] - (energies["metal"] + oxygen) / 2
    reference = label_of(
        "MgO",
        [Phase(formula="MgO", energy=energies["oxide"]), Phase(formula="Mg", energy=energies["metal"])],
        References(water=3 * energies["water"], hydrogen=2 * energies["hydrogen"]),
        quantity="formation_energy",
        competitors=[],
    )
    assert label["value"] == pytest.approx(reference.value, abs=1e-12)
    assert abs(label["value"] - bare) < 2.0
    assert output(place, "bands")["has_bands"]
    assert output(place, "bands")["bandgap"] is not None


@pytest.mark.faults
def test_a_failed_task_says_why_and_can_be_unrun(place):
    tb(place, "init")
    tb(place, "workflow", "workflow.py")
    tb(place, "run", "--greedy", "tree", STAND_IN_FAULTS="crash:MgO")
    relaxed = output(place, "oxide/relax")
    assert relaxed["state"] == "failed"
    assert output(place, "oxide/static")["reason"] == relaxed["reason"]
    label = output(place, "label")
    assert (label["state"], label["value"]) == ("failed", None)
    assert label["waits_for"][0].startswith("MgO (")
    tb(place, "unrun", "--force", "tree/oxide/relax")
    tb(place, "run", "--greedy", "tree")
    assert output(place, "label")["state"] == "successful"
    folder = place / "tree" / "oxide" / "relax"
    assert sorted(each.name for each in folder.glob("*-*")) == ["attempt-1", "earlier-1"]


# Without Taskblaster -------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder for each step."""

    def go(name):
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)

    return go


def test_a_structure_may_be_given_in_three_forms(here):
    oxide = prototype_structure("rocksalt", {"A": ("Mg", 2.0)})
    found = []
    for name, form in {"object": oxide, "plain": oxide.as_dict(), "atoms": oxide.to_ase_atoms()}.items():
        here(name)
        found.append(functions.relax(form, SPRINGS))
    assert {document["state"] for document in found} == {"successful"}
    assert [document["energy"] for document in found] == pytest.approx([found[0]["energy"]] * 3)
    here("static")
    static = functions.static(found[0], SPRINGS)
    assert static["energy"] == pytest.approx(found[0]["energy"])
    assert json.loads(json.dumps(static)) == static


def test_wrong_inputs_are_one_line(here):
    here("wrong")
    with pytest.raises(InputError, match=r"^needs a structure of pymatgen or ASE, or its dictionary, found "):
        functions.relax({"sites": 3})
    with pytest.raises(InputError, match=r"^static: needs the document of another step, found \{\}$"):
        functions.static({})
    with pytest.raises(InputError, match=r"^molecule 'CO2': needs one of H2O, H2$"):
        functions.molecule("CO2")
    with pytest.raises(InputError, match=r"^label: needs documents of static or bands, found "):
        functions.label("MgO", [{"state": "successful"}])
    with pytest.raises(SettingsError, match=r"^calculation: unknown setting 'k_grid'"):
        functions.relax(prototype_structure("rocksalt", {"A": ("Mg", 2.0)}), {"k_grid": 3})


def test_a_step_that_failed_is_handed_on_at_no_cost(here):
    here("bands")
    failed = {
        "state": "failed",
        "structure": {},
        "verdict": "failed",
        "reason": "no memory",
        "core_hours": 3.0,
        "attempts": 3,
    }
    for step in (functions.static, functions.bands):
        assert step(failed) == {**failed, "core_hours": 0.0, "attempts": 0}
    assert not list(Path.cwd().iterdir())


def test_a_label_names_what_it_waits_for():
    document = {"state": "successful", "formula_pretty": "MgO", "dir_name": "/a/MgO/static/attempt-1", "verdict": "finished",
                "energy_per_atom": -1.0, "bandgap": 4.5, "reason": ""}  # fmt: skip
    assert functions.label("MgO", [document], "band_gap")["value"] == 4.5
    waiting = functions.label("MgO", [document], "formation_energy", competitors=[])
    assert (waiting["state"], waiting["value"]) == ("failed", None)
    assert any("Mg" in what for what in waiting["waits_for"])
    for settings, told in (
        (
            {"pressure": 1},
            "label: unknown setting 'pressure'; known are potential, pH, ",
        ),
        ({"concentration": -1.0}, "label: concentration: needs "),
    ):
        with pytest.raises(SettingsError, match=told):
            functions.label("MgO", [document], "band_gap", settings)
