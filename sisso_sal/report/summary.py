"""What terminal and page both take from the summary of an iteration: features left out, and predictions to warn of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sisso_sal.acquisition.goal import Goal
from sisso_sal.campaign.marks import EXTRAPOLATING, FAR
from sisso_sal.features.names import quoted
from sisso_sal.protocols.cause import in_words
from sisso_sal.system.printable import printable


def counted(n: int, thing: str) -> str:
    """A number of things.

    Examples
    --------
    >>> counted(1, "candidate"), counted(0, "candidate")
    ('1 candidate', '0 candidates')
    """
    return f"{n} {thing}{'' if n == 1 else 's'}"


def wanted_classes(summary: Mapping[str, Any]) -> str:
    """The classes that are looked for, as a phrase; "" where the target is a number.

    Examples
    --------
    >>> wanted_classes({"goal": "=perovskite, ilmenite"}), wanted_classes({"goal": "<=0.3"})
    ('perovskite or ilmenite', '')
    """
    goal = Goal.parse(str(summary["goal"]))
    return goal.bound_in_words if goal.classes else ""


LONGEST_CLASSES = 24
"""Characters of the names of classes in the head of a column."""


def probability_of(summary: Mapping[str, Any]) -> str:
    """What is predicted of classes, as the head of a column.

    Examples
    --------
    >>> probability_of({"goal": "=perovskite"}), probability_of({"goal": "=rock salt, zincblende, wurtzite"})
    ('P(perovskite)', 'P(hit)')
    """
    name = wanted_classes(summary)
    return f"P({name})" if len(name) <= LONGEST_CLASSES else "P(hit)"


def classes_known(summary: Mapping[str, Any]) -> str:
    """How many labels are of the classes that are looked for, and of the others; of a summary, or of the state of a campaign.

    Examples
    --------
    >>> classes_known({"goal": "=A", "classes": {"B": 7, "A": 5, "C": 1}, "hits": 5})
    '5 of 13 labels are A; 7 B, 1 C'
    """
    counts, wanted = summary.get("classes") or {}, Goal.parse(str(summary["goal"])).classes
    n, hits = sum(counts.values()), sum(counts.get(name, 0) for name in wanted)
    named = [name for name in counts if name not in wanted or len(wanted) > 1]
    listed = ", ".join(f"{counts[name]} {name}" for name in named[:MOST_LISTED])
    more = f" and {len(named) - MOST_LISTED} more classes" if len(named) > MOST_LISTED else ""
    return f"{hits} of {n} labels are {wanted_classes(summary)}{f'; {listed}{more}' if listed else ''}"


MOST_LISTED = 6
"""Classes that a line names."""


def probability_text(summary: Mapping[str, Any]) -> str:
    """How far probabilities of classes can be believed, or why there are none; "" where that is not known.

    Examples
    --------
    >>> told = {"n": 100, "accuracy": 0.88, "log_loss": 0.3, "brier": 0.17, "miscalibration": 0.05, "noise_floor95": 0.08}
    >>> probability_text({"probabilities": told}).partition("; ")[0]
    'Probabilities of 100 labels, each without using it: 88.0% right, log loss 0.3, Brier score 0.17'
    """
    if why := summary.get("untold"):
        return f"{why[0].upper()}{why[1:]}: proposed is what lies farthest from all labelled materials"
    if (told := summary.get("probabilities")) is None:
        return ""
    return (
        f"Probabilities of {told['n']} labels, each without using it: {told['accuracy']:.1%} right, log loss "
        f"{told['log_loss']:.3g}, Brier score {told['brier']:.3g}; off by {told['miscalibration']:.2g} on average, calibrated ones "
        f"show up to {told['noise_floor95']:.2g}"
    )


def extrapolates(proposal: Mapping[str, Any]) -> bool:
    """Whether too many formulas extrapolate for this proposal; no where that is not known.

    Examples
    --------
    >>> extrapolates({"outside": 0.5}), extrapolates({"outside": None})
    (True, False)
    """
    return (proposal.get("outside") or 0.0) > EXTRAPOLATING


def is_far(proposal: Mapping[str, Any]) -> bool:
    """Whether this proposal lies far from all labelled materials; no where that is not known.

    Examples
    --------
    >>> is_far({"distance": 3.0}), is_far({"distance": None})
    (True, False)
    """
    return (proposal.get("distance") or 0.0) > FAR


def no_prediction(summary: Mapping[str, Any]) -> str:
    """How many candidates have no prediction, and why; "" where all have one. Runs of earlier versions do not tell why.

    Examples
    --------
    >>> no_prediction({"n_without_prediction": 3, "without_prediction": {"log of zero": 2, "division by zero": 1}})
    '3 candidates have no prediction: log of zero (2), division by zero (1)'
    >>> no_prediction({"n_without_prediction": 1})
    '1 candidate has no prediction'
    """
    n = summary["n_without_prediction"]
    if not n:
        return ""
    reasons = in_words(summary.get("without_prediction") or {})
    return f"{n} candidate{'s have' if n > 1 else ' has'} no prediction{f': {reasons}' if reasons else ''}"


def no_longer_help(summary: Mapping[str, Any], unit: str) -> str:
    """That new labels no longer make predictions better, and by what this is known; "" where it is not known.

    Examples
    --------
    >>> recent = {"recent": 40, "of": 120, "n": 80, "mae_before": 0.151, "mae_now": 0.15, "uncertainty": 0.004}
    >>> no_longer_help({"recent_labels": {**recent, "no_longer_help": True}}, "eV").partition(": ")[0]
    'New labels no longer make the predictions better'
    >>> no_longer_help({"recent_labels": {**recent, "no_longer_help": False}}, "eV")
    ''
    """
    recent = summary.get("recent_labels")
    if not recent or not recent["no_longer_help"]:
        return ""
    before, now, uncertainty = f"{recent['mae_before']:.3g}", f"{recent['mae_now']:.3g}", f"{recent['uncertainty']:.1g}"
    change = f"from {before} to {now}{f' {unit}' if unit else ''} (± {uncertainty})"
    return (
        f"New labels no longer make the predictions better: with the last {recent['recent']} of {recent['of']}, the mean absolute "
        f"error of the {recent['n']} materials known before went {change}; each is predicted without its label. They can still "
        "find better materials. Better predictions need other features, or labels with smaller errors."
    )


def shift_text(document: Mapping[str, Any], unit: str) -> str:
    """The error of families of materials that were left out as a whole; "" where none was.

    Examples
    --------
    >>> told = {"by": "elements", "n_families": 12, "factor": 1.38, "rmse": 0.314, "rmse_one_by_one": 0.21}
    >>> print(shift_text({"shift": told}, "eV"))
    for materials unlike the known ones (12 families of elements left out): RMSE 0.314 eV instead of 0.21; sigma times up to 1.4
    """
    told = document.get("shift")
    if not told or told["rmse"] is None or told["rmse_one_by_one"] is None:
        return ""
    kind = {"elements": "of elements", "clusters": "of similar features"}[told["by"]]
    return (
        f"for materials unlike the known ones ({told['n_families']} families {kind} left out): RMSE {told['rmse']:.3g}"
        f"{f' {unit}' if unit else ''} instead of {told['rmse_one_by_one']:.3g}; sigma times up to {told['factor']:.1f}"
    )


def form_text(form: str, column: str) -> str:
    """What formulas are for.

    Examples
    --------
    >>> form_text("feature", ""), form_text("difference", "G_lf"), form_text("line", "G_lf")
    ('the target', 'the difference to G_lf', 'the rest of a line through G_lf')
    """
    name = quoted(column) if column else ""
    return {"difference": f"the difference to {name}", "line": f"the rest of a line through {name}"}.get(
        form, "the target"
    )


def low_text(document: Mapping[str, Any], unit: str) -> list[str]:
    """What low columns are worth beside the model, and what has become of them; nothing where there are none.

    Examples
    --------
    >>> errors = [{"what": "number", "column": "G", "mae": 0.1, "rmse": 0.142}, {"what": "line", "column": "G", "mae": 0.09,
    ...           "rmse": 0.11}, {"what": "model", "column": "", "mae": 0.055, "rmse": 0.077}]
    >>> low = {"columns": ["G"], "form": "difference", "baseline": {"column": "G"}, "n": 45, "errors": errors, "gain": 0.035,
    ...        "gain_error": 0.01}
    >>> print("\\n".join(low_text({"low": low}, "eV")))
    mean absolute error of 45 labels, each left out: G as it is 0.1 eV, a line through G 0.09 eV, the model 0.055 eV
    formulas are for the difference to G; the model is better than G or a line by 0.035 ± 0.01 eV
    """
    low = document.get("low")
    if not low:
        return []
    suffix, column = f" {unit}" if unit else "", (low["baseline"] or {}).get("column", "")
    names = ", ".join(quoted(name) for name in low["columns"])
    words = {"number": "{} as it is", "line": "a line through {}", "model": "the model"}
    each = [
        f"{words[error['what']].format(quoted(error['column']))} {error['mae']:.3g}{suffix}" for error in low["errors"]
    ]
    lines = [f"mean absolute error of {low['n']} labels, each left out: {', '.join(each)}"] if each else []
    if low["form"].endswith("alone"):
        simple = (
            f"{quoted(column)} as it is" if low["form"].startswith("number") else f"a line through {quoted(column)}"
        )
        return [*lines, f"the model is {simple}: formulas do not predict better by more than a standard error"]
    is_feature = low["form"] == "feature"
    made = (
        f"{names}: one feature more for formulas"
        if is_feature
        else f"formulas are for {form_text(low['form'], column)}"
    )
    if low["gain"] is None:
        return [*lines, made]
    better = f"better than {names} or a line by {low['gain']:.2g} ± {low['gain_error']:.1g}{suffix}"
    doubt = "" if low["gain"] > 2 * low["gain_error"] else ": no more than chance could give"
    return [*lines, f"{made}; the model is {better}{doubt}"]


def rejected_by_cause(rejected: Mapping[str, Mapping[str, int]]) -> list[tuple[str, int]]:
    """Features left out over all rungs, for each cause that occurred; the most frequent first.

    Examples
    --------
    >>> rejected_by_cause({"1": {"unit": 2, "bounds": 0}, "2": {"unit": 1, "domain": 4}})
    [('domain', 4), ('unit', 3)]
    """
    total: dict[str, int] = {}
    for counts in rejected.values():
        for cause, number in counts.items():
            total[cause] = total.get(cause, 0) + number
    return sorted(((cause, number) for cause, number in total.items() if number), key=lambda item: -item[1])


def materials_text(document: Mapping[str, Any]) -> list[str]:
    """How many materials the labels are of, where these are fewer or a column says it; and that others are nearly equal.

    Examples
    --------
    >>> told = {"n_labels": 40, "n": 28, "by": "composition", "column": "", "near": {"n": 2, "example": ["A1", "A2"]}}
    >>> print("\\n".join(materials_text({"materials": told})))
    labels of 40 rows, 28 materials: rows of one composition are drawn, left out and held back together
    2 rows are nearly equal to a row of another material, for example A1 and A2; --group COLUMN tells which rows are one material
    """
    told = document.get("materials") or {}
    lines = []
    if told.get("by") == "column" or told.get("n") != told.get("n_labels"):
        rows = {"composition": "rows of one composition", "features": "rows with equal features"}.get(
            told["by"], f"rows with the same {quoted(told['column'])}" if told["column"] else "rows of one group"
        )
        lines = [
            f"labels of {told['n_labels']} rows, {told['n']} materials: {rows} are drawn, left out and held back together"
        ]
    if near := told.get("near"):
        first, second = (printable(name) for name in near["example"])
        lines.append(
            f"{near['n']} rows are nearly equal to a row of another material, for example {first} and {second}; "
            "--group COLUMN tells which rows are one material"
        )
    return lines


def levels_text(summary: Mapping[str, Any]) -> list[str]:
    """What is known at each level of theory, and what is predicted there, a line each; none without levels.

    Parameters
    ----------
    summary : mapping
        Of an iteration.

    Examples
    --------
    >>> pbe = {"name": "pbe", "cost": 1.0, "unit": "eV", "n_known": 40, "n_predicted": 60, "std": 0.123}
    >>> levels_text({"levels": {"lower": [pbe], "last": {"name": "hse06", "cost": 100.0}}, "n_labelled": 20})
    ['pbe (cost 1): 40 values, the other 60 are predicted to ± 0.12 eV (median)', 'hse06 (cost 100): 20 labels']
    """
    told = summary.get("levels")
    if told is None:
        return []
    lines = []
    for row in told["lower"]:
        cost = f" (cost {row['cost']:g})" if row["cost"] is not None else ""
        unit = f" {row['unit']}" if row["unit"] else ""
        line = f"{row['name']}{cost}: {row['n_known']} values"
        if row["n_predicted"]:
            line += f", the other {row['n_predicted']} are predicted to ± {row['std']:.2g}{unit} (median)"
        lines.append(f"{line}; {because}" if (because := row.get("because")) else line)
    if told["last"] is not None:
        lines.append(f"{told['last']['name']} (cost {told['last']['cost']:g}): {summary['n_labelled']} labels")
    return lines


def score_at_levels(summary: Mapping[str, Any]) -> str:
    """What the score is where a campaign has levels; "" without.

    Examples
    --------
    >>> score_at_levels({"levels": {"lower": [], "last": {"name": "hse06", "cost": 100.0}}})
    'the targets expected for the cost of one calculation at the level hse06'
    """
    last = (summary.get("levels") or {}).get("last")
    return "" if last is None else f"the targets expected for the cost of one calculation at the level {last['name']}"
