"""First-principles labels as Taskblaster tasks: what to compute, workers that compute it, labels from what they left.

For each phase and starting structure there is a chain relax -> static -> bands (bands for candidates). Phases are shared: each is
computed once in the folder, whoever asks for it first. The folder is the only state; every call may be repeated.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sisso_sal.errors import InputError, OracleError
from sisso_sal.oracle.stability.aqueous import aqueous_species
from sisso_sal.oracle.stability.labels import needed_beside, needed_formulas, undissolved
from sisso_sal.oracle.workflow.chains import Chain, Task, chains_of
from sisso_sal.oracle.workflow.outcomes import Outcome, Question, Request, outcome_of
from sisso_sal.oracle.workflow.steps import ATTEMPTS_FILE, MACHINE_FILE, STEPS, EngineSettings, Step, load_engine
from sisso_sal.oracle.workflow.workers import is_dead, registered, start, worker_name
from sisso_sal.oxides.phases import starting_structures
from sisso_sal.oxides.structures import formula_key
from sisso_sal.system.storage import write_whole

try:
    import taskblaster as tb
    from taskblaster.repository import Repository, WorkerSpecification
    from taskblaster.state import State
    from taskblaster.storage import JSONCodec
except ImportError:
    raise InputError("first-principles workflows need Taskblaster; pip install 'sisso-sal[dft]'") from None

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["Workflow", "recover", "tb_init_repo", "work"]

_PAUSE = 5.0  # seconds between two looks of a worker that waits
_PATIENCE = 3


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
    return tb.node("sisso_sal.oracle.workflow.steps.relax", structure=self.structure, engine=self.engine)


def _static(self: Any) -> tb.Node:
    return tb.node("sisso_sal.oracle.workflow.steps.static", previous=self.relax, engine=self.engine)


def _bands(self: Any) -> tb.Node:
    return tb.node("sisso_sal.oracle.workflow.steps.bands", previous=self.static, engine=self.engine)


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


class Workflow:
    """Calculations of a campaign in one folder.

    Parameters
    ----------
    root : path
        Made if need be.
    engine : EngineSettings or mapping
    question : Question, optional
        What is asked of every candidate.
    ions : path, optional
        The user's table of dissolved species.
    structures : mapping, optional
        The user's structures, as `sisso_sal.oxides.structures.read_structures` gives them.
    max_prototypes : int
        Starting structures of an oxide.
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
        question: Question | None = None,
        ions: str | os.PathLike[str] | None = None,
        structures: Mapping[str, Sequence[tuple[str, Structure]]] | None = None,
        max_prototypes: int = 3,
        competitors: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.root = Path(root).resolve()
        self.engine = engine if isinstance(engine, EngineSettings) else load_engine(engine)
        self.question = question or Question()
        self.ions = ions
        self.structures = structures
        self.max_prototypes = max_prototypes
        self.competitors = competitors or {}
        self._documents: dict[str, dict[str, Any]] = {}
        self._elements: dict[str, bool] = {}

    # Taking on -----------------------------------------------------------------------------------------------------------

    def other_settings(self) -> list[str]:
        """Settings that differ from those of the calculations that are there, one line each."""
        file, science = self.root / "science.json", self.engine.science()
        if not file.exists():
            return []
        before = json.loads(file.read_text(encoding="utf-8"))
        return [
            f"{key}: {before.get(key)!r} -> {value!r}" for key, value in science.items() if before.get(key) != value
        ]

    def submit(self, id: str, intent: str) -> Request:
        """Take on a candidate; the same intent again changes nothing.

        A further intent for a candidate is another attempt at it: what failed of its phases is put back.

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
        OracleError
            The folder cannot be used now.
        """
        if not intent or Path(intent).name != intent:
            raise InputError(f"intent {intent!r}: needs a plain name")
        known = self.request(intent)
        if known is not None and known.id != id:
            raise InputError(f"intent '{intent}': belongs to {known.id}, not to {id}")
        self._settle()
        if known is not None:
            return known
        planned = self._plan(id, intent)
        if not planned.lacking:
            self._add(planned)
        file = self._intents / f"{intent}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(asdict(planned)) + "\n")
        return planned

    def request(self, intent: str) -> Request | None:
        """The request of an intent; None if it was never taken on."""
        file = self._intents / f"{intent}.json"
        return _request_of(file) if file.exists() else None

    @property
    def _intents(self) -> Path:
        return self.root / "intents"

    def _requests(self) -> list[Request]:
        return [_request_of(file) for file in sorted(self._intents.glob("[!.]*.json"))]

    def _settle(self) -> None:
        """Write down the settings; refuse others than those of the calculations that are there."""
        if changed := self.other_settings():
            raise InputError(
                f"{self.root}: holds calculations with other settings ({'; '.join(changed)}); use another folder"
            )
        self.root.mkdir(parents=True, exist_ok=True)
        write_whole(self.root / "science.json", json.dumps(self.engine.science()) + "\n")
        write_whole(self.root / MACHINE_FILE, json.dumps(self.engine.machine()) + "\n")

    def _plan(self, id: str, intent: str) -> Request:
        formulas = needed_formulas(id, self.competitors.get(id), self.question.quantity)
        lacking = {f: "no structure to start from is known" for f in formulas if not self._starts(f)}
        for metal in undissolved(id, self.question.quantity, self._species(id)):
            lacking[f"dissolved {metal}"] = "no species known"
        if lacking:
            return Request(id=id, intent=intent, phases=formulas, lacking=lacking)
        earlier = self._requests()
        paid = {formula_key(formula) for request in earlier for formula in request.pays}
        if any(request.id == id for request in earlier):
            paid -= self._put_back(formulas)
        pays = tuple(formula for formula in formulas if formula_key(formula) not in paid)
        return Request(id=id, intent=intent, phases=formulas, pays=pays)

    def impossible(self, id: str) -> str:
        """Why a candidate can never have a label, by its elements alone; nothing where it may have one."""
        beside = needed_beside(id, self.question.quantity, ())
        if lacking := [metal for metal in beside if not self._has_start(metal)]:
            return f"no structure to start from is known of {', '.join(lacking)}"
        lacking = undissolved(id, self.question.quantity, self._species(id))
        return f"no dissolved species is known of {', '.join(lacking)}" if lacking else ""

    def _has_start(self, element: str) -> bool:
        """Whether an element has a structure to start from."""
        if element not in self._elements:
            self._elements[element] = bool(self._starts(element))
        return self._elements[element]

    def _species(self, id: str) -> list[Any] | None:
        if self.ions is None:
            return None
        from sisso_sal.oxides.elements import parse_formula

        return aqueous_species(parse_formula(id).keys() - {"O", "H"}, self.ions)

    def _starts(self, formula: str) -> list[tuple[str, dict[str, Any]]]:
        """Starting structures, those of the first time that the phase was asked for; none where none is known."""
        file = self.root / "structures" / f"{formula_key(formula)}.json"
        if file.exists():
            return [(name, data) for name, data in json.loads(file.read_text(encoding="utf-8"))]
        try:
            found = list(starting_structures(formula, self.structures, self.max_prototypes))
        except InputError:
            return []
        return [(name, _plain(structure.as_dict())) for name, structure in found]

    def _add(self, request: Request) -> None:
        starts = {formula: self._starts(formula) for formula in request.phases}
        folder = self.root / "structures"
        folder.mkdir(exist_ok=True)
        for formula, found in starts.items():
            if not (file := folder / f"{formula_key(formula)}.json").exists():
                write_whole(file, json.dumps(found) + "\n")
        with _open(self.root) as repo:
            for formula, found in starts.items():
                kind = _Candidate if formula == request.id and self.engine.with_bands else _Phase
                for name, structure in found:
                    inputs = {"structure": structure, "engine": self.engine.science()}
                    runner = repo.runner().with_subdirectory(formula_key(formula)).with_subdirectory(name)
                    runner.run_workflow(kind(**inputs), source="")
            _queue(repo)

    def _put_back(self, formulas: Iterable[str]) -> set[str]:
        """Have failed steps of these phases done again, with all their tries; the keys of the phases."""
        chains = self._chains()
        failed: dict[str, str] = {}
        for key in map(formula_key, formulas):
            for chain in chains.get(key, ()):
                if broken := [chain.tasks[s] for s in STEPS if s in chain.tasks and chain.tasks[s].has_failed]:
                    failed[broken[0].name] = key
        for name in failed:
            (self.root / "tree" / name / ATTEMPTS_FILE).unlink(missing_ok=True)
        if failed:
            with _open(self.root) as repo:
                _unrun(repo, list(failed), {State.done, State.fail, State.cancel})
                _queue(repo)
        return set(failed.values())

    # Looking -------------------------------------------------------------------------------------------------------------

    def collect(self, intents: Collection[str] | None = None) -> list[Outcome]:
        """What can be said of requests by now, by default of all; one whose calculations still run is left out.

        Tasks that a dead worker left behind are put back first.

        Raises
        ------
        OracleError
            The folder cannot be used now.
        """
        requests = [r for r in self._requests() if intents is None or r.intent in intents]
        if not requests:
            return []
        recover(self.root)
        chains = self._chains()
        found = [outcome_of(request, chains, self.question, self._species(request.id)) for request in requests]
        return [outcome for outcome in found if outcome is not None]

    def unfinished(self) -> int:
        """Tasks that a worker still has to do, those of dead workers included."""
        recover(self.root)
        return sum(not c.ended and len(c.tasks) for chains in self._chains().values() for c in chains)

    def ready(self) -> int:
        """Tasks that a worker could begin now."""
        if not _is_there(self.root):
            return 0
        return len(_ready(self.root, set(STEPS)))

    def start_workers(self, n: int, *, tags: Sequence[str] = STEPS) -> list[subprocess.Popen[bytes]]:
        """Start workers of this machine; each ends when there is nothing left that it may do."""
        return start(self.root, n, tags)

    def tasks(self) -> list[Task]:
        """Every task with its state; the document of one that is done is read once."""
        if not _is_there(self.root):
            return []
        found = []
        with _open(self.root) as repo:
            for node in repo.tree(None, states=None, relative_to=repo.tree_path).nodes():
                name, is_done = str(node.name), node.state == State.done
                if not is_done:
                    self._documents.pop(name, None)
                elif name not in self._documents:
                    self._documents[name] = repo.cache.entry(node.name).output()
                info = repo.registry.workers.get_runinfo(node.name)
                exception = "" if info is None else info.exception or ""
                found.append(Task(name, node.state.name, _worker(info), self._documents.get(name), exception))
        return found

    def _chains(self) -> dict[str, list[Chain]]:
        return chains_of(self.tasks())


def _request_of(file: Path) -> Request:
    data = json.loads(file.read_text(encoding="utf-8"))
    return Request(**{**data, "phases": tuple(data["phases"]), "pays": tuple(data["pays"])})


def _plain(data: Any) -> Any:
    """Data as JSON brings it back."""
    return json.loads(json.dumps(data, default=float))


# The repository ------------------------------------------------------------------------------------------------------------


def _is_there(root: Path) -> bool:
    return (root / ".taskblaster" / "registry.db").exists()


@contextlib.contextmanager
def _open(root: Path) -> Iterator[Repository]:
    """The repository of the folder, made at the first time, locked while it is open; it prints to nowhere."""
    root.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            if _is_there(root):
                repo = Repository(root, usercodec=_Codec())
            else:
                repo = Repository.create(root, modulename="sisso_sal.oracle.workflow.tasks")
            with repo:
                yield repo
    except (OSError, sqlite3.Error) as error:
        raise OracleError(f"{root}: cannot be used now: {error}") from error


def _worker(info: Any) -> str:
    """The name of a worker, without what Taskblaster adds to it."""
    return "" if info is None or not info.subworkerid else str(info.subworkerid).rpartition("-")[0]


def _queue(repo: Repository) -> None:
    """Let workers have what is new."""
    tree = repo.tree(None, states={State.new}, relative_to=repo.tree_path)
    list(tree.submit())


def _unrun(repo: Repository, names: Sequence[str], states: set[State]) -> None:
    """Make tasks new again, and all that come after them; what they left in their folders stays."""
    tree = repo.tree([str(repo.tree_path / name) for name in names], states=states, relative_to=repo.tree_path)
    _, nodes, unrun = tree.select_unrun()
    if nodes:
        unrun()
    for name in names:
        repo.cache.entry(name).directory.mkdir(parents=True, exist_ok=True)


def recover(root: str | os.PathLike[str]) -> list[str]:
    """Put back the tasks that dead workers left running, and queue what is new.

    Returns
    -------
    list of str
        Their names. A task is retried with what it left in its folder, up to three attempts in all.
    """
    place = Path(root).resolve()
    if not _is_there(place):
        return []
    with _open(place) as repo:
        nodes = repo.tree(None, states={State.run}, relative_to=repo.tree_path).nodes()
        running = [(str(node.name), _worker(repo.registry.workers.get_runinfo(node.name))) for node in nodes]
    left = [name for name, worker in running if is_dead(worker)]
    with _open(place) as repo:
        if left:
            _unrun(repo, left, {State.run})
        _queue(repo)
    return left


def work(root: str | os.PathLike[str], tags: Sequence[str] = STEPS, idle: float = 0.0) -> None:
    """Be a worker: do every task that carries only these tags, until there is none left that could be begun.

    Parameters
    ----------
    root : path
    tags : sequence of str
        Steps that it does.
    idle : float
        Seconds that it waits for new tasks before it ends.

    Raises
    ------
    InputError
        The folder holds no calculations, or a tag is unknown.
    OracleError
        The folder cannot be used, or its tasks cannot be begun.
    """
    place = Path(root).resolve()
    if not _is_there(place):
        raise InputError(f"{place}: holds no calculations")
    unknown = sorted(set(tags) - set(STEPS))
    if unknown or not tags:
        raise InputError(f"worker: needs tags of {', '.join(STEPS)}, found {', '.join(unknown) or 'none'}")
    signal.signal(signal.SIGTERM, _leave)
    with registered(place):
        last = time.monotonic()
        while True:
            recover(place)
            if _work_off(place, set(tags)):
                last = time.monotonic()
            elif time.monotonic() - last >= idle:
                return
            else:
                time.sleep(min(_PAUSE, idle))


def _work_off(place: Path, tags: set[str]) -> int:
    """Do one task after the other until none can be begun; how many were done."""
    repo = Repository(place, usercodec=_Codec())
    rules = WorkerSpecification(tags=tags, max_tasks=1)
    done, in_vain = 0, 0
    while ready := _ready(place, tags):
        with contextlib.redirect_stdout(sys.stderr):
            repo.run_worker(name=worker_name(), rules=rules)
        in_vain = in_vain + 1 if _ready(place, tags) == ready else 0
        if in_vain == _PATIENCE:  # Taskblaster itself would try for ever
            raise OracleError(f"{place}: {len(ready)} tasks are ready but cannot be begun; see what was printed before")
        done += not in_vain
    return done


def _ready(place: Path, tags: set[str]) -> frozenset[str]:
    """Tasks that a worker with these tags could begin now."""
    with _open(place) as repo:
        return frozenset(str(node.name) for node in repo.registry.find_all_ready(supported_tags=set(tags)))


def _leave(number: int, frame: object) -> None:
    """End at once, and the kernel ends the program that is running; the step stays for the next worker.

    Taskblaster takes an exception for a failure of the step, or for a defect of its own.
    """
    os._exit(128 + number)
