"""`replay` and `tune` as a shell calls them."""

import tomllib

import numpy as np
import pandas as pd
import pytest

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
FEW = ("--n-start", "8", "--evaluations", "4", "--seeds", "2", "--jobs", "1")


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
    assert set(document["strategies"]) == {"sisso search", "forest search", "random", "distance"}
    for strategy in document["strategies"].values():
        assert [len(found) for found in strategy["found"]] == [5, 5]
        assert all(np.diff(found).min() >= 0 for found in strategy["found"])
    starts = [[found[0] for found in s["found"]] for s in document["strategies"].values()]
    assert starts.count(starts[0]) == 4
    law = [found[-1] for found in document["strategies"]["sisso search"]["found"]]
    assert sum(law) > sum(found[-1] for found in document["strategies"]["random"]["found"])


def test_replay_draws_and_prints_a_table_best_first(table, tmp_path):
    plot = tmp_path / "found.png"
    done = call(
        "replay", table, "--target", "gap", *FEW, "--surrogates", "forest", "--acquisitions", "mean", "--plot", plot
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith(
        "4 targets among 40 materials (goal min); 8 labels to start (random), 4 evaluations, 2 starts"
    )
    assert plot.read_bytes().startswith(b"\x89PNG")
    found = [
        float(line[12:].split()[0])
        for line in lines
        if line.startswith(("forest mean ", "random      ", "distance    "))
    ]
    assert len(found) == 3
    assert found == sorted(found, reverse=True)
    assert refused("replay", table, "--target", "gap", *FEW, "--plot", plot).startswith(
        f"error: {plot}: exists already"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--surrogates", "forrest"), "error: surrogates: needs names among sisso, forest, process, found 'forrest'"),
        (("--acquisitions", "eii"), "error: acquisition: needs one of "),
        (("--start", "best"), "error: start: needs random, worst or without:ELEMENT, found 'best'"),
        (("--start", "without:Xe"), "error: start: needs an element that occurs in the ids, found no 'Xe'"),
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
    assert (written["model"]["dim"], written["ensemble"]["dropout"]) == (document["best"]["dim"], 0.0)
    assert written["ensemble"]["adapt"] is False
    frame = pd.read_csv(table)
    frame.loc[:9, "gap (eV)"] = np.nan
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    summary = strict(call("discover", "gaps.csv", "--config", "tuned.toml", "--json", folder=tmp_path).stdout)
    assert summary["settings"]["ensemble"]["members"] == 4
    assert refused("tune", table, "--target", "gap", *GRID, folder=tmp_path).startswith(
        "error: tuned.toml: exists already"
    )


def test_tune_prints_the_best_first_and_what_to_do_next(table, tmp_path):
    done = call("tune", table, "--target", "gap", *GRID, folder=tmp_path)
    assert "40 samples, 4-fold cross-validation of the formulas without correction" in done.stdout
    assert done.stdout.rstrip().endswith(f"Next: sisso-sal discover {table} --config tuned.toml")
    assert refused("tune", table, "--target", "gap", "--dims", "1;2", folder=tmp_path, code=2).startswith("error: ")
