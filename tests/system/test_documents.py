"""Documents of other programs are read with bounds: a value, or one line, whatever the bytes."""

import json
import os
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sisso_sal.errors import DocumentError
from sisso_sal.system.documents import Bounds, json_of, read_json, read_toml, toml_of

INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def message(reader, content):
    with pytest.raises(DocumentError) as caught:
        reader(content)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 300
    text.encode()
    return text


@given(VALUES, st.booleans())
def test_any_json_document_within_the_bounds_is_read(value, is_ascii):
    text = json.dumps(value, ensure_ascii=is_ascii)
    assert json_of(text) == value
    assert json_of(b"\xef\xbb\xbf" + text.encode()) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_a_document_or_one_line(content):
    for reader in (json_of, toml_of):
        fault = ""
        try:
            value = reader(content)
        except DocumentError as error:
            fault = str(error)
        assert "\n" not in fault
        assert fault or reader(content) == value


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ('{"value": ' + 400 * "9" + "}", "64 bits, found one of 400 digits"),
        ('{"value": ' + 5000 * "9" + "}", "64 bits, found one of 5000 digits"),
        ('{"value": 1e999}', "finite numbers, found 1e999"),
        ('{"value": NaN}', "finite numbers, found NaN"),
        ('{"value": -Infinity}', "finite numbers, found -Infinity"),
        (r'{"reason": "\ud800"}', "half of a surrogate pair"),
        (r'{"\uDFFF": 1}', "half of a surrogate pair"),
        (100_000 * "[", "at most 32 lists or tables within each other, found 100000"),
        (3000 * '{"a":' + "1" + 3000 * "}", "found 3000"),
        ('{"id": 1, "id": 2}', "different keys, found 'id' twice"),
        (b'{"id": "\xff"}', "UTF-8 text, found byte 0xff at position 8"),
        ("", "needs a JSON document"),
        ("{} {}", "needs a JSON document"),
        ('{"a": "' + "x" * (1 << 20) + '"}', "needs at most 1 MiB"),
    ],
)
def test_json_beyond_the_bounds_is_refused(content, part):
    assert part in message(json_of, content)


def test_brackets_in_text_are_no_depth():
    assert json_of(json.dumps(["[" * 1000, '"{\\'])) == ["[" * 1000, '"{\\']
    assert json_of(r'"😀"') == "\U0001f600"
    assert toml_of("a = '" + 1000 * "[" + "' # " + 1000 * "{" + '\nb = """' + 1000 * "{" + '"""') == {
        "a": 1000 * "[",
        "b": 1000 * "{",
    }


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("a = " + 5000 * "9", "64 bits, found one of thousands of digits"),
        ("a = " + 40 * "9", "64 bits"),
        ("a = " + 3000 * "[" + 3000 * "]", "found 3000"),
        (".".join(3000 * ["a"]) + " = 1", "a key with more dots"),
        ("a = 2026-01-01", "the date or time 2026-01-01"),
        ("a = 1\na = 2", "needs TOML"),
        (b"a = '\xff'", "UTF-8"),
    ],
)
def test_toml_beyond_the_bounds_is_refused(content, part):
    assert part in message(toml_of, content)


@given(st.dictionaries(st.text("abc", min_size=1), INTEGERS | TEXT.filter(lambda text: "'" not in text), max_size=5))
def test_toml_is_what_tomllib_reads(table):
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert toml_of(text) == expected


def test_files_that_are_none(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "large.json").write_text("[" + "1," * 100 + "1]")
    for name, part in [
        ("missing.json", "cannot be read: No such file"),
        (".", "regular file"),
        ("pipe.json", "regular file"),
        ("large.json", "needs at most 100 bytes, found more"),
    ]:
        path = tmp_path / name
        with pytest.raises(DocumentError, match=part) as caught:
            read_json(path, Bounds(size=100))
        assert str(caught.value).startswith(str(path))
    (tmp_path / "settings.toml").write_text("rung = 1")
    assert read_toml(tmp_path / "settings.toml") == {"rung": 1}
