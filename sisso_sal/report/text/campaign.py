"""A campaign as text: the one screen of `status`, the line at the bottom while it runs, and what is said when it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sisso_sal.report.text.results import aligned
from sisso_sal.system.durations import duration

SHOWN = 6
"""Rows of a list on the status screen; the rest is counted."""


def watched(state: Any, budget: int | None) -> tuple[int, int | None, str]:
    """Evaluations done, those in all, and one line: what is out, what failed, and the best label."""
    out, failed = len(state.pending), len(state.failed)
    parts = [f"{out} out"] if out else []
    parts += [f"{failed} failed"] if failed else []
    if state.iterations and state.iterations[-1].model:
        best = state.iterations[-1].model["best"]
        parts.append(f"iteration {state.iterations[-1].number}, best {best['id']} {best['value']:.4g}")
    return len(state.asked) - out, budget, ", ".join(parts)


def preview_text(found: Mapping[str, Any]) -> str:
    """What ``discover --dry-run`` prints."""
    unit = found["target"]["unit"]
    suffix = f" {unit}" if unit else ""
    rows = [["", "candidate", f"mean{suffix}", "std", f"score ({found['acquisition']})"]]
    rows += [
        [str(rank), row["id"], f"{row['mean']:.3f}", f"{row['std']:.3f}", f"{row['score']:.4g}"]
        for rank, row in enumerate(found["proposals"], 1)
    ]
    would = f"would learn from {found['n_labelled']} labels and propose"
    has = f"learned from {found['n_labelled']} labels, the same as now, and proposed"
    lines = [
        f"Dry run: nothing was written. Iteration {found['iteration']} of {found['run']} {would if found['is_new'] else has}",
        aligned(rows, numeric=[0, 2, 3, 4]) if found["proposals"] else "nothing",
    ]
    if found["pending"]:
        lines.append(f"still out: {_listed(found['pending'])}")
    return "\n".join(lines)


def ended_text(campaign: Mapping[str, Any], unit: str) -> str:
    """What ``discover`` says of the campaign after the proposals; empty where there is nothing to say."""
    lines = []
    if campaign["stop"] is not None:
        lines.append(f"Stopped: {campaign['stop']['why']}")
    if campaign["has_oracle"] or campaign["evaluations"]:
        lines.append(_cost(campaign))
    if campaign["pending"]:
        lines.append(f"Out: {_listed([case['id'] for case in campaign['pending']])}")
    lines += _failures(campaign)
    return "\n".join(lines)


def status_text(found: Mapping[str, Any], width: int | None = None) -> str:
    """One screen; takes the document of ``status --json``.

    Parameters
    ----------
    found : mapping
    width : int, optional
        Columns of the terminal: tables leave out columns to fit.
    """
    unit = (found["target"] or "").rpartition("(")[2].rstrip(")") if "(" in (found["target"] or "") else ""
    suffix = f" {unit}" if unit else ""
    lines = [
        f"{found['run']}: {_standing(found)}",
        f"goal {found['goal']} of {found['target']}; iteration {found['iteration']}, {found['n_labelled']} labelled"
        + ("" if found["n_candidates"] is None else f", {found['n_candidates']} not"),
    ]
    if found["best"]:
        lines.append(f"best {found['best']['id']}, {found['best']['value']:.4g}{suffix}")
    lines += [_cost(found), *_waiting(found, width), *_failures(found), *_drift(found, suffix, width)]
    lines += [*_gone(found), *_origin(found), "", f"Next: {found['next']}"]
    return "\n".join(lines)


def _standing(found: Mapping[str, Any]) -> str:
    driver = found["driver"]
    who = f"process {driver['pid']} on {driver['host']} since {_clock(driver['since'])}" if driver else ""
    stop = found["stop"]
    words = {
        "running": f"running, {who}",
        "lost": f"the driver died ({who})",
        "stopped": f"stopped, {stop['why']} ({_clock(stop['time'])})" if stop else "",
        "waiting": "no driver at work",
        "new": "begun, nothing proposed yet",
    }
    return words[found["standing"]]


def _clock(time: str) -> str:
    return time[:16].replace("T", " ")


def _cost(found: Mapping[str, Any]) -> str:
    out = len(found["pending"])
    budget = f" of {found['budget']}" if found["budget"] is not None else ""
    hours, limit = found["core_hours"], found["core_hours_budget"]
    spent = f", {hours:.4g}{f' of {limit:.4g}' if limit is not None else ''} core-hours" if hours or limit else ""
    fits = len(found["iterations"])
    took = duration(sum(row["seconds"] or 0.0 for row in found["iterations"]))
    done = found["evaluations"] - out
    return (
        f"{done}{budget} evaluation{'' if done == 1 and not budget else 's'}{f', {out} out' if out else ''}{spent}; "
        f"{fits} fit{'' if fits == 1 else 's'} took {took}"
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _waiting(found: Mapping[str, Any], width: int | None) -> list[str]:
    lines = []
    words = {"intended": "not confirmed", "submitted": "out", "again": "to be tried again"}
    if found["pending"]:
        rows = [["pending", "", "for", "attempt", "job"]]
        oldest = sorted(found["pending"], key=lambda case: -case["age_s"])
        for case in oldest[:SHOWN]:
            rows.append([case["id"], words[case["status"]], duration(case["age_s"]), str(case["attempt"]), case["job"]])
        lines += ["", aligned(rows, numeric=[2, 3], width=width, spare=[4, 3])]
        if len(oldest) > SHOWN:
            lines.append(f"and {len(oldest) - SHOWN} more")
    if found["open"] and not found["has_oracle"]:
        lines += ["", f"proposed, no answer yet: {_listed(found['open'])}"]
    return lines


def _failures(found: Mapping[str, Any]) -> list[str]:
    if not found["failed"]:
        return []
    rows = [["failed", "kind", "attempts", "reason"]]
    rows += [[case["id"], case["kind"], str(case["attempts"]), case["reason"]] for case in found["failed"][:SHOWN]]
    more = len(found["failed"]) - SHOWN
    return ["", aligned(rows, numeric=[2]), *([f"and {more} more"] if more > 0 else [])]


def _drift(found: Mapping[str, Any], suffix: str, width: int | None) -> list[str]:
    """How error and calibration went over the iterations: the first, and the last few."""
    rows = [["iteration", "labels", f"best{suffix}", f"RMSE{suffix}", "in 95 %", "area", "sigma times", "proposed"]]
    rows[0][3] = f"out-of-bag {rows[0][3]}"
    every = found["iterations"]
    kept = every if len(every) <= SHOWN else [every[0], *every[-(SHOWN - 1) :]]
    for row in kept:
        rows.append(
            [
                *(str(row["iteration"]), _number(row["n_labelled"], "d"), _number((row["best"] or {}).get("value"), ".4g")),
                *(_number(row["rmse"], ".3g"), _number(row["coverage95"], ".0%"), _number(row["miscalibration_area"], ".3f")),
                *(_number(row["scale"], ".2f"), ", ".join(row["proposed"][:3]) + (" …" if len(row["proposed"]) > 3 else "")),
            ]
        )  # fmt: skip
    if not every:
        return []
    table = aligned(rows, numeric=range(7), width=width, spare=[7, 6, 5, 4]).split("\n")
    if len(every) > len(kept):
        table.insert(2, f"… {len(every) - len(kept)} more")
    return ["", *table]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _gone(found: Mapping[str, Any]) -> list[str]:
    return ["", f"files that are gone: {_listed(found['missing'])}"] if found["missing"] else []


def _origin(found: Mapping[str, Any]) -> list[str]:
    """Where the newest proposal came from."""
    made = found["provenance"]
    if made is None:
        return []
    package = (made["versions"] or {}).get("sisso-sal", "?")
    return [
        "",
        f"last proposal: event {made['proposal_event']}, model {made['model']} (sha256 {(made['sha256'] or '?')[:12]}), "
        f"settings of event {made['settings_event']}, seed {made['seed']}, sisso-sal {package}",
    ]
