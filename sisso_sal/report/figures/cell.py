"""A picture of a unit cell as SVG text: balls in a box, seen in parallel projection. It needs no network and no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sisso_sal.report.figures.colours import COLOURS

if TYPE_CHECKING:
    from pymatgen.core import Structure

OXYGEN = "#d7301f"
OTHERS = (COLOURS[0], COLOURS[2], *COLOURS[3:])
"""Colours of the other elements, in the order of the alphabet."""

SIZE = 190
"""Width and height of the drawing in pixels, without its legend."""

EDGE = 0.02
"""Atoms nearer to a face of the cell than this, in fractions, are drawn on the opposite face as well."""

TURN, TILT = np.radians(-24.0), np.radians(14.0)
"""How the cell is turned about its vertical axis, and tilted towards the reader."""


class Ball(NamedTuple):
    """One atom as it is drawn.

    - symbol: str, the element.
    - place: ndarray (3,), to the right, upwards and towards the reader, in Å.
    - radius: float, in Å.
    """

    symbol: str
    place: np.ndarray
    radius: float


def cell_svg(structure: Structure, title: str) -> str:
    """A picture of the cell of a structure.

    Parameters
    ----------
    structure : Structure
        Of pymatgen, periodic.
    title : str
        What it shows, for those who cannot see it.

    Examples
    --------
    >>> from sisso_sal.oxides.prototypes import prototype_structures
    >>> name, structure = next(prototype_structures("TiO2", ["rutile"]))
    >>> svg = cell_svg(structure, "TiO2, rutile")
    >>> svg.startswith("<svg "), svg.count("<circle")
    (True, 17)
    """
    view = _view()
    balls = [Ball(ball.symbol, view @ ball.place, ball.radius) for ball in _balls(structure)]
    corners = {n: view @ (np.array(n, dtype=float) @ structure.lattice.matrix) for n in _corners()}
    every = np.array([*corners.values(), *(ball.place for ball in balls)])
    largest = max(ball.radius for ball in balls)
    low, high = every.min(axis=0) - largest, every.max(axis=0) + largest
    scale = SIZE / float(max(high[0] - low[0], high[1] - low[1]))
    middle = 0.5 * (low + high)

    def at(place: np.ndarray) -> tuple[float, float]:
        x, y = scale * (place[:2] - middle[:2])
        return SIZE / 2 + x, SIZE / 2 - y

    colours = colours_of({ball.symbol for ball in balls})
    drawn = [
        (float(ball.place[2]), _circle(*at(ball.place), scale * ball.radius, colours[ball.symbol])) for ball in balls
    ]
    for start, end in _edges():
        a, b = corners[start], corners[end]
        drawn.append((float(min(a[2], b[2])) - largest, _line(at(a), at(b))))
    inside = "".join(text for _, text in sorted(drawn, key=lambda one: one[0]))
    height = SIZE + 20
    return (
        f'<svg class="cell" viewBox="0 0 {SIZE} {height}" width="{SIZE}" height="{height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{inside}{_legend(colours)}</svg>"
    )


def colours_of(symbols: set[str]) -> dict[str, str]:
    """A colour for each element: oxygen is red.

    Examples
    --------
    >>> colours_of({"O", "Ti"})
    {'Ti': '#0072B2', 'O': '#d7301f'}
    """
    others = sorted(symbols - {"O"})
    colours = {symbol: OTHERS[k % len(OTHERS)] for k, symbol in enumerate(others)}
    return colours | ({"O": OXYGEN} if "O" in symbols else {})


def _view() -> np.ndarray:
    """Rotation (3, 3) from the axes of the structure, of which the third points upwards, to those of `Ball`."""
    upright = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
    c, s = np.cos(TURN), np.sin(TURN)
    turned = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = np.cos(TILT), np.sin(TILT)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ turned @ upright


def _balls(structure: Structure) -> list[Ball]:
    """The atoms of a cell, those on a face on all faces they belong to; their places along the axes of the structure, in Å."""
    from sisso_sal.oxides.elements import element_data

    balls = []
    for site in structure:
        symbol = site.specie.symbol
        radius = 0.45 * element_data()[symbol].values.get("r_cov (AA)", 1.2)
        inside = np.mod(site.frac_coords, 1.0)
        shifts = [_images(float(x)) for x in inside]
        balls += [Ball(symbol, (inside + np.array(n)) @ structure.lattice.matrix, radius) for n in product(*shifts)]
    return balls


def _images(fraction: float) -> Sequence[int]:
    """Cells in which an atom at this fraction of an edge is drawn.

    Examples
    --------
    >>> _images(0.0), _images(0.5), _images(0.995)
    ((0, 1), (0,), (0, -1))
    """
    if fraction < EDGE:
        return (0, 1)
    return (0, -1) if fraction > 1 - EDGE else (0,)


def _corners() -> list[tuple[int, ...]]:
    """The eight corners of a box, in fractions of its edges."""
    return list(product((0, 1), repeat=3))


def _edges() -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The twelve edges of a box, by their corners."""
    corners = _corners()
    return [(a, b) for a in corners for b in corners if a < b and sum(x != y for x, y in zip(a, b, strict=True)) == 1]


def _circle(x: float, y: float, radius: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{colour}" stroke="#1a1c1f" stroke-width="0.7"/>'


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#8a929c" stroke-width="1"/>'


def _legend(colours: dict[str, str]) -> str:
    """The elements and their colours, below the picture."""
    parts, x = [], 8.0
    for symbol, colour in colours.items():
        parts.append(f'<circle cx="{x:.0f}" cy="{SIZE + 10}" r="5" fill="{colour}"/>')
        parts.append(
            f'<text x="{x + 9:.0f}" y="{SIZE + 14}" font-size="12" fill="currentColor">{escape(symbol)}</text>'
        )
        x += 20 + 9 * len(symbol)
    return "".join(parts)
