"""Results of `fit` and `discover` as text for a terminal or a log file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sisso_sal.acquisition.registry import installed
from sisso_sal.campaign.marks import MARKS, Mark
from sisso_sal.features.names import quoted
from sisso_sal.models.trade_off import simplest_choice
from sisso_sal.report.summary import (
    counted,
    extrapolates,
    form_text,
    is_far,
    levels_text,
    low_text,
    materials_text,
    no_longer_help,
    no_prediction,
    rejected_by_cause,
    score_at_levels,
    shift_text,
    wanted_classes,
)
from sisso_sal.report.text.elements import excluded_text
from sisso_sal.report.text.hits import accuracy_of_hits, after_hits, formulas_of_hits, hits_table, known_hits
from sisso_sal.report.text.table import aligned
from sisso_sal.report.text.trade_off import trade_off_text
from sisso_sal.report.text.why import why_lines
from sisso_sal.system.printable import printable

N_PROBABLE = 3
"""Descriptors of which the terminal tells how probable they are."""


def rejections(rejected: Mapping[str, Mapping[str, int]]) -> str:
    """Features left out, by cause, over all rungs; "none" if there are none."""
    return ", ".join(f"{number} by {cause}" for cause, number in rejected_by_cause(rejected)) or "none"


def sizes(n_features: Mapping[str, int]) -> str:
    """Features of each rung in one line."""
    return ", ".join(f"{number} of rung {rung}" for rung, number in n_features.items())


def fit_text(document: Mapping[str, Any], width: int | None = None) -> str:
    """What `fit` prints; takes the document of ``fit --json``, and the columns of the terminal if it is one."""
    unit = f" {document['target']['unit']}" if document["target"]["unit"] else ""
    lines = [
        f"{document['n_samples']} samples; features: {sizes(document['n_features'])}",
        f"left out: {rejections(document['rejected'])}",
    ]
    if "n_members" in document:
        lines.append(f"{len(document['models'])} most typical of {document['n_members']} members:")
    for model in document["models"]:
        head = (
            f"{model['dimension']}D  RMSE {model['rmse']:.4g}{unit}, largest error {model['max_abs_error']:.4g}{unit}"
        )
        lines += ["", head, model.get("shown") or model["equation"]]
    lines[1:1] = [*materials_text(document), *_selection(document)]
    if document.get("certain"):
        lines += ["", *_certain(document)]
    if document.get("calibration"):
        lines += ["", *_accuracy(document, unit)]
    elif document.get("low"):
        lines += ["", *low_text(document, unit.strip())]
    if "trade_off" in document:
        lines += ["", *trade_off_text(document, width)]
    return "\n".join(lines)


def _selection(document: Mapping[str, Any]) -> list[str]:
    """Which primary features were chosen among many, and what that does to errors."""
    said = document.get("selection")
    if not said or len(said["primaries"]) == said["n_primary"]:
        return []
    names = ", ".join(map(quoted, said["primaries"]))
    how = f"{said['by']}: {said['n_rounds']} rounds saw {said['n_seen']}" if said["by"] == "subsets" else said["by"]
    errors = "errors, also out of bag," if document.get("calibration") else "errors"
    return [
        f"chosen {len(said['primaries'])} of {said['n_primary']} primary features ({how}): {names}",
        f"the choice saw all labels: {errors} are smaller than those of new materials",
    ]


def discover_text(summary: Mapping[str, Any], width: int | None = None) -> str:
    """What `discover` prints; takes the document of ``discover --json``, and the columns of the terminal if it is one.

    What the surrogate does not tell of itself is left out.
    """
    target, unit = summary["target"]["name"], summary["target"]["unit"]
    suffix = f" {unit}" if unit else ""
    again = "" if summary["is_new"] else " (as recorded; there is no new label)"
    head = [
        f"Iteration {summary['iteration']}{again}: {summary['n_labelled']} labelled, "
        f"{counted(summary['n_candidates'], 'candidate')}, goal {summary['goal']}",
        *materials_text(summary),
        *([f"Features: {sizes(summary['n_features'])}"] if summary.get("n_features") else []),
        *([f"left out: {rejections(summary['rejected'])}"] if "rejected" in summary else []),
    ]
    is_of_classes = bool(wanted_classes(summary))
    parts = [
        head,
        _choice(summary, suffix),
        formulas_of_hits(summary) if is_of_classes else _typical(summary, suffix),
        _agreement(summary),
        _certain(summary),
        accuracy_of_hits(summary) if is_of_classes else _accuracy(summary, suffix),
        [said] if (said := no_longer_help(summary, unit)) else [],
        ["Levels of theory:", *(f"  {line}" for line in lines)] if (lines := levels_text(summary)) else [],
        _proposals(summary, target, suffix, width),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _choice(summary: Mapping[str, Any], suffix: str) -> list[str]:
    """Which of several sizes of space the ensemble chose, and by what."""
    choices = summary.get("choices") or []
    if len(choices) < 2 or not {"rung", "dim"} <= summary.keys():
        return []
    tried: dict[str, list[str]] = {}
    has_forms = len({(choice.get("form"), choice.get("column")) for choice in choices}) > 1
    for choice in choices:
        error = "?" if choice["mae"] is None else f"{choice['mae']:.3g}"
        number = f" ({choice['dim']} term{'s' if choice['dim'] > 1 else ''})" if choice["dim"] else ""
        tried.setdefault(_place(choice, has_forms), []).append(f"{error}{number}")
    terms = f"rung {summary['rung']}, {summary['dim']} term{'s' if summary['dim'] > 1 else ''}"
    terms = terms if summary["dim"] else "no formula"
    return [
        f"Chosen: {terms}, by the out-of-bag mean absolute error{suffix and f' in{suffix}'}:",
        *(f"  {place}: {', '.join(errors)}" for place, errors in tried.items()),
        *_simplest(choices, has_forms),
    ]


def _place(choice: Mapping[str, Any], has_forms: bool) -> str:
    """What formulas of a choice are for, and their rung."""
    form = f"{form_text(choice['form'], choice['column'])}, " if has_forms else ""
    return form + (f"rung {choice['rung']}" if choice["dim"] else "no formula")


def _simplest(choices: Sequence[Mapping[str, Any]], has_forms: bool) -> list[str]:
    """Which is the simplest that the labels cannot tell from the best; runs of earlier versions do not tell the standard error."""
    if (simple := simplest_choice(choices)) is None:
        return []
    terms = f", {simple['dim']} term{'s' if simple['dim'] > 1 else ''}" if simple["dim"] else ""
    said = f"{_place(simple, has_forms)}{terms}"
    best = min(choice["mae"] for choice in choices if choice["mae"] is not None)
    if simple["mae"] == best:
        return ["  no simpler one is within one standard error of the least"]
    return [f"  the simplest within one standard error of the least: {said}"]


def _typical(summary: Mapping[str, Any], suffix: str) -> list[str]:
    members = [member for member in summary.get("typical") or [] if member.get("equation")]
    if not members:
        return []
    number = f"{summary['n_members']} " if "n_members" in summary else ""
    lines = [f"Most typical of {number}formulas (closest to the median of all):"]
    for member in members:
        said = [f"RMSE {member['rmse']:.3g}{suffix} in training"] if "rmse" in member else []
        said += [f"{member['distance']:.3g}{suffix} from the median of all formulas"] if "distance" in member else []
        shared = member.get("n_members", 1)
        same = f"; {shared} members have these descriptors" if shared > 1 else ""
        lines += ["", *("  " + line for line in (member.get("shown") or member["equation"]).splitlines())]
        lines += [f"  {', '.join(said)}{same}"] if said else []
    return lines


def _agreement(summary: Mapping[str, Any]) -> list[str]:
    primaries = summary.get("recurrence", {}).get("primaries", {})
    shares = [f"{quoted(name)} {share:.0%}" for name, share in list(primaries.items())[:6]]
    return [f"Primary features that recur: {', '.join(shares)}"] if shares else []


def _certain(summary: Mapping[str, Any]) -> list[str]:
    """What is certain, and the most probable of the rest."""
    said = summary.get("certain")
    if not said:
        return []
    primaries = [(quoted(name), share) for name, share in said["primaries"].items()]
    descriptors = [(one.get("shown") or one["expression"], one["probability"]) for one in said["descriptors"]]
    kinds = [("primary features", primaries, 6), ("descriptors", descriptors, N_PROBABLE)]
    lines = [f"Certain, with a probability above {said['threshold']:.0%} over all models that were scored:"]
    for kind, shares, most in kinds:
        sure = [f"{name} {share:.0%}" for name, share in shares if share > said["threshold"]][:most]
        rest = [f"{name} {share:.0%}" for name, share in shares if share <= said["threshold"]][: most - len(sure)]
        less = f"; less probable: {', '.join(rest)}" if rest else ""
        lines.append(f"  {kind}: {', '.join(sure) or 'none'}{less}")
    return lines


def _accuracy(summary: Mapping[str, Any], suffix: str) -> list[str]:
    """Out-of-bag errors, and how well sigma describes them."""
    said = summary.get("calibration")
    if said is None:
        return ["Accuracy: not known; it is measured with out-of-bag predictions that have a standard deviation"]
    number = f" on {said['n']} rows" if "n" in said else ""
    number += f" of {said['n_materials']} materials" if said.get("n_materials", said.get("n")) != said.get("n") else ""
    lines = [
        f"Accuracy{number}, each predicted without using its label (out of bag):",
        *_errors(summary, said, suffix),
        *(f"  {line}" for line in low_text(summary, suffix.strip())),
    ]
    lines += [f"  {unlike}"] if (unlike := shift_text(summary, suffix.strip())) else []
    if said.get("spearman") is not None:
        lines.append(f"  rank correlation of sigma and absolute residual: {said['spearman']:.2f}")
    lines += [*_coverage(said), *_area(said), *_basis_of_recalibration(said)]
    return [*lines, f"  std below is the {summary['sigma']} standard deviation"] if "sigma" in summary else lines


def _errors(summary: Mapping[str, Any], said: Mapping[str, Any], suffix: str) -> list[str]:
    alone = summary.get("formula_calibration")
    learners = {"trees": "trees", "process": "a Gaussian process", "both": "trees and a Gaussian process"}
    learner = learners.get(summary.get("correction", "none"))
    rows = [("formulas alone: ", alone)] if alone else []
    rows += [(f"corrected by {learner}: ", said)] if learner else []
    rows = rows or [("", said)]
    names = {"rmse": "RMSE", "mae": "mean absolute error"}
    lines = []
    for head, errors in rows:
        shown = [f"{name} {errors[key]:.3g}{suffix}" for key, name in names.items() if errors.get(key) is not None]
        lines += [f"  {head}{', '.join(shown)}"] if shown else []
    return lines


def _coverage(said: Mapping[str, Any]) -> list[str]:
    """Of the 95 % interval, with the raw sigma and after recalibration."""
    raw, kind = said.get("coverage95_raw"), said.get("kind", "none")
    if raw is None:
        return [f"  coverage of the 95 % prediction interval: {said['coverage95']:.0%}"] if "coverage95" in said else []
    after = (
        ""
        if kind == "none"
        else f", {said['coverage95']:.0%} after recalibration ({kind}; sigma times {said['scale']:.2f})"
    )
    return [f"  coverage of the 95 % prediction interval: {raw:.0%} with the raw sigma{after}"]


def _area(said: Mapping[str, Any]) -> list[str]:
    """The miscalibration area, and what a perfect sigma would have."""
    area, raw = said.get("miscalibration_area"), said.get("miscalibration_area_raw")
    if area is None:
        return []
    shown = f"{area:.3f}" if raw is None or said.get("kind") == "none" else f"{raw:.3f}, after recalibration {area:.3f}"
    lines = [f"  miscalibration area: {shown}"]
    if said.get("noise_floor95") is not None:
        lines.append(
            f"    (a perfect sigma has {said['noise_floor']:.3f} on average, and less than {said['noise_floor95']:.3f} with a "
            "probability of 95 %)"
        )
    return lines


def _basis_of_recalibration(said: Mapping[str, Any]) -> list[str]:
    """What the figures after a recalibration prove: intervals fitted to such errors cover their share of them with any sigma."""
    if "n" not in said:
        return []
    from sisso_sal.models.recalibration import FEWEST, FEWEST_PARTED

    n_materials = said.get("n_materials", said["n"])
    if n_materials < FEWEST:
        return [f"  no recalibration: it needs residuals of {FEWEST} materials at least, found {n_materials}"]
    if said.get("kind", "none") == "none":
        return []
    if n_materials < FEWEST_PARTED:
        of = f" of {n_materials} materials" if n_materials < said["n"] else ""
        return [
            f"  the recalibration is judged by the same {said['n']} residuals{of} that it was fitted to: "
            f"fewer than {FEWEST_PARTED} are not split"
        ]
    return [
        "  recalibration makes the coverage right on average; only the rank correlation tells whether a smaller sigma means a "
        "smaller error"
    ]


def _proposals(summary: Mapping[str, Any], target: str, suffix: str, width: int | None) -> list[str]:
    best, proposals, is_of_classes = summary["best"], summary["proposals"], bool(wanted_classes(summary))
    lines = [f"Best known: {printable(best['id'])}, {best['value']:.4g}{suffix}"]
    lines = [known_hits(summary)] if is_of_classes else lines
    lines += filter(None, [no_prediction(summary), excluded_text(summary["excluded"])])
    if not proposals:
        stop = (summary.get("campaign") or {}).get("stop") or {}
        why = f": {stop['why']}" if stop.get("kind") == "budget" and summary.get("levels") else ""
        return [*lines, f"No candidate can be proposed{why}."]
    marks = {"flags": [flags(p) for p in proposals]} if any(map(flags, proposals)) else {}
    marks |= {mark.name: [p.get(mark.name, "") for p in proposals] for mark in occurring(proposals)}
    table = hits_table(summary, width, marks) if is_of_classes else _table(summary, suffix, width)
    lines += ["", f"Best candidates for {printable(target)}:", table]
    after = why_lines(proposals, width)
    lines += flags_explained(flags(proposal) for proposal in proposals)
    lines += [mark.explained for mark in occurring(proposals)]
    if is_of_classes:
        return [*lines, *after_hits(summary), "", *after]
    if score := score_at_levels(summary):
        lines.append(f"score: {score}")
    elif acquisition := installed(summary["acquisition"]):
        lines.append(f"score: {acquisition.explained(suffix.strip())}")
    if summary["expected_hits"] is not None and any(not proposal.get("level") for proposal in proposals):
        n_last = sum(not proposal.get("level") for proposal in proposals)
        which = f"these {n_last}" if n_last == len(proposals) else f"the {n_last} of the last level"
        lines.append(
            f"{summary['expected_hits']:.1f} of {which} are expected to reach {_rounded(summary['wanted'])}{suffix}"
        )
    return [*lines, "", *after] if after else lines


def _table(summary: Mapping[str, Any], suffix: str, width: int | None) -> str:
    """The proposals; columns of which the surrogate tells nothing are not there."""
    proposals, n_members = summary["proposals"], summary.get("n_members")
    columns = {
        "": [str(rank) for rank in range(1, len(proposals) + 1)],
        "candidate": [p["id"] for p in proposals],
        **_levels_of(summary),
        f"mean{suffix}": [f"{p['mean']:.3f}" for p in proposals],
        "std": [f"{p['std']:.3f}" for p in proposals],
        "95 % interval": [_interval(p["low95"], p["high95"]) for p in proposals],
    }
    score = "score" if "level" in columns else f"score ({summary['acquisition']})"
    if summary.get("typical") and all(p["formulas_mean"] is not None for p in proposals):
        columns["formulas"] = [f"{p['formulas_mean']:.3f}" for p in proposals]
    columns[score] = ["-" if p["score"] is None else f"{p['score']:.4g}" for p in proposals]
    if n_members is not None:
        columns["members"] = [f"{p['n_valid']}/{n_members}" for p in proposals]
    if any(flags(p) for p in proposals):
        columns["flags"] = [flags(p) for p in proposals]
    marks = [mark.name for mark in occurring(proposals)]
    columns |= {name: [p.get(name, "") for p in proposals] for name in marks}
    if any(p.get("because") for p in proposals):
        columns["because"] = [p["because"] for p in proposals]
    names = list(columns)
    text = {"candidate", "level", "95 % interval", "flags", "because", *marks}
    spare = [
        names.index(name) for name in ("because", "members", "formulas", "95 % interval", score) if name in columns
    ]
    rows = [names, *(list(row) for row in zip(*columns.values(), strict=True))]
    return aligned(rows, numeric=[k for k, name in enumerate(names) if name not in text], width=width, spare=spare)


def _levels_of(summary: Mapping[str, Any]) -> dict[str, list[str]]:
    """The column of levels, where a campaign has some."""
    last = (summary.get("levels") or {}).get("last")
    return {} if last is None else {"level": [p.get("level") or last["name"] for p in summary["proposals"]]}


def _interval(low: float | None, high: float | None) -> str:
    return "unbounded" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _rounded(bound: str) -> str:
    """A goal with its numbers to four digits."""
    return re.sub(r"-?\d+\.\d+(e-?\d+)?", lambda number: f"{float(number[0]):.4g}", bound)


FLAGS = {
    "E": "more than a third of the formulas extrapolate",
    "F": "far from all labelled materials (more than twice their usual distance)",
}
"""What the letters of `flags` stand for."""


def occurring(proposals: Sequence[Mapping[str, Any]]) -> list[Mark]:
    """The marks that some proposal has; those of an earlier version of the program may lack one."""
    return [mark for mark in MARKS if any(proposal.get(mark.name) for proposal in proposals)]


def flags_explained(letters: Iterable[str]) -> list[str]:
    """One line on the letters that occur; none where there are no flags.

    Examples
    --------
    >>> flags_explained(["", "F", "F"])
    ['flags: F, far from all labelled materials (more than twice their usual distance)']
    >>> flags_explained(["", ""])
    []
    """
    letters = {*"".join(letters)}
    said = [f"{letter}, {words}" for letter, words in FLAGS.items() if letter in letters]
    return [f"flags: {'; '.join(said)}"] if said else []


def flags(proposal: Mapping[str, Any]) -> str:
    """Letters that warn of a prediction far from the training data, by its ``outside`` and ``distance`` (see `Prediction`).

    Examples
    --------
    >>> flags({"outside": 0.5, "distance": 3.0}), flags({"outside": None, "distance": 1.0})
    ('EF', '')
    """
    return "E" * extrapolates(proposal) + "F" * is_far(proposal)
