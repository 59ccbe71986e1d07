"""A compact file of energies: a CSV with one row for each structure and a first line that says how they were made."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from sisso_sal.data.columns import ColumnFile, read_columns
from sisso_sal.errors import DocumentError, TableError
from sisso_sal.fidelity.potentials import Potential
from sisso_sal.fidelity.starts import Start
from sisso_sal.oracle.engines.relaxation import METHOD, RelaxationSettings, Relaxed
from sisso_sal.oxides.structures import formula_key
from sisso_sal.system.documents import json_of, record_of
from sisso_sal.system.storage import write_whole, writing

__all__ = ["Described", "EnergiesFile", "described", "read_energies", "write_energies"]

HEADERS = (
    *("formula", "structure", "energy (eV/atom)", "steps", "converged"),
    *("volume (AA**3/atom)", "largest force (eV/AA)", "reason", "start"),
)
_NEEDED = HEADERS[:3]
_DIGITS = 8


class _Origin(BaseModel):
    """The first line of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    potential: str
    model: str = ""
    version: str = ""
    weights: str = ""
    scheme: str = ""
    force_tolerance: float = Field(gt=0)
    max_steps: int = Field(ge=1)
    method: int = Field(ge=1)


@dataclass(frozen=True, kw_only=True)
class EnergiesFile:
    """Energies that were computed before.

    Attributes
    ----------
    potential : Potential or None
        None where the file does not say.
    settings : RelaxationSettings or None
    outcomes : mapping of (str, str) to Relaxed
        By key of the formula and name of the structure.
    formulas : mapping of str to str
        Key -> formula as it was written.
    starts : mapping of (str, str) to str
        First digits of the digest of the structure that the relaxation began with; "" where the file does not say.
    """

    potential: Potential | None
    settings: RelaxationSettings | None
    outcomes: Mapping[tuple[str, str], Relaxed]
    formulas: Mapping[str, str]
    starts: Mapping[tuple[str, str], str]


class Described(NamedTuple):
    """What a file says of a structure: its formula, and the first digits of the digest of the start."""

    formula: str
    start: str


def described(starts: Iterable[Start]) -> dict[tuple[str, str], Described]:
    """What a file is to say of structures, by key of the formula and name."""
    return {(start.key, start.name): Described(start.formula, start.digest()[:_DIGITS]) for start in starts}


def write_energies(
    path: Path,
    outcomes: Mapping[tuple[str, str], Relaxed],
    structures: Mapping[tuple[str, str], Described],
    potential: Potential,
    settings: RelaxationSettings,
) -> None:
    """Write a file of energies; one that ends in ``.gz`` is packed. The same energies give the same bytes.

    Parameters
    ----------
    path : path
    outcomes : mapping of (str, str) to Relaxed
        By key of the formula and name of the structure.
    structures : mapping of (str, str) to Described
        See `described`.
    potential : Potential
    settings : RelaxationSettings

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    potential_words = {"potential": potential.name, **{k: v for k, v in potential.document().items() if k != "name"}}
    origin = _Origin(method=METHOD, **potential_words, **asdict(settings))  # pyright: ignore[reportArgumentType]
    text = io.StringIO()
    text.write(f"# {json.dumps(origin.model_dump())}\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(HEADERS)
    for (key, name), one in sorted(outcomes.items()):
        numbers = ["" if x is None else repr(x) for x in (one.energy, one.volume, one.max_force)]
        formula, start = structures[key, name]
        cells = [formula, name, numbers[0], one.steps, str(one.converged), numbers[1], numbers[2], one.reason, start]
        rows.writerow(cells)
    content = text.getvalue().encode()
    write_whole(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def read_energies(path: str | os.PathLike[str]) -> EnergiesFile:
    """Read a file of energies; the columns `formula`, `structure` and `energy (eV/atom)` are needed.

    A row with a reason, or with ``False`` as `converged`, has no energy.

    Parameters
    ----------
    path : path

    Raises
    ------
    TableError
        A column is missing, a cell is no number, a structure has two results, or the first line does not say how they were made.
    """
    path = Path(path)
    file = read_columns(path)
    origin = _origin(path)
    columns = {column.header: column.texts() for column in file.columns}
    if missing := [header for header in _NEEDED if header not in columns]:
        raise TableError(f"{path}: needs the columns {', '.join(_NEEDED)}, found no '{missing[0]}'")
    outcomes: dict[tuple[str, str], Relaxed] = {}
    formulas: dict[str, str] = {}
    starts: dict[tuple[str, str], str] = {}
    for row in range(file.n_rows):
        cells = {header: cells[row] for header, cells in columns.items()}
        key = formula_key(cells["formula"])
        outcome, known = _relaxed(cells, file, row), outcomes.get((key, cells["structure"]))
        if known is not None and known != outcome:
            twice = f"'{cells['structure']}' of {cells['formula']}"
            raise TableError(f"{file.place(row)}: needs one result for each structure, found another one for {twice}")
        formulas.setdefault(key, cells["formula"])
        outcomes[key, cells["structure"]] = outcome
        starts[key, cells["structure"]] = cells.get("start", "")
    if origin is None:
        return EnergiesFile(potential=None, settings=None, outcomes=outcomes, formulas=formulas, starts=starts)
    potential = Potential(
        name=origin.potential,
        model=origin.model,
        version=origin.version,
        weights=origin.weights,
        scheme=origin.scheme,
    )
    settings = RelaxationSettings(force_tolerance=origin.force_tolerance, max_steps=origin.max_steps)
    return EnergiesFile(potential=potential, settings=settings, outcomes=outcomes, formulas=formulas, starts=starts)


def _origin(path: Path) -> _Origin | None:
    """What the first line of a file that was read says; None where it is no comment."""
    try:
        with writing(path), path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.open(raw) if packed else raw as file:
                line = file.readline(1 << 16)
    except (EOFError, gzip.BadGzipFile) as error:
        raise TableError(f"{path}: cannot be read: {error}") from error
    if not line.startswith(b"#"):
        return None
    try:
        return record_of(_Origin, json_of(line[1:].strip()))
    except DocumentError as error:
        raise TableError(f"{path}: line 1: needs how the energies were made: {error}") from error


def _relaxed(cells: Mapping[str, str], file: ColumnFile, row: int) -> Relaxed:
    def number(header: str) -> float | None:
        text = cells.get(header, "")
        try:
            value = float(text) if text else 0.0
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise TableError(f"{file.place(row)}, column '{header}': needs a number, found '{text}'")
        return value if text else None

    energy = number("energy (eV/atom)")
    reason = cells.get("reason", "")
    if not reason and (energy is None or cells.get("converged", "True").lower() == "false"):
        reason = "not converged" if energy is not None else "no energy"
    return Relaxed(
        energy=None if reason else energy,
        steps=int(number("steps") or 0),
        volume=number("volume (AA**3/atom)"),
        max_force=number("largest force (eV/AA)"),
        reason=reason,
    )
