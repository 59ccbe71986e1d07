"""Slow, obvious twins of what the package does fast: read them to know what is meant, compare with them to know it is done."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations
from math import comb

import numpy as np

from sisso_sal.errors import UnitError
from sisso_sal.features.expression import Expression
from sisso_sal.features.operators import OPERATORS
from sisso_sal.features.unit_rules import UNIT_RULES


@dataclass
class Rung:
    """Features of one rung, and how many were left out for which cause."""

    features: list[Expression] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    rejected: Counter = field(default_factory=Counter)
    n_generated: int = 0


def feature_space(
    columns,
    units,
    operators,
    rung,
    *,
    max_complexity=None,
    min_abs=1e-5,
    max_abs=1e5,
    unit_rules="strict",
):
    """All rungs, by applying every operator to every feature: a list of `Rung`, the last one with its duplicates.

    columns maps names to values (n_samples,), units maps names to unit texts; operators are those of all rungs or of each rung.
    """
    of_rungs = [operators] * rung if all(isinstance(name, str) for name in operators) else operators
    first = Rung()
    for name, row in columns.items():
        first.features.append(Expression.primary(name, units[name] if unit_rules != "none" else ""))
        first.values.append(np.asarray(row, dtype=float))
    rungs = [first]
    for number in range(1, rung + 1):
        lower = [item for r in rungs for item in zip(r.features, r.values, strict=True)]
        start = len(lower) - len(rungs[-1].features)
        new = Rung()
        stored = number < rung
        for operator in [name for name in OPERATORS if name in of_rungs[number - 1]]:
            for operands in _operands(operator, lower, start):
                new.n_generated += 1
                formula, values = _feature(operator, operands, max_complexity, UNIT_RULES[unit_rules], turn=stored)
                cause = formula if isinstance(formula, str) else _cause(values, min_abs, max_abs)
                if cause:
                    new.rejected[cause] += 1
                else:
                    new.features.append(formula)
                    new.values.append(values)
        if stored:
            _drop_duplicates(new, lower)
        rungs.append(new)
    return rungs


def _operands(operator, lower, start):
    """Operands of the next rung: at least one of the newest features, never a feature with itself."""
    for i in range(start, len(lower)):
        if OPERATORS[operator].arity == 1:
            yield (lower[i],)
            continue
        if operator == "div":
            yield from ((lower[i], lower[j]) for j in range(i))
        yield from ((lower[j], lower[i]) for j in range(i))


def _feature(operator, operands, max_complexity, rules, turn):
    """(Expression, values), or (cause of rejection, None); with `turn` a negative difference is turned round."""
    formulas = [formula for formula, _ in operands]
    if len(formulas) == 1 and formulas[0].name in OPERATORS[operator].trivial_on and not formulas[0].is_primary:
        return "nesting", None
    try:
        formula = Expression.apply(operator, *formulas, rules=rules)
    except UnitError:
        return "unit", None
    if max_complexity is not None and formula.complexity > max_complexity:
        return "complexity", None
    with np.errstate(all="ignore"):
        values = OPERATORS[operator].numpy(*(row for _, row in operands))
    if turn and operator == "sub" and values.max() < 0:
        formula = Expression.apply(operator, *formulas[::-1], rules=rules)
        values = -values
    return formula, values


def _cause(values, min_abs, max_abs):
    if not np.isfinite(values).all():
        return "domain"
    largest = np.abs(values).max()
    if not min_abs <= largest <= max_abs:
        return "bounds"
    return "constant" if np.std(values) <= 1e-10 * largest else ""


def _drop_duplicates(new, lower):
    """Of numerically equal features of one unit the least complex stays, then the one whose key comes first."""
    kept_values, kept_units = [row for _, row in lower], [formula.dimension for formula, _ in lower]
    order = sorted(range(len(new.features)), key=lambda t: (new.features[t].complexity, new.features[t].key))
    kept = []
    for t in order:
        others = np.array(kept_values)
        scale = np.maximum(np.abs(others).max(axis=1), np.abs(new.values[t]).max())
        is_equal = np.abs(others - new.values[t]).max(axis=1) <= 1e-10 * scale
        if any(same and unit == new.features[t].dimension for same, unit in zip(is_equal, kept_units, strict=True)):
            new.rejected["duplicate"] += 1
        else:
            kept.append(t)
            kept_values.append(new.values[t])
            kept_units.append(new.features[t].dimension)
    kept.sort(key=lambda t: (new.features[t].complexity, t))
    new.features, new.values = [new.features[t] for t in kept], [new.values[t] for t in kept]


def weighted_correlation(x, y, weights, centre=True):
    """Weighted Pearson correlation; without `centre` the weighted cosine."""
    x_mean, y_mean = (np.average(v, weights=weights) if centre else 0.0 for v in (x, y))
    x, y = x - x_mean, y - y_mean
    return np.average(x * y, weights=weights) / np.sqrt(
        np.average(x * x, weights=weights) * np.average(y * y, weights=weights)
    )


def directions(values, weights, centre=True):
    """Weighted, centred rows of norm 1: rows that are equal up to sign belong to features that are affinely related."""
    shares = weights / weights.sum()
    rows = np.array([row - (shares @ row if centre else 0.0) for row in values]) * np.sqrt(shares)
    return rows / np.linalg.norm(rows, axis=1)[:, None]


@dataclass
class Screened:
    """The chosen features and their scores; `is_clear` is False where a tolerance decided by a hair."""

    features: list[Expression]
    scores: list[float]
    is_clear: bool


def screen(features, values, weights, residuals, n_sis, *, allowed=None, taken=(), centre=True):
    """The `n_sis` best features: score every one, sort, keep one of each direction, sort again.

    Where there are too few directions, features follow that equal a chosen (or taken) one in value and have another unit.

    features, values: the whole space; residuals (n_residuals, n_samples); allowed: names of primaries; taken: keys of features
    that the problem has already.
    """
    there = weights > 0
    scored = []
    for formula, row in zip(features, values, strict=True):
        if allowed is not None and not set(formula.primaries()) <= set(allowed):
            continue
        mean = np.average(row, weights=weights) if centre else 0.0
        if np.sqrt(np.average((row - mean) ** 2, weights=weights)) <= 1e-10 * np.abs(row[there]).max():
            continue
        scores = [abs(weighted_correlation(row, residual, weights, centre)) for residual in residuals]
        scored.append((formula, row, max(scores)))
    if not scored:
        return Screened([], [], True)
    scored.sort(key=lambda item: -item[2])
    units = directions([row for _, row, _ in scored], weights, centre)
    cosines = units @ units.T
    nearly = np.abs(np.abs(cosines) - 1) < 1e-9
    winners, others, done, doubtful = [], [], set(), -1.0

    def rank(u):
        return scored[u][0].complexity, scored[u][0].key

    for t in range(len(scored)):
        if t in done:
            continue
        group = []
        for u in np.flatnonzero(nearly[t]).tolist():
            distance = np.linalg.norm(units[t] - np.sign(cosines[t, u]) * units[u])
            if 1e-9 < distance < 1e-6:
                doubtful = max(doubtful, scored[t][2])
            if distance <= 1e-8 and u not in done:
                group.append(u)
        done.update(group)
        heads = [u for u in group if scored[u][0].key in taken]
        if not heads:
            heads = [min(group, key=rank)]
            winners += heads
        units_of_heads = {scored[u][0].dimension for u in heads}
        for u in sorted(group, key=rank):
            first, second = scored[heads[0]][1], scored[u][1]
            distance = min(np.abs(first - second).max(), np.abs(first + second).max())
            is_equal = distance <= 1e-10 * max(np.abs(first).max(), np.abs(second).max())
            if is_equal and scored[u][0].dimension not in units_of_heads:
                units_of_heads.add(scored[u][0].dimension)
                others.append(u)
    winners.sort(key=lambda t: (-round(scored[t][2], 10), *rank(t)))
    others.sort(key=lambda t: (-round(scored[t][2], 10), *rank(t)))
    chosen = (winners + others)[:n_sis]
    scores = np.array([scored[t][2] for t in winners[: n_sis + 1]])
    gaps = -np.diff(scores)
    # Rounding noise decides where scores nearly agree to ten decimals, or agree close to half a unit of the tenth.
    half = np.abs(scores * 1e10 - np.floor(scores * 1e10) - 0.5) < 1e-2
    nearly_tied = (np.abs(gaps) > 1e-13) & (np.abs(gaps) < 1e-9) | (np.abs(gaps) <= 1e-13) & half[:-1]
    lowest = scores[n_sis - 1] if len(winners) > n_sis else 0.0
    is_clear = not nearly_tied.any() and doubtful < lowest - 1e-6
    return Screened([scored[t][0] for t in chosen], [scored[t][2] for t in chosen], bool(is_clear))


@dataclass
class NaiveFit:
    subset: tuple[int, ...]
    coefficients: np.ndarray
    intercept: float
    sse: float
    residual: np.ndarray


def least_squares(rows, target, weights, centre=True):
    """(coefficients, intercept, weighted sum of squared residuals, residual); `np.linalg.lstsq` does the work."""
    rows, root = np.array(rows), np.sqrt(weights)
    means = np.average(rows, axis=1, weights=weights) if centre else np.zeros(len(rows))
    mean = np.average(target, weights=weights) if centre else 0.0
    centred = rows - means[:, None]
    scale = np.abs(centred).max(axis=1)
    coefficients = np.linalg.lstsq((centred / scale[:, None] * root).T, (target - mean) * root, rcond=None)[0] / scale
    residual = target - mean - coefficients @ centred
    return coefficients, mean - coefficients @ means, weights @ residual**2, residual


def best_subsets(values, target, weights, dim, *, centre=True, ranks=None):
    """(fits, number of singular subsets): every subset of `dim` features fitted, best first.

    A subset is singular when one of its features, in turn, keeps less than 1e-10 of its square beside those before it.
    """
    ranks = ranks or [(0, f"{i:09d}") for i in range(len(values))]
    fits, n_singular = [], 0
    mean = np.average(target, weights=weights) if centre else 0.0
    total = weights @ (target - mean) ** 2
    for subset in combinations(range(len(values)), dim):
        rows = [values[i] for i in subset]
        if _is_singular(rows, weights, centre):
            n_singular += 1
            continue
        coefficients, intercept, sse, residual = least_squares(rows, target, weights, centre)
        fits.append(NaiveFit(subset, coefficients, float(intercept), float(sse), residual))
    fits.sort(
        key=lambda f: (
            round(f.sse / total, 10),
            sum(ranks[i][0] for i in f.subset),
            sorted(ranks[i][1] for i in f.subset),
        )
    )
    return fits, n_singular


def posterior(values, target, weights, dim, n, n_features):
    """{subset: (probability, share of the variance left)} over all subsets of up to `dim` features, and the empty one."""
    total = weights @ (target - np.average(target, weights=weights)) ** 2
    found = {(): (0.0, 1.0)}
    for size in range(1, dim + 1):
        for fit in best_subsets(values, target, weights, size)[0]:
            left = fit.sse / total
            evidence = (
                -0.5 * max(n - size - 1, 0) * np.log(left) - 0.5 * size * np.log(n) - np.log(comb(n_features, size))
            )
            found[fit.subset] = evidence, left
    most = max(evidence for evidence, _ in found.values())
    shares = {subset: np.exp(evidence - most) for subset, (evidence, _) in found.items()}
    sum_ = sum(shares.values())
    return {subset: (share / sum_, found[subset][1]) for subset, share in shares.items()}


def _is_singular(rows, weights, centre):
    for i, row in enumerate(rows):
        mean = np.average(row, weights=weights) if centre else 0.0
        square = weights @ (row - mean) ** 2
        if not square > 0:
            return True
        if i == 0:
            continue
        left = least_squares(rows[:i], row, weights, centre)[2]
        if left < 1e-10 * square:
            return True
    return False


def repeated(rows, counts):
    """Rows (n_samples, …) with row i repeated counts[i] times."""
    return np.repeat(rows, np.asarray(counts, dtype=int), axis=0)


def out_of_bag(models, counts, columns):
    """Mean and spread (ddof 1) per sample over the models that did not see it and are valid there; one alone has no spread."""
    n_samples = len(next(iter(columns.values())))
    means, spreads = np.full(n_samples, np.nan), np.full(n_samples, np.nan)
    for i in range(n_samples):
        found = []
        for model, count in zip(models, counts, strict=True):
            values, valid = model.predict({name: row[i : i + 1] for name, row in columns.items()})
            if count[i] == 0 and valid[0]:
                found.append(values[0])
        if found:
            means[i] = np.mean(found)
        if len(found) >= 2:
            spreads[i] = np.std(found, ddof=1)
    return means, spreads


def nth_distance(value, others, n):
    """Distance to the n-th nearest of some values, or to the farthest where there are fewer."""
    apart = sorted(abs(other - value) for other in others)
    return apart[min(n, len(apart)) - 1]


def search(features, values, target, weights, *, dim, n_sis, n_residual=1, allowed=None, centre=True):
    """For each dimension (keys of the subspace, fits best first, clear): screen the residuals, extend the subspace, fit all."""
    values_of = {f.key: row for f, row in zip(features, values, strict=True)}
    rank_of = {f.key: (f.complexity, f.key) for f in features}
    subspace, residuals, steps = [], [target], []
    for d in range(1, dim + 1):
        wanted = n_sis if isinstance(n_sis, int) else n_sis[d - 1]
        found = screen(
            features, values, weights, residuals, wanted, allowed=allowed, taken=set(subspace), centre=centre
        )
        subspace = subspace + [f.key for f in found.features]
        fits, _ = best_subsets(
            [values_of[key] for key in subspace],
            target,
            weights,
            d,
            centre=centre,
            ranks=[rank_of[k] for k in subspace],
        )
        residuals = [fit.residual for fit in fits[:n_residual]]
        steps.append((list(subspace), fits, found.is_clear))
    return steps


def relative_distance(features, labelled):
    """Distance to the nearest labelled row, in units of the median distance between a labelled row and its nearest other one."""
    scale = [column.std() or 1.0 for column in labelled.T]

    def apart(a, b):
        return sum(((x - y) / s) ** 2 for x, y, s in zip(a, b, scale, strict=True)) ** 0.5

    usual = np.median([min(apart(a, b) for j, b in enumerate(labelled) if j != i) for i, a in enumerate(labelled)])
    return np.array([min(apart(row, other) for other in labelled) / usual for row in features])


def noise_floor(n):
    """Mean and 95th percentile of the miscalibration area of 4000 draws, each number looked up in the levels."""
    levels, drawn = np.linspace(0.01, 0.99, 99), min(n, 1000)
    first = np.searchsorted(levels, np.random.default_rng(0).random((4000, drawn)))
    covered = np.array([np.bincount(row, minlength=100)[:99].cumsum() for row in first]) / drawn
    gap = np.pad(np.abs(covered - levels), [(0, 0), (1, 1)])
    areas = np.trapezoid(gap, np.concatenate([[0.0], levels, [1.0]]))
    return np.mean(areas) * np.sqrt(drawn / n), np.quantile(areas, 0.95) * np.sqrt(drawn / n)


def naive_farthest_first(places):
    """Each time the row whose nearest row among those taken is the farthest; the first of equal ones."""
    n = len(places)
    middle = [sum(row[j] for row in places) / n for j in range(len(places[0]))]

    def square(a, b):
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))

    taken = [min(range(n), key=lambda i: square(places[i], middle))]
    while len(taken) < n:
        rest = [i for i in range(n) if i not in taken]
        taken.append(max(rest, key=lambda i: min(square(places[i], places[j]) for j in taken)))
    return taken


def computed_structures(energies, most, window, same):
    """Which structures of a phase are computed after a ranking, in words: see `sisso_sal.oracle.workflow.prerelax.chosen`."""
    computed = []
    for number, energy in enumerate(energies):
        if energy is None:
            computed.append(number < most)  # as if there were no ranking
            continue
        level, head = 0, None
        for lower in sorted(e for e in energies if e is not None):
            if head is None or lower - head > same:
                level, head = level + 1, lower
            if lower == energy:
                break
        computed.append(level <= most or energy - min(e for e in energies if e is not None) <= window)
    return computed
