"""First-principles labels: which phases have to be computed, workers that compute them, labels from what they left.

For each phase and starting structure there is a chain relax -> static. If a label needs a gap, the static runs of its candidate
give bands too, and a task of the phase takes those of the lowest structure; another computes its vibrations, if a label asks for
them. Phases are shared: each is computed once in the folder, whichever candidate asks for it first. The folder is the only state;
every call may be repeated.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from sisso_sal.errors import DocumentError, InputError
from sisso_sal.oracle.stability.aqueous import aqueous_species
from sisso_sal.oracle.stability.dissolution import Missing
from sisso_sal.oracle.stability.expressions import expression_names
from sisso_sal.oracle.stability.labels import LABELS, needed_beside, needed_formulas, undissolved
from sisso_sal.oracle.workflow.chains import LOWEST, Chain, NewChain, NewRanking, Task, chains_of
from sisso_sal.oracle.workflow.engine_settings import MACHINE_FILE, TAGS, EngineSettings, lease_of, load_engine
from sisso_sal.oracle.workflow.leases import pause_of
from sisso_sal.oracle.workflow.outcomes import LabelOutcome, PhaseRequest, Question, outcome_of
from sisso_sal.oracle.workflow.repository import (
    add_chains,
    has_tasks,
    ready,
    recover,
    repeat,
    run_ready,
    running,
    tasks_of,
)
from sisso_sal.oracle.workflow.workers import Silent, Watcher, registered, silent, start
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.phases import MOLECULES, known_starts, starting_structures
from sisso_sal.oxides.structures import formula_key
from sisso_sal.system.documents import LARGE, read_json, record_of, shown
from sisso_sal.system.storage import write_whole

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["Workflow", "is_of", "put_back", "silent_tasks", "work"]

_PAUSE = 5.0  # seconds between two looks of a worker that waits
_OWN = "given-"  # how the names of the user's structures begin, see `starting_structures`


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
        self._watcher = Watcher(self.root)
        self._documents: dict[str, dict[str, Any]] = {}
        self._elements: dict[str, bool] = {}
        self._names: dict[str, tuple[str, ...]] = {}

    # Taking on -----------------------------------------------------------------------------------------------------------

    def other_settings(self) -> list[str]:
        """Settings that differ from those of the calculations that are there, one line each."""
        file, science = self.root / "science.json", self._science()
        if not file.exists():
            return []
        before = read_json(file)
        if not isinstance(before, dict):
            raise DocumentError(f"{file}: needs the settings of the calculations, found {shown(before)}")
        return [
            f"{key}: {before.get(key)!r} -> {value!r}" for key, value in science.items() if before.get(key) != value
        ]

    def submit(self, id: str, intent: str, candidate: str = "") -> PhaseRequest:
        """Accept a candidate; the same intent again changes nothing.

        A further intent for a candidate is another attempt at it: what failed of its phases is put back.

        Parameters
        ----------
        id : str
            Its formula.
        intent : str
            The caller's name for the request; a file name.
        candidate : str
            The caller's name for the candidate.

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
        if known is not None and not is_of(known, id, candidate):
            raise InputError(f"intent '{intent}': belongs to {known.candidate or known.id}, not to {candidate or id}")
        self._settle()
        if known is not None:
            return known
        planned = self._plan(id, intent).model_copy(update={"candidate": candidate})
        if not planned.lacking:
            self._add(planned)
        file = self._intents / f"{intent}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, planned.model_dump_json() + "\n")
        return planned

    def request(self, intent: str) -> PhaseRequest | None:
        """The request of an intent; None if it was never taken on.

        Raises
        ------
        DocumentError
            Its file is no request.
        """
        file = self._intents / f"{intent}.json"
        return _request_of(file) if file.exists() else None

    @property
    def _intents(self) -> Path:
        return self.root / "intents"

    def requests(self) -> list[PhaseRequest]:
        """All requests, without those whose file is no request: nothing is known of them."""
        requests = []
        for file in sorted(self._intents.glob("[!.]*.json")):
            with contextlib.suppress(DocumentError):
                requests.append(_request_of(file))
        return requests

    def _settle(self) -> None:
        """Write down the settings; refuse others than those of the calculations that are there."""
        if changed := self.other_settings():
            raise InputError(
                f"{self.root}: holds calculations with other settings ({'; '.join(changed)}); use another folder"
            )
        self.root.mkdir(parents=True, exist_ok=True)
        write_whole(self.root / "science.json", json.dumps(self._science()) + "\n")
        write_whole(self.root / MACHINE_FILE, json.dumps(self.engine.machine()) + "\n")

    def _science(self) -> dict[str, Any]:
        """What decides the numbers; where a potential ranks the structures, how many of them are computed."""
        return self.engine.science() | ({"max_prototypes": self.max_prototypes} if self.engine.prerelax else {})

    def _plan(self, id: str, intent: str) -> PhaseRequest:
        formulas = needed_formulas(id, self.competitors.get(id), self.question.quantity)
        if self.question.oxygen_energy is not None:
            formulas = tuple(formula for formula in formulas if formula not in MOLECULES)
        lacking = {f: "no structure to start from is known" for f in formulas if not self._starts(f)}
        lacking |= {f"dissolved {name}": known for name, known in self._undissolved(id)}
        if lacking:
            return PhaseRequest(id=id, intent=intent, phases=formulas, lacking=lacking)
        earlier = self.requests()
        paid = {formula_key(formula) for request in earlier for formula in request.pays}
        if any(request.id == id for request in earlier):
            paid -= self._put_back(formulas)
        pays = tuple(formula for formula in formulas if formula_key(formula) not in paid)
        return PhaseRequest(id=id, intent=intent, phases=formulas, pays=pays)

    def impossible(self, id: str) -> str:
        """Why a candidate can never have a label, by its elements alone; nothing where it may have one."""
        beside = needed_beside(id, self.question.quantity, ())
        if lacking := [metal for metal in beside if not self._has_start(metal)]:
            return f"no structure to start from is known of {', '.join(lacking)}"
        missing = [f"{name} ({known})" for name, known in self._undissolved(id)]
        return f"needs dissolved {', '.join(missing)}" if missing else ""

    def _has_start(self, element: str) -> bool:
        """Whether an element has a structure to start from."""
        if element not in self._elements:
            self._elements[element] = bool(self._starts(element))
        return self._elements[element]

    def _undissolved(self, id: str) -> tuple[Missing, ...]:
        return undissolved(id, self.question.quantity, self._species(id), self.question.conditions)

    def _species(self, id: str) -> list[Any] | None:
        if self.ions is None:
            return None
        return aqueous_species(parse_formula(id).keys() - {"O", "H"}, self.ions)

    def _starts(self, formula: str) -> list[tuple[str, dict[str, Any]]]:
        """Starting structures, those of the first time that the phase was asked for; none where none is known."""
        file = self.root / "structures" / f"{formula_key(formula)}.json"
        if file.exists():
            return [(start.name, start.structure) for start in _starts_in(file)]
        limit, orders = sys.maxsize if self.engine.prerelax else self.max_prototypes, self.engine.sees_moments
        try:
            structures = list(starting_structures(formula, self.structures, limit, orders=orders))
        except InputError:
            return []
        return [(name, json.loads(json.dumps(each.as_dict(), default=float))) for name, each in structures]

    def _known(self, formula: str) -> tuple[str, ...]:
        """Names of all structures that a phase could start from, looked for once."""
        if formula not in self._names:
            self._names[formula] = known_starts(formula, self.structures, orders=self.engine.sees_moments)
        return self._names[formula]

    def _add(self, request: PhaseRequest) -> None:
        starts = {formula: self._starts(formula) for formula in request.phases}
        folder = self.root / "structures"
        folder.mkdir(exist_ok=True)
        for formula, structures in starts.items():
            if not (file := folder / f"{formula_key(formula)}.json").exists():
                write_whole(file, json.dumps(structures) + "\n")
        chains = [
            NewChain(
                formula_key(formula),
                name,
                structure,
                formula == request.id and self._needs_bands,
                with_vibrations=self.engine.vibrations is not None and formula not in MOLECULES,
            )
            for formula, structures in starts.items()
            for name, structure in structures
        ]
        ranked = {f: structures for f, structures in starts.items() if self.engine.prerelax and f not in MOLECULES}
        rankings = [NewRanking(formula_key(f), given, self._most(given)) for f, given in ranked.items()]
        add_chains(self.root, chains, self.engine.science(), rankings)

    @property
    def _needs_bands(self) -> bool:
        """Whether the label has a gap, and bands are to give it."""
        return self.engine.with_bands and "band_gap" in expression_names(self.question.quantity, LABELS)

    def _most(self, starts: Sequence[tuple[str, Any]]) -> int:
        """How many of the structures of a phase are computed at least: all of the user's own."""
        own = sum(name.startswith(_OWN) for name, _ in starts)
        return own or self.max_prototypes

    def _put_back(self, formulas: Iterable[str]) -> set[str]:
        """Repeat the failed steps of these phases, with all their attempts; returns the keys of the phases."""
        chains = self._chains()
        failed: dict[str, str] = {}
        for key in map(formula_key, formulas):
            for chain in chains.get(key, ()):
                broken = [chain.tasks[s].name for s in TAGS if s in chain.tasks and chain.tasks[s].has_failed]
                failed |= dict.fromkeys(broken if chain.name == LOWEST else broken[:1], key)
        if failed:
            repeat(self.root, list(failed))
            self._documents.clear()  # they may be done again before the next look
        return set(failed.values())

    # Looking -------------------------------------------------------------------------------------------------------------

    def collect(self, intents: Collection[str] | None = None) -> list[LabelOutcome]:
        """Outcomes of the requests whose calculations have ended, by default among all requests.

        Tasks that a dead worker left behind are put back first.

        Raises
        ------
        OracleError
            The folder cannot be used now.
        """
        requests = [r for r in self.requests() if intents is None or r.intent in intents]
        if not requests:
            return []
        recover(self.root, self._watcher)
        chains = self._chains()
        outcomes = [
            outcome_of(request, chains, self.question, self._species(request.id), self._known) for request in requests
        ]
        return [outcome for outcome in outcomes if outcome is not None]

    def unfinished(self) -> int:
        """Tasks that a worker still has to do, those of dead workers included."""
        recover(self.root, self._watcher)
        return sum(not c.ended and len(c.tasks) for chains in self._chains().values() for c in chains)

    def ready(self) -> int:
        """Tasks that a worker could begin now."""
        return len(ready(self.root, set(TAGS))) if has_tasks(self.root) else 0

    def start_workers(self, n: int, *, tags: Sequence[str] = TAGS) -> list[subprocess.Popen[bytes]]:
        """Start workers of this machine; each ends when there is nothing left that it may do."""
        return start(self.root, n, tags)

    def tasks(self) -> list[Task]:
        """Every task with its state; the document of one that is done is read once."""
        return tasks_of(self.root, self._documents)

    def _chains(self) -> dict[str, list[Chain]]:
        return chains_of(self.tasks())


class _Start(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    name: str
    structure: dict[str, Any]


def _starts_in(file: Path) -> list[_Start]:
    """The starting structures in a file: a list of [name, structure]."""
    pairs = read_json(file, LARGE)
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise DocumentError(f"{file}: needs a list of names and structures, found {shown(pairs)}")
    try:
        return [record_of(_Start, {"name": name, "structure": structure}) for name, structure in pairs]
    except DocumentError as error:
        raise DocumentError(f"{file}: {error}") from error


def is_of(request: PhaseRequest, formula: str, candidate: str) -> bool:
    """Whether a request was made for this formula and candidate; "" where the candidate was not told."""
    return request.id == formula and (not candidate or request.candidate in ("", candidate))


def _request_of(file: Path) -> PhaseRequest:
    try:
        request = record_of(PhaseRequest, read_json(file))
    except DocumentError as error:
        raise DocumentError(f"{file}: {str(error).removeprefix(f'{file}: ')}") from error
    if request.intent != file.stem:
        raise DocumentError(
            f"{file}: needs the request of the intent {file.stem}, found that of {shown(request.intent)}"
        )
    return request


def work(root: str | os.PathLike[str], tags: Sequence[str] = TAGS, idle: float = 0.0) -> int:
    """Run as a worker: do the tasks with these tags until none is ready; returns how many were done.

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
    if not has_tasks(place):
        raise InputError(f"{place}: holds no calculations")
    unknown = sorted(set(tags) - set(TAGS))
    if unknown or not tags:
        raise InputError(f"worker: needs tags of {', '.join(TAGS)}, found {', '.join(unknown) or 'none'}")
    signal.signal(signal.SIGTERM, _leave)
    watcher, n_done = Watcher(place), 0
    with registered(place, lease_of(place)) as name:
        last = time.monotonic()
        while True:
            recover(place, watcher)
            if n_new := run_ready(place, set(tags), name):
                last, n_done = time.monotonic(), n_done + n_new
            elif time.monotonic() - last >= idle and not watcher.is_undecided:
                return n_done
            else:  # a task of a worker that may be dead will be ready within a lease, or is seen to be in good hands
                time.sleep(pause_of(lease_of(place)) if watcher.is_undecided else min(_PAUSE, idle))


def put_back(root: str | os.PathLike[str]) -> list[str]:
    """Put back the tasks that dead workers left running; takes up to a lease where a death has to be seen.

    Returns
    -------
    list of str
        Their names.

    Raises
    ------
    InputError
        The folder holds no calculations.
    """
    place = Path(root).resolve()
    if not has_tasks(place):
        raise InputError(f"{place}: holds no calculations")
    watcher = Watcher(place)
    left = recover(place, watcher)
    while watcher.is_undecided:
        time.sleep(pause_of(lease_of(place)))
        left += recover(place, watcher)
    return left


def silent_tasks(root: Path) -> list[Silent]:
    """Tasks that are running as far as the registry knows, whose worker gives no sign of life; one look, which changes nothing."""
    return silent(root, running(root))


def _leave(number: int, frame: object) -> None:
    """End at once, and the kernel ends the program that is running; the step stays for the next worker.

    Taskblaster takes an exception for a failure of the step, or for a defect of its own.
    """
    os._exit(128 + number)
