"""What `fit` prints of descriptors that tell classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sisso_sal.report.text.results import rejections, sizes
from sisso_sal.report.text.table import aligned


def classes_text(document: Mapping[str, Any]) -> str:
    """The document of ``fit --classify --json`` as text."""
    counts = ", ".join(f"{count:g} {name}" for name, count in document["class_counts"])
    lines = [
        f"{document['n_samples']} samples: {counts}",
        f"features: {sizes(document['n_features'])}",
        f"left out: {rejections(document['rejected'])}",
        "",
        _table(document),
    ]
    for model in document["models"]:
        lines += ["", f"{model['dimension']}D  {model['accuracy']:.1%} right, log loss {model['log_loss']:.4g}"]
        for one in model["log_odds"]:
            lines += [f"for {one['class']}:", one["shown"]]
    lines += ["", f"classes of the {document['models'][-1]['dimension']}D model (rows) and what it tells (columns):"]
    return "\n".join([*lines, _confusion(document)])


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


def _confusion(document: Mapping[str, Any]) -> str:
    names = [str(name) for name in document["classes"]]
    counts = document["models"][-1]["confusion"]
    rows = [["", *names], *([name, *(f"{count:g}" for count in row)] for name, row in zip(names, counts, strict=True))]
    return aligned(rows, numeric=range(1, len(names) + 1))
