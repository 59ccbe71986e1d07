"""One model with low columns, as the command fits, tells, saves, predicts and exports it."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from test_commands import call, refused, strict  # isort: skip

SMALL = ("--rung", "1", "--dim", "1", "--n-sis", "4", "--operators", "add,mult,div", "--threads", "1")
FORMS = ("latex", "sympy", "python", "c", "fortran")


@pytest.fixture
def folder(tmp_path):
    """A target that is 0.8 of its cheap estimate and a law of a and b; another one that is the estimate with some noise."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"name": [f"M{i:02d}" for i in range(40)], "dG_chgnet (eV)": rng.normal(0, 1, 40)})
    frame["a"], frame["b"] = rng.uniform(1, 2, 40), rng.uniform(1, 2, 40)
    law = 0.8 * frame["dG_chgnet (eV)"] + 0.3 * frame["a"] * frame["b"]
    frame.assign(**{"dG (eV)": law + rng.normal(0, 0.01, 40)}).to_csv(tmp_path / "law.csv", index=False)
    noisy = frame["dG_chgnet (eV)"] + rng.normal(0, 0.05, 40)
    frame.assign(**{"dG (eV)": noisy}).to_csv(tmp_path / "noisy.csv", index=False)
    return tmp_path


def test_formulas_are_the_rest_of_the_estimate_that_is_found_by_its_name(folder):
    done = call("fit", "law.csv", "--target", "dG", *SMALL, "--out", "model.json", folder=folder)
    equation = re.search(r"dG \(eV\) = .*\n {8}\+ (\S+) · dG_chgnet\n {8}\+ (\S+) \[eV\] · a·b\n", done.stdout)
    assert [float(number) for number in equation.groups()] == pytest.approx([0.8, 0.3], abs=0.03)
    assert "mean absolute error of 40 labels, each left out: dG_chgnet as it is 0." in done.stdout
    assert (
        "formulas are for the rest of a line through dG_chgnet; the model is better than dG_chgnet or a line by 0."
        in (done.stdout)
    )
    document = strict(call("fit", "law.csv", "--target", "dG", *SMALL, "--json", folder=folder).stdout)
    assert document["low"]["form"] == "line"
    assert [error["what"] for error in document["low"]["errors"]] == ["number", "line", "model"]
    assert [(choice["form"], choice["column"]) for choice in document["choices"]] == [
        ("feature", ""), ("difference", "dG_chgnet"), ("line", "dG_chgnet"),
    ]  # fmt: skip
    assert [term["expression"] for term in document["models"][-1]["terms"]] == ["dG_chgnet", "a*b"]
    predicted = strict(call("predict", "model.json", "law.csv", "--json", folder=folder).stdout)["predictions"]
    table, found = pd.read_csv(folder / "law.csv"), document["models"][-1]
    slope, factor = (term["coefficient"] for term in found["terms"])
    said = found["intercept"] + slope * table["dG_chgnet (eV)"] + factor * table["a"] * table["b"]
    assert [row["mean"] for row in predicted] == pytest.approx(said.tolist(), rel=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_every_language_has_the_estimate_first(folder, form):
    call("fit", "law.csv", "--target", "dG", *SMALL, "--out", "model.json", "-q", folder=folder)
    source = call("export", "model.json", "--format", form, folder=folder).stdout
    assert ("\\mathrm{dG}_{\\mathrm{chgnet}}" if form == "latex" else "dG_chgnet") in source
    terms = json.loads((folder / "model.json").read_text())["models"][-1][0]["terms"]
    slope, factor = (f"{term['coefficient']:.3g}"[:4] for term in terms)
    body = source[source.index(slope) :]
    assert body.index(slope) < body.index(factor)


def test_low_none_makes_it_a_feature_and_another_column_is_named(folder):
    plain = strict(call("fit", "law.csv", "--target", "dG", *SMALL, "--low", "none", "--json", folder=folder).stdout)
    assert (plain["low"], plain["choices"]) == (None, [])
    named = strict(
        call("fit", "law.csv", "--target", "dG", *SMALL, "--low", "a,dG_chgnet", "--json", folder=folder).stdout
    )
    assert named["low"]["columns"] == ["a", "dG_chgnet"]
    (folder / "settings.toml").write_text('[ensemble]\nlow = ["b"]\n')
    told = call("fit", "law.csv", "--target", "dG", *SMALL, "--config", "settings.toml", "--json", folder=folder)
    assert strict(told.stdout)["low"]["columns"] == ["b"]
    line = refused("fit", "law.csv", "--target", "dG", *SMALL, "--low", "c", folder=folder)
    assert line == "error: low: needs primary features of the table, found 'c' where there are a, b, dG_chgnet"


def test_the_largest_error_takes_no_low_column_unless_one_is_named(folder):
    arguments = ("fit", "law.csv", "--target", "dG", *SMALL, "--criterion", "max_abs_error")
    document = strict(call(*arguments, "--json", folder=folder).stdout)
    assert document["low"] is None
    line = refused(*arguments, "--low", "dG_chgnet", folder=folder)
    assert line == "error: low: needs the criterion rmse, found max_abs_error"


def test_the_number_is_the_model_where_formulas_are_no_better(folder):
    done = call("fit", "noisy.csv", "--target", "dG", *SMALL, "--out", "model.json", folder=folder)
    assert "dG (eV) =  0\n        + 1 · dG_chgnet" in done.stdout
    assert (
        "the model is dG_chgnet as it is: formulas do not predict better by more than a standard error" in done.stdout
    )
    predicted = strict(call("predict", "model.json", "noisy.csv", "--json", folder=folder).stdout)["predictions"]
    # Numbers as Python reads them: older pandas loses their last bit.
    estimate = pd.read_csv(folder / "noisy.csv", dtype=str)["dG_chgnet (eV)"]
    assert [row["mean"] for row in predicted] == [float(number) for number in estimate]


def test_rows_of_one_material_are_held_out_together(folder):
    """Each row twice, with a number to tell them apart: held out together the errors are those of the rows once."""
    once = pd.read_csv(folder / "law.csv")
    twice = pd.concat([once, once.assign(name=once["name"] + "b")])
    twice.to_csv(folder / "twice.csv", index=False)
    command = ("--target", "dG", *SMALL, "--json")
    one = strict(call("fit", "law.csv", *command, folder=folder).stdout)["low"]
    two = strict(call("fit", "twice.csv", *command, folder=folder).stdout)["low"]
    assert two["n"] == 2 * one["n"]
    line, of_two = (next(error["mae"] for error in low["errors"] if error["what"] == "line") for low in (one, two))
    assert of_two == pytest.approx(line, rel=1e-9)
