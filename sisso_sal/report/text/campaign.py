"""A campaign as text: the screen of `status`, the progress line of `discover`, and its last lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sisso_sal.campaign.summary import reached
from sisso_sal.data.headers import split_header
from sisso_sal.report.summary import classes_known, counted, probability_of, wanted_classes
from sisso_sal.report.text.table import aligned
from sisso_sal.report.text.why import why_lines
from sisso_sal.system.durations import duration
from sisso_sal.system.printable import printable

SHOWN = 6
"""Rows of a list on the status screen; the rest is counted."""


def watched(state: Any, budget: float | None) -> tuple[int, int | None, str]:
    """Evaluations done at the level that counts, the budget where it is their number, and one line on the rest."""
    every = (state, *state.levels.values())
    running, failed = sum(len(one.pending) for one in every), sum(len(one.failed) for one in every)
    parts = [f"{running} running"] if running else []
    parts += [f"{failed} failed"] if failed else []
    if state.iterations and state.iterations[-1].model:
        parts.append(f"iteration {state.iterations[-1].number}, {printable(reached(state.iterations[-1].model))}")
    whole = None if budget is None or state.levels else int(budget)
    return len(state.asked) - len(state.pending), whole, ", ".join(parts)


def preview_text(preview: Mapping[str, Any]) -> str:
    """What ``discover --dry-run`` prints; takes the document of ``discover --dry-run --json``."""
    unit = preview["target"]["unit"]
    suffix = f" {unit}" if unit else ""
    has_levels = any(row.get("level") for row in preview["proposals"])
    predicted = probability_of(preview) if wanted_classes(preview) else f"mean{suffix}"
    rows = [["", "candidate", predicted, "std", f"score ({preview['acquisition']})", "level", "because"]]
    rows += [
        [
            str(rank), row["id"], _number(row["mean"], ".3f"), _number(row["std"], ".3f"), _number(row["score"], ".4g"),
            row.get("level") or "the last", row.get("because", ""),
        ]
        for rank, row in enumerate(preview["proposals"], 1)
    ]  # fmt: skip
    rows = rows if has_levels else [row[:-2] for row in rows]
    new = f"would learn from {preview['n_labelled']} labels and propose"
    made = f"learned from {preview['n_labelled']} labels, the same as now, and proposed"
    lines = [
        f"Dry run: nothing was written. Iteration {preview['iteration']} of {preview['run']} "
        + (new if preview["is_new"] else made),
        aligned(rows, numeric=[0, 2, 3, 4]) if preview["proposals"] else "nothing",
    ]
    why = why_lines(preview["proposals"])
    lines += ["", *why] if why else []
    if preview["pending"]:
        lines.append(f"no result yet: {_listed(preview['pending'])}")
    return "\n".join(lines)


def ended_text(campaign: Mapping[str, Any], unit: str) -> str:
    """What ``discover`` says of the campaign after the proposals; empty where there is nothing to say."""
    lines = []
    if campaign["stop"] is not None:
        lines.append(f"Stopped: {campaign['stop']['why']}")
    if campaign["has_oracle"] or campaign["evaluations"]:
        lines.append(_cost(campaign))
    if campaign["pending"]:
        lines.append(f"Submitted, no result yet: {_listed([_named(case) for case in campaign['pending']])}")
    lines += _failures(campaign)
    return "\n".join(lines)


def status_text(status: Mapping[str, Any], width: int | None = None) -> str:
    """One screen; takes the document of ``status --json``.

    Parameters
    ----------
    status : mapping
    width : int, optional
        Columns of the terminal: tables leave out columns to fit.
    """
    unit = split_header(status["target"] or "")[1]
    suffix = f" {unit}" if unit else ""
    lines = [
        f"{status['run']}: {_standing(status)}",
        f"goal {status['goal']} of {status['target']}; iteration {status['iteration']}, {status['n_labelled']} labelled"
        + _sources(status)
        + ("" if status["n_candidates"] is None else f", {counted(status['n_candidates'], 'candidate')}"),
    ]
    if status.get("classes"):
        lines.append(printable(classes_known(status)))
    elif status["best"]:
        origin = (
            f", from {printable(status['best']['source'])}" if _sources(status) and status["best"].get("source") else ""
        )
        lines.append(f"best {printable(status['best']['id'])}, {status['best']['value']:.4g}{suffix}{origin}")
    lines += [_cost(status), *_waiting(status, width), *_computed(status, suffix, width), *_failures(status)]
    lines += _drift(status, suffix, width)
    lines += [*_silent(status), *_gone(status), *_origin(status), "", f"Next: {status['next']}"]
    return "\n".join(lines)


def _sources(status: Mapping[str, Any]) -> str:
    """How many labels came from where, where not all are of the table."""
    sources = status["sources"]
    return (
        ""
        if set(sources) <= {"table"}
        else f" ({', '.join(f'{n} from {printable(name)}' for name, n in sources.items())})"
    )


def _standing(status: Mapping[str, Any]) -> str:
    driver = status["driver"]
    who = f"process {driver['pid']} on {driver['host']} since {_clock(driver['since'])}" if driver else ""
    stop = status["stop"]
    descriptions = {
        "running": f"running, {who}",
        "lost": f"not running: its driver ended unexpectedly ({who})",
        "stopped": f"stopped at {_clock(stop['time'])}: {stop['why']}" if stop else "",
        "waiting": "not running",
        "new": "started, no proposals yet",
    }
    return descriptions[status["standing"]]


def _clock(time: str) -> str:
    return time[:16].replace("T", " ")


def _cost(status: Mapping[str, Any]) -> str:
    running = len(status["pending"])
    budget = f" of {status['budget']:g}" if status["budget"] is not None else ""
    hours, limit = status["core_hours"], status["core_hours_budget"]
    spent = f", {hours:.4g}{f' of {limit:.4g}' if limit is not None else ''} core-hours" if hours or limit else ""
    fits = len(status["iterations"])
    took = duration(sum(row["seconds"] or 0.0 for row in status["iterations"]))
    if levels := status.get("levels"):
        total = sum(level["cost"] * level["evaluations"] for level in levels)
        parts = ", ".join(f"{level['evaluations']} {level['name']}" for level in levels)
        running_now = f", {running} running" if running else ""
        return f"cost {total:g}{budget} ({parts}){running_now}{spent}; {fits} fit{'' if fits == 1 else 's'} took {took}"
    done = status["evaluations"] - running
    return (
        f"{done}{budget} evaluation{'' if done == 1 and not budget else 's'}{f', {running} running' if running else ''}{spent}; "
        f"{fits} fit{'' if fits == 1 else 's'} took {took}"
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(printable, names[:SHOWN])) + more


def _named(case: Mapping[str, Any]) -> str:
    """A calculation by its candidate, and by its level where that is a lower one."""
    return f"{case['id']} ({case['level']})" if case.get("level") else case["id"]


def _waiting(status: Mapping[str, Any], width: int | None) -> list[str]:
    lines = []
    descriptions = {"intended": "submission not confirmed", "submitted": "submitted", "again": "to be tried again"}
    if status["pending"]:
        rows = [["pending", "", "for", "attempt", "job"]]
        oldest = sorted(status["pending"], key=lambda case: -case["age_s"])
        for case in oldest[:SHOWN]:
            rows.append(
                [_named(case), descriptions[case["status"]], duration(case["age_s"]), str(case["attempt"]), case["job"]]
            )
        lines += ["", aligned(rows, numeric=[2, 3], width=width, spare=[4, 3])]
        if len(oldest) > SHOWN:
            lines.append(f"and {len(oldest) - SHOWN} more")
    if status["open"] and not status["has_oracle"]:
        lines += ["", f"proposed, no label yet: {_listed(status['open'])}"]
        why = why_lines(status.get("reasons", ())[:SHOWN], width)
        lines += ["", *why] if why else []
    return lines


def _computed(status: Mapping[str, Any], suffix: str, width: int | None) -> list[str]:
    """A line for each of the newest labels that say what they rest on, and one for each whose calculations differ."""
    labels = status.get("labels") or ()
    if not labels:
        return []
    newest = sorted(labels, key=lambda label: label["since"])[-SHOWN:]
    columns = {
        "computed": [_named(label) for label in newest],
        f"label{suffix}": [_told(label["value"]) for label in newest],
        "structure": [label["structure"] for label in newest],
        "magnetic order": [label["magnetic_order"] or "-" for label in newest],
        "converged of those known": [label["coverage"] for label in newest],
    }
    if set(columns["magnetic order"]) == {"-"}:
        del columns["magnetic order"]
    rows = [list(columns), *map(list, zip(*columns.values(), strict=True))]
    lines = ["", aligned(rows, numeric=[1], width=width, spare=[len(columns) - 1])]
    if len(labels) > len(newest):
        lines.append(f"and {len(labels) - len(newest)} more")
    for label in labels:
        if label["differences"]:
            told = "; ".join(label["differences"])
            lines.append(f"{printable(label['id'])}: its calculations differ: {printable(told)}")
    return lines


def _failures(status: Mapping[str, Any]) -> list[str]:
    if not status["failed"]:
        return []
    rows = [["failed", "kind", "attempts", "reason"]]
    rows += [[_named(case), case["kind"], str(case["attempts"]), case["reason"]] for case in status["failed"][:SHOWN]]
    more = len(status["failed"]) - SHOWN
    return ["", aligned(rows, numeric=[2]), *([f"and {more} more"] if more > 0 else [])]


def _drift(status: Mapping[str, Any], suffix: str, width: int | None) -> list[str]:
    """Error and calibration over the iterations: the first, and the last few; columns without any number are not there."""
    every = status["iterations"]
    if not every:
        return []
    kept = every if len(every) <= SHOWN else [every[0], *every[-(SHOWN - 1) :]]
    columns = {
        "iteration": [str(row["iteration"]) for row in kept],
        "labels": [_number(row["n_labelled"], "d") for row in kept],
        **_reached(kept, suffix),
        f"out-of-bag RMSE{suffix}": [_number(row["rmse"], ".3g") for row in kept],
        "95 % coverage": [_number(row["coverage95"], ".0%") for row in kept],
        "area": [_number(row["miscalibration_area"], ".3f") for row in kept],
        "sigma times": [_number(row["scale"], ".2f") for row in kept],
        "proposed": [", ".join(row["proposed"][:3]) + (" …" if len(row["proposed"]) > 3 else "") for row in kept],
    }
    columns = {name: cells for name, cells in columns.items() if set(cells) != {"-"}}
    names = list(columns)
    rows = [names, *(list(row) for row in zip(*columns.values(), strict=True))]
    spare = [names.index(name) for name in ("proposed", "sigma times", "area", "95 % coverage") if name in columns]
    table = aligned(rows, numeric=range(len(names) - 1), width=width, spare=spare).split("\n")
    if len(every) > len(kept):
        table.insert(2, f"… {len(every) - len(kept)} more")
    return ["", *table]


def _reached(rows: Sequence[Mapping[str, Any]], suffix: str) -> dict[str, list[str]]:
    """The best label of each iteration or, of classes, the number of hits."""
    if any(row.get("hits") is not None for row in rows):
        return {"hits": [_number(row["hits"], "d") for row in rows]}
    return {f"best{suffix}": [_number((row["best"] or {}).get("value"), ".4g") for row in rows]}


def _told(label: float | str | None) -> str:
    """A label: a number, or the name of a class."""
    return label if isinstance(label, str) else _number(label, ".4g")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _silent(status: Mapping[str, Any]) -> list[str]:
    """Steps that are running, but whose worker has ended or gives no sign of life."""
    silent = status.get("silent") or ()
    if not silent:
        return []
    named = []
    for each in silent:
        host, _, rest = each["worker"].partition("|")
        since = "has ended" if each["seconds"] is None else f"silent for {duration(each['seconds'])}"
        named.append(f"{each['task']} (process {rest.partition('|')[0]} on {host} {since})")
    steps = "1 step is" if len(silent) == 1 else f"{len(silent)} steps are"
    advice = f"discover and workers put them back, or sisso-sal worker {status['run']} --recover"
    return ["", f"{steps} running without a living worker: {_listed(named)}; {advice}"]


def _gone(status: Mapping[str, Any]) -> list[str]:
    return ["", f"missing files: {_listed(status['missing'])}"] if status["missing"] else []


def _origin(status: Mapping[str, Any]) -> list[str]:
    """Where the newest proposal came from."""
    made = status["provenance"]
    if made is None:
        return []
    package = (made["versions"] or {}).get("sisso-sal", "?")
    model = f"model {made['model']} (sha256 {made['sha256'][:12]}), " if made["sha256"] else ""
    return [
        "",
        f"last proposal: event {made['proposal_event']}, {model}settings of event {made['settings_event']}, "
        f"seed {made['seed']}, sisso-sal {package}",
    ]
