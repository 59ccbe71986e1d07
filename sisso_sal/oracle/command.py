"""An oracle that runs a command for each candidate: it reads JSON and answers with JSON.

Every submission has a folder named after its intent. Its process outlives the driver; whoever looks next finds in the folder
whether it runs (it holds a lock, which the operating system drops with the last of its processes), ended (``status``) or died.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shlex
import shutil
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sisso_sal.errors import DocumentError, OracleError, SettingsError, StorageError, TakenError
from sisso_sal.oracle.answers import REQUEST, process_of, read_answer, read_submission
from sisso_sal.protocols import Answer, Receipt, Request
from sisso_sal.system import processes
from sisso_sal.system.documents import last_line, one_line, shown
from sisso_sal.system.operating_system import KILL, needs_posix, send_to_group, try_lock
from sisso_sal.system.storage import scratch_folder, write_whole, writing

if TYPE_CHECKING:
    from sisso_sal.data.table import Table
    from sisso_sal.settings.campaign import CampaignSettings

__all__ = ["CommandOracle", "from_command"]

GRACE = 5.0
"""Seconds between asking a process to end at its time limit and killing it."""
_PATIENCE = 60.0  # seconds after which a file that names no process is not waited for
_CLOCKS = 600.0  # seconds by which the clocks of a host and of a file server may differ
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,159}")
_BLANK = re.compile(r"\{(id|intent|folder|request|answer)\}")

# The lock is held from before the first line to the end of the last process; `status` is there in full or not at all.
_WRAPPER = """
echo "$$ $1" > "$0/pid"
shift
"$@"
code=$?
echo $code > "$0/status.part"
mv "$0/status.part" "$0/status"
"""


class CommandOracle:
    """Runs a command for each candidate, several at a time.

    Parameters
    ----------
    command : str
        Split as a shell does, but run without one. ``{id}``, ``{intent}``, ``{folder}``, ``{request}`` and ``{answer}`` are filled
        in. The request, ``{"intent", "id", "candidate": {header: value}}``, is a file and also the standard input. The answer,
        ``{"value": 1.5}`` with, if known, ``"error"`` and ``"core_hours"``, or ``{"failure": kind, "reason": text}``, is the file
        ``{answer}`` or, where that is not written, the standard output.
    folder : path
        Where the folders of the submissions are made.
    workers : int
        Commands that run at a time.
    walltime : float, optional
        Hours after which a command is ended.
    of_classes : bool
        Whether labels are names of classes: the answer is ``{"value": "perovskite"}`` then.

    Raises
    ------
    SettingsError
        The command is empty, its program does not exist, or this is no operating system on which commands can be run.
    """

    poll = 1.0
    barred: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        command: str,
        folder: str | Path,
        workers: int = 1,
        walltime: float | None = None,
        of_classes: bool = False,
    ):
        needs_posix("oracle command")
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise SettingsError(f"oracle: needs a command, found {shown(command)}: {error}") from error
        program = shutil.which(self._words[0]) if self._words else None
        if program is None:
            raise SettingsError(f"oracle: needs a command whose program exists, found {shown(command)}")
        self._words[0] = os.path.abspath(program)
        self._command = command
        self._root = Path(folder).absolute()
        self._workers = workers
        self._of_classes = of_classes
        self._limit = None if walltime is None else 3600 * walltime
        self._children: set[int] = set()

    def describe(self) -> dict[str, Any]:
        return {"oracle": "command", "command": self._command}

    def differences(self, labels: Mapping[str, float]) -> list[str]:
        """None: without running the command its answer is not known."""
        return []

    def submit(self, request: Request) -> Receipt:
        receipt = self.query(request)  # the rename is the acceptance
        job = self._root / request.intent
        if receipt is None:
            content = {"intent": request.intent, "id": request.id, "candidate": _in_json(request.candidate)}
            try:
                with writing(job):
                    self._root.mkdir(parents=True, exist_ok=True)
                    scratch = scratch_folder(job)
                    write_whole(scratch / REQUEST, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
                    scratch.rename(job)
            except StorageError as error:
                raise OracleError(str(error)) from error
        with suppress(StorageError, DocumentError, OSError):  # it is accepted; the next look tries again, and tells
            if self._n_running() < self._workers:
                self._start(job)
        return Receipt(request.intent, request.intent)

    def query(self, request: Request) -> Receipt | None:
        if not _PLAIN.fullmatch(request.intent):
            raise TakenError(f"needs an intent of letters, digits and hyphens, found {shown(request.intent)}")
        job = self._root / request.intent
        if not os.path.lexists(job):
            return None
        try:
            owner = read_submission(job).id
        except DocumentError as error:
            raise TakenError(f"{error}; for which candidate it was made is not known") from error
        if owner != request.id:
            raise TakenError(f"the folder {job.name} was made for {shown(owner)}, not for {shown(request.id)}")
        return Receipt(request.intent, request.intent)

    def collect(self, receipts: Sequence[Receipt]) -> Sequence[Answer]:
        self._reap()
        answers: list[Answer] = []
        queued: list[Path] = []
        problems: list[str] = []
        for receipt in receipts:
            job = self._root / receipt.intent
            try:
                answer = self._look(receipt, job)
                if answer is not None:
                    answers.append(answer)
                elif not os.path.lexists(job / "pid") and not _is_held(job):
                    queued.append(job)
            except (OSError, StorageError) as error:
                problems.append(str(error))
        try:
            for job in queued[: max(0, self._workers - self._n_running())]:
                try:
                    self._start(job)
                except DocumentError as error:
                    answers.append(Answer(job.name, kind="invalid", reason=f"cannot be started: {error}"))
        except (OSError, StorageError) as error:
            problems.append(str(error))
        if problems and not answers:
            raise OracleError(problems[0])
        return answers

    def close(self) -> None:
        """Commands that were started keep running."""
        self._reap()

    # One submission --------------------------------------------------------------------------------------------------

    def _start(self, job: Path) -> None:
        """Start the command of a submission, unless it runs or has run.

        Raises
        ------
        DocumentError
            It can never be started: there is no request, or the id cannot be given to a command.
        StorageError, OSError
            It cannot be started now.
        """
        with writing(job):
            lock = os.open(job / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not try_lock(lock) or (job / "pid").exists():  # it runs, or has run
                return
            os.set_inheritable(lock, True)
            words = ["/bin/sh", "-c", _WRAPPER, str(job), socket.gethostname(), *self._words_for(job)]
            files = [
                (os.POSIX_SPAWN_OPEN, 0, str(job / REQUEST), os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(job / "stdout"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666),
                (os.POSIX_SPAWN_OPEN, 2, str(job / "stderr"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666),
            ]
            # A session of its own: what ends the driver does not end the calculation.
            self._children.add(
                os.posix_spawn("/bin/sh", words, self._environment(job), file_actions=files, setsid=True)
            )
        except OSError as error:
            if error.errno == errno.E2BIG:
                raise DocumentError("the words of the command are longer than this system allows") from error
            raise
        finally:
            os.close(lock)

    def _words_for(self, job: Path) -> list[str]:
        submission = read_submission(job)
        return _filled(self._words, {"id": submission.id, "intent": job.name, **self._environment_paths(job)})

    @staticmethod
    def _environment_paths(job: Path) -> dict[str, str]:
        return {"folder": str(job), "request": str(job / REQUEST), "answer": str(job / "answer.json")}

    def _environment(self, job: Path) -> dict[str, str]:
        paths = {f"SISSO_SAL_{name.upper()}": path for name, path in self._environment_paths(job).items()}
        return dict(os.environ) | paths

    def _n_running(self) -> int:
        if not self._root.exists():
            return 0
        return sum(_is_held(job) for job in self._root.iterdir() if not (job / "status").exists())

    def _reap(self) -> None:
        for pid in list(self._children):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._children.remove(pid)

    def _look(self, receipt: Receipt, job: Path) -> Answer | None:
        """The answer of a submission that ended; None for one that runs or waits for its turn."""
        intent = receipt.intent
        if not _PLAIN.fullmatch(intent) or not os.path.lexists(job):
            return Answer(intent, kind="lost", reason=f"the folder {one_line(intent, 200)} is gone")
        try:
            owner = read_submission(job).id
        except DocumentError as error:
            return Answer(intent, kind="invalid", reason=one_line(str(error)))
        if receipt.id not in ("", owner):
            reason = f"needs the answer for {shown(receipt.id)}, found the folder of {shown(owner)}"
            return Answer(intent, kind="invalid", reason=reason)
        process = process_of(job)
        if not (job / "status").exists():
            if _is_held(job) or _is_elsewhere(job, process):
                self._enforce(job, process)
                return self._overdue(intent, job, process)
            if not (job / "status").exists():  # it may have ended between the two looks
                return self._died(intent, job)
        return read_answer(intent, job, _hours(job, job / "status"), self._of_classes)

    def _died(self, intent: str, job: Path) -> Answer:
        hours = _hours(job, job / "stdout")
        if limit := last_line(job / "walltime"):
            return Answer(intent, core_hours=hours, kind="walltime", reason=f"ended after {limit}")
        reason = "its process was killed, or the machine stopped"
        return Answer(intent, core_hours=hours, kind="crashed", reason=reason)

    def _overdue(self, intent: str, job: Path, process: tuple[int, str] | None) -> Answer | None:
        """The failure of a command of another host, where nothing can be seen of it: its time has long been over."""
        if self._limit is None or process is None or process[1] == socket.gethostname():
            return None
        if time.time() - (job / "pid").stat().st_mtime < self._limit + _CLOCKS:
            return None
        reason = f"on {one_line(process[1], 64)}, no answer after {self._limit / 3600:.4g} hours"
        return Answer(intent, core_hours=self._limit / 3600, kind="walltime", reason=reason)

    def _enforce(self, job: Path, process: tuple[int, str] | None) -> None:
        """End a command that runs longer than its time limit, on this host."""
        if self._limit is None or process is None or process[1] != socket.gethostname():
            return
        age = time.time() - (job / "pid").stat().st_mtime
        if age < self._limit or not processes.holds(process[0], job / "lock"):
            return
        write_whole(job / "walltime", f"{self._limit / 3600:.4g} hours")
        send_to_group(process[0], signal.SIGTERM if age < self._limit + GRACE else KILL)


def from_command(settings: CampaignSettings, run: Path, table: Table, command: str) -> CommandOracle:
    """A command whose submissions are folders below the run folder; see `sisso_sal.oracle.registry.OracleKind`.

    Raises
    ------
    SettingsError
        Settings ask for no worker, or the command cannot be run.
    """
    if settings.run.calculations < 1:
        raise SettingsError("run.calculations: needs 1 or more with an oracle command:COMMAND, found 0")
    run_by = settings.run
    return CommandOracle(command, run / "jobs", run_by.calculations, run_by.walltime, settings.looks_for_classes)


def _in_json(candidate: Mapping[str, Any]) -> dict[str, Any]:
    """A row for JSON, which has no NaN and no infinity: null where there is no number."""
    return {
        header: None if isinstance(cell, float) and not math.isfinite(cell) else cell
        for header, cell in candidate.items()
    }


def _filled(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The words with the values in place of their names in braces; braces within a value stay as they are.

    Raises
    ------
    DocumentError
        A value holds a NUL character.
    """
    filled = [_BLANK.sub(lambda blank: values[blank[1]], word) for word in words]
    if any("\0" in word for word in filled):
        raise DocumentError("needs an id that a command can take, found one with a NUL character")
    return filled


def _is_elsewhere(job: Path, process: tuple[int, str] | None) -> bool:
    """Whether a submission that no process of this host holds was not started yet, or may run on another host."""
    if process is not None:
        return process[1] != socket.gethostname()
    try:
        return (
            time.time() - os.lstat(job / "pid").st_mtime < _PATIENCE
        )  # a file server may show the file before its content
    except FileNotFoundError:
        return True


def _is_held(job: Path) -> bool:
    """Whether a process of a submission is running."""
    try:
        handle = os.open(job / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        return not try_lock(handle)
    finally:
        os.close(handle)


def _hours(job: Path, end: Path) -> float:
    try:
        return max(0.0, end.stat().st_mtime - (job / "pid").stat().st_mtime) / 3600
    except OSError:
        return 0.0
