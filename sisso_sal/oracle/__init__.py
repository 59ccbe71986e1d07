"""Who labels: each oracle in a module of its own, by the name that ``--oracle`` takes."""

from __future__ import annotations

from pathlib import Path

from sisso_sal.config import RunSettings
from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Oracle

FORMS = "none, lookup:FILE or command:COMMAND"


def make_oracle(settings: RunSettings, run: str | Path, target: str, id_name: str) -> Oracle | None:
    """The oracle that settings name; None where people label.

    Parameters
    ----------
    settings : RunSettings
    run : path
        The run folder.
    target : str
        Header of the target.
    id_name : str
        Name of the column of ids.

    Raises
    ------
    SettingsError
        There is no such oracle.
    TableError
        The table of a lookup cannot be used.

    Examples
    --------
    >>> make_oracle(RunSettings(), "run", "gap (eV)", "name") is None
    True
    """
    kind, _, rest = settings.oracle.partition(":")
    if kind == "none" and not rest:
        return None
    if kind == "lookup" and rest:
        from sisso_sal.oracle.lookup import Lookup

        return Lookup(rest, target, id_name)
    if kind == "command" and rest:
        from sisso_sal.oracle.command import Command

        return Command(rest, Path(run, "jobs"), settings.workers, settings.walltime)
    raise SettingsError(f"oracle: needs {FORMS}, found '{settings.oracle}'")
