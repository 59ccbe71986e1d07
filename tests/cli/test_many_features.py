"""Options of `fit` for many primary features, products of powers and the files of SISSO; and `import-sisso` with them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from sisso_sal.cli import cli

SEARCH = ("--rung", "1", "--dim", "1", "--n-sis", "10", "--threads", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Forty columns, of which the label needs two; and a label below 0 in a copy of the table."""
    place, rng = tmp_path_factory.mktemp("many"), np.random.default_rng(1)
    X = np.exp(0.4 * rng.normal(size=(50, 40))).round(4)
    y = (3 * X[:, 7] / X[:, 19]).round(6)
    for name, labels in (("table.csv", y), ("negative.csv", np.where(np.arange(50) == 3, -0.5, y))):
        rows = [f"m{i},{labels[i]},{','.join(map(str, X[i]))}" for i in range(50)]
        header = f"id,T (K),{','.join(f'x{j:02d}' for j in range(40))}"
        (place / name).write_text("\n".join([header, *rows]) + "\n")
    return place


def fit(folder, *options, table="table.csv", code=0):
    done = CliRunner().invoke(cli, ["fit", str(folder / table), "--target", "T", *SEARCH, *map(str, options)])
    assert done.exit_code == code, (done.output, done.exception)
    return str(done.exception) if code else done.stdout


@pytest.mark.parametrize(("by", "how"), [("pairs", "pairs"), ("subsets", "subsets: 7 rounds saw 33")])
def test_primary_features_are_chosen_first_and_the_output_says_what_that_means(folder, by, how):
    rounds = ("--select-rounds", 7) if by == "subsets" else ()
    text = fit(folder, "--select", 6, "--select-by", by, *rounds, "--seed", 5)
    assert f"chosen 6 of 40 primary features ({how.partition(':')[0]}" in text
    assert "the choice saw all labels: errors are smaller than those of new materials" in text
    if by == "pairs":
        assert "primary features (pairs): x07, x19, " in text
        assert "3 [K] · x07/x19" in text
    document = json.loads(fit(folder, "--select", 6, "--select-by", by, *rounds, "--seed", 5, "--json"))
    assert document["selection"]["n_primary"] == 40
    assert len(document["selection"]["primaries"]) == 6
    assert document["selection"].get("n_rounds") == (7 if rounds else None)


def test_the_chosen_columns_alone_are_needed_for_predictions(folder, tmp_path):
    fit(folder, "--select", 6, "--out", tmp_path / "model.json")
    lines = (folder / "table.csv").read_text().splitlines()
    places = [0, 2 + 7, 2 + 19]
    (tmp_path / "new.csv").write_text("\n".join(",".join(line.split(",")[i] for i in places) for line in lines))
    done = CliRunner().invoke(cli, ["predict", str(tmp_path / "model.json"), str(tmp_path / "new.csv"), "-q"])
    assert done.exit_code == 0, done.output
    assert done.stdout.count("True") == 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--select-by", "pairs"), "select-by: needs --select, found none"),
        (("--select", 5, "--select-rounds", 3), "select-rounds, select-patience: need --select-by subsets"),
        (("--select", 5, "--select-by", "all"), "select-by: needs one of pairs, subsets, found 'all'"),
        (("--regression", "log", "--members", 3), "model.regression: needs linear for an ensemble, found log"),
        (("--regression", "logit"), "model.regression: needs"),
        (("--regression", "log", "--low", "x01"), "low: needs regression linear, found log (and the column x01)"),
        (("--sisso-output", "out", "--members", 3), "sisso-output: needs a fit of one model, found --members"),
        (("--sisso-output", "out", "--low", "x01"), "sisso-output: needs a fit without low columns, found --low x01"),
    ],
)
def test_options_that_do_not_go_together_are_refused(folder, options, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert message in fit(folder, *options, code=1)
    assert not list(tmp_path.iterdir())


def test_a_product_is_printed_and_a_label_that_has_no_logarithm_is_named(folder):
    text = fit(folder, "--regression", "log", "--operators", "mult,div")
    assert "T (K) =  3\n      · |x07/x19|^1" in text.replace("|x19/x07|^(-1)", "|x07/x19|^1")
    message = fit(folder, "--regression", "log", table="negative.csv", code=1)
    assert "target: --regression log needs numbers above 0, found -0.5 in row 'm3'" in message


def test_files_of_sisso_are_written_once(folder, tmp_path):
    out = tmp_path / "out"
    fit(folder, "--sisso-output", out, "--max-correlation", 0.5, "--columns", "x07,x19,x20")
    assert (out / "SISSO.out").read_text().count("D descriptor/model") == 1
    values = np.loadtxt(out / "SIS_subspaces" / "Uspace.dat")[:, 1:]
    assert np.abs(np.corrcoef(values.T) - np.eye(values.shape[1])).max() <= 0.5
    assert "is not empty; give another --sisso-output, or --force" in fit(folder, "--sisso-output", out, code=1)
    fit(folder, "--sisso-output", out, "--force", "--regression", "log")
    assert "exp(c0)" in (out / "models" / "train_dim_1_model_0.dat").read_text()


def test_an_input_of_sisso_cpp_with_log_regression_and_a_test_set_is_run(tmp_path):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 2, (2, 20)).round(4)
    rows = [f"m{i}, {2 * a[i] ** 1.5 / b[i]:.8f}, {a[i]}, {b[i]}" for i in range(20)]
    (tmp_path / "data.csv").write_text("\n".join(["# material, T (K), a (AA), b (eV)", *rows]))
    keys = {"property_key": "T", "opset": ["mult", "div"], "calc_type": "log_regression", "desc_dim": 2, "max_rung": 1}
    keys |= {"n_sis_select": 3, "leave_out_frac": 0.25, "max_feat_cross_correlation": 0.99, "n_residual": 1}
    (tmp_path / "sisso.json").write_text(json.dumps(keys))
    options = ["import-sisso", str(tmp_path), "--threads", "1", "--sisso-output", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, [*options, "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert (
        document["imported"]["settings"] | {"regression": "log", "max_correlation": 0.99}
        == document["imported"]["settings"]
    )
    assert (document["n_samples"], document["imported"]["n_left_out"]) == (15, 5)
    assert [one["n"] for one in document["test"]] == [5, 5]
    assert document["test"][1]["rmse"] < 1e-6
    assert (tmp_path / "out" / "feature_space" / "SIS_summary.txt").exists()
    done = CliRunner().invoke(cli, [*options, "--dry-run"])
    assert "--sisso-output: needs a run, found --dry-run or --out" in str(done.exception)
