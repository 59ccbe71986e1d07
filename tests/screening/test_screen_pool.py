"""What a screening says is what `predict` says of the whole table, however the pool is cut and whoever computes."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from candidates import call, exact, labelled, oxides

from sisso_sal.acquisition.goal import Goal
from sisso_sal.api.prediction import columns_for
from sisso_sal.api.screening import ScreeningWish, screen_pool
from sisso_sal.errors import CampaignError, ModelFileError, SettingsError, TableError, UnitError
from sisso_sal.models.files import read_model
from sisso_sal.protocols.cause import counted
from sisso_sal.screening import block, columns, pools, shards
from sisso_sal.screening.driver import begin
from sisso_sal.screening.tally import BestOfPool
from sisso_sal.spaces.table import TableSpace
from sisso_sal.system.executors import HERE


@pytest.fixture
def small(monkeypatch):
    """Shards and blocks of a few rows."""
    monkeypatch.setattr(shards, "JOINED", 120)
    monkeypatch.setattr(shards, "MOST_ROWS", 200)
    monkeypatch.setattr(columns, "LOOKED_AT", 100)
    for module in (block, pools):
        monkeypatch.setattr(module, "N_ROWS", 37)


def screened(model, pool, out, *, tell=lambda line: None, **wanted):
    return screen_pool(model, str(pool), out, ScreeningWish(**{"top": 25, **wanted}), HERE, tell=tell)


def whole(model, path):
    """Ids and prediction of all rows at once."""
    learned = read_model(model).model
    table, features = columns_for(learned, path, None, None, lambda line: None)
    return table.ids, learned.predict_distribution(features, TableSpace(table).composition)


def predictions(out):
    return pd.concat([pd.read_parquet(path) for path in sorted((out / "predictions").iterdir())], ignore_index=True)


def top(out):
    return exact(out / "top.csv")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("which", ["model", "formulas_alone"])
def test_every_number_is_that_of_the_whole_table(request, tmp_path, pool, which):
    model, goal = request.getfixturevalue(which), Goal.parse(">=5")
    pool.to_parquet(tmp_path / "pool.parquet", row_group_size=300)
    document = screened(model, tmp_path / "pool.parquet", tmp_path / "out", goal=">=5", keeps_all=True)
    ids, told = whole(model, tmp_path / "pool.parquet")
    found, likely = predictions(tmp_path / "out"), told.told.probability(low=5)
    assert found["id"].tolist() == list(ids)
    for name in ("mean", "std", "formulas_mean", "n_valid", "outside", "distance"):
        np.testing.assert_array_equal(found[name], getattr(told, name), name)
    np.testing.assert_array_equal(found[["low95", "high95"]].to_numpy().T, told.interval95)
    np.testing.assert_array_equal(found["p_hit"], likely)
    assert found["reason"].tolist() == told.reason.tolist()
    order = sorted(np.flatnonzero(~np.isnan(told.mean)), key=lambda row: (-likely[row], ids[row]))[:25]
    best = top(tmp_path / "out")
    assert best["id"].tolist() == [ids[row] for row in order]
    np.testing.assert_array_equal(best["mean (eV)"], told.mean[order])
    np.testing.assert_array_equal(best["EA (eV)"], pool["EA (eV)"][order])
    assert document["n_shards"] == 5
    assert document["n_predicted"] == int(np.isfinite(told.mean).sum()) > 400
    assert document["without_prediction"] == counted(told.reason)
    np.testing.assert_allclose(document["expected_hits"], np.nansum(likely), rtol=1e-12)
    bins = document["histogram"]
    inside, _ = np.histogram(told.mean[np.isfinite(told.mean)], bins["edges"])
    assert bins["counts"] == inside.tolist()
    assert sum(inside) + bins["below"] + bins["above"] == document["n_predicted"]
    assert goal.has_bound


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("acquisition", ["ei", "lcb", "member_ei", "mean", "log_ei", "pi", "std"])
def test_scores_of_a_search_for_the_largest(tmp_path, model, pool, acquisition):
    """The reference is the best prediction of a material with a label."""
    from sisso_sal.acquisition.proposal import score
    from sisso_sal.acquisition.registry import acquisition_named
    from sisso_sal.acquisition.scene import Materials, Policy, set_scene

    pool.to_parquet(tmp_path / "pool.parquet")
    document = screened(model, tmp_path / "pool.parquet", tmp_path / "out", goal="max", acquisition=acquisition, top=9)
    ids, told = whole(model, tmp_path / "pool.parquet")
    target = np.full(len(ids), np.nan)
    target[0] = document["improve_on"]  # a label for which the scene can stand in, if its prediction is left alone
    policy = Policy(acquisition_named(acquisition), improve_on="label")
    features = pool.iloc[:, 1:].to_numpy()
    scene = set_scene(told, Materials(ids, features, target), Goal.parse("max"), policy, np.random.default_rng(0))
    scores = score(scene).scores
    order = sorted(np.flatnonzero(~np.isnan(scores)), key=lambda row: (-scores[row], ids[row]))[:9]
    best = top(tmp_path / "out")
    assert best["id"].tolist() == [ids[row] for row in order]
    np.testing.assert_array_equal(best["score"], scores[order])


@pytest.mark.usefixtures("small")
def test_the_pool_may_come_in_any_form(tmp_path, model, pool):
    """A file, a folder with row groups of odd sizes, a CSV file, columns in another order or unit: the same candidates."""
    pool.to_parquet(tmp_path / "whole.parquet")
    pool.to_csv(tmp_path / "whole.csv", index=False)
    other = (
        pool[pool.columns[::-1]].rename(columns={"EA (eV)": "EA (meV)"}).assign(**{"EA (meV)": 1000 * pool["EA (eV)"]})
    )
    other["note"] = "text"
    (tmp_path / "folder").mkdir()
    for name, rows, size in (("b", slice(13, 300), 41), ("a", slice(0, 13), 5), ("c", slice(300, None), 301)):
        other[rows].to_parquet(tmp_path / "folder" / f"{name}.parquet", row_group_size=size)
    found = {}
    for name in ("whole.parquet", "whole.csv", "folder"):
        screened(model, tmp_path / name, tmp_path / f"out-{name}", goal="min")
        found[name] = top(tmp_path / f"out-{name}")
    pd.testing.assert_frame_equal(found["whole.parquet"], found["whole.csv"], check_exact=True)
    # A thousandth of a thousand times a number differs from it in the last bit.
    pd.testing.assert_frame_equal(found["whole.parquet"], found["folder"], rtol=1e-9)


def test_units_may_stand_in_the_schema(tmp_path, formulas_alone, pool):
    fields = {"EA": "meV", "IP": "eV", "r": "AA", "z": ""}
    plain = pool.rename(columns=lambda header: header.partition(" ")[0]).assign(EA=1000 * pool["EA (eV)"])
    table = pa.Table.from_pandas(plain, preserve_index=False)
    schema = pa.schema([c.with_metadata({"unit": fields[c.name]}) if fields.get(c.name) else c for c in table.schema])
    pq.write_table(table.cast(schema), tmp_path / "pool.parquet")
    pool.to_parquet(tmp_path / "other.parquet")
    for name in ("pool", "other"):
        screened(formulas_alone, tmp_path / f"{name}.parquet", tmp_path / name)
    pd.testing.assert_frame_equal(top(tmp_path / "pool"), top(tmp_path / "other"), rtol=1e-9)


@pytest.mark.usefixtures("small")
def test_candidates_that_cannot_be_predicted_are_counted(tmp_path, model, pool):
    """One bad row in millions is no reason to stop."""
    odd = pool.copy()
    odd.loc[3, "EA (eV)"], odd.loc[150, "z"], odd.loc[301, "formula"] = np.inf, np.nan, "sample 7"
    odd.to_parquet(tmp_path / "pool.parquet")
    pool.to_parquet(tmp_path / "whole.parquet")
    document = screened(model, tmp_path / "pool.parquet", tmp_path / "out", keeps_all=True)
    assert document["without_prediction"]["a feature that is no finite number"] == 2
    assert document["without_prediction"]["no formula that can be read"] == 1
    _, told = whole(model, tmp_path / "whole.parquet")
    found, others = predictions(tmp_path / "out"), np.setdiff1d(np.arange(700), [3, 150, 301])
    np.testing.assert_array_equal(found["mean"][others], told.mean[others])
    assert found["mean"][[3, 150, 301]].isna().all()


@pytest.mark.usefixtures("small")
def test_formulas_that_do_without_a_feature_do_not_speak_for_those_that_need_it(tmp_path, formulas_alone, pool):
    """A mean over some of the members would be the mean of another ensemble, of which nothing is known."""
    needed = read_model(formulas_alone).model.needed
    odd = pool.copy()
    for row, name in enumerate(needed):
        column = next(own for own in odd.columns if own.split(" (")[0] == name)
        odd.loc[10 * row + 5, column] = np.nan
    odd.to_parquet(tmp_path / "pool.parquet")
    document = screened(formulas_alone, tmp_path / "pool.parquet", tmp_path / "out", keeps_all=True)
    assert document["without_prediction"]["a feature that is no finite number"] == len(needed) > 1
    found = predictions(tmp_path / "out")
    lacking = 10 * np.arange(len(needed)) + 5
    assert found["mean"][lacking].isna().all()
    assert set(found["reason"][lacking]) == {"a feature that is no finite number"}
    pool.to_parquet(tmp_path / "whole.parquet")
    _, told = whole(formulas_alone, tmp_path / "whole.parquet")
    others = np.setdiff1d(np.arange(700), lacking)
    np.testing.assert_array_equal(found["mean"][others], told.mean[others])


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_elements_that_are_not_wanted(tmp_path, formulas_alone, pool, form):
    """Also by a model that has learned nothing from compositions."""
    pool.to_parquet(tmp_path / "pool.parquet")
    pool.to_csv(tmp_path / "pool.csv", index=False)
    path = tmp_path / f"pool.{form}"
    document = screened(formulas_alone, path, tmp_path / "out", exclude=("V", "Sr"), only=("V", "Li", "Na", "Ti", "Fe"))
    metals = pool["formula"].str.findall("[A-Z][a-z]?").map(set)
    is_wanted = metals.map(lambda found: found <= {"Li", "Na", "Ti", "Fe", "O"}).to_numpy()
    assert document["n_excluded"] == (~is_wanted).sum() > 300
    _, told = whole(formulas_alone, tmp_path / "pool.parquet")
    assert document["n_predicted"] == (is_wanted & np.isfinite(told.mean)).sum()
    assert {*top(tmp_path / "out")["id"]} <= {*pool["formula"][is_wanted]}
    bare = pool.assign(formula=[f"sample {number}" for number in range(700)])
    bare.to_parquet(tmp_path / "bare.parquet")
    with pytest.raises(SettingsError, match="elements can be excluded only where candidates have formulas, found none"):
        screened(formulas_alone, tmp_path / "bare.parquet", tmp_path / "bare", exclude=("V",))


def test_without_ids_rows_have_numbers(tmp_path, formulas_alone, pool):
    features = pool.drop(columns="formula")
    (tmp_path / "pool").mkdir()
    features[:100].to_parquet(tmp_path / "pool" / "a.parquet")
    features[100:].to_parquet(tmp_path / "pool" / "b.parquet")
    screened(formulas_alone, tmp_path / "pool", tmp_path / "out", keeps_all=True)
    assert predictions(tmp_path / "out")["id"].tolist() == [str(number) for number in range(1, 701)]


def test_what_is_missing_is_named(tmp_path, model, formulas_alone, pool):
    for name, frame in {
        "none": pool.drop(columns="IP (eV)"),
        "text": pool.assign(**{"IP (eV)": "9"}),
        "unit": pool.rename(columns={"IP (eV)": "IP (AA)"}),
        "empty": pool[:0],
    }.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
    for name, error, words in (
        ("none", TableError, r"there is no column 'IP'; columns are .* \(\d of 6 formulas use it\)"),
        ("text", TableError, "column 'IP' needs numbers, found '(large_)?string'"),
        ("unit", UnitError, "column 'IP': "),
        ("empty", TableError, "needs at least one row, found none"),
    ):
        with pytest.raises(error, match=words):
            screened(formulas_alone, tmp_path / f"{name}.parquet", tmp_path / "out")
    (tmp_path / "both").mkdir()
    pool.to_parquet(tmp_path / "both" / "a.parquet")
    pool.rename(columns={"IP (eV)": "IP (meV)"}).to_parquet(tmp_path / "both" / "b.parquet")
    with pytest.raises(TableError, match=r"b.parquet: needs a column 'IP \(eV\)' as in .*a.parquet"):
        screened(model, tmp_path / "both", tmp_path / "out")


def test_a_damaged_file_is_one_line(tmp_path, formulas_alone, pool):
    """Also where the damage is seen only by the worker that reads the page."""
    path = tmp_path / "pool.parquet"
    pool.to_parquet(path, compression="zstd")
    content = bytearray(path.read_bytes())
    place = content.index(b"\x28\xb5\x2f\xfd", len(content) // 2)  # a page begins
    content[place : place + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"pool\.parquet: needs a readable Parquet file, found: "):
        screened(formulas_alone, path, tmp_path / "out")


def test_goals_and_scores_that_need_the_whole_pool_are_refused(tmp_path, model, pool):
    pool.to_parquet(tmp_path / "pool.parquet")
    for wanted, words in (
        ({"goal": "min 10%"}, "goal: needs min, max or a bound, found 'min 10%'"),
        ({"acquisition": "hits"}, "acquisition: needs a goal with a bound for 'hits'"),
        ({"acquisition": "random"}, "needs one that scores candidates by their predictions, found 'random'"),
        ({"goal": "1..2", "acquisition": "ei"}, "acquisition: needs one of .* for the window"),
    ):
        with pytest.raises(SettingsError, match=words):
            screened(model, tmp_path / "pool.parquet", tmp_path / "out", **wanted)


@pytest.mark.usefixtures("small")
def test_only_what_is_missing_is_done(tmp_path, model, pool, monkeypatch):
    (tmp_path / "pool").mkdir()
    for number, rows in enumerate((slice(0, 250), slice(250, 400))):
        pool[rows].to_parquet(tmp_path / "pool" / f"{number}.parquet", row_group_size=60)
    first = screened(model, tmp_path / "pool", tmp_path / "out", keeps_all=True)
    assert first["run"]["n_rows"] == 400
    again = screened(model, tmp_path / "pool", tmp_path / "out", keeps_all=True)
    assert again["run"] | {"seconds": 0} == {
        "n_removed": 0, "n_rows": 0, "n_shards": 0, "n_rows_before": 400, "seconds": 0, "rows_per_second": None,
    }  # fmt: skip
    pool[400:].to_parquet(tmp_path / "pool" / "2.parquet")
    grown = screened(model, tmp_path / "pool", tmp_path / "out", keeps_all=True)
    assert (grown["run"]["n_rows"], grown["n_rows"]) == (300, 700)
    next((tmp_path / "out" / "predictions").iterdir()).unlink()
    mended = screened(model, tmp_path / "pool", tmp_path / "out", keeps_all=True)
    assert mended["run"]["n_shards"] == 1
    assert {k: v for k, v in mended.items() if k != "run"} == {k: v for k, v in grown.items() if k != "run"}


@pytest.mark.usefixtures("small")
def test_predictions_are_those_of_the_pool_as_it_is(tmp_path, formulas_alone, pool):
    """A file that was written anew, or is gone, leaves nothing behind."""
    (tmp_path / "pool").mkdir()
    for number in range(3):
        pool[200 * number : 200 * (number + 1)].to_parquet(tmp_path / "pool" / f"{number}.parquet")
    screened(formulas_alone, tmp_path / "pool", tmp_path / "out", keeps_all=True)
    pool[600:].to_parquet(tmp_path / "pool" / "1.parquet")
    (tmp_path / "pool" / "2.parquet").unlink()
    done = screened(formulas_alone, tmp_path / "pool", tmp_path / "out", keeps_all=True)
    assert predictions(tmp_path / "out")["id"].tolist() == [*pool["formula"][:200], *pool["formula"][600:]]
    assert (done["run"]["n_rows"], done["run"]["n_removed"], done["n_rows"]) == (100, 2, 300)
    assert {*top(tmp_path / "out")["id"]} <= {*pool["formula"][:200], *pool["formula"][600:]}


def test_other_settings_are_refused_with_their_differences(tmp_path, model, formulas_alone, pool):
    pool.to_parquet(tmp_path / "pool.parquet")
    screened(model, tmp_path / "pool.parquet", tmp_path / "out", goal="min")
    with pytest.raises(
        CampaignError, match=r"undo these changes:\n  goal: min -> <=3\n  acquisition: ei -> hits$"
    ) as error:
        screened(model, tmp_path / "pool.parquet", tmp_path / "out", goal="<=3")
    assert "give another --out" in str(error.value)
    assert "value to improve on" not in str(error.value)  # it follows from the goal
    with pytest.raises(CampaignError, match="the formulas and what was learned on top of them differ"):
        screened(formulas_alone, tmp_path / "pool.parquet", tmp_path / "out", goal="min")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(CampaignError, match="needs a new folder or one of an earlier screening, found other files"):
        screened(model, tmp_path / "pool.parquet", tmp_path / "mine", goal="min")


def test_a_model_that_changes_meanwhile_is_noticed(tmp_path, model, pool, monkeypatch):
    copy = tmp_path / "model.json"
    copy.write_bytes(model.read_bytes())
    pool.to_parquet(tmp_path / "pool.parquet")

    def begin_and_change(*arguments):
        begin(*arguments)
        copy.write_text("{}")

    monkeypatch.setattr("sisso_sal.api.screening.begin", begin_and_change)
    with pytest.raises(ModelFileError, match="has changed since the screening"):
        screened(copy, tmp_path / "pool.parquet", tmp_path / "out")


def test_a_single_formula(tmp_path, pool):
    labelled(oxides(60, 1)).to_csv(tmp_path / "table.csv", index=False)
    call(
        "fit",
        "table.csv",
        "--target",
        "gap",
        "--rung",
        "1",
        "--dim",
        "1",
        "--threads",
        "1",
        "--out",
        "one.json",
        folder=tmp_path,
    )
    pool.to_parquet(tmp_path / "pool.parquet")
    document = screened(
        tmp_path / "one.json", tmp_path / "pool.parquet", tmp_path / "out", goal="max", keeps_all=True, top=5
    )
    learned = read_model(tmp_path / "one.json").model
    _, features = columns_for(learned, tmp_path / "pool.parquet", None, None, print)
    mean, valid = learned.predict_with_validity(features)
    found = predictions(tmp_path / "out")
    np.testing.assert_array_equal(found["mean"], np.where(valid, mean, np.nan))
    assert found.columns.tolist() == ["id", "mean", "score", "reason"]
    best = sorted(np.flatnonzero(valid), key=lambda row: (-mean[row], pool["formula"][row]))[:5]
    assert top(tmp_path / "out")["id"].tolist() == pool["formula"][best].tolist()
    assert document["expected_hits"] is None


def test_equal_scores_are_ordered_by_id():
    """Also where they come in parts, and more of them than are kept."""
    rng = np.random.default_rng(0)
    scores, ids = rng.integers(0, 3, 400) / 2.0, [f"m{number:03d}" for number in rng.permutation(400)]
    scores[::7] = np.nan
    scores[1::50] = -np.inf
    best = BestOfPool(10, pa.schema({"id": pa.string(), "score": pa.float64()}))
    for start in range(0, 400, 23):
        part = slice(start, start + 23)
        rows = best.reaching(scores[part])
        best.add(pa.table({"id": np.array(ids[part])[rows], "score": scores[part][rows]}))
    order = sorted((row for row in range(400) if scores[row] > -np.inf), key=lambda row: (-scores[row], ids[row]))
    assert best.table()["id"].to_pylist() == [ids[row] for row in order[:10]]


def test_units_stand_in_the_schema_of_what_is_written(tmp_path, model, pool):
    pool.to_parquet(tmp_path / "pool.parquet")
    screened(model, tmp_path / "pool.parquet", tmp_path / "out", keeps_all=True)
    schema = pq.read_schema(next((tmp_path / "out" / "predictions").iterdir()))
    assert schema.field("std").metadata == {b"unit": b"eV"}
    assert schema.field("p_hit").metadata is None
    about = json.loads(schema.metadata[b"sisso-sal"])
    assert (about["target"], about["goal"], about["acquisition"]) == ("gap", "min", "ei")
