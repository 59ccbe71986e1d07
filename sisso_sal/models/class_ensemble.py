"""An ensemble of classifiers whose probabilities are calibrated by the samples that its members did not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, final

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from sisso_sal.engine.class_problem import ClassProblem
from sisso_sal.engine.class_search import search_classes
from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models.bootstrap import draw_allowed, draw_counts, leave_each_out
from sisso_sal.models.class_calibration import ClassCalibration, ClassScaling, held_out_scaling
from sisso_sal.models.class_formulas import class_models, criterion_of, for_search
from sisso_sal.models.class_model import ClassModel, plain_classes
from sisso_sal.models.classifier import class_factors
from sisso_sal.models.estimators import columns_of
from sisso_sal.models.fitting import Prepared, prepare, search_settings, space_settings
from sisso_sal.models.groups import consecutive, grouped
from sisso_sal.models.inputs import TrainingTable, checked_table
from sisso_sal.protocols import Progress

MOST_DRAWS = 1000
"""Times that a member is drawn until each class is in it."""


@dataclass(frozen=True, eq=False)
class ClassMembers:
    """The members of an ensemble, and what those that did not see a sample say of it.

    Attributes
    ----------
    models : list of ClassModel
    out_of_bag : ndarray (n_samples, n_classes)
        Mean probability of each class, scaled by what other materials tell; NaN where no member says anything.
    scaling : ClassScaling
    raw, calibration : ClassCalibration
        Of the out-of-bag probabilities before and after the scaling.
    """

    models: list[ClassModel]
    out_of_bag: np.ndarray
    scaling: ClassScaling
    raw: ClassCalibration
    calibration: ClassCalibration

    def probability(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """ndarray (n, n_classes): mean over the members that are defined there, scaled; NaN where none is."""
        mean, _ = mean_probability(self.models, columns)
        return self.scaling.applied(mean)


def mean_probability(
    models: Sequence[ClassModel], columns: Mapping[str, np.ndarray], is_asked: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean probability (n, n_classes) over members, NaN where none is defined; and the number of members that are (n,).

    Parameters
    ----------
    models : sequence of ClassModel
    columns : mapping of str to ndarray (n,)
    is_asked : ndarray (n_members, n) of bool, optional
        Which members are asked for which samples.
    """
    every = np.array([model.probability(columns) for model in models])
    counts = np.logical_and.reduce(np.isfinite(every), axis=2)
    counts = counts if is_asked is None else counts & is_asked
    total = np.where(counts[:, :, None], every, 0.0).sum(axis=0)
    number = counts.sum(axis=0)
    return np.where(number[:, None] > 0, total / np.maximum(number, 1)[:, None], np.nan), number


def draw_class_problems(prepared: Prepared, members: int, dropout: float, seed: int, least: int) -> list[ClassProblem]:
    """Weights and allowed primary features of each member: materials are drawn, and each class is in each member.

    Parameters
    ----------
    prepared : Prepared
    members : int
    dropout : float
        Share of the primary features that a member may not use.
    seed : int
    least : int
        Samples that a member needs.

    Raises
    ------
    FitError
        A class has too few materials to be in each member.
    """
    labels, material = prepared.target.astype(np.int64), consecutive(prepared.groups)
    n_materials, n_classes = int(material.max()) + 1, len(np.unique(labels))

    def is_enough(drawn: np.ndarray) -> bool:
        rows = drawn[material] > 0
        has_all = len(np.unique(labels[rows])) == n_classes
        return bool(has_all and np.count_nonzero(rows) >= min(least, len(labels)))

    samples, allowed = [], []
    for stream in np.random.SeedSequence(seed).spawn(members):
        rng = np.random.default_rng(stream)
        draws = (draw_counts(n_materials, rng) for _ in range(MOST_DRAWS))
        drawn = next((one for one in draws if is_enough(one)), None)
        if drawn is None:
            raise FitError("fit: needs more materials of the rarest class, found no bootstrap sample with all classes")
        samples.append(drawn)
        allowed.append(draw_allowed(len(prepared.names), dropout, rng))
    every = leave_each_out(np.array(samples), is_enough, seed)
    return [
        ClassProblem(labels, drawn[material] * prepared.weights, features)
        for drawn, features in zip(every, allowed, strict=True)
    ]


def fit_members(
    settings: Mapping[str, Any],
    table: TrainingTable,
    classes: Sequence[Any] | np.ndarray,
    progress: Progress | None = None,
) -> ClassMembers:
    """The members of an ensemble, all searched for in one pass over the features for each dimension.

    Parameters
    ----------
    settings : mapping
        Parameters of a `SISSOClassifierEnsemble`.
    table : TrainingTable
        With the number of its class as the label of each sample.
    classes : sequence
    progress : callable, optional

    Raises
    ------
    FitError, SettingsError
        See `SISSOClassifierEnsemble.fit`.
    """
    if len(present := np.unique(table.y[table.weights > 0])) < 2:
        raise FitError(f"fit: needs samples of at least two classes, found {len(present)} class")
    members, dropout, seed = settings["members"], settings["dropout"], settings["random_state"]
    if not (isinstance(members, int | np.integer) and members >= 2):
        raise SettingsError(f"members: needs a number of at least 2, found {members!r}")
    if not 0.0 <= dropout < 1.0:
        raise SettingsError(f"dropout: needs a share below 1, found {dropout!r}")
    search = search_settings(for_search(settings), 1)
    prepared = prepare(table, space_settings(settings), search)
    problems = draw_class_problems(prepared, int(members), dropout, seed, search.dim + 2)
    criterion, sizes = criterion_of(settings, classes), prepared.size.sizes
    options = {"keep": max(search.n_residual, 1), "threads": search.n_threads, "progress": progress}
    results, _ = search_classes(prepared.space, problems, criterion, sizes, **options)
    formula, names = cache(prepared.space.expression), plain_classes(classes)
    models = [class_models(prepared, result, settings, names, formula)[-1][0] for result in results]
    unseen = np.array([problem.weights == 0 for problem in problems])
    mean, _ = mean_probability(models, table.columns(prepared.order), unseen)
    return _calibrated(prepared, models, mean, seed, len(table.y))


def _calibrated(prepared: Prepared, models: list[ClassModel], mean: np.ndarray, seed: int, n_rows: int) -> ClassMembers:
    """What the out-of-bag probabilities (n_samples, n_classes), in the order of the problems, say of themselves."""
    told = np.flatnonzero(~np.isnan(mean).any(axis=1))
    if not len(told):
        raise FitError("fit: needs a sample that some member did not see, found none; try more members")
    labels, weights = prepared.target.astype(np.int64)[told], prepared.weights[told]
    scaling = ClassScaling.fit(mean[told], labels, weights)
    scaled = held_out_scaling(mean[told], labels, weights, consecutive(prepared.groups[told]), seed)
    out = np.full((n_rows, mean.shape[1]), np.nan)
    out[prepared.order[told]] = scaled
    return ClassMembers(
        models, out, scaling, ClassCalibration.of(mean[told], labels), ClassCalibration.of(scaled, labels)
    )


@final
class SISSOClassifierEnsemble(ClassifierMixin, BaseEstimator):
    """Many classifiers on bootstrap samples, each without some primary features; their mean is a calibrated probability.

    Parameters
    ----------
    members : int
    dropout : float
        Share of the primary features that are hidden from each member.
    random_state : int
        Seed of the draws.
    operators, rung, dim, n_sis, n_residual, max_complexity, max_features, min_abs, max_abs, unit_rules, criterion, boundary, width
        See `SISSOClassifier`, as for convex, ridge, class_weight, units and threads.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    members_ : list of ClassModel
    oob_probability_ : ndarray (n_samples, n_classes)
        Of the samples of `fit`, by members that did not see them and a scaling that other materials gave.
    calibration_, raw_calibration_ : ClassCalibration
        Of these, and of those that were not scaled: accuracy, log loss, Brier score, reliability.
    fitted_ : ClassMembers

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(1, 2, (120, 3))
    >>> y = rng.uniform(size=120) < 1 / (1 + np.exp(-12 * (X[:, 0] / X[:, 1] - 1)))
    >>> model = SISSOClassifierEnsemble(members=20, rung=1, dim=1, n_sis=5, criterion="likelihood", threads=1).fit(X, y)
    >>> model.calibration_.is_believable
    True
    """

    def __init__(
        self,
        *,
        members=30,
        dropout=0.2,
        random_state=0,
        operators=None,
        rung=2,
        dim=2,
        n_sis=20,
        n_residual=1,
        max_complexity=None,
        max_features=None,
        min_abs=1e-5,
        max_abs=1e5,
        unit_rules="strict",
        criterion="likelihood",
        boundary="logistic",
        width=0.001,
        convex=None,
        ridge=0.01,
        class_weight=None,
        units=None,
        threads=None,
    ):
        self.members = members
        self.dropout = dropout
        self.random_state = random_state
        self.operators = operators
        self.rung = rung
        self.dim = dim
        self.n_sis = n_sis
        self.n_residual = n_residual
        self.max_complexity = max_complexity
        self.max_features = max_features
        self.min_abs = min_abs
        self.max_abs = max_abs
        self.unit_rules = unit_rules
        self.criterion = criterion
        self.boundary = boundary
        self.width = width
        self.convex = convex
        self.ridge = ridge
        self.class_weight = class_weight
        self.units = units
        self.threads = threads

    def fit(self, X, y, sample_weight=None, *, groups=None, progress=None):
        """Find the members.

        Parameters
        ----------
        X, y, sample_weight
            See `SISSOClassifier.fit`.
        groups : array (n_samples,), optional
            Samples with the same one are one material, which is drawn and left out as a whole; see `grouped`.
        progress : callable, optional

        Returns
        -------
        self

        Raises
        ------
        FitError, SettingsError
            See `SISSOClassifier.fit`; also too few materials of a class.
        """
        checked = validate_data(self, X, y, dtype=np.float64)
        X, y = np.asarray(checked[0]), np.asarray(checked[1])
        check_classification_targets(y)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        self.classes_, codes = np.unique(y, return_inverse=True)
        weights = weights * class_factors(self.class_weight, self.classes_, codes, weights)
        named = getattr(self, "feature_names_in_", None)
        headers = [f"x{i}" for i in range(X.shape[1])] if named is None else [str(header) for header in named]
        table = checked_table(headers, X, codes.astype(np.float64), weights, target="y", units=self.units)
        table = table.in_groups(*grouped(X, groups))
        self.fitted_ = fit_members(self.get_params(), table, self.classes_, progress)
        self.primaries_, self.units_ = table.names, table.units
        return self

    @property
    def members_(self) -> list[ClassModel]:
        return self.fitted_.models

    @property
    def oob_probability_(self) -> np.ndarray:
        return self.fitted_.out_of_bag

    @property
    def calibration_(self) -> ClassCalibration:
        return self.fitted_.calibration

    @property
    def raw_calibration_(self) -> ClassCalibration:
        return self.fitted_.raw

    def predict_proba(self, X):
        """Calibrated probability of each class: ndarray (n, n_classes); NaN where no member is defined."""
        check_is_fitted(self)
        return self.fitted_.probability(columns_of(self, X))

    def predict(self, X):
        """The most probable class: ndarray (n,); the first one where no member is defined."""
        number = np.nan_to_num(self.predict_proba(X)).argmax(axis=1)
        return self.classes_[number]

    def n_valid(self, X) -> np.ndarray:
        """ndarray (n,) of int: members whose descriptors are defined."""
        check_is_fitted(self)
        return mean_probability(self.members_, columns_of(self, X))[1]
