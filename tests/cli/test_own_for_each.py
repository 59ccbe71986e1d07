"""Operators of each rung and features for each dimension, as the command takes, tells, saves and reads them."""

import json
import tomllib

import numpy as np
import pandas as pd
import pytest

from sisso_sal.features.reading import parse_formula

from test_commands import call, refused, strict  # isort: skip

OWN = ("--operators", "add,sub,sq;mult,div", "--n-sis", "10,5", "--threads", "1")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"name": [f"M{i:02d}" for i in range(40)], **dict(zip("abc", rng.uniform(1, 2, (3, 40)), strict=True))}
    )
    frame["gap"] = 3 * (frame["a"] + frame["b"]) / frame["c"] ** 2 + 0.2 * frame["a"] + rng.normal(0, 1e-3, 40)
    frame.to_csv(tmp_path / "law.csv", index=False)
    return tmp_path


def levels(expression):
    """The operators of a formula by their distance from its primary features."""
    if not expression.operands:
        return {}
    below = [levels(operand) for operand in expression.operands]
    found = {n: set().union(*(part.get(n, set()) for part in below)) for n in range(1, expression.rung)}
    return found | {expression.rung: {expression.operator_names()[0]}}


def test_each_rung_has_its_own_operators(folder):
    document = strict(
        call("fit", "law.csv", "--target", "gap", *OWN, "--out", "model.json", "--json", folder=folder).stdout
    )
    terms = [parse_formula(term["expression"], dict.fromkeys("abc", "")) for term in document["models"][-1]["terms"]]
    assert "(a + b)/c**2" in [str(term) for term in terms]
    for term in terms:
        for rung, names in levels(term).items():
            assert names <= ({"add", "sub", "sq"}, {"mult", "div"})[rung - 1]
    saved = json.loads((folder / "model.json").read_text())["settings"]
    assert (saved["operators"], saved["n_sis"]) == ([["add", "sub", "sq"], ["mult", "div"]], [10, 5])
    predicted = strict(call("predict", "model.json", "law.csv", "--json", folder=folder).stdout)["predictions"]
    assert len(predicted) == 40


def test_settings_files_and_the_environment_say_the_same(folder):
    asked = call("fit", "law.csv", "--target", "gap", *OWN, folder=folder).stdout
    text = 'model = {operators = [["add", "sub", "sq"], ["mult", "div"]], n_sis = [10, 5]}\n'
    (folder / "settings.toml").write_text(text)
    read = call(
        "fit", "law.csv", "--target", "gap", "--threads", "1", "--config", "settings.toml", folder=folder
    ).stdout
    assert formulas(read) == formulas(asked)
    shown = call("config", "show", "--config", "settings.toml", folder=folder).stdout
    assert tomllib.loads(shown)["model"]["operators"] == [["add", "sub", "sq"], ["mult", "div"]]


def formulas(printed):
    return [line for line in printed.splitlines() if "gap =" in line or line.startswith("        ")]


def test_too_few_or_too_many_are_one_line(folder):
    command = ("fit", "law.csv", "--target", "gap")
    told = "error: operators: needs operators of all rungs, or of each of {}, found those of 2"
    assert refused(*command, "--operators", "add;div", "--rung", "3", folder=folder) == told.format(3)
    assert refused(*command, "--operators", "add;div", "--rung", "1", folder=folder) == told.format(1)
    told = "error: n_sis: needs one number, or one for each of 2 dimensions, found {}"
    assert refused(*command, "--n-sis", "10,5,3", folder=folder) == told.format(3)
    assert "needs whole numbers of at least 1" in refused(*command, "--n-sis", "10,0", folder=folder)
