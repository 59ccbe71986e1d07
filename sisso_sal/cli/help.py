"""Help with headings: options under the headings from `panel`, commands under those of their group."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from sisso_sal.cli.hints import told
from sisso_sal.system.machine import keep_freed_memory, start_blas

OTHER = "Other options"
in_hand: list[click.Command] = []
"""The command that runs, and the one above all."""


def fitting(message: str) -> str:
    """A message whose options are those of the command that runs."""
    if "--" not in message or not in_hand:
        return message
    command, root = in_hand
    return told(message, command, dict(root.commands) if isinstance(root, click.Group) else {})


class Formatter(click.HelpFormatter):
    """Headings in bold; without colour click removes the codes."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, click.style("Usage: ", bold=True) if prefix is None else prefix)

    def write_heading(self, heading: str) -> None:
        super().write_heading(click.style(heading, bold=True))


class Context(click.Context):
    formatter_class = Formatter


class Command(click.Command):
    """A command whose options stand under headings."""

    context_class = Context

    def invoke(self, ctx: click.Context) -> Any:
        """Note the command in hand for messages, and run it."""
        in_hand[:] = [self, ctx.find_root().command]
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                panels.setdefault(getattr(parameter, "panel", OTHER), []).append(_plain(*record))
        panels[OTHER] = panels.pop(OTHER, [])  # last
        for title, records in panels.items():
            with formatter.section("Options" if len(panels) == 1 else title):
                formatter.write_dl(records)


class Computing(Command):
    """A command that computes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Start BLAS first, and run it."""
        start_blas()
        keep_freed_memory()
        return super().invoke(ctx)


_PLAIN = {
    " INTEGER RANGE": " N",
    " FLOAT RANGE": " X",
    " INTEGER": " N",
    " FLOAT": " X",
    " DIRECTORY": " FOLDER",
    " FILE": " PATH",
}


def _plain(options: str, text: str) -> tuple[str, str]:
    """The option with a short name of its value, and the text without bounds that are clear anyway."""
    for long, brief in _PLAIN.items():
        if options.endswith(long):
            options = options.removesuffix(long) + brief
    return options, re.sub(r"\s*\[x>=?[01]\]$", "", text)


class DescribedOption(click.Option):
    """An option whose help is made when it is shown, because plug-ins may add to it.

    Parameters
    ----------
    describe : callable
        Returns the help text; replaces ``help``.
    """

    def __init__(self, *args: Any, describe: Callable[[], str], **kwargs: Any):
        self._describe = describe
        super().__init__(*args, **kwargs)

    @property
    def help(self) -> str:
        return self._describe()

    @help.setter
    def help(self, text: str | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Nothing to do: click sets no text."""


class Group(click.Group):
    """A group whose commands stand under headings; those without one come last."""

    context_class = Context
    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._sections: dict[str, Sequence[str]] = {}

    def add_sections(self, sections: Mapping[str, Sequence[click.Command]]) -> None:
        """Add commands under headings, in the order given."""
        for title, commands in sections.items():
            self._sections[title] = [command.name or "" for command in commands]
            for command in commands:
                self.add_command(command)

    def list_commands(self, ctx: click.Context) -> list[str]:
        placed = [name for names in self._sections.values() for name in names]
        return [*placed, *(name for name in super().list_commands(ctx) if name not in placed)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        listed = [name for names in self._sections.values() for name in names]
        rest = {"Commands": [name for name in self.list_commands(ctx) if name not in listed]}
        longest = max(len(name) for name in self.commands)
        for title, names in {**self._sections, **rest}.items():
            rows = [(name, self.commands[name].get_short_help_str(formatter.width - 6 - longest)) for name in names]
            if rows:
                with formatter.section(title):
                    formatter.write_dl([(name.ljust(longest), text) for name, text in rows])


def panel(title: str, *decorators: Callable) -> Callable:
    """Several click options as one decorator, in the order given, under one heading of the help."""

    def decorate(function: Callable) -> Callable:
        known = list(getattr(function, "__click_params__", ()))
        for decorator in reversed(decorators):
            function = decorator(function)
        for parameter in getattr(function, "__click_params__", ()):
            if parameter not in known:
                parameter.panel = title
        return function

    return decorate
