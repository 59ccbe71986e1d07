"""Classes, as the command fits, tells, saves and predicts them."""

import numpy as np
import pandas as pd
import pytest

from sisso_sal.models.class_ensemble import SISSOClassifierEnsemble
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


def test_a_width_of_zero_is_taken(folder):
    arguments = ("fit", "table.csv", "--target", "phase", *SMALL, "--criterion", "overlap", "--force", "-q")
    call(*arguments, "--width", "0", "--out", "sharp.json", folder=folder)
    assert load_model(folder / "sharp.json")[0].width == 0.0


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


def test_a_class_whose_name_has_a_comma_gets_a_domain(folder):
    """A name in double quotes is one name, as in --columns; only it has a domain, so nothing else counts as inside."""
    names = {"metal": "cubic, metal", "insulator": 'the "other"'}
    frame = pd.read_csv(folder / "table.csv")
    frame.assign(phase=frame["phase"].replace(names)).to_csv(folder / "commas.csv", index=False)
    fit = ("fit", "commas.csv", "--target", "phase", *SMALL, "--criterion", "overlap", "--rung", "0", "--dim", "1")
    call(*fit, "--convex", '"cubic, metal"', "--out", "commas.json", "-q", folder=folder)
    fitted = load_model(folder / "commas.json")[0]
    assert fitted.convex == ["cubic, metal"]
    assert (
        fitted.model_.overlap
        == SISSOClassifier(rung=0, dim=1, n_sis=5, criterion="overlap", convex=["cubic, metal"], threads=1)
        .fit(*known_rows(folder / "commas.csv"))
        .model_.overlap
    )
    both = call(*fit, "--convex", '"the ""other""", "cubic, metal"', "--json", folder=folder).stdout
    assert strict(both)["models"] == strict(call(*fit, "--json", folder=folder).stdout)["models"]
    assert refused(*fit, "--convex", "cubic, metal", folder=folder) == (
        'error: convex: needs names of classes ("cubic, metal", "the ""other"""), found \'cubic\''
    )
    wrong = refused(*fit, "--convex", "cubic\rmetal", folder=folder)
    assert wrong == "error: Invalid value for '--convex': needs names with commas between them, found 'cubic\\rmetal'"


def known_rows(path):
    """Features and classes of the rows that have all of them."""
    frame = pd.read_csv(path).dropna()
    return frame[["a (eV)", "b (eV)", "c"]], frame["phase"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("codes.csv", "--target", "phase", "--criterion", "overlap"),
            "criterion: needs --classify or a target of text",
        ),
        (
            ("table.csv", "--target", "phase", "--members", "3", "--correction", "none"),
            "correction: needs a target that is a number, found classes",
        ),
        (
            ("table.csv", "--target", "phase", "--members", "3", "--no-adapt"),
            "adapt: needs a target that is a number, found classes",
        ),
        (
            ("table.csv", "--target", "phase", "--members", "3", "--n-models", "2"),
            "n-models: needs a fit of one model, found --members",
        ),
        (
            ("table.csv", "--target", "phase", "--members", "3", "--criterion", "overlap", "--sisso-output", "files"),
            "sisso-output: needs a fit of one model, found --members",
        ),
        (
            ("table.csv", "--target", "phase", "--members", "3", "--task", "name"),
            "column 'phase': the target needs a number, found 'metal'",
        ),
        (
            ("table.csv", "--target", "phase", "--members", "3", "--select", "2"),
            "select: needs a target that is a number, found classes",
        ),
        (("table.csv", "--target", "phase", "--dropout", "0.1"), "dropout: needs --members, found a fit of one model"),
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


MEMBERS = (*SMALL, "--members", "20", "--dropout", "0", "--seed", "3")


@pytest.fixture(scope="module")
def ensemble(folder):
    """What the command prints of an ensemble, as text and as a document."""
    done = call("fit", "table.csv", "--target", "phase", *MEMBERS, "--out", "ensemble.json", folder=folder)
    document = call("fit", "codes.csv", "--classify", "--target", "phase", *MEMBERS, "--json", folder=folder).stdout
    return done, strict(document)


def test_members_tell_together_how_far_they_can_be_believed(folder, ensemble):
    done, document = ensemble
    estimator, target, _ = load_model(folder / "ensemble.json")
    assert target == "phase"
    told = estimator.calibration_
    assert f"  {told.accuracy:.1%} right, log loss {told.log_loss:.3f}, Brier score {told.brier:.3f}\n" in done.stdout
    assert f"  miscalibration: {told.miscalibration:.3f}, without the scaling " in done.stdout
    assert f"less than {told.noise_floor95:.3f} with a probability of 95 %" in done.stdout
    assert "most typical of 20 members:" in done.stdout
    assert f"Primary features that recur: {next(iter(estimator.recurrence()['primaries']))} 100%" in done.stdout
    assert (
        "classes out of bag (rows) and what the members tell (columns):\n           insulator  metal\n" in done.stdout
    )
    assert (
        "sisso-sal predict ensemble.json OTHER_TABLE, or sisso-sal export ensemble.json --format python" in done.stdout
    )
    assert document["classes"] == [2, 7]
    assert (document["n_members"], document["seed"], document["criterion"]) == (20, 3, "likelihood")
    assert sum(map(sum, document["confusion"])) == document["calibration"]["n"]
    right = sum(document["confusion"][k][k] for k in range(2)) / document["calibration"]["n"]
    assert right == pytest.approx(document["calibration"]["accuracy"])
    counts = [count for _, count in document["class_counts"]]
    assert document["baseline"]["accuracy"] == pytest.approx(max(counts) / sum(counts))
    assert sum(model["n_members"] for model in document["models"]) <= 20
    assert document["recurrence"]["primaries"][0]["share"] == 1.0


def test_a_saved_ensemble_predicts_what_python_predicts(folder, ensemble):
    rows = strict(call("predict", "ensemble.json", "table.csv", "--json", folder=folder).stdout)["predictions"]
    estimator, _, _ = load_model(folder / "ensemble.json")
    assert isinstance(estimator, SISSOClassifierEnsemble)
    table = pd.read_csv(folder / "table.csv")
    columns = {name: table[header].to_numpy() for name, header in (("a", "a (eV)"), ("b", "b (eV)"), ("c", "c"))}
    told = estimator.predict_distribution(columns)
    kept = [k for k in range(60) if table["name"][k] in {row["id"] for row in rows}]
    assert [row["class"] for row in rows] == [estimator.classes_[told.told[k]] for k in kept]
    for name, expected in (("p(metal)", told.probability[:, 1]), ("spread", told.spread), ("n_valid", told.n_defined)):
        assert [row[name] for row in rows] == pytest.approx(expected[kept].tolist(), rel=1e-12)
    assert all(row["probability"] == max(row["p(metal)"], row["p(insulator)"]) for row in rows)
    made = {}
    exec(call("export", "ensemble.json", "--format", "python", "-q", folder=folder).stdout, made)
    used = [columns[name][kept] for name in estimator.fitted_.needed]
    assert made["probability"](*used) == pytest.approx(told.probability[kept], rel=1e-9)
    assert made["predict"](*used).tolist() == [row["class"] for row in rows]
    exec(call("export", "ensemble.json", "--format", "python", "--member", "2", "-q", folder=folder).stdout, made)
    member = estimator.members_[1]
    used = [columns[name][kept] for name in member.primaries()]
    assert made["probability"](*used) == pytest.approx(member.probability(columns)[kept], rel=1e-9)


def test_what_an_ensemble_of_classifiers_cannot_do_is_told(folder, ensemble):
    for arguments, told in (
        (("export", "ensemble.json", "--format", "c"), "format: needs python for an ensemble of classifiers, or one"),
        (
            ("export", "ensemble.json"),
            "format: needs python for an ensemble of classifiers, or one --member, found latex",
        ),
        (("export", "ensemble.json", "--format", "python", "--dim", "1"), "dim: needs a model file of one model"),
        (("export", "ensemble.json", "--member", "21"), "member: needs a number from 1 to 20, found 21"),
        (("export", "ensemble.json", "--format", "python", "--digits", "3"), "digits: needs the format latex, found"),
        (
            ("screen", "ensemble.json", "table.csv"),
            "goal: needs the class to look for with a model of classes, such as",
        ),
        (
            ("predict", "ensemble.json", "table.csv", "--recommended"),
            "recommended: needs a model file of numbers, found one",
        ),
        (("predict", "ensemble.json", "table.csv", "--task", "x"), "task: needs a model of several tasks"),
    ):
        assert told in refused(*arguments, folder=folder)


def test_pictures_are_drawn_of_classes(folder):
    pictures = ("--plot", "map.png", "--plot-reliability", "told.svg")
    call("fit", "table.csv", "--target", "phase", *MEMBERS, *pictures, "-q", folder=folder)
    assert (folder / "map.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / "told.svg").read_text()
    for arguments, told in (
        (
            ("--members", "3", "--dim", "3", "--plot", "x.png"),
            "plot: needs members of one or two descriptors, found --dim 3",
        ),
        (("--plot-reliability", "x.png"), "plot-reliability: needs --members, found a fit of one model"),
        (("--plot", "map.png"), "map.png: exists already"),
        (("--plot", "x.png", "--plot-reliability", "x.png"), "x.png: needs another name than --plot"),
        (("--plot", "x.txt"), "x.txt: needs a name that ends in .png, .pdf or .svg"),
    ):
        assert told in refused("fit", "table.csv", "--target", "phase", *arguments, folder=folder)
