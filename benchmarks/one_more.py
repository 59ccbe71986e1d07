"""What one more label costs the correction: evaluations of the likelihood, CPU time, and the likelihood that is reached.

    python benchmarks/one_more.py [--labels 200 500 1000]

The oxides are those of `tables.py`. A correction learns from n labels, then from n + 1: from a fresh start, and from the parameters
that the first fit hands over.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from tables import TARGET, pool_table

from sisso_sal.models.correction import Correction, Kernels
from sisso_sal.models.process import ProcessLearner
from sisso_sal.oxides.elements import atomic_fractions


def oxides(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, 15), left-out predictions of a straight line through them (n,), labels (n,) and shares (n, n_elements)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "oxides.csv"
        pool_table(path, n, n)
        table = pd.read_csv(path)
    table = table.sample(frac=1.0, random_state=0)
    labels, features = table[TARGET].to_numpy(float), table.drop(columns=[TARGET, "formula"]).to_numpy(float)
    line = np.column_stack([np.ones(n), (features - features.mean(axis=0)) / features.std(axis=0)])
    hat = line @ np.linalg.pinv(line)
    formula = labels - (labels - hat @ labels) / (1 - np.diag(hat))
    return features, formula, labels, np.asarray(atomic_fractions(tuple(table["formula"])))


def learned(data: tuple[np.ndarray, ...], n: int, **more) -> tuple[Correction, float]:
    """The correction of the first n labels, and the CPU time (s) of its fit."""
    features, formula, labels, shares = (part[:n] for part in data)
    start = time.process_time()
    return Correction("process", features, formula, labels, 0, shares, Kernels(**more)), time.process_time() - start


def processes(correction: Correction) -> list[ProcessLearner]:
    return [learner for learner in correction._learners if isinstance(learner, ProcessLearner)]


def reached(learner: ProcessLearner) -> float:
    """The logarithm of the likelihood of all labels, from the inverse of the Cholesky factor and its product with them."""
    weights, inverse = learner.process.weights, learner.process.inverse
    return float(-0.5 * weights @ weights + np.log(inverse.diagonal()).sum() - 0.5 * len(weights) * np.log(2 * np.pi))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, nargs="+", default=[200, 500, 1000])
    options = parser.parse_args()
    data = oxides(max(options.labels) + 1)
    learned(data, 50)
    print("| labels | start | CPU s | evaluations of each process | log likelihoods |\n|---|---|---|---|---|")
    for n in options.labels:
        first, _ = learned(data, n)
        for start, more in (("fresh", {}), ("from the fit before", {"earlier": first.handover})):
            correction, seconds = learned(data, n + 1, **more)
            counts = " ".join(str(learner.process.n_evaluations) for learner in processes(correction))
            values = " ".join(f"{reached(learner):.3f}" for learner in processes(correction))
            print(f"| {n + 1} | {start} | {seconds:.2f} | {counts} | {values} |", flush=True)


if __name__ == "__main__":
    main()
