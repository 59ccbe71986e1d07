"""Primary features of an oxide from its composition alone.

Elemental values with their units lie in ``elements.csv`` beside this file (``data/build_elements.py`` writes it;
``data/README.md`` has the sources). How they are averaged is declared once, in `PRIMARY_FEATURES`, and follows the 14
columns of A. S. Nair, L. Foppa, M. Scheffler, npj Comput. Mater. 2025, doi 10.1038/s41524-025-01596-4, where the
value exists. Nothing is imputed: a composition with a missing value is rejected and the reason names what is missing.
"""

import csv
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from sisso_sal.errors import InputError, TableError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from sisso_sal.data.table import Table

__all__ = [
    "PRIMARY_FEATURES",
    "ElementData",
    "OxidationState",
    "PrimaryFeature",
    "atomic_fractions",
    "element_data",
    "featurize",
    "featurize_table",
    "oxidation_states",
    "parse_formula",
]

_TOLERANCE = 1e-8
_OZONIDE = -1 / 3


class OxidationState(NamedTuple):
    """``amount`` atoms of ``element`` per formula unit in the oxidation state ``state``."""

    element: str
    amount: float
    state: float


@dataclass(frozen=True)
class ElementData:
    """One line of ``elements.csv``.

    Parameters
    ----------
    symbol : str
    values : mapping of str to float
        Header with unit, as ``"IP (eV)"``, -> value; a header without a value is absent.
    common : tuple of int
        Common positive oxidation states, ascending.
    known : mapping of int to float
        Every known positive oxidation state, ascending -> its share among the crystal structures counted in the table;
        a state without any counts as half a structure.
    """

    symbol: str
    values: Mapping[str, float]
    common: tuple[int, ...]
    known: Mapping[int, float]

    def value(self, header: str) -> float:
        """The elemental value, in the header's unit; `InputError` if the table has none."""
        if header not in self.values:
            raise InputError(f"element {self.symbol}: no value of {header}")
        return self.values[header]


@cache
def element_data() -> Mapping[str, ElementData]:
    """The shipped table of elements, read once.

    Examples
    --------
    >>> element_data()["Ti"].value("r_cov (AA)"), element_data()["Ti"].common
    (1.6, (4,))
    """
    text = resources.files("sisso_sal.oxides").joinpath("elements.csv").read_text(encoding="utf-8")
    return MappingProxyType({data.symbol: data for data in map(_element, csv.DictReader(text.splitlines()))})


def _element(row: dict[str, str]) -> ElementData:
    symbol = row.pop("element")
    common = tuple(int(state) for state in row.pop("OS_common").split())
    counts = [(int(state), int(n) or 0.5) for state, n in (pair.split(":") for pair in row.pop("OS_known").split())]
    known = {state: n / sum(n for _, n in counts) for state, n in counts}
    return ElementData(symbol, {header: float(text) for header, text in row.items() if text}, common, known)


def parse_formula(formula: str) -> dict[str, float]:
    """Element -> atoms per formula unit, elements in alphabetical order.

    Parameters
    ----------
    formula : str
        As ``"SrTiO3"``, ``"Ca3(PO4)2"``, ``"La0.5Sr0.5MnO3"``.

    Raises
    ------
    InputError
        If it is not a formula of known elements.

    Examples
    --------
    >>> parse_formula("Ca3(PO4)2")
    {'Ca': 3.0, 'O': 8.0, 'P': 2.0}
    """
    from pymatgen.core import Composition

    if not isinstance(formula, str) or not formula.strip():
        raise InputError(f"formula {formula!r}: needs a chemical formula")
    try:
        amounts = {str(symbol): float(n) for symbol, n in Composition(formula, strict=True).items()}
    except (ValueError, TypeError, KeyError) as cause:
        raise InputError(f"formula {formula!r}: needs a chemical formula, cannot be read") from cause
    unknown = sorted(set(amounts) - set(element_data()))
    if unknown or not amounts:
        raise InputError(f"formula {formula!r}: needs elements of the table, found {', '.join(unknown) or 'none'}")
    return dict(sorted(amounts.items()))


def atomic_fractions(formulas: Sequence[str]) -> "np.ndarray | None":
    """Share of each element: ndarray (n, n_elements), elements as in `element_data`, or None if a text is no formula.

    Examples
    --------
    >>> atomic_fractions(["MgO", "H2"])[:, 0].tolist()
    [0.0, 1.0]
    >>> atomic_fractions(["MgO", "sample 7"]) is None
    True
    """
    import numpy as np

    try:
        found = [parse_formula(formula) for formula in formulas]
    except InputError:
        return None
    column = {symbol: number for number, symbol in enumerate(element_data())}
    amounts = np.zeros((len(found), len(column)))
    for row, composition in zip(amounts, found, strict=True):
        row[[column[symbol] for symbol in composition]] = list(composition.values())
    return amounts / amounts.sum(axis=1, keepdims=True)


def composition_of(table: "Table") -> "np.ndarray | None":
    """Share of each element in each row of a table, as `atomic_fractions` gives it.

    The formulas are the ids or, where these are no formulas, the text column ``formula`` or ``composition`` (any case).

    Returns
    -------
    ndarray (n_rows, n_elements), or None where there are no formulas.

    Warns
    -----
    UserWarning
        More than half of the texts are formulas, but not all: no composition is used then.
    """
    columns = {name: cells for name, cells in table.text.items() if name.lower() in {"formula", "composition"}}
    texts = {"id": table.ids, **columns}
    for cells in texts.values():
        if (found := atomic_fractions(cells)) is not None:
            return found
    for name, cells in texts.items():
        others = [cell for cell in cells if not _is_formula(cell)]
        if len(others) < len(cells) / 2:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            text = f"{table.path}: compositions are left out, {name} '{others[0]}'{more} being no formula"
            warnings.warn(text, stacklevel=2)
            break
    return None


def _is_formula(text: str) -> bool:
    try:
        return bool(parse_formula(text))
    except InputError:
        return False


def oxidation_states(composition: Mapping[str, float]) -> tuple[OxidationState, ...]:
    """Charge-balanced oxidation states of an oxide by a fixed rule.

    The first of these steps that has a solution decides; "metal" stands for every element but oxygen, which is -2:

    1. each metal in one of its common states;
    2. each metal in one of its known states, or one metal shared between two neighbouring known states (mixed valence)
       and the others in one;
    3. each metal in its highest common state, oxygen takes the remaining charge, at least -1/3 and at most -2
       (peroxides, superoxides, ozonides);
    4. as 2, the state 0 being allowed as well (metal-rich oxides).

    Of several solutions of a step the likeliest is taken: the greatest sum over the metals of amount x log(share of the
    state among the element's crystal structures), then the first in alphabetical order of the metals.

    Parameters
    ----------
    composition : mapping of str to float
        Element -> atoms per formula unit.

    Returns
    -------
    tuple of OxidationState
        The metals in alphabetical order, oxygen last. Amounts add up to the composition, charges to zero.

    Raises
    ------
    InputError
        If there is no oxygen, no metal, or no balanced solution.

    Examples
    --------
    >>> [(s.element, s.amount, s.state) for s in oxidation_states({"Fe": 3, "O": 4})]
    [('Fe', 1.0, 2), ('Fe', 2.0, 3), ('O', 4, -2.0)]
    """
    _check_oxide(composition)
    metals = {m: composition[m] for m in sorted(composition) if m != "O"}
    elements = element_data()
    common = {m: elements[m].common for m in metals}
    known = {m: tuple(elements[m].known) for m in metals}
    charge = 2.0 * composition["O"]
    steps: tuple[tuple[_Step, dict[str, tuple[int, ...]]], ...] = (
        (_whole, common),
        (_whole_or_mixed, known),
        (_highest, common),
        (_whole_or_mixed, {m: (0, *states) for m, states in known.items() if states}),
    )
    for step, states in steps:
        solutions = list(step(metals, states, charge)) if len(states) == len(metals) else []
        if solutions:
            best = min(solutions, key=_preference)
            total = sum(s.amount * s.state for s in best)
            return (*best, OxidationState("O", composition["O"], round(-total / composition["O"], 9)))
    raise InputError("no charge-balanced oxidation states")


def _check_oxide(composition: Mapping[str, float]) -> None:
    if "O" not in composition or len(composition) < 2:
        raise InputError("needs an oxide: oxygen and at least one other element")


_Solution = tuple[OxidationState, ...]
_Step = Callable[[Mapping[str, float], Mapping[str, tuple[int, ...]], float], Iterator[_Solution]]


def _whole(metals: Mapping[str, float], states: Mapping[str, tuple[int, ...]], charge: float) -> Iterator[_Solution]:
    """Every choice of one state per metal that adds up to the charge."""
    for choice in itertools.product(*(states[m] for m in metals)):
        solution = tuple(OxidationState(m, n, s) for (m, n), s in zip(metals.items(), choice, strict=True))
        if abs(sum(s.amount * s.state for s in solution) - charge) < _TOLERANCE:
            yield solution


def _mixed(metals: Mapping[str, float], states: Mapping[str, tuple[int, ...]], charge: float) -> Iterator[_Solution]:
    """Every choice in which one metal sits between two neighbouring states and the others have one state."""
    for split, amount in metals.items():
        others = [m for m in metals if m != split]
        for choice in itertools.product(*(states[m] for m in others)):
            fixed = [OxidationState(m, metals[m], s) for m, s in zip(others, choice, strict=True)]
            mean = (charge - sum(s.amount * s.state for s in fixed)) / amount
            for low, high in itertools.pairwise(states[split]):
                if low < mean < high:
                    upper = round(amount * (mean - low) / (high - low), 12)
                    parts = [OxidationState(split, round(amount - upper, 12), low), OxidationState(split, upper, high)]
                    yield tuple(sorted(fixed + parts, key=lambda s: (s.element, s.state)))


def _whole_or_mixed(
    metals: Mapping[str, float], states: Mapping[str, tuple[int, ...]], charge: float
) -> Iterator[_Solution]:
    yield from _whole(metals, states, charge)
    yield from _mixed(metals, states, charge)


def _highest(metals: Mapping[str, float], states: Mapping[str, tuple[int, ...]], charge: float) -> Iterator[_Solution]:
    """Each metal in its highest state, if oxygen is then between -2 and -1/3."""
    if all(states.values()):
        solution = tuple(OxidationState(m, n, states[m][-1]) for m, n in metals.items())
        oxygen = -2.0 * sum(s.amount * s.state for s in solution) / charge
        if -2.0 < oxygen <= _OZONIDE + _TOLERANCE:
            yield solution


def _preference(solution: _Solution) -> tuple[float, _Solution]:
    """Sorts the likeliest solution first; rounding keeps float noise out of the choice."""
    elements = element_data()
    # The metal itself (state 0) competes with nothing: it is only offered where no ions balance.
    likelihood = sum(s.amount * math.log(elements[s.element].known.get(int(s.state), 1.0)) for s in solution)
    return -round(likelihood, 6), solution


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
            _check_oxide(composition)
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

    from sisso_sal.data.columns import split_header

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
