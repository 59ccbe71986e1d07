"""A campaign of two iterations with a failure and a hostile name, made by the command, for all tests of the report."""

import json

import pytest
from hostile import HOSTILE
from lines import MATERIALS, TRUE

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
