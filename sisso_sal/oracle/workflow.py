"""First-principles labels as Taskblaster tasks: what to compute, workers that compute it, labels from what they left.

For each phase and starting structure there is a chain relax -> static -> bands (bands for candidates). Phases are shared: each is
computed once in the folder, whoever asks for it first. The folder is the only state; every call may be repeated.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sisso_sal.data.structures import formula_key
from sisso_sal.errors import InputError, OracleError
from sisso_sal.oracle.calculations import MACHINE_FILE, STEPS, EngineSettings, Step, load_engine
from sisso_sal.oracle.phases import MOLECULES, needed_formulas, starting_structures
from sisso_sal.oracle.pourbaix import Conditions
from sisso_sal.oracle.stability import Phase, References, label
from sisso_sal.storage import write_whole

try:
    import taskblaster as tb
    from taskblaster.repository import Repository, WorkerSpecification
    from taskblaster.state import State
    from taskblaster.storage import JSONCodec
except ImportError:
    raise InputError("first-principles workflows need Taskblaster; pip install 'sisso-sal[dft]'") from None

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["Outcome", "Receipt", "Workflow", "slurm_script", "tb_init_repo"]

FailureKind = Literal["no_structure", "calculation_failed", "competitor_failed", "undefined_label"]


class _Codec(JSONCodec):
    """Tasks hand each other plain JSON; there is nothing to translate."""

    def encode(self, obj: Any) -> Any:
        raise TypeError(f"a task's input needs plain JSON, found {type(obj).__name__}")

    def decode(self, dct: dict[str, Any]) -> dict[str, Any]:
        return dct


def tb_init_repo(root: Path, read_only: bool = False) -> Repository:
    """Taskblaster's way to find the codec of a repository."""
    return Repository(root, usercodec=_Codec(), read_only=read_only)


def _relax(self: Any) -> tb.Node:
    return tb.node("sisso_sal.oracle.calculations.relax", structure=self.structure, engine=self.engine)


def _static(self: Any) -> tb.Node:
    return tb.node("sisso_sal.oracle.calculations.static", previous=self.relax, engine=self.engine)


def _bands(self: Any) -> tb.Node:
    return tb.node("sisso_sal.oracle.calculations.bands", previous=self.static, engine=self.engine)


def _step(step: Step, meth: Any) -> Any:
    meth.__name__ = step
    decorate: Any = tb.task(tags={step})
    return decorate(meth)


@tb.workflow
class _Phase:
    structure = tb.var()
    engine = tb.var()
    relax = _step("relax", _relax)
    static = _step("static", _static)


@tb.workflow
class _Candidate:
    structure = tb.var()
    engine = tb.var()
    relax = _step("relax", _relax)
    static = _step("static", _static)
    bands = _step("bands", _bands)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """That a calculation was taken on.

    Attributes
    ----------
    id, intent : str
        Candidate, and the caller's own name for the request; the same intent again is the same receipt.
    phases : tuple of str
        Formulas that the label waits for.
    """

    id: str
    intent: str
    phases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a request.

    Attributes
    ----------
    id, intent : str
    value : float or None
        The label, in eV/atom (a gap in eV).
    failure : str or None
        Kind, where there is no label: "no_structure", "calculation_failed" (of the candidate), "competitor_failed" or
        "undefined_label".
    reason : str
        One line.
    core_hours : float
        Spent on the candidate's own phases; what is shared is counted for nobody.
    parts : mapping of str to float
        Every quantity known of the candidate.
    """

    id: str
    intent: str
    value: float | None = None
    failure: FailureKind | None = None
    reason: str = ""
    core_hours: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Task:
    """A task as the registry and the tree have it."""

    name: str
    state: str
    worker: str
    document: dict[str, Any] | None
    exception: str


class Workflow:
    """Calculations of a campaign in one folder.

    Parameters
    ----------
    root : path
        Made if need be.
    engine : EngineSettings or mapping
    quantity : str
        What a label is, see `sisso_sal.oracle.stability.label`.
    conditions : Conditions, optional
    structures : mapping, optional
        The user's structures, as `sisso_sal.data.structures.read_structures` gives them.
    max_prototypes : int
        Starting structures of an oxide.
    oxygen_correction : float
        In eV per oxygen atom.
    competitors : mapping of str to sequence of str, optional
        Candidate -> what must be known beside it; by default the pool's oxides of its metals.

    Raises
    ------
    SettingsError
        A setting is unknown or out of range.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        engine: EngineSettings | Mapping[str, Any],
        *,
        quantity: str = "dG_pbx",
        conditions: Conditions | None = None,
        structures: Mapping[str, Sequence[tuple[str, Structure]]] | None = None,
        max_prototypes: int = 3,
        oxygen_correction: float = 0.0,
        competitors: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.root = Path(root).resolve()
        self.engine = engine if isinstance(engine, EngineSettings) else load_engine(engine)
        self.quantity = quantity
        self.conditions = conditions
        self.structures = structures
        self.max_prototypes = max_prototypes
        self.oxygen_correction = oxygen_correction
        self.competitors = competitors or {}

    def submit(self, id: str, intent: str) -> Receipt:
        """Take on a candidate; the same intent again changes nothing.

        Parameters
        ----------
        id : str
            Its formula.
        intent : str
            The caller's name for the request; a file name.

        Raises
        ------
        InputError
            The intent is no file name, or belongs to another candidate; or the calculations that are there were made with
            other settings.
        """
        if not intent or Path(intent).name != intent:
            raise InputError(f"intent {intent!r}: needs a plain name")
        file = self.root / "intents" / f"{intent}.json"
        if file.exists() and (other := json.loads(file.read_text())["id"]) != id:
            raise InputError(f"intent '{intent}': belongs to {other}, not to {id}")
        self._settle()
        formulas = needed_formulas(id, self.competitors.get(id))
        chains = [(f, name, s) for f in formulas for name, s in self._starts(f)]
        if any(formula == id for formula, _, _ in chains):
            self._add(chains, id)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps({"id": id, "phases": formulas}) + "\n")
        return Receipt(id=id, intent=intent, phases=formulas)

    def _settle(self) -> None:
        """Write down the settings; refuse others than those of the calculations that are there."""
        self.root.mkdir(parents=True, exist_ok=True)
        file, science = self.root / "science.json", self.engine.science()
        if file.exists():
            before = json.loads(file.read_text(encoding="utf-8"))
            changed = [
                f"{key}: {before.get(key)!r} -> {value!r}" for key, value in science.items() if before.get(key) != value
            ]
            if changed:
                raise InputError(
                    f"{self.root}: holds calculations with other settings ({'; '.join(changed)}); use another folder"
                )
        else:
            write_whole(file, json.dumps(science) + "\n")
        write_whole(self.root / MACHINE_FILE, json.dumps(self.engine.machine()) + "\n")

    def _starts(self, formula: str) -> list[tuple[str, Any]]:
        """Starting structures; none where none is known, which the label then tells."""
        try:
            return list(starting_structures(formula, self.structures, self.max_prototypes))
        except InputError:
            return []

    def _add(self, chains: Iterable[tuple[str, str, Any]], id: str) -> None:
        engine = self.engine.science()
        with _quiet(), _open(self.root) as repo:
            for formula, name, structure in chains:
                kind = _Candidate if formula == id and self.engine.with_bands else _Phase
                inputs = {"structure": _plain(structure.as_dict()), "engine": engine}
                runner = repo.runner().with_subdirectory(formula_key(formula)).with_subdirectory(name)
                runner.run_workflow(kind(**inputs), source="")

    def collect(self) -> list[Outcome]:
        """What can be said of every request by now; a request whose calculations still run is left out.

        Tasks that a dead worker left behind are put back first.
        """
        if not (self.root / "intents").is_dir():
            return []
        recover(self.root)
        chains = _chains(self.root)
        outcomes = []
        for file in sorted((self.root / "intents").glob("*.json")):
            request = json.loads(file.read_text())
            outcome = self._outcome(request["id"], file.stem, request["phases"], chains)
            outcomes += [] if outcome is None else [outcome]
        return outcomes

    def _outcome(
        self, id: str, intent: str, formulas: Sequence[str], chains: Mapping[str, list[_Chain]]
    ) -> Outcome | None:
        own = chains.get(formula_key(id), [])
        if not own:
            return Outcome(
                id=id, intent=intent, failure="no_structure", reason=f"{id}: no structure to start from is known"
            )
        waiting = [chain for formula in formulas for chain in chains.get(formula_key(formula), []) if not chain.ended]
        if waiting:
            return None
        phases = [chain.phase(formula) for formula in formulas for chain in chains.get(formula_key(formula), [])]
        hours = sum(chain.core_hours for chain in own)
        about: dict[str, Any] = {"id": id, "intent": intent, "core_hours": hours}
        try:
            found = label(
                id,
                phases,
                _references(phases, self.oxygen_correction),
                quantity=self.quantity,
                conditions=self.conditions,
                competitors=[f for f in formulas if f != id and f not in MOLECULES],
            )
        except (InputError, OracleError) as error:
            return Outcome(**about, failure="undefined_label", reason=str(error))
        if found.value is None:
            failed: FailureKind = (
                "calculation_failed" if found.waits_for[0].startswith(f"{id} (") else "competitor_failed"
            )
            return Outcome(**about, failure=failed, reason="; ".join(found.waits_for))
        return Outcome(**about, value=found.value, parts=dict(found.parts))

    def unfinished(self) -> int:
        """Tasks that a worker still has to do, those of dead workers included."""
        if not (self.root / ".taskblaster").is_dir():
            return 0
        recover(self.root)
        return sum(
            len([t for t in c.tasks.values() if not c.ended]) for chains in _chains(self.root).values() for c in chains
        )

    def start_workers(self, n: int, *, tags: Sequence[str] = STEPS) -> list[subprocess.Popen[bytes]]:
        """Start workers of this machine; each ends when there is nothing left that it may do."""
        command = [sys.executable, "-m", "sisso_sal.cli", "worker", str(self.root), "--tags", ",".join(tags)]
        log = self.root / "workers.log"
        with log.open("ab") as file:
            return [subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True) for _ in range(n)]


@dataclass(frozen=True)
class _Chain:
    """The tasks of one starting structure."""

    name: str
    tasks: Mapping[str, _Task]

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return all(task.state in ("done", "fail", "cancel") for task in self.tasks.values()) or self._failed is not None

    @property
    def _failed(self) -> _Task | None:
        return next((task for task in self.tasks.values() if task.state in ("fail", "cancel")), None)

    @property
    def core_hours(self) -> float:
        return sum((task.document or {}).get("core_hours") or 0.0 for task in self.tasks.values())

    def phase(self, formula: str) -> Phase:
        """What the chain says of its phase: the energy of the static step, the gap of the bands."""
        broken = self._failed
        last = self.tasks["static"].document
        if broken is not None or last is None:
            reason = broken.exception.strip().partition("\n")[0] if broken else "not computed"
            return Phase(formula=formula, name=self.name, reason=reason or "failed")
        gap = (self.tasks["bands"].document if "bands" in self.tasks else None) or last
        return Phase(
            formula=formula,
            name=self.name,
            energy=last["energy_per_atom"],
            band_gap=gap["bandgap"],
            reason="" if last["state"] == "successful" else f"{last['verdict']}: {last['reason']}",
        )


def _references(phases: Sequence[Phase], correction: float) -> References | None:
    found = {phase.formula: phase.energy for phase in phases if phase.formula in MOLECULES}
    water, hydrogen = found.get("H2O"), found.get("H2")
    if water is None or hydrogen is None:
        return None
    return References(water=3 * water, hydrogen=2 * hydrogen, oxygen_correction=correction)


@contextlib.contextmanager
def _open(root: Path) -> Iterator[Repository]:
    """The repository of the folder, made at the first time, locked while it is open."""
    root.mkdir(parents=True, exist_ok=True)
    known = (root / ".taskblaster" / "registry.db").exists()
    repo = (
        Repository(root, usercodec=_Codec())
        if known
        else Repository.create(root, modulename="sisso_sal.oracle.workflow")
    )
    with repo:
        yield repo


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Taskblaster prints to stdout, which is for results."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _plain(data: Any) -> Any:
    """Data as JSON brings it back: what is not finished is compared with it."""
    return json.loads(json.dumps(data, default=float))


def _tasks(root: Path) -> list[_Task]:
    with _quiet(), _open(root) as repo:
        found = []
        for node in repo.tree(None, states=None, relative_to=repo.tree_path).nodes():
            entry, info = repo.cache.entry(node.name), repo.registry.workers.get_runinfo(node.name)
            document = entry.output() if node.state == State.done else None
            worker, exception = ("", "") if info is None else (info.subworkerid or "", info.exception or "")
            found.append(_Task(str(node.name), node.state.name, worker, document, exception))
        return found


def _chains(root: Path) -> dict[str, list[_Chain]]:
    """Formula key -> its chains."""
    if not (root / ".taskblaster").is_dir():
        return {}
    grouped: dict[tuple[str, str], dict[str, _Task]] = {}
    for task in _tasks(root):
        key, name, step = task.name.split("/")
        grouped.setdefault((key, name), {})[step] = task
    chains: dict[str, list[_Chain]] = {}
    for (key, name), tasks in grouped.items():
        chains.setdefault(key, []).append(_Chain(name, tasks))
    return chains


def worker_name() -> str:
    """Who a worker is, so that its death can be seen: host, process, when the process began, Slurm job."""
    job = os.environ.get("SLURM_JOB_ID", "")
    return "|".join([socket.gethostname(), str(os.getpid()), _began(os.getpid()), job])


def _began(pid: int) -> str:
    """Start of a process in clock ticks, which tells it from a later one of the same number; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def is_dead(worker: str) -> bool:
    """Whether the worker of this name has ended for certain; one that cannot be asked about counts as alive."""
    host, pid, began, job = (*worker.rpartition("-")[0].split("|"), "", "", "", "")[:4]
    if job:
        return _slurm_job_ended(job)
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _began(int(pid)) != began


def _slurm_job_ended(job: str) -> bool:
    try:
        done = subprocess.run(["squeue", "-h", "-j", job], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "Invalid job id" in done.stderr or (done.returncode == 0 and not done.stdout.strip())


def recover(root: str | os.PathLike[str]) -> list[str]:
    """Put back the tasks that dead workers left running.

    Returns
    -------
    list of str
        Their names. A task is retried with what it left in its folder, up to three attempts in all.
    """
    place = Path(root).resolve()
    if not (place / ".taskblaster").is_dir():
        return []
    left = [task.name for task in _tasks(place) if task.state == "run" and is_dead(task.worker)]
    if left:
        with _quiet(), _open(place) as repo:
            patterns = [str(repo.tree_path / name) for name in left]
            tree = repo.tree(patterns, states={State.run}, relative_to=repo.tree_path)
            _, nodes, unrun = tree.select_unrun()
            if nodes:
                unrun()
            for name in left:
                repo.cache.entry(name).directory.mkdir(parents=True, exist_ok=True)
        _submit_all(place)
    return left


def _submit_all(root: Path) -> None:
    """Queue what is new."""
    with _quiet(), _open(root) as repo:
        tree = repo.tree(None, states={State.new}, relative_to=repo.tree_path)
        list(tree.submit())


def work(root: str | os.PathLike[str], tags: Sequence[str] = STEPS) -> None:
    """Be a worker: do every task that carries only these tags, until there is none left.

    Raises
    ------
    InputError
        The folder holds no calculations, or a tag is unknown.
    """
    place = Path(root).resolve()
    if not (place / ".taskblaster" / "registry.db").exists():
        raise InputError(f"{place}: holds no calculations")
    unknown = sorted(set(tags) - set(STEPS))
    if unknown or not tags:
        raise InputError(f"worker: needs tags of {', '.join(STEPS)}, found {', '.join(unknown) or 'none'}")
    recover(place)
    _submit_all(place)
    signal.signal(signal.SIGTERM, _leave)
    repo = Repository(place, usercodec=_Codec())
    repo.run_worker(name=worker_name(), rules=WorkerSpecification(tags=set(tags)))


def _leave(number: int, frame: object) -> None:
    """End at once, and the kernel ends the program that is running; the step stays for the next worker.

    Taskblaster takes an exception for a failure of the step, or for a defect of its own.
    """
    os._exit(128 + number)


def slurm_script(root: str | os.PathLike[str], *, header: Sequence[str] = (), tags: Sequence[str] = STEPS) -> str:
    """A job script for sbatch whose job is one worker.

    Parameters
    ----------
    root : path
    header : sequence of str
        Options of sbatch, such as ``--nodes=1``.
    tags : sequence of str

    Examples
    --------
    >>> print(slurm_script("/runs/oxides/oracle", header=["--nodes=1", "--time=24:00:00"]).splitlines()[2])
    #SBATCH --nodes=1
    """
    options = ["--job-name=sisso-sal", *header]
    command = shlex.join([sys.executable, "-m", "sisso_sal.cli", "worker", str(root), "--tags", ",".join(tags)])
    return "\n".join(["#!/bin/bash", *(f"#SBATCH {option}" for option in options), f"exec {command}", ""])
