"""This program beside two others, TorchSISSO 0.1.8 and mini-sisso 1.2.0, on the same rows in the same run.

    python benchmarks/peers.py [TABLE --target NAME --id NAME] [--jobs R1,C2,F2,F3] [--limit 600] [--env FOLDER] [--json FILE]

Without a table: the labelled rows of data/oxides.csv. The others are installed by pip into a virtual environment that is thrown
away afterwards (--env keeps and reuses one); their torch is a CPU build where pip's configuration offers one, else it is large.
Each fit is a process of its own, under a limit of time and of memory. Measured are its wall time from start to exit, the CPU time
of all its threads, its peak memory, and the RMSE of its predictions for the rows it learned from. The notes below the table
describe the jobs and how the programs' spaces of features differ.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import venv
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import sisso_sal
from sisso_sal.data.table import Table, read_table
from sisso_sal.features.operators import DEFAULT_OPERATORS
from sisso_sal.models.files import load_model
from sisso_sal.report.text.table import aligned
from sisso_sal.system.machine import usable_cores

HERE = Path(__file__).resolve().parent.parent
OURS = "sisso-sal"

NOTES = """\
R1: all operators, rung 1, n_sis 50, two terms. F2: the same with rung 2. F3: rung 2, n_sis 200, three terms. "first" is R1 as a
program's first run: ours compiles its kernels in it, mini-sisso those of a library. Other runs find what was compiled.
C2: as F2 with the operators add, sub, mult, div, inv, sq and cb, and ours without units and bounds: the same space for all but
for repetitions. One residual and an intercept everywhere.
In the other jobs ours keeps units (a sum needs equal ones, exp none) and bounds (1e-5 to 1e5); the others have neither.
TorchSISSO and mini-sisso keep features of the last rung that repeat another in other words; these take places among the n_sis.
TorchSISSO has no abs_diff, a - b in one order only, and no root of a feature with negative values.
mini-sisso has no abs_diff, six_pow, cbrt and neg_exp; its sqrt is that of the absolute value. Features that are undefined on
some rows stay. "level-wise" is its default, in which only the best 50 features of each rung are combined further.
RMSE is that of the predictions for the rows learned from, for TorchSISSO, which makes none, of the formula that it prints;
"told" is what the program reports. Peak memory is that of the largest process of a program."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Settings of a fit; `operators` is "all" that a program has, or the "shared" ones."""

    operators: str
    rung: int
    n_sis: int
    dim: int


JOBS = {
    "R1": Job(operators="all", rung=1, n_sis=50, dim=2),
    "C2": Job(operators="shared", rung=2, n_sis=50, dim=2),
    "F2": Job(operators="all", rung=2, n_sis=50, dim=2),
    "F3": Job(operators="all", rung=2, n_sis=200, dim=3),
}

OUR_OPTIONS = {
    "all": ("--operators", ",".join(DEFAULT_OPERATORS)),
    "shared": ("--operators", "add,sub,mult,div,inv,sq,cb", "--no-units", "--min-abs", "0", "--max-abs", "1e50"),
}


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another program: what pip installs, its names of the operators, and the text of a Python program that runs it.

    The driver gets a table, whose first column is the target, and a job; its last line is a JSON document.
    """

    requirements: tuple[str, ...]
    operators: Mapping[str, str]
    driver: str
    settings: Mapping[str, Any] = field(default_factory=dict)


# An exponent must be a decimal number: "pow(1/2)" is printed as (x)**1/2, which is another thing.
TORCHSISSO = """
import json, sys, time
from importlib.metadata import version
import numpy, pandas, torch
from TorchSisso import SissoModel
table, job = pandas.read_csv(sys.argv[1], float_precision="round_trip"), json.loads(sys.argv[2])
start = time.perf_counter()
model = SissoModel(table, job["operators"], n_expansion=job["rung"] + 1, n_term=job["dim"], k=job["n_sis"])
told, formula, *_ = model.fit()
seconds = time.perf_counter() - start
columns = {name: table[name].to_numpy(float) for name in table}
predictions = eval(formula, {"exp": numpy.exp, **columns}).tolist()
versions = f"{version('torchsisso')} (torch {torch.__version__})"
print()
print(json.dumps(dict(version=versions, fit=seconds, told=told, formula=formula, predictions=predictions)))
"""

MINI_SISSO = """
import json, sys, time
from importlib.metadata import version
import pandas
from mini_sisso.model import MiniSisso
table, job = pandas.read_csv(sys.argv[1], float_precision="round_trip"), json.loads(sys.argv[2])
features, target = table.iloc[:, 1:], table.iloc[:, 0]
start = time.perf_counter()
model = MiniSisso(
    n_expansion=job["rung"], operators=job["operators"], use_levelwise_sis=job["levelwise"],
    selection_params=dict(n_term=job["dim"], n_sis_features=job["n_sis"]),
).fit(features, target)
seconds = time.perf_counter() - start
predictions = model.predict(features).tolist()
told, formula = float(model.rmse_), model.equation_
print()
print(json.dumps(dict(version=version("mini-sisso"), fit=seconds, told=told, formula=formula, predictions=predictions)))
"""

MINI_OPERATORS = {"all": "+ - * / inv pow2 pow3 sqrt exp", "shared": "+ - * / inv pow2 pow3"}

PEERS = {
    "TorchSISSO": Peer(
        # A pinned torch lets pip take the CPU build of that version (2.13.0+cpu) where it is told of one.
        requirements=("torchsisso==0.1.8", "torch==2.13.0"),
        operators={
            "all": "+ - * / ^-1 pow(2) pow(3) pow(6) pow(0.5) pow(0.3333333333333333) exp exp(-1)",
            "shared": "+ - * / ^-1 pow(2) pow(3)",
        },
        driver=TORCHSISSO,
    ),
    "mini-sisso": Peer(
        requirements=("mini-sisso==1.2.0",),
        operators=MINI_OPERATORS,
        driver=MINI_SISSO,
        settings={"levelwise": False},
    ),
    "mini-sisso, level-wise": Peer(
        requirements=("mini-sisso==1.2.0",),
        operators=MINI_OPERATORS,
        driver=MINI_SISSO,
        settings={"levelwise": True},
    ),
}


@dataclass(kw_only=True)
class Result:
    """A row of the table; None where there is no number, and then `error` says why."""

    job: str
    program: str
    version: str
    wall: float | None = None
    fit: float | None = None
    user: float | None = None
    system: float | None = None
    peak_mib: float | None = None
    rmse: float | None = None
    told: float | None = None
    formula: str = ""
    error: str = ""

    def row(self) -> list[str]:
        """The cells."""
        seconds = ["" if x is None else f"{x:.1f}" for x in (self.wall, self.fit, self.user, self.system)]
        peak = "" if self.peak_mib is None else f"{self.peak_mib:.0f}"
        errors = ["" if x is None else f"{x:.6f}" for x in (self.rmse, self.told)]
        return [self.job, self.program, self.version, *seconds, peak, *errors]


HEADER = ["job", "program", "version", "wall s", "in fit s", "user s", "system s", "peak MiB", "RMSE", "told"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of each process."""

    seconds: float
    gib: float

    def on_memory(self) -> None:
        """Set in the new process: beyond it, an allocation fails there instead of exhausting the machine."""
        most = int(self.gib * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The labelled rows, as a table with units for us and one with plain names for the others."""

    table: Table
    ours: Path
    theirs: Path

    def rmse(self, predictions: Any) -> float | None:
        """Root mean square error on the labelled rows; None where a prediction is undefined."""
        target = np.asarray(self.table.target)[self.table.labelled]
        found = math.sqrt(np.mean((np.asarray(predictions, dtype=float) - target) ** 2))
        return found if math.isfinite(found) else None


def written(table: Table, folder: Path) -> Inputs:
    """The two files of a table."""
    ours, theirs = folder / "ours.csv", folder / "theirs.csv"
    frame = table.to_frame().loc[table.labelled]
    frame.to_csv(ours, index=False)
    headers = [table.header(name) for name in (table.target_name or "", *table.feature_names)]
    names = ["Target", *(re.sub(r"\W", "_", name) for name in table.feature_names)]
    frame[headers].to_csv(theirs, index=False, header=names)
    return Inputs(table=table, ours=ours, theirs=theirs)


def measured(command: Sequence[str | Path], environment: Mapping[str, str], limits: Limits, result: Result) -> str:
    """Run a command in a process group of its own; its output. Its costs and its failure go into `result`."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment, start_new_session=True,
            preexec_fn=limits.on_memory,
        )  # fmt: skip
        timer = threading.Timer(limits.seconds, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            timer.cancel()
        result.wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        result.user, result.system = used.ru_utime, used.ru_stime
        result.peak_mib = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            result.error = (
                f"stopped after {limits.seconds:g} s" if result.wall >= limits.seconds
                else f"killed by signal {-process.returncode}" if process.returncode < 0
                else why(err.read())
            )  # fmt: skip
        return out.read()


def why(text: str) -> str:
    """The line of an error output that names the error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no message"]
    named = [line for line in lines if re.match(r"\w*(Error|Exception)\b|error:|ERROR:", line)]
    return textwrap.shorten((named or lines)[-1], 200)


def fit_ours(job: str, inputs: Inputs, scratch: Path, limits: Limits) -> Result:
    """`sisso-sal fit` on a job."""
    settings, model = JOBS[job], scratch / "model.json"
    target = inputs.table.header(inputs.table.target_name or "")
    command = [
        sys.executable, "-m", "sisso_sal", "fit", inputs.ours, "--target", target, "--id", inputs.table.id_name,
        "--rung", settings.rung, "--n-sis", settings.n_sis, "--dim", settings.dim, "--n-residual", 1,
        *OUR_OPTIONS[settings.operators], "--out", model, "--force", "--json", "--quiet",
    ]  # fmt: skip
    result = Result(job=job, program=OURS, version=sisso_sal.__version__)
    said = measured([str(part) for part in command], os.environ, limits, result)
    if not result.error:
        document = json.loads(said)
        result.fit = document["seconds"]
        result.told = document["models"][-1]["rmse"]
        result.formula = document["models"][-1]["equation"]
        table = inputs.table
        columns = dict(zip(table.feature_names, table.features[table.labelled].T, strict=True))
        result.rmse = inputs.rmse(load_model(model)[0].predict(columns))
    return result


def fit_peer(name: str, job: str, inputs: Inputs, python: Path, limits: Limits) -> Result:
    """Another program's fit on a job."""
    peer, settings = PEERS[name], JOBS[job]
    told = asdict(settings) | dict(peer.settings) | {"operators": peer.operators[settings.operators].split()}
    result = Result(job=job, program=name, version=peer.requirements[0].partition("==")[2])
    # Without a fixed seed the order of mini-sisso's sets, and with it the choice among ties, changes from run to run.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"PYTHONHASHSEED": "0"}
    command = [str(python), "-W", "ignore", "-c", peer.driver, str(inputs.theirs), json.dumps(told)]
    said = measured(command, environment, limits, result)
    if not result.error:
        document = json.loads(said.splitlines()[-1])
        result.version, result.fit, result.told = document["version"], document["fit"], document["told"]
        result.formula, result.rmse = document["formula"], inputs.rmse(document["predictions"])
    return result


def environment_python(folder: Path) -> Path:
    """The interpreter of a virtual environment, which is made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    return python


def refusals(python: Path) -> dict[str, str]:
    """Why pip could not install a program, by program; empty text where it could."""
    found: dict[tuple[str, ...], str] = {}
    for peer in PEERS.values():
        if peer.requirements in found:
            continue
        print(f"installing {' '.join(peer.requirements)}", file=sys.stderr, flush=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--timeout", "180"]
        done = subprocess.run([*pip, *peer.requirements], capture_output=True, text=True, check=False)
        found[peer.requirements] = why(done.stderr) if done.returncode else ""
    return {name: found[peer.requirements] for name, peer in PEERS.items()}


def results(jobs: Sequence[str], inputs: Inputs, python: Path, scratch: Path, limits: Limits) -> Iterator[Result]:
    """All programs on all jobs, one at a time; what could not be installed gets its rows too."""
    refused = refusals(python)

    def fit(name: str, job: str) -> Result:
        print(f"{job}: {name}", file=sys.stderr, flush=True)
        if name == OURS:
            return fit_ours(job, inputs, scratch, limits)
        return fit_peer(name, job, inputs, python, limits)

    able = [OURS, *(name for name in PEERS if not refused[name])]
    for name in able:
        first = fit(name, "R1")
        first.job, first.formula = "first", ""
        yield first
    for job in jobs:
        for name in [OURS, *PEERS]:
            if name in able:
                yield fit(name, job)
            else:
                version = PEERS[name].requirements[0].partition("==")[2]
                yield Result(job=job, program=name, version=version, error=f"not installed: {refused[name]}")


def report(found: Sequence[Result]) -> str:
    """The table, and below it each formula or what went wrong."""
    lines = [aligned([HEADER, *(one.row() for one in found)], numeric=range(3, len(HEADER))), ""]
    for one in found:
        if told := one.error or " ".join(one.formula.split()):
            lines.append(f"{one.job} {one.program}: {told}")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", nargs="?", type=Path, default=HERE / "data/oxides.csv")
    parser.add_argument("--target")
    parser.add_argument("--id")
    parser.add_argument("--jobs", default="R1,C2,F2", help=f"of {', '.join(JOBS)}; R1,C2,F2 by default")
    parser.add_argument("--limit", type=float, default=600, metavar="SECONDS", help="of each process; 600 by default")
    parser.add_argument("--memory", type=float, default=12, metavar="GIB", help="of each process; 12 by default")
    parser.add_argument("--env", type=Path, metavar="FOLDER", help="keep or reuse this virtual environment")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file too")
    given = parser.parse_args()
    given.jobs = given.jobs.split(",")
    if unknown := set(given.jobs) - set(JOBS):
        parser.error(f"--jobs: needs names of {', '.join(JOBS)}, found {', '.join(sorted(unknown))}")
    return given


def main() -> None:
    given = arguments()
    warnings.filterwarnings("ignore", message="unit .* is not known")
    table = read_table(given.table, target=given.target, id=given.id, require_target=True)
    limits = Limits(seconds=given.limit, gib=given.memory)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        os.environ["NUMBA_CACHE_DIR"] = str(scratch / "numba")  # a first run compiles, whatever was run before
        python = environment_python((given.env or scratch / "env").absolute())
        inputs = written(table, scratch)
        found = list(results(given.jobs, inputs, python, scratch, limits))
    head = (
        f"{Path(table.path).name}: {int(table.labelled.sum())} rows, {len(table.feature_names)} primary features, "
        f"{table.target_name} in {table.target_unit or 'no unit'}; {usable_cores()} cores, at most {limits.seconds:g} s and "
        f"{limits.gib:g} GiB for each fit"
    )
    print(f"{head}\n\n{report(found)}\n\n{NOTES}")
    if given.json:
        document = {"input": head, "results": [asdict(one) for one in found], "notes": NOTES.splitlines()}
        given.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
