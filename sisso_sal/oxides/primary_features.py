"""Primary features of an oxide from its composition alone.

How elemental values are averaged is declared once, in `PRIMARY_FEATURES`, and follows the 14 columns of A. S. Nair, L. Foppa,
M. Scheffler, npj Comput. Mater. 2025, doi 10.1038/s41524-025-01596-4, where the value exists. Nothing is imputed: a composition
with a missing value is rejected, and the reason names what is missing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from sisso_sal.errors import InputError, TableError
from sisso_sal.oxides.compositions import Compositions, common_oxides
from sisso_sal.oxides.elements import element_data, parse_formula
from sisso_sal.oxides.oxidation_states import check_oxide, oxidation_states

if TYPE_CHECKING:
    import pandas as pd

    from sisso_sal.data.table import Table

__all__ = [
    "PRIMARY_FEATURES",
    "PrimaryFeature",
    "check_values",
    "feature_values",
    "featurize",
    "featurize_table",
]


_MANY = 100
"""Formulas from which on it pays to load the compiled code that reads many at once."""


@cache
def _values(header: str) -> np.ndarray:
    """The value of each element, in the header's unit: ndarray (n_in_table,), NaN where there is none."""
    values = np.array([element.values.get(header, np.nan) for element in element_data().values()])
    values.setflags(write=False)
    return values


def _sum(terms: Iterable[np.ndarray]) -> np.ndarray:
    """One term after the other: each value has the same bits however many compositions are at hand."""
    return reduce(add, terms)


def _atom_mean(header: str, oxides: Compositions) -> np.ndarray:
    values = _values(header)
    return _sum(n * values[e] for e, n in zip(oxides.elements, oxides.amounts, strict=True)) / _sum(oxides.amounts)


def _element_mean(header: str, oxides: Compositions) -> np.ndarray:
    values = _values(header)
    return _sum(values[e] for e in oxides.elements) / len(oxides.elements)


def _metal_sum(header: str, oxides: Compositions) -> np.ndarray:
    values = _values(header).copy()
    values[list(element_data()).index("O")] = 0.0
    return _sum(values[e] for e in oxides.elements)


def _metal_mean(header: str, oxides: Compositions) -> np.ndarray:
    return _metal_sum(header, oxides) / (len(oxides.elements) - 1)


def _highest_state(header: str, oxides: Compositions) -> np.ndarray:
    return oxides.states.max(axis=0)


def _state_deviation(header: str, oxides: Compositions) -> np.ndarray:
    """Unbiased deviation with the atomic fractions w as weights: sqrt(sum w (x - mean)^2 / (1 - sum w^2))."""
    total = _sum(oxides.ions)
    weights = [n / total for n in oxides.ions]
    mean = _sum(w * x for w, x in zip(weights, oxides.states, strict=True))
    variance = _sum(w * (x - mean) ** 2 for w, x in zip(weights, oxides.states, strict=True))
    return np.sqrt(variance / (1.0 - _sum(w * w for w in weights)))


@dataclass(frozen=True)
class PrimaryFeature:
    """A column: its header with the unit, what it is, how elemental values become the values of oxides, and whose."""

    header: str
    meaning: str
    average: Callable[[str, Compositions], np.ndarray]
    over: str = "elements"
    """``elements``, ``metals``, or ``states``, which need no elemental value."""
    source: str = ""
    """Of the elemental values."""


_NIST = "NIST, local density approximation: S. Kotochigova et al., Phys. Rev. A 55, 191 (1997)"
_COUNTED = "counted from the configuration of the ground state (pymatgen)"
_STATES = "the first oxidation states of pymatgen, common ones before others, that balance the charge"

PRIMARY_FEATURES = (
    PrimaryFeature(
        "r_cov (AA)",
        "covalent radius, mean over atoms",
        _atom_mean,
        source="B. Cordero et al., Dalton Trans. 2008, 2832",
    ),
    PrimaryFeature(
        "r_vdw (AA)",
        "van der Waals radius, mean over elements",
        _element_mean,
        source="S. Alvarez, Dalton Trans. 2013, 8617",
    ),
    PrimaryFeature(
        "r_cat (AA)",
        "Shannon radius of the cations, mean over metals",
        _metal_mean,
        "metals",
        source="R. D. Shannon, Acta Cryst. A32, 751 (1976)",
    ),
    PrimaryFeature(
        "alpha (AA**3)",
        "static dipole polarisability of the free atom, mean over atoms",
        _atom_mean,
        source="P. Schwerdtfeger and J. K. Nagle, table of static dipole polarizabilities (2023)",
    ),
    PrimaryFeature(
        "e_H (eV)", "highest occupied level of the free atom, mean over elements", _element_mean, source=_NIST
    ),
    PrimaryFeature("e_s (eV)", "outermost s level of the free atom, mean over elements", _element_mean, source=_NIST),
    PrimaryFeature("AN", "atomic number, mean over elements", _element_mean),
    PrimaryFeature("EA (eV)", "electron affinity, mean over atoms", _atom_mean, source="pymatgen, electron affinity"),
    PrimaryFeature(
        "IP (eV)", "first ionisation potential, mean over atoms", _atom_mean, source="pymatgen, ionization energy"
    ),
    PrimaryFeature(
        "EN (Pauling)", "electronegativity, mean over atoms", _atom_mean, source="pymatgen, scale of Pauling"
    ),
    PrimaryFeature("N_val", "electrons outside the noble-gas core, mean over atoms", _atom_mean, source=_COUNTED),
    PrimaryFeature(
        "N_unf", "empty places in the occupied valence subshells, mean over atoms", _atom_mean, source=_COUNTED
    ),
    PrimaryFeature(
        "CE (eV)",
        "minus the enthalpy of atomisation of the element, sum over metals",
        _metal_sum,
        "metals",
        source="CRC Handbook, heat of formation of the gaseous atom at 298 K",
    ),
    PrimaryFeature("max_OS", "highest oxidation state", _highest_state, "states", source=_STATES),
    PrimaryFeature(
        "stdev_OS", "spread of the oxidation states over the atoms", _state_deviation, "states", source=_STATES
    ),
)
"""The primary features, in column order."""


def check_values(symbols: Iterable[str]) -> None:
    """Refuse elements of an oxide for which an elemental value does not exist; `InputError` then, which names the first.

    Examples
    --------
    >>> check_values(["O", "Pm"])
    Traceback (most recent call last):
    sisso_sal.errors.InputError: element Pm: no value of r_vdw (AA)
    """
    elements = [element_data()[symbol] for symbol in symbols]
    for feature in PRIMARY_FEATURES:
        if feature.over != "states":
            for element in elements:
                if element.symbol != "O" or feature.over == "elements":
                    element.value(feature.header)


def feature_values(oxides: Compositions) -> dict[str, np.ndarray]:
    """Every primary feature of oxides whose elements have all values: header -> ndarray (n,), in the header's unit."""
    return {feature.header: feature.average(feature.header, oxides) for feature in PRIMARY_FEATURES}


def featurize(formulas: Iterable[Any]) -> "tuple[pd.DataFrame, list[tuple[Any, str]]]":
    """Primary features of oxides from their formulas.

    Parameters
    ----------
    formulas : iterable of str

    Returns
    -------
    features : DataFrame (n_accepted, n_features)
        Indexed by the formulas as given, in their order; headers and units as in `PRIMARY_FEATURES`.
    rejected : list of (formula, reason)
        Formulas that cannot be read, are no oxides, cannot be balanced, or need an elemental value that does not
        exist. Accepted and rejected together are all that was given.

    Examples
    --------
    >>> features, rejected = featurize(["TiO2", "SrTiO3", "Xx2O3"])
    >>> features.loc["TiO2", ["r_cov (AA)", "max_OS"]].tolist()
    [0.9733333333333333, 4.0]
    >>> rejected
    [('Xx2O3', "formula 'Xx2O3': needs elements of the table, found Xx")]
    """
    import pandas as pd

    texts = list(formulas)
    values = np.full((len(texts), len(PRIMARY_FEATURES)), np.nan)
    reasons: dict[int, str] = {}
    for rows, oxides in _read(texts, reasons):
        values[rows] = np.stack(list(feature_values(oxides).values()), axis=1)
    kept = [row for row in range(len(texts)) if row not in reasons]
    headers = [feature.header for feature in PRIMARY_FEATURES]
    index = pd.Index([texts[row] for row in kept], name="formula", dtype=object)
    features = pd.DataFrame(values[kept] if reasons else values, index=index, columns=headers)
    return features, [(texts[row], reason) for row, reason in reasons.items()]


def _read(texts: Sequence[Any], reasons: dict[int, str]) -> Iterator[tuple[Any, Compositions]]:
    """Rows and what stands in them, those of one shape together; why others cannot be read is written into `reasons`."""
    rest = np.ones(len(texts), dtype=bool)
    if len(texts) >= _MANY:
        plain = [text if isinstance(text, str) and text.isascii() else "" for text in texts]
        for rows, oxides in common_oxides(plain, _complete_elements()):
            rest[rows] = False
            yield rows, oxides
    number = {symbol: place for place, symbol in enumerate(element_data())}
    # Numbers of elements and of states -> rows, and what `Compositions` holds.
    shapes: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
    for row in np.flatnonzero(rest).tolist():
        try:
            composition = parse_formula(texts[row])
            check_oxide(composition)
            check_values(composition)
            states = oxidation_states(composition)
        except InputError as reason:
            reasons[row] = str(reason)
            continue
        elements, amounts = [number[symbol] for symbol in composition], list(composition.values())
        one = (row, elements, amounts, [s.amount for s in states], [s.state for s in states])
        shapes.setdefault((len(composition), len(states)), []).append(one)
    for members in shapes.values():
        rows, elements, *others = zip(*members, strict=True)
        yield list(rows), Compositions(np.array(elements).T, *(np.array(one, dtype=float).T for one in others))


@cache
def _complete_elements() -> tuple[str, ...]:
    """Elements with a common state and all elemental values, apart from oxygen."""
    return tuple(symbol for symbol, element in element_data().items() if element.common and _has_all_values(symbol))


def _has_all_values(symbol: str) -> bool:
    try:
        check_values([symbol, "O"])
    except InputError:
        return False
    return symbol != "O"


def featurize_table(table: "Table", formula: str | None = None) -> "tuple[Table, list[tuple[str, str]]]":
    """A table with primary features made from a column of formulas, in the place of its own.

    Parameters
    ----------
    table : Table
    formula : str, optional
        Name of the text column with the formulas; by default the ids.

    Returns
    -------
    table : Table
        Without the rows that could not be featurized.
    rejected : list of (id, reason)

    Raises
    ------
    TableError
        The column does not exist, or no row could be featurized.
    """
    from sisso_sal.data.headers import split_header

    if formula is not None and formula not in table.text:
        known = ", ".join(table.text) or "none"
        raise TableError(f"{table.path}: needs a text column of formulas, found no '{formula}' among: {known}")
    formulas = table.text.get(formula or table.id_name, table.ids)
    features, rejected = featurize(formulas)
    reasons = dict(rejected)
    kept = [i for i, text in enumerate(formulas) if text not in reasons]
    if not kept:
        first = f"'{rejected[0][0]}': {rejected[0][1]}"
        raise TableError(
            f"{table.path}: no row of column '{formula or table.id_name}' can be used, the first is {first}"
        )
    split = [split_header(header) for header in features.columns]
    made = replace(
        table,
        ids=tuple(table.ids[i] for i in kept),
        feature_names=tuple(name for name, _ in split),
        feature_units=tuple(unit for _, unit in split),
        features=features.to_numpy(),
        target=None if table.target is None else np.asarray(table.target)[kept],
        partial=None if table.partial is None else table.partial[kept],
        text={name: tuple(cells[i] for i in kept) for name, cells in table.text.items()},
        headers={**table.headers, **dict(zip((name for name, _ in split), features.columns, strict=True))},
    )
    return made, [(table.ids[i], reasons[text]) for i, text in enumerate(formulas) if text in reasons]
