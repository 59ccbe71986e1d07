"""An oracle that runs a command for each candidate: it reads JSON and answers with JSON.

Every submission has a folder named after its intent. Its process outlives the driver; whoever looks next finds in the folder
whether it runs (it holds a lock, which the operating system drops with the last of its processes), ended (``status``) or died.
"""

from __future__ import annotations

import fcntl
import json
import os
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

from sisso_sal.data.cells import shown
from sisso_sal.errors import OracleError, SettingsError, StorageError
from sisso_sal.protocols import FAILURES, Answer, Receipt, Request
from sisso_sal.system.storage import write_whole, writing

if TYPE_CHECKING:
    from sisso_sal.data.table import Table
    from sisso_sal.settings.campaign import CampaignSettings

__all__ = ["CommandOracle", "from_command", "read_answer"]

GRACE = 5.0
"""Seconds between asking a process to end at its time limit and killing it."""

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

    Raises
    ------
    SettingsError
        The command is empty or its program does not exist.
    """

    poll = 1.0
    barred: Mapping[str, str] = MappingProxyType({})

    def __init__(self, command: str, folder: str | Path, workers: int = 1, walltime: float | None = None):
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
        self._limit = None if walltime is None else 3600 * walltime
        self._children: set[int] = set()

    def describe(self) -> dict[str, Any]:
        return {"oracle": "command", "command": self._command}

    def differences(self, labels: Mapping[str, float]) -> list[str]:
        """None: without running the command its answer is not known."""
        return []

    def submit(self, request: Request) -> Receipt:
        job = self._root / request.intent
        scratch = self._root / f".{request.intent}.part"
        content = {"intent": request.intent, "id": request.id, "candidate": dict(request.candidate)}
        try:
            if not job.exists():  # the rename is the acceptance
                with writing(job):
                    scratch.mkdir(parents=True, exist_ok=True)
                    write_whole(scratch / "request.json", json.dumps(content, ensure_ascii=False, indent=1) + "\n")
                    scratch.rename(job)
        except StorageError as error:
            raise OracleError(str(error)) from error
        if self._n_running() < self._workers:
            with suppress(StorageError):  # it is accepted; the next look tries again, and tells
                self._start(job)
        return Receipt(request.intent, request.intent)

    def query(self, request: Request) -> Receipt | None:
        return Receipt(request.intent, request.intent) if (self._root / request.intent).exists() else None

    def collect(self, receipts: Sequence[Receipt]) -> Sequence[Answer]:
        self._reap()
        answers = []
        queued = []
        for receipt in receipts:
            job = self._root / receipt.job
            answer = self._look(receipt.intent, job)
            if answer is not None:
                answers.append(answer)
            elif not (job / "pid").exists() and not _is_held(job):
                queued.append(job)
        try:
            for job in queued[: max(0, self._workers - self._n_running())]:
                self._start(job)
        except StorageError as error:
            if not answers:
                raise OracleError(str(error)) from error
        return answers

    def close(self) -> None:
        """Commands that were started keep running."""
        self._reap()

    # One submission --------------------------------------------------------------------------------------------------

    def _start(self, job: Path) -> None:
        """Start the command of a submission, unless it runs or has run."""
        with writing(job):
            lock = os.open(job / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (job / "pid").exists():
                return
            os.set_inheritable(lock, True)
            words = ["/bin/sh", "-c", _WRAPPER, str(job), socket.gethostname(), *self._filled(job)]
            files = [
                (os.POSIX_SPAWN_OPEN, 0, str(job / "request.json"), os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(job / "stdout"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666),
                (os.POSIX_SPAWN_OPEN, 2, str(job / "stderr"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666),
            ]
            # A session of its own: what ends the driver does not end the calculation.
            self._children.add(
                os.posix_spawn("/bin/sh", words, self._environment(job), file_actions=files, setsid=True)
            )
        except BlockingIOError:
            return  # it runs
        finally:
            os.close(lock)

    def _filled(self, job: Path) -> list[str]:
        request = json.loads((job / "request.json").read_text(encoding="utf-8"))
        values = {"id": request["id"], "intent": request["intent"], **self._environment_paths(job)}
        return [_replaced(word, values) for word in self._words]

    @staticmethod
    def _environment_paths(job: Path) -> dict[str, str]:
        return {"folder": str(job), "request": str(job / "request.json"), "answer": str(job / "answer.json")}

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

    def _look(self, intent: str, job: Path) -> Answer | None:
        """The answer of a submission that ended; None for one that runs or waits for its turn."""
        if not job.exists():
            return Answer(intent, kind="lost", reason=f"the folder {job.name} is gone")
        process = _process(job)
        if not (job / "status").exists():
            if _is_held(job) or process is None or process[1] != socket.gethostname():
                self._enforce(job, process)
                return None
            if not (job / "status").exists():  # it may have ended between the two looks
                return self._died(intent, job)
        hours = _hours(job, job / "status")
        code = int((job / "status").read_text() or -1)
        return read_answer(intent, job, code, hours)

    def _died(self, intent: str, job: Path) -> Answer:
        hours = _hours(job, job / "stdout")
        if (job / "walltime").exists():
            return Answer(
                intent, core_hours=hours, kind="walltime", reason=f"ended after {(job / 'walltime').read_text()}"
            )
        return Answer(
            intent,
            core_hours=hours,
            kind="crashed",
            reason="its process was killed, or the machine stopped",
        )

    def _enforce(self, job: Path, process: tuple[int, str] | None) -> None:
        """End a command that runs longer than its time limit, on this host."""
        if self._limit is None or process is None or process[1] != socket.gethostname():
            return
        age = time.time() - (job / "pid").stat().st_mtime
        if age < self._limit:
            return
        write_whole(job / "walltime", f"{self._limit / 3600:.4g} hours")
        with suppress(ProcessLookupError):
            os.killpg(process[0], signal.SIGTERM if age < self._limit + GRACE else signal.SIGKILL)


def from_command(settings: CampaignSettings, run: Path, table: Table, command: str) -> CommandOracle:
    """A command whose submissions are folders below the run folder; see `sisso_sal.oracle.registry.OracleKind`.

    Raises
    ------
    SettingsError
        Settings ask for no worker, or the command cannot be run.
    """
    if settings.run.workers < 1:
        raise SettingsError("run.workers: needs 1 or more with an oracle command:COMMAND, found 0")
    return CommandOracle(command, run / "jobs", settings.run.workers, settings.run.walltime)


def _replaced(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace("{" + name + "}", value)
    return word


def _is_held(job: Path) -> bool:
    """Whether a process of a submission is running."""
    try:
        handle = os.open(job / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _process(job: Path) -> tuple[int, str] | None:
    """Process group and host."""
    try:
        pid, host = (job / "pid").read_text().split()
        return int(pid), host
    except (OSError, ValueError):
        return None


def _hours(job: Path, end: Path) -> float:
    try:
        return max(0.0, end.stat().st_mtime - (job / "pid").stat().st_mtime) / 3600
    except OSError:
        return 0.0


def read_answer(intent: str, job: Path, code: int, hours: float) -> Answer:
    """What a command that ended has answered.

    Parameters
    ----------
    intent : str
    job : Path
        The folder of the submission.
    code : int
        Exit code.
    hours : float
        That it took; the cost where the answer does not tell its core-hours.
    """
    path = job / "answer.json" if (job / "answer.json").exists() else job / "stdout"
    problem = ""
    document: Any = None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problem = f"{path.name}: needs one JSON document, {' '.join(str(error).split())}"
    if isinstance(document, dict) and "failure" in document:
        kind = document["failure"] if document["failure"] in FAILURES else "invalid"
        return Answer(
            intent,
            core_hours=_cost(document, hours),
            kind=kind,
            reason=str(document.get("reason", document["failure"])),
        )
    if code != 0:
        killed = f"killed by signal {code - 128}" if code > 128 else f"exit code {code}"
        return Answer(intent, core_hours=hours, kind="crashed", reason=f"{killed}{_last_line(job / 'stderr')}")
    if not problem:
        problem = _problem(document, json.loads((job / "request.json").read_text(encoding="utf-8"))["id"])
    if problem:
        return Answer(intent, core_hours=hours, kind="invalid", reason=problem)
    error = document.get("error")
    return Answer(intent, float(document["value"]), None if error is None else float(error), _cost(document, hours))


def _problem(document: Any, id: str) -> str:
    """What is wrong with an answer; empty if nothing is."""
    if not isinstance(document, dict) or not _is_number(document.get("value")):
        return f'needs an answer such as {{"value": 1.5}}, found {shown(document)}'
    if document.get("error") is not None and not _is_number(document["error"]):
        return f"needs a number as the error, found {shown(document['error'])}"
    if "id" in document and document["id"] != id:
        return f"needs the answer for {shown(id)}, found one for {shown(document['id'])}"
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cost(document: dict[str, Any], hours: float) -> float:
    return float(document["core_hours"]) if _is_number(document.get("core_hours")) else hours


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last[:200]}" if last else ""
