"""Polymorphs of a phase: the lowest one, and how low those could lie whose energy is missing.

A label falls with the energy of its candidate and rises where that of a metal or a competitor falls: the free energy of a mixture
is linear in the energies of its phases, and a label is the candidate's minus the least of all mixtures. So the lowest label belongs
to the lowest possible candidate beside the known others, the highest to the known candidate beside the lowest possible others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sisso_sal.oxides.structures import formula_key

__all__ = ["SPREAD", "Hole", "Phase", "holes_of", "lowered", "lowest_phases"]

SPREAD = 0.55
"""How far the lowest structure of an oxide may lie below the others, in eV/atom.

Of 89 oxides with several prototypes in ``data/chgnet_energies.csv.gz`` 99 % are nearer to their second lowest structure (0.54); the
median is 0.04.
"""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A solid whose energy was asked for.

    Parameters
    ----------
    formula : str
    name : str
        Structure or file; several polymorphs may share a formula.
    energy : float or None
        Total energy, in eV per atom; None where the calculation failed or is missing.
    band_gap : float or None
        In eV.
    reason : str
        Why there is no energy, or no gap.
    lowest : float or None
        Where there is no energy: the lowest that it could be, in eV per atom; None where nothing is known of it.
    vibration : float or None
        Helmholtz free energy of its vibrations, in eV per atom.
    no_vibration : str
        Why it is not known.
    """

    formula: str
    name: str = ""
    energy: float | None = None
    band_gap: float | None = None
    reason: str = ""
    lowest: float | None = None
    vibration: float | None = None
    no_vibration: str = ""

    @property
    def total(self) -> float:
        """Its energy, in eV/atom; infinite where there is none."""
        return math.inf if self.energy is None or not math.isfinite(self.energy) else self.energy

    @property
    def free(self) -> float:
        """Its energy with the vibrations, as far as they are known, in eV/atom."""
        return self.total + (self.vibration or 0.0)


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A structure without an energy that could be the lowest one of its formula.

    Attributes
    ----------
    missing : Phase
    known : Phase
        The lowest one that has an energy.
    depth : float
        How far below it the missing one could lie, in eV/atom; positive.
    """

    missing: Phase
    known: Phase
    depth: float

    @property
    def key(self) -> str:
        """The key of the formula."""
        return formula_key(self.missing.formula)

    def __str__(self) -> str:
        reason = self.missing.reason or "no energy"
        told = f"could lie {self.depth:.3g} eV/atom below {self.known.name or 'the known one'}"
        return f"{self.missing.formula} in {self.missing.name or 'another structure'} ({reason}; {told})"


def lowest_phases(phases: Iterable[Phase]) -> dict[str, Phase]:
    """The polymorph of lowest energy for each composition; failed ones count only where there is no other.

    Returns
    -------
    dict of str to Phase
        By `sisso_sal.oxides.structures.formula_key`.

    Examples
    --------
    >>> rutile, anatase = Phase(formula="TiO2", energy=-9.0), Phase(formula="Ti2O4", energy=-8.9)
    >>> lowest_phases([anatase, rutile]) == {"O2Ti": rutile}
    True
    """
    best: dict[str, Phase] = {}
    for phase in phases:
        key = formula_key(phase.formula)
        rival = best.get(key)
        if rival is None or phase.total < rival.total:
            best[key] = phase
    return best


def holes_of(phases: Sequence[Phase]) -> list[Hole]:
    """The structures without an energy that could lie below the lowest known one of their formula.

    A structure of which nothing is known could lie `SPREAD` below, or as far as the lowest structure of any formula lies below the
    second one, if that is more. A formula without any energy is no hole: nothing can be said of it.

    Parameters
    ----------
    phases : sequence of Phase

    Returns
    -------
    list of Hole
        By formula and name.

    Examples
    --------
    >>> anatase, rutile = Phase(formula="TiO2", name="anatase", energy=-8.9), Phase(formula="TiO2", name="rutile", reason="killed")
    >>> print(holes_of([anatase, rutile])[0])
    TiO2 in rutile (killed; could lie 0.55 eV/atom below anatase)
    """
    best = lowest_phases(phases)
    depth = _spread(phases)
    holes = []
    for phase in sorted(phases, key=lambda p: (formula_key(p.formula), p.name, p.reason)):
        known = best[formula_key(phase.formula)]
        if math.isfinite(phase.total) or not math.isfinite(known.total):
            continue
        below = depth if phase.lowest is None else known.total - phase.lowest
        if below > 0:
            holes.append(Hole(missing=phase, known=known, depth=below))
    return holes


def _spread(phases: Sequence[Phase]) -> float:
    """The largest distance of a second lowest structure from the lowest, in eV/atom; at least `SPREAD`."""
    energies: dict[str, list[float]] = {}
    for phase in phases:
        if math.isfinite(phase.total):
            energies.setdefault(formula_key(phase.formula), []).append(phase.total)
    ordered = [sorted(some) for some in energies.values() if len(some) > 1]
    return max([SPREAD, *(some[1] - some[0] for some in ordered)])


def lowered(best: Mapping[str, Phase], holes: Iterable[Hole]) -> dict[str, Phase]:
    """The lowest phases as they would be if these structures lay as low as they could."""
    changed = dict(best)
    for hole in holes:
        energy = hole.known.total - hole.depth
        if energy < changed[hole.key].total:
            changed[hole.key] = replace(hole.known, energy=energy)
    return changed
