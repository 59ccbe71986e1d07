"""Extrapolation of learning curves: least squares against other ways, intervals that cover, rows that are enough."""

import numpy as np
import pytest
from scipy.optimize import nnls

from sisso_sal.models.extrapolation import EXPONENTS, PowerLaw, falling, read_curves
from sisso_sal.models.learning_curve import ORDERS, LearningCurves

SIZES = np.array([14, 20, 28, 40, 57, 80])


def curves_of(scale_of, n=100, seed=0, sizes=SIZES, groups=None):
    """Errors of rows, each with a size of its own, times the scale of an order and size."""
    rng = np.random.default_rng(seed)
    row = rng.normal(size=(2, n))
    errors = {
        order: np.array([scale_of(order, size) * (row + 0.3 * rng.normal(size=(2, n))) for size in sizes])
        for order in ORDERS
    }
    for order in ORDERS:
        errors[order][-1] = errors["random"][-1]
    return LearningCurves(np.asarray(sizes), errors, np.arange(n) if groups is None else groups)


def naive_law(sizes, errors, weights):
    """The best of all exponents, floor and scale by non-negative least squares: loss and predictions at the sizes."""
    fits = []
    for exponent in EXPONENTS:
        design = np.column_stack([np.ones(len(sizes)), (sizes / sizes[-1]) ** -exponent])
        root = np.sqrt(weights)
        parameters, norm = nnls(design * root[:, None], errors * root)
        fits.append((norm**2, parameters, exponent))
    return min(fits, key=lambda fit: fit[0])


@pytest.mark.parametrize("seed", range(6))
def test_the_law_is_that_of_least_squares_with_floor_and_scale_that_are_not_negative(seed):
    rng = np.random.default_rng(seed)
    errors = np.abs(rng.normal(0.3, 0.1, (5, 6)) + rng.choice([-0.02, 0.0, 0.5]) * SIZES**-0.5)
    weights = rng.uniform(0.5, 2, (5, 6))
    law = PowerLaw.fit(SIZES, errors, weights)
    assert (law.floor >= 0).all()
    assert (law.scale >= 0).all()
    for k in range(5):
        found = law.floor[k] + law.scale[k] * (SIZES / 80) ** -law.exponent[k]
        loss, *_ = naive_law(SIZES, errors[k], weights[k])
        assert (weights[k] * (errors[k] - found) ** 2).sum() == pytest.approx(loss, rel=1e-6, abs=1e-12)


def test_an_exact_law_is_found():
    law = PowerLaw.fit(SIZES, (0.1 + 2.0 * SIZES**-0.8)[None], np.ones((1, 6)))
    assert law.at(320)[0] == pytest.approx(0.1 + 2.0 * 320**-0.8, rel=1e-6)


def test_an_error_that_does_not_fall_stays():
    law = PowerLaw.fit(SIZES, np.linspace(0.2, 0.3, 6)[None], np.ones((1, 6)))
    assert law.at(1000)[0] == pytest.approx(0.25)


@pytest.mark.parametrize("seed", range(4))
def test_what_does_not_rise_is_nearest_in_least_squares(seed):
    values = np.random.default_rng(seed).integers(0, 6, 7).astype(float)
    found = falling(values)
    assert (np.diff(found) <= 0).all()
    for _ in range(200):  # no other falling sequence nearby is nearer
        other = np.minimum.accumulate(found + np.random.default_rng(_).normal(0, 0.3, 7))
        assert ((values - found) ** 2).sum() <= ((values - other) ** 2).sum() + 1e-12


@pytest.mark.parametrize(
    ("floor", "exponent"),
    [(0.2, 0.5), *(pytest.param(*law, marks=pytest.mark.slow) for law in ((0.0, 0.5), (0.2, 1.0), (0.3, 0.25)))],
)
def test_intervals_cover_the_error_with_more_labels(floor, exponent):
    def error(size):
        return floor + (size / 14) ** -exponent * (0.6 - floor)

    inside = []
    for seed in range(40):
        law = read_curves(curves_of(lambda _, size: error(size) / np.sqrt(1.09), seed=seed))["extrapolation"]["rmse"]
        inside.append([point["low"] <= error(point["labels"]) <= point["high"] for point in law["points"]])
    assert (np.mean(inside, axis=0) >= 0.9).all()


def test_laws_are_drawn_by_how_well_they_fit():
    errors = np.repeat((0.1 + 0.4 * (SIZES / 80.0) ** -1.0)[None], 4000, axis=0)
    sharp = PowerLaw.sample(SIZES, errors, np.full(6, 1e-3), np.random.default_rng(0))
    assert np.std(sharp.at(160)) < 0.01
    assert np.median(sharp.at(160)) == pytest.approx(0.3, rel=0.02)
    vague = PowerLaw.sample(SIZES, errors, np.full(6, 0.2), np.random.default_rng(0))
    assert np.std(vague.at(160)) > 5 * np.std(sharp.at(160))
    assert (vague.at(160) >= vague.floor).all()
    assert np.array_equal(vague.floor, PowerLaw.sample(SIZES, errors, np.full(6, 0.2), np.random.default_rng(0)).floor)


def test_a_curve_of_three_points_is_not_extrapolated():
    document = read_curves(curves_of(lambda order, size: 1 / size, n=40, sizes=SIZES[-3:]))
    assert document["extrapolation"] == {"rmse": None, "mae": None}


def test_the_last_half_is_told_where_it_lowers_the_error():
    assert read_curves(curves_of(lambda order, size: size**-0.5))["last_half"]["low"] > 0
    assert read_curves(curves_of(lambda order, size: 0.3))["last_half"]["low"] <= 0


def test_enough_is_the_smallest_size_with_the_error_of_all():
    def scale(order, size):
        return 0.2 if order == "coverage" and size >= 28 else max(0.2, 0.2 * 80 / size)

    enough = read_curves(curves_of(scale, n=400))["enough"]
    assert {order: enough[order]["labels"] for order in ORDERS} == {"random": 80, "error": 80, "coverage": 28}
    assert enough["coverage"]["kept"] == 140


def test_much_more_error_is_never_enough_however_uncertain():
    curves = curves_of(lambda order, size: 0.2 if size == 80 else 0.3, n=12)
    assert read_curves(curves)["enough"]["random"]["labels"] == 80


def test_an_order_is_compared_with_the_random_one_row_by_row():
    against = read_curves(curves_of(lambda order, size: 0.3 if order == "error" else 0.2))["against_random"]
    for ratio in against["error"]:
        assert 1 < ratio["low"] <= ratio["value"] <= ratio["high"]
        assert ratio["value"] == pytest.approx(1.5, rel=0.15)
    assert all(ratio["low"] <= 1 <= ratio["high"] for ratio in against["coverage"])


def test_rows_of_one_group_are_drawn_together():
    groups = np.repeat(np.arange(25), 4)
    alone = curves_of(lambda order, size: 0.2)
    copied = LearningCurves(SIZES, {o: e[:, :, groups] for o, e in alone.errors.items()}, groups)
    few, many = (
        read_curves(c)["curves"]["random"][0]["rmse"]["error"]
        for c in (copied, LearningCurves(SIZES, copied.errors, np.arange(100)))
    )
    assert few == pytest.approx(2 * many, rel=0.15)
