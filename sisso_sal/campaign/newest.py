"""The model of a run folder, for commands that take a model file or a run."""

from __future__ import annotations

from pathlib import Path

from sisso_sal.campaign.learning import MODEL_FILE
from sisso_sal.campaign.summary import check_files
from sisso_sal.errors import CampaignError, DocumentError, ModelFileError
from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.store import read_ledger
from sisso_sal.settings import names_classes


def model_file(path: Path) -> Path:
    """The model file that a path stands for: itself, that of an iteration's folder, or that of a run's newest iteration.

    Parameters
    ----------
    path : path
        A model file, the folder of an iteration, or a run folder, also while a driver is at work.

    Raises
    ------
    ModelFileError
        A folder has no model: it is no run, the surrogate of the run has no formulas, or the file is gone or changed.
    CampaignError
        The run has no iteration yet, or its ledger cannot be read.
    """
    if not path.is_dir():
        return path
    if not any((path / name).exists() for name in ("campaign.db", "campaign.jsonl")):
        if not (path / MODEL_FILE).is_file():
            raise ModelFileError(f"{path}: needs a model file or a run folder, found another folder")
        return path / MODEL_FILE
    state = fold(read_ledger(path).events())
    if not state.iterations:
        raise CampaignError(f"{path}: needs an iteration with a model, found none; run discover first")
    newest = state.iterations[-1]
    recorded = (newest.model or {}).get("files", {}).get(MODEL_FILE)
    file = path / newest.folder / MODEL_FILE
    if recorded is None and not file.is_file():
        settings = (state.created or {"settings": {}})["settings"]
        surrogate, goal = settings.get("surrogate", "sisso"), settings.get("goal", "")
        found = f"the surrogate '{surrogate}', which has none"
        if surrogate == "sisso" and names_classes(goal):
            found = "labels that tell no classes apart so far"
        raise ModelFileError(
            f"{path}: needs a run with formulas, found {found}; its predictions are in "
            f"{path / newest.folder / 'predictions.csv'}"
        )
    if recorded is not None:
        try:
            check_files(file.parent, {"files": {MODEL_FILE: recorded}})
        except DocumentError as error:
            raise ModelFileError(f"{error}; the next discover makes the files of the newest iteration again") from error
    return file
