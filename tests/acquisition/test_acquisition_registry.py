"""Records of acquisitions: found by name, refused where they do not fit, and the only source of their words."""

import ast
import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from sisso_sal.acquisition.baselines import ALONGSIDE
from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.registry import ACQUISITIONS, acquisition_named, installed, meaning_of
from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Acquisition
from sisso_sal.system import plugins

PACKAGE = Path(__file__).parents[2] / "sisso_sal"
PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "acquisition.md"
WINDOW = Goal.parse("0.9..1.1")
NAMES = "hits, mean, ei, log_ei, member_ei, pi, lcb, mli, thompson, std, random, distance"

ODD = Acquisition("odd", lambda scene: scene.mean, "tests", "an odd number")
NO_RECORD = print


@pytest.fixture
def plugged_in(monkeypatch):
    """Entry points by name, as if a distribution had brought them."""

    def plug(**values):
        group = "sisso_sal.acquisitions"
        entries = tuple(EntryPoint(name, f"{__name__}:{value}", group) for name, value in values.items())
        monkeypatch.setattr(plugins, "_entries", lambda asked: entries if asked == group else ())

    return plug


def test_names_are_listed_in_the_order_of_the_help_and_are_those_of_their_records():
    assert ", ".join(ACQUISITIONS) == NAMES
    for name in ACQUISITIONS:
        assert acquisition_named(name).name == name


def test_an_unknown_acquisition_is_refused_with_a_suggestion():
    with pytest.raises(SettingsError) as caught:
        acquisition_named("thomson")
    assert str(caught.value) == f"acquisition: needs one of {NAMES}, found 'thomson'; did you mean 'thompson'?"
    with pytest.raises(SettingsError, match=r"found 'zzz'$"):
        acquisition_named("zzz")


@pytest.mark.parametrize("name", ["ei", "log_ei", "lcb", "member_ei"])
def test_what_needs_a_direction_is_refused_for_a_window(name):
    able = "hits, mean, pi, mli, thompson, std, random, distance"
    with pytest.raises(SettingsError) as caught:
        acquisition_named(name, WINDOW)
    assert str(caught.value) == f"acquisition: needs one of {able} for the window 0.9..1.1, found '{name}'"
    assert acquisition_named(name, Goal.parse("<=0.9")) is ACQUISITIONS[name]


def test_a_plug_in_is_found_by_its_name(plugged_in):
    plugged_in(odd="ODD")
    assert acquisition_named("odd", WINDOW).meaning == meaning_of("odd") == "an odd number"
    assert list(ACQUISITIONS)[-1] == "odd"


def test_a_plug_in_that_is_no_acquisition_of_its_name_is_refused(plugged_in):
    plugged_in(even="ODD", printer="NO_RECORD")
    message = "acquisition: needs an `Acquisition` of the name 'printer', found <built-in function print>"
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        acquisition_named("printer")
    with pytest.raises(SettingsError, match=r"of the name 'even', found Acquisition\(name='odd'"):
        acquisition_named("even")
    assert installed("even") is installed("printer") is None
    with pytest.raises(
        SettingsError, match=r"std, random, distance for the window"
    ):  # those that cannot be used are not named
        acquisition_named("ei", WINDOW)


def test_of_one_that_is_not_installed_the_name_is_all_that_is_known():
    assert meaning_of("gone") == "gone"


def test_the_unit_stands_under_the_table_where_the_score_has_one():
    for name in ACQUISITIONS:
        record = acquisition_named(name)
        assert record.explained("eV") == (f"{record.meaning}, in eV" if record.has_unit else record.meaning)
        assert record.explained() == record.meaning


def test_those_alongside_a_replay_use_no_prediction():
    assert all(record.uses == frozenset() for record in ALONGSIDE)
    assert {name for name in ACQUISITIONS if not acquisition_named(name).uses} == {one.name for one in ALONGSIDE}


def test_the_page_on_acquisition_says_what_the_records_say():
    rows = re.findall(r"^\| `(\w+)`[^|]*\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE)
    records = [acquisition_named(name) for name in ACQUISITIONS]
    assert rows == [(one.name, one.meaning, "the target's" if one.has_unit else "none", one.summary) for one in records]


def test_no_other_room_knows_an_acquisition_by_its_name():
    """Left out are words with another meaning: std and distance are columns, mean a reference, random a start, pi a number.

    ``hits`` is also the setting that ends a campaign after so many, and the number of those that were found.
    """
    names = set(ACQUISITIONS) - {"mean", "std", "random", "distance", "pi"}
    found = {
        f"{path.relative_to(PACKAGE)}: {node.value}"
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "acquisition"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    }
    counted = ("results", "status", "stopping", "summary")
    shown = ("report/figures/course.py: hits", "report/text/campaign.py: hits")
    assert found == {"settings/campaign.py: hits", *(f"campaign/{name}.py: hits" for name in counted), *shown}
