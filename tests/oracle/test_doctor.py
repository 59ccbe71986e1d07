"""The doctor tells what is there, what is missing and what is wrong, and how to mend it."""

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys

import numba
import pytest

from sisso_sal.oracle import doctor
from sisso_sal.oracle.doctor import Check, declared_packages, doctor_checks
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.system.extras import EXTRA_OF

EXTRAS = {
    "report": ["jinja2", "matplotlib", "plotly"],
    "structures": ["pymatgen"],
    "excel": ["openpyxl"],
    "sympy": ["sympy"],
    "dft": ["ase", "pyfhiaims", "taskblaster"],
    "cluster": ["dask"],
}


def check(name):
    (found,) = [check for check in doctor_checks() if check.name == name]
    return found


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch, tmp_path):
    for name in ("AIMS_COMMAND", "AIMS_SPECIES_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))


def executable(folder, name):
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_python_packages_and_cores_of_this_machine_are_found():
    assert check("python").status == "ok"
    assert check("numpy") == Check("numpy", "ok", importlib.metadata.version("numpy"))
    assert check("cores").detail == f"{doctor.usable_cores()} usable of {os.cpu_count()}"


def test_every_declared_package_is_looked_at_once():
    core, extras = declared_packages()
    names = [check.name for check in doctor_checks()]
    assert {"numpy", "numba", "pyarrow"} <= set(core)
    assert extras == EXTRAS
    assert len(names) == len(set(names))
    assert set(core).union(*extras.values()) <= set(names)
    assert not set(core) & set(EXTRA_OF)


def test_a_missing_package_is_told_with_the_line_that_installs_it(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    checks = {check.name: check for check in doctor_checks()}
    monkeypatch.setattr(importlib.metadata, "version", absent)
    missing = {check.name: check for check in doctor_checks()}
    assert missing.keys() == checks.keys()
    assert missing["dask"] == Check("dask", "missing", "not installed; pip install 'sisso-sal[cluster]'")
    assert missing["ase"] == Check("ase", "missing", "not installed; pip install 'sisso-sal[dft]'")
    assert missing["numpy"] == Check("numpy", "problem", "not installed; pip install 'numpy'")
    monkeypatch.setattr(importlib.metadata, "requires", absent)
    assert check("sisso-sal").status == "problem"
    assert declared_packages() == ([], {extra: [] for extra in EXTRAS})


def test_the_compiler_works_and_keeps_its_code():
    found = check("numba compiler")
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        assert (found.status, "NUMBA_DISABLE_JIT" in found.detail) == ("problem", True)
    else:
        assert found.status == "ok"
        assert os.path.isdir(found.detail.rpartition(" in ")[2])


def test_a_compiler_that_does_not_compile_or_keep_its_code_is_a_problem(monkeypatch):
    def refusing(**options):
        raise RuntimeError("cannot cache function: no locator available\nfor file x")

    monkeypatch.setattr(numba, "jit", refusing)
    told = "RuntimeError: cannot cache function: no locator available; NUMBA_CACHE_DIR can name a writable cache folder"
    assert check("numba compiler") == Check("numba compiler", "problem", told)
    monkeypatch.setattr(numba, "jit", lambda **options: lambda function: function)
    assert "switched off by NUMBA_DISABLE_JIT" in check("numba compiler").detail


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="compilation is switched off")
def test_a_cache_that_cannot_be_written_is_a_problem(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *args, **options: False)
    found = check("numba compiler")
    assert found.status == "problem"
    assert "is not writable; name another in NUMBA_CACHE_DIR" in found.detail


def test_an_old_python_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (99, 0))
    assert check("python").status == "problem"
    assert check("python").detail.endswith("needs 99.0 or newer")


def test_the_aims_program_is_looked_for(monkeypatch, tmp_path):
    assert check("FHI-aims").status == "missing"
    assert "AIMS_COMMAND" in check("FHI-aims").detail
    path = executable(tmp_path, "aims.x")
    assert check("FHI-aims") == Check("FHI-aims", "ok", path)
    monkeypatch.setenv("AIMS_COMMAND", "srun aims.x")
    assert check("FHI-aims").status == "problem"
    assert check("FHI-aims").detail == "AIMS_COMMAND is 'srun aims.x', but there is no program 'srun'"
    executable(tmp_path, "srun")
    assert check("FHI-aims").status == "ok"


def test_slurm_is_looked_for(tmp_path):
    assert check("Slurm").status == "missing"
    path = executable(tmp_path, "sbatch")
    assert check("Slurm") == Check("Slurm", "ok", path)


def test_what_starts_parallel_programs_is_looked_for(tmp_path):
    assert check("MPI").status == "missing"
    path = executable(tmp_path, "mpirun")
    assert check("MPI") == Check("MPI", "ok", path)


def test_the_engines_are_looked_for(tmp_path, monkeypatch):
    assert check("Elk") == Check("Elk", "missing", "no elk on the PATH; optional, apt-get install elk-lapw")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert check("GPAW") == Check("GPAW", "missing", "optional, CC=g++ pip install gpaw")
    assert check("workflow") == Check("workflow", "missing", "needs Taskblaster; pip install 'sisso-sal[dft]'")


def test_the_workflow_is_tried(monkeypatch):
    pytest.importorskip("taskblaster")
    assert check("workflow") == Check("workflow", "ok", "Taskblaster takes on a calculation")
    from sisso_sal.oracle.workflow import tasks as workflow

    def broken(*args, **options):
        raise OSError("database is locked\nmore")

    monkeypatch.setattr(workflow.Workflow, "submit", broken)
    assert check("workflow") == Check("workflow", "problem", "OSError: database is locked")


def test_a_test_run_of_two_atoms(monkeypatch, tmp_path):
    pytest.importorskip("pyfhiaims")
    import aims_stand_in
    from species import write_species

    name = "FHI-aims test run"
    assert doctor.aims_test_run().status == "missing"
    monkeypatch.setenv("AIMS_COMMAND", f"{sys.executable} {aims_stand_in.__file__}")
    assert doctor.aims_test_run() == Check(
        name, "missing", "FHI-aims species: set AIMS_SPECIES_DIR to the species_defaults folder of FHI-aims"
    )
    monkeypatch.setenv("AIMS_SPECIES_DIR", write_species(tmp_path / "species", ["Mg", "O"]))
    found = doctor.aims_test_run()
    assert found.status == "ok"
    assert found.detail.startswith("MgO, two atoms: -63")
    assert found.detail.endswith("eV by version 240507")
    monkeypatch.setenv("STAND_IN_FAULTS", "kill")
    assert doctor.aims_test_run().detail.startswith(
        "MgO, two atoms: interrupted: the output ends in self-consistency cycle 1"
    )


def of_a_calculator(calculator, *, workers=1, **changes):
    settings = {
        "run": {"oracle": "structure", "calculations": workers},
        "calculation": {"calculator": calculator, "changes": changes},
    }
    return doctor.oracle_check(CampaignSettings.model_validate(settings))


def test_a_calculator_computes_two_atoms_before_a_campaign_relies_on_it():
    """What can be imported need not compute: it lacks an element, has no stress, or stumbles over its own results."""
    pytest.importorskip("taskblaster")
    pair = {"parameters": {"sigma": 1.9}}
    good = of_a_calculator("ase.calculators.lj:LennardJones", all=pair)
    assert good.status == "ok"
    told = r"dG_pbx by ase\.calculators\.lj:LennardJones, 1 workers; MgO, two atoms: -?\d+\.\d{3} eV in \d+\.\d s"
    assert re.fullmatch(told, good.detail)
    both = of_a_calculator("ase.calculators.lj:LennardJones", all=pair, static={"parameters": {"sigma": 2.0}})
    assert both.detail.count("MgO, two atoms") == 2  # each step that has settings of its own
    assert of_a_calculator("ase.calculators.emt:EMT") == Check(
        "oracle",
        "problem",
        "calculator 'ase.calculators.emt:EMT': MgO, two atoms: failed: NotImplementedError: No EMT-potential for Mg",
    )
    assert of_a_calculator("ase.calculators.emt:EMT", workers=0).status == "ok"  # others compute


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("forces", "MgO, two atoms: failed: RuntimeError: out of memory"),
        (
            "stress",
            "MgO, two atoms: has no stress to relax a cell by; set relax to volume or atoms in [calculation.changes]",
        ),
        ("setup", "cannot be set up: KeyError"),
    ],
)
def test_what_a_calculator_cannot_do_is_told_in_one_line(fault, told):
    pytest.importorskip("taskblaster")
    found = of_a_calculator("stand_in_calculator:Broken", all={"parameters": {"fault": fault}})
    assert (found.status, found.detail) == ("problem", f"calculator 'stand_in_calculator:Broken': {told}")


def test_a_species_folder_must_hold_species(monkeypatch, tmp_path):
    name = "FHI-aims species"
    assert check(name).status == "missing"
    folder = tmp_path / "species"
    monkeypatch.setenv("AIMS_SPECIES_DIR", str(folder))
    assert check(name) == Check(name, "problem", f"AIMS_SPECIES_DIR is {str(folder)!r}, which is not a folder")
    folder.mkdir()
    (folder / "08_O_default").write_text("not a species file\n")
    (folder / "readme").write_text("  species  O\n")
    assert check(name).status == "problem"
    assert "holds no species file" in check(name).detail
    (folder / "08_O_default").write_text("################\n  species        O\n")
    assert check(name) == Check(name, "ok", f"{folder}: files (1)")


def test_sets_of_species_below_the_folder_are_counted(monkeypatch, tmp_path):
    monkeypatch.setenv("AIMS_SPECIES_DIR", str(tmp_path))
    for place, files in {"defaults_2020/light": ["01_H", "08_O"], "defaults_2020/tight": ["08_O"]}.items():
        (tmp_path / place).mkdir(parents=True)
        for file in files:
            (tmp_path / place / f"{file}_default").write_text(f"  species  {file[3:]}\n")
    assert check("FHI-aims species").detail == f"{tmp_path}: defaults_2020/light (2), defaults_2020/tight (1)"


def test_a_check_becomes_a_dictionary():
    assert Check("Slurm", "missing", "no sbatch").as_dict() == {
        "name": "Slurm",
        "status": "missing",
        "detail": "no sbatch",
    }


def test_nothing_heavy_is_imported_with_the_module():
    code = "import sys, sisso_sal.oracle.doctor; print({'numba', 'numpy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
