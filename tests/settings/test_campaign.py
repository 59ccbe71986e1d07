"""Settings come from a file, flags on top, and nothing unknown or impossible gets in."""

import math

import pytest
from compiled import examples_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sisso_sal.errors import InputError
from sisso_sal.settings.campaign import CampaignSettings, EnsembleSettings, ModelSettings, load_settings
from sisso_sal.settings.written import differences, settings_toml

EXAMPLE = """
goal = "<=0.3"
batch = 4

[model]
rung = 1
operators = ["add", "sub"]

[ensemble]
members = 7
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "settings.toml"

    def write(text):
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(path, changes=None):
    with pytest.raises(InputError) as caught:
        load_settings(path, changes or {})
    told = str(caught.value)
    assert "\n" not in told
    return told.removeprefix(f"{path}: ")


def test_the_search_defaults_are_those_of_the_reference_workflow():
    found = load_settings(None, {})
    assert found == CampaignSettings()
    model = found.model.completed(ensemble=False)
    assert (model.rung, model.dim, model.n_sis, model.n_residual) == (2, 2, 50, 5)
    assert (model.min_abs, model.max_abs) == (1e-5, 1e5)


def test_an_ensemble_has_search_defaults_of_its_own_but_what_was_said_holds():
    found = load_settings(None, {}).model
    assert (found.dim, found.n_sis) == (None, None)
    own = found.completed(ensemble=True)
    assert (own.dim, own.n_sis) == (3, 20)
    assert own.completed(ensemble=False) == own
    said = load_settings(None, {"dim": 1}).model.completed(ensemble=True)
    assert (said.dim, said.n_sis) == (1, 20)


def test_without_further_wishes_the_lowest_are_looked_for():
    found = load_settings(None, {})
    assert (found.goal, found.acquisition, found.diversity, found.seed) == ("min", "hits", 0.0, 0)


def test_a_file_is_read(file):
    found = load_settings(file(EXAMPLE), {})
    assert (found.goal, found.batch, found.model.rung, found.ensemble.members) == ("<=0.3", 4, 1, 7)
    assert found.model.operators == ("add", "sub")
    assert found.model.dim is None


def test_flags_go_on_top_of_the_file_and_to_their_section(file):
    found = load_settings(file(EXAMPLE), {"rung": 3, "members": 9, "goal": "max", "dim": 1, "batch": None})
    assert (found.model.rung, found.ensemble.members, found.goal, found.model.dim) == (3, 9, "max", 1)
    assert (found.batch, found.model.operators) == (4, ("add", "sub"))


def test_flags_that_were_not_given_leave_the_defaults():
    flags = dict.fromkeys((*ModelSettings.model_fields, *EnsembleSettings.model_fields, "goal", "seed"))
    assert load_settings(None, flags) == CampaignSettings()


@given(
    found=st.builds(
        CampaignSettings,
        target=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        id=st.none() | st.just("name é\"'\\"),
        goal=st.sampled_from(["min", "1.2..1.8"]),
        diversity=st.floats(0, 1),
        batch=st.integers(1, 99),
        seed=st.integers(0, 2**62),
        model=st.builds(
            ModelSettings,
            operators=st.none() | st.lists(st.sampled_from(["add", "sq"]), min_size=1).map(tuple),
            rung=st.integers(0, 3),
            max_complexity=st.none() | st.integers(0, 9),
            min_abs=st.floats(0, 1e-3),
            max_abs=st.floats(1e-3, 1e300),
            units=st.sampled_from(["strict", "sisso", "none"]),
        ),
        ensemble=st.builds(
            EnsembleSettings,
            members=st.integers(2, 99),
            dropout=st.floats(0, 0.99),
            adapt=st.booleans(),
            transform=st.sampled_from(["none", "log", "yeo-johnson"]),
            correction=st.sampled_from(["none", "trees", "process", "both"]),
        ),
    )
)
@settings(deadline=None, max_examples=examples_of(60))
def test_what_is_written_is_read_back(found, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "written.toml"
    path.write_text(settings_toml(found), encoding="utf-8")
    again = load_settings(path, {})
    assert again == found
    assert differences(again, found) == []
    assert CampaignSettings.model_validate(found.model_dump(mode="json")) == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gaol = 'min'", "unknown setting 'gaol'; did you mean 'goal'?"),
        ("[model]\nrungs = 2", "unknown setting 'model.rungs'; did you mean 'rung'?"),
        ("[ensemble]\nmember = 2", "unknown setting 'ensemble.member'; did you mean 'members'?"),
        ("oracle = 'aims'", "unknown setting 'oracle'; did you mean 'run.oracle'?"),
        ("[model]\nmembers = 2", "unknown setting 'model.members'; did you mean 'ensemble.members'?"),
        ("[modle]\nrung = 2", "unknown setting 'modle'; did you mean 'model'?"),
        (
            "[ensemble]\nzzzz = 2",
            "unknown setting 'ensemble.zzzz'; known are members, dropout, adapt, transform, loss, aggregation, correction, "
            "recalibrate, positive, low",
        ),
        (
            "[ensemble]\ntarget_transform = 'log'",
            "unknown setting 'ensemble.target_transform'; did you mean 'transform'?",
        ),
        (
            "zzzz = 1",
            "unknown setting 'zzzz'; known are target, id, group, columns, drop, goal, surrogate, acquisition, improve_on, "
            "diversity, batch, asynchronous, seed, level, features, model, ensemble, run, label, calculation",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_a_suggestion(file, text, told):
    assert refusal(file(text)) == told


@pytest.mark.parametrize("key", ["[[", "int", "constrained-str", ""])
def test_an_unknown_key_is_named_whatever_its_name(file, key):
    assert refusal(file(f"'{key}' = 0.0")).startswith(f"unknown setting '{key}'; known are target")
    assert refusal(file(f"[model]\n'{key}' = 2")).startswith(f"unknown setting 'model.{key}'")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[model]\nrung = 4", "model.rung: needs less than or equal to 3, found 4"),
        ("[model]\nrung = -1", "model.rung: needs greater than or equal to 0, found -1"),
        ("[model]\ndim = 0", "model.dim: needs greater than or equal to 1, found 0"),
        ("[model]\nn_sis = 2.5", "model.n_sis: needs a valid integer, got a number with a fractional part, found 2.5"),
        (
            "[model]\nunits = 'perhaps'",
            "model.units: needs 'strict', 'sisso' or 'none', found 'perhaps'",
        ),
        ("[model]\noperators = 3", "model.operators: needs a list, found 3"),
        ("[ensemble]\nmembers = 1", "ensemble.members: needs greater than or equal to 2, found 1"),
        ("[ensemble]\ndropout = 1.0", "ensemble.dropout: needs less than 1, found 1.0"),
        ("[ensemble]\nadapt = 2", "ensemble.adapt: needs a valid boolean, unable to interpret input, found 2"),
        ("[ensemble]\ntransform = 'sqrt'", "ensemble.transform: needs 'none', 'log' or 'yeo-johnson', found 'sqrt'"),
        ("[ensemble]\nloss = 'l1'", "ensemble.loss: needs 'squared' or 'huber', found 'l1'"),
        ("[ensemble]\naggregation = 'mode'", "ensemble.aggregation: needs 'mean' or 'median', found 'mode'"),
        (
            "[ensemble]\ncorrection = 'forest'",
            "ensemble.correction: needs 'none', 'trees', 'process' or 'both', found 'forest'",
        ),
        (
            "[ensemble]\nrecalibrate = true",
            "ensemble.recalibrate: needs 'none', 'scale' or 'isotonic', found True",
        ),
        ("[ensemble]\npositive = true", "ensemble.positive: needs 'auto', 'yes' or 'no', found True"),
        ("improve_on = 'best'", "improve_on: needs 'mean' or 'label', found 'best'"),
        ("diversity = 1.5", "diversity: needs less than or equal to 1, found 1.5"),
        ("batch = 'many'", "batch: needs a valid integer, unable to parse string as an integer, found 'many'"),
        ("seed = -1", "seed: needs greater than or equal to 0, found -1"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_place(file, text, told):
    assert refusal(file(text)) == told


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("name", ["model.min_abs", "model.max_abs", "ensemble.dropout", "diversity"])
def test_a_number_must_be_finite(file, name, value):
    section, _, key = name.rpartition(".")
    told = refusal(file(f"[{section}]\n{key} = {value}" if section else f"{key} = {value}"))
    assert told.startswith(f"{name}: needs ")
    assert told.endswith(f", found {float(value)!r}")


def test_flags_are_checked_like_the_file():
    assert refusal(None, {"rung": 9}) == "model.rung: needs less than or equal to 3, found 9"
    assert refusal(None, {"dropout": math.nan}).startswith("ensemble.dropout: needs ")
    assert refusal(None, {"rungs": 1}).startswith("unknown setting 'rungs'")


def test_a_section_that_is_no_table_is_refused(file):
    path = file("model = 3")
    assert refusal(path).startswith("model: needs ")
    assert refusal(path, {"rung": 1}).startswith("model: needs ")
    assert refusal(file("[[ensemble]]\nmembers = 3"), {"members": 4}).startswith("ensemble: needs ")


def test_a_file_that_is_no_toml_or_no_file_is_refused(file, tmp_path):
    assert refusal(file("goal = ")).startswith("needs TOML, found: ")
    path = tmp_path / "settings.toml"
    path.write_bytes(b"goal = '\xff'")
    assert refusal(path) == "needs UTF-8 text, found byte 0xff at position 8"
    assert refusal(tmp_path / "nowhere.toml") == "cannot be read: No such file or directory"
    assert refusal(tmp_path) == "needs a regular file, found a folder, device or pipe"


def test_differences_name_each_setting_once():
    old = load_settings(None, {"rung": 1, "goal": "min"})
    new = load_settings(None, {"rung": 2, "goal": "max", "operators": ("add", "sq"), "members": 4})
    assert differences(old, new) == [
        "goal: min -> max",
        "model.operators: None -> ('add', 'sq')",
        "model.rung: 1 -> 2",
        "ensemble.members: 30 -> 4",
    ]
    assert differences(new, new) == []


def test_settings_are_frozen():
    found = CampaignSettings()
    with pytest.raises(ValidationError, match="frozen"):
        found.batch = 3
    with pytest.raises(ValidationError, match="frozen"):
        found.model.rung = 3


def test_model_settings_are_the_parameters_of_the_estimators():
    from sisso_sal.models.ensemble import SISSOEnsemble

    found = load_settings(None, {"intercept": False, "units": "none", "rung": 1, "dropout": 0.5, "transform": "log"})
    parameters = found.model.completed(ensemble=True).estimator_parameters() | found.ensemble.estimator_parameters()
    assert SISSOEnsemble(**parameters).get_params().items() >= parameters.items()
    assert (parameters["fit_intercept"], parameters["unit_rules"], parameters["rung"]) == (False, "none", 1)
    assert (parameters["dropout"], parameters["target_transform"]) == (0.5, "log")


def test_the_defaults_of_the_settings_are_those_of_the_estimators():
    from sisso_sal.models.ensemble import SISSOEnsemble
    from sisso_sal.models.regressor import SISSORegressor

    found = CampaignSettings()
    parameters = found.model.completed(ensemble=True).estimator_parameters() | found.ensemble.estimator_parameters()
    own = SISSOEnsemble().get_params()
    assert {key: own[key] for key in parameters} == parameters
    assert set(own) - set(parameters) == {"random_state", "threads", "units"}
    parameters = found.model.completed(ensemble=False).estimator_parameters()
    own = SISSORegressor().get_params()
    assert {key: own[key] for key in parameters} == parameters
    assert set(own) - set(parameters) == {"criterion", "low", "n_models", "regression", "threads", "units"}
    assert own["regression"] == found.model.regression
    assert own["low"] == ()


def test_every_kind_that_settings_know_the_ensemble_knows():
    from typing import get_args

    from sisso_sal.acquisition.scene import REFERENCES
    from sisso_sal.models import aggregation, correction, recipe, transform
    from sisso_sal.models.recalibration import KINDS

    kinds = {name: get_args(field.annotation) for name, field in EnsembleSettings.model_fields.items()}
    kinds.pop("low")  # names of columns
    assert {name: values for name, values in kinds.items() if values} == {
        "transform": transform.KINDS,
        "loss": recipe.LOSSES,
        "aggregation": aggregation.MEANS,
        "correction": correction.KINDS,
        "recalibrate": KINDS,
        "positive": recipe.POSITIVE,
    }
    assert get_args(CampaignSettings.model_fields["improve_on"].annotation) == REFERENCES


def test_a_level_is_computed_by_the_program_of_its_own_section_or_of_all(tmp_path):
    """What a level has of its own stands in the place of [calculation], but for where things are on this machine."""
    (tmp_path / "levels.toml").write_text(
        '[calculation]\ncommand = "srun aims.x"\nspecies_dir = "species"\nwith_bands = false\n'
        '[[level]]\nname = "pbe"\ncost = 1\ncolumn = "a"\n'
        '[[level]]\nname = "gw"\ncost = 2\ncolumn = "b"\ncalculation = { changes = { static = { xc = "pbe" } } }\n'
        '[[level]]\nname = "own"\ncost = 3\ncolumn = "c"\ncalculation = { command = "aims.gw.x" }\n'
    )
    made = load_settings(tmp_path / "levels.toml", {})
    found = [made.at_level(name).calculation for name in ("pbe", "gw", "own")]
    assert [one.command for one in found] == ["srun aims.x", "srun aims.x", "aims.gw.x"]
    assert {one.species_dir for one in found} == {"species"}
    assert [one.with_bands for one in found] == [False, True, True]
    assert found[1].changes == {"static": {"xc": "pbe"}}
