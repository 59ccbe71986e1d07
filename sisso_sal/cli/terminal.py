"""Output for people: results on stdout, notes and errors on stderr, in colour and with lines that fit if it is a terminal."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import textwrap
from typing import NoReturn

import click

from sisso_sal.system.printable import printable

caught: list[int] = []
"""Signals that asked the program to end."""

NARROWEST = 40


def colour() -> bool | None:
    """Whether to use colour: NO_COLOR and FORCE_COLOR decide; None leaves it to whether the output is a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in {"", "0"}:
        return True
    return False if os.environ.get("TERM") == "dumb" else None


def width(*, err: bool = False) -> int | None:
    """Columns of the terminal; None if stdout (or stderr) is not a terminal."""
    stream = sys.stderr if err else sys.stdout
    return max(NARROWEST, shutil.get_terminal_size().columns) if stream.isatty() else None


def fitted(text: str, columns: int | None) -> str:
    """The text with each line that is too long broken between words; its further lines are indented more, as far as all words fit.

    Examples
    --------
    >>> print(fitted("  labels inside the 95 % interval: 98 %", 30))
      labels inside the 95 %
        interval: 98 %
    """
    if columns is None:
        return text
    lines = []
    for line in text.split("\n"):
        deeper = len(line) - len(line.lstrip()) + 2
        longest = max((len(word) for word in line.split() if len(word) <= columns), default=0)
        indent = " " * min(deeper if deeper < columns / 2 else 2, columns - longest)
        broken = textwrap.wrap(line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        lines += broken or [""]
    return "\n".join(lines)


def show(text: str) -> None:
    """Print a result as text."""
    click.echo(fitted(_harmless(text), width()))


def _harmless(text: str) -> str:
    """Lines of a text; what else a terminal would obey, in a name or an id, is written as an escape."""
    return printable(text, keep="\n")


def note(text: str) -> None:
    """Print one line on stderr that is not part of the result; not with --quiet."""
    if not _has("quiet"):
        said = fitted(f"note: {_harmless(text)}", width(err=True))
        click.echo(click.style("note:", fg="yellow") + said.removeprefix("note:"), err=True)


def next_step(text: str, *, err: bool = False) -> None:
    """Print what to do next, as the last line; not with --quiet or --json. It goes to stderr if stdout carries data."""
    if not (_has("quiet") or _has("as_json")):
        said = fitted(f"Next: {_harmless(text)}", width(err=err)).removeprefix("Next:")
        click.echo(f"{'' if err else chr(10)}{click.style('Next:', bold=True)}{said}", err=err)


def _has(flag: str) -> bool:
    ctx = click.get_current_context(silent=True)
    return ctx is not None and bool(ctx.params.get(flag))


def fail(message: str, code: int | None) -> NoReturn:
    """End with one line and an exit code; None stands for the code of the signal that interrupted the program."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {_harmless(message)}", err=True, color=colour())
    sys.exit(128 + (caught[-1] if caught else signal.SIGINT) if code is None else code)
