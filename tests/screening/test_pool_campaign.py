"""A campaign whose candidates are the best of a pool."""

import json

import numpy as np
import pandas as pd
import pytest
from candidates import QUICK, call, exact, labelled, oxides

from sisso_sal.ledger.store import read_ledger

POOL = ("--target", "gap", "--pool", "pool.parquet", "--keep", "30", "--no-report", *QUICK)


@pytest.fixture(scope="module")
def started(tmp_path_factory, pool):
    folder = tmp_path_factory.mktemp("campaign")
    labelled(oxides(60, 1)).to_csv(folder / "labels.csv", index=False)
    pool.to_parquet(folder / "pool.parquet")
    call("discover", "labels.csv", "--out", "run", *POOL, folder=folder)
    return folder


def test_the_candidates_are_the_labels_and_the_best_of_the_pool(started, pool):
    """The model that screens is that of the first iteration; what has a label is not kept."""
    kept = pd.read_parquet(started / "run" / "candidates.parquet")
    best = exact(started / "run.pool" / "screening" / "top.csv")
    known = oxides(60, 1)
    assert kept["formula"].tolist() == [*known["formula"], *best["id"]]
    assert len(best) == 30
    assert not {*best["id"]} & {*known["formula"]}
    assert kept["gap (eV)"].notna().sum() == 60
    for header in ("EA (eV)", "IP (eV)", "r (AA)", "z"):
        expected = pd.concat([known, pool]).drop_duplicates("formula").set_index("formula").loc[kept["formula"], header]
        np.testing.assert_array_equal(kept[header], expected)
    screened_with = json.loads((started / "run.pool" / "model.json").read_text())
    first = json.loads((started / "run" / "iter-0001" / "model.json").read_text())
    assert screened_with["members"] == first["members"]
    predictions = exact(started / "run" / "iter-0001" / "predictions.csv").set_index("id")
    np.testing.assert_array_equal(predictions.loc[best["id"], "mean"], best["mean (eV)"])


def test_it_goes_on_with_new_labels(started):
    """In the ledger, or filled in: neither changes which candidates there are."""
    before = pd.read_parquet(started / "run" / "candidates.parquet")
    picks = exact(started / "run" / "iter-0001" / "proposals.csv")["id"][:2]
    call("label", "run", picks[0], "2.5", folder=started)
    row = before.set_index("formula").loc[[picks[1]]].reset_index().assign(**{"gap (eV)": 3.5})
    table = exact(started / "labels.csv")
    pd.concat([table, row[table.columns]]).to_csv(started / "labels.csv", index=False)
    call("discover", "labels.csv", "--out", "run", *POOL, folder=started)
    labels = {event["id"]: event["value"] for event in read_ledger(started / "run").events("label")}
    assert (labels[picks[0]], labels[picks[1]]) == (2.5, 3.5)
    assert (started / "run" / "iter-0002").is_dir()
    pd.testing.assert_frame_equal(before, pd.read_parquet(started / "run" / "candidates.parquet"))


def test_what_does_not_go_together_is_refused(started):
    more = call("discover", "labels.csv", "--out", "run", *POOL, "--keep", "40", folder=started, code=2)
    assert more.error.startswith("error: run.pool: was made for another pool; give another --out")
    assert "keep: 30 -> 40" in more.err
    for arguments, words in (
        (("--keep", "5"), "--keep: needs --pool, found none"),
        (("--executor", "elsewhere"), "executor: needs local, dask:local, dask:ADDRESS"),
        ((*POOL, "--dry-run"), "--dry-run: writes nothing, but a pool has to be screened first"),
        (
            (*POOL, "--surrogate", "forest"),
            "pool: needs the surrogate 'sisso', which predicts from a file, found 'forest'",
        ),
    ):
        assert words in call("discover", "labels.csv", "--out", "other", *arguments, folder=started, code=2).error
    assert not (started / "other").exists()


def test_compositions_may_stand_in_a_column_of_their_own(tmp_path, pool):
    known = labelled(oxides(60, 1))
    known.insert(0, "name", [f"sample {number}" for number in range(60)])
    known.to_csv(tmp_path / "labels.csv", index=False)
    named = pool.assign(name=[f"candidate {number}" for number in range(len(pool))])
    named[["name", *pool.columns]].to_parquet(tmp_path / "pool.parquet")
    call("discover", "labels.csv", "--out", "run", *POOL, folder=tmp_path)
    kept = pd.read_parquet(tmp_path / "run" / "candidates.parquet")
    formula = dict(zip([*known["name"], *named["name"]], [*known["formula"], *named["formula"]], strict=True))
    assert kept["composition"].tolist() == [formula[id] for id in kept["name"]]
    best = exact(tmp_path / "run.pool" / "screening" / "top.csv")
    predictions = exact(tmp_path / "run" / "iter-0001" / "predictions.csv").set_index("id")
    np.testing.assert_array_equal(predictions.loc[best["id"], "mean"], best["mean (eV)"])
