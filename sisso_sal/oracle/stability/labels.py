"""Labels from computed energies: free energy of Pourbaix decomposition, formation energy, energy above the hull, band gap.

Nothing is assumed of a phase whose calculation is missing or failed: a label that it could change is *unknown* and says which
phases it waits for. A competitor that is left out would make a candidate look more stable than it is. Where other structures of
the same formula are known, `sisso_sal.oracle.stability.polymorphs` says how low the missing one could lie, and a label that stays
the same even then is given.

The oxygen reference comes from water and hydrogen, because density functionals describe O2 badly:

    G_O = E(H2O) - E(H2) + 0.03 eV - G_f(liquid water),    G_H = E(H2) / 2 - 0.07 eV

where 0.03 eV is the difference of zero-point energy and entropy of both molecules at 298.15 K, water at 0.035 bar, in
equilibrium with the liquid (J. K. Nørskov et al., J. Phys. Chem. B 108, 17886 (2004), doi 10.1021/jp047349j). An optional
correction, in eV per oxygen atom of a solid, is fitted to measured formation energies. Where the energy of O2 is known, as
with a universal potential whose reference scheme is known, it is given as it is (`OxygenReference`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sisso_sal.errors import InputError, OracleError
from sisso_sal.oracle.stability.aqueous import aqueous_species
from sisso_sal.oracle.stability.dissolution import Missing, missing_species
from sisso_sal.oracle.stability.expressions import evaluate, expression_names
from sisso_sal.oracle.stability.polymorphs import Hole, Phase, holes_of, lowered, lowest_phases
from sisso_sal.oracle.stability.pourbaix import MU_WATER, Conditions, Decomposition, Species, decompose
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.phases import MOLECULES
from sisso_sal.oxides.pool import candidate_oxides
from sisso_sal.oxides.structures import formula_key

__all__ = [
    "LABELS",
    "Label",
    "OxygenReference",
    "References",
    "competing_formulas",
    "fit_oxygen_correction",
    "label",
    "needed_beside",
    "needed_formulas",
    "undissolved",
]

LABELS = ("dG_pbx", "formation_energy", "energy_above_hull", "band_gap")
"""Quantities that a label or an expression may name; the first three in eV/atom, the gap in eV."""

_WATER_THERMAL = 0.56 - 0.67  # zero-point energy and entropy at 298.15 K, in eV per molecule
_HYDROGEN_THERMAL = 0.27 - 0.41
_SAME = 1e-7  # eV/atom


@dataclass(frozen=True, kw_only=True)
class References:
    """Zero of the formation energies.

    Parameters
    ----------
    water, hydrogen : float
        Total energies of the molecules H2O and H2, in eV.
    oxygen_correction : float
        Added to the formation energy of a solid for each oxygen atom, in eV.
    """

    water: float
    hydrogen: float
    oxygen_correction: float = 0.0

    @property
    def oxygen(self) -> float:
        """Free energy of an oxygen atom in O2 at 298.15 K and 1 bar, in eV.

        Examples
        --------
        >>> round(References(water=-14.0, hydrogen=-6.8).oxygen, 4)
        -4.7117
        """
        return self.water + _WATER_THERMAL - (self.hydrogen + _HYDROGEN_THERMAL) - MU_WATER


@dataclass(frozen=True, kw_only=True)
class OxygenReference:
    """Zero of the formation energies where the energy of O2 is known.

    Parameters
    ----------
    oxygen : float
        Energy of an oxygen atom in O2, in eV.
    oxygen_correction : float
        Added to the formation energy of a solid for each oxygen atom, in eV: the entropy of O2, for a free energy.
    """

    oxygen: float
    oxygen_correction: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Label:
    """A label, or what it waits for.

    Attributes
    ----------
    value : float or None
    waits_for : tuple of str
        Formulas or structures whose energies are missing, each with its reason; empty where there is a value.
    parts : mapping of str to float
        Every quantity that was computed, by the names in `LABELS`, as if no structure were missing.
    decomposition : Decomposition or None
    ranges : mapping of str to (float, float)
        Where structures are missing: the least and the largest value that each quantity could have, in eV/atom.
    """

    value: float | None
    waits_for: tuple[str, ...] = ()
    parts: Mapping[str, float]
    decomposition: Decomposition | None = None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def competing_formulas(formula: str) -> tuple[str, ...]:
    """What must be known before the acid stability of an oxide is: its metals, and the other oxides of them in the pool.

    Parameters
    ----------
    formula : str

    Returns
    -------
    tuple of str
        Elements first, then binary, then ternary oxides; without the formula itself.

    Examples
    --------
    >>> competing_formulas("MgTiO3")
    ('Mg', 'Ti', 'MgO', 'TiO2', 'Mg2TiO4', 'MgTi2O5')
    """
    metals = sorted(parse_formula(formula).keys() - {"O", "H"})
    own = formula_key(formula)
    oxides = [oxide.formula for n in (1, 2) if n <= len(metals) for oxide in candidate_oxides(metals, n_metals=[n])]
    return (*metals, *(oxide for oxide in oxides if formula_key(oxide) != own))


def _formation(phase: Phase, elements: Mapping[str, float], references: References | OxygenReference) -> Species:
    """The phase with its free energy of formation, per formula unit."""
    amounts = parse_formula(phase.formula)
    total = phase.free * sum(amounts.values())
    zero = sum(n * (references.oxygen if e == "O" else elements[e]) for e, n in amounts.items())
    return Species(phase.formula, amounts, mu=total - zero + references.oxygen_correction * amounts.get("O", 0.0))


def label(
    formula: str,
    phases: Iterable[Phase],
    references: References | OxygenReference | None,
    *,
    quantity: str = "dG_pbx",
    conditions: Conditions | None = None,
    ions: Sequence[Species] | None = None,
    competitors: Sequence[str] | None = None,
    with_vibrations: bool = False,
) -> Label:
    """The label of a candidate, as far as it can be known.

    Parameters
    ----------
    formula : str
        The candidate.
    phases : iterable of Phase
        Everything that was computed or tried: the candidate, its metals, the competing oxides; others are passed over.
    references : References, OxygenReference or None
        None where water or hydrogen has not been computed.
    quantity : str
        One of `LABELS`, or an expression of them: ``"dG_pbx + 0.1*abs(band_gap - 2)"``.
    conditions : Conditions, optional
        By default U = 1.23 V, pH 0, 298.15 K, 1e-6 mol/L.
    ions : sequence of Species, optional
        By default those of `aqueous_species`.
    competitors : sequence of str, optional
        What must be known; by default `competing_formulas`.
    with_vibrations : bool
        Whether the energy of every solid gets the free energy of its vibrations. A label is unknown where that of one solid is not
        known. Which structure of a formula is the lowest is told by the energies alone.

    Raises
    ------
    InputError
        The expression is none, or its value is undefined.
    """
    names = expression_names(quantity, LABELS)
    asked = [phase if with_vibrations else replace(phase, vibration=None) for phase in phases]
    best = lowest_phases(asked)
    own = best.get(formula_key(formula))
    if own is None or own.energy is None:
        return Label(value=None, waits_for=(_waited_for(formula, own),), parts={})
    metals = sorted(parse_formula(formula).keys() - {"O", "H"})
    dissolved = tuple(aqueous_species(metals) if ions is None else ions) if "dG_pbx" in names else ()
    beside = needed_beside(formula, quantity, competitors)
    waits = _missing(beside, best, references) if names - {"band_gap"} else []
    waits += _still(_inside(best, metals), formula) if with_vibrations and names - {"band_gap"} else []
    waits += [_without_gap(formula, own)] if "band_gap" in names and own.band_gap is None else []
    waits += [f"dissolved {name} ({known})" for name, known in undissolved(formula, quantity, dissolved, conditions)]
    if waits:
        return Label(value=None, waits_for=tuple(waits), parts={})
    problem = _Problem(formula_key(formula), tuple(metals), names, references, dissolved, conditions)
    parts, decomposition = problem.parts(best)
    ranges, deciding = _what_holes_change(problem, best, holes_of(asked))
    if not deciding:
        return Label(value=evaluate(quantity, parts), parts=parts, decomposition=decomposition)
    told = tuple(map(str, deciding))
    return Label(value=None, waits_for=told, parts=parts, decomposition=decomposition, ranges=ranges)


@dataclass(frozen=True)
class _Problem:
    """What is asked of a candidate, whichever energies its phases have."""

    key: str
    metals: tuple[str, ...]
    names: frozenset[str]
    references: References | OxygenReference | None
    dissolved: tuple[Species, ...]
    conditions: Conditions | None

    def parts(self, best: Mapping[str, Phase]) -> tuple[dict[str, float], Decomposition | None]:
        """The quantities that are asked for, from the lowest phases."""
        own = best[self.key]
        parts = {} if own.band_gap is None else {"band_gap": own.band_gap}
        if not self.names - {"band_gap"} or self.references is None:
            return parts, None
        elements = {metal: best[formula_key(metal)].free for metal in self.metals}
        solids = [_formation(p, elements, self.references) for p in _inside(best, self.metals)]
        target = next(s for s in solids if s.name == own.formula)
        parts["formation_energy"] = target.mu / target.n_atoms
        if "energy_above_hull" in self.names:
            parts["energy_above_hull"] = _above_hull(target, solids)
        decomposition = None
        if "dG_pbx" in self.names:
            decomposition = decompose(target, [*solids, *self.dissolved], self.conditions)
            parts["dG_pbx"] = decomposition.energy
        return parts, decomposition

    def differ(self, one: Mapping[str, float], other: Mapping[str, float]) -> bool:
        """Whether a quantity that is asked for differs."""
        return any(abs(one[name] - other[name]) > _SAME for name in self.names - {"band_gap"})


def _what_holes_change(
    problem: _Problem, best: Mapping[str, Phase], holes: Sequence[Hole]
) -> tuple[dict[str, tuple[float, float]], list[Hole]]:
    """The range of each energy that is asked for, and the holes that make a quantity unknown: those of the candidate first."""
    own = [hole for hole in holes if hole.key == problem.key]
    others = [hole for hole in holes if hole.key != problem.key]
    if not holes or not problem.names - {"band_gap"}:
        return {}, own
    here, _ = problem.parts(best)
    low, _ = problem.parts(lowered(best, own))
    high, _ = problem.parts(lowered(best, others))
    deciding = own if "band_gap" in problem.names or problem.differ(low, here) else []
    if problem.differ(high, here):
        alone = [hole for hole in others if problem.differ(problem.parts(lowered(best, [hole]))[0], here)]
        deciding = [*deciding, *(alone or others)]
    return {name: (low[name], high[name]) for name in sorted(problem.names - {"band_gap"})}, deciding


def needed_beside(formula: str, quantity: str, competitors: Sequence[str] | None = None) -> tuple[str, ...]:
    """What must be known beside a candidate: nothing for a gap, the metals for a formation energy, all competitors for the rest.

    Parameters
    ----------
    formula, quantity : str
        As in `label`.
    competitors : sequence of str, optional
        By default `competing_formulas`.

    Raises
    ------
    InputError
        The expression is none.

    Examples
    --------
    >>> needed_beside("TiO2", "band_gap"), needed_beside("MgTiO3", "formation_energy")
    ((), ('Mg', 'Ti'))
    """
    names = expression_names(quantity, LABELS)
    metals = sorted(parse_formula(formula).keys() - {"O", "H"})
    if names <= {"band_gap"}:
        return ()
    if names <= {"formation_energy", "band_gap"}:
        return tuple(metals)
    chosen = competing_formulas(formula) if competitors is None else competitors
    return tuple(dict.fromkeys([*metals, *chosen]))


def needed_formulas(
    formula: str, competitors: Sequence[str] | None = None, quantity: str = "dG_pbx"
) -> tuple[str, ...]:
    """Everything whose energy the label of a candidate needs, the candidate first.

    Parameters
    ----------
    formula : str
    competitors : sequence of str, optional
    quantity : str
        As in `label`.

    Examples
    --------
    >>> needed_formulas("TiO2")
    ('TiO2', 'Ti', 'H2O', 'H2')
    >>> needed_formulas("TiO2", quantity="band_gap")
    ('TiO2',)
    """
    beside = needed_beside(formula, quantity, competitors)
    return tuple(dict.fromkeys([formula, *beside, *(MOLECULES if beside else ())]))


def undissolved(
    formula: str, quantity: str, ions: Sequence[Species] | None = None, conditions: Conditions | None = None
) -> tuple[Missing, ...]:
    """Dissolved species that the label needs and that are not known: the label stays unknown, whatever is computed.

    Parameters
    ----------
    formula, quantity, ions, conditions
        As in `label`.

    Returns
    -------
    tuple of Missing
        At most one for each metal, see `sisso_sal.oracle.stability.dissolution.missing_species`.

    Examples
    --------
    >>> undissolved("IrO2", "dG_pbx"), undissolved("IrO2", "band_gap")
    ((Missing(name='Ir(IV)', known='no species known'),), ())
    """
    if "dG_pbx" not in expression_names(quantity, LABELS):
        return ()
    metals = sorted(parse_formula(formula).keys() - {"O", "H"})
    dissolved = aqueous_species(metals) if ions is None else ions
    missing = (missing_species(metal, dissolved, conditions=conditions) for metal in metals)
    return tuple(one for one in missing if one is not None)


def _waited_for(formula: str, phase: Phase | None) -> str:
    reason = "not computed" if phase is None else phase.reason or "no energy"
    return f"{formula} ({reason})"


def _without_gap(formula: str, phase: Phase) -> str:
    return f"{formula} (no band gap: {phase.reason})" if phase.reason else f"{formula} (no band gap)"


def _still(solids: Sequence[Phase], formula: str) -> list[str]:
    """Solids without vibrations, the candidate first."""
    lacking = [phase for phase in solids if phase.vibration is None]
    ordered = sorted(lacking, key=lambda phase: formula_key(phase.formula) != formula_key(formula))
    return [f"{p.formula} (no free energy of vibrations: {p.no_vibration or 'not computed'})" for p in ordered]


def _missing(
    needed: Sequence[str], best: Mapping[str, Phase], references: References | OxygenReference | None
) -> list[str]:
    phases = [(formula, best.get(formula_key(formula))) for formula in needed]
    missing = [_waited_for(formula, phase) for formula, phase in phases if phase is None or phase.energy is None]
    return missing if references is not None else ["H2O and H2 (not computed)", *missing]


def _inside(best: Mapping[str, Phase], metals: Sequence[str]) -> list[Phase]:
    """The computed phases made of these metals and oxygen."""
    allowed = {*metals, "O"}
    return [p for p in best.values() if p.energy is not None and parse_formula(p.formula).keys() <= allowed]


def _above_hull(target: Species, solids: Sequence[Species]) -> float:
    """Energy above the convex hull of all solids and oxygen, in eV/atom, by a linear program; zero on the hull."""
    from scipy.optimize import linprog

    elements = sorted(target.composition)
    entries = [*solids, Species("O", {"O": 1.0})]
    contents = np.array([[s.composition.get(e, 0.0) for s in entries] for e in elements])
    needed = [target.composition[e] for e in elements]
    inside = [k for k, s in enumerate(entries) if s.composition.keys() <= target.composition.keys()]
    energies = np.array([entries[k].mu for k in inside])
    solution = linprog(energies, A_eq=contents[:, inside], b_eq=needed, bounds=(0, None), method="highs-ds")
    if not solution.success:
        raise OracleError(f"'{target.name}': needs a convex hull, the linear program says: {solution.message}")
    return max(0.0, (target.mu - float(solution.fun)) / target.n_atoms)


def fit_oxygen_correction(computed: Mapping[str, float], measured: Mapping[str, float]) -> float:
    """The correction per oxygen atom that brings computed formation energies nearest to measured ones (least squares).

    Parameters
    ----------
    computed, measured : mapping of str to float
        Formula -> free energy of formation, in eV/atom; only common formulas count.

    Raises
    ------
    InputError
        No oxide is common to both.

    Examples
    --------
    >>> round(fit_oxygen_correction({"MgO": -2.7, "Al2O3": -3.0}, {"MgO": -2.95, "Al2O3": -3.3}), 3)
    -0.5
    """
    shares, shifts = [], []
    for formula in computed.keys() & measured.keys():
        amounts = parse_formula(formula)
        if "O" in amounts:
            shares.append(amounts["O"] / sum(amounts.values()))
            shifts.append(measured[formula] - computed[formula])
    if not shares:
        raise InputError("oxygen correction: needs oxides with a computed and a measured formation energy, found none")
    return float(np.dot(shares, shifts) / np.dot(shares, shares))
