"""Models of classes as a Python module on numpy, and as LaTeX."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sisso_sal.errors import SettingsError
from sisso_sal.export.job import Job, assignments, docstring, indented, rounded
from sisso_sal.export.latex import latex_sum
from sisso_sal.export.names import identifiers
from sisso_sal.export.python import python_arrays, python_functions, python_text
from sisso_sal.features.symbols import latex_symbol, latex_text
from sisso_sal.system.printable import printable

if TYPE_CHECKING:
    from sisso_sal.models.class_model import ClassModel, ClassName

_PROBABILITIES_OF_TWO = (
    "def _probabilities(log_odds):",
    '    with np.errstate(all="ignore"):',
    "        yes = 1.0 / (1.0 + np.exp(-log_odds))",
    "    return np.concatenate([1.0 - yes, yes], axis=-1)",
)

_PROBABILITIES_OF_SEVERAL = (
    "def _probabilities(log_odds):",
    '    with np.errstate(all="ignore"):',
    "        yes = 1.0 / (1.0 + np.exp(-log_odds))",
    "    total = yes.sum(axis=-1, keepdims=True)",
    "    even = np.full_like(yes, 1.0 / yes.shape[-1])",
    "    return np.divide(yes, total, out=even, where=total != 0.0)",
)

_GIVES_PROBABILITY = ("array (..., n_classes)", "Of each of `classes`; NaN where a descriptor is undefined.")
_GIVES_CLASS = ("class, or array of classes", "The most probable; None where a descriptor is undefined.")


def export_classes(
    model: ClassModel, form: str, *, target: str, units: Mapping[str, str], n_digits: int | None = None
) -> str:
    """Source text that tells what a model of classes tells, and needs this package no more.

    Parameters
    ----------
    model : ClassModel
    form : str
        ``python`` (a module with ``classes``, ``predict`` and ``probability``) or ``latex`` (an ``align`` environment of log-odds).
    target : str
        Name of what is told.
    units : mapping of str to str
        Unit of each primary feature, "" for none.
    n_digits : int, optional
        Significant digits of intercepts and coefficients, for ``latex`` alone; by default all that a double has.

    Returns
    -------
    str
        Arguments are the primary features in use, sorted by name; comments say which identifier stands for which.

    Raises
    ------
    SettingsError
        The form is another one, the model has no descriptor, or a number is not finite.

    Examples
    --------
    >>> from sisso_sal.features.expression import Expression
    >>> from sisso_sal.models.class_model import ClassModel
    >>> from sisso_sal.models.linear import SISSOModel, Term
    >>> import numpy as np
    >>> lane = SISSOModel((Term(Expression.primary("gap", "eV"), -2.0, 0.0, 1.0),), 1.0, 0.0, 0.0)
    >>> model = ClassModel((lane,), ("insulator", "metal"), np.eye(2), 0.1, 0.0, None, np.array([0.5, 0.5]))
    >>> made = {}
    >>> exec(export_classes(model, "python", target="phase", units={"gap": "eV"}), made)
    >>> str(made["predict"](gap=0.1)), made["probability"](gap=0.5).tolist()
    ('metal', [0.5, 0.5])
    """
    if form not in _WRITERS:
        raise SettingsError(f"form: needs one of {', '.join(_WRITERS)} for classes, found '{form}'")
    check_numbers(model)
    if n_digits is not None:
        model = replace(model, lanes=rounded(model.lanes, form, n_digits))
    primaries = model.primaries()
    names = {name: latex_symbol(name) for name in primaries} if form == "latex" else identifiers(primaries, form)
    return _WRITERS[form](model, Job(model.lanes, "log-odds", "", dict(units), 1.0, names), target)


def check_numbers(model: ClassModel) -> None:
    """Refuse a model that cannot be written.

    Raises
    ------
    SettingsError
        It has no descriptor, or a number is not finite.
    """
    numbers = [value for lane in model.lanes for value in (lane.intercept, *(t.coefficient for t in lane.terms))]
    if not model.dimension:
        raise SettingsError("models: needs at least one descriptor, found none")
    if not all(map(math.isfinite, numbers)):
        raise SettingsError("models: needs finite numbers, found another")


def class_title(classes: Sequence[ClassName], target: str, teller: str) -> str:
    """What is told of which classes by what, for a comment."""
    names = [printable(str(name)) for name in classes]
    return f"{printable(target)}: {', '.join(names[:-1])} or {names[-1]}, told by {teller}"


def _title(model: ClassModel, target: str) -> str:
    return class_title(model.classes, target, "a SISSO model")


def _lanes_named(model: ClassModel) -> list[tuple[ClassName, int]]:
    """The class that each lane speaks for, and the number of the lane."""
    classes = model.classes[1:] if len(model.lanes) == 1 else model.classes
    return [(name, number) for number, name in enumerate(classes)]


def probability_lines(n_classes: int) -> list[str]:
    """The function that makes probabilities of log-odds."""
    return list(_PROBABILITIES_OF_TWO if n_classes == 2 else _PROBABILITIES_OF_SEVERAL)


def log_odds_lines(job: Job) -> list[str]:
    """The body of a function that gives the log-odds of all lanes of a job."""
    steps = ["values = []"]
    for lane in job.models:
        one = Job((lane,), job.target, "", job.units, 1.0, job.names)
        steps += [*assignments(one, lane, "c", ""), "values.append(total)"]
    return [
        python_arrays(job),
        'with np.errstate(all="ignore"):',
        *indented(steps),
        "values = np.stack(values, axis=-1)",
        "return np.where(np.isfinite(values), values, np.nan)",
    ]


def listed_classes(classes: Sequence[ClassName]) -> list[str]:
    """The classes as a list and as an array."""
    return ["classes = [", *(f"    {name!r}," for name in classes), "]", "_classes = np.array(classes, object)"]


def _write_python(model: ClassModel, job: Job, target: str) -> str:
    arguments = ", ".join(job.names.values())
    single = Job(model.lanes[:1], job.target, "", job.units, 1.0, job.names)
    log_odds = [f"def _log_odds({arguments}):", *indented(log_odds_lines(job))]
    probability = [
        f"def probability({arguments}):",
        *indented(_python_docstring(model, single, target, _GIVES_PROBABILITY)),
        f"    return _probabilities(_log_odds({arguments}))",
    ]
    predict = [
        f"def predict({arguments}):",
        *indented(_python_docstring(model, single, target, _GIVES_CLASS)),
        f"    values = _probabilities(_log_odds({arguments}))",
        "    undefined = np.isnan(values).any(axis=-1)",
        "    return np.where(undefined, None, _classes[np.nan_to_num(values).argmax(axis=-1)])[()]",
    ]
    imports, *functions = python_functions(job)
    title = docstring([f"{_title(model, target)}."])
    head = [title, imports, listed_classes(model.classes), *functions]
    return python_text(*head, probability_lines(len(model.classes)), log_odds, probability, predict)


def _python_docstring(model: ClassModel, job: Job, target: str, gives: tuple[str, str]) -> list[str]:
    lines = [f"{_title(model, target)}.", ""]
    for name, number in _lanes_named(model):
        equation = model.lanes[number].equation("log_odds").splitlines()
        lines += [f"For {printable(str(name))}:", *indented(printable(line) for line in equation), ""]
    lines += ["Parameters", "----------"]
    for name, short in job.names.items():
        lines += [f"{short} : float or array", f"    The {job.input(name)}."]
    return docstring([*lines, "", "Returns", "-------", gives[0], f"    {gives[1]}"])


def _write_latex(model: ClassModel, job: Job, target: str) -> str:
    named = [(_latex_class(name), number) for name, number in _lanes_named(model)]
    rule = (
        f"The class is {printable(str(model.classes[1]))} where this is above 0; p = 1/(1 + exp(-log-odds))."
        if len(model.lanes) == 1
        else "Log-odds of each class against all others; each p = 1/(1 + exp(-log-odds)) is then divided by their sum."
    )
    notes = [_title(model, target), *job.inputs(), rule, "Needs the package amsmath."]
    equations = []
    for symbol, number in named:
        left = rf"\ln\frac{{p_{{{symbol}}}}}{{1 - p_{{{symbol}}}}}"
        equations.append(latex_sum(job, model.lanes[number], left))
    return "\n".join([*(f"% {line}" for line in notes), r"\begin{align}", "\\\\\n".join(equations), r"\end{align}", ""])


def _latex_class(name: ClassName) -> str:
    """The name of a class as an index."""
    return rf"\text{{{latex_text(printable(str(name)))}}}"


_WRITERS: dict[str, Callable[[ClassModel, Job, str], str]] = {"python": _write_python, "latex": _write_latex}

CLASS_FORMS = tuple(_WRITERS)
"""The forms that `export_classes` writes."""
