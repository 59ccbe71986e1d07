"""Who labels: each oracle in a module of its own, by the name that ``--oracle`` takes."""

from __future__ import annotations

from pathlib import Path

from sisso_sal.data.table import Table
from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Oracle
from sisso_sal.settings.campaign import CampaignSettings

FORMS = "none, aims, structure, lookup:FILE or command:COMMAND"


def make_oracle(settings: CampaignSettings, run: str | Path, table: Table) -> Oracle | None:
    """The oracle that settings name; None where people label.

    Parameters
    ----------
    settings : CampaignSettings
    run : path
        The run folder.
    table : Table
        The candidates.

    Raises
    ------
    SettingsError
        There is no such oracle.
    InputError
        What it needs is missing or cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> from sisso_sal.data.table import read_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "oxides.csv")
    ...     _ = path.write_text("name,EN,gap (eV)\\nMgO,1.3,7.8\\nCaO,1.0,\\n")
    ...     make_oracle(CampaignSettings(), "run", read_table(path)) is None
    True
    """
    kind, _, rest = settings.run.oracle.partition(":")
    if kind == "none" and not rest:
        return None
    if kind in ("aims", "structure") and not rest:
        from sisso_sal.oracle.workflow.first_principles import first_principles

        return first_principles("aims" if kind == "aims" else "structure", settings, run, table)
    if kind == "lookup" and rest:
        from sisso_sal.oracle.lookup import Lookup

        return Lookup(rest, table.header(table.target_name or ""), table.id_name)
    if kind == "command" and rest:
        from sisso_sal.oracle.command import Command

        if settings.run.workers < 1:
            raise SettingsError("run.workers: needs 1 or more with an oracle command:COMMAND, found 0")
        return Command(rest, Path(run, "jobs"), settings.run.workers, settings.run.walltime)
    raise SettingsError(f"oracle: needs {FORMS}, found '{settings.run.oracle}'")
