"""Primary features of an oxide from its composition alone.

How elemental values are averaged is declared once, in `PRIMARY_FEATURES`, and follows the 14 columns of A. S. Nair, L. Foppa,
M. Scheffler, npj Comput. Mater. 2025, doi 10.1038/s41524-025-01596-4, where the value exists. Nothing is imputed: a composition
with a missing value is rejected, and the reason names what is missing.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sisso_sal.errors import InputError, TableError
from sisso_sal.oxides.elements import element_data, parse_formula
from sisso_sal.oxides.oxidation_states import check_oxide, oxidation_states

if TYPE_CHECKING:
    import pandas as pd

    from sisso_sal.data.table import Table

__all__ = ["PRIMARY_FEATURES", "PrimaryFeature", "featurize", "featurize_table"]


def _atom_mean(header: str, composition: Mapping[str, float]) -> float:
    elements = element_data()
    return sum(n * elements[e].value(header) for e, n in composition.items()) / sum(composition.values())


def _element_mean(header: str, composition: Mapping[str, float]) -> float:
    elements = element_data()
    return sum(elements[e].value(header) for e in composition) / len(composition)


def _metal_sum(header: str, composition: Mapping[str, float]) -> float:
    elements = element_data()
    return sum(elements[e].value(header) for e in composition if e != "O")


def _metal_mean(header: str, composition: Mapping[str, float]) -> float:
    return _metal_sum(header, composition) / (len(composition) - 1)


def _highest_state(header: str, composition: Mapping[str, float]) -> float:
    return max(float(s.state) for s in oxidation_states(composition))


def _state_deviation(header: str, composition: Mapping[str, float]) -> float:
    """Unbiased deviation with the atomic fractions w as weights: sqrt(sum w (x - mean)^2 / (1 - sum w^2))."""
    states = oxidation_states(composition)
    total = sum(s.amount for s in states)
    weights = [s.amount / total for s in states]
    mean = sum(w * s.state for w, s in zip(weights, states, strict=True))
    variance = sum(w * (s.state - mean) ** 2 for w, s in zip(weights, states, strict=True))
    return math.sqrt(variance / (1.0 - sum(w * w for w in weights)))


@dataclass(frozen=True)
class PrimaryFeature:
    """A column: its header with the unit, what it is, and how elemental values become the value of an oxide."""

    header: str
    meaning: str
    average: Callable[[str, Mapping[str, float]], float]


PRIMARY_FEATURES = (
    PrimaryFeature("r_cov (AA)", "covalent radius, mean over atoms", _atom_mean),
    PrimaryFeature("r_vdw (AA)", "van der Waals radius, mean over elements", _element_mean),
    PrimaryFeature("r_cat (AA)", "Shannon radius of the cations, mean over metals", _metal_mean),
    PrimaryFeature("alpha (AA**3)", "static dipole polarisability of the free atom, mean over atoms", _atom_mean),
    PrimaryFeature("e_H (eV)", "highest occupied level of the free atom, mean over elements", _element_mean),
    PrimaryFeature("e_s (eV)", "outermost s level of the free atom, mean over elements", _element_mean),
    PrimaryFeature("AN", "atomic number, mean over elements", _element_mean),
    PrimaryFeature("EA (eV)", "electron affinity, mean over atoms", _atom_mean),
    PrimaryFeature("IP (eV)", "first ionisation potential, mean over atoms", _atom_mean),
    PrimaryFeature("EN (Pauling)", "electronegativity, mean over atoms", _atom_mean),
    PrimaryFeature("N_val", "electrons outside the noble-gas core, mean over atoms", _atom_mean),
    PrimaryFeature("N_unf", "empty places in the occupied valence subshells, mean over atoms", _atom_mean),
    PrimaryFeature("CE (eV)", "minus the enthalpy of atomisation of the element, sum over metals", _metal_sum),
    PrimaryFeature("max_OS", "highest oxidation state", _highest_state),
    PrimaryFeature("stdev_OS", "spread of the oxidation states over the atoms", _state_deviation),
)
"""The primary features, in column order."""


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
    [('Xx2O3', "formula 'Xx2O3': needs a chemical formula, cannot be read")]
    """
    import pandas as pd

    accepted, rows, rejected = [], [], []
    for formula in formulas:
        try:
            composition = parse_formula(formula)
            check_oxide(composition)
            rows.append([feature.average(feature.header, composition) for feature in PRIMARY_FEATURES])
            accepted.append(formula)
        except InputError as reason:
            rejected.append((formula, str(reason)))
    headers = [feature.header for feature in PRIMARY_FEATURES]
    index = pd.Index(accepted, name="formula", dtype=object)
    return pd.DataFrame(rows, index=index, columns=headers, dtype=float), rejected


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
    import numpy as np

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
        text={name: tuple(cells[i] for i in kept) for name, cells in table.text.items()},
        headers={**table.headers, **dict(zip((name for name, _ in split), features.columns, strict=True))},
    )
    return made, [(table.ids[i], reasons[text]) for i, text in enumerate(formulas) if text in reasons]
