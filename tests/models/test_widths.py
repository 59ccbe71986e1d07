"""How wide predictions are: planted laws are recovered, and each step against a plain twin."""

import json
import re

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize

from sisso_sal.errors import ModelFileError
from sisso_sal.models import widths
from sisso_sal.models.widths import PARAMETERS, Widths


def sample(n, seed=0, grows=0.0, each=1):
    """Labels of materials whose errors grow by exp(grows) for each standard deviation of the value; each material `each` times."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(10.0, 3.0, n)
    sigma = rng.uniform(0.5, 2.0, n)
    labels = mean + sigma * np.exp(grows * (mean - 10.0) / 3.0) * rng.standard_t(4, n)
    groups = np.arange(n) // each
    return labels, mean, sigma, groups


def design_of(found, labels, mean, groups):
    """The three columns, by loops, and what the widths are learned for."""
    values = {int(g): labels[groups == g].mean() for g in np.unique(groups)}
    spread = np.std(list(values.values()))
    others = [[values[g] for g in values if g != own] for own in groups]
    distance = [naive.nth_distance(m, rest, 3) for m, rest in zip(mean, others, strict=True)]
    distance = np.log(np.clip(np.array(distance) / spread, 0.01, 1.0))
    middle = np.median(list(values.values()))
    return np.column_stack([np.ones(len(mean)), (mean - middle) / spread, distance - np.median(distance)])


@pytest.mark.parametrize("grows", [-0.6, 0.0, 0.6])
def test_errors_that_grow_with_the_value_are_found_to(grows):
    slopes = [Widths.fit(*sample(2000, seed, grows)).by_value for seed in range(4)]
    spread = np.sqrt(3.0**2 + 2 * np.mean(sample(2000, 0, grows)[2] ** 2))  # of labels rather than of means
    assert np.mean(slopes) == pytest.approx(grows * spread / 3.0, abs=0.2)
    assert (np.abs(np.mean(slopes)) > 0.3) == (grows != 0)


def test_widths_of_errors_that_are_proportional_to_the_value_are_proportional_to_it():
    rng = np.random.default_rng(1)
    mean = rng.uniform(1.0, 3.0, 3000)
    labels = mean + 0.2 * mean * rng.standard_t(4, 3000)
    found = Widths.fit(labels, mean, np.ones(3000), np.arange(3000))
    at = np.array([1.2, 2.0, 2.8])
    np.testing.assert_allclose(found.factors(at), 0.2 * at, rtol=0.15)


def test_honest_sigmas_need_no_factor():
    labels, mean, sigma, groups = sample(3000)
    factors = Widths.fit(labels, mean, sigma, groups).factors(mean)
    np.testing.assert_allclose(np.quantile(factors, [0.05, 0.5, 0.95]), 1.0, atol=0.06)
    wide = Widths.fit(mean + 5.0 * (labels - mean), mean, sigma, groups).factors(mean)
    assert np.median(wide) == pytest.approx(5.0, rel=0.15)


def test_few_errors_teach_less_than_many():
    """Nothing is known of a slope but that it is small; that of distance is believed to be 0.3."""
    few, many = (Widths.fit(*sample(n, 3, 0.8)) for n in (12, 2000))
    assert abs(few.by_value) < abs(many.by_value)
    assert few.by_distance == pytest.approx(0.3, abs=0.12)


@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_the_coefficients_are_those_of_greatest_posterior_probability(seed, each):
    labels, mean, sigma, groups = sample(60, seed, 0.4, each)
    found = Widths.fit(labels, mean, sigma, groups)
    design, z = design_of(found, labels, mean, groups), np.abs(labels - mean) / sigma
    unit = np.sqrt(np.mean(z**2))

    def objective(b):
        log_width = design @ b
        tail = 2.5 * np.log1p((z / unit / np.exp(log_width)) ** 2 / 4)
        prior = (b - [0.0, 0.0, 0.3]) / [3.0, 0.2, 0.05]
        return (tail + log_width).sum() + 0.5 * (prior**2).sum()

    best = minimize(
        objective, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000}
    )
    coefficients = [found.constant - np.log(unit), found.by_value, found.by_distance]
    np.testing.assert_allclose(coefficients, best.x, atol=1e-6)
    assert objective(np.array(coefficients)) <= best.fun + 1e-9


FINITE = st.floats(-1e3, 1e3)


@given(
    values=st.lists(FINITE, min_size=1, max_size=12).map(sorted),
    mean=st.lists(FINITE, min_size=1, max_size=6),
    seed=st.integers(0, 99),
    with_own=st.booleans(),
)
@settings(deadline=None)
def test_distances_are_those_of_the_plain_twin(values, mean, seed, with_own):
    values, mean = np.array(values), np.array(mean)
    own = np.random.default_rng(seed).integers(0, len(values), len(mean)) if with_own else None
    found = widths._distances(mean, values, own)
    for i, m in enumerate(mean):
        rest = np.delete(values, own[i]) if with_own and len(values) > 1 else values
        assert found[i] == naive.nth_distance(m, rest, 3)


def test_the_width_of_a_new_material_is_the_formula():
    labels, mean, sigma, groups = sample(40, 2, 0.5)
    found = Widths.fit(labels, mean, sigma, groups)
    new = np.array([10.0, 11.5, -40.0, 300.0])
    place = np.clip((new - found.middle) / found.spread, found.lowest, found.highest)
    distance = np.log(np.clip([naive.nth_distance(m, labels, 3) / found.spread for m in new], 0.01, 1.0))
    expected = np.exp(found.constant + found.by_value * place + found.by_distance * (distance - found.typical))
    np.testing.assert_allclose(found.factors(new), expected, rtol=1e-12)
    assert found.unseen == np.sqrt(1 + PARAMETERS / 40)
    assert (found.lowest, found.highest) == pytest.approx(
        ((mean.min() - found.middle) / found.spread, (mean.max() - found.middle) / found.spread)
    )


def test_far_from_all_labels_a_prediction_is_wider_up_to_a_standard_deviation():
    labels, mean, sigma, groups = sample(60)
    found = Widths.fit(labels, mean, sigma, groups)
    assert found.by_distance > 0
    top = max(
        np.sort(labels)[-3], found.middle + found.highest * found.spread
    )  # above, only the distance still changes
    steps = np.sort(labels)[-3] + found.spread * np.array([0.5, 0.9, 1.0, 60.0])
    near, far, farther, farthest = found.factors(np.maximum(steps, top))
    assert near <= far <= farther
    assert farther == pytest.approx(farthest, rel=1e-12)
    assert found.factors(np.array([np.median(labels)]))[0] < farthest


@pytest.mark.parametrize("size", [1e-9, 1e12])
def test_another_unit_changes_nothing(size):
    labels, mean, sigma, groups = sample(30, 1, 0.4)
    one, other = Widths.fit(labels, mean, sigma, groups), Widths.fit(size * labels, size * mean, size * sigma, groups)
    assert (other.spread, other.middle) == pytest.approx((size * one.spread, size * one.middle))
    for name in ("constant", "by_value", "by_distance", "lowest", "highest", "typical"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-7, abs=1e-9), name
    np.testing.assert_allclose(other.factors(size * mean), one.factors(mean), rtol=1e-7)


def test_a_power_of_two_as_unit_changes_no_bit():
    labels, mean, sigma, groups = sample(30, 1, 0.4)
    one, other = Widths.fit(labels, mean, sigma, groups), Widths.fit(64 * labels, 64 * mean, 64 * sigma, groups)
    np.testing.assert_array_equal(other.factors(64 * mean), one.factors(mean))


def test_the_order_of_samples_and_the_numbers_of_materials_change_nothing():
    labels, mean, sigma, groups = sample(40, 1, 0.4, 2)
    rows = np.random.default_rng(0).permutation(40)
    one, other = (
        Widths.fit(labels, mean, sigma, groups),
        Widths.fit(labels[rows], mean[rows], sigma[rows], 7 * (99 - groups[rows])),
    )
    np.testing.assert_allclose(other.factors(mean), one.factors(mean), rtol=1e-8)
    assert other.values == pytest.approx(one.values)


def test_labels_of_one_material_are_one_label_for_distances():
    labels, mean, sigma, _ = sample(40)
    copies = [np.repeat(part, 3) for part in (labels, mean, sigma, np.arange(40))]
    found, alone = Widths.fit(*copies), Widths.fit(labels, mean, sigma, np.arange(40))
    assert found.values == pytest.approx(alone.values, rel=1e-12)
    assert found.typical == pytest.approx(alone.typical, rel=1e-9)
    assert found.unseen == alone.unseen


EXTREME = st.floats(-1e150, 1e150) | st.floats(-1e-150, 1e-150) | st.sampled_from([0.0, 1.0])


@given(
    samples=st.integers(1, 25).flatmap(
        lambda n: st.tuples(*(arrays(float, n, elements=EXTREME) for _ in range(2)), st.just(np.ones(n)))
    )
)
@settings(deadline=None)
def test_any_labels_give_widths_that_are_finite(samples):
    labels, mean, sigma = samples
    found = Widths.fit(labels, mean, sigma, np.arange(len(labels)))
    factors = found.factors(np.append(mean, [0.0, 1e200, np.nan]))
    assert not np.isnan(factors[:-1]).any()
    assert np.isnan(factors[-1])
    assert (factors[:-1] >= 0).all()


def test_widths_through_json_are_the_same():
    found = Widths.fit(*sample(30))
    assert Widths.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": []}, "values: needs a label at least, found none"),
        ({"values": [2.0, 1.0]}, "values: needs labels in order"),
        ({"spread": 0.0}, "spread: needs greater than 0, found 0.0"),
        ({"lowest": 9.0, "highest": 1.0}, "lowest: needs at most highest"),
    ],
)
def test_a_file_of_widths_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ModelFileError, match=f"^{re.escape(message)}$"):
        Widths.from_json(Widths.fit(*sample(30)).to_json() | changes)
