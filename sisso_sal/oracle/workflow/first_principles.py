"""An oracle that computes: it hands requests of a campaign to a workflow, starts workers, and returns the answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sisso_sal.data.table import Table
from sisso_sal.errors import DocumentError, InputError, OracleError, SettingsError, StorageError, TakenError
from sisso_sal.oracle.candidates import check_unit, formulas_of
from sisso_sal.oracle.engines.aims_inputs import species_files
from sisso_sal.oracle.engines.ase_calculator import CalculatorSettings, make_calculator
from sisso_sal.oracle.engines.phonons import need_phonopy
from sisso_sal.oracle.engines.trial import try_calculator
from sisso_sal.oracle.stability.aqueous import aqueous_species
from sisso_sal.oracle.stability.expressions import expression_names
from sisso_sal.oracle.stability.labels import LABELS
from sisso_sal.oracle.stability.pourbaix import Conditions
from sisso_sal.oracle.starts import own_structures
from sisso_sal.oracle.workflow.engine_settings import STEPS, EngineSettings, load_engine, step_settings
from sisso_sal.oracle.workflow.label_table import record_labels
from sisso_sal.oracle.workflow.outcomes import LabelOutcome, PhaseRequest, Question
from sisso_sal.oracle.workflow.tasks import Workflow, is_of
from sisso_sal.oracle.workflow.trust import check_vibrations, measured_enthalpies, oxygen_energy
from sisso_sal.oracle.workflow.workers import LOG, living
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.structures import formula_key, read_structures
from sisso_sal.protocols import Answer, Receipt, Request
from sisso_sal.settings.calculation import LabelSettings
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.system.documents import last_line, one_line, shown

__all__ = [
    "FOLDER",
    "FirstPrinciples",
    "by_aims",
    "by_calculator",
    "check_aims",
    "check_calculator",
    "check_label",
    "check_machine",
    "checked_engine",
    "engine_of",
    "first_principles",
]

FOLDER = "oracle"
"""Where the calculations are, below the run folder."""

Kind = Literal["aims", "structure", "jobflow"]
_PATIENCE = 3
_STARTING = 300.0  # seconds in which a worker has to be known as one


class FirstPrinciples:
    """Labels from a workflow of calculations.

    Parameters
    ----------
    workflow : Workflow
    formulas : mapping of str to str
        Candidate -> formula.
    barred : mapping of str to str
        Candidates that can never have a label, and why.
    workers : int
        Workers that this machine shall have while there is something to do; 0 where others start them.
    about : mapping
        What the ledger is told of it.
    """

    poll = 2.0

    def __init__(
        self,
        workflow: Workflow,
        formulas: Mapping[str, str],
        barred: Mapping[str, str],
        workers: int,
        about: Mapping[str, Any],
    ):
        self.workflow = workflow
        self.barred = barred
        self._formulas = formulas
        self._n_workers = workers
        self._about = dict(about)
        self._started: list[_Started] = []
        self._n_broken = 0

    def describe(self) -> dict[str, Any]:
        return self._about

    def differences(self, labels: Mapping[str, float]) -> list[str]:
        """Settings of the calculations that are there, where they are others."""
        return [f"calculation: {line}" for line in self.workflow.other_settings()] if labels else []

    def submit(self, request: Request) -> Receipt:
        try:
            known = self.workflow.submit(self._formulas[request.id], request.intent, request.id)
        except (InputError, StorageError, OSError) as error:
            raise OracleError(str(error)) from error
        return _receipt(request.intent, known.id)

    def query(self, request: Request) -> Receipt | None:
        try:
            known = self.workflow.request(request.intent)
        except DocumentError as error:
            raise TakenError(f"{error}; for which candidate it was made is not known") from error
        if known is None:
            return None
        if not self._is_of(known, request.id):
            owner = known.candidate or known.id
            raise TakenError(f"the intent {request.intent} was made for {shown(owner)}, not for {shown(request.id)}")
        return _receipt(request.intent, known.id)

    def collect(self, receipts: Sequence[Receipt]) -> Sequence[Answer]:
        answers = [answer for receipt in receipts if (answer := self._misplaced(receipt)) is not None]
        intents = {receipt.intent for receipt in receipts} - {answer.intent for answer in answers}
        outcomes = self.workflow.collect(intents)
        record_labels(self.workflow.root, outcomes)
        answers += [_answer(outcome) for outcome in outcomes]
        if len(answers) < len(receipts):
            problem = self._staff()
            if problem and not answers:
                raise OracleError(problem)
        return answers

    def _is_of(self, known: PhaseRequest, id: str) -> bool:
        return is_of(known, self._formulas.get(id, ""), id)

    def _misplaced(self, receipt: Receipt) -> Answer | None:
        """The failure of a receipt whose request is gone, cannot be read, or is of another candidate."""
        intent = receipt.intent
        try:
            known = self.workflow.request(intent)
        except DocumentError as error:
            return Answer(intent, kind="invalid", reason=one_line(str(error)))
        if known is None:
            return Answer(intent, kind="lost", reason=f"{FOLDER}/intents/{intent}.json is gone")
        if receipt.id and not self._is_of(known, receipt.id):
            owner = known.candidate or known.id
            reason = f"needs the answer for {shown(receipt.id)}, found the request of {shown(owner)}"
            return Answer(intent, kind="invalid", reason=reason)
        return None

    def close(self) -> None:
        """Workers keep running until all requests are done."""

    def _staff(self) -> str:
        """Start workers until there are as many as were asked for and can be used; returns what is wrong with them, if anything."""
        ended = [worker for worker in self._started if worker.process.poll() is not None]
        self._started = [worker for worker in self._started if worker not in ended]
        for worker in ended:
            self._n_broken = self._n_broken + 1 if worker.process.returncode in (1, 2) else 0
        if self._n_broken >= _PATIENCE:
            return f"workers end at once: {last_line(self.workflow.root / LOG) or 'their log is empty'}"
        at_work = living(self.workflow.root)
        for worker in self._started:
            worker.is_known |= worker.process.pid in at_work
        at_work |= {worker.process.pid for worker in self._started if worker.is_starting}
        wanted = min(self._n_workers - len(at_work), self.workflow.ready())
        if wanted > 0:
            self._started += [_Started(process) for process in self.workflow.start_workers(wanted)]
        return ""


@dataclass(eq=False)
class _Started:
    """A worker that this process has started; one that was given up is no longer known as a worker, though it may be there."""

    process: subprocess.Popen[bytes]
    at: float = field(default_factory=time.monotonic)
    is_known: bool = False

    @property
    def is_starting(self) -> bool:
        return not self.is_known and time.monotonic() - self.at < _STARTING


def _receipt(intent: str, formula: str) -> Receipt:
    """The job is the folder of the candidate's calculations, below the run folder."""
    return Receipt(intent, f"{FOLDER}/tree/{formula_key(formula)}")


def _answer(outcome: LabelOutcome) -> Answer:
    return Answer(
        outcome.intent,
        value=outcome.value,
        core_hours=outcome.core_hours,
        kind=outcome.failure or "",
        reason=outcome.reason,
        details=outcome.details,
    )


def first_principles(
    kind: Kind, settings: CampaignSettings, run: str | os.PathLike[str], table: Table, maker: str = ""
) -> FirstPrinciples:
    """The oracle that the settings of a campaign describe, after everything that it needs has been checked.

    Parameters
    ----------
    kind : {"aims", "structure", "jobflow"}
        FHI-aims, an ASE calculator, or a Maker of jobflow.
    settings : CampaignSettings
    run : path
        The run folder; nothing is written yet.
    table : Table
        The candidates.
    maker : str
        The Maker.

    Raises
    ------
    InputError
        A setting is out of range, the target has another unit, a candidate has no formula, a program, a species or structures are
        missing, or the calculations that are there were made with other settings. The message is one line.
    """
    label = settings.label
    conditions = check_label(label)
    check_unit(label.quantity, table)
    engine = engine_of(kind, settings, maker)
    formulas = formulas_of(table, label.formula)
    asked = {id: formulas[id] for id, known in zip(table.ids, table.labelled, strict=True) if not known}
    check_machine(engine, asked.values(), runs_here=settings.run.calculations > 0)
    workflow = Workflow(
        Path(run, FOLDER),
        engine,
        question=Question(
            quantity=label.quantity,
            conditions=conditions,
            oxygen_correction=label.oxygen_correction,
            oxygen_energy=oxygen_energy(engine, label),
            measured=measured_enthalpies(label.measured),
            measured_tolerance=label.measured_tolerance,
            vibrations=label.vibrations is not None,
        ),
        ions=label.ions,
        structures=own_structures(settings, table),
        max_prototypes=label.max_prototypes,
        competitors=label.competitors,
    )
    about = {"oracle": kind, "label": label.model_dump(mode="json"), "engine": engine.model_dump(mode="json")}
    barred = {id: why for id, formula in asked.items() if (why := workflow.impossible(formula))}
    return FirstPrinciples(workflow, formulas, barred, settings.run.calculations, about)


def by_aims(settings: CampaignSettings, run: Path, table: Table, _: str) -> FirstPrinciples:
    """FHI-aims computes; see `first_principles` and `sisso_sal.oracle.registry.OracleKind`."""
    return first_principles("aims", settings, run, table)


def by_calculator(settings: CampaignSettings, run: Path, table: Table, _: str) -> FirstPrinciples:
    """An ASE calculator computes; see `first_principles` and `sisso_sal.oracle.registry.OracleKind`."""
    return first_principles("structure", settings, run, table)


def check_aims(settings: CampaignSettings) -> str:
    """What would run where FHI-aims computes; of the elements only those of water are looked for.

    Raises
    ------
    InputError
        A setting is out of range, or the program or a species is missing.
    """
    engine = checked_engine("aims", settings)
    words = f"{settings.label.quantity} by '{engine.program}', {settings.run.calculations} workers"
    return "; ".join([words, *_tried([engine.prerelaxation(), *_vibrating(engine)], settings.run.calculations)])


def check_calculator(settings: CampaignSettings) -> str:
    """What would run where an ASE calculator computes, after it has computed two atoms if workers of this machine will use it.

    Raises
    ------
    InputError
        A setting is out of range, a package is missing, or the calculator fails.
    """
    engine = checked_engine("structure", settings)
    words = f"{settings.label.quantity} by {engine.calculator}, {settings.run.calculations} workers"
    used = engine.calculator_of("relax"), engine.calculator_of("static"), engine.prerelaxation(), *_vibrating(engine)
    return "; ".join([words, *_tried(used, settings.run.calculations)])


def _vibrating(engine: EngineSettings) -> list[CalculatorSettings]:
    """The calculator of the vibrations, where they are asked for."""
    vibration = engine.vibration()
    return [] if vibration is None else [vibration.calculator]


def _tried(calculators: Sequence[CalculatorSettings | None], workers: int) -> list[str]:
    """What each of these calculators makes of two atoms, if workers of this machine will use it."""
    different = [each for n, each in enumerate(calculators) if each is not None and each not in calculators[:n]]
    return [try_calculator(each) for each in different] if workers else []


def checked_engine(kind: Kind, settings: CampaignSettings) -> EngineSettings:
    """The engine of a campaign, after what it needs here has been found; `InputError` where something is missing."""
    check_label(settings.label)
    engine = engine_of(kind, settings)
    oxygen_energy(engine, settings.label)
    check_machine(engine, (), runs_here=settings.run.calculations > 0)
    return engine


def engine_of(kind: Kind, settings: CampaignSettings, maker: str = "") -> EngineSettings:
    """The engine of a campaign; `SettingsError` where a setting of a step is unknown or out of range.

    Calculations run in folders of their own: a program and species that are given relative to the current one are made absolute.
    """
    values = settings.calculation.model_dump()
    if values["species_dir"] is not None:
        values["species_dir"] = os.path.abspath(Path(values["species_dir"]).expanduser())
    words = (values["command"] or "").split(maxsplit=1)
    if words and "/" in words[0]:
        values["command"] = " ".join([os.path.abspath(words[0]), *words[1:]])
    walltime = None if settings.run.walltime is None else 3600 * settings.run.walltime
    if kind == "jobflow":  # a gap comes from the output of the Maker
        values |= {"maker": maker, "with_bands": False, "jobflow": values["jobflow"] or {}}
        if "band_gap" in expression_names(settings.label.quantity, LABELS) and not values["jobflow"].get("gap"):
            raise SettingsError("calculation.jobflow.gap: needs the path of the gap, which the label has, found none")
    elif values["jobflow"] is not None:
        raise SettingsError(f"calculation.jobflow: needs an oracle jobflow:MAKER, found '{kind}'")
    values |= {"vibrations": settings.label.vibrations, "temperature": settings.label.temperature}
    return load_engine({**values, "engine": kind, "walltime": walltime, "lease": settings.run.lease})


def check_label(label: LabelSettings) -> Conditions:
    """The conditions of a label; `InputError` where its expression, one of its tables or its structures cannot be read."""
    check_vibrations(label)
    if label.ions is not None:
        aqueous_species(("H",), label.ions)
    measured_enthalpies(label.measured)
    if label.structures is not None:
        read_structures(label.structures)
    return Conditions(potential=label.potential, pH=label.pH, concentration=label.concentration)


def check_machine(engine: EngineSettings, formulas: Any, *, runs_here: bool) -> None:
    """Whether calculations of these formulas can be run here.

    Parameters
    ----------
    engine : EngineSettings
    formulas : iterable of str
    runs_here : bool
        Whether workers of this machine are to run it; else the program is not looked for.

    Raises
    ------
    InputError
        A program, a package or a species is missing.
    """
    needed = [engine.prerelaxation(), *_vibrating(engine)]
    if engine.vibrations and runs_here:
        need_phonopy()
    if engine.engine == "structure":
        needed.append(engine.calculator_of("relax"))
    with tempfile.TemporaryDirectory() as folder:
        for settings in needed:
            if settings is not None and runs_here:
                make_calculator(settings, Path(folder))
    if engine.engine != "aims":
        return
    words = engine.program.split()
    if runs_here and (not words or shutil.which(words[0]) is None):
        raise InputError(
            f"FHI-aims: there is no program '{words[0] if words else ''}'; set command in [calculation], or AIMS_COMMAND"
        )
    elements = {"H", "O"}.union(*(parse_formula(formula) for formula in formulas))
    for step in STEPS:
        species_files(elements, step_settings(engine, step))
