"""Parts that are kept: found again, cut off at every byte, changed, and locked."""

import json
from pathlib import Path

import pytest
from springs import Springs

from sisso_sal.errors import ExecutorError, LockedError
from sisso_sal.fidelity.compute import computed
from sisso_sal.fidelity.parts import PARTS, KeptParts, key_of
from sisso_sal.fidelity.potentials import Potential, open_potential
from sisso_sal.fidelity.starts import plan
from sisso_sal.oracle.engines.relaxation import RelaxationSettings
from sisso_sal.system.executors import open_workers

SETTINGS = RelaxationSettings()
POTENTIAL = open_potential("springs:Springs")


@pytest.fixture(scope="module")
def starts():
    return plan(["MgO", "Mg", "ZrO2"]).starts


def run(starts, folder, settings=SETTINGS):
    """(outcomes, number of structures that were computed)."""
    totals = []
    with KeptParts(folder) as parts:
        outcomes = computed(starts, POTENTIAL, settings, parts, progress=lambda done, total: totals.append(total))
    return outcomes, totals[0]


@pytest.fixture(scope="module")
def finished(starts, tmp_path_factory):
    """Outcomes of all structures, and the lines of the file that keeps them."""
    folder = tmp_path_factory.mktemp("finished")
    outcomes, _ = run(starts, folder)
    return outcomes, (folder / PARTS).read_bytes().splitlines()


def test_nothing_is_computed_twice(starts, tmp_path):
    first, n_first = run(starts, tmp_path / "parts")
    again, n_again = run(starts, tmp_path / "parts")
    assert (n_first, n_again) == (len(starts), 0)
    assert first == again
    assert {one.reason[:10] for one in first.values()} == {"", "the cell e"}


def test_a_file_cut_off_at_any_byte_costs_one_structure(tmp_path):
    starts = plan(["MgO"]).starts
    whole, _ = run(starts, tmp_path / "parts")
    content = (tmp_path / "parts" / PARTS).read_bytes()
    for end in range(len(content) - 1, 0, -97):
        folder = tmp_path / str(end)
        folder.mkdir()
        (folder / PARTS).write_bytes(content[:end])
        outcomes, n_computed = run(starts, folder)
        assert outcomes == whole
        assert n_computed == len(starts) - content[:end].count(b"\n")
        assert sorted((folder / PARTS).read_bytes().splitlines()) == sorted(content.splitlines())


@pytest.mark.parametrize("damage", [b"nonsense", b"{}", b"[1]", b"\xff\xfe"])
def test_a_damaged_line_counts_as_not_there(starts, finished, tmp_path, damage):
    whole, lines = finished
    (tmp_path / PARTS).write_bytes(b"\n".join([damage, *lines[1:]]) + b"\n")
    with KeptParts(tmp_path) as parts:
        assert parts.n_broken == 1
    outcomes, n_computed = run(starts, tmp_path)
    assert (outcomes, n_computed) == (whole, 1)


def test_a_changed_digit_is_seen(starts, finished, tmp_path):
    first, *others = finished[1]
    changed = json.loads(first)
    changed["energy"] += 0.001
    (tmp_path / PARTS).write_bytes(b"\n".join([json.dumps(changed).encode(), *others]) + b"\n")
    assert run(starts, tmp_path)[1] == 1


def test_one_process_at_a_time(tmp_path):
    with (
        KeptParts(tmp_path),
        pytest.raises(LockedError, match=r"another process computes here; wait for its end$") as caught,
    ):
        KeptParts(tmp_path)
    assert caught.value.exit_code == 75
    with KeptParts(tmp_path):
        pass


def test_a_key_is_of_everything_that_counts(starts):
    def keys(**changes):
        potential = POTENTIAL.document() | changes
        return {key_of(start, Potential(**potential), SETTINGS) for start in starts}

    plain = keys()
    assert len(plain) == len(starts)
    assert keys(scheme="other") == plain
    for changes in ({"name": "a:B"}, {"model": "x"}, {"version": "2"}, {"weights": 32 * "0"}):
        assert not keys(**changes) & plain
    assert key_of(starts[0], POTENTIAL, RelaxationSettings(force_tolerance=0.05)) not in plain


def test_more_steps_compute_only_what_needs_them(tmp_path):
    starts = plan(["MgO", "WO3"]).starts
    few, n_few = run(starts, tmp_path, RelaxationSettings(max_steps=5))
    assert any(one.reason.startswith("not converged: forces above 0.1 eV/Å after 5") for one in few.values())
    n_short = sum(one.energy is None for one in few.values())
    more, n_more = run(starts, tmp_path, RelaxationSettings(max_steps=60))
    assert (n_few, n_more) == (len(starts), n_short)
    assert run(starts, tmp_path, RelaxationSettings(max_steps=60)) == (more, 0)
    assert {k: v for k, v in few.items() if v.converged}.items() <= more.items()
    assert Springs.version == "1"


@pytest.mark.faults
def test_a_worker_that_dies_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=":")
    starts = plan(["MgO", "ReO3"]).starts
    with (
        KeptParts(tmp_path) as parts,
        open_workers(n=2) as workers,
        pytest.raises(
            ExecutorError, match=r"times a worker died and no part was finished .*; the same command goes on$"
        ),
    ):
        computed(starts, POTENTIAL, SETTINGS, parts, workers)
    assert run(plan(["MgO"]).starts, tmp_path)[1] == 0  # what killed its worker took no other structure along


def test_processes_come_to_the_same(starts, finished, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=":")
    with KeptParts(tmp_path) as parts, open_workers(n=2) as workers:
        assert computed(starts, POTENTIAL, SETTINGS, parts, workers) == finished[0]
