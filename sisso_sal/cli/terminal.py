"""Output for people: results on stdout, notes and errors on stderr, in colour and with lines that fit if it is a terminal."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import textwrap
from typing import NoReturn

import click

from sisso_sal.cli.help import fitting
from sisso_sal.errors import StorageError
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


def emit(text: str, *, nl: bool = True, is_styled: bool = False) -> None:
    """Print data on stdout, as it is; a styled text loses its colours where they are not wanted.

    Raises
    ------
    StorageError
        It cannot be written.
    BrokenPipeError
        Nobody reads it any more.
    """
    _print(text, nl=nl, color=None if is_styled else True)


def show(text: str) -> None:
    """Print a result as text; where the terminal has no raised digits and roots, formulas are written without them."""
    text = printable(text, keep="\n")
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        from sisso_sal.features.typeset import in_ascii

        text = in_ascii(text)
    _print(fitted(text, width()))


def _print(text: str, *, nl: bool = True, color: bool | None = None) -> None:
    try:
        click.echo(text, nl=nl, color=color)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(f"standard output: cannot be written: {error.strerror}") from error
    except UnicodeEncodeError as error:
        sign = ascii(error.object[error.start])
        raise StorageError(
            f"standard output: needs an encoding that has {sign}, found {error.encoding}; set PYTHONIOENCODING=utf-8"
        ) from error


def say(text: str, head: str = "", **style: object) -> None:
    """Print a line on stderr: a head in a style, and text. What cannot be written there is lost, but does not stop the program."""
    try:
        click.echo(click.style(head, **style) + printable(text, keep="\n"), err=True, color=colour())  # pyright: ignore[reportArgumentType]
    except BrokenPipeError:
        raise
    except OSError:
        return


def note(text: str) -> None:
    """Print one line on stderr that is not part of the result; not with --quiet."""
    if not _has("quiet"):
        said = fitted("note: " + printable(fitting(text), keep="\n"), width(err=True))
        say(said.removeprefix("note:"), "note:", fg="yellow")


def next_step(text: str, *, err: bool = False) -> None:
    """Print what to do next, as the last line; not with --quiet or --json. It goes to stderr if stdout carries data."""
    if _has("quiet") or _has("as_json"):
        return
    said = fitted("Next: " + printable(text, keep="\n"), width(err=err)).removeprefix("Next:")
    if err:
        say(said, "Next:", bold=True)
    else:
        _print(f"\n{click.style('Next:', bold=True)}{said}")


def _has(flag: str) -> bool:
    ctx = click.get_current_context(silent=True)
    return ctx is not None and bool(ctx.params.get(flag))


def fail(message: str, code: int | None) -> NoReturn:
    """End with one line and an exit code; None stands for the code of the signal that interrupted the program."""
    try:
        say(f" {fitting(message)}", "error:", fg="red", bold=True)
    except BrokenPipeError:
        pass
    finally:
        let_go()
    sys.exit(128 + (caught[-1] if caught else signal.SIGINT) if code is None else code)


# The three streams ---------------------------------------------------------------------------------------------------

_MODES = {0: os.O_RDONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}
"""How the place of a closed stream is taken. Stdout is opened for reading: to write there is the error that it was before."""


def take_places() -> None:
    """Take the places of streams that are closed, so that no file of the program gets their numbers and their text."""
    for number, mode in _MODES.items():
        try:
            os.fstat(number)
        except OSError:
            handle = os.open(os.devnull, mode)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            os.set_inheritable(number, True)
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def let_go() -> None:
    """Drop what could not be written, so that Python does not try again and complain when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            handle = os.open(os.devnull, os.O_WRONLY)
            os.dup2(handle, stream.fileno())
            os.close(handle)
