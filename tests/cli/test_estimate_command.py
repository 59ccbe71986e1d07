"""`estimate` as a shell calls it, with a potential of the tests: tables, kills, interruptions, two processes, refusals."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sisso_sal.data.table import read_table

from test_commands import call  # isort: skip

TESTS = Path(__file__).parents[1]
TABLE = """\
formula,g (eV/atom),a
MgO,0.10,1.50
TiO2,,2
MgTiO3,0.2,3
ZrO2,,4
PtO2,,5
NaCl,,6
"""
N_PARTS = 26
POTENTIAL = ("--potential", "springs:Noted")


def environment(**more):
    return {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}", **more}


def estimate(folder, *arguments, code=0, **more):
    return call("estimate", "c.csv", *arguments, folder=folder, code=code, environment=environment(**more))


def begun(folder, log, *arguments):
    """The command in the middle of its work, slow enough to be caught there."""
    words = [sys.executable, "-m", "sisso_sal", "estimate", "c.csv", *POTENTIAL, *arguments]
    slow = environment(SPRINGS_SECONDS="0.02", SPRINGS_LOG=str(log))
    process = subprocess.Popen(words, cwd=folder, env=slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not log.exists() or len(log.read_text().splitlines()) < 5:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.02)
    return process


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "c.csv").write_text(TABLE)
    return tmp_path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calm")
    (folder / "c.csv").write_text(TABLE)
    estimate(folder, *POTENTIAL, "--save-energies", "e.csv.gz")
    return folder


def parts(folder):
    return (folder / "c.estimates" / "parts.jsonl").read_text().splitlines()


def test_a_new_table_with_new_features(undisturbed):
    assert (undisturbed / "c.csv").read_text() == TABLE
    old = TABLE.splitlines()
    new = (undisturbed / "c.estimated.csv").read_text().splitlines()
    assert [line[: len(before)] for before, line in zip(old, new, strict=True)] == old
    table = read_table(undisturbed / "c.estimated.csv", target="g")
    assert table.feature_names == ("a", "dG_pbx_noted", "H_f_noted", "e_hull_noted", "volume_noted")
    assert table.feature_units[1:] == ("eV/atom", "eV/atom", "eV/atom", "AA**3/atom")
    assert table.ids == ("MgO", "TiO2", "MgTiO3")
    cells = {line.partition(",")[0]: line for line in new}
    assert "the cell explodes: its volume became 2" in cells["ZrO2"]
    assert cells["PtO2"].endswith(",dissolved Pt(IV) (known up to Pt(II))")
    assert cells["NaCl"].endswith(",no oxide without hydrogen")
    assert len(parts(undisturbed)) == N_PARTS


def test_one_json_document(undisturbed, folder):
    shutil.copytree(undisturbed / "c.estimates", folder / "c.estimates")
    done = estimate(folder, *POTENTIAL, "--json")
    document = json.loads(done.stdout)
    assert document["n_known"] == {
        "H_f_noted (eV/atom)": 4, "dG_pbx_noted (eV/atom)": 3, "e_hull_noted (eV/atom)": 4, "volume_noted (AA**3/atom)": 4,
    }  # fmt: skip
    assert document["not_known"] == {
        "dissolved Pt(IV): known up to Pt(II)": 1, "no oxide without hydrogen": 1, "the cell explodes": 1,
    }  # fmt: skip
    assert document["scheme"]["name"] == "mp2020"
    assert document["structures"] == {"n": N_PARTS, "n_without_energy": 4}
    assert (folder / "c.estimated.csv").read_bytes() == (undisturbed / "c.estimated.csv").read_bytes()


@pytest.mark.faults
def test_a_kill_costs_one_structure(undisturbed, folder):
    process = begun(folder, folder / "log")
    process.kill()
    process.communicate()
    n_kept = len(parts(folder))
    assert 3 <= n_kept < N_PARTS
    assert not (folder / "c.estimated.csv").exists()
    estimate(folder, *POTENTIAL, SPRINGS_LOG=str(folder / "more"))
    assert len(parts(folder)) == N_PARTS
    assert (folder / "c.estimated.csv").read_bytes() == (undisturbed / "c.estimated.csv").read_bytes()
    begun_before = len((folder / "log").read_text().splitlines())
    assert begun_before - n_kept <= 1


@pytest.mark.faults
def test_an_interruption_loses_nothing(undisturbed, folder):
    process = begun(folder, folder / "log")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.splitlines()[-1] == "error: interrupted"
    assert len(parts(folder)) == len((folder / "log").read_text().splitlines())
    estimate(folder, *POTENTIAL)
    assert (folder / "c.estimated.csv").read_bytes() == (undisturbed / "c.estimated.csv").read_bytes()


@pytest.mark.faults
def test_a_termination_is_told_by_its_code(folder):
    process = begun(folder, folder / "log")
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert len(parts(folder)) >= 4


def test_two_processes_do_not_share_a_folder(folder):
    process = begun(folder, folder / "log")
    try:
        refused = estimate(folder, *POTENTIAL, code=75)
        assert refused.stderr == "error: c.estimates: another process computes here; wait for its end\n"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.faults
def test_workers_come_to_the_same_and_end_when_interrupted(undisturbed, folder):
    process = begun(folder, folder / "log", "--workers", "2")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(parts(folder)) >= len((folder / "log").read_text().splitlines())
    estimate(folder, *POTENTIAL, "--workers", 2)
    assert (folder / "c.estimated.csv").read_bytes() == (undisturbed / "c.estimated.csv").read_bytes()


def test_energies_of_a_file_need_no_potential(undisturbed, folder):
    done = estimate(folder, "--energies", undisturbed / "e.csv.gz")
    assert (folder / "c.estimated.csv").read_bytes() == (undisturbed / "c.estimated.csv").read_bytes()
    assert not (folder / "c.estimates").exists()
    assert done.stderr == ""
    other = estimate(folder, "--energies", undisturbed / "e.csv.gz", "--potential", "chgnet", "--out", "o.csv", code=2)
    assert other.stderr.endswith("holds energies of springs:Noted, not of the one that was asked for\n")


def test_columns_of_the_same_name_are_replaced_whatever_their_unit(undisturbed, folder):
    lines = zip(TABLE.splitlines(), ["H_f_noted (meV/atom)", *"123456"], strict=True)
    (folder / "c.csv").write_text("".join(f"{line},{cell}\n" for line, cell in lines))
    done = estimate(folder, "--energies", undisturbed / "e.csv.gz")
    assert done.stderr == "note: replaced by new values: H_f_noted (meV/atom)\n"
    assert (folder / "c.estimated.csv").read_bytes() == (undisturbed / "c.estimated.csv").read_bytes()


@pytest.mark.faults
def test_a_damaged_line_is_told_and_computed_again(undisturbed, folder):
    estimate(folder, *POTENTIAL)
    file = folder / "c.estimates" / "parts.jsonl"
    file.write_text(file.read_text().replace("MgO", "MgX", 1)[:-20])
    done = estimate(folder, *POTENTIAL, "--force")
    assert done.stderr == "note: c.estimates: 2 lines that were cut off or changed count as not computed\n"
    assert (folder / "c.estimated.csv").read_bytes() == (undisturbed / "c.estimated.csv").read_bytes()


def test_a_scheme_is_fitted_and_its_error_told(folder):
    (folder / "h.csv").write_text("formula,H_f (eV/atom)\nMgO,-3.1\nTiO2,-3.2\nCaO,-3.3\nZnO,-1.8\nZrO2,-3.8\n")
    refused = estimate(folder, "--potential", "springs:Nameless", code=2)
    assert refused.stderr.startswith(
        "error: potential 'springs:Nameless': its reference scheme is not known; give --scheme mp2020|"
    )
    assert not (folder / "c.estimates").exists()
    document = json.loads(
        estimate(folder, "--potential", "springs:Nameless", "--fit-reference", "h.csv", "--json").stdout
    )
    assert document["scheme"]["name"] == "fitted"
    assert document["scheme"]["fit"]["n_oxides"] == 4
    assert document["scheme"]["fit"]["left_out"] == ["ZrO2"]
    assert document["scheme"]["fit"]["leave_one_out"] > 0.1


SPRINGS = ("--potential", "springs:Springs")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*SPRINGS, "--scheme", "pbe"), "scheme: needs one of mp2020, mp-uncorrected, chgnet-r2scan, found 'pbe'"),
        ((*SPRINGS, "--out", "c.csv", "--force"), "c.csv: is the table itself; give another file"),
        ((*SPRINGS, "--formula", "b"), "c.csv: needs a text column of formulas, found no 'b'"),
        (
            ("--energies", "e.csv", "--max-steps", "9"),
            "--energies e.csv: computes nothing; leave out what is said of a computation",
        ),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(folder, arguments, told):
    done = estimate(folder, *arguments, code=2)
    assert (done.stdout, done.stderr) == ("", f"error: {told}\n")
    assert (folder / "c.csv").read_text() == TABLE
    assert not (folder / "c.estimates").exists()


def test_vibrations_of_labels_are_no_part_of_estimates(folder):
    (folder / "c.toml").write_text('[label]\nvibrations = "chgnet"\n')
    done = estimate(folder, *SPRINGS, "--config", "c.toml")
    assert "label.vibrations has no effect on estimates; --check-phonons adds a column of them" in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("chgnet") is not None, reason="chgnet is installed here")
def test_without_the_extra_it_is_told_how_to_install_it(folder):
    told = "potential 'chgnet': not installed; install the CPU build of torch, then pip install 'sisso-sal[potential-chgnet]'"
    assert estimate(folder, code=2).stderr == f"error: {told}\n"
