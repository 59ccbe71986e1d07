"""Campaigns for a class: what formulas find of the perovskites among 576 ABX3, and of the others, beside other ways to choose.

    python benchmarks/class_campaign.py [--out FOLDER] [--rungs 2,1] [--seeds 10] [--workers N]

It needs ../shared/reference: the table is P1, of Bartel et al., Sci. Adv. 5, eaav0693 (2019). Printed are the replay commands, then
the table of docs/howto/classes.md: evaluations until N more hits are known, as a mean over the starts. For each rung but the first
only the hits of the formulas are printed. Without --out all files are in a temporary folder. A FOLDER keeps them, and replays that
it has are not run again. One replay takes about four minutes of CPU.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sisso_sal.system.storage import write_whole

REFERENCE = Path(__file__).resolve().parents[1].parent / "shared" / "reference" / "tasks" / "P1" / "train.dat"
UNITS = {name: f"{name} (AA)" for name in ("rA", "rB", "rX")}
N_PEROVSKITES = 313
"""Rows of the first class; the input of SISSO says so (``nsample``)."""

GOALS = {"perovskite": "perovskites", "other": "the others"}
STRATEGIES = {
    "sisso hits": "formulas", "forest hits": "random forest", "logistic hits": "logistic regression", "random": "at random",
}  # fmt: skip
RULES = {"n-start": 10, "evaluations": 100, "batch": 10}
HITS = (10, 25, 50, 75)


def table_of(reference: Path) -> pd.DataFrame:
    """The rows of a train.dat of two classes, with the name of the class of each; the perovskites come first.

    Raises
    ------
    SystemExit
        The file is not there.
    """
    if not reference.exists():
        raise SystemExit(f"{reference}: needs this file of the reference inputs, found none")
    frame = pd.read_csv(reference, sep=r"\s+").rename(columns={"materials": "formula", **UNITS})
    frame["structure"] = np.where(np.arange(len(frame)) < N_PEROVSKITES, "perovskite", "other")
    return frame


def command_of(table: Path, goal: str, rung: int, seeds: int) -> list[str]:
    """The replay of a goal, without the program."""
    rules = [word for name, value in RULES.items() for word in (f"--{name}", str(value))]
    return ["replay", str(table), "--goal", f"={goal}", "--rung", str(rung), *rules, "--seeds", str(seeds)]


def replayed(folder: Path, goal: str, rung: int, seeds: int, more: Sequence[str]) -> dict[str, Any]:
    """The document of ``replay --json``: that of the folder, where it has one, else a new one, which is written there."""
    file = folder / f"{goal}-rung{rung}-{seeds}seeds.json"
    if not file.exists():
        words = command_of(folder / "abx3.csv", goal, rung, seeds)
        print("$", shlex.join(["sisso-sal", *words]), flush=True)
        ran = subprocess.run(
            [sys.executable, "-m", "sisso_sal", *words, *more, "--json"], stdout=subprocess.PIPE, text=True, check=False
        )
        if ran.returncode:
            raise SystemExit(ran.returncode)
        write_whole(file, ran.stdout)
    return json.loads(file.read_text())


def until(found: Sequence[Sequence[int]], n: int) -> str:
    """Evaluations until `n` more hits are known than at the start.

    Parameters
    ----------
    found : sequence of sequences of int
        Of each start: hits that are known at first and after each evaluation.
    n : int

    Returns
    -------
    str
        The mean over the starts; where some never get there, in how many, and "over N" where most do not.

    Examples
    --------
    >>> until([[1, 2, 3], [0, 0, 1]], 1)
    '1.5'
    >>> until([[1, 2, 3], [0, 0, 1], [0, 1, 2]], 2)
    'over 2 in 1 of 3'
    """
    reached = [next((k for k, known in enumerate(row) if known - row[0] >= n), None) for row in found]
    times = [time for time in reached if time is not None]
    if len(times) == len(reached):
        return f"{np.mean(times):.1f}"
    late = f"over {len(found[0]) - 1}"
    missed = len(reached) - len(times)
    return f"{late} in {missed} of {len(reached)}" if times and missed <= len(times) else late


def table_of_hits(documents: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines of the table of the page, from the document of each goal."""
    lines = ["| looked for | N | " + " | ".join(STRATEGIES.values()) + " |", "|---" * (2 + len(STRATEGIES)) + "|"]
    for goal, document in documents.items():
        for n in HITS:
            cells = [until(document["strategies"][name]["found"], n) for name in STRATEGIES]
            lines.append("| " + " | ".join([GOALS[goal] if n == HITS[0] else "", str(n), *cells]) + " |")
    return [line.replace("|  |", "| |") for line in lines]


def claims(documents: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each strategy that claims: hits that it claimed of its picks, and those that came, for each goal."""
    lines = []
    for name, words in STRATEGIES.items():
        told = [document["strategies"][name]["honesty"] for document in documents.values()]
        if all(told):
            parts = [f"{one['p_hit']['claimed']:.1f} claimed, {one['p_hit']['real']:.1f} came" for one in told]
            lines.append(f"{words}: {'; '.join(parts)}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="the folder of the table and the replays; by default a temporary one")
    parser.add_argument("--rungs", default="2,1")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, help="processes of a replay")
    options = parser.parse_args()
    frame = table_of(REFERENCE)
    first, *others = (int(rung) for rung in options.rungs.split(","))
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        frame.to_csv(folder / "abx3.csv", index=False)
        work = (options.seeds, [] if options.workers is None else ["--workers", str(options.workers)])
        documents = {goal: replayed(folder, goal, first, *work) for goal in GOALS}
        print("\n".join(["", *table_of_hits(documents), "", f"of {RULES['evaluations']} picks:", *claims(documents)]))
        for rung in others:
            lower = {goal: replayed(folder, goal, rung, *work)["strategies"] for goal in GOALS}
            new = {
                goal: np.mean([row[-1] - row[0] for row in own["sisso hits"]["found"]]) for goal, own in lower.items()
            }
            print(f"formulas of rung {rung}:", ", ".join(f"{n:.1f} of {GOALS[goal]}" for goal, n in new.items()))


if __name__ == "__main__":
    main()
