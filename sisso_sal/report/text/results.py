"""Results as plain text for a terminal or a log file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def aligned(
    rows: Sequence[Sequence[str]], numeric: Iterable[int] = (), width: int | None = None, spare: Sequence[int] = ()
) -> str:
    """Rows of cells as a table; the first row is the header, `numeric` columns are set flush right.

    Where the table is wider than `width`, the columns in `spare` are left out one after the other until it fits, and named in a
    last line; what is too wide even then is cut.

    Examples
    --------
    >>> print(aligned([["id", "mean"], ["MgO", "0.8"]], numeric=[1]))
    id   mean
    MgO   0.8
    >>> print(aligned([["id", "mean", "std"], ["MgO", "0.8", "0.1"]], numeric=[1, 2], width=10, spare=[2]))
    id   mean
    MgO   0.8
    not shown for want of room: std
    """
    right = set(numeric)
    widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
    kept, gone = list(range(len(widths))), []
    for j in spare if width is not None else ():
        if width is None or sum(widths[k] + 2 for k in kept) - 2 <= width:
            break
        kept.remove(j)
        gone.append(rows[0][j])
    lines = []
    for row in rows:
        cells = [row[j].rjust(widths[j]) if j in right else row[j].ljust(widths[j]) for j in kept]
        line = "  ".join(cells).rstrip()
        lines.append(line if width is None or len(line) <= width else line[: width - 1] + "…")
    told = [f"not shown for want of room: {', '.join(dict.fromkeys(gone))}"] if gone else []
    return "\n".join([*lines, *told])


def rejections(rejected: Mapping[str, Mapping[str, int]]) -> str:
    """Features left out, by cause, over all rungs; "none" if there are none."""
    total: dict[str, int] = {}
    for counts in rejected.values():
        for cause, number in counts.items():
            total[cause] = total.get(cause, 0) + number
    return ", ".join(f"{number} by {cause}" for cause, number in sorted(total.items(), key=lambda x: -x[1])) or "none"


def sizes(n_features: Mapping[str, int]) -> str:
    """Features of each rung in one line."""
    return ", ".join(f"{number} of rung {rung}" for rung, number in n_features.items())


def fit_text(document: Mapping[str, Any]) -> str:
    """What `fit` prints; takes the document of ``fit --json`` with equations in it."""
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
        lines += ["", head, model["equation"]]
    if document.get("calibration"):
        lines += ["", *_accuracy(document, unit)]
    return "\n".join(lines)


def discover_text(summary: Mapping[str, Any], width: int | None = None) -> str:
    """What `discover` prints; takes the document of ``discover --json``, and the columns of the terminal if it is one."""
    target, unit = summary["target"]["name"], summary["target"]["unit"]
    suffix = f" {unit}" if unit else ""
    again = "" if summary["is_new"] else " (recorded; nothing has been learned since)"
    lines = [
        f"Iteration {summary['iteration']}{again}: {summary['n_labelled']} labelled, {summary['n_candidates']} candidates, "
        f"goal {summary['goal']}",
        f"Features: {sizes(summary['n_features'])}",
        f"left out: {rejections(summary['rejected'])}",
        "",
        *_choice(summary, suffix),
        *_typical(summary, suffix),
        *_agreement(summary["recurrence"]),
        "",
        *_accuracy(summary, suffix),
        "",
        *_proposals(summary, target, suffix, width),
    ]
    return "\n".join(lines)


def _choice(summary: Mapping[str, Any], suffix: str) -> list[str]:
    """Which of several sizes of space the ensemble chose, and by what."""
    if len(summary["choices"]) < 2:
        return []
    tried: dict[int, list[str]] = {}
    for choice in summary["choices"]:
        error = "?" if choice["mae"] is None else f"{choice['mae']:.3g}"
        tried.setdefault(choice["rung"], []).append(f"{error} ({choice['dim']} term{'s' if choice['dim'] > 1 else ''})")
    terms = f"{summary['dim']} term{'s' if summary['dim'] > 1 else ''}"
    return [
        f"Chosen: rung {summary['rung']}, {terms}, by the out-of-bag mean absolute error{suffix and f' in{suffix}'}:",
        *(f"  rung {rung}: {', '.join(errors)}" for rung, errors in tried.items()),
        "",
    ]


def _typical(summary: Mapping[str, Any], suffix: str) -> list[str]:
    lines = [f"Most typical of {summary['n_members']} formulas (closest to the median of all):"]
    for member in summary["typical"]:
        lines += [
            "",
            *("  " + line for line in member["equation"].splitlines()),
            f"  RMSE {member['rmse']:.3g}{suffix} in training, {member['distance']:.3g}{suffix} from the median"
            + (f"; {member['n_members']} members have these descriptors" if member["n_members"] > 1 else ""),
        ]
    return lines


def _agreement(recurrence: Mapping[str, Mapping[str, float]]) -> list[str]:
    shares = [f"{name} {share:.0%}" for name, share in list(recurrence["primaries"].items())[:6]]
    return ["", f"Primary features that recur: {', '.join(shares)}"]


def _accuracy(summary: Mapping[str, Any], suffix: str) -> list[str]:
    found = summary["calibration"]
    if found is None:
        return ["Accuracy: not known, no labelled row has a prediction with a spread by members that did not see it"]
    alone = summary["formula_calibration"]
    lines = [
        f"Accuracy on {found['n']} rows, each predicted by what did not see it (out of bag):",
        f"  formulas alone: RMSE {alone['rmse']:.3g}{suffix}, mean absolute error {alone['mae']:.3g}{suffix}",
    ]
    if summary["correction"] != "none":
        learner = {"trees": "trees", "process": "a Gaussian process", "both": "trees and a Gaussian process"}
        lines.append(
            f"  corrected by {learner[summary['correction']]}: RMSE {found['rmse']:.3g}{suffix}, "
            f"mean absolute error {found['mae']:.3g}{suffix}"
        )
    if found["spearman"] is not None:
        lines.append(f"  rank correlation of sigma and error {found['spearman']:.2f}")
    lines += [
        f"  within the 95 % interval: {found['coverage95_raw']:.0%} as it comes, {found['coverage95']:.0%} recalibrated "
        f"({found['kind']}; sigma times {found['scale']:.2f})",
        f"  miscalibration area {found['miscalibration_area_raw']:.3f}, then {found['miscalibration_area']:.3f} (a perfect "
        f"sigma shows {found['noise_floor']:.3f}, and over {found['noise_floor95']:.3f} once in twenty)",
        *_what_recalibration_proves(found),
        f"  std below is the {summary['sigma']} one",
    ]
    return lines


def _what_recalibration_proves(found: Mapping[str, Any]) -> list[str]:
    """Intervals that were fitted to such errors hold about their share of them whatever sigma is worth."""
    if found["kind"] == "none":
        return []
    from sisso_sal.models.calibration import FEWEST_PARTED

    if found["n"] < FEWEST_PARTED:
        return [f"  recalibrated by these {found['n']} errors themselves: fewer than {FEWEST_PARTED} cannot be parted"]
    return [
        "  recalibration makes shares right on average; which predictions are the sure ones is up to the rank correlation"
    ]


def _proposals(summary: Mapping[str, Any], target: str, suffix: str, width: int | None) -> list[str]:
    best = summary["best"]
    lines = [f"Best known: {best['id']}, {best['value']:.4g}{suffix}"]
    if summary["n_without_prediction"]:
        lines.append(f"{summary['n_without_prediction']} candidates have no prediction: too far from the training data")
    if not summary["proposals"]:
        return [*lines, "No candidate can be proposed."]
    n = summary["n_members"]
    shown = summary["proposals"]
    rows = [
        [
            "",
            "candidate",
            f"mean{suffix}",
            "std",
            "95 % interval",
            "formulas",
            f"score ({summary['acquisition']})",
            "members",
            "flags",
        ]
    ]
    rows += [
        [
            *(str(rank), p["id"], f"{p['mean']:.3f}", f"{p['std']:.3f}", _interval(p["low95"], p["high95"])),
            *(f"{p['formula']:.3f}", f"{p['score']:.4g}", f"{p['n_valid']}/{n}", flags(p)),
        ]
        for rank, p in enumerate(shown, 1)
    ]
    table = aligned(rows, numeric=[0, 2, 3, 5, 6, 7], width=width, spare=[7, 5, 4, 6])
    lines += ["", f"Best candidates for {target}:", table]
    if any(row[-1] for row in rows[1:]):
        lines.append(FLAGS)
    if summary["acquisition"] == "search" and shown:
        lines.append(_search_score(summary["n_later"]))
    if summary["expected_hits"] is not None:
        lines.append(
            f"{summary['expected_hits']:.1f} of these {len(shown)} are expected to reach {_rounded(summary['wanted'])}{suffix}"
        )
    return lines


def _search_score(n_later: int) -> str:
    if not n_later:
        return "score: probability to be a target; no evaluation that is looked at comes after this batch"
    return (
        f"score: targets that it adds, itself and through its kin to the {n_later} evaluations after this batch; each was chosen "
        "as if those above it missed"
    )


def _interval(low: float | None, high: float | None) -> str:
    return "unbounded" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _rounded(bound: str) -> str:
    """A goal with its numbers to four digits."""
    return re.sub(r"-?\d+\.\d+(e-?\d+)?", lambda number: f"{float(number[0]):.4g}", bound)


FLAGS = (
    "flags: E, over a third of the formulas extrapolate; F, more than twice as far from the labelled as they are apart"
)
"""What the letters of `flags` stand for."""


def flags(proposal: Mapping[str, Any]) -> str:
    """Letters that warn of a prediction far out, from its ``outside`` and ``distance`` (see `Prediction`).

    Examples
    --------
    >>> flags({"outside": 0.5, "distance": 3.0}), flags({"outside": None, "distance": 1.0})
    ('EF', '')
    """
    outside, distance = proposal["outside"], proposal["distance"]
    return ("E" if (outside or 0) > 1 / 3 else "") + ("F" if (distance or 0) > 2 else "")


def replay_text(document: Mapping[str, Any], width: int | None = None) -> str:
    """What `replay` prints; takes the document of ``replay --json``, and the columns of the terminal if it is one."""
    rules, unit = document["rules"], document["target"]["unit"]
    batch = f", {rules['batch']} at a time" if rules["batch"] > 1 else ""
    lines = [
        f"{document['n_targets']} targets among {document['n_materials']} materials (goal {rules['goal']}); "
        f"{rules['n_start']} labels to start ({rules['start']}), {rules['evaluations']} evaluations{batch}, "
        f"{document['seeds']} starts",
        "",
    ]
    ranked = sorted(document["strategies"].items(), key=lambda item: -item[1]["mean"])
    head = [
        "strategy",
        "found",
        "95 %",
        f"best{f' {unit}' if unit else ''}",
        "enrichment",
        "95 %",
        "acceleration",
        "95 %",
        "half found",
    ]
    rows = [head]
    for name, found in ranked:
        best = sum(values[-1] for values in found["best"]) / len(found["best"])
        rows.append(
            [
                *(name, f"{found['mean']:.1f}", _range(found["interval"], 1), f"{best:.3g}"),
                *_with_range(found["enrichment"], 2),
                *_acceleration(found["acceleration"]),
            ]
        )
    lines.append(aligned(rows, numeric=[1, 3, 4, 6], width=width, spare=[7, 5, 3, 8, 2]))
    lines += [
        "enrichment: new targets per evaluation, over those of random picks",
        "acceleration: evaluations until half of the targets are known, by random picks (cut at the last) over by the strategy",
        "  <= where some starts did not get there, - where none did",
        "best: mean of the best labels",
    ]
    return "\n".join(lines)


def _acceleration(found: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """Number, 95 % and starts that got to half. An upper bound has no interval; without `found` half was known at every start."""
    if found is None:
        return "-", "", ""
    number, interval = _with_range(found, 1)
    is_bound = 0 < found["reached"] < found["of"]
    return (
        (f"<={number}" if is_bound else number),
        ("" if is_bound else interval),
        f"{found['reached']} of {found['of']}",
    )


def _range(interval: Sequence[float] | None, digits: int) -> str:
    return "" if interval is None else f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"


def _with_range(found: Mapping[str, Any], digits: int) -> tuple[str, str]:
    return ("-", "") if found["mean"] is None else (f"{found['mean']:.{digits}f}", _range(found["interval"], digits))


N_SETTINGS = 15
"""Settings that `tune` prints."""


def tune_text(document: Mapping[str, Any], width: int | None = None) -> str:
    """What `tune` prints; takes the document of ``tune --json``, and the columns of the terminal if it is one."""
    unit = document["target"]["unit"]
    names = list(document["best"])
    rows = [["", *names, f"MAE{f' {unit}' if unit else ''}", "±", "RMSE", "in 95 %", "area", "Spearman", "undefined"]]
    for rank, row in enumerate(document["rows"][:N_SETTINGS], 1):
        spearman = "" if row["spearman"] is None else f"{row['spearman']:.2f}"
        rows.append(
            [
                *(
                    str(rank),
                    *(str(row[name]) for name in names),
                    f"{row['mae']:.3f}",
                    f"{row['mae_error']:.3f}",
                    f"{row['rmse']:.3f}",
                ),
                *(f"{row['coverage95']:.0%}", f"{row['miscalibration_area']:.3f}", spearman, str(row["n_undefined"])),
            ]
        )
    best = document["rows"][0]
    level = sum(row["mae"] <= best["mae"] + best["mae_error"] for row in document["rows"])
    return "\n".join(
        [
            f"{document['n_samples']} samples, {document['folds']}-fold cross-validation of the formulas without correction",
            "",
            aligned(
                rows,
                numeric=[i for i in range(len(rows[0])) if i != 1 + names.index("transform")],
                width=width,
                spare=[len(names) + j for j in (7, 6, 5, 4, 3, 2)],
            ),
            f"{level} of {len(document['rows'])} combinations lie within one standard error of the best",
            f"The first is written to {document['out']}",
        ]
    )
