"""Universal potentials whose weights come with their packages, as calculators of ASE, for every room that needs one.

PyTorch uses one thread: sums in single precision depend on the number of threads. What a potential prints does not reach standard
output, which belongs to results.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from sisso_sal.oracle.stability.measured import MP2020_OXYGEN, R2SCAN_OXYGEN

__all__ = ["CRYSTALS", "WITHOUT_MOMENTS", "chgnet", "declared_oxygen", "sevenn"]

CRYSTALS = frozenset({"chgnet", "sevenn", "mace", "matgl", "mattersim", "nequip", "orb_models", "fairchem"})
"""Packages of potentials that were trained on crystals, and know next to nothing of molecules."""

WITHOUT_MOMENTS = f"{__name__}:"
"""How the names of calculators begin that take no moments: all of this module."""

_OXYGEN = {"0.3.0": MP2020_OXYGEN, "0.2.0": MP2020_OXYGEN, "r2scan": R2SCAN_OXYGEN}
"""Energy of an oxygen atom in O2 by model of CHGNet, in eV."""


def declared_oxygen(calculator: str, parameters: Mapping[str, Any]) -> float | None:
    """Energy of an oxygen atom in O2 in the scheme that the energies of a calculator follow, in eV; None where that is not known.

    SevenNet declares none: its energies are those of PBE and PBE+U without the corrections between the two, so one energy of oxygen
    cannot do: NiO would get a ΔG_pbx of 2.08 instead of 0.55 eV/atom.

    Examples
    --------
    >>> declared_oxygen("sisso_sal.oracle.engines.potentials:chgnet", {})
    -4.948
    """
    if calculator != f"{__name__}:chgnet":
        return None
    return _OXYGEN.get(parameters.get("model", "0.3.0"))


def chgnet(model: str = "0.3.0", device: str = "cpu", **parameters: Any) -> Any:
    """CHGNet (B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023), doi 10.1038/s42256-023-00716-3).

    Parameters
    ----------
    model : {"0.3.0", "0.2.0", "r2scan"}
        "0.3.0" follows the corrected energies of the Materials Project, "r2scan" its r2SCAN calculations.
    device : str
        As PyTorch names it.
    **parameters
        Of `chgnet.model.dynamics.CHGNetCalculator`.

    Raises
    ------
    ImportError
        The package is not installed.
    ValueError
        There is no such model.
    """
    calculator = import_module("chgnet.model.dynamics").CHGNetCalculator
    import_module("torch").set_num_threads(1)
    network = import_module("chgnet.model.model").CHGNet
    with contextlib.redirect_stdout(io.StringIO()):
        weights = network.load(model_name=model, use_device=device, verbose=False)
        return calculator(weights, use_device=device, **parameters)


def sevenn(model: str = "7net-0", device: str = "cpu", **parameters: Any) -> Any:
    """SevenNet (Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024), doi 10.1021/acs.jctc.4c00190).

    Parameters
    ----------
    model : str
        Name of weights within the package, such as "7net-0" or "7net-l3i5", or a file of weights.
    device : str
        As PyTorch names it.
    **parameters
        Of `sevenn.calculator.SevenNetCalculator`.

    Raises
    ------
    ImportError
        The package is not installed.
    ValueError
        There is no such model.
    """
    calculator = import_module("sevenn.calculator").SevenNetCalculator
    import_module("torch").set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        return calculator(model, device=device, **parameters)
