"""The oracles that ``--oracle`` can name: a record each, those of plug-ins (entry points ``sisso_sal.oracles``) included.

Nothing that computes is imported before an oracle is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from sisso_sal.errors import SettingsError
from sisso_sal.settings import DONE, PEOPLE
from sisso_sal.system.plugins import registered

if TYPE_CHECKING:
    from sisso_sal.data.table import Table
    from sisso_sal.protocols import KnownLabel, Oracle, Progress
    from sisso_sal.settings.campaign import CampaignSettings

    Make = Callable[[CampaignSettings, Path, Table, str], Oracle | None]
    Check = Callable[[CampaignSettings], str]
    Known = Callable[[CampaignSettings, Table, str, Progress | None], tuple[dict[str, KnownLabel], list[str]]]


@dataclass(frozen=True, kw_only=True)
class OracleKind:
    """A kind of oracle.

    Attributes
    ----------
    written : str
        How ``--oracle`` names it: a name, with what follows a colon in capital letters, such as ``lookup:FILE``.
    words : str
        Where the labels come from, for the help.
    make : callable, or text "module:attribute" that is imported when it is needed
        (settings, run folder, table, text behind the colon) -> Oracle, or None where people label. It raises `InputError` where
        something that the oracle needs is missing or cannot be used.
    check : callable, or text "module:attribute"; optional
        Settings -> what would compute on this machine, in words, for `doctor`. It raises `InputError` where something is missing.
        None where nothing is computed.
    known : callable, or text "module:attribute"; optional
        (settings, table, text behind the colon, progress) -> labels that exist already by candidate, which a campaign takes in
        whenever it starts, and lines that a person is told. None where there are none.
    computes_phases : bool
        Whether it computes the phases of ``[label]``, whose vibrations may be asked for.
    tells_classes : bool
        Whether its labels can be names of classes.
    """

    written: str
    words: str
    make: Make | str
    check: Check | str | None = None
    known: Known | str | None = None
    computes_phases: bool = False
    tells_classes: bool = False

    @property
    def takes_more(self) -> bool:
        """Whether something follows the name."""
        return ":" in self.written


ORACLES: Mapping[str, OracleKind] = registered(
    "sisso_sal.oracles",
    {
        PEOPLE: OracleKind(written=PEOPLE, words="you label", make=lambda *_: None, tells_classes=True),
        "aims": OracleKind(
            written="aims",
            words="FHI-aims computes",
            make="sisso_sal.oracle.workflow.first_principles:by_aims",
            check="sisso_sal.oracle.workflow.first_principles:check_aims",
            computes_phases=True,
        ),
        "structure": OracleKind(
            written="structure",
            words="an ASE calculator computes",
            make="sisso_sal.oracle.workflow.first_principles:by_calculator",
            check="sisso_sal.oracle.workflow.first_principles:check_calculator",
            computes_phases=True,
        ),
        "lookup": OracleKind(
            written="lookup:FILE",
            words="labels from another table",
            make="sisso_sal.oracle.lookup:from_table",
            tells_classes=True,
        ),
        DONE: OracleKind(
            written=f"{DONE}:PATH",
            words="calculations that you have done already",
            make=lambda *_: None,
            check="sisso_sal.oracle.calculations.survey:check_folder",
            known="sisso_sal.oracle.calculations.survey:known_labels",
        ),
        "command": OracleKind(
            written="command:COMMAND",
            words="a command for each candidate, such as './run.sh {id}'",
            make="sisso_sal.oracle.command:from_command",
            tells_classes=True,
        ),
        "jobflow": OracleKind(
            written="jobflow:MAKER",
            words="a Maker of jobflow, package.module:Maker",
            make="sisso_sal.oracle.jobflow_oracle:by_maker",
            check="sisso_sal.oracle.jobflow_oracle:check_maker",
            computes_phases=True,
        ),
    },
)
"""Every kind of oracle by name, plug-ins unchecked; see `oracle_kinds`."""


def oracle_kinds() -> dict[str, OracleKind]:
    """Every kind of oracle, by name.

    Raises
    ------
    SettingsError
        A plug-in cannot be used.

    Examples
    --------
    >>> list(oracle_kinds())[:3]
    ['none', 'aims', 'structure']
    """
    kinds = dict(ORACLES)
    for name, kind in kinds.items():
        if not isinstance(kind, OracleKind) or kind.written.partition(":")[0] != name:
            raise SettingsError(
                f"sisso_sal.oracles: '{name}': needs an OracleKind that is written '{name}', found {kind!r}"
            )
    return kinds


def oracle_forms() -> str:
    """How each oracle is written, in one line.

    Examples
    --------
    >>> oracle_forms()
    'none, aims, structure, lookup:FILE, folder:PATH, command:COMMAND or jobflow:MAKER'
    """
    *others, last = [kind.written for kind in oracle_kinds().values()]
    return f"{', '.join(others)} or {last}"


def oracle_help() -> str:
    """How each oracle is written and where its labels come from, in one line.

    Examples
    --------
    >>> oracle_help()[:48]
    'none (you label), aims (FHI-aims computes), stru'
    """
    return ", ".join(f"{kind.written} ({kind.words})" for kind in oracle_kinds().values())


def oracle_named(written: str) -> tuple[OracleKind, str]:
    """The kind of oracle that a setting names, and what stands behind its colon.

    Raises
    ------
    SettingsError
        There is no such oracle, or it needs more or less than its name.

    Examples
    --------
    >>> kind, rest = oracle_named("lookup:truth.csv")
    >>> kind.words, rest
    ('labels from another table', 'truth.csv')
    """
    name, _, rest = written.partition(":")
    kind = oracle_kinds().get(name)
    if kind is None or kind.takes_more != bool(rest):
        raise SettingsError(f"oracle: needs {oracle_forms()}, found '{written}'")
    return kind, rest


def usable_oracle(settings: CampaignSettings) -> tuple[OracleKind, str]:
    """The kind of oracle that settings name, and what stands behind its colon.

    Raises
    ------
    SettingsError
        There is no such oracle, or it cannot do what the label asks for.
    """
    kind, rest = oracle_named(settings.run.oracle)
    if settings.label.vibrations is not None and not kind.computes_phases:
        able = " or ".join(k.written for k in oracle_kinds().values() if k.computes_phases)
        raise SettingsError(f"label.vibrations: needs an oracle {able}, found '{settings.run.oracle}'")
    if settings.looks_for_classes and not kind.tells_classes:
        able = ", ".join(k.written for k in oracle_kinds().values() if k.tells_classes)
        raise SettingsError(
            f"oracle: needs one of {able} for the classes {settings.goal.strip()}, found '{settings.run.oracle}'"
        )
    return kind, rest


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
        Something that it needs is missing or cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> from sisso_sal.data.table import read_table
    >>> from sisso_sal.settings.campaign import CampaignSettings
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "oxides.csv")
    ...     _ = path.write_text("name,EN,gap (eV)\\nMgO,1.3,7.8\\nCaO,1.0,\\n")
    ...     make_oracle(CampaignSettings(), "run", read_table(path)) is None
    True
    """
    kind, rest = usable_oracle(settings)
    return _resolved(kind.make)(settings, Path(run), table, rest)


def known_labels(
    settings: CampaignSettings, table: Table, progress: Progress | None = None
) -> tuple[dict[str, KnownLabel], list[str]]:
    """Labels that the oracle has before it is asked, by candidate, and lines that a person is told.

    Raises
    ------
    SettingsError
        There is no such oracle.
    InputError
        What it reads is missing or cannot be used.
    """
    kind, rest = usable_oracle(settings)
    return ({}, []) if kind.known is None else _resolved(kind.known)(settings, table, rest, progress)


def has_known_labels(written: str) -> bool:
    """Whether the oracle that a setting names may have labels before it is asked."""
    kind = oracle_kinds().get(written.partition(":")[0])
    return kind is not None and kind.known is not None


def check_oracle(settings: CampaignSettings) -> str:
    """What the oracle that settings name would compute with on this machine, in words; empty where it computes nothing.

    Raises
    ------
    SettingsError
        There is no such oracle.
    InputError
        Something that it needs is missing.
    """
    kind, _ = usable_oracle(settings)
    return "" if kind.check is None else _resolved(kind.check)(settings)


def _resolved(function: Callable | str) -> Callable:
    return resolve_name(function) if isinstance(function, str) else function
