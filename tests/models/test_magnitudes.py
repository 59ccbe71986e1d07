"""Labels and features whose size or digits leave double precision: the right formula, or the cause is named."""

import numpy as np
import pandas as pd
import pytest

from sisso_sal.data.table import read_table
from sisso_sal.errors import FitError
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.magnitudes import why_flat
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.models.surrogates import Forest, Process
from sisso_sal.spaces.table import TableSpace

SMALL = {"rung": 1, "n_sis": 5, "operators": ("add", "mult", "div"), "threads": 1}
N = 24


def data():
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 2, (N, 3))
    return X, 2 * X[:, 0] * X[:, 1] - X[:, 2] + 0.01 * rng.normal(size=N)


MODELS = {
    "regressor": lambda: SISSORegressor(dim=1, **SMALL),
    "ensemble": lambda: SISSOEnsemble(dim=1, members=4, **SMALL),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("factor", [1e-300, 1e-160])
def test_labels_whose_squares_vanish_are_named(kind, factor):
    X, y = data()
    with pytest.raises(FitError) as caught:
        MODELS[kind]().fit(X, y * factor)
    low, high = (y * factor).min(), (y * factor).max()
    assert str(caught.value) == (
        f"target 'y': needs labels that differ by 1e-100 or more, found {low:g} to {high:g}; choose a unit in which they are near 1"
    )


@pytest.mark.parametrize("factor", [1e-99, 1e-50, 1e50, 1e98])
def test_a_formula_does_not_depend_on_the_unit_of_the_target(factor):
    X, y = data()
    plain, scaled = (SISSORegressor(dim=2, **SMALL).fit(X, y * f).model_ for f in (1.0, factor))
    assert [term.expression for term in scaled.terms] == [term.expression for term in plain.terms]
    assert [t.coefficient / factor for t in scaled.terms] == pytest.approx(
        [t.coefficient for t in plain.terms], rel=1e-9
    )
    assert SISSOEnsemble(dim=1, members=4, **SMALL).fit(X, y * factor).calibration_.rmse / factor == pytest.approx(
        SISSOEnsemble(dim=1, members=4, **SMALL).fit(X, y).calibration_.rmse, rel=1e-6
    )


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("far", [-1e100, 1e100, -1e15])
def test_a_label_beside_which_no_other_can_be_told_is_named(kind, far):
    X, y = data()
    y[3] = far
    with pytest.raises(FitError) as caught:
        MODELS[kind]().fit(X, y)
    assert str(caught.value).startswith(f"target 'y': the label {far:g} lies so far from the others (")
    y[3] = -1e9
    assert MODELS[kind]().fit(X, y).n_samples_ == N


def test_a_far_label_of_a_logarithm_is_none():
    X, y = data()
    y[3] = 1e30
    assert SISSOEnsemble(dim=1, members=4, target_transform="log", **SMALL).fit(X, y).n_samples_ == N


@pytest.mark.parametrize("kind", MODELS)
def test_labels_with_a_large_offset_keep_their_formula_as_long_as_they_have_digits(kind):
    X, y = data()
    found = MODELS[kind]().fit(X, 1e8 + 1e-2 * y)
    model = found.model_ if kind == "regressor" else found.members_[0]
    assert model.intercept == pytest.approx(1e8, rel=1e-6)
    with pytest.raises(FitError, match=r"^target 'y': needs labels whose differences have digits, found 100000000\.0"):
        MODELS[kind]().fit(X, 1e8 + 1e-7 * y)
    with pytest.raises(FitError, match=r"^fit: needs a target that varies, found 1e\+08 on every sample$"):
        MODELS[kind]().fit(X, 1e8 + 1e-12 * y)


def test_a_label_that_is_too_large_is_named():
    X, y = data()
    y[5] = -1e120
    with pytest.raises(FitError, match=r"^target 'y': needs labels of at most 1e\+100 in size, found -1e\+120"):
        SISSORegressor(dim=1, **SMALL).fit(X, y)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda a: a * 1e-200, "too small to be squared, at most 1.98e-200; choose a unit in which it is near 1"),
        (lambda a: a * 1e-310, "too small to be squared, at most 1.98e-310; choose a unit in which it is near 1"),
        (lambda a: 1e8 + 1e-7 * a, "agrees in 10 digits; subtract 1e+08 from it"),
        (lambda a: 0 * a + 3.0, "constant"),
        (lambda a: a * 1e-60, ""),
        (lambda a: 1e6 + a, ""),
    ],
)
def test_a_feature_that_counts_as_constant_is_told_with_the_cause(change, told):
    X, y = data()
    X[:, 0] = change(X[:, 0])
    assert why_flat(X[:, 0]) == told
    model = SISSORegressor(dim=1, min_abs=0.0, **SMALL).fit(X, y).model_
    assert ("x0" in model.primaries()) == (not told)


def test_a_feature_that_is_too_large_is_named():
    X, y = data()
    X[4, 1] = -1e200
    with pytest.raises(FitError, match=r"^feature 'x1': needs numbers of at most 1e\+100 in size, found 1e\+200$"):
        SISSORegressor(dim=1, **SMALL).fit(X, y)


@pytest.mark.parametrize("kind", [Forest, Process])
def test_the_other_surrogates_name_the_cause_too(kind):
    X, y = data()
    y[2] = -1e100
    columns = {"id": [f"m{i}" for i in range(N)], "y": y, **{f"x{j}": X[:, j] for j in range(3)}}
    space = TableSpace(read_table(pd.DataFrame(columns), target="y"))
    with pytest.raises(FitError, match=r"^target 'y': the label -1e\+100 lies so far from the others"):
        kind().fit(space, np.arange(N), y, np.zeros(N))


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_rows_are_told_in_our_words(kind, n):
    X, y = data()
    noun = "sample" if n == 1 else "samples"
    with pytest.raises(FitError, match=f"^fit: needs at least 3 labelled samples for dim 1, found {n} {noun}$"):
        MODELS[kind]().fit(X[:n], y[:n])
