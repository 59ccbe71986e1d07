"""Calculators of ASE that stand in for universal potentials: EMT with the habits of such potentials."""

import numpy as np
from ase.calculators.calculator import Calculator, PropertyNotImplementedError
from ase.calculators.emt import EMT


class Awkward(EMT):
    """EMT whose results have single precision, and objects of its own among them; it needs a cell.

    Its forces have noise that breaks symmetry, as those of a neural network do. ``moments`` may be "nan" or "short".
    """

    def __init__(self, moments=""):
        super().__init__()
        self.moments = moments

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        if abs(np.linalg.det(atoms.cell.array)) < 1e-9:
            raise np.linalg.LinAlgError("Singular matrix")
        super().calculate(atoms, list(properties), list(system_changes))
        single = {name: np.float32(value) for name, value in self.results.items()}
        single["forces"] = single["forces"] + np.float32(1e-5) * np.sin(np.arange(3 * len(atoms))).reshape(-1, 3)
        n_moments = 1 if self.moments == "short" else len(atoms)
        single["magmoms"] = np.full(n_moments, np.nan if self.moments == "nan" else 0.5, dtype=np.float32)
        self.results = single | {
            "charges": [object()] * 2,
            "crystal_fea": object(),
            "energy": single["energy"].reshape(1),
        }


class Broken(Calculator):
    """A calculator for every element that fails where it is asked to: "setup", "forces" or "stress"."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, fault):
        if fault == "setup":
            raise KeyError
        super().__init__()
        self.fault = fault

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        if self.fault in properties:
            raise PropertyNotImplementedError if self.fault == "stress" else RuntimeError("out of memory\nin kernel 7")
        super().calculate(atoms, list(properties), list(system_changes))
        self.results = {"energy": -1.0, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}
        self.results.pop(self.fault)
