"""Why a candidate was chosen: the score it was chosen by, its plain rank, and one sentence of what was measured.

Nothing here decides. Each clause of a sentence states a number that was measured, and is left out where that says nothing: the
probability to reach the goal, cheap estimates, what the formulas say one by one, and which other candidates they move together with
this one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sisso_sal.acquisition.goal import Goal
from sisso_sal.protocols import Acquisition
from sisso_sal.protocols.distribution import Distribution

LIKELY, UNLIKELY = 0.5, 0.2
"""Probabilities from which on a candidate is likely to reach the goal, and below which it is not; between them it may."""

LOW, NOT_LOW = 0.1, 0.5
"""A cheap estimate is good among this share of the candidates with the best ones, and not good beyond the other."""

AGREE, FEW = 0.8, 0.2
"""Members agree where this share of them is on one side of the goal's bound; below the other nearly none is."""

WIDE = 0.1
"""A standard deviation among this share of the candidates with the largest ones is a reason of its own."""

TOGETHER, CHANCE = 0.8, 4.5
"""Correlation over the members from which on predictions move together, and by how many standard errors it must exceed zero
(Fisher's transformation), so that few members do not show it by chance.
"""

COMMON = 0.6
"""Share of the candidates that a label tells about with an element by which they are named; it is also twice as usual."""

FEWEST_MOVED = 3
"""Other candidates that a label tells about, at least; of fewer nothing is said."""


@dataclass(frozen=True)
class Choice:
    """Why one candidate was chosen.

    Attributes
    ----------
    chosen_by : float
        The number by which it was taken before all others, given those above it: its score, or with diversity the weighted sum of
        ranks, see `select`. NaN where it was not scored.
    rank : int
        Place by the plain score among all candidates that could be chosen; 1 is the best.
    probability : float
        To reach the goal, or without a bound to be better than the best; NaN where there is no prediction.
    reason : str
        The same as `why` without the numbers.
    why : str
        One sentence, without a full stop.
    """

    chosen_by: float
    rank: int
    probability: float
    reason: str
    why: str


@dataclass(frozen=True, eq=False)
class Others:
    """The likeliest candidates and what the members of an ensemble of formulas say of them and of the k picks.

    Attributes
    ----------
    of_picks : ndarray (n_members, k)
        In the target's unit, NaN where a member is not valid. No rows where members are not known.
    of_others : ndarray (n_members, m)
    elements : sequence of frozenset of str, length m
        Elements of each other candidate; empty where it has no formula.
    """

    of_picks: np.ndarray
    of_others: np.ndarray
    elements: Sequence[frozenset[str]]

    @classmethod
    def none(cls, k: int) -> Others:
        """Where there are no formulas."""
        return cls(np.empty((0, k)), np.empty((0, 0)), ())


@dataclass(frozen=True, eq=False)
class Ground:
    """What k choices among n candidates rest on.

    Attributes
    ----------
    acquisition : Acquisition
    goal : Goal
        With its bound in numbers, where it has one.
    reference : float
        Value to improve on, in the target's unit.
    told : Distribution
        Of all n.
    scores : ndarray (n,)
    free : ndarray (n,) of bool
        Candidates that could be chosen.
    picks : ndarray (k,) of int
    chosen_by : ndarray (k,)
        See `Choice`.
    others : Others
    far : ndarray (k,), optional
        With diversity: share of the best candidates that are nearer to the picks above.
    estimates : mapping of str to ndarray (n,)
        Cheap estimates of the target, in its unit.
    guessed : mapping of str to ndarray (n,)
        Their standard deviations where they are predicted themselves, else 0.
    """

    acquisition: Acquisition
    goal: Goal
    reference: float
    told: Distribution
    scores: np.ndarray
    free: np.ndarray
    picks: np.ndarray
    chosen_by: np.ndarray
    others: Others
    far: np.ndarray | None = None
    estimates: Mapping[str, np.ndarray] = field(default_factory=dict)
    guessed: Mapping[str, np.ndarray] = field(default_factory=dict)


def chances(told: Distribution, goal: Goal, reference: float) -> np.ndarray:
    """Probability to reach the bound of the goal or, where it has none, to be better than the reference: ndarray (n,).

    Examples
    --------
    >>> chances(Distribution(np.array([0.0, 1.0]), np.ones(2)), Goal.parse("min"), 1.0).round(2)
    array([0.84, 0.5 ])
    """
    if goal.has_bound:
        return told.probability(goal.low, goal.high)
    if not goal.has_direction:
        return np.full(len(told), np.nan)
    return told.probability(high=reference) if goal.sign > 0 else told.probability(low=reference)


def choices(ground: Ground) -> list[Choice]:
    """Score, rank and sentence of each pick, in the order of choice.

    Examples
    --------
    >>> from sisso_sal.acquisition.registry import acquisition_named
    >>> told = Distribution(np.array([0.0, 1.0, 5.0]), np.ones(3))
    >>> goal, scores, others = Goal.parse("<=1"), np.array([0.84, 0.5, 0.0]), Others.none(1)
    >>> ground = Ground(acquisition_named("hits"), goal, 0.0, told, scores, np.ones(3, bool), np.array([0]), scores[:1], others)
    >>> print(choices(ground)[0].why)
    likely a hit (84 %)
    """
    able = ground.free & np.isfinite(ground.scores)
    chance = chances(ground.told, ground.goal, ground.reference)
    made = []
    for number, row in enumerate(ground.picks.tolist()):
        better = int((ground.scores[able] > ground.scores[row]).sum()) if np.isfinite(ground.scores[row]) else 0
        clauses = [*_itself(ground, chance, number, row), _estimate(ground, row), _agreement(ground, number)]
        said, more = [clause for clause in clauses if clause.words], _moved(ground, number)
        why = ", ".join(map(str, said)) + (f"; {more}" if more.words else "")
        reason = ", ".join(clause.words for clause in [*said, more] if clause.words)
        made.append(Choice(float(ground.chosen_by[number]), better + 1, float(chance[row]), reason, why))
    return made


class Clause(NamedTuple):
    """A part of a sentence; without words nothing is said.

    - words: str.
    - numbers: str, on what they rest, "" where there are none.
    """

    words: str = ""
    numbers: str = ""

    def __str__(self) -> str:
        return f"{self.words} ({self.numbers})" if self.numbers else self.words


def _percent(share: float) -> str:
    """A share for people: whole percents, one digit where it is small, and a bound where it is next to nothing."""
    if 0 < share < 1e-4:
        return "below 0.01 %"
    if 0 < share < 0.01:
        return f"{100 * share:.1g} %"
    return f"{100 * share:.0f} %" if share <= 0.99 or share == 1 else "above 99 %"


def _itself(ground: Ground, chance: np.ndarray, number: int, row: int) -> list[Clause]:
    """What made the number by which it was chosen large, and its own probability."""
    likely, able = chance[row], ground.free & np.isfinite(chance)
    if ground.far is not None and ground.far[number] > 0:
        apart = f"farther from them than {_percent(ground.far[number])} of the best"
        return [Clause("unlike those above", apart), _own(ground.goal, likely)]
    if not ground.acquisition.uses or np.isnan(likely):
        return [Clause(f"the best by {_meaning(ground)}")]
    own = _own(ground.goal, likely)
    if likely >= LIKELY:
        return [own]
    left = able.copy()
    left[ground.picks[:number]] = False
    if likely >= chance[left].max(initial=0.0):
        return [Clause("the likeliest that is left"), own]
    std = ground.told.std
    largest = float((std[able] >= std[row]).mean())
    if largest <= WIDE:
        return [Clause("uncertain", f"± {std[row]:.2g}, the largest {_percent(largest)}"), own]
    return [Clause(f"the best by {_meaning(ground)}"), own]


def _meaning(ground: Ground) -> str:
    return ground.acquisition.explained(classes=ground.goal.kind == "classes")


def _own(goal: Goal, likely: float) -> Clause:
    """What its own probability says."""
    if np.isnan(likely):
        return Clause()
    word = "likely" if likely >= LIKELY else "unlikely" if likely < UNLIKELY else "perhaps"
    return Clause(f"{word} {'a hit' if goal.has_bound else 'better than the best known'}", _percent(likely))


def _estimate(ground: Ground, row: int) -> Clause:
    """Where a cheap estimate stands among those of all candidates."""
    if not ground.goal.has_direction:
        return Clause()
    word = "low" if ground.goal.sign > 0 else "high"
    for name, values in ground.estimates.items():
        known = ground.free & np.isfinite(values)
        if not np.isfinite(values[row]) or known.sum() < 2:
            continue
        signed, own = ground.goal.sign * values[known], ground.goal.sign * values[row]
        before, upto = float((signed < own).mean()), float((signed <= own).mean())
        guessed = ", predicted" if name in ground.guessed and ground.guessed[name][row] > 0 else ""
        if upto <= LOW:
            return Clause(f"cheap estimate {word}", f"{name}: {word}est {_percent(upto)}{guessed}")
        if before >= NOT_LOW:
            return Clause(f"though its cheap estimate is not {word}", f"{name}: {_percent(before)} are better{guessed}")
    return Clause()


def _reach(ground: Ground, values: np.ndarray) -> np.ndarray:
    """Which of the values (m,) of single members reach the goal, or are better than the best."""
    if ground.goal.has_bound:
        return ground.goal.reached(values)
    return ground.goal.sign * values < ground.goal.sign * ground.reference


def _agreement(ground: Ground, number: int) -> Clause:
    """How many members reach the goal one by one."""
    members = ground.others.of_picks[:, number] if len(ground.others.of_picks) else np.empty(0)
    values = members[np.isfinite(members)]
    if len(values) < 2 or not (ground.goal.has_bound or ground.goal.has_direction):
        return Clause()
    n = int(_reach(ground, values).sum())
    share, count = n / len(values), f"{n} of {len(values)}"
    if share >= AGREE:
        return Clause("formulas agree", count)
    return Clause("few formulas say so" if share <= FEW else "formulas differ", count)


def together(of_pick: np.ndarray, of_others: np.ndarray) -> np.ndarray:
    """Which other predictions rise and fall with one over the members.

    Parameters
    ----------
    of_pick : ndarray (n_members,)
    of_others : ndarray (n_members, m)
        NaN where a member is not valid; only members that are valid for both count.

    Returns
    -------
    ndarray (m,) of bool
        Correlation of at least `TOGETHER`, and at least `CHANCE` standard errors of Fisher's transformation above zero.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(30, 2))
    >>> together(x[:, 0], np.column_stack([2 * x[:, 0], x[:, 1], -x[:, 0]]))
    array([ True, False, False])
    """
    both = np.isfinite(of_pick)[:, None] & np.isfinite(of_others)
    n = both.sum(axis=0)
    a, b = np.where(both, of_pick[:, None], 0.0), np.where(both, of_others, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = np.where(both, a - a.sum(axis=0) / n, 0.0), np.where(both, b - b.sum(axis=0) / n, 0.0)
        r = (a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
        sure = np.arctanh(np.clip(r, -1, 1 - 1e-12)) * np.sqrt(np.maximum(n - 3, 0)) >= CHANCE
    return np.nan_to_num(r) * sure >= TOGETHER


def _moved(ground: Ground, number: int) -> Clause:
    """The other candidates that the members move together with a pick: how many, and what they have in common."""
    others = ground.others
    if not len(others.of_picks) or not others.of_others.shape[1]:
        return Clause()
    rows = np.flatnonzero(together(others.of_picks[:, number], others.of_others)).tolist()
    if len(rows) < FEWEST_MOVED:
        return Clause()
    every = Counter(symbol for elements in others.elements for symbol in elements)
    inside = Counter(symbol for row in rows for symbol in others.elements[row])
    usual = {symbol: every[symbol] / len(others.elements) for symbol in inside}
    telling = [
        symbol
        for symbol, n in inside.items()
        if symbol != "O" and n >= FEWEST_MOVED and n / len(rows) >= max(COMMON, 2 * usual[symbol])
    ]
    if not telling:
        return Clause(f"also tells about {len(rows)} others", f"of the {len(others.elements)} likeliest")
    symbol = max(telling, key=lambda s: (inside[s] / usual[s] / len(rows), inside[s], s))
    kind = f"{symbol} {'oxides' if all('O' in others.elements[row] for row in rows) else 'materials'}"
    if inside[symbol] == len(rows):
        return Clause(f"also tells about {len(rows)} {kind}", f"of the {len(others.elements)} likeliest")
    count = f"{inside[symbol]} of {len(rows)}, among the {len(others.elements)} likeliest"
    return Clause(f"also tells about {len(rows)} others, mostly {kind}", count)
