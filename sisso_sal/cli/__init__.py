"""The command line: it connects the parts of the package and computes nothing itself.

Results go to stdout, progress and notes to stderr. Exit codes: 0 done, 1 failed while running, 2 usage or bad input, 3 finished
with failed calculations, 75 another process drives the run, 130 interrupted (Ctrl-C), 141 nobody reads the output any more, 143
terminated.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import traceback
import warnings
from types import FrameType

import click

from sisso_sal import __version__
from sisso_sal.cli import terminal
from sisso_sal.cli.completion import completion
from sisso_sal.cli.config import config
from sisso_sal.cli.discover import discover
from sisso_sal.cli.doctor import doctor
from sisso_sal.cli.estimate import estimate
from sisso_sal.cli.export import export
from sisso_sal.cli.foreign import import_sisso
from sisso_sal.cli.help import Group, in_hand
from sisso_sal.cli.models import fit, predict
from sisso_sal.cli.pareto import pareto
from sisso_sal.cli.report import report
from sisso_sal.cli.run import label, ledger, retry, status, stop
from sisso_sal.cli.screen import screen
from sisso_sal.cli.slurm import slurm
from sisso_sal.cli.study import replay, tune
from sisso_sal.cli.tables import featurize, pool
from sisso_sal.cli.terminal import colour, fail, show
from sisso_sal.cli.worker import worker
from sisso_sal.errors import SissoSalError, reason_of
from sisso_sal.system import clock
from sisso_sal.system.extras import told
from sisso_sal.system.operating_system import BROKEN_PIPE, handle_later
from sisso_sal.system.storage import undisturbed

START = """\
Which material should be computed next? Give a table in which one column is known for some rows:

  sisso-sal discover candidates.csv        learn formulas, propose the best candidates
  sisso-sal status runs/candidates         the state of the campaign, and what to do next
  sisso-sal label runs/candidates ID 1.2   add a result, then run discover again

A table looks like this, with units in the header and empty cells where the value is not known yet:

  formula,gap (eV),EA (eV),r_s (AA)
  MgO,7.8,1.32,0.97
  CaO,,1.10,1.15

All commands: sisso-sal --help. To check the installation: sisso-sal doctor"""
UNCOLLECTED = 500_000
"""New objects after which the garbage collector looks at them: imports and kernels make hundreds of thousands that stay, and at
700, Python's default, it walks them over and over, a tenth of the time of a small fit."""
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(cls=Group, context_settings=CONTEXT, invoke_without_command=True)
@click.version_option(__version__, prog_name="sisso-sal")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Discover materials with SISSO ensembles and sequential active learning.

    \b
    Start here:
      sisso-sal discover candidates.csv      what to compute next
      sisso-sal fit table.csv --target gap   formulas for a property
    """
    if ctx.invoked_subcommand is None:
        show(START)


_AGAIN = 0.02
"""Seconds after which an interruption that would have been lost is tried again."""


def main() -> None:
    """Entry point: errors become one line and an exit code."""
    clock.begin()
    gc.set_threshold(UNCOLLECTED)
    terminal.take_places()
    in_hand.clear()
    debug = "--debug" in sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    warnings.showwarning = _show_warning
    _show_log()
    _check_arguments()
    stdout = sys.stdout
    try:
        cli.main(prog_name="sisso-sal", standalone_mode=False, color=colour())
    except (click.exceptions.Abort, KeyboardInterrupt):
        fail("interrupted", None)
    except click.ClickException as error:
        fail(error.format_message(), error.exit_code if isinstance(error, click.UsageError) else 1)
    except SissoSalError as error:
        if debug:
            traceback.print_exc()
        fail(*(("interrupted", None) if terminal.caught else (str(error), error.exit_code)))
    except SystemExit:
        if sys.stdout is not stdout:  # a pipe broke: click replaces the stream and ends
            terminal.let_go()
            sys.exit(128 + BROKEN_PIPE)  # as a shell counts a program that the signal ended
        raise
    except OSError as error:
        if debug:
            traceback.print_exc()
        if terminal.caught:
            fail("interrupted", None)
        place = error.filename if isinstance(error.filename, str) else "input or output"
        fail(f"{place}: {error.strerror or error}", 1)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, ImportError) and (lack := told(error)):
            fail(lack, 2)
        if terminal.caught:  # compiled modules turn a KeyboardInterrupt into errors of their own
            fail("interrupted", None)
        if isinstance(error, MemoryError):
            lacks = str(error) or "the memory does not suffice"
            fail(f"{lacks} (fewer labels, candidates or members need less memory)", 1)
        fail(f"{reason_of(error)} (this is a defect; --debug shows where)", 1)
    finally:
        # Where an interruption falls into a call of eval or exec with a text, as modules that are imported do it, CPython marks the
        # process as interrupted, and `python -m` ends by SIGINT in the place of the exit code. The next call takes that back.
        eval("None")


def _interrupt(number: int, frame: FrameType | None) -> None:
    terminal.caught.append(number)
    _end(number, frame)


def _end(_: int, frame: FrameType | None) -> None:
    """Interrupt the program, but not where that is lost: within an import, as modules that are compiled can swallow what is raised
    in them, and within a call from C that goes on, or crashes.
    """
    if not (_loses(frame) and handle_later(_AGAIN, _end)):
        undisturbed.interrupt()


def _loses(frame: FrameType | None) -> bool:
    """Whether a module is being executed in this frame or in one that called it, or LLVM or a kernel has called it."""
    while frame is not None:
        name, file = frame.f_code.co_name, frame.f_code.co_filename
        if name in {"exec_module", "create_module"} and "importlib" in file:
            return True
        if "llvmlite" in file:  # objects half made complain when they are deleted
            return True
        if name == "_numba_unpickle":  # compiled code that makes an array goes on without it
            return True
        frame = frame.f_back
    return False


def _check_arguments() -> None:
    """Refuse arguments that are no UTF-8: they could be neither recorded nor printed."""
    for number, word in enumerate(sys.argv[1:], 1):
        try:
            word.encode()
        except UnicodeEncodeError:
            fail(f"argument {number}: needs UTF-8 text, found {os.fsencode(word)!r}", 2)


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    if issubclass(category, DeprecationWarning | FutureWarning):
        return  # a package speaks of itself; nobody who runs a command can act on it
    if not {"-q", "--quiet"} & set(sys.argv[1:]):
        terminal.say(f" {message}", "note:", fg="yellow")


class _Notes(logging.Handler):
    """Notes of the library go to stderr like warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        terminal.say(f"note: {record.getMessage()}")


def _show_log() -> None:
    log = logging.getLogger("sisso_sal")
    log.addHandler(_Notes())
    log.setLevel(logging.WARNING if {"-q", "--quiet"} & set(sys.argv[1:]) else logging.INFO)


cli.add_sections(
    {
        "Campaigns": (discover, status, report, label, retry, stop, ledger, worker, slurm),
        "Two targets at once": (pareto,),
        "Formulas": (fit, predict, screen, export, import_sisso),
        "Choose settings and strategies": (tune, replay),
        "Tables of candidates": (featurize, pool, estimate),
        "This program": (config, completion, doctor),
    }
)
