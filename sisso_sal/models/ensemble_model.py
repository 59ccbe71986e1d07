"""A fitted ensemble: formulas, the correction that was learned on top of them, and the calibration of its sigma."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from sisso_sal.data.neighbours import Neighbourhood
from sisso_sal.errors import ExpressionError
from sisso_sal.models.aggregation import aggregate
from sisso_sal.models.baseline import Low
from sisso_sal.models.calibration import Calibration
from sisso_sal.models.correction import Correction, checked_composition
from sisso_sal.models.fitting import models_of_file
from sisso_sal.models.linear import REACH, SISSOModel
from sisso_sal.models.posterior import CERTAIN, Certainty
from sisso_sal.models.program import Program
from sisso_sal.models.recalibration import Recalibration
from sisso_sal.models.recipe import EnsembleRecipe, recipe_of
from sisso_sal.models.record_types import inside, need
from sisso_sal.models.records import EnsembleRecord, file_document
from sisso_sal.models.search_counts import SearchCounts
from sisso_sal.models.transform import TargetTransform
from sisso_sal.protocols import Prediction
from sisso_sal.protocols.distribution import Distribution

N_TYPICAL = 3
"""Formulas that a description shows; members with the same descriptors count as one."""


class PredictedParts(NamedTuple):
    """What an ensemble says of n candidates.

    `members`, `valid` (n_members, n); share of members that extrapolate `outside`, `formulas_mean` and sigma before recalibration
    `raw`, (n,) each; their distribution `told`. In the target's unit but for shares.
    """

    members: np.ndarray
    valid: np.ndarray
    outside: np.ndarray
    formulas_mean: np.ndarray
    raw: np.ndarray
    told: Distribution


@dataclass(frozen=True, eq=False)
class EnsembleModel:
    """Formulas and what was learned on top of them. Plain data: copies and pickles predict the same digits.

    Attributes
    ----------
    members : tuple of SISSOModel
    dropped : tuple of tuple of str
        Primary features that each member had to do without.
    aggregation : str
        ``mean`` or ``median``, see `aggregate`.
    chosen : dict
        ``rung`` and ``dim`` of the members; ``form`` and ``column``, what they are formulas for, see `Form`. A low column that they
        are the rest of is a term more.
    choices : list of dict
        The same, and the out-of-bag ``mae``, its standard error over materials ``mae_error``, and ``rmse`` of each choice there
        was, in the target's unit; None where no sample was out of bag.
    primaries : dict of str to str
        Unit of each primary feature, in the order of the names.
    labelled : ndarray (n_labelled, n_primary)
        Primary features of the labelled materials, columns in the order of the names.
    counts : SearchCounts
    correction : Correction or None
    calibration, recalibration : Calibration, Recalibration or None
        From the out-of-bag errors; None where there are none.
    formula_calibration : Calibration or None
        That of the formulas alone, without correction.
    floor : float
        The lowest value that the target can have, in its unit.
    certain : Certainty or None
        How probable descriptors and primary features are; None where models were not scored.
    low : Low or None
        What low columns are worth, and what the correction learns the rest of; None where there are none.
    """

    members: tuple[SISSOModel, ...]
    dropped: tuple[tuple[str, ...], ...]
    aggregation: str
    chosen: dict[str, Any]
    choices: list[dict[str, Any]]
    primaries: dict[str, str]
    labelled: np.ndarray
    counts: SearchCounts
    correction: Correction | None = None
    calibration: Calibration | None = None
    formula_calibration: Calibration | None = None
    recalibration: Recalibration | None = None
    floor: float = -np.inf
    certain: Certainty | None = None
    low: Low | None = None

    @cached_property
    def program(self) -> Program:
        """What predicts of all members at once."""
        return Program.of(self.members)

    @cached_property
    def neighbourhood(self) -> Neighbourhood:
        """Of the labelled materials."""
        return Neighbourhood.of(self.labelled)

    @property
    def link(self) -> TargetTransform:
        """The transform that all members share; the correction learns on the same scale."""
        return self.members[0].link

    def known_before(self, columns: Mapping[str, np.ndarray], n: int) -> np.ndarray:
        """ndarray (n,), in the target's unit: what the correction learns the rest of, 0 where no low column comes first."""
        baseline = self.low.baseline if self.low else None
        return np.zeros(n) if baseline is None else baseline.values(columns)

    @property
    def needed(self) -> tuple[str, ...]:
        """Primary features without which there is no prediction, sorted: a correction was learned from all of them."""
        if self.correction:
            return tuple(self.primaries)
        return tuple(sorted({name for member in self.members for name in member.primaries()}))

    def predict_distribution(
        self, columns: Mapping[str, np.ndarray], composition: np.ndarray | None = None
    ) -> Prediction:
        """Mean, spread, every member's prediction and its validity.

        Parameters
        ----------
        columns : mapping of str to ndarray (n,)
            Primary features in the units of the training table: those that `needed` names; without one of the others there is no
            distance.
        composition : array (n, n_elements), optional
            Share of each element. Without it the part of the correction that was learned from compositions stays out.

        Returns
        -------
        Prediction
            A candidate for which fewer than half of the members are valid has no mean (NaN); invalid members never enter the mean.
            Nor has one whose corrected prediction on the transformed scale has no inverse (`TargetTransform.back`).
            With a correction, `members` are shifted by what it adds to the mean of the formulas.

        Raises
        ------
        FitError
            The composition has another shape than in the fit.
        ExpressionError
            A primary feature that is needed is missing.
        """
        parts = self.predict_parts(columns, composition)
        features = self._features(columns)
        return Prediction(
            parts.told.estimate, parts.told.std, parts.raw, parts.members, parts.valid,
            distribution=parts.told,
            formulas_mean=parts.formulas_mean,
            outside=parts.outside,
            distance=None if features is None else self.neighbourhood.distance(features),
            cause=causes(self.members, columns, parts.valid),
        )  # fmt: skip

    def predict_parts(self, columns: Mapping[str, np.ndarray], composition: np.ndarray | None = None) -> PredictedParts:
        """The part of `predict_distribution` that needs neither the distance to the labels nor causes; arguments as there."""
        values, valid, outside = evaluated(self.program, columns)
        needed = max(2, (len(self.members) + 1) // 2)
        formula, raw = aggregated(values, valid, needed, self.aggregation)
        mean, linked = formula, self.link.forward(formula)
        if self.correction:
            _check_whole(self.primaries, columns)
            features, learned = self._features(columns), self.correction.composition
            shares = None if learned is None else checked_composition(composition, len(mean), learned.shape[1])
            known = self.known_before(columns, len(mean))
            linked = linked - known
            rest, raw = self.correction.predict(np.asarray(features), linked, shares)
            mean, raw = self.link.back(rest + known, raw)
            with np.errstate(invalid="ignore"):
                values = values + np.where(np.isfinite(mean), mean - formula, 0.0)
        elif self.low is not None and self.low.spread is not None:
            raw = np.where(np.isfinite(mean), self.low.spread, np.nan)
        told = (self.recalibration or Recalibration()).distribution(mean, raw, self.floor)
        return PredictedParts(values, valid, (outside > 0).mean(axis=0), formula, raw, told)

    def _features(self, columns: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """ndarray (n, n_primary), columns in the order of the names; None where one is missing."""
        if not all(name in columns for name in self.primaries):
            return None
        return np.column_stack([columns[name] for name in self.primaries])

    def typical_members(self, columns: Mapping[str, np.ndarray], count: int = 3) -> list[tuple[int, float]]:
        """The members that speak most for all: those closest to the members' median over some materials.

        Parameters
        ----------
        columns : mapping of str to ndarray (n,)
        count : int

        Returns
        -------
        list of (int, float)
            Number of the member and its root mean square distance from the median, in the target's unit; nearest first. A
            member that is valid for none of the materials is left out.
        """
        members, valid, _ = evaluated(self.program, columns)
        usable = valid.all(axis=0)
        if not usable.any():
            usable = valid.any(axis=0)
        members, valid = members[:, usable], valid[:, usable]
        median = np.nanmedian(np.where(valid, members, np.nan), axis=0)
        square = (np.where(valid, members, median) - median) ** 2
        seen = np.flatnonzero(valid.any(axis=1))
        distance = np.sqrt(square[seen].sum(axis=1) / valid[seen].sum(axis=1))
        order = np.argsort(distance, kind="stable")[:count]
        return [(int(seen[i]), float(distance[i])) for i in order]

    def recurrence(self) -> dict[str, dict[str, float]]:
        """What the members agree on: the share of members in which each primary feature, operator and descriptor occurs.

        Returns
        -------
        dict
            ``primaries``, ``operators`` and ``descriptors``, each from name to share, most frequent first. Descriptors that differ
            only in parameters are one, with the parameters of the first.
        """
        names: dict[str, str] = {}
        for member in self.members:
            for term in member.terms:
                names.setdefault(term.expression.shape, str(term.expression))
        counts = {"primaries": Counter(), "operators": Counter(), "descriptors": Counter()}
        for member in self.members:
            counts["primaries"].update(set(member.primaries()))
            counts["operators"].update({name for term in member.terms for name in term.expression.operator_names()})
            counts["descriptors"].update({names[term.expression.shape] for term in member.terms})
        n = len(self.members)
        return {
            kind: {name: c / n for name, c in sorted(counter.items(), key=lambda item: (-item[1], item[0]))}
            for kind, counter in counts.items()
        }

    def describe(self, columns: Mapping[str, np.ndarray], target: str, target_unit: str = "") -> dict[str, Any]:
        """What a report says of the fit, as plain data.

        Parameters
        ----------
        columns : mapping of str to ndarray (n,)
            Materials over which members are compared, see `typical_members`.
        target, target_unit : str
            Name and unit of what it predicts.
        """
        is_raw = self.calibration is None or self.calibration.kind == "none"
        return {
            "n_members": len(self.members),
            "rung": self.chosen["rung"],
            "dim": self.chosen["dim"],
            "choices": self.choices,
            "correction": self.correction.kind if self.correction else "none",
            "sigma": "raw" if is_raw else "recalibrated",
            "calibration": self.calibration.as_dict() if self.calibration else None,
            "formula_calibration": self.formula_calibration.as_dict() if self.formula_calibration else None,
            "shift": shift_told(self.correction, self.link),
            "typical": self._typical(columns, target, target_unit),
            "recurrence": self.recurrence(),
            "certain": {"threshold": CERTAIN, **self.certain.shown()} if self.certain else None,
            "low": self.low.to_json() if self.low else None,
            "n_features": self.counts.n_features,
            "rejected": self.counts.rejected,
        }

    def _typical(self, columns: Mapping[str, np.ndarray], target: str, target_unit: str) -> list[dict[str, Any]]:
        """The most typical formulas, and how many members each stands for."""
        typical: dict[frozenset[str], dict[str, Any]] = {}
        for number, distance in self.typical_members(columns, len(self.members)):
            member = self.members[number]
            same = typical.setdefault(
                frozenset(term.expression.key for term in member.terms),
                {
                    "member": number,
                    "distance": distance,
                    "n_members": 0,
                    "equation": member.equation(target, target_unit),
                    "shown": member.shown(target, target_unit),
                    **member.to_json(),
                },
            )
            same["n_members"] += 1
        return list(typical.values())[:N_TYPICAL]

    def to_json(self) -> dict[str, Any]:
        """Plain data; floats keep every digit."""
        return {
            "members": [member.to_json() for member in self.members],
            "dropped": [list(names) for names in self.dropped],
            "chosen": self.chosen,
            "choices": self.choices,
            "calibration": self.calibration.as_dict() if self.calibration else None,
            "formula_calibration": self.formula_calibration.as_dict() if self.formula_calibration else None,
            "recalibration": self.recalibration.to_json() if self.recalibration else None,
            "floor": None if self.floor == -np.inf else self.floor,
            "correction": self.correction.to_json() if self.correction else None,
            "labelled": self.labelled.tolist(),
            "certain": self.certain.to_json() if self.certain else None,
            "low": self.low.to_json() if self.low else None,
        }

    def document(self, settings: Mapping[str, Any], target: str, target_unit: str = "") -> dict[str, Any]:
        """The content of a model file; see `file_document`.

        Parameters
        ----------
        settings : mapping
            Parameters of a `SISSOEnsemble`.
        target, target_unit : str
            Name and unit of what it predicts.
        """
        counts, models = self.counts.to_json(), self.to_json()
        return file_document("ensemble", (target, target_unit), self.primaries, settings, counts, models)

    @classmethod
    def of_file(cls, record: EnsembleRecord) -> EnsembleModel:
        """The inverse of `document`, from a file that was read.

        Raises
        ------
        ModelFileError, SettingsError
            A setting cannot be; a tree is no formula of the primary features, or the settings do not allow it.
        ValueError
            What the file holds was not made with its settings.
        """
        units, recipe = record.units, recipe_of(record.settings.model_dump() | {"threads": None})
        n_given = int(record.chosen.form != "feature")  # the low column
        members = tuple(models_of_file(record.members, "members", units, recipe.space, recipe.search, n_given))
        _check_recipe(record, recipe, members)
        calibration, formula_calibration = (
            None if part is None else Calibration(**part.model_dump())
            for part in (record.calibration, record.formula_calibration)
        )
        recalibration = None if record.recalibration is None else Recalibration.from_json(record.recalibration)
        return cls(
            members,
            tuple(tuple(names) for names in record.dropped),
            recipe.aggregation,
            record.chosen.model_dump(),
            [choice.model_dump(exclude_unset=True) for choice in record.choices],
            units,
            record.labelled,
            SearchCounts.of_file(record),
            None if record.correction is None else Correction.from_json(record.correction),
            calibration,
            formula_calibration,
            recalibration,
            -np.inf if record.floor is None else record.floor,
            _certain(record.certain, units, recipe),
            None if record.low is None else Low.from_json(record.low),
        )


def _certain(data: Any, units: Mapping[str, str], recipe: EnsembleRecipe) -> Certainty | None:
    if data is None:
        return None
    with inside("certain"):
        return Certainty.from_json(data, units, recipe.space.rules)


def _check_recipe(record: EnsembleRecord, recipe: EnsembleRecipe, members: Sequence[SISSOModel]) -> None:
    """Raise a ValueError that names the key where a file does not fit its own settings."""
    need(len(members) == recipe.members, f"members: needs {recipe.members}, found {len(members)}")
    link = members[0].link
    is_alone = record.low is not None and record.low.form.endswith("alone")  # a line of the target itself
    kind = "none" if is_alone else recipe.target_transform
    shared = link.kind == kind and all(member.link == link for member in members)
    need(shared, f"members: needs one link for all, of kind {kind}")
    for name in ("calibration", "formula_calibration", "recalibration"):
        part = getattr(record, name)
        kinds = (recipe.recalibrate, "none")  # of too few labels
        need(part is None or part.kind in kinds, f"{name}: needs kind {recipe.recalibrate}")
    part = record.correction
    need(part is None or part.kind == recipe.correction, f"correction: needs kind {recipe.correction}")


def evaluated(program: Program, columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, validity and reach of each member: ndarray (n_members, n) each."""
    values, outside = program.evaluate(columns)
    return values, (outside <= REACH) & np.isfinite(values), outside


def aggregated(values: np.ndarray, valid: np.ndarray, needed: int, mean: str) -> tuple[np.ndarray, np.ndarray]:
    """`aggregate` with shares of the members that sum to 1."""
    return aggregate(values, valid, needed, mean=mean, weight=1.0 / len(values))


def shift_told(correction: Correction | None, link: TargetTransform) -> dict[str, Any] | None:
    """What leaving families out says, see `Shift.as_dict`; None where no correction has a shift."""
    if correction is None or correction.shift is None:
        return None
    return correction.shift.as_dict(correction.target, link.inverse)


def causes(members: Sequence[SISSOModel], columns: Mapping[str, np.ndarray], valid: np.ndarray) -> np.ndarray:
    """Why members are not valid, `SISSOModel.cause`: ndarray (n_members, n) of int8; `valid` (n_members, n) says where they are."""
    out = np.zeros(valid.shape, dtype=np.int8)
    for number, member in enumerate(members):
        rows = np.flatnonzero(~valid[number])
        if len(rows):
            out[number, rows] = member.cause({name: columns[name][rows] for name in member.primaries()})
    return out


def _check_whole(primaries: Mapping[str, str], columns: Mapping[str, np.ndarray]) -> None:
    missing = [name for name in primaries if name not in columns]
    if missing:
        raise ExpressionError(f"correction: needs the primary feature '{missing[0]}', found {', '.join(columns)}")
