"""Whether the calculations of a label can be compared: what differs in the settings that decide an energy, one line each.

All calculations of a campaign are asked for with the same settings. They can differ all the same: by a remedy without which a run
did not converge, by species or a version of FHI-aims that changed while the campaign went on, by a fixed k-grid in cells of
different size, and by a structure that was given without moments although its ions have some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sisso_sal.errors import InputError
from sisso_sal.oracle.engines.potentials import WITHOUT_MOMENTS
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.ions import starting_moment
from sisso_sal.oxides.oxidation_states import oxidation_states
from sisso_sal.oxides.phases import MOLECULES

__all__ = ["Used", "differences"]

_GRID = frozenset({"k_grid", "k_grid_density", "kpts", "k_offset"})
_PER_STRUCTURE = frozenset({"spin"})  # follows from the moments of a structure
_DENSITIES = 1.5  # the largest ratio of two densities of k-points that counts as equal


@dataclass(frozen=True)
class Used:
    """A calculation that a label uses.

    Attributes
    ----------
    formula, name, step : str
        The phase, its structure and "relax" or "static".
    document : mapping
        What the step left.
    """

    formula: str
    name: str
    step: str
    document: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.formula} ({self.name}, {self.step})"

    @property
    def is_periodic(self) -> bool:
        return self.formula not in MOLECULES


def differences(used: Iterable[Used]) -> list[str]:
    """What differs between the calculations of a label and matters to their energies, one line each; none where nothing does.

    Parameters
    ----------
    used : iterable of Used
    """
    calculations = list(used)
    lines = []
    for step in dict.fromkeys(each.step for each in calculations):
        told = [each for each in calculations if each.step == step and each.document.get("settings") is not None]
        lines += [*_settings(told), *_versions(told), *_densities(told)]
    return [*lines, *_species(calculations), *_without_spin(calculations)]


def _settings(told: Sequence[Used]) -> list[str]:
    keys = dict.fromkeys(key for each in told for key in each.document["settings"] if key not in _PER_STRUCTURE)
    lines = []
    for key in keys:
        asked = [each for each in told if each.is_periodic or key not in _GRID]
        lines += _odd_ones(key, [(each, each.document["settings"].get(key)) for each in asked])
    return lines


def _versions(told: Sequence[Used]) -> list[str]:
    known = [(each, version) for each in told if (version := each.document.get("aims_version")) is not None]
    return _odd_ones("version of FHI-aims", known)


def _species(calculations: Sequence[Used]) -> list[str]:
    lines = []
    known = [each for each in calculations if each.document.get("species")]
    for step in dict.fromkeys(each.step for each in known):
        some = [each for each in known if each.step == step]
        for element in sorted({element for each in some for element in each.document["species"]}):
            named = [(each, d) for each in some if (d := each.document["species"].get(element)) is not None]
            lines += _odd_ones(f"species defaults of {element}", named)
    return lines


def _odd_ones(what: str, values: Sequence[tuple[Used, Any]]) -> list[str]:
    """Those whose value is not that of most; of equally many the default counts, else the first."""
    counts = Counter(repr(value) for _, value in values)
    if len(counts) < 2:
        return []
    order = {repr(value): number for number, (_, value) in reversed([*enumerate(values)])}
    usual = min(counts, key=lambda text: (-counts[text], text != "None", order[text]))
    shown = {repr(value): "the default" if value is None else str(value) for _, value in values}
    return [
        f"{each}: {what} is {shown[repr(value)]}, of the others {shown[usual]}"
        for each, value in values
        if repr(value) != usual
    ]


def _densities(told: Sequence[Used]) -> list[str]:
    """A fixed grid has another density in each cell: the coarsest beside the finest, where they are far apart."""
    known = [(density, each) for each in told if each.is_periodic and (density := _density(each.document)) is not None]
    if not known:
        return []
    (least, coarse), (most, fine) = min(known, key=lambda pair: pair[0]), max(known, key=lambda pair: pair[0])
    if most <= _DENSITIES * least:
        return []
    return [f"{coarse}: k-points at {least:.2g} per 1/Å, of {fine} at {most:.2g}"]


def _density(document: Mapping[str, Any]) -> float | None:
    """Points per 1/Å along the direction in which a grid that was given is coarsest."""
    grid = document["settings"].get("k_grid")
    lattice = (document.get("structure") or {}).get("lattice")
    if not isinstance(grid, str) or not isinstance(lattice, Mapping):
        return None
    reciprocal = 2 * np.pi * np.linalg.inv(np.array(lattice["matrix"], dtype=float)).T
    return float(np.min(np.array(grid.split(), dtype=float) / np.linalg.norm(reciprocal, axis=1)))


def _without_spin(calculations: Sequence[Used]) -> list[str]:
    lines = []
    for each in calculations:
        settings = each.document.get("settings") or {}
        starts_without = each.document.get("magnetic_start") == "non-magnetic"
        is_unpolarised = settings.get("spin") == "none" or ("spin" not in settings and starts_without)
        takes_none = str(settings.get("calculator", "")).startswith(WITHOUT_MOMENTS)
        if is_unpolarised and not takes_none and each.is_periodic and (ions := _open_shells(each.formula)):
            advice = "; give its structure moments" if starts_without else ""
            lines.append(f"{each}: computed without spin, though {', '.join(ions)} may have moments{advice}")
    return lines


def _open_shells(formula: str) -> list[str]:
    """Ions of an oxide that have moments, as far as its oxidation states are known."""
    try:
        states = oxidation_states(parse_formula(formula))
    except InputError:
        return []
    ions = [(str(s.element), float(s.state)) for s in states if s.element != "O"]
    return [f"{element}({state:+g})" for element, state in ions if starting_moment(element, state, 6)]
