"""Elk, all-electron LAPW, through ASE: where its program and species are, which ASE asks of a file of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

__all__ = ["SPECIES", "elk"]

SPECIES = "/usr/share/elk-lapw/species"
"""Where Debian keeps the species."""


def elk(command: str = "elk-lapw", species_dir: str = SPECIES, **parameters: Any) -> Any:
    """An ASE calculator for Elk.

    Parameters
    ----------
    command : str
        The program, or how it is started, as in ``srun elk``.
    species_dir : str
        Folder of species files.
    **parameters
        Of `ase.calculators.elk.ELK`: ``xc``, ``kpts`` and ``smearing`` as ASE has them, any other word as Elk has it.

    Raises
    ------
    FileNotFoundError
        There is no such program or no such folder.
    """
    from ase.calculators.elk import ELK, ElkProfile

    program = (command.split() or [""])[0]
    if shutil.which(program) is None:
        raise FileNotFoundError(f"there is no program '{program}'")
    if not Path(species_dir).is_dir():
        raise FileNotFoundError(f"there are no species in '{species_dir}'")
    return ELK(profile=ElkProfile(command=command, sppath=species_dir), **parameters)
