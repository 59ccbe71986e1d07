"""Error against number of labels, in three orders: at random, the worst predicted first, and the farthest first.

In every repeat each row is held out once, together with all rows of its material. Every order adds its rows to the same others,
and is judged on the same held-out rows. Subsets are weights, so that the searches of one size are one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from sisso_sal.data.neighbours import CONSTANT, spread_of
from sisso_sal.errors import FitError, SettingsError
from sisso_sal.models.assembly import assemble
from sisso_sal.models.correction import FEWEST, checked_composition
from sisso_sal.models.costs import correction_cost
from sisso_sal.models.fitting import labels_needed
from sisso_sal.models.groups import canonical_order, consecutive, fold_numbers
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.members import Draw, search_members
from sisso_sal.models.recipe import EnsembleRecipe
from sisso_sal.protocols import Cost, Progress
from sisso_sal.system.costs import announce

ORDERS = ("random", "error", "coverage")
"""Orders by name: at random; the worst predicted first; the farthest from those taken first."""

STEP = sqrt(2.0)
"""How many times the labels of the size before each size has; so half of the labels is one of the sizes."""

LARGEST_PART = 8
"""The smallest size is about this part of the largest, and at least `FEWEST`, from which on formulas are corrected."""


@dataclass(frozen=True, eq=False)
class LearningCurves:
    """Held-out errors by ensembles that learned from more and more rows.

    Attributes
    ----------
    sizes : ndarray (n_sizes,) of int
        Numbers of rows learned from, ascending; the last is that of all rows that are not held out.
    errors : mapping of str to ndarray (n_sizes, n_repeats, n_rows)
        For each of `ORDERS`: label minus prediction of each row when it was held out, in the target's unit.
    groups : ndarray (n_rows,) of int
        Rows of one group were held out together.
    """

    sizes: np.ndarray
    errors: Mapping[str, np.ndarray]
    groups: np.ndarray

    @property
    def n_rows(self) -> int:
        """Labels of the table."""
        return len(self.groups)

    def kept(self, size: int) -> int:
        """Rows of the whole table that are as large a part of it as `size` is of the rows that are not held out."""
        return min(self.n_rows, -(-size * self.n_rows // int(self.sizes[-1])))


class LearningBench:
    """A table in canonical order, and the ensembles that learn from parts of it.

    Parameters
    ----------
    recipe : EnsembleRecipe
    table : TrainingTable
        Rows of one group are held out together.
    composition : array (n_rows, n_elements), optional
        Share of each element.
    seed : int
        Of folds and random orders.

    Examples
    --------
    >>> from sisso_sal.features.space import SpaceSettings
    >>> from sisso_sal.models.fitting import SearchSettings
    >>> X = np.random.default_rng(0).uniform(1, 2, (40, 2))
    >>> table = TrainingTable(("a", "b"), ("", ""), X, X[:, 0] * X[:, 1], np.ones(40), np.arange(40))
    >>> recipe = EnsembleRecipe(space=SpaceSettings(rung=1), search=SearchSettings(dim=1, n_sis=3), members=4)
    >>> curves = LearningBench(recipe, table).curves(repeats=1)
    >>> curves.sizes.tolist(), curves.errors["coverage"].shape
    ([16, 23, 32], (3, 1, 40))
    """

    def __init__(
        self, recipe: EnsembleRecipe, table: TrainingTable, composition: np.ndarray | None = None, seed: int = 0
    ):
        shares = checked_composition(composition, len(table.y))
        names = sorted(range(len(table.names)), key=lambda i: table.names[i])
        content = table.X.T[names] if shares is None else np.vstack([table.X.T[names], shares.T])
        order = canonical_order(content, table.y, table.weights, table.groups)
        self.recipe, self.seed = recipe, seed
        self.rows = order
        self.table = replace(
            table,
            names=tuple(table.names[i] for i in names),
            units=tuple(table.units[i] for i in names),
            X=np.ascontiguousarray(table.X[order][:, names]),
            y=table.y[order],
            weights=table.weights[order],
            groups=table.groups[order],
            errors=None if table.errors is None else table.errors[order],
        )
        self.composition = None if shares is None else np.ascontiguousarray(shares[order])

    def curves(self, *, folds: int = 5, repeats: int = 2, progress: Progress | None = None) -> LearningCurves:
        """Held-out errors of all rows for all sizes and orders; rows are those of the table in canonical order, see `rows`.

        Raises
        ------
        SettingsError
            `folds` or `repeats` is out of range.
        FitError
            There are too few rows for three sizes.
        """
        parts = self._parts(folds, repeats)
        sizes = curve_sizes(min(int(part.pool.sum()) for part in parts), self._fewest)
        n_fits = len(parts) * (3 * len(sizes) - 3)  # two of the smallest size, one of the largest
        errors = {order: np.full((len(sizes), repeats, len(self.table.y)), np.nan) for order in ORDERS}
        done = 0
        for step, size in enumerate(sizes):
            chosen = [
                (part, order, part.pool if step == len(sizes) - 1 else self._taken(part, order, size))
                for part in parts
                for order in ORDERS
            ]
            masks = list({mask.tobytes(): mask for _, _, mask in chosen}.values())
            tell = _announcing(n_fits, len(masks), 3 * len(parts)) if step == 0 else _silent
            predicted = dict(zip((mask.tobytes() for mask in masks), self._predictions(masks, tell), strict=True))
            for part, order, mask in chosen:
                error = self.table.y - predicted[mask.tobytes()]
                errors[order][step, part.repeat, ~part.pool] = error[~part.pool]
                if order == "error" and step + 1 < len(sizes):
                    part.add_worst(mask, error)
            done += len(masks)
            if progress:
                progress(done, n_fits)
        return LearningCurves(sizes, errors, consecutive(self.table.groups))

    def subset(self, order: str, count: int, curves: LearningCurves, progress: Progress | None = None) -> np.ndarray:
        """Which rows of the table, in the order in which it was given, come first: ndarray (n_rows,) of bool, `count` of them true.

        The worst predicted rows are found as in `curves`, now among all rows.
        """
        part = self._part(np.ones(len(self.table.y), dtype=bool), 0, np.random.SeedSequence(self.seed))
        counts = [curves.kept(size) for size in curves.sizes if curves.kept(size) < count] + [count]
        if order == "error":
            for step, now in enumerate(counts[:-1]):
                mask = self._taken(part, order, now)
                part.add_worst(mask, self.table.y - self._predictions([mask], _silent)[0])
                if progress:
                    progress(step + 1, len(counts) - 1)
        out = np.zeros(len(self.table.y), dtype=bool)
        out[self.rows] = self._taken(part, order, count)
        return out

    @property
    def _fewest(self) -> int:
        search = self.recipe.search
        return max(FEWEST, labels_needed(search.dim, search.fit_intercept, bool(self.recipe.space.param_operators)))

    def _parts(self, folds: int, repeats: int) -> list[_Part]:
        """What is held out each time, and the orders in which the other rows come."""
        if repeats < 1:
            raise SettingsError(f"repeats: needs a number >= 1, found {repeats}")
        parts = []
        for repeat, stream in enumerate(np.random.SeedSequence(self.seed).spawn(repeats)):
            own, *each = stream.spawn(1 + folds)
            fold = fold_numbers(self.table.X, self.table.y, folds, int(own.generate_state(1)[0]), self.table.groups)
            parts += [self._part(fold != k, repeat, each[k]) for k in range(folds)]
        return parts

    def _part(self, pool: np.ndarray, repeat: int, stream: np.random.SeedSequence) -> _Part:
        rows = np.flatnonzero(pool)
        drawn = np.random.default_rng(stream).permutation(rows)
        return _Part(
            pool, repeat, {"random": drawn, "error": drawn, "coverage": rows[farthest_first(self._places(rows))]}
        )

    def _places(self, rows: np.ndarray) -> np.ndarray:
        """Standardised features of some rows and, where they are known, compositions that count about as much."""
        X = self.table.X[rows]
        places = X / spread_of(X, least=CONSTANT)
        if self.composition is None:
            return places
        return np.hstack([places, np.sqrt(X.shape[1]) * self.composition[rows]])

    def _taken(self, part: _Part, order: str, size: int) -> np.ndarray:
        mask = np.zeros(len(self.table.y), dtype=bool)
        mask[part.orders[order][:size]] = True
        return mask

    def _predictions(self, masks: Sequence[np.ndarray], tell: Callable[[Sequence[Cost]], None]) -> list[np.ndarray]:
        """Of all rows by an ensemble for each mask, which learned from its rows alone: ndarray (n_rows,) each."""
        y = self.table.y
        varied = [mask for mask in masks if np.ptp(y[mask]) > 0]
        draws = [Draw(mask, self.recipe.dropout) for mask in varied]
        learned = max(int(mask.sum()) for mask in masks)
        later = correction_cost(
            self.recipe, learned, len(self.table.names), self.composition is not None, max(len(draws), 1)
        )
        stages = search_members(self.recipe, self.table, draws, None, [later], tell) if draws else []
        if not all(stage.solved.counts.is_complete for stage in stages):
            raise KeyboardInterrupt
        draw = {mask.tobytes(): number for number, mask in enumerate(varied)}
        predicted = []
        for mask in masks:
            known = np.full(len(y), y[mask].mean())  # what is said of rows without prediction
            if mask.tobytes() in draw:
                model = assemble(self.recipe, self.table, stages, draw[mask.tobytes()], mask, self.composition).model
                mean = model.predict_distribution(self.table.columns(), self.composition).mean
                known = np.where(np.isfinite(mean), mean, known)
            predicted.append(known)
        return predicted


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows that may be learned from (n_rows,), in which repeat, and the numbers of these rows in each order."""

    pool: np.ndarray
    repeat: int
    orders: dict[str, np.ndarray]

    def add_worst(self, taken: np.ndarray, error: np.ndarray) -> None:
        """Let those rows of the pool come after the `taken` ones (n_rows,) that were predicted worst: `error` (n_rows,)."""
        order = self.orders["error"]
        head, rest = order[taken[order]], np.flatnonzero(self.pool & ~taken)
        worst = rest[np.argsort(-np.abs(error[rest]), kind="stable")]
        self.orders["error"] = np.concatenate([head, worst])


def curve_sizes(largest: int, fewest: int) -> np.ndarray:
    """Numbers of rows to learn from, ascending, `STEP` times as many each time: ndarray (n_sizes,) of int.

    Raises
    ------
    FitError
        There would be fewer than three.

    Examples
    --------
    >>> curve_sizes(80, 12).tolist()
    [14, 20, 28, 40, 57, 80]
    """
    steps = np.arange(2 * LARGEST_PART.bit_length() - 2, -1, -1)
    sizes = np.unique(np.round(largest / STEP**steps).astype(np.int64))
    sizes = sizes[sizes >= fewest]
    if len(sizes) < 3:
        raise FitError(
            f"learning curve: needs {2 * fewest} labels at least beside those held out, found {largest}; it would have "
            f"{len(sizes)} points"
        )
    return sizes


def farthest_first(places: np.ndarray) -> np.ndarray:
    """Order in which each row is the farthest from all before it; the first is the one nearest to the mean of all.

    Source: Gonzalez, Theor. Comput. Sci. 38, 293 (1985).

    Parameters
    ----------
    places : ndarray (n_rows, n_coordinates)
        No unit.

    Returns
    -------
    ndarray (n_rows,) of int
        Of rows equally far the first one comes first.

    Examples
    --------
    >>> farthest_first(np.array([[0.0], [1.0], [5.0], [6.0]])).tolist()
    [1, 3, 0, 2]
    """
    order = np.empty(len(places), dtype=np.int64)
    distance = ((places - places.mean(axis=0)) ** 2).sum(axis=1)
    order[0] = np.argmin(distance)
    nearest = np.full(len(places), np.inf)
    for step in range(1, len(places)):
        last = order[step - 1]
        nearest = np.minimum(nearest, ((places - places[last]) ** 2).sum(axis=1))
        nearest[last] = -1.0  # equal rows have a distance of 0, which is more
        order[step] = np.argmax(nearest)
    return order


def _announcing(n_fits: int, first: int, most: int) -> Callable[[Sequence[Cost]], None]:
    """Announces all fits when those of the first size are planned; `most` is how many there are of one size."""

    def tell(costs: Sequence[Cost]) -> None:
        seconds = sum(cost.seconds for cost in costs) * n_fits / first
        largest = max(costs, key=lambda cost: cost.n_bytes)
        announce([replace(largest, what=f"{n_fits} fits", seconds=seconds, n_bytes=largest.n_bytes * most // first)])

    return tell


def _silent(costs: Sequence[Cost]) -> None:
    """What the first announcement has said already."""
