"""Phonons that are kept, and the columns that they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Self

from sisso_sal.data.phonon_columns import FREE_ENERGY, LOWEST, UNSTABLE
from sisso_sal.fidelity.columns import RowEstimate
from sisso_sal.fidelity.estimates import kept_outcomes
from sisso_sal.fidelity.parts import KeptPart, Kind, digest_of
from sisso_sal.fidelity.potentials import Potential
from sisso_sal.fidelity.starts import Start
from sisso_sal.oracle.engines.phonons import IMAGINARY, METHOD, Phonons, PhononSettings, phonons
from sisso_sal.oxides.structures import formula_key
from sisso_sal.system.executors import HERE, Workers

__all__ = ["PHONONS", "phonon_text", "with_phonons"]


class PhononPart(KeptPart):
    """The phonons of one structure; see `sisso_sal.oracle.engines.phonons.Phonons`."""

    lowest: dict[str, float]
    on_mesh: float | None
    free_energy: float | None
    n_atoms: int
    n_displaced: int
    reason: str

    @classmethod
    def of(cls, key: str, start: Start, settings: PhononSettings, outcome: Phonons) -> Self:
        """The line of phonons."""
        return cls(key=key, formula=start.formula, name=start.name, **asdict(outcome))

    def answers(self, settings: PhononSettings) -> bool:
        """Always: all settings are in the key."""
        return True

    def outcome(self) -> Phonons:
        """The outcome alone."""
        return Phonons(**{name: value for name, value in self if name not in KeptPart.model_fields})


def _key(start: Start, potential: Potential, settings: PhononSettings) -> str:
    return digest_of(["phonons", METHOD, start.digest(), potential.identity(), asdict(settings)])


PHONONS = Kind(file="phonons.jsonl", part=PhononPart, key=_key, compute=phonons)
"""Phonons of structures, which are relaxed again for it, to smaller forces."""


def with_phonons(
    rows: Sequence[RowEstimate],
    starts: Sequence[Start],
    potential: Potential,
    folder: Path,
    workers: Workers = HERE,
    *,
    settings: PhononSettings | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    tell: Callable[[str], None] = lambda note: None,
) -> list[RowEstimate]:
    """Rows with the phonons of their lowest phase, from the parts in a folder and computed where they are not there.

    Parameters
    ----------
    rows : sequence of RowEstimate
    starts : sequence of Start
        Structures that the lowest phases were relaxed from are among them.
    potential : Potential
    folder : path
        Of the parts.
    workers : Workers
    settings : PhononSettings, optional
    progress : callable
        Called with (done, total).
    tell : callable
        Takes notes.

    Raises
    ------
    LockedError
        Another process has the folder.
    """
    lowest = {(formula_key(row.formula), row.structure) for row in rows if row.relaxed is not None}
    chosen = [start for start in starts if (start.key, start.name) in lowest]
    outcomes = kept_outcomes(
        chosen, potential, settings or PhononSettings(), folder, PHONONS, workers, progress=progress, tell=tell
    )
    return [
        row if row.relaxed is None else _with(row, outcomes[formula_key(row.formula), row.structure]) for row in rows
    ]


def _with(row: RowEstimate, outcome: Phonons) -> RowEstimate:
    known = {LOWEST: outcome.frequency, FREE_ENERGY: outcome.free_energy}
    values = {**row.values, **{name: value for name, value in known.items() if value is not None}}
    return replace(row, values=values, phonons=outcome)


def phonon_text(row: RowEstimate) -> str:
    """What a reader is told of the vibrations of a row; the beginning of that of an unstable one is `UNSTABLE`.

    Examples
    --------
    >>> row = RowEstimate(formula="SrTiO3", values={}, phonons=Phonons(lowest={"Gamma": 0.27, "R": -1.31}))
    >>> phonon_text(row)
    'dynamically unstable: -1.31 THz at R'
    """
    outcome = row.phonons
    if outcome is None:
        return "not known: no relaxed structure"
    if outcome.frequency is None:
        return f"not known: {outcome.reason}"
    lowest = f"{outcome.frequency:.2f} THz at {outcome.point}"
    if outcome.unstable:
        return f"{UNSTABLE}{lowest}"
    inside = "" if outcome.on_mesh is None or outcome.on_mesh >= -IMAGINARY else outcome.on_mesh
    more = f"; inside the zone down to {inside:.2f} THz" if inside else ""
    return f"stable at Gamma and the zone boundary: lowest {lowest}{more}"
