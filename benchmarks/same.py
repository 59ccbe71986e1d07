"""Two checkouts side by side: did a number of any result move?

    python benchmarks/same.py OTHER_CHECKOUT [--parts discover,replay,models,interrupted,ensembles,pareto] [--within 1e-6]

The same commands run in both checkouts, each in a process and a folder of its own, on the tables of this one. Every number that the
other checkout gives must come out of this one with the same digits; a number that only this one gives is no difference. Each part
prints one line, and the first difference where there is one. Exit code 1 at any difference. After a change that moves the last
digits, `--within` says by how much numbers may differ.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
OXIDES = HERE / "data" / "oxides.csv"
REFERENCE = HERE.parent / "shared" / "data" / "oxides_gpbx.csv"
"""The 250 oxides of the reference results of SISSO 3.5, where they lie beside the checkout."""

TARGET = "dG_pbx (eV/atom)"
BASIC = "add,sub,abs_diff,mult,div,inv,sq,cb,six_pow,sqrt"
MODELS = {"B1": (50, 1), "B2": (50, 2), "B3": (200, 2), "B4": (100, 3)}
"""n_sis and dimension of the reference models."""

MODEL_FILE = (
    "members", "dropped", "chosen", "choices", "n_features", "rejected", "n_singular", "calibration", "formula_calibration",
    "recalibration", "correction", "labelled",
)  # fmt: skip
WORDS = ("equation", "wanted", "seconds", "settings")
"""Keys of sentences, times and settings: they are not results."""


class Checkout:
    """Commands of one checkout.

    Parameters
    ----------
    root, folder : Path
        The checkout, and an empty folder in which its commands run.
    """

    def __init__(self, root: Path, folder: Path):
        self.root, self.folder = root, folder
        self._environment = os.environ | {"PYTHONPATH": str(root), "XDG_CONFIG_HOME": str(folder / "configuration")}
        code = "import sisso_sal; print(sisso_sal.__file__)"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, env=self._environment, capture_output=True, text=True
        )
        if not done.stdout.startswith(str(root)):
            raise SystemExit(f"{root}: needs a checkout with the package, found '{done.stdout.strip()}'\n{done.stderr}")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from sisso_sal.cli import main; main()", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, *arguments: str) -> str:
        """What a command prints on stdout.

        Raises
        ------
        SystemExit
            The command fails.
        """
        child = self.start(*arguments)
        out, err = child.communicate()
        if child.returncode:
            raise SystemExit(f"{self.root}: sisso-sal {shlex.join(arguments)}: exit code {child.returncode}\n{err}")
        return out

    def json(self, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(self.run(*arguments, "--json")))


def columns(path: Path) -> dict[str, list[Any]]:
    """Columns of a CSV file; cells that are numbers are read as such."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [_cell(row[name]) for row in rows] for name in rows[0]} if rows else {}


def _cell(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def difference(this: Any, other: Any, place: str = "", within: float = 0.0) -> str:
    """The first place where `this` does not have what `other` has; empty where there is none.

    Numbers must have the same digits or, with `within`, differ by no more than that, or by that share of them. Keys that only
    `this` has do not count, and keys in `WORDS` are left out.

    Examples
    --------
    >>> difference({"a": [1.0, 2.0], "new": 3}, {"a": [1.0, 2.0]})
    ''
    >>> difference({"a": [1.0, 2.0]}, {"a": [1.0, 2.0000000000000004]})
    'a.1: 2.0 here, 2.0000000000000004 there'
    >>> difference({"a": [1.0, 2.0]}, {"a": [1.0, 2.0000000000000004]}, within=1e-9)
    ''
    """
    if isinstance(this, dict) and isinstance(other, dict):
        keys = [key for key in other if key not in WORDS]
        missing = next((key for key in keys if key not in this), None)
        if missing is not None:
            return f"{_below(place, missing)}: only there"
        return next(
            (text for key in keys if (text := difference(this[key], other[key], _below(place, key), within))), ""
        )
    if isinstance(this, list) and isinstance(other, list):
        if len(this) != len(other):
            return f"{place}: {len(this)} entries here, {len(other)} there"
        pairs = enumerate(zip(this, other, strict=True))
        return next((text for i, (a, b) in pairs if (text := difference(a, b, _below(place, i), within))), "")
    if (
        within
        and isinstance(this, float)
        and isinstance(other, float)
        and abs(this - other) <= within * max(1.0, abs(other))
    ):
        return ""
    return "" if _digits(this) == _digits(other) else f"{place}: {this!r} here, {other!r} there"


def _below(place: str, key: object) -> str:
    return f"{place}.{key}" if place else str(key)


def _digits(value: Any) -> Any:
    """What is equal where a value is: all the bits of a number, and NaN as NaN; True is not 1."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return ("number", value if isinstance(value, int) and abs(value) > 2**53 else float(value).hex()) if is_number else (
        type(value).__name__, value
    )  # fmt: skip


def n_numbers(value: Any) -> int:
    """How many numbers `difference` looks at.

    Examples
    --------
    >>> n_numbers({"a": [1, 2.5, "x", None, True], "seconds": 3})
    2
    """
    if isinstance(value, dict):
        return sum(n_numbers(below) for key, below in value.items() if key not in WORDS)
    if isinstance(value, list):
        return sum(map(n_numbers, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


# The parts: each gives the results of one checkout as plain data. --------------------------------------------------


def discover(checkout: Checkout) -> dict[str, Any]:
    """Picks, means, sigmas, scores and the model of `discover data/oxides.csv`."""
    run = checkout.folder / "discovered"
    summary = checkout.json("discover", str(OXIDES), "--out", str(run))
    iteration = run / "iter-0001"
    model = json.loads((iteration / "model.json").read_text(encoding="utf-8"))
    return {
        "summary": {key: summary[key] for key in ("proposals", "best", "calibration", "n_labelled", "n_candidates")},
        "predictions.csv": columns(iteration / "predictions.csv"),
        "proposals.csv": columns(iteration / "proposals.csv"),
        "model.json": {key: model.get(key) for key in MODEL_FILE},
    }


def replay(checkout: Checkout) -> dict[str, Any]:
    """Picks and finds of simulated campaigns from two starts, one label at a time and in batches."""
    common = ["replay", str(OXIDES), "--n-start", "15", "--seeds", "2", "--members", "10", "--evaluations", "6"]
    return {
        "one by one": checkout.json(
            *common, "--surrogates", "sisso,forest,process", "--acquisitions", "hits,ei,member_ei,thompson"
        ),
        "batches": checkout.json(
            *common, "--surrogates", "sisso", "--acquisitions", "mean,log_ei,lcb,pi,mli,std", "--goal", "min 20%",
            "--batch", "3", "--diversity", "0.3", "--start", "worst", "--improve-on", "label",
        ),
        "a window": checkout.json(
            *common, "--surrogates", "sisso", "--acquisitions", "hits,mli", "--goal", "0.2..0.4", "--batch", "2"
        ),
    }  # fmt: skip


def models(checkout: Checkout) -> dict[str, Any]:
    """The reference models B1 to B4."""
    return {
        name: checkout.json(
            "fit", str(REFERENCE), "--target", "g_pbx", "--operators", BASIC, "--rung", "2", "--n-residual", "1",
            "--n-sis", str(n_sis), "--dim", str(dim),
        )
        for name, (n_sis, dim) in MODELS.items()
    }  # fmt: skip


def interrupted(checkout: Checkout) -> dict[str, Any]:
    """Picks and labels, in order, of a campaign that is killed in its second iteration and continued."""
    run = checkout.folder / "killed"
    truth, candidates = checkout.folder / "truth.csv", checkout.folder / "candidates.csv"
    with OXIDES.open(newline="", encoding="utf-8") as file:
        known = [row for row in csv.DictReader(file) if row[TARGET]]
    _write(truth, known)
    _write(candidates, [row if i % 4 == 0 else row | {TARGET: ""} for i, row in enumerate(known)])
    arguments = [
        "discover", str(candidates), "--out", str(run), "--oracle", f"lookup:{truth}", "--batch", "4", "--budget", "16",
        "--members", "10", "--no-report",
    ]  # fmt: skip
    driver = checkout.start(*arguments)
    while driver.poll() is None and not (run / "iter-0002").exists():
        time.sleep(0.005)
    driver.send_signal(signal.SIGKILL)
    _, err = driver.communicate()
    if driver.returncode != -signal.SIGKILL:
        raise SystemExit(f"{checkout.root}: the campaign ended before it was killed: {driver.returncode}\n{err}")
    checkout.run(*arguments)
    events = [json.loads(line) for line in checkout.run("ledger", str(run)).splitlines()]
    return {
        "proposals": [event["proposals"] for event in events if event["event"] == "proposal"],
        "labels": [[event["id"], event["value"]] for event in events if event["event"] == "label"],
        "predictions.csv": columns(run / "iter-0004" / "predictions.csv"),
    }


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def ensembles(checkout: Checkout) -> dict[str, Any]:
    """Ensembles with every kind of correction, recalibration, loss and transform, and what their files predict."""
    choices = {
        "plain": ("--correction", "none", "--recalibrate", "none", "--no-adapt"),
        "trees": ("--correction", "trees", "--recalibrate", "scale", "--loss", "huber"),
        "process": ("--correction", "process", "--recalibrate", "scale", "--transform", "yeo-johnson"),
    }
    results = {}
    for name, options in choices.items():
        file, predictions = checkout.folder / f"{name}.json", checkout.folder / f"{name}.csv"
        results[name] = checkout.json("fit", str(OXIDES), "--members", "8", *options, "--out", str(file))
        checkout.run("predict", str(file), str(OXIDES), "--out", str(predictions))
        results[name]["predictions"] = columns(predictions)
    return results


def pareto(checkout: Checkout) -> dict[str, Any]:
    """The front and the proposals of two targets."""
    targets = ("--target", "dG_pbx", "--target", "alpha", "--goal", "min", "--goal", "max")
    document = checkout.json("pareto", str(OXIDES), *targets, "--members", "8", "--batch", "3")
    return {key: document[key] for key in ("front", "proposals", "reference")}


PARTS: dict[str, Callable[[Checkout], dict[str, Any]]] = {
    function.__name__: function for function in (discover, replay, models, interrupted, ensembles, pareto)
}


def compared(name: str, this: Checkout, other: Checkout, within: float = 0.0) -> bool:
    """Run one part in both checkouts and print how they compare; whether they are equal."""
    if name == "models" and not REFERENCE.exists():
        print(f"{name}: left out, {REFERENCE} is not there", flush=True)
        return True
    start = time.perf_counter()
    here, there = PARTS[name](this), PARTS[name](other)
    different = difference(here, there, within=within)
    seconds = f"{time.perf_counter() - start:.0f} s"
    print(f"{name}: " + (different or f"equal, {n_numbers(there)} numbers") + f" ({seconds})", flush=True)
    return not different


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the checkout to compare this one with")
    parser.add_argument("--parts", type=lambda text: text.split(","), default=list(PARTS), help="which, with commas")
    parser.add_argument(
        "--within", type=float, default=0.0, help="how much numbers may differ, also as a share of them"
    )
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.parts if name not in PARTS]:
        parser.error(f"--parts: needs names among {', '.join(PARTS)}, found '{unknown[0]}'")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        this, other = Checkout(HERE, Path(one)), Checkout(arguments.other.resolve(), Path(two))
        results = [compared(name, this, other, arguments.within) for name in arguments.parts]
    if not all(results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
