"""The exceptions and the warning a user can meet.

Every message names the place, what was needed and what was found, in one line:
``candidates.csv: row 17, column 'EA (eV)': needs a number, found 'n/a'``.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class SissoSalError(Exception):
    """Base of all errors that the program raises on purpose."""

    exit_code = 1


class SissoSalWarning(UserWarning):
    """A note on what was given or done: the program goes on, and a person should know."""


class InputError(SissoSalError, ValueError):
    """Something the user gave cannot be used; the command exits with code 2."""

    exit_code = 2


class TableError(InputError):
    """A table has a defect; the message names file, row and column."""


class UnitError(InputError):
    """A unit cannot be read, or two units cannot be reconciled."""


class ExpressionError(InputError):
    """A formula cannot be read or evaluated."""


class SettingsError(InputError):
    """A setting is unknown or out of range."""


class DocumentError(InputError):
    """A JSON or TOML document cannot be read, or leaves its bounds."""


class ModelFileError(InputError):
    """A model file is damaged, of another kind, or of a newer schema."""


class FitError(InputError):
    """The data cannot support the fit that was asked for. Where no table is known, the message begins with ``fit:``."""


class CampaignError(InputError):
    """A run folder cannot be continued as asked."""


class StorageError(SissoSalError):
    """Something could not be written; what was there before is as it was."""


class LockedError(SissoSalError):
    """Another process is driving the same run folder."""

    exit_code = 75


class ExecutorError(SissoSalError):
    """Workers that should compute parts were lost, or cannot be reached; what is finished is kept."""


class OracleError(SissoSalError):
    """A calculation, or the reading of its output, failed."""


class UnconfirmedError(OracleError):
    """Whether a submission was accepted is not known: it has to be asked for by its intent before anything is sent again."""


class TakenError(OracleError):
    """An intent belongs to another candidate, or it is not known to which: nothing was submitted under it."""


@contextmanager
def fit_of(place: str) -> Iterator[None]:
    """A `FitError` from within that begins with ``fit:`` begins with this place instead, such as the name of the table.

    Examples
    --------
    >>> with fit_of("t.csv"):
    ...     raise FitError("fit: needs a target that varies, found 1 on every sample")
    Traceback (most recent call last):
        ...
    sisso_sal.errors.FitError: t.csv: needs a target that varies, found 1 on every sample
    """
    try:
        yield
    except FitError as error:
        message = str(error)
        if not message.startswith("fit: "):
            raise
        raise FitError(f"{place}: {message.removeprefix('fit: ')}") from error


def reason_of(error: BaseException, most: int = 300) -> str:
    """What went wrong, in one line: the message of an error of this program, of any other also its kind.

    Examples
    --------
    >>> reason_of(UnitError("unit 'dB': cannot be used")), reason_of(KeyError("x")), reason_of(MemoryError())
    ("unit 'dB': cannot be used", "KeyError: 'x'", 'MemoryError')
    """
    message = "".join(letter if letter.isprintable() else " " for letter in str(error))
    line = " ".join(message.split())
    if not isinstance(error, SissoSalError):
        line = f"{type(error).__name__}: {line}" if line else type(error).__name__
    return line if len(line) <= most else line[: most - 1] + "…"
