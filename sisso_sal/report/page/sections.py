"""The sections of the report as plain data: the question, the answer, the proposals and why, failures, provenance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.registry import meaning_of
from sisso_sal.campaign.marks import marks_of
from sisso_sal.features.dimension import parse_unit
from sisso_sal.models.display import number_html, unit_html
from sisso_sal.report.figures.course import course
from sisso_sal.report.figures.out_of_bag import accuracy
from sisso_sal.report.figures.plotly_data import unit_markup
from sisso_sal.report.page.glossary import features_told
from sisso_sal.report.page.reasons import reasons
from sisso_sal.report.run_view import RunView
from sisso_sal.report.summary import (
    classes_known,
    form_text,
    levels_text,
    low_text,
    materials_text,
    no_longer_help,
    no_prediction,
    probability_of,
    probability_text,
    rejected_by_cause,
    score_at_levels,
    shift_text,
)
from sisso_sal.report.text.elements import excluded_text
from sisso_sal.system.durations import duration
from sisso_sal.system.printable import printable

if TYPE_CHECKING:
    from markupsafe import Markup

N_ROWS = 200
"""Rows that are set aside and shown; summary.json has all."""

LEARNERS = {"trees": "trees", "process": "a Gaussian process", "both": "trees and Gaussian processes"}


def described(view: RunView, status: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the template says, as plain data."""
    summary = view.summary
    so_far = course(view)
    n_members = summary.get("n_members") if view.ensemble is not None else None
    return {
        "title": view.title,
        "target": view.target,
        "unit": view.unit,
        "hit": view.header if view.is_of_classes else "",
        "known_hits": classes_known(summary) if view.is_of_classes else "",
        "probabilities": probability_text(summary) if view.is_of_classes else "",
        "question": _question(summary, view),
        "in_unit": _in_unit(view.unit),
        "materials": materials_text(summary),
        "no_prediction": no_prediction(summary),
        "no_longer_help": no_longer_help(summary, view.unit),
        "unlike": shift_text(summary, view.unit),
        "low": low_text(summary, view.unit),
        "beside": ((summary.get("low") or {}).get("baseline") or {}).get("column", ""),
        "choices": (choices := _choices(summary)),
        "has_forms": len({choice["of"] for choice in choices}) > 1,
        "scored_by": score_at_levels(summary) or meaning_of(summary["acquisition"], view.is_of_classes),
        "levels": levels_text(summary),
        "n_last": sum(not proposal.get("level") for proposal in view.proposals),
        "summary": summary,
        "learner": LEARNERS.get(summary.get("correction", "none")),
        "n_members": n_members,
        "has_formulas": view.ensemble is not None and any(row.get("formulas_mean") is not None for row in view.proposals),
        "accuracy": accuracy(view),
        "left_out": excluded_text(summary["excluded"]),
        "proposals": [
            {"level": None, "because": "", "probability": None, "chosen_by": proposal["score"], "rank": None, "reason": ""}
            | {**proposal, "sentence": proposal.get("why", ""), "why": why, "marks": marks_of(proposal)}
            for proposal, why in zip(view.proposals, reasons(view), strict=True)
        ],
        "status": status,
        "course": so_far,
        "n_new": len(so_far.ids) - so_far.n_start,
        "knows_rmse": any(fit["rmse"] is not None for fit in so_far.fits),
        "knows_coverage": any(fit["coverage95"] is not None for fit in so_far.fits),
        "features": features_told(view),
        "reads": _reads(summary, view.unit),
        "by_score": _by_score(view.proposals) | ({"has_chance": False} if view.is_of_classes else {}),
        "rejected": rejected_by_cause(summary.get("rejected", {})),
        "unused": _unused(summary),
        "settings": _flat(summary["settings"]),
        "provenance": _provenance(view, status),
        "n_materials": len(view.ids),
        "newer": _newer(view),
    }  # fmt: skip


def _in_unit(unit: str) -> Markup:
    """A unit behind a number, with the space between the two; "" for none."""
    from markupsafe import Markup

    return Markup("\u00a0" + unit_markup(unit) if unit else "")


def _question(summary: Mapping[str, Any], view: RunView) -> Markup:
    """What is looked for; the unit typeset."""
    from markupsafe import Markup, escape

    goal = Goal.parse(str(summary["goal"]))
    bare, with_unit = goal.in_words(printable(view.target)), goal.in_words(printable(view.target), "unit")
    return escape(bare) + (_in_unit(view.unit) if with_unit != bare else Markup(""))


def _choices(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the ensemble had to choose from: what formulas are for in words, and which choice it was."""
    low = summary.get("low") or {}
    form, _, alone = str(low.get("form", "feature")).partition(" ")
    form = {"number": "difference"}.get(form, form) if alone else form
    column = (low.get("baseline") or {}).get("column", "")
    chosen = (summary.get("rung"), summary.get("dim"), form, column)
    return [
        {
            **choice,
            "of": form_text(choice.get("form", ""), choice.get("column", "")),
            "is_chosen": chosen
            == (choice["rung"], choice["dim"], choice.get("form", "feature"), choice.get("column", "")),
        }
        for choice in summary.get("choices") or []
    ]


def filters(unit: str, decimals: int) -> dict[str, Callable[..., Any]]:
    """Filters of the template: how numbers, units, times and the goal's bound are written; predictions get so many decimals."""
    from markupsafe import Markup

    def number(value: Any, digits: int = 3) -> Markup:
        return Markup("–" if value is None or not np.isfinite(value) else number_html(float(value), digits))

    def percent(value: Any) -> str:
        return "–" if value is None else f"{value:.0%}".replace("%", "\u202f%")

    def measured(value: Any, digits: int = 3) -> Markup:
        written = number(value, digits)
        return written if written == "–" else written + _in_unit(unit)

    def decimal(value: Any) -> str:
        return "–" if value is None or not np.isfinite(value) else f"{value:.{decimals}f}".replace("-", "−")

    def signed(value: float) -> str:
        return f"{value:+.{decimals}f}".replace("-", "−")

    return {
        "number": number, "measured": measured, "decimal": decimal, "percent": percent, "signed": signed,
        "bound": lambda text: Goal.parse(text).bound_in_words, "minute": minute, "duration": duration,
        "unit": lambda text: Markup(unit_html(parse_unit(text)) if text else ""),
    }  # fmt: skip


def minute(time: str) -> str:
    """Date and time of an event to the minute, UTC.

    Examples
    --------
    >>> minute("2026-11-24T22:31:44.968+00:00")
    '2026-11-24 22:31 UTC'
    """
    return datetime.fromisoformat(time).strftime("%Y-%m-%d %H:%M UTC")


def decimals_of(std: np.ndarray) -> int:
    """Decimals with which predictions of such a sigma (n,) are written: it gets three digits, not more than six decimals.

    Examples
    --------
    >>> decimals_of(np.array([0.12])), decimals_of(np.array([4.0]))
    (3, 2)
    """
    known = std[np.isfinite(std) & (std > 0)]
    return int(np.clip(2 - np.floor(np.log10(np.median(known))), 0, 6)) if len(known) else 3


def _reads(summary: Mapping[str, Any], unit: str) -> Markup:
    """Of which distribution ±, interval and probability are, and what the probability is of."""
    from markupsafe import Markup, escape

    wanted = Goal.parse(str(summary.get("wanted") or summary["goal"]))
    if wanted.classes:
        return escape(
            f"{probability_of(summary)} is the probability to be {wanted.bound_in_words}; ± is the standard deviation of what the "
            "members say, where there are several."
        )
    of = Markup("better than the best known")
    if wanted.has_bound:
        of = escape(wanted.bound_in_words) + _in_unit(unit)
    sigma = f"{summary['sigma']} " if "sigma" in summary else ""
    text = Markup(
        "±, 95\u202f% interval and P(hit) are of one distribution, that of the prediction: ± is half the width of its 68\u202f% "
        "interval (the {}sigma), the interval contains the value with a probability of 95\u202f%, and P(hit) is its "
        "probability to be {}."
    )
    return text.format(sigma, of)


def _by_score(proposals: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """What the table of proposals needs columns for: a number that is not the probability, and places that are not the order."""

    def is_other(row: Mapping[str, Any]) -> bool:
        by, chance = row.get("chosen_by"), row.get("probability")
        return by is not None and (chance is None or abs(by - chance) > 1e-9)

    return {
        "has_chance": any(row.get("probability") is not None for row in proposals),
        "has_number": not proposals or any(is_other(row) or row.get("chosen_by") is None for row in proposals),
        "has_rank": any(row.get("rank") not in {None, place} for place, row in enumerate(proposals, 1)),
    }


def _unused(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What was left out of the table: names and reasons of columns, and of rows the first few; and notes on how it was read."""
    rows = [(row["id"], row["reason"]) for row in summary.get("set_aside", ())]
    return {
        "columns": [(column["column"], column["reason"]) for column in summary.get("left_out", ())],
        "rows": rows[:N_ROWS],
        "n_rows": len(rows),
        "notes": list(summary.get("table_notes", ())),
    }


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        elif value is not None:
            rows.append((f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return rows


def _provenance(view: RunView, status: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What made this model, as the ledger has it."""
    created = (view.state.created if view.state else None) or {}
    model = (view.iteration.model if view.iteration else None) or {}
    rows = [
        ("table", str(created.get("table", ""))),
        ("digest of the table", str(created.get("digest", ""))),
        ("run", str(created.get("run_id", ""))),
        ("started", minute(status["started"]) if status["started"] else ""),
        ("fitted", minute(model["time"]) if "time" in model else ""),
        ("time of the fit", duration(model["seconds"]) if "seconds" in model else ""),
        ("seed of the fit", str(model.get("seed", ""))),
        ("oracle", str(status["oracle"])),
        ("events in the ledger", str(view.state.n_events if view.state else "")),
    ]
    rows += [(f"SHA-256 of {name}", digest) for name, digest in model.get("files", {}).items()]
    rows += [(name, number) for name, number in (model.get("versions") or {}).items()]
    return [(name, value) for name, value in rows if value]


def _newer(view: RunView) -> int | None:
    """The newest iteration, where this report is of an earlier one."""
    iterations = view.state.iterations if view.state else ()
    newest = iterations[-1].number if iterations else None
    return newest if view.iteration is not None and newest != view.iteration.number else None
