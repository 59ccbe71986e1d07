"""Shapes against their naive twin, least squares against differences, and what a search with parameters finds."""

import numpy as np
import pytest
from compiled import examples_of
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.engine.parameters import polished, shapes_of, with_parameters
from sisso_sal.engine.plan import SearchSize, search_cost
from sisso_sal.engine.problem import Problem
from sisso_sal.engine.refit import refit
from sisso_sal.engine.scales import ParameterFit, _shortest, tidied
from sisso_sal.engine.screen import ScreeningStep, screen
from sisso_sal.engine.search import search
from sisso_sal.engine.selection import Selection
from sisso_sal.engine.shapes import FLAT, ParameterShape, Shapes, SoughtShapes
from sisso_sal.errors import SettingsError
from sisso_sal.features.expression import Expression
from sisso_sal.features.parameters import RULES
from sisso_sal.features.slopes import own_parameters
from sisso_sal.features.space import FeatureSpace, SpaceSettings

X, V = Expression.primary("x"), Expression.primary("v")


def a_space(n=25, seed=0, names=("a", "b", "c"), units=None, **changes):
    values = np.random.default_rng(seed).uniform(0.5, 3.0, (len(names), n))
    options = {"operators": ("add", "mult", "div"), "rung": 2, "param_operators": ("exp", "log")} | changes
    return FeatureSpace(names, units or [""] * len(names), values, SpaceSettings(**options))


def a_problem(space, target, weights=None, allowed=None):
    n = space.n_samples
    weights = np.ones(n) if weights is None else weights
    allowed = np.ones(len(space.names), bool) if allowed is None else allowed
    return Problem(target, weights, allowed)


def naive_scores(space, sought, centre):
    """Of every shape the largest absolute weighted correlation over the grid, one by one."""
    shares, found = sought.problem.shares, {}
    shapes = Shapes.of(space)
    every = [ParameterShape(name, int(u)) for name in shapes.operators for u in shapes.arguments]
    every += [
        ParameterShape(name, int(u), int(v), form)
        for name in shapes.operators for form in shapes.forms_of(name) for u in shapes.inner for v in shapes.factors
    ]  # fmt: skip
    for shape in every:
        primaries = {
            name for number in shape.stand_ins().values() for name in space.stored_expression(number).primaries()
        }
        if any(not ok and name in primaries for name, ok in zip(space.names, sought.problem.allowed, strict=True)):
            continue
        best = -1.0
        for parameters in shape.starts(space, centre).reshape(-1, 2).tolist():
            row = shape.skeleton(tuple(parameters)).evaluate(shape.values(space))
            if not np.isfinite(row).all():
                continue
            row = row / np.abs(row).max()
            row = row - shares @ row if centre else row
            if shares @ row**2 > FLAT:
                products = (shares * sought.residuals) @ row
                best = max(best, np.abs(products).max() / np.sqrt(shares @ row**2))
        found[shape] = best
    return found


@pytest.mark.parametrize("centre", [True, False])
def test_the_best_shapes_are_those_of_the_naive_twin(centre):
    rng = np.random.default_rng(1)
    space = a_space(operators=("mult", "div"), param_operators=("log", "inv"))
    weights = rng.integers(0, 3, 25).astype(float)
    problem = a_problem(space, rng.normal(size=25), weights, np.array([True, False, True]))
    sought = SoughtShapes(problem, problem.normalised(rng.normal(size=(2, 25)), centre))
    expected = naive_scores(space, sought, centre)
    (found,) = Shapes.of(space).best([sought], 60, centre)
    assert len(found.shapes) == 60
    assert np.allclose(found.scores, [expected[shape] for shape in found.shapes], atol=1e-9)
    assert np.allclose(found.scores, sorted(expected.values(), reverse=True)[:60], atol=1e-9)
    assert shapes_of(space).n_shapes == len(
        naive_scores(space, SoughtShapes(a_problem(space, problem.target), sought.residuals), True)
    )


def test_shapes_keep_to_the_limits_of_the_space():
    deep = Shapes.of(a_space(max_complexity=2))
    numbers = np.arange(len(deep.space.values))
    complexity = deep.space.complexity(np.zeros(len(numbers), np.int16), numbers, numbers)
    assert complexity[deep.arguments].max() == 1
    assert complexity[deep.inner].max() == complexity[deep.factors].max() == 0
    assert not len(Shapes.of(a_space(rung=1)).inner)
    with pytest.raises(SettingsError, match="param_operators: needs max_complexity 1 or more, found 0"):
        Shapes.of(a_space(max_complexity=0))
    with pytest.raises(SettingsError, match="param_operators: needs a rung of 1 or more, found 0"):
        a_space(rung=0)


@settings(deadline=None, max_examples=examples_of(40))
@given(st.sampled_from(sorted(RULES)), st.booleans(), st.integers(0, 2**32 - 1))
def test_the_gradient_of_the_sum_of_squares_is_exact(name, centre, seed):
    rng = np.random.default_rng(seed)
    columns = {"x": rng.uniform(0.5, 2.0, 15), "v": rng.uniform(0.5, 2.0, 15)}
    shares = rng.uniform(0.1, 1.0, 15)
    terms = [
        Expression.apply("mult", V, Expression.apply(name, X, parameters=(1.3, 0.4))),
        Expression.apply("sin", X, parameters=(2.0, 0.3)),
    ]
    fit = ParameterFit(terms, [columns] * 2, rng.normal(size=15), shares / shares.sum(), centre)
    x = np.zeros(fit.n_free)
    gradient = 2 * fit.slopes(x).T @ fit.left(x)
    for number in range(fit.n_free):
        step = np.zeros(fit.n_free)
        step[number] = 1e-6
        above, below = (float(np.sum(fit.left(sign * step) ** 2)) for sign in (1, -1))
        assert gradient[number] == pytest.approx((above - below) / 2e-6, rel=1e-4, abs=1e-6)


def test_the_parameters_of_two_terms_are_found_together():
    rng = np.random.default_rng(2)
    columns = {"x": rng.uniform(0.5, 3.0, 60), "v": rng.uniform(0.5, 3.0, 60)}
    target = 2 * np.exp(-0.7 * columns["x"]) + 1.5 * np.sin(3.3 * columns["v"] + 0.4)
    begin = [Expression.apply("exp", X, parameters=(-0.9, 0.0)), Expression.apply("sin", V, parameters=(3.2, 0.5))]
    parameters, left = ParameterFit(begin, [columns] * 2, target, np.full(60, 1 / 60), True).best()
    assert left < 1e-15
    assert parameters[0][0] == pytest.approx(-0.7, abs=1e-6)
    assert parameters[1] == pytest.approx([3.3, 0.4], abs=1e-6)


def test_a_feature_without_values_is_a_wall():
    fit = ParameterFit(
        [Expression.apply("log", X, parameters=(1.0, -1.0))],
        [{"x": np.arange(9.0)}],
        np.arange(9.0),
        np.full(9, 1 / 9),
        True,
    )
    assert fit.best() is None


def test_tidied_parameters_say_the_same_and_are_short():
    columns = {"x": np.linspace(0.5, 2.0, 9)}
    wave = Expression.apply("sin", X, parameters=(2.0, 7.0))
    assert tidied(wave, np.array([2.0, 0.3 + 3 * np.pi]), columns, 1e5, True) == pytest.approx([2.0, 0.3])
    decay = Expression.apply("exp", X, parameters=(2.0, 7.0))
    assert tidied(decay, np.array([-0.5200000000001, 4.0]), columns, 1e5, True).tolist() == [-0.52, 0.0]
    steep = tidied(decay, np.array([30.0, -60.0]), columns, 1e5, True)
    assert steep.tolist() == [30.0, -60.0]
    assert (_shortest(0.123456789012, 1e-10), _shortest(1e-12, 1e-9)) == (0.123456789, 0.0)


@pytest.mark.filterwarnings("error")
def test_a_root_at_its_zero_is_no_step_and_no_warning():
    x = np.linspace(0.5, 2.0, 9)
    root = Expression.apply("cbrt", X, parameters=(1.0, -x[4]))
    fit = ParameterFit([root], [{"x": x}], x**2, np.full(9, 1 / 9), True)
    assert not fit.slopes(np.zeros(fit.n_free)).any()


def test_without_parameters_nothing_changes():
    space = a_space(param_operators=())
    problem = a_problem(space, np.arange(25.0))
    step = ScreeningStep(problem, problem.normalised(problem.target[None], True))
    chosen, _ = screen(space, [step], 4)
    assert with_parameters(space, [step], chosen, 4, centre=True)[0] is chosen[0]
    fits = (refit(chosen[0].values(space), problem, [0], True),)
    assert polished(space, problem, chosen[0], fits, 1, centre=True) == (chosen[0], fits, ())
    cost = search_cost(space, [problem], SearchSize(dim=1, n_sis=4), 1)
    assert "parameters" not in cost.what


def test_new_features_are_numbered_behind_the_stored_ones():
    space = a_space(names=("a", "b"), units=["K", "eV"])
    x = space.values[0]
    problem = a_problem(space, 3 * np.exp(-0.8 * x) + 1)
    step = ScreeningStep(problem, problem.normalised(problem.target[None], True))
    chosen, _ = screen(space, [step], 4)
    before = space.digest(), len(space.values), space.n_features
    (extended,) = with_parameters(space, [step], chosen, 4, centre=True)
    assert (space.digest(), len(space.values), space.n_features) == before
    new = extended.take(np.arange(len(chosen[0]), len(extended)))
    assert 0 < len(new) <= 4
    assert space.is_added(new.left).all()
    assert [len(part) for part in extended.by_origin(space)] == [len(chosen[0]), len(new)]
    best = space.expression(*new.triple(0))
    assert str(best) == "exp(-0.8*a)"
    assert space.key(*new.triple(0)) == best.key
    assert new.score[0] == pytest.approx(1.0, abs=1e-12)
    assert np.array_equal(new.values(space)[0], best.evaluate({"a": x}))
    assert space.complexity(new.opcode, new.left, new.right)[0] == 1
    assert space.masks_of(new.left)[0].tolist() == [1]
    assert space.n_parameters(new.left)[0] == 1
    again = with_parameters(space, [step], chosen, 4, centre=True)[0]
    assert np.array_equal(again.left, extended.left)


def test_members_are_fitted_as_if_alone_and_threads_change_nothing():
    space = a_space(n=40, names=("a", "b", "c"))
    rng = np.random.default_rng(5)
    target = np.exp(-1.2 * space.values[0]) * space.values[1] + rng.normal(0, 0.01, 40)
    problems = [
        a_problem(space, target, rng.integers(0, 3, 40).astype(float)),
        a_problem(space, target, rng.integers(0, 3, 40).astype(float), np.array([True, True, False])),
    ]
    size = SearchSize(dim=2, n_sis=2, keep=3)
    together, _ = search(space, problems, size, threads=2)
    for problem, result in zip(problems, together, strict=True):
        other = a_space(n=40, names=("a", "b", "c"))
        (alone,), _ = search(other, [problem], size, threads=1)
        for one, same in zip(result.fits, alone.fits, strict=True):
            for fit, twin in zip(one, same, strict=True):
                keys = [
                    [s.key(*r.subspace.triple(k)) for k in f.subset]
                    for s, r, f in ((space, result, fit), (other, alone, twin))
                ]
                assert keys[0] == keys[1]
                assert fit.sse == twin.sse
    allowed = [space.expression(*together[1].subspace.triple(k)).primaries() for k in range(len(together[1].subspace))]
    assert all("c" not in names for names in allowed)


def test_the_plan_tells_what_parameters_take():
    space = a_space()
    problem = a_problem(space, np.arange(25.0))
    size = SearchSize(dim=2, n_sis=4)
    plain = search_cost(a_space(param_operators=()), [problem], size, 1)
    cost = search_cost(space, [problem], size, 1)
    assert cost.seconds > plain.seconds
    assert "scores on grids of parameters, and 32 fits of parameters" in cost.what


def test_an_exponential_of_minus_gets_a_scale_too():
    space = a_space(operators=("mult", "neg_exp", "sub", "add"), param_operators=("exp",), names=("a", "b"))
    a, b = space.values[:2]
    problem = a_problem(space, a + np.exp(-1.7 * b + 0.2))
    (result,), _ = search(space, [problem], SearchSize(dim=1, n_sis=10))
    best = space.expression(*result.subspace.triple(result.fits[0][0].subset[0]))
    assert best.shape == "add(a,exp[](b))"
    assert own_parameters(best.operands[1]) == pytest.approx([-1.7, 0.2], abs=1e-3)
    assert Selection.empty().by_origin(space)[0].left.size == 0


LIMIT = 0.99


def planted(seed):
    """A space and a problem: an exponential, a sine and a line, with a little noise."""
    space = a_space(60, seed, operators=("mult", "div"), rung=1, param_operators=("exp", "sin"))
    a, b, c = space.values[:3]
    rng = np.random.default_rng(100 + seed)
    target = 2 * np.exp(-0.9 * a) + 0.8 * np.sin(3 * b + 0.4) + 0.3 * c + 0.01 * rng.normal(size=60)
    return space, a_problem(space, target)


@pytest.mark.parametrize("seed", range(4))
def test_terms_that_were_fitted_together_are_extended_within_the_largest_correlation(seed):
    """No two features that a fit may have are more alike than the limit, and the best pair is among them with each third one."""
    options = {"n_sis": 6, "n_residual": 3, "max_correlation": LIMIT}
    space, problem = planted(seed)
    (two,), _ = search(space, [problem], SearchSize(dim=2, **options))
    rows, pair = two.subspace.values(space), two.fits[1][0].subset
    is_open = np.ones(len(rows), bool)
    is_open[two.closed] = False
    alike = np.abs(np.corrcoef(rows[is_open])) - np.eye(is_open.sum())
    assert alike.max() <= LIMIT + 1e-12
    assert min(pair) >= len(rows) - 3 * 2  # behind what the screening and the shapes gave: it was fitted together
    assert is_open[list(pair)].all()
    space, problem = planted(seed)
    (three,), _ = search(space, [problem], SearchSize(dim=3, **options))
    rows = three.subspace.values(space)
    thirds = [*np.flatnonzero(is_open), *range(len(is_open), len(rows) - 3 * 3)]
    fits = [refit(rows[[*pair, third]], problem, range(3), True) for third in thirds if third not in pair]
    assert three.fits[2][0].sse <= min(fit.sse for fit in fits if fit is not None) * (1 + 1e-9)
