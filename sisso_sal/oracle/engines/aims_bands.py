"""Band structures of FHI-aims: gap and band edges from the band files, and a picture."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sisso_sal.errors import InputError, OracleError
from sisso_sal.oracle.engines.aims_control import BandLine, read_control

__all__ = ["BandStructure", "Segment", "read_bands", "save_band_figure"]

_SAME_KPOINT = 2e-6  # both files have seven decimals
_BAND_FILE = re.compile(r"band([12])(\d{3,})\.out")
_BAND_LINE = re.compile(r"^\s*output\s+band\s+(.*)$", re.MULTILINE)


@dataclass(frozen=True, eq=False)
class Segment:
    """A line through the Brillouin zone in one spin channel.

    Attributes
    ----------
    spin : int
        1 or 2.
    number : int
        Place of the segment along the path, from 1.
    kpoints : ndarray (n_kpoints, 3)
        In fractions of the reciprocal vectors.
    occupations : ndarray (n_kpoints, n_bands)
        Electrons per state.
    energies : ndarray (n_kpoints, n_bands)
        In eV.
    """

    spin: int
    number: int
    kpoints: NDArray[np.float64]
    occupations: NDArray[np.float64]
    energies: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BandStructure:
    """All segments of a run, and the edges of its bands.

    Attributes
    ----------
    segments : tuple of Segment
    vbm, cbm : float or None
        Highest occupied and lowest empty energy on the path, in eV; None where all states are one or the other.
    gap : float
        In eV; zero for a metal.
    is_direct : bool
        Whether both edges are at one k-point.
    """

    segments: tuple[Segment, ...]
    vbm: float | None
    cbm: float | None
    gap: float
    is_direct: bool


def read_bands(folder: str | os.PathLike[str]) -> BandStructure:
    """Read every bandNNNN.out of a folder, which must be all that its control.in asks for, with its k-points.

    A state is occupied above half of the full occupation: one electron with two spin channels, two without. With spin-orbit
    coupling these files are the ones that include it.

    Raises
    ------
    InputError
        There is no band file.
    OracleError
        A band file is damaged or cut, is missing, or holds other k-points than control.in asks for.
    """
    files = sorted(Path(folder).iterdir())
    segments = tuple(
        _segment(file, int(match[1]), int(match[2])) for file in files if (match := _BAND_FILE.fullmatch(file.name))
    )
    if not segments:
        raise InputError(f"{folder}: needs band files (band1001.out), found none")
    if (control := read_control(folder)) is not None:
        _check_path(Path(folder), segments, control.bands)
    polarised = any(segment.spin == 2 for segment in segments)
    full = 1.0 if polarised or max(s.occupations.max() for s in segments) < 1.5 else 2.0
    places, energies, occupied = [], [], []
    for segment in segments:
        n_bands = segment.energies.shape[1]
        places.append(np.repeat(np.round(segment.kpoints % 1.0, 6) % 1.0, n_bands, axis=0))
        energies.append(segment.energies.ravel())
        occupied.append(segment.occupations.ravel() > full / 2)
    return _edges(segments, np.concatenate(places), np.concatenate(energies), np.concatenate(occupied))


def _check_path(folder: Path, segments: tuple[Segment, ...], asked: Sequence[BandLine]) -> None:
    """Refuse segments that are not those of control.in: a run that was cut, or files of another run."""
    channels = sorted({segment.spin for segment in segments})
    made = {(segment.spin, segment.number): segment for segment in segments}
    for spin, number in itertools.product(channels, range(1, len(asked) + 1)):
        file, line = folder / f"band{spin}{number:03d}.out", asked[number - 1]
        segment = made.pop((spin, number), None)
        if segment is None:
            raise OracleError(f"{file}: needs the k-points of segment {number} in control.in, found no file")
        wanted = np.linspace(line.start, line.end, line.points)
        if segment.kpoints.shape != wanted.shape:
            n_found = len(segment.kpoints)
            raise OracleError(
                f"{file}: needs the {line.points} k-points of segment {number} in control.in, found {n_found}"
            )
        if np.abs(segment.kpoints - wanted).max() > _SAME_KPOINT:
            k = int(np.abs(segment.kpoints - wanted).max(axis=1).argmax())
            needed, found = (" ".join(f"{x:.4f}" for x in at) for at in (wanted[k], segment.kpoints[k]))
            raise OracleError(f"{file}: needs the k-points of control.in, {needed} as number {k + 1}, found {found}")
    for spin, number in made:
        raise OracleError(f"{folder}: needs the {len(asked)} segments of control.in, found band{spin}{number:03d}.out")


def _edges(
    segments: tuple[Segment, ...],
    places: NDArray[np.float64],
    energies: NDArray[np.float64],
    occupied: NDArray[np.bool_],
) -> BandStructure:
    if occupied.all() or not occupied.any():
        edge = float(energies.max()) if occupied.all() else float(energies.min())
        return BandStructure(segments, edge if occupied.all() else None, None if occupied.all() else edge, 0.0, False)
    vbm, cbm = float(energies[occupied].max()), float(energies[~occupied].min())
    near = 1e-6
    tops = {tuple(k) for k in places[occupied & (energies > vbm - near)]}
    bottoms = {tuple(k) for k in places[~occupied & (energies < cbm + near)]}
    return BandStructure(segments, vbm, cbm, max(0.0, cbm - vbm), cbm > vbm and bool(tops & bottoms))


def _segment(file: Path, spin: int, segment: int) -> Segment:
    rows = []
    text = file.read_text(errors="replace")
    if text and not text.endswith("\n"):
        raise OracleError(f"{file}: needs whole lines, found a file that is cut in its last one")
    for number, line in enumerate(text.splitlines(), 1):
        try:
            values = [float(text) for text in line.split()[1:]]
        except ValueError:
            raise OracleError(f"{file}: line {number}: needs numbers, found {line.strip()[:60]!r}") from None
        if values:
            rows.append(values)
    if not rows or len({len(row) for row in rows}) != 1 or len(rows[0]) < 5 or len(rows[0]) % 2 == 0:
        raise OracleError(f"{file}: needs k-points with pairs of occupation and energy, found a damaged file")
    data = np.array(rows)
    if not np.isfinite(data).all():
        raise OracleError(f"{file}: needs finite numbers, found others")
    return Segment(spin, segment, data[:, :3], data[:, 3::2], data[:, 4::2])


def save_band_figure(
    folder: str | os.PathLike[str], path: str | os.PathLike[str], window: float = 6.0
) -> BandStructure:
    """Draw the bands of a finished run around its gap.

    Parameters
    ----------
    folder : path
        With control.in, geometry.in and band files.
    path : path
        Of the picture; the ending gives the format.
    window : float
        Energy shown below the valence band and above the conduction band, in eV.

    Returns
    -------
    BandStructure
    """
    from matplotlib.figure import Figure

    bands = read_bands(folder)
    control = Path(folder, "control.in").read_text(errors="replace")
    labels = [line.split()[7:9] for line in _BAND_LINE.findall(control)]
    reciprocal = _reciprocal(folder)
    zero = bands.vbm if bands.vbm is not None else 0.0
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    ends: list[float] = [0.0]
    for segment in sorted(bands.segments, key=lambda s: (s.spin, s.number)):
        steps = np.linalg.norm(np.diff(segment.kpoints @ reciprocal, axis=0), axis=1)
        if segment.spin == 1:
            ends.append(ends[-1] + float(steps.sum()))
        along = ends[segment.number - 1] + np.concatenate([[0.0], np.cumsum(steps)])
        style = {"color": "tab:blue" if segment.spin == 1 else "tab:red", "linewidth": 1.0}
        axes.plot(along, segment.energies - zero, **style)
    axes.set_xticks(ends, _tick_labels(labels, len(ends)))
    for end in ends:
        axes.axvline(end, color="0.8", linewidth=0.8, zorder=0)
    axes.axhline(0, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
    axes.set_xlim(ends[0], ends[-1])
    axes.set_ylim(-window, bands.gap + window)
    axes.set_ylabel("energy above the valence-band maximum (eV)" if bands.vbm is not None else "energy (eV)")
    axes.set_title(f"gap {bands.gap:.2f} eV, {'direct' if bands.is_direct else 'indirect'}" if bands.gap else "metal")
    figure.savefig(path, dpi=150)
    return bands


def _reciprocal(folder: str | os.PathLike[str]) -> NDArray[np.float64]:
    """ndarray (3, 3): reciprocal vectors in 1/Å as rows."""
    lines = Path(folder, "geometry.in").read_text(errors="replace").splitlines()
    vectors = [line.split()[1:4] for line in lines if line.split()[:1] == ["lattice_vector"]]
    return 2 * np.pi * np.linalg.inv(np.array(vectors, dtype=float)).T


def _tick_labels(labels: list[list[str]], n_ticks: int) -> list[str]:
    """Labels of the ends of the segments; where one ends elsewhere than the next begins, both are shown."""
    if len(labels) != n_ticks - 1 or any(len(pair) < 2 for pair in labels):
        return [""] * n_ticks
    shown = [[name.replace("G", "Γ") for name in pair] for pair in labels]
    inner = [a[1] if a[1] == b[0] else f"{a[1]}|{b[0]}" for a, b in itertools.pairwise(shown)]
    return [shown[0][0], *inner, shown[-1][1]]
