"""Whole processes of this program and of SISSO 3.5 (Fortran) on the same table, in the same run.

    python benchmarks/fortran.py SISSO_EXECUTABLE [--table TABLE --target NAME --id NAME] [--jobs B1,B2,…] [--runs 3]

B1 to B4, F2 and F3 are the reference models: one residual, an intercept, bounds 1e-5 to 1e5, rung 2. In B1 to B4 both programs mean
the same space of features. In F2 and F3 they do not: there SISSO lets exp act on quantities with units. Each run is a process of
its own on one thread, and CPU time is user and system time from its start to its end. The two programs take turns. Printed are the
median time of each, the largest memory, and the RMSE of the fit. Without a table: the 250 oxides beside the checkout, or
data/oxides.csv.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sisso_sal.data.table import Table, read_table

HERE = Path(__file__).resolve().parents[1]
SHARED = HERE.parent / "shared" / "data" / "oxides_gpbx.csv"
BASIC = "add,sub,abs_diff,mult,div,inv,sq,cb,six_pow,sqrt"
FULL = BASIC + ",cbrt,exp,neg_exp"
SYMBOLS = {
    "add": "+", "sub": "-", "mult": "*", "div": "/", "abs_diff": "|-|", "inv": "^-1", "sq": "^2", "cb": "^3", "six_pow": "^6",
    "sqrt": "sqrt", "cbrt": "cbrt", "exp": "exp", "neg_exp": "exp-",
}  # fmt: skip
"""Operators as SISSO.in has them."""

JOBS = {
    "B1": (BASIC, 50, 1), "B2": (BASIC, 50, 2), "B3": (BASIC, 200, 2), "B4": (BASIC, 100, 3), "F2": (FULL, 50, 2),
    "F3": (FULL, 200, 3),
}  # fmt: skip
"""Operators, n_sis and dimension."""


@dataclass(frozen=True)
class Run:
    """CPU time (s), largest memory (bytes) and RMSE of one process."""

    seconds: float
    n_bytes: int
    rmse: float


def inputs(table: Table, job: str, folder: Path) -> None:
    """Write SISSO.in and train.dat; columns stand in groups of equal units, those without unit last."""
    operators, n_sis, dim = JOBS[job]
    units = table.feature_units
    order = sorted(range(len(units)), key=lambda i: (units[i] == "", units[i], i))
    groups, first = [], 0
    for unit in dict.fromkeys(units[i] for i in order):
        last = first + units.count(unit)
        if unit:
            groups.append(f"({first + 1}:{last})")
        first = last
    symbols = "".join(f"({SYMBOLS[name]})" for name in operators.split(","))
    known = table.labelled
    values = table.features[known][:, order]
    names = [re.sub(r"\W", "_", table.feature_names[i]) for i in order]
    rows = [
        f"m{number} {label!r} {' '.join(map(repr, row))}"
        for number, (label, row) in enumerate(
            zip(np.asarray(table.target)[known].tolist(), values.tolist(), strict=True)
        )
    ]
    (folder / "train.dat").write_text(f"material target {' '.join(names)}\n" + "\n".join(rows) + "\n")
    (folder / "SISSO.in").write_text(
        f"ptype=1\nntask=1\ntask_weighting=1\nscmt=.false.\ndesc_dim={dim}\nnsample={len(rows)}\nrestart=0\nfstore=1\n"
        f"nsf={len(units)}\nops='{symbols}'\nfcomplexity=3\nfunit={''.join(groups)}\nfmax_min=1e-5\nfmax_max=1e5\nnf_sis={n_sis}\n"
        "method_so='L0'\nfit_intercept=.true.\nmetric='RMSE'\nnmodel=5\n"
    )


def timed(command: list[str], folder: Path) -> tuple[float, int, str]:
    """CPU time (s), largest memory (bytes) and output of a command.

    Raises
    ------
    SystemExit
        It fails.
    """
    stack = resource.RLIM_INFINITY
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        child = subprocess.Popen(
            command, cwd=folder, env=os.environ | {"PYTHONPATH": str(HERE)}, stdout=out, stderr=err,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (stack, stack)),
        )  # fmt: skip
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode:
            raise SystemExit(f"{command[0]}: exit code {child.returncode}: {out.read()[-300:]} {err.read()[-300:]}")
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, out.read()


def fortran(executable: Path, table: Table, job: str) -> Run:
    """One run of SISSO."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        inputs(table, job, folder)
        seconds, n_bytes, told = timed([str(executable)], folder)
        output = folder / "SISSO.out"
        errors = re.findall(r"RMSE and MaxAE:\s*(\S+)", output.read_text()) if output.exists() else []
        if not errors:
            raise SystemExit(f"{executable}: {job}: no model: {told.strip()[-300:]}")
        return Run(seconds, n_bytes, float(errors[-1]))


def ours(options: argparse.Namespace, job: str) -> Run:
    """One run of this program."""
    operators, n_sis, dim = JOBS[job]
    settings = ["--operators", operators, "--n-sis", str(n_sis), "--dim", str(dim), "--n-residual", "1", "--rung", "2"]
    columns = {"--target": options.target, "--id": options.id}
    names = [word for option, column in columns.items() if column for word in (option, column)]
    code = "from sisso_sal.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "fit",
        str(options.table.resolve()),
        *names,
        *settings,
        "--threads",
        "1",
        "--json",
    ]
    with tempfile.TemporaryDirectory() as place:
        seconds, n_bytes, told = timed(command, Path(place))
    return Run(seconds, n_bytes, json.loads(told)["models"][-1]["rmse"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("executable", type=Path, help="SISSO, as its own instructions build it")
    parser.add_argument("--table", type=Path, default=SHARED if SHARED.exists() else HERE / "data" / "oxides.csv")
    parser.add_argument("--target", help="its target column")
    parser.add_argument("--id", help="its id column")
    parser.add_argument("--jobs", default=",".join(JOBS), help="which of them")
    parser.add_argument("--runs", type=int, default=3, help="runs of each program")
    options = parser.parse_args()
    if options.table == SHARED:
        options.target = options.target or "g_pbx (eV/atom)"
    table = read_table(options.table, target=options.target, id=options.id)
    ours(options, "B1")  # kernels are compiled
    print("| job | SISSO s | sisso-sal s | ratio | SISSO MiB | sisso-sal MiB | RMSE of SISSO | RMSE of sisso-sal |")
    print("|---|---|---|---|---|---|---|---|")
    for job in options.jobs.split(","):
        pairs = [(fortran(options.executable.resolve(), table, job), ours(options, job)) for _ in range(options.runs)]
        theirs, mine = (statistics.median(run.seconds for run in runs) for runs in zip(*pairs, strict=True))
        (a, b), memory = (
            pairs[0],
            [int(np.median([run.n_bytes for run in runs])) >> 20 for runs in zip(*pairs, strict=True)],
        )
        print(
            f"| {job} | {theirs:.3g} | {mine:.3g} | {theirs / mine:.2g} | {memory[0]} | {memory[1]} | "
            f"{a.rmse:.6f} | {b.rmse:.6f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
