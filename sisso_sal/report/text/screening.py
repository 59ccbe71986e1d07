"""A screening as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.registry import meaning_of
from sisso_sal.acquisition.scores import HITS
from sisso_sal.protocols.cause import in_words
from sisso_sal.report.summary import counted, probability_of, wanted_classes
from sisso_sal.report.text.table import aligned
from sisso_sal.system.durations import duration
from sisso_sal.system.printable import printable

N_SHOWN = 10
"""Best candidates that are shown."""

N_CLASSES = 8
"""Classes of which it is told how many candidates they have; the most frequent ones."""

LIKELY = (0.9, 0.5)
"""Probabilities of classes that are looked for; how many candidates have more is told."""

NO_RANK = "no candidate can be ranked"


def screening_text(document: Mapping[str, Any], width: int | None = None) -> str:
    """What ``screen`` prints; takes its document, and the columns of the terminal if it is one."""
    target, unit = document["target"]["name"], document["target"]["unit"]
    goal, run = Goal.parse(document["goal"]), document["run"]
    lines = [
        f"{counted(document['n_rows'], 'candidate')}, {document['n_predicted']} with a prediction, {goal.in_words(target, unit)}"
    ]
    if document["n_without_prediction"]:
        lines.append(f"no prediction: {in_words(document['without_prediction'])}")
    if document["n_known"]:
        lines.append(f"not ranked, as they have a label or failed: {document['n_known']}")
    if document["n_excluded"]:
        lines.append(f"left out, as they have an element that is not wanted: {document['n_excluded']}")
    if goal.classes:
        lines += _told_of_classes(document)
    elif document["expected_hits"] is not None:
        what = f"to reach {goal}" if goal.has_bound else f"to be better than {document['improve_on']:.4g}"
        lines.append(f"expected {what}: {document['expected_hits']:.4g}")
    if document["n_extrapolated"] and not goal.classes:
        lines.append(f"more than half of the formulas extrapolate: {document['n_extrapolated']}")
    lines += ["", *(_table_of_classes(document, width) if goal.classes else _table_of_numbers(document))]
    if run["rows_per_second"]:
        rate = f"{counted(run['n_rows'], 'candidate')} in {duration(run['seconds'])}, {run['rows_per_second']:.3g} a second"
        before = f"; {run['n_rows_before']} were there" if run["n_rows_before"] else ""
        lines += ["", rate + before]
    else:
        lines += ["", "all results were there"]
    if run["n_removed"]:
        lines.append(f"predictions of shards that the pool no longer has were removed: {run['n_removed']}")
    return "\n".join(lines)


def share_text(document: Mapping[str, Any]) -> str:
    """What ``screen --share`` prints."""
    (number, of), run = document["share"], document["run"]
    before = f"; {run['n_rows_before']} were there" if run["n_rows_before"] else ""
    return f"Share {number} of {of}: {counted(run['n_rows'], 'candidate')} in {duration(run['seconds'])}{before}"


def _told_of_classes(document: Mapping[str, Any]) -> list[str]:
    """How many candidates are of which class, and how many are likely to be of one that is looked for."""
    told, shares = sorted(document["classes"], key=lambda one: -one["n_told"]), document["histogram_of_p_hit"]
    listed = [f"{printable(one['name'])} {one['n_told']}" for one in told[:N_CLASSES]]
    rest = [f"others {sum(one['n_told'] for one in told[N_CLASSES:])}"] if len(told) > N_CLASSES else []
    lines = [f"most probable class: {', '.join(listed + rest)}"]
    likely = ", ".join(f"{sum(shares[int(len(shares) * least) :])} with {least:g} or more" for least in LIKELY)
    name, hits = printable(wanted_classes(document)), document["expected_hits"]
    expected = f"{hits:.4g}" if hits < 1000 else f"{hits:.0f}"
    lines.append(f"expected to be {name}: {expected}; {printable(probability_of(document))}: {likely}")
    if document["n_extrapolated"]:
        why = "most formulas are far outside of what they have learned from"
        lines.append(f"not ranked, as {why}: {document['n_extrapolated']}")
    return lines


def _table_of_classes(document: Mapping[str, Any], width: int | None) -> list[str]:
    """The best candidates, and what the columns are."""
    rows, is_by_hits = document["best"][:N_SHOWN], document["acquisition"] == HITS.name
    if not rows:
        return [NO_RANK]
    columns = {
        "": [str(rank) for rank in range(1, len(rows) + 1)],
        "candidate": [row["id"] for row in rows],
        printable(probability_of(document)): [_number(row["p_hit"], ".4f") for row in rows],
    }
    has_spread = "spread" in rows[0]
    columns |= {"spread": [_number(row["spread"], ".4f") for row in rows]} if has_spread else {}
    columns |= {} if is_by_hits else {f"score ({document['acquisition']})": [_number(row["score"]) for row in rows]}
    columns |= {"most probable": [row["class"] for row in rows]}
    columns |= {"outside": [_number(row["outside"], ".2f") for row in rows]} if has_spread else {}
    names = list(columns)
    cells = [names, *(list(row) for row in zip(*columns.values(), strict=True))]
    numeric = [k for k, name in enumerate(names) if name not in {"candidate", "most probable"}]
    spare = [names.index(name) for name in ("outside", "most probable", "spread") if name in names]
    told = [] if is_by_hits else [f"score: {meaning_of(document['acquisition'], classes=True)}"]
    n, expected, wanted = document["n_top"], document["expected_hits_of_top"], printable(wanted_classes(document))
    told += [f"of the best {n}, {expected:.1f} are expected to be {wanted}"] if n > 1 else []
    if has_spread:
        told.append(
            "spread: standard deviation over the members; outside: share of them that is far outside of its training range"
        )
    return [aligned(cells, numeric=numeric, width=width, spare=spare), *told]


def _table_of_numbers(document: Mapping[str, Any]) -> list[str]:
    """The best candidates, and what the score is."""
    unit = f" {document['target']['unit']}" if document["target"]["unit"] else ""
    rows, score = document["best"][:N_SHOWN], f"score: {meaning_of(document['acquisition'])}"
    if not rows:
        return [NO_RANK, score]
    heads = {"mean": f"mean{unit}", "std": "std", "p_hit": "P(hit)", "score": f"score ({document['acquisition']})"}
    kept = {name: head for name, head in heads.items() if name in rows[0]}
    table = [["", "candidate", *kept.values()]]
    table += [[str(rank), row["id"], *(_number(row[name]) for name in kept)] for rank, row in enumerate(rows, 1)]
    return [aligned(table, numeric=[0, *range(2, 2 + len(kept))]), score]


def _number(value: float | None, form: str = ".4g") -> str:
    return "" if value is None else format(value, form)
