"""Writes sisso_sal/oxides/elements.csv: elemental values with units, blank where a source has none.

Run from the repository root, in the development environment:  python data/build_elements.py
Sources and units of every column stand in data/README.md.
"""

import csv
import warnings
from collections.abc import Iterable
from pathlib import Path

from ase.data import atomic_numbers, covalent_radii
from mendeleev.fetch import fetch_table
from pymatgen.analysis.bond_valence import PRIOR_PROB
from pymatgen.core import Element, Species
from scipy.constants import N_A, e, physical_constants

OUTPUT = Path(__file__).resolve().parents[1] / "sisso_sal" / "oxides" / "elements.csv"
LAST_ATOMIC_NUMBER = 94
CAPACITY = {"s": 2, "p": 6, "d": 10, "f": 14}
NOBLE_GASES = (2, 10, 18, 36, 54, 86)
HARTREE_IN_EV = physical_constants["Hartree energy in eV"][0]
BOHR_IN_AA = physical_constants["Bohr radius"][0] * 1e10


def valence_shell(element: Element) -> dict[str, int]:
    """Subshell -> electrons outside the noble-gas core of the free atom's ground state, e.g. {"4s": 2, "3d": 2}."""
    core = max((z for z in NOBLE_GASES if z < element.Z), default=0)
    core_shells = {shell[:2] for shell in Element.from_Z(core).full_electronic_structure} if core else set()
    shells = [shell for shell in element.full_electronic_structure if shell[:2] not in core_shells]
    return {f"{n}{letter}": electrons for n, letter, electrons in shells}


def n_unfilled(element: Element) -> int:
    """Empty places in the occupied valence subshells."""
    return sum(CAPACITY[shell[-1]] - k for shell, k in valence_shell(element).items())


def positive(states: Iterable[int] | None) -> list[int]:
    """The positive oxidation states, ascending."""
    return sorted({s for s in states or () if s > 0})


def counted(element: Element, states: Iterable[int]) -> str:
    """Oxidation states with how often each was found in crystal structures: ``"2:577 3:256"``."""
    return " ".join(f"{s}:{PRIOR_PROB.get(Species(element.symbol, s), 0)}" for s in states)


def orbital_levels(element: Element) -> tuple[float | None, float | None]:
    """Highest occupied level and outermost s level of the free atom (local-density approximation), in eV."""
    if not element.atomic_orbitals:
        return None, None
    levels = {name: level * HARTREE_IN_EV for name, level in element.atomic_orbitals.items()}
    outermost_s = max((name for name in levels if name.endswith("s")), key=lambda name: int(name[:-1]))
    return max(levels.values()), levels[outermost_s]


def row(element: Element, table) -> dict[str, object]:
    """One line of the CSV; ``None`` stands for a value that the source does not have."""
    mendeleev = table.loc[element.symbol]
    highest, outermost_s = orbital_levels(element)
    atomization = mendeleev["heat_of_formation"]
    common = positive(element.common_oxidation_states)
    return {
        "element": element.symbol,
        "AN": element.Z,
        "IP (eV)": element.ionization_energy,
        "EA (eV)": element.electron_affinity,
        "EN (Pauling)": element.X,
        "r_cov (AA)": covalent_radii[atomic_numbers[element.symbol]],
        "r_vdw (AA)": mendeleev["vdw_radius_alvarez"] / 100,
        "r_cat (AA)": element.average_cationic_radius or None,
        "alpha (AA**3)": mendeleev["dipole_polarizability"] * BOHR_IN_AA**3,
        "e_H (eV)": highest,
        "e_s (eV)": outermost_s,
        "N_val": sum(valence_shell(element).values()),
        "N_unf": n_unfilled(element),
        "CE (eV)": -atomization * 1000 / (N_A * e),
        "OS_common": " ".join(map(str, common)),
        "OS_known": counted(element, positive([*common, *(element.oxidation_states or ())])),
    }


def text(value: object) -> str:
    """Eight significant digits; blank for a missing value."""
    if value is None or value != value:
        return ""
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def main() -> None:
    with warnings.catch_warnings():
        # pymatgen announces each value it lacks; here a missing value is a blank cell.
        warnings.simplefilter("ignore", UserWarning)
        table = fetch_table("elements").set_index("symbol")
        rows = [row(Element.from_Z(z), table) for z in range(1, LAST_ATOMIC_NUMBER + 1)]
    with OUTPUT.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: text(value) for name, value in line.items()} for line in rows)
    blanks = {name: sum(text(line[name]) == "" for line in rows) for name in rows[0]}
    print(
        f"{len(rows)} elements; blank cells: " + ", ".join(f"{name} {count}" for name, count in blanks.items() if count)
    )


if __name__ == "__main__":
    main()
