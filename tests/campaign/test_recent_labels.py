"""Whether new labels still help: the rule on simulated histories, and in a campaign."""

import hashlib

import numpy as np
import pytest

from sisso_sal.campaign.recent_labels import FEWEST, judge_recent, recent_labels
from sisso_sal.ledger.state import Iteration
from sisso_sal.report.summary import no_longer_help


def history(improvement, n, rng):
    """Absolute errors of the same materials before and now: heavy tails, and fits that differ by chance."""
    before = np.abs(rng.standard_t(4, n))
    return before, (1 - improvement) * before * rng.gamma(4.0, 0.25, n)


def share(improvement, n, times=1000):
    rng = np.random.default_rng(n)
    return np.mean([judge_recent(*history(improvement, n, rng))["no_longer_help"] for _ in range(times)])


@pytest.mark.parametrize("n", [FEWEST, 60, 150, 600])
@pytest.mark.parametrize("improvement", [0.05, 0.18])
def test_labels_that_help_are_called_useless_in_one_history_of_twenty_at_most(n, improvement):
    assert share(improvement, n) <= 0.07  # 0.05, and three standard errors of 1000 histories


def test_labels_that_do_not_help_are_called_so_where_there_are_enough():
    assert share(0.0, 4000, 200) > 0.85
    assert share(0.0, FEWEST) < 0.15  # few materials say little


def test_a_small_improvement_that_is_certain_is_one():
    before = np.random.default_rng(0).exponential(1.0, 400)
    said = judge_recent(before, 0.96 * before)
    assert not said["no_longer_help"]
    assert said["mae_now"] == pytest.approx(0.96 * said["mae_before"])


def run_of(tmp_path, n_then, oob, ids, number=1):
    """An iteration that had `n_then` labels, and the file of its predictions."""
    folder = tmp_path / f"iter-{number:04d}"
    folder.mkdir()
    rows = [f"{id},{'' if np.isnan(value) else repr(float(value))}" for id, value in zip(ids, oob, strict=True)]
    content = "\n".join(["id,oob_mean", *rows, ""]).encode()
    (folder / "predictions.csv").write_bytes(content)
    files = {"predictions.csv": hashlib.sha256(content).hexdigest()}
    return Iteration(number, folder.name, {"n_labelled": n_then, "files": files})


def materials(n=90, n_then=60):
    rng = np.random.default_rng(1)
    ids = [f"m{k}" for k in range(n)]
    target = rng.normal(size=n)
    then = np.where(np.arange(n) < n_then, target + 0.1 * rng.normal(size=n), np.nan)
    return ids, target, then, target + 0.1 * rng.normal(size=n)


def test_the_same_materials_are_compared_with_the_last_iteration_of_two_thirds_of_the_labels(tmp_path):
    ids, target, then, now = materials()
    few = run_of(tmp_path, 30, then, ids, 1)
    iteration = run_of(tmp_path, 60, then, ids, 2)
    late = run_of(tmp_path, 80, now, ids, 3)
    said = recent_labels(tmp_path, [few, iteration, late], ids, target, now)
    assert (said["recent"], said["of"], said["n"]) == (30, 90, 60)
    assert said["mae_before"] == pytest.approx(np.abs(then - target)[:60].mean())
    assert said["mae_now"] == pytest.approx(np.abs(now - target)[:60].mean())
    order = np.random.default_rng(2).permutation(90)
    shuffled = recent_labels(tmp_path, [few, iteration, late], [ids[k] for k in order], target[order], now[order])
    assert shuffled == said


def test_nothing_is_said_without_an_earlier_fit_with_enough_materials(tmp_path):
    ids, target, then, now = materials()
    assert recent_labels(tmp_path, [], ids, target, now) is None
    assert recent_labels(tmp_path, [run_of(tmp_path, 61, then, ids)], ids, target, now) is None
    few = np.where(np.arange(90) < FEWEST - 1, then, np.nan)
    assert recent_labels(tmp_path, [run_of(tmp_path, 60, few, ids, 2)], ids, target, now) is None
    assert recent_labels(tmp_path, [Iteration(1, "iter-0001")], ids, target, now) is None


def test_predictions_that_are_gone_or_changed_say_nothing(tmp_path):
    ids, target, then, now = materials()
    iteration = run_of(tmp_path, 60, then, ids)
    assert recent_labels(tmp_path, [iteration], ids, target, now) is not None
    path = tmp_path / iteration.folder / "predictions.csv"
    path.write_bytes(path.read_bytes().replace(b"m1,", b"m1 ,"))
    assert recent_labels(tmp_path, [iteration], ids, target, now) is None
    path.unlink()
    assert recent_labels(tmp_path, [iteration], ids, target, now) is None


def test_the_sentence_names_labels_errors_and_what_helps_instead():
    recent = {
        "recent": 40, "of": 120, "n": 80, "mae_before": 0.1512, "mae_now": 0.1498, "uncertainty": 0.0041, "no_longer_help": True,
    }  # fmt: skip
    assert no_longer_help({"recent_labels": recent}, "eV") == (
        "New labels no longer make the predictions better: with the last 40 of 120, the mean absolute error of the 80 materials "
        "known before went from 0.151 to 0.15 eV (± 0.004); each is predicted without its label. They can still find better "
        "materials. Better predictions need other features, or labels with smaller errors."
    )
    assert no_longer_help({"recent_labels": None}, "eV") == ""
    assert no_longer_help({}, "eV") == ""
