"""Scales and shifts from the command line: a fit with units, its file, an export, and what is refused."""

import json

import numpy as np
import pytest
from test_commands import call, refused, strict

from sisso_sal.models.files import load_model


@pytest.fixture(scope="module")
def rates(tmp_path_factory):
    """A table of rates that decay with the temperature."""
    folder, rng = tmp_path_factory.mktemp("rates"), np.random.default_rng(2)
    T, E, r = rng.uniform(300, 900, 40), rng.uniform(0.2, 1.2, 40), rng.uniform(1, 3, 40)
    k = 4.2 * E * np.exp(-0.0052 * T) + 0.3
    rows = [f"m{i},{','.join(map(repr, row))}" for i, row in enumerate(np.column_stack([T, E, r, k]).tolist())]
    (folder / "rates.csv").write_text("\n".join(["id,T (K),E (eV),r (AA),k (eV)", *rows]) + "\n", encoding="utf-8")
    return folder


def test_fit_with_a_scale(rates):
    operators = ("--operators", "mult,div", "--param-operators", "exp")
    options = ("--target", "k", "--dim", "1", "--n-sis", "5", "--threads", "1")
    done = call("fit", "rates.csv", *operators, *options, "--out", "model.json", "--json", folder=rates)
    (model,) = strict(done.stdout)["models"]
    assert model["equation"] == "k (eV) =  0.3\n       + 4.2 * E*exp(-0.0052 [1/K] * T)"
    assert model["terms"][0]["expression"] == "E*exp(-0.0052*T)"
    assert json.loads((rates / "model.json").read_text())["settings"]["param_operators"] == ["exp"]
    assert load_model(rates / "model.json")[0].model_.terms[0].expression.shape == "mult(E,exp[](T))"


def test_what_is_refused(rates):
    line = refused("fit", "rates.csv", "--target", "k", "--param-operators", "mult", folder=rates)
    assert line.startswith("error: param_operators: needs names from abs, inv, ")
    assert line.endswith("found 'mult', which takes no parameters")


def test_what_is_shown_and_exported_has_the_numbers(rates):
    options = ("--target", "k", "--dim", "1", "--n-sis", "5", "--threads", "1", "--param-operators", "exp")
    done = call("fit", "rates.csv", *options, "--operators", "mult", "--out", "shown.json", folder=rates)
    assert "+ 4.2 · E·exp(-0.0052 [1/K]·T)" in done.stdout
    latex = call("export", "shown.json", "--format", "latex", folder=rates).stdout
    assert r"\exp\left(-0.0052\,\mathrm{K}^{-1} \cdot T\right)" in latex
    line = refused("fit", "rates.csv", *options, "--sisso-output", "files", folder=rates)
    assert line == "error: sisso-output: needs operators without fitted scales and shifts, found --param-operators exp"
