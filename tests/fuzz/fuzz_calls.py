"""Calls of the command for the fuzz tests: in this process with a timer, or as a command; and what every call must keep."""

import io
import json
import logging
import os
import random
import signal
import subprocess
import sys
import unicodedata
import warnings
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from forks import warm

SECONDS = 5.0
"""A call that takes longer hangs."""
SEED = int(os.environ.get("FUZZ_SEED", "0"))
LONGEST_LINE = 1500


@dataclass(frozen=True)
class Done:
    """Exit code, stdout and stderr of a call."""

    code: int
    out: str
    err: str

    @property
    def notes(self):
        return [line.removeprefix("note: ") for line in self.err.splitlines() if line.startswith("note: ")]


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes
    ----------
    arguments : tuple of str
        Of the command; paths are relative to the folder of the case.
    codes : set of int
        Exit codes that are documented for such an input.
    check : callable
        Takes the `Done` and returns what is wrong, "" where nothing is.
    before : callable
        Called in the process of the tests ahead of a call there; returns what undoes it.
    """

    arguments: tuple[str, ...]
    codes: frozenset[int] = frozenset({0, 2})
    check: Callable[[Done], str] = field(default=lambda done: "")


class TooLong(BaseException):
    """The timer of a call ran out."""


def seeded(kind, number):
    """The random stream of one input."""
    return random.Random(f"{SEED} {kind} {number}")


@cache
def warm_up():
    """Import and compile what most calls need, once in a process: that takes longer than a call may."""
    warm()


def in_process(case, folder):
    """Call the command in this process; `TooLong` where it takes more than `SECONDS`."""
    warm_up()
    from sisso_sal.cli import main, terminal

    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    arguments, show_warning = sys.argv, warnings.showwarning
    log = logging.getLogger("sisso_sal")
    handlers = list(log.handlers)
    code = 0
    try:
        signal.signal(signal.SIGALRM, _too_long)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        sys.argv = ["sisso-sal", *case.arguments]
        terminal.caught.clear()
        with chdir(folder), warnings.catch_warnings(), redirect_stdout(streams[0]), redirect_stderr(streams[1]):
            warnings.simplefilter("default")
            main()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.argv, warnings.showwarning = arguments, show_warning
        log.handlers = handlers
    out, err = (stream.buffer.getvalue().decode("utf-8", "surrogateescape") for stream in streams)
    return Done(code, out, err)


def _too_long(number, frame):
    raise TooLong(f"in {frame.f_code.co_filename}:{frame.f_lineno}")


def as_command(case, folder):
    """Call the command in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "sisso_sal", *case.arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def wrong(case, done):
    """What a call did that no call may do; "" where nothing is wrong."""
    for text, what in ((done.out, "stdout"), (done.err, "stderr")):
        if "Traceback" in text or "this is a defect" in text:
            return f"a defect: {text.splitlines()[-1][:300]}"
        try:
            text.encode()
        except UnicodeEncodeError:
            return f"{what} is no UTF-8"
    if done.code not in case.codes:
        return f"exit code {done.code}, not one of {sorted(case.codes)}: {done.err[-300:]}"
    lines = done.err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    if done.code in {1, 2, 75} and (len(errors) != 1 or lines[-1] != errors[0]):
        return f"no single line of an error at the end: {done.err[-300:]!r}"
    if done.code in {0, 3} and errors:
        return f"an error with exit code {done.code}: {errors[0]}"
    if long := [line for line in lines if len(line) > LONGEST_LINE]:
        return f"a line of {len(long[0])} characters: {long[0][:100]}…"
    if any(unicodedata.category(mark) in {"Cc", "Cf", "Cs"} for line in lines for mark in line):
        return f"control characters on stderr: {done.err!r}"
    if "--json" in case.arguments and done.code in {0, 3}:
        try:
            json.loads(done.out, parse_constant=_no_constant)
        except ValueError as error:
            return f"stdout is no JSON document: {error}"
    if done.code in {1, 2, 75} and done.out and "--json" in case.arguments:
        return f"an error, and a result on stdout: {done.out[:100]}"
    return case.check(done)


def _no_constant(name):
    raise ValueError(f"{name} in JSON")


def tried(make, kind, number, folder, *, is_command=False):
    """Make one input, call the command with it and judge; "" where all is well."""
    call = as_command if is_command else in_process
    case, done = Case(()), None
    try:
        for attempt in ("first", "second"):  # the machine may be busy, or a kernel be compiled, once
            place = Path(folder, attempt)
            place.mkdir(parents=True)
            case = make(seeded(kind, number), place)
            try:
                done = call(case, place)
                break
            except (TooLong, subprocess.TimeoutExpired) as error:
                where = str(error)
        else:
            return f"{kind} {number}: longer than {SECONDS:g} s twice, {where}: {' '.join(case.arguments)}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{kind} {number}: {type(error).__name__} left the command: {error}: {' '.join(case.arguments)}"
    fault = wrong(case, done)
    return f"{kind} {number}: {fault}: {' '.join(case.arguments)}" if fault else ""
