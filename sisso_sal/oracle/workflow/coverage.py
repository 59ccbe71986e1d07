"""What a label rests on: which structure types and magnetic orders of its phases were tried, and which of them was the lowest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sisso_sal.oracle.workflow.chains import LEFT_OUT, LOWEST, RANKING, Chain
from sisso_sal.oxides.magnetism import order_in_words, type_of
from sisso_sal.oxides.phases import MOLECULES

__all__ = ["Coverage", "Tried", "coverage_in_words", "coverage_of"]


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A structure of a phase and what became of it.

    Attributes
    ----------
    name : str
        Of the start.
    order : str
        Magnetic order that it started from; "" without moments.
    found : str
        Magnetic order at the end of its static run; "" where that is not told.
    outcome : {"converged", "failed", "left out"}
        Left out where a potential ranked it too high.
    energy : float or None
        In eV/atom.
    reason : str
        Of a structure without an energy.
    """

    name: str
    order: str
    found: str
    outcome: str
    energy: float | None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How much of what is known of a phase was computed.

    Attributes
    ----------
    formula : str
    tried : tuple of Tried
    known : tuple of str
        Names of all starts that are known, those included that were not asked for.
    """

    formula: str
    tried: tuple[Tried, ...]
    known: tuple[str, ...]

    @property
    def lowest(self) -> Tried | None:
        """The structure with the lowest energy."""
        computed = [each for each in self.tried if each.energy is not None]
        return min(computed, key=lambda each: (each.energy, each.name), default=None)

    @property
    def types(self) -> tuple[int, int, int]:
        """Structure types: known, tried and converged."""
        tried = [each for each in self.tried if each.outcome != "left out"]
        converged = {type_of(each.name) for each in tried if each.outcome == "converged"}
        named = {type_of(each.name) for each in self.tried}
        return (
            len({type_of(name) for name in self.known} | named),
            len({type_of(e.name) for e in tried}),
            len(converged),
        )

    @property
    def orders(self) -> tuple[int, int, int]:
        """Magnetic orders of the types that were tried, as far as a type has several: known, tried and converged."""
        tried = [each for each in self.tried if each.outcome != "left out"]
        types = {type_of(each.name) for each in tried}
        names = {*self.known, *(each.name for each in tried)}
        several = {kind for kind in types if sum(type_of(name) == kind for name in names) > 1}
        inside = [each for each in tried if type_of(each.name) in several]
        known = sum(type_of(name) in several for name in names)
        return known, len(inside), sum(each.outcome == "converged" for each in inside)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        lowest = self.lowest
        return {
            "formula": self.formula,
            "lowest": "" if lowest is None else lowest.name,
            "magnetic_order": "" if lowest is None else lowest.order,
            "types": list(self.types),
            "orders": list(self.orders),
            "tried": [
                {
                    "structure": each.name, "magnetic_order": each.order, "found": each.found, "outcome": each.outcome,
                    "energy": each.energy, "reason": each.reason,
                }
                for each in self.tried
            ],
        }  # fmt: skip


def coverage_of(formula: str, chains: Sequence[Chain], known: Callable[[str], Sequence[str]]) -> Coverage:
    """What the chains of a phase have tried, beside all starts that are known of it.

    Parameters
    ----------
    formula : str
    chains : sequence of Chain
        That have ended.
    known : callable
        Formula -> names of all its starts.
    """
    tried = [_tried(formula, chain) for chain in chains if chain.name not in (RANKING, LOWEST)]
    return Coverage(formula=formula, tried=tuple(tried), known=tuple(known(formula)))


def _tried(formula: str, chain: Chain) -> Tried:
    phase = chain.phase(formula)
    static = (chain.tasks["static"].document or {}) if "static" in chain.tasks else {}
    started = next((task.document for task in chain.tasks.values() if task.document is not None), None) or {}
    sites = (started.get("structure") or {}).get("sites") or []
    moments = [float((site.get("properties") or {}).get("magmom") or 0.0) for site in sites]
    is_left_out = phase is None or static.get("state") == LEFT_OUT
    energy = None if phase is None else phase.energy
    return Tried(
        name=chain.name,
        order=order_in_words(chain.name, moments),
        found=static.get("magnetic_order") or "",
        outcome="left out" if is_left_out else "failed" if energy is None else "converged",
        energy=energy,
        reason="" if energy is not None else str(static.get("reason") or (phase.reason if phase else "")),
    )


def coverage_in_words(formula: str, covered: Iterable[Coverage]) -> str:
    """One line: how many structure types and magnetic orders were converged of those known, for a candidate and for the rest.

    Parameters
    ----------
    formula : str
        The candidate.
    covered : iterable of Coverage
        Of the candidate and its competitors; molecules are passed over.
    """
    phases = [each for each in covered if each.formula not in MOLECULES]
    own = [each for each in phases if each.formula == formula]
    others = [each for each in phases if each.formula != formula]
    told = _counts(own)
    if others:
        told += f"; {len(others)} other phase{'' if len(others) == 1 else 's'}: {_counts(others)}"
    return told


def _counts(phases: Sequence[Coverage]) -> str:
    known, _, converged = (sum(each) for each in zip(*(phase.types for phase in phases), strict=True))
    parts = [f"{converged} of {known} structure types"]
    known_orders, _, converged_orders = (sum(each) for each in zip(*(phase.orders for phase in phases), strict=True))
    if known_orders:
        parts.append(f"{converged_orders} of {known_orders} magnetic orders")
    failed = sum(one.outcome == "failed" for phase in phases for one in phase.tried)
    parts += [f"{failed} structure{'' if failed == 1 else 's'} failed"] if failed else []
    return ", ".join(parts)
