"""What other programs read in a calculation's document: against real outputs, the energies of the stand-in, and their models."""

import gc
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyfhiaims")
pytest.importorskip("ase")

import aims_stand_in
import ase.calculators.emt
import stand_in_energy
from ase import Atoms
from pymatgen.core import Lattice, Molecule, Structure
from species import write_species

from sisso_sal.oracle.engines.aims import calculation_document, read_geometry, remedy, run_aims
from sisso_sal.oracle.engines.aims_inputs import preset
from sisso_sal.oracle.engines.aims_results import frames_of, read_output
from sisso_sal.oracle.engines.aims_verdict import judge_run
from sisso_sal.oracle.engines.ase_calculator import calculate, calculator_preset
from sisso_sal.oracle.engines.task_document import Frame, magnetic_ordering, trajectory_of
from sisso_sal.oxides.prototypes import prototype_structure

SAMPLES = Path(__file__).parents[3].parent / "shared" / "aims_samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the FHI-aims sample outputs are not beside the repository"
)
COMMAND = f"{sys.executable} {Path(aims_stand_in.__file__)}"
EMT = "ase.calculators.emt:EMT"


@pytest.fixture(scope="module")
def species(tmp_path_factory):
    return write_species(tmp_path_factory.mktemp("aims") / "species", ["Mg", "O"])


@pytest.fixture(scope="module")
def oxide():
    return prototype_structure("rocksalt", {"A": ("Mg", 2)})


@pytest.fixture(scope="module")
def relaxed(tmp_path_factory, species, oxide):
    """The document of a relaxation by the stand-in."""
    folder, settings = tmp_path_factory.mktemp("relaxed"), preset("relax", species_dir=species)
    verdict = run_aims(folder / "run", oxide, settings, command=COMMAND)
    return calculation_document(folder / "run", oxide, verdict, label="relax", seconds=1.0, settings=settings)


@pytest.fixture(scope="module")
def copper():
    """The document of a relaxation by an ASE calculator."""
    structure = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.7), ["Cu"], [[0, 0, 0]])
    structure.add_site_property("magmom", [1.0] * 4)
    return structure


@pytest.fixture(scope="module")
def of_copper(tmp_path_factory, copper):
    settings = calculator_preset(EMT, force_tolerance=0.01)
    return calculate(tmp_path_factory.mktemp("copper"), copper, settings, label="relax")


# Real outputs ------------------------------------------------------------------------------------------------------------


@needs_samples
@pytest.mark.parametrize(
    ("name", "n_steps"), [("04_Si_double_relax_light", 5), ("06_O2_relax_nonspin", 4), ("01_MgMn2O4_afm_relax", 15)]
)
def test_the_path_of_a_real_relaxation(name, n_steps):
    """From its first geometry to its last, with the uncorrected energy: that of O2 is 56 meV above the free energy."""
    file = next((SAMPLES / name).glob("aims.out*"))
    frames = read_output(file)["frames"]
    start, reached = (read_geometry(SAMPLES / name / f) for f in ("geometry.in", "geometry.in.next_step"))
    path = trajectory_of([site.specie.symbol for site in start], frames)
    assert path["num_ionic_steps"] == n_steps
    for at, geometry in ((0, start), (-1, reached)):
        away = np.array(path["cart_coords"][at]) - geometry.cart_coords
        if isinstance(geometry, Molecule):
            assert path["lattice"] is None
        else:
            assert np.array(path["lattice"][at]) == pytest.approx(geometry.lattice.matrix, abs=2e-7)
            inside = away @ np.linalg.inv(geometry.lattice.matrix)
            away = (inside - np.round(inside)) @ geometry.lattice.matrix
        assert np.abs(away).max() < 2e-7
    assert path["energy"][-1] == pytest.approx(judge_run(file).energy_eV, abs=1e-9)
    assert path["forces"][-1] == read_output(file)["forces"]
    assert np.abs(path["forces"][-1]).max() < 1e-2


@needs_samples
def test_the_moments_of_a_real_antiferromagnet():
    """By Mulliken's analysis, which FHI-aims prints for the last geometry alone."""
    found = read_output(SAMPLES / "01_MgMn2O4_afm_relax/aims.out.gz")
    assert found["magmoms"][2:6] == pytest.approx([3.808, -3.808, 3.808, -3.808], abs=1e-3)
    assert magnetic_ordering(found["magmoms"]) == "AFM"
    assert found["efermi"] == pytest.approx(-5.81173913)
    assert (found["k_grid"], found["n_k_points"]) == ([2, 2, 2], 8)
    assert found["run_stats"]["elapsed_time"] == pytest.approx(3529.415)
    assert found["run_stats"]["cores"] == 8
    assert trajectory_of(["Mg"], found["frames"])["magmoms"] is None


@needs_samples
@pytest.mark.parametrize(
    ("name", "n_steps"),
    [
        ("16_derived_failures/relax_cut_in_scf_step3.out.gz", 3),  # its cycle 4 was cut
        ("16_derived_failures/scf_notconv_nice.out.gz", 0),
        ("15_preamble_fail/preamble_fail.out", 0),
    ],
)
def test_a_run_that_failed_keeps_the_geometries_that_it_finished(name, n_steps):
    assert len(frames_of(SAMPLES / name)) == n_steps


# The stand-in, whose energies are known ----------------------------------------------------------------------------------


def test_each_geometry_has_its_own_energy_forces_and_stress(relaxed):
    path = relaxed["trajectory"]
    assert path["num_ionic_steps"] == relaxed["steps"] > 2
    for places, lattice, energy, forces, stress in zip(
        *(path[key] for key in ("cart_coords", "lattice", "energy", "forces", "stress")), strict=True
    ):
        cell = np.array(lattice)
        expected, gradient, by_cell = stand_in_energy.energy(["Mg", "O"], np.array(places), cell)
        assert energy == pytest.approx(expected, abs=1e-5)  # positions are printed with eight digits
        assert np.array(forces) == pytest.approx(-gradient, abs=1e-5)
        assert np.array(stress) == pytest.approx(cell.T @ by_cell / abs(np.linalg.det(cell)), abs=1e-5)
    assert path["energy"][-1] == relaxed["energy"] == relaxed["output"]["energy"]
    assert path["forces"][-1] == relaxed["forces"]


def test_what_went_in(relaxed, oxide):
    given = relaxed["input"]
    assert Structure.from_dict(given["structure"]) == oxide
    assert (given["xc"], given["parameters"]["relax_geometry"]) == ("pbe", "bfgs 1.0e-02")
    assert given["parameters"]["k_grid_density"] == 5.0
    assert given["species_info"]["species_defaults"]["Mg"] == {"element": "Mg", "species_defaults": "light"}
    assert given["n_k_points"] == 8
    assert (relaxed["calc_code"], relaxed["version"], relaxed["completed"]) == ("aims", "240507", True)
    assert relaxed["efermi"] == relaxed["output"]["efermi"] is not None


def test_the_path_goes_through_all_attempts(tmp_path, species, oxide, monkeypatch, relaxed):
    monkeypatch.setenv("STAND_IN_FAULTS", "queue:MgO:1")  # ended from outside after a step
    settings = preset("relax", species_dir=species)
    first = run_aims(tmp_path / "attempt-1", oxide, settings, command=f"sh -c '{COMMAND}; true'")
    assert first.verdict == "interrupted"
    again = read_geometry(tmp_path / "attempt-1" / "geometry.in.next_step")
    second = run_aims(tmp_path / "attempt-2", again, remedy(first, settings, 1), command=COMMAND)
    made = calculation_document(
        tmp_path / "attempt-2", oxide, second, label="relax", settings=settings, earlier=[tmp_path / "attempt-1"]
    )
    n_first = len(frames_of(tmp_path / "attempt-1" / "aims.out"))
    path = made["trajectory"]
    assert path["num_ionic_steps"] == n_first + second.n_cycles
    assert n_first == 2
    assert path["lattice"][:2] == relaxed["trajectory"]["lattice"][:2]
    assert path["energy"][-1] == pytest.approx(relaxed["energy"], abs=1e-3)
    assert Structure.from_dict(made["input"]["structure"]) == oxide


def test_a_failed_run_has_no_output_but_its_input_and_path(tmp_path, species, oxide, monkeypatch):
    monkeypatch.setenv("STAND_IN_FAULTS", "relax")
    settings = preset("relax", species_dir=species)
    verdict = run_aims(tmp_path / "run", oxide, settings, command=COMMAND)
    made = calculation_document(tmp_path / "run", oxide, verdict, label="relax", settings=settings)
    assert (made["state"], made["completed"], made["output"]["energy"], made["output"]["forces"]) == (
        "failed",
        False,
        None,
        None,
    )
    assert made["input"]["xc"] == "pbe"
    assert made["trajectory"]["num_ionic_steps"] == verdict.n_cycles


# Calculators of ASE ------------------------------------------------------------------------------------------------------


def test_the_path_of_an_ase_calculator(of_copper, copper):
    """Every energy, force and stress is that of the calculator at this geometry, and none was computed for the path."""
    path = of_copper["trajectory"]
    assert path["num_ionic_steps"] == of_copper["steps"]
    for places, lattice, energy, forces, stress in zip(
        *(path[key] for key in ("cart_coords", "lattice", "energy", "forces", "stress")), strict=True
    ):
        atoms = Atoms(path["elements"], places, cell=lattice, pbc=True)
        atoms.calc = ase.calculators.emt.EMT()
        assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-9)
        assert atoms.get_forces() == pytest.approx(np.array(forces), abs=1e-9)
        assert atoms.get_stress(voigt=False) == pytest.approx(np.array(stress), abs=1e-9)
    assert path["energy"][-1] == of_copper["energy"]
    assert (of_copper["calc_code"], of_copper["version"]) == ("EMT", ase.__version__)
    assert of_copper["input"]["magnetic_moments"] == [1.0] * 4
    assert of_copper["input"]["relaxation"]["force_tolerance"] == 0.01
    assert of_copper["efermi"] is None


def test_an_equation_of_state_is_a_path_too(tmp_path, copper):
    settings = calculator_preset(EMT, relax="volume", force_tolerance=0.01)
    made = calculate(tmp_path, copper, settings, label="relax")
    volumes = [abs(np.linalg.det(lattice)) for lattice in made["trajectory"]["lattice"]]
    assert made["trajectory"]["num_ionic_steps"] == made["steps"]
    assert volumes[:7] == pytest.approx(copper.volume * np.linspace(0.94, 1.06, 7))


def test_a_static_energy_is_a_path_of_one_step(tmp_path, copper):
    made = calculate(tmp_path, copper, calculator_preset(EMT), label="static")
    assert made["trajectory"]["num_ionic_steps"] == 1
    lone = calculate(tmp_path, Molecule(["H"], [[0, 0, 0]]), calculator_preset(EMT), label="static")
    assert lone["trajectory"]["lattice"] is lone["trajectory"]["stress"] is None


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8), st.randoms())
def test_an_order_depends_neither_on_the_order_of_sites_nor_on_the_direction_of_up(moments, random):
    mixed = random.sample(moments, len(moments))
    orders = {magnetic_ordering(m) for m in (moments, [-m for m in moments], [*mixed, 0.0])}
    assert len(orders) == 1 or abs(abs(sum(moments)) - 0.1 * len(moments)) < 1e-6


@pytest.mark.parametrize(
    ("moments", "order"),
    [(None, None), ([0.0], "NM"), ([2, 1], "FM"), ([-2, -1, 0.05], "FM"), ([2, -2], "AFM"), ([4, -1], "FiM")],
)
def test_orders(moments, order):
    assert magnetic_ordering(moments) == order


def test_what_one_step_lacks_no_step_has():
    frames = [Frame([[0, 0, 0]], None, -1.0, forces=[[0, 0, 0]]), Frame([[0, 0, 1]], None, -2.0)]
    path = trajectory_of(["O"], frames)
    assert (path["elements"], path["energy"], path["forces"]) == ([8], [-1.0, -2.0], None)
    assert trajectory_of(["O"], []) is None


# The models of others ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["relaxed", "of_copper"])
def test_emmet_core_takes_the_documents(which, request):
    trajectories = pytest.importorskip("emmet.core.trajectory", reason="needs emmet-core")
    from emmet.core.structure import StructureMetadata
    from emmet.core.task import BaseTaskDocument
    from emmet.core.vasp.calculation import RunStatistics

    document = request.getfixturevalue(which)
    path = trajectories.AtomTrajectory(**document["trajectory"])
    assert path.num_ionic_steps == len(document["trajectory"]["energy"])
    assert {"energy", "forces", "stress", "lattice"} <= path.ionic_step_properties_used
    frames = path.to_pmg()
    assert frames[-1].lattice.matrix == pytest.approx(
        np.array(Structure.from_dict(document["structure"]).lattice.matrix), abs=1e-7
    )
    task = BaseTaskDocument.model_validate(document)
    assert (task.calc_code, task.version, task.completed) == (document["calc_code"], document["version"], True)
    assert task.completed_at is not None
    about = StructureMetadata.model_validate(document)
    assert (about.nsites, about.formula_pretty) == (document["nsites"], document["formula_pretty"])
    RunStatistics.model_validate(document["run_stats"])
    assert set(document["run_stats"]) <= set(RunStatistics.model_fields)


def test_atomate2_takes_the_documents(relaxed):
    try:
        from atomate2.aims.schemas.task import AimsTaskDoc
    except ImportError as error:
        pytest.skip(f"needs atomate2 with FHI-aims: {error}")
    task = AimsTaskDoc.model_validate(relaxed)
    assert task.output.energy == relaxed["energy"]
    assert task.output.structure == Structure.from_dict(relaxed["structure"])
    assert task.input.parameters["k_grid_density"] == 5.0
    assert task.state.value == "successful"


def test_pyfhiaims_says_the_same(relaxed):
    from pyfhiaims.outputs.stdout import AimsStdout

    output = AimsStdout(f"{relaxed['dir_name']}/aims.out")
    last, inner = output[-1], relaxed["output"]
    assert inner["efermi"] == last["fermi_energy"]
    assert (inner["vbm"], inner["cbm"]) == (last["vbm"], last["cbm"])
    assert np.array(inner["forces"]) == pytest.approx(np.array(last["forces"]))
    assert inner["energy"] == pytest.approx(last["total_energy"], abs=1e-9)
    echoed = {key: str(value) for key, value in output.metadata.items()}
    for keyword, value in relaxed["input"]["parameters"].items():
        assert echoed[keyword].split()[0].strip(".").casefold() == str(value).split()[0].strip(".").casefold(), keyword


def test_an_attempt_without_an_output_has_no_frames_and_says_nothing(tmp_path, capfd):
    """A parser of pyfhiaims that cannot open its file prints a traceback when it is deleted."""
    assert frames_of(tmp_path / "aims.out") == []
    gc.collect()
    assert capfd.readouterr() == ("", "")
