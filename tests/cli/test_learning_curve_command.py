"""`tune --learning-curve` as a shell calls it: one document, the text, the picture and the smaller table."""

import numpy as np
import pandas as pd
import pytest

from test_commands import call, refused, strict  # isort: skip

SETTINGS = """\
[model]
rung = 1
dim = 1
n_sis = 4
operators = ["add", "mult"]

[ensemble]
members = 4
dropout = 0.0
correction = "none"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """60 labelled oxides in three copies of 20 each, which differ by little, and 5 rows without a label; and settings."""
    folder = tmp_path_factory.mktemp("curve")
    rng = np.random.default_rng(5)
    a, b, c = np.repeat(rng.uniform(1, 3, (3, 20)), 3, axis=1) + rng.normal(0, 1e-4, (3, 60))
    gap = 10 - a * b + np.repeat(0.2 * rng.normal(size=20), 3)
    names = [f"Mg{k // 3 + 1}O{k // 3 + 2}" for k in range(60)] + [f"Ca{k + 2}O{k + 3}" for k in range(5)]
    more = rng.uniform(1, 3, (3, 5))
    frame = pd.DataFrame(
        {
            "sample": [f"s{k}" for k in range(65)], "formula": names, "a (eV)": [*a, *more[0]], "b (eV)": [*b, *more[1]],
            "c": [*c, *more[2]], "gap (eV)": [*gap, *[np.nan] * 5],
        }
    )  # fmt: skip
    frame.sample(frac=1, random_state=1).to_csv(folder / "known.csv", index=False)
    (folder / "small.toml").write_text(SETTINGS, encoding="utf-8")
    return folder


def curve(folder, *options):
    return call(
        "tune", folder / "known.csv", "--learning-curve", "--config", folder / "small.toml", "--threads", "1", *options
    )


@pytest.fixture(scope="module")
def document(folder):
    return strict(curve(folder, "--json", "--prune", folder / "fewer.csv").stdout)


def test_the_document_has_the_curves_and_what_follows(document):
    assert (document["n_labels"], document["n_groups"], document["target"]["unit"]) == (60, 20, "eV")
    assert set(document["curves"]) == {"random", "error", "coverage"}
    for points in document["curves"].values():
        assert [point["labels"] for point in points] == document["sizes"] == [12, 17, 24, 34, 48]
        for point in points:
            assert point["rmse"]["low"] <= point["rmse"]["value"] <= point["rmse"]["high"]
    assert [point["labels"] for point in document["extrapolation"]["rmse"]["points"]] == [60, 120, 240]
    assert any("Twice as many would lower it" in sentence for sentence in document["advice"])


def test_the_smaller_table_is_a_part_of_the_lines_and_has_all_rows_without_a_label(folder, document):
    lines = (folder / "known.csv").read_text().splitlines()
    kept = (folder / "fewer.csv").read_text().splitlines()
    assert kept == [line for line in lines if line in kept]
    assert {line for line in lines if line.startswith("s") and line.endswith(",")} <= {*kept}
    pruned = document["pruned"]
    assert pruned["gone"]
    assert {line.split(",")[0] for line in lines} - {line.split(",")[0] for line in kept} == {*pruned["gone"]}
    assert pruned["kept"] == len(kept) - 6
    assert pruned["kept"] == document["enough"][pruned["order"]]["kept"] < 60


def test_the_text_says_the_same_and_a_picture_is_drawn(folder, document):
    done = curve(folder, "--plot", folder / "curve.png")
    assert all(sentence in done.stdout for sentence in document["advice"])
    assert "60 labels of 20 materials, 5 folds, 2 repeats" in done.stdout
    assert f"The figure is in {folder / 'curve.png'}" in done.stdout
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert not (folder / "tuned.toml").exists()


def test_files_that_exist_are_replaced_only_with_force(folder):
    (folder / "old.csv").write_text("mine", encoding="utf-8")
    (folder / "old.png").write_text("mine", encoding="utf-8")
    for option, name in (("--prune", "old.csv"), ("--plot", "old.png")):
        error = refused("tune", folder / "known.csv", "--learning-curve", option, folder / name)
        assert f"{name}: exists already" in error
    error = refused("tune", folder / "known.csv", "--learning-curve", "--prune", folder / "known.csv", "--force")
    assert "needs another file than the table itself" in error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--plot", "a.png"), "--plot needs --learning-curve"),
        (("--prune", "a.csv"), "--prune needs --learning-curve"),
        (("--learning-curve", "--rungs", "1"), "--learning-curve compares no settings: it needs no --rungs"),
        (
            ("--learning-curve", "--folds", "30"),
            "folds: needs a number from 2 to 20, as there are 20 materials, found 30",
        ),
    ],
)
def test_options_without_effect_and_too_many_folds_are_refused(folder, options, said):
    assert said in refused("tune", folder / "known.csv", *options)
