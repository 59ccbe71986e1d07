"""Universal potentials whose weights come with their packages, as calculators of ASE."""

from __future__ import annotations

import contextlib
import io
from importlib import import_module
from typing import Any

__all__ = ["chgnet", "sevenn"]


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
    network = import_module("chgnet.model.model").CHGNet
    with contextlib.redirect_stdout(io.StringIO()):  # it greets on standard output, which belongs to results
        weights = network.load(model_name=model, use_device=device, verbose=False)
        return calculator(weights, use_device=device, **parameters)


def sevenn(model: str = "7net-0", device: str = "cpu", **parameters: Any) -> Any:
    """SevenNet (Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024), doi 10.1021/acs.jctc.4c00190).

    Parameters
    ----------
    model : str
        Name of weights within the package, such as "7net-0" or "7net-l3i5".
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
    with contextlib.redirect_stdout(io.StringIO()):
        return calculator(model, device=device, **parameters)
