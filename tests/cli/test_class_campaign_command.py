"""The commands of a campaign over classes: what they print, and what they refuse in one line."""

import numpy as np
import pandas as pd
import pytest

from test_commands import call, refused, strict  # isort: skip

SMALL = (
    *("--rung", "1", "--dim", "1", "--n-sis", "5", "--operators", "add,div", "--members", "4", "--threads", "1"),
    *("--batch", "3", "--no-report", "--quiet"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Rows that are cubic where a is larger than b, of which 20 are known, and a campaign that began."""
    path = tmp_path_factory.mktemp("phases")
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"name": [f"M{i:02d}" for i in range(40)]})
    frame["a (AA)"], frame["b (AA)"] = rng.uniform(1, 2, (2, 40)).round(4)
    frame["phase"] = np.where(frame["a (AA)"] > 1.1 * frame["b (AA)"], "cubic", "rock salt")
    frame.to_csv(path / "truth.csv", index=False)
    frame.loc[20:, "phase"] = ""
    frame.to_csv(path / "table.csv", index=False)
    call("discover", "table.csv", "--goal", "=cubic", *SMALL, "--out", "run", folder=path)
    return path


def test_proposals_are_probabilities_of_the_class(folder):
    shown = call("discover", "table.csv", "--goal", "=cubic", *SMALL, "--out", "other", folder=folder).stdout
    assert "goal =cubic" in shown
    assert "Best candidates for phase:" in shown
    assert "P(cubic)" in shown
    assert "are expected to be cubic" in shown
    assert "Best known" not in shown
    assert "log_odds =" in shown
    document = strict(
        call("discover", "table.csv", "--goal", "=cubic", *SMALL, "--out", "run", "--json", folder=folder).stdout
    )
    assert all(0 < row["mean"] == row["probability"] < 1 for row in document["proposals"])
    table = pd.read_csv(folder / "run" / "iter-0001" / "predictions.csv")
    known = pd.read_csv(folder / "table.csv")["phase"]
    assert table["class"].fillna("").tolist() == known.fillna("").tolist()
    assert table["label"][:20].tolist() == (known[:20] == "cubic").astype(float).tolist()
    assert table["mean"].between(0, 1).all()


def test_a_flag_that_is_explained_stands_beside_its_candidate(folder):
    frame = pd.read_csv(folder / "table.csv")
    far = pd.DataFrame({"name": ["FAR"], "a (AA)": [9.0], "b (AA)": [1.0]})
    pd.concat([frame, far]).to_csv(folder / "far.csv", index=False)
    more = ("--surrogate", "logistic", "--batch", "2", "--no-report", "--quiet", "--out", "far")
    shown = call("discover", "far.csv", "--goal", "=cubic", *more, folder=folder).stdout
    assert "flags: F, far from all labelled materials" in shown
    (row,) = (line for line in shown.splitlines() if line.startswith("1  FAR "))
    assert row.endswith(" F")


def test_what_would_be_proposed_and_the_state_speak_of_classes(folder):
    shown = call("discover", "table.csv", "--goal", "=cubic", *SMALL, "--out", "dry", "--dry-run", folder=folder).stdout
    assert "P(cubic)" in shown
    assert not (folder / "dry").exists()
    state = call("status", "run", folder=folder)
    n = (pd.read_csv(folder / "table.csv")["phase"] == "cubic").sum()
    assert f"{n} of 20 labels are cubic; {20 - n} rock salt" in state.stdout
    assert " CLASS, for this and the others" in state.stdout


def test_the_formulas_of_a_run_predict_and_are_exported(folder):
    """The model file says of every row what the campaign said, to the digits of predictions.csv."""
    rows = strict(call("predict", "run", "truth.csv", "--json", folder=folder).stdout)["predictions"]
    table = pd.read_csv(folder / "run" / "iter-0001" / "predictions.csv")
    told = dict(zip(table["id"], table["mean"], strict=True))
    assert {row["id"]: row["p(cubic)"] for row in rows} == pytest.approx(told, rel=1e-5)
    assert {row["class"] for row in rows} == {"cubic", "not cubic"}
    made = {}
    exec(call("export", "run", "--format", "python", "-q", folder=folder).stdout, made)
    known = pd.read_csv(folder / "truth.csv")
    assert made["probability"](known["a (AA)"], known["b (AA)"])[:, 1] == pytest.approx(
        [told[name] for name in known["name"]], rel=1e-5
    )


def test_a_run_in_which_nothing_is_told_apart_has_no_model_file(folder):
    pd.read_csv(folder / "table.csv").iloc[17:].to_csv(folder / "few.csv", index=False)
    call("discover", "few.csv", "--goal", "=cubic", *SMALL, "--out", "few", folder=folder)
    assert refused("export", "few", folder=folder) == (
        "error: few: needs a run with formulas, found labels that tell no classes apart so far; its predictions are in "
        "few/iter-0001/predictions.csv"
    )


def test_a_name_that_no_label_had_is_taken_and_told(folder):
    call("discover", "table.csv", "--goal", "=cubic", *SMALL, "--out", "typed", folder=folder)
    said = call("label", "typed", "M30", "cubik", folder=folder).stderr
    assert "note: no label was 'cubik' before, only 'cubic', 'rock salt'; label --replace corrects a label" in said
    assert "before" not in call("label", "typed", "M31", "rock salt", folder=folder).stderr
    assert "before" not in call("label", "typed", "M30", "cubic", "--replace", folder=folder).stderr


def test_a_table_of_names_is_taken_in(folder):
    call("discover", "table.csv", "--goal", "=cubic", *SMALL, "--out", "filed", folder=folder)
    call("label", "filed", "--file", "truth.csv", folder=folder)
    labels = [strict(line) for line in call("ledger", "filed", folder=folder).stdout.splitlines()]
    told = {row["id"]: row["class"] for row in labels if row["event"] == "label"}
    assert told == pd.read_csv(folder / "truth.csv").set_index("name")["phase"].to_dict()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["discover", "table.csv", "--goal", "=cubic", "--low", "a"],
         "low: needs a target that is a number, found the goal '=cubic'"),
        (["discover", "table.csv", "--goal", "=cubic", "--oracle", "structure"],
         "oracle: needs one of none, lookup:FILE, command:COMMAND for the classes =cubic, found 'structure'"),
        (["discover", "table.csv", "--goal", "=cubic", "--pool", "truth.csv"],
         "pool: needs a target that is a number, found the goal '=cubic'"),
        (["replay", "truth.csv", "--goal", "=cubic", "--estimate", "a"],
         "estimate: needs a target that is a number, found the goal '=cubic'"),
        (["replay", "truth.csv", "--goal", "=cubic", "--surrogates", "process"],
         "surrogate: needs one of sisso, forest, logistic for the classes =cubic, found 'process'"),
        (["pareto", "table.csv", "--target", "a", "--target", "b", "--goal", "=cubic", "--goal", "min"],
         "Invalid value for '--goal': '=cubic' is not one of 'min', 'max'."),
        (["label", "run", "M30", "cubic", "--error", "0.1"],
         "label of 'M30': needs the name of a class, without an error, found 'cubic' ± 0.1"),
    ],
)  # fmt: skip
def test_what_does_not_work_is_refused_in_one_line(folder, arguments, told):
    assert refused(*arguments, folder=folder) == f"error: {told}"


def test_a_replay_compares_what_predicts_classes(folder):
    quick = [
        "--rung",
        "1",
        "--dim",
        "1",
        "--n-sis",
        "5",
        "--operators",
        "add,div",
        "--members",
        "4",
        "--batch",
        "3",
        "--quiet",
    ]
    starts = ["--n-start", "8", "--evaluations", "6", "--seeds", "1", "--workers", "1"]
    shown = call("replay", "truth.csv", "--goal", "=cubic", *quick, *starts, folder=folder).stdout
    names = ("sisso hits", "forest hits", "logistic hits", "random", "distance")
    assert [name for name in names if name not in shown] == []
    assert "best" not in shown
