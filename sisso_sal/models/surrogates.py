"""A forest, trees and a Gaussian process that a campaign can predict with, to compare the SISSO ensemble with.

All see the compositions where the candidates have formulas, as the ensemble does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeRegressor

from sisso_sal.data.neighbours import relative_distance
from sisso_sal.models.calibration import calibrate
from sisso_sal.models.correction import CONSTANT, FARTHEST
from sisso_sal.models.costs import process_cost
from sisso_sal.models.groups import canonical_order, in_order_of_rows
from sisso_sal.models.inputs import label_weights
from sisso_sal.models.kernel import Kernel
from sisso_sal.models.magnitudes import check_labels
from sisso_sal.models.materials import materials_of
from sisso_sal.models.process import fit_process
from sisso_sal.models.trees import N_TREES, grown_on_all, seeds_of_trees, without_last_bits
from sisso_sal.protocols import Prediction, Progress, Rows, Space
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.system.costs import announce
from sisso_sal.system.machine import one_blas_thread

N_TREES_OF_FOREST = 100


class Forest:
    """A random forest whose trees are the members (Breiman, Mach. Learn. 45, 5 (2001)).

    Its inputs are the primary features and the share of each element that a labelled material has. The trees draw materials, all
    labels of one together; where each label is a material of its own, they are those of scikit-learn's forest of the same seed.

    Parameters
    ----------
    seed : int
    n_trees : int
    """

    def __init__(self, seed: int = 0, n_trees: int = N_TREES_OF_FOREST):
        self.seed = seed
        self.n_trees = n_trees

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> Forest:
        """Learn from labels; see `Surrogate`. Labels with an error have the weight that `label_weights` gives."""
        check_labels(space.target.name if space.target else "", labels)
        weights = label_weights(errors) if errors.any() else None
        known = space.rows(rows)
        self._elements, self._labels = _elements_of(known), labels
        self._known, self._inputs = known.matrix, _inputs(known, self._elements)
        self._groups, self._materials = materials_of(space, rows)
        material, single = in_order_of_rows(self._groups), self._inputs.astype(np.float32, order="C")
        unseen = np.empty((self.n_trees, len(labels)), dtype=bool)
        self._trees = []
        for tree, own in enumerate(seeds_of_trees(self.seed % 2**32, self.n_trees)):
            counts = drawn_materials(material, weights, np.random.RandomState(own))
            self._trees.append(DecisionTreeRegressor(random_state=own).fit(single, labels, counts))
            unseen[tree] = counts == 0
        self._left_out = self._by_unseen(unseen)
        return self

    def _by_unseen(self, unseen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the trees that did not see a material: ndarray (n_labelled,) each.

        Of no tree the mean is NaN, of fewer than two the standard deviation; `unseen` (n_trees, n_labelled) says where.
        """
        members, count = self._members(self._inputs), unseen.sum(axis=0)
        total = sum(np.where(unseen, members, 0.0), start=np.zeros(len(count)))  # in the order of the trees
        mean, spread = np.where(count > 0, total / np.maximum(count, 1), np.nan), np.full(len(count), np.nan)
        enough = count > 1
        spread[enough] = np.nanstd(np.where(unseen, members, np.nan)[:, enough], axis=0, ddof=1)
        return mean, spread

    def _members(self, inputs: np.ndarray) -> np.ndarray:
        single = inputs.astype(np.float32, order="C")
        return np.array([tree.predict(single) for tree in self._trees])

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """Mean and standard deviation of the trees; see `Surrogate`."""
        wanted = space.rows(rows)
        members = self._members(_inputs(wanted, self._elements))
        mean, std = members.mean(axis=0), members.std(axis=0, ddof=1)
        distance = relative_distance(wanted.matrix, self._known)
        return _prediction(mean, std, members, distance)

    @property
    def out_of_bag(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the trees that did not see a material: ndarray (n_labelled,) each."""
        return self._left_out

    def describe(self, space: Space) -> dict[str, Any]:
        """Number of trees, and how their standard deviation compares with the out-of-bag residuals."""
        return _described(self, self.n_trees)


def drawn_materials(material: np.ndarray, weights: np.ndarray | None, rng: np.random.RandomState) -> np.ndarray:
    """How much each label counts in a tree that draws as many materials as there are: ndarray (n_labelled,).

    `material` (n_labelled,) numbers them from 0 on. With weights (n_labelled,) a material is drawn with a probability like the mean
    weight of its labels, which then count like their own weights.
    """
    sizes = np.bincount(material)
    n = len(sizes)
    if weights is None:
        return np.bincount(rng.randint(0, n, n), minlength=n)[material].astype(np.float64)
    mean = np.bincount(material, weights=weights) / sizes
    counts = np.bincount(rng.choice(n, n, p=mean / np.sum(mean)), minlength=n)
    return counts[material] * (weights / mean[material])


class ExtraTrees:
    """Extremely randomised trees, which are the members; each sees all labels (Geurts, Ernst, Wehenkel, Mach. Learn. 63, 3 (2006)).

    Their inputs are those of `Forest`. The result does not depend on the order of rows and columns. A leaf has one label, so that
    the error of a label counts only where splits are chosen.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int = 0):
        self.seed = seed

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> ExtraTrees:
        """Learn from labels; see `Surrogate`. Labels with an error have the weight that `label_weights` gives."""
        check_labels(space.target.name if space.target else "", labels)
        known = space.rows(rows)
        weights = label_weights(errors) if errors.any() else np.ones(len(labels))
        self._elements, self._known = _elements_of(known), known.matrix
        self._materials = materials_of(space, rows)[1]
        inputs = self._sorted(known)
        order = canonical_order(inputs.T, labels, weights)
        inputs, ordered = inputs[order], without_last_bits(labels[order], float(np.ptp(labels)))
        self._centre, self._spread = _centre_and_spread(inputs)
        self._trees = grown_on_all(self._standardised(inputs), ordered, weights[order], self.seed % 2**32)
        return self

    def _sorted(self, rows: Rows) -> np.ndarray:
        """Inputs, features in the order of their names: ndarray (n, n_inputs)."""
        names = np.argsort([*rows.features])
        return _inputs(rows, self._elements)[:, np.append(names, len(names) + np.arange(len(self._elements)))]

    def _standardised(self, inputs: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.clip((inputs - self._centre) / self._spread, -FARTHEST, FARTHEST)

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """Mean and standard deviation of the trees; see `Surrogate`."""
        wanted = space.rows(rows)
        inputs = self._standardised(self._sorted(wanted))
        members = np.where(np.isfinite(inputs).all(axis=1), self._trees.predict(inputs), np.nan)
        mean, std = members.mean(axis=0), members.std(axis=0, ddof=1)
        distance = relative_distance(wanted.matrix, self._known)
        return _prediction(mean, std, members, distance)

    def describe(self, space: Space) -> dict[str, Any]:
        """Number of trees; no label is left out, so that there is no calibration."""
        return {"n_members": N_TREES, "sigma": "raw", "calibration": None, "materials": self._materials}


class Process:
    """A Gaussian process with a Matérn kernel and noise (Rasmussen and Williams (2006)).

    With compositions its inputs are the standardised features and, scaled like those, the share of each element, with one length
    for all and the kernel of 3/2. Without compositions each feature has a length of its own, and the kernel is that of 5/2.
    The greatest likelihood is looked for from parameters of one, and again from random ones, which are the same in every fit.
    Its members are draws from the posterior of each candidate by itself, for acquisitions that want members.

    Parameters
    ----------
    seed : int
    n_members : int
    """

    def __init__(self, seed: int = 0, n_members: int = 30):
        self.seed = seed
        self.n_members = n_members

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> Process:
        """Learn from labels; see `Surrogate`. The squared error of a label is added to its variance."""
        check_labels(space.target.name if space.target else "", labels)
        known = space.rows(rows)
        X = np.asfortranarray(known.matrix)  # sums over a column keep their last bits
        self._centre, self._spread = _centre_and_spread(X)
        inputs = self._standardised(known)
        nu, n_lengths = (2.5, X.shape[1]) if known.composition is None else (1.5, 1)
        scale = float(labels.std()) or 1.0
        noise = 1e-10 + (errors / scale) ** 2 if errors.any() else 1e-10
        kernel = Kernel(nu, np.log([[1e-5, 1e5]] * (n_lengths + 2)))
        start = np.zeros(len(kernel.bounds))
        again = np.random.RandomState(0).uniform(*kernel.bounds.T)
        announce([process_cost(len(labels), X.shape[1], starts=2)])
        self._groups, self._materials = materials_of(space, rows)
        with one_blas_thread():
            self._process = fit_process(kernel, [start, again], inputs, labels, noise)
            self._left_out = self._process.left_out(labels, self._groups)
        self._known, self._labels = known.matrix, labels
        return self

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """Mean and standard deviation of the posterior; see `Surrogate`."""
        wanted = space.rows(rows)
        X, distance = self._standardised(wanted), relative_distance(wanted.matrix, self._known)
        with one_blas_thread():
            mean, std = self._process.predict(X)
        draws = np.random.default_rng(self.seed).standard_normal((self.n_members, len(mean)))
        return _prediction(mean, std, mean + std * draws, distance)

    @property
    def out_of_bag(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation without the material, see `GaussianProcess.left_out`: ndarray (n_labelled,) each."""
        return self._left_out

    def describe(self, space: Space) -> dict[str, Any]:
        """How the standard deviation compares with the residuals of the labels that were left out, one material at a time."""
        return _described(self, self.n_members)

    def _standardised(self, rows: Rows) -> np.ndarray:
        X, shares = (rows.matrix - self._centre) / self._spread, rows.composition
        return X if shares is None else np.hstack([X, np.sqrt(X.shape[1]) * shares])


def _centre_and_spread(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of columns (n, n_inputs), ndarray (n_inputs,) each; 1 for a column that does not vary."""
    centre, spread = columns.mean(axis=0), columns.std(axis=0)
    return centre, np.where(spread > CONSTANT * np.abs(centre), spread, 1.0)


def _elements_of(rows: Rows) -> np.ndarray:
    """Numbers of the elements that some of the rows have; none without compositions."""
    shares = rows.composition
    return np.empty(0, dtype=np.int64) if shares is None else np.flatnonzero(shares.any(axis=0))


def _inputs(rows: Rows, elements: np.ndarray) -> np.ndarray:
    """Primary features, and the shares of these elements: ndarray (n, n_primary + n_elements)."""
    shares = rows.composition
    return rows.matrix if shares is None else np.hstack([rows.matrix, shares[:, elements]])


def _prediction(mean: np.ndarray, std: np.ndarray, members: np.ndarray, distance: np.ndarray) -> Prediction:
    """Of a surrogate whose members are valid wherever the features are finite."""
    valid = np.isfinite(members)
    return Prediction(mean, std, std, members, valid, distance=distance)


def _described(surrogate: Forest | Process, n_members: int) -> dict[str, Any]:
    """What a surrogate without formulas tells of its fit; no calibration where no label was left out."""
    mean, std = surrogate.out_of_bag
    usable = np.isfinite(mean) & (std > 0)
    labels, groups = surrogate._labels[usable], surrogate._groups[usable]
    calibration = calibrate(labels, mean[usable], std[usable], "none", groups)[0].as_dict() if usable.any() else None
    return {"n_members": n_members, "sigma": "raw", "calibration": calibration, "materials": surrogate._materials}


def make_forest(settings: CampaignSettings, seed: int, threads: int | None) -> Forest:
    """An unfitted forest; it takes nothing but the seed."""
    return Forest(seed)


def make_trees(settings: CampaignSettings, seed: int, threads: int | None) -> ExtraTrees:
    """Unfitted trees; they take nothing but the seed."""
    return ExtraTrees(seed)


def make_process(settings: CampaignSettings, seed: int, threads: int | None) -> Process:
    """An unfitted Gaussian process; it takes nothing but the seed."""
    return Process(seed)
