"""Goals that name classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.registry import acquisition_named
from sisso_sal.errors import SettingsError

NAME = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc", "Zl", "Zp", "Zs"]), min_size=1
)


@given(st.lists(NAME, min_size=1, max_size=4, unique=True))
def test_names_come_back_as_they_were_written(names):
    goal = Goal("classes", low=0.5, classes=tuple(names))
    if not str(goal)[1:].startswith("="):
        assert Goal.parse(str(goal)) == goal


def test_a_label_is_a_hit_where_its_class_is_looked_for():
    goal = Goal.parse("= perovskite , ilmenite")
    assert goal.classes == ("perovskite", "ilmenite")
    labels = goal.labels_of(["ilmenite", "", "spinel"])
    assert labels.tolist() == pytest.approx([1.0, np.nan, 0.0], nan_ok=True)
    assert goal.reached(np.array([1.0, 0.0])).tolist() == [True, False]
    assert goal.best(np.array([0.0, 1.0, 1.0])) == 1
    assert (goal.in_words("structure"), goal.has_bound) == ("structure perovskite or ilmenite", True)


@pytest.mark.parametrize("text", ["=", "=a,", "=a,a", "==a", '="a', "= , b"])
def test_what_is_no_list_of_names_is_refused(text):
    with pytest.raises(SettingsError, match=r"^goal: needs names of classes that differ"):
        Goal.parse(text)


@pytest.mark.parametrize("name", ["ei", "pi", "lcb", "mean"])
def test_what_means_nothing_for_classes_is_refused(name):
    with pytest.raises(SettingsError, match=f"^acquisition: needs one of hits, .*for the classes =A, found '{name}'$"):
        acquisition_named(name, Goal.parse("=A"))
