"""The oracle of a Maker of jobflow whose output has the label: each candidate is one Job or Flow.

With a path ``calculation.jobflow.value`` the label is read from the output. Without it the Maker is an engine of the workflow that
`sisso_sal.oracle.workflow` runs for section ``[label]``.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sisso_sal.errors import InputError, OracleError, SettingsError
from sisso_sal.oracle.command import CommandOracle
from sisso_sal.oracle.engines.jobflow_maker import jobflow_of, made_by, maker_named, n_jobs
from sisso_sal.oracle.jobflow_outputs import MakerQuestion, Outputs
from sisso_sal.oracle.starts import Starts
from sisso_sal.protocols import Answer, Oracle, Receipt, Request
from sisso_sal.settings.calculation import JobflowSettings
from sisso_sal.system.documents import shown

if TYPE_CHECKING:
    from sisso_sal.data.table import Table
    from sisso_sal.settings.campaign import CampaignSettings

__all__ = ["FOLDER", "MakerOracle", "by_maker", "check_maker"]

FOLDER = "jobflow"
"""Where submissions and outputs are, below the run folder."""


class MakerOracle:
    """Runs the jobs of each candidate in a process of this machine, several at a time.

    Each submission is a folder named by its intent; see `sisso_sal.oracle.command.CommandOracle`, which starts the processes and
    finds them again. The request in the folder has the structure, the Maker and its settings.

    Parameters
    ----------
    question : MakerQuestion
    folder : path
        Of the submissions.
    barred : mapping of str to str
    workers : int
    walltime : float, optional
        Hours after which the jobs of a candidate are ended.
    """

    poll = CommandOracle.poll

    def __init__(
        self,
        question: MakerQuestion,
        folder: Path,
        barred: Mapping[str, str],
        workers: int = 1,
        walltime: float | None = None,
    ):
        self.barred = barred
        self._question = question
        words = [sys.executable, "-m", "sisso_sal.oracle.jobflow_task", str(question.outputs.folder.absolute())]
        self._commands = CommandOracle(shlex.join(words), folder, workers, walltime)

    def describe(self) -> dict[str, Any]:
        return self._question.describe()

    def differences(self, labels: Mapping[str, float]) -> list[str]:
        return self._question.differences(labels)

    def submit(self, request: Request) -> Receipt:
        try:
            asked = self._question.about(request.id)
        except InputError as error:
            raise OracleError(str(error)) from error
        return self._commands.submit(Request(request.intent, request.id, asked.model_dump(mode="json")))

    def query(self, request: Request) -> Receipt | None:
        return self._commands.query(request)

    def collect(self, receipts: Sequence[Receipt]) -> Sequence[Answer]:
        return self._commands.collect(receipts)

    def close(self) -> None:
        """Jobs that were started keep running."""
        self._commands.close()


def by_maker(settings: CampaignSettings, run: Path, table: Table, maker: str) -> Oracle:
    """A Maker of jobflow labels; see `sisso_sal.oracle.registry.OracleKind`.

    Raises
    ------
    InputError
        jobflow, the Maker or a structure is missing, or a setting does not fit.
    """
    asked = _checked(settings, maker)
    if asked.value is None:
        from sisso_sal.oracle.workflow.first_principles import first_principles

        return first_principles("jobflow", settings, run, table, maker=maker)
    starts = Starts(settings, table)
    question = MakerQuestion(maker, asked, starts, Outputs(run / FOLDER / "outputs"))
    if asked.runner == "remote":
        from sisso_sal.oracle.jobflow_remote import RemoteOracle

        return RemoteOracle(question, run / FOLDER / "flows", starts.missing)
    return MakerOracle(
        question, run / FOLDER / "jobs", starts.missing, settings.run.calculations, settings.run.walltime
    )


def check_maker(settings: CampaignSettings) -> str:
    """What a Maker would run, after it was asked for the jobs of two atoms, which are not run.

    Raises
    ------
    InputError
        jobflow or the Maker is missing, or a setting does not fit.
    OracleError
        The Maker fails.
    """
    from sisso_sal.oxides.prototypes import prototype_structure

    maker = settings.run.oracle.partition(":")[2]
    asked = _checked(settings, maker)
    if settings.label.vibrations is not None:
        from sisso_sal.oracle.workflow.first_principles import checked_engine

        checked_engine("jobflow", settings)
    number = n_jobs(made_by(maker, asked, prototype_structure("rocksalt", {"A": ("Mg", 2.0)})))
    where = "by jobflow-remote" if asked.runner == "remote" else f"in {settings.run.calculations} processes"
    what = settings.label.quantity if asked.value is None else asked.value
    return f"{what} by {maker}, {number} {'job' if number == 1 else 'jobs'} for MgO, {where}"


def _checked(settings: CampaignSettings, maker: str) -> JobflowSettings:
    """The settings of the Maker, after it and the packages that it needs have been found."""
    asked = settings.calculation.jobflow or JobflowSettings()
    jobflow_of()
    maker_named(maker, asked.parameters)
    if asked.value is not None and settings.label.vibrations is not None:
        raise SettingsError("label.vibrations: needs a Maker that relaxes; leave it out, or calculation.jobflow.value")
    if asked.value is not None:
        unused = asked.model_fields_set & {"energy", "structure", "gap", "static"}
        if unused:
            raise SettingsError(
                f"calculation.jobflow.{min(unused)}: is for a Maker that relaxes; leave it out, or value"
            )
    elif asked.runner == "remote":
        raise SettingsError(
            "calculation.jobflow.runner: needs 'local' where the Maker relaxes phases, found 'remote'; or give value"
        )
    if asked.static is not None:
        maker_named(asked.static, {})
    if asked.runner == "remote":
        jobflow_of("jobflow-remote")
    else:
        given = sorted(asked.model_fields_set & {"project", "worker", "exec_config", "resources"})
        if given:
            raise SettingsError(f"calculation.jobflow.{given[0]}: needs runner = 'remote', found {shown(asked.runner)}")
        if asked.value is not None and settings.run.calculations < 1:
            raise SettingsError("run.calculations: needs 1 or more with an oracle jobflow:MAKER, found 0")
    return asked
