"""The calculations of a folder as Taskblaster keeps them: making, reading, repeating and running its tasks.

Nothing but this file, `campaign_repository` and `fenced` imports Taskblaster. Each function opens the repository, which locks it,
and closes it again.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from sisso_sal.errors import DocumentError, InputError, OracleError
from sisso_sal.oracle.workflow.attempts import forget_attempts
from sisso_sal.oracle.workflow.chains import LOWEST, RANKING, NewChain, NewRanking, Task, read_document
from sisso_sal.oracle.workflow.workers import Watcher
from sisso_sal.settings.calculation import Step

try:
    import taskblaster as tb
    from taskblaster.registry import RegistryError
    from taskblaster.repository import Repository, WorkerSpecification
    from taskblaster.state import State
    from taskblaster.storage import JSONCodec

    from sisso_sal.oracle.workflow.campaign_repository import CampaignRepository
    from sisso_sal.oracle.workflow.fenced import FencedWorker
except ImportError:
    raise InputError("first-principles workflows need Taskblaster; pip install 'sisso-sal[dft]'") from None

__all__ = [
    "add_chains",
    "files_of",
    "has_tasks",
    "ready",
    "recover",
    "repeat",
    "run_ready",
    "running",
    "tasks_of",
    "tb_init_repo",
]

_PATIENCE = 3


class _Codec(JSONCodec):
    """Tasks hand each other plain JSON; there is nothing to translate."""

    def encode(self, obj: Any) -> Any:
        raise TypeError(f"a task's input needs plain JSON, found {type(obj).__name__}")

    def decode(self, dct: dict[str, Any]) -> dict[str, Any]:
        return dct


class _Closing:
    """A connection of Taskblaster to its registry. Taskblaster would leave what it opened to the garbage collector."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._opened: sqlite3.Connection = self._connection.__enter__()
        return self._opened

    def __exit__(self, *error: Any) -> None:
        with contextlib.closing(self._opened):
            self._connection.__exit__(*error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def tb_init_repo(root: Path, read_only: bool = False) -> CampaignRepository:
    """A repository with our codec, whose connections are closed; Taskblaster's own command calls it as well."""
    repo = CampaignRepository(root, usercodec=_Codec(), read_only=read_only)
    registry: Any = repo.registry
    registry.conn = _Closing(registry.conn)
    return repo


# The tasks of a starting structure ---------------------------------------------------------------------------------------


def _relax(self: Any) -> tb.Node:
    return tb.node("sisso_sal.oracle.workflow.steps.relax", structure=self.structure, engine=self.engine)


def _static(self: Any) -> tb.Node:
    return tb.node("sisso_sal.oracle.workflow.steps.static", previous=self.relax, engine=self.engine)


def _static_with_bands(self: Any) -> tb.Node:
    return tb.node("sisso_sal.oracle.workflow.steps.static_with_bands", previous=self.relax, engine=self.engine)


def _bands(self: Any) -> tb.Node:
    target = "sisso_sal.oracle.workflow.steps.lowest_bands"
    return tb.node(target, names=self.names, statics=self.statics, engine=self.engine)


def _vibrations(self: Any) -> tb.Node:
    target = "sisso_sal.oracle.workflow.vibrations.lowest_vibrations"
    return tb.node(target, names=self.names, statics=self.statics, engine=self.engine)


def _prerelax(self: Any) -> tb.Node:
    target = "sisso_sal.oracle.workflow.prerelax.prerelax"
    return tb.node(target, starts=self.starts, most=self.most, engine=self.engine)


def _relax_ranked(self: Any) -> tb.Node:
    target = "sisso_sal.oracle.workflow.prerelax.relax"
    return tb.node(target, structure=self.structure, engine=self.engine, ranking=self.ranking, name=self.name)


def _step(step: Step | Literal["prerelax", "vibrations"], meth: Any) -> Any:
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
    static = _step("static", _static_with_bands)


@tb.workflow
class _Lowest:
    names = tb.var()
    statics = tb.var()
    engine = tb.var()
    bands = _step("bands", _bands)


@tb.workflow
class _Vibrating:
    names = tb.var()
    statics = tb.var()
    engine = tb.var()
    vibrations = _step("vibrations", _vibrations)


@tb.workflow
class _Ranking:
    starts = tb.var()
    most = tb.var()
    engine = tb.var()
    prerelax = _step("prerelax", _prerelax)


@tb.workflow
class _RankedPhase:
    structure = tb.var()
    name = tb.var()
    ranking = tb.var()
    engine = tb.var()
    relax = _step("relax", _relax_ranked)
    static = _step("static", _static)


@tb.workflow
class _RankedCandidate:
    structure = tb.var()
    name = tb.var()
    ranking = tb.var()
    engine = tb.var()
    relax = _step("relax", _relax_ranked)
    static = _step("static", _static_with_bands)


def add_chains(
    root: Path, chains: Iterable[NewChain], engine: dict[str, Any], rankings: Iterable[NewRanking] = ()
) -> None:
    """Make the tasks of these starting structures, where they do not exist, and let workers have them.

    Parameters
    ----------
    root : path
        The folder of the repository; both are made where they do not exist.
    chains : iterable of NewChain
    engine : dict
        The science of `sisso_sal.oracle.workflow.engine_settings.EngineSettings`.
    rankings : iterable of NewRanking
        The chains of their phases wait for them.

    Raises
    ------
    OracleError
        The folder cannot be used now.
    """
    with _opened(root) as repo:

        def run(workflow: Any, phase: str, name: str) -> Any:
            runner = repo.runner().with_subdirectory(phase).with_subdirectory(name)
            runner.run_workflow(workflow, source="")
            return workflow

        kind: Any = _Ranking
        made = {r.phase: run(kind(starts=r.starts, most=r.most, engine=engine), r.phase, RANKING) for r in rankings}
        of_lowest: dict[tuple[Any, str], dict[str, Any]] = {}
        for chain in chains:
            workflow = _workflow_of(_as_it_is(repo, chain), engine, made.get(chain.phase))
            run(workflow, chain.phase, chain.name)
            for further, is_asked in ((_Lowest, chain.with_bands), (_Vibrating, chain.with_vibrations)):
                if is_asked:
                    of_lowest.setdefault((further, chain.phase), {})[chain.name] = workflow.static
        for (further, phase), some in of_lowest.items():
            run(further(names=[*some], statics=[*some.values()], engine=engine), phase, LOWEST)
        _queue(repo)


def _as_it_is(repo: Repository, chain: NewChain) -> NewChain:
    """The chain as it was made at the first time, with bands in its static run or without them."""
    name = f"{chain.phase}/{chain.name}/static"
    if not repo.registry.index.contains(name):
        return chain
    target, _ = json.loads(repo.cache.encoded_task(name).serialized_input)
    return replace(chain, with_bands=target.endswith(".static_with_bands"))


def _workflow_of(chain: NewChain, engine: dict[str, Any], ranking: Any) -> Any:
    inputs = {"structure": chain.structure, "engine": engine}
    if ranking is None:
        return (_Candidate if chain.with_bands else _Phase)(**inputs)
    inputs |= {"name": chain.name, "ranking": ranking.prerelax}
    return (_RankedCandidate if chain.with_bands else _RankedPhase)(**inputs)


# The repository ----------------------------------------------------------------------------------------------------------


def has_tasks(root: Path) -> bool:
    """Whether the folder is a repository."""
    return (root / ".taskblaster" / "registry.db").exists()


@contextlib.contextmanager
def _opened(root: Path) -> Iterator[CampaignRepository]:
    """The repository of the folder, made at the first time, locked while it is open; what it prints is dropped."""
    root.mkdir(parents=True, exist_ok=True)
    with _translated(root), contextlib.redirect_stdout(io.StringIO()):
        if not has_tasks(root):
            Repository.create(root, modulename=__name__)
        with tb_init_repo(root) as repo:
            yield repo


@contextlib.contextmanager
def _translated(root: Path) -> Iterator[None]:
    """Errors of the registry and of its file as ours."""
    try:
        yield
    except (OSError, sqlite3.Error, RegistryError) as error:
        raise OracleError(f"{root}: cannot be used now: {error}") from error


def tasks_of(root: Path, documents: dict[str, dict[str, Any]]) -> list[Task]:
    """Every task of a folder with its state.

    Parameters
    ----------
    root : path
    documents : dict
        Task -> what it left, of tasks that are done: read once and kept here by the caller.
    """
    if not has_tasks(root):
        return []
    tasks = []
    with _opened(root) as repo:
        for node in repo.tree(None, states=None, relative_to=repo.tree_path).nodes():
            name, state = str(node.name), node.state.name
            info = repo.registry.workers.get_runinfo(node.name)
            exception = "" if info is None else info.exception or ""
            if node.state != State.done:
                documents.pop(name, None)
            elif name not in documents:
                try:
                    documents[name] = read_document(repo.cache.entry(node.name).outputfile)
                except DocumentError as error:  # it ended, and what it left is of no use
                    state, exception = State.fail.name, str(error)
            tasks.append(Task(name, state, _worker(info), documents.get(name), exception))
    return tasks


def files_of(root: Path) -> dict[str, tuple[str, Path]]:
    """Every task of a folder with its state and the file of its document, which is there if the state is "done"."""
    with _opened(root) as repo:
        nodes = repo.tree(None, states=None, relative_to=repo.tree_path).nodes()
        return {str(n.name): (n.state.name, Path(repo.cache.entry(n.name).outputfile)) for n in nodes}


def _worker(info: Any) -> str:
    """The name of the worker of a task; empty where there is none."""
    return "" if info is None or not info.subworkerid else str(info.subworkerid)


def _queue(repo: Repository) -> None:
    """Let workers have what is new."""
    tree = repo.tree(None, states={State.new}, relative_to=repo.tree_path)
    list(tree.submit())


def repeat(root: Path, names: Sequence[str]) -> None:
    """Have tasks that ended done again, and all that come after them, with all their attempts.

    What came after may have been made from something else: the bands of another structure, which was the lowest one before.
    """
    with _opened(root) as repo:
        for name in _unrun(repo, names, {State.done, State.fail, State.cancel}):
            if (folder := repo.tree_path / name).exists():
                forget_attempts(folder)
        _queue(repo)


def _unrun(repo: CampaignRepository, names: Sequence[str], states: set[State]) -> list[str]:
    """Make tasks new again, and all that come after them; returns the names of those that no worker was at.

    What they left in their folders stays, attempts included.
    """
    tree = repo.tree([str(repo.tree_path / name) for name in names], states=states, relative_to=repo.tree_path)
    with repo.keeping_attempts():
        _, nodes, unrun = tree.select_unrun()
    if nodes:
        unrun()
    for name in names:
        repo.cache.entry(name).directory.mkdir(parents=True, exist_ok=True)
    return [str(node.name) for *_, node in nodes if node.state != State.run]


def recover(root: str | os.PathLike[str], watcher: Watcher) -> list[str]:
    """Put back the tasks that dead workers left running, and queue what is new.

    Parameters
    ----------
    root : path
    watcher : Watcher
        Of this folder; it is kept from one call to the next, because some deaths are seen only in time.

    Returns
    -------
    list of str
        Their names. A task is retried with what it left in its folder, up to three attempts in all.
    """
    place = Path(root).resolve()
    if not has_tasks(place):
        return []
    with _opened(place) as repo:
        workers = {worker for _, worker in _running(repo)}
    with _translated(place):
        dead = watcher.dead(workers)
    with _opened(place) as repo:
        left = [name for name, worker in _running(repo) if worker in dead]  # another may have been faster
        if left:
            _unrun(repo, left, {State.run})
        _queue(repo)
    return left


def running(root: Path) -> list[tuple[str, str]]:
    """Tasks that are running as far as the registry knows, and their workers; nothing is changed."""
    if not has_tasks(root):
        return []
    with _translated(root), tb_init_repo(root, read_only=True) as repo:
        return _running(repo)


def _running(repo: Repository) -> list[tuple[str, str]]:
    nodes = repo.tree(None, states={State.run}, relative_to=repo.tree_path).nodes()
    return [(str(node.name), _worker(repo.registry.workers.get_runinfo(node.name))) for node in nodes]


def ready(root: Path, tags: set[str]) -> frozenset[str]:
    """Tasks that a worker with these tags could begin now."""
    with _opened(root) as repo:
        return frozenset(str(node.name) for node in repo.registry.find_all_ready(supported_tags=set(tags)))


# Doing tasks -------------------------------------------------------------------------------------------------------------


def run_ready(root: Path, tags: set[str], name: str) -> int:
    """Do one task after the other in this process until none can be begun.

    Parameters
    ----------
    root : path
    tags : set of str
    name : str
        Of the worker; see `sisso_sal.oracle.workflow.workers.registered`.

    Returns
    -------
    int
        How many were done.

    Raises
    ------
    OracleError
        The folder cannot be used now, or tasks are ready but cannot be begun.
    """
    repo = tb_init_repo(root)
    rules = WorkerSpecification(tags=tags, max_tasks=1)
    done, in_vain = 0, 0
    while waiting := ready(root, tags):
        with _translated(root), contextlib.redirect_stdout(sys.stderr):
            FencedWorker(repo, name=name, myqueue_id=name, rules=rules).main()
        in_vain = in_vain + 1 if ready(root, tags) == waiting else 0
        if in_vain == _PATIENCE:  # Taskblaster itself would try for ever
            raise OracleError(
                f"{root}: {len(waiting)} tasks are ready but cannot be begun; see what was printed before"
            )
        done += not in_vain
    return done
