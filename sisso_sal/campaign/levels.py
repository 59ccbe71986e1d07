"""What is known at each level of theory of a campaign."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sisso_sal.acquisition.scores import HITS
from sisso_sal.data.estimated import ESTIMATED_BY
from sisso_sal.data.headers import split_header
from sisso_sal.errors import SettingsError
from sisso_sal.ledger.state import State
from sisso_sal.levels.choice import Level
from sisso_sal.levels.ladder import LevelValues
from sisso_sal.protocols import HasPartial, Maximiser, Oracle, Quantity, Space
from sisso_sal.settings.campaign import CampaignSettings


def levels_of(space: Space, settings: CampaignSettings, state: State, oracles: Mapping[str, Oracle]) -> list[Level]:
    """The lower levels of a campaign, the lowest first; none where all columns are whole and no level is named.

    Parameters
    ----------
    space : Space
    settings : CampaignSettings
    state : State
    oracles : mapping of str to Oracle
        Those of lower levels, by name; what one can never compute counts as failed.
    """
    columns = _partial_of(space, state)
    by_name = {quantity.name: quantity for quantity in columns}
    n, named = len(space.ids), {split_header(str(level.column))[0] for level in settings.lower}
    nothing = np.zeros(n, dtype=bool)
    estimates = _estimates_of(space, settings)
    found = [
        Level("", np.inf, LevelValues(quantity, values, quantity.name in estimates), nothing, nothing)
        for quantity, values in sorted(columns.items(), key=lambda one: (one[0].name in estimates, one[0].name))
        if quantity.name not in named
    ]
    whole = space.rows().features if settings.lower else {}
    by_name |= {quantity.name: quantity for quantity in space.features if quantity.name in named}
    for level in settings.lower:
        name, unit = split_header(str(level.column))
        quantity = by_name.get(name, Quantity(name, unit, str(level.column)))
        values = np.array(columns.get(quantity, whole.get(name, np.full(n, np.nan))))
        own = state.at(level.name)
        given, pending, failed = own.labels, {case.id for case in own.pending}, {case.id for case in own.failed}
        failed |= {*oracles[level.name].barred} if level.name in oracles else set()
        for number, id in enumerate(space.ids):
            values[number] = given.get(id, values[number])
        parts = (np.array([id in ids for id in space.ids]) if ids else nothing for ids in (pending, failed))
        found.append(Level(level.name, level.cost, LevelValues(quantity, values), *parts))
    return found


def _partial_of(space: Space, state: State) -> dict[Quantity, np.ndarray]:
    """Columns with gaps of a space, with the cells that were filled in later."""
    columns = dict(space.partial) if isinstance(space, HasPartial) else {}
    for quantity in columns:
        if filled := state.filled.get(quantity.header):
            given = np.array([filled.get(id, np.nan) for id in space.ids])
            columns[quantity] = np.where(np.isnan(given), columns[quantity], given)
    return columns


def _estimates_of(space: Space, settings: CampaignSettings) -> set[str]:
    """Names of columns that estimate the target: those that settings name, and those that ``estimate`` made for it."""
    given = {split_header(column)[0] for column in settings.ensemble.low or ()}
    return given | {f"{space.target.name}_{potential}" for potential in ESTIMATED_BY} if space.target else given


def check_levels_of(settings: CampaignSettings, space: Space) -> None:
    """Refuse levels for candidates that are not listed, columns that make no ladder, and another acquisition than `hits`."""
    if settings.level and isinstance(space, Maximiser):
        raise SettingsError("level: needs candidates of a table, found a space that makes its own")
    if settings.level and space.target is not None:
        _check_columns(settings, space.target)
        _check_units(settings, space)
    if settings.level and settings.acquisition != HITS.name:
        raise SettingsError(
            f"acquisition: needs '{HITS.name}' for a campaign with levels, found '{settings.acquisition}'"
        )


def _check_columns(settings: CampaignSettings, target: Quantity) -> None:
    """Refuse two levels of one column, whatever the unit, and another column of the last level than the target."""
    *lower, last = (level.column and split_header(level.column)[0] for level in settings.level)
    if last is not None and last != target.name:
        top = settings.level[-1]
        raise SettingsError(f"level {top.name}: needs the target '{target.header}' as its column, found '{top.column}'")
    for level, name in zip(settings.lower, lower, strict=True):
        if name == target.name:
            raise SettingsError(f"level {level.name}: needs a column of its own, found the target '{level.column}'")
        if lower.count(name) > 1:
            raise SettingsError(f"level {level.name}: needs a column of its own, found '{name}' of two levels")


def _check_units(settings: CampaignSettings, space: Space) -> None:
    """Refuse a level that gives its values in another unit than the table has them."""
    columns = [*space.features, *(space.partial if isinstance(space, HasPartial) else ())]
    units = {quantity.name: quantity for quantity in columns}
    for level in settings.lower:
        name, unit = split_header(str(level.column))
        if unit and name in units and units[name].unit != unit:
            found = units[name].header
            raise SettingsError(
                f"level {level.name}: needs its column as the table has it, '{found}', found '{level.column}'"
            )
