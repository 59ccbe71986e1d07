"""The edges of input and output: streams that are closed, full or unread, arguments that are no text, folders that take nothing."""

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from lines import KNOWN, MATERIALS, step

from sisso_sal.campaign.verify import findings
from sisso_sal.cli import cli
from sisso_sal.data.spreadsheet import csv_of
from sisso_sal.ledger.store import read_ledger

ROOT = Path(__file__).parents[2]
HOSTILE = "K\x1b[2J\x9b1m\u202e"
SHOWN = r"K\x1b[2J\x9b1m\u202e"
IDS = ["=A", "+B", "-C", "@D", "'=E", "\x1b[31mF\nx", "\u202eG", "'H"]


def without_privilege():
    """In a child that is root: the bits of a file's mode hold for it too once it starts a program."""
    if os.getuid() == 0:
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE


def with_faults(*values):
    """A case that runs with `make test-faults`: others of its kind run with every test."""
    return pytest.param(*values, marks=pytest.mark.faults)


def shell(line, folder, before=None):
    """A line as the shell runs it; ``$S`` is the command."""
    command = f"S='{sys.executable} -m sisso_sal'; {line}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(folder)}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, preexec_fn=before
    )  # fmt: skip


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("$S config show --quiet >&-", 1, "error: standard output: cannot be written: Bad file descriptor\n"),
        ("$S config show --quiet >/dev/full", 1, "error: standard output: cannot be written: No space left on device\n"),
        ("$S --help >/dev/full", 1, "error: input or output: No space left on device\n"),
        with_faults("$S config show --quiet | true; exit ${PIPESTATUS[0]}", 141, ""),
        ("$S --help | true; exit ${PIPESTATUS[0]}", 141, ""),
        with_faults("$S config show 2>&- >/dev/null", 0, ""),
        ("$S config show 2>/dev/full >/dev/null", 0, ""),
        with_faults("$S config show --quiet <&- >/dev/null", 0, ""),
        with_faults("$S fit nothing.csv 2>/dev/full", 2, ""),
        ("$S status nothing <&- >&- 2>&-", 2, ""),
        ("PYTHONIOENCODING=ascii $S status $'a\\u2082' --quiet", 2, None),
        ("$S fit $'\\xff.csv'", 2, "error: argument 2: needs UTF-8 text, found b'\\xff.csv'\n"),
        ("$S label . $'\\xff' 1", 2, "error: argument 3: needs UTF-8 text, found b'\\xff'\n"),
    ],
)  # fmt: skip
def test_a_stream_that_takes_or_gives_nothing_ends_the_program_with_one_line_and_the_right_code(
    tmp_path, line, code, told
):
    done = shell(line, tmp_path)
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    if told is not None:
        assert done.stderr == told


def test_a_closed_output_is_not_the_number_of_the_next_file(tmp_path):
    """Where stdout is closed, the next file that is opened gets its number, and what is printed goes into it."""
    (tmp_path / "t.csv").write_text("id,a,y\nA,1,2\nB,2,4\nC,3,\n")
    done = shell("$S featurize t.csv --out x.csv >&-; $S label . A 1 >&-; exit 0", tmp_path)
    assert "Traceback" not in done.stderr
    assert (tmp_path / "t.csv").read_text().startswith("id,a,y")


@pytest.fixture
def shut(tmp_path):
    """A folder with a run in it that can be read and not written."""
    MATERIALS.to_csv(tmp_path / "materials.csv", index=False)
    step(tmp_path / "run")
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield tmp_path
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o755)


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        with_faults("$S status run --quiet", 0, ""),
        ("$S ledger run --verify --quiet", 0, ""),
        ("$S label run OPEN 1.5", 1, "error: run: cannot be made a run folder: Permission denied"),
        with_faults("$S stop run", 1, "error: run: cannot be made a run folder: Permission denied"),
        ("$S pool --elements Ti --metals 1 --out pool.csv --quiet", 1, "error: pool.csv: cannot be written: Permission denied"),
        with_faults("$S discover materials.csv --out new --members 4 --rung 0 --quiet", 1,
         "error: new: cannot be made a run folder: Permission denied"),
        ("$S discover materials.csv --out materials.csv --members 4 --rung 0 --quiet", 2, None),
        with_faults("$S report run --out r.html --quiet", 1, None),
    ],
)  # fmt: skip
def test_a_folder_that_takes_nothing_is_told_in_one_line(shut, line, code, told):
    if shell("touch new", shut, without_privilege).returncode == 0:
        pytest.skip("the modes of files do not hold here")
    before = {path: path.stat().st_mtime_ns for path in shut.rglob("*")}
    open_id = next(id for id, known in zip(MATERIALS["formula"], KNOWN, strict=True) if not known)
    done = shell(line.replace("OPEN", open_id), shut, without_privilege)
    assert done.returncode == code, done
    errors = [text for text in done.stderr.splitlines() if not text.startswith("Next:")]
    assert len(errors) == (1 if code else 0)
    if told:
        assert errors == [told]
    assert {path: path.stat().st_mtime_ns for path in shut.rglob("*")} == before


def hostile(folder):
    """A table whose ids a terminal or a spreadsheet would obey."""
    rng = np.random.default_rng(3)
    a, b = rng.uniform(1, 5, (2, 14))
    ids = [*IDS, *(f"M{i}" for i in range(4)), "=Z", HOSTILE]
    table = pd.DataFrame({"id": ids, "a": a, "b": b, "y": a + b})
    table.loc[12:, "y"] = np.nan
    (folder / "table.csv").write_text(csv_of(table), encoding="utf-8")
    return ids


def call(*words):
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done


def test_ids_that_a_spreadsheet_would_compute_are_text_in_every_csv_and_the_same_ids_to_this_program(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    ids = hostile(tmp_path)
    small = ("--rung", 1, "--dim", 1, "--operators", "add", "--threads", 1, "--quiet")
    call("discover", "table.csv", "--out", "run", "--members", 4, "--correction", "none", *small)
    call("fit", "table.csv", "--out", "model.json", *small)
    call("predict", "model.json", "table.csv", "--out", "predicted.csv", "--quiet")
    files = [tmp_path / "run" / "iter-0001" / "predictions.csv", tmp_path / "predicted.csv"]
    for file in files:
        written = pd.read_csv(file, dtype={"id": str}, keep_default_na=False)["id"].tolist()
        assert written == [re.sub(r"^('*[=+@-])", r"'\1", id) for id in ids]
        assert not any(cell[0] in "=+-@\t\r" for cell in written)
    proposals = pd.read_csv(tmp_path / "run" / "iter-0001" / "proposals.csv")
    assert set(proposals["id"]) == {"'=Z", HOSTILE}
    assert "'" not in proposals.drop(columns="id").to_csv(index=False)
    proposals.assign(y=[1.5, 2.5]).to_csv("results.csv", index=False)
    call("label", "run", "--file", "results.csv", "--quiet")
    labels = {event["id"]: event["value"] for event in read_ledger(tmp_path / "run").events("label")}
    assert {labels["=Z"], labels[HOSTILE]} == {1.5, 2.5}
    assert labels.keys() == set(ids)
    assert findings(tmp_path / "run")[1] == []


def test_an_id_that_would_steer_a_terminal_is_shown_escaped_wherever_a_person_reads_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hostile(tmp_path)
    small = ("--members", 4, "--rung", 1, "--dim", 1, "--operators", "add", "--threads", 1, "--correction", "none")
    first = call("discover", "table.csv", "--out", "run", *small)
    status = call("status", "run")
    failed = call("label", "run", HOSTILE, "--failed", "\x1b]0;title\x07")
    again = call("status", "run")
    refused = CliRunner().invoke(cli, ["label", "run", HOSTILE, "1.5"], standalone_mode=False)
    json = call("status", "run", "--json")
    events = call("ledger", "run", "--quiet")
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    page = re.sub('data-find="[^"]*"', "", page)  # by which the script finds the row; nobody reads it
    page = "".join(part for part in page.split("<script") if len(part) < 500_000)  # plotly's own
    for text in (first.output, status.output, failed.output, again.output, json.output, events.output, page):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert SHOWN in first.output
    assert SHOWN in status.output
    assert r"\x1b]0;title\x07" in again.output
    assert SHOWN in page
    assert refused.exception is None or "\x1b" not in str(refused.exception)
