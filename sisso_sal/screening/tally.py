"""What is kept of a shard: counts, histograms, the best candidates and, if asked, all predictions."""

# pyarrow.compute makes its functions at import, out of a type checker's sight.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sisso_sal.data.arrow import text_array
from sisso_sal.oxides.elements import element_data
from sisso_sal.screening.block import PoolBlock
from sisso_sal.screening.class_judge import class_columns
from sisso_sal.screening.job import ScreeningJob
from sisso_sal.screening.judge import COLUMNS, MANY, Judge, Judged

COMPOSITION = "composition"
"""Header of the formulas of the best candidates, where these are not their ids."""

N_SHARES = 20
"""Bins of the histogram of the probability of a hit."""

OF_TARGET = ("mean", "std", "low95", "high95", "formulas_mean")
"""Columns in the target's unit."""


def told_columns(classes: Sequence[str]) -> tuple[str, ...]:
    """Every column that predictions of numbers or, where there are some, of these classes can have."""
    return class_columns(classes) if classes else COLUMNS


def feature_header(name: str, unit: str, classes: Sequence[str] = ()) -> str:
    """Header of a primary feature beside the predictions of numbers or classes.

    Examples
    --------
    >>> feature_header("EA", "eV"), feature_header("mean", "")
    ('EA (eV)', 'feature mean')
    """
    own = f"feature {name}" if name in {*told_columns(classes), COMPOSITION} else name
    return f"{own} ({unit})" if unit else own


def target_header(name: str, unit: str) -> str:
    """Header of a column of predictions in a table for people.

    Examples
    --------
    >>> target_header("mean", "eV"), target_header("score", "eV")
    ('mean (eV)', 'score')
    """
    return f"{name} ({unit})" if unit and name in OF_TARGET else name


@dataclass
class Counts:
    """Numbers over some candidates; those of two shards are added.

    Attributes
    ----------
    n_rows, n_known, n_excluded, n_predicted : int
        All candidates; those with a label and those with an unwanted element, which do not count in what follows; those with a
        prediction.
    n_extrapolated : int
        Candidates for which more than half of the members extrapolate or, of classes, are far outside of their training range.
    n_some_invalid : int
        Candidates with a prediction for which some member is not valid.
    without : Counter
        Why candidates have no prediction.
    means : ndarray (n_bins + 2,) of int
        Below the first bin of the histogram of the means, in each, and above the last.
    shares : ndarray (N_SHARES,) of int
        Of the probability of a hit.
    hits : float
        Sum of these probabilities.
    classes, expected : ndarray (n_classes,)
        Candidates whose most probable class it is, and the sum of its probabilities; none of numbers.
    """

    n_rows: int = 0
    n_predicted: int = 0
    n_known: int = 0
    n_excluded: int = 0
    n_extrapolated: int = 0
    n_some_invalid: int = 0
    without: Counter[str] = field(default_factory=Counter)
    means: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    shares: np.ndarray = field(default_factory=lambda: np.zeros(N_SHARES, np.int64))
    hits: float = 0.0
    classes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    expected: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        kept = {name: getattr(self, name) for name in self.__dataclass_fields__}
        arrays = {name: value.tolist() for name, value in kept.items() if isinstance(value, np.ndarray)}
        return kept | arrays | {"without": dict(self.without)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Counts:
        """The inverse of `to_json`."""
        arrays: dict[str, Any] = {name: np.array(data[name], np.int64) for name in ("means", "shares", "classes")}
        arrays["expected"] = np.array(data["expected"], np.float64)
        return cls(**{**data, **arrays, "without": Counter(data["without"])})


class BestOfPool:
    """The best candidates so far, as rows of a table; equal scores by id, and equal ids by their order.

    Parameters
    ----------
    most : int
        How many are kept.
    schema : pyarrow.Schema
        Of the rows.
    """

    def __init__(self, most: int, schema: pa.Schema):
        self._most, self._empty = most, schema.empty_table()
        self._tables: list[pa.Table] = []
        self._n, self.least = 0, -np.inf

    def reaching(self, scores: np.ndarray) -> np.ndarray:
        """ndarray (k,) of int: rows that can be among the best; NaN and minus infinity never are."""
        rows = np.flatnonzero((scores >= self.least) & (scores > -np.inf))
        if len(rows) <= self._most:
            return rows
        worst = np.partition(scores[rows], len(rows) - self._most)[len(rows) - self._most]
        return rows[scores[rows] >= worst]

    def add(self, rows: pa.Table) -> None:
        """Add rows with the columns ``id`` and ``score``, of which those can be left out that `reaching` does not name."""
        self._tables.append(rows)
        self._n += rows.num_rows
        if self._n > 2 * self._most or (self.least == -np.inf and self._n >= self._most):
            self._prune()

    def _prune(self) -> None:
        best = self.table()
        self._tables, self._n = [best], best.num_rows
        if self._n == self._most:
            self.least = float(np.asarray(best["score"])[-1])

    def table(self) -> pa.Table:
        """The best, in order."""
        whole = pa.concat_tables([self._empty, *self._tables])
        order = pc.sort_indices(whole, sort_keys=[("score", "descending"), ("id", "ascending")])
        return whole.take(order[: self._most])


def _indices(rows: np.ndarray) -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows, np.int64))])


class Tally:
    """The results of a shard, block by block.

    Parameters
    ----------
    job : ScreeningJob
    judge : Judge
    """

    def __init__(self, job: ScreeningJob, judge: Judge):
        self._job, self._judge = job, judge
        self.predictions: list[pa.Table] = []
        self._known = text_array(job.known)
        columns = {symbol: number for number, symbol in enumerate(element_data())}
        self._unwanted = [columns[symbol] for symbol in job.unwanted]
        n_classes = len(job.classes)
        self.counts = Counts(
            means=np.zeros(job.bins[2] + 2, np.int64),
            classes=np.zeros(n_classes, np.int64),
            expected=np.zeros(n_classes),
        )
        self.best = BestOfPool(job.top, self._schema(of_best=True))

    def add(self, block: PoolBlock) -> None:
        """Predict a block, score it, and keep what is wanted of it."""
        judged = self._judge.judged(block)
        is_open = self._is_open(block)
        self._count(judged, is_open)
        scores = judged.columns["score"]
        if is_open is not None:
            scores = np.where(is_open, scores, np.nan)
        rows = self.best.reaching(scores)
        if self._job.keeps_all:
            everything = np.arange(len(block.ids))
            table = self._rows(judged, block, everything)
            self.predictions.append(table)
            best = self._with_features(table.take(_indices(rows)), block, rows)
        elif len(rows):
            best = self._with_features(self._rows(judged, block, rows), block, rows)
        else:
            return
        self.best.add(best)

    def all_predictions(self) -> pa.Table:
        """Those of every candidate, in order."""
        return pa.concat_tables([self._schema(of_best=False).empty_table(), *self.predictions])

    def _schema(self, *, of_best: bool) -> pa.Schema:
        """Columns and their types, of predictions or of the best candidates, which have their features as well."""
        types = {"id": pa.string(), "reason": pa.string(), "class": pa.string(), "n_valid": pa.int32()}
        fields = [(name, types.get(name, pa.float64())) for name in self._judge.columns]
        units = self._job.reading.primaries if of_best else {}
        fields += [(COMPOSITION, pa.string())] if of_best and self._job.reading.has_formulas else []
        headers = (feature_header(name, unit, self._job.classes) for name, unit in units.items())
        return pa.schema(fields + [(header, pa.float64()) for header in headers])

    def _is_open(self, block: PoolBlock) -> np.ndarray | None:
        """ndarray (n,) of bool: candidates without a label and without an unwanted element; None where all are."""
        is_open = np.ones(len(block.ids), dtype=bool)
        if len(self._known):
            is_open &= ~np.asarray(pc.is_in(block.ids, value_set=self._known))
            self.counts.n_known += len(is_open) - int(np.count_nonzero(is_open))
        if len(self._unwanted) and block.shares is not None:
            excluded = is_open & (block.shares[:, self._unwanted] > 0).any(axis=1)
            self.counts.n_excluded += int(np.count_nonzero(excluded))
            is_open &= ~excluded
        return None if is_open.all() else is_open

    def _count(self, judged: Judged, is_open: np.ndarray | None) -> None:
        counts, columns = self.counts, judged.columns
        lacks = np.isnan(judged.value)
        known = ~lacks if is_open is None else ~lacks & is_open
        counts.n_rows += len(lacks)
        counts.n_predicted += int(np.count_nonzero(known))
        counts.without.update(judged.reason[lacks if is_open is None else lacks & is_open].tolist())
        if judged.number is None:
            low, width, n_bins = self._job.bins
            with np.errstate(over="ignore"):
                place = np.clip(np.floor((judged.value[known] - low) / width), -1, n_bins).astype(np.int64) + 1
            counts.means += np.bincount(place, minlength=n_bins + 2)
        else:
            counts.classes += np.bincount(judged.number[known], minlength=len(counts.classes))
            counts.expected += [float(columns[f"p({name})"][known].sum()) for name in self._job.classes]
        if "p_hit" in columns:
            likely = np.nan_to_num(columns["p_hit"][known])
            bins = np.minimum(N_SHARES * likely, N_SHARES - 1).astype(np.int64)
            counts.shares += np.bincount(bins, minlength=N_SHARES)
            counts.hits += float(likely.sum())
            counts.n_extrapolated += int(np.count_nonzero(columns["outside"][known] > MANY))
            counts.n_some_invalid += int(np.count_nonzero(columns["n_valid"][known] < self._judge.n_members))

    def _rows(self, judged: Judged, block: PoolBlock, rows: np.ndarray) -> pa.Table:
        """What is said of some candidates."""
        found = {name: values[rows] for name, values in judged.columns.items()}
        found |= self._judge.details(judged, block.columns, rows)
        ids = block.ids.take(_indices(rows))
        table = {"id": ids, **found, "reason": text_array(judged.reason[rows].tolist())}
        return pa.table({name: table[name] for name in self._judge.columns})

    def _with_features(self, table: pa.Table, block: PoolBlock, rows: np.ndarray) -> pa.Table:
        if block.formulas is not None:
            table = table.append_column(COMPOSITION, block.formulas.take(_indices(rows)))
        for name, unit in self._job.reading.primaries.items():
            header = feature_header(name, unit, self._job.classes)
            table = table.append_column(pa.field(header, pa.float64()), [pa.array(block.columns[name][rows])])
        return table
