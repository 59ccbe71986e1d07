"""Makers of jobflow for tests: a relaxation and energies with the effective-medium potential of ASE, and some that fail."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from ase.calculators.emt import EMT
from jobflow import Flow, Maker, Response, job
from pydantic import BaseModel, ConfigDict
from pymatgen.core import Structure
from springs import Springs

from sisso_sal.oracle.engines.ase_calculator import CalculatorSettings, relax_structure

FIRST = Path("first-try")
"""In the folder that ``MAKERS_FOLDER`` names: what `Mortal` has killed once."""


def emt_energy(atoms):
    """The energy (eV) by EMT itself, for comparison."""
    atoms = atoms.copy()
    atoms.calc = EMT()
    return atoms.get_potential_energy()


def note(structure):
    """Add a line for each calculation that begins to ``MAKERS_LOG``."""
    if log := os.environ.get("MAKERS_LOG"):
        with Path(log).open("a") as file:
            file.write(f"{structure.composition.reduced_formula}\n")


def document(structure, energy):
    """What atomate2's documents have."""
    per_atom = energy / len(structure)
    output = {"structure": structure, "energy": energy, "energy_per_atom": per_atom, "steps": [{"energy": energy}]}
    return {"output": output, "state": "successful"}


@job
def energy_of(structure, scale=1.0):
    note(structure)
    time.sleep(float(os.environ.get("MAKERS_SECONDS", 0)))
    return document(structure, scale * emt_energy(structure.to_ase_atoms()))


@job
def per_atom(energy, n):
    return {"output": {"energy_per_atom": energy / n}}


@dataclass
class Energy(Maker):
    """One job."""

    name: str = "energy"
    scale: float = 1.0

    def make(self, structure):
        return energy_of(structure, scale=self.scale)


class Results(BaseModel):
    energy: float
    energy_per_atom: float


class Document(BaseModel):
    """A typed document, as those of atomate2 are."""

    structure: Structure
    output: Results

    model_config = ConfigDict(arbitrary_types_allowed=True)


@job(output_schema=Document)
def typed_energy(structure):
    energy = emt_energy(structure.to_ase_atoms())
    return Document(structure=structure, output=Results(energy=energy, energy_per_atom=energy / len(structure)))


class Typed:
    def make(self, structure):
        return typed_energy(structure)


@dataclass
class Chained(Maker):
    """Two jobs, the second of which needs the first; a flow without an output of its own."""

    name: str = "chained"
    first: Maker = field(default_factory=Energy)

    def make(self, structure):
        first = self.first.make(structure)
        return Flow([first, per_atom(first.output["output"]["energy"], len(structure))], name=self.name)


@job
def replaced(structure, with_output):
    flow = Chained().make(structure)
    if with_output:
        flow.output = flow.jobs[-1].output
    return Response(replace=flow)


@dataclass
class Replaced:
    """A job that makes its jobs when it runs; without an output of the flow jobflow has none."""

    with_output: bool = True

    def make(self, structure):
        return replaced(structure, self.with_output)


@job
def recipe(atoms, scale=1.0):
    """As recipes of quacc are: a function of atoms that gives a job, with the atoms in its output."""
    energy = scale * emt_energy(atoms)
    return {"atoms": atoms, "results": {"energy": energy}, "energy_per_atom": energy / len(atoms)}


@job
def misbehave(structure, how):
    note(structure)
    if how == "raises":
        raise RuntimeError("the self-consistency cycle\ndiverged")
    if (
        how == "dies"
        and "Cu" in structure.composition
        and not (mark := Path(os.environ["MAKERS_FOLDER"], FIRST)).exists()
    ):
        mark.write_text("")
        os._exit(9)
    if how == "unconverged":  # as documents of atomate2 say it
        return {"output": {"energy_per_atom": -1.0}, "state": "failed"}
    energy = {"nan": float("nan"), "text": "-1.5 eV", "dies": emt_energy(structure.to_ase_atoms())}
    return {"output": {"energy_per_atom": energy[how] / len(structure) if how == "dies" else energy[how]}}


@dataclass
class Misbehaving:
    how: str

    def make(self, structure):
        return misbehave(structure, self.how)


class Wrong:
    """Makes no job."""

    def make(self, structure):
        return structure.composition.reduced_formula


class Broken:
    """Fails before there is a job."""

    def make(self, structure):
        raise KeyError("no input set")


an_object = Energy(scale=2.0)


# For phases ----------------------------------------------------------------------------------------------------------------


@job
def relax_by_springs(structure, failing=""):
    note(structure)
    if structure.composition.reduced_formula == failing:
        raise RuntimeError("no convergence")
    settings = CalculatorSettings(calculator="springs:Springs")
    atoms = structure.to_ase_atoms()
    atoms.calc = Springs()
    relax_structure(atoms, settings)
    energy = atoms.get_potential_energy()
    bare = atoms.copy()
    return document(type(structure).from_ase_atoms(bare), energy) | {"atoms": bare, "gap": 2.5}


@dataclass
class Relaxing:
    failing: str = ""

    def make(self, structure):
        return relax_by_springs(structure, self.failing)


@job
def energy_by_springs(structure):
    note(structure)
    atoms = structure.to_ase_atoms()
    atoms.calc = Springs()
    return {"output": {"energy": atoms.get_potential_energy()}}


class Static:
    def make(self, structure):
        return energy_by_springs(structure)
