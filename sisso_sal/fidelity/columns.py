"""Columns of a table from energies: what each row's lowest phase says, and why a row has nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sisso_sal.data.phonon_columns import phonon_headers
from sisso_sal.errors import InputError, OracleError, reason_of
from sisso_sal.fidelity.schemes import Scheme
from sisso_sal.fidelity.starts import Competitors, competitors_of, metals_of
from sisso_sal.oracle.engines.phonons import Phonons
from sisso_sal.oracle.engines.relaxation import Relaxed
from sisso_sal.oracle.stability.expressions import evaluate, expression_names
from sisso_sal.oracle.stability.labels import LABELS, Label, OxygenReference, label
from sisso_sal.oracle.stability.polymorphs import Phase, lowest_phases
from sisso_sal.oracle.stability.pourbaix import Conditions, Species
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.structures import formula_key

__all__ = ["RowEstimate", "Estimator", "EstimateQuestion", "headers"]


@dataclass(frozen=True, kw_only=True)
class EstimateQuestion:
    """What is asked of every row.

    Parameters
    ----------
    rule : {"pool", "binary"}
        Which oxides must be known beside a row, see `sisso_sal.fidelity.starts.competitors_of`.
    chosen : mapping of str to sequence of str
        The same for single formulas.
    conditions : Conditions or None
    ions : sequence of Species or None
        Dissolved species; by default those of ASE.
    oxygen_correction : float
        In eV for each oxygen atom, beside the scheme.
    quantity : str
        Expression of a further label; "" for none.
    """

    rule: Competitors = "pool"
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    conditions: Conditions | None = None
    ions: Sequence[Species] | None = None
    oxygen_correction: float = 0.0
    quantity: str = ""

    def beside(self, formula: str) -> tuple[str, ...]:
        """What must be known beside an oxide.

        Examples
        --------
        >>> EstimateQuestion(chosen={"MgO": ()}).beside("MgO")
        ()
        """
        chosen = self.chosen.get(formula)
        return competitors_of(formula, self.rule) if chosen is None else tuple(chosen)


@dataclass(frozen=True, kw_only=True)
class RowEstimate:
    """What is known of one row.

    Attributes
    ----------
    formula : str
    values : mapping of str to float
        ``dG_pbx``, ``H_f``, ``e_hull`` (eV/atom), ``volume`` (Å³/atom) and perhaps ``label``, ``lowest_mode`` (THz) and
        ``F_vib`` (eV/atom); what is not known is not there.
    structure : str
        Structure type of the lowest phase.
    relaxed : Relaxed or None
        The lowest phase.
    reason : str
        Why something is missing; "" where nothing is.
    phonons : Phonons or None
        Of the lowest phase; None where they were not asked for.
    """

    formula: str
    values: Mapping[str, float]
    structure: str = ""
    relaxed: Relaxed | None = None
    reason: str = ""
    phonons: Phonons | None = None

    def relaxation(self) -> str:
        """One line on the relaxation of the lowest phase: whether it converged, and the largest force that is left."""
        one = self.relaxed
        return "" if one is None else f"converged in {one.steps} steps, largest force {one.max_force or 0.0:.3f} eV/AA"


def headers(tag: str, quantity: str = "", vibrations: bool = False) -> dict[str, str]:
    """Headers of the columns, by the names of `RowEstimate.values` and for the texts.

    Parameters
    ----------
    tag : str
        Of the potential.
    quantity : str
        Expression of a further label; "" for none.
    vibrations : bool
        With those on phonons.

    Examples
    --------
    >>> headers("chgnet")["dG_pbx"]
    'dG_pbx_chgnet (eV/atom)'
    """
    known = {
        "dG_pbx": f"dG_pbx_{tag} (eV/atom)",
        "H_f": f"H_f_{tag} (eV/atom)",
        "e_hull": f"e_hull_{tag} (eV/atom)",
        "volume": f"volume_{tag} (AA**3/atom)",
    }
    known |= {"label": f"label_{tag}"} if quantity else {}
    texts = {
        "structure": f"structure_{tag}",
        "relaxation": f"relaxation_{tag}",
        "reason": f"not_known_{tag}",
    }
    return known | texts | (phonon_headers(tag) if vibrations else {})


class Estimator:
    """Estimates of rows from energies.

    Parameters
    ----------
    outcomes : mapping of (str, str) to Relaxed
        By key of the formula and name of the structure.
    formulas : mapping of str to str
        Key -> formula.
    scheme : Scheme
    question : EstimateQuestion
    lacking : mapping of str to str
        Key of a formula -> why no structure of it is known.

    Raises
    ------
    InputError
        The expression of the further label is none, or needs a band gap.
    """

    def __init__(
        self,
        outcomes: Mapping[tuple[str, str], Relaxed],
        formulas: Mapping[str, str],
        scheme: Scheme,
        question: EstimateQuestion,
        lacking: Mapping[str, str],
    ):
        self.scheme, self.question = scheme, question
        self._outcomes, self._lacking = outcomes, lacking
        correction = scheme.entropy + question.oxygen_correction
        self._references = OxygenReference(oxygen=scheme.oxygen, oxygen_correction=correction)
        self._names = expression_names(question.quantity, LABELS) if question.quantity else frozenset[str]()
        if "band_gap" in self._names:
            raise InputError(f"label {question.quantity!r}: a potential knows no band gap")
        self._phases: dict[frozenset[str], list[Phase]] = {}
        for (key, name), relaxed in sorted(outcomes.items(), key=lambda pair: pair[0]):
            phase = self._phase(formulas[key], name, relaxed)
            self._phases.setdefault(frozenset(metals_of(phase.formula)), []).append(phase)

    def _phase(self, formula: str, name: str, relaxed: Relaxed) -> Phase:
        amounts = parse_formula(formula)
        shift = self.scheme.correction(amounts) / sum(amounts.values())
        energy = None if relaxed.energy is None else relaxed.energy + shift
        return Phase(formula=formula, name=name, energy=energy, reason=relaxed.reason)

    def estimate(self, formula: str) -> RowEstimate:
        """What is known of an oxide; nothing is raised for what cannot be known, it has a reason."""
        try:
            elements = parse_formula(formula).keys()
            if "O" not in elements or "H" in elements or len(elements) < 2:
                return RowEstimate(formula=formula, values={}, reason="no oxide without hydrogen")
            return self._estimate(formula)
        except (InputError, OracleError) as error:
            return RowEstimate(formula=formula, values={}, reason=reason_of(error))

    def _estimate(self, formula: str) -> RowEstimate:
        phases = self._inside(metals_of(formula))
        own = [p for p in phases if formula_key(p.formula) == formula_key(formula) and p.energy is not None]
        if not own:
            reasons = [p.reason for p in phases if formula_key(p.formula) == formula_key(formula)]
            lacking = self._lacking.get(formula_key(formula), "not computed")
            return RowEstimate(formula=formula, values={}, reason=reasons[0] if reasons else lacking)
        lowest = min(own, key=lambda p: (p.energy, p.name))
        relaxed = self._outcomes[formula_key(formula), lowest.name]
        values = {} if relaxed.volume is None else {"volume": relaxed.volume}
        enthalpy = self._label(formula, phases, "formation_energy")
        hull = self._label(formula, phases, "energy_above_hull")
        stability = self._label(formula, phases, "dG_pbx")
        if enthalpy.value is not None:
            amounts = parse_formula(formula)
            values["H_f"] = enthalpy.value - self.scheme.entropy * amounts["O"] / sum(amounts.values())
        known = dict(enthalpy.parts) | dict(hull.parts) | dict(stability.parts)
        values |= {"e_hull": known["energy_above_hull"]} if "energy_above_hull" in known else {}
        values |= {"dG_pbx": known["dG_pbx"]} if "dG_pbx" in known else {}
        values |= (
            {"label": evaluate(self.question.quantity, known)} if self._names and self._names <= known.keys() else {}
        )
        waits = next((one.waits_for for one in (enthalpy, hull, stability) if one.waits_for), ())
        return RowEstimate(
            formula=formula, values=values, structure=lowest.name, relaxed=relaxed, reason="; ".join(waits)
        )

    def _label(self, formula: str, phases: Sequence[Phase], quantity: str) -> Label:
        return label(
            formula,
            phases,
            self._references,
            quantity=quantity,
            conditions=self.question.conditions,
            ions=self.question.ions,
            competitors=self.question.beside(formula),
        )

    def _inside(self, metals: Sequence[str]) -> list[Phase]:
        """The phases made of these metals and oxygen; an estimate passes over structures that the potential cannot relax.

        Most of them are prototypes that do not fit the formula: cells that explode, not phases that are missing.
        """
        subsets = [frozenset(m for k, m in enumerate(metals) if n >> k & 1) for n in range(1, 2 ** len(metals))]
        inside = [phase for subset in subsets for phase in self._phases.get(subset, ())]
        best = lowest_phases(inside)
        return [p for p in inside if p.energy is not None or best[formula_key(p.formula)].energy is None]
