"""Pictures of classes: every sample in its place, the shading of the model's own probabilities, and the band of chance alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from compiled import needs_compiled
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.stats import binom

from sisso_sal import SISSOClassifier, SISSOClassifierEnsemble
from sisso_sal.errors import InputError
from sisso_sal.models.class_calibration import ClassCalibration
from sisso_sal.report.figures.class_map import MARKS, MappedClasses, shade
from sisso_sal.report.figures.class_reliability import noise_band
from sisso_sal.report.figures.classes import class_map, class_reliability
from sisso_sal.report.figures.colours import COLOURS

pytestmark = needs_compiled
NAMES = np.array(["$metal", "in {between}_x", "z^2"])
SMALL = {"rung": 1, "n_sis": 6, "operators": ("div", "sub", "log"), "threads": 1}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(4)
    X = pd.DataFrame(rng.uniform(1, 3, (90, 3)), columns=["a (eV)", "b (eV)", "c"])
    noisy = X["a (eV)"] / X["b (eV)"] * np.exp(rng.normal(0, 0.1, 90))
    return X, NAMES[np.digitize(noisy, [0.8, 1.3])]


@pytest.fixture(scope="module")
def model(table):
    return SISSOClassifier(**SMALL, dim=3).fit(*table)


@pytest.fixture(scope="module")
def ensemble(table):
    return SISSOClassifierEnsemble(**SMALL, dim=2, members=8, dropout=0.0).fit(*table)


def mapped(model, table, dim):
    X, y = table
    columns = {header.split(" ")[0]: X[header].to_numpy() for header in X}
    return MappedClasses.of(model.models_[dim - 1], columns, np.searchsorted(NAMES, y)), columns


@pytest.mark.parametrize("dim", [1, 2])
def test_the_shading_is_of_the_probabilities_of_the_model(model, table, dim):
    shown, columns = mapped(model, table, dim)
    values = np.array([axis.values for axis in shown.axes])
    assert shown.probability(values) == pytest.approx(shown.model.probability(columns), rel=1e-9)
    right = np.trace(shown.model.confusion)
    assert np.count_nonzero(~shown.is_wrong) == right


@pytest.mark.parametrize("dim", [1, 2])
def test_every_sample_stands_in_its_place_with_the_mark_of_its_class(model, table, dim):
    figure = class_map(model, *table, dim=dim)
    shown, _ = mapped(model, table, dim)
    axes = figure.axes[dim % 2]  # samples along one descriptor are in the lower panel
    drawn = [one.get_offsets() for one in axes.collections if len(one.get_offsets()) and hasattr(one, "get_sizes")]
    places = np.ma.filled(np.concatenate([one for one in drawn if np.isfinite(one).all()]), np.nan)
    assert len(places) == 90
    assert sorted(places[:, 0]) == pytest.approx(sorted(shown.axes[0].values))
    if dim == 2:
        assert sorted(places[:, 1]) == pytest.approx(sorted(shown.axes[1].values))
        hulls = [line.get_xydata() for line in axes.lines if line.get_linestyle() == "--" and len(line.get_xydata())]
        for number, hull in enumerate(hulls):
            own = np.array([axis.values[shown.labels == number] for axis in shown.axes])
            assert hull.min(axis=0) == pytest.approx(own.min(axis=1))
            assert hull.max(axis=0) == pytest.approx(own.max(axis=1))
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:4] == ["\\$metal", "in {between}_x", "z^2", "told as another class"]


def test_colours_fade_to_white_where_nothing_is_told():
    told = shade(np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.1, 0.8, 0.1]]))
    assert told[1] == pytest.approx(1.0)
    assert told[0, 0] < told[0, 2] < 1  # blue
    assert told[2, 2] < told[2, 0] < 1  # vermilion
    assert told[0].min() < told[2].max()
    assert len(COLOURS) != len(MARKS)  # so that the pair repeats later than either


def test_samples_that_are_far_or_undefined_are_counted(model, table):
    X, y = table
    columns = {header.split(" ")[0]: X[header].to_numpy(copy=True) for header in X}
    columns["a"][0], columns["a"][1] = 1e9, np.nan
    figure = class_map(model, columns, y, dim=2)
    assert figure.axes[0].get_title(loc="left") == "2 samples not shown"


def test_an_ensemble_is_shown_by_its_most_typical_member(ensemble, table):
    X, y = table
    columns = {header.split(" ")[0]: X[header].to_numpy() for header in X}
    number = ensemble.fitted_.typical(columns, 1)[0].number + 1
    for figure, said in (
        (class_map(ensemble, X, y), f"member {number} of 8, the most typical"),
        (class_map(ensemble, X, y, member=2, columns=2), "member 2 of 8"),
    ):
        assert figure.axes[0].get_title(loc="left") == said
        FigureCanvasAgg(figure).draw()


def test_what_cannot_be_drawn_is_refused(model, ensemble, table):
    X, y = table
    for draw, message in (
        (lambda: class_map(model, X, y, dim=3), "needs a model of one or two descriptors, found 3"),
        (lambda: class_map(model, X, y, dim=4), "dim: needs one of 1, 2, 3, found 4"),
        (lambda: class_map(model, X, y, member=1), "member: needs an ensemble"),
        (lambda: class_map(ensemble, X, y, member=9), "member: needs a number from 1 to 8, found 9"),
        (lambda: class_map(ensemble, X, y, dim=1), "dim: needs one model, found an ensemble"),
        (lambda: class_map(model, X, np.where(y == "z^2", "other", y)), "y: needs classes of the model, found 'other'"),
        (lambda: class_reliability(ensemble, columns=3), "columns: needs 1 or 2"),
    ):
        with pytest.raises(InputError, match=message):
            draw()


def test_the_band_is_that_of_chance_alone():
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(60):
        yes = rng.beta(0.7, 0.7, 300)
        labels = (rng.uniform(size=300) < yes).astype(int)
        told = ClassCalibration.of(np.column_stack([1 - yes, yes]), labels)
        band = noise_band(told)
        for row, (low, high) in zip(told.reliability, band, strict=True):
            assert [low, high] == pytest.approx(binom.ppf([0.025, 0.975], row["n"], row["claimed"]) / row["n"])
            inside.append(low <= row["real"] <= high)
    assert 0.94 < np.mean(inside) < 0.99


def test_reliability_shows_what_the_calibration_holds(ensemble):
    figure = class_reliability(ensemble)
    above, below = figure.axes
    told = ensemble.calibration_
    marks = [one.get_offsets() for one in above.collections if len(one.get_offsets())]
    assert np.asarray(marks[0])[:, 1] == pytest.approx([row["real"] for row in told.reliability])
    assert [bar.get_height() for bar in below.patches] == [row["n"] for row in told.reliability]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"scaled (miscalibration {told.miscalibration:.3f})" in texts
    assert below.get_xlabel() == "claimed probability of a class"


def test_an_empty_bin_has_no_mark(ensemble):
    told = replace(ensemble.calibration_, reliability=[{"n": 3, "claimed": 0.95, "real": 1.0}])
    assert noise_band(told).tolist() == [[pytest.approx(2 / 3), 1.0]]
