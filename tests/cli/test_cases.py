"""Small inputs on which the program once went wrong, as they lie beside the checkout: what comes out of each."""

import json
import runpy
import shutil
import warnings
from pathlib import Path

import pytest

from test_commands import call, refused, strict  # isort: skip

CASES = Path(__file__).parents[3] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="needs the folder of cases beside the checkout")
FIT = ("--rung", "1", "--dim", "1", "--threads", "1", "--json")


@pytest.fixture
def case(tmp_path):
    """Copies a case into an empty folder; returns its name there."""

    def copied(name):
        source = CASES / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
        return name

    return copied


def fitted(name, folder, *options):
    done = call("fit", name, *FIT, *options, folder=folder)
    return strict(done.stdout), done.stderr


@pytest.mark.parametrize(
    ("name", "n_features", "noted"),
    [
        ("number-as-fortran-d", 4, ""),
        ("text-column", 4, "'cls' (text)"),
        ("constant-column", 4, "'P (GPa)' (constant)"),
        ("comment-lines-above-header", 4, "2 comment lines above the header are skipped"),
        ("unit-in-brackets-or-after-slash", 4, "no unit read from 'Eg_eV'"),
        ("unit-after-comma", 4, "'EA, eV' as 'EA' in 'eV'"),
        ("unit-with-space-product", 4, ""),
    ],
)
def test_tables_are_read_and_what_is_not_used_is_named(case, tmp_path, name, n_features, noted):
    document, notes = fitted(case(f"{name}.csv"), tmp_path)
    assert document["n_features"]["0"] == n_features
    assert noted in notes
    named = {column["column"] for column in document["left_out"]}
    assert all(f"'{column}'" in notes for column in named)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("number-with-percent", "row 1 (line 2), column 'N_val': needs a number, found '4%'"),
        ("number-with-error", "row 1 (line 2), column 'gap (eV)': needs a number, found '7.2350±0.1'"),
        ("unit-decibel", "column 'x0 (dB)': unit 'dB': needs a unit that can be multiplied, found a logarithmic one"),
        ("one-label", "needs at least 3 labelled rows for dim 1, found 1"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(case, tmp_path, name, line):
    assert line in refused("fit", case(f"{name}.csv"), *FIT, folder=tmp_path)
    assert line.rpartition(":")[2] in refused("discover", f"{name}.csv", *FIT, "--out", "run", folder=tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_row_with_a_gap_in_a_feature_is_set_aside(case, tmp_path):
    document, notes = fitted(case("empty-feature-cell.csv"), tmp_path, "--target", "z")
    assert [row["id"] for row in document["set_aside"]] == ["m3"]
    assert "1 of 60 rows is set aside: 'm3' (gap in 'c/d')" in notes


@pytest.mark.parametrize(("name", "target"), [("slashes-in-names", "z"), ("operators-in-names", "gap")])
def test_names_that_are_no_identifiers_are_quoted(case, tmp_path, name, target):
    document, _ = fitted(case(f"{name}.csv"), tmp_path, "--operators", "div,sub", "--target", target)
    (term,) = document["models"][-1]["terms"]
    assert isinstance(term["tree"], list)
    for part in (part for part in term["tree"][1:] if not part.isidentifier()):
        assert f"`{part}`" in term["expression"]


def test_predict_needs_what_the_model_uses(case, tmp_path):
    call("fit", case("unused-feature-train.csv"), *FIT[:-1], "--out", "model.json", folder=tmp_path)
    done = call("predict", "model.json", case("unused-feature-new.csv"), "--json", folder=tmp_path)
    assert all(row["mean"] is not None for row in strict(done.stdout)["predictions"])


def test_outside_the_domain_the_reason_is_told(case, tmp_path):
    name = case("outside-domain.csv")
    done = call("discover", name, "--members", "4", "--threads", "1", "--out", "run", folder=tmp_path)
    reasons = done.stdout
    assert (
        "3 candidates have no prediction: division by zero (2), outside the training range of a descriptor (1)"
        in reasons
    )
    assert "too far from" not in reasons + done.stderr


@pytest.mark.parametrize(
    ("name", "rmse"),
    [
        ("sisso-exp-of-unit", 3.48e-9),
        ("sisso-hash-says-classification", 1.539),
        ("sisso-intercept-flips", 1.539),
        ("sisso-trailing-comma", 1.539),
        ("sisso-words-after-value", 1.539),
        pytest.param("sisso-nf-sis-over-100000", 0.4044, marks=pytest.mark.faults),
    ],
)
def test_inputs_of_sisso_run_as_they_are(case, tmp_path, name, rmse):
    document = strict(call("import-sisso", case(name), "--json", "--threads", "1", folder=tmp_path).stdout)
    assert document["models"][0]["rmse"] == pytest.approx(rmse, rel=1e-3)


def test_a_table_of_sisso_with_few_rows_is_fitted_as_far_as_it_goes(case, tmp_path):
    done = call("import-sisso", case("sisso-fewer-than-told"), "--json", "--threads", "1", folder=tmp_path)
    assert [model["dimension"] for model in strict(done.stdout)["models"]] == [1, 2, 3]
    assert "note: " in done.stderr


def test_a_copy_of_a_feature_with_another_unit_costs_no_law(capsys):
    with warnings.catch_warnings():
        runpy.run_path(str(CASES / "equal-values-other-unit.py"))
    errors = [float(line.rpartition("RMSE ")[2]) for line in capsys.readouterr().out.splitlines()]
    assert len(errors) == 3
    assert max(errors) < 1e-12


def test_two_ids_that_shared_an_intent_get_their_own_labels(case, tmp_path):
    name = case("two-ids-one-intent.csv")
    answer = tmp_path / "answer.sh"
    answer.write_text('#!/bin/sh\nprintf \'{"value": %s}\' "$(printf %s "$1" | cksum | cut -d" " -f1)e-6"\n')
    answer.chmod(0o755)
    options = ("--oracle", f"command:{answer} {{id}}", "--batch", "2", "--members", "4", "--out", "run")
    call("discover", name, *FIT, *options, folder=tmp_path)
    events = [json.loads(line) for line in call("ledger", "run", folder=tmp_path).stdout.splitlines()]
    intents = {event["id"]: event["intent"] for event in events if event["event"] == "intent"}
    labels = {
        event["id"]: event["value"] for event in events if event["event"] == "label" and event["source"] == "oracle"
    }
    assert len(labels) == len(set(labels.values())) == len(set(intents.values())) >= 2
    call("ledger", "run", "--verify", folder=tmp_path)
