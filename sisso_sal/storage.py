"""Writing files that are never half there."""

from __future__ import annotations

import os
from pathlib import Path

from sisso_sal.errors import SissoSalError


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file so that a reader sees the old one, or the new one, never a part.

    Raises
    ------
    SissoSalError
        The file cannot be written; an earlier one is as it was.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder, "a.txt"), "text")
    ...     Path(folder, "a.txt").read_text()
    'text'
    """
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with scratch.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except (OSError, UnicodeEncodeError) as error:
        scratch.unlink(missing_ok=True)
        raise SissoSalError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from error
