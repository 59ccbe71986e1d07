"""Subspaces whose features are not too alike: of two that are correlated more than a limit, only the better ranked one is taken.

As `max_feat_cross_correlation` of SISSO++ (T. A. R. Purcell et al., J. Open Source Softw. 7, 3960 (2022)): in the order of their
scores, a feature is taken if its absolute correlation with each feature that the subspace has already, from this screening or an
earlier one, is at most the limit.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from sisso_sal.engine import _duplicates
from sisso_sal.engine.screen import ScreeningStep, Stopped, screen
from sisso_sal.engine.selection import Selection
from sisso_sal.features.space import FeatureSpace

MORE = 8
"""Times as many features are looked at, and again so many if they were not enough."""

MOST = 1 << 16
"""Best features among which those of a subspace are looked for."""

logger = logging.getLogger(__name__)


def screen_decorrelated(
    space: FeatureSpace, steps: Sequence[ScreeningStep], n_sis: int, most: float, **options: Any
) -> tuple[list[Selection], Counter]:
    """`screen`, with features left out whose correlation with a better one of their problem exceeds a limit.

    The ranking is looked at as deeply as needed, each time in another pass, but not beyond its best `MOST` features: then a problem
    gets fewer.

    Parameters
    ----------
    space, steps, n_sis, options
        See `screen`.
    most : float
        Largest absolute correlation, weighted like the score (without intercept: the cosine); with 1 nothing is left out.

    Raises
    ------
    Stopped
        On Ctrl-C, with the best so far.
    """
    if most >= 1.0:
        return screen(space, steps, n_sis, **options)
    chosen: list[Selection] = [Selection.empty() for _ in steps]
    open_, number, causes = list(range(len(steps))), MORE * n_sis, Counter()
    while open_:
        number = min(number, MOST, space.n_features)
        waiting = [steps[t] for t in open_]
        try:
            ranked, counted = screen(space, waiting, number, **options)
        except Stopped as stop:
            for t, selection in zip(open_, stop.selections, strict=True):
                chosen[t] = decorrelated(space, steps[t], selection, n_sis, most, options.get("centre", True))
            raise Stopped(chosen) from None
        causes += counted
        options |= {"is_census": False}
        for t, selection in zip(open_, ranked, strict=True):
            chosen[t] = decorrelated(space, steps[t], selection, n_sis, most, options.get("centre", True))
        is_last = number >= min(MOST, space.n_features)
        open_ = [
            t
            for t, selection in zip(open_, ranked, strict=True)
            if len(chosen[t]) < n_sis and len(selection) == number and not is_last
        ]
        number *= MORE
    fewest = min((len(selection) for selection in chosen), default=n_sis)
    if fewest < n_sis:
        others = "the others" if space.n_features <= MOST else f"the others of the best {MOST}"
        told = "a subspace got %d features instead of %d: %s are correlated by more than %g"
        logger.info(told, fewest, n_sis, others, most)
    return chosen, causes


def decorrelated(
    space: FeatureSpace, step: ScreeningStep, ranked: Selection, n_sis: int, most: float, centre: bool
) -> Selection:
    """Of ranked features the first `n_sis` whose correlations with each other and with what is taken are at most a limit."""
    known = Selection.joined([step.taken, step.added])
    every = Selection.joined([known, ranked])
    rows, weights = every.values(space), np.ascontiguousarray(step.problem.shares[None])
    _duplicates.unit_vectors(rows, weights, np.zeros(len(rows), dtype=np.int64), centre, rows)
    n_taken = len(known)
    room = np.empty((n_taken + n_sis, rows.shape[1]))
    room[:n_taken], held, kept = rows[:n_taken], n_taken, []
    for number, row in enumerate(rows[n_taken:]):
        if held == len(room):
            break
        if held == 0 or np.abs(room[:held] @ row).max() <= most:
            room[held] = row
            held += 1
            kept.append(number)
    return ranked.take(np.array(kept, dtype=np.int64))
