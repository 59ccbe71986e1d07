"""Taskblaster's worker with a fence: what came of a task is recorded only while the task is the worker's own."""

from __future__ import annotations

import time
import traceback
from typing import Any

from taskblaster.state import State
from taskblaster.util import workdir
from taskblaster.worker import LoadedTask, Worker, pop_special_kwargs

from sisso_sal.oracle.workflow.workers import insist

__all__ = ["FencedWorker"]


class FencedWorker(Worker):
    """A worker that does one task after the other.

    A worker that was stopped for a while may have been given up, and another one may have its task. So the result is written and
    the task is done in one transaction, in which nobody else can take the task.
    """

    def process_one_task(self) -> None:
        insist()
        task = self.acquire_task()
        self.log(f"Running {task.name} ...")
        began = time.monotonic()
        output, error, trace = None, None, ""
        try:
            output = self._computed(task)
        except Exception as raised:  # whatever a task raises is why it failed
            error, trace = raised, traceback.format_exc()
        with self.registry.conn:
            if not self._is_own(task.name):
                told = [f"Task {task.name} was given to another worker meanwhile; nothing of it is recorded"]
            elif error is not None:
                task.directory.joinpath(task.entry.stacktracetemplate.format(0)).write_text(trace)
                self.registry.update_task_failed(task.name, error_msg=str(error))
                told = [trace, f"Task {task.name} failed: {error}"]
            else:
                task.entry.dump_output(output)
                self.registry.update_task_done(task.name)
                told = [f"Task {task.name} finished in {time.monotonic() - began:.1f} s"]
        self.log(*told)
        insist()

    def _computed(self, task: LoadedTask) -> Any:
        inputs = dict(task.kwargs)
        pop_special_kwargs(inputs)
        with workdir(task.directory):
            return self.repo.import_task_function(task.target)(**inputs)

    def _is_own(self, task: str) -> bool:
        info = self.registry.workers.get_runinfo(task)
        is_running = self.registry.index.node(task).state == State.run
        return is_running and info is not None and info.subworkerid == self.name
