"""The SISSO ensemble as a campaign sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from sisso_sal.models.assembly import fit_ensemble
from sisso_sal.models.baseline import low_of
from sisso_sal.models.costs import prediction_cost
from sisso_sal.models.files import model_document
from sisso_sal.models.inputs import table_of
from sisso_sal.models.materials import materials_of
from sisso_sal.models.recipe import recipe_of
from sisso_sal.models.stored import StoredModel
from sisso_sal.protocols import Prediction, Progress, Space
from sisso_sal.settings.campaign import CampaignSettings


class SISSO:
    """An ensemble of formulas, fitted on rows of a space, compositions and errors of labels included.

    Parameters
    ----------
    settings : mapping
        All parameters of a `SISSOEnsemble`; with None for ``low`` it is what `low_of` finds in the space.

    Attributes
    ----------
    model : EnsembleModel
        After `fit`.
    """

    def __init__(self, settings: Mapping[str, Any]):
        self.settings, self._low = dict(settings), settings["low"]
        self._earlier: Mapping[str, Any] | None = None

    def begin_from(self, handover: Mapping[str, Any]) -> None:
        """Let the correction begin where that of an earlier fit ended; see `Continues`."""
        self._earlier = handover

    def handover(self) -> dict[str, Any] | None:
        """What a later fit may begin from; see `Correction.handover`."""
        return self.model.correction.handover if self.model.correction else None

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> SISSO:
        """Learn from labels; see `Surrogate`. The error of a label makes it count less, and adds to the noise of every learner."""
        table = table_of(space, rows, labels, errors)
        self.settings["low"] = low_of(self._low, space)
        recipe, shares = recipe_of(self.settings), space.rows(rows).composition
        predicted = prediction_cost(recipe, len(space.ids), len(rows), len(table.names), shares is not None)
        self._materials = materials_of(space, rows)[1]
        assembled = fit_ensemble(recipe, table, shares, earlier=self._earlier, later=(predicted,), progress=progress)
        self.model, self._out_of_bag = assembled.model, (assembled.oob_mean, assembled.oob_std)
        if not self.model.counts.is_complete:
            raise KeyboardInterrupt
        return self

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """The prediction of the ensemble; see `Surrogate`."""
        wanted = space.rows(rows)
        return self.model.predict_distribution(wanted.features, wanted.composition)

    @property
    def out_of_bag(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and raw spread of the members that did not see a label: ndarray (n_labelled,) each, in the target's unit."""
        return self._out_of_bag

    @property
    def estimates(self) -> tuple[str, ...]:
        """Low columns, see `low_of`."""
        return tuple(self.settings["low"])

    def describe(self, space: Space) -> dict[str, Any]:
        """Formulas, choices, calibration and counts, see `EnsembleModel.describe`; and ``materials``, see `materials_told`."""
        described = self.model.describe(space.rows().features, *_target(space))
        return described | {"materials": self._materials}

    def document(self, space: Space) -> dict[str, Any]:
        """The content of a model file; see `sisso_sal.models.files`."""
        return model_document(StoredModel(self.model, self.settings), *_target(space))


def _target(space: Space) -> tuple[str, str]:
    return (space.target.name, space.target.unit) if space.target else ("", "")


def make_sisso(settings: CampaignSettings, seed: int, threads: int | None) -> SISSO:
    """An unfitted ensemble of formulas with the parameters that settings name."""
    formulas = settings.model.completed(ensemble=True).estimator_parameters()
    ensemble = settings.ensemble.estimator_parameters()
    ensemble["positive"] = positive_for(settings.ensemble.positive, settings.goal)
    ensemble["low"] = settings.ensemble.low
    return SISSO({**formulas, **ensemble, "threads": threads, "random_state": seed})


def positive_for(positive: str, goal: str) -> str:
    """What ``auto`` leaves open is decided by a goal with a bound below zero: whoever looks for such values believes in them.

    Examples
    --------
    >>> positive_for("auto", "<=-0.5"), positive_for("auto", "min"), positive_for("yes", "<=-0.5")
    ('no', 'auto', 'yes')
    """
    numbers = re.findall(r"(?<![\deE])-(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", "".join(goal.split()))
    looks_below_zero = any(float(number) < 0 for number in numbers)
    return "no" if positive == "auto" and looks_below_zero else positive
