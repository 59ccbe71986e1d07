"""Gaussian processes against scikit-learn's, against differences, and that a row's bits depend on that row alone."""

import copy
import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_process import twin_process
from scipy.spatial.distance import cdist

from sisso_sal.errors import FitError
from sisso_sal.models import kernel as kernels
from sisso_sal.models import process
from sisso_sal.models.kernel import Kernel, known_rows, lower_distances, squared_distances
from sisso_sal.models.likelihood import Likelihood, most_likely
from sisso_sal.models.process import conditioned, fit_process, learn_process, spread
from sisso_sal.system.machine import one_blas_thread

FORMS = [(nu, is_shared, trend) for nu, is_shared, trend in itertools.product((1.5, 2.5), (False, True), (None, 2))]


@pytest.fixture(autouse=True)
def one_thread():
    """Small products take longer with several."""
    with one_blas_thread():
        yield


def rows_of(n=70, seed=0):
    """Three features, and four columns that are mostly zero."""
    rng = np.random.default_rng(seed)
    shares = np.where(rng.uniform(size=(n, 4)) < 0.3, rng.uniform(0, 2, (n, 4)), 0.0)
    return np.column_stack([rng.normal(size=(n, 3)), shares])


def labels_of(rows, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.1, len(rows))
    return 3.0 + np.sin(rows[:, 0]) + rows[:, 1] * rows[:, 3] + noise


def standardised(labels):
    return (labels - labels.mean()) / labels.std()


def kernel_of(nu, is_shared, trend, n_inputs=7):
    line = [] if trend is None else [(1e-3, 1e2)]
    bounds = [*line, (1e-2, 1e2), *[(0.5, 30.0)] * (1 if is_shared else n_inputs), (1e-3, 1.0)]
    return Kernel(nu, np.log(bounds), trend)


def theta_of(kernel, seed=0):
    return np.random.default_rng(seed).uniform(*(kernel.bounds.T * 0.5))


def differences(likelihood, theta):
    steps = 1e-5 * np.eye(len(theta))
    return np.array([(likelihood(theta + step)[0] - likelihood(theta - step)[0]) / 2e-5 for step in steps])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [1, 2, 64, 70])
def test_the_likelihood_and_its_gradient_are_scikit_learns_and_the_gradient_that_of_differences(form, n):
    kernel, rows = kernel_of(*form), rows_of(n)
    values = np.random.default_rng(1).normal(size=n)
    extra = np.random.default_rng(2).uniform(0, 0.1, n)
    likelihood = Likelihood(kernel, rows, values, extra)
    for seed in range(3):
        theta = theta_of(kernel, seed)
        value, gradient = likelihood(theta)
        twin = twin_process(kernel, theta, rows, values, extra, normalize_y=False)
        expected, slopes = twin.log_marginal_likelihood(theta, eval_gradient=True)
        assert value == pytest.approx(expected, rel=1e-12)
        assert gradient == pytest.approx(slopes, rel=1e-9, abs=1e-10)
        assert gradient == pytest.approx(differences(likelihood, theta), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_predictions_and_left_out_labels_are_scikit_learns(form):
    kernel, rows, new = kernel_of(*form), rows_of(), rows_of(40, seed=1)
    labels, theta = labels_of(rows), theta_of(kernel)
    found = conditioned(kernel, theta, rows, labels)
    twin = twin_process(kernel, theta, rows, labels)
    for mine, other in zip(found.predict(new), twin.predict(new, return_std=True), strict=True):
        assert mine == pytest.approx(other, rel=1e-10)
    means, stds = found.left_out(labels)
    for i in (0, 31, 69):
        others, (centre, scale) = np.arange(len(labels)) != i, (labels.mean(), labels.std())
        alone = twin_process(kernel, theta, rows[others], standardised(labels)[others], normalize_y=False)
        mean, std = alone.predict(rows[i : i + 1], return_std=True)
        assert means[i] == pytest.approx(centre + scale * mean[0], rel=1e-10)
        assert stds[i] == pytest.approx(scale * std[0], rel=1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_the_parameters_found_are_at_least_as_likely_as_scikit_learns(form):
    kernel, rows = kernel_of(*form), rows_of()
    labels, start = labels_of(rows), np.clip(np.zeros(len(kernel.bounds)), *kernel.bounds.T)
    found = fit_process(kernel, [start], rows, labels)
    twin = twin_process(kernel, start, rows, labels, optimizer="fmin_l_bfgs_b")
    value, _ = Likelihood(kernel, rows, standardised(labels))(found.theta)
    assert value >= twin.log_marginal_likelihood_value_ - 1e-9
    assert 5 < found.n_evaluations < 200


@pytest.mark.parametrize("knows_all_lengths", [True, False])
def test_on_the_table_that_is_shipped_the_parameters_are_at_least_as_likely_as_scikit_learns(
    shipped, knows_all_lengths
):
    frame = pd.read_csv(shipped).drop(columns="dG_pbx_chgnet (eV/atom)").dropna()
    rows, labels = frame.iloc[:, 2:].to_numpy(float), frame.iloc[:, 1].to_numpy(float)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    lengths = np.full(15 if knows_all_lengths else 1, np.sqrt(15))
    learner = learn_process(rows, labels, lengths, trend=None if knows_all_lengths else 3)
    kernel = learner.process.kernel
    start = np.log([*([] if knows_all_lengths else [1.0]), 1.0, *lengths, 0.1])
    twin = twin_process(kernel, start, rows, labels, optimizer="fmin_l_bfgs_b")
    value, _ = Likelihood(kernel, rows, standardised(labels))(learner.process.theta)
    assert value >= twin.log_marginal_likelihood_value_ - 1e-9
    assert learner.theta == pytest.approx(twin.kernel_.theta, abs=1e-4)


@pytest.fixture(scope="module")
def shipped(request):
    return request.config.rootpath / "data" / "oxides.csv"


def test_equal_rows_have_no_distance_and_near_ones_the_right_one():
    rows = 1e3 + rows_of(65)
    rows[40], rows[41], rows[64] = rows[3], rows[3] + 1e-9, rows[3]
    apart = np.zeros((65, 65))
    lower_distances(rows, np.full(7, 2.0), apart)
    assert apart[40, 3] == apart[64, 3] == apart[64, 40] == 0.0
    assert apart[41, 3] == pytest.approx(7 * (0.5e-9) ** 2, rel=1e-3)
    assert np.tril(apart) == pytest.approx(np.tril(cdist(rows / 2, rows / 2, "sqeuclidean")), rel=1e-12)


def test_near_duplicates_are_predicted_as_by_scikit_learn():
    kernel, rows = kernel_of(2.5, False, None), rows_of()
    rows[1::2] = rows[::2] + 1e-10 * np.random.default_rng(1).normal(size=(35, 7))
    labels, theta = labels_of(rows), kernel.bounds[:, 0].copy()
    found = conditioned(kernel, theta, rows, labels)
    twin = twin_process(kernel, theta, rows, labels)
    value, gradient = Likelihood(kernel, rows, standardised(labels))(theta)
    expected = twin.log_marginal_likelihood(theta, eval_gradient=True)
    assert value == pytest.approx(expected[0], rel=1e-9)
    assert gradient == pytest.approx(expected[1], rel=1e-7, abs=1e-7)
    for mine, other in zip(found.predict(rows), twin.predict(rows, return_std=True), strict=True):
        assert mine == pytest.approx(other, rel=1e-8)


def test_columns_that_are_mostly_zero_are_measured_as_the_others():
    rows, new = rows_of(), rows_of(20, seed=1)
    known = known_rows(rows, np.full(1, 3.0))
    assert known.n_dense == 3
    assert sorted(known.order.tolist()) == list(range(7))
    apart = np.empty((20, 70))
    squared_distances(known.scaled(new), known, 70, apart)
    assert apart == pytest.approx(cdist(new / 3, rows / 3, "sqeuclidean"), rel=1e-12, abs=1e-14)


def large_process(n, is_shared):
    kernel, rows = kernel_of(1.5, is_shared, 1), rows_of(n)
    return conditioned(kernel, theta_of(kernel), rows, labels_of(rows))


@pytest.fixture(scope="module")
def processes():
    """One that predicts in large blocks and one that predicts in small ones."""
    return {n: large_process(n, is_shared) for n, is_shared in ((101, False), (403, True))}


@given(data=st.data())
@pytest.mark.parametrize("n", [101, 403])
def test_a_row_has_the_same_bits_wherever_it_stands(processes, n, data):
    new = rows_of(300, seed=1)
    draw = st.lists(st.integers(0, 299), min_size=1, max_size=300)
    numbers = np.array(data.draw(draw, label="rows"))
    whole, part = processes[n].predict(new), processes[n].predict(new[numbers])
    for a, b in zip(whole, part, strict=True):
        assert np.array_equal(a[numbers], b)


@pytest.mark.parametrize("n", [101, 403])
def test_a_row_has_the_same_bits_in_every_place_of_a_block(processes, n):
    new = rows_of(1, seed=1)
    for a, b in zip(processes[n].predict(new), processes[n].predict(np.repeat(new, 500, axis=0)), strict=True):
        assert (a == b).all()


@pytest.mark.parametrize("n_rows", [0, 1, 96, 97, 240, 241])
def test_any_number_of_rows_is_predicted(processes, n_rows):
    for found in processes.values():
        mean, std = found.predict(rows_of(n_rows, seed=1))
        assert mean.shape == std.shape == (n_rows,)
        assert np.isfinite(mean).all()
        assert (std > 0).all()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda found: pickle.loads(pickle.dumps(found))])
def test_a_copy_predicts_the_same_bits(processes, copied):
    new = rows_of(10, seed=1)
    for a, b in zip(processes[101].predict(new), copied(processes[101]).predict(new), strict=True):
        assert np.array_equal(a, b)


def test_the_same_parameters_give_the_same_bits():
    rows = rows_of()
    labels, lengths = labels_of(rows), np.full(7, 2.0)
    found = learn_process(rows, labels, lengths)
    again = learn_process(rows, labels, lengths, theta=found.theta)
    assert again.theta == found.theta
    assert again.process.n_evaluations == 0
    assert np.array_equal(again.left_out_mean, found.left_out_mean)
    for a, b in zip(found.predict(rows, labels), again.predict(rows, labels), strict=True):
        assert np.array_equal(a, b)


def test_a_search_that_begins_where_an_earlier_one_ended_takes_few_evaluations():
    rows = rows_of(151)
    labels, lengths = labels_of(rows), np.full(7, np.sqrt(7))
    earlier = learn_process(rows[:150], labels[:150], lengths)
    fresh = learn_process(rows, labels, lengths)
    later = learn_process(rows, labels, lengths, earlier=earlier.theta)
    assert later.process.n_evaluations <= process.MOST_EVALUATIONS < fresh.process.n_evaluations
    likelihood = Likelihood(fresh.process.kernel, rows, standardised(labels))
    assert likelihood(later.process.theta)[0] >= likelihood(fresh.process.theta)[0] - 0.01


@pytest.mark.parametrize("earlier", [[0.0], [99.0] * 9, [float("nan")] * 9])
def test_parameters_of_another_kernel_are_left_alone(earlier):
    rows = rows_of(30)
    labels, lengths = labels_of(rows), np.full(7, 2.0)
    fresh = learn_process(rows, labels, lengths)
    assert learn_process(rows, labels, lengths, earlier=earlier).theta == fresh.theta


def test_a_search_ends_at_the_most_evaluations_with_the_best_of_them():
    kernel, rows = kernel_of(1.5, False, None), rows_of()
    likelihood = Likelihood(kernel, rows, standardised(labels_of(rows)))
    seen, start = [], np.zeros(len(kernel.bounds))

    def spy(theta):
        value, gradient = likelihood(theta)
        seen.append((value, theta.tolist()))
        spy.n_evaluations = len(seen)
        return value, gradient

    spy.kernel, spy.n_evaluations = kernel, 0
    theta, value = most_likely(spy, start, 7)
    assert len(seen) == 7
    assert (value, theta.tolist()) == max(seen)


def test_of_many_labels_some_that_are_spread_evenly_tell_the_parameters(monkeypatch):
    monkeypatch.setattr(process, "MOST_LIKELY_FROM", 60)
    rows = rows_of(100)
    labels, lengths = labels_of(rows), np.full(7, np.sqrt(7))
    chosen = spread(rows, labels, 60)
    assert len({*chosen.tolist()}) == 60
    ranks = np.argsort(np.argsort(labels))[chosen]
    assert np.diff(np.sort(ranks)).max() <= 2
    found = learn_process(rows, labels, lengths)
    kernel = found.process.kernel
    best, _ = most_likely(Likelihood(kernel, rows[chosen], standardised(labels)[chosen]), np.log([1.0, *lengths, 0.1]))
    assert found.theta == best.tolist()
    assert found.process.weights.shape == (100,)


def test_which_labels_tell_the_parameters_does_not_depend_on_their_order():
    rows = rows_of(100)
    labels = np.round(labels_of(rows))  # many are equal
    order = np.random.default_rng(0).permutation(100)
    straight, moved = spread(rows, labels, 30), spread(rows[order], labels[order], 30)
    assert sorted(order[moved].tolist()) == straight.tolist()
    assert spread(rows, labels, 100).tolist() == list(range(100))


@pytest.mark.parametrize("form", FORMS)
def test_a_constant_target_and_equal_rows_do_no_harm(form):
    kernel, rows = kernel_of(*form), np.ones((20, 7))
    found = fit_process(kernel, [np.clip(np.zeros(len(kernel.bounds)), *kernel.bounds.T)], rows, np.full(20, 2.5))
    mean, std = found.predict(rows_of(5))
    assert mean == pytest.approx(np.full(5, 2.5))
    assert np.isfinite(std).all()
    assert np.isfinite(found.left_out(np.full(20, 2.5))).all()


@pytest.mark.parametrize("spoiled", ["rows", "labels"])
def test_numbers_that_are_not_finite_are_refused(spoiled):
    rows = rows_of(20)
    labels = labels_of(rows)
    {"rows": rows[0], "labels": labels}[spoiled][3] = np.inf
    for theta in (None, [0.0] * 9):
        with pytest.raises(ValueError, match=r"^a process needs finite numbers, found some that are not$"):
            learn_process(rows, labels, np.full(7, 2.0), theta=theta)


@pytest.mark.parametrize("place", ["Likelihood", "lower_distances"])
def test_too_little_memory_is_told_in_one_line(monkeypatch, place):
    def refuse(*_):
        raise MemoryError("Unable to allocate 186. MiB for an array")

    monkeypatch.setattr(process, place, refuse)
    rows = rows_of(30)
    message = r"^Gaussian process: needs 0\.0 GiB for the covariances of 30 labels, found less; use fewer labels$"
    with pytest.raises(FitError, match=message):
        learn_process(rows, labels_of(rows), np.full(7, 2.0))


def test_covariances_that_are_not_positive_definite_are_not_likely_and_are_refused():
    kernel, rows = kernel_of(2.5, True, None), np.ones((20, 7))
    theta = np.array([0.0, 0.0, -99.0])
    value, gradient = Likelihood(kernel, rows, np.ones(20))(theta)
    assert (value, gradient.tolist()) == (-np.inf, [0.0, 0.0, 0.0])
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        conditioned(kernel, theta, rows, labels_of(rows_of(20)))


@pytest.mark.parametrize("nu", [1.5, 2.5])
def test_the_slope_of_the_matern_kernel_is_that_of_differences(nu):
    squared = np.array([0.01, 0.5, 3.0, 40.0])
    above, below, slope = squared + 1e-6, squared - 1e-6, np.empty(4)
    kernels.matern(nu, above)
    kernels.matern(nu, below)
    kernels.matern(nu, squared, slope)
    assert slope == pytest.approx(-2 * (above - below) / 2e-6, rel=1e-5)
