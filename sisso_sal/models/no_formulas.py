"""The learners of the correction without any formula: they learn the labels themselves, to tell what formulas are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from sisso_sal.features.space import SpaceSettings
from sisso_sal.models.baseline import NOTHING_LEFT, Baseline, Form, baseline_of, forms_of, low_of
from sisso_sal.models.calibration import Calibration, calibrate
from sisso_sal.models.correction import Correction, Kernels
from sisso_sal.models.costs import correction_cost
from sisso_sal.models.ensemble_model import shift_told
from sisso_sal.models.fitting import SearchSettings
from sisso_sal.models.groups import Provenance, canonical_order
from sisso_sal.models.inputs import table_of
from sisso_sal.models.magnitudes import check_labels
from sisso_sal.models.materials import materials_of
from sisso_sal.models.recalibration import Recalibration
from sisso_sal.models.recipe import EnsembleRecipe
from sisso_sal.models.sisso import positive_for
from sisso_sal.models.transform import TargetTransform
from sisso_sal.protocols import Prediction, Progress, Rows, Space
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.system.costs import announce

N_MEMBERS = 30
"""Draws of each candidate by itself, for acquisitions that want members."""


class NoFormulas:
    """Trees and Gaussian processes as in `Correction`, with the recalibration of the ensemble but without its formulas.

    Parameters
    ----------
    kind : str
        ``trees``, ``process`` or ``both``, see `Correction`.
    recalibrate : str
        See `Recalibration`.
    transform : str
        See `TargetTransform`.
    seed : int
    positive : str
        See `EnsembleRecipe.floor`.
    low : sequence of str or None
        Columns that estimate the target at low cost; with None what `low_of` finds in the space. Errors of labels that were left
        out choose whether to learn the target, or the rest that such a number or a line through it leaves; see `Form`.

    Attributes
    ----------
    correction : Correction
    baseline : Baseline or None
        What it learns the rest of.
    recalibration : Recalibration
        All after `fit`.
    """

    def __init__(
        self,
        kind: str = "both",
        recalibrate: str = "isotonic",
        transform: str = "none",
        seed: int = 0,
        positive: str = "auto",
        low: Sequence[str] | None = (),
    ):
        self.kind, self.recalibrate, self.transform, self.seed = kind, recalibrate, transform, seed
        self.positive, self.low = positive, low
        self._earlier: Mapping[str, Any] | None = None

    def begin_from(self, handover: Mapping[str, Any]) -> None:
        """Let the processes begin where those of an earlier fit ended; see `Continues`."""
        self._earlier = handover

    def handover(self) -> dict[str, Any] | None:
        """What a later fit may begin from; see `Correction.handover`."""
        return self.correction.handover

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> NoFormulas:
        """Learn from labels; see `Surrogate`."""
        check_labels(space.target.name if space.target else "", labels)
        table, known = table_of(space, rows, labels, errors), space.rows(rows)
        features, shares = _features(known), known.composition
        self._materials = materials_of(space, rows)[1]
        columns = features if shares is None else np.hstack([features, shares])
        order = canonical_order(columns.T, labels, table.weights, table.groups)
        ordered, groups = labels[order], table.groups[order]
        link = TargetTransform.fit(self.transform, ordered)
        recipe = EnsembleRecipe(
            space=SpaceSettings(), search=SearchSettings(), correction=self.kind, positive=self.positive
        )
        self.estimates = tuple(low_of(self.low, space))
        forms = forms_of(table, self.estimates, self.transform)
        announce([correction_cost(recipe, len(labels), features.shape[1], shares is not None, len(forms))])
        own = None if table.errors is None else link.forward_error(ordered, table.errors[order])
        learn = partial(
            Correction, self.kind, features[order], None, seed=self.seed,
            composition=None if shares is None else shares[order],
            kernels=Kernels(earlier=self._earlier), provenance=Provenance(groups, own),
        )  # fmt: skip
        columns = table.columns(order)
        known, self.baseline, self.correction = _best_of(forms, columns, link.forward(ordered), learn)
        self._link = link
        mean, std = link.back(self.correction.left_out_mean + known, self.correction.left_out_std)
        self.floor = recipe.floor(labels)
        self._calibration, self.recalibration = self._calibrated(ordered, mean, std, groups)
        self._left_out = np.empty(len(order)), np.empty(len(order))
        for part, values in zip(self._left_out, (mean, std), strict=True):
            part[order] = values
        return self

    def _calibrated(
        self, labels: np.ndarray, mean: np.ndarray, std: np.ndarray, groups: np.ndarray
    ) -> tuple[Calibration | None, Recalibration]:
        known = np.isfinite(labels - mean) & (std > 0)
        if not known.any():
            return None, Recalibration()
        return calibrate(labels[known], mean[known], std[known], self.recalibrate, groups[known], self.floor)

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """Mean and recalibrated standard deviation of the mixture of all learners; see `Surrogate`."""
        wanted = space.rows(rows)
        features, shares = _features(wanted), wanted.composition
        rest, raw = self.correction.predict(features, None, shares)
        known = 0.0 if self.baseline is None else self.baseline.values(wanted.features)
        mean, raw = self._link.back(rest + known, raw)
        told = self.recalibration.distribution(mean, raw, self.floor)
        members = told.mean + told.std * np.random.default_rng(self.seed).standard_normal((N_MEMBERS, len(mean)))
        return Prediction(
            told.mean, told.std, raw, members, np.isfinite(members),
            distribution=told,
        )  # fmt: skip

    @property
    def out_of_bag(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and raw sigma without the label itself: ndarray (n_labelled,) each, in the target's unit."""
        return self._left_out

    def describe(self, space: Space) -> dict[str, Any]:
        """How sigma compares with the errors of the labels that were left out."""
        is_raw = self._calibration is None or self._calibration.kind == "none"
        return {
            "correction": self.kind,
            "sigma": "raw" if is_raw else "recalibrated",
            "calibration": self._calibration.as_dict() if self._calibration else None,
            "shift": shift_told(self.correction, self._link),
            "materials": self._materials,
        }


def _best_of(
    forms: Sequence[Form], columns: Mapping[str, np.ndarray], target: np.ndarray, learn: Callable[..., Correction]
) -> tuple[np.ndarray, Baseline | None, Correction]:
    """What is known before (n,), of which baseline, and the correction that predicts labels best that it did not see."""
    tried = []
    for form in forms:
        baseline = baseline_of(form, columns, target, np.ones(len(target)), fit_intercept=True)
        known = np.zeros(len(target)) if baseline is None else baseline.values(columns)
        if baseline is not None and np.ptp(target - known) <= NOTHING_LEFT * np.ptp(target):
            known, baseline = np.zeros(len(target)), None
        correction = learn(target=target - known)
        error = float(np.abs(correction.left_out_mean + known - target).mean())
        tried.append((error, known, baseline, correction))
    return min(tried, key=lambda one: one[0])[1:]


def _features(rows: Rows) -> np.ndarray:
    """ndarray (n, n_primary): primary features, columns in the order of the names."""
    return np.column_stack([rows.features[name] for name in sorted(rows.features)])


def make_no_formulas(settings: CampaignSettings, seed: int, threads: int | None) -> NoFormulas:
    """Unfitted learners of the ensemble that settings name, all of them where its correction is ``none``."""
    ensemble = settings.ensemble
    kind = "both" if ensemble.correction == "none" else ensemble.correction
    positive = positive_for(ensemble.positive, settings.goal)
    return NoFormulas(kind, ensemble.recalibrate, ensemble.transform, seed, positive, ensemble.low)
