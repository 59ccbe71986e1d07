"""Names of primary features typeset, in LaTeX and MathML: the first underscore begins an index, quotes are as in text.

And numbers with their units inside of formulas, in every form.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from fractions import Fraction
from html import escape

from sisso_sal.features.dimension import Dimension
from sisso_sal.features.names import is_plain, quoted

_GREEK_WORDS = """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega
    Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega
"""

GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ", _GREEK_WORDS.split(), strict=True))
"""Greek letters by their names in LaTeX."""

_LATEX_TEXT = {
    "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "|": r"\textbar{}", "'": "$'$",
    "<": r"\textless{}", ">": r"\textgreater{}", "Å": r"\AA{}", "°": r"$^{\circ}$", "µ": r"$\mu$",
    **{mark: f"\\{mark}" for mark in "%#&${}_"},
    **{letter: rf"$\{word}$" for letter, word in GREEK.items()},
}  # fmt: skip


def latex_text(text: str) -> str:
    r"""Any text in one line as LaTeX text.

    Examples
    --------
    >>> print(latex_text("50 % (Å)"))
    50 \% (\AA{})
    """
    marked = "".join(_LATEX_TEXT.get(character, character) for character in unicodedata.normalize("NFC", text))
    return re.sub("-(?=-)", "-{}", marked)  # two hyphens would become a dash


def latex_symbol(name: str) -> str:
    r"""LaTeX of a primary feature's name in a formula; a name that is no identifier is text in quotes.

    Examples
    --------
    >>> print(latex_symbol("r_cov"), latex_symbol("EA"), latex_symbol("χ"), latex_symbol("a/b"))
    r_{\mathrm{cov}} \mathrm{EA} \chi \text{`a/b'}
    """
    if not is_plain(name):
        return rf"\text{{`{latex_text(quoted(name)[1:-1])}'}}"
    head, _, index = name.partition("_")
    if not (head and index):
        return _latex_part(name)
    return rf"{_latex_part(head)}_{{{_latex_part(index, upright=True)}}}"


def _latex_part(text: str, *, upright: bool = False) -> str:
    if text in GREEK:
        return f"\\{GREEK[text]}"
    if not text.isascii():
        return rf"\text{{{latex_text(text)}}}"
    return text if text.isalpha() and len(text) == 1 and not upright else rf"\mathrm{{{latex_text(text)}}}"


def mathml_symbol(name: str) -> str:
    """MathML of a primary feature's name in a formula; a name that is no identifier is one ``mi`` in backticks.

    Examples
    --------
    >>> mathml_symbol("r_cov")
    '<msub><mi>r</mi><mtext>cov</mtext></msub>'
    >>> mathml_symbol("x<y")
    '<mi>`x&lt;y`</mi>'
    """
    head, _, index = name.partition("_")
    if is_plain(name) and head and index:
        return f"<msub><mi>{head}</mi><mtext>{index}</mtext></msub>"
    return f"<mi>{escape(quoted(name))}</mi>"


def latex_unit(exponents: Iterable[tuple[str, Fraction]]) -> str:
    r"""A unit behind a number, from `Dimension.exponents`: ``\,\mathrm{eV}\,\text{\AA{}}^{-1}``."""
    parts = []
    for symbol, power in sorted(exponents, key=lambda item: item[1] < 0):
        upright = rf"\mathrm{{{symbol}}}" if re.fullmatch("[A-Za-z]+", symbol) else rf"\text{{{latex_text(symbol)}}}"
        parts.append(rf"\,{upright}" + (f"^{{{power}}}" if power != 1 else ""))
    return "".join(parts)


def mathml_unit(exponents: Iterable[tuple[str, Fraction]]) -> str:
    """The same in MathML.

    Examples
    --------
    >>> mathml_unit([("eV", Fraction(-1))])
    '<mspace width="0.2em"/><msup><mtext>eV</mtext><mn>−1</mn></msup>'
    """
    parts = []
    for symbol, power in sorted(exponents, key=lambda item: item[1] < 0):
        text, raised = f"<mtext>{escape(symbol)}</mtext>", str(power).replace("-", "−")
        parts.append(text if power == 1 else f"<msup>{text}<mn>{raised}</mn></msup>")
    return "".join(f'<mspace width="0.2em"/>{part}' for part in parts)


def number_in(value: float, form: str) -> str:
    """A parameter as a form writes it: in all its digits, or in six where only people read it (``units`` and ``mathml``)."""
    text = f"{value:.6g}" if form in ("units", "mathml") else repr(value)
    if form == "fortran":
        return f"{text.replace('e', 'd')}{'' if 'e' in text else 'd0'}"
    if form in ("latex", "mathml"):
        text = text.removesuffix(".0")
        mantissa, _, power = text.partition("e")
        if form == "latex":
            return rf"{mantissa} \times 10^{{{int(power)}}}" if power else text
        sign, size = ("<mo>−</mo>", mantissa[1:]) if mantissa.startswith("-") else ("", mantissa)
        raised = f"<mo>⋅</mo><msup><mn>10</mn><mn>{str(int(power)).replace('-', '−')}</mn></msup>" if power else ""
        return f"{sign}<mn>{size}</mn>{raised}"
    return text


def signed(number: str) -> str:
    """A number as it is added, its sign apart.

    Examples
    --------
    >>> signed("0.5"), signed("-0.5")
    ('+ 0.5', '- 0.5')
    """
    return f"- {number[1:]}" if number.startswith("-") else f"+ {number}"


def unit_behind(unit: Dimension, form: str) -> str:
    """A unit as it follows a number; "" for none."""
    if unit.is_none or form == "text":
        return ""
    if form == "units":
        return f" [{unit}]"
    return latex_unit(unit.exponents) if form == "latex" else mathml_unit(unit.exponents)
