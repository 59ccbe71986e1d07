"""A potential for tests: the volume is a spring, atoms feel nothing; some elements misbehave, and a call can be told to be slow."""

import math
import os
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.data import atomic_numbers, covalent_radii

BULK = 1.0  # eV/Å³
VALLEY = 1.1
BOND = -3.0  # eV for each oxygen atom beside a metal
WILD = {"Hf": "nan", "Zr": "explodes", "Ta": "raises", "W": "walks", "Re": "dies"}


def rest_volume(symbols, volume):
    """That of the atoms' radii times the power of VALLEY next to the volume (Å³), so that each relaxation is short."""
    of_radii = sum(15 * covalent_radii[atomic_numbers[symbol]] for symbol in symbols)
    return of_radii * VALLEY ** round(math.log(volume / of_radii) / math.log(VALLEY))


class Springs(Calculator):
    """Energy: of the atoms, a bond for each oxygen atom of an oxide, and BULK/2 (V - V0)²/V0, with V0 of `rest_volume`.

    ``SPRINGS_SECONDS`` is how long a call takes, ``SPRINGS_LOG`` a file that gets a line for each structure that begins.
    """

    implemented_properties: ClassVar = ["energy", "forces", "stress"]
    reference_scheme = "mp2020"
    version = "1"

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        time.sleep(float(os.environ.get("SPRINGS_SECONDS", 0)))
        symbols = atoms.get_chemical_symbols()
        wild = {WILD[s] for s in symbols if s in WILD}
        if "dies" in wild:
            os._exit(9)
        if "raises" in wild:
            raise RuntimeError("no such element\nin the training data")
        volume = atoms.get_volume()
        n_oxygen = symbols.count("O") if len(set(symbols)) > 1 else 0
        rest = rest_volume(symbols, volume) * (9 if "explodes" in wild else 1)
        strain = (volume - rest) / rest
        energy = sum(-0.05 * atomic_numbers[s] for s in symbols if s != "O") + n_oxygen * (-4.948 + BOND)
        energy += 0.001 * len(symbols) + 0.5 * BULK * rest * strain**2
        pull = np.full((len(atoms), 3), 1.0 if "walks" in wild else 0.0)
        pull -= pull.mean(axis=0) if "walks" not in wild else 0.0
        self.results = {
            "energy": float("nan") if "nan" in wild else energy,
            "forces": pull,
            "stress": np.array([BULK * strain] * 3 + [0.0] * 3),
        }


class Noted(Springs):
    """Notes every structure that begins."""

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        formula = atoms.get_chemical_formula()
        if formula != getattr(self, "before", None) and (log := os.environ.get("SPRINGS_LOG")):
            with Path(log).open("a") as file:
                file.write(f"{formula}\n")
        self.before = formula
        super().calculate(atoms, properties, system_changes)


class Nameless(Springs):
    """Declares no reference scheme."""

    reference_scheme = ""


class Choosy(Springs):
    """Needs the name of a model."""

    def __init__(self, model):
        super().__init__()
        self.model = model
