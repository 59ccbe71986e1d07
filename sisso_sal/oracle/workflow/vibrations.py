"""The vibrations of a phase: phonons of its lowest structure, one task for each solid."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sisso_sal.errors import InputError, OracleError
from sisso_sal.oracle.engines.vibrations import VibrationSettings, vibrations_of
from sisso_sal.oracle.workflow.attempts import (
    MAX_ATTEMPTS,
    Attempt,
    attempts_of,
    begin_attempt,
    running_in,
    seconds_of,
)
from sisso_sal.oracle.workflow.chains import LEFT_OUT
from sisso_sal.oracle.workflow.engine_settings import engine_here
from sisso_sal.oracle.workflow.steps import lowest_of, structure_of
from sisso_sal.system.slurm import cores_per_task

__all__ = ["lowest_vibrations"]


def lowest_vibrations(names: list[str], statics: list[dict[str, Any]], engine: dict[str, Any]) -> dict[str, Any]:
    """Free energy of the vibrations of the lowest structure of a phase, in the current folder.

    Parameters
    ----------
    names : list of str
        Of the structures.
    statics : list of dict
        What their static steps left.
    engine : dict
        The science of `sisso_sal.oracle.workflow.engine_settings.EngineSettings`, with a potential for vibrations.

    Returns
    -------
    dict
        As `sisso_sal.oracle.engines.vibrations.vibrations_of`, with the keys that every document has and ``lowest``: the name
        of the structure. The state is "left_out" where no structure has an energy.

    Raises
    ------
    InputError
        The settings have no potential for vibrations, or it is not installed.
    """
    settings = engine_here(engine).vibration()
    if settings is None:
        raise InputError("vibrations: needs a potential, found none in the settings")
    number = lowest_of(statics)
    common = {"task_label": "vibrations", "energy": None, "energy_per_atom": None, "bandgap": None}
    if number is None:
        told = {"state": LEFT_OUT, "verdict": LEFT_OUT, "reason": "no structure has an energy", "vibration": None}
        return {**common, **told, "lowest": None, "core_hours": 0.0, "attempts": 0}
    return {**common, **_computed(Path.cwd(), statics[number]["structure"], settings), "lowest": names[number]}


def _computed(folder: Path, structure: dict[str, Any], settings: VibrationSettings) -> dict[str, Any]:
    """The result of a new attempt; only those that died with their workers count against its number."""
    attempt = begin_attempt(folder, is_free=_has_ended)
    if attempt is None:
        reason = f"its worker died in each of {MAX_ATTEMPTS} attempts"
        told = {"state": "failed", "verdict": "interrupted", "reason": reason, "vibration": None}
    else:
        began = time.monotonic()
        try:
            with running_in(attempt):
                told = vibrations_of(attempt.folder, structure_of(structure), settings)
        except OracleError as error:
            told = {"state": "failed", "verdict": "failed", "reason": str(error), "vibration": None}
        verdict = {key: told[key] for key in ("verdict", "reason")}
        attempt.ended(verdict, time.monotonic() - began)
    made = attempts_of(folder)
    return {**told, "core_hours": seconds_of(made) * cores_per_task() / 3600, "attempts": len(made)}


def _has_ended(attempt: Attempt) -> bool:
    return attempt.record.seconds is not None
