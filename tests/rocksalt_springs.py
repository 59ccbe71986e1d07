"""A potential for tests whose phonons have formulas: rocksalt with springs between neighbours and between second neighbours."""

import itertools
import math
import os
import time

import numpy as np
from ase.calculators.calculator import all_changes
from ase.data import atomic_masses, atomic_numbers
from ase.neighborlist import neighbor_list
from springs import Noted

NEAREST = 6.0  # eV/Å², between a metal and oxygen
SECOND = {"O": 0.5, "Mg": 1.0, "Ca": 1.0}  # between atoms of one element
SOFT = {"Ca": -2.5}  # between oxygen atoms beside this metal
TO_THZ = 15.633302  # square root of eV/Å²/u


def second_neighbours(metal):
    """(spring between metal atoms, spring between oxygen atoms) in eV/Å²."""
    return SECOND[metal], SOFT.get(metal, SECOND["O"])


class RockSalt(Noted):
    """`Springs`, with rocksalt below the other structures; its bonds are at rest at every volume if atoms are at their places.

    A supercell with Sr is refused. ``SPRINGS_PHONON_SECONDS`` is how long a call with displaced atoms takes.
    """

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        symbols = np.array(atoms.get_chemical_symbols())
        metal = next((s for s in symbols if s != "O"), "O")
        if len(symbols) > 16:
            time.sleep(float(os.environ.get("SPRINGS_PHONON_SECONDS", 0)))
            if metal == "Sr":
                raise RuntimeError("too many atoms")
        edge = (8 * atoms.get_volume() / len(atoms)) ** (1 / 3)
        i, j, distance, vector = neighbor_list("ijdD", atoms, 0.8 * edge)
        is_near = distance < 0.6 * edge
        alike = symbols[i] == symbols[j]
        is_rocksalt = (np.bincount(i[is_near], minlength=len(atoms)) == 6).all() and (alike == ~is_near).all()
        if metal not in SECOND or not is_rocksalt:
            self.results["energy"] += len(atoms) * (metal != "Sr" or not is_rocksalt)
            return
        of_metal, of_oxygen = second_neighbours(metal)
        spring = np.where(is_near, NEAREST, np.where(symbols[i] == "O", of_oxygen, of_metal))
        stretch = distance - np.where(is_near, edge / 2, edge / math.sqrt(2))
        self.results["energy"] += float(0.25 * (spring * stretch**2).sum())
        pull = (spring * stretch / distance)[:, None] * vector
        self.results["forces"] = np.stack([np.bincount(i, pull[:, k], len(atoms)) for k in range(3)], axis=1)


def masses(metal):
    return atomic_masses[atomic_numbers[metal]], atomic_masses[atomic_numbers["O"]]


def frequency(square):
    """In THz, from eV/Å²/u; negative where it is imaginary."""
    return math.copysign(math.sqrt(abs(square)), square) * TO_THZ


def lowest(metal):
    """The lowest frequencies at Gamma, L and X in THz, by hand."""
    m, n = masses(metal)
    near, springs = NEAREST, second_neighbours(metal)

    def softer(a, b, between):
        mean, apart = (a / m + b / n) / 2, (a / m - b / n) / 2
        return mean - math.sqrt(apart**2 + between**2 / (m * n))

    at_l = min((2 * near + 2 * k * factor) / mass for k, mass in zip(springs, (m, n), strict=True) for factor in (1, 4))
    at_x = min(softer(*(2 * near + factor * k for k in springs), 2 * near) for factor in (4, 8))
    return {"Gamma": frequency(2 * near * (1 / m + 1 / n)), "L": frequency(at_l), "X": frequency(at_x)}


def frequencies(metal, q):
    """All six of one wave, ndarray (6,), from the dynamical matrix written out; `q` in 2π over the edge of the cube."""
    matrix = np.zeros((6, 6), dtype=complex)
    m = np.sqrt(masses(metal))
    for axis, sign in itertools.product(np.eye(3), (1, -1)):
        matrix[:3, :3] += NEAREST * np.outer(axis, axis) / m[0] ** 2
        matrix[3:, 3:] += NEAREST * np.outer(axis, axis) / m[1] ** 2
        between = -NEAREST * np.outer(axis, axis) * np.exp(1j * np.pi * sign * (q @ axis)) / (m[0] * m[1])
        matrix[:3, 3:] += between
        matrix[3:, :3] += between.conj()
    second = [np.array(v) for v in itertools.product((-1, 0, 1), repeat=3) if np.count_nonzero(v) == 2]
    for k, spring in enumerate(second_neighbours(metal)):
        for v in second:
            term = spring * np.outer(v, v) / 2 * (1 - np.cos(np.pi * (q @ v))) / m[k] ** 2
            matrix[3 * k : 3 * k + 3, 3 * k : 3 * k + 3] += term
    matrix = (matrix + matrix.conj().T) / 2
    return np.array([frequency(x) for x in np.linalg.eigvalsh(matrix)])
