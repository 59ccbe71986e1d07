"""What a screening costs: growth in candidates, with and without a correction, with one worker and more.

    python benchmarks/screening.py [--rows 100000 1000000] [--workers 1 2] [--models formulas corrected classes three]
                                   [--runs N] [--all-predictions] [--executor local dask:local] [--folder DIR] [--profile]
                                   [--timeline FILE.png]

The pool has 15 made-up features and formulas of three metals and oxygen, in row groups of 2^18 rows; it is generated file by file
and kept in the folder, which is a temporary one by default. The models are an ensemble of 30 members of 2 terms without correction,
the same with a correction that has seen 100 labels and their compositions (``corrected``), and ensembles of classifiers whose
log-odds are the same formulas, of two classes (``classes``) and of three (``three``). Printed are wall time, processor time of all
processes in µs for each candidate and for each one more than in the first size (without the start of the command), candidates in a
second, the largest memory of a process, and time for each candidate relative to the first size (linear: 1). With ``--runs`` models
take turns, and the quickest run of each is printed; ``--all-predictions`` writes
those of every candidate. ``--timeline`` draws when each worker computed which shard of the largest pool.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import multiprocessing
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE / "benchmarks"))
N_FEATURES, N_MEMBERS, N_LABELS, PER_FILE, PER_GROUP = 15, 30, 100, 2**20, 2**18
METALS = (
    "Li", "Be", "Na", "Mg", "Al", "Si", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "Rb",
    "Sr", "Y", "Zr", "Nb", "Mo", "Ag", "Cd", "In", "Sn", "Sb", "Cs", "Ba", "La", "Hf", "Ta", "W", "Pb", "Bi",
)  # fmt: skip
CHOSEN = {"rung": 2, "dim": 2, "form": "feature", "column": ""}
CHOICE = CHOSEN | {"mae": 1.0, "rmse": 1.0}
GOALS = {"formulas": "min", "corrected": "min", "classes": "=b", "three": "=b"}
MODELS = tuple(GOALS)
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def candidates(n: int, seed: int) -> tuple[list[str], dict[str, np.ndarray]]:
    """Formulas and features, (n,) each."""
    rng = np.random.default_rng(seed)
    metals = np.array(METALS)[rng.integers(0, len(METALS), (n, 3))].T
    numbers = rng.integers(1, 7, (4, n)).astype(str)
    parts = [np.char.add(*pair) for pair in zip([*metals, np.full(n, "O")], numbers, strict=True)]
    formulas = parts[0]
    for part in parts[1:]:
        formulas = np.char.add(formulas, part)
    return formulas.tolist(), {f"x{k}": rng.uniform(1, 2, n) for k in range(N_FEATURES)}


def write_models(folder: Path) -> None:
    """Model files that nobody has fitted: made-up formulas, kernels and labels."""
    from prediction import made_up_members

    from sisso_sal import SISSOEnsemble
    from sisso_sal.models.calibration import calibrate
    from sisso_sal.models.correction import Correction, Kernels
    from sisso_sal.models.ensemble_model import EnsembleModel
    from sisso_sal.models.files import save_model
    from sisso_sal.models.fitting import SearchCounts
    from sisso_sal.models.stored import StoredModel
    from sisso_sal.oxides.elements import atomic_fractions

    formulas, columns = candidates(N_LABELS, 0)
    columns = dict(sorted(columns.items()))
    members, shares = made_up_members(columns), atomic_fractions(formulas)
    formula = np.mean([member.predict(columns)[0] for member in members], axis=0)
    features = np.column_stack(list(columns.values()))
    target = formula + 0.3 * formula.std() * (np.sin(5 * features[:, 0]) + shares[:, 5])
    length = 0.5 * np.log(N_FEATURES + 1)
    theta = [[0.0, *[length] * (N_FEATURES + 1), -2.0], [0.0, length, -2.0], [0.0, 0.0, length + np.log(2.0), -2.0]]
    correction = Correction("both", features, formula, target, 0, shares, Kernels(theta))
    calibration, recalibration = calibrate(target, correction.left_out_mean, correction.left_out_std)
    settings = SISSOEnsemble(members=N_MEMBERS, rung=2, dim=2, operators=OPERATORS, correction="none").get_params()
    settings |= {"low": ()}
    for name, learned in (("formulas", None), ("corrected", correction)):
        model = EnsembleModel(
            members=members, dropped=((),) * N_MEMBERS, aggregation="mean", choices=[CHOICE], primaries=dict.fromkeys(columns, ""),
            chosen=CHOSEN, labelled=features, recalibration=recalibration,
            calibration=calibration, formula_calibration=calibration,
            counts=SearchCounts(N_LABELS, {"0": N_FEATURES}, {"0": {}}, 0, True), correction=learned,
        )  # fmt: skip
        kind = "none" if learned is None else "both"
        save_model(folder / f"{name}.json", StoredModel(model, settings | {"correction": kind}), "y")


OPERATORS = ("add", "sub", "mult", "div", "abs_diff", "inv", "sq", "sqrt", "cbrt", "exp", "log")


def write_classifiers(folder: Path) -> None:
    """Model files of classifiers that nobody has fitted: the formulas of `write_models`, with medians as thresholds."""
    from dataclasses import replace

    from prediction import made_up_members

    from sisso_sal import SISSOClassifierEnsemble
    from sisso_sal.models.class_calibration import ClassCalibration, ClassScaling
    from sisso_sal.models.class_formulas import FIXED
    from sisso_sal.models.class_members import ClassMembers
    from sisso_sal.models.class_model import ClassModel
    from sisso_sal.models.files import save_model
    from sisso_sal.models.fitting import SearchCounts
    from sisso_sal.models.stored import StoredModel

    _, columns = candidates(N_LABELS, 0)
    columns = dict(sorted(columns.items()))
    lanes = [
        replace(member, intercept=-float(np.median(member.predict(columns)[0]))) for member in made_up_members(columns)
    ]
    settings = SISSOClassifierEnsemble(members=N_MEMBERS, rung=2, dim=2, operators=OPERATORS).get_params() | FIXED
    for name, names in (("classes", ("a", "b")), ("three", ("a", "b", "c"))):
        n = len(names)
        shifts = (0.0,) if n == 2 else (-0.5, 0.0, 0.5)
        models = [
            ClassModel(
                tuple(replace(lane, intercept=lane.intercept + shift) for shift in shifts), names, np.eye(n), 0.1, 0.0, None,
                np.full(n, 1.0 / n),
            )
            for lane in lanes
        ]  # fmt: skip
        judged = ClassCalibration.of(np.full((N_LABELS, n), 1.0 / n), np.arange(N_LABELS) % n)
        confusion = np.full((n, n), 0.0)
        confusion[0, 0] = N_LABELS
        counts = SearchCounts(N_LABELS, {"0": N_FEATURES}, {"0": {}}, 0, True)
        members = ClassMembers(
            models, names, ((),) * N_MEMBERS, dict.fromkeys(columns, ""), counts, ClassScaling(1.2, np.zeros(n)), judged, judged,
            confusion,
        )  # fmt: skip
        save_model(folder / f"{name}.json", StoredModel(members, settings, "y"), "y")


def write_pool(folder: Path, n: int) -> Path:
    """The first n candidates, in files of `PER_FILE`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pool = folder / f"pool-{n}"
    pool.mkdir(exist_ok=True)
    for number, start in enumerate(range(0, n, PER_FILE)):
        path, size = pool / f"{number:05d}.parquet", min(PER_FILE, n - start)
        if not path.exists():
            formulas, columns = candidates(size, 1 + number)
            part = path.with_suffix(".part")
            pq.write_table(pa.table({"id": formulas, **columns}), part, row_group_size=PER_GROUP)
            part.rename(path)
    return pool


def one_run(
    folder: Path, pool: Path, model: str, n_workers: int, executor: str, keeps_all: bool = False
) -> dict[str, Any]:
    """Times of the command in a process of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        command = [
            sys.executable, "-m", "sisso_sal", "screen", str(folder / f"{model}.json"), str(pool), "--goal", GOALS[model], "--json",
            "--workers", str(n_workers), "--executor", executor, "--out", str(Path(out, "out")),
        ]  # fmt: skip
        command += ["--all-predictions"] if keeps_all else []
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        environment = os.environ | ONE_THREAD | {"PYTHONPATH": str(HERE)}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    document = json.loads(done.stdout)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    n = document["n_rows"]
    return {
        "model": model, "rows": n, "executor": executor, "workers": n_workers, "seconds": seconds, "µs a row": 1e6 * cpu / n,
        "rows a second": n / seconds, "GiB": after.ru_maxrss / 2**20,
    }  # fmt: skip


def profile(folder: Path, pool: Path, model: str) -> None:
    """Where the time of one shard goes, in this process."""
    from sisso_sal.api.screening import ScreeningWish, screen_pool
    from sisso_sal.system.executors import open_workers

    wish = ScreeningWish(goal=GOALS[model])
    with (
        open_workers("local", 1, 1) as workers,
        tempfile.TemporaryDirectory() as first,
        tempfile.TemporaryDirectory() as out,
    ):
        screen_pool(folder / f"{model}.json", str(pool), f"{first}/out", wish, workers)
        profiler, start = cProfile.Profile(), time.process_time()
        profiler.enable()
        n = screen_pool(folder / f"{model}.json", str(pool), f"{out}/out", wish, workers)["n_rows"]
        profiler.disable()
    print(f"{model}: {1e6 * (time.process_time() - start) / n:.3f} µs a row of {n}")
    pstats.Stats(profiler).sort_stats("tottime").print_stats(28)


def timeline(folder: Path, pool: Path, model: str, executor: str, n_workers: int, picture: Path) -> None:
    """One bar for each shard, in the row of the worker that computed it."""
    import matplotlib.pyplot as plt

    from sisso_sal.api.screening import ScreeningWish, screen_pool
    from sisso_sal.system.executors import open_workers

    with tempfile.TemporaryDirectory() as out, open_workers(executor, n_workers, 1) as workers:
        workers.spans, start = [], time.time()
        screen_pool(folder / f"{model}.json", str(pool), f"{out}/out", ScreeningWish(goal=GOALS[model]), workers)
        end = time.time()
    names = sorted({span.worker for span in workers.spans})
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.4 * len(names)), layout="constrained")
    for number, span in enumerate(sorted(workers.spans, key=lambda span: span.begin)):
        place = names.index(span.worker), span.end - span.begin, 0.8, span.begin - start
        axes.barh(*place, color=("#4477aa", "#88bbdd")[number % 2])
    busy = sum(span.end - span.begin for span in workers.spans) / ((end - start) * len(names))
    axes.set(yticks=range(len(names)), yticklabels=names, xlim=(0, end - start), xlabel="seconds")
    axes.set_title(
        f"{len(workers.spans)} shards, {executor}, {len(names)} workers: busy for {busy:.0%} of the time", fontsize=10
    )
    figure.savefig(picture, dpi=150)
    print(f"busy for {busy:.1%} of the time; picture in {picture}")


def measured(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    for n in options.rows:
        pool = folder / f"pool-{n}"
        writer = multiprocessing.get_context("spawn").Process(target=write_pool, args=(folder, n))
        writer.start()  # elsewhere: a command that this process starts counts as at least as large as this process
        writer.join()
        if options.profile:
            for model in options.models:
                profile(folder, pool, model)
            continue
        cases = list(product(options.models, options.executor, options.workers))
        turns = [
            [
                one_run(folder, pool, model, n_workers, executor, options.all_predictions)
                for model, executor, n_workers in cases
            ]
            for _ in range(options.runs)
        ]
        for runs in zip(*turns, strict=True):
            yield min(runs, key=lambda run: run["seconds"]) | {"µs a row": min(run["µs a row"] for run in runs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000], help="candidates")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of workers")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--runs", type=int, default=1, help="runs of each model, in turns")
    parser.add_argument("--all-predictions", action="store_true", help="write the predictions of every candidate")
    parser.add_argument("--folder", type=Path, help="where pools and models are kept")
    parser.add_argument("--executor", nargs="+", default=["local"], help="where, as --executor of the command")
    parser.add_argument("--timeline", type=Path, help="draw who computed what when, of the largest pool")
    parser.add_argument("--profile", action="store_true", help="where the time of one worker goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = options.folder or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        write_models(folder)
        write_classifiers(folder)
        first: dict[tuple[str, int, str], dict[str, Any]] = {}
        for row in measured(options, folder):
            least = first.setdefault((row["model"], row["workers"], row["executor"]), dict(row))
            if row["rows"] > least["rows"]:
                spent = row["rows"] * row["µs a row"] - least["rows"] * least["µs a row"]
                row["µs a further row"] = spent / (row["rows"] - least["rows"])
            row["growth"] = row["seconds"] / row["rows"] / (least["seconds"] / least["rows"])
            print(
                "  ".join(
                    f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                    for name, value in row.items()
                ),
                flush=True,
            )
        if options.timeline:
            pool, workers = folder / f"pool-{options.rows[-1]}", options.workers[-1]
            timeline(folder, pool, options.models[-1], options.executor[-1], workers, options.timeline)


if __name__ == "__main__":
    main()
