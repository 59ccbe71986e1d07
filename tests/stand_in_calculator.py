"""Calculators of ASE that stand in for universal potentials: EMT with the habits of such potentials."""

import os
import signal
from pathlib import Path

import numpy as np
from ase.calculators.calculator import Calculator, PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.stress import full_3x3_to_voigt_6_stress
from stand_in_energy import energy


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


class Exchanging(Calculator):
    """Without forces: 0.05 eV an atom lower with moments than without, and 0.1 eV lower where they are opposite."""

    implemented_properties = ("energy", "forces", "stress", "magmoms")

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, list(properties), list(system_changes))
        moments = atoms.get_initial_magnetic_moments()
        signs = {float(np.sign(moment)) for moment in moments if moment}
        per_atom = {0: 0.0, 1: -0.05, 2: -0.1}[len(signs)]
        self.results = {
            "energy": len(atoms) * (per_atom - 5.0),
            "forces": np.zeros((len(atoms), 3)),
            "stress": np.zeros(6),
        }
        self.results["magmoms"] = 0.8 * moments


class Bent(Calculator):
    """Each atom in a steep valley 0.02 Å beside its first place: symmetric within a tolerance, but not by its energy."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        if not hasattr(self, "places"):
            self.places = atoms.get_scaled_positions(wrap=False)
            self.shifts = 0.02 * np.cos(np.arange(3 * len(atoms))).reshape(-1, 3)
        super().calculate(atoms, list(properties), list(system_changes))
        away = atoms.positions - self.places @ atoms.cell.array - self.shifts
        self.results = {"energy": 50.0 * float((away**2).sum()), "forces": -100.0 * away, "stress": np.zeros(6)}


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


class Pairs(Calculator):
    """The energy of the stand-in for FHI-aims, as a potential that runs before it; with faults for cells of so many atoms.

    Parameters
    ----------
    log : path, optional
        A line with the number of atoms for each calculator that begins to compute.
    fails, kills : tuple of int
        Numbers of atoms for which it raises, and for which it takes its worker with it.
    times : int
        How often it kills.
    """

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, log=None, fails=(), kills=(), times=10**9):
        super().__init__()
        self.log, self.fails, self.kills, self.times = log, fails, kills, times
        self.has_begun = False

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        n_atoms = len(atoms)
        if self.log and not self.has_begun:
            self.has_begun = True
            with Path(self.log).open("a") as file:
                file.write(f"{n_atoms}\n")
        if n_atoms in self.kills and Path(self.log).read_text().split().count(str(n_atoms)) <= self.times:
            os.kill(os.getpid(), signal.SIGKILL)
        if n_atoms in self.fails:
            raise RuntimeError(f"no graph for {n_atoms} atoms")
        super().calculate(atoms, list(properties), list(system_changes))
        cell = atoms.cell.array
        total, slopes, by_lattice = energy(atoms.get_chemical_symbols(), atoms.positions, cell)
        strain = cell.T @ by_lattice / atoms.get_volume()
        self.results = {
            "energy": total,
            "forces": -slopes,
            "stress": full_3x3_to_voigt_6_stress((strain + strain.T) / 2),
        }
