"""What `discover` says that it will take, beside what it takes: seconds of one thread, which other programs do not lengthen.

    python benchmarks/estimates.py

Each line is a command in a process of its own. What it has taken until it makes its estimate is part of both numbers.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "data" / "oxides.csv"

COMMANDS = {
    "oxides": [TABLE],
    "one operation, ten members": [TABLE, "--rung", 1, "--members", 10],
    "100 members": [TABLE, "--rung", 1, "--members", 100],
    "636 labels": ["estimated.csv", "--target", "energy"],
    "636 labels, one operation": ["estimated.csv", "--target", "energy", "--rung", 1],
}

CHILD = """
import sys, time
from sisso_sal import cli
from sisso_sal.system import costs

in_words = costs.in_words
told = []

def noted(parts):
    told[:] = [time.process_time() + sum(part.seconds for part in parts)]
    return in_words(parts)

costs.in_words = noted
sys.argv[0] = "sisso-sal"
try:
    cli.main()
except SystemExit:
    pass
print(told[0], time.process_time(), file=sys.stderr)
"""


def main() -> None:
    """Print both numbers and their ratio for each command."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [line.split(",") for line in TABLE.read_text().splitlines()]
        lines[0][-1] = "energy (eV/atom)"
        rows = [",".join([line[0], *line[2:]]) for line in lines]
        Path(folder, "estimated.csv").write_text("\n".join(rows) + "\n")
        print(f"{'':28}{'told':>8}{'taken':>8}{'ratio':>8}")
        for number, (name, words) in enumerate(COMMANDS.items()):
            command = [sys.executable, "-c", CHILD, "discover", *map(str, words), "--threads", "1", "--quiet"]
            done = subprocess.run(
                [*command, "--out", f"runs/{number}"], cwd=folder, capture_output=True, text=True, check=True
            )
            told, taken = map(float, done.stderr.splitlines()[-1].split())
            print(f"{name:28}{told:8.1f}{taken:8.1f}{told / taken:8.2f}")


if __name__ == "__main__":
    main()
