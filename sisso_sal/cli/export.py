"""Write formulas as source text, or the calculations of a run for NOMAD and ASE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sisso_sal.cli.help import Command, panel
from sisso_sal.cli.options import COMMON, JSON, OUT_FILE, check_free, dumps, write
from sisso_sal.cli.terminal import emit, next_step, note, show
from sisso_sal.errors import SettingsError

_USES = {
    "latex": "\\input{{{file}}} in a document that uses amsmath",
    "sympy": "read {file} in Python, and take derivatives or simplify there",
    "python": "import {file} and call predict; it needs numpy alone",
    "c": "compile {file} with your program and call sisso_predict",
    "fortran": "compile {file} with your program and use sisso_model",
    "nomad": "upload {file} at https://nomad-lab.eu, where you see everything before it is published",
    "ase": "ase db {file}, or ase.db.connect in Python",
}
"""How to use each format of export."""

_OF_CALCULATIONS = {"nomad": ".zip", "ase": ".db"}
"""Formats of calculations, with the ending of a file."""

UPLOAD = panel(
    "An upload for NOMAD",
    click.option("--comment", metavar="TEXT", help="What the calculations are."),
    click.option("--reference", "references", multiple=True, metavar="URL", help="A paper or page; may be repeated."),
    click.option("--dataset", "datasets", multiple=True, metavar="NAME", help="One of your datasets; may be repeated."),
    click.option(
        "--coauthor", "coauthors", multiple=True, metavar="USER", help="User name or email at NOMAD; may be repeated."
    ),
)


@click.command(cls=Command, short_help="Formulas as source text, calculations for NOMAD or ASE")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_USES)),
    default="latex",
    show_default=True,
    help="Language of the formulas, or who gets the calculations.",
)
@click.option("--member", type=click.IntRange(min=1), help="Only this member of an ensemble, counted from 1.")
@click.option(
    "--dim", type=click.IntRange(min=1), help="Number of terms, for a file of one model; the largest by default."
)
@click.option("--task", metavar="NAME", help="The task of a model of several, whose coefficients are written.")
@click.option("--recommended", is_flag=True, help="The formula that fit --n-models recommended.")
@click.option(
    "--digits", type=click.IntRange(1, 17), help="Significant digits of the numbers in LaTeX; all 17 by default."
)
@UPLOAD
@OUT_FILE
@JSON
@COMMON
def export(model, form, member, dim, task, recommended, digits, out, force, as_json, quiet, debug, **upload):
    """Write the formulas of MODEL as LaTeX, sympy, Python, C or Fortran, or its calculations for NOMAD or ASE.

    MODEL is a model file, or a run folder, of which the newest iteration is taken. For nomad and ase it is a run folder with
    first-principles calculations: a zip with the unchanged files of each calculation that succeeded, or a database of ASE (--out
    ends with .db or .json) with structures, energies, forces and labels. A model of classes is written as LaTeX or Python.

    \b
    Examples:
      sisso-sal export model.json --digits 4 --out formula.tex
      sisso-sal export model.json --format c --out model.c
      sisso-sal export runs/candidates
      sisso-sal export runs/oxides --format nomad --out oxides.zip
      sisso-sal export runs/oxides --format ase --out oxides.db
    """
    chosen = {"member": member, "dim": dim, "task": task, "recommended": recommended or None, "digits": digits}
    _check_options(form, upload, chosen)
    if form in _OF_CALCULATIONS:
        _export_calculations(model, form, out, force, as_json, upload)
        return
    check_free(out, force)
    text, n_models = _source(model, form, chosen)
    write(dumps({"format": form, "n_models": n_models, "source": text}) if as_json else text, out, force)
    next_step(_USES[form].format(file=out or "FILE"), err=True)


def _check_options(form: str, upload: dict[str, Any], of_formulas: dict[str, Any]) -> None:
    """Refuse what was given for another format."""
    for name, value in of_formulas.items():
        if value is not None and form in _OF_CALCULATIONS:
            raise SettingsError(f"{name}: needs a format of formulas, found --format {form}")
    for name, value in upload.items():
        if value not in (None, ()) and form != "nomad":
            raise SettingsError(f"{name.removesuffix('s')}: needs --format nomad, found {form}")


def _source(model: Path, form: str, chosen: dict[str, Any]) -> tuple[str, int]:
    """Source text, and the number of models in it; `chosen` are the options that say which."""
    from sisso_sal.campaign.newest import model_file
    from sisso_sal.models.class_formulas import FittedClasses
    from sisso_sal.models.files import read_any_model

    stored = read_any_model(model_file(model))
    if not isinstance(stored.model, FittedClasses):
        return _formulas(model, stored, form, chosen)
    for name in ("member", "task", "recommended"):
        if chosen[name] is not None:
            raise SettingsError(f"{name}: needs a model that predicts a number, found one of classes")
    from sisso_sal.export.classes import CLASS_FORMS, export_classes

    if form not in CLASS_FORMS:
        raise SettingsError(f"format: needs {' or '.join(CLASS_FORMS)} for a model of classes, found {form}")
    one = _of_dimension(stored.model.models, chosen["dim"])
    return export_classes(one, form, target=stored.target, units=stored.model.primaries, n_digits=chosen["digits"]), 1


def _of_dimension(models: list, dim: int | None):
    """The model of so many terms, or the largest."""
    known = {model.dimension: model for model in models}
    if dim is not None and dim not in known:
        raise SettingsError(f"dim: needs one of {', '.join(map(str, known))}, found {dim}")
    return models[-1] if dim is None else known[dim]


def _formulas(model: Path, stored, form: str, chosen: dict[str, Any]) -> tuple[str, int]:
    """Source text of a model of numbers."""
    member, dim, task, recommended = (chosen[name] for name in ("member", "dim", "task", "recommended"))
    from sisso_sal.export import export_model
    from sisso_sal.models.formulas import FittedModels
    from sisso_sal.models.task_ensemble_model import FittedTaskEnsemble
    from sisso_sal.models.task_models import FittedTasks

    learned, scale, target, of_task = stored.model, 1.0, (stored.target, stored.target_unit), ""
    if isinstance(learned, FittedTasks | FittedTaskEnsemble):
        if task is None:
            raise SettingsError(f"task: needs one of {', '.join(learned.task_names)}, since this is a model of several")
        target = (stored.target if learned.task_column else task, learned.units.get(task, ""))
        of_task = task if learned.task_column else ""
        if recommended and isinstance(learned, FittedTasks):
            learned = learned.with_recommended()
        learned = learned.of_task(task)
    elif task is not None:
        raise SettingsError(f"task: needs a model of several tasks, found another one in {model}")
    if isinstance(learned, FittedModels):
        if member is not None:
            raise SettingsError("member: needs an ensemble, found a model file of one model; choose with --dim")
        if recommended and dim is not None:
            raise SettingsError(f"recommended: needs no --dim, found --dim {dim}")
        learned = learned.with_recommended() if recommended and task is None else learned
        models = [_of_dimension(learned.models, dim)]
    else:
        models = list(learned.members)
        for name, value in (("dim", dim), ("recommended", recommended or None)):
            if value is not None:
                raise SettingsError(f"{name}: needs a model file of one model, found an ensemble; choose with --member")
        if member is not None:
            if member > len(models):
                raise SettingsError(f"member: needs a number from 1 to {len(models)}, found {member}")
            models = [models[member - 1]]
        else:
            scale = learned.formula_calibration.scale if learned.formula_calibration else 1.0
            if learned.correction or learned.aggregation != "mean":
                note("the export has only the formulas, their mean and standard deviation, and not the correction")
    text = export_model(
        models, form, target=target[0], target_unit=target[1], units=learned.primaries, scale=scale, task=of_task,
        n_digits=chosen["digits"],
    )  # fmt: skip
    return text, len(models)


def _export_calculations(
    run: Path, form: str, out: Path | None, force: bool, as_json: bool, upload: dict[str, Any]
) -> None:
    """A file of the calculations of a run, and a line on what is in it."""
    from sisso_sal.export.ase_database import check_database_name, write_ase_database
    from sisso_sal.export.calculations import calculations_of, folder_of_calculations
    from sisso_sal.export.nomad import LIMIT, NomadMetadata, write_nomad
    from sisso_sal.oracle.workflow.run_folders import calculation_folders

    folder_of_calculations(run)
    ending = _OF_CALCULATIONS[form]
    if out is None:
        raise SettingsError(f"out: needs a file for --format {form}, such as --out {run.name or 'run'}{ending}")
    if form == "ase":
        check_database_name(out)
    elif out.suffix != ending:
        raise SettingsError(f"{out}: needs a name that ends with {ending}, found another")
    check_free(out, force)
    metadata = NomadMetadata(**{name: value for name, value in upload.items() if value is not None})
    calculations = calculations_of(run)
    left_out = dict(calculations.left_out)
    document: dict[str, Any] = {"format": form, "file": str(out)}
    if form == "ase":
        n = write_ase_database(out, calculations)
        told = f"{n} rows"
    else:
        made = write_nomad(out, calculations.found, metadata)
        n, told = made.n_calculations, f"{made.n_files} files, {made.n_bytes / 1e6:.3g} MB"
        document |= {"n_files": made.n_files, "n_bytes": made.n_bytes}
        if made.without_files:
            left_out["without files of an engine"] = made.without_files
        if made.n_bytes > LIMIT:
            note(f"{out}: NOMAD takes at most {LIMIT / 1e9:.0f} GB in one upload")
    document |= {"n_calculations": n, "left_out": left_out}
    emit(dumps(document)) if as_json else show(f"{out}: {n} calculations, {told}")
    if others := [str(folder.parent) for folder in calculation_folders(run)[1:] if folder != run]:
        note(f"lower levels have calculations of their own, which are exported by their folders: {', '.join(others)}")
    if left_out:
        note("left out: " + ", ".join(f"{count} {why}" for why, count in left_out.items()))
    next_step(_USES[form].format(file=out), err=True)
