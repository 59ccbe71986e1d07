"""A model file gives back the same bits, and a damaged one is told so in one line."""

import copy
import json
import os
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sisso_sal.errors import InputError, ModelFileError, SissoSalError
from sisso_sal.models import files, trees
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.files import load_model, save_model
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.system.storage import write_whole

SETTINGS = {"rung": 1, "dim": 2, "n_sis": 6, "n_residual": 2, "threads": 1}
OPERATORS = ("add", "sub", "mult", "div", "sq", "sqrt", "cbrt", "exp", "neg_exp", "log", "inv", "abs_diff")


def training(names, n=30):
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(rng.uniform(0.5, 2.0, (n, len(names))), columns=names)
    y = frame.iloc[:, 0] * frame.iloc[:, 1] - np.log(frame.iloc[:, 2]) + rng.normal(0, 0.1, n)
    return frame, y.to_numpy()


def elsewhere(names):
    """Samples around and far outside the training range, some outside every domain."""
    rng = np.random.default_rng(9)
    frame = pd.DataFrame(rng.uniform(-3.0, 9.0, (200, len(names))), columns=names)
    frame.iloc[:50] = rng.uniform(0.5, 2.0, (50, len(names)))
    frame.iloc[60] = 0.0
    return frame


CASES = {
    "plain": (["a", "b", "c", "d"], {}),
    "units": (["a (eV)", "b (eV)", "c", "r (AA)"], {}),
    "no units": (["a (eV)", "b (AA)", "c", "r (kJ/mol)"], {"unit_rules": "none"}),
    "odd names": (["E gap (eV)", "Δχ \"x\\y'", "N_val, mean", "ра́диус (Å)"], {}),
    "no intercept": (["a", "b", "c", "d"], {"fit_intercept": False, "min_abs": 1e-3, "max_complexity": 1}),
    "own operators": (["a", "b", "c", "d"], {"operators": OPERATORS, "rung": 1}),
}
OPTIONS = {
    "process": {"correction": "process"},
    "trees": {"correction": "trees", "aggregation": "median", "recalibrate": "scale"},
    "transform": {"target_transform": "yeo-johnson", "loss": "huber", "members": 7},
    "formulas alone": {"correction": "none", "recalibrate": "none", "adapt": False},
}


def fitted(kind, case, **more):
    names, changes = CASES[case]
    changes = {**changes, **more}
    frame, y = training(names)
    if kind == "ensemble":
        model = SISSOEnsemble(**{**SETTINGS, "members": 5, "dropout": 0.25, "random_state": 4, **changes})
    else:
        model = SISSORegressor(**{**SETTINGS, **changes})
    return model.fit(frame, y)


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """One saved file of each kind, as text."""
    folder = tmp_path_factory.mktemp("models")
    texts = {}
    for kind in ("regressor", "ensemble"):
        save_model(folder / kind, fitted(kind, "units"), "gap", "eV")
        texts[kind] = (folder / kind).read_text(encoding="utf-8")
    return texts


def as_mapping(model, frame):
    return {name: frame.iloc[:, j].to_numpy() for j, name in enumerate(model.primaries_)}


@pytest.mark.filterwarnings("ignore:unit 'Å' is not known")
@pytest.mark.parametrize("case", sorted(CASES))
@pytest.mark.parametrize("kind", ["regressor", "ensemble"])
def test_a_reloaded_model_predicts_the_same_bits(kind, case, tmp_path):
    model = fitted(kind, case)
    path = tmp_path / "model.json"
    save_model(path, model, "E gap, Δ", "eV")
    again, target, unit = load_model(path)
    assert (type(again), target, unit) == (type(model), "E gap, Δ", "eV")
    columns = as_mapping(model, elsewhere(CASES[case][0]))
    if kind == "ensemble":
        old, new = model.predict_distribution(columns), again.predict_distribution(columns)
        assert np.isfinite(old.mean).any()
        assert np.isnan(old.mean).any()
        for name in (
            "mean",
            "std",
            "std_raw",
            "members",
            "valid",
            "interval95",
            "formulas_mean",
            "outside",
            "distance",
        ):
            assert np.array(getattr(old, name)).tobytes() == np.array(getattr(new, name)).tobytes(), name
        assert again.dropped_ == model.dropped_
        assert again.calibration_ == model.calibration_
        assert again.formula_calibration_ == model.formula_calibration_
        assert again.recalibration_ == model.recalibration_
        assert (again.chosen_, again.choices_) == (model.chosen_, model.choices_)
        materials = {"materials": model.materials_}  # known to the fit alone
        assert again.describe(columns, "gap", "eV") | materials == model.describe(columns, "gap", "eV")
        assert again.recurrence() == model.recurrence()
        assert again.certain_ == model.certain_
        assert again.certain_ is not None
    else:
        old, new = model.predict_with_validity(columns), again.predict_with_validity(columns)
        assert old[0].tobytes() == new[0].tobytes()
        assert old[1].tolist() == new[1].tolist()
        assert again.models_ == model.models_
        assert again.alternatives_ == model.alternatives_
    assert dict(zip(again.primaries_, again.units_, strict=True)) == dict(
        zip(model.primaries_, model.units_, strict=True)
    )
    assert (again.n_features_, again.rejected_) == (model.n_features_, model.rejected_)
    assert (again.n_samples_, again.n_singular_) == (model.n_samples_, model.n_singular_)


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_a_reloaded_ensemble_predicts_the_same_bits_whatever_its_options(option, tmp_path):
    model = fitted("ensemble", "plain", **OPTIONS[option])
    save_model(tmp_path / "first", model, "gap", "eV")
    again, _, _ = load_model(tmp_path / "first")
    assert (again.correction_ is None) == (OPTIONS[option].get("correction") == "none")
    columns = as_mapping(model, elsewhere(CASES["plain"][0]))
    old, new = model.predict_distribution(columns), again.predict_distribution(columns)
    for name in ("mean", "std", "std_raw", "members", "valid", "interval95", "formulas_mean", "outside", "distance"):
        assert np.array(getattr(old, name)).tobytes() == np.array(getattr(new, name)).tobytes(), name
    assert again.model_.floor == model.model_.floor
    save_model(tmp_path / "second", again, "gap", "eV")
    assert (tmp_path / "second").read_text() == (tmp_path / "first").read_text()


@pytest.mark.parametrize("kind", ["regressor", "ensemble"])
def test_saving_a_reloaded_model_gives_the_same_file(kind, documents, tmp_path):
    (tmp_path / "first").write_text(json.dumps(json.loads(documents[kind])), encoding="utf-8")
    model, target, unit = load_model(tmp_path / "first")
    save_model(tmp_path / "second", model, target, unit)
    assert (tmp_path / "second").read_text(encoding="utf-8") == documents[kind]


@pytest.mark.parametrize("kind", ["regressor", "ensemble"])
def test_a_reloaded_model_takes_a_frame_whose_columns_are_sorted_by_name(kind, documents, tmp_path):
    (tmp_path / "model").write_text(documents[kind], encoding="utf-8")
    model, _, _ = load_model(tmp_path / "model")
    assert model.feature_names_in_.tolist() == ["a (eV)", "b (eV)", "c", "r (AA)"]
    frame = elsewhere(CASES["units"][0])
    by_mapping = model.predict(as_mapping(model, frame))
    assert model.predict(frame).tobytes() == by_mapping.tobytes()
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["c", "a (eV)", "b (eV)", "r (AA)"]])


@pytest.mark.parametrize("kind", ["regressor", "ensemble"])
def test_the_file_depends_neither_on_order_nor_on_threads(kind, documents, tmp_path):
    frame, y = training(CASES["units"][0])
    rng = np.random.default_rng(3)
    for threads in (1, 2):
        rows, columns = rng.permutation(len(frame)), rng.permutation(frame.shape[1])
        model = fitted(kind, "units").set_params(threads=threads)
        model.fit(frame.iloc[rows, columns], y[rows])
        save_model(tmp_path / "model", model, "gap", "eV")
        assert (tmp_path / "model").read_text(encoding="utf-8") == documents[kind]


def refused(path):
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    told = str(caught.value)
    assert "\n" not in told
    assert told.startswith(f"{path}: ")
    return told.removeprefix(f"{path}: ")


@pytest.mark.parametrize("kind", ["regressor", "ensemble"])
def test_a_file_cut_anywhere_is_refused(kind, documents, tmp_path):
    path = tmp_path / "model.json"
    whole = documents[kind].encode()
    ends = {*range(0, len(whole), 200), len(whole) - 2, len(whole) - 3}
    for end in ends:
        path.write_bytes(whole[:end])
        assert refused(path).startswith("is no model file: needs a JSON document, found: ")
    assert len(ends) > 10


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is no model file: needs a JSON document, found: "),
        (b"\xff\xfe{}", "is no model file: needs UTF-8 text, found byte 0xff at position 0"),
        (b"PAR1\x00\x00", "is no model file: needs a JSON document, found: "),
        (b"[" * 200_000, "is no model file: needs at most 64 lists or tables within each other, found 200000"),
        (b"1" * 6000, "is no model file: needs integers of at most 64 bits, found one of 6000 digits"),
        (b"[]", "needs a file of format 'sisso-sal model', found another JSON document"),
        (b"null", "needs a file of format 'sisso-sal model', found another JSON document"),
        (b'{"format": "other"}', "needs a file of format 'sisso-sal model', found another JSON document"),
    ],
)
def test_another_file_is_refused(content, told, tmp_path):
    path = tmp_path / "model.json"
    path.write_bytes(content)
    assert refused(path).startswith(told)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert refused(tmp_path / "nowhere.json") == "cannot be read: No such file or directory"
    assert refused(tmp_path) == "needs a regular file, found a folder, device or pipe"


@pytest.mark.parametrize("kind", ["regressor", "ensemble"])
def test_a_file_without_models_or_terms_is_refused(kind, documents, tmp_path):
    path = tmp_path / "model.json"
    key = "members" if kind == "ensemble" else "models"
    path.write_text(json.dumps(put(json.loads(documents[kind]), (key,), [[]] if key == "models" else [])))
    assert refused(path) == "the model file is damaged: needs at least one model, found none"
    place = ("members", 0, "terms") if key == "members" else ("models", 0, 0, "terms")
    path.write_text(json.dumps(put(json.loads(documents[kind]), place, [])), encoding="utf-8")
    assert refused(path) == "the model file is damaged: model: needs at least one term, found none"


@pytest.mark.parametrize(("version", "shown"), [(9, "9"), (7, "7"), (0, "0"), (None, "None"), ("8", "'8'")])
def test_another_schema_is_refused(version, shown, documents, tmp_path):
    document = json.loads(documents["regressor"]) | {"schema_version": version}
    path = tmp_path / "model.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    advice = "update sisso-sal" if version == 9 else "fit the model again"
    assert refused(path) == f"needs schema version 8, found {shown}; {advice}"


def places(node, path=()):
    """Every place in a JSON document, the root left out."""
    if path:
        yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in items:
        yield from places(child, (*path, key))


def put(document, path, value):
    changed = copy.deepcopy(document)
    node = changed
    for key in path[:-1]:
        node = node[key]
    if value is KeyError:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return changed


def with_members(document, n):
    """The document of an ensemble of its first members."""
    changed = copy.deepcopy(document)
    changed["settings"]["members"] = n
    changed["members"], changed["dropped"] = changed["members"][:n], changed["dropped"][:n]
    return changed


NEEDED = {
    "regressor": [
        "kind",
        "target",
        "primaries",
        "settings",
        "n_samples",
        "n_features",
        "rejected",
        "n_singular",
        "models",
    ],
    "ensemble": [
        "kind",
        "target",
        "primaries",
        "settings",
        "n_samples",
        "complete",
        "members",
        "dropped",
        "chosen",
        "choices",
        "calibration",
        "formula_calibration",
        "recalibration",
        "correction",
        "labelled",
        "certain",
    ],
}


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind, keys in NEEDED.items() for key in keys])
def test_a_missing_key_is_named(kind, key, documents, tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps(put(json.loads(documents[kind]), (key,), KeyError)), encoding="utf-8")
    assert refused(path) == f"the model file is damaged: no key '{key}'"


DAMAGE = [KeyError, None, "x", -7, 1.5e308, [], {}, 10**400]


def some_places(document):
    """Every place, but of rows of many numbers and of lists of many rows only the first and the last."""
    for path in places(document):
        node, is_some = document, True
        for key in path:
            is_some &= not isinstance(node, list) or len(node) < 6 or key in {0, len(node) - 1}
            node = node[key]
        if is_some:
            yield path


@pytest.mark.filterwarnings("ignore:unit 'x' is not known")
@pytest.mark.parametrize("value", DAMAGE, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("kind", ["regressor", "ensemble"])
@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.faults)])
def test_no_damage_gives_another_exception(step, kind, value, documents, tmp_path, monkeypatch):
    """The values of the file in turn are left out or replaced: the file is refused in one line, or read and used."""
    monkeypatch.setattr(trees, "N_TREES", 3)
    document = json.loads(documents[kind])
    if kind == "ensemble":
        assert document["correction"] is not None
        small = with_members(document, 2)
    else:
        small = put(document, ("models",), [models[:1] for models in document["models"]])
    path = tmp_path / "model.json"
    path.write_text(json.dumps(small), encoding="utf-8")
    load_model(path)
    columns = dict.fromkeys("abcrx", np.array([1.0, 2.0]))
    told = []
    for place in list(some_places(small))[DAMAGE.index(value) % step :: step]:
        path.write_text(json.dumps(put(small, place, value)), encoding="utf-8")
        try:
            model, _, _ = load_model(path)
            with np.errstate(all="ignore"):
                assert len(model.predict(columns)) == 2
                if kind == "ensemble":
                    assert json.dumps(model.describe(columns, "gap", "eV"))
        except SissoSalError as error:
            told.append(str(error))
    assert [message for message in told if "\n" in message] == []
    assert len([message for message in told if message.startswith(f"{path}: ")]) > 10


def test_damage_of_an_ensemble_is_told(tmp_path, documents):
    document = json.loads(documents["ensemble"])
    n = document["n_samples"]
    scores, values = document["recalibration"]["scores"], document["recalibration"]["widths"]["values"]
    theta = document["correction"]["theta"][0]
    path = tmp_path / "model.json"
    for place, value, told in (
        (("settings", "members"), 6, "members: needs 6, found 5"),
        (("settings", "aggregation"), "mode", "aggregation: needs one of mean, median, found 'mode'"),
        (("settings", "dim"), 0, "dim: needs an integer from 1 to 6, found 0"),
        (("n_samples",), n + 1, f"labelled: needs {n + 1} x 4 finite numbers"),
        (("n_samples",), True, "n_samples: needs a valid integer, found True"),
        (("complete",), 1, "complete: needs a valid boolean, found 1"),
        (("target", "name"), 3, "target.name: needs text, found 3"),
        (("primaries",), document["primaries"][::-1], "primaries: needs names in order"),
        (("primaries", 0, "name"), "b", "primaries: needs names that differ"),
        (("dropped",), document["dropped"][:4], "dropped: needs names of primary features for each member"),
        (("dropped", 0), ["zz"], "dropped: needs names of primary features for each member"),
        (("chosen", "dim"), 9, "chosen: needs to be one of the choices"),
        (("choices", 0, "mae"), -1.0, "choices.0.mae: needs greater than or equal to 0, found -1.0"),
        (("labelled", 2, 1), None, f"labelled: needs {n} x 4 finite numbers"),
        (("labelled",), document["labelled"][1:], f"labelled: needs {n} x 4 finite numbers"),
        (("formula_calibration", "kind"), "scale", "formula_calibration: needs kind isotonic"),
        (("calibration", "kind"), "none", "recalibration: needs kind none as the calibration says, found isotonic"),
        (("floor",), "x", "floor: needs a valid number, found 'x'"),
        (("recalibration", "widths", "values"), values[::-1], "values: needs labels in order"),
        (("recalibration", "widths", "spread"), 0.0, "recalibration.widths.spread: needs greater than 0, found 0.0"),
        (("calibration", "scale"), "x", "calibration.scale: needs a valid number, found 'x'"),
        (("calibration",), None, "recalibration: needs a calibration, and the other way round"),
        (("recalibration",), None, "recalibration: needs a calibration, and the other way round"),
        (("recalibration", "scores"), scores[1:], f"scores: needs {len(scores)} finite numbers"),
        (("recalibration", "scores"), scores[::-1], "scores: needs numbers >= 0 in order"),
        (("correction", "kind"), "trees", "correction: needs kind both"),
        (("correction", "seed"), 1.5, "correction.seed: needs a valid integer, found 1.5"),
        (("correction", "theta", 0), theta[1:], "theta: needs 7 logarithms within the bounds of the kernel"),
        (("correction", "theta", 0, 0), 99.0, "theta: needs 7 logarithms within the bounds of the kernel"),
        (("correction", "theta"), None, "correction.theta: needs a list, found None"),
        (("correction", "target"), [1.0], "features: needs 1 x 4 finite numbers"),
        (("correction", "target"), True, "target: needs 1 finite numbers"),
        (("correction", "target", 0), "1.5", "target: needs 1 finite numbers"),
        (("correction", "seed"), 5, "correction.seed: needs 4 as random_state, found 5"),
        (("correction", "formula"), None, "correction.formula: needs numbers, found none"),
        (
            ("correction", "features", 0, 0),
            0.125,
            "correction.features: needs rows of labelled, found another one",
        ),
        (("correction",), None, "correction: needs one, as calibration and formula_calibration differ"),
        (("labelled", 0, 0), True, f"labelled: needs {n} x 4 finite numbers"),
        (("calibration", "coverage95"), 1.5, "calibration.coverage95: needs less than or equal to 1, found 1.5"),
        (("settings", "members"), 10**6, "settings.members: needs less than or equal to 10000, found 1000000"),
        (("settings", "adapt"), KeyError, "settings: no key 'adapt'"),
        (("settings", "other"), 1, "settings.other: needs no such key, found 1"),
        (("n_features", "7"), 1, "n_features: needs the rungs from 0 to 1 at most, in order"),
    ):
        path.write_text(json.dumps(put(document, place, value)), encoding="utf-8")
        assert refused(path) == f"the model file is damaged: {told}", place


def nested(depth):
    """A tree that doubles at every level."""
    return "c" if depth == 0 else ["mult", nested(depth - 1), nested(depth - 1)]


@pytest.mark.parametrize("kind", ["regressor", "ensemble"])
def test_what_a_file_says_of_a_formula_is_what_its_tree_says(kind, documents, tmp_path):
    document = json.loads(documents[kind])
    first = ("members", 0) if kind == "ensemble" else ("models", 0, 0)
    model = document[first[0]][0] if kind == "ensemble" else document["models"][0][0]
    at, term = ".".join(map(str, first)), model["terms"][0]
    path = tmp_path / "model.json"
    long, large, chain = nested(14), nested(7), "c"
    for _ in range(55 - len(first)):
        chain = ["sq", chain]
    bounded = "tree.expression: needs at most 1024 nodes in 64 levels, found more"
    deep = put(document, (*first, "terms", 0, "tree"), ["sq", ["sq", ["sq", "c"]]])
    for place, value, told in (
        (("dimension",), 3, f"terms: needs 3 as the dimension says, found {len(model['terms'])}"),
        (("terms",), 8 * model["terms"], f"{at}.terms: needs at most 7 items, found "),
        (
            ("terms", 0, "expression"),
            "c + c",
            f"{at}.terms.0.expression: needs '{term['expression']}' as the tree says",
        ),
        (("terms", 0, "complexity"), 9, f"{at}.terms.0.complexity: needs {term['complexity']} as the tree says"),
        (("terms", 0, "unit"), "kg", f"{at}.terms.0.unit: needs '{term['unit']}' as the tree says, found 'kg'"),
        (("terms", 0, "range"), [2.0, 1.0], "range: needs the smallest value first, found 2.0, 1.0"),
        (("terms", 0, "tree"), long, f"{at}.terms.0.{bounded}"),
        (("terms", 0, "tree"), ["sq", ["sq", large]], f"{at}.terms.0.expression: needs "),
        (("terms", 0, "tree"), chain, f"{at}.terms.0."),
        (
            ("terms", 0, "tree"),
            "z" * 10**6,
            f"{at}.terms.0.tree.expression: needs one of the features a, b, c, r, found",
        ),
        (("rmse",), 1e9, "rmse: needs a number below max_abs_error, found 1000000000.0"),
    ):
        path.write_text(json.dumps(put(document, (*first, *place), value)), encoding="utf-8")
        start = time.process_time()
        message = refused(path)
        assert time.process_time() - start < 5
        assert message.startswith(f"the model file is damaged: {told}"), place
        assert len(message) < 400
    for key, value in (("expression", "sq(sq(sq(c)))"), ("complexity", 3), ("unit", "")):
        deep = put(deep, (*first, "terms", 0, key), value)
    path.write_text(json.dumps(deep), encoding="utf-8")
    assert f"{at}.terms.0." in refused(path)


def test_what_the_settings_do_not_allow_is_refused(documents, tmp_path):
    document = json.loads(documents["regressor"])
    path = tmp_path / "model.json"
    for place, value, told in (
        (("settings", "rung"), 0, "n_features: needs the rungs from 0 to 0 at most, in order"),
        (("settings", "dim"), 1, "models.1.0.terms: needs at most 1 as the settings say, found 2"),
        (("settings", "operators"), ["sin"], "models.0.0.terms.0.tree: needs operators of the settings, found "),
        (
            ("settings", "max_complexity"),
            0,
            "models.0.0.terms.0.tree: needs at most 0 operators as the settings say, found 1",
        ),
        (("settings", "fit_intercept"), False, "models.0.0.intercept: needs 0 as the settings say, found "),
        (("models",), document["models"][::-1], "models: needs lists of one dimension each, in their order"),
        (("models",), [document["models"][0]] * 7, "models: needs at most 6 items, found "),
    ):
        path.write_text(json.dumps(put(document, place, value)), encoding="utf-8")
        assert refused(path).startswith(f"the model file is damaged: {told}"), place


@pytest.mark.parametrize("value", [KeyError, 0.25])
def test_members_with_different_transforms_are_refused(value, tmp_path):
    """The correction's scale is that of all members."""
    path = tmp_path / "model.json"
    save_model(path, fitted("ensemble", "plain", **OPTIONS["transform"]), "gap")
    document = json.loads(path.read_text(encoding="utf-8"))
    place = ("members", 6, "link") if value is KeyError else ("members", 6, "link", "exponent")
    path.write_text(json.dumps(put(document, place, value)), encoding="utf-8")
    assert refused(path) == "the model file is damaged: members: needs one link for all, of kind yeo-johnson"
    document["settings"]["target_transform"] = "log"
    path.write_text(json.dumps(document), encoding="utf-8")
    assert refused(path) == "the model file is damaged: members: needs one link for all, of kind log"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_lacks_is_not_read(number, tmp_path, documents):
    path = tmp_path / "model.json"
    for kind in ("regressor", "ensemble"):
        place = ("members", 0) if kind == "ensemble" else ("models", 0, 0)
        text = json.dumps(put(json.loads(documents[kind]), (*place, "intercept"), "HERE"))
        path.write_text(text.replace('"HERE"', number), encoding="utf-8")
        assert refused(path) == f"is no model file: needs finite numbers, found {number}"


def test_an_unfitted_model_is_not_saved(tmp_path):
    with pytest.raises(Exception, match="not fitted"):
        save_model(tmp_path / "model.json", SISSORegressor(), "gap")
    assert list(tmp_path.iterdir()) == []


def test_a_number_that_json_lacks_is_not_saved(tmp_path, documents, monkeypatch):
    (tmp_path / "model.json").write_text(documents["regressor"], encoding="utf-8")
    model, _, _ = load_model(tmp_path / "model.json")
    monkeypatch.setattr(
        model, "fitted_", replace(model.fitted_, counts=replace(model.fitted_.counts, n_samples=np.nan))
    )
    with pytest.raises(ValueError, match="JSON compliant"):
        save_model(tmp_path / "model.json", model, "gap", "eV")
    assert (tmp_path / "model.json").read_text(encoding="utf-8") == documents["regressor"]


def test_writing_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "a b é.txt"
    write_whole(path, "a long first text\n")
    write_whole(path, "Δ\r\n")
    assert path.read_bytes() == "Δ\r\n".encode()
    assert [p.name for p in tmp_path.iterdir()] == ["a b é.txt"]


@pytest.mark.parametrize("step", ["fsync", "replace", "open"])
def test_a_failed_write_leaves_the_old_file_alone(step, tmp_path, monkeypatch):
    path = tmp_path / "model.json"
    path.write_text("old")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    if step == "replace":
        monkeypatch.setattr(type(path), step, full)
    else:
        monkeypatch.setattr(os, step, full)
    with pytest.raises(SissoSalError) as caught:
        write_whole(path, "new")
    monkeypatch.undo()
    assert str(caught.value) == f"{path}: cannot be written: No space left on device"
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.json"]


def test_text_that_is_no_unicode_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "model.json"
    path.write_text("old")
    with pytest.raises(SissoSalError) as caught:
        write_whole(path, "half of a pair: \ud800")
    assert str(caught.value).startswith(f"{path}: cannot be written: ")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.json"]


def test_a_file_is_not_written_into_a_missing_folder_or_over_a_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SissoSalError, match=r"cannot be written: No such file or directory$"):
        write_whole(tmp_path / "nowhere" / "a.txt", "x")
    with pytest.raises(SissoSalError, match=r"cannot be written: "):
        write_whole(tmp_path / "folder", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_the_error_is_one_of_input():
    assert issubclass(ModelFileError, InputError)
    assert ModelFileError.exit_code == 2
    assert files.SCHEMA_VERSION == 8
