"""Makers of jobflow: what they are, running what they make on this machine, and finding a number or a structure in the output.

A Maker has a method ``make`` that takes a structure and returns a Job or Flow (A. S. Rosen et al., J. Open Source Softw. 9, 5995
(2024)). Those of atomate2 are classes; recipes of quacc are functions that return a Job. jobflow is imported where it is used.
"""

from __future__ import annotations

import importlib
import inspect
import json
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sisso_sal.errors import DocumentError, InputError, OracleError
from sisso_sal.oracle.engines.plain_data import plain
from sisso_sal.oracle.engines.task_document import finished_document
from sisso_sal.settings.calculation import JobflowSettings
from sisso_sal.system.documents import one_line, shown
from sisso_sal.system.slurm import cores_per_task

if TYPE_CHECKING:
    from pymatgen.core import Molecule, Structure

__all__ = [
    "at_path",
    "jobflow_of",
    "made_by",
    "maker_named",
    "n_jobs",
    "number_at",
    "output_of",
    "relaxed_by_maker",
    "run_maker",
    "structure_at",
]

ENERGY_DEFINITION = "energy of the Maker"
_LONGEST_LIST = 8
_FAILED = ("failed", "error")
"""States of documents, as atomate2 writes them, of calculations that ended without a result."""


def jobflow_of(package: str = "jobflow") -> Any:
    """The package.

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        return importlib.import_module(package.replace("-", "_"))
    except ImportError:
        raise InputError(
            f"oracle jobflow: needs {package}, which is not installed; pip install 'sisso-sal[{package}]'"
        ) from None


def maker_named(name: str, parameters: Mapping[str, Any]) -> Callable[..., Any]:
    """What takes a structure and returns a Job or Flow.

    Parameters
    ----------
    name : str
        ``package.module:Maker``: a class with a method ``make``, an object that has one, or a function.
    parameters : mapping
        Of the class, or of the function on top of the structure; an object takes none.

    Raises
    ------
    InputError
        There is no such Maker, or it refuses its parameters.
    """
    module, colon, path = name.partition(":")
    if not (colon and module and path):
        raise InputError(f"oracle jobflow: needs package.module:Maker, found {shown(name)}")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:  # a module may fail in ways of its own
        told = one_line(f"{type(error).__name__}: {error}")
        raise InputError(
            f"Maker '{name}': cannot be imported ({told}); PYTHONPATH may have to name its folder"
        ) from None
    if inspect.isclass(found):
        try:
            found = found(**parameters)
        except Exception as error:  # each class refuses its parameters in its own way
            raise InputError(
                f"Maker '{name}': cannot be set up: {one_line(f'{type(error).__name__}: {error}')}"
            ) from error
        parameters = {}
    if callable(getattr(found, "make", None)):
        if parameters:
            raise InputError(f"Maker '{name}': needs a class or function for its parameters, found an object")
        return found.make
    if not callable(found):
        raise InputError(f"Maker '{name}': needs a method 'make', or a function, found {shown(found)}")
    return lambda structure: found(structure, **parameters)


def made_by(name: str, settings: JobflowSettings, structure: Structure | Molecule) -> Any:
    """The Job or Flow of a structure.

    Raises
    ------
    InputError
        There is no such Maker, or what it makes is neither.
    OracleError
        It fails.
    """
    jobflow = jobflow_of()
    maker = maker_named(name, settings.parameters)
    given: Any = structure.to_ase_atoms() if settings.input == "atoms" else structure
    try:
        made = maker(given)
    except Exception as error:  # the Maker is the user's
        raise OracleError(f"Maker '{name}': {one_line(f'{type(error).__name__}: {error}')}") from error
    if not isinstance(made, jobflow.Job | jobflow.Flow):
        raise InputError(f"Maker '{name}': needs to return a Job or Flow of jobflow, found {type(made).__name__}")
    return made


def n_jobs(made: Any) -> int:
    """How many jobs it has before it runs."""
    return len(made.all_uuids) if hasattr(made, "all_uuids") else 1


def output_of(made: Any) -> Any:
    """Reference to what it returns; that of a Flow without an output is that of its last job."""
    while getattr(made, "output", None) is None:
        made = made.jobs[-1]
    return made.output


def resolved(reference: Any, store: Any) -> Any:
    """What stands behind a reference, as plain data.

    Raises
    ------
    OracleError
        The output is not there: a job was stopped, or gives none. Or it says that its calculation has failed.
    """
    from monty.json import MontyEncoder

    resolve = importlib.import_module("jobflow.core.reference").find_and_resolve_references
    try:
        output = resolve(reference, store)
    except (ValueError, KeyError, AttributeError, IndexError, TypeError) as error:
        told = str(error).partition(", cache=")[0]  # which would show all of the store
        raise OracleError(one_line(f"the output is not there: {type(error).__name__}: {told}")) from error
    if output is None:
        raise OracleError("the jobs ended without an output; a Flow that takes the place of a job needs one")
    document = plain(json.loads(json.dumps(output, cls=MontyEncoder)))
    if isinstance(document, dict) and document.get("state") in _FAILED:
        raise OracleError(f"the state of the output is '{document['state']}'")
    return document


def run_maker(folder: Path, name: str, settings: JobflowSettings, structure: Structure | Molecule) -> Any:
    """Run what a Maker makes of a structure, one job after the other, and return its output as plain data.

    Parameters
    ----------
    folder : path
        Made if need be; each job has a folder in it.
    name : str
        The Maker.
    settings : JobflowSettings
    structure : pymatgen Structure or Molecule

    Raises
    ------
    InputError
        jobflow or the Maker is missing, or what it makes is no Job or Flow.
    OracleError
        A job fails, or there is no output.
    """
    jobflow = jobflow_of()
    made = made_by(name, settings, structure)
    reference = output_of(made)
    folder.mkdir(parents=True, exist_ok=True)
    store = _store(settings, folder)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"jobflow\.")
            jobflow.run_locally(
                made, log=False, store=store, create_folders=True, root_dir=folder, raise_immediately=True
            )
    except Exception as error:  # a job fails with errors of its own
        raise OracleError(one_line(f"{type(error).__name__}: {error}")) from error
    return resolved(reference, store)


def _store(settings: JobflowSettings, folder: Path) -> Any:
    """Where jobs keep their outputs; its file has an absolute path, because jobs change the current folder."""
    jobflow = jobflow_of()
    if settings.store == "jobflow":
        return jobflow.SETTINGS.JOB_STORE
    stores = importlib.import_module("maggma.stores")
    if settings.store == "memory":
        return jobflow.JobStore(stores.MemoryStore())
    file = folder.absolute() / "outputs.json"
    file.write_text("[]")
    return jobflow.JobStore(stores.JSONStore(str(file), read_only=False))


# In the output -----------------------------------------------------------------------------------------------------------


def at_path(output: Any, path: str) -> Any:
    """What stands at a path of keys in an output.

    Raises
    ------
    DocumentError
        A key is not there; the message names those that are.

    Examples
    --------
    >>> at_path({"steps": [{"energy": -1.5}]}, "steps.0.energy")
    -1.5
    """
    place, reached = output, ""
    for key in path.split("."):
        if isinstance(place, Mapping) and key in place:
            place = place[key]
        elif isinstance(place, list) and key.isdecimal() and int(key) < len(place):
            place = place[int(key)]
        else:
            where = f"'{reached}'" if reached else "the output"
            raise DocumentError(f"{path}: {where} has no '{key}', it {_content(place)}")
        reached = f"{reached}.{key}" if reached else key
    return place


def _content(place: Any) -> str:
    if isinstance(place, Mapping):
        keys = [str(key) for key in place if not str(key).startswith("@")]
        more = f" and {len(keys) - _LONGEST_LIST} more" if len(keys) > _LONGEST_LIST else ""
        return f"has {', '.join(keys[:_LONGEST_LIST]) or 'nothing'}{more}"
    return (
        f"is a list of {len(place)}"
        if isinstance(place, Sequence) and not isinstance(place, str)
        else f"is {shown(place)}"
    )


def number_at(output: Any, path: str) -> float:
    """The number at a path.

    Raises
    ------
    DocumentError
        There is none, or it is not finite.

    Examples
    --------
    >>> number_at({"energy": -1.5}, "energy")
    -1.5
    """
    value = at_path(output, path)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        told = "none, or one that is not finite" if value is None else shown(value)
        raise DocumentError(f"{path}: needs a number, found {told}")
    return float(value)


def structure_at(output: Any, path: str) -> Structure | Molecule:
    """The structure at a path: pymatgen's, or atoms of ASE.

    Raises
    ------
    DocumentError
        There is none.
    """
    from pymatgen.core import Molecule, Structure

    data = at_path(output, path)
    try:
        if "atoms_json" in data:
            from ase.io.jsonio import decode
            from pymatgen.io.ase import AseAtomsAdaptor

            atoms: Any = decode(data["atoms_json"])
            return (AseAtomsAdaptor.get_structure if atoms.pbc.any() else AseAtomsAdaptor.get_molecule)(atoms)
        return (Structure if "lattice" in data else Molecule).from_dict(data)
    except Exception as error:  # neither checks what it reads
        raise DocumentError(f"{path}: needs a structure of pymatgen or ASE, found {shown(data)}") from error


# As a step of a workflow -------------------------------------------------------------------------------------------------


def relaxed_by_maker(
    folder: Path, name: str, settings: JobflowSettings, structure: Structure | Molecule, *, label: str
) -> dict[str, Any]:
    """A step of a workflow by a Maker; a failure is told in the document.

    Parameters
    ----------
    folder : path
    name : str
        The Maker.
    settings : JobflowSettings
    structure : pymatgen Structure or Molecule
    label : str
        Of the step; "relax" has a structure in its output, any other step keeps that which it is given.

    Returns
    -------
    dict
        As `sisso_sal.oracle.engines.aims.calculation_document`.

    Raises
    ------
    InputError
        jobflow or the Maker is missing.
    """
    started = time.monotonic()
    verdict, reason, energy, gap, reached = "finished", "the jobs ended", None, None, structure
    try:
        output = run_maker(folder, name, settings, structure)
        reached = structure_at(output, settings.structure) if label == "relax" else structure
        if reached.composition.reduced_formula != structure.composition.reduced_formula:
            raise DocumentError(f"{settings.structure}: needs {structure.formula}, found {reached.formula}")
        energy = number_at(output, settings.energy)
        gap = None if settings.gap is None else number_at(output, settings.gap)
    except (OracleError, DocumentError) as error:
        verdict, reason, energy, reached = "failed", str(error), None, structure
    seconds = time.monotonic() - started
    nothing = ("vbm", "cbm", "efermi", "forces", "stress", "magmoms", "calc_code", "version", "aims_version", "steps")
    document = {
        **dict.fromkeys(nothing),
        "task_label": label,
        "dir_name": str(folder),
        "state": "failed" if energy is None else "successful",
        "completed": energy is not None,
        "formula_pretty": structure.composition.reduced_formula,
        "nsites": len(reached),
        "structure": reached.as_dict(),
        "energy": energy,
        "energy_per_atom": None if energy is None else energy / len(reached),
        "energy_definition": ENERGY_DEFINITION,
        "bandgap": gap,
        "has_bands": False,
        "band_reason": "",
        "verdict": verdict,
        "reason": reason,
        "core_hours": seconds * cores_per_task() / 3600,
        "run_stats": {"elapsed_time": seconds},
        "completed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    return finished_document(document, structure, None, parameters={"maker": name, **settings.parameters})
