"""Calculations as an upload for NOMAD (https://nomad-lab.eu): one zip with the files of the engine and the metadata of the user.

NOMAD finds the main file of each calculation itself. What people have to say of it stands in ``nomad.yaml`` at the top of the zip
(NOMAD documentation, "How to upload and publish data", section on user metadata): ``comment``, ``references``, ``coauthors``,
``datasets``, and ``entries``, which has a comment for each main file by its path.
"""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sisso_sal.errors import InputError, OracleError, SettingsError
from sisso_sal.export.calculations import SuccessfulCalculation
from sisso_sal.system.programs import ENDED
from sisso_sal.system.storage import replacing, writing

__all__ = ["NomadMetadata", "NomadUpload", "write_nomad"]

_METADATA = "nomad.yaml"
_MAIN_FILES = ("aims.out", "gpaw.txt")
_OWN = frozenset({"attempt.json", ENDED})
"""Files of ours in the folder of an attempt, with the names of machines and processes."""

LIMIT = 32 * 10**9
"""Bytes that NOMAD takes in one upload."""

_URL = re.compile(r"https?://[^\s/]+\S*")


@dataclass(frozen=True, kw_only=True)
class NomadMetadata:
    """What the user says of an upload.

    Parameters
    ----------
    comment : str
    references : sequence of str
        Addresses on the web, as of a paper: https://doi.org/…
    datasets : sequence of str
        Names of datasets of the uploader at NOMAD.
    coauthors : sequence of str
        User names or email addresses of accounts at NOMAD.

    Raises
    ------
    SettingsError
        A text is empty, or a reference is no address.
    """

    comment: str = ""
    references: Sequence[str] = ()
    datasets: Sequence[str] = ()
    coauthors: Sequence[str] = ()

    def __post_init__(self) -> None:
        for reference in self.references:
            if not _URL.fullmatch(reference):
                raise SettingsError(
                    f"reference: needs an address such as https://doi.org/10.1000/182, found {reference!r}"
                )
        for name in ("datasets", "coauthors"):
            if any(not text.strip() for text in getattr(self, name)):
                raise SettingsError(f"{name.removesuffix('s')}: needs a name, found an empty one")


@dataclass(frozen=True)
class NomadUpload:
    """What was written.

    Attributes
    ----------
    n_calculations, n_files, n_bytes : int
        Bytes of the zip.
    without_files : int
        Calculations whose engine left no file, or whose folder is gone: they are not in the zip.
    """

    n_calculations: int
    n_files: int
    n_bytes: int
    without_files: int


def write_nomad(
    path: str | os.PathLike[str], calculations: Sequence[SuccessfulCalculation], metadata: NomadMetadata
) -> NomadUpload:
    """Write the zip: ``nomad.yaml``, and for each calculation a folder with the unchanged files of its last attempt.

    Files go through in small pieces, whatever their size. The zip has its name only when it is whole.

    Parameters
    ----------
    path : path
    calculations : sequence of SuccessfulCalculation
    metadata : NomadMetadata

    Raises
    ------
    InputError
        No calculation has a file.
    OracleError
        A file cannot be read.
    StorageError
        The zip cannot be written; an earlier one is as it was.
    """
    with_files = [one for one in calculations if next(_files_in(one.folder), None) is not None]
    if not with_files:
        raise InputError(
            f"{path}: needs a calculation with files of its engine, found {len(calculations)} without; "
            "--format ase exports them"
        )
    n_files = 0
    with replacing(path) as scratch:
        with writing(path), zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_METADATA, metadata_text(metadata, with_files))
            for one in with_files:
                for file in sorted(_files_in(one.folder)):
                    _add(archive, file, f"{one.task}/{file.relative_to(one.folder).as_posix()}")
                    n_files += 1
        n_bytes = scratch.stat().st_size
    return NomadUpload(len(with_files), n_files, n_bytes, len(calculations) - len(with_files))


def _files_in(folder: Path) -> Iterator[Path]:
    """Regular files that the engine left; links lead out of the folder and are passed over."""
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place, name)
            if not file.is_symlink() and file.is_file() and not (place == str(folder) and name in _OWN):
                yield file


def _add(archive: zipfile.ZipFile, file: Path, name: str) -> None:
    try:
        entry = zipfile.ZipInfo.from_file(file, name, strict_timestamps=False)
        source = file.open("rb")
    except OSError as error:
        raise OracleError(f"{file}: cannot be read: {error.strerror or error}") from error
    entry.compress_type = zipfile.ZIP_DEFLATED
    with source, archive.open(entry, "w", force_zip64=entry.file_size > 10**9) as target:
        shutil.copyfileobj(source, target, 1 << 20)


def metadata_text(metadata: NomadMetadata, calculations: Sequence[SuccessfulCalculation]) -> str:
    r"""The text of ``nomad.yaml``.

    Examples
    --------
    >>> print(metadata_text(NomadMetadata(comment="Oxides, \"acid\"", datasets=["oxides"]), []), end="")
    comment: "Oxides, \"acid\""
    datasets:
    - "oxides"
    """
    lines = [f"comment: {_quoted(metadata.comment)}"] if metadata.comment else []
    for name in ("references", "datasets", "coauthors"):
        if values := getattr(metadata, name):
            lines += [f"{name}:", *(f"- {_quoted(value)}" for value in values)]
    mains = [(one, main) for one in calculations if (main := _main_file(one))]
    if mains:
        lines.append("entries:")
    for one, main in mains:
        role = f", candidate {', '.join(one.candidates)}" if one.candidates else ""
        told = f"{one.formula}, {one.structure_name}: {one.step}{role}"
        lines += [f"  {_quoted(main)}:", f"    comment: {_quoted(told)}", f"    external_id: {_quoted(one.task)}"]
    return "\n".join(lines) + "\n"


def _main_file(calculation: SuccessfulCalculation) -> str:
    """Path in the zip of the file that NOMAD reads; empty where the engine has none that is known."""
    name = next((name for name in _MAIN_FILES if (calculation.folder / name).is_file()), "")
    return name and f"{calculation.task}/{name}"


def _quoted(text: str) -> str:
    """A text between double quotes, as YAML reads it back."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
