"""Results as plain text for a terminal or a log file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def aligned(rows: Sequence[Sequence[str]], numeric: Iterable[int] = ()) -> str:
    """Rows of cells as a table; the first row is the header, `numeric` columns are set flush right.

    Examples
    --------
    >>> print(aligned([["id", "mean"], ["MgO", "0.8"]], numeric=[1]))
    id   mean
    MgO   0.8
    """
    right = set(numeric)
    widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(w) if j in right else cell.ljust(w) for j, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


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


def discover_text(summary: Mapping[str, Any]) -> str:
    """What `discover` prints; takes the document of ``discover --json``."""
    target, unit = summary["target"]["name"], summary["target"]["unit"]
    suffix = f" {unit}" if unit else ""
    again = "" if summary["is_new"] else " (recorded; nothing has been learned since)"
    lines = [
        f"Iteration {summary['iteration']}{again}: {summary['n_labelled']} labelled, {summary['n_candidates']} candidates, "
        f"goal {summary['goal']}",
        f"Features: {sizes(summary['n_features'])}",
        f"left out: {rejections(summary['rejected'])}",
        "",
        *_typical(summary, suffix),
        *_agreement(summary["recurrence"]),
        "",
        *_accuracy(summary, suffix),
        "",
        *_proposals(summary, target, suffix),
    ]
    return "\n".join(lines)


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
        return ["Accuracy: not known, every labelled row was in every member's sample"]
    floor = 0.31 / found["n"] ** 0.5
    return [
        f"Accuracy on {found['n']} rows, each predicted by the members that did not see it (out of bag):",
        f"  RMSE {found['rmse']:.3g}{suffix}, mean absolute error {found['mae']:.3g}{suffix}",
        f"  within the 95 % interval: {found['coverage95_raw']:.0%} with the members' spread, "
        f"{found['coverage95']:.0%} with it times {found['scale']:.2f}",
        f"  miscalibration area {found['miscalibration_area_raw']:.3f}, then {found['miscalibration_area']:.3f} "
        f"(a perfect sigma shows about {floor:.3f} on so many rows)",
        f"  std below is the {summary['sigma']} one",
    ]


def _proposals(summary: Mapping[str, Any], target: str, suffix: str) -> list[str]:
    best = summary["best"]
    lines = [f"Best known: {best['id']}, {best['value']:.4g}{suffix}"]
    if summary["n_without_prediction"]:
        lines.append(
            f"{summary['n_without_prediction']} candidates have no prediction: too few members are valid so far from the "
            "training data"
        )
    if not summary["proposals"]:
        return [*lines, "No candidate can be proposed."]
    n = summary["n_members"]
    rows = [["", "candidate", f"mean{suffix}", "std", f"score ({summary['acquisition']})", "members"]]
    rows += [
        [str(rank), p["id"], f"{p['mean']:.3f}", f"{p['std']:.3f}", f"{p['score']:.4g}", f"{p['n_valid']}/{n}"]
        for rank, p in enumerate(summary["proposals"], 1)
    ]
    return [*lines, "", f"Best candidates for {target}:", aligned(rows, numeric=[0, 2, 3, 4, 5])]
