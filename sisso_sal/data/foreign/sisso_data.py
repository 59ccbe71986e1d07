"""The table of the Fortran program SISSO, train.dat, and the units of its columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from sisso_sal.data.cells import shown
from sisso_sal.data.foreign.list_directed import integer, items, real
from sisso_sal.data.foreign.translation import Translation, brief, read_lines
from sisso_sal.errors import InputError

_UNIT_FILES = ("feature_units", "pfdimension")
_GROUP = re.compile(r"\(([^()]*)\)?")
_BEFORE = {1: "a name", 2: "a name, a property"}


@dataclass(frozen=True)
class TrainData:
    """What train.dat holds.

    Attributes
    ----------
    path : path
    names : list of str
        Of the samples, the property and the features.
    rows : list of (int, list of str)
        Number of the line, and its cells.
    n_before : int
        Columns before the features: name and property; the name alone if there are classes.
    """

    path: Path
    names: list[str]
    rows: list[tuple[int, list[str]]]
    n_before: int = 2

    @classmethod
    def read(cls, path: Path, n_before: int = 2) -> TrainData:
        """Read the file; blanks, tabs and commas part cells.

        Raises
        ------
        InputError
            It cannot be read, or has no rows.
        """
        lines = [(n, cells) for n, line in enumerate(read_lines(path), 1) if (cells := line.replace(",", " ").split())]
        if len(lines) < 2 or len(lines[0][1]) <= n_before:
            header = ", ".join(["sample", "property"][:n_before])
            raise InputError(f"{path}: needs a header ({header}, features) and rows, found {len(lines)} lines")
        return cls(path, lines[0][1], lines[1:], n_before)

    def n_features(self, said: Translation) -> int:
        """Number of features to take: `nsf`, the first ones, or all."""
        there = len(self.names) - self.n_before
        name, text = said.take("nsf")
        wanted = [item for item in items(text or "", 1) if item is not None]
        number = said.parsed(name, integer, wanted[0]) if wanted else there
        if not 0 < number <= there:
            raise InputError(f"{self.path}: needs {number} features (nsf), found {there} in the header")
        if number < there:
            others = brief(", ".join(self.names[number + self.n_before :]))
            said.notes.append(f"{name}={number}: {self.path.name} has {there} features; not used: {others}")
        if wanted:
            said.mapped.append((f"{name}={number}", "primary features"))
        return number

    def samples(self, said: Translation, n_features: int, first: int, n_samples: int | None) -> list[list[str]]:
        """Name, property (if there is one) and features of the samples from `first` on, `n_samples` of them or all.

        Raises
        ------
        InputError
            There are fewer samples, or a cell is missing or no number.
        """
        there = len(self.rows)
        last = there if n_samples is None else first + n_samples
        if not first < last <= there:
            raise InputError(f"{self.path}: needs {last} samples (nsample), found {there}")
        if last < there and not first:
            said.notes.append(
                f"nsample={last}: {self.path.name} has {there} samples; the last {there - last} are not used"
            )
        longer = [number for number, cells in self.rows[first:last] if len(cells) > len(self.names)]
        if longer:
            said.notes.append(
                f"{self.path.name}: {len(longer)} lines have more cells than the header, such as line {longer[0]}; "
                "the last cells are not used"
            )
        return [self._sample(number, cells, n_features) for number, cells in self.rows[first:last]]

    def _sample(self, number: int, cells: list[str], n_features: int) -> list[str]:
        if len(cells) < n_features + self.n_before:
            needed = f"{_BEFORE[self.n_before]} and {n_features} features"
            raise InputError(f"{self.path}: line {number}: needs {needed}, found {len(cells)} cells")
        return [cells[0], *(_number(self.path, number, cell) for cell in cells[1 : n_features + self.n_before])]


def _number(path: Path, line: int, cell: str) -> str:
    """A cell as this program reads numbers; Fortran also writes 1.5D-3 and 1.5-3."""
    try:
        real(cell)
    except ValueError:
        raise InputError(f"{path}: line {line}: needs a number, found {shown(cell)}") from None
    return re.sub(r"(?<=[\d.])[dDqQ]?(?=[+-])|(?<=[\d.])[dDqQ]", "e", cell)


def units(said: Translation, n_features: int) -> list[str]:
    """The unit of each feature, "" for none.

    Each group of `funit` is one unit of all its features; a feature in two groups has both, multiplied. A file with a row of
    exponents for each feature, one for each unit, takes the place of the groups.

    Raises
    ------
    InputError
        A group is no range of features, or the file is damaged.
    """
    name, text = said.take("funit", "dimclass")
    groups = [_range(said, name, text, part) for part in _GROUP.findall(text or "")]
    for file in (said.path.parent / one for one in _UNIT_FILES):
        if file.is_file():
            said.mapped.append((file.name, "units of the features"))
            if text:
                said.mapped.append((brief(f"{name}={text}"), f"{file.name} counts"))
            return _units_from_file(said, file, n_features, len(groups))
    if not groups:
        if text and text.strip():
            said.notes.append(
                f"{name}={brief(text)}: needs groups such as (1:2)(3:3), found none; features have no units"
            )
        return [""] * n_features
    beyond = [f"({start}:{end})" for start, end in groups if end > n_features]
    if beyond:
        said.notes.append(
            f"{name}: {brief(', '.join(beyond))}: there are {n_features} features; the rest of the group is not used"
        )
    powers = [[int(start <= place <= end) for start, end in groups] for place in range(1, n_features + 1)]
    told = brief("".join(f"({start}:{end})" for start, end in groups))
    said.mapped.append((f"{name}={told}", "units unit1, unit2, … in the header; rename them to real ones there"))
    return [_product(row) for row in powers]


def _range(said: Translation, name: str, text: str, part: str) -> tuple[int, int]:
    """First and last feature of a group."""
    try:
        start, end = (integer(number.strip()) for number in part.split(":"))
    except ValueError:
        start, end = 0, 0
    if not 1 <= start <= end:
        raise InputError(
            f"{said.path}: {name}: needs groups such as (1:2)(3:3), found ({brief(part)}) in {shown(text)}"
        )
    return start, end


def _product(powers: Sequence[int | Fraction]) -> str:
    factors = [f"unit{k}" if power == 1 else f"unit{k}**({power})" for k, power in enumerate(powers, 1) if power]
    return "*".join(factors)


def _units_from_file(said: Translation, path: Path, n_features: int, n_groups: int) -> list[str]:
    lines = [(n, items(line)) for n, line in enumerate(read_lines(path), 1) if line.strip()]
    if len(lines) < n_features:
        raise InputError(f"{path}: needs {n_features} rows, one for each feature, found {len(lines)}")
    if len(lines) > n_features:
        said.notes.append(f"{path.name}: has {len(lines)} rows; the first {n_features} are used, one for each feature")
    width = len(lines[0][1])
    if 0 < n_groups < width:
        said.notes.append(f"{path.name}: funit has {n_groups} groups, so SISSO reads {n_groups} of {width} columns")
        width = n_groups
    rows = []
    for number, cells in lines[:n_features]:
        if len(cells) < width:
            raise InputError(f"{path}: line {number}: needs {width} exponents, found {len(cells)}")
        rows.append([Fraction(_number(path, number, cell or "0")).limit_denominator(60) for cell in cells[:width]])
    return [_product(row) for row in rows]
