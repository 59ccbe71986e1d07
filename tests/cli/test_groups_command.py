"""Rows of one material, as the command reads, tells and keeps them."""

import json

import numpy as np
import pandas as pd
import pytest

from sisso_sal.report.run_view import RunView

from test_commands import call, refused, strict  # isort: skip

SMALL = ("--rung", "1", "--dim", "1", "--n-sis", "4", "--members", "6", "--operators", "add,mult,div", "--threads", "1")


@pytest.fixture
def folder(tmp_path):
    """Thirty materials three times each, with slightly other features; two thirds have a label."""
    rng = np.random.default_rng(0)
    batch = np.repeat(np.arange(30), 3)
    values = rng.uniform(1, 3, (30, 4))[batch] + 1e-5 * rng.normal(size=(90, 4))
    frame = pd.DataFrame(values, columns=["a (eV)", "b", "c", "d"])
    frame.insert(0, "sample", [f"run {i:03d}" for i in range(90)])
    frame.insert(1, "batch", batch)
    frame["gap (eV)"] = values[:, 0] * values[:, 1] + rng.normal(0, 0.3, 30)[batch] + rng.normal(0, 0.05, 90)
    frame.to_csv(tmp_path / "whole.csv", index=False)
    frame.loc[60:, "gap (eV)"] = np.nan
    frame.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path


def test_discover_tells_how_many_materials_there_are_and_continues_only_with_the_same_column(folder):
    command = ("discover", "table.csv", *SMALL, "--out", "run")
    done = call(*command, "--group", "batch", folder=folder)
    assert (
        "labels of 60 rows, 20 materials: rows with the same batch are drawn, left out and held back together"
        in done.stdout
    )
    assert "are nearly equal" not in done.stdout
    document = strict(call(*command, "--group", "batch", "--json", folder=folder).stdout)
    assert document["materials"] == {"n_labels": 60, "n": 20, "by": "column", "column": "batch", "near": None}
    assert document["calibration"]["n_materials"] <= 20
    assert document["n_features"]["0"] == 4
    page = (folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "Labels of 60 rows, 20 materials: rows with the same batch are drawn" in page
    assert RunView.read(folder / "run").summary["materials"]["n"] == 20
    for other in (["--drop", "batch"], ["--group", "sample", "--drop", "batch"]):
        done = call(*command, *other, folder=folder, code=2)
        assert f"group: batch -> {other[1] if other[0] == '--group' else 'None'}" in done.stderr
    assert 'group = "batch"' in (folder / "run" / "campaign.toml").read_text()


def test_rows_that_are_nearly_equal_are_told_with_what_to_write(folder):
    document = json.loads(call("fit", "table.csv", "--drop", "batch", *SMALL, "--json", folder=folder).stdout)
    assert document["materials"]["n"] == 60
    near = document["materials"]["near"]
    assert near["n"] == 60
    first, second = near["example"]
    assert int(first[4:]) // 3 == int(second[4:]) // 3
    text = call("fit", "table.csv", "--drop", "batch", *SMALL, folder=folder).stdout
    told = f"60 rows are nearly equal to a row of another material, for example {first} and {second}; --group COLUMN tells which"
    assert told in text


def test_the_claim_of_a_fit_is_smaller_without_the_column(folder):
    claims = [
        json.loads(call("fit", "table.csv", *column, *SMALL, "--json", folder=folder).stdout)["calibration"]["rmse"]
        for column in (["--group", "batch"], ["--drop", "batch"])
    ]
    assert claims[1] < 0.6 * claims[0]


def test_compositions_make_materials_of_polymorphs(tmp_path):
    rng = np.random.default_rng(1)
    metals = ["Mg", "Ca", "Sr", "Ba", "Zn", "Cd", "Ti", "Zr", "Hf", "Sn", "Ge", "Pb"]
    formulas = [text for metal in metals for text in (f"{metal}O2", f"{metal}2O4", f"{metal}O")]
    frame = pd.DataFrame({"id": [f"run {i}" for i in range(36)], "formula": formulas})
    frame[["a", "b"]] = rng.uniform(1, 2, (36, 2))
    frame["gap (eV)"] = frame["a"] * frame["b"] + rng.normal(0, 0.1, 36)
    frame.to_csv(tmp_path / "table.csv", index=False)
    document = json.loads(call("fit", "table.csv", *SMALL, "--target", "gap", "--json", folder=tmp_path).stdout)
    assert document["materials"] == {"n_labels": 36, "n": 24, "by": "composition", "column": "", "near": None}
    text = call("fit", "table.csv", *SMALL, "--target", "gap", folder=tmp_path).stdout
    assert "labels of 36 rows, 24 materials: rows of one composition are drawn" in text


def test_tune_holds_the_groups_back_together_and_keeps_the_column(folder):
    common = (
        "tune",
        "table.csv",
        "--rungs",
        "1",
        "--dims",
        "1",
        "--n-sis-values",
        "4",
        "--members-values",
        "4",
        "--dropouts",
        "0",
    )
    rest = ("--transforms", "none", "--folds", "4", "--threads", "1", "--json")  # fmt: skip
    rows = [
        json.loads(call(*common, *rest, *column, "--out", out, folder=folder).stdout)["rows"][0]["rmse"]
        for column, out in ((["--group", "batch"], "aware.toml"), (["--drop", "batch"], "unaware.toml"))
    ]
    assert rows[0] != rows[1]
    assert 'group = "batch"' in (folder / "aware.toml").read_text()


@pytest.mark.parametrize("command", ["discover", "fit", "tune", "replay", "pareto"])
def test_every_command_that_learns_refuses_a_column_that_is_not_there(folder, command):
    targets = ["--target", "gap", "--target", "d"] if command == "pareto" else []
    told = refused(command, "table.csv", *targets, "--group", "batches", folder=folder)
    assert told == "error: table.csv: group column 'batches' is missing; did you mean 'batch'?"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--group", "gap"], "column 'gap (eV)' cannot be the group and also be the target"),
        (["--group", "gap", "--target", "gap"], "column 'gap (eV)' cannot be the group and also be the target"),
        (
            ["--group", "batch", "--columns", "a,batch"],
            "column 'batch' cannot be the group and also be a feature or a target",
        ),
    ],
)
def test_a_column_with_another_role_is_told_in_one_line(folder, options, told):
    frame = pd.read_csv(folder / "table.csv").drop(columns="batch") if options == ["--group", "gap"] else None
    if frame is not None:
        frame.to_csv(folder / "table.csv", index=False)
    assert refused("discover", "table.csv", *options, folder=folder) == f"error: table.csv: {told}"
