"""Calculations are grouped where their settings are equal: against the obvious way, and by what must hold."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sisso_sal.oracle.calculations.equal_settings import differences_from, groups_of
from sisso_sal.oracle.calculations.record import Cell, DoneCalculation, density_range


def cube(a, symbols=("Mg",)):
    return Cell(symbols=symbols, positions=((0, 0, 0),) * len(symbols), lattice=((a, 0, 0), (0, a, 0), (0, 0, a)))


def done(place, *, a=4.0, grid=None, symbols=("Mg",), species=None, cell=None, entropy=None, **settings):
    cell = cell or cube(a, symbols)
    settings = {"code": "FHI-aims", "xc": "pbe", "relativity": "none", "species": "light", "spin": "none", **settings}
    settings |= {"k_grid": " ".join(map(str, grid))} if grid else {}
    density = density_range(cell, grid) if grid else None
    return DoneCalculation(
        place=place,
        cell=cell,
        energy=-1.0,
        settings=settings,
        species=species or {},
        k_density=density,
        entropy=entropy,
    )


def places(group):
    return sorted(one.place for one in group.calculations)


@given(st.lists(st.sampled_from(["pbe", "hse06 0.11 1/bohr", "pbesol"]), min_size=1, max_size=8))
def test_groups_of_functionals_are_those_of_equal_names(functionals):
    some = [done(str(n), xc=xc) for n, xc in enumerate(functionals)]
    found = {group.settings["xc"]: places(group) for group in groups_of(some)}
    assert found == {xc: [str(n) for n, one in enumerate(functionals) if one == xc] for xc in functionals}


@given(
    st.floats(1.0, 8.0),
    st.lists(st.floats(2.5, 15.0), min_size=1, max_size=8),
    st.sampled_from([math.ceil, math.floor, round]),
)
def test_grids_of_one_density_are_one_group_however_they_are_rounded(density, edges, rounded):
    some = [done(str(n), a=a, grid=(max(1, rounded(density * 2 * math.pi / a)),) * 3) for n, a in enumerate(edges)]
    assert len(groups_of(some)) == 1


@given(st.lists(st.tuples(st.floats(2.5, 12.0), st.integers(1, 12)), min_size=1, max_size=7))
def test_the_largest_group_of_grids_is_the_most_that_one_density_explains(cells):
    some = [done(str(n), a=a, grid=(points,) * 3) for n, (a, points) in enumerate(cells)]
    ranges = [one.k_density for one in some]
    ends = list(itertools.chain(*ranges))
    most = max(sum(low <= d <= high for low, high in ranges) for d in ends)  # a best density is at the end of a range
    assert max(len(group.calculations) for group in groups_of(some)) == most
    assert sorted(place for group in groups_of(some) for place in places(group)) == sorted(one.place for one in some)


def test_a_coarse_grid_is_told_with_its_range_and_that_of_the_others():
    some = [done("a", grid=(8, 8, 8)), done("b", a=8.0, grid=(4, 4, 4)), done("coarse", grid=(3, 3, 3))]
    group, other = groups_of(some)
    assert places(group) == ["a", "b"]
    ((place, name, value, usual),) = differences_from(group, [other])
    assert (place, name) == ("coarse", "k_grid")
    assert value.startswith("3 3 3 (1.27 to 2.55 per 1/Å")
    assert usual == group.settings["k_grid"]


def test_a_molecule_belongs_to_every_density_and_an_unknown_grid_to_none():
    molecule = done("water", cell=Cell(symbols=("O", "H", "H"), positions=((0, 0, 0), (1, 0, 0), (0, 1, 0))))
    some = [done("fine", grid=(8, 8, 8)), done("coarse", grid=(3, 3, 3)), done("untold"), molecule]
    assert sorted(map(tuple, map(places, groups_of(some)))) == [
        ("coarse", "water"),
        ("fine", "water"),
        ("untold", "water"),
    ]


def test_the_form_of_a_species_that_most_have_is_the_usual_one_and_the_lines_that_differ_are_told():
    usual, other = "cut_pot 3.5; hydro 2 p 1.4", "cut_pot 3.5; hydro 2 p 1.8; hydro 3 d 4.2"
    some = [done(name, species={"Mg": usual}) for name in "ab"] + [done("c", species={"Mg": other})]
    some += [
        done("d", symbols=("Ca",), species={"Ca": "hydro 4 s", "Mg": other})
    ]  # Mg stands in control.in, and not in the cell
    first, second = groups_of(some)
    assert (places(first), places(second)) == (["a", "b", "d"], ["c"])
    assert differences_from(first, [second]) == [
        ("c", "species", "light; Mg with hydro 2 p 1.8, with hydro 3 d 4.2, without hydro 2 p 1.4", "light")
    ]


def test_without_spin_is_as_good_where_no_atom_can_have_a_moment():
    some = [
        done("MgO", symbols=("Mg", "O")),
        done("NiO", symbols=("Ni", "O"), spin="collinear"),
        done("Ni", symbols=("Ni",), spin="collinear"),
        done("NiO-wrong", symbols=("Ni", "O")),
        done("O2", symbols=("O", "O")),
    ]
    groups = {group.settings["spin"]: places(group) for group in groups_of(some)}
    assert groups == {"collinear": ["MgO", "Ni", "NiO"], "none": ["MgO", "NiO-wrong", "O2"]}
    assert {len(groups_of([one])) for one in some} == {1}


def test_smearings_are_compared_where_their_entropy_is_felt():
    narrow, broad = "gaussian 0.01 eV", "gaussian 0.05 eV"
    some = [
        done("Pd", symbols=("Pd",) * 4, entropy=0.008, smearing=narrow),
        done("PdO", symbols=("Pd", "O"), smearing=narrow),
        done("Pd-broad", symbols=("Pd",) * 4, entropy=0.03, smearing=broad),
        done("MgO", symbols=("Mg", "O"), entropy=0.0, smearing=broad),
        done("CaO", symbols=("Ca", "O"), smearing="fixed occupations"),
    ]
    first, other = groups_of(some)
    assert (first.settings["smearing"], places(first)) == (narrow, ["CaO", "MgO", "Pd", "PdO"])
    assert places(other) == ["CaO", "MgO", "Pd-broad"]
    assert differences_from(first, [other]) == [("Pd-broad", "smearing", broad, narrow)]
    assert {len(groups_of([one])) for one in some} == {1}
    assert len(groups_of(some, ["code", "xc"])) == 1


def test_a_setting_that_need_not_be_the_same_parts_nothing():
    some = [done("a", xc="pbe", grid=(8, 8, 8)), done("b", xc="pbesol", grid=(2, 2, 2))]
    assert len(groups_of(some)) == 2
    assert len(groups_of(some, ["code", "xc"])) == 2
    assert [places(group) for group in groups_of(some, ["code", "spin"])] == [["a", "b"]]
    assert "xc" not in groups_of(some, ["code"])[0].settings


@given(st.permutations(range(6)))
def test_the_groups_do_not_depend_on_the_order(order):
    some = [
        done(str(n), xc=["pbe", "pbe", "hse"][n % 3], grid=(2 + n,) * 3, symbols=(["Ni", "Mg"][n % 2],))
        for n in range(6)
    ]
    expected = {frozenset(places(group)) for group in groups_of(some)}
    assert {frozenset(places(group)) for group in groups_of([some[n] for n in order])} == expected


def test_a_grid_that_follows_no_density_has_that_of_its_volume():
    slab = Cell(symbols=("Mo",), positions=((0, 0, 0),), lattice=((3.2, 0, 0), (0, 3.2, 0), (0, 0, 30)))
    low, high = density_range(slab, (25, 25, 1))
    assert low == high == pytest.approx((625 / (math.prod(slab.reciprocal_lengths()))) ** (1 / 3))
