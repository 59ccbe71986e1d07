"""The program of many classifiers says what each of them says, and of a row the same whatever rows stand beside it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.errors import ExpressionError
from sisso_sal.features.expression import Expression
from sisso_sal.models import class_program
from sisso_sal.models.class_calibration import ClassScaling
from sisso_sal.models.class_model import ClassModel, probabilities
from sisso_sal.models.class_program import ClassProgram, most_probable, reasons_of
from sisso_sal.models.linear import SISSOModel, Term

N_ROWS = 60


def classifiers(n_models, n_classes, seed):
    """Made-up ones of a few formulas, some of which are not defined everywhere."""
    rng = np.random.default_rng(seed)
    a, b = (Expression.primary(name) for name in "ab")
    formulas = [a, b, *(Expression.apply(name, a) for name in ("log", "sqrt", "inv")), Expression.apply("div", a, b)]
    models = []
    for _ in range(n_models):
        chosen = [formulas[k] for k in rng.choice(len(formulas), 2, replace=False)]
        lanes = []
        for _ in range(1 if n_classes == 2 else n_classes):
            terms = tuple(Term(one, float(rng.normal()), 0.2, 1.0) for one in chosen)
            lanes.append(SISSOModel(terms, float(rng.normal()), 0.0, 0.0))
        names, prior = tuple(f"c{k}" for k in range(n_classes)), np.full(n_classes, 1 / n_classes)
        models.append(ClassModel(tuple(lanes), names, np.eye(n_classes), 0.1, 0.0, None, prior))
    return models, ClassScaling(1.3, np.linspace(0.0, 0.5, n_classes))


def rows(seed):
    rng = np.random.default_rng(seed)
    columns = {"a": rng.uniform(-0.5, 3, N_ROWS), "b": rng.uniform(-0.5, 2, N_ROWS)}
    columns["a"][3], columns["b"][5], columns["b"][[7, 9]] = 0.0, 0.0, np.nan
    columns["a"][7] = np.inf
    return columns


def one_by_one(models, scaling, columns, wanted):
    """The slow twin: each model by itself, each row by itself."""
    said = np.array([model.probability(columns) for model in models])
    cause = np.array([model.cause(columns) for model in models])
    out = []
    for row in range(N_ROWS):
        defined = [own for own in said[:, row] if np.isfinite(own).all()]
        mean = scaling.applied(np.mean(defined, axis=0)[None])[0] if defined else np.full(said.shape[2], np.nan)
        own = [scaling.applied(one[None])[0][wanted(mean)].sum() for one in defined]
        spread = np.std(own, ddof=1) if len(own) > 1 else np.nan
        out.append((mean, len(defined), np.mean(cause[:, row] > 0), spread))
    return [np.array(part) for part in zip(*out, strict=True)]


@pytest.mark.parametrize("n_classes", [2, 3, 11])
def test_it_says_what_the_classifiers_say_one_by_one(n_classes):
    (models, scaling), columns = classifiers(7, n_classes, 0), rows(1)
    is_wanted = np.arange(n_classes) % 2 == 1
    for wanted, naive in ((most_probable, None), (lambda mean: is_wanted[:, None], lambda mean: is_wanted)):
        told = ClassProgram.of(models, scaling).told(columns, wanted)
        naive = naive or (lambda mean: np.arange(n_classes) == np.nan_to_num(mean).argmax())
        mean, n_defined, outside, spread = one_by_one(models, scaling, columns, naive)
        np.testing.assert_allclose(told.probability, mean, rtol=1e-13)
        np.testing.assert_array_equal(told.n_defined, n_defined)
        np.testing.assert_array_equal(told.outside, outside)
        np.testing.assert_allclose(told.spread, spread, rtol=1e-9, atol=1e-15)
    assert {0, 7} < {*n_defined}
    assert 0.0 in outside
    assert 1.0 in outside
    alone = ClassProgram.of(models[:1]).told(columns)
    np.testing.assert_array_equal(alone.probability, models[0].probability(columns))
    assert np.isnan(alone.spread).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, N_ROWS - 1), st.integers(1, N_ROWS), st.sampled_from([2, 3, 11]), st.sampled_from([1, 7, 2**17]))
def test_a_row_is_told_the_same_whatever_stands_beside_it(start, n, n_classes, n_values):
    """To the last bit: also alone, where NumPy would sum in another order."""
    (models, scaling), columns = classifiers(12, n_classes, 2), rows(3)
    program = ClassProgram.of(models, scaling)
    whole = program.told(columns, most_probable)
    part = {name: values[start : start + n] for name, values in columns.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(class_program, "N_VALUES", n_values * len(program.program.models))
        found = program.told(part, most_probable)
    for one, other in zip(found, whole, strict=True):
        np.testing.assert_array_equal(one, other[start : start + n])


def test_why_nobody_says_anything():
    models, _ = classifiers(3, 2, 0)
    gone = {"a": np.array([np.nan, 1.0]), "b": np.array([np.nan, np.inf])}
    assert reasons_of(models, gone)[0] == "a feature that is no finite number"
    with pytest.raises(ExpressionError, match="'b'"):
        ClassProgram.of(models).told({"a": np.ones(2)})


def test_probabilities_of_a_row_do_not_depend_on_how_it_lies_in_memory():
    log_odds = np.random.default_rng(0).normal(size=(5, 12))
    together = probabilities(log_odds)
    for row, own in enumerate(log_odds):
        np.testing.assert_array_equal(probabilities(own[None])[0], together[row])
        np.testing.assert_array_equal(probabilities(np.asfortranarray(log_odds))[row], together[row])
    np.testing.assert_allclose(together.sum(axis=1), 1.0)
