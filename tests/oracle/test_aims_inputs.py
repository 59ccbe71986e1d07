"""Settings, species and the two input files."""

import numpy as np
import pytest

pytest.importorskip("pyfhiaims")

from pymatgen.core import Lattice, Molecule
from species import write_species

from sisso_sal.data.prototypes import prototype_structure
from sisso_sal.errors import InputError, SettingsError
from sisso_sal.oracle.aims import last_geometry, read_geometry
from sisso_sal.oracle.aims_inputs import PRESETS, AimsSettings, band_lines, preset, species_files, write_inputs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:spglib")

# Keywords of the FHI-aims manual, chapter "Tasks in FHI-aims" and the keyword reference for control.in.
DOCUMENTED = {
    *(
        "xc",
        "hse_unit",
        "hybrid_xc_coeff",
        "relativistic",
        "spin",
        "sc_iter_limit",
        "charge_mix_param",
        "occupation_type",
    ),
    *(
        "k_grid",
        "k_grid_density",
        "relax_geometry",
        "relax_unit_cell",
        "max_relaxation_steps",
        "exx_band_structure_version",
    ),
    "output",
}


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
    ]
    assert text.count("  species  ") == 2
    assert "initial_moment 5" in (tmp_path / "geometry.in").read_text().replace("  ", " ")
    assert "spin                                              none" in control_of(tmp_path, rocksalt(), species)


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
    assert set(keywords) <= DOCUMENTED


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_uses_documented_keywords(tmp_path, species, name):
    settings = preset(name, species_dir=species, charge_mix_param=0.05, smearing=0.02)
    assert set(settings.keywords(periodic=True, magnetic=True)) <= DOCUMENTED
    assert preset(name) == AimsSettings(**PRESETS[name])


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
