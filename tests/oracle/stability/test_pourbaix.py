"""The decomposition program against measured facts, an enumeration of all vertices, and its own theorems."""

import math

import numpy as np
import pytest
from naive_pourbaix import KCAL_PER_MOL, KJ_PER_MOL, by_enumeration, ion, random_system, solid

from sisso_sal.errors import InputError
from sisso_sal.oracle.stability.pourbaix import MU_WATER, Conditions, Species, decompose, transformed_energy


@pytest.mark.parametrize(
    ("target", "competitors", "expected"),
    [
        (
            solid("TiO2", {"Ti": 1, "O": 2}, -888.8),
            [ion("TiO++", {"Ti": 1, "O": 1}, 2, -138.0), ion("Ti+++", {"Ti": 1}, 3, -83.6)],
            -0.138,
        ),
        (solid("ZnO", {"Zn": 1, "O": 1}, -320.5), [ion("Zn++", {"Zn": 1}, 2, -35.2)], 0.509),
        (
            solid("MnO2", {"Mn": 1, "O": 2}, -465.1),
            [ion("Mn++", {"Mn": 1}, 2, -55.1), ion("MnO4-", {"Mn": 1, "O": 4}, -1, -107.6)],
            0.127,
        ),
        (solid("MgO", {"Mg": 1, "O": 1}, -569.3), [ion("Mg++", {"Mg": 1}, 2, -108.505)], 0.809),
        (solid("Al2O3", {"Al": 2, "O": 3}, -1582.3), [ion("Al+++", {"Al": 1}, 3, -115.609)], 0.342),
    ],
)
def test_measured_oxides(target, competitors, expected):
    assert decompose(target, competitors).energy == pytest.approx(expected, abs=1e-3)


def test_zinc_oxide_by_hand():
    """ZnO + 2 H+ -> Zn++ + H2O takes no electrons: U does not matter, each pH unit costs 2 kT ln 10 per two atoms."""
    zinc_oxide, zinc = solid("ZnO", {"Zn": 1, "O": 1}, -320.5), ion("Zn++", {"Zn": 1}, 2, -35.2)
    kT = 8.617333262e-5 * 298.15
    gain = -320.5 * KJ_PER_MOL - (-35.2 * KCAL_PER_MOL + kT * math.log(1e-6) + MU_WATER)
    assert decompose(zinc_oxide, [zinc]).energy == pytest.approx(gain / 2, abs=1e-12)
    assert decompose(zinc_oxide, [zinc], Conditions(potential=0.5)).energy == pytest.approx(gain / 2, abs=1e-12)
    neutral = decompose(zinc_oxide, [zinc], Conditions(pH=3))
    assert neutral.energy == pytest.approx((gain - 3 * 2 * kT * math.log(10)) / 2, abs=1e-12)
    strong = decompose(zinc_oxide, [zinc], Conditions(concentration=1.0))
    assert strong.energy == pytest.approx((gain - kT * math.log(1e6)) / 2, abs=1e-12)


@pytest.mark.parametrize("n_metals", [1, 2, 3])
def test_agrees_with_enumeration_of_all_vertices(n_metals):
    rng = np.random.default_rng(20 + n_metals)
    for _ in range(40):
        target, competitors = random_system(rng, n_metals)
        at = Conditions(potential=rng.uniform(-1, 2), pH=rng.uniform(0, 14), temperature=rng.uniform(280, 360))
        assert decompose(target, competitors, at).energy == pytest.approx(by_enumeration(target, competitors, at))


@pytest.mark.parametrize("seed", range(20))
def test_products_balance_and_carry_the_energy(seed):
    target, competitors = random_system(np.random.default_rng(seed), 2)
    result = decompose(target, competitors)
    phases = {s.name: s for s in [*competitors, *(Species(f"{m}(s)", {m: 1}) for m in target.metals)]}
    for metal in target.metals:
        content = sum(n * phases[name].composition.get(metal, 0) for name, n in result.products.items())
        assert content == pytest.approx(target.composition[metal])
    energy = sum(n * transformed_energy(phases[name]) for name, n in result.products.items())
    assert (transformed_energy(target) - energy) / target.n_atoms == pytest.approx(result.energy)
    assert len(result.products) <= len(target.metals)


@pytest.mark.parametrize("seed", range(20))
def test_another_competitor_never_lowers_the_energy(seed):
    rng = np.random.default_rng(seed)
    target, competitors = random_system(rng, 2)
    metals = sorted(target.metals)
    first, rest = [s for s in competitors if s.name.endswith(" ion")], [s for s in competitors if s.name[-1].isdigit()]
    energies = [decompose(target, first + rest[:k]).energy for k in range(len(rest) + 1)]
    assert np.all(np.diff(energies) >= -1e-12)
    better = Species("better", dict.fromkeys(metals, 1.0), mu=-60.0)
    assert decompose(target, [*competitors, better]).energy > energies[-1]


def test_the_target_and_its_polymorphs_do_not_compete():
    oxide, ions = solid("MgO", {"Mg": 1, "O": 1}, -569.3), [ion("Mg++", {"Mg": 1}, 2, -108.505)]
    polymorph = solid("MgO, other", {"Mg": 2, "O": 2}, -2 * 700.0)
    assert decompose(oxide, [*ions, oxide, polymorph]).energy == decompose(oxide, ions).energy


def test_size_of_the_formula_unit_does_not_matter():
    ions = [ion("Al+++", {"Al": 1}, 3, -115.609)]
    once = decompose(solid("Al2O3", {"Al": 2, "O": 3}, -1582.3), ions)
    thrice = decompose(solid("Al6O9", {"Al": 6, "O": 9}, -3 * 1582.3), ions)
    assert thrice.energy == pytest.approx(once.energy, abs=1e-12)
    assert thrice.products["Al+++"] == pytest.approx(6)


def test_a_metal_without_dissolved_species_is_refused():
    target = solid("SrTiO3", {"Sr": 1, "Ti": 1, "O": 3}, -1588.0)
    others = [ion("Sr++", {"Sr": 1}, 2, -134.76), solid("TiO2", {"Ti": 1, "O": 2}, -888.8)]
    with pytest.raises(InputError, match=r"^target 'SrTiO3': needs a dissolved competitor of Ti, found none$"):
        decompose(target, others)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Species("x", {}), "species 'x': needs positive numbers of atoms, found {}"),
        (lambda: Species("x", {"Ti": -1}), "species 'x': needs positive numbers of atoms, found {'Ti': -1}"),
        (lambda: Species("x", {"Ti": 1}, mu=math.nan), "species 'x': mu needs a finite number in eV, found nan"),
        (lambda: Species("x", {"Ti": 1}, state="gas"), "species 'x': state needs 'solid' or 'aqueous', found 'gas'"),
        (lambda: Species("x", {"Ti": 1}, charge=2), "species 'x': a solid needs charge 0, found +2"),
        (lambda: Conditions(temperature=0), "Pourbaix conditions: temperature needs a positive number, found 0"),
        (lambda: Conditions(pH=math.inf), "Pourbaix conditions: pH needs a finite number, found inf"),
        (
            lambda: decompose(Species("H2O", {"H": 2, "O": 1}), []),
            "target 'H2O': needs a solid with an element other than O and H",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == message
