"""Several tasks and classes beside SISSO 3.5: the same descriptors, what the search takes, and what an ensemble takes.

    python benchmarks/tasks_and_classes.py [--members 30]

It needs ../shared/reference (inputs of SISSO 3.5 and what it found). Times are CPU seconds of the search alone in one thread, after
the kernels were compiled; those of SISSO 3.5 are of its whole run. ABX3 are the 576 materials of P1 with ratios of radii as further
primary features, where the published tolerance factor is right for 91.7 % (Bartel et al., Sci. Adv. 5, eaav0693 (2019)).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sisso_sal.engine.class_problem import ClassProblem
from sisso_sal.engine.class_search import SubspaceClassFits, search_classes
from sisso_sal.engine.linear_criterion import LinearCriterion
from sisso_sal.engine.overlap_criterion import OverlapCriterion
from sisso_sal.engine.plan import SearchSize
from sisso_sal.engine.problem import FitObjective, Problem
from sisso_sal.engine.search import search
from sisso_sal.features.space import FeatureSpace, SpaceSettings
from sisso_sal.models.formulas import N_ALTERNATIVES

FOLDER = Path(__file__).resolve().parents[1].parent / "shared" / "reference" / "tasks"
OXIDES = ("add", "sub", "abs_diff", "mult", "div", "inv", "sq", "cb", "six_pow", "sqrt")
UNITS = ["Å"] * 3 + ["Pauling"] + ["eV"] * 5 + [""] * 5
RATIOS = ("add", "sub", "mult", "div", "sq", "log")
ABX3 = ("add", "sub", "mult", "div", "inv", "sq", "cb", "sqrt", "log")


class Case(NamedTuple):
    """An input: samples of each task or class, rung, features of each dimension, and what SISSO 3.5 took (s), if that is known."""

    name: str
    sizes: tuple[int, ...]
    rung: int
    n_sis: tuple[int, ...]
    of_sisso: float | None


TASKS = (Case("M1", (137, 113), 2, (50, 50), 1.0), Case("M3", (112, 138), 1, (20, 20), None))
CLASSES = (
    Case("C1", (49, 201), 2, (50,), None),
    Case("C2", (49, 201), 2, (50, 50), 1.6),
    Case("P1", (313, 263), 2, (100,), None),
    Case("P1", (313, 263), 2, (50, 50), 4.1),
)


def values_of(case: Case) -> tuple[list[str], np.ndarray]:
    """Names and rows of numbers of a train.dat; of tasks the first row is the target."""
    header, *rows = (
        line.split() for line in (FOLDER / case.name / "train.dat").read_text().splitlines() if line.strip()
    )
    return header[1:], np.ascontiguousarray(np.array([row[1:] for row in rows], dtype=float).T)


def space_of(names: Sequence[str], values: np.ndarray, case: Case) -> FeatureSpace:
    if case.name == "P1":
        units, settings = ["Å"] * 3 + [""] * 3, SpaceSettings(operators=ABX3, rung=case.rung, unit_rules="sisso")
    else:
        units, settings = UNITS, SpaceSettings(operators=OXIDES, rung=case.rung)
    return FeatureSpace(names, units, values, settings)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What the second of two runs gives, and its CPU seconds."""
    work()
    start = time.process_time()
    found = work()
    return found, time.process_time() - start


def told(case: Case, seconds: float, error: str, space: FeatureSpace, subspace, fit) -> None:
    names = " | ".join(str(space.expression(*subspace.triple(number))) for number in fit.subset)
    beside = f", SISSO 3.5 {case.of_sisso:.1f} s, {case.of_sisso / seconds:.0f} times" if case.of_sisso else ""
    print(f"{case.name} {len(case.n_sis)}D  {error}  {names}\n      {seconds:.3f} s{beside}")


def tasks() -> None:
    for case in TASKS:
        names, values = values_of(case)
        space, target = space_of(names[1:], values[1:], case), values[0]
        problem = Problem(
            target, np.ones(len(target)), np.ones(len(space.names), bool), np.repeat(np.arange(2), case.sizes)
        )
        size = SearchSize(dim=len(case.n_sis), n_sis=case.n_sis, objective=FitObjective(is_task_equal=True))
        ((found,), _), seconds = timed(lambda space=space, problem=problem, size=size: search(space, [problem], size))
        best = found.fits[-1][0]
        told(case, seconds, f"RMSE {np.sqrt(best.sse / len(target)):.6f}", space, found.subspace, best)


def classes() -> None:
    for case in CLASSES:
        names, values = values_of(case)
        space, labels = space_of(names, values, case), np.repeat([0, 1], case.sizes)
        problem = ClassProblem(labels, np.ones(len(labels)), np.ones(len(names), bool))
        work = (space, [problem], OverlapCriterion(), list(case.n_sis))
        ((found,), _), seconds = timed(lambda work=work: search_classes(*work))
        best = found.fits[-1][0]
        told(case, seconds, f"{int(best.weight)} in the overlap, size {best.size:.6f}", space, found.subspace, best)


def ensembles(members: int) -> None:
    """What an ensemble takes beside one fit: with the same features, then with the defaults of `fit --classify` for both."""
    print(f"\n{members} bootstrapped members beside one fit, CPU time; two dimensions, n_sis 50")
    for case in (CLASSES[1], CLASSES[3]):
        names, values = values_of(case)
        space, labels = space_of(names, values, case), np.repeat([0, 1], case.sizes)
        n, rng = len(labels), np.random.default_rng(0)
        every = np.ones(len(names), bool)
        one = [ClassProblem(labels, np.ones(n), every)]
        many = [
            ClassProblem(labels, rng.multinomial(n, np.ones(n) / n).astype(float), rng.random(len(names)) > 0.2)
            for _ in range(members)
        ]

        def taken(problems: list[ClassProblem], criterion: Any, n_sis: int, space: FeatureSpace = space) -> float:
            # One fit keeps ten alternatives, a member only its best.
            keep = N_ALTERNATIVES if len(problems) == 1 else 1
            return timed(lambda: search_classes(space, problems, criterion, [n_sis, n_sis], keep=keep))[1]

        criteria = {
            "overlap": OverlapCriterion(),
            **{kind: LinearCriterion(kind) for kind in ("accuracy", "likelihood")},
        }
        for kind, criterion in criteria.items():
            alone, all_of = taken(one, criterion, 50), taken(many, criterion, 50)
            print(f"{case.name} {kind:10}  {alone:.3f} s, {all_of:.2f} s: {all_of / alone:.1f} times")
        alone, all_of = (
            taken(one, LinearCriterion("accuracy", n_residual=5), 50),
            taken(many, LinearCriterion("likelihood"), 20),
        )
        print(f"{case.name} by default  {alone:.3f} s, {all_of:.2f} s: {all_of / alone:.1f} times")


def abx3() -> None:
    names, values = values_of(CLASSES[3])
    a, b, x = values[:3]
    space = FeatureSpace(
        [*names, "rA_rB", "rX_rB", "rA_rX"], ["Å"] * 3 + [""] * 6, np.vstack([values, a / b, x / b, a / x]),
        SpaceSettings(operators=ABX3, rung=2),
    )  # fmt: skip
    labels = np.repeat([0, 1], CLASSES[3].sizes)
    problem = ClassProblem(labels, np.ones(len(labels)), np.ones(9, bool))
    print(f"\n576 ABX3, {space.n_features} features of rung 2; tau is right for 91.7 %")
    for kind in ("accuracy", "likelihood"):
        ((found,), _), seconds = timed(
            lambda kind=kind: search_classes(space, [problem], LinearCriterion(kind), [50, 50])
        )
        for fits in found.fits:
            best = fits[0]
            formula = " | ".join(str(space.expression(*found.subspace.triple(number))) for number in best.subset)
            print(f"{kind:10}  {len(best.subset)}D  right for {100 * (1 - best.errors / len(labels)):.1f} %  {formula}")
        print(f"            {seconds:.2f} s")


def abx3_of_ratios() -> None:
    """One descriptor of rung 3 of the ratios and the charge of A, as tau has it; then on fifths that the search did not see."""
    _, values = values_of(CLASSES[3])
    a, b, x, charge = values[:4]
    space = FeatureSpace(
        ["rA_rB", "rX_rB", "nA"], [""] * 3, np.array([a / b, x / b, charge]), SpaceSettings(operators=RATIOS, rung=3)
    )
    labels = np.repeat([0, 1], CLASSES[3].sizes)
    n, allowed = len(labels), np.ones(3, bool)
    tau = x / b - charge * (charge - (a / b) / np.log(a / b))
    print(f"\n576 ABX3, {space.n_features} features of rung 3 of rA/rB, rX/rB and the charge of A")
    criterion = LinearCriterion("accuracy")
    ((found,), _), seconds = timed(
        lambda: search_classes(space, [ClassProblem(labels, np.ones(n), allowed)], criterion, [10])
    )
    best = found.fits[0][0]
    print(
        f"accuracy    1D  right for {100 * (1 - best.errors / n):.1f} %  {formula_of(space, found)}\n            {seconds:.2f} s"
    )
    fold = np.random.default_rng(0).permutation(np.arange(n) % 5)
    problems = [ClassProblem(labels, (fold != k).astype(float), allowed) for k in range(5)]
    found_of_folds, _ = search_classes(space, problems, criterion, [10])
    right = np.zeros(2)
    for k, found in enumerate(found_of_folds):
        row = found.subspace.values(space)[found.fits[0][0].subset[0]]
        right += [told_by_threshold(own, labels, fold == k) for own in (row, tau)]
        print(f"            without fifth {k + 1}: {formula_of(space, found)}")
    told_of, of_tau = 100 * right / n
    print(
        f"            right on fifths left out: {told_of:.1f} %, tau with thresholds of the same samples {of_tau:.1f} %"
    )


def formula_of(space: FeatureSpace, found: SubspaceClassFits) -> str:
    return " | ".join(str(space.expression(*found.subspace.triple(t))) for t in found.fits[-1][0].subset)


def told_by_threshold(row: np.ndarray, labels: np.ndarray, left_out: np.ndarray) -> int:
    """How many of the samples left out the best threshold of the others tells rightly."""
    known, yes = np.sort(row[~left_out]), labels == 1
    cuts = np.r_[-np.inf, (known[1:] + known[:-1]) / 2]
    above = np.array([((row > cut) == yes)[~left_out].sum() for cut in cuts])
    is_above = above.max() >= (~left_out).sum() - above.min()
    cut = cuts[above.argmax() if is_above else above.argmin()]
    return int((((row > cut) == yes) == is_above)[left_out].sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=30)
    options = parser.parse_args()
    if not FOLDER.is_dir():
        raise SystemExit(f"error: needs {FOLDER}")
    tasks()
    classes()
    ensembles(options.members)
    abx3()
    abx3_of_ratios()


if __name__ == "__main__":
    main()
