"""The command line: wires everything, computes nothing.

Results go to stdout, progress and notes to stderr. Exit codes: 0 done, 1 failed while running, 2 usage or bad input, 3 finished
with failed calculations, 75 another process drives the run, 130 interrupted.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from sisso_sal import __version__
from sisso_sal.errors import InputError, SettingsError, SissoSalError
from sisso_sal.progress import Progress

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
EXPORTS = ("latex", "sympy", "python", "c", "fortran")


@click.group(context_settings=CONTEXT, invoke_without_command=True)
@click.version_option(__version__, prog_name="sisso-sal")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Discover materials with SISSO ensembles and sequential active learning.

    \b
    Start here:
      sisso-sal discover candidates.csv      what to compute next, from a table with gaps in one column
      sisso-sal fit table.csv --target gap   formulas for a property
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        sys.exit(2)


def main() -> None:
    """Entry point: errors become one line and an exit code."""
    debug = "--debug" in sys.argv[1:]
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    warnings.showwarning = _show_warning
    _show_log()
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        _fail("interrupted", 130)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code if isinstance(error, click.UsageError) else 1)
    except SissoSalError as error:
        if debug:
            traceback.print_exc()
        _fail(*(("interrupted", 130) if interrupted.is_set() else (str(error), error.exit_code)))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if interrupted.is_set():  # compiled modules turn a KeyboardInterrupt into errors of their own
            _fail("interrupted", 130)
        told = str(error).strip().partition("\n")[0]
        _fail(f"{type(error).__name__}: {told} (this is a defect; --debug shows where)", 1)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    if not {"-q", "--quiet"} & set(sys.argv[1:]):
        click.echo(f"note: {message}", err=True)


def _show_log() -> None:
    """Notes of the library go to stderr like warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("note: %(message)s"))
    log = logging.getLogger("sisso_sal")
    log.addHandler(handler)
    log.setLevel(logging.WARNING if {"-q", "--quiet"} & set(sys.argv[1:]) else logging.INFO)


def _options(*decorators: Callable) -> Callable:
    """Several click options as one decorator, in the order given."""

    def decorate(function: Callable) -> Callable:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(part.strip() for part in value.split(",") if part.strip())


TABLE = click.argument("table", type=click.Path(path_type=Path))
JSON = click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON document.")
COMMON = _options(
    click.option("--quiet", "-q", is_flag=True, help="No progress and no notes on units."),
    click.option("--debug", is_flag=True, help="Show the traceback of an error."),
)
THREADS = click.option("--threads", type=click.IntRange(min=1), help="Threads; all usable cores by default.")
SEED = click.option("--seed", type=click.IntRange(min=0), help="Seed of all random choices; 0 by default.")
OUT_FILE = _options(
    click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file, not to stdout."),
    click.option("--force", is_flag=True, help="Replace the file if it exists."),
)
COLUMNS = _options(
    click.option("--target", help="Target column; by default the one with gaps."),
    click.option(
        "--id", "id_column", metavar="COLUMN", help="Column that names the rows; by default the first text one."
    ),
    click.option("--formula", metavar="COLUMN", help="Make the features from formulas of oxides in this column."),
)
MODEL = _options(
    click.option("--operators", metavar="A,B,…", callback=_names, help="Operators, e.g. add,sub,mult,div,sq,sqrt."),
    click.option("--rung", type=click.IntRange(0, 3), help="Times that operators are applied; 2 by default."),
    click.option("--n-sis", type=click.IntRange(min=1), help="Features kept by each screening; 50 by default."),
    click.option("--dim", type=click.IntRange(1, 6), help="Terms of a formula; 2 by default."),
    click.option("--n-residual", type=click.IntRange(min=1), help="Residuals that a screening sees; 5 by default."),
    click.option("--max-complexity", type=click.IntRange(min=0), help="Most operators in a term; no limit by default."),
    click.option("--max-features", type=click.IntRange(min=1), help="Refuse a larger feature space; 1e10 by default."),
    click.option("--min-abs", type=float, help="Smallest max|f| of a feature; 1e-5 by default."),
    click.option("--max-abs", type=float, help="Largest max|f| of a feature; 1e5 by default."),
    click.option("--no-intercept", is_flag=True, help="Fit without intercept."),
    click.option("--no-units", is_flag=True, help="Ignore units."),
)


def _model_changes(options: dict[str, Any]) -> dict[str, Any]:
    """Settings from the flags that were given."""
    changes = {key: value for key, value in options.items() if value is not None}
    for flag, name in (("no_intercept", "intercept"), ("no_units", "units")):
        if changes.pop(flag, False):
            changes[name] = False
    return changes


def _settings(config: Path | None, changes: dict[str, Any]):
    from sisso_sal.config import load_settings
    from sisso_sal.features.operators import DEFAULT_OPERATORS, operators_named

    settings = load_settings(config, changes)
    names = DEFAULT_OPERATORS if settings.model.operators is None else settings.model.operators
    operators_named(names)
    return settings.model_copy(update={"model": settings.model.model_copy(update={"operators": tuple(names)})})


def _read(path: Path, target: str | None, id_column: str | None, formula: str | None, require_target: bool):
    """The table, with features made from formulas when it has none or when that was asked for."""
    from sisso_sal.data.elements import featurize_table
    from sisso_sal.data.table import read_table
    from sisso_sal.features.dimension import same_quantity_in_other_units

    table = read_table(path, target=target, id=id_column, require_target=require_target)
    if formula is not None or not table.feature_names:
        unused = table.feature_names
        table, rejected = featurize_table(table, formula)
        click.echo(f"note: features made from formulas: {', '.join(table.feature_names)}", err=True)
        if unused:
            click.echo(f"note: not used, because of --formula: {', '.join(unused)}", err=True)
        _tell_rejected(rejected)
    elif _counts_rows(table.features[:, 0]):
        name = table.feature_names[0]
        click.echo(
            f"note: '{name}' numbers the rows but is used as a primary feature; --id {name} makes it the id", err=True
        )
    units = dict(zip(table.feature_names, table.feature_units, strict=True))
    for first, second in same_quantity_in_other_units(units):
        click.echo(
            f"note: '{first}' ({units[first]}) and '{second}' ({units[second]}) measure one quantity in different units and "
            "are never added; convert one to relate them",
            err=True,
        )
    return table


def _counts_rows(column) -> bool:
    """Whether a column holds successive integers, as a row number does."""
    import numpy as np

    return len(column) > 2 and bool((np.diff(column) == 1).all())


def _tell_rejected(rejected: list[tuple[str, str]], shown: int = 5) -> None:
    if rejected:
        click.echo(f"note: {len(rejected)} rows left out:", err=True)
        for name, reason in rejected[:shown]:
            click.echo(f"  {name}: {reason.removeprefix(f'formula {name!r}: ')}", err=True)
        if len(rejected) > shown:
            click.echo(f"  and {len(rejected) - shown} more", err=True)


def _write(text: str, out: Path | None, force: bool) -> None:
    if out is None:
        click.echo(text, nl=not text.endswith("\n"))
        return
    _check_free(out, force)
    from sisso_sal.storage import write_whole

    write_whole(out, text)


def _check_free(out: Path | None, force: bool) -> None:
    if out is not None and out.exists() and not force:
        raise InputError(f"{out}: exists already; give another --out, or --force to replace it")
    if out is not None and not out.parent.is_dir():
        raise InputError(f"{out}: needs a folder that exists, found no '{out.parent}'")


def _dumps(document: Any) -> str:
    return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)


def _number(value: float) -> float | None:
    return float(value) if value == value else None


@cli.command()
@TABLE
@COLUMNS
@_options(
    click.option("--goal", help="min, max, '<=0.3', '>=2' or '1.2..1.8'; min by default."),
    click.option("--oracle", default="none", show_default=True, help="Who labels the proposals: none, you do."),
    click.option("--batch", type=click.IntRange(min=1), help="Candidates to propose; 10 by default."),
    click.option(
        "--acquisition", help="mean, ei, log_ei, pi, lcb, mli, thompson, std, random, distance; mean by default."
    ),
    click.option("--diversity", type=click.FloatRange(0, 1), help="Weight of spread within a batch; 0 by default."),
    click.option("--members", type=click.IntRange(min=2), help="Models in the ensemble; 30 by default."),
    click.option("--dropout", type=float, help="Share of primary features each member lacks; 0.2 by default."),
)
@MODEL
@_options(
    click.option("--config", type=click.Path(path_type=Path), help="Settings in a TOML file; flags come on top."),
    click.option(
        "--out", type=click.Path(path_type=Path, file_okay=False), help="Run folder; runs/<table> by default."
    ),
)
@SEED
@THREADS
@JSON
@COMMON
def discover(table, target, id_column, formula, oracle, config, out, threads, as_json, quiet, debug, **options):
    """Learn from the labelled rows of TABLE and propose which of the others to compute.

    The target is the one column with gaps, the id the first text column, and every other numeric column is a primary feature; where
    there is none, features are made from the ids as formulas of oxides. The run folder keeps models, predictions and proposals.
    Fill a label that you got into the table and give the same command again: the next iteration learns from it.

    \b
    Examples:
      sisso-sal discover data/oxides.csv
      sisso-sal discover candidates.csv --goal "<=0.3" --acquisition pi --batch 5 --out runs/first
    """
    from sisso_sal.campaign.ledger import check_free

    run = out or Path("runs") / table.stem
    check_free(run)  # before the imports that take seconds
    from sisso_sal.campaign.loop import discover as step
    from sisso_sal.report.text import discover_text

    if oracle != "none":
        raise SettingsError(f"oracle: needs none (you compute the proposals), found '{oracle}'")
    settings = _settings(config, {"target": target, "id": id_column, **_model_changes(options)})
    data = _read(table, settings.target, settings.id, formula, require_target=True)

    def make_surrogate(settings, seed):
        from sisso_sal.models.ensemble import SISSOEnsemble

        parameters = settings.model.estimator_parameters() | settings.ensemble.model_dump()
        return SISSOEnsemble(**parameters, threads=threads, random_state=seed)

    def save_model(*arguments):
        from sisso_sal.models import files

        files.save_model(*arguments)

    with Progress("screening", quiet or as_json) as progress:
        try:
            summary = step(data, settings, run, make_surrogate=make_surrogate, save_model=save_model, progress=progress)
        except KeyboardInterrupt:
            _fail(
                f"interrupted: no proposals were recorded in {run}; the same command starts this iteration again", 130
            )
    if as_json:
        click.echo(_dumps(summary))
        return
    click.echo(discover_text(summary))
    click.echo(f"\nEverything is in {run}/iter-{summary['iteration']:04d}: model.json, predictions.csv, proposals.csv")
    click.echo(f"Next: sisso-sal export {run}/iter-{summary['iteration']:04d}/model.json --format latex")


@cli.command()
@TABLE
@COLUMNS
@MODEL
@click.option("--members", type=click.IntRange(min=2), help="Fit an ensemble of so many models instead of one model.")
@click.option(
    "--dropout", type=float, help="With --members: share of primary features each member lacks; 0.2 by default."
)
@click.option("--config", type=click.Path(path_type=Path), help="Settings in a TOML file; flags come on top.")
@OUT_FILE
@SEED
@THREADS
@JSON
@COMMON
def fit(table, target, id_column, formula, config, out, force, threads, as_json, quiet, debug, **options):
    """Find formulas for the target of TABLE; --out keeps the model for predict and export.

    \b
    Example:
      sisso-sal fit table.csv --target "gap (eV)" --rung 2 --dim 2 --out model.json
    """
    _check_free(out, force)
    is_ensemble = options["members"] is not None
    if options["dropout"] is not None and not is_ensemble:
        raise SettingsError("dropout: needs --members, found a fit of one model")
    settings = _settings(config, {"target": target, "id": id_column, **_model_changes(options)})
    data = _read(table, settings.target, settings.id, formula, require_target=True)

    import numpy as np

    from sisso_sal.models.ensemble import SISSOEnsemble
    from sisso_sal.models.files import save_model
    from sisso_sal.models.regressor import SISSORegressor
    from sisso_sal.report.text import fit_text

    parameters = settings.model.estimator_parameters() | {"threads": threads}
    if is_ensemble:
        model = SISSOEnsemble(**parameters, **settings.ensemble.model_dump(), random_state=settings.seed)
    else:
        model = SISSORegressor(**parameters)
    frame, labelled = _feature_frame(data), data.labelled
    start = time.perf_counter()
    with Progress("screening", quiet or as_json) as progress:
        try:
            model.fit(frame[labelled], np.asarray(data.target)[labelled], progress=progress)
        except KeyboardInterrupt:
            if getattr(model, "is_complete_", True):  # there is no model yet
                raise
    seconds = time.perf_counter() - start
    if out is not None:
        save_model(out, model, data.target_name or "", data.target_unit)
    document = _fit_document(model, data, is_ensemble) | {"seconds": round(seconds, 4), "seed": settings.seed}
    click.echo(_dumps(document) if as_json else fit_text(document))
    if not model.is_complete_:
        _fail("interrupted: these are the best models so far, the search was not finished", 130)
    if not as_json and out is not None:
        click.echo(f"\nNext: sisso-sal predict {out} OTHER_TABLE, or sisso-sal export {out} --format python")


def _feature_frame(data):
    import pandas as pd

    return pd.DataFrame({data.header(name): data.features[:, j] for j, name in enumerate(data.feature_names)})


def _fit_document(model, data, is_ensemble: bool) -> dict[str, Any]:
    found = (
        [model.members_[i] for i, _ in model.typical_members(_feature_frame(data))] if is_ensemble else model.models_
    )
    models = []
    for one in found:
        units = one.coefficient_units(data.target_unit)
        entry = one.to_json() | {"equation": one.equation(data.target_name, data.target_unit)}
        for term, unit in zip(entry["terms"], units, strict=True):
            term["coefficient_unit"] = unit.strip("[]")
        models.append(entry)
    document = {
        "target": {"name": data.target_name, "unit": data.target_unit},
        "models": models,
        "n_features": model.n_features_,
        "rejected": model.rejected_,
        "complete": model.is_complete_,
        "n_singular": model.n_singular_,
        "n_samples": model.n_samples_,
    }
    if is_ensemble:
        about = model.describe(_feature_frame(data), data.target_name or "", data.target_unit)
        document |= {key: about[key] for key in ("n_members", "sigma", "calibration")}
    return document


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@TABLE
@click.option("--id", "id_column", metavar="COLUMN", help="Column that names the rows; by default the first text one.")
@click.option("--formula", metavar="COLUMN", help="Make the features from formulas of oxides in this column.")
@OUT_FILE
@JSON
@COMMON
def predict(model, table, id_column, formula, out, force, as_json, quiet, debug):
    """Predict with a MODEL file for every row of TABLE.

    Columns are found by name, in any order, and converted to the model's units. A model prints id, mean and whether the row is
    valid (inside the domain and near the training range of every term); an ensemble also std and how many members are valid.

    \b
    Example:
      sisso-sal predict model.json candidates.csv --out predictions.csv
    """
    import numpy as np
    import pandas as pd

    from sisso_sal.models.ensemble import SISSOEnsemble
    from sisso_sal.models.files import load_model

    _check_free(out, force)
    estimator, target, unit = load_model(model)
    ids, columns = _columns_for(estimator, table, id_column, formula)
    if isinstance(estimator, SISSOEnsemble):
        found = estimator.predict_distribution(columns)
        frame = pd.DataFrame(
            {"id": ids, "mean": found.mean, "std": found.std, "std_raw": found.std_raw, "n_valid": found.n_valid}
        )
    else:
        mean, valid = estimator.predict_with_validity(columns)
        frame = pd.DataFrame({"id": ids, "mean": mean, "valid": valid})
    undefined = int(np.isnan(frame["mean"]).sum())
    if undefined:
        click.echo(f"note: {undefined} of {len(frame)} rows have no prediction (outside the domain)", err=True)
    if as_json:
        rows = [
            {k: _number(v) if isinstance(v, float) else v for k, v in row.items()} for row in frame.to_dict("records")
        ]
        _write(_dumps({"target": {"name": target, "unit": unit}, "predictions": rows}), out, force)
    else:
        _write(frame.to_csv(index=False), out, force)


def _columns_for(estimator, path: Path, id_column: str | None, formula: str | None):
    """Ids, and the primary features of a model from a table, in the model's units."""
    from sisso_sal.data.columns import split_header
    from sisso_sal.data.elements import PRIMARY_FEATURES, featurize_table
    from sisso_sal.data.table import read_table
    from sisso_sal.errors import TableError, UnitError
    from sisso_sal.features.dimension import conversion_factor

    names = read_table(path, id=id_column, features=[])
    made = {split_header(feature.header)[0] for feature in PRIMARY_FEATURES}
    if formula is not None or (
        made.issuperset(estimator.primaries_) and not set(estimator.primaries_) & set(names.headers)
    ):
        table, rejected = featurize_table(names, formula)
        click.echo("note: the model's features were made from formulas", err=True)
        _tell_rejected(rejected)
        missing = [name for name in estimator.primaries_ if name not in table.feature_names]
        if missing:
            raise TableError(
                f"{path}: the model needs '{missing[0]}', which is not among the features made from formulas"
            )
    else:
        table = read_table(path, id=id_column, features=estimator.primaries_)
    columns = {}
    for name, unit in zip(estimator.primaries_, estimator.units_, strict=True):
        place = table.feature_names.index(name)
        try:
            factor = conversion_factor(table.feature_units[place], unit)
        except UnitError as error:
            raise UnitError(f"{path}: column '{name}': {error}") from error
        columns[name] = table.features[:, place] * factor
    return table.ids, columns


@cli.command()
@TABLE
@click.option("--formula", metavar="COLUMN", help="Column of formulas of oxides; by default the first text column.")
@OUT_FILE
@COMMON
def featurize(table, formula, out, force, quiet, debug):
    """Add primary features, made from the formulas of oxides, to TABLE and print it as CSV.

    Rows whose features are not all known are left out and counted; nothing is imputed.

    \b
    Example:
      sisso-sal featurize formulas.csv --out candidates.csv
    """
    import pandas as pd

    from sisso_sal.data.columns import read_columns
    from sisso_sal.data.elements import featurize as make

    _check_free(out, force)
    file = read_columns(table)
    texts = {c.name: c for c in file.columns if c.values is None}
    name = formula or next(iter(texts), None)
    if name not in texts:
        found = f"no '{formula}' among: {', '.join(texts) or 'none'}" if formula else "no text column"
        raise InputError(f"{table}: needs a text column of formulas, found {found}")
    formulas = texts[name].texts()
    features, rejected = make(formulas)
    reasons = dict(rejected)
    kept = [i for i, text in enumerate(formulas) if text not in reasons]
    if not kept:
        raise InputError(f"{table}: needs formulas of oxides in '{name}'; {rejected[0][0]}: {rejected[0][1]}")
    replaced = [c.header for c in file.columns if c.header in features.columns]
    if replaced:
        click.echo(f"note: replaced by the values made from formulas: {', '.join(replaced)}", err=True)
    old = {c.header: [c.texts()[i] for i in kept] for c in file.columns if c.header not in features.columns}
    frame = pd.concat([pd.DataFrame(old), features.reset_index(drop=True)], axis=1)
    _tell_rejected(rejected)
    _write(frame.to_csv(index=False), out, force)


@cli.command()
@click.option(
    "--elements", metavar="A,B,…", callback=_names, help="Metals to combine; 67 metals and metalloids by default."
)
@click.option(
    "--metals", type=click.Choice(["1", "2", "1,2"]), default="2", show_default=True, help="Metals in an oxide."
)
@click.option("--features", is_flag=True, help="Add the primary features; oxides without all of them are left out.")
@OUT_FILE
@COMMON
def pool(elements, metals, features, out, force, quiet, debug):
    """Print charge-balanced candidate oxides, with the prototypes they may take, as CSV.

    \b
    Example:
      sisso-sal pool --elements Ti,Zr,Ba,Sr --features --out candidates.csv
    """
    import pandas as pd

    from sisso_sal.data.elements import featurize as make
    from sisso_sal.data.pool import candidate_oxides

    _check_free(out, force)
    found = list(candidate_oxides(elements, n_metals=tuple(int(n) for n in metals.split(","))))
    frame = pd.DataFrame(
        {
            "formula": [c.formula for c in found],
            "prototypes": [" ".join(c.prototypes) for c in found],
            "oxidation_states": [" ".join(f"{metal}{state:+d}" for metal, state in c.oxidation_states) for c in found],
        }
    )
    if features:
        values, rejected = make(frame["formula"])
        frame = frame.set_index("formula").loc[values.index].join(values).reset_index()
        _tell_rejected(rejected)
    _write(frame.to_csv(index=False), out, force)
    click.echo(f"note: {len(frame)} candidate oxides", err=True)


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(EXPORTS), default="latex", show_default=True, help="What to write.")
@click.option("--member", type=click.IntRange(min=0), help="Of an ensemble only this member, counted from 0.")
@click.option(
    "--dim", type=click.IntRange(min=1), help="Of a model the one with so many terms; the largest by default."
)
@OUT_FILE
@COMMON
def export(model, form, member, dim, out, force, quiet, debug):
    """Write the formulas of a MODEL file as LaTeX, sympy, Python, C or Fortran.

    \b
    Example:
      sisso-sal export model.json --format c --out model.c
    """
    from sisso_sal.export import export_model
    from sisso_sal.models.ensemble import SISSOEnsemble
    from sisso_sal.models.files import load_model

    _check_free(out, force)
    estimator, target, unit = load_model(model)
    scale = 1.0
    if isinstance(estimator, SISSOEnsemble):
        models = estimator.members_
        if dim is not None:
            raise SettingsError("dim: needs a model file of one model, found an ensemble; choose with --member")
        if member is not None:
            if member >= len(models):
                raise SettingsError(f"member: needs a number from 0 to {len(models) - 1}, found {member}")
            models = [models[member]]
        elif estimator.recalibrate and estimator.calibration_:
            scale = estimator.calibration_.scale
    else:
        if member is not None:
            raise SettingsError("member: needs an ensemble, found a model file of one model; choose with --dim")
        known = {m.dimension: m for m in estimator.models_}
        if dim is not None and dim not in known:
            raise SettingsError(f"dim: needs one of {', '.join(map(str, known))}, found {dim}")
        models = [known[dim] if dim is not None else estimator.model_]
    units = dict(zip(estimator.primaries_, estimator.units_, strict=True))
    _write(export_model(models, form, target=target, target_unit=unit, units=units, scale=scale), out, force)


@cli.command()
@click.option("--run", "output", type=click.Path(path_type=Path), help="Judge this FHI-aims output.")
@JSON
@COMMON
def doctor(output, as_json, quiet, debug):
    """Check the installation, or judge an FHI-aims output with --run.

    \b
    Examples:
      sisso-sal doctor
      sisso-sal doctor --run aims.out --json
    """
    if output is not None:
        from sisso_sal.oracle.aims import judge_run

        verdict = judge_run(output).as_dict()
        lines = [f"{key}: {value}" for key, value in verdict.items() if value is not None]
        click.echo(_dumps(verdict) if as_json else "\n".join(lines))
        return
    from sisso_sal.doctor import doctor_checks
    from sisso_sal.report.text import aligned

    checks = doctor_checks()
    if as_json:
        click.echo(_dumps({"checks": [check.as_dict() for check in checks]}))
    else:
        click.echo(aligned([["what", "status", "detail"], *([c.name, c.status, c.detail] for c in checks)]))
    if any(check.status == "problem" for check in checks):
        raise SissoSalError("doctor: found problems, see above")


if __name__ == "__main__":
    main()
