"""The parts of a calculation's document that other programs read: input, output, trajectory.

Names follow the FHI-aims task documents of atomate2 (``input output calcs_reversed``), and emmet-core where these have no compact
form: its trajectories (``elements cart_coords lattice energy forces stress magmoms``), its ``calc_code``, ``version``,
``run_stats``, and the ``ordering`` of moments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sisso_sal.oracle.engines.plain_data import plain

__all__ = ["Frame", "Recorder", "finished_document", "magnetic_ordering", "trajectory_of"]

_MOMENT = 0.1
"""Moments that are smaller, in Bohr magnetons, count as none."""

_OUTPUT = (
    *("structure", "energy", "energy_per_atom", "bandgap", "vbm", "cbm", "efermi", "forces", "stress", "magmoms"),
    "ordering",
)


@dataclass(frozen=True)
class Frame:
    """A geometry that was computed.

    Attributes
    ----------
    positions : array-like (n_atoms, 3)
        In Å, Cartesian.
    lattice : array-like (3, 3) or None
        Vectors as rows, in Å; None of a molecule.
    energy : float
        In eV.
    forces : array-like (n_atoms, 3) or None
        In eV/Å.
    stress : array-like (3, 3) or None
        In eV/Å³.
    magmoms : sequence of float (n_atoms,) or None
        In Bohr magnetons.
    """

    positions: Any
    lattice: Any
    energy: float
    forces: Any = None
    stress: Any = None
    magmoms: Any = None


def trajectory_of(symbols: Sequence[str], frames: Sequence[Frame]) -> dict[str, Any] | None:
    """The geometries of a calculation in the order in which they were computed, as emmet-core's `AtomTrajectory` takes them.

    Parameters
    ----------
    symbols : sequence of str (n_atoms,)
    frames : sequence of Frame (n_steps,)

    Returns
    -------
    dict or None
        ``elements`` (n_atoms,), ``num_ionic_steps``, ``cart_coords`` (n_steps, n_atoms, 3) in Å, ``lattice`` (n_steps, 3, 3) in Å,
        ``energy`` (n_steps,) in eV, ``forces`` (n_steps, n_atoms, 3) in eV/Å, ``stress`` (n_steps, 3, 3) in eV/Å³ and ``magmoms``
        (n_steps, n_atoms). What one step lacks is None for all, as there. None without a step.

    Examples
    --------
    >>> path = trajectory_of(["H"], [Frame([[0, 0, 0]], None, -13.6)])
    >>> path["elements"], path["energy"], path["forces"]
    ([1], [-13.6], None)
    """
    from pymatgen.core import Element

    if not frames:
        return None
    columns = ("lattice", "energy", "forces", "stress", "magmoms")
    path: dict[str, Any] = {
        "elements": [int(Element(symbol).Z) for symbol in symbols],
        "num_ionic_steps": len(frames),
        "cart_coords": [frame.positions for frame in frames],
    }
    for name in columns:
        values = [getattr(frame, name) for frame in frames]
        path[name] = None if any(value is None for value in values) else values
    return plain(path)


class Recorder:
    """Keeps the geometries that a calculator of ASE computes, from what it has at hand: nothing is computed for it.

    Examples
    --------
    >>> Recorder().frames
    []
    """

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def record(self, atoms: Any) -> None:
        """Keep what the calculator of these atoms has just computed; nothing where it has no energy, or is where it was before.

        Parameters
        ----------
        atoms : ase Atoms
        """
        results = plain(getattr(atoms.calc, "results", None) or {})
        energy = results.get("energy")
        while isinstance(energy, list) and len(energy) == 1:
            energy = energy[0]
        if not isinstance(energy, float):
            return
        n_atoms, periodic = len(atoms), bool(atoms.pbc.all())
        if self.frames and _is_at(self.frames[-1], atoms):
            return
        self.frames.append(
            Frame(
                positions=atoms.positions.copy(),
                lattice=atoms.cell.array.copy() if periodic else None,
                energy=energy,
                forces=_numbers(results.get("forces"), (n_atoms, 3)),
                stress=_full(results.get("stress")) if periodic else None,
                magmoms=_numbers(results.get("magmoms"), (n_atoms,)),
            )
        )


def _is_at(frame: Frame, atoms: Any) -> bool:
    """Whether atoms and cell are those of the frame."""
    is_same_cell = frame.lattice is None or bool((frame.lattice == atoms.cell.array).all())
    return is_same_cell and bool((frame.positions == atoms.positions).all())


def _numbers(value: Any, shape: tuple[int, ...]) -> Any:
    """The value where it is an array of this shape without gaps."""
    if not isinstance(value, list) or len(value) != shape[0]:
        return None
    if len(shape) == 1:
        return value if all(isinstance(x, int | float) for x in value) else None
    return value if all(_numbers(row, shape[1:]) is not None for row in value) else None


def _full(stress: Any) -> Any:
    """A stress in Voigt's order or whole, as a matrix; None where there is none."""
    if _numbers(stress, (3, 3)) is not None or _numbers(stress, (6,)) is None:
        return _numbers(stress, (3, 3))
    xx, yy, zz, yz, xz, xy = stress
    return [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]


def magnetic_ordering(moments: Sequence[float] | None) -> str | None:
    """The collinear order of moments, by the names of pymatgen and emmet-core.

    Parameters
    ----------
    moments : sequence of float (n_atoms,) or None
        In Bohr magnetons.

    Returns
    -------
    str or None
        "NM" (no moment), "FM" (of one sign), "AFM" (of both, and they cancel), "FiM" (they do not); None where none are known.

    Examples
    --------
    >>> magnetic_ordering([3.8, -3.8, 0.02]), magnetic_ordering([2.1, 2.1]), magnetic_ordering([0.01])
    ('AFM', 'FM', 'NM')
    """
    if moments is None:
        return None
    kept = [moment for moment in moments if abs(moment) >= _MOMENT]
    if not kept:
        return "NM"
    if min(kept) > 0 or max(kept) < 0:
        return "FM"
    return "AFM" if abs(sum(kept)) < _MOMENT * len(kept) else "FiM"


def finished_document(
    document: Mapping[str, Any],
    start: Any,
    trajectory: dict[str, Any] | None,
    *,
    xc: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    **inputs: Any,
) -> dict[str, Any]:
    """The document of a calculation with what went into it, what came out, and the path between.

    Parameters
    ----------
    document : mapping
        The results, with the moments that were found as ``magmoms``.
    start : pymatgen Structure or Molecule
        What the calculation began with.
    trajectory : dict or None
        Of `trajectory_of`.
    xc : str, optional
        The functional, where it is known.
    parameters : mapping, optional
        Of the calculation, under the names of its program.
    inputs
        Further keys of ``input``.
    """
    moments = start.site_properties.get("magmom")
    given = {
        "structure": start.as_dict(),
        "xc": xc,
        "parameters": dict(parameters or {}),
        "magnetic_moments": None if moments is None else [float(moment or 0.0) for moment in moments],
        **inputs,
    }
    whole = {**document, "ordering": magnetic_ordering(document["magmoms"])}
    output = {key: whole[key] for key in _OUTPUT}
    return plain({**whole, "input": given, "output": output, "trajectory": trajectory})
