"""An ensemble of classifiers as a Python module on numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sisso_sal.export.classes import check_numbers, class_title, listed_classes, log_odds_lines, probability_lines
from sisso_sal.export.job import Job, digits, docstring, indented
from sisso_sal.export.names import identifiers
from sisso_sal.export.python import python_arrays, python_functions, python_text
from sisso_sal.models.class_calibration import LEAST

if TYPE_CHECKING:
    from sisso_sal.models.class_members import ClassMembers

_GIVES_PROBABILITY = (
    "array (..., n_classes)",
    "Of each of `classes`: mean over the members that are defined, scaled; NaN where none is.",
)
_GIVES_CLASS = ("class, or array of classes", "The most probable; None where no member is defined.")


def export_class_members(members: ClassMembers, *, target: str, units: Mapping[str, str]) -> str:
    """A Python module with ``classes``, ``predict`` and ``probability`` that tells what an ensemble of classifiers tells.

    Parameters
    ----------
    members : ClassMembers
    target : str
        Name of what is told.
    units : mapping of str to str
        Unit of each primary feature, "" for none.

    Raises
    ------
    SettingsError
        A member has no descriptor, or a number is not finite.

    Examples
    --------
    >>> from sisso_sal.models.class_ensemble import SISSOClassifierEnsemble
    >>> import numpy as np
    >>> X = np.random.default_rng(0).uniform(1, 2, (40, 2))
    >>> y = (X[:, 0] > X[:, 1]).astype(int)
    >>> model = SISSOClassifierEnsemble(members=3, rung=1, dim=1, n_sis=3, dropout=0.0, threads=1).fit(X, y)
    >>> made = {}
    >>> exec(export_class_members(model.fitted_, target="larger", units={}), made)
    >>> bool(np.allclose(made["probability"](*X.T), model.predict_proba(X)))
    True
    """
    for model in members.models:
        check_numbers(model)
    names = identifiers(list(members.needed), "python")
    lanes = tuple(lane for model in members.models for lane in model.lanes)
    job = Job(lanes, "log-odds", "", dict(units), 1.0, names)
    blocks, calls = [], []
    for number, model in enumerate(members.models, 1):
        own = {name: names[name] for name in model.primaries()}
        one = Job(model.lanes, "log-odds", "", dict(units), 1.0, own)
        arguments = ", ".join(own.values())
        blocks.append(
            [
                f"def _member_{number}({arguments}):",
                *indented(docstring([f"Log-odds of member {number}; NaN where a descriptor is undefined."])),
                *indented(log_odds_lines(one)),
            ]
        )
        calls.append(f"_probabilities(_member_{number}({arguments})),")
    arguments = ", ".join(names.values())
    n = len(members.models)
    title = f"{class_title(members.classes, target, f'{n} SISSO models')}."
    scaled = [
        f"scaled = {digits(members.scaling.factor)} * np.log(np.clip(mean, {digits(LEAST)}, 1.0))",
        f"scaled = scaled + np.array([{', '.join(map(digits, members.scaling.offsets.tolist()))}])",
        "scaled = np.exp(scaled - scaled.max(axis=-1, keepdims=True))",
        "return scaled / scaled.sum(axis=-1, keepdims=True)",
    ]
    mean = [
        python_arrays(job),
        *("every = np.array(", "    [", *indented(calls, 8), "    ]", ")"),
        "defined = np.isfinite(every).all(axis=-1, keepdims=True)",
        "count = defined.sum(axis=0)",
        "mean = np.where(defined, every, 0.0).sum(axis=0) / np.maximum(count, 1)",
        "mean = np.where(count > 0, mean, np.nan)",
    ]
    probability = [
        f"def probability({arguments}):",
        *indented([*_docstring(title, job, _GIVES_PROBABILITY), *mean, *scaled]),
    ]
    predict = [
        f"def predict({arguments}):",
        *indented(_docstring(title, job, _GIVES_CLASS)),
        f"    values = probability({arguments})",
        "    undefined = np.isnan(values).any(axis=-1)",
        "    return np.where(undefined, None, _classes[np.nan_to_num(values).argmax(axis=-1)])[()]",
    ]
    imports, *functions = python_functions(job)
    head = [docstring([title]), imports, listed_classes(members.classes), *functions]
    return python_text(*head, probability_lines(len(members.classes)), *blocks, probability, predict)


def _docstring(title: str, job: Job, gives: tuple[str, str]) -> list[str]:
    lines = [title, "", "Parameters", "----------"]
    for name, short in job.names.items():
        lines += [f"{short} : float or array", f"    The {job.input(name)}."]
    return docstring([*lines, "", "Returns", "-------", gives[0], f"    {gives[1]}"])
