"""MathML read as a person reads it: groups that cannot be seen, such as mrow, hold nothing together."""

import re
from xml.etree import ElementTree

SIGNS = {"+": "+", "−": "-", "⋅": "*", "(": "(", ")": ")"}


def as_python(text):
    """What a formula in presentation MathML says, as Python with abs, sqrt, cbrt, exp, log, sin and cos."""
    return "".join(_read(element) for element in ElementTree.fromstring(f"<math>{text}</math>"))


def _read(element):
    parts = list(element)
    match element.tag:
        case "mi":
            return {"ln": "log"}.get(element.text, element.text)
        case "mn":
            return element.text
        case "mo":
            return SIGNS[element.text]
        case "msub":
            return f"{_read(parts[0])}_{parts[1].text}"
        case "msup":
            return f"{_read(parts[0])}**{_read(parts[1])}"
        case "msubsup":
            return f"{_read(parts[0])}_{parts[1].text}**{_read(parts[2])}"
        case "mfrac":
            return f"(({_read(parts[0])})/({_read(parts[1])}))"
        case "msqrt":
            return f"sqrt({_joined(parts)})"
        case "mroot":
            assert parts[1].text == "3"
            return f"cbrt({_read(parts[0])})"
        case "mspace":
            return ""
    assert element.tag in {"mrow", "mstyle"}, element.tag
    return _joined(parts)


def _joined(parts):
    bars = [k for k, part in enumerate(parts) if part.tag == "mo" and part.text == "|"]
    if bars:
        assert bars == [0, len(parts) - 1]
        return f"abs({_joined(parts[1:-1])})"
    text = "".join(_read(part) for part in parts)
    return re.sub(r"\b(exp|log|sin|cos)\((.*)\)$", r"\1(\2)", text)
