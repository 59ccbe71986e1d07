"""What a machine offers: versions, cores, the compiler's cache, and the tools for first-principles labels."""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from sisso_sal.machine import usable_cores

DISTRIBUTION = "sisso-sal"
EXTRAS = ("dft", "cluster")
OLDEST_PYTHON = (3, 11)
_SPECIES_FILE = re.compile(r"\d\d\d?_[A-Z][a-z]?_default")
_FILES_LOOKED_AT = 20_000


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, "ok", "missing" or "problem", and what was seen or is to be done."""

    name: str
    status: Literal["ok", "missing", "problem"]
    detail: str

    def as_dict(self) -> dict[str, str]:
        """The fields as a dictionary that JSON can hold."""
        return asdict(self)


def doctor_checks() -> list[Check]:
    """Look at everything that a run can need; nothing is changed, but for the compiler's cache.

    Returns
    -------
    list of Check
        "missing" marks what is optional and absent, "problem" what will hinder a run.

    Examples
    --------
    >>> {check.status for check in doctor_checks()} <= {"ok", "missing", "problem"}
    True
    """
    core, extras = declared_packages()
    return [
        _python(),
        *(_package(name, needed=True) for name in (DISTRIBUTION, *core)),
        _compiler(),
        Check("cores", "ok", f"{usable_cores()} usable of {os.cpu_count()}"),
        *(_package(name, extra=extra) for extra, names in extras.items() for name in names),
        _aims_command(),
        _species_folder(),
        _slurm(),
    ]


def declared_packages() -> tuple[list[str], dict[str, list[str]]]:
    """Names of the packages the installed program asks for: those it needs, and those of each extra for users."""
    core: list[str] = []
    extras: dict[str, list[str]] = {extra: [] for extra in EXTRAS}
    try:
        declared = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        declared = []
    for line in declared:
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", line)
        if extra is None:
            core.append(name)
        elif extra[1] in extras:
            extras[extra[1]].append(name)
    return core, extras


def _python() -> Check:
    needed = ".".join(map(str, OLDEST_PYTHON))
    detail = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < OLDEST_PYTHON:
        return Check("python", "problem", f"{detail}; needs {needed} or newer")
    return Check("python", "ok", detail)


def _package(name: str, needed: bool = False, extra: str = "") -> Check:
    try:
        return Check(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        wanted = f"{DISTRIBUTION}[{extra}]" if extra else name
        return Check(name, "problem" if needed else "missing", f"not installed; pip install '{wanted}'")


def _probe(x: float) -> float:
    return 2.0 * x


def _compiler() -> Check:
    """Compile a function as the kernels are compiled, beside them, and see where the result is kept."""
    name = "numba compiler"
    try:
        import numba

        compiled = numba.jit(nopython=True, cache=True)(_probe)
        if not hasattr(compiled, "stats"):
            return Check(name, "problem", "switched off by NUMBA_DISABLE_JIT; fits will be very slow")
        if compiled(2.0) != 4.0:
            return Check(name, "problem", "compiled code gives wrong results")
        folder = compiled.stats.cache_path
    except Exception as error:
        told = str(error).strip().partition("\n")[0]
        return Check(
            name, "problem", f"{type(error).__name__}: {told}; NUMBA_CACHE_DIR can name a writable cache folder"
        )
    if not folder or not os.access(folder, os.W_OK):
        return Check(name, "problem", f"cache folder {folder} is not writable; name another in NUMBA_CACHE_DIR")
    return Check(name, "ok", f"works, keeps its code in {folder}")


def _aims_command() -> Check:
    name, command = "FHI-aims", os.environ.get("AIMS_COMMAND", "").strip()
    if command:
        program = command.split()[0]
        if shutil.which(program) is None:
            return Check(name, "problem", f"AIMS_COMMAND is {command!r}, but there is no program {program!r}")
        return Check(name, "ok", f"AIMS_COMMAND is {command!r}")
    found = shutil.which("aims.x") or shutil.which("aims")
    if found is None:
        return Check(name, "missing", "no aims.x on the PATH; set AIMS_COMMAND to run it, for instance 'srun aims.x'")
    return Check(name, "ok", found)


def _species_folder() -> Check:
    """Judge $AIMS_SPECIES_DIR: a set of species files, or a folder of such sets one or two levels below."""
    name, given = "FHI-aims species", os.environ.get("AIMS_SPECIES_DIR", "").strip()
    if not given:
        return Check(name, "missing", "set AIMS_SPECIES_DIR to the species_defaults folder of FHI-aims")
    folder = Path(given)
    if not folder.is_dir():
        return Check(name, "problem", f"AIMS_SPECIES_DIR is {given!r}, which is not a folder")
    sets: dict[str, int] = {}
    files = (file for pattern in ("*", "*/*", "*/*/*") for file in folder.glob(pattern))
    for file in islice(files, _FILES_LOOKED_AT):
        if _SPECIES_FILE.fullmatch(file.name) and _defines_species(file):
            place = "files" if file.parent == folder else str(file.parent.relative_to(folder))
            sets[place] = sets.get(place, 0) + 1
    if not sets:
        return Check(
            name, "problem", f"AIMS_SPECIES_DIR is {given!r}, but it holds no species file such as 08_O_default"
        )
    told = ", ".join(f"{place} ({count})" for place, count in sorted(sets.items()))
    return Check(name, "ok", f"{given}: {told}")


def _defines_species(file: Path) -> bool:
    try:
        return re.search(r"^\s*species\s+\w", file.read_text(errors="replace"), re.MULTILINE) is not None
    except OSError:
        return False


def _slurm() -> Check:
    found = shutil.which("sbatch")
    if found is None:
        return Check("Slurm", "missing", "no sbatch on the PATH; calculations run on this machine only")
    return Check("Slurm", "ok", found)
