"""Settings in layers: each one is taken from the highest layer that has it, and its origin is told."""

import itertools
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sisso_sal.errors import DocumentError, SettingsError
from sisso_sal.settings.campaign import CampaignSettings, known_settings
from sisso_sal.settings.layers import (
    PREFIX,
    LayeredSettings,
    Origin,
    layered,
    lines_with_origins,
    user_file,
    user_settings_of,
    variables,
)
from sisso_sal.settings.written import differences, settings_toml

LAYERS = ("user", "campaign", "environment", "option")
VALUES = dict(zip(LAYERS, (2, 3, 4, 5), strict=True))
PLACES = {"campaign": "campaign.toml", "environment": "SISSO_SAL_BATCH", "option": "--batch"}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The user's own file, which does not exist yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    file = user_file()
    file.parent.mkdir(parents=True)
    return file


@pytest.mark.parametrize("given_in", [c for n in range(5) for c in itertools.combinations(LAYERS, n)])
def test_the_highest_layer_that_has_a_setting_wins_and_is_told(given_in, own, tmp_path):
    """All sixteen ways to give one setting, against the obvious rule."""
    config = tmp_path / "campaign.toml"
    config.write_text("batch = 3\n" if "campaign" in given_in else "")
    if "user" in given_in:
        own.write_text("batch = 2\n")
    environ = {"SISSO_SAL_BATCH": "4"} if "environment" in given_in else {}
    found = layered(config, {"batch": 5 if "option" in given_in else None}, environ)
    expected = max(given_in, key=LAYERS.index, default="default")
    assert found.settings.batch == VALUES.get(expected, CampaignSettings().batch)
    assert found.origins["batch"].kind == expected
    assert found.origins["batch"].place.endswith({**PLACES, "user": "settings.toml"}.get(expected, ""))
    assert {name for name, origin in found.origins.items() if origin.kind != "default"} == (
        {"batch"} if given_in else set()
    )


def test_sections_are_merged_key_by_key(own, tmp_path):
    own.write_text("[model]\nrung = 1\nn_sis = 7\n[ensemble]\nmembers = 4\n")
    config = tmp_path / "campaign.toml"
    config.write_text("[model]\nn_sis = 8\ndim = 2\n")
    found = layered(config, {"members": 6}, {"SISSO_SAL_MODEL_DIM": "1"})
    model = found.settings.model
    assert (model.rung, model.n_sis, model.dim, found.settings.ensemble.members) == (1, 8, 1, 6)
    kinds = [found.origins[f"model.{key}"].kind for key in ("rung", "n_sis", "dim", "min_abs")]
    assert kinds == ["user", "campaign", "environment", "default"]


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("SISSO_SAL_OPERATORS", "add, sub,mult", "operators", ("add", "sub", "mult")),
        ("SISSO_SAL_UNITS", "sisso", "units", "sisso"),
        ("SISSO_SAL_MODEL_INTERCEPT", "0", "intercept", False),
        ("SISSO_SAL_MAX_ABS", "1e4", "max_abs", 1e4),
        ("SISSO_SAL_N_SIS", "", "n_sis", None),
    ],
)
def test_a_variable_is_read_as_the_setting_needs_it(variable, text, name, value):
    assert getattr(layered(None, {}, {variable: text}, user={}).settings.model, name) == value


def test_every_setting_has_a_variable_and_none_means_two():
    assert set(variables().values()) == set(known_settings())
    assert all(name.startswith(PREFIX) for name in variables())
    assert {variables()[PREFIX + name.replace(".", "_").upper()] == name for name in known_settings()} == {True}


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"SISSO_SAL_RUNGS": "1"}, "SISSO_SAL_RUNGS: unknown setting in the environment; did you mean SISSO_SAL_RUNG?"),
        ({"SISSO_SAL_QQ": "1"}, "SISSO_SAL_QQ: unknown setting in the environment; sisso-sal config show lists the settings"),
        ({"SISSO_SAL_BATCH": "0"}, "SISSO_SAL_BATCH: batch: needs greater than or equal to 1, found '0'"),
        (
            {"SISSO_SAL_LOSS": "hubert"},
            "SISSO_SAL_LOSS: ensemble.loss: needs 'squared' or 'huber', found 'hubert'",
        ),
        (
            {"SISSO_SAL_RUNG": "1", "SISSO_SAL_MODEL_RUNG": "1"},
            "SISSO_SAL_RUNG: needs to be given once, found SISSO_SAL_MODEL_RUNG beside it",
        ),
    ],
)  # fmt: skip
def test_a_bad_variable_is_named(environ, message):
    with pytest.raises(SettingsError) as caught:
        layered(None, {}, environ, user={})
    assert str(caught.value) == message


def test_what_a_labelling_command_finds_in_its_environment_is_no_setting():
    paths = {"SISSO_SAL_REQUEST": "/a", "SISSO_SAL_ANSWER": "/b", "SISSO_SAL_FOLDER": "/c", "HOME": "/d"}
    assert layered(None, {}, paths, user={}).settings == CampaignSettings()


def test_a_message_names_the_file_that_has_the_bad_value_and_not_another(own, tmp_path):
    config = tmp_path / "campaign.toml"
    config.write_text("[model]\nn_sis = 8\n")
    own.write_text("[model]\nrung = 9\n")
    with pytest.raises(SettingsError) as caught:
        layered(config, {}, {})
    assert str(caught.value) == f"{own}: model.rung: needs less than or equal to 3, found 9"
    own.write_text("[model]\nrungs = 1\n")
    with pytest.raises(SettingsError) as caught:
        layered(config, {}, {})
    assert str(caught.value) == f"{own}: unknown setting 'model.rungs'; did you mean 'rung'?"
    own.write_text("rung 1")
    with pytest.raises(DocumentError, match=r"settings\.toml: needs TOML, found: "):
        layered(None, {}, {})


def test_what_a_run_took_from_the_user_stands_in_for_the_file(own):
    own.write_text("batch = 7\n[model]\nrung = 1\n")
    begun = layered(None, {"batch": 3}, {})
    created = {
        "settings": begun.settings.model_dump(mode="json"),
        "origins": {name: vars(origin) for name, origin in begun.origins.items()},
    }
    assert user_settings_of(created) == {"model.rung": 1}
    own.write_text("batch = 9\n[model]\nrung = 3\n[ensemble]\nmembers = 2\n")
    again = layered(None, {"batch": 3}, {}, user=user_settings_of(created))
    assert again.settings == begun.settings
    assert again.origins["model.rung"].told == "user settings when the run began"
    assert user_settings_of({"settings": created["settings"]}) == {}  # a run from before origins were recorded


def test_differences_tell_where_the_new_value_is_from():
    environ = {"SISSO_SAL_BATCH": "4"}
    found = layered(None, {"goal": "max"}, environ, user={})
    told = differences(
        CampaignSettings(), found.settings, {name: origin.told for name, origin in found.origins.items()}
    )
    assert told == ["goal: min -> max", "batch: 10 -> 4 (SISSO_SAL_BATCH)"]
    back = differences(found.settings, CampaignSettings(), {"goal": Origin("default").told})
    assert back[0] == "goal: max -> min (the default)"


@given(
    batch=st.integers(1, 99),
    operators=st.lists(st.sampled_from(["add", "mult", "sq"]), min_size=1, unique=True),
    goal=st.sampled_from(["min", "<=0.3", '"#\\']),
    budget=st.none() | st.integers(1, 9),
)
def test_what_is_printed_with_origins_is_toml_and_says_the_same(batch, operators, goal, budget):
    options = {"batch": batch, "operators": tuple(operators), "goal": goal, "budget": budget}
    found = layered(None, options, {}, user={})
    assert isinstance(found, LayeredSettings)
    text = lines_with_origins(found)
    assert tomllib.loads(text) == tomllib.loads(settings_toml(found.settings))
    assert any(line.startswith("batch = ") and line.endswith("# option --batch") for line in text.splitlines())
    assert ("# budget is not set" in text) == (budget is None)


def test_the_users_file_lies_where_the_platform_keeps_configurations(own):
    assert own.parts[-2:] == ("sisso-sal", "settings.toml")
    assert Path(own).is_absolute()
