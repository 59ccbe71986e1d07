"""From formulas to estimates: what is planned, computed or read, referred to a scheme, and told of each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sisso_sal.errors import InputError
from sisso_sal.fidelity.columns import EstimateQuestion, Estimator, RowEstimate
from sisso_sal.fidelity.compute import computed
from sisso_sal.fidelity.fitted import FittedScheme, fit_scheme
from sisso_sal.fidelity.parts import RELAXATIONS, KeptParts, Kind
from sisso_sal.fidelity.potentials import Potential
from sisso_sal.fidelity.schemes import Scheme, scheme_of
from sisso_sal.fidelity.starts import Plan, Start, metals_of, plan
from sisso_sal.oracle.engines.relaxation import RelaxationSettings, Relaxed
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.structures import formula_key
from sisso_sal.system.executors import HERE, Workers

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["Energies", "estimates", "kept_outcomes", "needed_plan", "reasons", "relaxed_energies", "settled"]

Outcome = TypeVar("Outcome")
"""What became of a structure."""

Energies = tuple[dict[tuple[str, str], Relaxed], dict[str, str]]
"""Outcomes by key of the formula and name of the structure; formulas by key."""


def needed_plan(
    formulas: Sequence[str],
    question: EstimateQuestion,
    own: Mapping[str, Sequence[tuple[str, Structure]]] | None = None,
    max_prototypes: int = 3,
    measured: Sequence[str] = (),
) -> Plan:
    """Structures of the rows that are oxides, of what must be known beside them, and of measured oxides with their metals.

    Parameters
    ----------
    formulas : sequence of str
        Cells of the table; one that is no formula of an oxide is passed over.
    question : EstimateQuestion
    own : mapping, optional
        The user's structures.
    max_prototypes : int
    measured : sequence of str
        Oxides that a scheme is fitted to.
    """
    rows = [formula for formula in dict.fromkeys(formulas) if _is_oxide(formula)]
    beside = [other for row in rows for other in question.beside(row)]
    metals = [metal for formula in (*rows, *measured) for metal in metals_of(formula)]
    return plan([*rows, *beside, *measured, *metals], own, max_prototypes)


def _is_oxide(formula: str) -> bool:
    try:
        elements = parse_formula(formula).keys()
    except InputError:
        return False
    return "O" in elements and "H" not in elements and len(elements) > 1


def relaxed_energies(
    planned: Plan,
    potential: Potential,
    settings: RelaxationSettings,
    folder: Path,
    workers: Workers = HERE,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    tell: Callable[[str], None] = lambda note: None,
) -> Energies:
    """The energies of a plan, from the parts in a folder and computed where they are not there.

    Parameters
    ----------
    planned : Plan
    potential : Potential
    settings : RelaxationSettings
    folder : path
        Of the parts.
    workers : Workers
    progress : callable
        Called with (done, total).
    tell : callable
        Takes notes.

    Raises
    ------
    LockedError
        Another process has the folder.
    """
    outcomes = kept_outcomes(
        planned.starts, potential, settings, folder, RELAXATIONS, workers, progress=progress, tell=tell
    )
    return outcomes, {start.key: start.formula for start in planned.starts}


def kept_outcomes(
    starts: Sequence[Start],
    potential: Potential,
    settings: Any,
    folder: Path,
    kind: Kind[Outcome],
    workers: Workers = HERE,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    tell: Callable[[str], None] = lambda note: None,
) -> dict[tuple[str, str], Outcome]:
    """What became of structures, by key of the formula and name; parameters as in `relaxed_energies`, and the kind.

    Raises
    ------
    LockedError
        Another process has the folder.
    """
    with KeptParts(folder, kind) as parts:
        if parts.n_broken:
            tell(f"{folder}: {parts.n_broken} lines that were cut off or changed count as not computed")
        return computed(starts, potential, settings, parts, workers, progress=progress)


def settled(
    potential: Potential, energies: Energies, name: str | None = None, measured: Mapping[str, float] | None = None
) -> tuple[Scheme, FittedScheme | None]:
    """The scheme of the energies: fitted where there are measured enthalpies, else the one that is named or declared."""
    if measured is None:
        return scheme_of(potential, name), None
    fit = fit_scheme(measured, energies[0])
    return fit.scheme, fit


def estimates(
    formulas: Sequence[str], energies: Energies, scheme: Scheme, question: EstimateQuestion, lacking: Mapping[str, str]
) -> list[RowEstimate]:
    """What is known of each row, in their order.

    Parameters
    ----------
    formulas : sequence of str
        Cells of the table.
    energies : Energies
    scheme : Scheme
    question : EstimateQuestion
    lacking : mapping of str to str
        Key of a formula -> why no structure of it is known.
    """
    estimator = Estimator(*energies, scheme, question, lacking)
    known = {formula: estimator.estimate(formula) for formula in dict.fromkeys(formulas)}
    return [known[formula] for formula in formulas]


def reasons(rows: Sequence[RowEstimate]) -> dict[str, int]:
    """Why something is missing -> number of rows, the most frequent first; formulas in it are left out.

    Examples
    --------
    >>> rows = [RowEstimate(formula=f, values={}, reason=f"{f} (not converged: forces)") for f in ("MgO", "CaO")]
    >>> reasons(rows)
    {'not converged': 2}
    """
    counts = Counter(_kind(row) for row in rows if row.reason)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _kind(row: RowEstimate) -> str:
    """The reason without what differs from row to row."""
    first = row.reason.partition("; ")[0]
    name, bracket, inside = first.partition(" (")
    if not bracket or not inside.endswith(")"):
        return first.partition(": ")[0]
    inside = inside[:-1].partition(": ")[0]
    if name.startswith("dissolved "):
        return f"{name}: {inside}"
    return inside if name == row.formula or formula_key(name) == formula_key(row.formula) else f"a competitor: {inside}"
