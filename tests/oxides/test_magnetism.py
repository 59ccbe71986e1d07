"""Magnetic orders: which neighbours are antiparallel, as neutron diffraction has them, and what names and moments say."""

from collections import Counter

import numpy as np
import pytest

from sisso_sal.errors import InputError
from sisso_sal.oxides.magnetism import (
    MagneticOrder,
    moments_in_words,
    moments_of,
    order_in_words,
    orders_of_type,
    type_of,
)
from sisso_sal.oxides.phases import known_starts, starting_structures
from sisso_sal.oxides.prototypes import prototype_structure, prototype_structures, structure_types


def of_type(formula, name):
    return dict(prototype_structures(formula, [name]))


def shells(structure, *elements):
    """For each magnetic atom of an element: (distance, parallel neighbours, antiparallel ones) of its nearest shells."""
    moments, found = moments_of(structure), []
    for site, near, moment in zip(structure, structure.get_all_neighbors(5.0), moments, strict=True):
        if site.specie.symbol != elements[0]:
            continue
        counts = {}
        for other in near:
            if other.specie.symbol == elements[-1]:
                counts.setdefault(round(other.nn_distance, 2), []).append(moments[other.index] * moment > 0)
        found.append([(r, sum(same), len(same) - sum(same)) for r, same in sorted(counts.items())])
    return found


@pytest.mark.parametrize("metal", ["Mn", "Fe", "Co", "Ni"])
def test_second_neighbours_are_antiparallel_in_rock_salt(metal):
    """AFM-II: (111) planes are parallel inside and alternate; six of twelve neighbours and none of the six second ones agree."""
    order = of_type(f"{metal}O", "rocksalt")["rocksalt-afm-II"]
    assert (len(order), order.composition.reduced_formula) == (4, f"{metal}O")
    for first, second, *_ in shells(order, metal):
        assert (first[1:], second[1:]) == ((6, 6), (0, 6))
    parallel = of_type(f"{metal}O", "rocksalt")["rocksalt"]
    assert len(parallel) == 2
    assert order.volume == pytest.approx(2 * parallel.volume)
    assert min(order.lattice.angles) >= 59.9


def test_rutile_alternates_between_corner_and_centre():
    for chain, centre, *_ in shells(of_type("MnO2", "rutile")["rutile-afm"], "Mn"):
        assert (chain[1:], centre[1:]) == ((2, 0), (0, 8))


def test_two_orders_of_corundum():
    found = of_type("Cr2O3", "corundum")
    assert list(found) == ["corundum", "corundum-afm-Cr2O3", "corundum-afm-Fe2O3"]
    for nearest, second, *_ in shells(found["corundum-afm-Cr2O3"], "Cr"):
        assert (nearest[1:], second[1:]) == ((0, 1), (0, 3))
    for nearest, second, *_ in shells(found["corundum-afm-Fe2O3"], "Cr"):
        assert (nearest[1:], second[1:]) == ((0, 1), (3, 0))


@pytest.mark.parametrize("name", ["perovskite", "GdFeO3"])
def test_all_six_neighbours_are_antiparallel_in_a_perovskite(name):
    found = of_type("LaFeO3", name)
    order = found[f"{name}-afm-G"]
    for each in shells(order, "Fe"):
        near = [shell for shell in each if shell[0] < 4.2]
        assert (sum(same for _, same, _ in near), sum(other for _, _, other in near)) == (0, 6)
    if name == "GdFeO3":  # the order fits into the same cell
        assert np.allclose(sorted(order.lattice.parameters), sorted(found[name].lattice.parameters), atol=1e-3)


def test_sublattices_of_spinel_are_opposite():
    order = of_type("NiFe2O4", "spinel")["spinel-ferri"]
    moments = moments_of(order)
    assert all(each[0][1] == 0 for each in shells(order, "Ni", "Fe"))
    assert abs(sum(moments)) == 16.0
    assert order_in_words("spinel-ferri", moments) == "ferrimagnetic"
    alone = of_type("MgMn2O4", "spinel")  # one magnetic sublattice has no such order
    assert list(alone) == ["spinel", "spinel-afm"]


def test_every_shipped_order_has_a_sign_at_each_atom_and_a_source():
    for name, orders in orders_of_type().items():
        kind = structure_types()[name]
        assert len({order.name for order in orders}) == len(orders)
        for order in orders:
            assert order.source
            assert (type_of(f"{name}-{order.name}"), order.waves.keys() <= {"A", "B"}) == (name, True)
            for site, places in zip(kind.sites, kind.positions(kind.parameters), strict=True):
                if site.role in order.waves:
                    assert set(np.abs(order.signs(site.role, places))) == {1.0}
    order = MagneticOrder("afm", {"A": ((0, 0, 1), 0)}, "")
    with pytest.raises(InputError, match="magnetic order afm: needs a sign at each atom of A, its wave is zero at one"):
        order.signs("A", np.array([[0, 0, 0.25]]))


def test_names_of_types_are_told_from_names_of_orders():
    for name in structure_types():
        assert type_of(name) == name
        assert type_of(f"{name}-afm-II") == name
    assert order_in_words("quartz-afm", [3.0, -3.0, -3.0]) == "ferrimagnetic"
    assert moments_in_words([]) == "non-magnetic"


def test_orders_do_not_count_as_prototypes():
    """Without moments there is one start for each type; the order of the types is the same."""
    assert [name for name, _ in starting_structures("NiO", limit=1)] == ["rocksalt", "rocksalt-afm-II"]
    for limit in (1, 2, 3):
        names = [name for name, _ in starting_structures("MnO2", limit=limit)]
        types = list(dict.fromkeys(type_of(name) for name in names))
        assert types == ["rutile", "anatase", "quartz"][:limit]
        assert Counter(type_of(name) for name in names) == dict.fromkeys(types, 2)
    assert [name for name, _ in starting_structures("MgO", limit=2)] == ["rocksalt", "wurtzite"]
    assert [name for name, _ in starting_structures("NiO", limit=2, orders=False)] == ["rocksalt", "wurtzite"]
    assert known_starts("NiO", orders=False) == ("rocksalt", "wurtzite", "tenorite")


def test_a_prototype_starts_parallel():
    assert moments_of(prototype_structure("rutile", {"A": ("Mn", 4)})) == [3, 3, 0, 0, 0, 0]
