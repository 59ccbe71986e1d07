"""Settings, species and the two input files."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyfhiaims")

from pymatgen.core import Lattice, Molecule
from species import write_species

from sisso_sal.errors import InputError, SettingsError
from sisso_sal.oracle.engines.aims import last_geometry, read_geometry, remedy
from sisso_sal.oracle.engines.aims_inputs import PRESETS, AimsSettings, band_lines, preset, species_files, write_inputs
from sisso_sal.oracle.engines.aims_verdict import RunVerdict
from sisso_sal.oxides.prototypes import prototype_structure

NUMBER = r"\d+(\.\d+)?(e[+-]?\d+)?"
RUN = "an FHI-aims run of shared/aims_samples echoes it"
# Keyword -> its values, the section of the manual (https://fhi-aims.org/uploads/manual/) whose title covers it, and by what the
# name itself could be checked.
DOCUMENTED = {
    "xc": (rf"pbe|pbesol|pw-lda|pbe0|hse06 {NUMBER}", "3.3", RUN),
    "hse_unit": (r"bohr-1", "3.3", RUN),
    "hybrid_xc_coeff": (NUMBER, "3.3", "the published workflow (doi 10.1038/s41524-025-01596-4) writes it"),
    "relativistic": (r"atomic_zora scalar|none", "3.8", RUN),
    "spin": (r"none|collinear", "", RUN),
    "sc_iter_limit": (r"\d+", "3.10", RUN),
    "charge_mix_param": (NUMBER, "3.10", RUN),
    "occupation_type": (rf"gaussian {NUMBER}", "3.10", RUN),
    "k_grid": (r"\d+ \d+ \d+", "3.4", RUN),
    "k_grid_density": (NUMBER, "3.4", "pyfhiaims 1.2 needs it or k_grid for a crystal (control.py)"),
    "relax_geometry": (rf"(bfgs|trm) {NUMBER}", "3.11", RUN),
    "relax_unit_cell": (r"none|full|fixed_angles", "3.11", RUN),
    "max_relaxation_steps": (r"\d+", "3.11", "an integer keyword of ASE's first calculator for FHI-aims"),
    "exx_band_structure_version": (r"1", "", RUN),
    "output": (rf"band( -?{NUMBER}){{6}} \d+ \w+ \w+|mulliken", "3.52", RUN),
}
SAMPLES = Path(__file__).parents[3].parent / "shared" / "aims_samples"


@pytest.fixture
def species(tmp_path):
    return write_species(tmp_path / "species_defaults", ["Mg", "O", "H", "Mn"], sets=("light", "tight"))


def rocksalt(metal="Mg"):
    return prototype_structure("rocksalt", {"A": (metal, 2)})


def lines_of(folder):
    text = (folder / "control.in").read_text()
    head = [line.split() for line in text.partition("  species ")[0].splitlines() if line and not line.startswith("#")]
    return text, head


def test_relaxation(tmp_path, species):
    write_inputs(tmp_path, rocksalt("Mn"), preset("relax", species_dir=species))
    text, head = lines_of(tmp_path)
    assert [line for line in head if line] == [
        ["xc", "pbe"],
        ["relativistic", "atomic_zora", "scalar"],
        ["spin", "collinear"],
        ["sc_iter_limit", "200"],
        ["k_grid_density", "5.0"],
        ["relax_geometry", "bfgs", "1.0e-02"],
        ["max_relaxation_steps", "100"],
        ["relax_unit_cell", "full"],
        ["output", "mulliken"],
    ]
    assert text.count("  species  ") == 2
    assert "initial_moment 5" in (tmp_path / "geometry.in").read_text().replace("  ", " ")
    assert "spin                                              none" in control_of(tmp_path, rocksalt(), species)


@pytest.mark.parametrize("metal", ["Mg", "Mn"])
def test_a_polarised_run_has_moments_to_start_from(tmp_path, species, metal):
    """FHI-aims stops where it finds none; moments of the structure, or of the user's own keyword, come first."""
    write_inputs(tmp_path, rocksalt(metal), preset("static", species_dir=species, spin="collinear"))
    head = [line for line in lines_of(tmp_path)[1] if line[:1] == ["default_initial_moment"]]
    assert head == ([] if metal == "Mn" else [["default_initial_moment", "1.0"]])
    assert ("initial_moment" in (tmp_path / "geometry.in").read_text()) == (metal == "Mn")
    own = {"default_initial_moment": "0.5"}
    write_inputs(tmp_path, rocksalt(metal), preset("static", species_dir=species, spin="collinear", extra=own))
    head = [line[1] for line in lines_of(tmp_path)[1] if line[:1] == ["default_initial_moment"]]
    assert head == ["0.5"]
    write_inputs(tmp_path, rocksalt(metal), preset("static", species_dir=species, spin="none"))
    assert "initial_moment" not in (tmp_path / "control.in").read_text() + (tmp_path / "geometry.in").read_text()


def control_of(folder, structure, species):
    write_inputs(folder, structure, preset("static", species_dir=species))
    assert "initial_moment" not in (folder / "geometry.in").read_text()
    return (folder / "control.in").read_text()


def test_hybrid_bands(tmp_path, species):
    write_inputs(tmp_path, rocksalt(), preset("bands", species_dir=species))
    _, head = lines_of(tmp_path)
    keywords = [line[0] for line in head if line]
    assert ["xc", "hse06", "0.11"] in head
    assert ["hse_unit", "bohr-1"] in head
    assert ["hybrid_xc_coeff", "0.25"] in head
    assert ["exx_band_structure_version", "1"] in head
    assert keywords.count("output") > 5
    check_documented(head)


def check_documented(head):
    """Every line of the general part of a control.in is a documented keyword with a value that it takes."""
    for line in filter(None, head):
        assert re.fullmatch(DOCUMENTED[line[0]][0], " ".join(line[1:])), line


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_and_remedy_uses_documented_keywords(tmp_path, species, name):
    assert preset(name) == AimsSettings(**PRESETS[name])
    settings = preset(name, species_dir=species, species="light", k_grid=(2, 2, 2))
    for verdict in ("finished", "scf_not_converged", "relaxation_not_converged"):
        told = RunVerdict(verdict=verdict, reason="")
        changed = (
            remedy(told, remedy(told, settings, 1), 2) if verdict != "finished" else preset(name, species_dir=species)
        )
        if name.endswith(("intermediate", "tight")):
            changed = changed.model_copy(update={"species": "light"})
        write_inputs(tmp_path, rocksalt("Mn"), changed)
        check_documented(lines_of(tmp_path)[1])


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs ../shared/aims_samples")
def test_runs_of_fhi_aims_echo_these_keywords():
    texts = [file.read_text(errors="replace") for file in (*SAMPLES.glob("*/control.in"), *SAMPLES.glob("*/aims.out"))]
    seen = set(re.findall(r"^[ \t]*(\w+)[ \t]", "\n".join(texts), re.MULTILINE))
    assert {keyword for keyword, (_, _, source) in DOCUMENTED.items() if source == RUN} <= seen


def test_a_molecule_has_no_grid(tmp_path, species):
    water = Molecule(["O", "H", "H"], [[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]])
    write_inputs(tmp_path, water, preset("relax", species_dir=species))
    _, head = lines_of(tmp_path)
    assert not {"k_grid", "k_grid_density", "relax_unit_cell"} & {line[0] for line in head if line}
    assert "lattice_vector" not in (tmp_path / "geometry.in").read_text()
    assert len(read_geometry(tmp_path / "geometry.in")) == 3


def test_the_structure_survives_the_file(tmp_path, species):
    structure = rocksalt("Mn")
    write_inputs(tmp_path, structure, preset("relax", species_dir=species))
    back = read_geometry(tmp_path / "geometry.in")
    assert back.lattice.matrix == pytest.approx(structure.lattice.matrix)
    assert back.frac_coords % 1 == pytest.approx(structure.frac_coords % 1)
    assert structure.site_properties["magmom"] == [5.0, 0.0]
    (tmp_path / "geometry.in.next_step").write_text((tmp_path / "geometry.in").read_text())
    assert last_geometry(tmp_path, structure).site_properties["magmom"] == [5.0, 0.0]


def test_band_segments_cover_the_path_of_the_lattice():
    lines = [line.split() for line in band_lines(rocksalt(), 20.0)]
    assert [line[8] + line[9] for line in lines] == ["GX", "XW", "WK", "KG", "GL", "LU", "UW", "WL", "LK", "UX"]
    assert lines[0][:7] == ["band", "0.0000000", "0.0000000", "0.0000000", "0.5000000", "0.0000000", "0.5000000"]
    bent = rocksalt()
    bent.lattice = Lattice(np.add(bent.lattice.matrix, [[0, 1e-3, 0], [0, 0, -1e-3], [5e-4, 0, 0]]))
    assert [line.split()[8:] for line in band_lines(bent, 20.0)] == [line[8:] for line in lines]
    # |GX| = 2 pi / a with a = 4.24 Å, at 20 points per 1/Å
    assert int(lines[0][7]) == round(20 * 2 * 3.14159265 / 4.24)
    assert all(int(line[7]) >= 2 for line in lines)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k_grid_density": -1}, "FHI-aims preset 'relax': k_grid_density: needs greater than 0, found -1"),
        ({"kgrid": 3}, "FHI-aims preset 'relax': unknown setting 'kgrid'; did you mean 'k_grid'?"),
        ({"extra": {"xc": "pbe"}}, "a keyword that has no setting of its own, not extra 'xc'"),
        (
            {"extra": {"sc_accuracy_rho": "1\nxc pw"}},
            "one keyword and its value on one line for extra 'sc_accuracy_rho'",
        ),
        ({"k_grid": (0, 1, 1)}, "k_grid: needs positive numbers"),
    ],
)
def test_settings_are_checked_at_birth(changes, message):
    with pytest.raises(SettingsError) as caught:
        preset("relax", **changes)
    assert message in str(caught.value)
    with pytest.raises(SettingsError, match="FHI-aims preset 'fast': needs one of relax, static"):
        preset("fast")


def test_species_are_found_before_anything_is_written(tmp_path, species, monkeypatch):
    monkeypatch.delenv("AIMS_SPECIES_DIR", raising=False)
    found = species_files(["O", "Mg", "O"], preset("relax-tight", species_dir=species))
    assert [file.parent.name + "/" + file.name for file in found.values()] == [
        "tight/08_O_default",
        "tight/12_Mg_default",
    ]
    assert species_files(["O"], AimsSettings(species_dir=f"{species}/defaults_2020/light"))["O"].parent.name == "light"
    monkeypatch.setenv("AIMS_SPECIES_DIR", species)
    assert species_files(["H"], AimsSettings())["H"].name == "01_H_default"


def test_missing_species_are_refused(tmp_path, species, monkeypatch):
    monkeypatch.delenv("AIMS_SPECIES_DIR", raising=False)
    with pytest.raises(
        InputError, match=r"^FHI-aims: needs the folder of species defaults, set species_dir or AIMS_SPECIES_DIR$"
    ):
        species_files(["O"], AimsSettings())
    with pytest.raises(InputError, match=r"nowhere is not a folder$"):
        species_files(["O"], AimsSettings(species_dir=str(tmp_path / "nowhere")))
    with pytest.raises(InputError, match=r"defaults_2020/light lacks 22_Ti_default, 38_Sr_default$"):
        write_inputs(
            tmp_path,
            prototype_structure("perovskite", {"A": ("Sr", 2), "B": ("Ti", 4)}),
            AimsSettings(species_dir=species),
        )
    assert not (tmp_path / "control.in").exists()
    (tmp_path / "species_defaults/defaults_2020/light/08_O_default").write_text("species N\n")
    with pytest.raises(InputError, match=r"08_O_default needs a line 'species O', has none$"):
        species_files(["O"], AimsSettings(species_dir=species))
