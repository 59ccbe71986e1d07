"""Classes, as the command fits, tells, saves and predicts them."""

import numpy as np
import pandas as pd
import pytest

from sisso_sal.models.classifier import SISSOClassifier
from sisso_sal.models.files import load_model

from test_commands import call, refused, strict  # isort: skip

SMALL = ("--rung", "1", "--dim", "1", "--n-sis", "5", "--operators", "add,mult,div", "--threads", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The ratio of a and b tells the phases; one phase is not known, one row has a gap."""
    path = tmp_path_factory.mktemp("classes")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"name": [f"M{i:02d}" for i in range(60)]})
    frame["a (eV)"], frame["b (eV)"], frame["c"] = rng.uniform(1, 2, (3, 60))
    frame["phase"] = np.where(frame["a (eV)"] > frame["b (eV)"], "metal", "insulator")
    frame.loc[3, "phase"] = ""
    frame.loc[4, "c"] = np.nan
    frame.to_csv(path / "table.csv", index=False)
    codes = frame["phase"].replace({"metal": "2", "insulator": "7", "": None}).astype(float)
    frame.assign(phase=codes.astype("Int64")).to_csv(path / "codes.csv", index=False)
    frame.assign(phase=codes + 0.5).to_csv(path / "halves.csv", index=False)
    frame.assign(phase="metal").to_csv(path / "one.csv", index=False)
    return path


def test_a_target_of_text_is_told_by_a_descriptor(folder):
    done = call("fit", "table.csv", "--target", "phase", *SMALL, "--out", "model.json", "--force", folder=folder)
    assert "58 samples: " in done.stdout
    assert "  1  100.0%" in done.stdout
    assert "for metal:\nlog_odds =" in done.stdout
    assert "(rows) and what it tells (columns):\n           insulator  metal\n" in done.stdout
    document = strict(call("fit", "table.csv", "--target", "phase", *SMALL, "--json", folder=folder).stdout)
    (model,) = document["models"]
    assert document["classes"] == ["insulator", "metal"]
    assert model["terms"][0]["expression"] in ("a/b", "b/a")
    assert (model["accuracy"], model["overlap"]) == (1.0, 0.0)
    assert model["overlap_size"] < 0
    assert [count for _, count in document["class_counts"]] == [row[k] for k, row in enumerate(model["confusion"])]
    assert document["n_samples"] == 58 == sum(map(sum, model["confusion"]))
    assert all("phase" not in one["name"] for one in document["left_out"])


def test_a_saved_model_gives_class_and_probability(folder):
    call("fit", "table.csv", "--target", "phase", *SMALL, "--out", "saved.json", "-q", folder=folder)
    rows = strict(call("predict", "saved.json", "table.csv", "--json", folder=folder).stdout)["predictions"]
    estimator, target, _ = load_model(folder / "saved.json")
    assert isinstance(estimator, SISSOClassifier)
    assert target == "phase"
    table = pd.read_csv(folder / "table.csv")
    columns = {"a": table["a (eV)"].to_numpy(), "b": table["b (eV)"].to_numpy()}
    assert [row["class"] for row in rows] == estimator.predict(columns).tolist()
    assert [row["p(metal)"] for row in rows] == pytest.approx(estimator.predict_proba(columns)[:, 1].tolist())
    assert all(row["probability"] == max(row["p(metal)"], row["p(insulator)"]) for row in rows)
    assert rows[3]["class"] == ("metal" if columns["a"][3] > columns["b"][3] else "insulator")
    made = {}
    exec(call("export", "saved.json", "--format", "python", "-q", folder=folder).stdout, made)
    used = [columns[name] for name in estimator.model_.primaries()]
    assert made["predict"](*used).tolist() == [row["class"] for row in rows]
    latex = call("export", "saved.json", "--dim", "1", "--digits", "3", folder=folder).stdout
    assert r"\ln\frac{p_{\text{metal}}}{1 - p_{\text{metal}}} &= " in latex
    for options, told in (
        (("--format", "c"), "format: needs python or latex for a model of classes, found c"),
        (("--dim", "2"), "dim: needs one of 1, found 2"),
        (("--recommended",), "recommended: needs a model that predicts a number, found one of classes"),
    ):
        assert told in refused("export", "saved.json", *options, folder=folder)


def test_whole_numbers_are_classes_where_that_is_asked_for(folder):
    options = (
        "--classify",
        "--criterion",
        "overlap",
        "--convex",
        "7",
        "--class-weight",
        "balanced",
        "--boundary",
        "svc",
    )
    fitted = call("fit", "codes.csv", "--target", "phase", *SMALL, *options, "--json", folder=folder).stdout
    document = strict(fitted)
    assert document["classes"] == [2, 7]
    assert document["models"][0]["accuracy"] == 1.0
    assert sum(map(sum, document["models"][0]["confusion"])) == pytest.approx(58)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("codes.csv", "--target", "phase", "--criterion", "overlap"),
            "criterion: needs --classify or a target of text",
        ),
        (
            ("table.csv", "--target", "phase", "--members", "3"),
            "members: needs a target that is a number, found classes",
        ),
        (
            ("table.csv", "--target", "phase", "--workers", "2"),
            "workers: needs a target that is a number, found classes",
        ),
        (("table.csv", "--target", "phase", "--no-intercept"), "no-intercept: needs a target that is a number"),
        (("table.csv", "--target", "phase", "--convex", "wood"), "convex: needs names of classes (insulator, metal)"),
        (("table.csv", "--target", "phase", "--width", "-1"), "width: needs a number of at least 0, found -1.0"),
        (("one.csv", "--target", "phase"), "column 'phase': needs 2 to 50 classes, found 1"),
        (("halves.csv", "--target", "phase", "--classify"), "needs text or whole numbers as classes, found 2.5"),
        (("table.csv", "--classify"), "needs the column of the classes, found none; choose it with --target"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(folder, arguments, told):
    assert told in refused("fit", *arguments, "--rung", "0", folder=folder)
