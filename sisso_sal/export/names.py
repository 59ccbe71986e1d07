"""Identifiers for primary features in each language."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable

from sisso_sal.features.operators import OPERATORS
from sisso_sal.features.symbols import GREEK

LONGEST_NAME = 48


def _functions(*languages: str) -> list[str]:
    """Functions that the templates of the operator table call, without those that an export defines itself."""
    templates = (getattr(row, language) for row in OPERATORS.values() for language in languages)
    called = {name for template in templates for name in re.findall(r"(\w+)\(", template)}
    return sorted(name for name in called if not name.startswith("sisso_"))


_FUNCTIONS = " ".join(["sign", *_functions("text", "c", "fortran")])


_LOCALS = "count descriptor high i low mean members np predict square std total valid values x"


_C_WORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline int long register
    restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    alignas alignof asm bool catch class constexpr delete explicit export false friend mutable namespace new noexcept
    nullptr operator private protected public static_assert template this thread_local throw true try typeid typename
    typeof using virtual wchar_t and and_eq bitand bitor compl not not_eq or or_eq xor xor_eq
    isfinite isnan isinf isnormal fpclassify signbit isgreater isless isunordered NAN INFINITY HUGE HUGE_VAL HUGE_VALF
    HUGE_VALL MATH_ERRNO MATH_ERREXCEPT MAXFLOAT DOMAIN SING OVERFLOW UNDERFLOW PLOSS TLOSS X_TLOSS linux unix i386 main
    math_errhandling float_t double_t near far signgam
"""


_FORTRAN_WORDS = """
    allocate assign associate block call case class close common contains continue cycle data deallocate dimension do dp
    else elemental elseif end enddo endif entry equivalence exit external format function goto if implicit in include
    inquire integer intent interface intrinsic inout kind logical module namelist none nullify only open out parameter
    pause pointer print private procedure program public pure read real result return rewind save select sequence stop
    subroutine sum target then type use value where while write ieee_is_finite ieee_quiet_nan ieee_value c_double real64
"""


_SYMPY_WORDS = " ".join(
    [
        *_functions("sympy"),
        *["Float", "Symbol", "symbols", "expression", "expressions", "numpy", "math", "pi", "nan", "inf"],
    ]
)


_PYTHON_WORDS = " ".join([*keyword.kwlist, *keyword.softkwlist])


RESERVED: dict[str, frozenset[str]] = {
    "python": frozenset(f"{_PYTHON_WORDS} {_FUNCTIONS} {_LOCALS}".split()),
    "sympy": frozenset(f"{_PYTHON_WORDS} {_FUNCTIONS} {_SYMPY_WORDS}".split()),
    "c": frozenset(f"{_C_WORDS} {_FUNCTIONS} {_LOCALS}".split()),
    "fortran": frozenset(f"{_FORTRAN_WORDS} {_FUNCTIONS} {_LOCALS}".split()),
}
"""Names that a primary feature must not take in each language."""


def identifiers(names: Iterable[str], language: str) -> dict[str, str]:
    """Valid, distinct identifiers for primary features.

    Parameters
    ----------
    names : iterable of str
        Distinct names, any text.
    language : str
        ``python``, ``sympy``, ``c`` or ``fortran`` (where upper and lower case are the same).

    Returns
    -------
    dict of str to str
        In the order of `names`. A name that is an identifier already stays as it is.

    Examples
    --------
    >>> identifiers(["r cov", "r_cov", "lambda", "χ (A)", "2nd"], "python")
    {'r cov': 'r_cov_2', 'r_cov': 'r_cov', 'lambda': 'lambda_', 'χ (A)': 'chi_A', '2nd': 'x2nd'}
    """
    names = list(names)
    fold = str.lower if language == "fortran" else str
    taken = set(RESERVED[language])
    chosen: dict[str, str] = {}
    for name in sorted(names, key=lambda n: _identifier(n) != n):
        base = _identifier(name)
        prefixed = language == "c" and base.startswith(("M_", "FP_"))
        candidates = [f"{base}_"] if prefixed or fold(base) in RESERVED[language] else [base]
        candidates += [f"{base}_{number}" for number in range(2, len(names) + 2)]
        chosen[name] = next(c for c in candidates if fold(c) not in taken)
        taken.add(fold(chosen[name]))
    return {name: chosen[name] for name in names}


def _identifier(name: str) -> str:
    """A name in ASCII letters, digits and underscores; accents are dropped, Greek letters are spelled out."""
    text = "".join(_spelled(c) for c in unicodedata.normalize("NFKD", name))
    text = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9_]", "_", text)).strip("_")
    text = text if text[:1].isalpha() else f"x{text}"
    text = f"x_{text}" if text.lower().startswith("sisso") else text
    return text[:LONGEST_NAME].rstrip("_")


def _spelled(character: str) -> str:
    if character.isascii():
        return character
    if unicodedata.combining(character):
        return ""
    return GREEK.get(character, "_")
