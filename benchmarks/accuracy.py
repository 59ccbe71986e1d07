"""Cross-validated accuracy and calibration of the ensemble, of its parts and of others, on the same folds of several tables.

    python benchmarks/accuracy.py [--tables A,B] [--models sisso,no-formulas] [--seed 0] [--json FILE] [--with NAME=FILE]
    python benchmarks/accuracy.py TABLE --target NAME

The tables are those of labelled.py that are there. All models see the compositions; rows of one material are held back together.
Every model and table is saved in the file when it is done, and what the file has is not run again. --with shows what another file
has beside it, as another version of the program.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from finding import reliability
from labelled import labelled_rows, space_named, usable
from sklearn.exceptions import ConvergenceWarning

from sisso_sal.acquisition.goal import Goal
from sisso_sal.data.table import read_table
from sisso_sal.models.calibration import area, coverage_curve, noise_floor, rank_correlation
from sisso_sal.models.groups import fold_numbers, grouped
from sisso_sal.models.registry import make_surrogate
from sisso_sal.protocols import Surrogate
from sisso_sal.protocols.distribution import Distribution
from sisso_sal.replay.claims import claims_of, fifths, shares_of
from sisso_sal.report.text.table import aligned
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.spaces.table import TableSpace
from sisso_sal.system.storage import write_whole

N_FOLDS = 10

GOALS = ("min 10%", "max 10%")
"""Goals whose probabilities are compared with what comes true."""

OURS, BARE = "sisso", "no-formulas"

SINGLE = ("process", "forest", "trees", "trees, features only")
"""Single models; the best of them on a table is what the ensemble is compared with."""


class FeaturesOnly(TableSpace):
    """A table whose compositions are not known."""

    composition = None  # pyright: ignore[reportAssignmentType]


def made(settings: Mapping[str, Any], seed: int) -> Surrogate:
    """An unfitted surrogate of one thread."""
    chosen = CampaignSettings.model_validate(settings)
    return make_surrogate(chosen.model_copy(update={"model": chosen.model.completed(ensemble=True)}), seed, threads=1)


MODELS: dict[str, tuple[Callable[[int], Surrogate], bool]] = {
    OURS: (partial(made, {}), True),
    "sisso, formulas alone": (partial(made, {"ensemble": {"correction": "none"}}), True),
    BARE: (partial(made, {"surrogate": BARE}), True),
    **{name: (partial(made, {"surrogate": name}), True) for name in ("process", "forest", "trees")},
    "trees, features only": (partial(made, {"surrogate": "trees"}), False),
}
"""How each model is made from a seed, and whether it sees compositions."""


def validated(space: TableSpace, make: Callable[[int], Surrogate], sees: bool, seed: int) -> dict[str, Any]:
    """What models that did not see them predict of all rows of a table, as plain data; NaN is None."""
    seen = space if sees else FeaturesOnly(space.table)
    y, n = space.labels, len(space.ids)
    groups = grouped(space.rows().matrix, space.groups, space.composition)[0]
    fold = fold_numbers(space.rows().matrix, y, N_FOLDS, seed, groups)
    out = {name: np.full(n, np.nan) for name in ("mean", "std", "low", "high", *GOALS)}
    place, begin = np.full(n, np.nan), time.process_time()
    for number in range(N_FOLDS):
        train, test = np.flatnonzero(fold != number), fold == number
        surrogate = make(seed).fit(seen, train, y[train], np.asarray(space.errors)[train])
        prediction = surrogate.predict(seen, np.arange(n))
        low, high = prediction.interval95
        for name, values in (("mean", prediction.mean), ("std", prediction.std), ("low", low), ("high", high)):
            out[name][test] = values[test]
        for goal in GOALS:
            out[goal][test] = claims_of(prediction, np.where(test, np.nan, y), Goal.parse(goal)).hit[test]
        place[test] = prediction.told.place(y)[test]
    error = np.abs(y - out["mean"])
    known = np.isfinite(error)
    observed = coverage_curve(place[known])
    return {
        **{name: [float(value) if np.isfinite(value) else None for value in values] for name, values in out.items()},
        "label": y.tolist(), "area": float(area(observed)), "seconds": time.process_time() - begin,
    }  # fmt: skip


def run(names: list[str], models: list[str], seed: int, file: Path | None, spaces) -> dict[str, dict[str, Any]]:
    """All models on all tables by key; those of the file are taken from it, the others are added to it."""
    done = json.loads(file.read_text()) if file and file.exists() else {}
    for table in names:
        for model in models:
            key = f"{table}|{model}|{seed}"
            if key not in done:
                done[key] = validated(spaces(table), *MODELS[model], seed) | {"table": table, "model": model}
                if file:
                    write_whole(file, json.dumps(done))
    return done


def errors_of(result: Mapping[str, Any]) -> np.ndarray:
    """Label less mean (n,); NaN where there is no prediction."""
    return np.array(result["label"]) - np.array(result["mean"], dtype=float)


def row(name: str, result: Mapping[str, Any], counted: np.ndarray) -> list[str]:
    """A line of the table of errors and intervals."""
    label, low, high, std = (np.array(result[key], dtype=float)[counted] for key in ("label", "low", "high", "std"))
    every = errors_of(result)
    error = every[counted]
    return [
        name, f"{rmse(error):.4g}", f"{np.abs(error).mean():.4g}", f"{np.abs(error).max():.3g}", str((~np.isfinite(every)).sum()),
        f"{((low <= label) & (label <= high)).mean():.1%}", f"{result['area']:.3f}", f"{rank_correlation(error, std):.2f}",
        f"{result['seconds']:.1f}",
    ]  # fmt: skip


def rmse(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error**2)))


def reliabilities(name: str, results: list[Mapping[str, Any]]) -> list[list[str]]:
    """For each goal, by fifths of the probability of a hit: what was claimed and what was real."""
    rows = []
    for goal in GOALS:
        tally = np.zeros((5, 3))
        for result in results:
            label, hit = np.array(result["label"]), np.array(result[goal], dtype=float)
            known = np.isfinite(hit)
            wanted = Goal.parse(goal).resolved(Distribution.certain(label)).reached(label)
            tally += fifths(hit[known], wanted[known])
        rows.append([name, goal, *(reliability([part]) for part in shares_of(tally))])
    return rows


def report(results: Mapping[str, Mapping[str, Any]], title: str) -> tuple[str, dict[str, float]]:
    """The tables of one table of labels, and the RMSE of each model on the rows that all of them predict."""
    counted = np.all([np.isfinite(errors_of(result)) for result in results.values()], axis=0)
    head = ["ten-fold cross-validation", "RMSE", "MAE", "largest", "undefined", "in 95 %", "area", "Spearman", "CPU s"]
    rows = [head, *(row(name, result, counted) for name, result in results.items())]
    fifth = [["P(hit): claimed > real (n)", "goal", *(f"{part / 5:.1f} to {(part + 1) / 5:.1f}" for part in range(5))]]
    for name, result in results.items():
        fifth += reliabilities(name, [result])
    floor = noise_floor(int(counted.sum()))
    text = (
        f"{title}: {len(counted)} rows\n{aligned(rows, numeric=range(1, 9))}\n"
        f"a perfect sigma has an area of {floor[0]:.3f} on average, and below {floor[1]:.3f} with a probability of 95 %\n"
        f"{aligned(fifth)}\n"
    )
    return text, {name: rmse(errors_of(result)[counted]) for name, result in results.items()}


def ratios(errors: Mapping[str, Mapping[str, float]], ours: str) -> str:
    """RMSE of the ensemble over that of the best single model, and over that of the same without formulas."""
    rows, logs = [["table", "best single model", f"{ours} / best single", f"{ours} / {BARE}"]], []
    for table, own in errors.items():
        single = {name: own[name] for name in SINGLE if name in own}
        if not single or not {ours, BARE} <= own.keys():
            continue
        best = min(single, key=single.__getitem__)
        pair = own[ours] / single[best], own[ours] / own[BARE]
        logs.append(np.log(pair))
        rows.append([table, best, *(f"{ratio:.3f}" for ratio in pair)])
    if logs:
        rows.append(["geometric mean", "", *(f"{ratio:.3f}" for ratio in np.exp(np.mean(logs, axis=0)))])
    return aligned(rows, numeric=[2, 3]) if logs else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", type=Path)
    parser.add_argument("--target")
    parser.add_argument("--tables", default=",".join(usable()))
    parser.add_argument("--models", help="names with semicolons between them; all by default")
    parser.add_argument("--seed", type=int, default=0, help="of folds and models")
    parser.add_argument("--json", type=Path, help="the file of predictions, read and added to")
    parser.add_argument("--with", dest="others", action="append", default=[], metavar="NAME=FILE")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.filterwarnings("ignore", message="unit .* is not known")
    names, spaces = options.tables.split(","), space_named
    if options.table:
        own = TableSpace(labelled_rows(read_table(options.table, target=options.target, require_target=True)))
        names, spaces = [options.table.stem], lambda _: own
    models = options.models.split(";") if options.models else list(MODELS)
    done = run(names, models, options.seed, options.json, spaces)
    others = [
        (name, json.loads(Path(file).read_text())) for name, _, file in (o.partition("=") for o in options.others)
    ]
    errors, pooled = {}, {}
    for table in names:
        results = {model: done[f"{table}|{model}|{options.seed}"] for model in models}
        for name, other in others:
            same = [
                one for key, one in other.items() if key.startswith(f"{table}|") and key.endswith(f"|{options.seed}")
            ]
            results |= {f"{name} {one['model']}": one for one in same}
        text, errors[table] = report(results, table)
        print(text, flush=True)
        for name, result in results.items():
            pooled.setdefault(name, []).append(result)
    head = ["P(hit) on all tables", "goal", *(f"{part / 5:.1f} to {(part + 1) / 5:.1f}" for part in range(5))]
    print(aligned([head, *(line for name, results in pooled.items() for line in reliabilities(name, results))]), "\n")
    for ours in (OURS, *(f"{name} {OURS}" for name, _ in others)):
        print(ratios(errors, ours), "\n")


if __name__ == "__main__":
    main()
