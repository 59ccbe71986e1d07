"""What cheap levels of theory save: simulated campaigns on tables in which all levels are known.

    python benchmarks/ladder.py [--tables measured,hse06,gpbx] [--surrogates sisso,no-formulas] [--seeds 10] [--workers 1]
                                [--json FILE]

measured : CHGNet, DFT-HSE06 and measured free energies of Pourbaix decomposition, costs 1 : 100 : 1000
hse06 : DFT-HSE06 and measured ones, 100 : 1000
gpbx : CHGNet and DFT-HSE06, 10 : 1000

The targets are the lowest tenth. Each campaign goes on until all are known. `replay` with levels in its settings does the same for
a table of one's own.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from finding import mean_and_half
from labelled import SHARED, labelled_rows
from low import _keyed, table_named

from sisso_sal.cli.level_study import levels_made
from sisso_sal.data.table import read_table
from sisso_sal.protocols import Quantity
from sisso_sal.replay.ladder import KnownLevel, LevelsStrategy, replay_levels
from sisso_sal.replay.simulate import Rules
from sisso_sal.report.text.table import aligned
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.spaces.table import TableSpace
from sisso_sal.system.executors import Workers, open_workers
from sisso_sal.system.storage import write_whole

LAST = 1000.0
CHGNET, HSE06 = "G_lf (eV/atom)", "g_pbx (eV/atom)"


@dataclass(frozen=True)
class Ladder:
    """Levels of a table: name, cost and column of each lower one, and the rules of its campaigns."""

    levels: tuple[tuple[str, float, str], ...]
    rules: Rules


LADDERS = {
    "measured": Ladder((("chgnet", 1.0, CHGNET), ("hse06", 100.0, HSE06)), Rules(n_start=10, evaluations=35)),
    "hse06": Ladder((("hse06", 100.0, HSE06),), Rules(n_start=10, evaluations=35)),
    "gpbx": Ladder((("chgnet", 10.0, CHGNET),), Rules(n_start=16, evaluations=60, batch=2)),
}


def space_and_levels(name: str) -> tuple[TableSpace, tuple[KnownLevel, ...]]:
    """The rows that have all levels, without the columns of these, and what these are."""
    if name == "gpbx":
        frame, target, _ = table_named("gpbx")
    else:
        frame, target, _ = table_named("hse06")
        frame = frame.join(_keyed(SHARED / "chgnet_gpbx.csv")[[CHGNET]], how="inner")
    known = {CHGNET, HSE06, "H_lf (eV/atom)"} - {target}
    features = frame.drop(columns=[column for column in frame if column in known]).reset_index(drop=True)
    space = TableSpace(labelled_rows(read_table(features, target=target, require_target=True)))
    levels = tuple(
        KnownLevel(word, cost, Quantity(word, "eV/atom", f"{word} (eV/atom)"), np.array(frame[column], dtype=float))
        for word, cost, column in LADDERS[name].levels
    )
    return space, levels


def study(name: str, surrogates: list[str], seeds: int, workers: Workers) -> dict:
    """The document of `replay_levels`."""
    space, levels = space_and_levels(name)
    strategies = []
    for kind in surrogates:
        settings = CampaignSettings.model_validate({"surrogate": kind})
        made = partial(levels_made, settings.model_copy(update={"model": settings.model.completed(ensemble=True)}))
        strategies.append(LevelsStrategy(f"{kind}, levels", levels, partial(made, len(levels))))
        if len(levels) > 1:
            strategies.append(LevelsStrategy(f"{kind}, {levels[0].name} only", levels[:1], partial(made, 1)))
        strategies.append(LevelsStrategy(f"{kind}, last level alone", (), partial(made, 0)))
    strategies += [LevelsStrategy(f"all of {level.name}, best first", (level,), None) for level in levels]
    return replay_levels(space, strategies, LAST, LADDERS[name].rules, seeds=seeds, workers=workers)


def table(name: str, document: dict) -> str:
    """Cost until half, four fifths and all targets are known: mean and half of its 95 % interval; the budget where they are not."""
    budget = document["rules"]["evaluations"] * document["last"]
    wanted = [int(np.ceil(share * document["n_targets"])) for share in (0.5, 0.8, 1.0)]
    rows = [["strategy", *(f"{n} of {document['n_targets']}" for n in wanted), "calculations"]]
    for title, result in document["strategies"].items():
        costs = [
            [
                next((cost for cost, found in zip(*course, strict=True) if found >= n), budget)
                for course in zip(result["cost"], result["found"], strict=True)
            ]
            for n in wanted
        ]
        numbers = ", ".join(f"{number:.1f} {level or 'last'}" for level, number in result["calculations"].items())
        rows.append([title, *(mean_and_half([cost / LAST for cost in one]) for one in costs), numbers])
    title = f"{name}: {document['n_materials']} rows, {document['seeds']} starts; cost in calculations of the last level until"
    return f"{title}\n{aligned(rows, numeric=[1, 2, 3])}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default=",".join(LADDERS))
    parser.add_argument("--surrogates", default="sisso,no-formulas")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path, help="the file of results")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="unit .* is not known")
    documents = {}
    for name in options.tables.split(","):
        with open_workers(n=options.workers, threads=1) as workers:
            documents[name] = study(name, options.surrogates.split(","), options.seeds, workers)
        print(table(name, documents[name]), flush=True)
        if options.json:
            write_whole(options.json, json.dumps(documents))


if __name__ == "__main__":
    main()
