"""`fit --n-models` as a shell calls it, the recommended formula in `predict` and `export`, and formulas on a plain terminal."""

import io
import os
import subprocess

import numpy as np
import pandas as pd
import pytest

from sisso_sal.report.text.trade_off import trade_off_text

from test_commands import COMMAND, call, refused, strict  # isort: skip

SMALL = ("--rung", "1", "--n-sis", "5", "--operators", "mult,div,sq,sqrt", "--threads", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("choosing")
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"name": [f"M{i}" for i in range(50)]})
    for header in ("a", "b", "r (AA)"):
        frame[header] = rng.uniform(1, 2, 50).round(4)
    frame["E (eV)"] = (3 * frame["a"] ** 2 + rng.normal(0, 0.3, 50)).round(4)
    frame.to_csv(folder / "table.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def document(folder):
    options = ("--target", "E", "--dim", "3", "--n-models", "3", "--out", "model.json", "--plot", "error.png", "--json")
    return strict(call("fit", "table.csv", *options, *SMALL, folder=folder).stdout)


def test_the_document_has_the_best_of_each_size_and_the_recommended_one(document):
    assert [model["dimension"] for model in document["models"]] == [1, 2, 3]
    assert [len(models) for models in document["alternatives"]] == [3, 3, 3]
    assert [models[0] for models in document["alternatives"]] == document["models"]
    best = document["recommended"]
    assert [term["expression"] for term in best["terms"]] == ["a**2"]
    dimension, rank = document["trade_off"]["recommended"]
    assert document["alternatives"][dimension - 1][rank - 1] == best


def test_the_terminal_shows_a_table_and_a_drawing(document):
    text = "\n".join(trade_off_text(document))
    assert "10 parts of 50 materials" in text
    rows = [line for line in text.splitlines() if line.startswith("*")]
    assert len(rows) == 1
    assert rows[0].split()[1:3] == ["1", "1"]
    assert rows[0].endswith("a²")
    drawn = [line for line in text.splitlines() if "●" in line]
    places = [line.index("●") for line in drawn]
    errors = [size["mae"] for size in document["trade_off"]["sizes"]]
    assert [line.split()[0] for line in drawn] == ["1", "2", "3"]
    assert sorted(places) == [place for _, place in sorted(zip(errors, places, strict=True))]
    assert text.rstrip().endswith("· a²")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"complete": False}, "the search was interrupted"),
        ({"low": {"form": "line alone"}}, "no formula is better than the low column"),
        ({}, "no labels could be held out"),
    ],
)
def test_without_errors_the_formulas_are_still_shown(document, change, why):
    lines = trade_off_text(document | {"trade_off": None, "recommended": None} | change)
    assert lines[-1] == f"No formula is recommended: {why}"
    assert len(lines[1].splitlines()) == 10
    assert "a²" in lines[1]


def test_the_recommended_formula_can_be_used(folder, document):
    largest = call("predict", "model.json", "table.csv", folder=folder).stdout
    chosen = call("predict", "model.json", "table.csv", "--recommended", folder=folder).stdout
    a = pd.read_csv(folder / "table.csv")["a"]
    (term,) = document["recommended"]["terms"]
    mean = pd.read_csv(io.StringIO(chosen))["mean"]
    np.testing.assert_allclose(mean, document["recommended"]["intercept"] + term["coefficient"] * a**2, rtol=1e-12)
    assert largest != chosen
    source = call("export", "model.json", "--recommended", "--format", "latex", folder=folder).stdout
    assert source.count("quad") == 1
    assert "a^{2}" in source
    assert (folder / "error.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("fit", "table.csv", "--n-models", "2", "--members", "4"),
            "n-models: needs a fit of one model, found --members",
        ),
        (("fit", "table.csv", "--plot", "p.png"), "plot: needs --n-models or classes, found a fit without"),
        (("export", "model.json", "--recommended", "--dim", "2"), "recommended: needs no --dim, found --dim 2"),
        (
            ("predict", "plain.json", "table.csv", "--recommended"),
            "recommended: needs a model of fit --n-models, found one without errors of held-out labels",
        ),
    ],
)
def test_what_cannot_be_is_refused(folder, document, arguments, message):
    if arguments[1] == "plain.json":
        call("fit", "table.csv", "--target", "E", "--dim", "1", "--out", "plain.json", *SMALL, folder=folder)
    given = ("--target", "E", *SMALL) if arguments[0] == "fit" else ()
    assert refused(*arguments, *given, folder=folder) == f"error: {message}"


def test_a_terminal_without_raised_digits_gets_the_formula_in_ascii(folder):
    table = pd.read_csv(folder / "table.csv").rename(columns={"r (AA)": "r"})
    table.to_csv(folder / "plain.csv", index=False)
    done = subprocess.run(
        [*COMMAND, "fit", "plain.csv", "--target", "E", "--dim", "1", *SMALL, "--quiet"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert " [eV] * a**2" in done.stdout
