"""Labels of candidates from calculations that were done already.

Of each formula the lowest energy per atom is its ground state. A label rests on calculations of one group of equal settings
(`sisso_sal.oracle.calculations.equal_settings`), and is made of them as `sisso_sal.oracle.stability.labels` says: what is missing
is named, and a structure that was tried but has no energy in the group is a hole.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

from sisso_sal.errors import InputError, OracleError
from sisso_sal.oracle.calculations.alike import is_same_structure
from sisso_sal.oracle.calculations.equal_settings import SettingsGroup
from sisso_sal.oracle.calculations.record import DoneCalculation
from sisso_sal.oracle.stability.aqueous import aqueous_species
from sisso_sal.oracle.stability.expressions import evaluate, expression_names
from sisso_sal.oracle.stability.labels import LABELS, OxygenReference, References, label
from sisso_sal.oracle.stability.measured import OXYGEN_ENTROPY
from sisso_sal.oracle.stability.polymorphs import Phase, holes_of
from sisso_sal.oracle.stability.pourbaix import Conditions, Species
from sisso_sal.oracle.workflow.trust import far_from_measured, measured_enthalpies
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.structures import formula_key
from sisso_sal.settings.calculation import LabelSettings

__all__ = ["PLAIN", "CandidateLabel", "GroupLabels", "reduced_formula"]

PLAIN = ("energy_per_atom", "energy_per_formula", "volume_per_atom", "volume_per_formula")
"""Plain properties of the ground state that a label may name beside `LABELS`; a formula is the reduced one."""

_BOX = 30.0  # Å³ for each atom: more is a molecule in a box
_TINY = 1e-3  # eV/atom within which two calculations are of one state
_REFERENCES = ("H2O", "H2", "O2")


@dataclass(frozen=True)
class CandidateLabel:
    """The label of a candidate or what it lacks, and the calculation that its ground state is from.

    Attributes
    ----------
    value : float or None
    lacks : tuple of str
        What the label waits for, each with its reason.
    place : str
    """

    value: float | None
    lacks: tuple[str, ...]
    place: str = ""


@dataclass(frozen=True)
class GroupLabels:
    """What the calculations of a group say of candidates.

    Parameters
    ----------
    group : SettingsGroup
        What labels are made of.
    groups : sequence of SettingsGroup
        All of them.
    failed : sequence of DoneCalculation
        Those that cannot be used.
    settings : LabelSettings
    """

    group: SettingsGroup
    groups: Sequence[SettingsGroup]
    failed: Sequence[DoneCalculation]
    settings: LabelSettings
    _holes: dict[str, list[Phase]] = field(default_factory=dict, init=False, repr=False)

    def has(self, formula: str) -> bool:
        """Whether the group has a calculation of this formula."""
        return formula_key(formula) in self._inside

    def answer(self, formula: str) -> CandidateLabel:
        """The label of a candidate, as far as it can be known."""
        own = self._inside.get(formula_key(formula))
        if own is None:
            reasons = [phase.reason for phase in self._without_energy(formula_key(formula))]
            return CandidateLabel(None, (f"{formula} ({reasons[0] if reasons else 'not computed'})",))
        lowest = min(own, key=lambda one: (one.energy_per_atom, one.place))
        try:
            value, lacks = self._value(formula, lowest)
        except (InputError, OracleError) as error:
            return CandidateLabel(None, (str(error),), lowest.place)
        return CandidateLabel(value, lacks, lowest.place)

    def _value(self, formula: str, lowest: DoneCalculation) -> tuple[float | None, tuple[str, ...]]:
        quantity = self.settings.quantity
        names = expression_names(quantity, [*LABELS, *PLAIN])
        parts = _plain_parts(lowest)
        stability = sorted(names & {*LABELS})
        phases = self._phases(formula)
        if "H" in parse_formula(formula) and set(stability) - {"band_gap"}:
            raise InputError(f"{formula} (a solid with hydrogen has no place in the hull)")
        if stability:
            references, competitors = self._references, self.settings.competitors.get(formula)
            if (
                "O" not in parse_formula(formula) and "dG_pbx" not in names
            ):  # an alloy: no oxide and no oxygen is near it
                references, competitors = references or OxygenReference(oxygen=0.0), competitors or ()
            known = label(
                formula,
                phases,
                references,
                quantity=" + ".join(stability),
                conditions=self._conditions,
                ions=self._ions(formula),
                competitors=competitors,
            )
            if known.value is None:
                return None, known.waits_for
            parts |= known.parts
            if "formation_energy" in known.parts and references is not None:
                limits = self._measured, self.settings.measured_tolerance
                formulas = dict.fromkeys(phase.formula for phase in phases)
                if lines := far_from_measured(formulas, phases, references, *limits):
                    return None, tuple(lines)
        elif holes := holes_of([phase for phase in phases if formula_key(phase.formula) == formula_key(formula)]):
            return None, tuple(map(str, holes))
        if lost := sorted(name for name in names if name not in parts):
            return None, tuple(f"{formula} (no {name.replace('_', ' ')})" for name in lost)
        return evaluate(quantity, parts), ()

    # Phases --------------------------------------------------------------------------------------------------------------

    def _phases(self, formula: str) -> list[Phase]:
        """The phases of the elements of a candidate and oxygen, and those that were tried and have no energy in the group."""
        allowed = {*parse_formula(formula), "O"}
        own = formula_key(formula)
        keys = [
            key
            for key, elements in self._elements.items()
            if key == own or (elements <= allowed and elements - {"O", "H"})
        ]
        return [
            *(phase for key in keys for phase in self._computed(key)),
            *(phase for key in keys for phase in self._without_energy(key)),
        ]

    @cached_property
    def _inside(self) -> dict[str, list[DoneCalculation]]:
        return _by_formula(self.group.calculations)

    @cached_property
    def _outside(self) -> dict[str, list[DoneCalculation]]:
        inside = {one.place for one in self.group.calculations}
        others = {one.place: one for group in self.groups for one in group.calculations if one.place not in inside}
        return _by_formula([*others.values(), *(one for one in self.failed if one.cell is not None)])

    @cached_property
    def _elements(self) -> dict[str, frozenset[str]]:
        return {key: frozenset(parse_formula(key)) for key in {**self._inside, **self._outside}}

    def _computed(self, key: str) -> list[Phase]:
        own = self._inside.get(key, ())
        return [
            Phase(
                formula=reduced_formula(one),
                name=one.place,
                energy=one.energy_per_atom,
                band_gap=_gap_of(one, own),
                reason="",
            )
            for one in own
        ]

    def _without_energy(self, key: str) -> list[Phase]:
        """Structures of a formula that no calculation of the group has, unless another group ranks them above one that it has."""
        if key not in self._holes:
            inside = self._inside.get(key, [])
            outside = self._outside.get(key, [])
            left = [one for one in outside if not (inside and self._is_covered(one, inside))]
            self._holes[key] = [
                Phase(formula=reduced_formula(one), name=one.place, reason=one.failure or self._other_settings(one))
                for one in left
            ]
        return self._holes[key]

    def _is_covered(self, one: DoneCalculation, inside: Sequence[DoneCalculation]) -> bool:
        if any(is_same_structure(one.cell, other.cell) for other in inside):
            return True
        if not one.is_usable:
            return False
        group = next(group for group in self.groups if any(other.place == one.place for other in group.calculations))
        lower = [
            other
            for other in _by_formula(group.calculations)[formula_key(reduced_formula(one))]
            if other.energy_per_atom <= one.energy_per_atom and other.place != one.place
        ]
        return any(is_same_structure(other.cell, each.cell) for other in lower for each in inside)

    def _other_settings(self, one: DoneCalculation) -> str:
        group = next(group for group in self.groups if any(other.place == one.place for other in group.calculations))
        names = [name for name, value in group.settings.items() if value != self.group.settings[name]]
        return f"computed with other settings only: {', '.join(f'{name} {group.settings[name]}' for name in names)}"

    # References ----------------------------------------------------------------------------------------------------------

    @cached_property
    def _molecules(self) -> dict[str, DoneCalculation]:
        """The lowest of the molecules that give the energy of oxygen, those in a box too."""
        found = {}
        for name in _REFERENCES:
            free = [one for one in self._inside.get(formula_key(name), ()) if _is_molecule(one)]
            if free:
                found[name] = min(free, key=lambda one: (one.energy_per_atom, one.place))
        return found

    @cached_property
    def oxygen(self) -> str:
        """Where the energy of oxygen comes from, in words; "" where it is not known."""
        if self.settings.oxygen_energy is not None:
            return f"label.oxygen_energy {self.settings.oxygen_energy:g} eV/atom"
        places = {name: one.place for name, one in self._molecules.items()}
        if "H2O" in places and "H2" in places:
            return f"H2O ({places['H2O']}) and H2 ({places['H2']})"
        return f"O2 ({places['O2']}); no H2O and H2 have these settings" if "O2" in places else ""

    @cached_property
    def _references(self) -> References | OxygenReference | None:
        correction = self.settings.oxygen_correction
        energies = {name: one.energy_per_atom for name, one in self._molecules.items()}
        oxygen = self.settings.oxygen_energy
        if oxygen is None and "H2O" in energies and "H2" in energies:
            water, hydrogen = 3 * energies["H2O"], 2 * energies["H2"]
            return References(water=water, hydrogen=hydrogen, oxygen_correction=correction)
        oxygen = energies.get("O2") if oxygen is None else oxygen
        return None if oxygen is None else OxygenReference(oxygen=oxygen, oxygen_correction=correction + OXYGEN_ENTROPY)

    @cached_property
    def _conditions(self) -> Conditions:
        settings = self.settings
        return Conditions(potential=settings.potential, pH=settings.pH, concentration=settings.concentration)

    @cached_property
    def _measured(self) -> dict[str, float]:
        return measured_enthalpies(self.settings.measured)

    def _ions(self, formula: str) -> list[Species] | None:
        if self.settings.ions is None:
            return None
        return aqueous_species(parse_formula(formula).keys() - {"O", "H"}, self.settings.ions)


def reduced_formula(one: DoneCalculation) -> str:
    """The reduced formula as people write it.

    Examples
    --------
    >>> from sisso_sal.oracle.calculations.record import Cell
    >>> reduced_formula(DoneCalculation(place="a", cell=Cell(symbols=("O", "Mg", "O", "Mg"), positions=((0, 0, 0),) * 4)))
    'MgO'
    """
    return "" if one.cell is None else _reduced(one.cell.formula)


@cache
def _reduced(formula: str) -> str:
    from pymatgen.core import Composition

    return Composition(formula).reduced_formula


@cache
def _key(formula: str) -> str:
    return formula_key(formula)


def _by_formula(calculations: Iterable[DoneCalculation]) -> dict[str, list[DoneCalculation]]:
    by_formula: dict[str, list[DoneCalculation]] = defaultdict(list)
    for one in calculations:
        if one.cell is not None:
            by_formula[_key(one.cell.formula)].append(one)
    return dict(by_formula)


def _gap_of(one: DoneCalculation, own: Sequence[DoneCalculation]) -> float | None:
    """Its gap; of bands along a path where another calculation of the same state has these."""
    if one.gap_from == "bands":
        return one.gap
    near = (other for other in own if abs(other.energy_per_atom - one.energy_per_atom) < _TINY)
    return next((other.gap for other in near if other.gap_from == "bands" and other.gap is not None), one.gap)


def _is_molecule(one: DoneCalculation) -> bool:
    if one.cell is None:
        return False
    volume = one.cell.volume
    return volume is None or volume / len(one.cell.symbols) > _BOX


def _plain_parts(one: DoneCalculation) -> dict[str, float]:
    """The plain properties that a calculation has."""
    if one.cell is None or one.energy is None:
        return {}
    n_atoms, n_formula = len(one.cell.symbols), sum(parse_formula(reduced_formula(one)).values())
    parts = {"energy_per_atom": one.energy / n_atoms, "energy_per_formula": one.energy / n_atoms * n_formula}
    volume = one.cell.volume
    if volume is not None and math.isfinite(volume):
        parts |= {"volume_per_atom": volume / n_atoms, "volume_per_formula": volume / n_atoms * n_formula}
    return parts
