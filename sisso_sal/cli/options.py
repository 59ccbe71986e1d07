"""Options that several commands share, and how they are read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sisso_sal.cli import known_values
from sisso_sal.cli.help import OTHER, DescribedOption, panel
from sisso_sal.cli.terminal import emit, note, show
from sisso_sal.errors import InputError, SettingsError
from sisso_sal.system.documents import steering_escaped

if TYPE_CHECKING:
    from sisso_sal.system.executors import Workers


def names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    parts = None if value is None else tuple(part.strip() for part in value.split(",") if part.strip())
    if parts == ():
        raise click.BadParameter(f"needs names with commas between them, found '{value}'")
    return parts


def numbers(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | tuple[int, ...] | None:
    """A whole number of 1 or more, or several with commas between them."""
    parts = None if value is None else [part.strip() for part in value.split(",")]
    if parts is None:
        return None
    if not all(part.isascii() and part.isdigit() and int(part) >= 1 for part in parts):
        raise click.BadParameter(f"needs whole numbers of at least 1 with commas between them, found '{value}'")
    found = tuple(map(int, parts))
    return found if len(found) > 1 else next(iter(found))


def quoted_names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Names from a table, with commas between them; one that has a comma inside stands in double quotes."""
    if value is None:
        return None
    try:
        parts = tuple(part.strip() for part in next(csv.reader([value], skipinitialspace=True)) if part.strip())
    except csv.Error:
        parts = ()
    if not parts:
        raise click.BadParameter(f"needs names with commas between them, found '{value}'")
    return parts


TABLE = click.argument("table", type=click.Path(path_type=Path))
JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print exactly one JSON document, and nothing else on stdout."
)
COMMON = panel(
    OTHER,
    click.option("--quiet", "-q", is_flag=True, help="No progress, no notes, no hints."),
    click.option("--debug", is_flag=True, help="Show the traceback of an error."),
)
THREADS = click.option("--threads", type=click.IntRange(min=1), help="Threads; all usable cores by default.")
WORKERS = panel(
    "Where it is computed",
    click.option(
        "--executor",
        metavar="WHERE",
        default="local",
        show_default=True,
        help="local, dask:local, dask:ADDRESS, dask:FILE (a scheduler file), or package.module:name of an executor.",
    ),
    click.option(
        "--workers", "n_workers", type=click.IntRange(min=1), help="Processes; with a scheduler, how many to wait for."
    ),
)


@contextmanager
def at_work(executor: str, n_workers: int | None, threads: int | None) -> Iterator[Workers]:
    """The workers of --executor and --workers; while this is entered, they look through large feature spaces."""
    from sisso_sal.models.fitting import searching_with
    from sisso_sal.system.executors import open_workers

    with open_workers(executor, n_workers, threads, tell=note) as workers, searching_with(workers):
        yield workers


SURROGATE = panel(
    "Ensemble",
    click.option(
        "--surrogate",
        metavar="NAME",
        cls=DescribedOption,
        describe=known_values.surrogates_in_words,
        shell_complete=known_values.surrogates,
    ),
)
SEED = click.option("--seed", type=click.IntRange(min=0), help="Seed of all random choices; 0 by default.")
OUT_FILE = panel(
    "Output",
    click.option(
        "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file instead of stdout."
    ),
    click.option("--force", is_flag=True, help="Replace the file if it exists."),
)
ID_COLUMN = click.option(
    "--id",
    "id_column",
    metavar="COLUMN",
    shell_complete=known_values.columns,
    help="Column of the ids; by default the first text column.",
)
FORMULA = click.option(
    "--formula",
    metavar="COLUMN",
    shell_complete=known_values.columns,
    help="Make the features from formulas of oxides in this column.",
)
FEATURE_COLUMNS = (
    click.option(
        "--columns",
        metavar="A,B,…",
        callback=quoted_names,
        shell_complete=known_values.several_columns,
        help="Only these columns as features.",
    ),
    click.option(
        "--drop",
        metavar="A,B,…",
        callback=quoted_names,
        shell_complete=known_values.several_columns,
        help="Columns that are not used.",
    ),
)
GROUP = click.option(
    "--group",
    metavar="COLUMN",
    shell_complete=known_values.columns,
    help="Rows with the same cell here are one material, held back together; by default those of one composition.",
)


def _columns(help: str, **more: Any) -> Callable[[Any], Any]:
    target = click.option("--target", metavar="COLUMN", shell_complete=known_values.columns, help=help, **more)
    return panel("Columns of the table", target, ID_COLUMN, GROUP, FORMULA, *FEATURE_COLUMNS)


COLUMNS = _columns("Target column; by default the only one with gaps.")
COLUMNS_OF_TASKS = _columns("Target column; by default the only one with gaps. Several are tasks.", multiple=True)


def _list_groups(ctx: click.Context, parameter: click.Parameter, is_asked: bool) -> None:
    if is_asked and not ctx.resilient_parsing:
        from sisso_sal.report.text.elements import groups_text

        show(groups_text())
        ctx.exit()


ELEMENTS = panel(
    "What to look for",
    click.option(
        "--exclude-elements",
        metavar="A,B,…",
        callback=names,
        shell_complete=known_values.elements,
        help="Leave out candidates with one of these elements or groups: radioactive, toxic, scarce.",
    ),
    click.option(
        "--only-elements",
        metavar="A,B,…",
        callback=names,
        shell_complete=known_values.elements,
        help="Leave out candidates with other elements than these and oxygen.",
    ),
    click.option(
        "--element-groups",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_list_groups,
        help="Show the groups, their elements and sources, and exit.",
    ),
)


def low_columns(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """As `quoted_names`; ``none`` is no column."""
    return () if value == "none" else quoted_names(ctx, parameter, value)


LOW = click.option(
    "--low",
    metavar="A,B,…",
    callback=low_columns,
    shell_complete=known_values.several_columns,
    help="Columns that estimate the target at low cost, or none; by default the one that estimate made.",
)
MODEL = panel(
    "Formulas",
    click.option(
        "--operators",
        metavar="A,B,…",
        callback=names,
        shell_complete=known_values.operators,
        help="Operators, e.g. add,sub,mult,div,sq,sqrt; those of each rung with semicolons: 'add,sub;div'.",
    ),
    click.option(
        "--param-operators",
        metavar="A,B,…",
        callback=names,
        shell_complete=known_values.param_operators,
        help="Operators with a fitted scale and shift, e.g. exp,log,sin; none by default.",
    ),
    click.option("--rung", type=click.IntRange(0, 3), help="How many times operators are applied; 2 by default."),
    click.option(
        "--n-sis",
        metavar="N[,N…]",
        callback=numbers,
        help="Features kept by each screening, or in each dimension; 50 by default, 20 for ensembles.",
    ),
    click.option("--dim", type=click.IntRange(1, 6), help="Terms of a formula; 2 by default, up to 3 for ensembles."),
    click.option("--n-residual", type=click.IntRange(min=1), help="Residuals used in each screening; 5 by default."),
    click.option(
        "--max-complexity",
        type=click.IntRange(min=0),
        help="Largest number of operators in a term; no limit by default.",
    ),
    click.option(
        "--max-features",
        type=click.IntRange(min=1),
        help="Refuse a feature space larger than this; by default one that takes longer than a day.",
    ),
    click.option("--min-abs", type=float, help="Reject a feature whose max|f| is smaller; 1e-5 by default."),
    click.option("--max-abs", type=float, help="Reject a feature whose max|f| is larger; 1e5 by default."),
    click.option("--no-intercept", is_flag=True, help="Fit without intercept."),
    click.option(
        "--units",
        metavar="RULES",
        shell_complete=known_values.values("model.units"),
        help="What units allow: strict, sisso (exp, log, sin, cos of any quantity) or none; strict by default.",
    ),
    click.option(
        "--max-correlation",
        type=click.FloatRange(0, 1, min_open=True),
        help="Largest correlation of two features of a formula; 1 by default.",
    ),
    click.option("--no-units", is_flag=True, help="Ignore units: --units none."),
    LOW,
)
ENSEMBLE = panel(
    "Ensemble",
    click.option("--members", type=click.IntRange(min=2), help="Models in the ensemble; 30 by default."),
    click.option("--dropout", type=float, help="Fraction of primary features hidden from each member; 0.2 by default."),
    click.option("--no-adapt", is_flag=True, help="Use --rung and --dim as given; otherwise out-of-bag errors choose."),
    click.option(
        "--transform",
        metavar="KIND",
        shell_complete=known_values.values("ensemble.transform"),
        help="Transformation of the target: none, log or yeo-johnson; none by default.",
    ),
    click.option(
        "--loss",
        metavar="KIND",
        shell_complete=known_values.values("ensemble.loss"),
        help="Loss: squared, or huber for labels with outliers; squared by default.",
    ),
    click.option(
        "--aggregation",
        metavar="KIND",
        shell_complete=known_values.values("ensemble.aggregation"),
        help="How members are combined: mean or median; mean by default.",
    ),
    click.option(
        "--correction",
        metavar="KIND",
        shell_complete=known_values.values("ensemble.correction"),
        help="Model of the formulas' residuals: none, trees, process (Gaussian) or both; both by default.",
    ),
    click.option(
        "--recalibrate",
        metavar="KIND",
        shell_complete=known_values.values("ensemble.recalibrate"),
        help="Of the predictive distribution: none, scale or isotonic; isotonic by default.",
    ),
    click.option(
        "--positive",
        metavar="WHEN",
        shell_complete=known_values.values("ensemble.positive"),
        help="Whether the target is never below 0: yes, no or auto (where no label is); auto by default.",
    ),
)


REGRESSION = panel(
    "Formulas",
    click.option(
        "--regression",
        metavar="KIND",
        shell_complete=known_values.values("model.regression"),
        help="linear, or log: a product of powers of the terms; linear by default.",
    ),
)
SELECTION = panel(
    "Many primary features",
    click.option(
        "--select", "n_select", metavar="N", type=click.IntRange(min=2), help="Choose N primary features first."
    ),
    click.option(
        "--select-by",
        metavar="WAY",
        shell_complete=known_values.ways_to_select,
        help="pairs: those in the best models of rung 1; subsets: VS-SISSO; pairs by default.",
    ),
    click.option("--select-rounds", type=click.IntRange(min=1), help="Most rounds of subsets; 100 by default."),
    click.option(
        "--select-patience",
        type=click.IntRange(min=1),
        help="Stop after so many rounds of subsets without a better model; 20 by default.",
    ),
)


SISSO_OUTPUT = panel(
    "Output",
    click.option(
        "--sisso-output",
        type=click.Path(path_type=Path, file_okay=False),
        help="Also write the files of SISSO 3.5 and SISSO++ into this folder.",
    ),
)


def selection_of(options: dict[str, Any], seed: int):
    """What --select and the options beside it say, which are taken out of the options; None without --select."""
    from sisso_sal.models.variables import SelectionSettings

    number = options["n_select"]
    names = {"select_by": "by", "select_rounds": "rounds", "select_patience": "patience"}
    chosen = {name: options[option] for option, name in names.items() if options[option] is not None}
    if number is None:
        if chosen:
            option = next(option for option, name in names.items() if name in chosen)
            raise SettingsError(f"{option.replace('_', '-')}: needs --select, found none")
        return None
    if chosen.keys() - {"by"} and chosen.get("by") != "subsets":
        raise SettingsError("select-rounds, select-patience: need --select-by subsets")
    return SelectionSettings(number=number, seed=seed, **chosen)


def model_changes(options: dict[str, Any]) -> dict[str, Any]:
    """Settings from the flags that were given."""
    changes = {key: value for key, value in options.items() if value is not None}
    for flag, name, value in (
        ("no_intercept", "intercept", False),
        ("no_units", "units", "none"),
        ("no_adapt", "adapt", False),
    ):
        if changes.pop(flag, False) and changes.setdefault(name, value) != value:
            raise click.UsageError(f"--no-units is --units none: needs one of the two, found --units {changes[name]}")
    return changes


def load(config: Path | None, changes: dict[str, Any], *, ensemble: bool = True):
    """Settings from all layers, with every default filled in."""
    return load_layers(config, changes, ensemble=ensemble).settings


def load_layers(config: Path | None, changes: dict[str, Any], *, ensemble: bool = True):
    """Settings from options, environment, settings file and the user's own file, completed, and where each comes from."""
    from sisso_sal.api.inputs import complete_settings

    return complete_settings(config, changes, ensemble=ensemble)


def read(path: Path, settings, formula: str | None, *, with_gaps: bool = False):
    """The table to learn from, with features made from formulas if it has no features or if `formula` names a column.

    With `with_gaps` a row may lack what a lower level of theory gives. Where the goal names classes, the target is 1 for them,
    else 0.
    """
    from sisso_sal.api.classes import read_class_candidates
    from sisso_sal.api.inputs import constant_where_known, read_candidates

    if settings.looks_for_classes:
        return read_class_candidates(path, settings, formula, note)
    table = read_candidates(path, settings, formula, with_gaps=with_gaps, tell=note)
    return constant_where_known(table, note) if settings.model.intercept else table


def write(text: str, out: Path | None, force: bool) -> None:
    if out is None:
        emit(text, nl=not text.endswith("\n"))
        return
    check_free(out, force)
    from sisso_sal.system.storage import write_whole

    write_whole(out, text)


def check_free(out: Path | None, force: bool) -> None:
    if out is not None and out.exists() and not force:
        raise InputError(f"{out}: exists already; give another --out, or --force to replace it")
    if out is not None and not out.parent.is_dir():
        raise InputError(f"{out}: needs a folder that exists, found no '{out.parent}'")


def dumps(document: Any, indent: int | None = 1) -> str:
    r"""A document as JSON; characters that steer a terminal stand in it as ``\u009b``, which is the same to a program.

    Examples
    --------
    >>> print(dumps({"id": "TiO₂\u202e"}, indent=None))
    {"id": "TiO₂\u202e"}
    """
    return steering_escaped(json.dumps(document, indent=indent, allow_nan=False, ensure_ascii=False))


def number(value: float) -> float | None:
    """For JSON, which has no NaN and no infinity."""
    return float(value) if abs(value) < float("inf") else None
