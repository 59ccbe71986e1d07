"""What a campaign over classes predicts with: the probability that a material is of a class that is looked for.

Formulas, and beside them what they are compared with: a forest, and a logistic regression. All see the primary features alone.
Labels are 1 where the class is one of those that are looked for, else 0: which of the other classes it is does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from sisso_sal.data.neighbours import relative_distance
from sisso_sal.features.typeset import written
from sisso_sal.models.class_calibration import PULL_OF_CHOSEN, ClassCalibration, ClassScaling
from sisso_sal.models.class_formulas import FIXED
from sisso_sal.models.class_members import ClassMembers, fit_members, mean_probability
from sisso_sal.models.class_model import ClassModel
from sisso_sal.models.classifier import CLASS_SETTINGS
from sisso_sal.models.files import model_document
from sisso_sal.models.groups import in_order_of_rows, n_materials
from sisso_sal.models.inputs import table_of
from sisso_sal.models.materials import materials_of
from sisso_sal.models.stored import StoredModel
from sisso_sal.models.surrogates import N_TREES_OF_FOREST, drawn_materials
from sisso_sal.models.trees import seeds_of_trees
from sisso_sal.protocols import Prediction, Progress, Space
from sisso_sal.protocols.distribution import Distribution
from sisso_sal.settings.campaign import CampaignSettings

MORE_THAN_TERMS = 3
"""Labels beyond the number of terms below which no formula is looked for: a member needs one less, and leaves one out."""

N_TYPICAL = 3


class BaseRate:
    """Where nothing can be told apart: each candidate has the same probability, that of the rule of succession (Laplace, 1774).

    Parameters
    ----------
    labels : ndarray (n_labelled,)
        0 or 1.
    fewest : int
        Labels that are needed.

    Examples
    --------
    >>> BaseRate(np.array([0.0, 0.0, 0.0]), 4).why, BaseRate(np.array([0.0, 1.0]), 2).why
    ('no label is a hit so far, so nothing tells hits apart', '')
    """

    def __init__(self, labels: np.ndarray, fewest: int):
        hits, n = int(labels.sum()), len(labels)
        self.value = (hits + 1) / (n + 2)
        self.why = ""
        if hits in (0, n):
            self.why = f"{'no label' if not hits else 'every label'} is a hit so far, so nothing tells hits apart"
        elif n < fewest:
            self.why = f"{n} labels are too few to tell hits apart, {fewest} are needed"

    def prediction(self, n: int, distance: np.ndarray) -> Prediction:
        """Of n candidates; `distance` (n,) as in `Prediction`."""
        return hit_prediction(np.full(n, self.value), np.empty((0, n)), distance)


def hit_prediction(
    probability: np.ndarray,
    members: np.ndarray,
    distance: np.ndarray,
    cause: np.ndarray | None = None,
    formulas_mean: np.ndarray | None = None,
) -> Prediction:
    """A prediction of the probability to be a hit.

    Parameters
    ----------
    probability : ndarray (n,)
        0 to 1; NaN where there is no prediction.
    members : ndarray (n_members, n)
        What each member says, NaN where it says nothing; (0, n) without members.
    distance, cause, formulas_mean
        See `Prediction`.

    Returns
    -------
    Prediction
        ``mean`` is the probability; ``std`` and ``range95`` are the spread of the members, NaN where fewer than two say something.

    Examples
    --------
    >>> told = hit_prediction(np.array([0.25]), np.array([[0.1], [0.4]]), np.zeros(1))
    >>> told.mean.tolist(), told.std.round(3).tolist(), told.told.probability(low=0.5).tolist()
    ([0.25], [0.212], [0.25])
    """
    valid = np.isfinite(members)
    spread, ends = np.full(len(probability), np.nan), np.full((2, len(probability)), np.nan)
    enough = valid.sum(axis=0) > 1
    if enough.any():
        said = members[:, enough]
        spread[enough] = np.nanstd(said, axis=0, ddof=1)
        ends[:, enough] = np.nanquantile(said, [0.025, 0.975], axis=0)
    told = Distribution.of_hits(probability)
    return Prediction(
        probability, spread, spread, members, valid,
        distribution=told, formulas_mean=formulas_mean, distance=distance, cause=cause, range95=ends,
    )  # fmt: skip


class HitFormulas:
    """An ensemble of formulas for the log-odds to be a hit, see `SISSOClassifierEnsemble`.

    Parameters
    ----------
    settings : mapping
        Parameters of a `SISSOClassifierEnsemble`.
    name : str
        The classes that are looked for, as they are to be called.

    Attributes
    ----------
    fitted : ClassMembers or None
        After `fit`; None where nothing can be told apart.
    """

    def __init__(self, settings: Mapping[str, Any], name: str):
        self.settings, self.name = dict(settings), name

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> HitFormulas:
        """Learn from labels; see `Surrogate`. A label of a class has no error."""
        groups, self._materials = materials_of(space, rows)
        self._rate, self._known = BaseRate(labels, self.settings["dim"] + MORE_THAN_TERMS), space.rows(rows).matrix
        self._left_out, self.fitted = np.full(len(labels), np.nan), None
        if self._rate.why:
            return self
        classes = f"not {self.name}", self.name
        fitted = fit_members(self.settings, table_of(space, rows, labels), classes, progress, PULL_OF_CHOSEN)
        if min(n_materials(groups[labels == side]) for side in (0, 1)) < 2:
            # The only material of its kind is in each member: nothing is known of what the members would say without it.
            fitted = replace(fitted, scaling=ClassScaling(1.0, np.zeros(2)))
        if fitted.out_of_bag is not None:
            self.fitted, self._left_out = fitted, fitted.out_of_bag[:, 1]
        return self

    @property
    def untold(self) -> str:
        """Why nothing can be told apart; "" where it can."""
        return self._rate.why

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """Scaled probabilities of the ensemble, and of each member; see `hit_prediction`."""
        wanted = space.rows(rows)
        distance = relative_distance(wanted.matrix, self._known)
        if self.fitted is None:
            return self._rate.prediction(len(rows), distance)
        columns, fitted = wanted.features, self.fitted
        members = np.array([_scaled(fitted, model, columns) for model in fitted.models])
        cause = np.array([model.cause(columns) for model in fitted.models], dtype=np.int8)
        unscaled = mean_probability(fitted.models, columns)[0][:, 1]
        return hit_prediction(fitted.probability(columns)[:, 1], members, distance, cause, unscaled)

    @property
    def out_of_bag(self) -> tuple[np.ndarray, np.ndarray]:
        """Probability of the members that did not see a label, scaled by what other materials tell, and NaN: (n_labelled,) each."""
        return self._left_out, np.full(len(self._left_out), np.nan)

    def describe(self, space: Space) -> dict[str, Any]:
        """The most typical formulas, features that recur, and how far the probabilities can be believed."""
        about = {"untold": self.untold, "materials": self._materials}
        if self.fitted is None:
            return about
        return about | {
            "n_members": len(self.fitted.models),
            "typical": [
                {"member": one.number} | _formula_told(self.fitted.models[one.number], one.distance, one.n_members)
                for one in self.fitted.typical(space.rows().features, N_TYPICAL)
            ],
            "recurrence": {"primaries": self.fitted.recurrence()["primaries"]},
            "probabilities": self.fitted.calibration.to_json(),
        }

    def document(self, space: Space) -> dict[str, Any] | None:
        """The content of a model file, see `sisso_sal.models.files`; None where nothing can be told apart."""
        if self.fitted is None:
            return None
        named = (space.target.name, space.target.unit) if space.target else ("", "")
        return model_document(StoredModel(self.fitted, self.settings | FIXED, *named), *named)


def _scaled(fitted: ClassMembers, model: ClassModel, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """What one member says, on the scale of the ensemble: ndarray (n,)."""
    return fitted.scaling.applied(model.probability(columns))[:, 1]


def _formula_told(model: ClassModel, distance: float, n_members: int) -> dict[str, Any]:
    """A formula of log-odds as plain data."""
    (lane,) = model.lanes
    return {
        "equation": lane.equation("log_odds"),
        "shown": lane.shown("log_odds"),
        "terms": [{"shown": written(one, "plain"), "expression": str(one)} for one in model.expressions],
        "accuracy": model.accuracy,
        "log_loss": model.log_loss,
        "apart": distance if np.isfinite(distance) else None,
        "n_members": n_members,
    }


class HitForest:
    """A random forest of classification trees, which are the members (Breiman, Mach. Learn. 45, 5 (2001)).

    The trees draw materials, all labels of one together. The probability is the mean over the trees, as it is.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int = 0):
        self.seed = seed

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> HitForest:
        """Learn from labels; see `Surrogate`."""
        groups, self._materials = materials_of(space, rows)
        self._rate, self._known = BaseRate(labels, 2), space.rows(rows).matrix
        self._labels, self._left_out, self._trees = labels, np.full(len(labels), np.nan), []
        if self._rate.why:
            return self
        material, inputs = in_order_of_rows(groups), self._known.astype(np.float32, order="C")
        unseen = np.zeros((N_TREES_OF_FOREST, len(labels)), dtype=bool)
        for tree, own in enumerate(seeds_of_trees(self.seed % 2**32, N_TREES_OF_FOREST)):
            counts = drawn_materials(material, None, np.random.RandomState(own))
            grown = DecisionTreeClassifier(max_features="sqrt", random_state=own)
            self._trees.append(grown.fit(inputs, labels, counts))
            unseen[tree] = counts == 0
        said = np.where(unseen, self._members(inputs), 0.0).sum(axis=0)
        n = unseen.sum(axis=0)
        self._left_out = np.where(n > 0, said / np.maximum(n, 1), np.nan)
        return self

    @property
    def untold(self) -> str:
        """Why nothing can be told apart; "" where it can."""
        return self._rate.why

    def _members(self, inputs: np.ndarray) -> np.ndarray:
        return np.array([tree.predict_proba(inputs)[:, 1] for tree in self._trees])

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """Mean of the trees; see `hit_prediction`."""
        matrix = space.rows(rows).matrix
        distance = relative_distance(matrix, self._known)
        if not self._trees:
            return self._rate.prediction(len(rows), distance)
        members = self._members(matrix.astype(np.float32, order="C"))
        return hit_prediction(members.mean(axis=0), members, distance)

    @property
    def out_of_bag(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean of the trees that did not see a material, and NaN: ndarray (n_labelled,) each."""
        return self._left_out, np.full(len(self._left_out), np.nan)

    def describe(self, space: Space) -> dict[str, Any]:
        """Number of trees, and how their probabilities compare with the labels they did not see."""
        about: dict[str, Any] = {"untold": self.untold, "materials": self._materials}
        known = np.isfinite(self._left_out)
        if not self._trees or not known.any():
            return about
        claimed = self._left_out[known]
        told = ClassCalibration.of(np.column_stack([1.0 - claimed, claimed]), self._labels[known].astype(np.int64))
        return about | {"n_members": len(self._trees), "probabilities": told.to_json()}


class HitLogistic:
    """A logistic regression on the standardised primary features, with the usual L2 penalty (C = 1).

    It is one model without members: it gives a probability and no spread.
    """

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> HitLogistic:
        """Learn from labels; see `Surrogate`."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._materials = materials_of(space, rows)[1]
        self._rate, self._known = BaseRate(labels, 2), space.rows(rows).matrix
        self._model = None
        if not self._rate.why:
            self._model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(self._known, labels)
        return self

    @property
    def untold(self) -> str:
        """Why nothing can be told apart; "" where it can."""
        return self._rate.why

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """Probabilities; see `hit_prediction`."""
        matrix = space.rows(rows).matrix
        distance = relative_distance(matrix, self._known)
        if self._model is None:
            return self._rate.prediction(len(rows), distance)
        return hit_prediction(self._model.predict_proba(matrix)[:, 1], np.empty((0, len(rows))), distance)

    def describe(self, space: Space) -> dict[str, Any]:
        """Of how many materials the labels are."""
        return {"untold": self.untold, "materials": self._materials}


UNLIKE_NUMBERS = ("intercept", "regression", "param_operators", "max_correlation", "units")


def make_hit_formulas(settings: CampaignSettings, seed: int, threads: int | None) -> HitFormulas:
    """An unfitted ensemble of formulas with the parameters that settings name."""
    model, ensemble = settings.model.completed(ensemble=True, classes=True), settings.ensemble
    parameters = model.model_dump(exclude={*UNLIKE_NUMBERS}) | CLASS_SETTINGS
    parameters |= {
        "unit_rules": model.units, "units": None, "criterion": "likelihood", "members": ensemble.members,
        "dropout": ensemble.dropout, "random_state": seed, "threads": threads,
    }  # fmt: skip
    return HitFormulas(parameters, settings.goal.strip().removeprefix("=").strip())


def make_hit_forest(settings: CampaignSettings, seed: int, threads: int | None) -> HitForest:
    """An unfitted forest; it takes nothing but the seed."""
    return HitForest(seed)


def make_hit_logistic(settings: CampaignSettings, seed: int, threads: int | None) -> HitLogistic:
    """An unfitted logistic regression; it takes nothing."""
    return HitLogistic()
