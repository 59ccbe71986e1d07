"""Pieces of text and of documents that programs stumble over, and small changes to what was whole."""

import copy
import json

HUGE = 400 * "9"
TEXTS = (
    "", " ", "0", "-1", "nan", "None", "true", "a b", "a/b", "a,b", 'a"b', "a'b", "a\\b", "a\nb", "a\tb", "\x1b[31m",
    "\u202e", "é", "Å", "𝔸", "x" * 300, "=1+1", "@x", "+x", "-x", "../x", "/etc/passwd", "{id}", "{intent}", "%s", "$HOME",
    "<b>", "&amp;", "#", "1e400", "\u00a0", "١٢", "½", "\ufeff", "__class__", "a**9**9", "(" * 40, "[" * 40,
)  # fmt: skip
VALUES = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    2**63,
    10**40,
    1e308,
    -1e308,
    1e-320,
    0.1,
    [],
    {},
    [[]],
    [1, 2],
    {"a": 1},
    [None],
    *TEXTS,
)


def json_with(value):
    """JSON of a document in which the text ``@HUGE@`` stands for an integer of 400 digits, and so on."""
    text = json.dumps(value)
    return raw_marks(text)


def raw_marks(text):
    """The same in a text."""
    for mark, raw in (
        ("@HUGE@", HUGE),
        ("@SURROGATE@", '"\\ud800"'),
        ("@DEEP@", 3000 * "[" + 3000 * "]"),
        ("@NAN@", "NaN"),
    ):
        text = text.replace(f'"{mark}"', raw)
    return text


MARKS = ("@HUGE@", "@SURROGATE@", "@DEEP@", "@NAN@")


def paths_in(document, path=()):
    """Where every value of a document stands."""
    yield path
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield from paths_in(value, (*path, key))


def changed(document, rng, n=1, values=(*VALUES, *MARKS)):
    """A document with `n` values replaced by others, removed, repeated or moved."""
    document = copy.deepcopy(document)
    for _ in range(n):
        places = list(paths_in(document))
        path = rng.choice(places[1:] or places)
        if not path:
            return rng.choice(values)
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        key = path[-1]
        way = rng.randrange(6)
        if way == 0:
            del holder[key]
        elif way == 1 and isinstance(holder, dict):
            holder[rng.choice(TEXTS)] = holder.pop(key)
        elif way == 2 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif way == 3 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = rng.choice((-holder[key], holder[key] + 1, holder[key] * 1e200, float(holder[key])))
        else:
            holder[key] = rng.choice(values)
    return document


def damaged(content, rng):
    """Bytes with a byte changed, a part cut out, repeated or replaced, or the end gone."""
    if not content:
        return bytes([rng.randrange(256)])
    at = rng.randrange(len(content))
    end = min(len(content), at + rng.randrange(1, 40))
    way = rng.randrange(7)
    if way == 0:
        return content[:at]
    if way == 1:
        return content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]
    if way == 2:
        return content[:at] + content[end:]
    if way == 3:
        return content[:end] + content[at:]
    if way == 4:
        return content[:at] + rng.choice(TEXTS).encode() + content[at:]
    if way == 5:
        return content[:at] + rng.randbytes(end - at) + content[end:]
    return content[:at] + rng.choice((b"\x00", b"\xff\xfe", b"\r", b"\n\n", b"9" * 5000, b"[" * 3000)) + content[at:]
