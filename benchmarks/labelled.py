"""The tables on which accuracy and finding are measured, as spaces in which every label is known."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from tables import TARGET, pool_table

from sisso_sal.data.table import Table, read_table
from sisso_sal.spaces.table import TableSpace

HERE = Path(__file__).resolve().parent.parent
SHARED = HERE.parent / "shared/data"


@dataclass(frozen=True)
class Known:
    """A table and the simulated campaigns on it.

    Attributes
    ----------
    file : path or None
        None for a table that is made here.
    target : str or None
    n_start, evaluations : int
        First labels of a campaign, and evaluations after them.
    goals : tuple of str
    """

    file: Path | None
    target: str | None
    n_start: int = 20
    evaluations: int = 40
    goals: tuple[str, ...] = ("min", "max")


TABLES = {
    "oxides": Known(HERE / "data/oxides.csv", None, 15, 20, ("min",)),
    "oxides_gpbx": Known(SHARED / "oxides_gpbx.csv", "g_pbx (eV/atom)", 25, 60, ("min",)),
    "gaps_measured": Known(SHARED / "gaps_measured.csv", "gap (eV)"),
    "bulk_moduli": Known(SHARED / "bulk_moduli.csv", "logK"),
    "phonon_peaks": Known(SHARED / "phonon_peaks.csv", "wmax (cm**-1)"),
    "law": Known(None, TARGET),
    "replicates": Known(None, None),
}
"""Tables by name."""

N_LAW, N_POOL = 250, 5000


def usable() -> list[str]:
    """Names of the tables that are there."""
    return [name for name, known in TABLES.items() if known.file is None or known.file.exists()]


@cache
def space_named(name: str) -> TableSpace:
    """The labelled rows of a table."""
    warnings.filterwarnings("ignore", message="unit .* is not known")
    file = TABLES[name].file
    if file is None:
        return TableSpace({"law": _law, "replicates": _replicates}[name]())
    return TableSpace(labelled_rows(read_table(file, target=TABLES[name].target, require_target=True)))


def labelled_rows(table: Table) -> Table:
    """The rows of a table with a label."""
    rows = np.flatnonzero(table.labelled)
    text = {column: tuple(cells[i] for i in rows) for column, cells in table.text.items()}
    ids, target = tuple(table.ids[i] for i in rows), np.asarray(table.target)[rows]
    return replace(table, ids=ids, features=table.features[rows], target=target, text=text)


def _law() -> Table:
    """Oxides of the pool with a law of four features, a share of each element that no feature tells, and noise."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "law.csv")
        pool_table(path, N_POOL, N_POOL)
        frame = pd.read_csv(path).sample(N_LAW, random_state=0)
    return read_table(frame.reset_index(drop=True), target=TARGET, require_target=True)


def _replicates() -> Table:
    """One to four rows of each of the oxides, with labels that differ by a tenth of the spread of all."""
    table = space_named("oxides").table
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(table.n_rows), rng.integers(1, 5, table.n_rows))
    frame = table.to_frame().iloc[rows].reset_index(drop=True)
    target = table.header(table.target_name or "")
    frame[target] += rng.normal(0, 0.1 * frame[target].std(), len(frame))
    return read_table(frame, target=target, id="row", require_target=True)
