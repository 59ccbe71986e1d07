"""The workflow's steps with ASE calculators that need no engine."""

import pytest

pytest.importorskip("ase")

import importlib.util
import json

import numpy as np
from ase.spectrum.band_structure import BandStructure
from pymatgen.core import Lattice, Molecule, Structure

from sisso_sal.errors import InputError, SettingsError
from sisso_sal.oracle.engines.ase_bands import BANDS_FILE, read_band_structure, save_ase_band_figure
from sisso_sal.oracle.engines.ase_calculator import PRESETS, calculate, calculator_preset
from sisso_sal.oracle.engines.plain_data import plain
from sisso_sal.oxides.phases import molecule
from sisso_sal.oxides.prototypes import prototype_structure
from sisso_sal.system.documents import LARGE, read_json

EMT = "ase.calculators.emt:EMT"
FREE = "ase.calculators.test:FreeElectrons"
AWKWARD = "stand_in_calculator:Awkward"
BENT = "stand_in_calculator:Bent"


@pytest.fixture
def copper():
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.75), ["Cu"], [[0, 0, 0]])


@pytest.mark.parametrize("how", ["full", "volume"])
def test_relaxation_finds_the_lattice_of_the_potential(tmp_path, copper, how):
    """EMT copper: a = 3.59 Å."""
    document = calculate(tmp_path, copper, calculator_preset(EMT, relax=how, force_tolerance=0.01), label="relax")
    assert (document["state"], document["verdict"]) == ("successful", "finished")
    assert Structure.from_dict(document["structure"]).lattice.a == pytest.approx(3.59, abs=0.01)
    assert document["energy_per_atom"] == document["energy"] / 4
    assert document["bandgap"] is None
    assert len(document["forces"]) == 4
    assert document["core_hours"] > 0


def test_a_static_step_keeps_the_structure(tmp_path, copper):
    document = calculate(tmp_path, copper, calculator_preset(EMT), label="static")
    assert Structure.from_dict(document["structure"]).lattice.a == pytest.approx(3.75)


@pytest.mark.parametrize("how", ["full", "volume", "atoms"])
def test_of_a_molecule_only_atoms_move(tmp_path, how):
    """The same bond with and without a box around it; a box that is large enough changes nothing."""
    bonds = []
    for vacuum in (None, 6.0):
        settings = calculator_preset(EMT, relax=how, vacuum=vacuum, force_tolerance=1e-3)
        document = calculate(tmp_path, molecule("H2"), settings, label="relax")
        assert (document["verdict"], document["stress"]) == ("finished", None)
        bonds.append(Molecule.from_dict(document["structure"]).get_distance(0, 1))
    assert bonds[0] == pytest.approx(bonds[1], abs=1e-4)
    assert bonds[0] != pytest.approx(molecule("H2").get_distance(0, 1), abs=1e-3)


def test_a_molecule_has_a_cell_whatever_the_calculator_asks_for(tmp_path):
    """Potentials for crystals invert the cell; without one they fail on every reference of oxygen and hydrogen."""
    document = calculate(tmp_path, molecule("H2O"), calculator_preset(AWKWARD), label="relax")
    assert (document["verdict"], document["reason"]) == ("finished", "the calculation ended")
    assert "lattice" not in document["structure"]
    alone = calculate(tmp_path, molecule("H2O"), calculator_preset(EMT), label="relax")
    assert document["energy"] == pytest.approx(alone["energy"], abs=1e-4)


@pytest.mark.parametrize("label", ["relax", "static"])
def test_whatever_a_calculator_leaves_becomes_json_that_can_be_read_back(tmp_path, copper, label):
    document = calculate(tmp_path, copper, calculator_preset(AWKWARD, force_tolerance=0.01), label=label)
    assert document["state"] == "successful"
    (tmp_path / "document.json").write_text(json.dumps(document, allow_nan=False))
    assert read_json(tmp_path / "document.json", LARGE) == document
    assert type(document["energy"]) is float
    assert np.shape(document["forces"]) == (4, 3)
    assert np.shape(document["stress"]) == (3, 3)
    assert Structure.from_dict(document["structure"]).site_properties == {"final_magmom": [0.5] * 4}
    for moments in ("nan", "short"):
        odd = calculate(tmp_path, copper, calculator_preset(AWKWARD, parameters={"moments": moments}), label=label)
        assert Structure.from_dict(odd["structure"]).site_properties == {}
    again = calculate(tmp_path, Structure.from_dict(document["structure"]), calculator_preset(AWKWARD), label="static")
    assert again["state"] == "successful"


@pytest.mark.parametrize(
    ("foreign", "told"),
    [
        (np.float32(0.5), 0.5),
        (np.array([[1, 2]], dtype=np.uint8), [[1, 2]]),
        (np.array(3.0), 3.0),
        (np.bool_(True), True),
        (float("inf"), None),
        (np.array([np.nan, 1.0], dtype=np.float16), [None, 1.0]),
        (2**70, float(2**70)),
        (np.str_("x"), "x"),
        ("\udcff", "?"),
        ({"a": (1, {2}), 3: None}, {"a": [1, [2]], "3": None}),
        (1 + 2j, "(1+2j)"),
        (np.datetime64("2026-11-29"), "2026-11-29"),
    ],
)
def test_plain_data(foreign, told):
    made = plain(foreign)
    assert made == told
    assert type(made) is type(told)
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_a_crystal_of_one_atom_relaxes_its_cell(tmp_path):
    """The primitive cell of a metal has one atom: no force, but a stress."""
    primitive = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.75), ["Cu"], [[0, 0, 0]]).get_primitive_structure()
    document = calculate(tmp_path, primitive, calculator_preset(EMT, force_tolerance=0.01), label="relax")
    assert Structure.from_dict(document["structure"]).volume == pytest.approx(3.59**3 / 4, rel=0.01)


def test_a_document_says_how_many_geometries_were_computed(tmp_path, copper):
    def steps(label="relax", **changes):
        return calculate(tmp_path, copper, calculator_preset(EMT, **changes), label=label)["steps"]

    assert steps("static") == steps(relax="none") == 1
    assert 1 < steps(force_tolerance=0.05) < steps(force_tolerance=1e-3)
    assert steps(max_steps=1, force_tolerance=1e-6) == 2
    assert steps(relax="volume") == 3 * 7 + 1


def test_the_symmetry_that_noise_takes_is_given_back_and_no_other(tmp_path):
    """A structure that is nearly symmetric becomes so; one that lost its symmetry for a lower energy stays as it is."""
    start = prototype_structure("wurtzite", {"A": ("Ni", 2)})
    found = {}
    for refined in (False, True):
        settings = calculator_preset(AWKWARD, refine_symmetry=refined, force_tolerance=0.02, max_steps=300)
        document = calculate(tmp_path, start, settings, label="prerelax")
        assert document["verdict"] == "finished"
        relaxed = Structure.from_dict(document["structure"])
        found[refined] = relaxed.get_space_group_info(symprec=1e-7)[1], document["energy_per_atom"], document["steps"]
    assert found[True][0] == 194  # flat layers, without wurtzite's own axis
    assert found[False][0] < 186
    assert found[True][1:] == (pytest.approx(found[False][1], abs=1e-4), found[False][2] + 1)
    bent = calculate(tmp_path, start, calculator_preset(BENT, refine_symmetry=True), label="prerelax")
    assert Structure.from_dict(bent["structure"]).get_space_group_info(symprec=1e-7)[1] == 1


def test_a_molecule_has_parameters_of_its_own():
    settings = calculator_preset("gpaw", parameters={"xc": "LDA"})
    assert (settings.parameters["xc"], settings.parameters["mode"]["ecut"]) == ("LDA", 700)
    assert settings.for_molecule().parameters == {**settings.parameters, "kpts": {"size": (1, 1, 1)}}
    assert settings.for_molecule().relax == "atoms"
    assert calculator_preset("gpaw", relax="none").for_molecule().relax == "none"


def test_gaps_of_free_electrons(tmp_path):
    """Two electrons at the zone centre: the gap is the kinetic energy of the first plane wave; along a line they are a metal."""
    a = 3.0
    cell = Structure(Lattice.cubic(a), ["Cu"], [[0, 0, 0]])
    centre = calculate(tmp_path, cell, calculator_preset(FREE, parameters={"nvalence": 2}), label="static")
    assert centre["bandgap"] == pytest.approx(3.80998 * (2 * np.pi / a) ** 2, rel=1e-4)
    assert (centre["vbm"], centre["cbm"]) == pytest.approx((0.0, centre["bandgap"]))
    assert centre["bandgap_definition"] == "k-points of the calculation"
    line = {"nvalence": 2, "kpts": {"path": "GM", "npoints": 20}}
    metal = calculate(tmp_path, cell, calculator_preset(FREE, parameters=line), label="bands")
    assert (metal["bandgap"], metal["vbm"], metal["cbm"]) == (0.0, None, None)


def test_a_hybrid_functional_is_asked_of_gpaw(tmp_path):
    cell = Structure(Lattice.cubic(3.0), ["Cu"], [[0, 0, 0]])
    other = calculator_preset(FREE, parameters={"nvalence": 2}, hybrid="HSE06")
    with pytest.raises(
        InputError, match=r"^hybrid 'HSE06': needs a functional of GPAW built with libxc \(apt-get install"
    ):
        calculate(tmp_path, cell, other, label="bands")
    beside = calculate(tmp_path, cell, other, label="static", with_bands=True)
    assert (beside["state"], beside["has_bands"]) == ("successful", False)
    assert beside["energy"] is not None
    assert beside["band_reason"].startswith("InputError: hybrid 'HSE06': needs a functional of GPAW")
    plain = calculator_preset(FREE, parameters={"nvalence": 2})
    assert calculate(tmp_path, cell, plain, label="static", with_bands=True)["has_bands"]
    with pytest.raises(
        SettingsError, match=r"^calculator 'gpaw': hybrid: needs '', 'HSE06', 'HSE03' or 'PBE0', found 'B2PLYP'$"
    ):
        calculator_preset("gpaw", hybrid="B2PLYP")


def test_a_picture_of_bands(tmp_path):
    path = Structure(Lattice.cubic(3.0), ["Cu"], [[0, 0, 0]]).to_ase_atoms().cell.bandpath("GX", npoints=11)
    bent = np.linspace(-1, 1, 11) ** 2
    bands = BandStructure(path, np.array([np.stack([2.0 - bent, 3.5 + bent], axis=1)]), reference=2.4)
    with pytest.raises(InputError) as caught:
        read_band_structure(tmp_path)
    assert str(caught.value) == f"{tmp_path}: needs a band structure (bands.json), found none"
    bands.write(tmp_path / BANDS_FILE)
    found = save_ase_band_figure(tmp_path, tmp_path / "bands.png")
    assert found == {"bandgap": pytest.approx(1.5), "vbm": pytest.approx(2.0), "cbm": pytest.approx(3.5)}
    assert (tmp_path / "bands.png").read_bytes().startswith(b"\x89PNG")


def test_elk_that_is_not_there_tells_how_to_install_it(tmp_path, copper):
    missing = calculator_preset("elk", parameters={"command": "elk_that_is_not_there"})
    with pytest.raises(InputError) as caught:
        calculate(tmp_path, copper, missing, label="static")
    assert str(caught.value) == (
        "calculator 'sisso_sal.oracle.engines.elk:elk': cannot be set up: there is no program 'elk_that_is_not_there'; "
        "install it with: apt-get install elk-lapw"
    )


def test_failures_are_told_in_the_document(tmp_path, copper):
    slow = calculate(tmp_path, copper, calculator_preset(EMT, max_steps=1, force_tolerance=1e-6), label="relax")
    assert (slow["verdict"], slow["reason"]) == ("relaxation_not_converged", "forces above 1e-06 eV/Å after 1 steps")
    assert (slow["state"], slow["energy"]) == ("failed", None)
    oxide = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.2), ["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    unknown = calculate(tmp_path, oxide, calculator_preset(EMT), label="static")
    assert unknown["verdict"] == "failed"
    assert unknown["reason"].startswith("NotImplementedError: No EMT-potential for Mg")


def test_a_missing_engine_tells_how_to_install_it(tmp_path, copper):
    missing = calculator_preset("gpaw", calculator="gpaw_that_is_not_there:GPAW")
    with pytest.raises(InputError) as caught:
        calculate(tmp_path, copper, missing, label="static")
    assert str(caught.value) == (
        "calculator 'gpaw_that_is_not_there:GPAW': cannot be imported (No module named 'gpaw_that_is_not_there'); "
        "install it with: CC=g++ pip install gpaw"
    )


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("vasp", {}, "calculator 'vasp': needs one of gpaw, gpaw-light, elk, chgnet, sevenn or 'package.module:Class'"),
        ("gpaw", {"relax": "all"}, "calculator 'gpaw': relax: needs 'full', 'volume', 'atoms' or 'none', found 'all'"),
        ("gpaw", {"force_tolerance": 0}, "calculator 'gpaw': force_tolerance: needs greater than 0, found 0"),
    ],
)
def test_settings(name, changes, message):
    with pytest.raises(SettingsError) as caught:
        calculator_preset(name, **changes)
    assert str(caught.value) == message
    assert [calculator_preset(preset).install for preset in PRESETS] == [
        *["CC=g++ pip install gpaw"] * 2,
        "apt-get install elk-lapw",
        "pip install 'sisso-sal[potential-chgnet]'",
        "pip install 'sisso-sal[potential-sevenn]'",
    ]


@pytest.mark.skipif(importlib.util.find_spec("chgnet") is None, reason="needs CHGNet and PyTorch")
@pytest.mark.filterwarnings("ignore")  # of PyTorch, at its import
def test_magnesia_and_water_with_chgnet(tmp_path, capfd):
    """What Materials Project corrected energies amount to, and nothing on standard output."""
    oxide = prototype_structure("rocksalt", {"A": ("Mg", 2)})
    document = calculate(tmp_path, oxide, calculator_preset("chgnet"), label="relax")
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["energy_per_atom"] == pytest.approx(-6.314, abs=2e-3)
    water = calculate(tmp_path, molecule("H2O"), calculator_preset("chgnet"), label="relax")
    assert water["energy_per_atom"] == pytest.approx(-4.937, abs=2e-3)
    other = calculate(tmp_path, oxide, calculator_preset("chgnet", parameters={"model": "r2scan"}), label="relax")
    assert Structure.from_dict(other["structure"]).volume < Structure.from_dict(document["structure"]).volume
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", ["chgnet", "sevenn"])
def test_a_potential_that_is_not_installed_says_how_to_install_it(tmp_path, copper, name):
    if importlib.util.find_spec(name) is not None:
        pytest.skip(f"{name} is installed")
    with pytest.raises(InputError) as caught:
        calculate(tmp_path, copper, calculator_preset(name), label="static")
    assert str(caught.value) == (
        f"calculator 'sisso_sal.oracle.engines.potentials:{name}': cannot be set up: No module named '{name}'; "
        f"install it with: pip install 'sisso-sal[potential-{name}]'"
    )
