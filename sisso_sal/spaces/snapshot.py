"""The candidates that a run folder keeps: a Parquet table with the ids and the primary features, whatever the space was."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pyarrow as pa

from sisso_sal.data.headers import split_header
from sisso_sal.errors import CampaignError

if TYPE_CHECKING:
    import pandas as pd

CANDIDATES = "candidates.parquet"
"""File of a run folder; a space that generates candidates has one in the folder of each iteration too."""


def ids_of(frame: pd.DataFrame, id_name: str | None) -> list[str]:
    """The ids of a snapshot, in its order: the column of this name, else the numbers of the rows."""
    header = next((header for header in frame.columns if split_header(header)[0] == id_name), None)
    if header is None:
        return [str(number) for number in range(1, len(frame) + 1)]
    return [str(id) for id in frame[header].to_numpy(dtype=object)]


def read_snapshot(path: str | os.PathLike[str], id_name: str | None) -> pd.DataFrame:
    """The candidates that a run folder keeps, with their ids as the index.

    Raises
    ------
    CampaignError
        The file cannot be read.
    """
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CampaignError(f"{path}: needs the candidates of this run, cannot be read: {error}") from error
    frame.index = pd.Index(ids_of(frame, id_name))
    return frame
