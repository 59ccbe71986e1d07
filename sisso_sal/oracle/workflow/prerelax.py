"""Before the first step of a phase: a potential relaxes all its structures and ranks them, and the low ones are computed.

The ranking is one task for each phase. Each structure has a folder of its own in that task, with its attempts and its result, so a
worker that takes over continues with the next structure. No failure of the potential loses a phase: a structure that it cannot
relax is not ranked, and is computed from its unrelaxed geometry if it is among the first ones, as without a ranking. Of structures
that relax into one and the same, one is computed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sisso_sal.errors import InputError, OracleError
from sisso_sal.oracle.engines.ase_calculator import CalculatorSettings, calculate
from sisso_sal.oracle.workflow import steps
from sisso_sal.oracle.workflow.attempts import MAX_ATTEMPTS, attempts_of, begin_attempt, running_in, seconds_of
from sisso_sal.oracle.workflow.chains import LEFT_OUT
from sisso_sal.oracle.workflow.engine_settings import engine_here
from sisso_sal.oracle.workflow.steps import SAME
from sisso_sal.oxides.magnetism import type_of
from sisso_sal.system.documents import LARGE, read_json, record_of
from sisso_sal.system.slurm import cores_per_task
from sisso_sal.system.storage import write_whole

__all__ = ["chosen", "prerelax", "relax", "twins_of"]

_RESULT_FILE = "prerelaxed.json"


def chosen(energies: Sequence[float | None], most: int, window: float) -> list[bool]:
    """Which structure types of a phase are computed.

    Parameters
    ----------
    energies : sequence of float or None (n_structures,), in eV/atom
        In the order in which they would be computed without a ranking; None where there is no energy.
    most : int
        So many of the lowest energies, and so many of the first structures where these have no energy.
    window : float
        Every structure this far above the lowest, in eV/atom.

    Returns
    -------
    list of bool (n_structures,)
        At least one is true.

    Examples
    --------
    >>> chosen([-5.0, -4.9, -5.2, -5.19, None], most=1, window=0.05)
    [False, False, True, True, False]
    """
    lowest: list[float] = []
    for energy in sorted(energy for energy in energies if energy is not None):
        if not lowest or energy - lowest[-1] > SAME:
            lowest.append(energy)
    limit = max(lowest[:most][-1] + SAME, lowest[0] + window) if lowest else 0.0
    return [number < most if energy is None else energy <= limit for number, energy in enumerate(energies)]


def _chosen_names(energies: Mapping[str, float | None], most: int, window: float) -> set[str]:
    """The structures that are computed: all magnetic orders of the chosen types, since a potential does not tell them apart."""
    lowest: dict[str, float | None] = {}
    for name, energy in energies.items():
        known = lowest.setdefault(type_of(name), energy)
        if energy is not None and (known is None or energy < known):
            lowest[type_of(name)] = energy
    kept = dict(zip(lowest, chosen([*lowest.values()], most, window), strict=True))
    return {name for name in energies if kept[type_of(name)]}


class _Result(BaseModel):
    """What the potential made of one structure."""

    model_config = ConfigDict(frozen=True, strict=True)

    energy_per_atom: float | None
    steps: int | None
    verdict: str
    reason: str
    core_hours: float = Field(ge=0)
    attempts: int
    structure: dict[str, Any] | None


def prerelax(starts: list[Any], most: int, engine: dict[str, Any]) -> dict[str, Any]:
    """Relax the structures of a phase with the potential, in folders below the current one, and rank them.

    Parameters
    ----------
    starts : list of [str, dict]
        Names and pymatgen structures.
    most : int
        As in `chosen`.
    engine : dict
        The science of `sisso_sal.oracle.workflow.engine_settings.EngineSettings`, with a potential.

    Returns
    -------
    dict
        With the keys that every document has, ``calculator window most``, and ``structures``: name -> ``energy_per_atom steps
        verdict reason core_hours attempts structure chosen same_as``, energies in eV/atom.

    Raises
    ------
    InputError
        The settings have no potential.
    """
    settings = engine_here(engine)
    potential = settings.prerelaxation()
    if potential is None:
        raise InputError("prerelax: needs a potential, found none in the settings")
    results = {name: _result(Path.cwd() / name, structure, potential) for name, structure in starts}
    twins = twins_of({name: r.structure for name, r in results.items()}, [r.energy_per_atom for r in results.values()])
    kept = _chosen_names(
        {name: result.energy_per_atom for name, result in results.items() if name not in twins},
        most,
        settings.prerelax_window,
    )
    energies = [result.energy_per_atom for result in results.values()]
    return {
        "task_label": "prerelax",
        "state": "successful",
        "verdict": "finished",
        "reason": f"{len(kept)} of {len(results)} structures are computed",
        "energy_per_atom": min((energy for energy in energies if energy is not None), default=None),
        "bandgap": None,
        "core_hours": sum(result.core_hours for result in results.values()),
        "calculator": potential.calculator,
        "window": settings.prerelax_window,
        "most": most,
        "structures": {
            name: {**result.model_dump(), "chosen": name in kept, "same_as": twins.get(name)}
            for name, result in results.items()
        },
    }


def twins_of(structures: Mapping[str, dict[str, Any] | None], energies: Sequence[float | None]) -> dict[str, str]:
    """Structures that relaxed into another one, each with the name of that one: the smaller cell, else the earlier.

    Parameters
    ----------
    structures : mapping of str to dict or None
        Relaxed pymatgen structures by name; None where there is none.
    energies : sequence of float or None (n_structures,), in eV/atom

    Returns
    -------
    dict of str to str
        Structures with moments of both signs are never equal to others: how the signs are ordered may differ.
    """
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher: Any = StructureMatcher(ltol=0.1, stol=0.15, angle_tol=3)
    made = [
        (name, steps.structure_of(data), energy)
        for (name, data), energy in zip(structures.items(), energies, strict=True)
        if data is not None and energy is not None
    ]
    twins: dict[str, str] = {}
    kept: list[tuple[str, Any, float]] = []
    for name, structure, energy in sorted(made, key=lambda entry: len(entry[1])):
        moments = _moments(structure)
        near = [] if moments is None else [entry for entry in kept if abs(energy - entry[2]) <= SAME]
        same = next((n for n, other, _ in near if _moments(other) == moments and matcher.fit(other, structure)), None)
        if same is None:
            kept.append((name, structure, energy))
        else:
            twins[name] = same
    return twins


def _moments(structure: Any) -> dict[tuple[str, float], float] | None:
    """Share of the sites that have an element and a moment; None where there are moments of both signs."""
    pairs = [(site.specie.symbol, round(float(site.properties.get("magmom") or 0.0), 2)) for site in structure]
    signs = {moment > 0 for _, moment in pairs if moment}
    if len(signs) > 1:
        return None
    return {pair: round(n / len(pairs), 6) for pair, n in Counter(pairs).items()}


def _result(folder: Path, structure: dict[str, Any], potential: CalculatorSettings) -> _Result:
    """The result for one structure, made at the first time."""
    file = folder / _RESULT_FILE
    if not file.exists():
        folder.mkdir(exist_ok=True)
        write_whole(file, _relaxed(folder, structure, potential).model_dump_json() + "\n")
    return record_of(_Result, read_json(file, LARGE))


def _relaxed(folder: Path, structure: dict[str, Any], potential: CalculatorSettings) -> _Result:
    attempt = begin_attempt(folder)
    made = attempts_of(folder)

    def failed(verdict: str, reason: str, n_steps: int | None = None) -> _Result:
        return _Result(
            energy_per_atom=None,
            steps=n_steps,
            verdict=verdict,
            reason=reason,
            core_hours=seconds_of(attempts_of(folder)) * cores_per_task() / 3600,
            attempts=len(made),
            structure=None,
        )

    if attempt is None:
        return failed("failed", f"its worker died in each of {MAX_ATTEMPTS} attempts")
    began = time.monotonic()
    try:
        with running_in(attempt):
            document = calculate(attempt.folder, steps.structure_of(structure), potential, label="prerelax")
    except (InputError, OracleError) as error:
        return failed("failed", str(error))
    attempt.ended(None, time.monotonic() - began)
    if document["state"] != "successful":
        return failed(document["verdict"], document["reason"], document["steps"])
    return _Result(
        energy_per_atom=document["energy_per_atom"],
        steps=document["steps"],
        verdict=document["verdict"],
        reason=document["reason"],
        core_hours=seconds_of(attempts_of(folder)) * cores_per_task() / 3600,
        attempts=len(made),
        structure=_without_moments_found(document["structure"]),
    )


def _without_moments_found(structure: dict[str, Any]) -> dict[str, Any]:
    """The structure with the moments that the engine is to start from, and none of the potential's."""
    sites = [
        {**site, "properties": {k: v for k, v in site["properties"].items() if k != "final_magmom"}}
        for site in structure["sites"]
    ]
    return {**structure, "sites": sites}


def relax(structure: dict[str, Any], engine: dict[str, Any], ranking: dict[str, Any], name: str) -> dict[str, Any]:
    """Relax a structure of a ranked phase from the geometry that the potential found, if it was chosen.

    Parameters
    ----------
    structure : dict
        The unrelaxed one.
    engine : dict
        As in `prerelax`.
    ranking : dict
        What `prerelax` returned.
    name : str
        Of the structure.

    Returns
    -------
    dict
        As `sisso_sal.oracle.workflow.steps.relax`, with ``prerelax``: ``calculator energy_per_atom above steps verdict reason
        start``, where above is the distance from the lowest (eV/atom) and start is "relaxed" or "unrelaxed". The state is
        "left_out" of a structure that was not chosen.
    """
    found = ranking["structures"][name]
    told = {key: found[key] for key in ("energy_per_atom", "steps", "verdict", "reason")}
    above = None if found["energy_per_atom"] is None else found["energy_per_atom"] - ranking["energy_per_atom"]
    told = {
        "calculator": ranking["calculator"],
        **told,
        "above": above,
        "start": "relaxed" if found["structure"] else "unrelaxed",
    }
    if found["chosen"]:
        return {**steps.relax(found["structure"] or structure, engine), "prerelax": told}
    return {
        "task_label": "relax",
        "state": LEFT_OUT,
        "verdict": LEFT_OUT,
        "reason": _why_left_out(found, ranking),
        "structure": found["structure"] or structure,
        "energy": None,
        "energy_per_atom": None,
        "bandgap": None,
        "core_hours": 0.0,
        "steps": 0,
        "attempts": 0,
        "prerelax": told,
    }


def _why_left_out(found: dict[str, Any], ranking: dict[str, Any]) -> str:
    if found["same_as"] is not None:
        return f"{ranking['calculator']}: relaxes into {found['same_as']}"
    if found["energy_per_atom"] is None:
        return f"{ranking['calculator']}: {found['reason']}; not among the first {ranking['most']}"
    above = found["energy_per_atom"] - ranking["energy_per_atom"]
    return f"{ranking['calculator']}: {above:.3f} eV/atom above the lowest, window {ranking['window']:g}"
