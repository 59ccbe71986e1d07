"""What terminal and page say of low columns; a campaign that finds one by its name."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from sisso_sal.cli import cli
from sisso_sal.report.summary import low_text

ERRORS = [
    {"what": "number", "column": "G", "mae": 0.1, "rmse": 0.142},
    {"what": "line", "column": "G", "mae": 0.09, "rmse": 0.11},
    {"what": "model", "column": "", "mae": 0.085, "rmse": 0.1},
]


def told(form, **more):
    baseline = None if form == "feature" else {"column": "G", "slope": 1.0, "intercept": 0.0}
    low = {
        "columns": ["G"],
        "form": form,
        "baseline": baseline,
        "n": 45,
        "errors": ERRORS,
        "gain": None,
        "gain_error": None,
    }
    return low_text({"low": low | more}, "eV")


def test_each_form_has_its_words():
    first = "mean absolute error of 45 labels, each left out: G as it is 0.1 eV, a line through G 0.09 eV, the model 0.085 eV"
    alone = "formulas do not predict better by more than a standard error"
    assert told("number alone") == [first, f"the model is G as it is: {alone}"]
    assert told("line alone") == [first, f"the model is a line through G: {alone}"]
    better = "the model is better than G or a line by 0.005 ± 0.004 eV: no more than chance could give"
    assert told("feature", gain=0.005, gain_error=0.004) == [first, f"G: one feature more for formulas; {better}"]
    assert told("line", gain=0.5, gain_error=0.1)[1].endswith("by 0.5 ± 0.1 eV")
    assert low_text({}, "eV") == low_text({"low": None}, "eV") == []


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    a, b, number = rng.uniform(1, 2, 60), rng.uniform(1, 2, 60), rng.normal(0, 1, 60)
    target = number + 0.5 * a * b + rng.normal(0, 0.01, 60)
    target[40:] = np.nan
    return pd.DataFrame(
        {"name": [f"m{i}" for i in range(60)], "E (eV)": target, "a": a, "b": b, "E_chgnet (eV)": number}
    )


def discovered(table, folder, *options):
    table.to_csv(folder / "c.csv", index=False)
    words = [
        "discover",
        str(folder / "c.csv"),
        "--out",
        str(folder / "run"),
        "--members",
        "6",
        "--rung",
        "1",
        "--n-sis",
        "5",
    ]
    done = CliRunner().invoke(cli, [*words, "--batch", "2", *options])
    assert done.exit_code == 0, done.output
    return done.stdout, (folder / "run" / "report.html").read_text(encoding="utf-8")


def test_the_estimate_of_the_target_is_found_and_told_in_terminal_page_and_json(table, tmp_path):
    text, page = discovered(table, tmp_path, "--dropout", "0", "--dim", "1")
    forms = "(the difference to|the rest of a line through) E_chgnet"
    assert re.search(f"formulas are for {forms}; the model is better than E_chgnet or a line by", text)
    assert re.search(r"E \(eV\) = .*\n +\+ [01][.\d]* · E_chgnet\n +\+ 0\.\d+ \[eV\] · a·b", text)
    assert "the difference to E_chgnet, no formula: " in text
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert re.search(f"Formulas are for {forms}; the model is better", plain)
    assert re.search(r"6 formulas of rung 1 with \d terms? each, beside E_chgnet", plain)
    assert "the rest of a line through E_chgnet" in plain
    assert plain.count("(chosen)") == 1
    summary = json.loads((tmp_path / "run" / "iter-0001" / "summary.json").read_text())
    assert summary["low"]["columns"] == ["E_chgnet"]
    assert [error["what"] for error in summary["low"]["errors"]] == ["number", "line", "model"]


def test_none_makes_it_a_feature_like_the_others(table, tmp_path):
    text, page = discovered(table, tmp_path, "--low", "none")
    assert "each left out" not in text + page
    assert json.loads((tmp_path / "run" / "iter-0001" / "summary.json").read_text())["low"] is None


def test_a_campaign_with_the_number_alone_has_a_page(table, tmp_path):
    rng = np.random.default_rng(1)
    noisy = table.assign(**{"E (eV)": (table["E_chgnet (eV)"] + rng.normal(0, 0.3, 60)).where(table["E (eV)"].notna())})
    text, page = discovered(noisy, tmp_path, "--seed", "3")
    summary = json.loads((tmp_path / "run" / "iter-0001" / "summary.json").read_text())
    if summary["low"]["form"].endswith("alone"):
        assert "the model is " in text
        assert "6 times the low column, each time for another sample of the labels" in page
    else:
        assert "the model is better than E_chgnet or a line by" in text
