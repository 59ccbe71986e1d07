"""Parts computed elsewhere: by processes of this machine, by Dask, by any other executor."""

import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import parted
import pytest

from sisso_sal.errors import ExecutorError, InputError, SettingsError
from sisso_sal.system import executors
from sisso_sal.system.executors import HERE, MOST_LOSSES, Workers, open_workers


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=":")


def squares(workers, n=20):
    return sorted(workers.unordered(parted.square, range(n)))


EXPECTED = [(i, i * i) for i in range(20)]


def test_this_process_computes_one_after_the_other():
    seen = []

    def parts():
        for i in range(3):
            seen.append(i)
            yield i

    found = HERE.unordered(lambda part: -part, parts())
    assert next(found) == (0, 0)
    assert seen == [0]
    assert list(found) == [(1, -1), (2, -2)]


def test_processes_give_what_this_process_gives():
    with open_workers(n=2) as workers:
        assert squares(workers) == EXPECTED
        assert workers.n == 2
        pids = {pid for _, pid in workers.unordered(parted.pid, range(8))}
        assert os.getpid() not in pids
    wait_for(lambda: not pids & {child.pid for child in multiprocessing.active_children()})


def test_only_a_few_parts_are_under_way():
    taken = 0

    def parts():
        nonlocal taken
        for i in range(1000):
            taken += 1
            yield i

    with open_workers(n=2) as workers:
        found = workers.unordered(parted.square, parts())
        next(found)
        assert taken <= 2 * executors.AHEAD
        found.close()
        assert squares(workers) == EXPECTED


def test_who_computed_what_and_when_is_told():
    with open_workers(n=2) as workers:
        workers.spans = []
        before = time.time()
        list(workers.unordered(parted.slow_square, range(4)))
    assert len(workers.spans) == 4
    assert all(before - 1 < span.begin < span.begin + 0.2 <= span.end < time.time() + 1 for span in workers.spans)
    assert {span.worker.rpartition(":")[0] for span in workers.spans} == {socket.gethostname()}


def test_what_is_raised_in_a_worker_arrives():
    with open_workers(n=2) as workers, pytest.raises(InputError, match=r"^part 3: needs luck$"):
        list(workers.unordered(parted.unlucky, range(8)))


@pytest.mark.parametrize("where", ["local", pytest.param("dask:local", marks=pytest.mark.faults)])
def test_the_parts_of_killed_workers_are_computed_again(tmp_path, where):
    """Each of five parts kills its worker the first time."""
    if where != "local":
        pytest.importorskip("distributed")
    with open_workers(where, 2) as workers:
        found = sorted(workers.unordered(partial(parted.dies_once, str(tmp_path)), range(20)))
    assert found == EXPECTED
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.faults
def test_a_part_that_always_kills_its_worker_is_told_and_costs_no_other(tmp_path):
    found = []
    with open_workers(n=2) as workers, pytest.raises(ExecutorError) as error:
        collect(found, workers.unordered(parted.always_dies, [7, *range(6)]))
    assert sorted(found) == [(i, i * i) for i in range(6)]
    assert str(error.value).startswith(
        f"2 processes of this machine: {MOST_LOSSES + 1} times a worker died and no part was"
    )


def test_processes_end_when_theirs_is_killed(tmp_path):
    """A driver that is killed leaves no worker behind."""
    script = (
        "import parted\nfrom sisso_sal.system.executors import open_workers\n"
        "if __name__ == '__main__':\n"
        "    with open_workers(n=2) as workers:\n"
        f"        list(workers.unordered(parted.announces, [{str(tmp_path)!r}] * 100))\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path)
    try:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    finally:
        driver.kill()
        driver.wait()
    pids = [int(file.name) for file in tmp_path.iterdir()]
    wait_for(lambda: not any(map(runs, pids)))
    assert len(pids) == 2
    assert [pid for pid in pids if runs(pid)] == []


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def collect(found, pairs):
    """Into the list, one by one: what is there before an exception stays."""
    for one in pairs:
        found.append(one)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_interruption_gives_what_is_under_way_first(tmp_path):
    def parts():
        """Interrupts when the third is asked for; the first two have begun by then."""
        yield from (0, 1)
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        raise KeyboardInterrupt

    with open_workers(n=2) as workers:
        found = []
        with pytest.raises(KeyboardInterrupt):
            collect(found, workers.unordered(partial(parted.marked_square, str(tmp_path)), parts(), drain=True))
        assert sorted(found) == [(0, 0), (1, 1)]


def test_here_an_interruption_waits_for_the_end_of_a_part():
    def part(number):
        signal.raise_signal(signal.SIGINT)
        return number

    before = signal.signal(signal.SIGINT, lambda *_: executors.undisturbed.interrupt())
    found = []
    try:
        with pytest.raises(KeyboardInterrupt):
            collect(found, HERE.unordered(part, range(3), drain=True))
    finally:
        signal.signal(signal.SIGINT, before)
    assert found == [(0, 0)]


def test_a_worker_of_another_version_is_refused(monkeypatch):
    here = executors._version()
    monkeypatch.setattr(executors, "_version", lambda: "0.0.1")
    with (
        open_workers(n=2) as workers,
        pytest.raises(
            ExecutorError,
            match=rf"^worker: needs sisso-sal 0\.0\.1 as where the command runs, found {re.escape(here)}$",
        ),
    ):
        squares(workers)


def test_a_worker_keeps_to_its_threads():
    with open_workers(n=2, threads=1) as workers:
        for _, found in workers.unordered(parted.threads, range(2)):
            assert found == {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "blas": [1]}


# Other executors ------------------------------------------------------------------------------------------------------


def test_dask_with_equal_parts_by_address_and_by_file(tmp_path):
    """Dask takes equal submissions of pure functions for one; ours are not pure."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        file = tmp_path / "scheduler.json"
        client.write_scheduler_file(str(file))
        lines = []
        with open_workers(f"dask:{cluster.scheduler_address}", tell=lines.append) as workers:
            assert workers.n == 2
            assert squares(workers) == EXPECTED
        with open_workers(f"dask:{file}", 2, tell=lines.append) as workers:
            places = [str(tmp_path / "calls")] * 6
            assert len(list(workers.unordered(parted.counts, places))) == 6
        assert len((tmp_path / "calls").read_text().split()) == 6
        assert lines == []


def test_a_scheduler_that_is_not_there_is_told(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(executors, "PATIENCE", 0.5)
    with (
        pytest.raises(ExecutorError, match=r"^executor dask:127.0.0.1:1: no scheduler answers there: "),
        open_workers("dask:127.0.0.1:1"),
    ):
        pass
    with (
        pytest.raises(SettingsError, match=r"there is no such scheduler file"),
        open_workers(f"dask:{tmp_path}/s.json"),
    ):
        pass


def test_any_executor_serves():
    with open_workers("concurrent.futures:ThreadPoolExecutor", 3) as workers:
        assert workers.n == 3
        assert squares(workers) == EXPECTED


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("locally", "executor: needs local, dask:local, dask:ADDRESS, dask:FILE"),
        ("dask:", "executor: needs local, dask:local, dask:ADDRESS, dask:FILE"),
        ("no.such.module:Pool", "executor 'no.such.module:Pool': cannot be imported: ModuleNotFoundError"),
        ("parted:square", "executor 'parted:square': cannot be started: TypeError"),
        ("builtins:dict", "executor: needs a concurrent.futures.Executor, found dict of 'builtins:dict'"),
    ],
)
def test_what_is_no_executor_is_told(name, message):
    with pytest.raises(SettingsError) as error, open_workers(name):
        pass
    assert str(error.value).startswith(message)


def test_a_foreign_executor_that_breaks_is_told():
    class Breaks(ThreadPoolExecutor):
        def submit(self, *_):
            from concurrent.futures import BrokenExecutor

            raise BrokenExecutor("gone")

    with (
        Breaks(1) as pool,
        pytest.raises(ExecutorError, match=r"^mine: its workers died \(.*gone\); the same command goes"),
    ):
        list(Workers(1, "mine", lambda: 1, lambda: pool, ()).unordered(parted.square, [1]))
