"""`fit --task` and several `--target`, as commands."""

import numpy as np
import pandas as pd
import pytest
from test_commands import call, refused, strict

QUICK = ("--rung", "1", "--n-sis", "10", "--operators", "mult,div", "--threads", "1")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two families with one law; a second property; a row of an unknown family."""
    rng = np.random.default_rng(0)
    n = 36
    frame = pd.DataFrame({"name": [f"M{i:02d}" for i in range(n)]})
    for header in ("E (eV)", "r (AA)", "q"):
        frame[header] = rng.uniform(0.5, 2.0, n).round(4)
    frame["family"] = np.where(np.arange(n) % 3 == 0, "sulfides", "oxides")
    law = frame["E (eV)"] / frame["q"]
    frame["gap (eV)"] = np.where(frame["family"] == "oxides", 3.0, 2.0) * law + 0.25
    frame["bulk (GPa)"] = -40.0 * law + 90.0
    frame.loc[:4, "bulk (GPa)"] = np.nan
    path = tmp_path_factory.mktemp("tasks") / "table.csv"
    frame.to_csv(path, index=False)
    return path, frame


def test_rows_of_a_task(table, tmp_path):
    path, frame = table
    drop = ("--drop", "bulk")
    out = tmp_path / "model.json"
    told = call("fit", path, "--target", "gap", "--task", "family", "--dim", "1", *drop, *QUICK, "--out", out).stdout
    assert "36 samples of 2 tasks of column family" in told
    assert "d1 (eV) = E/q" in told
    rows = [line.split() for line in told.splitlines()]
    assert ["task", "samples", "c0", "c1", "RMSE", "largest", "error"] in rows
    assert ["oxides", "24", "0.25", "3"] in [row[:4] for row in rows]
    assert ["sulfides", "12", "0.25", "2"] in [row[:4] for row in rows]
    predicted = call("predict", out, path).stdout.splitlines()
    assert predicted[0] == "id,task,mean,valid,reason"
    means = np.array([float(line.split(",")[2]) for line in predicted[1:]])
    np.testing.assert_allclose(means, frame["gap (eV)"], rtol=1e-9)
    one = call("predict", out, path, "--task", "sulfides").stdout.splitlines()
    np.testing.assert_allclose(float(one[2].split(",")[2]), 2 * frame["E (eV)"][1] / frame["q"][1] + 0.25)
    source = call("export", out, "--task", "oxides", "--format", "python").stdout
    namespace: dict = {}
    exec(source, namespace)
    np.testing.assert_allclose(namespace["predict"](frame["E (eV)"], frame["q"])[1], means[1])
    assert refused("export", out) == "error: task: needs one of oxides, sulfides, since this is a model of several"
    assert refused("export", out, "--task", "nitrides").endswith("needs one of oxides, sulfides, found 'nitrides'")
    assert refused("predict", out, path, "--task", "x").endswith("needs one of oxides, sulfides, found 'x'")
    assert "needs a model of one task, found one of 2 tasks; predict and export take it" in refused("screen", out, path)


def test_the_files_of_sisso_are_written_for_tasks_too(table, tmp_path):
    fit = ("fit", table[0], "--target", "gap", "--task", "family", "--drop", "bulk", "--dim", "1", *QUICK)
    call(*fit, "--sisso-output", tmp_path / "files")
    assert "Number of tasks:        2" in (tmp_path / "files" / "SISSO.out").read_text()
    assert refused(*fit, "--sisso-output", tmp_path / "files").endswith("or --force to replace its files")


def test_several_targets(table, tmp_path):
    path, frame = table
    arguments = ("--target", "gap", "--target", "bulk", "--drop", "family", "--dim", "1")
    out = tmp_path / "model.json"
    document = strict(call("fit", path, *arguments, *QUICK, "--json", "--out", out).stdout)
    assert document["tasks"] == [
        {"name": "bulk", "unit": "GPa", "n_samples": 31},
        {"name": "gap", "unit": "eV", "n_samples": 36},
    ]
    model = document["models"][0]
    assert [term["expression"] for term in model["terms"]] == ["E/q"]
    np.testing.assert_allclose(model["tasks"]["bulk"]["coefficients"], [-40.0])
    predicted = call("predict", out, path).stdout.splitlines()
    assert len(predicted) == 1 + 2 * len(frame)
    found = {tuple(line.split(",")[:2]): float(line.split(",")[2]) for line in predicted[1:]}
    np.testing.assert_allclose(found["M07", "bulk"], frame["bulk (GPa)"][7])


def test_an_unknown_task_of_a_row_is_named(table, tmp_path):
    path, frame = table
    out = tmp_path / "model.json"
    call("fit", path, "--target", "gap", "--task", "family", "--drop", "bulk", *QUICK, "--out", out)
    other = tmp_path / "other.csv"
    frame.assign(family=["oxides", "nitrides", *frame["family"][2:]]).to_csv(other, index=False)
    told = refused("predict", out, other)
    assert told.endswith("row M01: column 'family' needs one of the tasks oxides, sulfides, found 'nitrides'")
    frame.assign(family=["oxides", None, *frame["family"][2:]]).to_csv(other, index=False)
    fit = ("fit", other, "--target", "gap", "--task", "family", "--drop", "bulk", *QUICK)
    assert refused(*fit).endswith("row M01: column 'family' needs a task, found an empty cell")


def test_an_ensemble_of_tasks(table, tmp_path):
    path, frame = table
    out = tmp_path / "model.json"
    arguments = (
        "--target",
        "gap",
        "--task",
        "family",
        "--drop",
        "bulk",
        "--dim",
        "1",
        "--members",
        "8",
        "--dropout",
        "0",
        *QUICK,
    )
    told = call("fit", path, *arguments, "--out", out)
    assert told.stdout.startswith("36 samples of 2 tasks of column family")
    assert "1 most typical of 8 members" in told.stdout
    accuracy = told.stdout[told.stdout.index("Accuracy of each task: RMSE in eV") :].splitlines()
    spread = {name: frame["gap (eV)"][frame["family"] == name].std() for name in ("oxides", "sulfides")}
    for line in accuracy[2:4]:
        name, samples, of_mean, formulas = line.split()[:4]
        assert int(samples) == (frame["family"] == name).sum()
        assert 0.9 * spread[name] < float(of_mean) < 1.2 * spread[name]
        assert float(formulas) < 1e-6
    assert f"Next: sisso-sal predict {out} OTHER_TABLE, or sisso-sal export {out} --task oxides" in told.stdout
    document = strict(call("fit", path, *arguments, "--json").stdout)
    assert document["n_members"] == 8
    assert [task["name"] for task in document["tasks"]] == ["oxides", "sulfides"]
    predicted = call("predict", out, path).stdout.splitlines()
    assert predicted[0] == "id,task,mean,std,std_raw,low95,high95,formulas_mean,n_valid,outside,distance,reason"
    np.testing.assert_allclose([float(line.split(",")[7]) for line in predicted[1:]], frame["gap (eV)"], rtol=1e-9)
    np.testing.assert_allclose([float(line.split(",")[2]) for line in predicted[1:]], frame["gap (eV)"], rtol=0.01)
    source = call("export", out, "--task", "oxides", "--format", "python").stdout
    namespace: dict = {}
    exec(source, namespace)
    mean, _ = namespace["predict"](frame["E (eV)"], frame["q"])
    np.testing.assert_allclose(mean[frame["family"] == "oxides"], frame["gap (eV)"][frame["family"] == "oxides"])
    assert refused("predict", out, path, "--recommended").endswith("needs a model file of one model, found an ensemble")
    assert "needs a model of one task, found one of 2 tasks" in refused("screen", out, path)


def test_the_recommended_descriptor_of_several_tasks(table, tmp_path):
    path, frame = table
    out = tmp_path / "model.json"
    arguments = ("--target", "gap", "--target", "bulk", "--drop", "family", "--dim", "2", *QUICK)
    told = call("fit", path, *arguments, "--n-models", "2", "--out", out).stdout
    assert "Mean absolute error (of each task as a share of the mean absolute deviation of its labels)" in told
    assert "  d1 (eV) = E/q" in told[told.index("Recommended (*)") :]
    assert f"sisso-sal export {out} --task bulk --recommended" in told
    predicted = call("predict", out, path, "--recommended", "--task", "bulk").stdout.splitlines()
    law = -40.0 * frame["E (eV)"] / frame["q"] + 90.0
    np.testing.assert_allclose([float(line.split(",")[2]) for line in predicted[1:]], law, rtol=1e-9)
    assert "E/q" in call("export", out, "--task", "bulk", "--recommended", "--format", "python").stdout.replace(" ", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--target", "gap", "--same-sign"), "same-sign: needs --task or several --target, found one task"),
        (("--target", "gap", "--task-weighting", "samples"), "task-weighting: needs --task or several --target"),
        (("--target", "gap", "--target", "bulk", "--task", "family"), "task: needs one --target, found 2"),
        (
            ("--target", "gap", "--task", "family", "--members", "3", "--n-models", "2"),
            "n-models: needs a fit of one model, found --members",
        ),
        (
            ("--target", "gap", "--task", "family", "--members", "3", "--loss", "huber"),
            "loss: needs one task, or squared with several, found huber",
        ),
        (
            ("--target", "gap", "--criterion", "max_abs_error", "--members", "3"),
            "criterion: needs a fit of one model, found --members",
        ),
        (("--target", "gap", "--task", "gap"), "column 'gap (eV)' cannot be the task and also be the target"),
        (("--target", "gap", "--task", "famly"), "task column 'famly' is missing; did you mean 'family'?"),
    ],
)
def test_what_does_not_go_together_is_refused(table, arguments, told):
    assert told in refused("fit", table[0], *arguments, *QUICK)
