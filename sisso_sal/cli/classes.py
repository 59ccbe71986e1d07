"""`fit` and `predict` for targets that are classes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from sisso_sal.cli.help import panel
from sisso_sal.cli.options import dumps, quoted_names
from sisso_sal.cli.terminal import emit, note, show
from sisso_sal.errors import SettingsError, fit_of
from sisso_sal.system.progress import Progress

if TYPE_CHECKING:
    from sisso_sal.models.inputs import TrainingTable

NAMES = ("classify", "criterion", "boundary", "width", "convex", "class_weight")
"""Options of `CLASSES`."""

CRITERIA_OF_NUMBERS = ("rmse", "max_abs_error")
CRITERIA_OF_CLASSES = ("accuracy", "likelihood", "overlap")

CLASSES = panel(
    "Classes",
    click.option("--classify", is_flag=True, help="The target is a class: whole numbers; a target of text always is."),
    click.option(
        "--criterion",
        type=click.Choice([*CRITERIA_OF_CLASSES, *CRITERIA_OF_NUMBERS]),
        help="What makes a model the best. Of classes: accuracy by default, with --members likelihood, overlap is SISSO's own; "
        "of numbers: rmse by default.",
    ),
    click.option(
        "--boundary", type=click.Choice(["logistic", "svc"]), help="How the boundary is found; logistic by default."
    ),
    click.option("--width", type=float, help="Distance up to which a sample is in a domain; 0.001 by default."),
    click.option(
        "--convex", metavar="A,B,…", callback=quoted_names, help="Classes with a convex domain; by default all."
    ),
    click.option("--class-weight", type=click.Choice(["balanced"]), help="Give each class the same weight."),
)


def of_classes(options: dict[str, Any]) -> dict[str, Any]:
    """The options of `CLASSES`, taken out of the others; those that were not given are left out."""
    taken = {name: options.pop(name) for name in NAMES}
    return {name: value for name, value in taken.items() if value is not None and value is not False}


def is_of_classes(table: Path, target: str | None, given: dict[str, Any]) -> bool:
    """Whether the target is a class.

    Raises
    ------
    SettingsError
        It is a number, and there are options for classes.
    """
    from sisso_sal.api.classes import holds_classes

    if "classify" in given or (target is not None and holds_classes(table, target)):
        return True
    if given:
        name = next(iter(given)).replace("_", "-")
        raise SettingsError(f"{name}: needs --classify or a target of text, found a target that is a number")
    return False


def refuse(why: str, given: dict[str, Any]) -> None:
    """Refuse options that were given and do not belong here.

    Raises
    ------
    SettingsError
        The message names the option.
    """
    for name, value in given.items():
        if value:
            raise SettingsError(f"{name.replace('_', '-')}: {why}")


class ClassInput(NamedTuple):
    """What is learned from: the samples, and the parameters of an estimator of classes.

    `counts` has each class with its number of samples, `known` the rows of the samples in the space, `remarks` what a document says
    of the table.
    """

    training: TrainingTable
    classes: tuple
    parameters: dict[str, Any]
    target: str
    counts: list
    space: Any
    known: Any
    remarks: dict[str, Any]


def class_input(table: Path, settings, formula: str | None, given: dict[str, Any], threads: int | None) -> ClassInput:
    """The labelled rows of a table of classes.

    Parameters
    ----------
    table : path
    settings : CampaignSettings
    formula : str, optional
        Column of formulas from which the features are made.
    given : dict
        Options of `CLASSES` that were given.
    threads : int, optional

    Raises
    ------
    SettingsError, TableError
    """
    import numpy as np

    from sisso_sal.api.classes import read_classes
    from sisso_sal.api.inputs import constant_where_known
    from sisso_sal.models.classifier import CLASS_SETTINGS, FIXED, class_factors
    from sisso_sal.models.inputs import table_of
    from sisso_sal.spaces.table import TableSpace

    if not settings.model.intercept:
        raise SettingsError(
            "no-intercept: needs a target that is a number, found classes, whose boundary has an intercept"
        )
    read = read_classes(table, settings, formula, note)
    data, names = constant_where_known(read.table, note), read.classes
    space = TableSpace(data)
    known = np.flatnonzero(data.labelled)
    codes = space.labels[known]
    parameters = settings.model.estimator_parameters() | CLASS_SETTINGS | FIXED | {"threads": threads}
    parameters |= {name: value for name, value in given.items() if name != "classify"}
    if "convex" in given:
        by_text = {str(name): name for name in names}
        parameters["convex"] = [by_text.get(text, text) for text in given["convex"]]
    training = table_of(space, known, codes)
    factors = class_factors(parameters["class_weight"], np.array(names), codes.astype(int), training.weights)
    counts = np.bincount(codes.astype(int), minlength=len(names)).tolist()
    return ClassInput(
        training.weighted(factors), names, parameters, data.target_name or "", list(zip(names, counts, strict=True)),
        space, known, data.remarks(),
    )  # fmt: skip


def fit_classes(
    table: Path,
    settings,
    formula: str | None,
    given: dict[str, Any],
    threads: int | None,
    silent: bool,
    sisso_output: Path | None = None,
) -> tuple[Any, dict[str, Any], ClassInput]:
    """A model of the labelled rows, what it is saved with, the document that describes it, and what it was learned from.

    With the criterion overlap the files of SISSO go to `sisso_output`.
    """
    from sisso_sal.models.class_formulas import find_classes
    from sisso_sal.models.stored import StoredModel

    read = class_input(table, settings, formula, given, threads)
    start = time.perf_counter()
    with fit_of(str(table)), Progress("screening", silent) as progress:
        model = find_classes(
            read.parameters, read.training, read.classes, progress, with_subspaces=sisso_output is not None
        )
    seconds = time.perf_counter() - start
    stored = StoredModel(model, read.parameters, read.target, "")
    document = classes_document(model, read.target, read.counts)
    if sisso_output is not None:
        from sisso_sal.cli.fitting import write_files
        from sisso_sal.export.sisso_classes import FitOfClasses, files_of_classes

        files = files_of_classes(FitOfClasses(model, read.training, read.parameters, seconds))
        document["sisso_output"] = write_files(sisso_output, files)
    return stored, document | read.remarks | {"seconds": round(seconds, 4)}, read


def classes_document(model, target: str, counts: list) -> dict[str, Any]:
    """What ``fit --classify --json`` prints."""
    return {
        "target": {"name": target, "unit": ""},
        "classes": list(model.classes),
        "class_counts": counts,
        "models": [model_document(one) for one in model.models],
        **model.counts.to_json(),
    }


def model_document(model) -> dict[str, Any]:
    """A `ClassModel` as plain data, with the texts of its formulas."""
    from sisso_sal.features.typeset import written

    entry = model.to_json()
    lanes = entry.pop("lanes")
    log_odds = [
        {"class": name, "equation": equation, "shown": shown.shown("log_odds"), "intercept": lane["intercept"],
         "coefficients": [term["coefficient"] for term in lane["terms"]]}
        for (name, equation), lane, shown in zip(model.equations().items(), lanes, model.lanes, strict=True)
    ]  # fmt: skip
    terms = [
        {key: value for key, value in term.items() if key != "coefficient"} | {"shown": written(expression, "plain")}
        for term, expression in zip(lanes[0]["terms"], model.expressions, strict=True)
    ]
    return {
        "dimension": model.dimension, "accuracy": model.accuracy, **entry, "terms": terms, "log_odds": log_odds,
    }  # fmt: skip


def tell_classes(document: dict[str, Any], as_json: bool) -> None:
    """Print the descriptors."""
    from sisso_sal.report.text.classes import classes_text

    emit(dumps(document)) if as_json else show(classes_text(document))


def predicted_classes(model, path: Path, id_column: str | None, formula: str | None):
    """The table, and a frame of the class and the probabilities of each row; no class where a descriptor is undefined."""
    import numpy as np
    import pandas as pd

    from sisso_sal.api.prediction import columns_for

    data, columns = columns_for(model, path, id_column, formula, note)
    best = model.model
    probability = best.probability(columns)
    undefined = np.isnan(probability).any(axis=1)
    names = np.array(best.classes, dtype=object)[best.predict(columns)]
    largest = np.where(undefined, np.nan, np.nan_to_num(probability).max(axis=1))
    frame = {"id": data.ids, "class": np.where(undefined, "", names), "probability": largest}
    frame |= {f"p({name})": probability[:, k] for k, name in enumerate(best.classes)}
    cause = best.cause(columns)
    return data, pd.DataFrame({**frame, "valid": cause == 0, "reason": best.reasons(columns)})
