"""Structures of the user: found by composition, defects named in one line."""

import pytest
from pymatgen.core import Lattice, Structure

from sisso_sal.errors import InputError
from sisso_sal.oxides.prototypes import prototype_structure
from sisso_sal.oxides.structures import formula_key, read_structures, structures_of_column


@pytest.fixture
def rutile():
    return prototype_structure("rutile", {"A": ("Ti", 4)}).remove_site_property("magmom")


@pytest.fixture
def rocksalt():
    return prototype_structure("rocksalt", {"A": ("Mg", 2)}, conventional=True).remove_site_property("magmom")


def test_a_folder_of_files(tmp_path, rutile, rocksalt):
    rutile.to(str(tmp_path / "rutile.cif"))
    rutile.to(str(tmp_path / "POSCAR_other"), fmt="poscar")
    (tmp_path / "mgo.json").write_text(rocksalt.to(fmt="json"))
    (tmp_path / "readme.txt").write_text("not a structure")
    found = read_structures(tmp_path)
    assert {key: [name for name, _ in entries] for key, entries in found.items()} == {
        "O2Ti": ["POSCAR_other", "rutile.cif"],
        "MgO": ["mgo.json"],
    }
    assert found["O2Ti"][1][1].volume == pytest.approx(rutile.volume, rel=1e-4)


@pytest.mark.usefixtures("closes_databases")
def test_a_database(tmp_path, rutile, rocksalt):
    db = pytest.importorskip("ase.db")
    with db.connect(str(tmp_path / "mine.db")) as connection:
        for structure in (rutile, rocksalt):
            connection.write(structure.to_ase_atoms())
    found = read_structures(tmp_path / "mine.db")
    assert [name for entries in found.values() for name, _ in entries] == ["mine.db row 1", "mine.db row 2"]
    assert len(found["MgO"][0][1]) == 8


def test_a_column(rutile):
    found = structures_of_column({"TiO2": rutile.to(fmt="json")})
    assert found["O2Ti"][0][1] == rutile
    with pytest.raises(InputError, match=r"^row 'x': needs a structure in pymatgen's JSON, cannot be read$"):
        structures_of_column({"x": "[1, 2]"})


def test_keys_do_not_depend_on_how_a_formula_is_written():
    assert formula_key("MgAl2O4") == formula_key("Al4Mg2O8") == formula_key("O4MgAl2")


def test_refusals(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: there is no such folder or database of structures$"):
        read_structures(tmp_path / "nowhere")
    with pytest.raises(
        InputError, match=r"needs structures \(.cif, .vasp, .poscar, .json, .xsf, POSCAR\), found none$"
    ):
        read_structures(tmp_path)
    (tmp_path / "bad.cif").write_text("nonsense\n")
    with pytest.raises(InputError, match=r"bad.cif: needs a crystal structure, cannot be read"):
        read_structures(tmp_path)
    (tmp_path / "bad.cif").unlink()
    mixed = Structure(Lattice.cubic(4), [{"Mg": 0.5, "Ca": 0.5}, "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    (tmp_path / "mixed.json").write_text(mixed.to(fmt="json"))
    with pytest.raises(
        InputError, match=r"mixed.json: needs a structure with whole atoms, found partly occupied sites"
    ):
        read_structures(tmp_path)
