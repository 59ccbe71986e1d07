"""A campaign from Python: what `sisso-sal discover` does, step by step or until there is a reason to stop."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sisso_sal.api.classes import read_class_candidates
from sisso_sal.api.inputs import check_table_units, complete_settings, read_candidates, read_unlabelled, without_unused
from sisso_sal.campaign.answers import class_in, is_number
from sisso_sal.campaign.inbox import hand_in
from sisso_sal.campaign.inputs import resolved
from sisso_sal.campaign.learning import REPORT, Tools
from sisso_sal.campaign.loop import Talk, discover
from sisso_sal.campaign.preview import preview
from sisso_sal.campaign.status import status_document
from sisso_sal.data.cells import shown
from sisso_sal.data.headers import split_header
from sisso_sal.data.table import Table
from sisso_sal.errors import InputError, SettingsError, SissoSalError
from sisso_sal.ledger.fold import check, fold
from sisso_sal.ledger.lock import noted_driver
from sisso_sal.ledger.state import State
from sisso_sal.ledger.store import DATABASE, read_ledger
from sisso_sal.protocols import KnownLabel, Oracle, Progress, Space, Surrogate
from sisso_sal.settings import PEOPLE
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.settings.layers import LayeredSettings, user_settings_of
from sisso_sal.spaces.table import TableSpace

if TYPE_CHECKING:
    import pandas as pd


class Campaign:
    """Learn from the labelled candidates, propose which others to compute, and have them computed.

    Everything is kept in the run folder. A `Campaign` of the same table, settings and folder continues, also in another process.

    Parameters
    ----------
    table : path, DataFrame, Table or Space
        The candidates: a file that `read_table` reads, a DataFrame with the same headers, a table that was read, or a space of your
        own. The target is known for some.
    goal : str, optional
        ``min`` (the default), ``max``, ``"min 10%"``, ``"<=0.3"``, ``">=2"`` or ``"1.2..1.8"``.
    oracle : Oracle or str, optional
        Who labels: an object with the methods of `sisso_sal.protocols.Oracle`, or a text as ``--oracle`` takes it, such as
        ``"lookup:truth.csv"``. Without one, `step` proposes and `label` takes the answers.
    out : path, optional
        The run folder; ``runs/NAME`` by default, with the name of the table (``table`` for a DataFrame).
    progress : callable, optional
        Called with (done, total) during a fit.
    tell : callable, optional
        Takes what there is to say, a line at a time; ``print`` shows it.
    with_report : bool
        Whether `step` and `run` write ``report.html``.
    **options
        Any option of ``sisso-sal discover`` under its name: ``target="gap (eV)"``, ``id="formula"``, ``group="sample"`` (the column
        that says which rows are one material), ``drop=["P"]`` or ``columns=["EA", "IP"]`` (the only features),
        ``surrogate="forest"``, ``acquisition="hits"``, ``batch=5``, ``budget=30``, ``members=10``, ``rung=1``, ``seed=1``; and
        ``config``, a settings file, ``formula`` (the column that features are made from) and ``threads``. Settings that are not
        given come from the environment, the settings file and the user's own settings, as for the command.

    Raises
    ------
    TableError, InputError
        The candidates cannot be used.
    SettingsError
        A setting is unknown or out of range.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> rows = [f"M{i:02d},{i % 7 + 1},{i % 5 + 2}," + (f"{(i % 7 + 1) * (i % 5 + 2)}" if i < 20 else "") for i in range(30)]
    >>> _ = (folder / "known.csv").write_text("\\n".join(["name,a (eV),r (AA),gap (eV AA)", *rows]))
    >>> small = {"rung": 1, "dim": 1, "members": 4, "batch": 2}
    >>> campaign = Campaign(folder / "known.csv", goal="max", out=folder / "run", with_report=False, **small)
    >>> summary = campaign.step()
    >>> len(campaign.proposals), summary["typical"][0]["terms"][0]["expression"]
    (2, 'a*r')
    >>> first = campaign.proposals["id"][0]
    >>> campaign.label(first, 42.0)
    1
    >>> campaign.step()["n_labelled"]
    21
    """

    def __init__(
        self,
        table: str | os.PathLike[str] | pd.DataFrame | Table | Space,
        *,
        goal: str | None = None,
        oracle: Oracle | str | None = None,
        out: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
        tell: Callable[[str], None] | None = None,
        with_report: bool = True,
        **options: Any,
    ):
        config, formula, self.threads = (options.pop(name, None) for name in ("config", "formula", "threads"))
        self.folder = Path("runs", _name_of(table)) if out is None else Path(out)
        self.talk = Talk(tell, change=tell) if tell else Talk()
        self.progress = progress
        self.with_report = with_report
        spoken = oracle if isinstance(oracle, str) or oracle is None else type(oracle).__name__
        _check_objects(oracle, self.threads)
        given = settings_of_run(self.folder, config, {"goal": goal, "oracle": spoken, **options})
        self.given = without_unused(given, self.talk.tell)
        oracles = (self.given.settings.run.oracle, _first_oracle(self.folder))
        self.space = _space_of(table, self.given.settings, formula, self.talk.tell, oracles)
        resolved(
            self.given.settings, self.space
        )  # an unknown goal or acquisition is refused now, not at the first step
        self.oracle = self._named_oracle() if isinstance(oracle, str) or oracle is None else oracle
        self.lower = self._lower_oracles()
        self.known = self._known_labels(isinstance(oracle, str) or oracle is None)

    def __enter__(self) -> Campaign:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def settings(self) -> CampaignSettings:
        """The settings, every default filled in."""
        return self.given.settings

    # Doing ---------------------------------------------------------------------------------------------------------------

    def step(self, *, take_over: bool = False) -> dict[str, Any]:
        """Collect answers, learn from what is new, propose, submit; when nothing is new, nothing changes.

        Returns
        -------
        dict
            The summary of the newest iteration, see `sisso_sal.campaign.loop.discover`.

        Raises
        ------
        LockedError
            Another process drives the run folder.
        CampaignError
            The candidates or the settings differ from those that the campaign was started with.
        FitError
            Too few labels.
        """
        return self._drive(once=True, take_over=take_over)

    def run(self, *, take_over: bool = False) -> dict[str, Any]:
        """Repeat the step until there is a reason to stop; without an oracle it is done one time. Returns and raises as `step`."""
        return self._drive(once=False, take_over=take_over)

    def preview(self) -> dict[str, Any]:
        """What the next step would propose; nothing is written. See `sisso_sal.campaign.preview.preview`."""
        return preview(self.space, self.settings, self.folder, self._tools(), self.given.origins)

    def label(
        self,
        id: str,
        value: float | str,
        error: float | None = None,
        *,
        replace: bool = False,
        level: str | None = None,
    ) -> int:
        """Hand in a result. The next step learns from it; a driver in another process takes it in at its next look.

        Parameters
        ----------
        id : str
            The candidate.
        value, error : float
            The label and, where it is known, its standard deviation, in the target's unit. Of classes the name alone.
        replace : bool
            Whether another label of this candidate may be replaced.
        level : str, optional
            Name of the level that the value is of; by default the last one.

        Returns
        -------
        int
            Events written; 0 where the label was known already, or where it was left for a driver in another process.

        Raises
        ------
        CampaignError
            There is no such candidate, it has another label, or no step was done yet.
        """
        of_classes = self.settings.looks_for_classes
        label: Any = class_in(value) if of_classes else value
        if of_classes and label is None:
            raise InputError(f"label of '{id}': needs the name of a class, found {shown(value)}")
        for name, number in (("value", 0.0 if of_classes else label), ("error", 0.0 if error is None else error)):
            if not is_number(number):
                raise InputError(f"label of '{id}': needs a number as its {name}, found {shown(number)}")
        spread = None if error is None else float(error)
        note = {
            "note": "label",
            "id": id,
            "value": label if of_classes else float(label),
            "error": spread,
            "source": "person",
            "replace": replace,
            "level": level,
        }
        return hand_in(self.folder, [note], self.talk.tell).n_events

    def report(self) -> Path:
        """Write ``report.html`` into the run folder; returns its path."""
        write_report_of(self.folder, False)
        return self.folder / REPORT

    def close(self) -> None:
        """Let the oracle know that nobody waits any more; what was submitted goes on."""
        for oracle in (self.oracle, *self.lower.values()):
            if oracle is not None:
                oracle.close()

    # Looking -------------------------------------------------------------------------------------------------------------

    @property
    def proposals(self) -> pd.DataFrame:
        """The newest proposals, best first: id, mean, std, score, low95, high95 and more; empty before the first step."""
        import pandas as pd

        proposal = self._state().proposal
        return pd.DataFrame(proposal["proposals"] if proposal else [])

    def status(self) -> dict[str, Any]:
        """Where the campaign stands, see `sisso_sal.campaign.status.status_document`."""
        return status_document(self.folder, self._state(), noted_driver(self.folder))

    # -----------------------------------------------------------------------------------------------------------------------

    def _state(self) -> State:
        return fold(read_ledger(self.folder).events()) if (self.folder / DATABASE).exists() else State()

    def _drive(self, once: bool, take_over: bool) -> dict[str, Any]:
        return discover(
            self.space, self.settings, self.folder, self._tools(),
            once=once, take_over=take_over, talk=self.talk, origins=self.given.origins,
        )  # fmt: skip

    def _tools(self) -> Tools:
        return Tools(
            partial(_make_surrogate, self.threads),
            _fewest_labels,
            self.oracle,
            self.progress,
            write_report_of if self.with_report else None,
            _unused_sections,
            self.lower,
            self.known,
        )

    def _lower_oracles(self) -> dict[str, Oracle]:
        """Those of the lower levels, each with a folder of its own in the run folder."""
        from sisso_sal.oracle.registry import make_oracle

        found = {}
        for level in self.settings.lower:
            if isinstance(self.space, TableSpace):
                folder = self.folder / "levels" / level.name
                table = _at_level(self.space.table, str(level.column))
                with _named(self.settings, level.name):
                    oracle = make_oracle(self.settings.at_level(level.name), folder, table)
                found |= {} if oracle is None else {level.name: oracle}
        return found

    def _known_labels(self, is_named: bool) -> dict[str, dict[str, KnownLabel]]:
        """What oracles that settings name have already, by level; only a table has formulas to look for."""
        from sisso_sal.oracle.registry import known_labels

        if not isinstance(self.space, TableSpace):
            return {}
        table, known = self.space.table, {}
        places = {level.name: _at_level(table, str(level.column)) for level in self.settings.lower}
        places |= {"": table} if is_named else {}
        for level, candidates in places.items():
            settings = self.settings.at_level(level) if level else self.settings.of_target
            last = [one.name for one in self.settings.level[-1:]]
            with _named(self.settings, *([level] if level else last)):
                labels, lines = known_labels(settings, candidates, self.progress)
            for line in lines:
                self.talk.tell(f"{level}: {line}" if level else line)
            known |= {level: labels} if labels else {}
        return known

    def _named_oracle(self) -> Oracle | None:
        from sisso_sal.oracle.registry import make_oracle

        if isinstance(self.space, TableSpace):
            with _named(self.settings, *(level.name for level in self.settings.level[-1:])):
                return make_oracle(self.settings.of_target, self.folder, self.space.table)
        if self.settings.run.oracle != PEOPLE:
            raise SettingsError(
                f"oracle: needs an object where the candidates are no table, found '{self.settings.run.oracle}'"
            )
        return None


@contextmanager
def _named(settings: CampaignSettings, *levels: str) -> Iterator[None]:
    """Errors within say at which level of theory they came up; without one they stay as they are."""
    try:
        yield
    except SissoSalError as error:
        if not levels:
            raise
        raise type(error)(f"{settings.level_text(levels[0])}: {error}") from error


def _at_level(table: Table, column: str) -> Table:
    """The same candidates with the column of a lower level, whose values are not looked at, as the target."""
    name, unit = split_header(column)
    headers = {**table.headers, name: column}
    return replace(table, target_name=name, target_unit=unit, target=np.full(table.n_rows, np.nan), headers=headers)


def _check_objects(oracle: object, threads: object) -> None:
    """Refuse what no option of the command could be."""
    if not (oracle is None or isinstance(oracle, str | Oracle)):
        raise InputError(
            "oracle: needs an object with the methods of `sisso_sal.protocols.Oracle`, or a text such as "
            f"'lookup:truth.csv', found {shown(oracle)}"
        )
    if not (threads is None or (isinstance(threads, int) and threads >= 1)):
        raise InputError(f"threads: needs a whole number >= 1, found {shown(threads)}")


def settings_of_run(run: Path, config: str | os.PathLike[str] | None, options: dict[str, Any]) -> LayeredSettings:
    """Settings for a run folder: one that exists keeps what it took from the user's own settings when it began."""
    user = None
    if (run / DATABASE).exists():
        begun = list(read_ledger(run).events("created"))
        for event in begun:
            check(event, f"{run}: event {event['seq']}")
        user = user_settings_of(begun[-1]) if begun else None
    return complete_settings(config, options, user=user)


def _first_oracle(run: Path) -> str:
    """The oracle that a run began with; "" where it has not begun."""
    begun = list(read_ledger(run).events("created")) if (run / DATABASE).exists() else []
    return str(begun[-1].get("settings", {}).get("run", {}).get("oracle", "")) if begun else ""


def write_report_of(run: Path, is_over: bool) -> list[str]:
    """Write the report of a run folder into it.

    Parameters
    ----------
    run : path
    is_over : bool
        Whether its driver ends now.

    Returns
    -------
    list of str
        What the report lacks, see `write_report`.
    """
    from sisso_sal.report.page.document import write_report
    from sisso_sal.report.run_view import RunView

    return write_report(RunView.read(run), run / REPORT, is_over=is_over)


def _make_surrogate(threads: int | None, settings: CampaignSettings, seed: int) -> Surrogate:
    from sisso_sal.models.registry import make_surrogate

    return make_surrogate(settings, seed, threads)


def _fewest_labels(settings: CampaignSettings) -> tuple[int, str]:
    from sisso_sal.models.registry import fewest_labels

    return fewest_labels(settings)


def _unused_sections(settings: CampaignSettings) -> frozenset[str]:
    from sisso_sal.models.registry import unused_sections

    return unused_sections(settings.surrogate)


def _name_of(table: str | os.PathLike[str] | pd.DataFrame | Table | Space) -> str:
    if isinstance(table, Table):
        return Path(table.path).stem
    if isinstance(table, Space):
        return Path(table.name).stem
    return Path(table).stem if isinstance(table, str | os.PathLike) else "table"


def _space_of(
    table: str | os.PathLike[str] | pd.DataFrame | Table | Space,
    settings: CampaignSettings,
    formula: str | None,
    tell: Callable[[str], None],
    oracles: Iterable[str],
) -> Space:
    """The candidates; where one of the oracles had labels before it was asked, a table needs neither labels nor a target."""
    if isinstance(table, Table | Space):
        for name in ("columns", "drop", "group"):
            if getattr(settings, name) is not None:
                raise SettingsError(f"{name}: needs a file or a DataFrame, found candidates whose columns are fixed")
    if isinstance(table, Table):
        check_table_units(table)
        return TableSpace(table)
    if isinstance(table, Space):
        return table
    if settings.looks_for_classes:
        return TableSpace(read_class_candidates(table, settings, formula, tell))
    from sisso_sal.oracle.registry import has_known_labels

    read = read_unlabelled if any(map(has_known_labels, oracles)) else read_candidates
    return TableSpace(read(table, settings, formula, with_gaps=True, tell=tell))
