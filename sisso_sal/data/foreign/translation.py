"""What the input of another SISSO program becomes here, and a record of how each of its keywords was used."""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sisso_sal.data.cells import shown
from sisso_sal.data.headers import split_header
from sisso_sal.data.spreadsheet import cell_of
from sisso_sal.errors import InputError
from sisso_sal.system.documents import LARGE, read_bytes
from sisso_sal.system.printable import in_list

LARGEST_DIM = 6
MOST_MODELS = 10
"""Models that are kept of each dimension."""

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class ForeignInput:
    """The input of another program, as this program needs it.

    Attributes
    ----------
    program : str
        "SISSO" (Fortran) or "SISSO++".
    files : tuple of str
        What was read.
    header : tuple of str
        Ids, target and primary features, each with its unit; and the task, if there are several.
    rows, left_out : sequence of rows of str
        Cells to train on, and those that the input keeps for a test.
    settings : dict
        By the names of the options of `fit`, for a settings file.
    options : dict
        Options of `fit` that no settings file has: of tasks, of classes, and the criterion.
    mapped : tuple of (str, str)
        What the input says, and what it became.
    without_counterpart : tuple of str
        What the input asks for and this program lacks; one line each.
    notes : tuple of str
        What was not used, or only in part; one line each.
    keywords : mapping of str to str
        The keyword of the input for an option of this program, as "--n-sis": errors name what the user can change.
    """

    program: str
    files: tuple[str, ...]
    header: tuple[str, ...]
    rows: Rows
    settings: Mapping[str, Any]
    mapped: tuple[tuple[str, str], ...]
    without_counterpart: tuple[str, ...]
    left_out: Rows = field(default=())
    notes: tuple[str, ...] = ()
    keywords: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_primary(self) -> int:
        """Number of primary features."""
        return len(self.header) - 2 - ("task" in self.options)

    @property
    def arguments(self) -> str:
        """The options as they are given to `fit`, with a blank before each; "" if there are none.

        Examples
        --------
        >>> own = {"settings": {}, "options": {"task": "family", "same_sign": True}}
        >>> ForeignInput(program="SISSO", files=(), header=(), rows=[], mapped=(), without_counterpart=(), **own).arguments
        ' --task family --same-sign'
        """
        return "".join(f" {argument(name, value)}" for name, value in self.options.items())

    def csv(self, rows: Rows | None = None) -> str:
        """The table as this program reads it; other rows than those to train on if given."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        told = self.rows if rows is None else rows
        writer.writerows([self.header, *((cell_of(str(row[0])), *row[1:]) for row in told)])
        return text.getvalue()


def argument(option: str, value: Any) -> str:
    """An option as it is given to a command; a flag has no value, and commas stand between several names.

    Examples
    --------
    >>> argument("same_sign", True), argument("task", "my family"), argument("convex", ("a", "b"))
    ('--same-sign', "--task 'my family'", '--convex a,b')
    """
    name = f"--{option.replace('_', '-')}"
    text = ",".join(map(in_list, value)) if isinstance(value, tuple) else str(value)
    return name if value is True else f"{name} {shlex.quote(text)}"


def of_dimensions(sizes: Sequence[int], dim: int) -> int | tuple[int, ...]:
    """One number, or one for each dimension; the last one counts for those that follow.

    Examples
    --------
    >>> of_dimensions([50], 3), of_dimensions([50, 50], 2), of_dimensions([50, 20], 3)
    (50, 50, (50, 20, 20))
    """
    numbers = [*sizes, *[sizes[-1]] * dim][:dim]
    return numbers[0] if len(set(numbers)) == 1 else tuple(numbers)


_KINDS = {
    "int": "an integer", "integer": "an integer", "float": "a number", "real": "a number",
    "logical": "a logical value such as .true.",
}  # fmt: skip
"""What a reader of values needs, by its name."""


def _text(value: Any) -> str:
    """A setting as the option takes it: commas within a list, semicolons between lists."""
    if not isinstance(value, tuple | list):
        return str(value)
    return (";" if any(isinstance(part, tuple | list) for part in value) else ",").join(map(_text, value))


class Translation:
    """Takes the keywords of an input one after the other, and records how each was used."""

    def __init__(self, path: Path, said: Mapping[str, Any]):
        self.path = path
        self.settings: dict[str, Any] = {}
        self.options: dict[str, Any] = {}
        self.mapped: list[tuple[str, str]] = []
        self.without: list[str] = []
        self.notes: list[str] = []
        self._left = dict(said)

    def take(self, *names: str) -> tuple[str, Any]:
        """The first of these keywords that was given, with its value; the last name and None where none was.

        They are names of one keyword in different versions: if more than one was given, a note says which counts.
        """
        taken = [(name, self._left.pop(name)) for name in names if name in self._left]
        self.notes += [
            f"{brief(f'{name}={value}')}: not used, as {taken[0][0]} says the same" for name, value in taken[1:]
        ]
        return taken[0] if taken else (names[-1], None)

    def set(self, option: str, value: Any, said: str) -> None:
        """Record that a setting follows from what the input says."""
        self.settings[option] = value
        text = _text(value)
        self.mapped.append((brief(said), f"{option} = {text}"))

    def option(self, option: str, value: Any, said: str) -> None:
        """Record that an option of `fit` that is no setting follows from what the input says."""
        self.options[option] = value
        self.mapped.append((brief(said), argument(option, value)))

    def n_models(self, said: str, wanted: int) -> None:
        """Record how many models of each dimension the input asks for."""
        if wanted > MOST_MODELS:
            self.without.append(f"{said}: the best {MOST_MODELS} models of each dimension are kept")
        else:
            self.mapped.append((said, f"the best {MOST_MODELS} of each dimension are kept, for --sisso-output"))

    def number(self, option: str, kind: Callable[[str], Any], *names: str) -> Any:
        """Carry a number over to a setting; None where it was not given."""
        name, value = self.take(*names)
        if value is None:
            return None
        number = self.parsed(name, kind, value)
        self.set(option, number, f"{name}={value}")
        return number

    def parsed(self, name: str, kind: Callable[[str], Any], value: Any) -> Any:
        """A value of a keyword.

        Raises
        ------
        InputError
            The value is not of that kind.
        """
        try:
            return kind(str(value).strip())
        except ValueError:
            word = _KINDS.get(getattr(kind, "__name__", ""), "another value")
            raise InputError(f"{self.path}: {name}: needs {word}, found {shown(value)}") from None

    def terms(self, keyword: str, wanted: int, n_rows: int, data: Path, whose: str = "") -> int:
        """Number of terms of the largest model: as many as wanted, if the rows allow; one row more than coefficients is needed.

        `whose` says whose rows these are, such as " of task 2".

        Raises
        ------
        InputError
            The number is below 1, or the rows allow no model at all.
        """
        if wanted < 1:
            raise InputError(f"{self.path}: {keyword}: needs 1 or more, found {wanted}")
        has_intercept = self.settings.get("intercept", True)
        possible = n_rows - (2 if has_intercept else 1)
        if possible < 1:
            raise InputError(f"{data}: needs at least {n_rows - possible + 1} samples, found {n_rows}{whose}")
        if wanted > possible:
            allowed = ("1 term" if possible == 1 else f"{possible} terms") + (
                " beside the intercept" if has_intercept else ""
            )
            told = f"{keyword}={wanted}: {n_rows} samples{whose} allow {allowed}, and one sample to judge them"
            self.notes.append(f"{told}; no larger model is fitted")
        if min(wanted, possible) > LARGEST_DIM:
            self.without.append(f"{keyword}={wanted}: models have at most {LARGEST_DIM} terms here")
        return min(wanted, possible, LARGEST_DIM)

    def ignore(self, why: str, *names: str) -> None:
        """Leave out keywords that say how the other program works, not what it searches for."""
        for name in names:
            if self._left.pop(name, None) is not None:
                self.mapped.append((name, why))

    def rest(self) -> None:
        """Report the keywords that were not taken, in one line."""
        if self._left:
            said = brief(", ".join(brief(f"{name}={value}") for name, value in self._left.items()), 1000)
            self.without.append(f"{said}: not known here, and not used")


def brief(text: str, most: int = 200) -> str:
    """A text for one line: its beginning, if it is long, with escapes for what cannot be printed.

    Examples
    --------
    >>> brief("ops='(+)(-)(*)'", 9)
    "ops='(+)…"
    """
    if len(text) > most:
        text = f"{text[: most - 1]}…"
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)


def header_of(name: str, unit: str = "") -> str:
    """A header that this program reads as this name and unit, whatever the name looks like.

    Parentheses at the end of a name become brackets.

    Examples
    --------
    >>> header_of("r(A)", "unit1"), header_of("r_s"), header_of("radius/Å"), header_of("r(eV)")
    ('r[A] (unit1)', 'r_s', 'radius/Å (1)', 'r[eV] (1)')
    """
    bare = re.sub(r"\(([^()]*)\)$", r"[\1]", name)
    unit = unit or ("1" if split_header(bare)[1] else "")
    return f"{bare} ({unit})" if unit else bare


def distinct(names: Sequence[str]) -> list[str]:
    """The same names, numbered where they recur.

    Examples
    --------
    >>> distinct(["a", "b", "a"])
    ['a', 'b', 'a#2']
    """
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        seen[name] += 1
        out.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return out


def read_lines(path: Path) -> list[str]:
    """Lines of a text file.

    Raises
    ------
    InputError
        It cannot be read.
    """
    content = read_bytes(path, LARGE.size)
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: needs UTF-8 text, found byte 0x{error.object[error.start]:02x}") from error
