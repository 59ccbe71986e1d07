"""The notebooks as they are kept; the site runs them (test_site.py)."""

import json
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext")

FOLDER = Path(__file__).parents[2] / "notebooks"


def test_notebooks_are_kept_without_outputs():
    assert [path.name for path in FOLDER.iterdir() if path.suffix == ".ipynb"] == []
    for path in FOLDER.glob("*.py"):
        assert json.dumps(jupytext.read(path, fmt="py:percent").metadata["kernelspec"]["name"]) == '"python3"'
