"""Finds the calculations below a folder, or in one file, and keeps what was read: the second time only new files are read.

What was read is kept in the user's cache folder, by the size and the time of change of a file and of the inputs beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from sisso_sal.errors import DocumentError, InputError, SissoSalError
from sisso_sal.oracle.calculations.aims_output import read_aims
from sisso_sal.oracle.calculations.ase_files import format_of, read_ase
from sisso_sal.oracle.calculations.plane_waves import read_espresso, read_vasp
from sisso_sal.oracle.calculations.record import DoneCalculation
from sisso_sal.system.documents import Bounds, one_line, read_json, record_of
from sisso_sal.system.storage import write_whole

__all__ = ["Found", "cache_file", "find_calculations"]

_READER = 3
"""Raised when readers find something else in the same file."""
_CACHE_BOUNDS = Bounds(size=1 << 30, depth=32)
_HEAD = 16_384
_PASSED_OVER = re.compile(
    r"band[12]\d+\.out(\.gz)?|control\.in.*|geometry\.in.*|(incar|poscar|contcar|potcar|kpoints|chg|chgcar|wavecar|eigenval|doscar|"
    r"procar|oszicar|xdatcar|locpot|ibzkpt|report|pcdat)(\..*)?|.*\.(in|pwi|cif|py|sh|png|pdf|svg|cube|csc|dat|csv|md|tex|ini|toml|ya?ml|upf|"
    r"h5|hdf5|npy|npz|err|vasp|poscar|ipynb|html|zip|tar|tgz|lock|db-journal|db-wal|db-shm|parquet|xsf)",
    re.I,
)
_COMPANION = re.compile(r"control\.in|geometry\.in|band[12]\d+\.out|.*\.(in|pwi)", re.I)


@dataclass(frozen=True)
class Found:
    """What is below a path.

    Attributes
    ----------
    path : Path
    calculations : tuple of DoneCalculation
        In the order of their places, those that cannot be used too.
    n_read : int
        Files that had to be read; the others were known.
    """

    path: Path
    calculations: tuple[DoneCalculation, ...]
    n_read: int


class _File(NamedTuple):
    """A file that may hold calculations.

    - path: where it is
    - place: how it is called, below the folder
    - mark: of its size and time of change, and of those of the files beside it
    - kind: "aims", "vasp", a format of ASE, or "" where its beginning has to be looked at
    """

    path: Path
    place: str
    mark: str
    kind: str = ""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True)

    mark: str
    calculations: tuple[DoneCalculation, ...]


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)

    reader: str
    files: dict[str, _Entry]


def find_calculations(path: str | os.PathLike[str], *, progress: Callable[[int, int], None] | None = None) -> Found:
    """All calculations below a folder, or in one file.

    FHI-aims outputs (plain or compressed with gzip), vasprun.xml, outputs of pw.x, and databases, extended XYZ files, trajectories
    and outputs that ASE reads. Links to folders are not followed.

    Parameters
    ----------
    path : path
        A folder or a file.
    progress : callable, optional
        Called with (done, total) while files are read.

    Returns
    -------
    Found

    Raises
    ------
    InputError
        There is no such path, or it holds no calculation.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise InputError(f"{path}: needs a folder or a file of calculations, found none of this name")
    files = list(_files(root))
    known = _kept(cache_file(root))
    old = {file.place: known[file.place] for file in files if _is_same(known.get(file.place), file)}
    new = _read_all([file for file in files if file.place not in old], progress)
    entries = {file.place: old.get(file.place) or new[file.place] for file in files}
    if new or entries.keys() != known.keys():
        _keep(cache_file(root), entries)
    calculations = tuple(one for entry in entries.values() for one in entry.calculations)
    if not calculations:
        raise InputError(
            f"{path}: needs calculations (outputs of FHI-aims, VASP, Quantum ESPRESSO, or files with energies that ASE reads), "
            f"found none among {len(files)} file{'s' * (len(files) != 1)}"
        )
    return Found(root, calculations, len(new))


def cache_file(root: Path) -> Path:
    """Where the calculations of a folder are kept."""
    import platformdirs

    name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]
    return platformdirs.user_cache_path("sisso-sal", appauthor=False) / "calculations" / f"{name}.json"


def _files(root: Path) -> Iterator[_File]:
    """Files that may hold calculations, in the order of their places."""
    if root.is_file():
        yield _File(root, root.name, _mark([root]))
        return
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder)
        beside = [here / name for name in sorted(names) if _COMPANION.fullmatch(name)]
        has_vasprun = any(name.startswith("vasprun.xml") for name in names)
        for name in sorted(names):
            is_double = has_vasprun and name.startswith("OUTCAR")
            if name.startswith(".") or is_double or _PASSED_OVER.fullmatch(name) or not (here / name).is_file():
                continue
            place = (here / name).relative_to(root).as_posix()
            kind = "vasp" if name.startswith("vasprun.xml") else "aims" if name in ("aims.out", "aims.out.gz") else ""
            yield _File(here / name, place, _mark([here / name, *beside]), kind)


def _mark(files: list[Path]) -> str:
    """Sizes and times of change of files, as one text."""
    digest = hashlib.sha256()
    for file in files:
        try:
            about = file.stat()
        except OSError:
            continue
        digest.update(f"{file.name}\0{about.st_size}\0{about.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _is_same(entry: _Entry | None, file: _File) -> bool:
    return entry is not None and entry.mark == file.mark


def _read_all(files: list[_File], progress: Callable[[int, int], None] | None) -> dict[str, _Entry]:
    """Every file, one after the other: other processes would ask a script of a user for a guard of its main part."""
    read: dict[str, _Entry] = {}
    for file in files:
        read[file.place] = _Entry(mark=file.mark, calculations=_read(file))
        if progress is not None:
            progress(len(read), len(files))
    return read


def _read(file: _File) -> tuple[DoneCalculation, ...]:
    """The calculations of a file; one with the reason where it cannot be read."""
    try:
        kind = file.kind or _kind(file.path)
        return tuple(_reader(kind)(file.path, file.place)) if kind else ()
    except Exception as error:  # each reader stumbles in its own way on a file that is cut
        reason = str(error).removeprefix(f"{file.path}: ").strip().partition("\n")[0]
        told = reason if isinstance(error, SissoSalError) else f"{type(error).__name__}: {reason}"
        return (DoneCalculation(place=file.place, failure=f"cannot be read: {one_line(told, 200)}"),)


def _kind(path: Path) -> str:
    """What a file is, by its beginning."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
        file.seek(-min(512, os.fstat(file.fileno()).st_size), os.SEEK_END)
        end = file.read(512)
    if head.startswith(b"\x1f\x8b"):
        with contextlib.suppress(zlib.error):  # the beginning is not that of FHI-aims then
            head = zlib.decompressobj(31).decompress(head, _HEAD)
    if b"Invoking FHI-aims" in head:
        return "aims"
    if b"Program PWSCF" in head:
        return "espresso"
    if b"<modeling" in head:
        return "vasp"
    if path.suffix.lower() == ".json" and b'"nextid"' not in end:  # no database of ASE
        return ""
    return format_of(path) if head else ""


def _reader(kind: str) -> Callable[[Path, str], list[DoneCalculation] | tuple[DoneCalculation, ...]]:
    if one := {"aims": read_aims, "vasp": read_vasp, "espresso": read_espresso}.get(kind):
        return lambda path, place: (one(path, place),)
    return partial(read_ase, name=kind)


# The cache -----------------------------------------------------------------------------------------------------------


def _version() -> str:
    return f"{_READER} of {version('sisso-sal')}"


def _kept(file: Path) -> Mapping[str, _Entry]:
    """What was read before; nothing where that is damaged or of another version."""
    try:
        kept = record_of(_Kept, read_json(file, _CACHE_BOUNDS))
    except DocumentError:
        return {}
    return kept.files if kept.reader == _version() else {}


def _keep(file: Path, entries: dict[str, _Entry]) -> None:
    """Keep what was read; a folder that cannot be written costs time the next time, and nothing else."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, _Kept(reader=_version(), files=entries).model_dump_json(exclude_defaults=True))
    except (OSError, SissoSalError):
        return
