"""A trial of a calculator before a campaign relies on it: two atoms are computed, not only imported."""

from __future__ import annotations

import tempfile

from sisso_sal.errors import InputError
from sisso_sal.oracle.engines.ase_calculator import CalculatorSettings, calculate
from sisso_sal.oxides.prototypes import prototype_structure
from sisso_sal.system.slurm import cores_per_task

__all__ = ["try_calculator"]

_OXIDE = "MgO, two atoms"


def try_calculator(settings: CalculatorSettings) -> str:
    """Compute the energy, forces and stress of MgO in its cell of two atoms.

    Parameters
    ----------
    settings : CalculatorSettings

    Returns
    -------
    str
        What came out.

    Raises
    ------
    InputError
        The calculator is missing, fails, or has no stress where cells are to be relaxed; the message is one line.

    Examples
    --------
    >>> from sisso_sal.oracle.engines.ase_calculator import calculator_preset
    >>> try_calculator(calculator_preset("ase.calculators.lj:LennardJones", parameters={"sigma": 1.9}))[:16]
    'MgO, two atoms: '
    """
    oxide = prototype_structure("rocksalt", {"A": ("Mg", 2.0)})
    with tempfile.TemporaryDirectory() as folder:
        document = calculate(folder, oxide, settings, label="static")
    place = f"calculator '{settings.calculator}': {_OXIDE}"
    if document["state"] != "successful":
        raise InputError(f"{place}: {document['verdict']}: {document['reason']}")
    if settings.relax == "full" and document["stress"] is None:
        raise InputError(
            f"{place}: has no stress to relax a cell by; set relax to volume or atoms in [calculation.changes]"
        )
    return f"{_OXIDE}: {document['energy']:.3f} eV in {3600 * document['core_hours'] / cores_per_task():.1f} s"
