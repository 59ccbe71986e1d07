"""The steps as functions for a Taskblaster repository of one's own: relaxation, energy, bands, molecules, label.

Each is a target of ``tb.node``: plain data in, a document of plain data out, in the current folder. Taskblaster is not imported. A
calculation that fails does not raise: its document has the state "failed" and the reason, `static` and `bands` hand it on, and
`label` says what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sisso_sal.errors import InputError, SettingsError
from sisso_sal.oracle.stability.labels import label as label_of
from sisso_sal.oracle.stability.polymorphs import Phase
from sisso_sal.oracle.stability.pourbaix import Conditions
from sisso_sal.oracle.workflow.attempts import attempts_of, forget_attempts
from sisso_sal.oracle.workflow.engine_settings import load_engine
from sisso_sal.oracle.workflow.outcomes import Question, references_of
from sisso_sal.oracle.workflow.steps import run_step, structure_of
from sisso_sal.oracle.workflow.workers import own_lease
from sisso_sal.oxides.phases import molecule as molecule_of
from sisso_sal.settings.calculation import LabelSettings, Step, first_problem
from sisso_sal.system.documents import shown

if TYPE_CHECKING:
    from pymatgen.core import Molecule, Structure

_OF_LABEL = ("potential", "pH", "concentration", "oxygen_correction", "oxygen_energy")

__all__ = ["bands", "label", "molecule", "relax", "static"]


def relax(structure: Any, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Relax a structure.

    Parameters
    ----------
    structure : dict, or pymatgen Structure or Molecule, or ASE Atoms
        A dictionary is that of pymatgen's ``as_dict``.
    settings : dict, optional
        The keys of section ``[calculation]``, with ``engine`` ("aims", "structure" or "jobflow") and ``walltime`` (s). By default
        FHI-aims with the presets of the program; its command is then ``$AIMS_COMMAND``, its species ``$AIMS_SPECIES_DIR``.

    Returns
    -------
    dict
        ``state`` ("successful" or "failed"), ``verdict``, ``reason``, ``structure`` (of pymatgen), ``energy`` (eV),
        ``energy_per_atom`` (eV/atom), ``bandgap``, ``vbm``, ``cbm`` (eV), ``forces`` (eV/Å), ``core_hours``, ``attempts`` and more.

    Raises
    ------
    SettingsError
        A setting is unknown or out of range.
    InputError
        The structure is none; or a program, species or package is missing.

    Examples
    --------
    In a workflow, with a structure of pymatgen ``oxide``:

        tb.node("sisso_sal.oracle.workflow.functions.relax", structure=oxide.as_dict())
    """
    return _computed("relax", _structure(structure), settings)


def static(previous: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The energy of what another step left, with the settings of the step "static"; see `relax`.

    Parameters
    ----------
    previous : dict
        A document. One that failed is handed on.
    settings : dict, optional
        As in `relax`.
    """
    return _after("static", previous, settings)


def bands(previous: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Energy, gap and band edges along the path of ASE of what another step left; see `relax` and `static`.

    The state is "failed" where there are no bands.
    """
    document = _after("bands", previous, settings)
    if document["state"] == "successful" and document["band_reason"]:
        return {**document, "state": "failed", "verdict": "failed", "reason": document["band_reason"]}
    return document


def molecule(formula: str, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Relax H2O or H2 from its measured geometry; see `relax`.

    Raises
    ------
    InputError
        It is another molecule.
    """
    return _computed("relax", molecule_of(formula), settings)


def label(
    candidate: str,
    phases: Sequence[Mapping[str, Any]],
    quantity: str = "dG_pbx",
    settings: Mapping[str, Any] | None = None,
    *,
    competitors: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The label of a candidate from the documents of its phases.

    Parameters
    ----------
    candidate : str
        Its formula.
    phases : sequence of dict
        Documents of `static` or `bands`: of the candidate, its metals, its competitors, H2O and H2. Of several structures of one
        formula the lowest counts.
    quantity : str
        As in section ``[label]``.
    settings : dict, optional
        As in section ``[label]``: ``potential`` (V), ``pH``, ``concentration`` (mol/L), ``oxygen_correction`` and
        ``oxygen_energy`` (eV for each oxygen atom).
    competitors : sequence of str, optional
        What must be known; by default the oxides of the pool with the candidate's metals.

    Returns
    -------
    dict
        ``value`` (eV/atom, of a gap eV; None where it is unknown), ``parts`` (quantities that are known), ``waits_for`` (what is
        missing) and ``state``, "successful" or "failed".

    Raises
    ------
    InputError
        The formula or the quantity is none, or a phase is no document.
    SettingsError
        A setting is unknown or out of range.
    """
    asked = _label_settings(settings or {})
    found = [_phase(document) for document in phases]
    question = Question(quantity=quantity, oxygen_correction=asked.oxygen_correction, oxygen_energy=asked.oxygen_energy)
    known = label_of(
        candidate,
        found,
        references_of(found, question),
        quantity=quantity,
        conditions=Conditions(potential=asked.potential, pH=asked.pH, concentration=asked.concentration),
        competitors=competitors,
    )
    return {
        "candidate": candidate,
        "quantity": quantity,
        "state": "failed" if known.value is None else "successful",
        "value": known.value,
        "parts": dict(known.parts),
        "waits_for": list(known.waits_for),
    }


def _label_settings(settings: Mapping[str, Any]) -> LabelSettings:
    if unknown := [name for name in settings if name not in _OF_LABEL]:
        raise SettingsError(f"label: unknown setting '{unknown[0]}'; known are {', '.join(_OF_LABEL)}")
    try:
        return LabelSettings(**settings)
    except ValidationError as error:
        raise SettingsError(f"label: {first_problem(error, LabelSettings)}") from error


def _phase(document: Mapping[str, Any]) -> Phase:
    try:
        has_failed = document["state"] != "successful"
        return Phase(
            formula=document["formula_pretty"],
            name="/".join(Path(document["dir_name"]).parts[-3:-1]),
            energy=None if has_failed else document["energy_per_atom"],
            band_gap=None if has_failed else document["bandgap"],
            reason=f"{document['verdict']}: {document['reason']}" if has_failed else "",
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"label: needs documents of static or bands, found {shown(document)}") from error


def _after(step: Step, previous: Mapping[str, Any], settings: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        state, structure = previous["state"], previous["structure"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{step}: needs the document of another step, found {shown(previous)}") from error
    if state != "successful":
        return {**previous, "core_hours": 0.0, "attempts": 0}
    return _computed(step, _structure(structure), settings)


def _computed(step: Step, structure: Structure | Molecule, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """A step in the current folder. What was computed there and ended is put aside: somebody has unrun the task."""
    engine, folder = load_engine(settings or {}), Path.cwd()
    made = attempts_of(folder)
    if own_lease() is None and made and made[-1].record.seconds is not None:
        forget_attempts(folder)
    return run_step(step, structure, engine)


def _structure(given: Any) -> Structure | Molecule:
    from pymatgen.core import Molecule, Structure
    from pymatgen.io.ase import AseAtomsAdaptor

    if isinstance(given, Structure | Molecule):
        return given
    try:
        if hasattr(given, "get_positions"):
            return (AseAtomsAdaptor.get_structure if given.pbc.any() else AseAtomsAdaptor.get_molecule)(given)
        return structure_of(given)
    except Exception as error:  # pymatgen checks nothing before it computes with it
        raise InputError(f"needs a structure of pymatgen or ASE, or its dictionary, found {shown(given)}") from error
