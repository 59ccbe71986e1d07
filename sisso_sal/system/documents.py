"""The one reader of documents that come from people and other programs: JSON and TOML, with bounds.

A document that passes has a bounded size and depth, integers of 64 bits, no repeated keys, and text that can be written as UTF-8;
numbers of JSON are finite. What reads it further may therefore print, store and compute with every value. Whether the keys and
types are the right ones is for a typed model to say: `record_of`.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, time
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar

from sisso_sal.errors import DocumentError
from sisso_sal.system.operating_system import CLOSED_IN_CHILDREN, WITHOUT_WAITING
from sisso_sal.system.printable import printable

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    Model = TypeVar("Model", bound=BaseModel)

LARGEST_INTEGER = 2**63 - 1
LONGEST_SHOWN = 60
"""Characters of a value that a message shows."""
LONGEST_TEXT = 2000
"""Characters of a text of another program that are kept, such as the reason of a failure."""

_NEEDED = {
    "dict_type": "a table", "model_type": "a table", "model_attributes_type": "a table",
    "list_type": "a list", "tuple_type": "a list", "string_type": "text", "int_parsing_size": "an integer of at most 64 bits",
    "string_unicode": "text that UTF-8 can hold", "extra_forbidden": "no such key",
    "too_long": "at most {max_length} items", "too_short": "at least {min_length} items",
}  # fmt: skip
"""What a type of error of pydantic asks for, where its own message is no plain sentence."""

_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
_TOML_MARKS = re.compile(
    rb'"""(?:[^\\]|\\.)*?(?:"""|\Z)|\'\'\'.*?(?:\'\'\'|\Z)|"(?:[^"\\\n]|\\.)*+|\'[^\'\n]*+|#[^\n]*+|[\[\]{}]', re.DOTALL
)
_TOML_DOTS = re.compile(rb"(?:[^\s.=]{1,64}\s*\.\s*){33}")
_STEERING = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Bounds(NamedTuple):
    """What a document may hold: `size` in bytes, and `depth`, the lists and tables within each other."""

    size: int = 1 << 20
    depth: int = 32


SMALL = Bounds()
"""For answers, notes and settings."""
LARGE = Bounds(size=1 << 30, depth=64)
"""For model files and inputs with many numbers."""


def last_line(path: str | os.PathLike[str], size: int = 4096) -> str:
    """The last line with something on it, among the last `size` bytes of a file; empty where there is none.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "stderr").write_text("first\\nlast\\n\\n")
    ...     last_line(Path(folder, "stderr")), last_line(Path(folder, "stdout"))
    ('last', '')
    """
    try:
        with _regular(path) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            content = file.read(size)
    except DocumentError:
        return ""
    lines = content.decode("utf-8", errors="replace").split("\n")
    return one_line(next((line for line in reversed(lines) if line.strip()), ""))


@contextmanager
def _regular(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """An open regular file; what goes wrong with it is a `DocumentError`."""
    try:
        handle = os.open(path, os.O_RDONLY | WITHOUT_WAITING | CLOSED_IN_CHILDREN)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise DocumentError(f"{path}: needs a regular file, found a folder, device or pipe")
        with open(handle, "rb") as file:
            yield file
    except (OSError, ValueError) as error:
        if isinstance(error, DocumentError):
            raise
        raise DocumentError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def read_bytes(path: str | os.PathLike[str], size: int) -> bytes:
    """The content of a regular file of at most `size` bytes.

    Raises
    ------
    DocumentError
        The file is missing, no regular file, too large, or cannot be read.
    """
    with _regular(path) as file:
        content = file.read(size + 1)
    if len(content) > size:
        raise DocumentError(f"{path}: needs at most {_bytes(size)}, found more")
    return content


def read_json(path: str | os.PathLike[str], bounds: Bounds = SMALL) -> Any:
    """The value in a JSON file.

    Raises
    ------
    DocumentError
        As `json_of`, or the file cannot be read; the message begins with the path.
    """
    return _of_file(path, bounds, json_of)


def read_toml(path: str | os.PathLike[str], bounds: Bounds = SMALL) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises
    ------
    DocumentError
        As `toml_of`, or the file cannot be read; the message begins with the path.
    """
    return _of_file(path, bounds, toml_of)


def _of_file(path: str | os.PathLike[str], bounds: Bounds, reader: Callable[[bytes, Bounds], Any]) -> Any:
    content = read_bytes(path, bounds.size)
    try:
        return reader(content, bounds)
    except DocumentError as error:
        raise DocumentError(f"{path}: {error}") from error


def json_of(content: str | bytes, bounds: Bounds = SMALL) -> Any:
    """The value of a JSON text.

    Parameters
    ----------
    content : str or bytes
        Bytes are UTF-8; a byte-order mark is passed over.
    bounds : Bounds

    Raises
    ------
    DocumentError
        The text is no JSON document, or leaves the bounds. The message says what was needed and found, without a path.

    Examples
    --------
    >>> json_of('{"value": 1.5}')
    {'value': 1.5}
    >>> json_of('{"value": ' + 400 * "9" + "}")
    Traceback (most recent call last):
        ...
    sisso_sal.errors.DocumentError: needs integers of at most 64 bits, found one of 400 digits
    """
    text = _text(content, bounds, _MARKS)
    try:
        value = json.loads(
            text, parse_int=_integer, parse_float=_number, parse_constant=_number, object_pairs_hook=_table
        )
    except RecursionError:  # the depth was counted; a caller far down has little stack left
        raise DocumentError(f"needs at most {bounds.depth} lists or tables within each other, found more") from None
    except json.JSONDecodeError as error:
        raise DocumentError(f"needs a JSON document, found: {error}") from None
    if _SURROGATE.search(text):
        _check_texts(value)
    return value


def toml_of(content: str | bytes, bounds: Bounds = SMALL) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises
    ------
    DocumentError
        The text is no TOML document, or leaves the bounds. The message has no path.

    Examples
    --------
    >>> toml_of("rung = 2")
    {'rung': 2}
    >>> toml_of("rung = " + 3000 * "[")
    Traceback (most recent call last):
        ...
    sisso_sal.errors.DocumentError: needs at most 32 lists or tables within each other, found 3000
    """
    text = _text(content, bounds, _TOML_MARKS)
    if _TOML_DOTS.search(text.encode()):
        raise DocumentError("needs at most 32 tables within each other, found a key with more dots")
    try:
        value = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DocumentError(f"needs TOML, found: {error}") from None
    except ValueError:  # Python refuses to read an integer of thousands of digits
        raise DocumentError("needs integers of at most 64 bits, found one of thousands of digits") from None
    _check_plain(value)
    return value


def record_of(model: type[Model], value: object) -> Model:
    """A document as a typed model.

    Parameters
    ----------
    model : type of pydantic model
    value : object
        What `json_of` or `toml_of` returned.

    Raises
    ------
    DocumentError
        The first fault: where, what was needed, what was found.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise DocumentError(explained(error)) from error


def explained(error: ValidationError) -> str:
    """The first fault in one line: where, what was needed, what was found."""
    first = error.errors(include_url=False)[0]
    location = [str(part) for part in first["loc"]]
    if first["type"] == "missing":
        place = ".".join(location[:-1])
        return f"{f'{place}: ' if place else ''}no key {location[-1]!r}"
    if first["type"] == "value_error":  # of a validator of ours, whose text is whole
        return first["msg"].removeprefix("Value error, ")
    place = ".".join(location)
    return f"{f'{place}: ' if place else ''}needs {needed(first)}, found {shown(first['input'])}"


def needed(fault: Mapping[str, Any]) -> str:
    """What one of pydantic's faults asks for, in plain words."""
    if (text := _NEEDED.get(fault["type"])) is not None:
        return text.format(**fault.get("ctx", {}))
    return fault["msg"].removeprefix("Input should be ")


def shown(value: object) -> str:
    """A value on one line, cut when it is long.

    >>> shown("n/a"), shown(100 * [1])
    ("'n/a'", '[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,…')
    """
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python writes
        text = f"of type {type(value).__name__}"
    if not text.isprintable():
        return one_line(text, LONGEST_SHOWN)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def one_line(text: str, longest: int = LONGEST_TEXT) -> str:
    """A text of another program as one line that any file and terminal takes.

    White space is one space, what does not print is an escape, and what is too long is cut.

    Parameters
    ----------
    text : str
    longest : int
        Characters.

    Examples
    --------
    >>> one_line("scf:\\n  not converged\\x1b[31m"), one_line("x" * 10, longest=4)
    ('scf: not converged\\\\x1b[31m', 'xxxx…')
    """
    line = printable(" ".join(text[: 4 * longest].split()))
    return line if len(line) <= longest and len(text) <= 4 * longest else f"{line[:longest]}…"


def steering_escaped(text: str) -> str:
    r"""A text in JSON that says the same to a program, in which no character steers a terminal or turns the direction of writing.

    Examples
    --------
    >>> print(steering_escaped('{"id": "TiO₂\u202e"}'))
    {"id": "TiO₂\u202e"}
    """
    return _STEERING.sub(lambda one: f"\\u{ord(one[0]):04x}", text)


def _text(content: str | bytes, bounds: Bounds, marks: re.Pattern[bytes]) -> str:
    """The text, once its size, encoding and depth are known to be within the bounds."""
    try:
        raw = content.encode() if isinstance(content, str) else content
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DocumentError(f"needs UTF-8 text, found byte 0x{byte:02x} at position {error.start}") from None
    except UnicodeEncodeError:
        raise DocumentError("needs text that UTF-8 can hold, found half of a surrogate pair") from None
    if len(raw) > bounds.size:
        raise DocumentError(f"needs at most {_bytes(bounds.size)}, found {_bytes(len(raw))}")
    deepest = _deepest(raw, marks)
    if deepest > bounds.depth:
        raise DocumentError(f"needs at most {bounds.depth} lists or tables within each other, found {deepest}")
    return text


def _deepest(raw: bytes, marks: re.Pattern[bytes]) -> int:
    """How many brackets stand open at once, outside quotation marks."""
    if raw.count(b"[") + raw.count(b"{") <= 1:
        return 0
    depth = deepest = 0
    for mark in marks.finditer(raw):
        bracket = mark.group()
        if bracket in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif bracket in (b"]", b"}"):
            depth -= 1
    return deepest


def _integer(digits: str) -> int:
    if len(digits) > len(str(LARGEST_INTEGER)) + 1 or abs(int(digits)) > LARGEST_INTEGER:
        raise DocumentError(f"needs integers of at most 64 bits, found one of {len(digits.lstrip('-'))} digits")
    return int(digits)


def _number(digits: str) -> float:
    try:
        value = float(digits)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        shown = digits if len(digits) <= LONGEST_SHOWN else f"{digits[:LONGEST_SHOWN]}…"
        raise DocumentError(f"needs finite numbers, found {shown}")
    return value


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise DocumentError(f"needs different keys, found {shown(twice)} twice")
    return table


def _leaves(value: object) -> list[object]:
    """Every key and every value that is no list or table."""
    leaves: list[object] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            leaves += item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
        else:
            leaves.append(item)
    return leaves


def _check_texts(value: object) -> None:
    for leaf in _leaves(value):
        if isinstance(leaf, str):
            try:
                leaf.encode()
            except UnicodeEncodeError:
                raise DocumentError(
                    f"needs text that UTF-8 can hold, found half of a surrogate pair in {ascii(leaf)[:LONGEST_SHOWN]}"
                ) from None


def _check_plain(value: object) -> None:
    """Refuse what TOML has and a setting cannot be: large integers, dates and times."""
    for leaf in _leaves(value):
        if isinstance(leaf, int) and not isinstance(leaf, bool):
            _integer(str(leaf) if abs(leaf) < 10**30 else 31 * "9")
        elif isinstance(leaf, date | time):
            raise DocumentError(f"needs numbers, text or lists, found the date or time {leaf}")


def _bytes(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size} bytes"
