"""Groups of calculations whose energies can be compared: functional, basis, k-points, spin and smearing are the same.

- *Basis or pseudopotentials* are compared element by element: of each element the form that most calculations have counts as the
  usual one. A calculation with another form belongs to another group, and the lines that differ are told.
- *k-points*: grids belong together if one density explains them all, whatever the cells are
  (`sisso_sal.oracle.calculations.record.density_range`). A molecule has none and belongs to every density.
- *Spin*: without spin is the same as with spin where no atom can have a moment, so such a calculation belongs to either.
- *Smearing* is of no effect where its entropy term is below 1 meV/atom, as in most insulators and molecules, or where occupations
  are fixed. Such a calculation belongs to every smearing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sisso_sal.oracle.calculations.record import FIXED, SETTINGS, UNTOLD, DoneCalculation

__all__ = ["SettingsGroup", "differences_from", "groups_of"]

_MAGNETIC = frozenset(
    {
        *("V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Mo", "Tc", "Ru", "Rh", "Re", "Os", "Ir"),
        *("Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb"),
        *("Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf"),
    }
)
"""Elements whose d or f shell is often open; beside them the molecule O2 has a moment."""

_ANY = ""
"""A value that goes with every other."""

_NO_EFFECT = "of no effect"
"""The smearing of calculations that go with every other."""

_NO_ENTROPY = 1e-3
"""In eV/atom; the energy extrapolated to no smearing differs by less than half of it."""


@dataclass(frozen=True)
class SettingsGroup:
    """Calculations with equal settings.

    Attributes
    ----------
    settings : mapping of str to str
        The values, as they are shown.
    calculations : tuple of DoneCalculation
    """

    settings: Mapping[str, str]
    calculations: tuple[DoneCalculation, ...]

    def __str__(self) -> str:
        untold = UNTOLD, _NO_EFFECT
        return ", ".join(f"{name} {value}" for name, value in self.settings.items() if value not in untold)


def groups_of(calculations: Iterable[DoneCalculation], same: Collection[str] = SETTINGS) -> list[SettingsGroup]:
    """Groups of equal settings, the largest first.

    Parameters
    ----------
    calculations : iterable of DoneCalculation
        Those that can be used.
    same : collection of str
        The settings that must be the same, of `SETTINGS`.

    Returns
    -------
    list of SettingsGroup
        Each calculation is in one of them; a molecule in those of all densities of k-points, one without spin whose atoms have no
        moments in those of all treatments of spin, one whose smearing has no effect in those of all smearings.

    Examples
    --------
    >>> from sisso_sal.oracle.calculations.record import Cell
    >>> cell = Cell(symbols=("Mg",), positions=((0, 0, 0),), lattice=((3, 0, 0), (0, 3, 0), (0, 0, 3)))
    >>> some = [DoneCalculation(place=xc, cell=cell, energy=-1, settings={"xc": xc[:3]}) for xc in ("pbe", "pbe-2", "hse")]
    >>> [(group.settings["xc"], len(group.calculations)) for group in groups_of(some)]
    [('pbe', 2), ('hse', 1)]
    """
    some = list(calculations)
    parts = [({}, some)]
    usual = _usual_species(some)
    for name in SETTINGS:
        if name not in same:
            continue
        splitters: dict[str, _Split] = {
            "k_grid": _by_k_points,
            "spin": _or_any(_spin_of, "none"),
            "smearing": _or_any(_smearing_of, _NO_EFFECT),
        }
        split: _Split = splitters.get(name) or _by_value(_value_of(name, usual))
        parts = [({**told, name: value}, members) for told, part in parts for value, members in split(part)]
    groups = [SettingsGroup(told, tuple(members)) for told, members in parts if members]
    return sorted(groups, key=lambda group: (-len(group.calculations), sorted(group.settings.items())))


_Split = Callable[[Sequence[DoneCalculation]], "list[tuple[str, list[DoneCalculation]]]"]


def _by_value(value_of: Callable[[DoneCalculation], str]) -> _Split:
    def split(part: Sequence[DoneCalculation]) -> list[tuple[str, list[DoneCalculation]]]:
        by_value: dict[str, list[DoneCalculation]] = defaultdict(list)
        for one in part:
            by_value[value_of(one)].append(one)
        return list(by_value.items())

    return split


def _value_of(name: str, usual: Mapping[tuple[str, str], str]) -> Callable[[DoneCalculation], str]:
    if name == "species":
        return lambda one: _species_told(one, usual)
    return lambda one: one.settings.get(name, UNTOLD)


# Species -------------------------------------------------------------------------------------------------------------


def _level(one: DoneCalculation) -> str:
    return f"{one.settings.get('code', UNTOLD)}\0{one.settings.get('species', UNTOLD)}"


def _usual_species(calculations: Iterable[DoneCalculation]) -> dict[tuple[str, str], str]:
    """Name of a set and element -> the form that most calculations have."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for one in calculations:
        for element, form in one.species.items():
            counts[_level(one), element][form] += 1
    return {key: min(forms, key=lambda form: (-forms[form], form)) for key, forms in counts.items()}


def _species_told(one: DoneCalculation, usual: Mapping[tuple[str, str], str]) -> str:
    """The name of the set, and how the elements of the calculation differ from the usual ones."""
    present = set(one.cell.symbols) if one.cell else set()
    changes = [
        f"{element} {_changed(usual[_level(one), element], form)}"
        for element, form in sorted(one.species.items())
        if element in present and form != usual[_level(one), element]
    ]
    return "; ".join([one.settings.get("species", UNTOLD), *changes])


def _changed(usual: str, form: str, most: int = 3) -> str:
    """In words what a species has in place of what is usual."""
    before, after = usual.split("; "), form.split("; ")
    more = [line for line in after if line not in before]
    less = [line for line in before if line not in after]
    told = [f"with {line}" for line in more[:most]] + [f"without {line}" for line in less[:most]]
    rest = len(more) + len(less) - len(told)
    return ", ".join(told) + (f" and {rest} more lines" if rest else "")


# k-points ------------------------------------------------------------------------------------------------------------


def _by_k_points(part: Sequence[DoneCalculation]) -> list[tuple[str, list[DoneCalculation]]]:
    """Again and again the density that explains the most grids; what has no grid joins all."""
    left = [one for one in part if one.k_density is not None]
    free = [one for one in part if one.k_density is None and _has_no_grid(one)]
    groups: list[tuple[str, list[DoneCalculation]]] = []
    while left:
        low, high = _densest([one.k_density for one in left if one.k_density is not None])
        inside = [one for one in left if one.k_density is not None and one.k_density[0] <= low <= one.k_density[1]]
        left = [one for one in left if one.k_density is not None and not one.k_density[0] <= low <= one.k_density[1]]
        told = f"{low:.3g} per 1/Å" if high - low < 0.05 * high else f"{low:.3g} to {high:.3g} per 1/Å"
        groups.append((told, inside))
    others = [one for one in part if one.k_density is None and not _has_no_grid(one)]
    groups += _by_value(_value_of("k_grid", {}))(others)
    return [(told, members + free) for told, members in groups] or [("none", free)]


def _has_no_grid(one: DoneCalculation) -> bool:
    return one.cell is not None and one.cell.lattice is None


def _densest(ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The first interval of densities that lies in the most of these ranges."""
    ends = sorted([(low, 0) for low, _ in ranges] + [(high, 1) for _, high in ranges])
    depth = best = 0
    found = ranges[0]
    for number, (density, is_end) in enumerate(ends):
        depth += -1 if is_end else 1
        if depth > best:
            best = depth
            closing = next(end for end, closes in ends[number:] if closes)
            found = density, closing
    return found


# Spin and smearing ---------------------------------------------------------------------------------------------------


def _or_any(value_of: Callable[[DoneCalculation], str], alone: str) -> _Split:
    """By a value; those that go with every other join all, or have the value `alone` where there is no other."""

    def split(part: Sequence[DoneCalculation]) -> list[tuple[str, list[DoneCalculation]]]:
        groups = dict(_by_value(value_of)(part))
        free = groups.pop(_ANY, [])
        return [(told, members + free) for told, members in groups.items()] or [(alone, free)]

    return split


def _spin_of(one: DoneCalculation) -> str:
    told = one.settings.get("spin", UNTOLD)
    symbols = set(one.cell.symbols) if one.cell else set()
    if told == "none" and not symbols & _MAGNETIC and symbols != {"O"}:
        return _ANY
    return told


def _smearing_of(one: DoneCalculation) -> str:
    told = one.settings.get("smearing", UNTOLD)
    n_atoms = len(one.cell.symbols) if one.cell else 1
    has_no_effect = told == FIXED or (one.entropy is not None and one.entropy < _NO_ENTROPY * n_atoms)
    return _ANY if has_no_effect else told


# Differences ---------------------------------------------------------------------------------------------------------


def differences_from(group: SettingsGroup, others: Iterable[SettingsGroup]) -> list[tuple[str, str, str, str]]:
    """Why calculations are not in a group.

    Parameters
    ----------
    group : SettingsGroup
    others : iterable of SettingsGroup

    Returns
    -------
    list of (str, str, str, str)
        Place, setting, its value, and the value of the group; one for each setting that differs.
    """
    inside = {one.place for one in group.calculations}
    nearest: dict[str, tuple[DoneCalculation, list[tuple[str, str]]]] = {}
    for other in others:
        differing = [(name, value) for name, value in other.settings.items() if value != group.settings[name]]
        for one in other.calculations:
            if one.place not in inside and (one.place not in nearest or len(differing) < len(nearest[one.place][1])):
                nearest[one.place] = one, differing
    return [
        (place, name, _shown(one, name, value), group.settings[name])
        for place, (one, differing) in nearest.items()
        for name, value in differing
    ]


def _shown(one: DoneCalculation, name: str, value: str) -> str:
    grid = one.settings.get("k_grid")
    return f"{grid} ({value})" if name == "k_grid" and grid and grid != value else value
