"""Models and a pool of every test of the room."""

import pytest
from candidates import QUICK, call, labelled, oxides


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The file of an ensemble with a correction that was learned from compositions."""
    folder = tmp_path_factory.mktemp("model")
    labelled(oxides(60, 1)).to_csv(folder / "table.csv", index=False)
    call("fit", "table.csv", "--target", "gap", *QUICK, "--out", "model.json", folder=folder)
    return folder / "model.json"


@pytest.fixture(scope="session")
def formulas_alone(tmp_path_factory):
    """The file of an ensemble without correction, which does not use all features."""
    folder = tmp_path_factory.mktemp("formulas")
    labelled(oxides(60, 1)).to_csv(folder / "table.csv", index=False)
    call("fit", "table.csv", "--target", "gap", *QUICK, "--correction", "none", "--out", "model.json", folder=folder)
    return folder / "model.json"


@pytest.fixture(scope="session")
def pool():
    """Candidates that the models have not seen, and a few that they have."""
    return oxides(700, 2)
