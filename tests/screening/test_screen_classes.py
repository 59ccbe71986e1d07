"""Screening by a model of classes: what `predict` says of the whole table, ranked by the probability of what is looked for."""

import json

import numpy as np
import pandas as pd
import pytest
from candidates import call, exact, labelled, oxides

from sisso_sal import SISSOClassifier, SISSOClassifierEnsemble
from sisso_sal.api.screening import ScreeningWish, screen_pool
from sisso_sal.errors import CampaignError, ModelFileError, SettingsError
from sisso_sal.models.files import read_any_model, read_model, save_model
from sisso_sal.report.text.screening import screening_text
from sisso_sal.screening import block, pools, shards
from sisso_sal.screening.driver import Share
from sisso_sal.system.executors import HERE

FEATURES = ["EA (eV)", "IP (eV)", "r (AA)", "z"]
OF_ALL = {"rung": 1, "dim": 2, "n_sis": 6, "operators": ("add", "div", "sqrt", "log"), "threads": 1}
NAMES = {2: ["wide", "narrow"], 3: ["wide", "middle", "narrow"]}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Model files by what they hold: one model or an ensemble, of two classes, three, or three with numbers as names."""
    folder = tmp_path_factory.mktemp("classes")
    frame = labelled(oxides(90, 1))
    gap, positive = frame["gap (eV)"], frame.assign(z=frame["z"].abs())[FEATURES]
    two = np.where(gap > gap.median(), "wide", "narrow")
    three = np.array(["narrow", "middle", "wide"])[np.searchsorted(gap.quantile([0.33, 0.66]), gap)]
    numbers = np.array([62, 167, 221])[np.searchsorted(gap.quantile([0.33, 0.66]), gap)]
    for name, labels in (("2", two), ("3", three), ("numbers", numbers)):
        ensemble = SISSOClassifierEnsemble(members=5, dropout=0.4, **OF_ALL).fit(positive, labels)
        save_model(folder / f"ensemble-{name}.json", ensemble, "kind")
    save_model(folder / "one-2.json", SISSOClassifier(**OF_ALL).fit(positive, two), "kind")
    return folder


@pytest.fixture(scope="module")
def odd_pool(pool):
    """A few hundred candidates: formulas are not defined for some, others lie far out, and some have gaps."""
    frame = pool[:400].copy()
    frame.loc[frame.index[::9], ["r (AA)", "EA (eV)", "IP (eV)", "z"]] *= [40, 60, 0.01, 90]
    frame.loc[[3, 150, 301], "EA (eV)"] = [np.inf, np.nan, -np.inf]
    frame.loc[[3, 77], "z"] = np.nan
    return frame


@pytest.fixture
def small(monkeypatch):
    """Shards and blocks of a few rows."""
    monkeypatch.setattr(shards, "JOINED", 120)
    monkeypatch.setattr(shards, "MOST_ROWS", 200)
    for module in (block, pools):
        monkeypatch.setattr(module, "N_ROWS", 37)


def screened(model, pool, out, *, tell=lambda line: None, share=None, **wanted):
    return screen_pool(model, str(pool), out, ScreeningWish(**{"top": 25, **wanted}), HERE, tell=tell, share=share)


def predictions(out):
    return pd.concat([pd.read_parquet(path) for path in sorted((out / "predictions").iterdir())], ignore_index=True)


def naive(frame, model, wanted):
    """The slow twin: what each member says by itself of the rows of a pool, put together as the documents say."""
    learned = read_any_model(model).model
    columns = {header.partition(" ")[0]: frame[header].to_numpy() for header in FEATURES}
    is_ensemble = hasattr(learned, "models") and hasattr(learned, "scaling")
    members = learned.models if is_ensemble else [learned.model]
    said = np.array([member.probability(columns) for member in members])
    far = np.array([member.cause(columns) > 0 for member in members])
    names, rows = [str(name) for name in learned.classes], []
    for k in range(said.shape[1]):
        defined = [own for own in said[:, k] if not np.isnan(own).any()]
        is_whole = all(np.isfinite(columns[name][k]) for name in learned.needed)
        p = np.full(len(names), np.nan)
        if is_whole and defined:
            p = np.mean(defined, axis=0)
            p = learned.scaling.applied(p[None])[0] if is_ensemble else p
        own = [learned.scaling.applied(one[None])[0] if is_ensemble else one for one in defined if is_whole]
        hits = [sum(one[names.index(name)] for name in wanted) for one in own]
        rows.append({
            "p_hit": sum(p[names.index(name)] for name in wanted), "spread": np.std(hits, ddof=1) if len(hits) > 1 else np.nan,
            "class": "" if np.isnan(p[0]) else names[int(p.argmax())], "probability": p.max(),
            "n_valid": len(defined) if is_whole else 0, "outside": far[:, k].mean() if is_whole else 1.0,
            **{f"p({name})": value for name, value in zip(names, p, strict=True)},
        })  # fmt: skip
    return pd.DataFrame(rows)


def ranked(told, ids, most=25):
    """Rows in the order in which they are to be ranked."""
    able = [row for row in range(len(told)) if not np.isnan(told["p_hit"][row]) and told["outside"][row] <= 0.5]
    return sorted(able, key=lambda row: (-told["p_hit"][row], ids[row]))[:most]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("which", "wanted"),
    [
        ("ensemble-2", ["wide"]),
        ("ensemble-3", ["narrow", "wide"]),
        ("ensemble-numbers", ["221"]),
        ("one-2", ["narrow"]),
    ],
)
def test_every_number_is_that_of_the_whole_table(tmp_path, files, odd_pool, which, wanted):
    model, path, is_ensemble = files / f"{which}.json", tmp_path / "pool.parquet", which != "one-2"
    odd_pool.to_parquet(path, row_group_size=150)
    document = screened(model, path, tmp_path / "out", goal=f"={','.join(wanted)}", keeps_all=True)
    found, told = predictions(tmp_path / "out"), naive(odd_pool, model, wanted)
    left_out = [] if is_ensemble else ["spread", "n_valid"]
    assert {*told.columns} - {*left_out} | {"id", "score", "reason"} == {*found.columns}
    assert found["id"].tolist() == odd_pool["formula"].tolist()
    for name in told.columns.drop(left_out):
        if name == "class":
            assert found[name].tolist() == told[name].tolist()
        else:
            np.testing.assert_allclose(found[name], told[name], rtol=1e-12, atol=1e-15, err_msg=name)
    assert ((found["reason"] == "") == found["p_hit"].notna()).all()
    order = ranked(found, found["id"])
    best = exact(tmp_path / "out" / "top.csv")
    assert best["id"].tolist() == found["id"][order].tolist()
    np.testing.assert_array_equal(best["p_hit"], found["p_hit"][order])
    np.testing.assert_array_equal(best["IP (eV)"], odd_pool["IP (eV)"].to_numpy()[order])
    classes = pd.read_csv(tmp_path / "out" / "top.csv", dtype=str)["class"]
    assert classes.tolist() == found["class"][order].tolist()
    known = found["p_hit"].notna()
    assert document["n_predicted"] == known.sum() < 400
    assert document["n_extrapolated"] == (known & (found["outside"] > 0.5)).sum() > 0
    assert document["without_prediction"] == found["reason"][~known].value_counts().to_dict()
    assert document["without_prediction"]["a feature that is no finite number"] >= 3
    np.testing.assert_allclose(document["expected_hits"], found["p_hit"].sum(), rtol=1e-12)
    for own in document["classes"]:
        assert own["n_told"] == (found["class"] == own["name"]).sum()
        np.testing.assert_allclose(own["expected"], found[f"p({own['name']})"].sum(), rtol=1e-12)
    assert sum(document["histogram_of_p_hit"]) == document["n_predicted"]
    assert document["histogram"] is None


@pytest.mark.usefixtures("small")
def test_a_row_is_told_what_predict_tells(tmp_path, files, pool):
    """To the last bit, however the pool is cut; without `--all-predictions` too, where the spread is made for the best alone."""
    pool.to_csv(tmp_path / "pool.csv", index=False)
    pool.to_parquet(tmp_path / "pool.parquet", row_group_size=91)
    model = files / "ensemble-3.json"
    call("predict", model, "pool.csv", "--out", "predicted.csv", folder=tmp_path)
    predicted = exact(tmp_path / "predicted.csv").set_index("id")
    found = {}
    for form in ("csv", "parquet"):
        screened(model, tmp_path / f"pool.{form}", tmp_path / form, goal="=middle", top=700, keeps_all=form == "csv")
        found[form] = exact(tmp_path / form / "top.csv").set_index("id")
    pd.testing.assert_frame_equal(found["csv"], found["parquet"], check_exact=True)
    best, names = found["csv"], ["probability", "p(middle)", "p(narrow)", "p(wide)", "n_valid", "outside"]
    predicted = predicted.loc[best.index]
    assert best["class"].tolist() == predicted["class"].tolist()
    for name in names:
        np.testing.assert_array_equal(best[name], predicted[name], name)
    np.testing.assert_array_equal(best["p_hit"], predicted["p(middle)"])
    same = (best["class"] == "middle").to_numpy()
    assert 10 < same.sum() < len(best) > 100
    np.testing.assert_allclose(best["spread"][same], predicted["spread"][same], rtol=1e-9)


@pytest.mark.usefixtures("small")
def test_parts_change_nothing_and_what_is_missing_is_done(tmp_path, files, odd_pool):
    """One file or many, all at once or share by share, and after an end in between: the same best."""
    model, wanted = files / "ensemble-3.json", {"goal": "=wide, middle", "keeps_all": True}
    odd_pool.to_parquet(tmp_path / "whole.parquet", row_group_size=400)
    (tmp_path / "parts").mkdir()
    for number, start in enumerate([0, 1, 38, 250]):
        part = odd_pool[start : [1, 38, 250, 400][number]]
        part.to_parquet(tmp_path / "parts" / f"{number}.parquet", row_group_size=33)
    documents = {
        name: screened(model, tmp_path / name, tmp_path / f"of-{name}", **wanted) for name in ("whole.parquet", "parts")
    }
    screened(model, tmp_path / "parts", tmp_path / "again", share=Share(2, 3), **wanted)
    (next((tmp_path / "again" / "predictions").iterdir())).unlink()
    documents["again"] = screened(model, tmp_path / "parts", tmp_path / "again", **wanted)
    assert 0 < documents["again"]["run"]["n_shards"] < documents["again"]["n_shards"]
    tops = [(tmp_path / out / "top.csv").read_bytes() for out in ("of-whole.parquet", "of-parts", "again")]
    assert tops[0] == tops[1] == tops[2]
    pd.testing.assert_frame_equal(
        predictions(tmp_path / "of-whole.parquet"), predictions(tmp_path / "of-parts"), check_exact=True
    )
    whole, parts, again = ({k: v for k, v in one.items() if k not in {"run", "folder"}} for one in documents.values())
    assert parts == again
    sums = {"n_shards", "expected_hits", "classes"}
    assert {k: v for k, v in whole.items() if k not in sums} == {k: v for k, v in parts.items() if k not in sums}
    for one, other in zip(whole["classes"], parts["classes"], strict=True):
        assert one["n_told"] == other["n_told"]
        assert one["expected"] == pytest.approx(other["expected"], rel=1e-12)


@pytest.mark.usefixtures("small")
def test_equal_probabilities_are_ordered_by_id(tmp_path, files, pool):
    twins = pd.concat([pool[:60].assign(formula=[f"{kind}{n:02d}" for n in range(60)]) for kind in "cab"])
    twins.to_parquet(tmp_path / "pool.parquet")
    screened(files / "ensemble-2.json", tmp_path / "pool.parquet", tmp_path / "out", goal="=wide", top=20)
    best = exact(tmp_path / "out" / "top.csv")
    order = sorted(range(20), key=lambda row: (-best["p_hit"][row], best["id"][row]))
    assert order == list(range(20))
    assert [id[0] for id in best["id"][:6]] == [*"abcabc"]


@pytest.mark.usefixtures("small")
def test_the_least_sure_may_be_wanted(tmp_path, files, pool):
    pool.to_parquet(tmp_path / "pool.parquet")
    wanted = {"goal": "=narrow", "acquisition": "std", "top": 700}
    screened(files / "ensemble-2.json", tmp_path / "pool.parquet", tmp_path / "out", **wanted)
    best = exact(tmp_path / "out" / "top.csv")
    np.testing.assert_allclose(best["score"], np.sqrt(best["p_hit"] * (1 - best["p_hit"])), rtol=1e-9)
    assert best["score"].is_monotonic_decreasing
    assert abs(best["p_hit"][0] - 0.5) < 0.05


def test_what_is_asked_for_must_be_a_class_of_the_model(tmp_path, files, pool, model):
    pool.to_parquet(tmp_path / "pool.parquet")
    two, three = files / "ensemble-2.json", files / "ensemble-3.json"
    needed = "goal: needs the class to look for with a model of classes, such as '=narrow' or '=wide', found none; "
    unknown = f"goal: needs classes that {three} tells (middle, narrow, wide), found 'wde'; did you mean 'wide'?"
    every = f"goal: needs to leave out a class that {two} tells (narrow, wide), found all of them"
    able = "acquisition: needs one of hits, mli, std to screen for the classes =wide, found "
    for path, wanted, words in (
        (two, {}, f"{needed}{two} tells narrow, wide"),
        (files / "one-2.json", {}, needed),
        (three, {"goal": "<=0.3"}, "such as '=middle' or '=narrow', found '<=0.3'"),
        (three, {"goal": "min"}, "found 'min'"),
        (three, {"goal": "=wde"}, unknown),
        (two, {"goal": "=wide,middle"}, "found 'middle'"),
        (two, {"goal": "=wide,narrow"}, every),
        (two, {"goal": "="}, "goal: needs names of classes that differ, with commas between them"),
        (two, {"goal": "=wide", "acquisition": "ei"}, f"{able}'ei'"),
        (two, {"goal": "=wide", "acquisition": "random"}, f"{able}'random'"),
        (two, {"goal": "=wide", "acquisition": "best"}, "acquisition: needs"),
        (
            model,
            {"goal": "=wide"},
            "goal: needs a bound, min or max with a model of numbers, found the classes '=wide'",
        ),
    ):
        with pytest.raises(SettingsError) as error:
            screened(path, tmp_path / "pool.parquet", tmp_path / "out", **wanted)
        assert words in str(error.value)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
    screened(two, tmp_path / "pool.parquet", tmp_path / "out", goal="=wide")
    with pytest.raises(CampaignError, match=r"undo these changes:\n  goal: =wide -> =narrow$"):
        screened(two, tmp_path / "pool.parquet", tmp_path / "out", goal="=narrow")
    with pytest.raises(ModelFileError, match="found an ensemble of classifiers; predict, screen and export take it"):
        read_model(two)


def test_features_may_have_the_names_of_columns(tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.uniform(1, 2, (60, 2)), columns=["class (eV)", "p(a) (eV)"])
    labels = np.where(X["class (eV)"] > X["p(a) (eV)"], "a", "b")
    save_model(
        tmp_path / "model.json",
        SISSOClassifier(rung=1, dim=1, n_sis=3, operators=("sub",), threads=1).fit(X, labels),
        "kind",
    )
    X.assign(id=[f"m{n}" for n in range(60)]).to_parquet(tmp_path / "pool.parquet")
    screened(tmp_path / "model.json", tmp_path / "pool.parquet", tmp_path / "out", goal="=a", top=60)
    best = exact(tmp_path / "out" / "top.csv").set_index("id")
    assert {"class", "p(a)", "feature class (eV)", "feature p(a) (eV)"} <= {*best.columns}
    rows = [int(id[1:]) for id in best.index]
    np.testing.assert_array_equal(best["feature class (eV)"], X["class (eV)"][rows])


def test_a_run_gives_goal_and_labels(tmp_path, pool):
    """What the run proposes is what is best of a pool of its candidates; several classes are one for its model."""
    frame = labelled(pd.concat([oxides(60, 1), pool[:40]]).drop_duplicates("formula").reset_index(drop=True))
    gap = frame.pop("gap (eV)")
    kind = np.array(["narrow", "middle", "wide"])[np.searchsorted(gap.quantile([0.33, 0.66]), gap)]
    frame["kind"] = np.where(frame.index < 50, kind, "")
    frame.to_csv(tmp_path / "table.csv", index=False)
    words = ("--rung", "1", "--n-sis", "5", "--members", "5", "--threads", "1", "--no-report", "--quiet")
    call("discover", "table.csv", "--goal", "=wide, middle", *words, "--out", "run", folder=tmp_path)
    frame.drop(columns="kind").to_parquet(tmp_path / "pool.parquet")
    done = json.loads(call("screen", "run", "pool.parquet", "--top", "200", "--json", folder=tmp_path).out)
    summary = json.loads((tmp_path / "run" / "iter-0001" / "summary.json").read_text())
    assert (done["goal"], done["acquisition"], done["n_known"]) == ("=wide,middle", "hits", 50)
    assert [own["name"] for own in done["classes"]] == ["not wide, middle", "wide, middle"]
    best = exact(tmp_path / "screens" / "pool" / "top.csv")
    assert best["id"].tolist()[:10] == [proposal["id"] for proposal in summary["proposals"]]
    np.testing.assert_allclose(best["p_hit"][:10], [proposal["mean"] for proposal in summary["proposals"]], rtol=1e-12)
    np.testing.assert_allclose(best["spread"][:10], [proposal["std"] for proposal in summary["proposals"]], rtol=1e-9)
    printed = call("screen", "run", "pool.parquet", "--top", "200", folder=tmp_path).out
    assert "99 candidates, 49 with a prediction, kind wide or middle" in printed
    assert "not ranked, as they have a label or failed: 50" in printed
    assert "P(wide or middle)  spread  most probable  outside" in printed


def test_two_processes_write_the_same_bytes(tmp_path, files, pool):
    (tmp_path / "pool").mkdir()
    for number in range(6):
        pool[100 * number : 100 * (number + 1)].to_parquet(tmp_path / "pool" / f"{number}.parquet")
    words = ("screen", files / "ensemble-3.json", "pool", "--goal", "=wide", "--all-predictions", "--no-map")
    told = []
    for n_workers in ("1", "2"):
        call(*words, "--workers", n_workers, "--out", n_workers, folder=tmp_path)
        written = (path for path in sorted((tmp_path / n_workers).rglob("*")) if path.is_file())
        told.append({str(path.relative_to(tmp_path / n_workers)): path.read_bytes() for path in written})
    assert len(told[0]) == 3 + 6 + 6
    assert told[0] == told[1]


def test_what_it_prints(tmp_path, files, odd_pool):
    odd_pool.to_parquet(tmp_path / "pool.parquet")
    words = ("screen", files / "one-2.json", "pool.parquet", "--goal", "=wide")
    printed = call(*words, folder=tmp_path).out
    document = json.loads((tmp_path / "screens" / "pool" / "summary.json").read_text())
    n = {own["name"]: own["n_told"] for own in document["classes"]}
    lines = printed.splitlines()
    assert lines[0] == f"400 candidates, {document['n_predicted']} with a prediction, kind wide"
    assert lines[1].startswith("no prediction: a feature that is no finite number (")
    assert lines[2] == "most probable class: " + ", ".join(
        f"{name} {n[name]}" for name in sorted(n, key=lambda own: -n[own])
    )
    likely = sum(document["histogram_of_p_hit"][18:]), sum(document["histogram_of_p_hit"][10:])
    assert lines[3].endswith(f"; P(wide): {likely[0]} with 0.9 or more, {likely[1]} with 0.5 or more")
    far = "not ranked, as most formulas are far outside of what they have learned from"
    assert lines[4] == f"{far}: {document['n_extrapolated']}"
    assert lines[6].split() == ["candidate", "P(wide)", "most", "probable"]
    hits = exact(tmp_path / "screens" / "pool" / "top.csv")["p_hit"].sum()
    assert f"of the best {document['n_top']}, {hits:.1f} are expected to be wide" in printed
    assert "Files in screens/pool: top.csv, summary.json, map.html" in printed
    assert "P(wide)" in (tmp_path / "screens" / "pool" / "map.html").read_text()
    found = call("screen", files / "one-2.json", "pool.parquet", "--out", "bad", folder=tmp_path, code=2).error
    assert "such as '=narrow' or '=wide', found none" in found


def test_many_classes_are_told_in_one_line():
    classes = [{"name": f"k{n}", "n_told": n, "expected": float(n)} for n in range(12)]
    best = {"id": "x", "p_hit": 0.75, "score": 0.75, "class": "k1", "spread": None, "outside": 0.5}
    document = {
        "target": {"name": "kind", "unit": ""}, "goal": "=k1,k2", "acquisition": "hits", "n_rows": 66, "n_predicted": 66,
        "n_without_prediction": 0, "n_known": 0, "n_excluded": 0, "n_extrapolated": 0, "expected_hits": 12345.6, "best": [best],
        "classes": classes, "histogram_of_p_hit": [0] * 15 + [1] + [0] * 4, "n_top": 2, "expected_hits_of_top": 1.25,
        "run": {"rows_per_second": None, "n_removed": 0},
    }  # fmt: skip
    lines = screening_text(document).splitlines()
    assert lines[1] == "most probable class: k11 11, k10 10, k9 9, k8 8, k7 7, k6 6, k5 5, k4 4, others 6"
    assert lines[2] == "expected to be k1 or k2: 12346; P(k1 or k2): 0 with 0.9 or more, 1 with 0.5 or more"
    assert lines[5].split() == ["1", "x", "0.7500", "k1", "0.50"]
    assert lines[6] == "of the best 2, 1.2 are expected to be k1 or k2"
    assert "of the best" not in screening_text(document | {"n_top": 1})
    assert "no candidate can be ranked" in screening_text(document | {"best": []})
