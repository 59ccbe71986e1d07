"""The correction of the formulas: trees and Gaussian processes learn their residuals from out-of-bag predictions.

A formula carries a trend from the labelled materials to distant ones. Materials that resemble each other have residuals in
common that no short formula of averaged features can express. The learners see the primary features and the out-of-bag
predictions of the formulas. From these they learn how accurate the formulas are (stacking: Wolpert, Neural Networks 5, 241
(1992)).

Where compositions are known, two further processes see them, with one length for all inputs: averages over the elements do not tell
which elements they are of. The first does not see the formulas. To the second few materials are similar; what resembles none of the
labelled materials is predicted by a straight line through the formulas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sisso_sal.data.neighbours import CONSTANT
from sisso_sal.errors import FitError
from sisso_sal.models.groups import NOTHING_TOLD, Provenance, consecutive, n_materials
from sisso_sal.models.learners import Learner
from sisso_sal.models.process import ProcessLearner, learn_process
from sisso_sal.models.record_types import read_record
from sisso_sal.models.records import CompositionRecord, CorrectionRecord, HandoverRecord
from sisso_sal.models.shift import Shift
from sisso_sal.models.trees import learn_trees, without_last_bits
from sisso_sal.system.machine import one_blas_thread

KINDS = ("none", "trees", "process", "both")
"""Corrections by name."""

FEWEST = 12
"""With fewer out-of-bag predictions nothing is corrected."""

KINSHIPS = (1.0, 4.0)
"""How much compositions count beside the features, for each of the processes that see them: about as much, and far more. The second
has a wide sigma for an element without labels, and predicts from the formulas there.
"""

TREND_FROM = 2.0
"""Kinship from which on a process sees the formulas, as a trend and as a feature."""

HANDED_OVER_FROM = 200
"""Labels from which on kernels begin where those of an earlier fit ended; with fewer, to begin anew costs little."""

ANEW = 1.1
"""How many times the labels of the last new beginning there may be before kernels begin anew: a search that only ever goes on could
stay at a poor optimum.
"""

HALF_TRUSTED = 200
"""Materials with which the left-out errors of learners are half trusted: with so many, their weights go with the mean square error
to the power of -1, with few to that of 0, with many to that of -2. Differences that few errors show are chance.
"""

N_AT_ONCE = 3840
"""Rows that learners are asked for at once: what they see of them stays small. By itself each of them gives a row the same bits,
wherever it stands and whatever stands beside it.
"""

FARTHEST = 1e6
"""Standard deviations from the mean of the labelled materials beyond which all is the same to every learner."""


class Kernels(NamedTuple):
    """Where the kernels of a correction begin.

    `theta` are logarithms of each kernel's parameters, in the place of those of greatest likelihood. `earlier` is the `handover` of
    a fit on fewer labels. From `HANDED_OVER_FROM` labels on, kernels begin there, until there are `ANEW` times as many labels as
    when they last began anew.
    """

    theta: list[list[float]] | None = None
    earlier: Mapping[str, Any] | None = None


FROM_THE_BEGINNING = Kernels()


class Correction:
    """Corrects the mean of the formulas; deterministic, so that a file need only hold what it was learned from.

    Parameters
    ----------
    kind : str
        ``trees``, ``process`` or ``both``, the mean of all learners, weighted by how well they predict what they have not seen.
    features : ndarray (n, n_primary)
        Primary features of the labelled materials, in an order of rows and columns that depends on their content alone.
    formula : ndarray (n,) or None
        Out-of-bag means of the formulas, finite, in the target's unit; of a transformed target, transformed. None without formulas:
        no learner has them as an input or a trend, and trees learn the target less its mean.
    target : ndarray (n,)
        Labels on the same scale.
    seed : int
    composition : ndarray (n, n_elements), optional
        Share of each element. With it ``process`` and ``both`` have further processes, which see it too (`KINSHIPS`).
    kernels : Kernels
        Where the kernels of the processes begin.
    provenance : Provenance
        Rows of one material are drawn and left out together; errors of labels add to the noise of every learner.

    Attributes
    ----------
    left_out_mean, left_out_std : ndarray (n,)
        Corrected prediction of each label, and its sigma, by trees that did not see its material and processes without it.
    shift : Shift or None
        By how much sigma grows where no label is near; None without processes, or where there are no families of labels.
    weights : ndarray (n_learners,)
        Shares of the learners in the mean.
    theta : list of list of float
        One for each process.
    n_fresh : int
        Labels when the kernels last began anew.

    References
    ----------
    Geurts, Ernst, Wehenkel, Mach. Learn. 63, 3 (2006) (trees); Rasmussen, Williams, Gaussian Processes for Machine Learning (2006),
    eqs. 2.25, 2.26 (process), 5.12 (leave-one-out).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(0, 1, (60, 2))
    >>> y = 2 * X[:, 0] + np.sin(6 * X[:, 1])
    >>> correction = Correction("both", X, 2 * X[:, 0], y, seed=0)
    >>> mean, std = correction.predict(X[:3], 2 * X[:3, 0])
    >>> bool(np.abs(mean - y[:3]).max() < 0.2)
    True
    """

    def __init__(
        self,
        kind: str,
        features: np.ndarray,
        formula: np.ndarray | None,
        target: np.ndarray,
        seed: int,
        composition: np.ndarray | None = None,
        kernels: Kernels = FROM_THE_BEGINNING,
        provenance: Provenance = NOTHING_TOLD,
    ):
        self.kind, self.seed = kind, seed
        self.features, self.formula, self.target = features, formula, target
        self.composition = composition if kind in {"process", "both"} else None
        theta, earlier = kernels
        groups, errors = provenance
        self.groups = np.arange(len(target)) if groups is None else consecutive(groups)
        self.errors = errors if errors is not None and errors.any() else None
        self._centre, spread = features.mean(axis=0), features.std(axis=0)
        if formula is not None:
            self._centre, spread = np.append(self._centre, formula.mean()), np.append(spread, formula.std())
        self._spread = np.where(spread > CONSTANT * np.abs(self._centre), spread, 1.0)
        rows = self._rows(features, None if formula is None else without_last_bits(formula, float(np.ptp(formula))))
        kinships = () if kind == "trees" else (0.0,) if self.composition is None else (0.0, *KINSHIPS)
        if theta is not None and len(theta) != len(kinships):
            raise ValueError(f"theta: needs parameters of {len(kinships)} kernels, found {len(theta)}")
        begin = (
            None if earlier is None else _still_near(read_record(HandoverRecord, earlier), len(target), len(kinships))
        )
        self.n_fresh = begin.n_fresh if begin else len(target)
        with one_blas_thread():
            rest_of = self._trend(formula, len(target))
            trees = (
                [learn_trees(rows, rest_of, target, seed, self.groups, self.errors)]
                if kind in {"trees", "both"}
                else []
            )
            processes = [
                self._learn_process(
                    rows, kinship, theta=theta[i] if theta else None, earlier=begin.theta[i] if begin else None
                )
                for i, kinship in enumerate(kinships)
            ]
            plain = rows[:, : features.shape[1]]
            self.shift = Shift.measured(processes, target, plain, self.groups, self.composition, self.errors)
        self.theta = [process.theta for process in processes]
        self._learners: list[Learner] = [*trees, *processes]
        left_out = [(learner.left_out_mean, learner.left_out_std) for learner in self._learners]
        missed_by = [mean - target for mean, _ in left_out]
        self._worth = _worth(missed_by, float(np.ptp(target)), n_materials(self.groups))
        self.weights = self._worth / self._worth.sum()
        self.left_out_mean, self.left_out_std = _mixture(left_out, self.weights)
        if self.shift is not None:
            self.left_out_std *= self.shift.widening([one.left_out_novelty(self.errors) for one in processes])

    def _learn_process(self, rows: np.ndarray, kinship: float, **parameters: list[float] | None) -> ProcessLearner:
        """`parameters` are `theta` and `earlier` of this process."""
        n, n_inputs = self.features.shape[1], rows.shape[1]  # the last column is the formula, where there is one
        lengths = np.full(1, max(1.0, kinship / 2) * np.sqrt(n)) if kinship else np.full(n_inputs, np.sqrt(n_inputs))
        trend = n if kinship >= TREND_FROM and n < n_inputs else None
        seen = _seen(rows, n, self.composition, kinship)
        return learn_process(
            seen,
            self.target,
            lengths,
            trend=trend,
            kinship=kinship,
            provenance=Provenance(self.groups, self.errors),
            **parameters,
        )

    def _rows(self, features: np.ndarray, formula: np.ndarray | None) -> np.ndarray:
        inputs = features if formula is None else np.column_stack([features, formula])
        return (inputs - self._centre) / self._spread

    def _trend(self, formula: np.ndarray | None, n: int) -> np.ndarray:
        """ndarray (n,): what trees learn the rest of."""
        return np.full(n, self.target.mean()) if formula is None else formula

    def predict(
        self, features: np.ndarray, formula: np.ndarray | None, composition: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Corrected mean and sigma, on the scale of its labels; NaN where the formulas say nothing or a feature is not finite.

        Parameters
        ----------
        features : ndarray (n, n_primary)
        formula : ndarray (n,) or None
            Mean of the formulas; None if it has learned without.
        composition : ndarray (n, n_elements), optional
            Without it a learner that wants compositions is not asked.
        """
        n = len(features)
        trend, mean, std = self._trend(formula, n), np.full(n, np.nan), np.full(n, np.nan)
        known = np.flatnonzero(np.isfinite(trend) & np.isfinite(features).all(axis=1))
        asked, weights = self._asked(composition is not None)
        with one_blas_thread(), np.errstate(over="ignore"):
            for start in range(0, len(known), N_AT_ONCE):
                part = known[start : start + N_AT_ONCE]
                own = None if formula is None else formula[part]
                rows = np.clip(self._rows(features[part], own), -FARTHEST, FARTHEST)
                shares = None if composition is None else composition[part]
                seen = [_seen(rows, features.shape[1], shares, learner.kinship) for learner in asked]
                each = [learner.predict(inputs, trend[part]) for learner, inputs in zip(asked, seen, strict=True)]
                mean[part], std[part] = _mixture(each, weights)
                if self.shift is not None:
                    told = zip(asked, seen, each, strict=True)
                    novelties = [one.novelty(x, s) for one, x, (_, s) in told if isinstance(one, ProcessLearner)]
                    std[part] *= self.shift.widening(novelties)
        return mean, std

    def _asked(self, knows_composition: bool) -> tuple[list[Learner], np.ndarray]:
        """The learners that can be asked, and their weights."""
        chosen = [number for number, one in enumerate(self._learners) if knows_composition or not one.kinship]
        worth = self._worth[chosen]
        return [self._learners[number] for number in chosen], worth / worth.sum()

    @property
    def handover(self) -> dict[str, Any] | None:
        """What a fit on more labels may begin from, as plain data; None where it would not."""
        if not self.theta or len(self.target) < HANDED_OVER_FROM:
            return None
        return {"n_fresh": self.n_fresh, "theta": self.theta}

    def to_json(self) -> dict[str, Any]:
        """What it was learned from, as plain data."""
        return {
            "kind": self.kind,
            "seed": self.seed,
            "theta": self.theta,
            "features": self.features.tolist(),
            "formula": None if self.formula is None else self.formula.tolist(),
            "target": self.target.tolist(),
            "composition": None if self.composition is None else _sparse(self.composition),
            "groups": self.groups.tolist(),
            "errors": None if self.errors is None else self.errors.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | CorrectionRecord) -> Correction:
        """The inverse of `to_json`: the same bits with the same versions of NumPy and SciPy.

        Raises
        ------
        ModelFileError, ValueError
            A key is missing or a value cannot be; or nothing could be learned from them.
        """
        known = read_record(CorrectionRecord, data)
        with np.errstate(all="ignore"):
            composition = None if known.composition is None else _dense(known.composition)
            correction = cls(
                known.kind, known.features, known.formula, known.target, known.seed, composition,
                Kernels(theta=known.theta), Provenance(np.array(known.groups), known.errors),
            )  # fmt: skip
        if not (np.isfinite(correction.left_out_mean).all() and np.isfinite(correction.left_out_std).all()):
            raise ValueError("correction: needs numbers that can be learned from, found some that are too large")
        return correction


def _still_near(earlier: HandoverRecord, n: int, n_kernels: int) -> HandoverRecord | None:
    """What was handed over, if kernels of `n` labels may begin from there."""
    is_near = HANDED_OVER_FROM <= n < ANEW * earlier.n_fresh
    return earlier if is_near and len(earlier.theta) == n_kernels else None


def _seen(rows: np.ndarray, n_primary: int, composition: np.ndarray | None, kinship: float) -> np.ndarray:
    """What a learner sees of standardised features and formulas: all, or compositions beside them, which with a kinship of one tell
    oxides of other metals about as far apart as the features do.
    """
    if composition is None or not kinship:
        return rows
    shares = kinship * np.sqrt(n_primary) * composition
    return np.hstack([rows if kinship >= TREND_FROM else rows[:, :n_primary], shares])


def _worth(errors: list[np.ndarray], spread: float, n: int) -> np.ndarray:
    """ndarray (n_learners,): how much learners count, from their errors (n_labelled,) of labels of n materials left out.

    It does not depend on which others there are. Errors below a millionth of the `spread` of the labels are as good as none.
    """
    square = np.array([np.mean((error / (spread or 1.0)) ** 2) for error in errors])
    if not np.isfinite(square).all():
        return np.ones(len(errors))
    return np.power(np.maximum(square, 1e-12), -2.0 * n / (n + HALF_TRUSTED))


def _mixture(told: list[tuple[np.ndarray, np.ndarray]], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of a mixture of what learners tell, mean and sigma (n,) each."""
    mean = _weighted([mean for mean, _ in told], weights)
    return mean, np.sqrt(_weighted([sigma**2 + (own - mean) ** 2 for own, sigma in told], weights))


def _weighted(parts: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """The sum of the parts times their weights, one after the other: the bits of a row do not depend on the others."""
    out = np.zeros(parts[0].shape)
    for part, weight in zip(parts, weights, strict=True):
        out += weight * part
    return out


def checked_composition(composition: Any, n: int, n_elements: int | None = None) -> np.ndarray | None:
    """Shares of elements as an array (n, n_elements), or None.

    Raises
    ------
    FitError
        Another shape, or a share that is not finite.
    """
    if composition is None:
        return None
    shares = np.asarray(composition, dtype=np.float64)
    wanted = shares.shape[1] if n_elements is None and shares.ndim == 2 else n_elements
    if shares.shape != (n, wanted) or not np.isfinite(shares).all():
        size = "n_elements" if n_elements is None else n_elements
        raise FitError(f"composition: needs {n} x {size} finite shares, found an array of shape {shares.shape}")
    return shares


def _sparse(composition: np.ndarray) -> dict[str, Any]:
    """The columns that are not zero, by number."""
    columns = np.flatnonzero(composition.any(axis=0))
    return {"n_elements": composition.shape[1], "columns": columns.tolist(), "shares": composition[:, columns].tolist()}


def _dense(composition: CompositionRecord) -> np.ndarray:
    """ndarray (n, n_elements)."""
    out = np.zeros((len(composition.shares), composition.n_elements))
    out[:, composition.columns] = composition.shares
    return out
