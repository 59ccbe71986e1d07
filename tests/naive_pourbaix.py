"""The slow twin of the decomposition program, and random systems to try both on."""

import itertools
import math

import numpy as np

from sisso_sal.oracle.stability.pourbaix import Species, transformed_energy

KJ_PER_MOL = 1 / 96.48533212
KCAL_PER_MOL = 4.184 * KJ_PER_MOL


def solid(name, composition, kilojoules):
    return Species(name, composition, mu=kilojoules * KJ_PER_MOL)


def ion(name, composition, charge, kilocalories):
    return Species(name, composition, charge, kilocalories * KCAL_PER_MOL, "aqueous")


def random_system(rng, n_metals):
    """A solid of some metals with dissolved and solid competitors, at least one ion for each metal."""
    metals = ["Ti", "Sr", "Zn"][:n_metals]

    def composition(symbols):
        return {**{m: float(rng.integers(1, 4)) for m in symbols}, "O": float(rng.integers(1, 6))}

    competitors = [ion(f"{m} ion", {m: 1.0}, int(rng.integers(1, 5)), rng.uniform(-200, 50)) for m in metals]
    for k in range(8):
        members = [m for m in metals if rng.random() < 0.7] or metals[:1]
        if rng.random() < 0.5:
            competitors.append(solid(f"solid {k}", composition(members), rng.uniform(-1500, 0)))
        else:
            charge = int(rng.integers(-3, 4))
            competitors.append(ion(f"ion {k}", {**composition(members), "H": 1.0}, charge, rng.uniform(-300, 0)))
    return solid("target", composition(metals), rng.uniform(-2500, 0)), competitors


def by_enumeration(target, competitors, conditions):
    """Least energy over every vertex of the mixtures: each set of as many species as metals that is balanced."""
    metals = sorted(target.metals)
    phases = [Species(m, {m: 1.0}) for m in metals]
    phases += [s for s in competitors if s.state == "aqueous" or not s.same_composition(target)]
    needed = np.array([target.composition[m] for m in metals])
    best = math.inf
    for group in itertools.combinations(phases, len(metals)):
        matrix = np.array([[s.composition.get(m, 0.0) for s in group] for m in metals])
        if abs(np.linalg.det(matrix)) > 1e-9:
            amounts = np.linalg.solve(matrix, needed)
            if amounts.min() >= -1e-9:
                best = min(best, amounts @ [transformed_energy(s, conditions) for s in group])
    return (transformed_energy(target, conditions) - best) / target.n_atoms
