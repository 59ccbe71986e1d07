"""Plug-ins: found by their entry points, imported when they are looked up, and refused by name where they cannot be used."""

import re
import sys

import pytest

from sisso_sal.errors import SettingsError
from sisso_sal.system import plugins
from sisso_sal.system.plugins import named, registered

GROUP = "sisso_sal.of_a_test"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution (name, its entry points, the text of its module) that this process sees."""
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = []

    def installed(name, entries, module=""):
        (tmp_path / f"{name}.py").write_text(module)
        modules.append(name)
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{key} = {value}" for key, value in entries.items()]
        (folder / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
        plugins._entries.cache_clear()

    plugins._entries.cache_clear()
    yield installed
    plugins._entries.cache_clear()
    for name in modules:
        sys.modules.pop(name, None)


def test_built_in_names_come_first_and_plug_ins_in_alphabetical_order(install):
    install("plug_b", {"zinc": "plug_b:value", "alpha": "plug_b:value"}, "value = 7\n")
    install("plug_a", {"beta": "plug_a:value"}, "value = 8\n")
    known = registered(GROUP, {"second": 2, "first": 1})
    assert list(known) == ["second", "first", "alpha", "beta", "zinc"]
    assert len(known) == 5
    assert (known["second"], known["alpha"], known["beta"]) == (2, 7, 8)
    assert "alpha" in known
    assert "gamma" not in known


def test_without_plug_ins_there_are_the_built_in_ones(install):
    assert dict(registered(GROUP, {"one": 1})) == {"one": 1}


def test_nothing_is_read_before_a_name_is_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(plugins, "_entries", lambda group: asked.append(group) or ())
    known = registered(GROUP, {"one": 1})
    assert asked == []
    assert list(known) == ["one"]
    assert set(asked) == {GROUP}


def test_what_is_listed_is_not_imported(install):
    install("plug_c", {"cold": "plug_c:value"}, "value = 1\n")
    known = registered(GROUP, {"late": "plug_not_there:value"})
    assert list(known) == ["late", "cold"]
    assert "plug_c" not in sys.modules
    assert known["cold"] == 1
    assert "plug_c" in sys.modules


def test_a_built_in_object_may_be_imported_when_it_is_looked_up():
    import json

    assert registered(GROUP, {"dumps": "json:dumps"})["dumps"] is json.dumps


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("import not_installed_anywhere\n", "ModuleNotFoundError: No module named 'not_installed_anywhere'"),
        ("raise RuntimeError('first line\\nsecond line')\n", "RuntimeError: first line second line"),
        ("other = 1\n", "AttributeError: module 'plug_bad' has no attribute 'value'"),
    ],
)
def test_a_plug_in_that_cannot_be_imported_is_named_in_one_line_and_harms_no_other(install, module, reason):
    install("plug_bad", {"bad": "plug_bad:value"}, module)
    known = registered(GROUP, {"good": 1})
    assert known["good"] == 1
    message = f"{GROUP}: needs a plug-in that can be imported, found 'bad' of plug_bad (plug_bad:value): {reason}"
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        known["bad"]


def test_a_plug_in_may_not_take_a_built_in_name(install):
    install("plug_thief", {"good": "plug_thief:value"}, "value = 2\n")
    message = (
        f"{GROUP}: needs a plug-in whose name is not taken, found 'good' of plug_thief, a name of sisso-sal; "
        "uninstall or rename it"
    )
    for use in (list, lambda known: known["good"]):
        with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
            use(registered(GROUP, {"good": 1}))


def test_two_plug_ins_may_not_share_a_name(install):
    install("plug_one", {"same": "plug_one:value"}, "value = 1\n")
    install("plug_two", {"same": "plug_two:value"}, "value = 2\n")
    with pytest.raises(SettingsError, match=r"found 'same' of plug_two, a name of plug_one; uninstall"):
        registered(GROUP, {})["same"]


def test_an_unknown_name_is_refused_with_a_suggestion(install):
    install("plug_d", {"forest": "plug_d:value"}, "value = 1\n")
    known = registered(GROUP, {"sisso": 0})
    with pytest.raises(KeyError):
        known["florest"]
    for name, hint in (("florest", "; did you mean 'forest'?"), ("xx", "")):
        message = f"surrogate: needs one of sisso, forest, found '{name}'{hint}"
        with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
            named("surrogate", name, known)
    assert named("surrogate", "forest", known) == 1
