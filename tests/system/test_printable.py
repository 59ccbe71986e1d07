"""Text from outside is shown as what it is: in one line, and nothing that a terminal obeys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sisso_sal.cli import terminal
from sisso_sal.system.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain χ²", "plain χ²"), ("two\nlines", r"two\nlines"), ("\x1b[31m", r"\x1b[31m"), ("\x9b31m", r"\x9b31m"),
        ("\u202ertl", r"\u202ertl"), ("\u2028", r"\u2028"), ("\udce9", r"\udce9"), ("a\\b", "a\\b"),
    ],
)  # fmt: skip
def test_what_does_not_print_is_an_escape(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_any_text_prints(text):
    assert printable(text).isprintable()
    assert printable(text, keep="\n").replace("\n", "").isprintable()
    assert printable(text, keep="\n").count("\n") == text.count("\n")


def test_nothing_that_is_told_reaches_the_terminal_as_a_command(capsys):
    hostile = "a \x1b[2J\u202eb\nc"
    terminal.show(hostile)
    terminal.note(hostile)
    terminal.next_step(hostile, err=True)
    with pytest.raises(SystemExit):
        terminal.fail(hostile, 2)
    out, err = capsys.readouterr()
    shown = "a \\x1b[2J\\u202eb\nc\n"
    assert out == shown
    assert err == f"note: {shown}Next: {shown}error: {shown}"
