"""Results of `replay` and `tune` as text for a terminal or a log file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sisso_sal.replay.merit import FEWEST_STARTS
from sisso_sal.report.summary import materials_text, wanted_classes
from sisso_sal.report.text.table import aligned


def replay_text(document: Mapping[str, Any], width: int | None = None) -> str:
    """What `replay` prints; takes the document of ``replay --json``, and the columns of the terminal if it is one."""
    rules, unit = document["rules"], document["target"]["unit"]
    batch = f", {rules['batch']} at a time" if rules["batch"] > 1 else ""
    shared = _rows_of_materials(document)
    noun = "rows" if shared else "materials"
    lines = [
        f"{document['n_targets']} targets among {document['n_materials']} {noun} (goal {rules['goal']}); "
        f"{rules['n_start']} labels to start ({rules['start']}), {rules['evaluations']} evaluations{batch}, "
        f"{document['seeds']} starts",
        *shared,
        "",
    ]
    ranked = sorted(document["strategies"].items(), key=lambda item: -item[1]["mean"])
    has_best = not wanted_classes(rules)
    best = [f"best{f' {unit}' if unit else ''}"] if has_best else []
    rows = [["strategy", "found", "95 %", *best, "enrichment", "95 %", "acceleration", "95 %", "half found"]]
    for name, result in ranked:
        mean = sum(values[-1] for values in result["best"]) / len(result["best"])
        rows.append(
            [
                *(name, f"{result['mean']:.1f}", _range(result["interval"], 1), *([f"{mean:.3g}"] if has_best else [])),
                *_with_range(result["enrichment"], 2),
                *_acceleration(result["acceleration"]),
            ]
        )
    numeric, spare = ([1, 3, 4, 6], [7, 5, 3, 8, 2]) if has_best else ([1, 3, 5], [6, 4, 7, 2])
    lines.append(aligned(rows, numeric=numeric, width=width, spare=spare))
    lines += [
        "enrichment: new targets per evaluation, divided by those of random picks",
        "acceleration: evaluations that random picks need to find half of the targets, divided by those of the strategy",
        "  (<=: some starts did not find half of them, so this is an upper bound; -: none did)",
        *(["best: best label at the end, mean over the starts"] if has_best else []),
        *_too_few(document["seeds"]),
        *_honesty(ranked, width),
    ]
    return "\n".join(lines)


def _rows_of_materials(document: Mapping[str, Any]) -> list[str]:
    """What rows of one material are in a simulated campaign; nothing where each row is one."""
    lines = materials_text(document)
    return lines and [
        *lines,
        "each row is evaluated by itself: one of a material may be known while others are candidates",
    ]


def _too_few(starts: int) -> list[str]:
    if starts >= FEWEST_STARTS:
        return []
    number = "1 start is" if starts == 1 else f"{starts} starts are"
    return [f"95 %: {number} too few for an interval; --seeds {FEWEST_STARTS} or more gives one"]


def _honesty(ranked: Sequence[tuple[str, Mapping[str, Any]]], width: int | None) -> list[str]:
    """Lines on what was claimed of the picks and what came true; none where nothing was claimed."""
    told = [(name, result["honesty"]) for name, result in ranked if result.get("honesty") is not None]
    if not told:
        return []
    has_intervals = told[0][1]["coverage95"] is not None
    covered = ["in 95 %", "by quarters of the campaign"] if has_intervals else []
    rows = [["strategy", *covered, "targets claimed", "found", "P over 0.8", "true", "of"]]
    for name, one in told:
        hits = one["p_hit"]
        sure = hits["proposals"][-1]
        shares = ["-" if sure["n"] == 0 else f"{sure[key]:.2f}" for key in ("claimed", "real")]
        figures = _covered(one["coverage95"]) if has_intervals else []
        rows.append([name, *figures, f"{hits['claimed']:.1f}", f"{hits['real']:.1f}", *shares, str(sure["n"])])
    numeric, spare = ([1, 3, 4, 5, 6, 7], [2, 7, 4, 3]) if has_intervals else ([1, 2, 3, 4, 5], [5, 2, 1])
    return [
        "",
        "What was claimed of the picks when they were chosen, and what came true",
        aligned(rows, numeric=numeric, width=width, spare=spare),
        *(["in 95 %: picks whose label lay in their 95 % interval"] if has_intervals else []),
        "targets claimed, found: sum of the probabilities to be a target, and targets among the picks of a campaign",
        "P over 0.8, true: mean of the probabilities above 0.8, and share of targets among these picks",
    ]


def _covered(coverage: Mapping[str, Any]) -> list[str]:
    """The share of labels in their interval, and that of each quarter."""
    quarters = " ".join("-" if part["n"] == 0 else f"{part['share']:.0%}" for part in coverage["quarters"])
    return [f"{coverage['share']:.0%}", quarters]


def _acceleration(acceleration: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """Number, 95 % interval, and how many starts found half of the targets.

    An upper bound has no interval. None: half of the targets were known at every start.
    """
    if acceleration is None:
        return "-", "", ""
    number, interval = _with_range(acceleration, 1)
    is_bound = 0 < acceleration["reached"] < acceleration["of"]
    return (
        (f"<={number}" if is_bound else number),
        ("" if is_bound else interval),
        f"{acceleration['reached']} of {acceleration['of']}",
    )


def _range(interval: Sequence[float] | None, digits: int) -> str:
    return "" if interval is None else f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"


def _with_range(number: Mapping[str, Any], digits: int) -> tuple[str, str]:
    return ("-", "") if number["mean"] is None else (f"{number['mean']:.{digits}f}", _range(number["interval"], digits))


def _reason(place: int, chosen: Mapping[str, Any]) -> str:
    """Why a combination was chosen."""
    said = ", ".join(f"{name} {value}" for name, value in chosen.items())
    return (
        f"Of these number {place} is the simplest (no transform, then the fewest terms, then the lowest rung): {said}"
    )


N_SETTINGS = 15
"""Settings that `tune` prints, and the one that is chosen."""


def _cells(rank: str, names: Sequence[str], row: Mapping[str, Any]) -> list[str]:
    spearman = "" if row["spearman"] is None else f"{row['spearman']:.2f}"
    errors = [f"{row[name]:.3f}" for name in ("mae", "mae_error", "rmse")]
    others = [f"{row['coverage95']:.0%}", f"{row['miscalibration_area']:.3f}", spearman, str(row["n_undefined"])]
    return [rank, *(str(row[name]) for name in names), *errors, *others]


def tune_text(document: Mapping[str, Any], width: int | None = None) -> str:
    """What `tune` prints; takes the document of ``tune --json``, and the columns of the terminal if it is one."""
    unit = document["target"]["unit"]
    names = list(document["best"])
    rows = [
        ["", *names, f"MAE{f' {unit}' if unit else ''}", "±", "RMSE", "95 % coverage", "area", "Spearman", "undefined"]
    ]
    best, chosen = document["rows"][0], document["chosen"]
    place = next(k for k, row in enumerate(document["rows"], 1) if all(row[name] == chosen[name] for name in names))
    for rank, row in enumerate(document["rows"], 1):
        if rank <= N_SETTINGS or rank == place:
            rows.append(_cells(f"* {rank}" if rank == place else str(rank), names, row))
    level = sum(row["mae"] <= best["mae"] + best["mae_error"] for row in document["rows"])
    return "\n".join(
        [
            f"{document['n_samples']} samples, {document['folds']}-fold cross-validation of the formulas without correction",
            *materials_text(document),
            "",
            aligned(
                rows,
                numeric=[i for i in range(len(rows[0])) if i != 1 + names.index("transform")],
                width=width,
                spare=[len(names) + j for j in (7, 6, 5, 4, 3, 2)],
            ),
            f"{level} of {len(document['rows'])} combinations lie within one standard error of the best",
            _reason(place, chosen),
            f"Number {place} is written to {document['out']}",
        ]
    )
