"""What is learned from: primary features with names and units, labels and weights, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sisso_sal.data.headers import split_header
from sisso_sal.errors import FitError, SettingsError
from sisso_sal.features.dimension import check_units
from sisso_sal.models.groups import EACH_ALONE, Grouping, canonical_numbers, grouped
from sisso_sal.models.magnitudes import check_features
from sisso_sal.protocols import Space


@dataclass(frozen=True, eq=False)
class TrainingTable:
    """Primary features, labels and weights of all samples.

    Attributes
    ----------
    names, units : tuple of str
        Of the primary features; "" for no unit.
    X : ndarray (n_samples, n_primary)
    y, weights : ndarray (n_samples,)
        Labels in the target's unit; a sample of weight zero is not there.
    groups : ndarray (n_samples,) of int
        Samples with the same number are one material; numbered as `canonical_numbers` does.
    target, target_unit : str
        The header under which the labels came.
    grouping : Grouping
        What decided which samples are one material.
    errors : ndarray (n_samples,) or None
        Standard deviations of the labels, in the target's unit; None where no label has one.
    tasks : ndarray (n_samples,) of str, or None
        The task of each sample, where there are several.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    groups: np.ndarray
    target: str = "y"
    target_unit: str = ""
    grouping: Grouping = EACH_ALONE
    errors: np.ndarray | None = None
    tasks: np.ndarray | None = None

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks, sorted; none where there are no tasks."""
        return () if self.tasks is None else tuple(sorted(set(self.tasks.tolist())))

    @property
    def task_numbers(self) -> np.ndarray | None:
        """ndarray (n_samples,) of int: the place of each sample's task in `task_names`; None where there are no tasks."""
        return None if self.tasks is None else np.searchsorted(np.array(self.task_names), self.tasks)

    @property
    def primaries(self) -> dict[str, str]:
        """Unit of each primary feature, in the order of the names."""
        return dict(sorted(zip(self.names, self.units, strict=True)))

    def columns(self, rows: np.ndarray | slice = slice(None)) -> dict[str, np.ndarray]:
        """The primary features of some samples by name: ndarray (n,) each."""
        return dict(zip(self.names, np.ascontiguousarray(self.X[rows].T), strict=True))

    def only(self, names: Sequence[str]) -> TrainingTable:
        """The same with these primary features alone."""
        index = [self.names.index(name) for name in names]
        units = tuple(self.units[i] for i in index)
        return replace(self, names=tuple(names), units=units, X=np.ascontiguousarray(self.X[:, index]))

    def of_rows(self, rows: np.ndarray) -> TrainingTable:
        """Some samples (n,) of one task, by their numbers, as a table without tasks."""
        errors = None if self.errors is None or not self.errors[rows].any() else self.errors[rows]
        parts = {name: getattr(self, name)[rows] for name in ("X", "y", "weights", "groups")}
        return replace(self, **parts, errors=errors, tasks=None)

    def with_errors(self, errors: np.ndarray) -> TrainingTable:
        """The same with standard deviations (n_samples,) of the labels, from which weights follow too; see `label_weights`."""
        if not errors.any():
            return self
        return replace(self, errors=errors, weights=self.weights * label_weights(errors))

    def weighted(self, factors: np.ndarray) -> TrainingTable:
        """The same with the weights multiplied by factors (n_samples,)."""
        return replace(self, weights=self.weights * factors)

    def in_groups(self, groups: np.ndarray, grouping: Grouping) -> TrainingTable:
        """The same with samples of the same number (n_samples,) as one material."""
        columns = self.X.T[sorted(range(len(self.names)), key=self.names.__getitem__)]
        tasks = self.task_numbers
        columns = columns if tasks is None else np.vstack([columns, tasks])
        numbers = canonical_numbers(columns, self.y, self.weights, groups)
        return replace(self, groups=numbers, grouping=grouping)


def checked_table(
    headers: Sequence[str],
    X: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    *,
    target: str,
    units: Sequence[str] | None = None,
) -> TrainingTable:
    """A table of numbers under its headers; each sample is a material of its own (`TrainingTable.in_groups`).

    Parameters
    ----------
    headers : sequence of str
        Of the primary features, with their units.
    X : ndarray (n_samples, n_primary)
    y, weights : ndarray (n_samples,)
    target : str
        Header of the labels.
    units : sequence of str, optional
        Unit of each feature, in the place of those in the headers.

    Raises
    ------
    SettingsError
        There are other features than units, or two features of one name.
    UnitError
        The unit of a feature cannot be used.
    FitError
        A number is too large for double precision.
    """
    split = [split_header(header) for header in headers]
    names, own_units = tuple(name for name, _ in split), tuple(unit for _, unit in split)
    if units is not None:
        if len(units) != len(names):
            raise SettingsError(f"units: needs one for each of {len(names)} features, found {len(units)}")
        own_units = tuple(units)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SettingsError(f"features: needs names that differ, found '{twice}' twice")
    check_units("features", zip(headers, own_units, strict=True))
    check_features(names, X)
    return TrainingTable(names, own_units, X, y, weights, np.arange(len(y)), *split_header(target))


def table_of(space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray | None = None) -> TrainingTable:
    """What is known of some candidates of a space; those of one material are told by `Space.groups` or else by `grouped`.

    Parameters
    ----------
    space : Space
    rows : ndarray (n_samples,) of int
        Numbers of the candidates.
    labels : ndarray (n_samples,)
        In the target's unit.
    errors : ndarray (n_samples,), optional
        Standard deviations of the labels, in the target's unit; 0 where a label has none.

    Raises
    ------
    SettingsError, UnitError, FitError
        See `checked_table`; also a space without features, or one with a value that is missing.
    """
    columns, headers = space.rows(rows).features, [feature.header for feature in space.features]
    if not headers:
        raise FitError("fit: needs a primary feature at least, found none")
    X = np.column_stack([columns[feature.name] for feature in space.features])
    undefined = np.flatnonzero(~np.isfinite(X).all(axis=0))
    if len(undefined):
        raise FitError(
            f"feature '{space.features[undefined[0]].name}': needs finite numbers, found a gap or an infinity"
        )
    target = space.target.header if space.target else ""
    groups, grouping = groups_of(space, rows, X)
    table = checked_table(headers, X, labels, np.ones(len(labels)), target=target or "y")
    table = table if errors is None else table.with_errors(errors)
    return table.in_groups(groups, grouping)


def groups_of(space: Space, rows: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, Grouping]:
    """Which of these rows (n,) of a space, with features X (n, n_primary), are one material: numbers (n,), and what decided."""
    known = space.groups
    if known is not None:
        return known[rows], Grouping("column", space.settings.get("group") or "")
    return grouped(X, composition=space.rows(rows).composition)


def label_weights(errors: np.ndarray) -> np.ndarray:
    """Sample weights from the standard deviations of labels: 1 / (1 + (s / s0)^2), with s0 the median of those that are not zero.

    A label without an error counts fully, a typical one of those with an error half.

    Parameters
    ----------
    errors : ndarray (n,)
        In the target's unit; 0 where a label has none.

    Examples
    --------
    >>> label_weights(np.array([0.0, 0.1, 0.1, 0.3])).round(2).tolist()
    [1.0, 0.5, 0.5, 0.1]
    """
    return 1.0 / (1.0 + (errors / np.median(errors[errors > 0])) ** 2)
