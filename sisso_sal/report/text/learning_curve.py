"""Learning curves as text: a table of errors, and what follows from them in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Any

from sisso_sal.report.text.table import aligned

LITTLE = 0.02
"""A share of the error that is called nothing."""

N_SHOWN = 6
"""Ids that are shown; the JSON document has all."""

TIMES_IN_WORDS = {2: "Twice", 4: "Four times"}

ORDERS_IN_WORDS = {"random": "at random", "error": "worst predicted first", "coverage": "farthest first"}
"""How each order is called in a sentence."""


def learning_curve_text(document: Mapping[str, Any], width: int | None = None) -> str:
    """What ``tune --learning-curve`` prints; takes its document, and the columns of the terminal if it is one."""
    unit, groups, shown = document["target"]["unit"], document["n_groups"], Shown.of(document)
    materials = "" if groups == document["n_labels"] else f" of {groups} materials"
    head = ["labels", *(text for order in document["curves"] for text in (f"RMSE, {order}", "±", "MAE"))]
    rows = [head]
    for points in zip(*document["curves"].values(), strict=True):
        row = [str(points[0]["labels"])]
        for point in points:
            row += [shown(point["rmse"]["value"]), shown(point["rmse"]["error"]), shown(point["mae"]["value"])]
        rows.append(row)
    lines = [
        f"{document['n_labels']} labels{materials}, {document['folds']} folds, {document['repeats']} repeats; errors of rows that "
        f"were not learned from{f', in {unit}' if unit else ''}:",
        "",
        aligned(rows, numeric=range(len(head)), width=width, spare=[6, 9, 3, 5, 8, 2]),
        "±: standard error; random: labels in random order; error: the worst predicted first; coverage: the farthest first",
        "",
        *document["advice"],
    ]
    if pruned := document.get("pruned"):
        lines += ["", _pruned(pruned)]
    return "\n".join(lines)


@dataclass(frozen=True)
class Shown:
    """Writes errors with the decimals in which that of all labels has three digits."""

    decimals: int

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Shown:
        """For the errors of this document."""
        error = document["curves"]["random"][-1]["rmse"]["value"]
        return cls(max(0, 2 - floor(log10(error))) if error > 0 else 3)

    def __call__(self, value: float) -> str:
        text = f"{value:.{self.decimals}f}"
        return text.removeprefix("-") if float(text) == 0 else text

    def with_interval(self, number: Mapping[str, float]) -> str:
        """A number and its 95 % interval."""
        return f"{self(number['value'])} ({self(number['low'])} to {self(number['high'])})"


def advice(document: Mapping[str, Any]) -> list[str]:
    """What follows from the curves, a sentence or two each.

    Parameters
    ----------
    document : mapping
        As `read_curves` gives it, with ``target``.
    """
    unit, shown = document["target"]["unit"], Shown.of(document)
    suffix = f" {unit}" if unit else ""
    return [
        *_more_labels(document, shown, suffix),
        _last_half(document["last_half"], shown, suffix),
        _enough(document["enough"], shown, suffix),
        *_orders(document["against_random"]),
    ]


def _more_labels(document: Mapping[str, Any], shown: Shown, suffix: str) -> list[str]:
    law = document["extrapolation"]["rmse"]
    if law is None:
        return [f"{document['n_labels']} labels are too few for an extrapolation: it needs four sizes."]
    now, *later = law["points"]
    lines = [f"With all {now['labels']} labels the RMSE is about {shown.with_interval(now)}{suffix}."]
    for point in later:
        words = TIMES_IN_WORDS[round(point["labels"] / now["labels"])]
        lines.append(
            f"{words} as many would lower it to about {shown.with_interval(point)}{suffix}: by {_gain(point['gain'], now, shown)}."
        )
    return lines


def _gain(gain: Mapping[str, float], now: Mapping[str, float], shown: Shown) -> str:
    """How much the error falls; less than `LITTLE` of it is called nothing."""
    if gain["high"] < LITTLE * now["value"]:
        return "next to nothing"
    if gain["low"] < LITTLE * now["value"]:
        return f"{shown(gain['value'])} (nothing to {shown(gain['high'])})"
    return shown.with_interval(gain)


def _last_half(half: Mapping[str, Any], shown: Shown, suffix: str) -> str:
    change = f"{half['labels']} to {half['of']} labels, RMSE {shown(half['before'])} to {shown(half['now'])}{suffix}"
    fall = shown.with_interval({**half, "value": half["fall"]})
    if half["low"] > 0:
        return f"The last half of the labels lowered the error ({change}) by {fall}."
    return f"The last half of the labels lowered the error ({change}) by less than its uncertainty: {fall}."


def best_order(enough: Mapping[str, Mapping[str, Any]]) -> str:
    """The order in which the fewest rows reach the error of all; of equal ones that of the smallest error, then the simplest."""
    names = list(ORDERS_IN_WORDS)
    return min(enough, key=lambda name: (enough[name]["labels"], enough[name]["rmse"], names.index(name)))


def _enough(enough: Mapping[str, Mapping[str, Any]], shown: Shown, suffix: str) -> str:
    order = best_order(enough)
    best = enough[order]
    if best["labels"] == best["of"]:
        return "In no order do fewer rows reach the errors of all, within their uncertainty and 5 %: there are no rows to spare."
    return (
        f"By {order} ({ORDERS_IN_WORDS[order]}), {best['labels']} of {best['of']} rows reach the error of all: RMSE "
        f"{shown(best['rmse'])} against {shown(best['rmse_of_all'])}{suffix} (± {shown(best['error'])})."
    )


def _orders(against: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Where an order is better or worse than a random one beyond the uncertainty of the ratio of their errors."""
    lines = []
    for order, ratios in against.items():
        better = [ratio for ratio in ratios if ratio["high"] < 1]
        worse = [ratio for ratio in ratios if ratio["low"] > 1]
        parts = [f"smaller {_where(better)}"] if better else []
        parts += [f"larger {_where(worse)}"] if worse else []
        if parts:
            lines.append(
                f"{ORDERS_IN_WORDS[order].capitalize()}, the RMSE is {' and '.join(parts)} than in random order."
            )
    return lines


def _where(ratios: Sequence[Mapping[str, Any]]) -> str:
    listed = [f"{ratio['labels']} labels ({abs(ratio['value'] - 1):.0%})" for ratio in ratios]
    return "with " + (f"{', '.join(listed[:-1])} and {listed[-1]}" if len(listed) > 1 else listed[0])


def _pruned(pruned: Mapping[str, Any]) -> str:
    n_gone = len(pruned["gone"])
    if not n_gone:
        return f"{pruned['out']} has all rows: there are none to spare."
    why = {
        "random": "chosen at random",
        "error": "those best predicted by what was learned from others",
        "coverage": "those nearest to others in their features",
    }[pruned["order"]]
    return (
        f"{pruned['out']} has {pruned['kept']} of the {pruned['kept'] + n_gone} rows with a label, and all without one. "
        f"{n_gone} went, {why}: {', '.join(pruned['gone'][:N_SHOWN])}{' …' if n_gone > N_SHOWN else ''}"
    )
