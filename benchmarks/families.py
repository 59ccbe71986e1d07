"""Does an ensemble know its errors for a family of materials without any label? Coverage of the 95 % interval there and elsewhere.

    python benchmarks/families.py [--tables A,B] [--labels 100] [--families 24] [--by elements,clusters] [--plain] [--json FILE]
    python benchmarks/families.py --refit 2

A family is all materials with an element, or a cluster of features (k-means). The ensemble learns from labels of other materials;
what it says of the family is compared with the labels, and what it says of the other materials without one. By clusters no
compositions are known. --plain leaves out families as well, but sigma does not grow with distance (`Shift`).
--refit compares what `Shift` finds in closed form with whole fits without the family, from so many sets of labels (`SEEN`).
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from accuracy import FeaturesOnly, rmse
from labelled import space_named, usable
from sklearn.cluster import KMeans

from sisso_sal.models.process import ProcessLearner
from sisso_sal.models.shift import Shift, mixture
from sisso_sal.models.sisso import SISSO, make_sisso
from sisso_sal.report.text.table import aligned
from sisso_sal.settings.campaign import CampaignSettings, EnsembleSettings
from sisso_sal.spaces.table import TableSpace
from sisso_sal.system.storage import write_whole

FEWEST, N_CLUSTERS = 6, (12, 8, 20)
"""Materials of a family, and how many clusters are made, one number after the other, until there are enough families."""

LEVEL = 0.95


def elements(space: TableSpace) -> list[np.ndarray]:
    """Which rows (n,) have each element that not more than half have, in random order."""
    shares = space.rows().composition
    if shares is None:
        return []
    return _some([column > 0 for column in shares.T], np.random.default_rng(0))


def clusters(space: TableSpace) -> list[np.ndarray]:
    """Which rows (n,) are in each cluster of features, in random order."""
    features = space.rows().matrix
    spread = features.std(axis=0)
    places, rng = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0), np.random.default_rng(0)
    families = []
    for number in N_CLUSTERS:
        means = KMeans(number, random_state=0, n_init=10)  # pyright: ignore[reportArgumentType]
        own = means.fit_predict(places)
        families += _some([own == cluster for cluster in range(number)], rng)
    return families


def _some(families: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    fit = [inside for inside in families if FEWEST <= inside.sum() <= len(inside) / 2]
    return [fit[number] for number in rng.permutation(len(fit))]


KINDS = {"elements": elements, "clusters": clusters}
"""What makes a family, by name."""


def left_out(space: TableSpace, inside: np.ndarray, n_labels: int, seed: int) -> dict[str, Any]:
    """Coverage and errors where no label is of the family, as plain data; by ends of intervals and labels of both parts."""
    y, rng = space.labels, np.random.default_rng(seed)
    known = np.sort(rng.permutation(np.flatnonzero(~inside))[:n_labels])
    surrogate = make_sisso(CampaignSettings(), 0, threads=1).fit(
        space, known, y[known], np.asarray(space.errors)[known]
    )
    told = surrogate.describe(space)
    out: dict[str, Any] = {
        "out of bag": told["calibration"]["rmse"],
        "shift": told["shift"],
        "spread": float(y[known].std()),
    }
    for name, rows in (("family", np.flatnonzero(inside)), ("rest", np.setdiff1d(np.flatnonzero(~inside), known))):
        if len(rows):
            prediction = surrogate.predict(space, rows)
            low, high = prediction.interval95
            parts = {"label": y[rows], "mean": prediction.mean, "low": low, "high": high}
            out[name] = {part: values[np.isfinite(prediction.mean)].tolist() for part, values in parts.items()}
    return out


def run(table: str, kind: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """All families of a table."""
    space = space_named(table)
    families = KINDS[kind](space)[: options.families]
    seen = FeaturesOnly(space.table) if kind == "clusters" else space
    return [left_out(seen, inside, options.labels, seed) for seed, inside in enumerate(families)]


def refitted(space: TableSpace, n_labels: int, seed: int) -> list[np.ndarray]:
    """Errors in units of sigma of labelled families, (n,) each, over the usual ones: by the processes without the family in closed
    form, and by whole fits without it.
    """
    y, errors = space.labels, np.asarray(space.errors)
    settings = CampaignSettings(ensemble=EnsembleSettings(correction="process"))

    def fitted(rows: np.ndarray) -> tuple[SISSO, float]:
        surrogate = make_sisso(settings, 0, threads=1).fit(space, rows, y[rows], errors[rows])
        mean, std = surrogate.out_of_bag
        return surrogate, rmse((y[rows] - mean) / std)

    known = np.sort(np.random.default_rng(seed).permutation(len(y))[:n_labels])
    whole, usual = fitted(known)
    correction = whole.model.correction
    if correction is None or correction.shift is None:
        return [np.empty(0), np.empty(0)]
    own = space.rows(known).features
    number = {
        tuple(content): row for row, *content in zip(known, *(own[name] for name in sorted(own)), y[known], strict=True)
    }
    processes = [one for one in correction._learners if isinstance(one, ProcessLearner)]
    closed, again = [], []
    for family in correction.shift.families:
        rows = np.array([number[*correction.features[i], correction.target[i]] for i in family])
        each = [learner.process.without(correction.target, family) for learner in processes]
        mean, std = mixture(*zip(*each, strict=True))
        closed.append((y[rows] - mean) / std / usual)
        without, usual_then = fitted(np.setdiff1d(known, rows))
        prediction = without.predict(space, rows)
        again.append((y[rows] - prediction.mean) / prediction.std_raw / usual_then)
    return [np.concatenate(closed), np.concatenate(again)]


def row(table: str, kind: str, results: list[dict[str, Any]]) -> list[str]:
    """A line of the printed table."""
    line = [table, kind, str(len(results))]
    for name in ("family", "rest"):
        each = [(result[name], result["spread"]) for result in results if name in result]
        inside = [_inside(part) for part, _ in each] or [np.full(1, np.nan)]
        score = np.concatenate([_score(part) / spread for part, spread in each] or [np.full(1, np.nan)])
        line += [
            f"{np.concatenate(inside).mean():.1%}",
            f"{np.mean([one.mean() for one in inside]):.1%}",
            f"{score.mean():.3f}",
        ]
    shifts = [result["shift"] for result in results if result["shift"]]
    real = [rmse(_of(result["family"], "label") - _of(result["family"], "mean")) for result in results]
    each = real, [shift["rmse"] for shift in shifts], [result["out of bag"] for result in results]
    factor = f"{np.mean([shift['factor'] for shift in shifts]):.2f}" if shifts else ""
    return [*line, factor, *(f"{rmse(np.array(errors)):.3g}" if errors else "" for errors in each)]


def _of(part: dict[str, list[float]], name: str) -> np.ndarray:
    return np.array(part[name])


def _inside(part: dict[str, list[float]]) -> np.ndarray:
    label = _of(part, "label")
    return (_of(part, "low") <= label) & (label <= _of(part, "high"))


def _score(part: dict[str, list[float]]) -> np.ndarray:
    """Interval score, in the target's unit; less is better (Gneiting, Raftery, J. Am. Stat. Assoc. 102, 359 (2007), eq. 43)."""
    label, low, high = (_of(part, name) for name in ("label", "low", "high"))
    return high - low + 2 / (1 - LEVEL) * (np.maximum(low - label, 0) + np.maximum(label - high, 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default=",".join(name for name in usable() if name not in {"law", "replicates"}))
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--families", type=int, default=24, help="at most, of each table")
    parser.add_argument("--by", default=",".join(KINDS))
    parser.add_argument("--plain", action="store_true", help="sigma does not grow with distance")
    parser.add_argument("--json", type=Path, help="the file for all intervals")
    parser.add_argument("--refit", type=int, default=0, metavar="N")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="unit .* is not known")
    parts = [f"{name}: {figure}" for name in ("family", "rest") for figure in ("in 95 %", "mean", "score")]
    head = ["table", "families by", "n", *parts, "factor", "RMSE of families", "told", "out of bag"]
    if options.refit:
        with patch.object(Shift, "widening", _none):
            print(refits(options))
        return
    rows, done = [head], {}
    with patch.object(Shift, "widening", _none) if options.plain else warnings.catch_warnings():
        for kind in options.by.split(","):
            for table in options.tables.split(","):
                done[f"{table}|{kind}"] = results = run(table, kind, options)
                rows.append(row(table, kind, results))
                print("  ".join(rows[-1]), flush=True)
                if options.json:
                    write_whole(options.json, json.dumps(done))
    print(aligned(rows, numeric=range(2, len(head))))


def refits(options: argparse.Namespace) -> str:
    """Root mean squares of `refitted` and their ratio, for each table."""
    lines = [["table", "families by", "n", "closed form", "whole fits", "ratio"]]
    for kind in options.by.split(","):
        for table in options.tables.split(","):
            space = space_named(table)
            seen = FeaturesOnly(space.table) if kind == "clusters" else space
            pairs = [refitted(seen, options.labels, seed) for seed in range(options.refit)]
            closed, again = (np.concatenate(part) for part in zip(*pairs, strict=True))
            told = np.isfinite(again)
            each = rmse(closed[told]), rmse(again[told])
            lines.append([table, kind, str(told.sum()), *(f"{value:.2f}" for value in (*each, each[1] / each[0]))])
            print("  ".join(lines[-1]), flush=True)
    return aligned(lines, numeric=range(2, 6))


def _none(shift: Shift, novelties: list[np.ndarray]) -> np.ndarray:
    return np.ones_like(novelties[0])


if __name__ == "__main__":
    main()
