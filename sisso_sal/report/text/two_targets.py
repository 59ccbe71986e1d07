"""Two targets at once, as text for a terminal and as a figure: the known front, and what is proposed beyond it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sisso_sal.campaign.two_targets import Compromises
from sisso_sal.report.figures.colours import COLOURS
from sisso_sal.report.text.results import FLAGS, aligned, flags

N_FRONT = 12
"""Materials of the front that are printed."""

N_NAMED = 10
"""Proposals that are named in the figure."""


def pareto_text(document: Mapping[str, Any], width: int | None = None) -> str:
    """What `pareto` prints; takes the document of ``pareto --json``, and the columns of the terminal if it is one."""
    lines = [
        f"{document['n_labelled']} materials with both targets known, {document['n_candidates']} candidates"
        + (f", {document['n_half_labelled']} of them half known" if document["n_half_labelled"] else ""),
    ]
    for target in document["targets"]:
        lines += ["", *_target(target)]
    left_out = {
        "without a prediction, as too few formulas are valid so far from the training data": "n_without_prediction",
        "that cannot move the front (EHVI 0)": "n_without_gain",
    }
    counts = [f"Not proposed: {document[key]} candidates {why}" for why, key in left_out.items() if document[key]]
    lines += ["", *counts] if counts else []
    return "\n".join([*lines, "", *_proposals(document, width), "", *_front(document, width)])


def _target(target: Mapping[str, Any]) -> list[str]:
    """What it is and how well it is predicted."""
    unit, model = _unit(target), target["model"]
    head = f"{_header(target)}, {target['goal']}: "
    if model is None:
        return [f"{head}known for every row, nothing to learn"]
    lines = [f"{head}{target['n_labelled']} known"]
    if model["typical"]:
        lines += ["  " + line for line in model["typical"][0]["equation"].splitlines()]
        lines.append(f"  is the most typical of {model['n_members']} formulas")
    if (found := model["calibration"]) is None:
        return [*lines, "  accuracy: not known, every labelled row was in every member's sample"]
    return [
        *lines,
        f"  out of bag: mean absolute error {found['mae']:.3g}{unit}, {found['coverage95']:.0%} of the labels in the 95 % "
        "interval",
    ]


def _proposals(document: Mapping[str, Any], width: int | None) -> list[str]:
    if not document["proposals"]:
        return [
            "No candidate: both targets are known for every row."
            if not document["n_candidates"]
            else "No candidate is expected to move the front."
        ]
    rows = _rows(document)
    if width is not None and max(sum(len(cell) + 2 for cell in row[:4]) for row in rows) > width:  # names without units
        rows[0][2:4] = [target["name"] for target in document["targets"]]
    table = aligned(rows, numeric=[0, 4, 5], width=width, spare=[5, 4, 6][: len(rows[0]) - 4])
    area = " x ".join(target["unit"] for target in document["targets"] if target["unit"])
    told = {
        "EHVI": "EHVI: expected growth of the area that the front dominates, by each after those before it; that area is "
        f"{document['hypervolume']:.4g}{f' {area}' if area else ''} now",
        "not dominated": "not dominated: probability that no known material is at least as good in both",
        "flags": FLAGS,
    }
    head = table.partition("\n")[0]
    return ["To compute next, mean ± sigma:", table, *(line for name, line in told.items() if name in head)]


def _rows(document: Mapping[str, Any]) -> list[list[str]]:
    """The proposals as cells, with a header; flags only where there are any."""
    rows = [["", "candidate", *(_header(target) for target in document["targets"]), "EHVI", "not dominated", "flags"]]
    for rank, one in enumerate(document["proposals"], 1):
        values = [
            f"{mean:.4g} known" if known else with_sigma(mean, std)
            for mean, std, known in zip(one["mean"], one["std"], one["known"], strict=True)
        ]
        both = {key: max((x for x in one[key] if x is not None), default=None) for key in ("outside", "distance")}
        rows.append([str(rank), one["id"], *values, f"{one['ehvi']:.3g}", f"{one['not_dominated']:.0%}", flags(both)])
    return rows if any(row[-1] for row in rows[1:]) else [row[:-1] for row in rows]


def _front(document: Mapping[str, Any], width: int | None) -> list[str]:
    targets, front = document["targets"], document["front"]
    worst = " and ".join(f"{target['reference']:.4g}{_unit(target)}" for target in targets)
    origin = "as given" if document["reference"] == "given" else "the worst on the front and a tenth of its range"
    reference = f"reference (worst values of interest): {worst}, {origin}"
    if not front:
        return ["Known front: empty, both targets are known for no row", reference]
    within = [_better(one["values"], document) for one in front]
    rows = [["material", *(_header(target) for target in targets)]]
    rows += [[one["id"], *(f"{value:.4g}" for value in one["values"])] for one in front[:N_FRONT]]
    more = [f"and {len(front) - N_FRONT} more"] if len(front) > N_FRONT else []
    beyond = [] if any(within) else ["None of them is better than the reference in both: the area is still empty."]
    head = f"Known front, {len(front)} material{'s' if len(front) > 1 else ''}:"
    return [head, aligned(rows, numeric=[1, 2], width=width), *more, reference, *beyond]


def _better(values: list[float], document: Mapping[str, Any]) -> bool:
    """Whether it is better than the reference in both."""
    signs = [-1.0 if target["goal"] == "max" else 1.0 for target in document["targets"]]
    worst = [target["reference"] for target in document["targets"]]
    return all(sign * (bound - value) > 0 for sign, bound, value in zip(signs, worst, values, strict=True))


def _header(target: Mapping[str, Any]) -> str:
    return f"{target['name']} ({target['unit']})" if target["unit"] else target["name"]


def _unit(target: Mapping[str, Any]) -> str:
    return f" {target['unit']}" if target["unit"] else ""


def with_sigma(mean: float, std: float) -> str:
    """A mean to the second digit of its standard deviation.

    Examples
    --------
    >>> with_sigma(-0.05812, 0.1153), with_sigma(2183.4, 148.2), with_sigma(1.5, 0.0), with_sigma(3e-7, 1.25e-8)
    ('-0.06 ± 0.12', '2183 ± 148', '1.5 ± 0', '3e-07 ± 1.2e-08')
    """
    digits = 1 - math.floor(math.log10(std)) if std > 0 and math.isfinite(std) else None
    if digits is None or digits > 6 or abs(mean) >= 1e6:
        return f"{mean:.4g} ± {std:.2g}"
    return f"{mean:.{max(digits, 0)}f} ± {std:.{max(digits, 0)}f}"


def front_figure(found: Compromises) -> Any:
    """The plane of the two targets: what is known, its front, all predictions, and the proposals with their sigma.

    Parameters
    ----------
    found : Compromises
        Of `campaign.pareto.compromises`.

    Returns
    -------
    matplotlib Figure

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sisso_sal import SISSOEnsemble
    >>> from sisso_sal.campaign.two_targets import compromises
    >>> from sisso_sal.data.table import read_targets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "known.csv")
    ...     _ = path.write_text("id,x,gap (eV),cost\\na,1,2,5\\nb,2,4,9\\nc,3,,1\\nd,4,5,7\\n")
    ...     tables = read_targets(path, ["gap", "cost"])
    >>> make = lambda: SISSOEnsemble(members=3, rung=0, dim=1, dropout=0.0)
    >>> front_figure(compromises(tables, ["max", "min"], 1, make)).axes[0].get_xlabel()
    'gap (eV), large is better'
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.8, 4.8), layout="constrained")
    axes = figure.add_subplot()
    mean = np.column_stack([objective.mean for objective in found.objectives])
    std = np.column_stack([objective.std for objective in found.objectives])
    known, proposed = ~found.candidates, np.isin(np.arange(len(mean)), found.picks)
    rest = ~known & ~proposed
    x, y = mean.T
    axes.scatter(
        x[rest], y[rest], 8, "0.75", linewidths=0, zorder=1, label="candidates, predicted", rasterized=bool(rest.sum() > 2000)
    )  # fmt: skip
    axes.scatter(
        x[known], y[known], 22, "white", marker="s", edgecolors="0.35", linewidths=0.8, zorder=2, label="known"
    )
    axes.plot(*_stairs(found).T, color=COLOURS[0], linewidth=1.2, zorder=2)
    axes.scatter(x[found.front], y[found.front], 30, COLOURS[0], marker="s", zorder=3, label="known front")
    picks = found.picks
    axes.errorbar(
        x[picks], y[picks], yerr=std[picks, 1], xerr=std[picks, 0], fmt="D", color=COLOURS[1], markersize=5, linewidth=0.8,
        zorder=4, label="proposed, ± sigma",
    )  # fmt: skip
    _framed(axes, found, mean, std)
    _named(axes, found, mean)
    for set_label, objective in zip((axes.set_xlabel, axes.set_ylabel), found.objectives, strict=True):
        set_label(f"{_plain(objective.header)}, {'small' if objective.sign > 0 else 'large'} is better")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, columnspacing=1.0)
    return figure


def _stairs(found: Compromises) -> np.ndarray:
    """The edge of what the known front dominates, from and to the reference; ndarray (m, 2)."""
    signs = np.array([objective.sign for objective in found.objectives])
    points, worst = found.labels[found.front] * signs, found.reference * signs
    points = points[np.all(points < worst, axis=1)]
    if not len(points):
        return np.empty((0, 2))
    corners = np.column_stack([np.append(points[:, 0], worst[0]), np.append(worst[1], points[:, 1])])
    edge = np.vstack([np.stack([corners[:-1], points], axis=1).reshape(-1, 2), corners[-1:]])
    return edge * signs


def _framed(axes, found: Compromises, mean: np.ndarray, std: np.ndarray) -> None:
    """Room for the front, the reference and what is proposed; of all else, which can lie far out, for nine in ten."""
    picks = found.picks
    for j, set_limits in enumerate((axes.set_xlim, axes.set_ylim)):
        finite = mean[np.isfinite(mean[:, j]), j]
        most = np.quantile(finite, [0.05, 0.95]) if len(finite) else []
        reach = [mean[picks, j] - std[picks, j], mean[picks, j] + std[picks, j]]
        ends = np.concatenate([mean[found.front, j], *reach, found.reference[j : j + 1], most])
        low, high = ends.min(), ends.max()
        set_limits(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _named(axes, found: Compromises, mean: np.ndarray) -> None:
    """Names in the right margin, in the order of height, each with a line to its point."""
    ranks = sorted(range(min(N_NAMED, len(found.picks))), key=lambda rank: -mean[found.picks[rank], 1])
    for place, rank in enumerate(ranks):
        row = found.picks[rank]
        height = 0.5 + 0.055 * (0.5 * (len(ranks) - 1) - place)
        axes.annotate(
            f"{rank + 1} {_plain(found.ids[row])}", mean[row], (1.01, height), textcoords="axes fraction", va="center", fontsize=8,
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.4, "relpos": (0.0, 0.5), "shrinkB": 2}, zorder=3.5,
        )  # fmt: skip


def _plain(text: str) -> str:
    """A name as it is: no dollar of a table starts a formula."""
    return text.replace("$", r"\$")
