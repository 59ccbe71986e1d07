"""Packages that come with an extra: what is said where one is missing."""

from __future__ import annotations

from importlib.util import find_spec

from sisso_sal.errors import InputError

EXTRA_OF = {
    "jinja2": "report",
    "matplotlib": "report",
    "plotly": "report",
    "pymatgen": "structures",
    "spglib": "structures",
    "sympy": "sympy",
}
"""The extra of the packages that are imported without a look before. What imports others says itself what it needs."""


def require(package: str, what: str) -> None:
    """Refuse work whose package is not installed.

    Parameters
    ----------
    package : str
        One of `EXTRA_OF`.
    what : str
        What needs it, as the message begins.

    Raises
    ------
    InputError
        It is not installed; the message has the line that installs it.

    Examples
    --------
    >>> require("sympy", "to_sympy")
    """
    if find_spec(package) is None:
        raise InputError(f"{what}: {lacking(package)}")


def lacking(package: str) -> str:
    """What is needed, and the line that installs it.

    Examples
    --------
    >>> lacking("plotly")
    "needs the package plotly; pip install 'sisso-sal[report]'"
    """
    return f"needs the package {package}; pip install 'sisso-sal[{EXTRA_OF[package]}]'"


def told(error: ImportError) -> str:
    """The same for an import that failed; empty where the package is of no extra, or is there and damaged.

    Examples
    --------
    >>> told(ModuleNotFoundError("No module named 'pymatgen'", name="pymatgen"))
    "needs the package pymatgen; pip install 'sisso-sal[structures]'"
    >>> told(ImportError("libfreetype.so: cannot open", name="matplotlib"))
    ''
    """
    package = (error.name or "").partition(".")[0]
    return lacking(package) if isinstance(error, ModuleNotFoundError) and package in EXTRA_OF else ""
