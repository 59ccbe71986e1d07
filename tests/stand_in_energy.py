"""The energy of the stand-in for FHI-aims: pairs, exact derivatives, and a relaxation down to its minimum."""

import numpy as np
from ase.data import atomic_numbers, covalent_radii

CUTOFF = 6.0
SMALL = {"H": 0.31, "O": 0.66}


def pair(a, b, r):
    """Energy (eV) of two elements at distances r (n,) in Å, and its derivative: Morse, but oxygen repels oxygen."""
    kinds = {a, b}
    if kinds == {"O"}:
        value = 1000.0 * np.exp(-r / 0.35)
        return smooth(r, value, -value / 0.35, CUTOFF)
    if kinds <= {"O", "H"}:
        depth, best, width, reach = (4.5, 0.74, 4.5, 1.3) if kinds == {"H"} else (5.0, 0.97, 3.5, 2.2)
    elif kinds & {"O", "H"}:
        metal, small = (b, a) if a in SMALL else (a, b)
        depth, best, width, reach = 1.8, 0.93 * (radius(metal) + SMALL[small]) + 0.1, 1.9, CUTOFF
    else:
        depth, best, width, reach = 0.25, 0.96 * (radius(a) + radius(b)), 1.6, CUTOFF
    x = np.exp(-width * (r - best))
    return smooth(r, depth * (x * x - 2 * x), 2 * depth * width * (x - x * x), reach)


def smooth(r, value, slope, reach):
    """Both times a factor that goes to zero at `reach` with two derivatives."""
    cut = np.clip(1 - (r / reach) ** 2, 0, None)
    return value * cut**3, slope * cut**3 - value * 6 * cut**2 * r / reach**2


def radius(symbol):
    return float(covalent_radii[atomic_numbers[symbol]])


def energy_of_atom(symbol):
    return -15.0 * atomic_numbers[symbol] ** 2.3


def energy(symbols, places, lattice):
    """Energy (eV), derivative by positions (n, 3) in eV/Å at fixed lattice, derivative by lattice vectors (3, 3) in eV/Å."""
    total = sum(energy_of_atom(s) for s in symbols)
    forces, by_lattice = np.zeros_like(places), np.zeros((3, 3))
    shifts = np.zeros((1, 3))
    if lattice is not None:
        heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
        n = np.ceil(CUTOFF / heights).astype(int) + 1
        shifts = np.array(np.meshgrid(*(np.arange(-k, k + 1) for k in n), indexing="ij")).reshape(3, -1).T.astype(float)
    cell = np.zeros((3, 3)) if lattice is None else lattice
    for i, first in enumerate(symbols):
        for j, second in enumerate(symbols):
            vectors = places[j] + shifts @ cell - places[i]
            r = np.linalg.norm(vectors, axis=1)
            near = (r < CUTOFF) & (r > 1e-6)
            r, vectors = r[near], vectors[near]
            value, slope = pair(first, second, r)
            total += 0.5 * float(value.sum())
            along = (slope / r)[:, None] * vectors
            forces[i] += along.sum(axis=0)  # from both orders of the pair, half of each
            by_lattice += 0.5 * (along.T @ vectors)
    if lattice is None:
        return total, -forces, by_lattice
    return total, -forces, np.linalg.inv(lattice).T @ by_lattice.T


def relax(symbols, places, lattice, moves_cell, tolerance, most):
    """Some geometries on the way down, each (places, lattice, energy, its two derivatives), and whether the end is reached."""
    size = places.size
    inverse = None if lattice is None else np.linalg.inv(lattice)
    length = 1.0 if lattice is None else float(np.cbrt(abs(np.linalg.det(lattice))))

    def unpack(x):
        cell = x[size:].reshape(3, 3) if moves_cell else lattice
        if lattice is None:
            return x.reshape(-1, 3), None
        return x[:size].reshape(-1, 3) / length @ cell, cell

    def objective(x):
        here, cell = unpack(x)
        value, gradient, by_cell = energy(symbols, here, cell)
        if lattice is None:
            return value, gradient.ravel()
        parts = [(gradient @ cell.T / length).ravel()] + ([by_cell.ravel()] if moves_cell else [])
        return value, np.concatenate(parts)

    start = places.ravel() if lattice is None else (places @ inverse * length).ravel()
    points = descend(objective, np.concatenate([start, lattice.ravel()]) if moves_cell else start, most, tolerance / 20)
    shown = [*points[: -1 : 1 + len(points) // 6], points[-1]]
    path = [(*unpack(x), *energy(symbols, *unpack(x))) for x in shown]
    _, _, _, gradient, by_cell = path[-1]
    largest = max(np.abs(gradient).max(), np.abs(by_cell).max() if moves_cell else 0.0)
    return path, largest < tolerance


def descend(objective, x, most, tolerance):
    """Points on the way down by BFGS, at most so many steps, until every derivative is below the tolerance.

    SciPy has this too, but takes longer to import than a run of the stand-in lasts.
    """
    points, (value, slope), inverse = [x], objective(x), 0.05 * np.eye(len(x))
    while len(points) <= most and np.abs(slope).max() > tolerance:
        step = -inverse @ slope
        step *= min(1.0, 0.3 / np.abs(step).max())
        for _ in range(30):
            new_value, new_slope = objective(points[-1] + step)
            if new_value <= value + 1e-4 * slope @ step:
                break
            step = step / 2
        else:
            break
        change = new_slope - slope
        if (along := step @ change) > 1e-12:
            left = np.eye(len(x)) - np.outer(step, change) / along
            inverse = left @ inverse @ left.T + np.outer(step, step) / along
        points.append(points[-1] + step)
        value, slope = new_value, new_slope
    return points


def gap_of(symbols, xc):
    """Zero without oxygen; otherwise a number from the elements, larger with exact exchange."""
    metals = [atomic_numbers[s] for s in symbols if s not in SMALL]
    if "O" not in symbols:
        return 0.0
    plain = 5.0 if not metals else 0.8 + 4.2 / (1 + np.mean(metals) / 20)
    return float(plain * (1.45 if xc in ("hse06", "pbe0") else 1.0))
