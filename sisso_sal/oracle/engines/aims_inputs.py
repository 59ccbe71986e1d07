"""FHI-aims inputs: settings that are checked before anything runs, control.in and geometry.in.

The keywords are those of the FHI-aims manual. Geometry and keyword lines are written by pyfhiaims; the species are copied as they
are from the defaults that come with FHI-aims, because a wrong folder would silently give an input without basis functions.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sisso_sal.errors import InputError, SettingsError
from sisso_sal.settings.calculation import first_problem
from sisso_sal.system.storage import write_whole

if TYPE_CHECKING:
    from pymatgen.core import Molecule, Structure

__all__ = ["PRESETS", "AimsSettings", "band_lines", "preset", "species_files", "write_inputs"]

_MANAGED = frozenset(
    {
        *("xc", "hse_unit", "hybrid_xc_coeff", "relativistic", "spin", "k_grid", "k_grid_density", "relax_geometry"),
        *("relax_unit_cell", "max_relaxation_steps", "sc_iter_limit", "charge_mix_param", "occupation_type", "output"),
        *("species", "exx_band_structure_version"),
    }
)
STARTING_MOMENT = 1.0
"""Of each atom in a spin-polarised run of a structure without moments, in Bohr magnetons: zero would find no magnetic solution."""

_UNREAD = ("sc_self_energy", "sc_gw", "mp2")  # beyond a functional, with results that nothing here reads
_SAME_LATTICE = 5e-3  # a relaxation leaves a cubic cell cubic to within less than this
_KEYWORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class AimsSettings(BaseModel):
    """What one FHI-aims calculation computes and how.

    Parameters
    ----------
    xc : {"pbe", "pbesol", "pw-lda", "hse06", "pbe0"}
        Exchange-correlation functional.
    hse_omega : float
        Screening parameter of HSE06, in 1/bohr.
    hybrid_coefficient : float
        Share of exact exchange of HSE06 and PBE0.
    relativistic : str
    spin : {"auto", "none", "collinear"}
        "auto" is collinear where the structure has moments; "collinear" without moments starts from 1 Bohr magneton at each atom.
    k_grid_density : float
        Points per 1/Å along each reciprocal vector.
    k_grid : tuple of int, optional
        The grid itself instead of its density.
    relax : {"none", "bfgs", "trm"}
    force_tolerance : float
        Largest force component of a relaxed structure, in eV/Å.
    relax_unit_cell : {"none", "full", "fixed_angles"}
    trust_radius : float, optional
        Of the first step of a relaxation, in Å; by default FHI-aims chooses.
    max_relaxation_steps, sc_iter_limit : int
    charge_mix_param : float, optional
        By default FHI-aims chooses.
    smearing : float, optional
        Width of Gaussian occupations, in eV; by default FHI-aims chooses.
    bands : bool
        Bands along ASE's path for the lattice.
    band_density : float
        Points per 1/Å along the path.
    species_dir : str, optional
        The ``species_defaults`` folder of FHI-aims, one below it, or a folder of species files; by default ``$AIMS_SPECIES_DIR``.
    species : {"light", "intermediate", "tight", "really_tight"}
        Set of species below `species_dir`.
    extra : mapping of str to str
        Further keywords, written as they are.

    Examples
    --------
    >>> AimsSettings(xc="hse06").is_hybrid
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    xc: Literal["pbe", "pbesol", "pw-lda", "hse06", "pbe0"] = "pbe"
    hse_omega: float = Field(default=0.11, gt=0)
    hybrid_coefficient: float = Field(default=0.25, ge=0, le=1)
    relativistic: Literal["atomic_zora scalar", "none"] = "atomic_zora scalar"
    spin: Literal["auto", "none", "collinear"] = "auto"
    k_grid_density: float = Field(default=5.0, gt=0)
    k_grid: tuple[int, int, int] | None = None
    relax: Literal["none", "bfgs", "trm"] = "none"
    force_tolerance: float = Field(default=1e-2, gt=0)
    relax_unit_cell: Literal["none", "full", "fixed_angles"] = "full"
    trust_radius: float | None = Field(default=None, gt=0)
    max_relaxation_steps: int = Field(default=100, ge=1)
    sc_iter_limit: int = Field(default=200, ge=1)
    charge_mix_param: float | None = Field(default=None, gt=0, le=1)
    smearing: float | None = Field(default=None, gt=0)
    bands: bool = False
    band_density: float = Field(default=20.0, gt=0)
    species_dir: str | None = None
    species: Literal["light", "intermediate", "tight", "really_tight"] = "light"
    extra: dict[str, str] = {}

    @field_validator("k_grid")
    @classmethod
    def _positive(cls, grid: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
        if grid is not None and min(grid) < 1:
            raise ValueError("positive numbers")
        return grid

    @model_validator(mode="after")
    def _plain_extras(self) -> AimsSettings:
        for key, value in self.extra.items():
            if not _KEYWORD.fullmatch(key) or "\n" in value:
                raise ValueError(f"one keyword and its value on one line for extra '{key}'")
            if key in _MANAGED:
                raise ValueError(f"a keyword that has no setting of its own, not extra '{key}'")
            if key in _UNREAD or (key == "total_energy_method" and value.strip() != "rpa"):
                raise ValueError(
                    f"a method whose result is read (qpe_calc, total_energy_method rpa), not extra '{key}'"
                )
        return self

    @property
    def is_hybrid(self) -> bool:
        """Whether exact exchange takes part."""
        return self.xc in ("hse06", "pbe0")

    def keywords(self, *, periodic: bool, magnetic: bool) -> dict[str, Any]:
        """Keyword -> value, in the order of control.in, without the `output` lines."""
        spin = ("collinear" if magnetic else "none") if self.spin == "auto" else self.spin
        lines: dict[str, Any] = {"xc": f"hse06 {self.hse_omega:g}" if self.xc == "hse06" else self.xc}
        if self.xc == "hse06":
            lines["hse_unit"] = "bohr-1"
        if self.is_hybrid:
            lines["hybrid_xc_coeff"] = self.hybrid_coefficient
        lines |= {"relativistic": self.relativistic, "spin": spin, "sc_iter_limit": self.sc_iter_limit}
        if spin == "collinear" and not magnetic:  # FHI-aims stops where a polarised run has no moments to start from
            lines["default_initial_moment"] = STARTING_MOMENT
        if self.charge_mix_param is not None:
            lines["charge_mix_param"] = self.charge_mix_param
        if self.smearing is not None:
            lines["occupation_type"] = f"gaussian {self.smearing:g}"
        if periodic:
            lines |= {"k_grid": self.k_grid} if self.k_grid else {"k_grid_density": self.k_grid_density}
        if self.relax != "none":
            lines["relax_geometry"] = f"{self.relax} {self.force_tolerance:.1e}"
            lines["max_relaxation_steps"] = self.max_relaxation_steps
            if periodic:
                lines["relax_unit_cell"] = self.relax_unit_cell
        if self.bands and self.is_hybrid:
            lines["exx_band_structure_version"] = 1
        return lines | self.extra


PRESETS: dict[str, dict[str, Any]] = {
    "relax": {"xc": "pbe", "relax": "bfgs", "species": "light"},
    "static": {"xc": "hse06", "species": "light"},
    "bands": {"xc": "hse06", "species": "light", "bands": True},
    "relax-intermediate": {"xc": "pbe", "relax": "bfgs", "species": "intermediate"},
    "static-intermediate": {"xc": "hse06", "species": "intermediate"},
    "relax-tight": {"xc": "pbe", "relax": "bfgs", "force_tolerance": 5e-3, "species": "tight"},
    "static-tight": {"xc": "hse06", "species": "tight"},
}
"""Settings by name: the published workflow (PBE relaxation, HSE06 at 0.11 1/bohr on top), and finer numerical settings."""


def preset(name: str, **changes: Any) -> AimsSettings:
    """Settings of a preset, with changes.

    Raises
    ------
    SettingsError
        The preset is unknown, or a change is unknown or out of range.

    Examples
    --------
    >>> preset("relax", force_tolerance=5e-3).keywords(periodic=True, magnetic=False)["relax_geometry"]
    'bfgs 5.0e-03'
    """
    from pydantic import ValidationError

    if name not in PRESETS:
        raise SettingsError(f"FHI-aims preset '{name}': needs one of {', '.join(PRESETS)}")
    try:
        return AimsSettings(**{**PRESETS[name], **changes})
    except ValidationError as error:
        raise SettingsError(f"FHI-aims preset '{name}': {first_problem(error, AimsSettings)}") from error


def species_files(symbols: Iterable[str], settings: AimsSettings) -> dict[str, Path]:
    """The species file of each element, found before anything is written.

    Parameters
    ----------
    symbols : iterable of str
    settings : AimsSettings

    Returns
    -------
    dict of str to Path
        By atomic number.

    Raises
    ------
    InputError
        No folder is given or it does not exist, or a species is missing in it.
    """
    from pymatgen.core import Element

    folder = settings.species_dir or os.environ.get("AIMS_SPECIES_DIR", "").strip()
    if not folder:
        raise InputError("FHI-aims: needs the folder of species defaults, set species_dir or AIMS_SPECIES_DIR")
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise InputError(f"FHI-aims species: {folder} is not a folder")
    wanted = sorted({Element(symbol) for symbol in symbols}, key=lambda e: e.Z)
    names = {e.symbol: f"{e.Z:02d}_{e.symbol}_default" for e in wanted}
    places = [
        root / settings.species,
        root / "defaults_2020" / settings.species,
        root / "defaults_2010" / settings.species,
    ]
    if root.name == settings.species or not any(place.is_dir() for place in places):
        places = [root]
        if not any(root.glob("*_default")):
            raise InputError(f"FHI-aims species: {folder} has neither a set '{settings.species}' nor species files")
    for place in places:
        if place.is_dir() and all((place / name).is_file() for name in names.values()):
            return {symbol: _checked_species(place / name, symbol) for symbol, name in names.items()}
    place = next(place for place in places if place.is_dir())
    missing = [name for name in names.values() if not (place / name).is_file()]
    raise InputError(f"FHI-aims species: {place} lacks {', '.join(missing)}")


def _checked_species(file: Path, symbol: str) -> Path:
    text = file.read_text(encoding="utf-8", errors="replace")
    if re.search(rf"^\s*species\s+{symbol}\s*$", text, re.MULTILINE) is None:
        raise InputError(f"FHI-aims species: {file} needs a line 'species {symbol}', has none")
    return file


def band_lines(structure: Structure, density: float) -> list[str]:
    """The `output band` lines along ASE's path for the lattice.

    Parameters
    ----------
    structure : pymatgen Structure
    density : float
        Points per 1/Å of reciprocal length (with 2 pi).

    Returns
    -------
    list of str
        ``band`` start, end (fractions of the reciprocal vectors), number of points, labels; at least two points each.
    """
    from ase.cell import Cell
    from ase.dft.kpoints import parse_path_string

    cell = Cell(structure.lattice.matrix)
    path = cell.bandpath(npoints=0, eps=_SAME_LATTICE)
    reciprocal = 2 * np.pi * np.asarray(cell.reciprocal())
    lines = []
    for part in parse_path_string(path.path):
        for first, last in itertools.pairwise(part):
            start, end = path.special_points[first], path.special_points[last]
            points = max(2, round(float(np.linalg.norm((end - start) @ reciprocal)) * density))
            numbers = "  ".join(f"{x:10.7f}" for x in (*start, *end))
            lines.append(f"band {numbers} {points:4d} {first} {last}")
    return lines


def write_inputs(folder: str | os.PathLike[str], structure: Structure | Molecule, settings: AimsSettings) -> None:
    """Write control.in and geometry.in.

    Parameters
    ----------
    folder : path
        Must exist.
    structure : pymatgen Structure or Molecule
        Site property "magmom", in Bohr magnetons, gives the initial moments.
    settings : AimsSettings

    Raises
    ------
    InputError
        A species is missing, or pyfhiaims is not installed.
    SissoSalError
        A file cannot be written.
    """
    try:
        from pyfhiaims.control import AimsControl
        from pyfhiaims.geometry import AimsGeometry
        from pymatgen.core import Structure
    except ImportError:
        raise InputError("FHI-aims: needs pyfhiaims; pip install 'sisso-sal[dft]'") from None
    species = species_files({site.specie.symbol for site in structure}, settings)
    moments = [float(site.properties.get("magmom") or 0) for site in structure]
    periodic = isinstance(structure, Structure)
    keywords = settings.keywords(periodic=periodic, magnetic=any(moments))
    plain = structure.copy()
    for name in list(plain.site_properties):
        plain.remove_site_property(name)
    if any(moments) and keywords["spin"] == "collinear":
        plain.add_site_property("magmom", moments)
    geometry = AimsGeometry.from_structure(plain)
    outputs = (
        band_lines(structure, settings.band_density) if settings.bands and isinstance(structure, Structure) else []
    )
    if keywords["spin"] == "collinear":
        outputs = ["mulliken", *outputs]  # the moments that were found
    control = AimsControl(parameters=keywords, outputs=outputs).get_content(geometry)
    texts = [file.read_text(encoding="utf-8", errors="replace").rstrip() + "\n" for file in species.values()]
    radius = f"trust_radius {settings.trust_radius:g}\n" if settings.trust_radius and settings.relax != "none" else ""
    write_whole(Path(folder, "geometry.in"), f"{geometry.to_string()}\n{radius}")
    write_whole(Path(folder, "control.in"), control + "\n".join(texts))
