"""Exported models of classes tell what the models tell, whatever the features and the classes are called."""

import re

import numpy as np
import pytest
from compiled import examples_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_export import NASTY, some_models

from sisso_sal.errors import SettingsError
from sisso_sal.export import export_model
from sisso_sal.export.classes import CLASS_FORMS, export_classes
from sisso_sal.models.class_model import ClassModel
from sisso_sal.models.linear import SISSOModel, Term

NAMES = ("it's", 'a "b"', "two\nlines", "back\\slash", "50 %", "\u202ertl", "_", "日本", "None", "classes")
FEATURES = (*NASTY, "classes", "probability", "values", "log_odds")


def model_of(lane, classes, rng):
    """Lanes with the descriptors of one model and other numbers."""
    n = 1 if len(classes) == 2 else len(classes)
    lanes = []
    for _ in range(n):
        terms = tuple(Term(t.expression, float(rng.normal()), t.low, t.high) for t in lane.terms)
        lanes.append(SISSOModel(terms, float(rng.normal()), 0.0, 0.0))
    shares = np.full(len(classes), 1 / len(classes))
    return ClassModel(tuple(lanes), classes, np.eye(len(classes)), 0.1, 0.0, None, shares)


def made_of(model):
    made = {}
    text = export_classes(model, "python", target="phase", units={})
    exec(compile(text, "exported", "exec"), made)
    return made


@settings(max_examples=examples_of(25))
@given(
    seed=st.integers(0, 10**6),
    features=st.lists(st.sampled_from(FEATURES), min_size=3, max_size=3, unique=True),
    classes=st.lists(st.one_of(st.sampled_from(NAMES), st.integers(-3, 9)), min_size=2, max_size=4, unique=True),
)
def test_python_gives_the_classes_and_probabilities_of_the_model(seed, features, classes):
    models, rows = some_models(seed, tuple(features), 2)
    for lane in models[:3]:
        model = model_of(lane, tuple(classes), np.random.default_rng(seed))
        made, used = made_of(model), [rows[name] for name in model.primaries()]
        expected = model.probability(rows)
        undefined = np.isnan(expected).any(axis=1)
        assert np.array_equal(made["probability"](*used), expected, equal_nan=True)
        told = made["predict"](*used)
        assert made["classes"] == classes
        assert [t is None for t in told] == undefined.tolist()
        assert [t for t in told if t is not None] == [classes[k] for k in model.predict(rows)[~undefined]]
        one = made["predict"](*(column[5] for column in used))
        assert one == told[5]


def test_latex_has_the_log_odds_of_each_lane_and_no_open_brace():
    models, _ = some_models(3, size=2)
    for classes in (("metal", "50 %_x"), ("a", "b", "c")):
        model = model_of(models[0], classes, np.random.default_rng(3))
        text = export_classes(model, "latex", target="phase", units={"a": "eV"})
        body = [line for line in text.splitlines() if not line.startswith("%")]
        assert sum(line.startswith(r"\ln\frac{p_{\text{") for line in body) == len(model.lanes)
        bare = re.sub(r"\\[{}%]", "", "\n".join(body))
        assert bare.count("{") == bare.count("}")
        assert "%" not in bare
        for lane in model.lanes:
            assert repr(lane.intercept).split("e")[0] in text
    assert r"p_{\text{50 \%\_x}}" in export_classes(
        model_of(models[0], ("metal", "50 %_x"), np.random.default_rng(0)), "latex", target="phase", units={}
    )


def test_what_cannot_be_written_is_refused():
    models, _ = some_models(3, size=2)
    model = model_of(models[0], ("a", "b"), np.random.default_rng(0))
    assert CLASS_FORMS == ("python", "latex")
    with pytest.raises(SettingsError, match="form: needs one of python, latex for classes, found 'c'"):
        export_classes(model, "c", target="phase", units={})
    endless = tuple(SISSOModel(lane.terms, np.inf, 0.0, 0.0) for lane in model.lanes)
    infinite = ClassModel(endless, ("a", "b"), np.eye(2), 0.1, 0.0, None, np.ones(2))
    with pytest.raises(SettingsError, match="needs finite numbers"):
        export_classes(infinite, "python", target="phase", units={})


def test_latex_has_as_many_digits_as_asked_for():
    models, _ = some_models(5, size=2)
    model = model_of(models[0], ("a", "b"), np.random.default_rng(5))
    for text in (
        export_classes(model, "latex", target="phase", units={}, n_digits=3),
        export_model(models[:1], "latex", target="E", target_unit="eV", units={}, n_digits=3, task="one"),
    ):
        body = "".join(line for line in text.splitlines() if not line.startswith("%"))
        numbers = re.findall(r"\d+\.\d+", body)
        assert numbers
        assert all(len(number.replace(".", "").strip("0")) <= 3 for number in numbers)
    assert r"E^{\text{one}} &= " in text
    for refuse in (
        lambda: export_classes(model, "python", target="phase", units={}, n_digits=3),
        lambda: export_model(models[:1], "c", target="E", target_unit="", units={}, n_digits=3),
    ):
        with pytest.raises(SettingsError, match="digits: needs the format latex, found"):
            refuse()
