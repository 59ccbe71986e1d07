"""The state of a campaign as plain data: shown by `status`, and printed by `discover --json` under ``campaign``."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sisso_sal.campaign.learning import MODEL_FILE
from sisso_sal.campaign.stopping import UNUSABLE
from sisso_sal.ledger.events import DetailsData
from sisso_sal.ledger.lock import DriverProcess
from sisso_sal.ledger.state import Case, Iteration, State
from sisso_sal.settings import DONE, PEOPLE, is_left_to_people, names_classes

_CALIBRATION = ("rmse", "coverage95", "miscalibration_area", "scale")


def status_document(
    run: Path, state: State, driver: DriverProcess | None, now: datetime | None = None
) -> dict[str, Any]:
    """The state of a campaign and what to do next.

    Parameters
    ----------
    run : Path
    state : State
    driver : DriverProcess or None
        The process that took the lock and has not recorded its end.
    now : datetime, optional

    Returns
    -------
    dict
        run, standing, driver, goal, target, iteration, n_labelled, sources (word: labels from there), n_candidates, best, classes
        (number of labels of each) and hits where labels are classes, evaluations, budget, levels, core_hours, core_hours_budget,
        pending, failed, open (proposed, not submitted), iterations, missing (files of iterations), stop, started, last_event, next,
        and provenance (of the newest proposal).
    """
    now = now or datetime.now(UTC)
    settings = (state.created or {"settings": {}})["settings"]
    newest = state.iterations[-1] if state.iterations else None
    n_rows = (state.candidates or {}).get("n_rows")
    best = newest.model["best"] if newest and newest.model else None
    if best is not None and best["id"] in state.cases:
        best = best | {"source": state.cases[best["id"]].source}
    at = [({}, state), *(({"level": name}, one) for name, one in state.levels.items())]
    document = {
        "run": str(run),
        "standing": _standing(state, driver),
        "driver": None if driver is None else vars(driver) | {"alive": driver.is_alive},
        "goal": settings.get("goal"),
        "target": settings.get("target"),
        "oracle": state.run.get("oracle", PEOPLE),
        "has_oracle": state.has_oracle,
        "iteration": newest.number if newest else 0,
        "n_labelled": len(state.labels),
        "n_candidates": None if n_rows is None else max(0, n_rows - len(state.labels)),
        "sources": _sources(state),
        "best": best,
        "classes": _classes(state),
        "hits": newest.model.get("hits") if newest and newest.model else None,
        "evaluations": len(state.asked),
        "budget": state.run.get("budget"),
        "levels": _levels(state, settings),
        "core_hours": round(sum(one.core_hours for _, one in at), 6),
        "core_hours_budget": state.run.get("core_hours"),
        "pending": [_pending(case, now) | of for of, one in at for case in one.pending],
        "labels": [_label(case) | of for of, one in at for case in one.of("labelled") if case.details],
        "failed": [_failed(case) | of for of, one in at for case in one.failed],
        "open": [id for id, _ in _open(state)],
        "reasons": _reasons(state),
        "iterations": [_iteration(iteration) for iteration in state.iterations],
        "missing": _missing(run, state),
        "stop": None if state.stop is None else {key: state.stop[key] for key in ("kind", "why", "time")},
        "started": (state.created or {}).get("time"),
        "last_event": None if state.last is None else {key: state.last[key] for key in ("seq", "time", "event")},
        "provenance": _provenance(newest),
    }
    return document | {"next": _next(document, _for_people(state, settings))}


def _sources(state: State) -> dict[str, int]:
    """Where the labels came from, the most frequent first."""
    return dict(Counter(case.source for case in state.of("labelled") if case.source).most_common())


def _levels(state: State, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Levels of theory, the cheapest first: name, cost of a calculation, evaluations (those that are running included)."""
    named = settings.get("level") or ()
    places = [level["name"] for level in named[:-1]] + [""] * bool(named)
    return [
        {"name": level["name"], "cost": level["cost"], "evaluations": len(state.at(place).asked)}
        for level, place in zip(named, places, strict=True)
    ]


def _classes(state: State) -> dict[str, int] | None:
    """Number of labels of each class, the most frequent first; None where labels are numbers."""
    counts = Counter(case.class_name for case in state.of("labelled") if case.class_name)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))) or None


def _standing(state: State, driver: DriverProcess | None) -> str:
    """One word: running, lost (a driver crashed), stopped, waiting (for labels), new."""
    if driver is not None and driver.is_alive is not False:
        return "running"
    if driver is not None:
        return "lost"
    if state.stop is not None:
        return "stopped"
    return "waiting" if state.iterations else "new"


def _age(time: str, now: datetime) -> float:
    return round(max(0.0, (now - datetime.fromisoformat(time)).total_seconds()), 1)


def _pending(case: Case, now: datetime) -> dict[str, Any]:
    return {
        "id": case.id, "status": case.status, "intent": case.intent, "job": case.job, "attempt": case.attempt,
        "since": case.since, "age_s": _age(case.since, now),
    }  # fmt: skip


def _label(case: Case) -> dict[str, Any]:
    """A computed label and what it rests on, see `sisso_sal.protocols.Answer`."""
    about = {"id": case.id, "value": case.label, "since": case.since, "core_hours": case.core_hours}
    return {**about, **DetailsData.model_validate(case.details).model_dump()}


def _failed(case: Case) -> dict[str, Any]:
    last = case.failures[-1]
    return {
        "id": case.id,
        "kind": last["kind"],
        "reason": last["reason"],
        "attempts": case.attempt,
        "since": case.since,
    }


def _open(state: State) -> list[tuple[str, str]]:
    """Ids that are proposed and neither submitted nor labelled, with the lower level that they are proposed at, or ""."""
    proposal = state.proposal
    rows = [] if proposal is None else proposal["proposals"]
    wanted = [(row["id"], row.get("level") or "") for row in rows]
    return [(id, level) for id, level in wanted if id not in state.at(level).cases]


def _reasons(state: State) -> list[dict[str, Any]]:
    """Why those of `_open` are proposed; runs of earlier versions do not tell."""
    still = set(_open(state))
    rows = [] if state.proposal is None else state.proposal["proposals"]
    kept = [
        (n, row) for n, row in enumerate(rows, 1) if (row["id"], row.get("level") or "") in still and row.get("why")
    ]
    keys = ("id", "level", "rank", "chosen_by", "probability", "reason", "why")
    return [{"place": place, **{key: row.get(key) for key in keys}} for place, row in kept]


def _for_people(state: State, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Those of `_open` that no oracle computes."""
    below = (settings.get("level") or ())[:-1]
    lower = {level["name"] for level in below if is_left_to_people(level.get("oracle", PEOPLE))}
    mine = lower if state.has_oracle else {"", *lower}
    return [(id, level) for id, level in _open(state) if level in mine]


def _iteration(iteration: Iteration) -> dict[str, Any]:
    model, proposal = iteration.model or {}, iteration.proposal or {}
    calibration = model.get("calibration") or {}
    return {
        "iteration": iteration.number,
        "n_labelled": model.get("n_labelled"),
        "best": model.get("best"),
        "hits": model.get("hits"),
        **{key: calibration.get(key) for key in _CALIBRATION},
        "gain": proposal.get("gain"),
        "seconds": model.get("seconds"),
        "time": proposal.get("time") or model.get("time"),
        "proposed": [row["id"] for row in proposal.get("proposals", ())],
        "events": {"model": model.get("seq"), "proposal": proposal.get("seq")},
    }


def _missing(run: Path, state: State) -> list[str]:
    """Files of iterations that are missing."""
    files = [f"{it.folder}/{name}" for it in state.iterations if it.model for name in it.model["files"]]
    return [name for name in files if not (run / name).exists()]


def _provenance(newest: Iteration | None) -> dict[str, Any] | None:
    """The events, model and seeds behind the newest proposal."""
    if newest is None or newest.proposal is None:
        return None
    model = newest.model or {}
    sha256 = model.get("files", {}).get(MODEL_FILE)
    return {
        "proposal_event": newest.proposal["seq"],
        "model_event": model.get("seq"),
        "settings_event": model.get("settings"),
        "model": f"{newest.folder}/{MODEL_FILE}" if sha256 else None,
        "sha256": sha256,
        "seed": newest.proposal.get("seed"),
        "fit_seed": model.get("seed"),
        "versions": model.get("versions"),
    }


def _next(document: dict[str, Any], for_people: list[tuple[str, str]]) -> str:
    """What to do next; `for_people` has the ids and levels of what people are to add. A shell takes the commands as they stand."""
    run = shlex.quote(document["run"])
    if document["standing"] == "running":
        return f"nothing to do while a driver is running; sisso-sal stop {run} ends it"
    if document["standing"] == "new":
        return "run the discover command again: nothing was proposed yet"
    running = sum(case["status"] != "again" for case in document["pending"])
    if document["has_oracle"] and document["standing"] == "lost":
        return f"run the discover command again: the driver crashed, {_calculations(running)} running and none is lost"
    if document["stop"] is not None:
        kind = document["stop"]["kind"]
        raising = {"budget": "--budget", "core_hours": "--core-hours", "hits": "--hits"}
        advice = (
            f"run discover with a larger {raising[kind]} to continue" if kind in raising else "run discover to continue"
        )
        if kind == UNUSABLE:
            return "mend what the oracle answers, then run discover to continue; it tries these candidates again"
        model = (document["provenance"] or {}).get("model")
        if kind in {"gain", "nothing_left"} and model:
            advice = f"sisso-sal export {shlex.quote('/'.join([document['run'], model]))} --format latex"
        return advice + (f", or sisso-sal retry {run}" if document["failed"] else "")
    at_oracles = running if document["levels"] else 0
    is_left_to_oracles = document["has_oracle"] or bool(document["open"]) or at_oracles > 0
    if is_left_to_oracles and (at_oracles or not for_people):
        return f"run the discover command again: {_calculations(running)} running"
    id, level = for_people[0] if for_people else ("ID", "")
    what = "CLASS" if names_classes(document["goal"] or "") else "VALUE"
    first = f"{shlex.quote(id)} {what} --level {level}" if level else f"{shlex.quote(id)} {what}"
    by_hand = f"sisso-sal label {run} {first}, for this and the others"
    name, _, place = document["oracle"].partition(":")
    if name == DONE and not level:
        return (
            f"calculate {shlex.quote(id)} and the others in {place}, or {by_hand}; then run the discover command again"
        )
    return f"{by_hand}; then run the discover command again"


def _calculations(n: int) -> str:
    return "1 calculation is" if n == 1 else f"{n} calculations are"
