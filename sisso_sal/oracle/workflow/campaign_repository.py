"""The repository of a campaign, as Taskblaster's own command meets it: ``tb ls``, ``tb run``, ``tb unrun`` in its folder.

What a person does there has to fit with the workers of the campaign: ``tb run`` is a worker with a lease like any other, and ``tb
unrun`` lets a step have all its attempts again, unless a living worker is at it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import click
from taskblaster import worker
from taskblaster.repository import Repository, WorkerSpecification
from taskblaster.state import State
from taskblaster.tree import Tree

from sisso_sal.oracle.workflow.attempts import forget_attempts
from sisso_sal.oracle.workflow.engine_settings import TAGS, lease_of
from sisso_sal.oracle.workflow.fenced import FencedWorker
from sisso_sal.oracle.workflow.workers import is_at_work, registered

__all__ = ["CampaignRepository"]


class _CampaignTree(Tree):
    """Steps that are unrun have all their attempts again."""

    repo: CampaignRepository

    def select_unrun(self) -> Any:
        counts, selected, unrun = super().select_unrun()
        names = [str(node.name) for *_, node in selected]
        if self.repo.keeps_attempts:
            return counts, selected, unrun
        self.repo.refuse_busy(names)

        def unrun_all() -> None:
            unrun()
            for folder in (self.repo.tree_path / name for name in names):
                if folder.exists():
                    forget_attempts(folder)

        return counts, selected, unrun_all


class CampaignRepository(Repository):
    """A repository whose steps keep their attempts beside their output."""

    keeps_attempts = False

    def tree(self, directories: Any = None, **options: Any) -> Tree:
        return _CampaignTree(self, directories=directories, **options)

    @contextlib.contextmanager
    def keeping_attempts(self) -> Iterator[None]:
        """Within, a step that is made new goes on from its attempts: its worker died, nobody asked for another result."""
        self.keeps_attempts = True
        try:
            yield
        finally:
            self.keeps_attempts = False

    def refuse_busy(self, names: Sequence[str]) -> None:
        """Refuse to unrun steps at which a living worker may be: one line, before anything is changed."""
        for name in names:
            info = self.registry.workers.get_runinfo(name)
            at_it = str(info.subworkerid) if info is not None and info.subworkerid else ""
            if self.registry.index.node(name).state == State.run and is_at_work(self.root, at_it):
                raise click.ClickException(
                    f"{name} is being computed by {_process(at_it)}; nothing was unrun: end its worker first"
                )

    def run_worker(
        self, tree: Any = None, name: str = "worker", greedy: bool = False, rules: WorkerSpecification | None = None
    ) -> None:
        """Be a worker of the campaign, for all steps if no tags are given; others see that it lives."""
        if self.mpi_world().size > 1:
            raise click.ClickException("tb run: needs one process, found several; each step starts its own program")
        rules = rules or WorkerSpecification()
        if not rules.get_compatible_tags():
            rules = replace(rules, tags=set(TAGS))

        def fenced(**options: Any) -> FencedWorker:
            return FencedWorker(**{**options, "name": lease, "myqueue_id": lease})

        with registered(self.root, lease_of(self.root)) as lease, _workers_by(fenced):
            super().run_worker(tree, name=name, greedy=greedy, rules=rules)


@contextlib.contextmanager
def _workers_by(make: Callable[..., FencedWorker]) -> Iterator[None]:
    """Have Taskblaster make its workers so: it has no other place where that can be said."""
    module: Any = worker
    before, module.Worker = module.Worker, make
    try:
        yield
    finally:
        module.Worker = before


def _process(name: str) -> str:
    host, pid, *_ = name.split("|")
    return f"process {pid} on {host}"
