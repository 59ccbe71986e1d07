"""FHI-aims outputs: the results of a run, and whether they can be trusted.

The text of the output is read line by line with the standard library, so a verdict needs no first-principles package.
"""

import gzip
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from sisso_sal.errors import InputError, OracleError
from sisso_sal.oracle.engines.aims_beyond import RPA_DEFINITION, BeyondTrace

Verdict = Literal["finished", "scf_not_converged", "relaxation_not_converged", "interrupted", "failed"]

ENERGY_DEFINITION = "total energy uncorrected"

_ENERGY = re.compile(r"\| Total energy uncorrected\s*:\s*(\S+)\s+eV")
_GAP = re.compile(r"HOMO-LUMO gap\s*:\s*(\S+)\s+eV")
_ATOMS = re.compile(r"\| Number of atoms\s*:\s*(\d+)\s*$")
_VERSION = re.compile(r"FHI-aims version\s*:\s*(\S+)|^\s*Version\s+(\d{6}\S*)")
_KILLED = re.compile(r"killed by signal|due to time limit|oom[-_ ]?kill|out of memory|cancelled at|^killed\b", re.I)
_SPECIES = re.compile(r"\|\s*\d+: Species\s+([A-Z][a-z]?)\b")
_TASKS = re.compile(r"Using\s+(\d+) parallel tasks")
_CRASHED = re.compile(
    r"segmentation fault|sigsegv|forrtl: severe|mpi_abort|aims_stop|no space left|disk quota exceeded|^\*+ *(?:fatal|error)\b",
    re.I,
)
_STOPPED = re.compile(r"^\*{3} *(?!warning)\w|^\*\* *(?!warning)\w+ *:", re.I)
_FULL = re.compile(r"no space left|disk quota exceeded", re.I)
_STOPS = "the run stopped with: "
_ENDS = "the output ends "
_LINE_LIMIT = 65_536
_OF_QUASI_PARTICLES = ("vbm_eV", "cbm_eV", "gap_definition")
_KEEP = 120


@dataclass(frozen=True, kw_only=True)
class RunVerdict:
    """What one FHI-aims output says about its run.

    Only the numbers of a run with the verdict "finished" may become labels; those of any other run are the last ones
    that were printed, given as a hint to whoever looks for the cause.

    Attributes
    ----------
    verdict : str
        "finished" (self-consistent, relaxed where that was asked for, and closed with a nice day), "scf_not_converged",
        "relaxation_not_converged", "interrupted" (ended from outside, or still running) or "failed" (ended by itself
        with an error, without a usable energy, or not an FHI-aims output at all). An output without its head, which a wrapper
        or a full disk may have taken, is judged by what it holds.
    reason : str
        One line.
    energy_eV : float or None
        The last "Total energy uncorrected", in eV for the cell, without any extrapolation to zero broadening. The
        electronic free energy, which some programs call the energy, is lower wherever states are partly occupied. Of a run with
        ``total_energy_method rpa`` the RPA total energy.
    gap_eV : float or None
        The last HOMO-LUMO gap on the k-grid of the run, in eV; the value with spin-orbit coupling where it is used.
        Of a run with ``qpe_calc`` that of the quasi-particle energies, see `gap_definition`.
    n_atoms : int
        Atoms in the cell; 0 if the run ended before it had read its geometry.
    version : str or None
        Version of FHI-aims.
    energy_definition : str
        What `energy_eV` is.
    vbm_eV, cbm_eV : float or None
        Edges of the quasi-particle energies, in eV.
    gap_definition : str
        Where a gap of quasi-particle energies comes from; "" for any other.
    n_tasks : int
        Parallel tasks of the run; 1 if it does not say.
    n_cycles : int
        Self-consistency cycles that were begun.
    """

    verdict: Verdict
    reason: str
    energy_eV: float | None = None
    gap_eV: float | None = None
    n_atoms: int = 0
    version: str | None = None
    energy_definition: str = ENERGY_DEFINITION
    vbm_eV: float | None = None
    cbm_eV: float | None = None
    gap_definition: str = ""
    n_tasks: int = 1
    n_cycles: int = 0

    @property
    def has_crashed(self) -> bool:
        """Whether the program stopped during the computation without a reason in its output: another attempt may succeed."""
        broke_off = self.verdict == "failed" and (_ENDS in self.reason or _STOPS in self.reason)
        explained = _STOPPED.search(self.reason.partition(_STOPS)[2]) or _FULL.search(self.reason)
        return broke_off and self.n_cycles > 0 and not explained

    def as_dict(self) -> dict[str, str | float | int | None]:
        """The fields as a dictionary that JSON can hold; those of quasi-particle energies only where there are some."""
        fields = asdict(self)
        return fields if self.gap_definition else {k: v for k, v in fields.items() if k not in _OF_QUASI_PARTICLES}


def judge_run(
    path: str | os.PathLike[str],
    composition: Mapping[str, int] | None = None,
    watch: Callable[[str], None] | None = None,
) -> RunVerdict:
    """Judge a finished or unfinished FHI-aims output.

    Parameters
    ----------
    path : path
        The output of one run, plain or compressed with gzip. Where several runs were appended to each other, the last
        one counts.
    composition : mapping of str to int, optional
        Element -> atoms that the cell must hold; a run of another material has failed.
    watch : callable, optional
        Takes every line that is read, without its end: what else is wanted of the output is then found in the same pass.

    Raises
    ------
    InputError
        When there is no such file, or it is a folder.
    OracleError
        When the disk fails to deliver the file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "aims.out")
    ...     _ = path.write_text("  Invoking FHI-aims ...\\n  Begin self-consistency loop: Initialization.\\n")
    ...     judge_run(path).verdict
    'interrupted'
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        raise InputError(f"{path}: needs an FHI-aims output, found a folder; name the file in it (aims.out)")
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{path}: needs an FHI-aims output, found a device or pipe")
    trace = _Trace()
    try:
        for line in _lines(path):
            trace = trace.read(line)
            if watch is not None:
                watch(line)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        trace.is_cut = True
    except ValueError as error:
        raise InputError(f"{path!r}: cannot be read: {error}") from None
    except OSError as error:
        raise OracleError(f"{path}: cannot be read: {error.strerror or error}") from None
    verdict, reason = _verdict(trace)
    if composition is not None and trace.atoms and trace.atoms != composition:
        verdict, reason = "failed", f"needs a run of {_formula(composition)}, found one of {_formula(trace.atoms)}"
    energy, definition = _finite(trace.energy), ENERGY_DEFINITION
    if trace.beyond.asked.get("total_energy_method") == "rpa":
        energy, definition = trace.beyond.rpa, RPA_DEFINITION
    edges = trace.beyond.edges() if "qpe_calc" in trace.beyond.asked else None
    vbm, cbm, gap_definition = edges or (None, None, "")
    return RunVerdict(
        verdict=verdict,
        reason=reason,
        energy_eV=energy,
        gap_eV=_finite(trace.gap) if vbm is None or cbm is None else max(0.0, cbm - vbm),
        energy_definition=definition,
        vbm_eV=vbm,
        cbm_eV=cbm,
        gap_definition=gap_definition,
        n_atoms=trace.n_atoms,
        version=trace.version,
        n_tasks=trace.n_tasks,
        n_cycles=trace.n_cycles,
    )


def judge_runs(folder: str | os.PathLike[str]) -> dict[str, RunVerdict]:
    """Judge every output below a folder: files that end in .out or .out.gz, band files aside.

    Returns
    -------
    dict of str to RunVerdict
        By the path below the folder, in alphabetical order.

    Raises
    ------
    InputError
        There is none.
    OracleError
        The disk fails to deliver a file.
    """
    place = Path(folder)
    files = sorted(file for ending in ("*.out", "*.out.gz") for file in place.rglob(ending))
    verdicts = {str(f.relative_to(place)): judge_run(f) for f in files if f.is_file() and not f.name.startswith("band")}
    if not verdicts:
        raise InputError(f"{folder}: needs FHI-aims outputs (*.out, *.out.gz), found none")
    return verdicts


def _formula(composition: Mapping[str, int]) -> str:
    return "".join(f"{element}{n}" for element, n in sorted(composition.items()))


def _lines(path: str) -> Iterator[str]:
    """Lines of a plain or compressed file; a line that lacks its end is no line, unless it closes the run."""
    with open(path, "rb") as probe:
        is_compressed = probe.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if is_compressed else open(path, "rb") as file:
        while line := file.readline(_LINE_LIMIT):
            text = line.decode("utf-8", errors="replace")
            if text.endswith("\n") or text.strip() == "Have a nice day.":
                yield text.rstrip()


@dataclass
class _Trace:
    """What has been read so far of one run."""

    started: bool = False
    nice_day: bool = False
    n_cycles: int = 0
    scf: Literal["", "running", "converged", "not converged"] = ""
    relaxes: bool = False
    geometry: Literal["", "not yet", "converged", "aborted"] = ""
    energy: str | None = None
    energy_cycle: int = 0
    gap: str | None = None
    n_atoms: int = 0
    atoms: dict[str, int] = field(default_factory=dict)
    n_tasks: int = 1
    version: str | None = None
    killed: str = ""
    crashed: str = ""
    last: str = ""
    is_cut: bool = False
    beyond: BeyondTrace = field(default_factory=BeyondTrace)

    def read(self, line: str) -> "_Trace":
        """Take in a line; the first line of a further run in the same file starts afresh."""
        if "Invoking FHI-aims" in line:
            return _Trace(started=True)
        if line.strip(" -*="):
            self.last = line.strip()
            self.beyond.read(line)
            if "self-consistency" in line or "Self-consistency" in line or "SELF-CONSISTENCY" in line or "SCF" in line:
                self._read_cycle(line)
            elif "eometry" in line or "optimization" in line:
                self._read_geometry(line)
            elif "eV" in line:
                self._read_energies(line)
            else:
                self._read_other(line)
        return self

    def _read_cycle(self, line: str) -> None:
        if "Begin self-consistency loop" in line:
            self.started = True  # also of an output whose head is missing
            self.n_cycles += 1
            self.scf = "running"
            self.beyond.begin_cycle()
        elif "Self-consistency cycle converged" in line:
            self.scf = "converged"
        elif "SELF-CONSISTENCY CYCLE DID NOT CONVERGE" in line or "SCF cycle not converged" in line:
            self.scf = "not converged"

    def _read_geometry(self, line: str) -> None:
        if "Present geometry is converged" in line:
            self.relaxes, self.geometry = True, "converged"
        elif "Present geometry is not yet converged" in line:
            self.relaxes, self.geometry = True, "not yet"
        elif "Aborting optimization" in line:
            self.relaxes, self.geometry = True, "aborted"
        elif "Geometry relaxation not requested" in line:
            self.relaxes = False
        elif "Geometry relaxation:" in line or re.match(r"\s*relax_geometry\s+(?!none\b)\w", line):
            self.relaxes = True

    def _read_energies(self, line: str) -> None:
        if match := _ENERGY.search(line):
            self.started = True
            self.energy, self.energy_cycle = match[1], self.n_cycles
        elif match := _GAP.search(line):
            self.gap = match[1]

    def _read_other(self, line: str) -> None:
        text = line.strip()
        if text == "Have a nice day.":
            self.nice_day = True
        elif not self.n_atoms and (match := _ATOMS.search(line)):
            self.n_atoms = int(match[1])
        elif "Species" in line and sum(self.atoms.values()) < self.n_atoms and (match := _SPECIES.search(line)):
            self.atoms[match[1]] = self.atoms.get(match[1], 0) + 1
        elif "parallel tasks" in line and (match := _TASKS.search(line)):
            self.n_tasks = int(match[1])
        elif self.version is None and (match := _VERSION.search(line)):
            self.started, self.version = True, match[1] or match[2]
        elif text.startswith("|"):  # a number of the program itself, as most lines are
            return
        elif _CRASHED.search(text):
            self.crashed = self.crashed or text
        elif _KILLED.search(text.lstrip("= ")):
            self.killed = self.killed or text.strip("= ")


def _verdict(trace: _Trace) -> tuple[Verdict, str]:
    if not trace.started:
        seen = "other content" if trace.last else "a damaged file" if trace.is_cut else "nothing"
        return "failed", f"needs an FHI-aims output, found {seen}"
    closing = "" if trace.nice_day else ", and the run did not end with 'Have a nice day.'"
    if trace.scf == "not converged":
        return "scf_not_converged", f"self-consistency cycle {trace.n_cycles} did not converge{closing}"
    if trace.geometry == "aborted":
        return "relaxation_not_converged", f"the relaxation was given up in step {trace.n_cycles}{closing}"
    if not trace.nice_day or trace.is_cut:
        return _unfinished(trace)
    if trace.scf != "converged":
        return _without_cycle(trace)
    if trace.relaxes and trace.geometry != "converged":
        return "relaxation_not_converged", "the run ended, but no line says that the present geometry is converged"
    energy = trace.energy if trace.energy_cycle == trace.n_cycles else None
    if _finite(energy) is None:
        seen = "none" if energy is None else repr(energy[:_KEEP])
        return "failed", f"the last cycle needs a finite {ENERGY_DEFINITION}, found {seen}"
    if missing := trace.beyond.missing():
        return "failed", missing
    relaxed = " and a converged geometry" if trace.relaxes else ""
    doubt = "; some quasi-particle energies are not unique" if trace.beyond.is_ambiguous else ""
    return "finished", f"the run ended with a converged self-consistency cycle{relaxed}{doubt}"


def _without_cycle(trace: _Trace) -> tuple[Verdict, str]:
    if trace.scf == "running":
        return "scf_not_converged", f"the run ended, but no line says that cycle {trace.n_cycles} converged"
    return "failed", "the run ended without a self-consistency cycle"


def _unfinished(trace: _Trace) -> tuple[Verdict, str]:
    """The verdict on a run that did not reach its end."""
    if trace.crashed:
        return "failed", f"{_STOPS}{trace.crashed[:_KEEP]}"
    if _STOPPED.search(trace.last):
        return "failed", f"{_STOPS}{trace.last[:_KEEP]}"
    where = {
        "": "before the first self-consistency cycle",
        "running": f"in self-consistency cycle {trace.n_cycles}",
        "converged": f"after self-consistency cycle {trace.n_cycles} converged",
    }[trace.scf]
    if trace.is_cut:
        return "interrupted", f"the compressed file is cut or damaged {where}"
    cause = f" ({trace.killed[:_KEEP]})" if trace.killed else ""
    return "interrupted", f"{_ENDS}{where}, without 'Have a nice day.'{cause}"


def _finite(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
