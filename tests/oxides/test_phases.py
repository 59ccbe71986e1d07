"""Structures that phases start from: those of elements against an independent library of structures."""

import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher

from sisso_sal.errors import InputError
from sisso_sal.oxides.metals import METALS
from sisso_sal.oxides.phases import element_structure

TYPES = {
    "B": "A_hR12_166_2h",
    "P": "A_oC8_64_f",
    "Mn": "A_cI58_217_ac2g",
    "Ga": "A_oC8_64_f",
    "Se": "A_hP3_152_a",
    "U": "A_oC4_63_c",
}


@pytest.mark.parametrize("symbol", sorted(TYPES))
@pytest.mark.faults
def test_a_shipped_structure_is_that_of_the_library(symbol):
    # Earlier versions of pymatgen need a package for it that they do not install.
    library = pytest.importorskip("pymatgen.analysis.prototypes", exc_type=ImportError).AFLOW_PROTOTYPE_LIBRARY
    (known,) = [
        entry["snl"].structure
        for entry in library
        if entry["tags"]["aflow"] == TYPES[symbol] and {str(e) for e in entry["snl"].structure.elements} == {symbol}
    ]
    shipped = element_structure(symbol)
    assert len(shipped) == len(known)
    assert shipped.volume == pytest.approx(known.volume, rel=1e-3)
    assert max(StructureMatcher(scale=False, primitive_cell=False).get_rms_dist(shipped, known)) < 0.02


def test_tellurium_has_chains_with_the_measured_bond():
    """P. Cherin, P. Unger (1967): two neighbours at 2.835 Å."""
    tellurium = element_structure("Te")
    assert [round(neighbour.nn_distance, 3) for neighbour in tellurium.get_neighbors(tellurium[0], 3.2)] == [2.835] * 2


def test_every_metal_of_the_pool_has_a_structure():
    assert all(len(element_structure(metal)) for metal in METALS)


def test_an_element_without_a_structure_is_refused():
    with pytest.raises(InputError, match=r"^N: no structure of this element is known \(.*\); give one$"):
        element_structure("N")
