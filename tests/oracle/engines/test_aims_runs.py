"""Runs of the stand-in: verdicts, faults, remedies, restart, documents; every reader reads what it writes."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyfhiaims")
pytest.importorskip("ase")

import aims_stand_in
import stand_in_energy
from pymatgen.core import Composition, Molecule, Structure
from species import write_species

from sisso_sal.errors import InputError, OracleError
from sisso_sal.oracle.engines.aims import (
    calculation_document,
    judge_folder,
    last_geometry,
    read_geometry,
    remedy,
    run_aims,
)
from sisso_sal.oracle.engines.aims_bands import read_bands, save_band_figure
from sisso_sal.oracle.engines.aims_control import read_control
from sisso_sal.oracle.engines.aims_inputs import preset, write_inputs
from sisso_sal.oracle.engines.aims_results import read_output
from sisso_sal.oracle.engines.aims_verdict import RunVerdict, judge_run
from sisso_sal.oxides.magnetism import moments_in_words
from sisso_sal.oxides.prototypes import prototype_structure

SAMPLES = Path(__file__).parents[3].parent / "shared" / "aims_samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the FHI-aims sample outputs are not beside the repository"
)
COMMAND = f"{sys.executable} {Path(aims_stand_in.__file__)}"


@pytest.fixture
def species(tmp_path):
    return write_species(tmp_path / "species", ["Mg", "O", "H", "Mn", "Ti"])


@pytest.fixture
def oxide():
    return prototype_structure("rocksalt", {"A": ("Mg", 2)})


@pytest.fixture
def relaxed(tmp_path, species, oxide):
    folder = tmp_path / "relax"
    verdict = run_aims(folder, oxide, preset("relax", species_dir=species), command=COMMAND)
    assert verdict.verdict == "finished", verdict
    return folder, verdict


def test_forces_of_the_stand_in_are_derivatives():
    rng = np.random.default_rng(1)
    lattice = 4 * np.eye(3) + rng.normal(0, 0.2, (3, 3))
    symbols, inside = ["Mg", "O", "Ti", "O", "H"], rng.random((5, 3))
    _, gradient, by_cell = stand_in_energy.energy(symbols, inside @ lattice, lattice)
    step = 1e-5
    for target, other in ((gradient, "places"), (by_cell, "lattice")):
        for i, k in np.ndindex(min(3, len(target)), 3):
            values = []
            for sign in (1, -1):
                cell, places = lattice.copy(), inside @ lattice
                if other == "places":
                    places[i, k] += sign * step
                else:
                    cell[i, k] += sign * step
                    places = inside @ cell
                values.append(stand_in_energy.energy(symbols, places, cell)[0])
            assert (values[0] - values[1]) / (2 * step) == pytest.approx(target[i, k], rel=1e-4, abs=1e-4)


def test_a_relaxation_ends_in_a_minimum_that_a_restart_keeps(relaxed, oxide, species, tmp_path):
    folder, verdict = relaxed
    reached = last_geometry(folder, oxide)
    assert reached.volume < oxide.volume
    again = run_aims(tmp_path / "again", reached, preset("relax", species_dir=species), command=COMMAND)
    assert again.energy_eV == pytest.approx(verdict.energy_eV, abs=1e-3)
    assert last_geometry(tmp_path / "again", reached).volume == pytest.approx(reached.volume, rel=1e-3)
    assert (folder / "aims.err").read_text() == ""


def test_all_readers_agree_on_the_stand_in(relaxed):
    """The project's own reader, pyfhiaims and ASE: energies, forces, edges, and the order of atoms."""
    import ase.io
    from pyfhiaims.outputs.stdout import AimsStdout

    folder, verdict = relaxed
    output = AimsStdout(str(folder / "aims.out"))
    assert output.is_finished_ok
    assert output.converged
    assert output[-1]["total_energy"] == pytest.approx(verdict.energy_eV, abs=1e-9)
    atoms = ase.io.read(folder / "aims.out", format="aims-output")
    assert atoms.get_potential_energy() == pytest.approx(verdict.energy_eV, abs=1e-6)
    assert atoms.get_chemical_symbols() == ["Mg", "O"]
    found = read_output(folder / "aims.out")
    assert np.array(found["forces"]) == pytest.approx(atoms.get_forces(), abs=1e-8)
    assert np.abs(found["forces"]).max() < 1e-2
    assert np.array(found["stress"]) == pytest.approx(atoms.get_stress(voigt=False), abs=1e-7)
    assert found["cbm"] - found["vbm"] == pytest.approx(found["bandgap"])


@needs_samples
@pytest.mark.parametrize(
    ("name", "gap", "n_forces"),
    [
        ("01_MgMn2O4_afm_relax/aims.out.gz", 1.04737675, 14),
        ("04_Si_double_relax_light/aims.out", 0.83783433, 2),
        ("06_O2_relax_nonspin/aims.out", 7e-08, 2),
        ("07_Si_static_bands/aims.out", 0.64065312, None),
    ],
)
def test_real_outputs_are_read(name, gap, n_forces):
    found = read_output(SAMPLES / name)
    assert found["bandgap"] == gap
    assert found["cbm"] - found["vbm"] == pytest.approx(gap, abs=1e-5)
    assert (found["forces"] is None) if n_forces is None else (np.shape(found["forces"]) == (n_forces, 3))


@needs_samples
def test_real_geometries_and_their_end():
    start = read_geometry(SAMPLES / "04_Si_double_relax_light/geometry.in")
    reached = last_geometry(SAMPLES / "04_Si_double_relax_light", start)
    assert reached.lattice.matrix[0] == pytest.approx([0.00000008, 2.81517619, 2.81517619])
    assert isinstance(read_geometry(SAMPLES / "06_O2_relax_nonspin/geometry.in"), Molecule)


@needs_samples
def test_real_bands():
    """Silicon in PBE: indirect, with the conduction band's minimum between the zone centre and X."""
    bands = read_bands(SAMPLES / "07_Si_static_bands")
    assert len(bands.segments) == 10
    assert not bands.is_direct
    assert (bands.vbm, bands.cbm, bands.gap) == (pytest.approx(-0.1887), pytest.approx(0.41214), pytest.approx(0.60084))
    # What the k-grid of the run saw is a little more.
    assert bands.gap < judge_run(SAMPLES / "07_Si_static_bands/aims.out").gap_eV


@needs_samples
def test_a_run_of_another_material_has_failed():
    found = judge_run(SAMPLES / "02_MgMn2O4_afm_static/aims.out", {"Mg": 2, "Mn": 4, "O": 7})
    assert (found.verdict, found.reason) == ("failed", "needs a run of Mg2Mn4O7, found one of Mg2Mn4O8")
    assert judge_run(SAMPLES / "02_MgMn2O4_afm_static/aims.out", {"Mg": 2, "Mn": 4, "O": 8}).verdict == "finished"


@pytest.mark.parametrize("metal", ["Mg", "Mn"])
def test_bands_of_the_stand_in(tmp_path, species, metal):
    structure = prototype_structure("rocksalt", {"A": (metal, 2)})
    verdict = run_aims(
        tmp_path / "bands", structure, preset("bands", species_dir=species, band_density=5.0), command=COMMAND
    )
    bands = save_band_figure(tmp_path / "bands", tmp_path / "bands.png")
    assert bands.gap == pytest.approx(verdict.gap_eV, abs=2e-5)
    assert bands.is_direct
    assert {segment.spin for segment in bands.segments} == ({1} if metal == "Mg" else {1, 2})
    assert (tmp_path / "bands.png").stat().st_size > 10_000
    assert structure.is_valid()


def test_band_files_that_are_damaged(tmp_path):
    with pytest.raises(InputError, match=r"needs band files \(band1001.out\), found none$"):
        read_bands(tmp_path)
    file = tmp_path / "band1001.out"
    for text, message in [
        ("1 0 0 0 2.0 -1.0 0.0\n", "needs k-points with pairs of occupation and energy, found a damaged file"),
        ("1 0 0 0 2.0 *****\n", "line 1: needs numbers, found '1 0 0 0 2.0 *****'"),
        ("1 0 0 0 2.0 nan\n", "needs finite numbers, found others"),
    ]:
        file.write_text(text)
        with pytest.raises(OracleError) as caught:
            read_bands(tmp_path)
        assert message in str(caught.value)
    file.write_text("1 0 0 0 2.0 -1.0\n2 0 0 0.5 2.0 -0.5\n")
    assert (read_bands(tmp_path).gap, read_bands(tmp_path).vbm, read_bands(tmp_path).cbm) == (0.0, -0.5, None)


@pytest.fixture
def banded(tmp_path, species, oxide):
    """A finished run with bands."""
    settings = preset("bands", species_dir=species, band_density=4.0)
    assert run_aims(tmp_path / "bands", oxide, settings, command=COMMAND).verdict == "finished"
    return tmp_path / "bands"


def test_bands_are_those_that_control_in_asks_for(banded):
    """Cut at any k-point, missing, of another path or beside it: refused with the file and what was needed."""
    assert read_bands(banded).gap > 0
    file = banded / "band1002.out"
    whole = file.read_text()
    lines = whole.splitlines(True)
    cases = [("".join(lines[:n]), f"control.in, found {n}") for n in range(1, len(lines))]
    cases += [
        ("".join([*lines, lines[-1]]), f"found {len(lines) + 1}"),
        (whole[:-1], "found a file that is cut in its last one"),
    ]
    cases += [((banded / "band1001.out").read_text(), "needs the ")]
    moved = whole.replace(lines[0].split()[1], "0.1234567", 1)
    cases += [(moved, "needs the k-points of control.in, ")]
    for text, told in cases:
        file.write_text(text)
        with pytest.raises(OracleError) as caught:
            read_bands(banded)
        assert told in str(caught.value), text[-40:]
    file.unlink()
    with pytest.raises(
        OracleError, match=r"band1002.out: needs the k-points of segment 2 in control.in, found no file$"
    ):
        read_bands(banded)
    file.write_text(whole)
    (banded / "band1099.out").write_text(whole)
    with pytest.raises(OracleError, match=r"needs the \d+ segments of control.in, found band1099.out$"):
        read_bands(banded)
    (banded / "band1099.out").unlink()
    (banded / "control.in").unlink()  # without it nothing is known of the path
    assert read_bands(banded).gap > 0


@needs_samples
def test_real_bands_are_those_of_their_control_in(tmp_path):
    shutil.copytree(SAMPLES / "07_Si_static_bands", tmp_path, dirs_exist_ok=True)
    assert len(read_bands(tmp_path).segments) == 10
    file = tmp_path / "band1010.out"
    file.chmod(0o644)
    file.write_text("".join(file.read_text().splitlines(True)[:-1]))
    with pytest.raises(
        OracleError, match=r"band1010.out: needs the \d+ k-points of segment 10 in control.in, found \d+$"
    ):
        read_bands(tmp_path)


@pytest.mark.parametrize(("cpus", "threads", "cores"), [("", "", 1), ("", "4,2", 4), ("6", "1", 6), ("no", "0", 1)])
def test_core_hours_count_the_cores_of_each_task(relaxed, oxide, monkeypatch, cpus, threads, cores):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", cpus)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    folder, verdict = relaxed
    verdict = dataclasses.replace(verdict, n_tasks=8)
    document = calculation_document(folder, oxide, verdict, label="relax", seconds=900.0)
    assert document["core_hours"] == 8 * cores / 4


@needs_samples
def test_moments_of_a_real_run(tmp_path):
    found = read_output(SAMPLES / "02_MgMn2O4_afm_static/aims.out")["magmoms"]
    assert (len(found), moments_in_words(found)) == (14, "AFM")
    assert found[2:4] == pytest.approx([3.808, -3.808], abs=1e-3)
    control = read_control(SAMPLES / "02_MgMn2O4_afm_static")
    assert control.numerics == {
        "xc": "pbe", "relativistic": "atomic_zora scalar", "spin": "collinear", "k_grid": "2 2 2",
    }  # fmt: skip
    relaxation = read_control(SAMPLES / "01_MgMn2O4_afm_relax")
    assert (relaxation.species, relaxation.numerics) == (control.species, control.numerics)


@pytest.mark.parametrize(
    ("mode", "verdict", "reason"),
    [
        ("crash", "failed", "stderr: forrtl: severe (174): SIGSEGV, segmentation fault occurred"),
        ("kill", "interrupted", "in self-consistency cycle 1, without 'Have a nice day.'"),
        ("disk", "failed", "error during write, unit 6"),
        ("hang", "interrupted", "out of walltime: ended after 4 s"),
        ("scf", "scf_not_converged", "self-consistency cycle 1 did not converge"),
        ("relax", "relaxation_not_converged", "the relaxation was given up in step"),
    ],
)
def test_faults(tmp_path, species, oxide, monkeypatch, mode, verdict, reason):
    monkeypatch.setenv("STAND_IN_FAULTS", mode)
    settings = preset("relax", species_dir=species, sc_iter_limit=20)
    found = run_aims(tmp_path / "run", oxide, settings, command=COMMAND, walltime=4.0 if mode == "hang" else None)
    assert found.verdict == verdict
    assert reason in found.reason
    document = calculation_document(tmp_path / "run", oxide, found, label="relax")
    assert (document["state"], document["energy"], document["bandgap"]) == ("failed", None, None)


@pytest.mark.parametrize("mode", ["scf", "relax", "kill:MgO:1"])
def test_a_known_remedy_helps(tmp_path, species, oxide, monkeypatch, mode):
    monkeypatch.setenv("STAND_IN_FAULTS", mode)
    settings = preset("relax", species_dir=species)
    places = tmp_path / "attempt-1", tmp_path / "attempt-2"
    first = run_aims(places[0], oxide, settings, command=COMMAND)
    assert first.verdict != "finished"
    changed = remedy(first, settings, 1)
    second = run_aims(places[1], last_geometry(places[0], oxide), changed, command=COMMAND)
    assert second.verdict == "finished"
    with pytest.raises(InputError, match=r"attempt-1: needs a folder without an output, found aims.out$"):
        run_aims(places[0], oxide, changed, command=COMMAND)


@pytest.mark.parametrize(
    ("reason", "n_cycles", "helps"),
    [
        ("the run stopped with: forrtl: severe (174): SIGSEGV", 3, True),
        ("the output ends in self-consistency cycle 1, without 'Have a nice day.'; exit code 174", 1, True),
        ("the run stopped with: forrtl: severe (174): SIGSEGV", 0, False),
        ("the run stopped with: *** Unknown keyword", 1, False),
        ("the run stopped with: forrtl: No space left on device", 1, False),
        ("the run ended without a self-consistency cycle", 1, False),
    ],
)
def test_a_crash_in_a_cycle_gets_one_more_try_unless_it_says_why(reason, n_cycles, helps):
    settings, crash = preset("relax"), RunVerdict(verdict="failed", reason=reason, n_cycles=n_cycles)
    assert remedy(crash, settings, 1) is (settings if helps else None)
    assert remedy(crash, settings, 2) is None


def test_no_remedy_for_a_run_without_output(species):
    crash = judge_folder("/nowhere")
    assert (crash.verdict, crash.reason) == ("failed", "no output: there is no aims.out")
    assert remedy(crash, preset("relax"), 1) is None


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        (
            "control.in",
            lambda text: text.replace("relativistic ", "relativistics "),
            "*** Unknown keyword relativistics",
        ),
        (
            "control.in",
            lambda text: text.partition("  species        O")[0],
            "*** Species Mg in geometry.in is not defined",
        ),
        ("control.in", lambda text: text.replace("k_grid_density", "#"), "*** Periodic geometry, but no k_grid"),
        ("control.in", lambda text: text.replace("xc   ", "xc  my"), "*** No valid exchange-correlation functional"),
        ("control.in", lambda text: text.replace("l_hartree", "#"), "*** Species O: missing l_hartree."),
        ("control.in", lambda text: text + "nonsense 1\n", "*** Species-related keyword 'nonsense'"),
        ("geometry.in", lambda text: text + "atoms 0 0 0 O\n", "*** Unknown keyword atoms in input file geometry.in."),
        (
            "geometry.in",
            lambda text: text.partition("\n")[2],
            "*** geometry.in: needs atoms, and no or three lattice vectors.",
        ),
    ],
)
def test_the_stand_in_is_as_strict_as_the_program(tmp_path, species, oxide, file, change, told):
    write_inputs(tmp_path, oxide, preset("relax", species_dir=species))
    (tmp_path / file).write_text(change((tmp_path / file).read_text()))
    done = subprocess.run(COMMAND.split(), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert told in done.stdout
    (tmp_path / "aims.out").write_text(done.stdout)
    assert judge_folder(tmp_path).verdict == "failed"


def test_documents_carry_the_names_of_atomate2(relaxed, oxide):
    folder, verdict = relaxed
    document = calculation_document(folder, oxide, verdict, label="relax", seconds=7200.0)
    assert document["state"] == "successful"
    assert document["energy_per_atom"] == document["energy"] / 2
    assert document["energy_definition"] == "total energy uncorrected"
    assert document["core_hours"] == 2.0
    assert document["aims_version"] == "240507"
    assert document["steps"] == verdict.n_cycles > 1
    assert Structure.from_dict(document["structure"]).composition == Composition("MgO")
    assert set(document) == {
        *("task_label", "dir_name", "state", "formula_pretty", "nsites", "structure", "energy", "energy_per_atom"),
        *(
            "energy_definition",
            "bandgap",
            "vbm",
            "cbm",
            "has_bands",
            "band_reason",
            "forces",
            "stress",
            *("magmoms", "magnetic_start", "magnetic_order", "settings", "species"),
            "steps",
            "aims_version",
            "verdict",
            "reason",
            "core_hours",
        ),
        *("completed", "completed_at", "calc_code", "version", "efermi", "magmoms", "ordering", "run_stats"),
        *("input", "output", "trajectory"),
    }


def test_commands(tmp_path, species, oxide):
    settings = preset("relax", species_dir=species)
    with pytest.raises(
        InputError, match=r"^FHI-aims command 'aims-nowhere.x': aims-nowhere.x: No such file or directory$"
    ):
        run_aims(tmp_path / "a", oxide, settings, command="aims-nowhere.x")
    with pytest.raises(InputError, match=r"needs a command, set it to aims.x or 'srun aims.x'$"):
        run_aims(tmp_path / "b", oxide, settings, command=" ")
    with pytest.raises(InputError, match=r"cannot be read: No closing quotation$"):
        run_aims(tmp_path / "c", oxide, settings, command="'aims")
    # A wrapper, as srun or a container is one.
    assert run_aims(tmp_path / "d", oxide, settings, command=f"env A=1 {COMMAND}").verdict == "finished"


def test_a_geometry_of_other_atoms_is_refused(relaxed, tmp_path):
    folder, _ = relaxed
    other = prototype_structure("rocksalt", {"A": ("Mn", 2)})
    with pytest.raises(OracleError, match=r"needs the atoms of MnO in their order, found others$"):
        last_geometry(folder, other)
    (folder / "geometry.in.next_step").write_text("lattice_vector 1 0 0\natom 0 0 0 Mg\n")
    with pytest.raises(OracleError, match=r"needs atoms and no or three lattice vectors, found 1 and 1$"):
        last_geometry(folder, other)
    assert os.path.exists(folder / "aims.out")


def test_bands_that_cannot_be_read_leave_the_energy(tmp_path, species, oxide):
    settings = preset("bands", species_dir=species, band_density=3.0)
    verdict = run_aims(tmp_path, oxide, settings, command=COMMAND)
    whole = calculation_document(tmp_path, oxide, verdict, label="static")
    assert (whole["has_bands"], whole["band_reason"]) == (True, "")
    file = sorted(tmp_path.glob("band1*.out"))[0]
    file.write_text(file.read_text()[:-20])
    cut = calculation_document(tmp_path, oxide, verdict, label="static")
    assert (cut["state"], cut["energy"], cut["has_bands"]) == ("successful", whole["energy"], False)
    assert cut["band_reason"].endswith("found a file that is cut in its last one")
