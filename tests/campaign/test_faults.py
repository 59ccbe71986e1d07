"""What a run survives: killed at any instant, a disk that is full or broken at any write, bad tables, SIGTERM.

The command is the real one; it learns with lines where many runs are needed, else with a SISSO ensemble.
The long part of each test runs in ``make test-faults``.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from forks import Forks
from lines import MATERIALS, TRUE, events, state

from sisso_sal.campaign.verify import findings
from sisso_sal.ledger.store import read_ledger

LONG = pytest.mark.faults
TINY = (
    *("--rung", 1, "--dim", 1, "--n-sis", 5, "--operators", "add,mult,sq", "--members", 4, "--correction", "none"),
    *("--threads", 1, "--batch", 3, "--quiet"),
)
SCRIPT = """#!/bin/sh
echo "$1" >> started
grep "^$1," all.csv | sed 's/.*,\\(.*\\)/{"value": \\1}/'
"""


def stocked(folder):
    """Tables and a script in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    MATERIALS.to_csv(folder / "materials.csv", index=False)
    MATERIALS[["formula"]].assign(**{"gap (eV)": MATERIALS["formula"].map(TRUE)}).to_csv(
        folder / "all.csv", index=False
    )
    (folder / "run.sh").write_text(SCRIPT)
    (folder / "run.sh").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    """The library that makes writes fail."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler and Linux to make writes fail")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).parent / "shim.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture(scope="module")
def broken(shim, tmp_path_factory):
    """Processes in which writes can be made to fail."""
    with Forks(stocked(tmp_path_factory.mktemp("broken")), shim) as server:
        yield server


def command(run, oracle="lookup:all.csv", budget=7):
    return ("discover", "materials.csv", *TINY, "--out", run, "--oracle", oracle, "--budget", budget)


def picks(run):
    return [[row["id"] for row in event["proposals"]] for event in events(run, "proposal")]


def answered(run):
    return [(event["id"], event["value"]) for event in events(run, "label") if event["source"] == "oracle"]


@pytest.mark.parametrize(
    ("kills", "lines"),
    [
        pytest.param(10, True, id="10-lines"),
        pytest.param(200, True, id="200-lines", marks=LONG),
        pytest.param(200, False, id="200-sisso", marks=LONG),
    ],
)
@pytest.mark.parametrize("oracle", ["lookup:all.csv", "command:./run.sh {id}"], ids=["lookup", "command"])
def test_a_driver_killed_at_random_instants_ends_as_the_one_that_was_not(forks, in_memory, kills, lines, oracle):
    """No acknowledged label is lost, nothing is started twice, and every pick is the same.

    Kills come within half of the time that a whole campaign takes here and now; after them the last campaign runs to its end.
    """
    rng = np.random.default_rng(kills)
    plain = stocked(in_memory / "plain")
    forks.call("--version")  # what is forked has started
    start = time.monotonic()
    assert forks.call(*command("run", oracle), cwd=plain, lines=lines).code == 0
    longest = (time.monotonic() - start) / 2
    done = number = 0
    while done < kills:
        number += 1
        folder = stocked(in_memory / f"killed{number}")
        seen = set()
        while True:
            kill_after = rng.uniform(0.0, longest) if done < kills else None
            found = forks.call(*command("run", oracle), cwd=folder, lines=lines, kill_after=kill_after)
            if (folder / "run" / "campaign.db").exists():
                labels = set(answered(folder / "run"))
                assert seen <= labels
                seen = labels
            if found.code == 0:
                break
            assert found.code == -signal.SIGKILL, found.err
            done += 1
        assert picks(folder / "run") == picks(plain / "run")
        assert sorted(answered(folder / "run")) == sorted(answered(plain / "run"))
        assert findings(folder / "run")[1] == []
        if oracle.startswith("command"):
            started = (folder / "started").read_text().split()
            assert sorted(started) == sorted(id for id, _ in answered(plain / "run"))


FIRST = 200


@pytest.mark.parametrize("kind", ["full", "io", "short"])
@pytest.mark.parametrize("stride", [pytest.param(41, id="some"), pytest.param(1, id="each", marks=LONG)])
def test_a_disk_that_fails_at_any_write_leaves_the_old_state_or_the_new(broken, in_memory, kind, stride):
    """Each of the first 200 writes and syncs below the run folder."""
    plain = stocked(in_memory / "plain")
    whole = broken.call(*command("run"), cwd=plain, fault=(plain / "run", 0, kind))
    assert whole.code == 0
    assert whole.writes > FIRST
    told = set()
    for at in range(1, FIRST + 1, stride):
        folder = stocked(in_memory / f"at{at}")
        run = folder / "run"
        found = broken.call(*command("run"), cwd=folder, fault=(run, at, kind))
        if found.code != 0:  # a sync of a folder may fail unheard in SQLite
            assert found.code == 1, (at, found)
            told.add(found.error.startswith("error: run"))
            assert "cannot be" in found.error, (at, found.error)
        if (run / "campaign.db").exists() and (run / "campaign.db").stat().st_size:
            reading = read_ledger(run)
            assert reading.damage == "", at
            assert [row.seq for row in reading.rows] == list(range(1, len(reading.rows) + 1))
        again = broken.call(*command("run"), cwd=folder)
        assert again.code == 0, (at, again.err)
        assert picks(run) == picks(plain / "run")
        assert answered(run) == answered(plain / "run")
        assert findings(run)[1] == [], at
        shutil.rmtree(folder)
    assert told == {True}


def environment():
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, "waiting"),
        (signal.SIGINT, "start"),
        pytest.param(signal.SIGINT, "waiting", marks=LONG),
        pytest.param(signal.SIGTERM, "start", marks=LONG),
    ],
)
def test_a_signal_ends_a_driver_soon_and_the_same_command_goes_on(forks, in_memory, number, moment):
    folder = stocked(in_memory / "here")
    slow = SCRIPT.replace("grep", "sleep 3; grep")
    (folder / "run.sh").write_text(slow)
    arguments = command("run", "command:./run.sh {id}", budget=2)
    words = [sys.executable, "-m", "sisso_sal", *map(str, arguments)]
    child = subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    with child:
        wait_for(lambda: (folder / ("run/.driver.json" if moment == "start" else "started")).exists())
        start = time.monotonic()
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    assert time.monotonic() - start < 10
    assert child.returncode == 128 + number, err
    assert out == ""
    lines = err.splitlines()
    assert lines[-1].startswith("error: interrupted")
    if moment == "waiting":
        assert lines[-1].endswith("2 calculations are running; run the same command to continue")
        assert findings(folder / "run")[1] == []
        assert not (folder / "run" / ".driver.json").exists()
    done = forks.call(*arguments, cwd=folder, lines=False)
    assert done.code == 0, done.err
    plain = stocked(in_memory / "plain")
    assert forks.call(*command("run", budget=2), cwd=plain, lines=False).code == 0
    assert picks(folder / "run") == picks(plain / "run")
    assert sorted((folder / "started").read_text().split()) == sorted(id for id, _ in answered(plain / "run"))


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_the_number_of_workers_changes_no_pick(forks, in_memory, workers):
    """Calculations of different length end in another order; the next batch does not depend on it."""
    folder, plain = stocked(in_memory / "here"), stocked(in_memory / "plain")
    uneven = SCRIPT.replace("grep", 'sleep 0.$(printf %s "$1" | cksum | cut -c1); grep')
    (folder / "run.sh").write_text(uneven)
    done = forks.call(*command("run", "command:./run.sh {id}", 9), "--calculations", workers, cwd=folder)
    assert done.code == 0, done.err
    assert forks.call(*command("run", budget=9), cwd=plain).code == 0
    assert picks(folder / "run") == picks(plain / "run")
    assert state(folder / "run").labels == state(plain / "run").labels


HEAD = "name,gap (eV),a,b\n"
ROWS = "M1,1.0,2.0,3.0\nM2,,1.0,4.0\nM3,2.0,3.0,1.5\nM4,,2.5,1.0\nM5,3.0,1.0,2.0\n"
BAD = {
    "empty file": ("", []),
    "header only": (HEAD, ["found none"]),
    "one row": (HEAD + "M1,,2.0,3.0\n", []),
    "semicolons": ((HEAD + ROWS).replace(",", ";"), None),
    "tabs": ((HEAD + ROWS).replace(",", "\t"), None),
    "two separators": ("name;gap,a\nM1;1,2\nM2;,1\n", ["line 1", "commas and semicolons"]),
    "per cent in a feature": (HEAD + "M1,1,2%,3\nM2,,1%,4\nM3,2,3%,1\n", ["row 1", "'a'", "'2%'", "write 2"]),
    "errors in the target": (HEAD + "M1,1(1),2,3\nM2,,1,4\nM3,2(1),3,1\n", ["row 1", "'gap (eV)'", "'1(1)'", "write 1"]),
    "units in the cells": (HEAD + "M1,1,2 eV,3\nM2,,1 eV,4\nM3,2,3 eV,1\n", ["row 1", "'a'", "'2 eV'", "in the header"]),
    "bars": ((HEAD + ROWS).replace(",", "|"), ["vertical bars"]),
    "decimal commas": (HEAD + ROWS.replace("M1,1.0,2.0,3.0", 'M1,"1,0","2,0","3,0"'), ["row 1", "decimal"]),
    "text in a feature": (HEAD + ROWS.replace("4.0", "four"), ["row 2", "'b'", "'four'"]),
    "gap in a feature": (HEAD + ROWS.replace("M3,2.0,3.0,1.5", "M3,2.0,,1.5"), ["a"]),
    "n/a in a feature": (HEAD + ROWS.replace("4.0", "n/a"), ["row 2", "'b'", "'n/a'"]),
    "nan in a feature": (HEAD + ROWS.replace("4.0", "nan"), ["row 2", "'b'"]),
    "inf in a feature": (HEAD + ROWS.replace("4.0", "inf"), ["row 2", "'b'", "'inf'"]),
    "-Infinity in a feature": (HEAD + ROWS.replace("4.0", "-Infinity"), ["row 2", "'b'"]),
    "1e308": (HEAD + ROWS.replace("4.0", "1e308"), ["row 2", "'b'", "1e308"]),
    "1e999": (HEAD + ROWS.replace("4.0", "1e999"), ["row 2", "'b'", "1e999"]),
    "inf in the target": (HEAD + ROWS.replace("M3,2.0", "M3,inf"), ["row 3", "'gap (eV)'"]),
    "text in the target": (HEAD + ROWS.replace("M3,2.0", "M3,two"), ["row 3", "'gap (eV)'", "'two'"]),
    "no gaps": (HEAD + ROWS.replace("M2,,", "M2,1.5,").replace("M4,,", "M4,1.5,"), ["found no column with gaps"]),
    "all labels missing": (HEAD + "M1,,2,3\nM2,,1,4\nM3,,3,1\n", ["'gap (eV)'", "only empty cells"]),
    "two labels": (HEAD + "M1,1,2,3\nM2,2,1,4\nM3,,3,1\nM4,,3,2\n", ["needs at least 3 labelled rows", "found 2"]),
    "two columns with gaps": ("name,gap,other,a\nM1,1,,2\nM2,,2,1\nM3,2,1,3\n", ["'gap'", "'other'", "--target"]),
    "same id twice": (HEAD + ROWS.replace("M4", "M1"), ["row 4", "'name'", "'M1'", "row 1"]),
    "empty id": (HEAD + ROWS.replace("M4", ""), ["row 4", "'name'"]),
    "same column twice": (HEAD.replace("b", "a") + ROWS, ["'a'"]),
    "same column with another unit": (HEAD.replace("a,b", "a (eV),a (meV)") + ROWS, ["'a"]),
    "empty header": (HEAD.replace("a,b", ",b") + ROWS, ["header"]),
    "constant column": (HEAD + "M1,1,2,3\nM2,,2,4\nM3,2,2,1\nM4,3,2,5\n", None),
    "empty column": (HEAD + "M1,1,,3\nM2,,,4\nM3,2,,1\nM4,3,,5\n", None),
    "no column but constant ones": (HEAD + "M1,1,2,3\nM2,,2,3\nM3,2,2,3\n", ["'a', 'b' (constant)"]),
    "short row": (HEAD + ROWS.replace("M3,2.0,3.0,1.5", "M3,2.0,3.0"), ["row 3"]),
    "long row": (HEAD + ROWS.replace("M3,2.0,3.0,1.5", "M3,2.0,3.0,1.5,9"), ["row 3"]),
    "too many columns": (
        ",".join(["name", "gap", *(f"f{i}" for i in range(10_000))]) + "\n" + "M1,1" + ",2" * 10_000 + "\n",
        ["columns"],
    ),
    "no features": ("name,gap\nMg1,1\nCa9,\nX3,2\n", []),
    "not an oxide": ("name,gap\nNaCl,1\nGaAs,\nGaN,2\nInP,3\n", ["NaCl"]),
    "bad formula": ("name,gap\nXx2O3,1\nQq,\nZz,2\nVv,3\n", ["Xx2O3"]),
    "a PNG": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), []),
    "UTF-16": ((HEAD + ROWS).encode("utf-16"), []),
    "Latin-1": ((HEAD + ROWS.replace("M1", "M\xe9")).encode("latin-1"), []),
    "a zip file": (b"PK\x03\x04" + bytes(200), []),
    "JSON": ('[{"name": "M1", "gap": 1.0}]\n', []),
    "a Parquet file that is cut": (b"PAR1" + bytes(100), []),
    "an open quote": (HEAD + ROWS.replace("M3", '"M3'), []),
    "NUL bytes": (HEAD.encode() + b"M1,1.0,\x00,3.0\nM2,,1.0,4.0\n", []),
    "a unit that is none": (HEAD.replace("a,b", "a (eV,b") + ROWS, None),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_table_is_refused_with_its_place_in_one_line(forks, in_memory, name):
    content, told = BAD[name]
    path = in_memory / "bad.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = forks.call("discover", "bad.csv", "--out", "run", *TINY, cwd=in_memory)
    if told is None:  # odd, but a table
        assert done.code == 0
        return
    assert done.code == 2, done
    assert done.out == ""
    assert done.error.startswith("error: ")
    assert "bad.csv" in done.error or "formula" in done.error
    assert [part for part in told if part not in done.error] == []
    assert not (in_memory / "run").exists()


def test_the_tables_are_forty():
    assert len([name for name, (_, told) in BAD.items() if told is not None]) >= 40


def test_a_folder_that_cannot_be_written_is_told(forks, in_memory):
    folder = stocked(in_memory / "here")
    assert forks.call(*command("run"), cwd=folder).code == 0
    before = json.dumps(picks(folder / "run"))
    (folder / "run" / "iter-0001").rename(folder / "run" / "gone")
    assert forks.call(*command("run"), cwd=folder).code == 0
    assert json.dumps(picks(folder / "run")) == before
