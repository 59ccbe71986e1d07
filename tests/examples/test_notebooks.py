"""The notebooks run as a reader runs them, from the first cell to the last."""

import json
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext")
nbclient = pytest.importorskip("nbclient")

FOLDER = Path(__file__).parents[2] / "notebooks"


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.docs
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the kernel's own libraries
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_notebook_runs_shows_pictures_and_warns_of_nothing(path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    before = set(FOLDER.iterdir())
    notebook = jupytext.read(path, fmt="py:percent")
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    ).execute()
    found = outputs(notebook)
    assert not [output for output in found if output.get("name") == "stderr"]
    pictures = [
        kind
        for output in found
        for kind in output.get("data", {})
        if kind.startswith(("image/", "application/vnd.plotly"))
    ]
    assert pictures
    assert set(FOLDER.iterdir()) == before


def test_notebooks_are_kept_without_outputs():
    assert [path.name for path in FOLDER.iterdir() if path.suffix == ".ipynb"] == []
    for path in FOLDER.glob("*.py"):
        assert json.dumps(jupytext.read(path, fmt="py:percent").metadata["kernelspec"]["name"]) == '"python3"'
