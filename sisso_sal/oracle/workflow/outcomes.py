"""What became of the calculations for a candidate: its label, or a typed failure that says what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sisso_sal.errors import InputError, OracleError
from sisso_sal.oracle.stability.expressions import expression_names
from sisso_sal.oracle.stability.labels import LABELS, Label, OxygenReference, References, label
from sisso_sal.oracle.stability.measured import OXYGEN_ENTROPY
from sisso_sal.oracle.stability.polymorphs import Phase, lowest_phases
from sisso_sal.oracle.stability.pourbaix import Conditions, Species
from sisso_sal.oracle.workflow.chains import Chain, phases_of
from sisso_sal.oracle.workflow.consistency import Used, differences
from sisso_sal.oracle.workflow.coverage import coverage_in_words, coverage_of
from sisso_sal.oracle.workflow.trust import far_from_measured
from sisso_sal.oxides.phases import MOLECULES
from sisso_sal.oxides.structures import formula_key

__all__ = ["LabelOutcome", "PhaseRequest", "Question", "outcome_of", "references_of"]

FailureKind = Literal["no_label", "calculation", "not_converged", "competitor"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of every candidate.

    Attributes
    ----------
    quantity : str
        See `sisso_sal.oracle.stability.labels.label`.
    conditions : Conditions or None
    oxygen_correction : float
        In eV per oxygen atom.
    oxygen_energy : float or None
        Of an oxygen atom in O2, in eV; None where it comes from H2O and H2.
    measured : mapping of str to float
        Measured enthalpies of formation by the key of their formula, in eV/atom.
    measured_tolerance : float
        How far an oxide may be from its own, in eV/atom, for a label to rest on it.
    vibrations : bool
        Whether the free energy of vibrations of all solids is part of a label.
    """

    quantity: str = "dG_pbx"
    conditions: Conditions | None = None
    oxygen_correction: float = 0.0
    oxygen_energy: float | None = None
    measured: Mapping[str, float] = field(default_factory=dict)
    measured_tolerance: float = 0.2
    vibrations: bool = False


class PhaseRequest(BaseModel):
    """The phases that a candidate's label needs, as they were asked for.

    Attributes
    ----------
    id, intent : str
        Formula, and the caller's own name for the request.
    candidate : str
        The caller's name for the candidate; "" where it was not told.
    phases : tuple of str
        Formulas that the label waits for.
    pays : tuple of str
        Those of them that this request was the first to ask for: their cost is charged to it, and to no other.
    lacking : mapping of str to str
        Why the label cannot be had: what -> reason. Then nothing is computed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    intent: str
    candidate: str = ""
    phases: tuple[str, ...]
    pays: tuple[str, ...] = ()
    lacking: dict[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class LabelOutcome:
    """What became of a request.

    Attributes
    ----------
    id, intent : str
    value : float or None
        The label, in eV/atom (a gap in eV).
    failure : str or None
        Kind, where there is no label, by the names of `sisso_sal.protocols.FAILURES`: "calculation" or "not_converged" (of the
        candidate), "competitor", or "no_label".
    reason : str
        One line.
    core_hours : float
        Spent on the phases that this request was the first to ask for.
    parts : mapping of str to float
        Every quantity known of the candidate.
    details : mapping
        What the label rests on, see `sisso_sal.protocols.Answer`.
    """

    id: str
    intent: str
    value: float | None = None
    failure: FailureKind | None = None
    reason: str = ""
    core_hours: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


def outcome_of(
    request: PhaseRequest,
    chains: Mapping[str, Sequence[Chain]],
    question: Question,
    ions: Sequence[Species] | None,
    known: Callable[[str], Sequence[str]] = lambda formula: (),
) -> LabelOutcome | None:
    """The outcome of a request, None while something that it needs is still to be computed.

    Parameters
    ----------
    request : PhaseRequest
    chains : mapping of str to sequence of Chain
        By the key of their formula.
    question : Question
    ions : sequence of Species or None
        Dissolved species, by default those of ASE.
    known : callable
        Formula -> names of all structures that a calculation of it could start from.
    """
    if request.lacking:
        return _impossible(request)
    groups = {formula: chains.get(formula_key(formula), ()) for formula in request.phases}
    if not all(chain.ended for group in groups.values() for chain in group):
        return None
    hours = sum(chain.core_hours for formula in request.pays for chain in groups[formula])
    phases = [phase for formula, group in groups.items() for phase in phases_of(formula, group)]

    def failed(kind: FailureKind, reason: str) -> LabelOutcome:
        return LabelOutcome(id=request.id, intent=request.intent, failure=kind, reason=reason, core_hours=hours)

    references = references_of(phases, question)
    try:
        found = _label(request, phases, references, question, ions)
    except (InputError, OracleError) as error:
        return failed("no_label", str(error))
    if found.value is None:
        return failed(_kind(request.id, found, phases), "; ".join([*found.waits_for, *_told(found)]))
    if references is not None and question.measured and "formation_energy" in found.parts:
        limits = (question.measured, question.measured_tolerance)
        if lines := far_from_measured(request.phases, phases, references, *limits):
            return failed("no_label", "; ".join(lines))
    return LabelOutcome(
        id=request.id,
        intent=request.intent,
        value=found.value,
        core_hours=hours,
        parts=dict(found.parts),
        details=_details(request, groups, known) | _vibrations(phases, question),
    )


def _details(
    request: PhaseRequest, groups: Mapping[str, Sequence[Chain]], known: Callable[[str], Sequence[str]]
) -> dict[str, Any]:
    """Coverage of the candidate and its competitors, and what differs between the calculations of the lowest structures."""
    covered = [coverage_of(formula, groups[formula], known) for formula in request.phases]
    used = []
    for each in covered:
        lowest = each.lowest
        chain = next((c for c in groups[each.formula] if lowest is not None and c.name == lowest.name), None)
        steps = () if chain is None else (("relax", chain.tasks.get("relax")), ("static", chain.tasks.get("static")))
        used += [
            Used(each.formula, chain.name, step, task.document)
            for step, task in steps
            if chain is not None and task is not None and task.document is not None
        ]
    own = next((each for each in covered if each.formula == request.id), None)
    lowest = None if own is None else own.lowest
    return {
        "structure": "" if lowest is None else lowest.name,
        "magnetic_order": "" if lowest is None else lowest.order,
        "coverage": coverage_in_words(request.id, covered),
        "differences": differences(used),
        "phases": [each.as_dict() for each in covered if each.formula not in MOLECULES],
    }


def _vibrations(phases: Sequence[Phase], question: Question) -> dict[str, Any]:
    """The free energies of vibrations that are part of a label, in eV/atom; nothing where none are asked for."""
    if not question.vibrations or not expression_names(question.quantity, LABELS) - {"band_gap"}:
        return {}
    return {"vibrations": {p.formula: p.vibration for p in lowest_phases(phases).values() if p.vibration is not None}}


def _impossible(request: PhaseRequest) -> LabelOutcome:
    reason = "; ".join(f"{what}: {why}" for what, why in request.lacking.items())
    return LabelOutcome(id=request.id, intent=request.intent, failure="no_label", reason=reason)


def _label(
    request: PhaseRequest,
    phases: Sequence[Phase],
    references: References | OxygenReference | None,
    question: Question,
    ions: Sequence[Species] | None,
) -> Label:
    return label(
        request.id,
        phases,
        references,
        quantity=question.quantity,
        conditions=question.conditions,
        ions=ions,
        competitors=[f for f in request.phases if f != request.id and f not in MOLECULES],
        with_vibrations=question.vibrations,
    )


def references_of(phases: Sequence[Phase], question: Question) -> References | OxygenReference | None:
    """What oxygen and hydrogen are compared with; None where water or hydrogen has no energy."""
    correction = question.oxygen_correction
    if question.oxygen_energy is not None:
        return OxygenReference(oxygen=question.oxygen_energy, oxygen_correction=correction + OXYGEN_ENTROPY)
    energies = {phase.formula: phase.energy for phase in phases if phase.formula in MOLECULES}
    water, hydrogen = energies.get("H2O"), energies.get("H2")
    if water is None or hydrogen is None:
        return None
    return References(water=3 * water, hydrogen=2 * hydrogen, oxygen_correction=correction)


def _told(known: Label) -> list[str]:
    """How far the missing structures could change the label, one text for each quantity."""
    return [f"{name} between {low:.3g} and {high:.3g} eV/atom" for name, (low, high) in known.ranges.items()]


def _kind(id: str, known: Label, phases: Sequence[Phase]) -> FailureKind:
    if not known.waits_for[0].startswith((f"{id} (", f"{id} in ")):
        return "competitor"
    reasons = [phase.reason for phase in phases if phase.formula == id and phase.reason]
    return "not_converged" if reasons and all("_not_converged: " in reason for reason in reasons) else "calculation"
