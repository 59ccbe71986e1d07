"""The campaign: one idempotent step, and the loop that repeats it.

A step collects answers, fits if there are new labels, records the result, and submits. If nothing has happened since the last step,
it changes nothing. By default the next proposals are made when all of a batch have a label or have finally failed, so that they do
not depend on which calculation ended first; an asynchronous campaign proposes again whenever a calculation ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sisso_sal.acquisition.goal import Goal
from sisso_sal.campaign.exchange import Exchange, Journal, Tell
from sisso_sal.campaign.filled import as_begun, values_of_table
from sisso_sal.campaign.inbox import events_for, left, notes_in, put_away
from sisso_sal.campaign.inputs import (
    Origins,
    beside_computed,
    changed_elsewhere,
    create,
    labels_elsewhere,
    mixed_sources,
    new_labels,
    recall,
    refuse_changes,
    resolved,
    run_changes,
)
from sisso_sal.campaign.learning import Tools, learn, versions, waited_for
from sisso_sal.campaign.preview import check_start
from sisso_sal.campaign.reporting import Reporting
from sisso_sal.campaign.results import events_of, files_cost, whole_summary, write_iteration
from sisso_sal.campaign.status import status_document
from sisso_sal.campaign.stopping import HALTS, UNUSABLE, cost_left, reason_to_stop, unusable_answers
from sisso_sal.campaign.summary import digests, reached
from sisso_sal.errors import CampaignError, OracleError
from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.lock import LOCK
from sisso_sal.ledger.state import Case, Iteration, State
from sisso_sal.ledger.store import DATABASE, Ledger
from sisso_sal.protocols import Space
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.system.costs import Sequel, followed_by

FIRST_PAUSE = 0.02
"""Seconds before the second step; each further pause is 1.5 times as long, up to the oracle's `poll`."""


@dataclass
class Talk:
    """Callbacks for messages and progress of a campaign.

    Attributes
    ----------
    tell : callable
        Takes one line.
    watch : callable
        Takes the state after every step, also if it did not change.
    change : callable
        Takes one line about a setting that changed since the last start.
    trace : callable
        Takes an error that did not stop the campaign; the line about it has gone to `tell`.
    """

    tell: Tell = field(default=lambda line: None)
    watch: Callable[[State], None] = field(default=lambda state: None)
    change: Tell = field(default=lambda line: None)
    trace: Callable[[Exception], None] = field(default=lambda error: None)


def discover(
    space: Space,
    settings: CampaignSettings,
    run: str | os.PathLike[str],
    tools: Tools,
    *,
    once: bool = False,
    take_over: bool = False,
    talk: Talk | None = None,
    origins: Origins | None = None,
) -> dict[str, Any]:
    """Start or continue a campaign in a run folder.

    Parameters
    ----------
    space : Space
        Candidates with features; the target is known for some.
    settings : CampaignSettings
    run : path
        The run folder: ``campaign.toml``, ``campaign.db``, ``candidates.parquet`` and a folder ``iter-0001`` for each fit.
    tools : Tools
    once : bool
        Do one step; by default a campaign with an oracle goes on until there is a reason to stop.
    take_over : bool
        See `Ledger`.
    talk : Talk, optional
    origins : mapping, optional
        Where each setting was given: recorded at the start, and named in messages about settings that changed.

    Returns
    -------
    dict
        The summary of the newest iteration (run, iteration, n_labelled, n_candidates, proposals, best, calibration and more),
        ``is_new``, ``campaign``, see `status_document`, and ``report``: the file, and what is wrong with it or None.

    Raises
    ------
    LockedError
        Another process is driving the folder.
    CampaignError
        The candidates or the settings differ from those that the campaign was started with.
    FitError
        Too few labels.
    StorageError
        The disk refuses; no label is lost.
    OracleError
        None of the first three answers of the oracle can be used.
    """
    settings = resolved(settings, space)
    run = Path(run)
    check_start(space, settings, run, tools)
    if run.is_dir() and any(run.iterdir()) and not any((run / name).exists() for name in (DATABASE, LOCK)):
        raise CampaignError(f"{run}: needs a new folder or one of an earlier run, found other files")
    with Ledger(run, take_over=take_over) as ledger:
        talk = talk or Talk()
        for note in ledger.notes:
            talk.tell(note)
        loop = Loop(Journal(ledger), space, settings, tools, talk, origins or {})
        loop.begin(once)
        loop.drive(once)
        return loop.summary()


class Loop:
    """One driver's work on one run folder, between opening its ledger and closing it."""

    def __init__(
        self,
        journal: Journal,
        space: Space,
        settings: CampaignSettings,
        tools: Tools,
        talk: Talk,
        origins: Origins,
    ):
        self.run = journal.ledger.folder
        self._journal = journal
        self._space = space
        self._settings = settings
        self._tools = tools
        self._talk = talk
        self._origins = origins
        self._oracle = oracle = tools.oracle
        self._about: Mapping[str, Any] = oracle.describe() if oracle else {}
        retries = settings.run.retries
        oracles = {**tools.lower, **({"": oracle} if oracle else {})}
        about = space, retries, talk.tell
        goal = Goal.parse(settings.goal)
        self._exchanges = [Exchange(one, journal, *about, level, goal) for level, one in oracles.items()]
        self._summary: dict[str, Any] | None = None
        self._reporting = Reporting(self.run, self.state, tools.report, talk.tell, talk.trace)

    @property
    def state(self) -> State:
        return self._journal.state

    # Start and resume ----------------------------------------------------------------------------------------------------

    def begin(self, once: bool) -> None:
        """Record the inputs, or check that they are those of the start and record what is new in them."""
        state, write = self.state, self._journal.write
        is_begun = state.created is not None
        recall(self._space, state)
        if is_begun and state.iterations:
            refuse_changes(self.run, state, self._space, self._settings, self._oracle, self._origins)
        if not is_begun or (not state.iterations and self._starts_anew()):
            unused = self._tools.unused_sections(self._settings)
            write(*create(self.run, self._space, self._settings, self._about, self._origins, unused))
            self._take_known()
            return
        changes = run_changes(self.run, state, self._settings, self._about, self._origins)
        mixed = mixed_sources(state, self._settings, self._about)
        write(*changes)
        for line in (line for _, event in changes for line in event["changes"]):
            self._talk.change(line)
        for line in mixed:
            self._talk.tell(line)
        write(*new_labels(self._space, state.labels))
        if state.iterations:
            self._take_filled()
        self._take_known()
        if self._is_halted() and not once:
            write(("resumed", {}))
        self._tell_other_versions()

    def _take_filled(self) -> None:
        """Go on with the table of the start, and with what was filled into it since as events of the ledger."""
        begun = as_begun(self.run, self.state, self._space)
        self._space = begun.space
        self._journal.write(*begun.events)
        for header, values in begun.new.items():
            self._talk.tell(f"taken from the table: {len(values)} new cell{'s' * (len(values) > 1)} of '{header}'")

    def _take_known(self) -> None:
        """Record the labels that oracles had already; those that are others now are told, and stay as they were."""
        known = self._tools.known
        changed = changed_elsewhere(known, self.state, self._settings, self.run)
        new, beside = labels_elsewhere(known, self.state), beside_computed(known, self.state)
        self._journal.write(*new)
        if new:
            told = f"recorded: {len(new)} label{'s' * (len(new) > 1)} of calculations that were done already"
            self._talk.tell(f"{told}{beside}")
        for line in changed:
            self._talk.tell(line)

    def _starts_anew(self) -> bool:
        """Whether the inputs changed; a run without iterations may start again with other inputs."""
        try:
            refuse_changes(self.run, self.state, self._space, self._settings, self._oracle, self._origins)
        except CampaignError:
            return True
        return False

    def _tell_other_versions(self) -> None:
        before, now = (self.state.created or {}).get("versions", {}), versions()
        if changed := [
            f"{name} {before[name]} -> {now[name]}" for name in now if before.get(name, now[name]) != now[name]
        ]:
            self._talk.tell(
                f"package versions changed since the start, so later picks may differ: {', '.join(changed)}"
            )

    # The loop ------------------------------------------------------------------------------------------------------------

    def drive(self, once: bool) -> None:
        """Repeat the step until there is a reason to stop; without an oracle, or with `once`, do one step."""
        pause = FIRST_PAUSE
        while True:
            has_moved = self.step()
            self._reporting.aside("the progress is not shown", lambda: self._talk.watch(self.state))
            self._check_answers()
            if once or not self._exchanges or self._has_ended() or self._waits_for_people():
                self._reporting.report(self.state, is_over=True)
                return
            self._reporting.report(self.state, is_over=False)
            poll = min(exchange.oracle.poll for exchange in self._exchanges)
            pause = FIRST_PAUSE if has_moved else min(1.5 * pause, poll)
            if not has_moved:
                time.sleep(pause)

    def _check_answers(self) -> None:
        stop = self.state.stop
        if stop is not None and stop["kind"] == UNUSABLE:
            self._reporting.report(self.state, is_over=True)
            advice = "mend this and run the same discover command again, without --once; it tries them again"
            raise OracleError(f"{self.run}: {stop['why']}; {advice}")

    def _is_halted(self) -> bool:
        return self.state.stop is not None and self.state.stop["kind"] in HALTS

    def _has_ended(self) -> bool:
        """There is a reason to stop, and no calculation is running that the campaign waits for."""
        stop = self.state.stop
        return stop is not None and (stop["kind"] == "person" or not self._unfinished(stop["kind"]))

    def _waits_for_people(self) -> bool:
        """Nothing is computed, and all that is proposed is of levels that no oracle computes."""
        mine = {exchange.level for exchange in self._exchanges}
        proposed = (self.state.proposal or {"proposals": ()})["proposals"]
        return (
            self.state.is_current
            and not self._waited_for()
            and bool(proposed)
            and not any((row.get("level") or "") in mine for row in proposed)
        )

    def _waited_for(self) -> list[Case]:
        """Cases of all levels for which a label is expected."""
        return [case for one in (self.state, *self._lower_states()) for case in waited_for(one)]

    def _lower_states(self) -> list[State]:
        return [self.state.at(level.name) for level in self._settings.lower]

    def _unfinished(self, reason: str) -> list[Case]:
        """Calculations to wait for before a stop for this reason; failed ones are tried again if core-hours are left."""
        again = () if reason == "core_hours" else ("again",)
        return [case for exchange in self._exchanges for case in exchange.state.of("intended", "submitted", *again)]

    def step(self) -> bool:
        """Collect, fit, record, submit. True if anything was written."""
        before = self.state.n_events
        self._take_notes()
        if self._is_halted():
            self._recall()
            return self.state.n_events > before
        for exchange in self._exchanges:
            exchange.reconcile()
            exchange.collect()
            if events := unusable_answers(exchange.state, self._about if not exchange.level else {}, exchange.level):
                self._journal.write(*events)
                self._recall()
                return True
        if self._is_time_to_propose():
            self._propose()
        self._recall()
        stop = reason_to_stop(self.state, self._settings)
        if stop is None:
            if self.state.stop is not None:  # more budget, or more candidates
                self._journal.write(("resumed", {}))
            self._submit_again()
            self._submit_new()
        else:
            if stop.kind != "core_hours":
                self._submit_again()
            if not self._unfinished(stop.kind):
                self._stop(stop.kind, stop.why)
        return self.state.n_events > before

    def _stop(self, kind: str, why: str) -> None:
        known = self.state.stop
        if known is None or (known["kind"], known["why"]) != (kind, why):
            self._journal.write(("stop", {"kind": kind, "why": why, "by": "campaign"}))

    def _take_notes(self) -> None:
        for path in left(self.run):
            refused = False
            try:
                notes = notes_in(path)
            except CampaignError as error:
                self._refuse(error)
                notes, refused = [], True
            known = values_of_table(self.run, self.state)
            for note in notes:
                try:
                    new = events_for(note, self.state, set(self._space.ids), known)
                except CampaignError as error:
                    self._refuse(error)
                    refused = True
                else:
                    self._journal.write(*new)
                    self._tell_taken(new)
            put_away(path, refused)

    def _refuse(self, error: CampaignError) -> None:
        self._talk.tell(f"not accepted: {error}")

    def _tell_taken(self, new: list[tuple[str, dict[str, Any]]]) -> None:
        for kind, data in new:
            value = f" {data.get('class') or format(data['value'], '.6g')}" if kind == "label" else ""
            of = f" of {data['id']}{f' ({level})' if (level := data.get('level')) else ''}" if "id" in data else ""
            self._talk.tell(f"recorded: {kind}{of}{value}")

    # Proposing -----------------------------------------------------------------------------------------------------------

    def _is_time_to_propose(self) -> bool:
        """There are new labels since the last proposal, and no calculation is running that a synchronous campaign waits for."""
        if self.state.is_current:
            return False
        if not self._exchanges or not self.state.iterations:
            return True
        return self._room() > 0 if self._settings.asynchronous else not self._waited_for()

    def _room(self) -> int:
        return self._settings.batch - len(self._waited_for())

    def _propose(self) -> None:
        batch = max(self._room(), 1) if self._settings.asynchronous and self._exchanges else self._settings.batch
        after = files_cost(len(self._space.ids), self._tools.report is not None)
        with followed_by(Sequel(costs=(after,))):
            learned = learn(self._space, self._settings, self.state, batch, self._tools)
        summary = write_iteration(self.run, self._space, self._settings, learned, self.state)
        self._journal.write(*events_of(self.run, self._settings, self.state, learned, summary))
        self._summary = {**summary, "is_new": True}
        error = f", out-of-bag RMSE {told['rmse']:.3g}" if (told := summary["calibration"]) else ""
        picks = ", ".join(_named(proposal) for proposal in summary["proposals"])
        self._talk.tell(
            f"iteration {summary['iteration']}: {summary['n_labelled']} labels{error}, {reached(summary)}; "
            f"proposed {picks or 'nothing'}"
        )

    def _submit_again(self) -> None:
        if not self.state.iterations:
            return
        for exchange in self._exchanges:
            again = [case.id for case in exchange.state.of("again")]
            exchange.submit(again, self.state.iterations[-1].number)

    def _submit_new(self) -> None:
        """Submit what the newest proposal names, as much as workers and budget allow."""
        proposal = self.state.proposal
        if not self._exchanges or proposal is None or not self.state.is_current:
            return
        room, left, costs = self._room(), cost_left(self.state, self._settings), self._settings.costs
        new: dict[str, list[str]] = {exchange.level: [] for exchange in self._exchanges}
        for row in proposal["proposals"]:
            level = row.get("level") or ""
            if level not in new or row["id"] in self.state.at(level).cases:
                continue
            if left < costs[level] or (room < 1 and not self._settings.level):
                break
            left, room = left - costs[level], room - 1
            new[level].append(row["id"])
        for exchange in self._exchanges:
            exchange.submit(new[exchange.level], proposal["iteration"])

    # What is shown -------------------------------------------------------------------------------------------------------

    def _recall(self) -> None:
        """Read the summary of the newest iteration; files that are missing or changed are made again."""
        if self._summary is not None or not self.state.iterations:
            return
        newest = self.state.iterations[-1]
        summary = whole_summary(self.run, newest.model, newest.folder)
        if summary is None:
            self._talk.tell(f"{self.run / newest.folder}: files are missing or changed; making them again")
            summary = self._remade(newest)
        self._summary = {**summary, "is_new": False}

    def _remade(self, newest: Iteration) -> dict[str, Any]:
        """Make the files of an iteration again, from the state at its start; returns the summary."""
        first = (newest.model or newest.proposal or {"seq": 0})["seq"]
        before = fold(event for event in self._journal.ledger.events() if event["seq"] < first)
        proposed = newest.proposal or {}
        batch = proposed.get("batch", self._settings.batch)
        run = self._settings.run.model_copy(update={"budget": before.run.get("budget")})  # what could be paid then
        settings = self._settings.model_copy(update={"run": run})
        learned = learn(self._space, settings, before, batch, self._tools)
        summary = write_iteration(self.run, self._space, settings, learned, before)
        if newest.model is not None and whole_summary(self.run, newest.model, newest.folder) is None:
            self._talk.tell(
                f"{self.run / newest.folder}: the new files differ from the old ones (other package versions?)"
            )
            files = digests(self.run / newest.folder)
            self._journal.write(("remade", {"iteration": newest.number, "files": files, "versions": versions()}))
        return summary

    def summary(self) -> dict[str, Any]:
        """See `discover`."""
        document = status_document(self.run, self.state, driver=None)
        report = self._reporting.about()
        return {**(self._summary or {}), "run": str(self.run), "campaign": document, "report": report}


def _named(proposal: Mapping[str, Any]) -> str:
    return f"{proposal['id']} ({proposal['level']})" if proposal.get("level") else proposal["id"]
