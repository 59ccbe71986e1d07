"""What FHI-aims prints after self-consistency beyond a functional: quasi-particle energies, and the energy by RPA.

``qpe_calc`` asks for quasi-particle energies (X. Ren et al., New J. Phys. 14, 053020 (2012)), ``total_energy_method rpa`` for the
total energy in the random-phase approximation. Of a periodic system lines give the edges on the k-points and, along bands, a
block gives the gap; of a molecule there is a table of levels.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

__all__ = ["GAP_OF_BANDS", "GAP_OF_LEVELS", "RPA_DEFINITION", "BeyondTrace"]

RPA_DEFINITION = "RPA total energy"
GAP_OF_LEVELS = "quasi-particle levels"
GAP_OF_BANDS = "quasi-particle bands"

_ASKED = re.compile(r"^\s*(qpe_calc|total_energy_method)\s+(\S+)")
_EDGE = re.compile(r"(valence|conduction) band m\w+ \([VC]BM\) from the GW calculation is\s+(\S+)\s+eV", re.I)
_BLOCK = re.compile(r'"GW Band gap" of total set of bands')
_OF_BLOCK = re.compile(r"\| (Highest occupied|Lowest unoccupied) state\s*:\s*(\S+)\s+eV")
_TABLE = re.compile(r"(?:GW|MP2) quasi-particle energy levels")
_RPA = re.compile(r"^\s*RPA total energy\s*:\s*\S+\s*Ha,\s*(\S+)\s+eV")
_DOUBT = "could not be"
_MOST_OCCUPIED = 0.5


@dataclass
class BeyondTrace:
    """What has been read so far of one run.

    Attributes
    ----------
    asked : dict of str to str
        Keyword -> value, as the echo of control.in has it.
    rpa : float or None
        In eV.
    """

    asked: dict[str, str] = field(default_factory=dict)
    rpa: float | None = None
    is_ambiguous: bool = False
    _edges: dict[str, list[float]] = field(default_factory=lambda: {"valence": [], "conduction": []})
    _block: dict[str, float] = field(default_factory=dict)
    _levels: list[tuple[float, float]] = field(default_factory=list)
    _columns: list[str] = field(default_factory=list)
    _is_in: str = ""

    def begin_cycle(self) -> None:
        """Results of an earlier geometry are not those of this one."""
        self.rpa, self._edges, self._block, self._levels = None, {"valence": [], "conduction": []}, {}, []
        self._is_in, self.is_ambiguous = "", False

    def read(self, line: str) -> None:
        """Take in a line."""
        if match := _ASKED.match(line):
            self.asked[match[1]] = match[2]
        elif match := _RPA.match(line):
            self.rpa = _number(match[1])
        elif match := _EDGE.search(line):
            self._is_in = ""
            self._add(self._edges[match[1].lower()], match[2])
        elif _BLOCK.search(line):
            self._is_in = "block"
        elif _TABLE.search(line):
            self._is_in, self._levels, self._columns = "table", [], []
        elif "quasiparticle eigenvalues" in line.lower() and _DOUBT in line:
            self.is_ambiguous = True
        elif self._is_in == "block" and (match := _OF_BLOCK.search(line)):
            value = _number(match[2])
            if value is not None:
                self._block[match[1]] = value
        elif "HOMO level" in line or "Leaving FHI-aims" in line:
            self._is_in = ""
        elif self._is_in == "table":
            self._read_level(line.split())

    def edges(self) -> tuple[float, float, str] | None:
        """Highest occupied and lowest unoccupied level, in eV, and where they come from; None where there are none."""
        if len(self._block) == 2:
            return self._block["Highest occupied"], self._block["Lowest unoccupied"], GAP_OF_BANDS
        if self._edges["valence"] and self._edges["conduction"]:
            return max(self._edges["valence"]), min(self._edges["conduction"]), GAP_OF_LEVELS
        full = 2.0 if any(occupation > 1.0 + _MOST_OCCUPIED for occupation, _ in self._levels) else 1.0
        occupied = [level for occupation, level in self._levels if occupation > full * _MOST_OCCUPIED]
        empty = [level for occupation, level in self._levels if occupation <= full * _MOST_OCCUPIED]
        return (max(occupied), min(empty), GAP_OF_LEVELS) if occupied and empty else None

    def missing(self) -> str:
        """What was asked for and is not there, in words; nothing where all of it is."""
        if "qpe_calc" in self.asked and self.edges() is None:
            return (
                f"qpe_calc {self.asked['qpe_calc']} needs quasi-particle energies on both sides of the gap, found none"
            )
        if self.asked.get("total_energy_method") == "rpa" and self.rpa is None:
            return f"total_energy_method rpa needs a finite {RPA_DEFINITION}, found none"
        return ""

    def _read_level(self, words: list[str]) -> None:
        if words[:2] == ["state", "occ_num"]:
            self._columns = words
        elif self._columns and len(words) >= len(self._columns) and words[0].isdecimal():
            occupation, level = _number(words[1]), _number(words[self._columns.index("e_qp")])
            if occupation is not None and level is not None:
                self._levels.append((occupation, level))

    @staticmethod
    def _add(values: list[float], text: str) -> None:
        if (value := _number(text)) is not None:
            values.append(value)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
