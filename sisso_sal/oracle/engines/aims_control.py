"""What a control.in of FHI-aims says: settings that decide its numbers, bands that were asked for, species."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from sisso_sal.errors import OracleError

__all__ = ["BandLine", "Control", "read_control"]

CONTROL = "control.in"

CONVERGENCE = frozenset(
    {
        *("sc_iter_limit", "charge_mix_param", "mixer", "n_max_pulay", "default_initial_moment", "relax_geometry"),
        *("max_relaxation_steps", "relax_unit_cell", "exx_band_structure_version", "hse_unit", "compute_forces"),
    }
)
"""Keywords that decide how a result is reached, or which, and not what its energy is."""

_SPECIES = re.compile(r"species\s+(\S+)")


@dataclass(frozen=True)
class BandLine:
    """A line ``output band``: both ends in fractions of the reciprocal vectors, and the number of k-points."""

    start: tuple[float, ...]
    end: tuple[float, ...]
    points: int


@dataclass
class Control:
    """The contents of a control.in.

    Attributes
    ----------
    keywords : dict of str to str
        General keywords, without ``output``.
    bands : list of BandLine
    species : dict of str to str
        Element -> digest of its block without comments: equal blocks have equal basis sets and grids.
    """

    keywords: dict[str, str] = field(default_factory=dict)
    bands: list[BandLine] = field(default_factory=list)
    species: dict[str, str] = field(default_factory=dict)

    @property
    def numerics(self) -> dict[str, str]:
        """The keywords that decide the energy: functional, relativity, spin, k-points, smearing and whatever else was added."""
        return {key: value for key, value in self.keywords.items() if key not in CONVERGENCE}


def read_control(folder: str | os.PathLike[str]) -> Control | None:
    """The control.in of a folder; None where there is none.

    Raises
    ------
    OracleError
        It cannot be read, or a line ``output band`` is none.
    """
    file = Path(folder, CONTROL)
    if not file.is_file():
        return None
    control, blocks, block = Control(), {}, None
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise OracleError(f"{file}: cannot be read: {error.strerror or error}") from error
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if match := _SPECIES.fullmatch(" ".join(words)):
            block = blocks.setdefault(match[1], [])
        elif block is not None:
            block.append(" ".join(words))
        elif words[:2] == ["output", "band"]:
            control.bands.append(_band(words[2:], f"{file}: line {number}"))
        elif words[0] != "output":
            control.keywords[words[0]] = " ".join(words[1:])
    for element, content in blocks.items():
        control.species[element] = hashlib.sha256("\n".join(content).encode()).hexdigest()[:12]
    return control


def _band(words: list[str], place: str) -> BandLine:
    try:
        numbers = [float(word) for word in words[:6]]
        return BandLine(tuple(numbers[:3]), tuple(numbers[3:6]), int(words[6]))
    except (ValueError, IndexError):
        raise OracleError(f"{place}: needs two k-points and a number of points, found {' '.join(words)!r}") from None
