"""The command, as a shell calls it."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from candidates import QUICK, call, exact, labelled, oxides

COMMAND = (sys.executable, "-m", "sisso_sal")


def content(folder):
    """Bytes of every file by its path, without those that a killed process was writing."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".part")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def pieces(tmp_path_factory, pool):
    folder = tmp_path_factory.mktemp("pieces")
    (folder / "pool").mkdir()
    for number in range(20):
        part = pool[35 * number : 35 * (number + 1)]
        part.to_parquet(folder / "pool" / f"{number:02d}.parquet")
    return folder


@pytest.fixture(scope="module")
def undisturbed(pieces, model):
    call("screen", model, "pool", "--goal", "<=3", "--all-predictions", "--no-map", "--out", "one", folder=pieces)
    return content(pieces / "one")


def test_two_processes_write_the_same_bytes(pieces, model, undisturbed):
    done = call(
        "screen",
        model,
        "pool",
        "--goal",
        "<=3",
        "--all-predictions",
        "--out",
        "two",
        "--no-map",
        "--workers",
        "2",
        "--json",
        folder=pieces,
    )
    assert json.loads(done.out)["run"]["n_shards"] == 20
    assert content(pieces / "two") == undisturbed


@pytest.mark.parametrize("number", [pytest.param(signal.SIGKILL, marks=pytest.mark.faults), signal.SIGINT])
def test_it_goes_on_where_it_was_ended(pieces, model, undisturbed, number):
    folder = pieces / f"ended-{number}"
    command = [
        *COMMAND,
        "screen",
        str(model),
        "pool",
        "--goal",
        "<=3",
        "--all-predictions",
        "--no-map",
        "--out",
        str(folder),
    ]
    process = subprocess.Popen(command, cwd=pieces, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not any((folder / "shards").glob("*.parquet")):
        assert process.poll() is None
        time.sleep(0.001)
    os.kill(process.pid, number)
    err = process.communicate()[1]
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    assert number == signal.SIGKILL or "error: interrupted: the same command goes on with what is in" in err
    before = {path: path.stat().st_mtime_ns for path in (folder / "shards").glob("*.parquet")}
    done = json.loads(call(*command[3:], "--json", folder=pieces).out)
    assert 0 < len(before) < 20
    assert done["run"]["n_shards"] == 20 - len(before)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert content(folder) == undisturbed


def test_what_it_prints(pieces, model):
    done = call("screen", model, "pool/0*.parquet", "--out", "printed", "--top", "12", folder=pieces)
    assert done.out.startswith("350 candidates, ")
    assert "the smallest gap" in done.out
    assert "score: the expected improvement over the best" in done.out
    assert "Files in printed: top.csv, summary.json, map.html" in done.out
    assert "Next: look at printed/map.html" in done.out
    page = (pieces / "printed" / "map.html").read_text()
    best = exact(pieces / "printed" / "top.csv")["id"]
    assert all(f">{id}<" in page or f'"{id}"' in page for id in best)
    again = call("screen", model, "pool/0*.parquet", "--out", "printed", "--top", "12", "--no-map", folder=pieces)
    assert "all results were there" in again.out


def test_bad_input_is_one_line(pieces, model):
    for arguments, words in (
        ((model, "nowhere.parquet"), "nowhere.parquet: there is no such file"),
        (("nowhere.json", "pool"), "nowhere.json: cannot be read"),
        ((model, "pool", "--goal", "much"), "goal: needs min, max"),
        ((model, "pool", "--acquisition", "best"), "acquisition: "),
        ((model, "pool", "--id", "name"), "id column 'name' is missing"),
    ):
        assert words in call("screen", *arguments, "--out", "bad", folder=pieces, code=2).error
    assert not (pieces / "bad").exists()


def test_a_run_gives_goal_and_labels(tmp_path, pool):
    """Goal, score and reference of a run are the defaults, and what has a label there is not among the best."""
    frame = labelled(pd.concat([oxides(60, 1), pool[:40]]).drop_duplicates("formula").reset_index(drop=True))
    frame.loc[50:, "gap (eV)"] = None
    frame.to_csv(tmp_path / "table.csv", index=False)
    call("discover", "table.csv", *QUICK, "--out", "run", "--no-report", "--seed", "1", folder=tmp_path)
    frame.drop(columns="gap (eV)").to_parquet(tmp_path / "pool.parquet")
    done = json.loads(call("screen", "run", "pool.parquet", "--top", "200", "--no-map", "--json", folder=tmp_path).out)
    summary = json.loads((tmp_path / "run" / "iter-0001" / "summary.json").read_text())
    assert (done["goal"], done["acquisition"]) == (summary["wanted"], summary["acquisition"])
    assert done["n_known"] == 50
    best = exact(tmp_path / "screens" / "pool" / "top.csv")
    assert best["id"].tolist()[:10] == [proposal["id"] for proposal in summary["proposals"]]
    assert best["score"].tolist()[:10] == [proposal["score"] for proposal in summary["proposals"]]
    assert not {*best["id"]} & {*frame["formula"][:50]}


def test_shares_of_an_array_are_merged_to_the_same_bytes(pieces, model, undisturbed):
    """Each job of an array does its share; the command without a share merges them, and does what no share did."""
    folder = pieces / "shared"
    words = ("screen", model, "pool", "--goal", "<=3", "--all-predictions", "--no-map", "--out", str(folder))
    for number in (3, 1):
        done = call(*words, "--share", f"{number}/3", folder=pieces)
        assert f"Share {number} of 3: " in done.out
        assert "without --share when all shares are done" in done.out
    assert not (folder / "top.csv").exists()
    assert len(list((folder / "shards").glob("*.parquet"))) == 13
    merged = json.loads(call(*words, "--json", folder=pieces).out)
    assert merged["run"]["n_shards"] == 7
    assert content(folder) == undisturbed
    assert "needs a share as 3/50, found '4/3'" in call(*words, "--share", "4/3", folder=pieces, code=2).err
