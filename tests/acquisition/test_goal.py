"""Goals: what they say in words, and what the rest of the package asks of them."""

import pytest

from sisso_sal.acquisition.goal import Goal


@pytest.mark.parametrize(
    ("goal", "text", "bound"),
    [
        ("min", "the smallest gap", "min"),
        ("max", "the largest gap", "max"),
        ("min 0.5%", "the lowest 0.5 % of gap", "min 0.5%"),
        ("max 5%", "the highest 5 % of gap", "max 5%"),
        ("<=0.3", "gap of at most 0.3 eV", "at most 0.3"),
        (">=2", "gap of at least 2 eV", "at least 2"),
        ("1.2..1.8", "gap from 1.2 to 1.8 eV", "1.2 to 1.8"),
        ("<=0.123456", "gap of at most 0.123456 eV", "at most 0.1235"),
    ],
)
def test_goals_in_words(goal, text, bound):
    assert Goal.parse(goal).in_words("gap", "eV") == text
    assert Goal.parse(goal).bound_in_words == bound


@pytest.mark.parametrize(
    ("goal", "has_bound", "has_direction", "sign"),
    [
        ("min", False, True, 1.0),
        ("max", False, True, -1.0),
        ("min 10%", False, True, 1.0),
        ("max 10%", False, True, -1.0),
        ("<=1", True, True, 1.0),
        (">=1", True, True, -1.0),
        ("1..2", True, False, 1.0),
    ],
)
def test_what_a_goal_has(goal, has_bound, has_direction, sign):
    parsed = Goal.parse(goal)
    assert (parsed.has_bound, parsed.has_direction, parsed.sign) == (has_bound, has_direction, sign)
