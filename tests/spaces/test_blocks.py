"""Predictions block by block are those of the whole."""

import numpy as np
import pytest
from lines import KNOWN, MATERIALS, TRUTH, Lines, N, space_of

from sisso_sal.models.surrogates import Forest, Process
from sisso_sal.spaces.blocks import predict_all


def learned(surrogate, space):
    return surrogate.fit(space, np.flatnonzero(KNOWN), TRUTH[KNOWN], np.zeros(KNOWN.sum()))


@pytest.mark.parametrize("make", [Lines, Forest, Process])
@pytest.mark.parametrize("block", [1, 7, N, 10 * N])
def test_blocks_are_joined_in_the_order_of_the_space(tmp_path, make, block):
    space = space_of(MATERIALS, tmp_path)
    surrogate = learned(make(), space)
    whole, joined = surrogate.predict(space, np.arange(N)), predict_all(surrogate, space, block)
    assert joined.mean == pytest.approx(whole.mean, rel=1e-12)
    assert joined.std == pytest.approx(whole.std, rel=1e-9)
    assert joined.members.shape == whole.members.shape
    assert (joined.distance is None) == (whole.distance is None)
    assert (joined.distribution is None) == (whole.distribution is None)
    for end, expected in zip(joined.interval95, whole.interval95, strict=True):
        assert end == pytest.approx(expected, rel=1e-9)


def test_a_surrogate_is_never_asked_for_more_than_a_block(tmp_path):
    sizes = []

    class Watched(Lines):
        def predict(self, space, numbers):
            sizes.append(len(numbers))
            return super().predict(space, numbers)

    space = space_of(MATERIALS, tmp_path)
    predict_all(learned(Watched(), space), space, 8)
    assert sizes == [8, 8, 8, 6]


def test_members_can_be_left_out(tmp_path):
    space = space_of(MATERIALS, tmp_path)
    forest = learned(Forest(), space)
    whole, lean = predict_all(forest, space, 7), predict_all(forest, space, 7, with_members=False)
    assert (whole.members.shape, lean.members.shape) == ((100, N), (0, N))
    for name in ("mean", "std", "std_raw", "distance", "n_valid", "reason"):
        assert np.array_equal(getattr(lean, name), getattr(whole, name))
    assert lean.take(np.array([3, 1])).mean.tolist() == whole.mean[[3, 1]].tolist()
