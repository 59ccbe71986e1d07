"""The benchmarks of finding and of accuracy: what they count and compare, by hand."""

import json
import math

import numpy as np
import pytest
from programs import ROOT, program
from scipy import stats

from sisso_sal.models.surrogates import ExtraTrees
from sisso_sal.replay.claims import ClaimLog, honesty


@pytest.fixture(scope="module")
def finding():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield program("benchmarks/finding.py")


@pytest.fixture(scope="module")
def accuracy():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield program("benchmarks/accuracy.py")


def place(seed):
    return ("oxides", "min", "random", seed)


def ran(found, log=None, seconds=1.0):
    told = None if log is None else honesty([log], len(found) - 1)
    return {"found": found, "n_targets": 5, "honesty": told, "seconds": seconds}


def log(hits):
    """Picks with a probability, whether it came true, and whether the label was in the interval."""
    made = ClaimLog()
    made.mean = made.low = [0.0] * len(hits)
    made.high, made.hit = [1.0] * len(hits), [hit for hit, _, _ in hits]
    made.is_target, made.label = [true for _, true, _ in hits], [0.5 if inside else 2.0 for *_, inside in hits]
    made.pool_covered = np.array([10, 9])
    return made


def test_what_the_first_strategy_has_more_of_is_paired_by_start(finding):
    first = {place(0): ran([0, 1, 2, 3, 4]), place(1): ran([1, 2, 3, 3, 3]), place(2): ran([0, 0, 1, 1, 2])}
    other = {place(0): ran([0, 1, 1, 2, 3]), place(1): ran([1, 1, 1, 1, 3])}
    text = finding.finding({"sisso:hits": first, "trees:mean": other}, "sisso:hits", list(first), "title")
    half = stats.t.ppf(0.975, 1) * np.std([1, 2], ddof=1) / math.sqrt(2)
    end = stats.t.ppf(0.975, 1) * np.std([1, 0], ddof=1) / math.sqrt(2)
    lines = [line.split("  ") for line in text.splitlines()]
    assert [cell.strip() for cell in lines[2] if cell][:3] == ["sisso:hits", "3", "2.00 ± 2.48"]
    assert [cell.strip() for cell in lines[3] if cell][-2:] == [f"1.50 ± {half:.2f}", f"0.50 ± {end:.2f}"]


def test_claims_are_pooled_over_campaigns_by_numbers(finding):
    own = {
        place(0): ran([0] * 5, log([(0.9, True, True), (0.1, False, True), (0.85, False, False), (0.3, True, True)])),
        place(1): ran([0] * 5, log([(0.95, True, True), (0.5, False, True), (0.5, True, True), (0.1, False, True)])),
        place(2): ran([0] * 5),  # nothing was claimed
    }
    lines = finding.honest({"sisso:hits": own, "random": {place(0): ran([0] * 5)}}, "all").splitlines()
    cells = lines[2].split()
    assert cells[:2] == ["sisso:hits", "8"]
    assert cells[2] == "87.50"  # mean of 75 and 100 %
    assert "100.0% 100.0% 50.0% 100.0%" in lines[2]
    assert cells[-4:] == ["90.0%", "3", "0.900", "0.667"]
    assert "0.10 > 0.00 (2)" in lines[5]
    assert "0.90 > 0.67 (3)" in lines[5]
    assert not any(line.startswith("random") for line in lines)


def test_a_campaign_that_the_file_has_is_not_run_again(finding, tmp_path, monkeypatch):
    task = finding.Task("oxides", "min", "random", "trees:mean", 3, 30, 1)
    file = tmp_path / "campaigns.json"
    monkeypatch.setattr(finding, "ProcessPoolExecutor", InPlace)
    first = finding.run([task], file, 1)
    assert first.keys() == {"oxides|min|random|trees:mean|3|30|1"}
    assert json.loads(file.read_text()) == first
    file.write_text(json.dumps({task.key: "kept"}))
    assert finding.run([task], file, 1) == {task.key: "kept"}
    result = first[task.key]
    assert (len(result["found"]), result["n_targets"], len(result["picks"])) == (21, 10, 20)
    assert result["honesty"]["coverage95"]["n"] == 20


class InPlace:
    """An executor that runs at once."""

    def __init__(self, jobs):
        from concurrent.futures import Future

        self.future = Future

    def submit(self, function, task):
        future = self.future()
        future.set_result(function(task))
        return future

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


def test_replicates_are_rows_of_one_composition_with_labels_of_their_own(finding):
    space = finding.space_named("replicates")
    shares, labels = space.rows().composition, space.labels
    number = np.unique(shares, axis=0, return_inverse=True)[1].reshape(-1)
    assert len(np.unique(number)) == 100
    assert len(labels) > 200
    within = [np.ptp(labels[number == one]) for one in range(100) if (number == one).sum() > 1]
    assert min(within) > 0
    assert np.median(within) < 0.5 * labels.std()


def test_every_row_is_predicted_once_without_its_material(accuracy):
    space, seen = accuracy.space_named("replicates"), []

    class Spy(ExtraTrees):
        def fit(self, space, rows, labels, errors, progress=None):
            seen.append(rows)
            return super().fit(space, rows, labels, errors)

    result = accuracy.validated(space, Spy, True, 0)
    number = np.unique(space.rows().composition, axis=0, return_inverse=True)[1].reshape(-1)
    assert len(seen) == 10
    assert np.bincount(np.concatenate(seen), minlength=len(number)).tolist() == [9] * len(number)
    for rows in seen:
        held_out = np.setdiff1d(np.arange(len(number)), rows)
        assert not {*number[held_out]} & {*number[rows]}
    assert all(value is not None for value in result["mean"])


def test_ratios_are_to_the_best_single_model_of_each_table(accuracy):
    errors = {
        "one": {"sisso": 0.8, "no-formulas": 1.0, "process": 1.0, "forest": 2.0},
        "two": {"sisso": 2.0, "no-formulas": 1.0, "process": 9.0, "trees": 4.0},
    }
    lines = accuracy.ratios(errors, "sisso").splitlines()
    assert lines[1].split() == ["one", "process", "0.800", "0.800"]
    assert lines[2].split() == ["two", "trees", "0.500", "2.000"]
    assert lines[3].split() == ["geometric", "mean", f"{math.sqrt(0.4):.3f}", f"{math.sqrt(1.6):.3f}"]
    assert accuracy.ratios({"one": {"sisso": 1.0}}, "sisso") == ""


def test_features_only_hides_compositions(accuracy):
    space = accuracy.space_named("oxides")
    assert accuracy.FeaturesOnly(space.table).rows().composition is None
    assert space.rows().composition is not None
