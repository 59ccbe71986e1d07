"""Models as source text: LaTeX, sympy, Python, C and Fortran; one file for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

from sisso_sal.errors import SettingsError
from sisso_sal.export.c import write_c
from sisso_sal.export.fortran import write_fortran
from sisso_sal.export.job import Job, limits, rounded
from sisso_sal.export.latex import write_latex
from sisso_sal.export.names import RESERVED, identifiers
from sisso_sal.export.python import write_python
from sisso_sal.export.sympy import write_sympy
from sisso_sal.features.symbols import latex_symbol
from sisso_sal.models.linear import SISSOModel

__all__ = ["FORMS", "RESERVED", "export_model", "identifiers"]


def export_model(
    models: Sequence[SISSOModel],
    form: str,
    *,
    target: str,
    target_unit: str,
    units: Mapping[str, str],
    scale: float = 1.0,
    task: str = "",
    n_digits: int | None = None,
) -> str:
    r"""Source text that predicts what the models predict, and needs this package no more.

    Python, C and Fortran give NaN where a single model is undefined. For an ensemble they give mean and standard deviation
    over the valid members; a member is invalid where a descriptor is undefined or lies further outside its training range
    than `REACH` widths of that range, and with fewer valid members than half of them, or than two, both are NaN.

    Where a model has learned a transformed target, these and sympy give the target itself, and NaN (all but sympy) outside
    `TargetTransform.limits`; LaTeX has the transformed target on the left.

    Parameters
    ----------
    models : sequence of SISSOModel
        One model, or all members of an ensemble.
    form : str
        ``latex`` (an ``align`` environment), ``sympy`` (a module with ``symbols`` and ``expression``, or ``expressions``
        for an ensemble), ``python`` (a module with ``predict``), ``c`` (C99, ``sisso_predict``) or ``fortran`` (F2008, module
        ``sisso_model`` with ``sisso_predict``).
    target, target_unit : str
        Name and unit of what is predicted.
    units : mapping of str to str
        Unit of each primary feature, "" for none.
    scale : float
        Calibration: number by which the spread of an ensemble is multiplied.
    task : str
        The task whose coefficients these are; "" where there is one task.
    n_digits : int, optional
        Significant digits of intercepts and coefficients, for ``latex`` alone; by default all that a double has.

    Returns
    -------
    str
        Arguments are the primary features in use, sorted by name; comments say which identifier stands for which.

    Raises
    ------
    SettingsError
        The form is unknown, there is no model or one without a descriptor, or a number is not finite.
    UnitError
        The target's unit cannot be read.

    Examples
    --------
    >>> from sisso_sal.features.expression import Expression
    >>> from sisso_sal.models.linear import Term
    >>> gap = Expression.apply("sq", Expression.primary("gap 0", "eV"))
    >>> model = SISSOModel((Term(gap, -2.0, 0.0, 1.0),), 1.0, 0.0, 0.0)
    >>> made = {}
    >>> exec(export_model([model], "python", target="E", target_unit="eV", units={"gap 0": "eV"}), made)
    >>> float(made["predict"](gap_0=0.5))
    0.5
    >>> print(export_model([model], "latex", target="E", target_unit="eV", units={"gap 0": "eV"}))
    % E (eV), a SISSO model
    % \text{`gap 0'}: primary feature 'gap 0', in eV
    % Needs the package amsmath.
    \begin{align}
    E &= 1.0\,\mathrm{eV} \nonumber\\
      &\quad - 2.0\,\mathrm{eV}^{-1}\; \text{`gap 0'}^{2}
    \end{align}
    <BLANKLINE>
    """
    if form not in _WRITERS:
        close = get_close_matches(str(form).lower(), _WRITERS, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise SettingsError(f"form: needs one of {', '.join(_WRITERS)}, found '{form}'{hint}")
    _check(models, scale)
    if n_digits is not None:
        models = rounded(models, form, n_digits)
    primaries = sorted({name for model in models for name in model.primaries()})
    names = {name: latex_symbol(name) for name in primaries} if form == "latex" else identifiers(primaries, form)
    return _WRITERS[form](Job(tuple(models), target, target_unit, dict(units), float(scale), names, task, n_digits))


def _check(models: Sequence[SISSOModel], scale: float) -> None:
    if not models:
        raise SettingsError("models: needs at least one, found none")
    if not (math.isfinite(scale) and scale >= 0):
        raise SettingsError(f"scale: needs a finite number >= 0, found {scale!r}")
    for number, model in enumerate(models, 1):
        if not model.terms:
            raise SettingsError(f"models: needs at least one descriptor in each, found none in model {number}")
        values = [model.intercept, *(v for t in model.terms for v in (t.coefficient, *limits(t)))]
        if not model.link.is_identity:
            values += [model.link.centre, model.link.scale, model.link.exponent, *model.link.limits]
        if not all(map(math.isfinite, values)):
            raise SettingsError(f"models: needs finite numbers, found another in model {number}")


_WRITERS: dict[str, Callable[[Job], str]] = {
    "latex": write_latex,
    "sympy": write_sympy,
    "python": write_python,
    "c": write_c,
    "fortran": write_fortran,
}


FORMS = tuple(_WRITERS)
"""The forms that `export_model` writes."""
