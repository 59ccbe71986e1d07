"""The calculations of a run as an upload for NOMAD and as a database of ASE: the command as a process, on the stand-in."""

import csv
import filecmp
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("taskblaster")
pytest.importorskip("pyfhiaims")
pytest.importorskip("yaml", reason="reads nomad.yaml back")

import aims_stand_in
import ase.db
import yaml
from forks import shared
from hypothesis import given
from hypothesis import strategies as st
from lines import state
from species import write_species
from test_commands import call, refused, strict

from sisso_sal.data.table import read_table
from sisso_sal.export.ase_database import _functional
from sisso_sal.export.calculations import calculations_of
from sisso_sal.export.nomad import NomadMetadata, metadata_text
from sisso_sal.ledger.store import Ledger
from sisso_sal.oracle.calculations.survey import survey
from sisso_sal.oracle.workflow.tasks import Workflow
from sisso_sal.settings.calculation import LabelSettings

ROOT = Path(aims_stand_in.__file__).parents[1]
SETTINGS = """
batch = 2
[run]
oracle = "{oracle}"
calculations = 2
budget = 2
[model]
rung = 0
dim = 1
[ensemble]
members = 4
correction = "none"
[label]
max_prototypes = 1
[label.competitors]
MgO = []
ZnO = []
[calculation]
{calculation}
with_bands = false
"""


def computed(folder, oracle, calculation, asked, faults=""):
    """A run of these candidates in a folder."""
    with (ROOT / "data" / "oxides.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    known = [row for row in rows if row[1] and row[0] not in asked][:12]
    asked = [[row[0], "", *row[2:]] for row in rows if row[0] in asked]
    with (folder / "oxides.csv").open("w", newline="") as file:
        csv.writer(file).writerows(row[:3] + row[9:12] for row in [head, *known, *asked])
    (folder / "campaign.toml").write_text(SETTINGS.format(oracle=oracle, calculation=calculation))
    call(
        *("discover", "oxides.csv", "--config", "campaign.toml", "--out", "run"),
        folder=folder,
        code=3 if faults else 0,
        environment={"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "STAND_IN_FAULTS": faults},
    )
    return folder


@pytest.fixture(scope="module")
def aims(tmp_path_factory):
    """FHI-aims: a relaxation of Mg needs a remedy, ZnO never works."""
    folder = tmp_path_factory.mktemp("aims")
    write_species(folder / "species", ["Mg", "O", "H", "Zn"])
    command = f"{sys.executable} {Path(aims_stand_in.__file__)}"
    return computed(
        folder, "aims", f'command = "{command}"\nspecies_dir = "species"', {"MgO", "ZnO"}, "crash:ZnO,scf:Mg"
    )


@pytest.fixture(scope="module")
def structures(tmp_path_factory):
    """A calculator of ASE, which leaves no files."""
    folder = tmp_path_factory.mktemp("structures")
    return computed(folder, "structure", 'calculator = "stand_in_calculator:Pairs"', {"MgO"})


def rows_of(path, **asked):
    with ase.db.connect(path) as database:  # outside, ASE opens connections that it does not close
        return list(database.select(**asked))


def successful(folder):
    tasks = Workflow(folder / "run" / "oracle", {}).tasks()
    return {t.name: t.document for t in tasks if t.document and t.document["state"] == "successful"}


# NOMAD -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def upload(aims):
    done = call(
        *("export", "run", "--format", "nomad", "--out", "oxides.zip", "--comment", 'Oxides: "acid", ΔG\n☃ # all'),
        *("--reference", "https://doi.org/10.1038/s41524-025-01596-4", "--dataset", "oxides", "--dataset", "yes"),
        *("--coauthor", "a.b@c.org"),
        folder=aims,
    )
    return aims / "oxides.zip", done


def test_a_zip_has_the_unchanged_files_of_each_last_attempt_and_no_other(aims, upload, tmp_path):
    path, done = upload
    documents = successful(aims)
    tree = aims / "run" / "oracle" / "tree"
    shutil.unpack_archive(path, tmp_path / "out")
    found = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert {str(Path(name).parent) for name in found - {"nomad.yaml"}} == documents.keys()
    assert any(document["attempts"] == 3 for document in documents.values())  # Mg, whose first attempts are not in it
    for name, document in documents.items():
        folder = tree / name / f"attempt-{document['attempts']}"
        made = {file.name for file in folder.iterdir()} - {"attempt.json", "ended.json"}
        assert {Path(file).name for file in found if str(Path(file).parent) == name} == made
        assert {"aims.out", "control.in", "geometry.in"} <= made
        assert filecmp.cmpfiles(folder, tmp_path / "out" / name, made, shallow=False) == (sorted(made), [], []) or all(
            filecmp.cmp(folder / file, tmp_path / "out" / name / file, shallow=False) for file in made
        )
    assert f"oxides.zip: {len(documents)} calculations, {len(found) - 1} files" in done.stdout
    assert "note: left out: 1 failed" in done.stderr  # the relaxation of ZnO


def test_the_metadata_is_what_nomad_reads(upload, aims):
    """NOMAD reads the file by PyYAML's safe loader, and looks an entry up by the path of its main file."""
    with zipfile.ZipFile(upload[0]) as archive:
        metadata = yaml.safe_load(archive.read("nomad.yaml"))
        names = set(archive.namelist())
        assert archive.testzip() is None
    entries = metadata.pop("entries")
    assert metadata == {
        "comment": 'Oxides: "acid", ΔG\n☃ # all',
        "references": ["https://doi.org/10.1038/s41524-025-01596-4"],
        "datasets": ["oxides", "yes"],
        "coauthors": ["a.b@c.org"],
    }
    assert entries.keys() == {f"{name}/aims.out" for name in successful(aims)}
    assert entries.keys() <= names
    assert entries["MgO/rocksalt/static/aims.out"] == {
        "comment": "MgO, rocksalt: static, candidate MgO",
        "external_id": "MgO/rocksalt/static",
    }


@given(st.lists(st.text(), min_size=1, max_size=4), st.text())
def test_whatever_text_is_read_back(names, comment):
    names = [name for name in names if name.strip()]
    told = NomadMetadata(comment=comment, datasets=names, coauthors=names)
    read = yaml.safe_load(metadata_text(told, [])) or {}
    assert read == {k: v for k, v in (("comment", comment), ("datasets", names), ("coauthors", names)) if v}


def test_json_tells_what_is_in_the_file(aims, tmp_path):
    done = call("export", "run", "--format", "nomad", "--out", tmp_path / "a.zip", "--json", folder=aims)
    document = strict(done.stdout)
    assert document["n_calculations"] == len(successful(aims))
    assert document["left_out"] == {"failed": 1}  # the energy of ZnO, which had no geometry, is none of its own
    assert document["n_bytes"] == (tmp_path / "a.zip").stat().st_size


@pytest.mark.faults
def test_an_interrupted_export_leaves_nothing(aims, tmp_path):
    """Killed while it writes: no zip under the final name; interrupted: nothing at all."""
    big = tmp_path / "copy"
    shutil.copytree(aims / "run", big)
    folder = next((big / "oracle" / "tree" / "MgO" / "rocksalt" / "static").glob("attempt-*"))
    with (folder / "large.cube").open("wb") as file:
        file.truncate(1 << 36)  # takes no room on the disk, and minutes to read
    words = [sys.executable, "-m", "sisso_sal", "export", str(big), "--format", "nomad", "--out", "big.zip"]
    for end in ("terminate", "kill"):
        process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        until = time.monotonic() + 60
        while not list(tmp_path.glob(".big.zip*")) and time.monotonic() < until:
            time.sleep(0.005)
        getattr(process, end)()
        process.communicate()
        assert process.returncode != 0
        assert not (tmp_path / "big.zip").exists()
        assert bool(list(tmp_path.glob(".big.zip*"))) == (end == "kill")


def test_a_full_disk_leaves_nothing(aims, tmp_path):
    program = (
        "import resource, signal; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
    )
    for form, name in (("nomad", "a.zip"), ("ase", "a.db")):
        out = tmp_path / name
        done = shared().call("export", aims / "run", "--format", form, "--out", out, lines=False, first=program)
        assert done.code == 1, done.err
        assert f"{out}: cannot be written: " in done.err.splitlines()[-1]
        assert list(tmp_path.iterdir()) == []


# ASE ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["oxides.db", "oxides.json"])
@pytest.mark.parametrize("which", ["aims", "structures"])
def test_ase_reads_every_calculation_with_its_label(which, name, request, tmp_path):
    folder = request.getfixturevalue(which)
    done = call("export", "run", "--format", "ase", "--out", tmp_path / name, folder=folder)
    documents, labels = successful(folder), state(folder / "run").labels
    assert f"{name}: {len(documents)} calculations, {len(documents)} rows" in done.stdout
    rows = {row.task: row for row in rows_of(tmp_path / name)}
    assert rows.keys() == documents.keys()
    for task, row in rows.items():
        document = documents[task]
        assert row.energy == document["energy"]
        assert row.step == task.split("/")[2]
        assert row.reduced_formula == document["formula_pretty"]
        if document["forces"] is not None:
            assert row.toatoms().get_forces() == pytest.approx(np.array(document["forces"]), abs=1e-12)
        if document["stress"] is not None:
            stress = row.toatoms().get_stress(voigt=False)
            assert stress == pytest.approx(np.array(document["stress"]), abs=1e-8)
        assert row.data["document"]["trajectory"]["num_ionic_steps"] == document["trajectory"]["num_ionic_steps"]
        assert row.get("label") == (labels["MgO"] if task.startswith("MgO/") else row.get("label"))
    (row,) = [row for task, row in rows.items() if task.endswith("static") and task.startswith("MgO/")]
    assert (row.candidate, row.target) == ("MgO", "dG_pbx (eV/atom)")
    assert (row.code, row.get("version")) == (("aims", 240507) if which == "aims" else ("Pairs", None))
    assert row.get("functional") == ("hse06" if which == "aims" else None)
    assert row.toatoms().get_volume() == pytest.approx(documents[row.task]["structure"]["lattice"]["volume"])


def test_the_command_of_ase_reads_it(aims, tmp_path):
    call("export", "run", "--format", "ase", "--out", tmp_path / "a.db", folder=aims)
    words = [sys.executable, "-m", "ase", "db", str(tmp_path / "a.db"), "candidate=MgO,step=static", "-c"]
    done = subprocess.run([*words, "formula,label,functional"], capture_output=True, text=True, check=True)
    assert "hse06" in done.stdout
    assert f"{state(aims / 'run').labels['MgO']:.3f}" in done.stdout


def test_whoever_gets_the_database_makes_the_same_labels_of_it(aims, tmp_path):
    """An export is a folder of calculations for the oracle of those that were done already."""
    call("export", "run", "--format", "ase", "--out", tmp_path / "a.db", folder=aims)
    asked = {"calculated_with": {"xc": "hse06"}, "competitors": {"MgO": ()}}
    table = read_table(pd.DataFrame({"formula": ["MgO", "ZnO"], "EN": [1.0, 2.0]}), id="formula")
    looked = survey(tmp_path / "a.db", LabelSettings.model_validate(asked), table)
    assert looked.labels["MgO"].value == pytest.approx(state(aims / "run").labels["MgO"])
    assert list(looked.lacking) == ["ZnO"]
    assert not any("converged" in line for line in looked.notes())
    assert {one.version for one in looked.found.calculations} != {""}
    document = next(one.document() for one in calculations_of(aims / "run").found if one.step == "static")
    given = document["input"]
    assert _functional(given) == "hse06"
    by_rpa = {**given, "parameters": {**given["parameters"], "total_energy_method": "rpa"}}
    assert _functional(by_rpa) == "hse06 + total_energy_method rpa"


def test_a_folder_of_calculations_has_no_labels(aims, tmp_path):
    found = calculations_of(aims / "run" / "oracle")
    assert (found.labels, found.target) == ({}, "")
    assert {one.task for one in found.found} == successful(aims).keys()
    call("export", "run/oracle", "--format", "ase", "--out", tmp_path / "a.db", folder=aims)
    assert all(row.get("label") is None for row in rows_of(tmp_path / "a.db"))


def test_a_level_of_theory_has_its_own_calculations_and_labels(aims, tmp_path):
    """A run whose calculations are those of a level: it names the folder, which is exported with the labels of the level."""
    shutil.copytree(aims / "run", tmp_path / "run")
    (tmp_path / "run" / "levels" / "hse06").mkdir(parents=True)
    (tmp_path / "run" / "oracle").rename(tmp_path / "run" / "levels" / "hse06" / "oracle")
    told = refused("export", "run", "--format", "ase", "--out", "a.db", folder=tmp_path)
    assert told == "error: run: holds no calculations; its levels have some: run/levels/hse06"
    with Ledger(tmp_path / "run") as ledger:
        ledger.append("label", {"id": "MgO", "value": 1.25, "source": "oracle", "level": "hse06"})
    call("export", "run/levels/hse06", "--format", "ase", "--out", "a.db", folder=tmp_path)
    rows = rows_of(tmp_path / "a.db", candidate="MgO")
    assert {(row.label, row.target) for row in rows} == {(1.25, "hse06")}
    shutil.copytree(aims / "run" / "oracle", tmp_path / "run" / "oracle")
    done = call("export", "run", "--format", "ase", "--out", "b.db", folder=tmp_path)
    advice = "lower levels have calculations of their own, which are exported by their folders: run/levels/hse06"
    assert f"note: {advice}" in done.stderr.splitlines()


def test_a_run_that_was_moved_is_exported(aims, tmp_path):
    shutil.copytree(aims / "run", tmp_path / "moved")
    call("export", "moved", "--format", "nomad", "--out", "moved.zip", folder=tmp_path)
    with zipfile.ZipFile(tmp_path / "moved.zip") as archive:
        assert len([name for name in archive.namelist() if name.endswith("aims.out")]) == len(successful(aims))


def test_names_that_read_as_numbers_and_links(aims, tmp_path):
    """ASE stores no text that reads as a number; a link may lead anywhere, so it stays out of an upload."""
    copy = tmp_path / "copy"
    shutil.copytree(aims / "run" / "oracle", copy)
    for file in (copy / "intents").glob("*.json"):
        request = json.loads(file.read_text())
        file.write_text(json.dumps({**request, "candidate": "007" if request["id"] == "MgO" else "True"}))
    folder = next((copy / "tree" / "MgO" / "rocksalt" / "static").glob("attempt-*"))
    (folder / "secret").symlink_to("/etc/hostname")
    call("export", copy, "--format", "ase", "--out", "a.db", folder=tmp_path)
    assert {row.get("candidate") for row in rows_of(tmp_path / "a.db")} >= {7, None}
    call("export", copy, "--format", "nomad", "--out", "a.zip", folder=tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert not [name for name in archive.namelist() if name.endswith("secret")]


# What is refused ---------------------------------------------------------------------------------------------------------

OUT = ("--out", "b.zip")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "--format", "nomad"), "error: out: needs a file for --format nomad, such as --out run.zip"),
        (("run", "--format", "ase"), "error: out: needs a file for --format ase, such as --out run.db"),
        (
            ("run", "--format", "nomad", "--out", "b.tar"),
            "error: b.tar: needs a name that ends with .zip, found another",
        ),
        (
            ("run", "--format", "ase", "--out", "b.sql"),
            "error: b.sql: needs a name that ends with .db or .json, found another",
        ),
        (
            ("run", "--format", "nomad", "--out", "there.zip"),
            "error: there.zip: exists already; give another --out, or --force to replace it",
        ),
        (
            ("run", "--format", "nomad", "--out", "no/b.zip"),
            "error: no/b.zip: needs a folder that exists, found no 'no'",
        ),
        (("nowhere", "--format", "nomad"), "error: nowhere: needs a run folder, found nothing"),
        (
            ("species", "--format", "ase"),
            "error: species: holds no calculations; needs a run of an oracle that computes",
        ),
        (("nowhere", "--format", "nomad", *OUT), "error: nowhere: needs a run folder, found nothing"),
        (("oxides.csv", "--format", "nomad", *OUT), "error: oxides.csv: needs a run folder, found a file"),
        (
            ("species", "--format", "nomad", *OUT),
            "error: species: holds no calculations; needs a run of an oracle that computes",
        ),
        (
            ("run", "--format", "nomad", *OUT, "--dim", "2"),
            "error: dim: needs a format of formulas, found --format nomad",
        ),
        (
            ("run", "--format", "ase", "--out", "b.db", "--comment", "x"),
            "error: comment: needs --format nomad, found ase",
        ),
        (("run", "--dataset", "x"), "error: dataset: needs --format nomad, found latex"),
        (
            ("run", "--format", "nomad", *OUT, "--reference", "10.1/2"),
            "error: reference: needs an address such as https://doi.org/10.1000/182, found '10.1/2'",
        ),
        (("run", "--format", "nomad", *OUT, "--coauthor", " "), "error: coauthor: needs a name, found an empty one"),
    ],
)
def test_what_cannot_be_exported(aims, arguments, told):
    (aims / "there.zip").write_text("mine")
    assert refused("export", *arguments, folder=aims) == told
    assert (aims / "there.zip").read_text() == "mine"
    assert not list(aims.glob("b.*"))


def test_an_upload_needs_files_of_an_engine(structures):
    told = refused("export", "run", "--format", "nomad", "--out", "b.zip", folder=structures)
    n = len(successful(structures))
    assert (
        told
        == f"error: b.zip: needs a calculation with files of its engine, found {n} without; --format ase exports them"
    )
    assert not list(structures.glob("*b.zip*"))


def test_a_run_without_a_result(aims, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(aims / "run" / "oracle", copy)
    for file in (copy / "tree").rglob("output.json"):
        file.write_text("{}")
    told = refused("export", copy, "--format", "ase", "--out", tmp_path / "a.db")
    assert told.startswith(f"error: {copy}: needs a calculation that succeeded, found ")
    assert "without a document" in told


@pytest.mark.parametrize(
    ("package", "form", "told"),
    [
        ("ase", "ase", "error: format ase: needs ASE; pip install 'sisso-sal[dft]'"),
        (
            "taskblaster",
            "nomad",
            "error: first-principles workflows need Taskblaster; pip install 'sisso-sal[dft]'",
        ),
    ],
)
def test_without_the_packages(aims, tmp_path, package, form, told):
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('no {package}')\n")
    out = tmp_path / ("a.db" if form == "ase" else "a.zip")
    words = [sys.executable, "-m", "sisso_sal", "export", str(aims / "run"), "--format", form, "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, told)
    assert not out.exists()
