"""Which descriptors and primary features are certain: posterior probabilities over all models that the search scored.

L0 scores every subset of a subspace. Of each number of terms the best `N_SCORED` are kept with their scores, and with the model
without any term they share a probability of 1. Evidence is the extended Bayesian information criterion, in which all models of one
size together are as probable beforehand as those of any other size: a search among millions finds good fits by chance, and what is
as good as that must not seem certain. It counts materials, not rows, and those of a bootstrap sample as fewer, since some were
drawn several times. A descriptor is as probable as all models with it together. The mean over members also tells how much that
depends on the materials that happen to be known (stability selection).

References
----------
Chen, Chen, Biometrika 95, 759 (2008) (evidence); Kish, Survey Sampling (1965), sec. 8.2 (effective number); Meinshausen, Bühlmann,
J. R. Stat. Soc. B 72, 417 (2010) (stability selection).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum, lgamma
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from sisso_sal.engine.problem import Problem
from sisso_sal.engine.search import SubspaceFits
from sisso_sal.features.expression import Expression
from sisso_sal.features.space import FeatureSpace
from sisso_sal.features.typeset import written
from sisso_sal.features.unit_rules import UnitRules
from sisso_sal.models.record_types import Count, Record, Share, Text, inside, need, read_record

N_SCORED = 100
"""Models of each number of terms that are scored for each member; more change the probabilities by less than 0.01."""

UNEXPLAINED = 1e-10
"""Shares of the variance below this cannot be told apart."""

LEAST = 1e-3
"""Less probable descriptors of a member are left out."""

N_TOLD = 12
"""Most descriptors that an ensemble tells of."""

CERTAIN = 0.9
"""Probability from which on something is called certain."""


class ProbableRecord(Record):
    """A descriptor with its probability; the tree is read by `Expression.from_json`."""

    expression: Text
    tree: Any
    probability: Share
    n_members: Count


class CertainRecord(Record):
    """A `Certainty`."""

    primaries: dict[str, Share]
    descriptors: list[ProbableRecord] = Field(max_length=N_TOLD)

    @model_validator(mode="after")
    def _most_probable_first(self) -> Self:
        for name, shares in (
            ("primaries", [*self.primaries.values()]),
            ("descriptors", [one.probability for one in self.descriptors]),
        ):
            need(shares == sorted(shares, reverse=True), f"{name}: needs the most probable first")
        return self


@dataclass(frozen=True, eq=False)
class Credence:
    """What the scored models of one member say.

    Attributes
    ----------
    descriptors : dict of str to (Expression, float)
        By shape, which leaves parameters open: the likeliest descriptor, and the probability of all, of at least `LEAST` each.
    primaries : ndarray (n_primary,)
        Probability of each primary feature.
    allowed : ndarray (n_primary,) of bool
        Primary features that the member may use.
    unexplained : float
        Share of the variance that its models leave, in the mean.
    """

    descriptors: dict[str, tuple[Expression, float]]
    primaries: np.ndarray
    allowed: np.ndarray
    unexplained: float


@dataclass(frozen=True)
class ProbableDescriptor:
    """A descriptor, its probability over the members that may use its primary features, and the number of these members."""

    expression: Expression
    probability: float
    n_members: int


@dataclass(frozen=True)
class Certainty:
    """Probabilities over the members of an ensemble.

    Attributes
    ----------
    primaries : dict of str to float
        Of each primary feature that a member may use, over these members; most probable first.
    descriptors : tuple of ProbableDescriptor
        Most probable first. Left out are those that few members may use: less than a quarter of them, or only one.
    """

    primaries: dict[str, float]
    descriptors: tuple[ProbableDescriptor, ...]

    def with_certain(self, name: str) -> Certainty:
        """The same where every member has this primary feature, beside the models that were scored."""
        return replace(
            self, primaries={name: 1.0, **{key: share for key, share in self.primaries.items() if key != name}}
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "primaries": self.primaries,
            "descriptors": [
                {
                    "expression": str(one.expression),
                    "tree": one.expression.to_json(),
                    "probability": one.probability,
                    "n_members": one.n_members,
                }
                for one in self.descriptors
            ],
        }

    def shown(self) -> dict[str, Any]:
        """`to_json` for a report: each descriptor also ``shown`` in its simplest form."""
        told = self.to_json()
        for row, one in zip(told["descriptors"], self.descriptors, strict=True):
            row["shown"] = written(one.expression, "plain")
        return told

    @classmethod
    def from_json(cls, data: Any, units: Mapping[str, str], rules: UnitRules) -> Certainty:
        """The inverse of `to_json`.

        Raises
        ------
        ModelFileError
            A key is missing, a value cannot be, or a tree is no formula of these primary features.
        ValueError
            A text is that of another formula, or a name is unknown.
        """
        record, descriptors = read_record(CertainRecord, data), []
        for number, one in enumerate(record.descriptors):
            with inside(f"descriptors.{number}.tree"):
                expression = Expression.from_json(one.tree, units, rules=rules)
            text = str(expression)
            need(one.expression == text, f"certain.descriptors.{number}: needs '{text}' as the tree says")
            descriptors.append(ProbableDescriptor(expression, one.probability, one.n_members))
        need({*record.primaries} <= {*units}, "certain.primaries: needs names of primary features")
        return cls(record.primaries, tuple(descriptors))


def log_evidence(gains: np.ndarray, n_terms: int, n: float, n_features: int) -> np.ndarray:
    """Logarithm of the evidence of models against the model without terms, and of their probability beforehand.

    Parameters
    ----------
    gains : ndarray (n_models,)
        Shares of the variance that they explain.
    n_terms : int
    n : float
        Effective number of materials.
    n_features : int
        Of the space, from which the terms were chosen.

    Returns
    -------
    ndarray (n_models,)

    Examples
    --------
    >>> log_evidence(np.array([0.0, 0.5, 0.99]), 1, 50.0, 1000).round(1)
    array([ -8.9,   7.8, 101.7])
    >>> log_evidence(np.zeros(0), 3, 50.0, 1)
    array([], dtype=float64)
    """
    if n_terms > n_features:  # there are no such models
        return np.zeros(0)
    freedom = max(n - 1.0 - n_terms, 0.0)
    chances = lgamma(n_features + 1) - lgamma(n_features - n_terms + 1) - lgamma(n_terms + 1)
    return -0.5 * freedom * np.log(_unexplained(gains)) - 0.5 * n_terms * np.log(n) - chances


def _unexplained(gains: np.ndarray) -> np.ndarray:
    return np.maximum(1.0 - gains, UNEXPLAINED)


def effective_number(weights: np.ndarray, groups: np.ndarray) -> float:
    """How many equally weighted materials would tell as much.

    Parameters
    ----------
    weights : ndarray (n_samples,)
    groups : ndarray (n_samples,) of int
        From 0 on; samples with the same number are one material.

    Examples
    --------
    >>> effective_number(np.array([1.0, 1.0, 2.0, 0.0]), np.array([0, 0, 1, 2]))
    2.0
    """
    total = np.bincount(groups, weights)
    return float(total.sum() ** 2 / (total**2).sum())


def believe(
    space: FeatureSpace,
    formula: Callable[[int, int, int], Expression],
    problem: Problem,
    outcome: SubspaceFits,
    groups: np.ndarray,
) -> Credence:
    """Probabilities of descriptors and primary features by the scored models of one problem.

    Parameters
    ----------
    space : FeatureSpace
    formula : callable
        `FeatureSpace.expression`.
    problem : Problem
    outcome : SubspaceFits
    groups : ndarray (n_samples,) of int
        See `effective_number`.
    """
    n, subspace = effective_number(problem.weights, groups), outcome.subspace
    own = space.n_parameters(subspace.left)  # a parameter that is fitted costs as much as a coefficient
    evidence = [
        log_evidence(scored.gains, dim, n, space.n_features)
        - 0.5 * np.log(n) * own[scored.subsets].sum(axis=1).reshape(len(scored.gains))
        for dim, scored in enumerate(outcome.scored, start=1)
    ]
    weights = np.exp(np.concatenate([[0.0], *evidence]) - max(0.0, *(float(one.max(initial=0.0)) for one in evidence)))
    weights /= weights.sum()
    each, primaries = np.zeros(len(subspace)), np.zeros(len(problem.allowed))
    occurs, start, left = _occurrence(space, subspace.left, subspace.right), 1, float(weights[0])
    for scored in outcome.scored:
        shares = weights[start : start + len(scored.gains)]
        left += float((shares * _unexplained(scored.gains)).sum())
        each += np.bincount(scored.subsets.ravel(), np.repeat(shares, scored.subsets.shape[1]), len(subspace))
        primaries += (shares[:, None] * occurs[scored.subsets].any(axis=1)).sum(axis=0)
        start += len(shares)
    descriptors: dict[str, tuple[Expression, float]] = {}
    for number in np.argsort(-each, kind="stable")[: np.count_nonzero(each >= LEAST)].tolist():
        expression = formula(*subspace.triple(number))
        likeliest, share = descriptors.get(expression.shape, (expression, 0.0))
        descriptors[expression.shape] = likeliest, share + float(each[number])
    return Credence(descriptors, primaries, problem.allowed, left)


def _occurrence(space: FeatureSpace, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """ndarray (n_features, n_primary) of bool: primary features of features with these operands."""
    bits = np.arange(len(space.names))
    words = (space.masks_of(left) | space.masks_of(right))[:, bits // 64]
    return (words >> (bits % 64).astype(np.uint64)) & np.uint64(1) == 1


def certainty(beliefs: Sequence[Credence], names: Sequence[str]) -> Certainty:
    """Mean over the members that may use a descriptor, or a primary feature.

    A member counts by the inverse of the variance that its models leave: one that has to do without what matters leaves much, and
    tells little of the rest.

    Parameters
    ----------
    beliefs : sequence of Credence
        Of each member.
    names : sequence of str
        Primary features, in the order of the beliefs.
    """
    primaries = {}
    for number, name in enumerate(names):
        able = [one for one in beliefs if one.allowed[number]]
        if able:
            primaries[name] = _mean(able, [float(one.primaries[number]) for one in able])
    place = {name: number for number, name in enumerate(names)}
    known: dict[str, Expression] = {}
    for one in sorted(beliefs, key=lambda one: one.unexplained, reverse=True):
        known |= {key: expression for key, (expression, _) in one.descriptors.items()}
    needed, descriptors = max(2, len(beliefs) / 4), []
    for key in sorted(known):
        within = [place[name] for name in known[key].primaries()]
        able = [one for one in beliefs if one.allowed[within].all()]
        if len(able) >= needed:
            share = _mean(able, [one.descriptors[key][1] if key in one.descriptors else 0.0 for one in able])
            descriptors.append(ProbableDescriptor(known[key], share, len(able)))
    descriptors.sort(key=lambda one: -one.probability)
    ordered = dict(sorted(primaries.items(), key=lambda item: (-item[1], item[0])))
    return Certainty(ordered, tuple(descriptors[:N_TOLD]))


def _mean(members: Sequence[Credence], shares: Sequence[float]) -> float:
    """The weighted mean, with twelve decimals, so that the last bits of sums do not decide about ties."""
    precisions = [1.0 / one.unexplained for one in members]
    total = fsum(precision * share for precision, share in zip(precisions, shares, strict=True))
    return min(round(total / fsum(precisions), 12), 1.0)
