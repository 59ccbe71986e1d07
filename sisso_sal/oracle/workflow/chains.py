"""What the tasks of a phase amount to: a chain relax -> static for each structure, and bands and vibrations of the lowest one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sisso_sal.errors import DocumentError
from sisso_sal.oracle.stability.polymorphs import Phase
from sisso_sal.oxides.magnetism import type_of
from sisso_sal.system.documents import LARGE, read_json, record_of

__all__ = [
    "LEFT_OUT",
    "LOWEST",
    "RANKING",
    "Chain",
    "NewChain",
    "NewRanking",
    "Task",
    "chains_of",
    "phases_of",
    "read_document",
]

LEFT_OUT = "left_out"
"""State of a step whose structure was ranked too high to be computed: neither a result nor a failure."""

RANKING = "prototypes"
"""Name of the chain whose one task ranks the structures of a phase."""

LOWEST = "lowest"
"""Name of the chain whose tasks give the bands and the vibrations of the lowest structure; none waits for another."""


class _Ranked(BaseModel):
    """What the document of a ranking says of a structure; the energy is that of the potential, in eV/atom."""

    model_config = ConfigDict(frozen=True, strict=True)

    energy_per_atom: float | None


class _Document(BaseModel):
    """What the program reads of the document of a task; there is more in it for people."""

    model_config = ConfigDict(frozen=True, strict=True)

    state: str
    verdict: str
    reason: str
    energy_per_atom: float | None
    bandgap: float | None
    core_hours: float | None = Field(ge=0)
    structures: dict[str, _Ranked] | None = None
    window: float = Field(default=0.0, ge=0)
    lowest: str | None = None
    vibration: float | None = None


@dataclass(frozen=True)
class NewRanking:
    """What ranks the starting structures of a phase before its chains begin.

    Attributes
    ----------
    phase : str
        The key of the formula.
    starts : list of [str, dict]
        Names and structures.
    most : int
        As in `sisso_sal.oracle.workflow.prerelax.chosen`.
    """

    phase: str
    starts: list[Any]
    most: int


@dataclass(frozen=True)
class NewChain:
    """The calculations of one starting structure.

    Attributes
    ----------
    phase, name : str
        The key of the formula and the name of the structure: the folders of the tasks.
    structure : dict
        Of a pymatgen Structure or Molecule.
    with_bands : bool
        Whether the bands of the lowest structure of the phase are asked for. Where its static step exists already, without bands,
        they are computed for themselves.
    with_vibrations : bool
        Whether the vibrations of the lowest structure of the phase are asked for.
    """

    phase: str
    name: str
    structure: dict[str, Any]
    with_bands: bool
    with_vibrations: bool = False


def read_document(file: Path) -> dict[str, Any]:
    """The document that a task left.

    Raises
    ------
    DocumentError
        It is missing, or is no such document.
    """
    document = read_json(file, LARGE)
    try:
        record_of(_Document, document)
    except DocumentError as error:
        raise DocumentError(f"{file}: {error}") from error
    return document


@dataclass(frozen=True)
class Task:
    """A task as the registry and the tree have it; the document is that of a task that is done."""

    name: str
    state: str
    worker: str
    document: dict[str, Any] | None
    exception: str

    @property
    def has_failed(self) -> bool:
        """Whether it ended without a result, by an exception or by a document that says so."""
        return self.state in ("fail", "cancel") or (
            self.document is not None and self.document["state"] not in ("successful", LEFT_OUT)
        )


@dataclass(frozen=True)
class Chain:
    """The tasks of one starting structure, by step."""

    name: str
    tasks: Mapping[str, Task]

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        is_over = all(task.state in ("done", "fail", "cancel") for task in self.tasks.values())
        return is_over or (self.name != LOWEST and self._broken is not None)

    @property
    def _broken(self) -> Task | None:
        return next((task for task in self.tasks.values() if task.state in ("fail", "cancel")), None)

    @property
    def core_hours(self) -> float:
        """What its steps took, failures too."""
        return sum((task.document or {}).get("core_hours") or 0.0 for task in self.tasks.values())

    def gap(self) -> tuple[str | None, float | None, str]:
        """Of the chain of the bands: the lowest structure, its gap in eV, and why there is none."""
        task = self.tasks["bands"]
        if task.document is None:
            return None, None, task.exception.strip().partition("\n")[0] or "not computed"
        if task.has_failed:
            return task.document["lowest"], None, f"{task.document['verdict']}: {task.document['reason']}"
        return task.document["lowest"], task.document["bandgap"], ""

    def vibration(self) -> tuple[str | None, float | None, str]:
        """Of the chain of the vibrations: the lowest structure, its free energy in eV/atom, and why there is none."""
        task = self.tasks["vibrations"]
        if task.document is None:
            return None, None, task.exception.strip().partition("\n")[0] or "not computed"
        if task.has_failed:
            return task.document["lowest"], None, f"{task.document['verdict']}: {task.document['reason']}"
        return task.document["lowest"], task.document["vibration"], ""

    def phase(self, formula: str) -> Phase | None:
        """What it says of its phase: energy and gap of the static step; None if its structure was left out."""
        if self.name == LOWEST:
            return None
        broken = self._broken
        last = None if self.name == RANKING else self.tasks["static"].document
        if broken is None and (self.name == RANKING or (last is not None and last["state"] == LEFT_OUT)):
            return None
        if broken is not None or last is None:
            reason = broken.exception.strip().partition("\n")[0] if broken else "not computed"
            return Phase(formula=formula, name=self.name, reason=reason or "failed")
        return Phase(
            formula=formula,
            name=self.name,
            energy=last["energy_per_atom"],
            band_gap=last["bandgap"],
            reason="" if last["state"] == "successful" else f"{last['verdict']}: {last['reason']}",
        )


def phases_of(formula: str, chains: Sequence[Chain]) -> list[Phase]:
    """What the chains of a formula say of it; of a structure without an energy how low it could lie, if a potential ranked it.

    The energy of the missing structure differs from that of a computed one as the potential says, give or take the window within
    which the ranking is not trusted either. Of a magnetic order that failed beside others of its type a potential says nothing.

    Parameters
    ----------
    formula : str
    chains : sequence of Chain
        That have ended.
    """
    phases = [phase for chain in chains if (phase := chain.phase(formula)) is not None]
    lowest = next((chain for chain in chains if chain.name == LOWEST), None)
    phases = _with_vibration(_with_gap(phases, lowest), lowest)
    ranking = next((c.tasks["prerelax"].document for c in chains if c.name == RANKING), None) or {}
    ranked = {name: one["energy_per_atom"] for name, one in (ranking.get("structures") or {}).items()}
    shifts = [p.energy - r for p in phases if p.energy is not None and (r := ranked.get(p.name)) is not None]
    if not shifts:
        return phases
    below = min(shifts) - ranking["window"]
    computed = {type_of(phase.name) for phase in phases if phase.energy is not None}
    return [
        replace(phase, lowest=below + rank)
        if phase.energy is None and (rank := ranked.get(phase.name)) is not None and type_of(phase.name) not in computed
        else phase
        for phase in phases
    ]


def _with_gap(phases: list[Phase], bands: Chain | None) -> list[Phase]:
    """The phases with the gap of the bands, which belongs to the lowest one; it keeps its energy if they failed."""
    if bands is None or "bands" not in bands.tasks:
        return phases
    name, gap, reason = bands.gap()
    named = [replace(phase, band_gap=None) for phase in phases]
    return [
        replace(phase, band_gap=gap, reason=reason)
        if phase.energy is not None and name in (phase.name, None)
        else phase
        for phase in named
    ]


def _with_vibration(phases: list[Phase], vibrations: Chain | None) -> list[Phase]:
    """The phases with the vibrations of the lowest one, which those of the same energy share."""
    if vibrations is None or "vibrations" not in vibrations.tasks:
        return phases
    name, energy, reason = vibrations.vibration()
    lowest = {phase.energy for phase in phases if phase.energy is not None and name in (phase.name, None)}
    return [
        replace(phase, vibration=energy, no_vibration=reason) if phase.energy in lowest else phase for phase in phases
    ]


def chains_of(tasks: Iterable[Task]) -> dict[str, list[Chain]]:
    """Chains by the key of their formula; a task is called ``KEY/STRUCTURE/STEP``."""
    grouped: dict[tuple[str, str], dict[str, Task]] = {}
    for task in tasks:
        key, name, step = task.name.split("/")
        grouped.setdefault((key, name), {})[step] = task
    chains: dict[str, list[Chain]] = {}
    for (key, name), steps in grouped.items():
        chains.setdefault(key, []).append(Chain(name, steps))
    return chains
