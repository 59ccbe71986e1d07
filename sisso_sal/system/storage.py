"""Writing files that are complete or not there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sisso_sal.errors import StorageError
from sisso_sal.system.operating_system import CLOSED_IN_CHILDREN, NO_LINK, sync_entries


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an error of the operating system into one line that names the file.

    Raises
    ------
    StorageError
        In place of any OSError.
    """
    try:
        yield
    except (OSError, UnicodeEncodeError) as error:
        raise StorageError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from error


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file so that a reader sees the old one, or the new one, never a part.

    Parameters
    ----------
    path : path
    content : str or bytes
        Text is written as UTF-8 with newlines as they are.

    Raises
    ------
    StorageError
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
    with writing(path):
        scratch, handle = scratch_file(path)
        try:
            with open(handle, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
    sync_folder(path.parent)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write a large file to, which becomes `path` at the end of the body; nothing of it stays if the body fails.

    Parameters
    ----------
    path : path

    Raises
    ------
    StorageError
        The file cannot be made or put in place; an earlier one is as it was.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "a.txt")) as scratch:
    ...         _ = scratch.write_text("text")
    ...     sorted(file.name for file in Path(folder).iterdir())
    ['a.txt']
    """
    path = Path(path)
    with writing(path):
        folder = scratch_folder(path)
    try:
        yield folder / path.name
        with writing(path):
            with (folder / path.name).open("rb") as file:
                os.fsync(file.fileno())
            (folder / path.name).replace(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# Scratch: names that nobody can guess, so that nobody can put a link in their place ------------------------------------

_LONGEST = 50
"""Characters of a name that its scratch has too: a file system takes 255 bytes."""


def _scratch_name(path: Path) -> Path:
    return path.with_name(f".{path.name[:_LONGEST]}.{os.urandom(8).hex()}.part")


def scratch_file(path: str | os.PathLike[str]) -> tuple[Path, int]:
    """A new empty file beside `path`, and its handle, open for writing.

    Raises
    ------
    OSError
        It cannot be made.
    """
    scratch = _scratch_name(Path(path))
    return scratch, os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINK | CLOSED_IN_CHILDREN, 0o666)


def scratch_folder(path: str | os.PathLike[str]) -> Path:
    """A new empty folder beside `path`.

    Raises
    ------
    OSError
        It cannot be made.
    """
    scratch = _scratch_name(Path(path))
    scratch.mkdir()
    return scratch


def clear_scratch(path: str | os.PathLike[str]) -> None:
    """Remove what killed processes left of the scratch for `path`; only for one who alone may write `path`."""
    path = Path(path)
    ours = re.compile(rf"\.{re.escape(path.name[:_LONGEST])}(\.[0-9a-f]+)?\.part")
    for left in [each for each in path.parent.iterdir() if ours.fullmatch(each.name)]:
        with suppress(OSError):
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Write the list of a folder's files to disk, where the file system supports it.

    Raises
    ------
    StorageError
        The disk refuses.
    """
    with writing(folder):
        sync_entries(folder)


class _Undisturbed:
    """A context in which an interruption waits until the context ends; contexts may be nested."""

    def __init__(self) -> None:
        self._depth = 0
        self._is_wanted = False

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, kind: object, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0 and self._is_wanted:
            self._is_wanted = False
            if kind is None:
                raise KeyboardInterrupt

    def interrupt(self) -> None:
        """Called by a signal handler: interrupt the program, at once or at the end of the context.

        Raises
        ------
        KeyboardInterrupt
            No context is entered.
        """
        if not self._depth:
            raise KeyboardInterrupt
        self._is_wanted = True


undisturbed = _Undisturbed()
"""The context that the program's signal handler respects."""
