"""Cheap estimates of the target: the number as it is, a line through it, and what formulas learn of the rest.

A column that estimates the target says most of it before anything is learned. What is left is smaller and simpler, and formulas for
it read as a correction between two levels of theory (difference learning: Ramakrishnan et al., J. Chem. Theory Comput. 11, 2087
(2015)).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from sisso_sal.data.estimated import ESTIMATED_BY
from sisso_sal.data.headers import split_header
from sisso_sal.data.neighbours import CONSTANT
from sisso_sal.engine.problem import Problem
from sisso_sal.errors import SettingsError
from sisso_sal.features.dimension import parse_unit
from sisso_sal.models.groups import consecutive, error_of_mean
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.low_records import LowRecord
from sisso_sal.models.record_types import read_record
from sisso_sal.protocols import Space

NO_ERROR = 1e-6
"""Sigma of a number or line that all labels agree with, as a part of their range."""
NOTHING_LEFT = 1e-9
"""Part of the target's range below which a low column leaves nothing to explain."""


@dataclass(frozen=True)
class Form:
    """What formulas are searched for.

    Attributes
    ----------
    kind : str
        ``feature``: formulas for the target; ``difference``: for the target less a low column; ``line``: less a line through it.
    column : str
        Name of the low column; "" for ``feature``.
    """

    kind: str = "feature"
    column: str = ""


@dataclass(frozen=True)
class Baseline:
    """A line through a low column: what is known of the target before anything else is.

    Attributes
    ----------
    column : str
    slope : float
        In units of the target over those of the column; 1 where the number is taken as it is.
    intercept : float
        In the target's unit.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 2.0])
    >>> round(Baseline.through("x", x, 3 * x + 1, np.ones(3), True).slope, 6)
    3.0
    """

    column: str
    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def through(
        cls, column: str, values: np.ndarray, target: np.ndarray, weights: np.ndarray, fit_intercept: bool
    ) -> Baseline:
        """The line of least squares; that of slope 0 where the column does not vary over samples of positive weight.

        Parameters
        ----------
        column : str
        values, target, weights : ndarray (n,)
        fit_intercept : bool
        """
        shares = weights / weights.sum()
        centre, mean = (float(shares @ values), float(shares @ target)) if fit_intercept else (0.0, 0.0)
        apart = values - centre
        square = float(shares @ apart**2)
        if square <= (CONSTANT * float(np.abs(values).max(initial=0.0))) ** 2:
            return cls(column, 0.0, mean)
        slope = float(shares @ (apart * (target - mean))) / square
        return cls(column, slope, mean - slope * centre)

    def values(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """ndarray (n,), in the target's unit; `columns` give each primary feature (n,) by its name."""
        return self.intercept + self.slope * columns[self.column]


@dataclass(frozen=True)
class LowError:
    """Errors of a prediction of labels that it did not see, in the target's unit.

    Attributes
    ----------
    what : str
        ``number``: a low column as it is; ``line``: a straight line through it; ``model``: the ensemble, or the one model.
    column : str
        Name of the low column; "" for the model.
    mae, rmse : float
        Mean absolute and root mean square error.
    """

    what: str
    column: str
    mae: float
    rmse: float

    @property
    def form(self) -> Form:
        """What the number or the line would leave to formulas."""
        return Form("line" if self.what == "line" else "difference", self.column)


@dataclass(frozen=True)
class Low:
    """What low columns are worth, and what a model has made of them.

    Attributes
    ----------
    columns : tuple of str
    form : str
        ``feature``, ``difference``, ``line``, see `Form`; ``number alone``, ``line alone``: there are no formulas. The one with the
        least error of labels that were left out.
    baseline : Baseline or None
        What formulas and correction learn the rest of; None for ``feature``.
    spread : float or None
        Root mean square error of labels that were left out, in the target's unit, where there are no formulas: an ensemble takes it
        as sigma of every candidate. Else the members tell.
    n : int
        Labels that the errors are of.
    errors : tuple of LowError
    gain, gain_error : float or None
        By how much the mean absolute error of the model is less than that of the best number or line, in the target's unit, and the
        standard error of the difference over materials; None where the number or the line is the model.
    """

    columns: tuple[str, ...]
    form: str
    baseline: Baseline | None
    spread: float | None
    n: int = 0
    errors: tuple[LowError, ...] = ()
    gain: float | None = None
    gain_error: float | None = None

    def alone(self, best: LowError, table: TrainingTable, rows: np.ndarray, fit_intercept: bool) -> Low:
        """The same where a number or a line is all there is; `rows` (n,) of int are the samples, in canonical order."""
        columns, target = table.columns(rows), table.y[rows]
        baseline = baseline_of(best.form, columns, target, table.weights[rows], fit_intercept)
        spread = best.rmse or NO_ERROR * float(np.ptp(target))
        return replace(self, form=f"{best.what} alone", baseline=baseline, spread=spread)

    def to_json(self) -> dict[str, Any]:
        """Plain data; floats keep every digit."""
        return asdict(self) | {"columns": list(self.columns), "errors": [asdict(error) for error in self.errors]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | LowRecord) -> Low:
        """The inverse of `to_json`."""
        record = read_record(LowRecord, data)
        baseline = None if record.baseline is None else Baseline(**record.baseline.model_dump())
        errors = tuple(LowError(**error.model_dump()) for error in record.errors)
        gain, gain_error = record.gain, record.gain_error
        return cls(tuple(record.columns), record.form, baseline, record.spread, record.n, errors, gain, gain_error)


def wanted_columns(low: Any) -> tuple[str, ...]:
    """The parameter `low` of an estimator as texts: one, several or none.

    Raises
    ------
    SettingsError
        It is something else.

    Examples
    --------
    >>> wanted_columns("G"), wanted_columns(None)
    (('G',), ())
    """
    names = (low,) if isinstance(low, str) else tuple(low or ())
    if not all(isinstance(name, str) and name for name in names):
        raise SettingsError(f"low: needs names of columns, found {low!r}")
    return names


def low_names(columns: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Names of low columns that were given by name or header, each once.

    Raises
    ------
    SettingsError
        One of them is no primary feature.

    Examples
    --------
    >>> low_names(["G (eV)", "G"], ["G", "a"])
    ('G',)
    """
    found: dict[str, None] = {}
    for column in columns:
        name = column if column in names else split_header(column)[0]
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            raise SettingsError(f"low: needs primary features of the table, found '{column}' where there are {known}")
        found[name] = None
    return tuple(found)


def low_of(wanted: Sequence[str] | None, space: Space) -> tuple[str, ...]:
    """Low columns of a space: those that are wanted, or, for None, the feature that ``estimate`` made for the target.

    That is the one named as the target with the name of a potential behind it, in the target's unit: ``dG_pbx_chgnet (eV/atom)``.
    """
    if wanted is not None:
        return tuple(wanted)
    target = space.target
    if target is None:
        return ()
    made = {f"{target.name}_{potential}" for potential in ESTIMATED_BY}
    return tuple(one.name for one in space.features if one.name in made and one.unit == target.unit)


def forms_of(table: TrainingTable, low: Sequence[str], transform: str = "none") -> tuple[Form, ...]:
    """What is searched for: the target itself, and for each low column the rest that a number and a line leave.

    The difference needs the target's unit. Of a transformed target a low column is a feature only.

    Raises
    ------
    SettingsError
        See `low_names`.
    """
    names = low_names(low, table.names)
    if transform != "none":
        return (Form(),)
    return (Form(), *(Form(kind, name) for name in names for kind in _kinds(table, name)))


def _kinds(table: TrainingTable, name: str) -> tuple[str, ...]:
    return ("difference", "line") if _has_units_of_target(table, name) else ("line",)


def _has_units_of_target(table: TrainingTable, name: str) -> bool:
    return parse_unit(table.primaries[name]) == parse_unit(table.target_unit)


def baseline_of(
    form: Form, columns: Mapping[str, np.ndarray], target: np.ndarray, weights: np.ndarray, fit_intercept: bool
) -> Baseline | None:
    """What a form leaves the rest of, over samples of weights (n,); None for ``feature``."""
    if form.kind == "feature":
        return None
    if form.kind == "difference":
        return Baseline(form.column)
    return Baseline.through(form.column, columns[form.column], target, weights, fit_intercept)


def rests(
    form: Form, problems: Sequence[Problem], columns: Mapping[str, np.ndarray], fit_intercept: bool
) -> tuple[list[Problem], list[Baseline | None]]:
    """The same samples with the rest that a form leaves as their target; the target itself if there is a rest nowhere.

    Parameters
    ----------
    form : Form
    problems : sequence of Problem
    columns : mapping of str to ndarray (n_samples,)
        Primary features by name, in the order of samples of the problems.
    fit_intercept : bool

    Returns
    -------
    list of Problem
    list of Baseline or None
        What each target is the rest of; None for ``feature``, and where nothing is left to explain.
    """
    changed, baselines = [], []
    for problem in problems:
        baseline = baseline_of(form, columns, problem.target, problem.weights, fit_intercept)
        if baseline is None:
            return [*problems], [None] * len(problems)
        present = problem.weights > 0
        rest = np.where(present, problem.target - baseline.values(columns), 0.0)
        if np.ptp(rest[present]) <= NOTHING_LEFT * np.ptp(problem.target[present]):
            return [*problems], [None] * len(problems)
        changed.append(replace(problem, target=rest))
        baselines.append(baseline)
    return changed, baselines


def left_out_alone(
    table: TrainingTable, low: Sequence[str], rows: np.ndarray, fit_intercept: bool, parts: np.ndarray | None = None
) -> dict[tuple[str, str], np.ndarray]:
    """What numbers and lines say of each label without having seen its material.

    Parameters
    ----------
    table : TrainingTable
    low : sequence of str
    rows : ndarray (n,) of int
        Samples, in canonical order.
    fit_intercept : bool
    parts : ndarray (n,) of int, optional
        Samples with the same number are left out together; by default those of one material.

    Returns
    -------
    dict
        ``("number", column)``, where the units allow it, and ``("line", column)`` -> ndarray (n,), in the target's unit.
    """
    columns, target, weights = table.columns(rows), table.y[rows], table.weights[rows]
    part = consecutive(table.groups[rows] if parts is None else parts)
    said: dict[tuple[str, str], np.ndarray] = {}
    for name in low:
        values = columns[name]
        if _has_units_of_target(table, name):
            said["number", name] = values
        line = np.full(len(rows), np.nan)
        for number in range(int(part.max()) + 1):
            out = part == number
            if not out.all():
                seen = np.where(out, 0.0, weights)
                line[out] = Baseline.through(name, values, target, seen, fit_intercept).values(columns)[out]
        said["line", name] = line
    return said


def error_of(what: str, column: str, said: np.ndarray, target: np.ndarray) -> LowError:
    """Errors of what was said (n,) of labels (n,); infinite where nothing was said, or of no label."""
    error = said - target
    if not len(error) or not np.isfinite(error).all():
        return LowError(what, column, np.inf, np.inf)
    return LowError(what, column, float(np.abs(error).mean()), float(np.sqrt(np.mean(error**2))))


def compared(
    low: Low, table: TrainingTable, rows: np.ndarray, mean: np.ndarray, said: Mapping[tuple[str, str], np.ndarray]
) -> tuple[Low, LowError | None]:
    """A model beside numbers and lines, each judged by labels that it did not see.

    The simplest one within a standard error is to be taken: Breiman, Friedman, Olshen, Stone, Classification and Regression Trees
    (1984), section 3.4.3.

    Parameters
    ----------
    low : Low
    table : TrainingTable
    rows : ndarray (n,) of int
        Samples, in canonical order.
    mean : ndarray (n_samples,)
        What the model says of each label without having seen it, in the target's unit; NaN where nothing.
    said : mapping
        See `left_out_alone`.

    Returns
    -------
    Low
        With all errors; with a gain where the model is better by more than its standard error.
    LowError or None
        The best number or line, where the model is not.
    """
    target, known = table.y[rows], rows[np.isfinite(mean[rows])]
    errors = [error_of(what, column, values, target) for (what, column), values in said.items()]
    own = error_of("model", "", mean[known], table.y[known])
    best = min(errors, key=lambda error: error.mae)
    counted = tuple(error for error in (*errors, own) if np.isfinite(error.mae))
    low = replace(low, n=len(known), errors=counted)
    simple = np.abs(said[best.what, best.column] - target)[np.isin(rows, known)]
    gain = simple - np.abs(mean[known] - table.y[known])
    error = error_of_mean(gain, table.groups[known]) if len(known) > 1 else np.inf
    if len(known) > 1 and gain.mean() > error:
        return replace(low, gain=float(gain.mean()), gain_error=error), None
    return low, best
