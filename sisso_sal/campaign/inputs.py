"""The inputs of a campaign, and the check that it is continued with the same ones."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.points import check_pointwise
from sisso_sal.acquisition.registry import acquisition_named
from sisso_sal.campaign.filled import as_begun
from sisso_sal.campaign.learning import versions
from sisso_sal.campaign.levels import check_levels_of
from sisso_sal.errors import CampaignError, FitError, SettingsError
from sisso_sal.ledger.state import State
from sisso_sal.protocols import KnownLabel, Maximiser, Oracle, Space, classes_of
from sisso_sal.settings import DONE, is_left_to_people
from sisso_sal.settings.campaign import CampaignSettings, RunSettings
from sisso_sal.settings.layers import Origin
from sisso_sal.settings.written import differences, settings_toml
from sisso_sal.spaces.snapshot import CANDIDATES, read_snapshot
from sisso_sal.system.storage import write_whole

Origins = Mapping[str, Origin]
"""Where each setting was given, by section and key."""
Kind = TypeVar("Kind", CampaignSettings, RunSettings)
_SHOWN = 8
_FEW = 4
_SAME = 1e-9  # relative, of a label that was made a second time


def resolved(settings: CampaignSettings, space: Space) -> CampaignSettings:
    """The settings with target, id and every default filled in, and goal and acquisition checked.

    Raises
    ------
    SettingsError
        The goal or the acquisition is unknown, or `hits` comes with a goal that has no bound.
    """
    goal = Goal.parse(settings.goal)
    acquisition = acquisition_named(settings.acquisition, goal)
    if goal.classes and classes_of(space) is None:
        raise SettingsError(f"goal: needs a target of classes for '{goal}', found {space.name} with numbers")
    if settings.level and goal.classes:
        raise SettingsError(f"level: needs a target that is a number, found the goal '{goal}'")
    check_levels_of(settings, space)
    if isinstance(space, Maximiser):
        check_pointwise(acquisition)
    if settings.run.hits is not None and not goal.has_bound:
        raise SettingsError(f"hits: needs a goal with a bound, such as '<=0.3', found '{settings.goal}'")
    model = settings.model.completed(ensemble=True, classes=settings.looks_for_classes)
    return settings.model_copy(update={**space.settings, "model": model})


def check_learnable(space: Space, fewest: tuple[int, str], known: Collection[str] = ()) -> None:
    """Refuse a space on which no surrogate can be fitted.

    Parameters
    ----------
    space : Space
    fewest : (int, str)
        Labels that the surrogate needs, and why.
    known : collection of str
        Candidates whose labels are known from elsewhere.

    Raises
    ------
    FitError
        There is no target, no feature, too few labels or nothing to choose from.
    """
    if space.target is None:
        raise FitError(f"{space.name}: needs a target column with some values known, found none; name it with --target")
    if not space.features:
        raise FitError(f"{space.name}: needs at least one numeric feature column, found none")
    is_known = np.isfinite(space.labels)
    if known:
        is_known |= np.array([id in known for id in space.ids], dtype=bool)
    (needed, reason), n = fewest, int(is_known.sum())
    if n < needed:
        raise FitError(f"{space.name}: needs at least {needed} labelled rows{reason}, found {n}")
    if is_known.all() and not isinstance(space, Maximiser):
        raise FitError(f"{space.name}: needs rows with an empty '{space.target.name}' to choose from, found none")


def create(
    run: Path,
    space: Space,
    settings: CampaignSettings,
    oracle: Mapping[str, Any],
    origins: Origins,
    unused: Collection[str] = (),
) -> list[tuple[str, Any]]:
    """Write settings and candidates into a run folder; returns the events that record them.

    Sections of the settings that are `unused` by the surrogate are left out of the file.
    """
    write_whole(run / "campaign.toml", settings_toml(settings, without=unused))
    content, about = space.snapshot(), space.describe()
    write_whole(run / CANDIDATES, content)
    created = {
        "settings": settings.model_dump(mode="json"),
        "run_id": secrets.token_hex(16),
        "table": about["table"],
        "digest": about["digest"],
        "versions": versions(),
        "oracle": dict(oracle),
        "origins": {name: vars(origin) for name, origin in origins.items() if origin.kind != "default"},
    }
    candidates = {
        "n_rows": about["n_rows"],
        "n_features": about["n_features"],
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return [("created", created), ("candidates", candidates), *new_labels(space, known={})]


def new_labels(space: Space, known: Mapping[str, float]) -> list[tuple[str, dict[str, Any]]]:
    """Label events for the labels of the space that are not known yet."""
    numbers = np.flatnonzero(np.isfinite(space.labels)).tolist()
    few = zip(numbers, space.labels[numbers].tolist(), np.asarray(space.errors)[numbers].tolist(), strict=True)
    names = classes_of(space)

    def more(number: int, error: float) -> dict[str, Any]:
        return ({} if names is None else {"class": names[number]}) | ({"error": error} if error else {})

    return [
        ("label", {"id": space.ids[number], "value": value, "source": "table", **more(number, error)})
        for number, value, error in few
        if space.ids[number] not in known
    ]


def labels_elsewhere(known: Mapping[str, Mapping[str, KnownLabel]], state: State) -> list[tuple[str, dict[str, Any]]]:
    """Label events for what oracles had already, by level (`Tools.known`), of candidates that are neither labelled nor running."""
    return [
        (
            "label",
            {"id": id, "value": label.value, "source": label.source, "calculation": label.place}
            | ({"level": level} if level else {}),
        )
        for level, labels in known.items()
        for id, label in labels.items()
        if (case := state.at(level).cases.get(id)) is None or case.status == "failed"
    ]


def changed_elsewhere(
    known: Mapping[str, Mapping[str, KnownLabel]], state: State, settings: CampaignSettings, run: Path
) -> list[str]:
    """A line for each level at which labels are now other ones where they were taken from; the recorded ones stay."""
    lines = []
    for level, labels in known.items():
        pairs = ((label, state.at(level).cases.get(id)) for id, label in labels.items())
        changed = [
            f"{case.id} {case.value:.6g} -> {label.value:.6g}"
            for label, case in pairs
            if case is not None
            and case.source == label.source
            and case.value is not None
            and abs(case.value - label.value) > _SAME * max(abs(label.value), 1.0)
        ]
        if changed:
            few = ", ".join(changed[:_FEW]) + (f" and {len(changed) - _FEW} more" if len(changed) > _FEW else "")
            oracle = (settings.at_level(level) if level else settings).run.oracle
            how = f"sisso-sal label {run} --from {oracle}{f' --level {level}' if level else ''} --replace"
            lines.append(
                f"other labels now follow from the calculations ({few}); the recorded ones stay; {how} changes them"
            )
    return lines


def mixed_sources(state: State, settings: CampaignSettings, oracle: Mapping[str, Any]) -> list[str]:
    """A line where a campaign with labels from a folder of calculations goes on with an oracle that computes."""
    done = sum(case.source == DONE for case in state.of("labelled"))
    if not done or is_left_to_people(settings.run.oracle) or dict(oracle) == dict(state.oracle):
        return []
    labels = "1 label is" if done == 1 else f"{done} labels are"
    return [
        f"{labels} of calculations that were done already; whether '{settings.run.oracle}' computes with their settings "
        "(program, functional, basis, k-points) is not checked"
    ]


def beside_computed(known: Mapping[str, Mapping[str, KnownLabel]], state: State) -> str:
    """What is to be told where labels that oracles had already come beside such that an oracle computed; "" where they do not."""
    computed = sum(case.source == "oracle" for level in known for case in state.at(level).of("labelled"))
    if not computed:
        return ""
    labels = "a label" if computed == 1 else f"{computed} labels"
    return f", beside {labels} that an oracle computed; whether with the same settings is not checked"


def run_changes(
    run: Path, state: State, settings: CampaignSettings, oracle: Mapping[str, Any], origins: Origins
) -> list[tuple[str, Any]]:
    """The event that records changes of oracle, budget or stopping, which are allowed; none if nothing changed.

    Raises
    ------
    CampaignError
        The run has settings that this version does not have.
    """
    before = CampaignSettings(run=_of_start(run, RunSettings, state.run))
    changes = differences(before, CampaignSettings(run=settings.run), _places(origins))
    if not changes and dict(oracle) == dict(state.oracle):
        return []
    return [("settings", {"run": settings.run.model_dump(mode="json"), "changes": changes, "oracle": dict(oracle)})]


def _places(origins: Origins) -> dict[str, str]:
    return {name: origin.told for name, origin in origins.items()}


def refuse_changes(
    run: Path, state: State, space: Space, settings: CampaignSettings, oracle: Oracle | None, origins: Origins
) -> None:
    """Refuse to continue with other inputs.

    Raises
    ------
    CampaignError
        With one line for each difference, the first few.
    """
    if changes := all_changes(run, state, space, settings, oracle, origins):
        shown = changes[:_SHOWN] + ([f"and {len(changes) - _SHOWN} more"] if len(changes) > _SHOWN else [])
        raise CampaignError(
            f"{run}: this run was started with other inputs; give another --out, or undo these changes:\n  "
            + "\n  ".join(shown)
            + (
                f"\nto give the options of the run again, add --config {run}/campaign.toml"
                if any(map(_is_missing, changes))
                else ""
            )
        )


def _is_missing(change: str) -> bool:
    """Whether an option of the start was not given again."""
    return change.endswith("(the default)")


def all_changes(
    run: Path, state: State, space: Space, settings: CampaignSettings, oracle: Oracle | None, origins: Origins
) -> list[str]:
    """One line for each difference from the inputs of the start; labels and other gaps that were filled in are none.

    Raises
    ------
    CampaignError
        The run was started with settings that this version does not have.
    """
    created = state.created or {}
    old = _of_start(run, CampaignSettings, created["settings"])
    lines = differences(old.on_machine_of(settings), settings, _places(origins))
    begun = as_begun(run, state, space)
    if created.get("digest") != begun.space.describe()["digest"]:
        fixed = {name: getattr(old, name) for name in space.settings}
        lines += begun.space.differences(run / CANDIDATES, fixed, state.told, state.asked)
    lines += begun.changes
    if oracle is not None:
        given: dict[str, Any] = {case.id: case.label for case in state.of("labelled") if case.source == "oracle"}
        lines += oracle.differences({id: label for id, label in given.items() if label is not None})
    return lines


def _of_start(run: Path, kind: type[Kind], settings: Mapping[str, Any]) -> Kind:
    """Settings that the ledger has."""
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        names = ", ".join(".".join(str(part) for part in one["loc"]) for one in error.errors())
        raise CampaignError(
            f"{run}: was started by another version, with settings that this one does not have: {names}; give another --out, or "
            "install the version of the start"
        ) from error


def candidate_ids(run: Path, state: State) -> list[str]:
    """Ids of all candidates of a run, in their order.

    Raises
    ------
    CampaignError
        The copy of the candidates cannot be read.
    """
    kept = read_snapshot(run / CANDIDATES, (state.created or {"settings": {}})["settings"].get("id")).index
    return list(dict.fromkeys([*kept, *mentioned_ids(state)]))


def mentioned_ids(state: State) -> list[str]:
    """Ids that the ledger has: of labels, submissions, failures and proposals. A space may have generated some of them."""
    proposals = [iteration.proposal for iteration in state.iterations if iteration.proposal is not None]
    return list(dict.fromkeys([*state.cases, *(row["id"] for event in proposals for row in event["proposals"])]))


def recall(space: Space, state: State) -> None:
    """Let a space that generates candidates have those again that the ledger knows."""
    if isinstance(space, Maximiser):
        space.recall(mentioned_ids(state))
