"""A real campaign killed again and again, beside the one that was not: every pick must be the same.

    python benchmarks/interrupted.py [--oracle lookup|command] [--kills 10] [--budget 30] [-- OPTIONS OF DISCOVER]

The table is that of the 250 oxides, where it lies beside the checkout (../shared/data): 30 random labels are left in it, the rest
is what the oracle knows. The command oracle is a shell script that looks a value up and takes a little while.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

TABLE = Path(__file__).parents[2] / "shared" / "data" / "oxides_gpbx.csv"
TARGET = "g_pbx (eV/atom)"
SCRIPT = """#!/bin/sh
# Called with an id; the answer is a line of JSON.
echo "$1" >> "$STARTED"
sleep 0.3
awk -F, -v id="$1" '$1 == id {printf "{\\"value\\": %s}\\n", $2}' truth.csv
"""


def prepared(folder: Path, seed: int) -> None:
    table = pd.read_csv(TABLE)
    table.to_csv(folder / "truth.csv", index=False)
    known = np.random.default_rng(seed).permutation(len(table))[:30]
    table.loc[~table.index.isin(known), TARGET] = np.nan
    table.to_csv(folder / "candidates.csv", index=False)
    (folder / "run.sh").write_text(SCRIPT)
    (folder / "run.sh").chmod(0o755)


def drive(folder: Path, run: str, arguments: list[str], kill_after: float | None) -> int:
    """One life of the driver; its exit code, -9 where it was killed."""
    command = [sys.executable, "-m", "sisso_sal", "discover", "candidates.csv", "--out", run, "--quiet", *arguments]
    environment = os.environ | {"STARTED": str(folder / f"{run}.started")}
    child = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _, told = child.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        _, told = child.communicate()
    if child.returncode not in (0, 3, -signal.SIGKILL):
        raise SystemExit(f"the driver failed: {told}")
    return child.returncode


def events(folder: Path, run: str, kind: str) -> list[dict]:
    command = [sys.executable, "-m", "sisso_sal", "ledger", run]
    lines = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracle", choices=["lookup", "command"], default="lookup")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--budget", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("options", nargs="*", help="of discover, such as --members 10")
    given = parser.parse_args()
    if not TABLE.exists():
        raise SystemExit(f"{TABLE}: needs the table of 250 oxides")
    oracle = "lookup:truth.csv" if given.oracle == "lookup" else "command:./run.sh {id}"
    arguments = ["--oracle", oracle, "--budget", str(given.budget), "--batch", "5", *given.options]
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepared(folder, given.seed)
        start = time.perf_counter()
        drive(folder, "whole", arguments, None)
        seconds = time.perf_counter() - start
        print(f"uninterrupted: {seconds:.0f} s", flush=True)
        kills = 0
        while True:
            # So that the kills are spread over the campaign, whatever a start takes.
            left = given.kills - kills
            moment = rng.uniform(0.5, 1.5) * (4.0 + seconds / given.kills) if left > 0 else None
            code = drive(folder, "killed", arguments, moment)
            if code != -signal.SIGKILL:
                break
            kills += 1
            n = len(events(folder, "killed", "label")) if (folder / "killed" / "campaign.db").exists() else 0
            print(f"kill {kills} after {moment:.1f} s: {n} labels", flush=True)
        compare(folder, kills, given.oracle)


def compare(folder: Path, kills: int, oracle: str) -> None:
    """Print whether both campaigns are the same in everything that a person would ask."""
    proposals = [events(folder, run, "proposal") for run in ("whole", "killed")]
    picks = [[[row["id"] for row in event["proposals"]] for event in found] for found in proposals]
    scores = [[[row["score"] for row in event["proposals"]] for event in found] for found in proposals]
    models = [[event["files"]["model.json"] for event in events(folder, run, "model")] for run in ("whole", "killed")]
    labels = [sorted((e["id"], e["value"]) for e in events(folder, run, "label")) for run in ("whole", "killed")]
    n = sum(map(len, picks[0]))
    print(f"{kills} kills; {len(picks[0])} iterations, {n} proposals, {len(labels[0])} labels")
    for what, (one, other) in {"picks": picks, "scores": scores, "model files": models, "labels": labels}.items():
        print(f"{what}: {'equal' if one == other else 'DIFFERENT'}")
    if oracle == "command":
        started = [sorted((folder / f"{run}.started").read_text().split()) for run in ("whole", "killed")]
        print(
            f"commands started: {len(started[0])} and {len(started[1])}, {'the same' if started[0] == started[1] else 'DIFFERENT'}"
        )
    if picks[0] != picks[1] or labels[0] != labels[1]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
