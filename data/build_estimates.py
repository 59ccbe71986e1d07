"""Writes data/chgnet_energies.csv.gz: energies with CHGNet of every oxide of data/oxides.csv, its metals and their binary oxides.

Run where the extra potential-chgnet is installed:  python data/build_estimates.py [--hours H] [--workers N]
Energies that the file already has are not computed again, so that a part of it can be kept and the next run goes on; what a run has
computed so far is kept beside it in data/chgnet.parts. Then, without CHGNet, data/build_oxides.py makes the table anew.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from sisso_sal.fidelity.columns import EstimateQuestion
from sisso_sal.fidelity.compute import computed
from sisso_sal.fidelity.energies import described, read_energies, write_energies
from sisso_sal.fidelity.estimates import needed_plan
from sisso_sal.fidelity.parts import KeptParts
from sisso_sal.fidelity.potentials import Potential, open_potential
from sisso_sal.fidelity.starts import Start
from sisso_sal.oracle.engines.relaxation import RelaxationSettings, Relaxed
from sisso_sal.system.executors import open_workers
from sisso_sal.system.progress import Progress

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "chgnet_energies.csv.gz"
TARGET = "dG_pbx (eV/atom)"
CHUNK = 20
"""Structures between two looks at the clock."""

Known = dict[tuple[str, str], Relaxed]


def planned_starts(table: pd.DataFrame, max_prototypes: int) -> list[Start]:
    """All structures: those that the labelled rows need come first, because a model learns from them.

    Then elements and binary oxides, then candidates in an order without meaning: a part of the file is a fair sample of them.
    """
    question = EstimateQuestion(rule="binary")

    def of(formulas: Sequence[str]) -> tuple[Start, ...]:
        return needed_plan(formulas, question, max_prototypes=max_prototypes).starts

    labelled = of(list(table.index[table[TARGET].notna()]))
    first = {(start.key, start.name) for start in labelled}
    rest = [start for start in of(list(table.index)) if (start.key, start.name) not in first]
    shared = [start for start in rest if len(start.structure.composition) <= 2]
    own = [start for start in rest if len(start.structure.composition) > 2]
    return [*labelled, *shared, *sorted(own, key=lambda start: start.digest())]


def kept(path: Path, potential: Potential, settings: RelaxationSettings, starts: Sequence[Start]) -> Known:
    """What an earlier file has, where it was made in the same way and from the same structures."""
    if not path.exists():
        return {}
    file = read_energies(path)
    if (file.potential, file.settings) != (potential, settings):
        return {}
    structures = described(starts)
    return {
        key: one
        for key, one in file.outcomes.items()
        if key in structures and structures[key].start == file.starts[key]
    }


def chunks(starts: Sequence[Start]) -> Iterator[tuple[Start, ...]]:
    for k in range(0, len(starts), CHUNK):
        yield tuple(starts[k : k + CHUNK])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--parts", type=Path, default=HERE / "chgnet.parts")
    parser.add_argument("--potential", default="chgnet")
    parser.add_argument("--hours", type=float, default=float("inf"), help="stop after so long, and write what is there")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--max-prototypes", type=int, default=1)
    options = parser.parse_args(arguments)
    potential, settings = open_potential(options.potential), RelaxationSettings()
    starts = planned_starts(pd.read_csv(HERE / "oxides.csv", index_col="formula"), options.max_prototypes)
    known = kept(options.output, potential, settings, starts)
    asked = [start for start in starts if (start.key, start.name) not in known]
    print(f"{len(starts)} structures, {len(starts) - len(asked)} of them in {options.output.name}")
    began = time.monotonic()
    with (
        KeptParts(options.parts) as parts,
        open_workers(n=options.workers) as workers,
        Progress("relaxing structures") as progress,
    ):
        for number, chunk in enumerate(chunks(asked)):
            if time.monotonic() - began > 3600 * options.hours:
                break
            known |= computed(chunk, potential, settings, parts, workers)
            progress(CHUNK * number + len(chunk), len(asked))
    if known:
        write_energies(options.output, known, described(starts), potential, settings)
    failed = sum(not one.converged for one in known.values())
    print(f"{len(known)} of {len(starts)} structures, {failed} of them without an energy")


if __name__ == "__main__":
    main()
