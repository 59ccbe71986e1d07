"""Checks of a machine: versions, cores, the compiler's cache, and the programs for first-principles labels."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sisso_sal.errors import SissoSalError
from sisso_sal.oracle.registry import check_oracle
from sisso_sal.system.machine import usable_cores

if TYPE_CHECKING:
    from sisso_sal.settings.campaign import CampaignSettings

DISTRIBUTION = "sisso-sal"
EXTRAS = ("report", "structures", "excel", "sympy", "dft", "cluster")
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
    """Check everything that a run can need; only the compiler's cache is changed.

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
        _mpi(),
        _slurm(),
        _taskblaster(),
        _engine("GPAW", "gpaw", "CC=g++ pip install gpaw"),
        _program("Elk", ("elk", "elk-lapw"), "optional, apt-get install elk-lapw"),
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
    seen: set[str] = set()
    for names in extras.values():  # some bring others
        names[:] = [name for name in names if name not in seen]
        seen.update(names)
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
        reason = str(error).strip().partition("\n")[0]
        return Check(
            name, "problem", f"{type(error).__name__}: {reason}; NUMBA_CACHE_DIR can name a writable cache folder"
        )
    if not folder or not os.access(folder, os.W_OK):
        return Check(name, "problem", f"cache folder {folder} is not writable; name another in NUMBA_CACHE_DIR")
    return Check(name, "ok", f"works, keeps its code in {folder}")


def _aims_command(configured: str | None = None) -> Check:
    name, source = "FHI-aims", "command" if configured else "AIMS_COMMAND"
    command = configured or os.environ.get("AIMS_COMMAND", "").strip()
    if command:
        program = command.split()[0]
        if shutil.which(program) is None:
            return Check(name, "problem", f"{source} is {command!r}, but there is no program {program!r}")
        return Check(name, "ok", f"{source} is {command!r}")
    program_path = shutil.which("aims.x") or shutil.which("aims")
    if program_path is None:
        return Check(name, "missing", "no aims.x on the PATH; set AIMS_COMMAND to run it, for instance 'srun aims.x'")
    return Check(name, "ok", program_path)


def _species_folder(folder_given: str | None = None) -> Check:
    """Judge the folder, else $AIMS_SPECIES_DIR: a set of species files, or a folder of such sets one or two levels below."""
    name, source = "FHI-aims species", "species_dir" if folder_given else "AIMS_SPECIES_DIR"
    path = folder_given or os.environ.get("AIMS_SPECIES_DIR", "").strip()
    if not path:
        return Check(name, "missing", "set AIMS_SPECIES_DIR to the species_defaults folder of FHI-aims")
    folder = Path(path)
    if not folder.is_dir():
        return Check(name, "problem", f"{source} is {path!r}, which is not a folder")
    sets: dict[str, int] = {}
    files = (file for pattern in ("*", "*/*", "*/*/*") for file in folder.glob(pattern))
    for file in islice(files, _FILES_LOOKED_AT):
        if _SPECIES_FILE.fullmatch(file.name) and _defines_species(file):
            place = "files" if file.parent == folder else str(file.parent.relative_to(folder))
            sets[place] = sets.get(place, 0) + 1
    if not sets:
        return Check(name, "problem", f"{source} is {path!r}, but it holds no species file such as 08_O_default")
    listed = ", ".join(f"{place} ({count})" for place, count in sorted(sets.items()))
    return Check(name, "ok", f"{path}: {listed}")


def _defines_species(file: Path) -> bool:
    try:
        return re.search(r"^\s*species\s+\w", file.read_text(errors="replace"), re.MULTILINE) is not None
    except OSError:
        return False


def _program(name: str, commands: tuple[str, ...], advice: str) -> Check:
    """Whether one of these programs is on the PATH."""
    path = next(filter(None, map(shutil.which, commands)), None)
    return (
        Check(name, "missing", f"no {commands[0]} on the PATH; {advice}") if path is None else Check(name, "ok", path)
    )


def _mpi() -> Check:
    return _program(
        "MPI", ("srun", "mpirun", "mpiexec"), "FHI-aims runs in parallel through one of srun, mpirun, mpiexec"
    )


def _slurm() -> Check:
    return _program("Slurm", ("sbatch",), "calculations run on this machine only")


def _engine(name: str, module: str, install: str) -> Check:
    if importlib.util.find_spec(module) is None:
        return Check(name, "missing", f"optional, {install}")
    try:
        return Check(name, "ok", importlib.metadata.version(module))
    except importlib.metadata.PackageNotFoundError:  # on the path without having been installed
        return Check(name, "ok", "of unknown version")


def _taskblaster() -> Check:
    """Make a repository in a scratch folder, as a workflow does."""
    name = "workflow"
    if importlib.util.find_spec("taskblaster") is None:
        return Check(name, "missing", f"needs Taskblaster; pip install '{DISTRIBUTION}[dft]'")
    try:
        from sisso_sal.oracle.workflow.outcomes import Question
        from sisso_sal.oracle.workflow.tasks import Workflow

        with tempfile.TemporaryDirectory() as folder:
            Workflow(folder, {}, question=Question(quantity="band_gap")).submit("MgO", "probe")
    except Exception as error:  # a broken installation fails in ways of its own
        reason = str(error).strip().partition("\n")[0]
        return Check(name, "problem", f"{type(error).__name__}: {reason}")
    return Check(name, "ok", "Taskblaster takes on a calculation")


def oracle_check(settings: "CampaignSettings", level: str = "") -> Check:
    """Whether the oracle that settings name could begin on this machine.

    Parameters
    ----------
    settings : CampaignSettings
    level : str
        Name of the level of theory that they are for, where there are several.

    Returns
    -------
    Check
        "ok" with what would run, "problem" with the line that `discover` would end with.
    """
    name = f"oracle of {level}" if level else "oracle"
    try:
        computes = check_oracle(settings)
    except SissoSalError as error:
        return Check(name, "problem", str(error))
    return Check(name, "ok", computes or f"{settings.run.oracle}, needs no calculations")


def aims_test_run(command: str | None = None, species_dir: str | None = None, seconds: float = 300.0) -> Check:
    """Compute a cell of two atoms with the FHI-aims of this machine: PBE, light species, one k-point per direction.

    Parameters
    ----------
    command, species_dir : str, optional
        By default ``$AIMS_COMMAND``, else ``aims.x``, and ``$AIMS_SPECIES_DIR``.
    seconds : float
        After which the run is ended.

    Returns
    -------
    Check
        "ok" with the energy, "problem" with the verdict, "missing" without a program or species.
    """
    name = "FHI-aims test run"
    program, species = _aims_command(command), _species_folder(species_dir)
    for needed in (program, species):
        if needed.status != "ok":
            return Check(name, needed.status, f"{needed.name}: {needed.detail}")
    from sisso_sal.oracle.engines.aims import run_aims
    from sisso_sal.oracle.engines.aims_inputs import AimsSettings
    from sisso_sal.oxides.prototypes import prototype_structure

    words = command or os.environ.get("AIMS_COMMAND", "").strip() or program.detail
    settings = AimsSettings(k_grid=(1, 1, 1), species_dir=species_dir)
    oxide = prototype_structure("rocksalt", {"A": ("Mg", 2.0)})
    try:
        with tempfile.TemporaryDirectory() as folder:
            verdict = run_aims(folder, oxide, settings, command=words, walltime=seconds)
    except SissoSalError as error:
        return Check(name, "problem", str(error))
    if verdict.verdict != "finished":
        return Check(name, "problem", f"MgO, two atoms: {verdict.verdict}: {verdict.reason}")
    return Check(name, "ok", f"MgO, two atoms: {verdict.energy_eV:.3f} eV by version {verdict.version}")
