"""Calculations of other programs: databases, lists of structures and trajectories of ASE, VASP and Quantum ESPRESSO."""

import json
import shutil
from pathlib import Path

import ase.io
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.db import connect

import sisso_sal.oracle.calculations.folder as reading
from sisso_sal.oracle.calculations.equal_settings import groups_of
from sisso_sal.oracle.calculations.folder import cache_file, find_calculations

ASE_DATA = Path(ase.__file__).parent / "test" / "testdata"
ESPRESSO = """
     Program PWSCF v.7.2 starts on  1Jan2026 at 12: 0: 0

     bravais-lattice index     =            0
     lattice parameter (alat)  =       7.2558  a.u.
     unit-cell volume          =      95.4969 (a.u.)^3
     number of atoms/cell      =            1
     number of atomic types    =            1
     kinetic-energy cutoff     =      40.0000  Ry
     Exchange-correlation= PBE
                           (   1   4   3   4   0   0   0)

     celldm(1)=   7.255773  celldm(2)=   0.000000  celldm(3)=   0.000000

     crystal axes: (cart. coord. in units of alat)
               a(1) = (   0.500000   0.500000   0.000000 )
               a(2) = (   0.000000   0.500000   0.500000 )
               a(3) = (   0.500000   0.000000   0.500000 )

     PseudoPot. # 1 for Al read from file:
     ./Al.pbe-n-kjpaw_psl.1.0.0.UPF
     MD5 check sum: 0123456789abcdef0123456789abcdef
     Pseudo is Projector augmented-wave, Zval =  3.0

   Cartesian axes

     site n.     atom                  positions (alat units)
         1           Al  tau(   1) = (   0.0000000   0.0000000   0.0000000  )

     number of k points=     1  Methfessel-Paxton smearing, width (Ry)=  0.0200
                       cart. coord. in units 2pi/alat
        k(    1) = (   0.0000000   0.0000000   0.0000000), wk =   2.0000000

!    total energy              =     -39.50000000 Ry
     smearing contrib. (-TS)   =      -0.00200000 Ry

     convergence has been achieved in   6 iterations

   JOB DONE.
"""


@pytest.fixture
def copper():
    atoms = bulk("Cu")
    atoms.calc = EMT()
    atoms.get_potential_energy()
    return atoms


def energies(path):
    return {one.place: one.energy for one in find_calculations(path).calculations}


def test_every_row_of_a_database_is_a_calculation(tmp_path, copper):
    nickel = bulk("Ni")
    nickel.calc = EMT()
    nickel.get_potential_energy()
    with connect(tmp_path / "own.db") as database:
        database.write(copper, converged=True, xc="PBE", project="mine")
        database.write(nickel, converged=False)
        database.write(bulk("Al"))
    converged, stuck, without = find_calculations(tmp_path / "own.db").calculations
    assert converged.place == "own.db#1"
    assert converged.energy == pytest.approx(copper.get_potential_energy())
    assert converged.settings == {"code": "emt", "xc": "pbe"}
    assert converged.cell.volume == pytest.approx(copper.get_volume())
    assert (stuck.failure, stuck.energy) == ("not_converged: the file says converged = false", None)
    assert without.failure == "no energy"


def test_lists_and_trajectories_of_several_compositions_have_a_calculation_for_each(tmp_path, copper):
    oxygen = molecule("O2")
    oxygen.calc = EMT()
    oxygen.get_potential_energy()
    ase.io.write(tmp_path / "some.extxyz", [copper, oxygen])
    ase.io.write(tmp_path / "some.traj", [copper, oxygen])
    found = energies(tmp_path)
    expected = [copper.get_potential_energy(), oxygen.get_potential_energy()]
    for name in ("some.extxyz", "some.traj"):
        assert [found[f"{name}#{n}"] for n in (1, 2)] == pytest.approx(expected)
    cells = {one.place: one.cell for one in find_calculations(tmp_path).calculations}
    assert cells["some.traj#2"].lattice is None


def test_of_a_trajectory_of_one_composition_the_last_structure_counts(tmp_path, copper):
    frames = []
    for scale in (1.1, 1.0):
        frame = copper.copy()
        frame.set_cell(copper.cell * scale, scale_atoms=True)
        frame.calc = EMT()
        frame.get_potential_energy()
        frames.append(frame)
    ase.io.write(tmp_path / "relaxation.traj", frames)
    (found,) = find_calculations(tmp_path).calculations
    assert (found.place, found.is_told_converged) == ("relaxation.traj", False)
    assert found.energy == pytest.approx(frames[-1].get_potential_energy())


def test_parameters_of_a_calculator_are_settings(tmp_path):
    with connect(tmp_path / "own.db") as database:
        for number, epsilon in enumerate((0.1, 0.1, 0.2)):
            atoms = bulk("Ar", a=5.2 + 0.1 * number)
            atoms.calc = LennardJones(epsilon=epsilon, sigma=3.4)
            atoms.get_potential_energy()
            database.write(atoms)
    sizes = [len(group.calculations) for group in groups_of(find_calculations(tmp_path).calculations)]
    assert sizes == [2, 1]


def test_files_that_are_none_are_passed_over_and_damaged_ones_named(tmp_path, copper):
    with connect(tmp_path / "own.db") as database:
        database.write(copper)
    (tmp_path / "settings.json").write_text(json.dumps({"a": 1}))
    (tmp_path / "slurm-1.out").write_text("srun: done\n")
    ase.io.write(tmp_path / "POSCAR", copper, format="vasp")
    (tmp_path / "broken.db").write_bytes((tmp_path / "own.db").read_bytes()[:3000])
    ase.io.write(tmp_path / "cut.traj", copper)
    (tmp_path / "cut.traj").write_bytes((tmp_path / "cut.traj").read_bytes()[:60])
    found = {one.place: one.failure.partition(": ")[0] for one in find_calculations(tmp_path).calculations}
    assert found == {"broken.db": "cannot be read", "cut.traj": "cannot be read", "own.db#1": ""}


@pytest.mark.skipif(not (ASE_DATA / "vasp").is_dir(), reason="needs the test data that ASE ships")
def test_vasp_is_read_with_its_settings_and_cut_files_are_named(tmp_path):
    source = (ASE_DATA / "vasp" / "vasprun_dfpt.xml").read_bytes()
    for name, content in (("whole", source), ("cut", source[: len(source) // 2])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vasprun.xml").write_bytes(content)
    shutil.copy(ASE_DATA / "vasp" / "OUTCAR_example_1", tmp_path / "whole" / "OUTCAR")  # the same run, not a second one
    cut, whole = find_calculations(tmp_path).calculations
    assert cut.failure.startswith("cannot be read: ")
    assert not cut.is_usable
    assert (whole.place, whole.failure, whole.version) == ("whole/vasprun.xml", "", "6.3.2")
    assert whole.energy == pytest.approx(-6.74587304)
    assert whole.settings == {
        "code": "VASP", "xc": "PBE", "relativity": "scalar", "species": "400 eV", "spin": "none", "k_grid": "3 3 3",
        "smearing": "gaussian 0.1 eV",
    }  # fmt: skip
    assert whole.species == {"Na": "PAW_PBE Na 08Apr2002", "Cl": "PAW_PBE Cl 06Sep2000"}
    assert whole.k_density is not None
    assert whole.entropy == 0.0


def test_quantum_espresso_is_read_with_its_settings(tmp_path):
    (tmp_path / "al.out").write_text(ESPRESSO)
    (tmp_path / "al.in").write_text("&CONTROL\n/\nK_POINTS automatic\n6 6 6 0 0 0\n")
    (one,) = find_calculations(tmp_path).calculations
    assert one.failure == ""
    assert one.energy == pytest.approx(-39.5 * 13.605693, abs=1e-3)
    assert one.settings == {
        "code": "Quantum ESPRESSO", "xc": "PBE", "species": "40 Ry", "spin": "none", "relativity": "scalar", "k_grid": "6 6 6",
        "smearing": "methfessel-paxton 0.2721 eV",
    }  # fmt: skip
    assert one.species == {"Al": "Al.pbe-n-kjpaw_psl.1.0.0.UPF 0123456789abcdef0123456789abcdef"}
    assert one.version == "7.2"
    assert one.entropy == pytest.approx(0.0272, abs=1e-4)


@pytest.mark.parametrize(
    ("gone", "failure"),
    [
        ("   JOB DONE.", "interrupted: the output ends without 'JOB DONE.'"),
        ("has been achieved", "failed: no line says that convergence has been achieved"),
    ],
)
def test_an_espresso_run_that_did_not_end_well_is_left_out(tmp_path, gone, failure):
    (tmp_path / "al.out").write_text(ESPRESSO.replace(gone, ""))
    (one,) = find_calculations(tmp_path).calculations
    assert (one.failure, one.energy) == (failure, None)


# The cache ---------------------------------------------------------------------------------------------------------------


def test_a_file_is_read_again_only_where_it_or_the_inputs_beside_it_changed(tmp_path, copper):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        ase.io.write(tmp_path / name / "some.extxyz", copper)
    first = find_calculations(tmp_path)
    assert first.n_read == 2
    again = find_calculations(tmp_path)
    assert (again.n_read, again.calculations) == (0, first.calculations)
    copper.calc.results["energy"] = -1.0
    ase.io.write(tmp_path / "b" / "some.extxyz", copper)
    changed = find_calculations(tmp_path)
    assert (changed.n_read, changed.calculations[1].energy) == (1, -1.0)
    (tmp_path / "a" / "control.in").write_text("xc pbe\n")
    assert find_calculations(tmp_path).n_read == 1
    shutil.rmtree(tmp_path / "b")
    assert len(find_calculations(tmp_path).calculations) == 1


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-20], lambda text: "[]", lambda text: text.replace('"reader":"', '"reader":"0')]
)
def test_a_damaged_cache_or_one_of_another_version_is_made_again(tmp_path, copper, damage):
    ase.io.write(tmp_path / "some.extxyz", copper)
    before = find_calculations(tmp_path)
    file = cache_file(tmp_path)
    file.write_text(damage(file.read_text()))
    again = find_calculations(tmp_path)
    assert (again.n_read, again.calculations) == (1, before.calculations)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, copper, monkeypatch):
    ase.io.write(tmp_path / "some.extxyz", copper)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(reading, "cache_file", lambda root: tmp_path / "file" / "cache.json")
    assert find_calculations(tmp_path).n_read == find_calculations(tmp_path).n_read == 2
