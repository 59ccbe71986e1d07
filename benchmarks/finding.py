"""What finds: simulated campaigns of several strategies from the same starts, on several tables; and whether claims come true.

    python benchmarks/finding.py [--tables A,B] [--strategies sisso:hits,no-formulas:hits] [--starts random,worst] [--seeds 5]
                                 [--members 30] [--batch 1] [--jobs 1] [--json FILE] [--with NAME=FILE]

The tables are data/oxides.csv, those of ../shared/data that are there, a planted law and a table with replicates (labelled.py). The
targets are the best tenth. A strategy is SURROGATE:ACQUISITION, random or distance; the first one is compared with all others,
start by start. Every campaign is saved in the file when it ends, and one that the file has is not run again: add strategies, tables
or seeds later, or stop at any time. --with shows the campaigns of another file beside them, as those of another version of the
program.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from labelled import TABLES, space_named, usable
from scipy.special import stdtrit

from sisso_sal.models.registry import make_surrogate
from sisso_sal.replay.claims import honesty
from sisso_sal.replay.simulate import Rules, Strategy, simulate, targets
from sisso_sal.report.text.table import aligned
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.system.storage import write_whole

STRATEGIES = ("sisso:hits", "no-formulas:hits", "process:hits", "forest:hits", "trees:mean")


@dataclass(frozen=True)
class Task:
    """One campaign."""

    table: str
    goal: str
    start: str
    strategy: str
    seed: int
    members: int
    batch: int

    @property
    def key(self) -> str:
        return "|".join(str(part) for part in asdict(self).values())

    @property
    def place(self) -> tuple[str, str, str, int]:
        """What campaigns that are compared have in common."""
        return self.table, self.goal, self.start, self.seed


def surrogate(settings: CampaignSettings, seed: int):
    """An unfitted surrogate of one thread."""
    warnings.filterwarnings("ignore", message="unit .* is not known")
    return make_surrogate(settings, seed, threads=1)


def campaign(task: Task) -> dict[str, Any]:
    """Targets after each evaluation, what was claimed, and the CPU time (s)."""
    space, known = space_named(task.table), TABLES[task.table]
    kind, _, acquisition = task.strategy.partition(":")
    make = None
    if acquisition:
        settings = CampaignSettings.model_validate({"surrogate": kind, "ensemble": {"members": task.members}})
        settings = settings.model_copy(update={"model": settings.model.completed(ensemble=True)})
        make = partial(surrogate, settings)
    rules = Rules(
        goal=task.goal, n_start=known.n_start, start=task.start, evaluations=known.evaluations, batch=task.batch
    )
    begin = time.process_time()
    trace = simulate(space, Strategy(task.strategy, acquisition or kind, make), rules, task.seed)
    seconds = time.process_time() - begin
    log = trace.record
    claims = {name: getattr(log, name) for name in ("mean", "low", "high", "hit", "label", "is_target")}
    return {
        **asdict(task), "n_targets": int(targets(space.labels, rules).sum()), "found": trace.n_found, "picks": trace.picks,
        "claims": claims, "pool": log.pool.tolist(), "honesty": honesty([log], known.evaluations), "seconds": seconds,
    }  # fmt: skip


def run(tasks: Sequence[Task], file: Path | None, jobs: int) -> dict[str, dict[str, Any]]:
    """All campaigns by key; those of the file are taken from it, the others are added to it as they end."""
    done = json.loads(file.read_text()) if file and file.exists() else {}
    missing = [task for task in tasks if task.key not in done]
    with ProcessPoolExecutor(jobs) as executor:
        running = {executor.submit(campaign, task): task for task in missing}
        for number, future in enumerate(as_completed(running), 1):
            result = done[running[future].key] = future.result()
            if file:
                write_whole(file, json.dumps(done))
            told = f"{result['found'][-1]} of {result['n_targets']} targets, {result['seconds']:.1f} s"
            print(f"{number} of {len(missing)}: {running[future].key}: {told}", flush=True)
    return done


def mean_and_half(values: Sequence[float]) -> str:
    """Mean, and half of its 95 % interval by Student's t."""
    if len(values) < 2:
        return f"{np.mean(values):.2f}" if len(values) else "-"
    half = stdtrit(len(values) - 1, 0.975) * np.std(values, ddof=1) / math.sqrt(len(values))
    return f"{np.mean(values):.2f} ± {half:.2f}"


def counts(result: Mapping[str, Any]) -> tuple[int, int]:
    """Targets known after half of the evaluations and at the end."""
    return result["found"][len(result["found"]) // 2], result["found"][-1]


Results = Mapping[str, Mapping[tuple, Mapping[str, Any]]]
"""Campaigns by strategy, then by place."""


def finding(results: Results, first: str, places: Sequence[tuple], title: str) -> str:
    """Targets of each strategy, and what the first has more of, over campaigns from the same starts."""
    rows = [["strategy", "campaigns", "at half", "at the end", f"{first} more at half", "at the end"]]
    for name, own in results.items():
        mine = [counts(own[place]) for place in places if place in own]
        if not mine:
            continue
        cells = [name, str(len(mine)), *(mean_and_half(values) for values in zip(*mine, strict=True))]
        pairs = [
            np.subtract(counts(results[first][place]), counts(own[place]))
            for place in places
            if place in own and place in results[first]
        ]
        more = [mean_and_half(values) for values in zip(*pairs, strict=True)] if pairs and name != first else ["", ""]
        rows.append([*cells, *more])
    return f"{title}\n{aligned(rows, numeric=range(1, 6))}\n"


def honest(results: Results, title: str) -> str:
    """Coverage of the picks by quarters, and the reliability of the probability of a hit, of picks and of the whole pool."""
    rows = [["strategy", "picks", "in 95 %", "by quarters", "whole pool", "P(hit) above 0.8: n", "claimed", "real"]]
    parts = [["strategy", "of", *(f"{part / 5:.1f} to {(part + 1) / 5:.1f}" for part in range(5))]]
    for name, own in results.items():
        told = [result["honesty"] for result in own.values() if result["honesty"]]
        if not told:
            continue
        cover = [one["coverage95"] for one in told]
        quarters = [pooled([one["quarters"][part] for one in cover], "share") for part in range(4)]
        sure = {key: pooled([one["p_hit"]["proposals"][-1] for one in told], key) for key in ("claimed", "real")}
        share = mean_and_half([100 * one["share"] for one in cover])
        rows.append([
            name, str(sum(one["n"] for one in cover)), f"{share} %", " ".join(shown(q[1], "{:.1%}") for q in quarters),
            shown(pooled([one["pool"] for one in cover], "share")[1], "{:.1%}"), str(sure["real"][0]),
            *(shown(value, "{:.3f}") for _, value in sure.values()),
        ])  # fmt: skip
        for of in ("proposals", "pool"):
            fifths = [[one["p_hit"][of][part] for one in told] for part in range(5)]
            parts.append([name, of, *(reliability(part) for part in fifths)])
    if len(rows) == 1:
        return ""
    return (
        f"{title}: what was claimed at the choice, and what came true\n{aligned(rows, numeric=[1, 2, 4, 5, 6, 7])}\n"
        f"P(hit) by fifths: claimed > real (n)\n{aligned(parts)}\n"
    )


def pooled(parts: Iterable[Mapping[str, Any]], key: str) -> tuple[int, float | None]:
    """Number in all, and the mean weighted by numbers; None of nothing."""
    known = [(part["n"], part[key]) for part in parts if part["n"]]
    n = sum(number for number, _ in known)
    return n, sum(number * value for number, value in known) / n if n else None


def shown(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def reliability(parts: Sequence[Mapping[str, Any]]) -> str:
    n, claimed = pooled(parts, "claimed")
    return "-" if claimed is None else f"{claimed:.2f} > {pooled(parts, 'real')[1]:.2f} ({n})"


def chosen(tables: Sequence[str], goals: str, starts: Sequence[str], seeds: range) -> list[tuple]:
    """Tables, goals, starts and seeds of the campaigns; `goals` is "" for all of a table."""
    return [
        (table, goal, start, seed)
        for seed in seeds  # first, so that a run that is stopped early has something of each table
        for table in tables
        for goal in TABLES[table].goals
        if goals in {"", goal}
        for start in starts
    ]


def report(results: Results, first: str, places: Sequence[tuple]) -> str:
    """For each table, goal and start, and for all together."""
    texts = []
    groups = dict.fromkeys(place[:3] for place in places)
    for group in groups:
        there = [place for place in places if place[:3] == group]
        texts.append(finding(results, first, there, f"{group[0]}, goal {group[1]}, start {group[2]}"))
    own = {name: {place: run for place, run in runs.items() if place in {*places}} for name, runs in results.items()}
    for table in dict.fromkeys(place[0] for place in places):
        of_table = {name: {p: run for p, run in runs.items() if p[0] == table} for name, runs in own.items()}
        texts.append(honest(of_table, table))
    texts.append(finding(results, first, places, "all together"))
    seconds = [f"{name} {np.mean([run['seconds'] for run in runs.values()]):.1f}" for name, runs in own.items() if runs]
    return "\n".join([*texts, honest(own, "all together"), f"CPU s for each campaign: {', '.join(seconds)}"])


def by_strategy(done: Iterable[Mapping[str, Any]], members: int, before: str = "") -> dict[str, dict[tuple, Any]]:
    """Campaigns by strategy and place; `before` stands before the names."""
    out: dict[str, dict[tuple, Any]] = {}
    for result in done:
        if result["members"] == members:
            place = tuple(result[name] for name in ("table", "goal", "start", "seed"))
            out.setdefault(before + result["strategy"], {})[place] = result
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default=",".join(usable()))
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--starts", default="random,worst")
    parser.add_argument("--goal", choices=("min", "max", ""), default="", help="both by default")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--members", type=int, default=30)
    parser.add_argument("--batch", type=int, default=1, help="evaluations before each fit")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path, help="the file of campaigns, read and added to")
    parser.add_argument("--with", dest="others", action="append", default=[], metavar="NAME=FILE")
    options = parser.parse_args()
    names = options.strategies.split(",")
    seeds = range(options.seed, options.seed + options.seeds)
    places = chosen(options.tables.split(","), options.goal, options.starts.split(","), seeds)
    tasks = [
        Task(table, goal, start, name, seed, options.members, options.batch)
        for table, goal, start, seed in places
        for name in names
    ]
    done = run(tasks, options.json, options.jobs)
    mine = by_strategy((done[task.key] for task in tasks), options.members)
    results = {name: mine[name] for name in names}
    for other in options.others:
        name, _, file = other.partition("=")
        results |= by_strategy(json.loads(Path(file).read_text()).values(), options.members, f"{name} ")
    print(report(results, names[0], places))


if __name__ == "__main__":
    main()
