"""The first-principles calculations of a run, for those who publish or collect them: which are good, and where their files are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sisso_sal.errors import DocumentError, InputError
from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.store import read_ledger
from sisso_sal.oxides.structures import formula_key

__all__ = ["RunCalculations", "SuccessfulCalculation", "calculations_of", "folder_of_calculations"]

_LEVELS = "levels"
"""Folder of a run that has one for each level of theory."""

_LEDGERS = ("campaign.db", "campaign.jsonl")


@dataclass(frozen=True)
class SuccessfulCalculation:
    """A calculation that succeeded.

    Attributes
    ----------
    task : str
        ``PHASE/STRUCTURE/STEP``, as the tree of the run has it.
    formula : str
        Reduced.
    folder : path
        Of the last attempt, which succeeded.
    document_file : path
    candidates : tuple of str
        Of which this is a structure.
    """

    task: str
    formula: str
    folder: Path
    document_file: Path
    candidates: tuple[str, ...]

    @property
    def structure_name(self) -> str:
        """The name of the structure that it started from."""
        return self.task.split("/")[1]

    @property
    def step(self) -> str:
        """relax, static or bands."""
        return self.task.split("/")[2]

    def document(self) -> dict[str, Any]:
        """Its document, read anew.

        Raises
        ------
        DocumentError
            It is gone, or is none.
        """
        from sisso_sal.oracle.workflow.chains import read_document

        return read_document(self.document_file)


@dataclass(frozen=True)
class RunCalculations:
    """The calculations of a run.

    Attributes
    ----------
    found : tuple of SuccessfulCalculation
        In the order of their tasks.
    left_out : mapping of str to int
        Why others are not among them -> how many.
    labels : mapping of str to float
        Label of each candidate that has one, in the unit of the target.
    target : str
        What the labels are; "" where the run has none.
    """

    found: tuple[SuccessfulCalculation, ...]
    left_out: Mapping[str, int]
    labels: Mapping[str, float]
    target: str


def folder_of_calculations(run: Path) -> Path:
    """Where the calculations of a run folder are; a folder of calculations itself is returned as it is.

    Raises
    ------
    InputError
        There is no such folder, or it holds no calculations; Taskblaster is not installed.
    """
    if not run.is_dir():
        raise InputError(f"{run}: needs a run folder, found {'a file' if run.exists() else 'nothing'}")
    from sisso_sal.oracle.workflow.repository import has_tasks

    root = run / "oracle" if (run / "oracle").is_dir() else run
    if not has_tasks(root):
        levels = sorted(str(folder.parent) for folder in run.glob(f"{_LEVELS}/*/oracle") if has_tasks(folder))
        where = f"its levels have some: {', '.join(levels)}" if levels else "needs a run of an oracle that computes"
        raise InputError(f"{run}: holds no calculations; {where}")
    return root


def calculations_of(run: Path) -> RunCalculations:
    """The calculations of a run folder, or of a folder of calculations (``RUN/oracle``), also while workers are at it.

    The documents are read one after the other, and none is kept.

    Parameters
    ----------
    run : path

    Raises
    ------
    InputError
        There is no such folder, or it holds no calculations, or none that succeeded; Taskblaster is not installed.
    OracleError
        The folder cannot be read now.
    """
    from sisso_sal.oracle.workflow.repository import files_of
    from sisso_sal.oracle.workflow.tasks import Workflow

    root = folder_of_calculations(run)
    of_key: dict[str, set[str]] = {}
    for request in Workflow(root, {}).requests():
        of_key.setdefault(formula_key(request.id), set()).add(request.candidate or request.id)
    found: list[SuccessfulCalculation] = []
    left_out: Counter[str] = Counter()
    for task, (state, file) in sorted(files_of(root).items()):
        made = _calculation(task, state, file, of_key)
        if isinstance(made, SuccessfulCalculation):
            found.append(made)
        elif made:
            left_out[made] += 1
    if not found:
        told = ", ".join(f"{n} {why}" for why, n in left_out.items())
        raise InputError(f"{run}: needs a calculation that succeeded, found {told or 'none'}")
    return RunCalculations(tuple(found), dict(left_out), *_labels_of(run))


def _calculation(task: str, state: str, file: Path, of_key: Mapping[str, set[str]]) -> SuccessfulCalculation | str:
    """A calculation, or why it is none that can be given; "" of a task that computes nothing of its own."""
    from sisso_sal.oracle.workflow.chains import LEFT_OUT, read_document

    if state in ("fail", "cancel"):
        return "failed"
    if state != "done":
        return "not done"
    try:
        document = read_document(file)
    except DocumentError:
        return "without a document"
    place, step = Path(str(document.get("dir_name", ""))), task.split("/")[2]
    if document["state"] == LEFT_OUT:  # and with it its energy
        return "left out by the ranking" if step == "relax" else ""
    if place.parent.name != step:  # a ranking, vibrations, bands of the static run, or what an earlier step failed with
        return ""
    if document["state"] != "successful":
        return "failed"
    formula = str(document["formula_pretty"])
    candidates = tuple(sorted(of_key.get(task.split("/")[0], ())))
    return SuccessfulCalculation(task, formula, file.parent / place.name, file, candidates)


def _labels_of(run: Path) -> tuple[dict[str, float], str]:
    """Labels, and what they are: the target, or the name of a level; none where there is no ledger."""
    place = run.resolve()
    level = place.name if place.parent.name == _LEVELS else ""
    home = place.parent.parent if level else place
    if not any((home / name).exists() for name in _LEDGERS):
        return {}, ""
    state = fold(read_ledger(home).events())
    settings = (state.created or {}).get("settings", {})
    return state.at(level).labels, level or str(settings.get("target") or "")
