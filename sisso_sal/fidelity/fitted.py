"""A reference scheme fitted to measured enthalpies of formation, with the error that it has for oxides it has not seen.

For an oxide with n atoms, the energy of O2 and the shifts enter its enthalpy of formation linearly:

    n H = E(oxide) - sum over the metals of E(element) - n_O E_O + sum over the shifted elements of n_M s_M

E_O is fitted by least squares of H. The shift of a metal is added, the most useful metal first, as long as it lowers the
leave-one-out error by a tenth and at least three oxides of this metal are measured. The leave-one-out residual of a linear fit is
r / (1 - h), with h the diagonal of the hat matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sisso_sal.errors import InputError
from sisso_sal.fidelity.schemes import Scheme
from sisso_sal.oracle.engines.relaxation import Relaxed
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.structures import formula_key

__all__ = ["FittedScheme", "fit_scheme"]

_FEWEST = 3
"""Oxides of a metal, for a shift of its own; and oxides in all."""
_PAYS = 0.9
"""Leave-one-out error with a further shift, over that without, at most."""


@dataclass(frozen=True, kw_only=True)
class FittedScheme:
    """A fitted scheme and how good it is.

    Attributes
    ----------
    scheme : Scheme
    n_oxides : int
    rms, loo : float
        Root mean square of the residuals, and of the leave-one-out residuals, in eV/atom.
    left_out : tuple of str
        Oxides of the file whose energy, or that of one of their elements, is not known.
    """

    scheme: Scheme
    n_oxides: int
    rms: float
    loo: float
    left_out: tuple[str, ...]


def fit_scheme(measured: Mapping[str, float], outcomes: Mapping[tuple[str, str], Relaxed]) -> FittedScheme:
    """Fit the energy of oxygen, and shifts of metals where they pay.

    Parameters
    ----------
    measured : mapping of str to float
        Formula -> enthalpy of formation, in eV/atom.
    outcomes : mapping of (str, str) to Relaxed
        Energies by key of the formula and name of the structure.

    Raises
    ------
    InputError
        Fewer than three oxides have an energy.

    Examples
    --------
    Oxygen at -5 eV, and metals at 0:

    >>> def relaxed(energy):
    ...     return Relaxed(energy=energy, steps=0, volume=10.0, max_force=0.0)
    >>> measured = {"MgO": -3.1, "CaO": -3.3, "SrO": -3.0, "BaO": -2.8}
    >>> outcomes = {(formula_key(f), "rocksalt"): relaxed(h - 2.5) for f, h in measured.items()}
    >>> outcomes |= {(metal, "element"): relaxed(0.0) for metal in ("Mg", "Ca", "Sr", "Ba")}
    >>> fit = fit_scheme(measured, outcomes)
    >>> round(fit.scheme.oxygen, 6), round(fit.loo, 6), dict(fit.scheme.shifts)
    (-5.0, 0.0, {})
    """
    lowest = _lowest(outcomes)
    used = sorted(f for f in measured if {formula_key(f), *(parse_formula(f).keys() - {"O"})} <= lowest.keys())
    left_out = tuple(sorted(measured.keys() - set(used)))
    if len(used) < _FEWEST:
        raise InputError(f"reference: needs at least {_FEWEST} measured oxides with an energy, found {len(used)}")
    fractions = [_fractions(formula) for formula in used]
    # What is left for oxygen and the shifts to explain, in eV/atom.
    wanted = np.array(
        [
            measured[f] - lowest[formula_key(f)] + sum(x * lowest[e] for e, x in sorted(share.items()) if e != "O")
            for f, share in zip(used, fractions, strict=True)
        ]
    )
    shares = {
        e: np.array([share.get(e, 0.0) for share in fractions]) for e in sorted({e for s in fractions for e in s})
    }
    metals = _metals_that_pay(shares, wanted)
    values, residuals, left_one_out = _least_squares([-shares["O"], *(shares[m] for m in metals)], wanted)
    words = f"fitted to measured enthalpies of {len(used)} oxides"
    scheme = Scheme(
        name="fitted",
        oxygen=float(values[0]),
        shifts={metal: float(x) for metal, x in zip(metals, values[1:], strict=True)},
        words=words,
        source=words,
    )
    return FittedScheme(
        scheme=scheme, n_oxides=len(used), rms=_rms(residuals), loo=_rms(left_one_out), left_out=left_out
    )


def _lowest(outcomes: Mapping[tuple[str, str], Relaxed]) -> dict[str, float]:
    """The lowest energy of each composition, in eV/atom."""
    lowest: dict[str, float] = {}
    for (key, _), relaxed in outcomes.items():
        if relaxed.energy is not None:
            lowest[key] = min(relaxed.energy, lowest.get(key, relaxed.energy))
    return lowest


def _fractions(formula: str) -> dict[str, float]:
    amounts = parse_formula(formula)
    total = sum(amounts.values())
    return {element: n / total for element, n in amounts.items()}


def _metals_that_pay(shares: Mapping[str, NDArray[np.float64]], wanted: NDArray[np.float64]) -> list[str]:
    """Metals that get a shift, in the order in which they were added; `shares` (n_oxides,) are atomic fractions."""
    open_to = [e for e, share in shares.items() if e != "O" and np.count_nonzero(share) >= _FEWEST]
    chosen: list[str] = []
    while open_to and len(chosen) + 2 < len(wanted):
        columns = [-shares["O"], *(shares[m] for m in chosen)]
        before = _rms(_least_squares(columns, wanted)[2])
        errors = {e: _rms(_least_squares([*columns, shares[e]], wanted)[2]) for e in open_to}
        best = min(open_to, key=lambda e: (errors[e], e))
        if errors[best] > _PAYS * before or before < 1e-9:
            return chosen
        chosen.append(best)
        open_to.remove(best)
    return chosen


def _least_squares(
    columns: list[NDArray[np.float64]], wanted: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients (n_columns,), residuals and leave-one-out residuals (n_oxides,)."""
    matrix = np.column_stack(columns)
    q, r = np.linalg.qr(matrix)
    is_full = np.abs(np.diag(r)).min() > 1e-9
    solution = np.linalg.solve(r, q.T @ wanted) if is_full else np.full(len(columns), np.nan)
    residuals = wanted - matrix @ solution
    free = 1 - np.sum(q * q, axis=1)
    left_one_out = np.where(free > 1e-9, residuals / np.maximum(free, 1e-9), np.inf)
    return np.asarray(solution, np.float64), np.asarray(residuals, np.float64), np.asarray(left_one_out, np.float64)


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2))) if np.isfinite(values).all() else np.inf
