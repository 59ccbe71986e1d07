"""LaTeX of formulas read as a person reads it."""

import re

WORDS = {
    r"\cdot": "*", r"\exp": "exp", r"\ln": "log", r"\sin": "sin", r"\cos": "cos", r"\left(": "(", r"\right)": ")",
    r"\left|": "abs(", r"\right|": ")",
}  # fmt: skip


def as_python(text, names=None):
    """What a formula in LaTeX says, as Python with abs, sqrt, cbrt, exp, log, sin and cos.

    `names` maps the LaTeX of names to what stands for them in Python; other names are single letters.
    """
    names, out = names or {}, ""
    while text:
        if name := max((name for name in names if text.startswith(name)), key=len, default=""):
            out, text = out + names[name], text.removeprefix(name)
        elif text.startswith(r"\frac"):
            above, text = _group(text.removeprefix(r"\frac"))
            below, text = _group(text)
            out += f"(({as_python(above, names)})/({as_python(below, names)}))"
        elif text.startswith(r"\sqrt"):
            name = "cbrt" if text.startswith(r"\sqrt[3]") else "sqrt"
            inner, text = _group(text.removeprefix(r"\sqrt").removeprefix("[3]"))
            out += f"{name}({as_python(inner, names)})"
        elif text.startswith("^"):
            power, text = _group(text[1:])
            out += f"**({as_python(power, names)})"
        elif text.startswith("\\"):
            word = next(word for word in WORDS if text.startswith(word))
            out, text = out + WORDS[word], text.removeprefix(word)
        else:
            out, text = out + text[0], text[1:]
    return out


def _group(text):
    """What stands in the braces with which the text begins, and the rest."""
    assert text[0] == "{", text
    depth = 0
    for position, character in enumerate(text):
        is_escaped = re.search(r"(?<!\\)(\\\\)*\\$", text[:position])
        depth += 0 if is_escaped else {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return text[1:position], text[position + 1 :]
    raise AssertionError(f"unbalanced braces: {text}")
