"""Writes data/ions.csv: dissolved species of the metals of which ASE has none, for `ions` in section [label] and `estimate --ions`.

Run in the development environment:  python data/build_ions.py [--output FILE]
They are those that the labels of data/oxides.csv are based on; data/README.md has the source.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from build_oxides import HERE, ase_ions, crc_ions

from sisso_sal.oracle.stability.pourbaix import Species
from sisso_sal.oxides.metals import METALS


def ions() -> list[Species]:
    """The species of the CRC table, for metals without any in ASE."""
    covered = {metal for ion in ase_ions(METALS) for metal in ion.metals}
    return crc_ions(set(METALS) - covered)


def written(ion: Species) -> str:
    """The name as `sisso_sal.oracle.stability.aqueous` reads it: a sign for each elementary charge."""
    atoms = "".join(f"{e}{'' if n == 1 else f'{n:g}'}" for e, n in ion.composition.items())
    return atoms + abs(ion.charge) * ("+" if ion.charge > 0 else "-")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE / "ions.csv")
    options = parser.parse_args(arguments)
    lines = ["species,mu (eV)", *sorted(f"{written(ion)},{ion.mu:.6g}" for ion in ions())]
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines) - 1} dissolved species")


if __name__ == "__main__":
    main()
