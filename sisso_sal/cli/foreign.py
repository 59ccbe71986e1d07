"""Inputs of other SISSO programs: read, shown, run or written as a table and a settings file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from sisso_sal.cli.help import Computing
from sisso_sal.cli.options import COMMON, JSON, SISSO_OUTPUT, THREADS, check_free, dumps, read
from sisso_sal.cli.terminal import emit, next_step, say, show
from sisso_sal.data.headers import split_header
from sisso_sal.errors import InputError

TABLE_FILE, SETTINGS_FILE, TEST_FILE = "table.csv", "settings.toml", "test.csv"


@click.command("import-sisso", cls=Computing, short_help="Run inputs of SISSO or SISSO++")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--only-task", metavar="TASK", help="Fit one task of several: its number (SISSO) or name (SISSO++).")
@click.option("--dry-run", is_flag=True, help="Show what the input would become, and do nothing.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a table and a settings file into this folder, and run nothing.",
)
@click.option("--force", is_flag=True, help="Replace these files if they exist.")
@SISSO_OUTPUT
@THREADS
@JSON
@COMMON
def import_sisso(folder, only_task, dry_run, out, force, sisso_output, threads, as_json, quiet, debug):
    """Run the input of SISSO (SISSO.in and train.dat) or SISSO++ (sisso.json and its CSV file) in FOLDER.

    Keywords of SISSO 2 to 3.5 are understood. Keywords without a counterpart here are listed. Several tasks are fitted as by fit
    --task, classes as by fit --classify --criterion overlap.

    \b
    Examples:
      sisso-sal import-sisso calculation --dry-run
      sisso-sal import-sisso calculation
      sisso-sal import-sisso calculation --out converted
    """
    from sisso_sal.data.foreign.readers import read_foreign

    if sisso_output is not None and (dry_run or out is not None):
        raise InputError("--sisso-output: needs a run, found --dry-run or --out")
    source = read_foreign(folder, only_task)
    document = {"imported": _about(source)}
    if not as_json:
        _tell(source, quiet)
    if dry_run:
        emit(dumps(document) if as_json else _settings_text(source), nl=as_json)
        next_step(
            f"sisso-sal import-sisso {folder}, or add --out FOLDER to write a table and a settings file", err=True
        )
    elif out is not None:
        files = _written(source, out, force)
        if as_json:
            emit(dumps(document | {"files": files}))
        else:
            show(f"Written: {', '.join(files)}")
        next_step(f"edit the files if needed, then sisso-sal fit {files[0]} --config {files[1]}{source.arguments}")
    else:
        _run(source, document, Files(sisso_output, force), threads, as_json, quiet)
        names = f"FOLDER/{TABLE_FILE} --config FOLDER/{SETTINGS_FILE}"
        next_step(f"add --out FOLDER to write files, then sisso-sal fit {names}{source.arguments}")


def _about(source) -> dict[str, Any]:
    return {
        "program": source.program, "files": list(source.files), "n_rows": len(source.rows), "n_left_out": len(source.left_out),
        "settings": dict(source.settings), "options": dict(source.options),
        "mapped": [{"input": said, "became": became} for said, became in source.mapped],
        "without_counterpart": list(source.without_counterpart), "notes": list(source.notes),
    }  # fmt: skip


def _tell(source, quiet: bool) -> None:
    """Show on stderr what the input became; notes and what has no counterpart are shown also with --quiet."""
    if not quiet:
        found = f"{len(source.rows)} rows, {source.n_primary} primary features"
        say(f"{source.program}: {' and '.join(source.files)}: {found}")
        for said, became in source.mapped:
            say(f"  {said}  ->  {became}")
    for line in source.notes:
        _note(line)
    for line in source.without_counterpart:
        say(f" {line}", "no counterpart:", fg="yellow")
    if not quiet:
        say("")


def _settings_text(source) -> str:
    """The settings of the input as TOML, with what has no counterpart as comments."""
    import tomli_w

    from sisso_sal.settings.campaign import setting_named

    data: dict[str, Any] = {}
    for option, value in source.settings.items():
        section, _, key = setting_named(option).rpartition(".")
        (data.setdefault(section, {}) if section else data)[key] = value
    comments = [
        f"# From {source.program}, {' and '.join(source.files)}",
        *([f"# Options of fit beside this file:{source.arguments}"] if source.arguments else []),
        *(f"# {line}" for line in (*source.notes, *source.without_counterpart)),
    ]
    return "\n".join([*comments, tomli_w.dumps(data)])


def _written(source, out: Path, force: bool) -> list[str]:
    from sisso_sal.system.storage import write_whole, writing

    contents = {TABLE_FILE: source.csv(), SETTINGS_FILE: _settings_text(source)}
    if source.left_out:
        contents[TEST_FILE] = source.csv(source.left_out)
    with writing(out):
        out.mkdir(exist_ok=True)
    for name in contents:
        check_free(out / name, force)
    for name, content in contents.items():
        write_whole(out / name, content)
    return [str(out / name) for name in contents]


def _note(line: str) -> None:
    say(f" {line}", "note:", fg="yellow")


class Files(NamedTuple):
    """Where the files of SISSO go, if anywhere, and whether they take the place of others."""

    folder: Path | None
    force: bool


def _run(source, document: dict[str, Any], output: Files, threads: int | None, as_json: bool, quiet: bool) -> None:
    import warnings

    from sisso_sal.settings.campaign import load_settings

    for message in ("unit 'unit[0-9]+' is not known", ".*: compositions are left out"):
        warnings.filterwarnings("ignore", message=message)  # units that this command named; SISSO has no compositions
    with tempfile.TemporaryDirectory() as scratch:
        files = _written(source, Path(scratch), force=False)
        try:
            settings = load_settings(files[1], {})  # the input alone says what is looked for
            settings = settings.model_copy(update={"model": settings.model.completed(ensemble=False)})
            stored, fit, tell = _fitted(source, Path(files[0]), settings, output, threads, silent=quiet or as_json)
            if source.left_out:
                fit["test"] = _tested(source, stored.model)
        except InputError as error:
            raise InputError(_in_words_of(source, str(error), files)) from error
    about = document["imported"]
    for line in _limits_of(source, fit):
        about["notes"].append(line)
        if not as_json:
            _note(line)
    if not as_json:
        for line in _test_lines(fit):
            _note(line)
    tell(fit | document if as_json else fit, as_json)


def _fitted(source, table: Path, settings, output: Files, threads: int | None, *, silent: bool):
    """The models of a table, the document that describes them, and what prints it."""
    from sisso_sal.cli.classes import fit_classes, tell_classes
    from sisso_sal.cli.fitting import FitRequest, check_sisso_output, fitted, tell_fit
    from sisso_sal.cli.tasks import fit_tasks, tell_tasks

    given = dict(source.options)
    check_sisso_output(output.folder, settings, False, output.force)
    if "task" in given:
        of_tasks = {"same_sign": False, "criterion": None, "sisso_output": output.folder, **given}
        of_tasks |= {"n_models": None, "is_ensemble": False}
        work = {"threads": threads, "executor": "local", "n_workers": None, "silent": silent}
        return *fit_tasks(table, (), settings, None, of_tasks | work), tell_tasks
    if "classify" in given:
        stored, document, _ = fit_classes(table, settings, None, given, threads, silent, output.folder)
        return stored, document, tell_classes
    wanted = FitRequest(sisso_output=output.folder, criterion=given.get("criterion", "rmse"))
    return *fitted(read(table, settings, None), settings, threads, wanted, silent=silent), tell_fit


def _tested(source, models) -> list[dict[str, Any]]:
    """How good the best model of each dimension is on the rows that were left out, where the prediction is valid."""
    import numpy as np

    names = [split_header(header)[0] for header in source.header]
    cells = dict(zip(names, zip(*source.left_out, strict=True), strict=True))
    columns = {name: np.array(cells[name], dtype=float) for name in models.primaries}
    if "classify" in source.options:
        return [_told_rightly(model, columns, cells[source.settings["target"]]) for model in models.models]
    labels = np.array(cells[source.settings["target"]], dtype=float)
    task = source.options.get("task")
    more = () if task is None else (np.array(cells[task]),)
    out = []
    for model in models.models:
        said, valid = model.predict(columns, *more)
        errors = np.abs(said - labels)[valid]
        rmse, largest = (float(np.sqrt(np.mean(errors**2))), float(errors.max())) if len(errors) else (None, None)
        out.append({"dimension": model.dimension, "n": int(valid.sum()), "rmse": rmse, "max_abs_error": largest})
    return out


def _told_rightly(model, columns, labels: Sequence[str]) -> dict[str, Any]:
    """The share of rows whose class a model tells."""
    import numpy as np

    valid = model.cause(columns) == 0
    names = np.array(model.classes, dtype=object)[model.predict(columns)]
    right = [_is_class(name, label) for name, label in zip(names, labels, strict=True)]
    share = float(np.mean(np.array(right)[valid])) if valid.any() else None
    return {"dimension": model.dimension, "n": int(valid.sum()), "accuracy": share}


def _is_class(name: str | int, cell: str) -> bool:
    return cell == name if isinstance(name, str) else float(cell) == name


def _test_lines(fit: dict[str, Any]) -> list[str]:
    lines = []
    for one in fit.get("test", []):
        if not one["n"]:
            said = "has no valid prediction"
        elif "accuracy" in one:
            said = f"{one['accuracy']:.1%} right, {one['n']} rows"
        else:
            said = f"RMSE {one['rmse']:.4g}, largest error {one['max_abs_error']:.4g}, {one['n']} rows"
        lines.append(f"test rows: {one['dimension']}D {said}")
    return lines


def _in_words_of(source, message: str, files: list[str]) -> str:
    """An error with the files and keywords of the input, in place of copies and options that the user did not write."""
    message = message.replace(files[0], source.files[-1]).replace(files[1], source.files[0])
    for option, keyword in source.keywords.items():
        setting = option.removeprefix("--").replace("-", "_")
        message = re.sub(rf"{option}\b|(?<![\w-])(?:model\.)?{setting}(?=[,:])", keyword, message)
    return message


def _limits_of(source, fit: dict[str, Any]) -> list[str]:
    """What the size of the space, once it is known, left of the numbers in the input."""
    said: list[str] = []
    n_features, n_sis = sum(fit["n_features"].values()), source.settings.get("n_sis", 0)
    sizes = n_sis if isinstance(n_sis, tuple) else (n_sis,)
    if max(sizes) > n_features:
        told = f"{source.keywords['--n-sis']}={','.join(map(str, sizes))}"
        said.append(f"{told}: the space has {n_features} features; all are kept")
    dimensions, wanted = len(fit["models"]), source.settings.get("dim", 0)
    if wanted > dimensions:
        said.append(f"{source.keywords['--dim']}={wanted}: models of up to {dimensions} terms were found")
    return said
