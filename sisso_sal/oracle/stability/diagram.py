"""A picture of where a solid is stable in water: electrode potential against pH.

The free energy of a mixture of competitors is linear in both, so its optimum is piecewise linear: the mixtures that the linear
program finds on a coarse grid are followed exactly on a fine one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sisso_sal.oracle.stability.pourbaix import Conditions, Species, decompose, transformed_energy

__all__ = ["StabilityMap", "pourbaix_figure", "save_pourbaix_figure", "stability_map", "water_lines"]

_COARSE, _FINE = 25, 301
_BEHIND = {"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.75, "linewidth": 0}
_WATER_WINDOW = 1.229  # V, between the evolution of hydrogen and of oxygen


@dataclass(frozen=True, eq=False)
class StabilityMap:
    """Decomposition free energy of a solid over pH and potential.

    Attributes
    ----------
    pH, potential : ndarray (n,)
        The axes; the potential in V against the standard hydrogen electrode.
    energies : ndarray (n_mixtures, n, n)
        In eV/atom, rows by potential: what the decomposition into each of `mixtures` gains.
    mixtures : tuple of tuple of str
        Names of the competitors in each.
    """

    pH: NDArray[np.float64]
    potential: NDArray[np.float64]
    energies: NDArray[np.float64]
    mixtures: tuple[tuple[str, ...], ...]

    @property
    def energy(self) -> NDArray[np.float64]:
        """ndarray (n, n): the decomposition free energy, in eV/atom; negative where the solid is stable."""
        return self.energies.max(axis=0)

    def margin(self, k: int) -> NDArray[np.float64]:
        """ndarray (n, n): by how much mixture k gains more than any other, in eV/atom; positive in its region."""
        if len(self.mixtures) == 1:
            return np.ones_like(self.energies[0])
        return self.energies[k] - np.delete(self.energies, k, axis=0).max(axis=0)


def stability_map(
    target: Species,
    competitors: Iterable[Species],
    conditions: Conditions | None = None,
    *,
    pH: tuple[float, float] = (-2.0, 16.0),
    potential: tuple[float, float] = (-2.0, 3.0),
) -> StabilityMap:
    """Decomposition free energy on a grid.

    Parameters
    ----------
    target, competitors
        As for `sisso_sal.oracle.stability.pourbaix.decompose`.
    conditions : Conditions, optional
        Temperature and concentration; potential and pH are those of the grid.
    pH, potential : tuple of float
        Ends of the axes.
    """
    at, rivals = conditions or Conditions(), list(competitors)
    mixtures: dict[tuple[str, ...], dict[str, float]] = {}
    for u in np.linspace(*potential, _COARSE):
        for acidity in np.linspace(*pH, _COARSE):
            here = replace(at, potential=float(u), pH=float(acidity))
            products = dict(decompose(target, rivals, here).products)
            mixtures.setdefault(tuple(sorted(products)), products)
    phases = {s.name: s for s in rivals} | {f"{m}(s)": Species(f"{m}(s)", {m: 1.0}) for m in target.metals}
    x, y = np.linspace(*pH, _FINE), np.linspace(*potential, _FINE)
    planes = [_plane([(phases[name], n) for name, n in products.items()], at) for products in mixtures.values()]
    own = _plane([(target, 1.0)], at)
    energies = np.array([_on_grid(own - plane, x, y) for plane in planes]) / target.n_atoms
    return StabilityMap(x, y, energies, tuple(mixtures))


def _plane(mixture: list[tuple[Species, float]], at: Conditions) -> NDArray[np.float64]:
    """Free energy at U = 0 and pH = 0, and its derivatives by U and pH."""
    corners = [replace(at, potential=u, pH=p) for u, p in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))]
    zero, by_u, by_p = (sum(n * transformed_energy(s, corner) for s, n in mixture) for corner in corners)
    return np.array([zero, by_u - zero, by_p - zero])


def _on_grid(plane: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return plane[0] + plane[1] * y[:, None] + plane[2] * x[None, :]


def save_pourbaix_figure(
    stability: StabilityMap, name: str, path: str | os.PathLike[str], conditions: Conditions | None = None
) -> None:
    """Draw a stability map: colour is the decomposition free energy, a thick line surrounds the stable region.

    Parameters
    ----------
    stability : StabilityMap
    name : str
        Of the solid.
    path : path
        Of the picture; the ending gives the format.
    conditions : Conditions, optional
        A cross marks this potential and pH.
    """
    pourbaix_figure(stability, name, conditions).savefig(path, dpi=150)


def water_lines(pH: NDArray[np.float64], at: Conditions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Potentials (n,) in V between which water neither gives hydrogen nor oxygen, at each pH (n,)."""
    slope = at.kT * np.log(10)
    return -slope * pH, _WATER_WINDOW - slope * pH


def pourbaix_figure(stability: StabilityMap, name: str, conditions: Conditions | None = None):
    """The matplotlib Figure that `save_pourbaix_figure` writes."""
    from matplotlib.figure import Figure

    at = conditions or Conditions()
    figure = Figure(figsize=(7.5, 5.5), layout="constrained")
    axes = figure.subplots()
    limit = float(np.clip(np.abs(stability.energy).max(), 0.1, 1.0))
    levels = np.linspace(-limit, limit, 21)
    colours = axes.contourf(stability.pH, stability.potential, stability.energy, levels, cmap="RdBu_r", extend="both")
    figure.colorbar(colours, label="decomposition free energy (eV/atom)")
    for k in range(len(stability.mixtures)):
        margin = stability.margin(k)
        if margin.min() < 0 < margin.max():
            axes.contour(stability.pH, stability.potential, margin, [0.0], colors="0.35", linewidths=0.7)
        _write_products(axes, stability, k)
    if stability.energy.min() < 0 < stability.energy.max():
        axes.contour(stability.pH, stability.potential, stability.energy, [0.0], colors="black", linewidths=2.2)
    for line, legend in zip(water_lines(stability.pH, at), ("water is stable between these", "_"), strict=True):
        axes.plot(stability.pH, line, "k--", linewidth=0.8, label=legend)
    cross = f"U = {at.potential:g} V, pH {at.pH:g}"
    axes.plot([at.pH], [at.potential], "kx", markersize=9, markeredgewidth=2, linestyle="none", label=cross)
    axes.set_xlim(stability.pH[0], stability.pH[-1])
    axes.set_ylim(stability.potential[0], stability.potential[-1])
    axes.set_xlabel("pH")
    axes.set_ylabel("potential against SHE (V)")
    stable = "no stable region here" if stability.energy.min() >= 0 else "stable inside the thick line"
    axes.set_title(f"{_typeset(name)}: {stable}, {at.concentration:g} mol/L, {at.temperature:g} K", fontsize=11)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _write_products(axes, stability: StabilityMap, k: int) -> None:
    """The products of a region at its most inner point, where there is room."""
    from scipy.ndimage import distance_transform_edt

    region = np.pad(stability.margin(k) > 0, 1)
    depth = np.asarray(distance_transform_edt(region))
    row, column = (int(k) for k in np.unravel_index(int(np.argmax(depth)), depth.shape))
    if depth[row, column] > 0.03 * _FINE:
        text = "\n".join(map(_typeset, stability.mixtures[k]))
        share = (column - 1) / (len(stability.pH) - 1)
        side = "left" if share < 0.06 else "right" if share > 0.94 else "center"
        axes.text(
            stability.pH[column - 1], stability.potential[row - 1], text, ha=side, va="center", fontsize=8, bbox=_BEHIND
        )


def _typeset(name: str) -> str:
    """A formula with its numbers below and its charge above the line, as matplotlib writes mathematics.

    Examples
    --------
    >>> _typeset("TiO2++"), _typeset("Mn(s)")
    ('TiO$_{2}$$^{2+}$', 'Mn(s)')
    """
    bare = name.rstrip("+-")
    signs = name[len(bare) :]
    charge = f"$^{{{len(signs) if len(signs) > 1 else ''}{signs[0]}}}$" if signs else ""
    return re.sub(r"(\d+)", r"$_{\1}$", bare) + charge
