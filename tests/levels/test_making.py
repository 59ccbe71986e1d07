"""Settings with which each level is learned: what was said of the target holds for no other quantity."""

from sisso_sal.levels.making import maker
from sisso_sal.settings.campaign import load_settings


def made(number, n_values, **changes):
    found = []
    settings = load_settings(None, {"transform": "log", "positive": "yes", "dim": 6, "goal": ">=2", **changes})
    maker(lambda own, seed: found.append(own), settings, 0, 1)((), number, n_values)
    return found[0]


def test_a_lower_level_may_be_negative_though_the_target_is_not():
    low, last = made(0, 30), made(1, 30)
    assert (low.ensemble.transform, low.ensemble.positive) == ("none", "auto")
    assert (last.ensemble.transform, last.ensemble.positive) == ("log", "yes")


def test_formulas_of_a_level_have_no_more_terms_than_its_values_allow():
    assert [made(0, n).model.dim for n in (5, 7, 8, 30)] == [3, 5, 6, 6]
    assert made(1, 5).model.dim == 6
    assert made(0, 5, dim=2).model.dim == 2
