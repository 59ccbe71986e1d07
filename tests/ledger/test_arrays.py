"""Arrays that come with labels: kept beside the ledger, read back as they were, and lost or computed twice by no crash."""

import itertools

import numpy as np
import pytest
from lines import TRUE, events, state, step
from oracles import Cluster

from sisso_sal.campaign import exchange
from sisso_sal.campaign.verify import findings
from sisso_sal.errors import CampaignError, StorageError
from sisso_sal.ledger.arrays import problem_of, read_arrays, write_arrays
from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.store import Ledger
from sisso_sal.protocols import Answer


def forces(id):
    """(3, 3) in eV/Å, other numbers for each candidate."""
    return np.random.default_rng(list(id.encode())).normal(size=(3, 3))


def answer(intent, id):
    arrays = {"forces": forces(id), "gradient": np.float32([TRUE[id]]), "counts": np.arange(4).reshape(2, 2)}
    return Answer(intent, value=TRUE[id], core_hours=2.0, arrays=arrays)


def campaign(run, cluster, **changes):
    return step(run, more={"oracle": cluster}, **{"oracle": "command:cluster", "budget": 4, "batch": 2, **changes})


def test_arrays_are_read_back_as_the_oracle_gave_them(in_memory):
    run = in_memory / "run"
    campaign(run, Cluster(in_memory / "c", answer=answer))
    labelled = [event for event in events(run, "label") if event["source"] == "oracle"]
    assert len(labelled) == 4
    for event in labelled:
        arrays = read_arrays(run, event["arrays"])
        assert list(arrays) == ["forces", "gradient", "counts"]
        assert np.array_equal(arrays["forces"], forces(event["id"]))
        assert [array.dtype for array in arrays.values()] == [np.float64, np.float32, np.int64]
        assert event["arrays"]["forces"]["file"] == f"arrays/{event['intent']}.forces.npy"
        assert event["arrays"]["counts"]["shape"] == [2, 2]
        assert state(run).cases[event["id"]].arrays == event["arrays"]
    assert findings(run)[1] == []


def test_labels_without_arrays_are_as_before(in_memory):
    run = in_memory / "run"
    campaign(run, Cluster(in_memory / "c"))
    assert not (run / "arrays").exists()
    assert all("arrays" not in event for event in events(run, "label"))
    assert {case.id: case.arrays for case in state(run).of("labelled") if case.arrays} == {}


def test_another_label_takes_the_place_of_one_with_arrays():
    kept = {"forces": {"file": "arrays/x.npy", "sha256": 64 * "a", "shape": [], "dtype": "<f8"}}
    label = {"time": "", "event": "label", "id": "a", "value": 1.0}
    first = fold([{"seq": 1, **label, "arrays": kept}])
    assert first.cases["a"].arrays == kept
    assert fold([{"seq": 2, **label}], first).cases["a"].arrays == {}


def test_an_array_file_that_is_gone_or_changed_is_a_finding_and_is_not_read(in_memory):
    run = in_memory / "run"
    campaign(run, Cluster(in_memory / "c", answer=answer))
    first, second = [event["arrays"] for event in events(run, "label") if "arrays" in event][:2]
    changed, gone = run / first["forces"]["file"], run / second["forces"]["file"]
    np.save(changed, np.zeros((3, 3)))
    gone.unlink()
    assert findings(run)[1] == [
        f"arrays/{changed.name}: differs from what was written",
        f"arrays/{gone.name}: No such file or directory",
    ]
    with pytest.raises(
        CampaignError, match=r"forces\.npy: needs the array 'forces' of a label, found a file that is not"
    ):
        read_arrays(run, first)
    with pytest.raises(
        CampaignError, match=r"forces\.npy: needs the array 'forces' of a label, cannot be read: No such"
    ):
        read_arrays(run, second)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"forces": np.array([1.0, np.inf])}, "array 'forces': needs finite numbers, found inf"),
        ({"forces": [1.0]}, "array 'forces': needs a NumPy array of real numbers, found list"),
        ({"forces": np.array([None])}, "array 'forces': needs a NumPy array of real numbers, found object"),
        ({"forces": np.array([1j])}, "array 'forces': needs a NumPy array of real numbers, found complex128"),
        ({"../forces": np.zeros(1)}, "arrays: needs names of letters, digits and underscores, found '../forces'"),
        ({"": np.zeros(1)}, "arrays: needs names of letters, digits and underscores, found ''"),
        ({7: np.zeros(1)}, "arrays: needs names of letters, digits and underscores, found 7"),
    ],
)
def test_arrays_that_cannot_be_kept_make_no_label(in_memory, arrays, reason):
    assert problem_of(arrays) == reason
    run = in_memory / "run"
    cluster = Cluster(in_memory / "c", answer=lambda intent, id: Answer(intent, value=TRUE[id], arrays=arrays))
    campaign(run, cluster, budget=2)
    assert {(event["kind"], event["reason"]) for event in events(run, "failure")} == {("invalid", reason)}
    assert not (run / "arrays").exists()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("stride", [pytest.param(3, id="some"), pytest.param(1, id="each", marks=pytest.mark.faults)])
def test_a_driver_that_dies_around_any_write_of_arrays_or_events_loses_nothing_and_computes_nothing_twice(
    in_memory, monkeypatch, stride
):
    """Killed before and after every write of the files of an answer and of the ledger, then continued."""
    plain = in_memory / "plain"
    campaign(plain, Cluster(in_memory / "p", answer=answer))
    orphans = 0
    for place in itertools.count(0, stride):
        folder, cluster = in_memory / f"run{place}", in_memory / f"c{place}"
        counter = itertools.count()

        def dying(write, counter=counter, place=place):
            def written(*arguments):
                if next(counter) == place:
                    raise Killed
                result = write(*arguments)
                if next(counter) == place:
                    raise Killed
                return result

            return written

        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "append_all", dying(Ledger.append_all))
            patch.setattr(exchange, "write_arrays", dying(write_arrays))
            try:
                campaign(folder, Cluster(cluster, answer=answer))
            except Killed:
                pass
            else:
                break
        named = [record["file"] for event in events(folder, "label") for record in event.get("arrays", {}).values()]
        assert all((folder / name).exists() for name in named)  # an event never names a file that is not there
        orphans += len(list(folder.glob("arrays/*"))) > len(named)
        oracle = Cluster(cluster, answer=answer)
        campaign(folder, oracle)
        assert sorted(id for _, id in oracle.started) == sorted(id for _, id in Cluster(in_memory / "p").started)
        for case in state(folder).of("labelled"):
            if case.intent:
                assert np.array_equal(read_arrays(folder, case.arrays)["forces"], forces(case.id))
        assert state(folder).labels == state(plain).labels
        assert findings(folder)[1] == []
    assert orphans >= 4 // stride  # files without an event were there, and harmed nothing


def test_where_the_disk_refuses_an_array_the_label_waits(in_memory, monkeypatch):
    run, cluster = in_memory / "run", in_memory / "c"

    def full(path, content):
        raise StorageError(f"{path}: cannot be written: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("sisso_sal.ledger.arrays.write_whole", full)
        with pytest.raises(StorageError, match=r"forces\.npy: cannot be written: No space left on device$"):
            campaign(run, Cluster(cluster, answer=answer))
    assert [event for event in events(run, "label") if event["source"] == "oracle"] == []
    oracle = Cluster(cluster, answer=answer)
    campaign(run, oracle)
    assert len(oracle.started) == 4
    assert findings(run)[1] == []
