"""The materials farthest from the diagonal are named."""

import numpy as np

from sisso_sal.report.figures.draw import parity
from sisso_sal.report.figures.out_of_bag import out_of_bag


def test_the_farthest_from_the_diagonal_are_named(view):
    seen = out_of_bag(view)
    worst = [seen.ids[row] for row in np.argsort(-np.abs(seen.residual))[:3]]
    for residuals in (False, True):
        figure = parity(view, residuals=residuals)
        named = {one.text: (one.x, one.y) for one in figure.layout.annotations}
        assert len(named) == 3
        for id in worst:
            row = list(seen.ids).index(id)
            x, y = (seen.predicted, seen.residual) if residuals else (seen.known, seen.predicted)
            assert (x[row], y[row]) in named.values()
            assert id in named or not id.isalnum()  # a hostile name is escaped
