"""Named arrays of labels, such as forces: a file each in the run folder, and its digest and shape in the label event.

The file is written before the event. A crash between the two leaves a file that no event names; the oracle gives the same answer
again, and the file is written again.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sisso_sal.errors import CampaignError
from sisso_sal.system.storage import write_whole, writing

FOLDER = "arrays"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_NUMBERS = "biuf"


def problem_of(arrays: Mapping[str, Any]) -> str:
    """What is wrong with the arrays of an answer, in words; empty where they can be kept.

    Examples
    --------
    >>> problem_of({"forces": np.zeros((2, 3))})
    ''
    >>> problem_of({"forces": np.array([np.nan])})
    "array 'forces': needs finite numbers, found nan"
    """
    for name, array in arrays.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return f"arrays: needs names of letters, digits and underscores, found {name!r}"
        if not isinstance(array, np.ndarray) or array.dtype.kind not in _NUMBERS:
            kind = array.dtype.name if isinstance(array, np.ndarray) else type(array).__name__
            return f"array '{name}': needs a NumPy array of real numbers, found {kind}"
        if not (finite := np.isfinite(array)).all():
            return f"array '{name}': needs finite numbers, found {array[~finite].flat[0]}"
    return ""


def write_arrays(run: Path, intent: str, arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Write the arrays of an answer into the run folder, on disk when this returns.

    Parameters
    ----------
    run : Path
        The run folder.
    intent : str
        Of the answer; it names the files.
    arrays : mapping of str to ndarray
        Arrays without a problem, see `problem_of`.

    Returns
    -------
    dict
        Name -> file (below the run folder), sha256, shape and dtype: what the label event carries under ``arrays``.

    Raises
    ------
    StorageError
        The disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as run:
    ...     kept = write_arrays(Path(run), "r-MgO-1", {"forces": np.zeros((2, 3))})
    ...     read_arrays(run, kept)["forces"].shape, kept["forces"]["file"]
    ((2, 3), 'arrays/r-MgO-1.forces.npy')
    """
    kept = {}
    if arrays:
        with writing(run / FOLDER):
            (run / FOLDER).mkdir(exist_ok=True)
    for name, array in arrays.items():
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        file = f"{FOLDER}/{intent}.{name}.npy"
        write_whole(run / file, content.getvalue())
        digest = hashlib.sha256(content.getvalue()).hexdigest()
        kept[name] = {"file": file, "sha256": digest, "shape": list(array.shape), "dtype": array.dtype.str}
    return kept


def read_arrays(run: str | Path, kept: Mapping[str, Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The arrays of a label, by name.

    Parameters
    ----------
    run : path
        The run folder.
    kept : mapping
        ``arrays`` of a label event, or of a `sisso_sal.ledger.state.Case`.

    Raises
    ------
    CampaignError
        A file is gone, or is not what was written.
    """
    arrays = {}
    for name, record in kept.items():
        path = Path(run, record["file"])
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CampaignError(
                f"{path}: needs the array '{name}' of a label, cannot be read: {error.strerror}"
            ) from error
        if hashlib.sha256(content).hexdigest() != record["sha256"]:
            raise CampaignError(
                f"{path}: needs the array '{name}' of a label, found a file that is not what was written"
            )
        arrays[name] = np.load(io.BytesIO(content), allow_pickle=False)
    return arrays


def array_files(labels: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """SHA-256 of every array file that label events name, by the file below the run folder.

    Examples
    --------
    >>> array_files([{"id": "MgO"}, {"id": "CaO", "arrays": {"forces": {"file": "arrays/x.npy", "sha256": "ab"}}}])
    {'arrays/x.npy': 'ab'}
    """
    return {record["file"]: record["sha256"] for label in labels for record in label.get("arrays", {}).values()}
