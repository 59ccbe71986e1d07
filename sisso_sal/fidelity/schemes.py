"""Reference schemes: what the energies of a potential have to be compared with.

The enthalpy of formation of an oxide follows from energies of one scheme alone:

    H = E(oxide) - sum over the metals of E(element) - n_O E_O + sum over elements of n s,    G = H + n_O S

with E_O the energy of an oxygen atom in O2, s a shift for each atom of an element in an oxide, and S the entropy of O2 that is
lost. Energies of PBE with and without +U, mixed without shifts, give labels that are wrong by eV: 2.08 for 0.55 eV/atom of NiO.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sisso_sal.errors import SettingsError
from sisso_sal.fidelity.potentials import Potential
from sisso_sal.oracle.stability.measured import MP2020_OXYGEN, OXYGEN_ENTROPY, R2SCAN_OXYGEN

__all__ = ["SCHEMES", "Scheme", "scheme_of"]


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """What energies of one kind are compared with.

    Parameters
    ----------
    name : str
    oxygen : float
        Energy of an oxygen atom in O2, in eV.
    shifts : mapping of str to float
        Added for each atom of an element in an oxide, in eV.
    entropy : float
        In eV for each oxygen atom of an oxide.
    words : str
        What the energies are.
    source : str
    """

    name: str
    oxygen: float
    shifts: Mapping[str, float] = field(default_factory=dict)
    entropy: float = OXYGEN_ENTROPY
    words: str
    source: str

    def correction(self, amounts: Mapping[str, float]) -> float:
        """The sum of the shifts of an oxide, in eV per formula unit; nothing for an element.

        Parameters
        ----------
        amounts : mapping of str to float
            Atoms in the formula unit.
        """
        return sum(n * self.shifts.get(e, 0.0) for e, n in sorted(amounts.items())) if len(amounts) > 1 else 0.0


_MP2020 = "A. Wang et al., Sci. Rep. 11, 15496 (2021), doi 10.1038/s41598-021-94550-5"

_MIXING = {
    "V": -1.700,
    "Cr": -1.999,
    "Mn": -1.668,
    "Fe": -2.256,
    "Co": -1.638,
    "Ni": -2.541,
    "Mo": -3.202,
    "W": -4.438,
}
"""For each atom of a metal with +U in an oxide, in eV."""

SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        scheme.name: scheme
        for scheme in (
            Scheme(
                name="mp2020",
                oxygen=MP2020_OXYGEN,
                words="PBE and PBE+U of the Materials Project with its corrections of 2020, which were fitted to measured oxides",
                source=_MP2020,
            ),
            Scheme(
                name="mp-uncorrected",
                oxygen=MP2020_OXYGEN,
                shifts={"O": -0.687, **_MIXING},
                words="PBE and PBE+U of the Materials Project without corrections; those of 2020 for oxides are added here",
                source=_MP2020,
            ),
            Scheme(
                name="chgnet-r2scan",
                oxygen=R2SCAN_OXYGEN,
                words="r2SCAN, as CHGNet r2scan has learned it; O2 is a molecule in a box of 12 Å, computed with this model",
                source="R. Kingsbury et al., Phys. Rev. Mater. 6, 013801 (2022), doi 10.1103/PhysRevMaterials.6.013801",
            ),
        )
    }
)
"""Known schemes."""


def scheme_of(potential: Potential, name: str | None = None) -> Scheme:
    """The scheme that is asked for, or that a potential declares.

    Raises
    ------
    SettingsError
        The potential declares none and none is given, or there is no such scheme.

    Examples
    --------
    >>> scheme_of(Potential(name="chgnet", scheme="mp2020")).oxygen
    -4.948
    """
    wanted = name or potential.scheme
    if not wanted:
        raise SettingsError(
            f"potential '{potential.name}': its reference scheme is not known; give --scheme {'|'.join(SCHEMES)}, or measured "
            "enthalpies of oxides with --fit-reference FILE"
        )
    if wanted not in SCHEMES:
        raise SettingsError(f"scheme: needs one of {', '.join(SCHEMES)}, found '{wanted}'")
    return SCHEMES[wanted]
