"""Least-squares fits of subsets of features on the data, by QR."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import NamedTuple

import numpy as np

from sisso_sal.engine._subsets import PIVOT_FLOOR
from sisso_sal.engine.problem import SQUARES, FitObjective, Problem

CHUNK = 256
"""Subsets refitted at a time."""


@dataclass(frozen=True)
class Fit:
    """Least-squares fit of one subset.

    Attributes
    ----------
    subset : tuple of int
        Numbers of the features, ascending.
    coefficients : ndarray (dim,), or (n_tasks, dim) where a problem has tasks
        In units of target over feature.
    intercept : float, or ndarray (n_tasks,)
        In units of the target; 0 without intercept.
    sse : float
        Weighted sum of squared residuals, in units of the target squared.
    residual : ndarray (n_samples,)
        Target minus fit, on all samples.
    """

    subset: tuple[int, ...]
    coefficients: np.ndarray
    intercept: float | np.ndarray
    sse: float
    residual: np.ndarray


class Subsets(NamedTuple):
    """Subsets (n_subsets, dim) of the features of one problem, with the values (n_features, n_samples)."""

    values: np.ndarray
    problem: Problem
    subsets: np.ndarray


def refit(values: np.ndarray, problem: Problem, subset: Sequence[int], centre: bool) -> Fit | None:
    """Weighted least squares by QR; None if the subset is singular on the data.

    Parameters
    ----------
    values : ndarray (n_features, n_samples)
    problem : Problem
    subset : sequence of int
        Rows of `values` to use.
    centre : bool
        Whether there is an intercept.
    """
    return refit_all([Subsets(values, problem, np.array([subset], dtype=np.int64))], centre)[0][0]


def refit_all(every: Sequence[Subsets], centre: bool, objective: FitObjective = SQUARES) -> list[list[Fit | None]]:
    """`refit` of the subsets of many problems, all of one size and on as many samples."""
    if any(part.problem.tasks is not None for part in every):
        return [_refitted_in_tasks(part, centre, objective) for part in every]
    fits: list[list[Fit | None]] = [[] for _ in every]
    for chunk in _chunks(every):
        numbers = [number for number, _ in chunk]
        owners = np.repeat(numbers, [len(part.subsets) for _, part in chunk]).tolist()
        for number, fit in zip(owners, _refitted([part for _, part in chunk], centre), strict=True):
            fits[number].append(fit)
    return fits


def _chunks(every: Sequence[Subsets]) -> Iterator[list[tuple[int, Subsets]]]:
    """The subsets in chunks, in parts that belong to one problem each, with its number."""
    chunk, room = [], CHUNK
    for number, (values, problem, subsets) in enumerate(every):
        start = 0
        while start < len(subsets):
            part = Subsets(values, problem, subsets[start : start + room])
            chunk.append((number, part))
            start, room = start + len(part.subsets), room - len(part.subsets)
            if not room:
                yield chunk
                chunk, room = [], CHUNK
    if chunk:
        yield chunk


def _refitted(parts: Sequence[Subsets], centre: bool) -> list[Fit | None]:
    """Fits of all subsets, in order. Each product is that of one matrix or row, so that the bits are as for one subset."""
    owner = np.repeat(np.arange(len(parts)), [len(part.subsets) for part in parts])
    subsets = np.concatenate([part.subsets for part in parts])
    weights = np.array([part.problem.weights for part in parts])
    targets = np.array([part.problem.target for part in parts])
    shares = weights / weights.sum(axis=1)[:, None]
    target_means = _dots(shares, targets) if centre else np.zeros(len(parts))
    targets, root = targets - target_means[:, None], np.sqrt(shares)
    rows = np.concatenate([part.values[part.subsets] for part in parts])
    means = (rows @ shares[owner][:, :, None])[:, :, 0] if centre else np.zeros(subsets.shape)
    shifted = rows - means[:, :, None]
    centred = shifted * root[owner][:, None, :]
    norms = np.sqrt((centred**2).sum(axis=2))
    q, r = np.linalg.qr((centred / np.where(norms > 0, norms, 1.0)[:, :, None]).swapaxes(1, 2))
    is_regular = (norms > 0).all(axis=1) & (np.diagonal(r, axis1=1, axis2=2) ** 2 >= PIVOT_FLOOR).all(axis=1)
    owner, q, r, norms, shifted = (
        owner[is_regular],
        q[is_regular],
        r[is_regular],
        norms[is_regular],
        shifted[is_regular],
    )
    projections = q.swapaxes(1, 2) @ (targets * root)[owner][:, :, None]
    coefficients = np.linalg.solve(r, projections)[:, :, 0] / norms
    residuals = targets[owner] - (coefficients[:, None, :] @ shifted)[:, 0]
    intercepts = target_means[owner] - _dots(coefficients, means[is_regular]) if centre else np.zeros(len(owner))
    errors = _dots(weights[owner], residuals**2)
    numbers = map(tuple, subsets[is_regular].tolist())
    made = map(Fit, numbers, coefficients, intercepts.tolist(), errors.tolist(), residuals)
    return [next(made) if regular else None for regular in is_regular.tolist()]


def _refitted_in_tasks(part: Subsets, centre: bool, objective: FitObjective) -> list[Fit | None]:
    """Fits in each task, put together; None where the subset is singular in one of them."""
    values, problem, subsets = part
    parts, heights = problem.of_tasks, problem.task_heights(objective)
    heights = heights / [own.weights.sum() for own in parts]
    each = refit_all([Subsets(values, own, subsets) for own in parts], centre)
    out = []
    for number, fits in enumerate(zip(*each, strict=True)):
        whole = [fit for fit in fits if fit is not None]
        if len(whole) < len(parts):
            out.append(None)
            continue
        if objective.is_same_sign and np.ptp(np.sign([fit.coefficients for fit in whole]), axis=0).any():
            whole = _with_same_signs(values, parts, heights, subsets[number], centre)
        out.append(_joined(problem, heights, whole))
    return out


def _joined(problem: Problem, heights: np.ndarray, fits: Sequence[Fit]) -> Fit:
    """One fit from those of each task; heights (n_tasks,): what the squares of each count."""
    residual = np.array([fit.residual for fit in fits])[problem.task_numbers, np.arange(len(problem.target))]
    coefficients, intercepts = (
        np.array([getattr(fit, name) for fit in fits]) for name in ("coefficients", "intercept")
    )
    return Fit(fits[0].subset, coefficients, intercepts, float(heights @ [fit.sse for fit in fits]), residual)


def _with_same_signs(
    values: np.ndarray, parts: Sequence[Problem], heights: np.ndarray, subset: np.ndarray, centre: bool
) -> list[Fit]:
    """The best fits of the tasks whose coefficients agree in sign; a coefficient may be 0.

    With the signs given, the best coefficients of a task are of least squares on some of the features, where these have the signs.
    """
    dim = len(subset)
    signs = np.array(list(product((-1.0, 1.0), repeat=dim)))
    best: list[list[Fit]] = [[] for _ in signs]
    for own in parts:
        fits = [
            _on_some(values, own, subset, some, centre)
            for size in range(dim + 1)
            for some in combinations(range(dim), size)
        ]
        regular = sorted((fit for fit in fits if fit), key=lambda fit: fit.sse)
        for row, taken in zip(signs, best, strict=True):
            taken.append(next(fit for fit in regular if (fit.coefficients * row >= 0.0).all()))
    return min(best, key=lambda fits: heights @ [fit.sse for fit in fits])


def _on_some(
    values: np.ndarray, problem: Problem, subset: np.ndarray, some: tuple[int, ...], centre: bool
) -> Fit | None:
    """The fit on some members of a subset; the coefficients of the others are 0."""
    coefficients = np.zeros(len(subset))
    if not some:
        mean = float(problem.shares @ problem.target) if centre else 0.0
        residual = problem.target - mean
        return Fit(tuple(subset.tolist()), coefficients, mean, float(problem.weights @ residual**2), residual)
    fit = refit(values, problem, subset[list(some)].tolist(), centre)
    if fit is None:
        return None
    coefficients[list(some)] = fit.coefficients
    return Fit(tuple(subset.tolist()), coefficients, fit.intercept, fit.sse, fit.residual)


def largest_error(problem: Problem, objective: FitObjective, fit: Fit) -> float:
    """Square of the largest error times the weight; of several tasks the sum over them, each as it counts."""
    errors = [np.abs(fit.residual[own.weights > 0]).max() for own in problem.of_tasks]
    return float(problem.task_heights(objective) @ np.square(errors))


def error_of(problem: Problem, objective: FitObjective, fit: Fit) -> float:
    """What is smaller for a better fit."""
    return largest_error(problem, objective, fit) if objective.is_largest_error else fit.sse


def _dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Products (m,) of the rows of a with those of b, both (m, n)."""
    return (a[:, None, :] @ b[:, :, None])[:, 0, 0]
