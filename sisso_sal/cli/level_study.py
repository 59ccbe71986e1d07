"""`replay` of a campaign with levels of theory."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from sisso_sal.cli.terminal import note
from sisso_sal.errors import SettingsError


def level_study(
    table, settings, surrogates: tuple[str, ...], rules, *, seeds: int, workers, progress
) -> dict[str, Any]:
    """The document of `replay_levels`: each surrogate with the levels, and without any; and each level's best values first.

    Raises
    ------
    SettingsError
        The table lacks the values of a level.
    """
    from sisso_sal.campaign.levels import check_levels_of
    from sisso_sal.replay.ladder import LevelsStrategy, replay_levels
    from sisso_sal.spaces.table import TableSpace

    space, levels = _apart(table, settings)
    space = TableSpace(space)
    check_levels_of(settings, space)
    strategies = []
    for kind in surrogates:
        made = partial(levels_made, settings.model_copy(update={"surrogate": kind}))
        strategies.append(LevelsStrategy(f"{kind}, levels", levels, partial(made, len(levels))))
        strategies.append(LevelsStrategy(f"{kind}, the last level alone", (), partial(made, 0)))
    strategies += [LevelsStrategy(f"all of {level.name}, best first", (level,), None) for level in levels]
    last = settings.level[-1]
    document = replay_levels(
        space, strategies, last.cost, rules, seeds=seeds, seed=settings.seed, workers=workers, progress=progress
    )
    return document | {"last_name": last.name}


def refuse_with_levels(given: dict[str, Any]) -> None:
    """Refuse options that have no meaning where levels of theory are compared."""
    if names := [name for name, value in given.items() if value]:
        raise SettingsError(f"{names[0]}: needs a campaign without levels of theory, found [[level]] in the settings")


def levels_made(settings, n_levels: int, seed: int):
    """How the surrogate of each level is made, from a seed; picklable."""
    from sisso_sal.levels.making import maker

    return maker(unfitted, settings, seed, n_levels)


def unfitted(settings, seed: int):
    """An unfitted surrogate, in a process of its own: notes on units were already shown by the first process."""
    import warnings

    from sisso_sal.models.registry import make_surrogate

    warnings.filterwarnings("ignore", message="unit .* is not known")
    return make_surrogate(settings, seed, threads=1)


def _apart(table, settings):
    """The table without the columns of lower levels, and what these are."""
    import numpy as np

    from sisso_sal.data.headers import split_header
    from sisso_sal.protocols import Quantity
    from sisso_sal.replay.ladder import KnownLevel

    names = [split_header(str(level.column))[0] for level in settings.lower]
    known = dict(zip(table.feature_names, table.features.T, strict=True))
    units = dict(zip(table.feature_names, table.feature_units, strict=True))
    for number, name in enumerate(table.partial_names):
        known[name], units[name] = np.asarray(table.partial)[:, number], table.partial_units[number]
    for level, name in zip(settings.lower, names, strict=True):
        if name not in known:
            raise SettingsError(f"level {level.name}: needs its values in a column '{level.column}', found none")
        if (n := int(np.isnan(known[name]).sum())) > 0:
            note(f"level {level.name}: {n} of {table.n_rows} rows have no value and cannot be computed at it")
    levels = tuple(
        KnownLevel(level.name, level.cost, Quantity(name, units[name], table.header(name)), np.array(known[name]))
        for level, name in zip(settings.lower, names, strict=True)
    )
    kept = [number for number, name in enumerate(table.feature_names) if name not in names]
    rest = replace(
        table,
        feature_names=tuple(table.feature_names[number] for number in kept),
        feature_units=tuple(table.feature_units[number] for number in kept),
        features=table.features[:, kept],
        partial_names=(),
        partial_units=(),
        partial=None,
    )
    return rest, levels
