"""Text from outside on a terminal or in a comment: what does not print is written as an escape."""

from __future__ import annotations


def printable(text: str, *, keep: str = "") -> str:
    """The text with every character that does not print (controls, line ends, marks of direction) as an escape of Python.

    Parameters
    ----------
    text : str
    keep : str
        Characters that stay although they do not print, such as line ends.

    Examples
    --------
    >>> print(printable("two\\nlines, \\x1b[31mred"))
    two\\nlines, \\x1b[31mred
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii") for c in text)


def in_list(name: str) -> str:
    """A name as it stands in a list with commas between names: in double quotes where it has a comma or a double quote.

    Examples
    --------
    >>> print(",".join(map(in_list, ("rock salt", "ABO3, cubic"))))
    rock salt,"ABO3, cubic"
    """
    return '"' + name.replace('"', '""') + '"' if {*name} & {*',"'} else name
