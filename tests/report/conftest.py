"""A campaign of two iterations with a failure and a hostile name, made by the command, for all tests of the report."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from hostile import HOSTILE
from lines import MATERIALS, TRUE, Lines, events, step

from sisso_sal.campaign.summary import digests
from sisso_sal.ledger.rows import COPY
from sisso_sal.ledger.store import DATABASE, Ledger
from sisso_sal.report.run_view import RunView

OPTIONS = ("--rung", 1, "--dim", 2, "--n-sis", 10, "--members", 6, "--batch", 3)


@pytest.fixture(scope="session")
def campaign(forks, tmp_path_factory):
    """Folder with a table, and the run folder in it: 20 labels at the start, M02 fails, five more are computed."""
    folder = tmp_path_factory.mktemp("campaign")
    table = MATERIALS.assign(formula=MATERIALS["formula"].replace("M00", HOSTILE))
    table.to_csv(folder / "table.csv", index=False)
    truth = table[["formula"]].assign(**{"gap (eV)": table["formula"].map(TRUE)})
    proposed_first = _proposals(forks, folder)
    truth[truth["formula"] != proposed_first].to_csv(folder / "truth.csv", index=False)
    arguments = ("--oracle", "lookup:truth.csv", "--budget", 6, *OPTIONS)
    done = forks.call("discover", "table.csv", "--out", "run", *arguments, cwd=folder, lines=False)
    assert done.code == 3, done
    return folder


def _proposals(forks, folder):
    """The first proposal: what fails if the oracle does not know it."""
    done = forks.call("discover", "table.csv", "--dry-run", "--json", *OPTIONS, cwd=folder, lines=False)
    assert done.code == 0, done
    return json.loads(done.out)["proposals"][0]["id"]


@pytest.fixture(scope="session")
def view(campaign):
    return RunView.read(campaign / "run")


TOLD = (
    "n_members", "rung", "dim", "choices", "correction", "sigma", "calibration", "formula_calibration", "typical", "recurrence",
    "certain", "n_features", "rejected", "shift",
)  # fmt: skip
"""What a SISSO ensemble tells of itself in the summary of an iteration."""


@pytest.fixture(scope="session")
def silent_run(campaign, tmp_path_factory):
    """The run folder as a surrogate without formulas would leave it: no model file, nothing that a surrogate need not tell."""
    run = tmp_path_factory.mktemp("silent") / "run"
    shutil.copytree(campaign / "run", run)
    for folder in run.glob("iter-*"):
        (folder / "model.json").unlink()
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        kept = {key: value for key, value in summary.items() if key not in TOLD}
        table = pd.read_csv(
            folder / "predictions.csv",
            dtype={"id": str},
            keep_default_na=False,
            na_values=[""],
        )
        table[["formulas_mean", "outside", "distance"]] = np.nan
        table.to_csv(folder / "predictions.csv", index=False)
        for proposal in kept["proposals"]:
            proposal |= dict.fromkeys(("formulas_mean", "outside", "distance"))
            proposal |= {"reason": "likely a hit", "why": "likely a hit (60 %)"}
        (folder / "summary.json").write_text(
            json.dumps(kept | {"calibration": None, "surrogate": "lines"}), encoding="utf-8"
        )
    written_anew(run)
    return run


def written_anew(run):
    """Write the ledger again, with the digests that the files of the iterations have now."""
    written = events(run)
    for name in (DATABASE, COPY):
        (run / name).unlink()
    with Ledger(run) as ledger:
        for event in written:
            data = {key: value for key, value in event.items() if key not in {"seq", "time", "event"}}
            ledger.append(event["event"], data | ({"files": digests(run / data["folder"])} if "files" in data else {}))


@pytest.fixture(scope="session")
def silent(silent_run):
    return RunView.read(silent_run)


class Mute:
    """Lines that tell nothing of themselves; their out-of-bag predictions have no sigma."""

    def __init__(self):
        self._lines = Lines()

    def fit(self, *arguments, **options):
        self._lines.fit(*arguments, **options)
        return self

    def predict(self, space, numbers):
        return self._lines.predict(space, numbers)

    @property
    def out_of_bag(self):
        return self._lines.out_of_bag


@pytest.fixture(scope="session")
def mute_run(tmp_path_factory):
    """A run of them."""
    run = tmp_path_factory.mktemp("mute") / "run"
    step(run, surrogate=Mute)
    return run
