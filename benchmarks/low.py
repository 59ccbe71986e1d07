"""What a cheap estimate of the target is worth: as one more feature, as what formulas are the rest of, and by itself.

    python benchmarks/low.py [--tables gpbx,measured,hse06] [--seeds 2] [--starts 10] [--json FILE]

Ten-fold cross-validation of one model, the ensemble, its formulas alone, the same without formulas and a Gaussian process, each
without the estimate, with it as a feature (``--low none``), and with it as a low column; beside them the number as it is and a
straight line.
Then campaigns on the first table: sixteen random labels, batches of two, thirty evaluations, the sixteen lowest are the targets.

gpbx : free energies of Pourbaix decomposition of DFT-HSE06, and those of CHGNet (../shared/data)
measured : the measured ones of data/oxides.csv, and those of CHGNet
hse06 : the measured ones, and those of DFT-HSE06
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from accuracy import validated
from finding import mean_and_half
from labelled import HERE, SHARED, labelled_rows

from sisso_sal.acquisition.goal import Goal
from sisso_sal.data.table import read_table
from sisso_sal.models.baseline import Baseline
from sisso_sal.models.formulas import find_formulas
from sisso_sal.models.inputs import table_of
from sisso_sal.models.registry import make_surrogate
from sisso_sal.oxides.structures import formula_key
from sisso_sal.protocols import Prediction, Space, Surrogate
from sisso_sal.replay.estimate import by_estimate
from sisso_sal.replay.simulate import Rules, Strategy, simulate, targets
from sisso_sal.report.text.table import aligned
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.spaces.table import TableSpace
from sisso_sal.system.storage import write_whole

RULES = Rules(goal="min", target_share=0.1, n_start=16, evaluations=30, batch=2)

KINDS = {
    "formulas alone": {"ensemble": {"correction": "none"}},
    "sisso": {},
    "no-formulas": {"surrogate": "no-formulas"},
    "process": {"surrogate": "process"},
    "trees": {"surrogate": "trees"},
}

MODES = ("without", "feature", "low")


def _keyed(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path)
    frame.index = pd.Index([formula_key(text) for text in frame.iloc[:, 0]])
    return frame[~frame.index.duplicated()]


@cache
def table_named(name: str) -> tuple[pd.DataFrame, str, tuple[str, ...]]:
    """A table with its target and its low columns, by their headers."""
    hse, chgnet = _keyed(SHARED / "oxides_gpbx.csv"), _keyed(SHARED / "chgnet_gpbx.csv").iloc[:, 1:]
    measured = _keyed(HERE / "data/oxides.csv")
    target, label = "dG_pbx (eV/atom)", "g_pbx (eV/atom)"
    measured = measured[measured[target].notna()]
    estimated = tuple(chgnet.columns)
    if name == "gpbx":
        return hse.join(chgnet, how="inner"), label, estimated
    measured = measured[[column for column in measured if "chgnet" not in column]]
    if name == "measured":
        return measured.join(chgnet, how="inner"), target, estimated
    return measured.join(hse[[label]], how="inner"), target, (label,)


def space_of(name: str, mode: str) -> TableSpace:
    """Its rows, without low columns where the mode is ``without``."""
    frame, target, low = table_named(name)
    kept = frame.drop(columns=list(low)) if mode == "without" else frame
    return TableSpace(labelled_rows(read_table(kept.reset_index(drop=True), target=target, require_target=True)))


def made(kind: str, low: tuple[str, ...], seed: int) -> Surrogate:
    """An unfitted surrogate of one thread."""
    chosen = CampaignSettings.model_validate(KINDS[kind])
    ensemble = chosen.ensemble.model_copy(update={"low": low})
    update = {"model": chosen.model.completed(ensemble=True), "ensemble": ensemble}
    return make_surrogate(chosen.model_copy(update=update), seed, threads=1)


class Line:
    """A straight line through a column, with one sigma for all; without `fitted` the column as it is."""

    def __init__(self, column: str, fitted: bool, seed: int):
        self.column, self.fitted = column, fitted

    def fit(self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Any = None) -> Line:
        columns = space.rows(rows).features
        self.line = Baseline(self.column)
        if self.fitted:
            self.line = Baseline.through(self.column, columns[self.column], labels, np.ones(len(labels)), True)
        self.sigma = float(np.sqrt(np.mean((self.line.values(columns) - labels) ** 2)))
        return self

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        mean = self.line.values(space.rows(rows).features)
        std = np.full(len(mean), self.sigma)
        return Prediction(mean, std, std, mean[None, :], np.isfinite(mean)[None, :])


class OneModel:
    """One model with the settings of `fit`; its sigma is the error of training, for it claims nothing."""

    def __init__(self, low: tuple[str, ...], seed: int):
        settings = CampaignSettings().model.completed(ensemble=False)
        self.settings = settings.estimator_parameters() | {"low": low, "threads": 1}

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Any = None
    ) -> OneModel:
        self.found = find_formulas(self.settings, table_of(space, rows, labels))
        return self

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        mean, valid = self.found.predict_with_validity(space.rows(rows).features)
        std = np.full(len(mean), self.found.model.rmse)
        return Prediction(mean, std, std, mean[None, :], valid[None, :])


def candidates(name: str) -> dict[str, tuple[str, Callable[[int], Surrogate]]]:
    """What is compared on a table: mode, and how a surrogate is made from a seed."""
    space = space_of(name, "low")
    low = tuple(feature.name for feature in space.features if feature.header in table_named(name)[2])
    found: dict[str, tuple[str, Callable[[int], Surrogate]]] = {
        f"{low[0]} as it is": ("low", partial(Line, low[0], False)),
        f"a line through {low[0]}": ("low", partial(Line, low[0], True)),
    }
    for mode in MODES:
        found[f"one model, {mode}"] = (mode, partial(OneModel, low if mode == "low" else ()))
    for kind in KINDS:
        for mode in MODES if kind in {"sisso", "formulas alone", "no-formulas"} else MODES[:2]:
            found[f"{kind}, {mode}"] = (mode, partial(made, kind, low if mode == "low" else ()))
    return found


def accuracy(name: str, seeds: int, done: dict[str, Any], save: Callable[[], None]) -> str:
    """RMSE and mean absolute error of each, over all folds of all seeds."""
    rows = [["ten-fold cross-validation", "RMSE", "MAE", "in 95 %", "undefined"]]
    for title, (mode, make) in candidates(name).items():
        for seed in range(seeds):
            key = f"accuracy|{name}|{title}|{seed}"
            if key not in done:
                done[key] = validated(space_of(name, mode), make, True, seed)
                save()
        mine = [done[f"accuracy|{name}|{title}|{seed}"] for seed in range(seeds)]
        mean, y, low, high = (
            np.array([value for one in mine for value in one[part]], dtype=float)
            for part in ("mean", "label", "low", "high")
        )
        ok = np.isfinite(mean)
        error = (mean - y)[ok]
        inside = ((y >= low) & (y <= high))[ok].mean()
        figures = f"{np.sqrt(np.mean(error**2)):.3f}", f"{np.abs(error).mean():.3f}", f"{inside:.1%}"
        rows.append([title, *figures, str(int((~ok).sum()))])
    space = space_of(name, "low")
    return f"{name}: {len(space.ids)} rows, {seeds} x 10 folds\n{aligned(rows)}"


def finding(name: str, starts: int, done: dict[str, Any], save: Callable[[], None]) -> str:
    """Targets known after 10, 20 and 30 evaluations, and what the first strategy has more of, from the same starts."""
    known = candidates(name)
    space, column = space_of(name, "low"), next(iter(known)).split(" ")[0]
    strategies: dict[str, tuple[str, Callable[[int], Surrogate] | None]] = {
        "sisso, low: hits": known["sisso, low"],
        "no-formulas, low: hits": known["no-formulas, low"],
        "sisso, feature: hits": known["sisso, feature"],
        "trees, feature: mean": known["trees, feature"],
        f"a line through {column}: mean": known[f"a line through {column}"],
        "lowest first": ("low", None),
        "sisso, without: hits": known["sisso, without"],
    }
    counts = {}
    for title, (mode, make) in strategies.items():
        acquisition = title.rpartition(": ")[2]
        strategy = Strategy(title, acquisition, make)
        if make is None:
            strategy = by_estimate(space, column, Goal.parse(RULES.goal))
        for seed in range(starts):
            key = f"finding|{name}|{title}|{seed}"
            if key not in done:
                done[key] = simulate(space_of(name, mode), strategy, RULES, seed).n_found
                save()
        counts[title] = np.array([done[f"finding|{name}|{title}|{seed}"] for seed in range(starts)])[:, [0, 10, 20, 30]]
    first = next(iter(counts))
    rows = [["targets after", "0", "10", "20", "30", f"{first} more: 10", "20", "30"]]
    for title, own in counts.items():
        more = [mean_and_half(values) for values in (counts[first] - own).T[1:]] if title != first else [""] * 3
        rows.append([title, *(f"{value:.1f}" for value in own.mean(axis=0)), *more])
    total = int(targets(space.labels, RULES).sum())
    return (
        f"{name}: campaigns from {starts} starts, {total} targets (mean and half of its 95 % interval)\n{aligned(rows)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default="gpbx,measured,hse06")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--json", type=Path, help="the file of results, read and added to")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="unit .* is not known")
    done = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}

    def save() -> None:
        if options.json:
            write_whole(options.json, json.dumps(done))

    names = options.tables.split(",")
    for name in names:
        print(accuracy(name, options.seeds, done, save), "\n", flush=True)
    if options.starts:
        print(finding(names[0], options.starts, done, save))


if __name__ == "__main__":
    main()
