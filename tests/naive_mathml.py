"""MathML read as a person reads it: groups that cannot be seen, such as mrow, hold nothing together."""

import re
from xml.etree import ElementTree

SIGNS = {"+": "+", "−": "-", "⋅": "*", "(": "(", ")": ")"}


def as_python(text, names=None):
    """What a formula in presentation MathML says, as Python with abs, sqrt, cbrt, exp, log, sin and cos.

    `names` maps what is seen of a name, an index behind an underscore, to what stands for it in Python.
    """
    return "".join(_read(element, names or {}) for element in ElementTree.fromstring(f"<math>{text}</math>"))


def _read(element, names):
    parts = list(element)
    match element.tag:
        case "mi":
            return names.get(element.text) or {"ln": "log"}.get(element.text, element.text)
        case "mn":
            return element.text
        case "mo":
            return SIGNS[element.text]
        case "msub":
            return _indexed(parts, names)
        case "msup":
            return f"{_read(parts[0], names)}**{_read(parts[1], names)}"
        case "msubsup":
            return f"{_indexed(parts, names)}**{_read(parts[2], names)}"
        case "mfrac":
            return f"(({_read(parts[0], names)})/({_read(parts[1], names)}))"
        case "msqrt":
            return f"sqrt({_joined(parts, names)})"
        case "mroot":
            assert parts[1].text == "3"
            return f"cbrt({_read(parts[0], names)})"
        case "mspace":
            return ""
    assert element.tag in {"mrow", "mstyle"}, element.tag
    return _joined(parts, names)


def _indexed(parts, names):
    seen = f"{parts[0].text}_{parts[1].text}"
    return names.get(seen, seen)


def _joined(parts, names):
    bars = [k for k, part in enumerate(parts) if part.tag == "mo" and part.text == "|"]
    if bars:
        assert bars == [0, len(parts) - 1]
        return f"abs({_joined(parts[1:-1], names)})"
    text = "".join(_read(part, names) for part in parts)
    return re.sub(r"\b(exp|log|sin|cos)\((.*)\)$", r"\1(\2)", text)
