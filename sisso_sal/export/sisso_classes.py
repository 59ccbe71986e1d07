"""Results of a fit of classes by the overlap of domains in the files of SISSO 3.5; see `sisso_sal.export.sisso_files`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sisso_sal.engine.class_problem import ClassProblem
from sisso_sal.engine.overlap_criterion import unclear_samples
from sisso_sal.export.sisso_files import LINE, OutLines, Search, fortran_number, selected_text, sisso_out
from sisso_sal.features.expression import Expression
from sisso_sal.models.class_formulas import FittedClasses, overlap_criterion_of
from sisso_sal.models.class_model import ClassModel
from sisso_sal.models.inputs import TrainingTable

MOST_SIZED = 2
"""Descriptors up to which an overlap has a size."""


@dataclass(frozen=True)
class FitOfClasses:
    """What is written.

    Attributes
    ----------
    models : FittedClasses
        With the subspaces of the search.
    table : TrainingTable
        Rows in the order in which the user has them, with the number of its class as the label of each.
    settings : mapping
        Parameters of a `SISSOClassifier` whose criterion is the overlap.
    seconds : float
    """

    models: FittedClasses
    table: TrainingTable
    settings: Mapping[str, Any]
    seconds: float

    @property
    def features(self) -> list[Expression]:
        """All screened features, dimension by dimension; their numbers are places in this list."""
        return [feature for part in self.models.subspaces for feature, _ in part]

    def numbers(self, model: ClassModel) -> list[int]:
        """Places of the descriptors among the features, ascending."""
        numbers = {feature.key: number for number, feature in enumerate(self.features)}
        return sorted(numbers[one.key] for one in model.expressions)

    @property
    def is_convex(self) -> list[bool]:
        """For each class, whether it has a domain."""
        convex = self.settings["convex"]
        return [convex is None or name in convex for name in self.models.classes]


def files_of_classes(fit: FitOfClasses) -> dict[str, str]:
    """The files by their path within a folder.

    Parameters
    ----------
    fit : FitOfClasses
    """
    columns, model = fit.table.columns(), fit.models.model
    values = np.array([feature.evaluate(columns) for feature in fit.features])
    order = np.argsort(fit.table.y, kind="stable")  # class by class, as SISSO has them
    problem = ClassProblem(fit.table.y.astype(np.int64), fit.table.weights, np.ones(len(columns), dtype=bool))
    best = values[fit.numbers(model)]
    unclear = unclear_samples(best, overlap_criterion_of(fit.settings, fit.models.classes).domains(problem))
    named = f"D{model.dimension:03d}"
    head = f"{'index':>20}{'classified?':>20}"
    head += "".join(f"{'descriptor_':>19}{k}" for k in range(1, model.dimension + 1))
    rows = [
        f"{number:20d}{'NO' if unclear[row] else 'YES':>20}{_numbers(best[:, row])}"
        for number, row in enumerate(order.tolist(), 1)
    ]
    few = fit.models.alternatives[-1]
    texts = {
        "SISSO.out": _out(fit, int(unclear.sum())),
        "SIS_subspaces/Uspace.expressions": [
            f"{selected_text(feature)}    N_overlap ={round(weight):6d}    S_overlap ={size:12.4f}"
            for part in fit.models.subspaces
            for feature, (weight, size) in part
        ],
        "SIS_subspaces/Uspace.dat": [_numbers(row) for row in values[:, order].T],
        f"Models/top{len(few):04d}_{named}": _ranks(fit, few),
        f"Models/data_top1/desc_{named}.dat": [head, *rows],
    }
    return {name: "\n".join(lines) + "\n" for name, lines in texts.items()}


def _numbers(row: Any) -> str:
    return "".join(map(fortran_number, np.asarray(row).tolist()))


def _ranks(fit: FitOfClasses, models: Sequence[ClassModel]) -> list[str]:
    is_sized = models[0].dimension <= MOST_SIZED
    names = ("#data_overlap", *(["size_overlap"] if is_sized else []), "feature_ID")
    lines = [f"{'rank':>10}" + "".join(f"{name:>20}" for name in names)]
    for rank, model in enumerate(models, 1):
        size = f"{model.overlap_size:20.5f}" if is_sized else ""
        ids = "".join(f"{number + 1:8d}" for number in fit.numbers(model))
        lines.append(f"{rank:10d}{round(model.overlap):20d}{size}   ({ids})")
    return lines


def _out(fit: FitOfClasses, n_unclear: int) -> list[str]:
    models, settings, model = fit.models, fit.settings, fit.models.model
    search = Search(
        settings, len(fit.table.names), models.subspaces, models.counts.n_features, model.dimension,
        len(models.alternatives[-1]), fit.seconds,
    )  # fmt: skip
    counts = np.bincount(fit.table.y.astype(np.int64), minlength=len(models.classes)).tolist()
    own = OutLines(
        [],
        [
            *("Property type:     2", "Number of tasks:        1"),
            f"Descriptor dimension: {model.dimension:8d}",
            f"Number of samples for the task(s): {sum(counts):6d}",
            f"Number of samples in each category of the task 001: {''.join(f'{n:5d}' for n in counts)}",
            f"Convexity of the domains of the task 001: {''.join(f'{int(flag):5d}' for flag in fit.is_convex)}",
            f"Domain-boundary tolerance: {settings['width']:10.6f}",
        ],
        [],
        _best_model(fit, n_unclear),
    )
    return sisso_out(search, own)


def _best_model(fit: FitOfClasses, n_unclear: int) -> list[str]:
    model, features = fit.models.model, fit.features
    lines = [" ", f"{model.dimension:3d}D descriptor: ", LINE]
    lines += [
        f"     d{place:03d} = {selected_text(features[number])}    feature_ID:{number + 1:06d}"
        for place, number in enumerate(fit.numbers(model), 1)
    ]
    if model.overlap_size is not None and sum(fit.is_convex) > 1:
        lines += [
            "",
            f"Number of data (double-counting removed) in all overlap regions: {n_unclear:10d}",
            f"Size of the overlap (1D:length, 2D:area, 3D:volume):{model.overlap_size:15.5f}",
            "Note: with negative, the magnitude means the min separation distance between domains.",
        ]
    return [*lines, LINE]
