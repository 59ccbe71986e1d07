"""The metals that candidate oxides are made of."""

from collections.abc import Iterable

from sisso_sal.errors import InputError
from sisso_sal.oxides.elements import element_data

__all__ = ["METALS", "check_metals"]

_SYMBOLS = """
    Li Be B Na Mg Al Si K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Rb Sr Y Zr Nb Mo Ru Rh Pd Ag Cd In Sn Sb Te Cs
    Ba La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Th U
"""
METALS = tuple(_SYMBOLS.split())
"""The default metals and metalloids, by atomic number: without Tc, Pm, Po and what lives shorter than Th and U."""


def check_metals(symbols: Iterable[str], place: str) -> None:
    """Refuse what cannot be a metal of a charge-balanced oxide; `InputError` then, which begins with `place`.

    Examples
    --------
    >>> check_metals(["Ti", "O"], "candidate oxides")
    Traceback (most recent call last):
    sisso_sal.errors.InputError: candidate oxides: needs elements with a common positive state, found 'O'
    """
    table = element_data()
    for symbol in symbols:
        if symbol == "O" or symbol not in table or not table[symbol].common:
            raise InputError(f"{place}: needs elements with a common positive state, found '{symbol}'")
