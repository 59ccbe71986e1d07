"""What `fit` prints of descriptors that tell classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sisso_sal.features.names import quoted
from sisso_sal.report.summary import materials_text
from sisso_sal.report.text.results import rejections, sizes
from sisso_sal.report.text.table import aligned

N_RECUR = 6
"""Primary features and descriptors that are named of those that recur."""


def classes_text(document: Mapping[str, Any]) -> str:
    """The document of ``fit --classify --json`` as text."""
    lines = [*_head(document), "", _table(document)]
    for model in document["models"]:
        lines += ["", f"{model['dimension']}D  {model['accuracy']:.1%} right, log loss {model['log_loss']:.4g}"]
        lines += _log_odds(model)
    lines += ["", f"classes of the {document['models'][-1]['dimension']}D model (rows) and what it tells (columns):"]
    return "\n".join([*lines, _confusion(document["classes"], document["models"][-1]["confusion"])])


def members_text(document: Mapping[str, Any]) -> str:
    """The document of ``fit --classify --members --json`` as text."""
    lines = [*_head(document)]
    lines[1:1] = materials_text(document)
    lines += ["", f"{len(document['models'])} most typical of {document['n_members']} members:"]
    for model in document["models"]:
        same = f"; {model['n_members']} members have these descriptors" if model["n_members"] > 1 else ""
        right = f"{model['accuracy']:.1%} right in training, log loss {model['log_loss']:.4g}"
        lines += ["", f"{model['dimension']}D  {right}{same}", *_log_odds(model)]
    lines += ["", *_recurring(document["recurrence"]), "", *_believed(document)]
    lines += ["", "classes out of bag (rows) and what the members tell (columns):"]
    return "\n".join([*lines, _confusion(document["classes"], document["confusion"])])


def _head(document: Mapping[str, Any]) -> list[str]:
    counts = ", ".join(f"{count:g} {name}" for name, count in document["class_counts"])
    return [
        f"{document['n_samples']} samples: {counts}",
        f"features: {sizes(document['n_features'])}",
        f"left out: {rejections(document['rejected'])}",
    ]


def _log_odds(model: Mapping[str, Any]) -> list[str]:
    return [line for one in model["log_odds"] for line in (f"for {one['class']}:", one["shown"])]


def _recurring(recurrence: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    primaries = [f"{quoted(one['name'])} {one['share']:.0%}" for one in recurrence["primaries"]]
    descriptors = [f"{one['shown']} {one['share']:.0%}" for one in recurrence["descriptors"]]
    return [
        f"Primary features that recur: {', '.join(primaries[:N_RECUR])}",
        f"Descriptors that recur: {', '.join(descriptors[: N_RECUR // 2])}",
    ]


def _believed(document: Mapping[str, Any]) -> list[str]:
    """How far the probabilities can be believed."""
    told, raw, shares = document["calibration"], document["raw_calibration"], document["baseline"]
    floor = (
        f"{told['noise_floor']:.3f} on average, and less than {told['noise_floor95']:.3f} with a probability of 95 %"
    )
    return [
        f"Accuracy on {told['n']} rows, each told by members that did not see it (out of bag):",
        f"  {_scores(told)}",
        f"  without the scaling: {_scores(raw)}",
        f"  the shares of the classes alone: {_scores(shares)}",
        f"  miscalibration: {told['miscalibration']:.3f}, without the scaling {raw['miscalibration']:.3f}",
        f"    (calibrated probabilities show {floor})",
    ]


def _scores(told: Mapping[str, float]) -> str:
    return f"{told['accuracy']:.1%} right, log loss {told['log_loss']:.3f}, Brier score {told['brier']:.3f}"


def _table(document: Mapping[str, Any]) -> str:
    """The best descriptor of each dimension."""
    rows = [["dim", "right", "log loss", "in overlap", "size", "descriptors"]]
    for model in document["models"]:
        size = "" if model["overlap_size"] is None else f"{model['overlap_size']:.4g}"
        formulas = ", ".join(term["shown"] for term in model["terms"])
        right = f"{model['accuracy']:.1%}"
        rows.append(
            [str(model["dimension"]), right, f"{model['log_loss']:.4g}", f"{model['overlap']:g}", size, formulas]
        )
    return aligned(rows, numeric=range(5))


def _confusion(classes: Sequence[Any], counts: Sequence[Sequence[float]]) -> str:
    names = [str(name) for name in classes]
    rows = [["", *names], *([name, *(f"{count:g}" for count in row)] for name, row in zip(names, counts, strict=True))]
    return aligned(rows, numeric=range(1, len(names) + 1))
