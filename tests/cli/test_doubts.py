"""What commands say of an ensemble of few members, of few labels and of a positive target."""

import json
import tomllib

import numpy as np
import pandas as pd
import pytest

from test_commands import FEW_MEMBERS, call, refused  # isort: skip

SMALL = ("--rung", "0", "--dim", "1", "--n-sis", "3", "--correction", "none", "--threads", "1")
DOUBT = FEW_MEMBERS.format(4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A positive target with large errors in 24 of 30 rows (few.csv: in 11), and one that may be negative."""
    folder, rng = tmp_path_factory.mktemp("doubts"), np.random.default_rng(2)
    frame = pd.DataFrame(
        {
            "name": [f"M{i:02d}" for i in range(30)],
            "a (eV)": rng.uniform(0.1, 3, 30),
            "b": rng.uniform(1, 2, 30),
        }
    )
    frame["gap (eV)"] = frame["a (eV)"] * np.exp(0.6 * rng.normal(size=30))
    for name, known, shift in (("table", 24, 0.0), ("few", 11, 0.0), ("signed", 24, 1.0)):
        target = (frame["gap (eV)"] - shift).where(np.arange(30) < known)
        frame.assign(**{"gap (eV)": target}).to_csv(folder / f"{name}.csv", index=False)
    frame.to_csv(folder / "known.csv", index=False)
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ("discover", "table.csv", "--dry-run", "--json"),
        ("discover", "table.csv", "--out", "run", "--no-report"),
        ("fit", "table.csv"),
        (
            "replay",
            "known.csv",
            "--target",
            "gap",
            "--n-start",
            "8",
            "--evaluations",
            "2",
            "--seeds",
            "2",
            "--workers",
            "1",
        ),
    ],
)
def test_a_note_tells_once_of_few_members(command, folder):
    options = SMALL if command[0] != "replay" else SMALL[:-2]
    assert call(*command, *options, "--members", "4", folder=folder).stderr.count(DOUBT) == 1
    assert DOUBT not in call(*command, *options, "--members", "4", "--quiet", folder=folder).stderr


def test_enough_members_or_none_at_all_need_no_note(folder):
    assert "members" not in call("fit", "table.csv", *SMALL, "--members", "20", folder=folder).stderr
    assert "members" not in call("fit", "table.csv", *SMALL[:6], folder=folder).stderr
    forest = call("discover", "table.csv", "--surrogate", "forest", "--dry-run", folder=folder).stderr
    assert "members" not in forest
    names = ("--surrogates", "forest", "--n-start", "8", "--evaluations", "2", "--seeds", "2", "--workers", "1")
    few = call("replay", "known.csv", "--target", "gap", *names, "--members", "4", folder=folder).stderr
    assert "fewer than" not in few


def predicted(folder, *options, table="table.csv"):
    out = folder / f"run{abs(hash((options, table)))}"
    call(
        "discover",
        table,
        *SMALL,
        "--members",
        "20",
        "--batch",
        "6",
        "--no-report",
        "--out",
        out,
        *options,
        "--json",
        folder=folder,
    )
    return pd.read_csv(out / "iter-0001" / "predictions.csv"), json.loads(
        (out / "iter-0001" / "summary.json").read_text()
    )


def test_predictions_of_a_positive_target_have_no_part_below_zero(folder):
    auto, no = (predicted(folder, "--positive", when)[0] for when in ("auto", "no"))
    assert (auto["low95"] >= 0).all()
    assert (auto["mean"] >= 0).all()
    assert (no["low95"] < 0).sum() > 5
    below = predicted(folder, "--goal", "<=-0.5")[0]
    assert below["low95"].tolist() == no["low95"].tolist()
    signed = predicted(folder, table="signed.csv")[0]
    assert (signed["low95"] < 0).any()


def test_positive_is_an_option_of_fit_and_a_setting(folder):
    config = folder / "campaign.toml"
    config.write_text('[ensemble]\npositive = "no"\n')
    assert (predicted(folder, "--config", config)[0]["low95"] < 0).any()
    shown = call("config", "show", "--config", config, folder=folder).stdout
    assert tomllib.loads(shown)["ensemble"]["positive"] == "no"
    for when, floor in (("yes", 0.0), ("no", None), ("auto", 0.0)):
        call("fit", "table.csv", *SMALL, "--members", "20", "--positive", when, "--out", f"{when}.json", folder=folder)
        assert json.loads((folder / f"{when}.json").read_text())["floor"] == floor


def test_a_negative_label_of_a_positive_target_is_one_line(folder):
    for command in (("fit", "signed.csv"), ("discover", "signed.csv", "--dry-run")):
        line = refused(*command, *SMALL, "--members", "20", "--positive", "yes", folder=folder)
        assert "positive: needs labels of at least 0, found -" in line


def test_labels_of_fewer_than_twelve_materials_are_not_recalibrated_and_the_output_says_so(folder):
    predictions, summary = predicted(folder, table="few.csv")
    assert summary["calibration"]["kind"] == "none"
    np.testing.assert_allclose(predictions["std"], predictions["std_raw"], rtol=1e-12)
    done = call(
        "discover", "few.csv", *SMALL, "--members", "20", "--out", folder / "said", "--no-report", folder=folder
    )
    assert "no recalibration: it needs residuals of 12 materials at least, found 11" in done.stdout
