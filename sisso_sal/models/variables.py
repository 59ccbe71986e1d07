"""Many primary features: a few of them are chosen, and formulas are searched for among these.

Two ways. *Pairs*: a search of rung 1 goes over all primary features and all pairs of them; what its best models use is taken, the
best first. *Subsets*: VS-SISSO, a search with all rungs in random subsets; each round keeps what the best model so far used and
adds others at random, first those that no round has seen.

The choice sees the labels. Errors of labels that are held out afterwards are too small; hold them out before the choice.

References
----------
Guo, Hu, Han, Ouyang, J. Chem. Theory Comput. 18, 4945 (2022) (variable selection in random subsets).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate, chain, pairwise, zip_longest
from math import ceil
from typing import Any

import numpy as np

from sisso_sal.engine.problem import Problem
from sisso_sal.engine.search import search
from sisso_sal.errors import SettingsError
from sisso_sal.models.baseline import low_names, wanted_columns
from sisso_sal.models.fitting import labels_needed, prepare, search_settings, space_settings
from sisso_sal.models.formulas import FittedModels, find_formulas
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.products import logged
from sisso_sal.protocols import Progress
from sisso_sal.system.costs import announce

KINDS = ("pairs", "subsets")
"""Ways to choose, by name."""

N_RANKED, N_RESIDUAL, N_BEST, LARGEST = 100, 20, 10, 3
"""Of the models of rung 1: features kept in each dimension, residuals of each screening, best models that count, terms. With fewer
residuals the copies of one primary feature take all places, see benchmarks/selection.py.
"""

FRESH = 1 / 3
"""Least share of a subset that is drawn anew."""

SAME = 1e-9
"""Errors that differ by no more than this share are equal."""


@dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """How primary features are chosen.

    Parameters
    ----------
    number : int
        Primary features that a search has at most; 2 or more.
    by : str
        ``pairs`` or ``subsets``.
    rounds : int
        Most subsets.
    patience : int
        The choice ends when so many subsets in a row gave nothing better.
    seed : int
        Of the subsets.

    Raises
    ------
    SettingsError
        A value is out of range.
    """

    number: int = 16
    by: str = "pairs"
    rounds: int = 100
    patience: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in KINDS:
            raise SettingsError(f"select-by: needs one of {', '.join(KINDS)}, found '{self.by}'")
        for name, least in (("number", 2), ("rounds", 1), ("patience", 1), ("seed", 0)):
            value = getattr(self, name)
            if not (isinstance(value, int | np.integer) and value >= least):
                raise SettingsError(f"select: {name}: needs an integer of at least {least}, found {value!r}")


@dataclass(frozen=True)
class Round:
    """A subset: the primary features searched, those that its best model uses, and its error in training, in the target's unit."""

    searched: tuple[str, ...]
    used: tuple[str, ...]
    rmse: float


@dataclass(frozen=True, eq=False)
class Selected:
    """What was chosen.

    Attributes
    ----------
    names : tuple of str
        Primary features, the most important first.
    n_primary : int
        Primary features that there were.
    by : str
    rounds : tuple of Round
        Of ``subsets``; empty for ``pairs``.
    models : FittedModels or None
        Of ``subsets``: what was found with them; not complete if Ctrl-C ended the choice.
    """

    names: tuple[str, ...]
    n_primary: int
    by: str
    rounds: tuple[Round, ...] = ()
    models: FittedModels | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        seen = {name for one in self.rounds for name in one.searched}
        about = {"n_rounds": len(self.rounds), "n_seen": len(seen)} if self.by == "subsets" else {}
        return {"by": self.by, "n_primary": self.n_primary, "primaries": list(self.names), **about}


def select_variables(
    parameters: Mapping[str, Any],
    table: TrainingTable,
    settings: SelectionSettings,
    progress: Progress | None = None,
) -> Selected:
    """The primary features to search formulas with.

    Parameters
    ----------
    parameters : mapping
        Of a `SISSORegressor`. Its low columns are always among what is chosen.
    table : TrainingTable
    settings : SelectionSettings
    progress : callable, optional
        Called with (features, or rounds, done, and in all).

    Raises
    ------
    FitError, SettingsError
        See `SISSORegressor.fit`; or no subset has a usable feature.
    KeyboardInterrupt
        On Ctrl-C before anything was chosen.

    Examples
    --------
    >>> from sisso_sal.models.inputs import checked_table
    >>> from sisso_sal.models.regressor import SISSORegressor
    >>> X = np.random.default_rng(0).uniform(1, 2, (60, 8))
    >>> table = checked_table([f"x{i}" for i in range(8)], X, X[:, 3] / X[:, 7], np.ones(60), target="y")
    >>> formulas = SISSORegressor(rung=1, dim=1, operators=("mult", "div"))
    >>> chosen = select_variables(formulas.get_params(), table, SelectionSettings(number=4))
    >>> chosen.names[:2]
    ('x3', 'x7')
    """
    low = low_names(wanted_columns(parameters["low"]), table.names)
    if len(table.names) <= settings.number:
        return Selected(tuple(sorted(table.names)), len(table.names), settings.by)
    if len(low) >= settings.number:
        raise SettingsError(f"select: needs a number above that of {len(low)} low columns, found {settings.number}")
    if settings.by == "pairs":
        ranked = [*low, *(name for name in ranked_by_pairs(parameters, table, progress) if name not in low)]
        return Selected(tuple(ranked[: settings.number]), len(table.names), "pairs")
    return _by_subsets(parameters, table, settings, low, progress)


def ranked_by_pairs(parameters: Mapping[str, Any], table: TrainingTable, progress: Progress | None = None) -> list[str]:
    """Primary features by how good the models of rung 1 are that they first occur in.

    First those of the best models, the largest ones first, then those of the features that the screenings of each dimension kept,
    taken in turn. Those that occur in none of them are left out.
    """
    operators = parameters["operators"]
    if operators is not None and not all(isinstance(name, str) for name in operators):
        operators = operators[0]
    own = {**parameters, "operators": operators, "rung": min(1, parameters["rung"]), "low": ()}
    own |= {"dim": _largest(parameters, table), "n_sis": N_RANKED, "n_residual": N_RESIDUAL}
    searched = logged(table) if parameters.get("regression") == "log" else table
    prepared = prepare(searched, space_settings(own), search_settings(own, N_BEST))
    space = prepared.space
    problem = Problem(prepared.target, prepared.weights, np.ones(len(prepared.names), dtype=bool))
    announce([prepared.cost([problem])])
    centre, threads = prepared.settings.fit_intercept, prepared.settings.n_threads
    (found,), _ = search(space, [problem], prepared.size, centre=centre, threads=threads, progress=progress)
    if not found.is_complete:
        raise KeyboardInterrupt
    best = [fit.subset for fits in reversed(found.fits) for fit in fits[:N_BEST]]
    ends = [0, *accumulate(found.sizes)]
    in_turn = zip_longest(*(range(start, stop) for start, stop in pairwise(ends)))
    formula = cache(space.expression)
    numbers = (number for some in chain(best, in_turn) for number in some if number is not None)
    names = chain.from_iterable(formula(*found.subspace.triple(number)).primaries() for number in numbers)
    return list(dict.fromkeys(names))


def _largest(parameters: Mapping[str, Any], table: TrainingTable) -> int:
    """Terms of the largest model of rung 1: more than the model that is wanted, if there are enough labels."""
    most = int((table.weights > 0).sum()) - labels_needed(0, parameters["fit_intercept"])
    return max(1, min(max(parameters["dim"], LARGEST), most))


class _Rounds:
    """The rounds so far, and the best of them."""

    def __init__(
        self, parameters: Mapping[str, Any], table: TrainingTable, settings: SelectionSettings, low: Sequence[str]
    ):
        self.parameters, self.table, self.settings, self.low = parameters, table, settings, low
        self.rng = np.random.default_rng(settings.seed)
        self.names = sorted(table.names)
        self.rounds: list[Round] = []
        self.best: tuple[Round, FittedModels] | None = None
        self.since = 0

    @property
    def is_over(self) -> bool:
        return len(self.rounds) >= self.settings.rounds or self.since >= self.settings.patience

    def one_more(self) -> None:
        """Search in another subset.

        Raises
        ------
        KeyboardInterrupt
            The search was interrupted.
        """
        kept = tuple(dict.fromkeys([*self.low, *(self.best[0].used if self.best else ())]))
        seen = {name for one in self.rounds for name in one.searched}
        searched = _subset(self.rng, self.names, kept, seen, self.settings.number)
        models = find_formulas(self.parameters, self.table.only(searched))
        is_whole = models.counts.is_complete
        one = Round(searched, models.needed, models.model.rmse)
        self.rounds.append(one)
        self.since += 1
        if self.best is None or (is_whole and _is_better(one, self.best[0])):
            self.best, self.since = (one, models), 0
        if not is_whole:
            raise KeyboardInterrupt


def _by_subsets(
    parameters: Mapping[str, Any],
    table: TrainingTable,
    settings: SelectionSettings,
    low: Sequence[str],
    progress: Progress | None,
) -> Selected:
    walk, is_complete = _Rounds(parameters, table, settings, low), True
    try:
        while not walk.is_over:
            walk.one_more()
            if progress:
                progress(len(walk.rounds), settings.rounds)
    except KeyboardInterrupt:
        is_complete = False
    if walk.best is None:
        raise KeyboardInterrupt
    one, models = walk.best
    models = replace(models, counts=replace(models.counts, is_complete=is_complete))
    names = tuple(dict.fromkeys([*one.used, *one.searched]))
    return Selected(names, len(table.names), "subsets", tuple(walk.rounds), models)


def _subset(
    rng: np.random.Generator, names: Sequence[str], kept: Sequence[str], seen: Collection[str], number: int
) -> tuple[str, ...]:
    """What is kept, and others at random: first those that no round has seen, at least a third of the number."""
    others = [name for name in names if name not in kept]
    drawn = [others[i] for i in rng.permutation(len(others))]
    drawn.sort(key=seen.__contains__)
    n_fresh = max(number - len(kept), ceil(FRESH * number))
    return (*kept, *drawn[:n_fresh])


def _is_better(one: Round, best: Round) -> bool:
    """A smaller error, or the same with fewer primary features."""
    if abs(one.rmse - best.rmse) <= SAME * best.rmse:
        return len(one.used) < len(best.used)
    return one.rmse < best.rmse
