"""`replay` and `tune` as a shell calls them."""

import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sisso_sal.cli.study import _discovery

from test_commands import call, refused, strict  # isort: skip

SMALL = (
    "--rung",
    "1",
    "--dim",
    "1",
    "--n-sis",
    "4",
    "--members",
    "4",
    "--operators",
    "add,mult,div",
    "--correction",
    "none",
)
FEW = ("--n-start", "8", "--evaluations", "4", "--seeds", "2", "--workers", "1")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """40 oxides of made-up numbers; every label is known. The target falls with a*b."""
    rng = np.random.default_rng(3)
    n = 40
    a, b, c = rng.uniform(1, 3, (3, n))
    metals = ["Mg", "Ca", "Ti", "Zr"]
    names = [f"{metals[i % 4]}{i + 1}O{i + 2}" for i in range(n)]
    frame = pd.DataFrame(
        {"formula": names, "a (eV)": a, "b (eV)": b, "c": c, "gap (eV)": 10 - a * b + 0.01 * rng.normal(size=n)}
    )
    path = tmp_path_factory.mktemp("study") / "known.csv"
    frame.to_csv(path, index=False)
    return path


def test_replay_prints_one_document_with_the_targets_found_after_each_evaluation(table):
    done = call("replay", table, "--target", "gap", *FEW, *SMALL, "--surrogates", "sisso,forest", "--json")
    document = strict(done.stdout)
    assert document["n_targets"] == 4
    assert set(document["strategies"]) == {"sisso hits", "forest hits", "random", "distance"}
    for strategy in document["strategies"].values():
        assert [len(found) for found in strategy["found"]] == [5, 5]
        assert all(np.diff(found).min() >= 0 for found in strategy["found"])
    starts = [[found[0] for found in s["found"]] for s in document["strategies"].values()]
    assert starts.count(starts[0]) == 4
    law = [found[-1] for found in document["strategies"]["sisso hits"]["found"]]
    assert sum(law) > sum(found[-1] for found in document["strategies"]["random"]["found"])


def test_replay_compares_fair_peers_unless_told_otherwise(table):
    """All see compositions; the trees look at the mean alone."""
    few = ("--n-start", "8", "--evaluations", "2", "--seeds", "1", "--workers", "1", *SMALL[:-2], "--json")
    document = strict(call("replay", table, "--target", "gap", *few, "--acquisitions", "hits").stdout)
    assert list(document["strategies"]) == [
        "sisso hits", "no-formulas hits", "forest hits", "process hits", "random", "distance",
    ]  # fmt: skip
    document = strict(call("replay", table, "--target", "gap", *few).stdout)
    assert list(document["strategies"]) == [
        "sisso hits", "no-formulas hits", "forest hits", "process hits", "trees mean", "random", "distance",
    ]  # fmt: skip


@pytest.mark.parametrize(("goal", "word"), [("min", "lowest"), ("max", "highest"), ("6..8", "nearest")])
def test_replay_by_a_cheap_estimate_takes_its_best_value_first(table, goal, word):
    done = call("replay", table, "--target", "gap", *FEW, *QUICK, "--goal", goal, "--estimate", "a (eV)")
    found = strict(done.stdout)["strategies"]
    frame = pd.read_csv(table).set_index("formula")["a (eV)"]
    merit = {"lowest": frame, "highest": -frame, "nearest": (frame - 7.0).abs()}[word]
    for picks, start in zip(found[f"{word} estimate first"]["picks"], found["random"]["picks"], strict=True):
        assert len({*picks, *start}) > 4
        worst = merit[picks].max()
        better = merit[merit < worst].index.difference(picks)
        assert len(better) <= 8  # the labels of the start
        assert merit[picks].is_monotonic_increasing
    assert found[f"{word} estimate first"]["honesty"] is None


QUICK = ("--surrogates", "forest", "--acquisitions", "mean", "--json")


def test_replay_plays_by_the_rules_that_were_given(table):
    done = call(
        "replay", table, "--target", "gap", *FEW, *QUICK, "--goal", "max", "--target-quantile", "0.2", "--batch", "3",
        "--improve-on", "label", "--diversity", "0.5", "--start", "worst",
    )  # fmt: skip
    assert strict(done.stdout)["rules"] == {
        "goal": "max", "target_share": 0.2, "n_start": 8, "start": "worst", "evaluations": 4, "batch": 3,
        "improve_on": "label", "diversity": 0.5,
    }  # fmt: skip
    assert strict(done.stdout)["n_targets"] == 8


def test_replay_takes_seed_and_batch_from_option_environment_and_file(table, tmp_path, monkeypatch):
    (tmp_path / "own.toml").write_text("batch = 2\nseed = 7\n", encoding="utf-8")

    def found(*options):
        document = strict(call("replay", table, "--target", "gap", *FEW, *QUICK, *options).stdout)
        assert document["settings"]["batch"] == document["rules"]["batch"]
        assert document["settings"]["seed"] == document["seed"]
        picks = {name: strategy["picks"] for name, strategy in document["strategies"].items()}
        return document["seed"], document["rules"]["batch"], picks

    default, filed = found(), found("--config", tmp_path / "own.toml")
    assert [(seed, batch) for seed, batch, _ in (default, filed)] == [(0, 1), (7, 2)]
    assert filed[2]["random"] != default[2]["random"]
    monkeypatch.setenv("SISSO_SAL_BATCH", "4")
    seed, batch, picks = found("--config", tmp_path / "own.toml", "--seed", 1)
    assert (seed, batch) == (1, 4)
    assert picks["random"][0] != default[2]["random"][0]
    assert found("--batch", 1)[:2] == (0, 1)


def test_replay_draws_and_prints_a_table_best_first(table, tmp_path):
    plot = tmp_path / "found.png"
    done = call(
        "replay", table, "--target", "gap", *FEW, "--surrogates", "forest", "--acquisitions", "mean", "--plot", plot,
        "--estimate", "c", "--goal", "max",
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0].startswith(
        "4 targets among 40 materials (goal max); 8 labels to start (random), 4 evaluations, 2 starts"
    )
    assert plot.read_bytes().startswith(b"\x89PNG")
    told = lines.index("What was claimed of the picks when they were chosen, and what came true")
    found = [
        float(line[22:].split()[0])
        for line in lines[:told]
        if line.startswith(("forest mean ", "random      ", "distance    "))
    ]
    assert len(found) == 3
    assert any(line.startswith("highest estimate first") for line in lines[:told])
    assert lines[-1] == "Next: sisso-sal discover TABLE_WITH_GAPS --surrogate forest --acquisition mean"
    assert found == sorted(found, reverse=True)
    assert lines[told + 2].startswith("forest mean ")
    assert refused("replay", table, "--target", "gap", *FEW, "--plot", plot).startswith(
        f"error: {plot}: exists already"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--surrogates", "forrest"),
            "error: surrogates: needs one of sisso, no-formulas, trees, forest, process, logistic, found 'forrest'",
        ),
        (("--acquisitions", "eii"), "error: acquisition: needs one of "),
        (("--estimate", "d"), "error: estimate: needs one of the features a, b, c, found 'd'"),
        (("--start", "best"), "error: start: needs random, worst or without:ELEMENT, found 'best'"),
        (("--start", "without:Xe"), "error: start: needs an element that occurs in the formulas, found no 'Xe'"),
        (("--evaluations", "33"), "error: evaluations: needs at most 32 after the start, found 33"),
        (("--goal", "<=-99"), "error: replay: needs some targets but not all, found 0 of 40"),
        (("--transform", "logg"), "error: ensemble.transform: needs 'none', 'log' or 'yeo-johnson', found 'logg'"),
        (("--plot", "found.doc"), "error: found.doc: needs a name that ends in .png, .pdf or .svg"),
    ],
)
def test_replay_refuses_in_one_line(table, options, message):
    few = [o for o in FEW if not ("--evaluations" in options and o in {"--evaluations", "4"})]
    assert refused("replay", table, "--target", "gap", *few, "--surrogates", "forest", *options).startswith(message)


def test_rows_without_a_label_are_left_out_and_told(table, tmp_path):
    frame = pd.read_csv(table)
    frame.loc[3, "gap (eV)"] = np.nan
    path = tmp_path / "gaps.csv"
    frame.to_csv(path, index=False)
    done = call("replay", path, *FEW, "--surrogates", "forest", "--json")
    assert strict(done.stdout)["n_materials"] == 39
    assert "note: 1 rows without a label left out" in done.stderr


GRID = ("--rungs", "1", "--dims", "1,2", "--n-sis-values", "4", "--members-values", "4", "--dropouts", "0,0.4",
        "--transforms", "none", "--folds", "4")  # fmt: skip


def test_tune_writes_settings_that_discover_takes(table, tmp_path):
    done = call("tune", table, "--target", "gap", *GRID, "--json", folder=tmp_path)
    document = strict(done.stdout)
    assert len(document["rows"]) == 4
    errors = [row["mae"] for row in document["rows"]]
    assert errors == sorted(errors)
    assert document["best"] == {key: document["rows"][0][key] for key in document["best"]}
    assert document["best"]["dropout"] == 0.0  # a member without a or b cannot say a*b
    written = tomllib.loads((tmp_path / "tuned.toml").read_text())
    chosen, best = document["chosen"], document["rows"][0]
    assert (written["model"]["dim"], written["ensemble"]["dropout"]) == (chosen["dim"], chosen["dropout"])
    near = [row for row in document["rows"] if row["mae"] <= best["mae"] + best["mae_error"]]
    assert chosen["dim"] == min(row["dim"] for row in near)
    assert written["ensemble"]["adapt"] is False
    frame = pd.read_csv(table)
    frame.loc[:9, "gap (eV)"] = np.nan
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    summary = strict(call("discover", "gaps.csv", "--config", "tuned.toml", "--json", folder=tmp_path).stdout)
    assert summary["settings"]["ensemble"]["members"] == 4
    assert refused("tune", table, "--target", "gap", *GRID, folder=tmp_path).startswith(
        "error: tuned.toml: exists already"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--members-values", "4,1"), "error: members: needs an integer >= 2, found 1"),
        (("--dropouts", "0,1.5"), "error: dropout: needs a share from 0 to below 1, found 1.5"),
        (("--dropouts", "0,nan"), "error: dropout: needs a share from 0 to below 1, found nan"),
        (("--dropouts", "inf"), "error: dropout: needs a share from 0 to below 1, found inf"),
        (("--rungs", "0,4"), "error: rung: needs an integer from 0 to 3, found 4"),
        (("--transforms", "none,lag"), "error: target_transform: needs one of none, log, yeo-johnson, found 'lag'"),
        (
            ("--transforms", ""),
            "error: Invalid value for '--transforms': needs names with commas between them, found ''",
        ),
    ],
)
def test_tune_refuses_a_grid_before_it_searches(table, tmp_path, options, message):
    assert refused("tune", table, "--target", "gap", *options, folder=tmp_path) == message
    assert not list(tmp_path.iterdir())


def test_what_tune_says_to_do_next_works(table, tmp_path):
    formulas = [
        "MgO",
        "CaO",
        "TiO2",
        "ZrO2",
        "SrTiO3",
        "BaO",
        "ZnO",
        "CdO",
        "MgTiO3",
        "CaZrO3",
    ] * 4  # no ids: they recur
    gap = pd.read_csv(table)["gap (eV)"].where(np.arange(40) > 9)
    frame = pd.DataFrame({"material": formulas, "name": [f"mp {i}" for i in range(40)], "my gap": gap})
    frame.to_csv(tmp_path / "my oxides.csv", index=False)
    columns = ("--target", "my gap", "--id", "name", "--formula", "material")
    done = call("tune", "my oxides.csv", *columns, *GRID, "--out", "own.toml", folder=tmp_path)
    command = done.stdout.rstrip().splitlines()[-1].removeprefix("Next: sisso-sal ")
    assert command == "discover 'my oxides.csv' --config own.toml --formula material"
    summary = strict(call(*shlex.split(command), "--no-report", "--json", folder=tmp_path).stdout)
    assert summary["n_candidates"] == 10
    written = tomllib.loads((tmp_path / "own.toml").read_text())
    assert (written["target"], written["id"]) == ("my gap", "name")
    assert "batch" not in written  # a default; replay has another one


def test_what_tune_says_to_do_next_goes_to_a_run_folder_that_is_free(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    for taken in ("known", "own", "own-2"):
        said.append(_discovery(Path("known.csv"), False, Path("own.toml"), None))
        Path("runs", taken).mkdir(parents=True)
    said.append(_discovery(Path("known.csv"), False, Path("own.toml"), None))
    given = "sisso-sal discover known.csv --config own.toml"
    assert said == [given, *(f"{given} --out runs/{name}" for name in ("own", "own-2", "own-3"))]


def test_tune_prints_the_best_first_and_what_to_do_next(table, tmp_path):
    done = call("tune", table, "--target", "gap", *GRID, folder=tmp_path)
    assert "40 samples, 4-fold cross-validation of the formulas without correction" in done.stdout
    place = re.search(r"^\* +(\d+) ", done.stdout, re.M)[1]
    assert f"Of these number {place} is the simplest (no transform, then the fewest terms" in done.stdout
    assert f"Number {place} is written to tuned.toml" in done.stdout
    assert done.stdout.rstrip().endswith("Next: sisso-sal discover TABLE_WITH_GAPS --config tuned.toml")
    assert refused("tune", table, "--target", "gap", "--dims", "1;2", folder=tmp_path, code=2).startswith("error: ")
