"""Commands on a run: status, label, retry, stop, ledger."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from sisso_sal.cli import known_values
from sisso_sal.cli.help import Command
from sisso_sal.cli.options import COMMON, JSON, dumps
from sisso_sal.cli.terminal import emit, next_step, note, show, width
from sisso_sal.errors import CampaignError, InputError, OracleError


def _existing(ctx: click.Context, parameter: click.Parameter, run: Path) -> Path:
    """A folder that exists; if it does not, the error names runs with a similar name."""
    if not run.exists():
        near = [*run.parent.glob("*/campaign.db"), *Path("runs").glob("*/campaign.db")]
        by_name = {path.parent.name: path.parent for path in near}
        close = get_close_matches(run.name, by_name, n=1)
        hint = f"; did you mean {by_name[close[0]]}?" if close else f"; runs here: {_few(near)}" if near else ""
        raise InputError(f"{run}: needs a run folder, found none of this name{hint}")
    return run


def _few(databases: list[Path], limit: int = 5) -> str:
    names = sorted({str(path.parent) for path in databases})
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


class Number(click.ParamType):
    """A number, written as in a table."""

    name = "number"

    def __init__(self, least: float = float("-inf")):
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from sisso_sal.data.cells import number_in

        try:
            number = number_in(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if number < self.least:
            self.fail(f"needs a number of at least {self.least:g}, found {number:g}", param, ctx)
        return number


RUN = click.argument("run", type=click.Path(path_type=Path, file_okay=False), callback=_existing)


def _state(run: Path):
    """State of a run, also while a driver is running; takes no lock."""
    from sisso_sal.ledger.fold import fold

    return fold(_reading(run).events())


def _reading(run: Path):
    """What can be read of the ledger; a note reports damage."""
    from sisso_sal.ledger.store import read_ledger

    reading = read_ledger(run)
    if reading.damage:
        note(
            f"the ledger is damaged ({reading.damage}); {len(reading.rows)} events can be read; the next discover "
            "repairs it"
        )
    return reading


@click.command(cls=Command, short_help="The state of a campaign, and what to do next")
@RUN
@click.option("--watch", is_flag=True, help="Show the state again every few seconds, until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(0.1),
    default=5.0,
    show_default=True,
    help="Seconds between two updates with --watch.",
)
@JSON
@COMMON
def status(run, watch, every, as_json, quiet, debug):
    """Show the state of a campaign: iteration, best label, running calculations, failures, calibration, cost, and what to do next.

    It also works while a driver is running, and changes nothing.

    \b
    Examples:
      sisso-sal status runs/candidates
      sisso-sal status runs/candidates --watch
    """
    from sisso_sal.report.text.campaign import status_text

    def document() -> dict[str, Any]:
        from sisso_sal.campaign.status import status_document
        from sisso_sal.ledger.lock import noted_driver

        return status_document(run, _state(run), noted_driver(run, note)) | {"silent": _silent(run)}

    if as_json:
        emit(dumps(document()))
        return
    with suppress(KeyboardInterrupt) if watch else nullcontext():  # Ctrl-C is the usual way to end --watch
        while True:
            text = status_text(document(), width=width())
            if watch and sys.stdout.isatty():
                click.clear()
            show(text)
            if not watch:
                return
            time.sleep(every)
            if not sys.stdout.isatty():
                show("")


def _silent(run: Path) -> list[dict[str, Any]]:
    """Steps of first-principles calculations whose worker gives no sign of life."""
    found: list[dict[str, Any]] = []
    for registry in sorted(run.rglob("oracle/.taskblaster/registry.db")):
        try:
            from sisso_sal.oracle.workflow.tasks import silent_tasks

            found += [vars(each) for each in silent_tasks(registry.parents[1])]
        except (InputError, OracleError) as error:
            note(f"whether workers are alive is not known: {error}")
    return found


@click.command(
    cls=Command,
    short_help="Add results",
    context_settings={"ignore_unknown_options": True},  # otherwise a negative value is read as an option
)
@RUN
@click.argument("id", required=False, shell_complete=known_values.candidates("proposed"))
@click.argument("value", required=False)
@click.option("--error", type=Number(least=0), help="Standard deviation of the value.")
@click.option("--failed", metavar="REASON", help="ID cannot be labelled, for this reason; it is not proposed again.")
@click.option(
    "--file",
    "table",
    type=click.Path(path_type=Path),
    help="Table of labels: ids, the target, and perhaps '<target> error'.",
)
@click.option(
    "--from",
    "source",
    metavar="folder:PATH",
    help="Take labels from calculations that you have done already.",
)
@click.option("--replace", is_flag=True, help="Replace a known label.")
@click.option("--level", metavar="NAME", help="Level of theory that the results are of; by default the last one.")
@JSON
@COMMON
def label(run, id, value, error, failed, table, source, replace, level, as_json, quiet, debug):
    """Add results from a laboratory or another code: a VALUE for the candidate ID, or a table of values.

    Where the campaign looks for classes, VALUE is the name of one. The larger the error of a label, the smaller its weight in the
    fit. The next discover uses the new labels; a driver that is running adds them at its next step.

    \b
    Examples:
      sisso-sal label runs/candidates TiO2 -0.14 --error 0.02
      sisso-sal label runs/abx3 CaTiO3 perovskite
      sisso-sal label runs/candidates --file results.csv
      sisso-sal label runs/candidates BaO2 --failed "does not form"
      sisso-sal label runs/candidates TiO2 -0.02 --level hse06
      sisso-sal label runs/candidates --from folder:calculations
    """
    if source is not None:
        if any(one is not None for one in (id, failed, error, table)):
            raise click.UsageError("--from cannot be combined with ID, VALUE, --error, --failed or --file")
        notes = _notes_of_calculations(source, run, replace, level, quiet or as_json)
    elif table is not None:
        if id is not None or failed is not None or error is not None:
            raise click.UsageError("--file cannot be combined with ID, VALUE, --error or --failed")
        notes = _notes_from(table, run, replace, level)
    elif id is None or (value is None) == (failed is None):
        raise click.UsageError("needs ID and VALUE, ID and --failed REASON, --file TABLE, or --from folder:PATH")
    elif failed is not None:
        notes = [{"note": "failed", "id": id, "reason": failed, "level": level}]
    else:
        label = value if _looks_for_classes(run) else _number(value)
        given = {"value": label, "error": error, "source": "person", "replace": replace, "level": level}
        notes = [{"note": "label", "id": id, **given}]
    _hand_in(run, notes, as_json, quiet)


def _looks_for_classes(run: Path) -> bool:
    """Whether labels of a run are names of classes."""
    from sisso_sal.campaign.inbox import goal_of

    return goal_of(_state(run)) is not None


def _unknown_classes(run: Path, notes: list[dict[str, Any]]) -> str:
    """Which labels are of classes that no label of the run has and the goal does not name, in words; "" where none is."""
    from sisso_sal.campaign.inbox import goal_of
    from sisso_sal.system.documents import shown

    state = _state(run)
    if (goal := goal_of(state)) is None:
        return ""
    known = sorted({*map(str, state.told.values()), *goal.classes})
    new = sorted({one["value"].strip() for one in notes if isinstance(one.get("value"), str)} - {*known})
    names = ", ".join(map(shown, known))
    return (
        f"no label was {', '.join(map(shown, new))} before, only {names}; label --replace corrects a label"
        if new
        else ""
    )


def _number(value: str) -> float:
    """VALUE as a number."""
    context = click.get_current_context()
    argument = next(one for one in context.command.params if one.name == "value")
    return Number().convert(value, argument, context)


def _class_notes(path: Path, run: Path, replace: bool, level: str | None) -> list[dict[str, Any]]:
    """One note for each row of a table that has a class."""
    from sisso_sal.data.classes import class_labels

    settings = _created(run)["settings"]
    named = class_labels(path, settings["target"], None if settings.get("id") == "row" else settings.get("id"))
    about = {"source": "file", "replace": replace, "level": level}
    return [{"note": "label", "id": id, "value": name, "error": None, **about} for id, name in named.items() if name]


def _notes_from(path: Path, run: Path, replace: bool, level: str | None) -> list[dict[str, Any]]:
    """One note for each row of a table that has a value of the target, or of the column of a lower level."""
    import numpy as np

    from sisso_sal.data.headers import split_header
    from sisso_sal.data.table import read_table

    if _looks_for_classes(run):
        return _class_notes(path, run, replace, level)
    settings = _created(run)["settings"]
    column = _column_of(settings, level)
    name, unit = split_header(column)
    id_name = None if settings.get("id") == "row" else settings.get("id")
    labels = read_table(path, target=column, id=id_name, features=())
    for line in labels.notes:
        note(line)
    if labels.target_unit != unit:
        raise InputError(f"{path}: needs '{name}' in '{unit or 'no unit'}', found '{labels.target_unit or 'no unit'}'")
    errors = np.full(labels.n_rows, np.nan)
    if (errors_of := f"{name} error") in labels.headers:
        error_table = read_table(path, target=labels.headers[errors_of], id=id_name, features=())
        if error_table.target_unit != unit:
            raise InputError(
                f"{path}: needs '{errors_of}' in '{unit or 'no unit'}', found '{error_table.target_unit or 'no unit'}'"
            )
        errors = np.asarray(error_table.target)
    return [
        {
            "note": "label", "id": id, "value": float(value), "error": float(error) if np.isfinite(error) else None,
            "source": "file", "replace": replace, "level": level,
        }
        for id, value, error in zip(labels.ids, np.asarray(labels.target), errors, strict=True)
        if np.isfinite(value)
    ]  # fmt: skip


def _notes_of_calculations(
    source: str, run: Path, replace: bool, level: str | None, silent: bool
) -> list[dict[str, Any]]:
    """One note for each candidate for which calculations give a label; known labels stay, unless they are replaced."""
    from sisso_sal.api.calculated import labels_of_calculations
    from sisso_sal.system.progress import Progress

    _created(run)
    with Progress("reading calculations", silent) as progress:
        notes, lines = labels_of_calculations(run, source, replace=replace, level=level, progress=progress)
    for line in lines:
        note(line)
    return notes


def _column_of(settings: dict[str, Any], level: str | None) -> str:
    """Header of the values of a level; of an unknown one that of the target, and the note is refused."""
    lower = (settings.get("level") or ())[:-1]
    return next((one["column"] for one in lower if one["name"] == level), settings["target"])


def _created(run: Path) -> dict[str, Any]:
    state = _state(run)
    if state.created is None:
        raise CampaignError(f"{run}: needs a run that was started, found an empty ledger")
    if not state.created["settings"].get("target"):
        raise CampaignError(
            f"{run}: event {state.created['seq']}, created: needs a target among the settings, found none"
        )
    return dict(state.created)


def _hand_in(run: Path, notes: list[dict[str, Any]], as_json: bool, quiet: bool) -> None:
    """Check all notes; then write them, or leave them for the driver that is running."""
    from sisso_sal.campaign.inbox import hand_in

    _reading(run)  # notes on damage come first
    unknown = _unknown_classes(run, notes)
    done = hand_in(run, notes, note)
    n = done.n_events
    if unknown and n:
        note(unknown)
    if done.is_left:
        outcome = f"a driver is running: left in {run}/inbox, the driver adds them at its next step"
    else:
        outcome = (
            f"{n} event{'s' if n != 1 else ''} written" if n else "nothing new: all of this is already in the ledger"
        )
    if as_json:
        emit(dumps({"run": str(run), "n_events": n, "left_for_driver": done.is_left}))
    elif not quiet:
        show(f"{run}: {outcome}")
    next_step(f"sisso-sal status {run}" if done.is_left else "run the discover command again to continue", err=True)


@click.command(cls=Command, short_help="Try failed calculations again")
@RUN
@click.argument("ids", metavar="[ID]...", nargs=-1, shell_complete=known_values.candidates("failed"))
@JSON
@COMMON
def retry(run, ids, as_json, quiet, debug):
    """Try failed calculations again: those of the IDs, or all. The next discover submits them.

    \b
    Examples:
      sisso-sal retry runs/candidates
      sisso-sal retry runs/candidates BaO2 TiO2
    """
    if not ids and not _state(run).failed:
        raise CampaignError(f"{run}: needs a failed calculation to retry, found none")
    _hand_in(run, [{"note": "retry", "ids": list(dict.fromkeys(ids))}], as_json, quiet)


@click.command(cls=Command, short_help="End a campaign")
@RUN
@JSON
@COMMON
def stop(run, as_json, quiet, debug):
    """End a campaign: a driver that is running ends after its current step, and discover --once does nothing more.

    Calculations that were submitted go on. To continue the campaign, run discover without --once.

    \b
    Example:
      sisso-sal stop runs/candidates
    """
    _hand_in(run, [{"note": "stop"}], as_json, quiet)


@click.command(cls=Command, short_help="All events of a run, as JSON Lines")
@RUN
@click.option(
    "--id", "id", help="Only the events of this candidate, with the settings and models behind its proposals."
)
@click.option(
    "--verify",
    is_flag=True,
    help="Check all events, the copy of the ledger and the files of each iteration; print no events.",
)
@JSON
@COMMON
def ledger(run, id, verify, as_json, quiet, debug):
    """Print the ledger of a run as JSON Lines, one event a line, in the order in which they happened.

    \b
    Examples:
      sisso-sal ledger runs/candidates > ledger.jsonl
      sisso-sal ledger runs/candidates --id TiO2
      sisso-sal ledger runs/candidates --verify
    """
    if verify:
        _verify(run, as_json)
        return
    for event in _reading(run).events():
        if id is None or _concerns(event, id):
            emit(dumps(event, indent=None))
    next_step(f"sisso-sal status {run}, or sisso-sal ledger {run} --verify", err=True)


def _concerns(event: dict[str, Any], id: str) -> bool:
    proposed = {row["id"] for row in event.get("proposals", ())}
    return event.get("id") == id or id in proposed or event["event"] in {"created", "settings", "model"}


def _verify(run: Path, as_json: bool) -> None:
    from sisso_sal.campaign.verify import findings

    n_events, lines = findings(run)
    if as_json:
        emit(dumps({"run": str(run), "n_events": n_events, "findings": lines}))
    for line in () if as_json else lines:
        show(line)
    if lines:
        raise CampaignError(f"{run}: {len(lines)} finding{'s' if len(lines) != 1 else ''}, see above")
    if not as_json:
        show(f"{run}: {n_events} events, none changed; the copy of the ledger and all files agree with them")
    next_step(f"sisso-sal status {run}", err=True)
