"""`estimate --check-phonons` as a shell calls it: columns, kept parts, a kill, refusals."""

import csv
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rocksalt_springs import lowest

from sisso_sal.data.table import read_table

from test_commands import call  # isort: skip

TESTS = Path(__file__).parents[1]
TABLE = "formula,g (eV/atom)\nMgO,0.10\nCaO,\nSrO,0.2\nNaCl,0.3\n"
POTENTIAL = ("--potential", "rocksalt_springs:RockSalt")
PHONONS = ("lowest_mode_rocksalt (THz)", "F_vib_rocksalt (eV/atom)", "phonons_rocksalt")

is_installed = importlib.util.find_spec("phonopy") is not None
needs_phonopy = pytest.mark.skipif(not is_installed, reason="needs the extra phonons, which is not installed")


def environment(**more):
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent), *sys.path[1:]]), **more}


def words(*arguments):
    return [sys.executable, "-m", "sisso_sal", "estimate", "c.csv", *map(str, arguments)]


def estimate(folder, *arguments, code=0, **more):
    return call("estimate", "c.csv", *arguments, folder=folder, code=code, environment=environment(**more))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "c.csv").write_text(TABLE)
    return tmp_path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The command without phonons, and then with them."""
    folder = tmp_path_factory.mktemp("calm")
    (folder / "c.csv").write_text(TABLE)
    estimate(folder, *POTENTIAL, "--out", "c.csv.plain")
    energies = (folder / "c.estimates" / "parts.jsonl").read_bytes()
    (folder / "told.json").write_text(
        estimate(folder, *POTENTIAL, "--check-phonons", "--json", SPRINGS_LOG=str(folder / "log")).stdout
    )
    assert (folder / "c.estimates" / "parts.jsonl").read_bytes() == energies
    return folder


def rows(path):
    with path.open() as file:
        return {row["formula"]: row for row in csv.DictReader(file)}


@needs_phonopy
def test_columns_with_numbers_and_words(undisturbed):
    plain, found = rows(undisturbed / "c.csv.plain"), rows(undisturbed / "c.estimated.csv")
    for formula, row in found.items():
        assert {header: cell for header, cell in row.items() if header not in PHONONS} == plain[formula]
    cells = {formula: [row[header] for header in PHONONS] for formula, row in found.items()}
    assert float(cells["MgO"][0]) == pytest.approx(min(lowest("Mg").values()), rel=0.01)
    assert 0 < float(cells["MgO"][1]) < 0.1
    assert cells["MgO"][2].startswith("stable at Gamma and the zone boundary: lowest ")
    softest = min(lowest("Ca"), key=lowest("Ca").get)
    assert float(cells["CaO"][0]) == pytest.approx(min(lowest("Ca").values()), rel=0.02)
    assert cells["CaO"][1:] == ["", f"dynamically unstable: {float(cells['CaO'][0]):.2f} THz at {softest}"]
    assert cells["SrO"] == ["", "", "not known: RuntimeError: too many atoms"]
    assert cells["NaCl"] == ["", "", "not known: no relaxed structure"]
    document = json.loads((undisturbed / "told.json").read_text())
    assert document["phonons"] == {"n": 2, "unstable": ["CaO"], "not_known": {"SrO": "RuntimeError: too many atoms"}}
    assert document["n_known"]["F_vib_rocksalt (eV/atom)"] == 1


@needs_phonopy
def test_energies_are_not_computed_again_nor_phonons(undisturbed, folder):
    begun = (undisturbed / "log").read_text().splitlines()
    assert not {"Mg", "Ca", "Sr"} & set(begun)  # elements were relaxed before, for the energies
    shutil.copytree(undisturbed / "c.estimates", folder / "c.estimates")
    done = estimate(folder, *POTENTIAL, "--check-phonons", SPRINGS_LOG=str(folder / "log"))
    assert not (folder / "log").exists()
    assert "phonons of 2 formulas; 1 dynamically unstable: CaO\n" in done.stdout
    assert "       1  without phonons: RuntimeError\n" in done.stdout
    assert (folder / "c.estimated.csv").read_bytes() == (undisturbed / "c.estimated.csv").read_bytes()


@needs_phonopy
def test_a_table_with_phonons_has_the_rows_and_features_of_one_without(undisturbed):
    with_them = read_table(undisturbed / "c.estimated.csv", target="g")
    without = read_table(undisturbed / "c.csv.plain", target="g")
    assert (with_them.ids, with_them.feature_names) == (without.ids, without.feature_names)
    asked = read_table(undisturbed / "c.estimated.csv", target="g", features=["F_vib_rocksalt"])
    assert (asked.ids, asked.feature_units) == (("MgO",), ("eV/atom",))


@needs_phonopy
@pytest.mark.faults
def test_a_kill_costs_one_structure(undisturbed, folder):
    parts = folder / "c.estimates" / "phonons.jsonl"
    folder.joinpath("c.estimates").mkdir()
    shutil.copy(undisturbed / "c.estimates" / "parts.jsonl", folder / "c.estimates")
    process = subprocess.Popen(
        words(*POTENTIAL, "--check-phonons"), cwd=folder, env=environment(SPRINGS_PHONON_SECONDS="1"), stderr=subprocess.DEVNULL
    )  # fmt: skip
    until = time.monotonic() + 60
    while not parts.exists() or not parts.read_bytes():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    process.kill()
    process.wait()
    kept = parts.read_bytes()
    assert (kept.count(b"\n"), (folder / "c.estimated.csv").exists()) == (1, False)
    estimate(folder, *POTENTIAL, "--check-phonons", "--workers", 2)
    assert parts.read_bytes().startswith(kept)
    assert sorted(parts.read_bytes().splitlines()) == sorted(
        (undisturbed / "c.estimates" / "phonons.jsonl").read_bytes().splitlines()
    )
    assert (folder / "c.estimated.csv").read_bytes() == (undisturbed / "c.estimated.csv").read_bytes()


def test_a_file_of_energies_has_no_structures(folder):
    told = "error: --energies e.csv: computes nothing; leave out what is said of a computation\n"
    assert estimate(folder, "--energies", "e.csv", "--check-phonons", code=2).stderr == told


@pytest.mark.skipif(is_installed, reason="phonopy is installed here")
def test_without_phonopy_nothing_is_computed(folder):
    told = "error: phonopy: not installed; pip install 'sisso-sal[phonons]'\n"
    assert estimate(folder, *POTENTIAL, "--check-phonons", code=2).stderr == told
    assert not (folder / "c.estimates").exists()
