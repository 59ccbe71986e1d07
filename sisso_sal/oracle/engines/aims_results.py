"""Results in an output of FHI-aims: by pyfhiaims, or for versions before 2021 by ASE."""

from __future__ import annotations

import contextlib
import os
import warnings
from typing import Any

from sisso_sal.errors import InputError, OracleError
from sisso_sal.oracle.engines.aims_verdict import judge_run
from sisso_sal.oracle.engines.plain_data import plain
from sisso_sal.oracle.engines.task_document import Frame

__all__ = ["frames_of", "read_output"]


def read_output(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a finished output says.

    The gap is the last one printed, which includes spin-orbit coupling where that is used; the edges are those of the last cycle.

    Returns
    -------
    dict
        ``bandgap vbm cbm efermi`` in eV, ``forces`` (n_atoms, 3) in eV/Å, ``stress`` (3, 3) in eV/Å³, ``magmoms`` (n_atoms,) in
        Bohr magnetons by Mulliken's analysis, ``k_grid`` (3,), ``n_k_points`` (without those that are equal by symmetry),
        ``run_stats`` (emmet-core's names, in s and kB), and ``frames``: a list of `Frame`, which ASE does not give. What the output
        lacks is None.

    Raises
    ------
    OracleError
        Neither pyfhiaims nor ASE can read the file.
    """
    gap = judge_run(path).gap_eV
    try:
        return _by_pyfhiaims(path) | {"bandgap": gap}
    except ImportError:
        raise InputError("FHI-aims: needs pyfhiaims; pip install 'sisso-sal[dft]'") from None
    except Exception as first:  # the reader of another age of the format raises whatever it stumbles on
        try:
            return _by_ase(path) | {"bandgap": gap}
        except Exception as second:
            reason = str(second).strip().partition("\n")[0] or type(second).__name__
            raise OracleError(f"{path}: neither pyfhiaims ({first}) nor ASE can read it: {reason}") from second


def frames_of(path: str | os.PathLike[str]) -> list[Frame]:
    """The geometries that a run computed before it ended, however it ended; none where its output cannot be read."""
    if not os.path.isfile(path):  # the worker died before; the parser prints a traceback when it is deleted
        return []
    try:
        from pyfhiaims.outputs.parser import StdoutParser

        parser = StdoutParser(os.fspath(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _frames(parser.parse(), relaxes=bool(parser.run_metadata.get("relax")))
    except Exception:  # an output that was cut anywhere
        return []


def _by_pyfhiaims(path: str | os.PathLike[str]) -> dict[str, Any]:
    from pyfhiaims.outputs.stdout import AimsStdout

    output = AimsStdout(os.fspath(path))
    last = output[-1]
    return {
        "vbm": last["vbm"],
        "cbm": last["cbm"],
        "efermi": last["fermi_energy"],
        "forces": plain(last["forces"]),
        "stress": plain(last["stress"]),
        "magmoms": plain(last["mulliken_spins"]),
        "k_grid": _grid(output.metadata.get("k_grid")),
        "n_k_points": output.metadata.get("num_k_points"),
        "run_stats": _run_stats(output.run_stats["final"]),
        "frames": _frames(output.results, relaxes=bool(output.metadata.get("relax"))),
    }


def _frames(results: dict[str, Any], *, relaxes: bool) -> list[Frame]:
    """The steps whose cycle converged; a relaxation prints the geometry of a step at the end of the one before.

    The energy is the uncorrected one; an image of pyfhiaims has the corrected one instead where it sees a metal.
    """
    from pyfhiaims.geometry import AimsGeometry

    geometry: Any = AimsGeometry.from_strings(results["input"]["geometry_in"].splitlines())
    frames = []
    for step in results.get("ionic_steps", []):
        told = {**(step.get("scf_steps") or [{}])[-1], **step}
        if geometry is not None and told.get("scf_converged") and "total_energy" in step:
            frames.append(_frame(geometry, told))
        if relaxes:
            geometry = step.get("geometry")
    return frames


def _frame(geometry: Any, told: dict[str, Any]) -> Frame:
    vectors = geometry.lattice_vectors
    return Frame(
        positions=[[float(x) for x in place] for place in geometry.positions],
        lattice=None if vectors is None else plain(vectors),
        energy=float(told["total_energy"]),
        forces=plain(told.get("atomic_forces")),
        stress=plain(told.get("analytical_stress", told.get("numerical_stress"))),
        magmoms=plain(told.get("mulliken_spins")),
    )


def _grid(keyword: str | None) -> list[int] | None:
    """The grid of k-points where the input names one; its density alone names none."""
    words = (keyword or "").split()
    return [int(word) for word in words] if len(words) == 3 and all(word.isdigit() for word in words) else None


def _run_stats(final: dict[str, Any]) -> dict[str, Any]:
    """Times and memory as emmet-core calls them, without what is not told."""
    names = {
        "elapsed_time": "wall_time_sec",
        "total_time": "cpu_time_sec",
        "cores": "cores",
        "average_memory": "memory_avg_kb",
        "max_memory": "memory_max_kb",
    }
    return {name: final[theirs] for name, theirs in names.items() if final.get(theirs) is not None}


def _by_ase(path: str | os.PathLike[str]) -> dict[str, Any]:
    import ase.io
    from ase.calculators.calculator import PropertyNotImplementedError

    atoms: Any = ase.io.read(os.fspath(path), format="aims-output")
    unknown = ("vbm", "cbm", "efermi", "forces", "stress", "magmoms", "k_grid", "n_k_points")
    results: dict[str, Any] = {**dict.fromkeys(unknown), "run_stats": {}, "frames": []}
    for name, ask in (("forces", atoms.get_forces), ("stress", lambda: atoms.get_stress(voigt=False))):
        with contextlib.suppress(PropertyNotImplementedError):
            results[name] = plain(ask())
    return results
