"""Whether the energies of a calculator can be made into a label: which oxygen they are compared with, and what measurements say.

A label that is known to be wrong is refused with the reason, never given.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from sisso_sal.errors import SettingsError
from sisso_sal.oracle.engines.potentials import CRYSTALS, declared_oxygen
from sisso_sal.oracle.engines.vibrations import TEMPERATURE
from sisso_sal.oracle.stability.expressions import expression_names
from sisso_sal.oracle.stability.labels import LABELS, OxygenReference, References, label
from sisso_sal.oracle.stability.measured import OXYGEN_ENTROPY, read_enthalpies
from sisso_sal.oracle.stability.polymorphs import Phase
from sisso_sal.oracle.workflow.engine_settings import EngineSettings
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.structures import formula_key
from sisso_sal.settings.calculation import LabelSettings

__all__ = ["check_vibrations", "far_from_measured", "measured_enthalpies", "oxygen_energy"]


_OF_POTENTIALS = ("forcefield", ".mlp", "m3gnet")
"""In names of Makers that use a universal potential: modules of atomate2 and quacc, beside the names of the potentials."""

_NO_OXYGEN = (
    "a potential of crystals describes H2O and H2 badly, and no energy of oxygen in its scheme is known; "
    "set label.oxygen_energy (eV for each atom of O2)"
)


def oxygen_energy(engine: EngineSettings, settings: LabelSettings) -> float | None:
    """Energy of an oxygen atom in O2 that labels are made with, in eV; None where it comes from H2O and H2.

    Parameters
    ----------
    engine : EngineSettings
    settings : LabelSettings

    Raises
    ------
    SettingsError
        The calculator or Maker is of a potential that was trained on crystals, and nothing is known of the scheme of its energies.
        Water and hydrogen, which it describes badly, would make labels that are wrong by tenths of an eV/atom.
    """
    names = expression_names(settings.quantity, LABELS)
    if settings.oxygen_energy is not None or engine.engine == "aims" or names <= {"band_gap"}:
        return settings.oxygen_energy
    if engine.engine == "jobflow":
        if any(word in engine.maker.lower() for word in (*_OF_POTENTIALS, *CRYSTALS)):
            raise SettingsError(f"Maker '{engine.maker}': {_NO_OXYGEN}")
        return None
    static = engine.calculator_of("static")
    declared = declared_oxygen(static.calculator, static.parameters)
    if declared is not None:
        return declared
    module, _, maker = static.calculator.partition(":")
    if {module.partition(".")[0], maker} & CRYSTALS:
        raise SettingsError(f"calculator '{engine.calculator}': {_NO_OXYGEN}, or use sisso-sal estimate")
    return None


def check_vibrations(settings: LabelSettings) -> None:
    """Refuse vibrations, or a temperature, that the quantity cannot have.

    Raises
    ------
    SettingsError
        The expression is none, or has no energy; or water and ions, which are known at 298.15 K, would meet vibrations of another
        temperature; or the temperature is that of nothing.
    """
    names = expression_names(settings.quantity, LABELS)
    is_other = settings.temperature != TEMPERATURE
    if settings.vibrations is None and is_other:
        raise SettingsError("label.temperature: is that of the vibrations; give label.vibrations, or leave it out")
    if settings.vibrations is not None and names <= {"band_gap"}:
        raise SettingsError(f"label.vibrations: needs a quantity with an energy, found '{settings.quantity}'")
    if is_other and "dG_pbx" in names:
        raise SettingsError(
            f"label.temperature: needs {TEMPERATURE} K for dG_pbx, at which water and ions are known, "
            f"found {settings.temperature:g}"
        )


def measured_enthalpies(path: str | os.PathLike[str] | None) -> dict[str, float]:
    """Measured enthalpies of formation by the key of their formula, in eV/atom; none without a file.

    Raises
    ------
    TableError, InputError
        See `read_enthalpies`.
    """
    if path is None:
        return {}
    return {formula_key(formula): value for formula, value in read_enthalpies(path).items()}


def far_from_measured(
    formulas: Iterable[str],
    phases: Sequence[Phase],
    references: References | OxygenReference,
    measured: Mapping[str, float],
    tolerance: float,
) -> list[str]:
    """Oxides whose computed enthalpy of formation is further from the measured one than is tolerated, one line each.

    Parameters
    ----------
    formulas : iterable of str
        The oxides that a label rests on.
    phases : sequence of Phase
    references : References or OxygenReference
    measured : mapping of str to float
        By `formula_key`, in eV/atom.
    tolerance : float
        In eV/atom.
    """
    lines = []
    for formula in formulas:
        known = measured.get(formula_key(formula))
        made = (
            None
            if known is None
            else label(formula, phases, references, quantity="formation_energy").parts.get("formation_energy")
        )
        if known is None or made is None:
            continue
        amounts = parse_formula(formula)
        enthalpy = made - OXYGEN_ENTROPY * amounts["O"] / sum(amounts.values())
        if abs(enthalpy - known) > tolerance:
            lines.append(
                f"{formula} forms with {enthalpy:.3f} eV/atom, measured {known:.3f}; more than {tolerance:g} apart"
            )
    return lines
