"""Phonons of springs, which have formulas; what cannot be computed has a reason; phonons are kept like energies."""

import importlib.util
import itertools
import math

import numpy as np
import pytest
from rocksalt_springs import RockSalt, frequencies, lowest
from scipy import constants

from sisso_sal.errors import InputError, OracleError
from sisso_sal.fidelity.columns import RowEstimate
from sisso_sal.fidelity.compute import computed
from sisso_sal.fidelity.parts import RELAXATIONS, KeptParts
from sisso_sal.fidelity.phonon_parts import PHONONS, phonon_text, with_phonons
from sisso_sal.fidelity.potentials import calculator_of, open_potential
from sisso_sal.fidelity.starts import plan
from sisso_sal.oracle.engines.phonons import (
    IMAGINARY,
    TEMPERATURE,
    Phonons,
    PhononSettings,
    free_energy,
    need_phonopy,
    phonons,
    supercell_of,
)
from sisso_sal.oracle.engines.relaxation import Relaxed

is_installed = importlib.util.find_spec("phonopy") is not None
needs_phonopy = pytest.mark.skipif(not is_installed, reason="needs the extra phonons, which is not installed")
POTENTIAL = open_potential("rocksalt_springs:RockSalt")
SMALL = PhononSettings(displacement=0.002)  # springs turn where atoms move sideways


def rocksalt(metal):
    return next(start for start in plan([f"{metal}O"]).starts if start.name == "rocksalt")


@pytest.fixture(scope="module")
def stable():
    return phonons(rocksalt("Mg").structure, RockSalt(), SMALL)


@pytest.fixture(scope="module")
def unstable():
    return phonons(rocksalt("Ca").structure, RockSalt(), SMALL)


@needs_phonopy
def test_frequencies_of_springs_are_those_of_the_formulas(stable):
    assert stable.lowest == pytest.approx(lowest("Mg"), rel=2e-4)
    assert next(iter(stable.lowest)) == "Gamma"
    assert (stable.n_atoms, stable.n_displaced, stable.reason, stable.unstable) == (64, 2, "", False)
    assert stable.point == min(lowest("Mg"), key=lowest("Mg").get)


@needs_phonopy
def test_the_free_energy_is_the_sum_over_the_waves_of_the_mesh(stable):
    reciprocal = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    shares = (np.arange(8) + 0.5) / 8
    waves = [frequencies("Mg", np.array(q) @ reciprocal) for q in itertools.product(shares, repeat=3)]
    x = constants.h * 1e12 * np.array(waves) / (constants.k * TEMPERATURE)
    by_hand = constants.k * TEMPERATURE / constants.e * np.log(2 * np.sinh(x / 2)).sum(axis=1).mean() / 2
    assert stable.free_energy == pytest.approx(by_hand, abs=2e-5)
    assert stable.on_mesh == pytest.approx(np.min(waves), rel=1e-3)


@needs_phonopy
def test_a_negative_spring_is_an_imaginary_mode_without_a_free_energy(unstable):
    expected = lowest("Ca")
    assert unstable.lowest == pytest.approx(expected, rel=2e-3)
    assert min(expected.values()) < -IMAGINARY
    assert (unstable.unstable, unstable.free_energy) == (True, None)
    assert unstable.frequency == pytest.approx(min(expected.values()), rel=2e-3)


@needs_phonopy
def test_without_an_optical_mode_there_is_no_gamma():
    from ase.calculators.emt import EMT

    copper = plan(["Cu"]).starts[0].structure
    found = phonons(copper, EMT(), PhononSettings(length=7.0))
    assert set(found.lowest) == {"L", "X"}
    assert 0.04 > -found.free_energy > 0  # at room temperature copper has more entropy than zero-point energy


@needs_phonopy
@pytest.mark.parametrize(
    ("formula", "settings", "reason"),
    [
        ("MgO", PhononSettings(max_atoms=50), "the supercell has 64 atoms, more than 50"),
        ("SrO", PhononSettings(), "RuntimeError: too many atoms"),
        ("MgO", PhononSettings(max_steps=1), "not converged: forces above 0.005 eV/Å after 1 steps"),
        ("HfO2", PhononSettings(), "the potential gives no finite energy and forces"),
    ],
)
def test_what_cannot_be_computed_has_a_reason(formula, settings, reason):
    structure = plan([formula]).starts[0].structure.copy()
    structure.scale_lattice(structure.volume * 1.03)
    assert phonons(structure, RockSalt(), settings) == Phonons(lowest={}, reason=reason)


def test_a_supercell_is_thick_and_a_wave_at_the_boundary_fits_in():
    rng = np.random.default_rng(3)
    settings = PhononSettings(max_atoms=10**6)
    for lattice in rng.uniform(-1, 1, (50, 3, 3)) * 3 + 4 * np.eye(3):
        times = np.array(supercell_of(lattice, 1, settings))
        volume = abs(np.linalg.det(lattice))
        areas = [np.linalg.norm(np.cross(lattice[k - 2], lattice[k - 1])) for k in range(3)]
        assert (times * volume / areas > settings.length - 1e-5).all()
        assert ((times == 1) | (times % 2 == 0)).all()
    with pytest.raises(OracleError, match=r"^the supercell has 128 atoms, more than 100$"):
        supercell_of(4 * np.eye(3), 16, PhononSettings(max_atoms=100))


def test_the_free_energy_of_one_mode_and_of_one_that_is_nearly_zero():
    x = constants.h * 7e12 / (constants.k * 500)
    expected = constants.k * 500 / constants.e * math.log(2 * math.sinh(x / 2))
    two = np.array([[7.0, 7.0], [7.0, 7.0]])
    assert free_energy(two, np.array([1, 3]), 500) == pytest.approx(2 * expected, rel=1e-12)
    soft = free_energy(np.array([[-0.05]]), np.ones(1), 300)
    assert soft == free_energy(np.array([[IMAGINARY]]), np.ones(1), 300)


@needs_phonopy
def test_phonons_are_kept_beside_energies_and_not_computed_twice(tmp_path):
    starts = [rocksalt("Mg"), rocksalt("Sr")]

    def run():
        totals = []
        with KeptParts(tmp_path, PHONONS) as parts:
            assert parts.n_broken == 0
            outcomes = computed(starts, POTENTIAL, SMALL, parts, progress=lambda done, total: totals.append(total))
        return outcomes, totals[0]

    first, n_first = run()
    assert (n_first, *run()) == (2, first, 0)
    assert first[starts[1].key, "rocksalt"].reason == "RuntimeError: too many atoms"
    kept = (tmp_path / PHONONS.file).read_bytes()
    (tmp_path / PHONONS.file).write_bytes(kept[:-5])
    with KeptParts(tmp_path, PHONONS) as parts:
        assert parts.n_broken == 1
    assert run() == (first, 1)
    assert (tmp_path / PHONONS.file).read_bytes() == kept


def test_a_key_of_phonons_is_of_everything_that_counts():
    start = rocksalt("Mg")
    keys = {
        PHONONS.key(start, POTENTIAL, PhononSettings(**changes))
        for changes in ({}, {"displacement": 0.03}, {"length": 9.0}, {"force_tolerance": 0.01}, {"max_steps": 50})
    }
    assert len(keys) == 5
    assert PHONONS.key(rocksalt("Ca"), POTENTIAL, PhononSettings()) not in keys
    assert PHONONS.key(start, open_potential("springs:Springs"), PhononSettings()) not in keys
    assert RELAXATIONS.file != PHONONS.file


@needs_phonopy
def test_rows_get_the_phonons_of_their_lowest_phase(tmp_path):
    relaxed = Relaxed(energy=-1.0, steps=3, volume=10.0, max_force=0.01)
    rows = [
        RowEstimate(formula="CaO", values={"H_f": -3.0}, structure="rocksalt", relaxed=relaxed),
        RowEstimate(formula="MgO", values={"H_f": -3.0}, structure="rocksalt", relaxed=relaxed),
        RowEstimate(formula="NaCl", values={}, reason="no oxide without hydrogen"),
    ]
    starts = plan(["MgO", "CaO"]).starts
    soft, stiff, none = with_phonons(rows, starts, POTENTIAL, tmp_path, settings=SMALL)
    assert set(soft.values) == {"H_f", "lowest_mode"}
    assert set(stiff.values) == {"H_f", "lowest_mode", "F_vib"}
    assert phonon_text(soft).startswith("dynamically unstable: -")
    assert phonon_text(stiff).startswith("stable at Gamma and the zone boundary: lowest ")
    assert (none, phonon_text(none)) == (rows[2], "not known: no relaxed structure")
    assert len((tmp_path / PHONONS.file).read_text().splitlines()) == 2


def test_imaginary_modes_inside_the_zone_are_told():
    row = RowEstimate(formula="MgO", values={}, phonons=Phonons(lowest={"X": 1.25}, on_mesh=-0.5))
    assert (
        phonon_text(row)
        == "stable at Gamma and the zone boundary: lowest 1.25 THz at X; inside the zone down to -0.50 THz"
    )


@needs_phonopy
@pytest.mark.skipif(
    importlib.util.find_spec("chgnet") is None, reason="needs the extra potential-chgnet, which is not installed"
)
@pytest.mark.parametrize(
    ("formula", "name", "point", "frequency", "unstable"),
    [("MgO", "rocksalt", "L", 7.01, False), ("SrTiO3", "perovskite", "R", -1.31, True)],
)
def test_chgnet_gives_what_the_docs_tell(formula, name, point, frequency, unstable):
    start = next(start for start in plan([formula], max_prototypes=3).starts if start.name == name)
    found = phonons(start.structure, calculator_of(open_potential("chgnet")), PhononSettings())
    assert (found.point, found.unstable, found.reason) == (point, unstable, "")
    assert found.frequency == pytest.approx(frequency, abs=0.02)


@pytest.mark.skipif(is_installed, reason="phonopy is installed here")
def test_without_phonopy_it_is_told_how_to_install_it():
    with pytest.raises(InputError, match=r"^phonopy: not installed; pip install 'sisso-sal\[phonons\]'$"):
        need_phonopy()
