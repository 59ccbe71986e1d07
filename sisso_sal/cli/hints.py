"""Options in messages: a message from inside the package may name an option that the command in hand lacks; it is put otherwise."""

from __future__ import annotations

import re
from functools import cache

import click

_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
_CLAUSE = re.compile(r"[;(\n]")


def told(message: str, command: click.Command | None, commands: dict[str, click.Command]) -> str:
    """The message, with options that the command has.

    An option that it lacks becomes the setting of that name, or is given with a command that has it. One that no command has
    belongs to another program, and one after the name of a command belongs to that.

    Parameters
    ----------
    message : str
    command : click command or None
        The command in hand; without one the message stays as it is.
    commands : dict
        All commands by name.
    """
    if command is None:
        return message
    own = options_of(command)
    parts, end = [], 0
    for place in _OPTION.finditer(message):
        option = place.group()
        before = _CLAUSE.split(message[: place.start()])[-1]
        named = [name for name in commands if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", before)]
        owners = [name for name, one in commands.items() if option in options_of(one)]
        if option not in own and owners and not set(named) & set(owners):
            parts += [message[end : place.start()], _otherwise(option, owners, has_file="--config" in own)]
            end = place.end()
    return "".join([*parts, message[end:]])


def options_of(command: click.Command) -> set[str]:
    """Every option of a command, as it is written."""
    return {
        option
        for each in command.params
        if isinstance(each, click.Option)
        for option in [*each.opts, *each.secondary_opts]
    }


def _otherwise(option: str, owners: list[str], *, has_file: bool) -> str:
    name = option.removeprefix("--").replace("-", "_")
    if len(owners) == 1 or name not in _settings():
        return f"sisso-sal {owners[0]} {option}"
    return f"{name} in the settings file" if has_file else f"the setting {name}"


@cache
def _settings() -> frozenset[str]:
    """Names of all settings, without their section."""
    from sisso_sal.settings.campaign import CampaignSettings, flat_settings

    return frozenset(name.rpartition(".")[2] for name in flat_settings(CampaignSettings().model_dump(mode="json")))
