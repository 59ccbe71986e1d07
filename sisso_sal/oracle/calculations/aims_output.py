"""An FHI-aims output as a calculation that was done: verdict, energy, last structure and settings, in one pass over the file.

FHI-aims repeats control.in and geometry.in at the head of its output. That copy counts, because the files beside an output may have
changed since; where the repetition was switched off, the files are read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

from sisso_sal.errors import InputError, OracleError
from sisso_sal.oracle.calculations.record import Cell, DoneCalculation, density_range
from sisso_sal.oracle.engines.aims_bands import read_bands
from sisso_sal.oracle.engines.aims_beyond import GAP_OF_BANDS
from sisso_sal.oracle.engines.aims_verdict import RunVerdict, judge_run

__all__ = ["CODE", "read_aims"]

CODE = "FHI-aims"

_KEYWORD = re.compile(r"[a-z][a-z0-9_]*")
_SET = re.compile(r'Suggested\s+"?(\w+)"?\s+(?:defaults|settings)', re.I)
_SPECIES_KEYWORDS = frozenset(
    {
        *("nucleus", "mass", "element", "l_hartree", "cut_pot", "cutoff_type", "basis_dep_cutoff", "radial_base"),
        *("radial_multiplier", "angular", "angular_grids", "angular_min", "angular_acc", "division", "outer_grid"),
        *("valence", "ion_occ", "ionic", "hydro", "gaussian", "sto", "confined", "basis_acc", "prodbas_acc"),
        *("max_n_prodbas", "max_l_prodbas", "innermost_max", "logarithmic", "include_min_basis", "pure_gaussian"),
        *("aux_gaussian", "for_aux", "core", "core_states", "cut_core", "cut_free_atom", "cut_atomic"),
        *("hirshfeld_param", "plus_u", "cite_reference"),
    }
)
_ENERGY = re.compile(r"(Total energy uncorrected|Electronic free energy)\s*:\s*(\S+) eV")
"""In eV alone: what a cycle ends with."""
_SMEARING = "gaussian 0.01"
"""Of FHI-aims where control.in tells none."""
_PASSED_OVER = frozenset({"mass", "cite_reference", "logarithmic"})
_MORE = re.compile(r"vdw_.*|many_body_dispersion.*|d3_.*|xdm.*|total_energy_method|qpe_calc|sc_self_energy|sc_gw|mp2")
"""Keywords by which energies or gaps are others than those of the functional."""


def read_aims(path: Path, place: str) -> DoneCalculation:
    """The calculation of an output.

    Parameters
    ----------
    path : Path
        The output, plain or compressed with gzip.
    place : str
        How it is called.

    Raises
    ------
    InputError, OracleError
        The file cannot be read.
    """
    reader = _Reader()
    verdict = judge_run(path, watch=reader.take)
    control = reader.control or _lines_of(path.parent / "control.in")
    geometry = reader.geometry or _lines_of(path.parent / "geometry.in")
    keywords, species, level = _control(control)
    first = _cell(geometry)
    cell = (_cell(reader.last) if reader.last else None) or first
    if cell is not None and first is not None:
        cell = cell.model_copy(update={"moments": _moments(geometry, keywords, len(first.symbols))})
    is_relaxed = keywords.get("relax_geometry", "none").split()[:1] != ["none"]
    grid = _grid(keywords)
    gap, gap_from = _gap(path.parent, verdict, keywords)
    return DoneCalculation(
        place=place,
        failure=_failure(verdict, cell, keywords),
        cell=cell,
        energy=verdict.energy_eV if verdict.verdict == "finished" else None,
        gap=gap,
        gap_from=gap_from,
        relaxed=is_relaxed,
        version=verdict.version or "",
        settings=_settings(keywords, level, grid, cell),
        species=species,
        k_density=_density(first or cell, keywords, grid),
        entropy=reader.entropy,
    )


class _Reader:
    """Keeps of an output the inputs that it repeats, the last structure, and the last energies with and without -TS."""

    def __init__(self) -> None:
        self.control: list[str] = []
        self.geometry: list[str] = []
        self.last: list[str] = []
        self.energies: dict[str, float] = {}
        self._part: list[str] | None = None
        self._is_structure = False

    def take(self, line: str) -> None:
        if self._part is not None:
            self._continue(line, self._part)
        elif line.endswith("atomic structure:") and ("Updated" in line or "Final" in line):
            self.last = self._part = []
            self._is_structure = True
        elif "will be repeated verbatim below" in line:
            is_control = "control.in" in line
            self._part, self._is_structure = (self.control if is_control else self.geometry), False
            self._part.clear()
        elif "energy uncorrected" in line or "Electronic free energy  " in line:
            if found := _ENERGY.search(line):
                self.energies[found[1]] = _number(found[2])
        elif "Invoking FHI-aims" in line:
            self.__init__()

    @property
    def entropy(self) -> float | None:
        """Size of -TS in eV for the cell; None where the output does not tell it."""
        entropy = abs(
            self.energies.get("Electronic free energy", math.nan)
            - self.energies.get("Total energy uncorrected", math.nan)
        )
        return entropy if math.isfinite(entropy) else None

    def _continue(self, line: str, part: list[str]) -> None:
        text = line.strip()
        if self._is_structure:
            if text.startswith(("lattice_vector", "atom")):
                part.append(text)
            elif text and not text.startswith("x ["):
                self._part = None
        elif text.startswith("Completed first pass over input file"):
            self._part = None
        else:
            part.append(text)


def _lines_of(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return []


def _control(lines: Iterable[str]) -> tuple[dict[str, str], dict[str, str], str]:
    """Keywords with their values, species by their elements, and the name of the set of species that comments tell."""
    keywords: dict[str, str] = {}
    blocks: dict[str, list[str]] = {}
    block: list[str] | None = None
    named: set[str] = set()
    for line in lines:
        if line.startswith("#"):
            if match := _SET.search(line):
                named.add(match[1].lower())
            continue
        words = line.partition("#")[0].split()
        if not words or not _KEYWORD.fullmatch(words[0]):
            continue
        if words[0] == "species" and len(words) > 1:
            block = blocks.setdefault(_element(words[1]), [])
            block.clear()
        elif block is not None and words[0] in _SPECIES_KEYWORDS:
            if words[0] not in _PASSED_OVER:
                block.append(" ".join([words[0], *map(_plain_number, words[1:])]))
        else:
            keywords[words[0]] = " ".join(map(_plain_number, words[1:]))
    species = {element: "; ".join(sorted(block)) for element, block in blocks.items()}
    return keywords, species, " and ".join(sorted(named)) or "of their own"


def _element(name: str) -> str:
    match = re.match(r"[A-Z][a-z]?", name)
    return match[0] if match else name


def _plain_number(word: str) -> str:
    try:
        number = float(word.replace("d", "e").replace("D", "e")) if word[:1] in "0123456789+-." else math.nan
    except ValueError:
        number = math.nan
    return f"{number:.10g}" if math.isfinite(number) else word.lower()


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:  # asterisks of a number without room
        return math.nan


def _cell(lines: Iterable[str]) -> Cell | None:
    vectors, places, symbols, shares = [], [], [], []
    for line in lines:
        words = line.partition("#")[0].split()
        try:
            if words[:1] == ["lattice_vector"]:
                vectors.append([float(word) for word in words[1:4]])
            elif words[:1] in (["atom"], ["atom_frac"]):
                places.append([float(word) for word in words[1:4]])
                symbols.append(_element(words[4]))
                shares.append(words[0] == "atom_frac")
        except (ValueError, IndexError):
            return None
    if not symbols or len(vectors) not in (0, 3) or any(len(row) != 3 for row in (*vectors, *places)):
        return None
    if any(shares) and not vectors:
        return None
    cartesian = [
        [sum(part * vector[axis] for part, vector in zip(place, vectors, strict=True)) for axis in range(3)]
        if share
        else place
        for place, share in zip(places, shares, strict=True)
    ]
    return Cell.model_validate({"symbols": symbols, "positions": cartesian, "lattice": vectors or None})


def _moments(lines: Iterable[str], keywords: dict[str, str], n_atoms: int) -> tuple[float, float]:
    """Sum of the initial moments and of their sizes; atoms without one have the default one."""
    if not keywords.get("spin", "none").startswith("collinear"):
        return 0.0, 0.0
    words = [line.split() for line in lines]
    try:
        given = [float(one[1]) for one in words if one[:1] == ["initial_moment"]]
        others = float(keywords.get("default_initial_moment", "0"))
    except (ValueError, IndexError):  # "hund" is a word
        return 0.0, 0.0
    moments = [*given, *[others] * max(0, n_atoms - len(given))]
    return sum(moments), sum(map(abs, moments))


def _settings(
    keywords: dict[str, str], level: str, grid: tuple[int, int, int] | None, cell: Cell | None
) -> dict[str, str]:
    """Values by the names of `SETTINGS`."""
    settings = {"code": CODE}
    if xc := _functional(keywords):
        settings["xc"] = xc
    settings["relativity"] = keywords.get("relativistic", "none") + (
        ", spin-orbit coupling" if "include_spin_orbit" in keywords else ""
    )
    settings["species"] = level
    if cell is None or cell.lattice is not None:
        density = keywords.get("k_grid_density")
        told = " ".join(map(str, grid)) if grid else f"density {density}" if density else None
        settings |= {} if told is None else {"k_grid": told}
    settings["spin"] = "collinear" if keywords.get("spin", "none").startswith("collinear") else "none"
    scheme, *width = keywords.get("occupation_type", _SMEARING).split() or [""]
    settings["smearing"] = " ".join([scheme, *width[:1], "eV", *(f"order {word}" for word in width[1:])])
    return settings


def _functional(keywords: dict[str, str]) -> str:
    """The functional with its parameters and what is added for dispersion or computed on top of it (RPA, GW)."""
    words = keywords.get("xc", "").split()
    if not words:
        return ""
    unit = keywords.get("hse_unit", "")[:1]
    if words[0].startswith("hse"):
        words.append({"b": "1/bohr", "a": "1/Å"}.get(unit, "without unit"))
    if (share := keywords.get("hybrid_xc_coeff", "0.25")) != "0.25":
        words.append(f"with {share} exact exchange")
    more = sorted(f"{key} {keywords[key]}".strip() for key in keywords if _MORE.fullmatch(key))
    return " + ".join([" ".join(words), *more])


def _grid(keywords: dict[str, str]) -> tuple[int, int, int] | None:
    try:
        first, second, third = (int(word) for word in keywords.get("k_grid", "").split())
    except ValueError:
        return None
    return first, second, third


def _density(
    cell: Cell | None, keywords: dict[str, str], grid: tuple[int, int, int] | None
) -> tuple[float, float] | None:
    """The range of densities of the k-points."""
    if cell is None or cell.lattice is None:
        return None
    if grid is not None:
        return density_range(cell, grid)
    try:
        density = float(keywords["k_grid_density"].split()[0])
    except (KeyError, ValueError, IndexError):
        return None
    return density, density


def _gap(folder: Path, verdict: RunVerdict, keywords: dict[str, str]) -> tuple[float | None, str]:
    """The gap of the band files where the run wrote them, else that of its k-points; that of quasi-particles where it has some."""
    if verdict.verdict != "finished":
        return None, ""
    if verdict.gap_definition:
        return verdict.gap_eV, "bands" if verdict.gap_definition == GAP_OF_BANDS else "k-points"
    if keywords.get("output", "").startswith("band") and any(folder.glob("band[12]*.out")):
        try:
            return read_bands(folder).gap, "bands"
        except (InputError, OracleError):  # bands that are damaged cost no energy
            return verdict.gap_eV, "k-points"
    return verdict.gap_eV, "k-points"


def _failure(verdict: RunVerdict, cell: Cell | None, keywords: dict[str, str]) -> str:
    if verdict.verdict != "finished":
        return f"{verdict.verdict}: {verdict.reason}"
    if cell is None:
        return "no structure: the output repeats no geometry.in, and none lies beside it"
    if "xc" not in keywords:
        return "no settings: the output repeats no control.in, and none lies beside it"
    if len(cell.symbols) != verdict.n_atoms:
        return f"{verdict.n_atoms} atoms were computed, but the structure has {len(cell.symbols)}"
    try:
        charge = float(keywords.get("charge", "0"))
    except ValueError:
        charge = math.nan
    return "" if charge == 0 else f"the cell is charged ({keywords['charge']})"
