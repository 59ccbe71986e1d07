"""What is read of an FHI-aims output: real ones against what is known of them, and made ones against what went into them."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from done_calculations import OXYGEN, WATER, metal_of, rocksalt, write_run

from sisso_sal.oracle.calculations.aims_output import read_aims
from sisso_sal.oracle.calculations.folder import find_calculations

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "aims_samples"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs the outputs in ../shared/aims_samples")


@needs_samples
def test_real_outputs_give_what_they_were_computed_with():
    found = {one.place: one for one in find_calculations(SAMPLES).calculations}
    relaxed, bands = found["01_MgMn2O4_afm_relax/aims.out.gz"], found["07_Si_static_bands/aims.out"]
    assert (relaxed.energy, relaxed.relaxed, relaxed.version) == (-153874.396793522, True, "240507")
    settings = ["FHI-aims", "pbe", "atomic_zora scalar", "light", "2 2 2", "collinear", "gaussian 0.01 eV"]
    assert list(relaxed.settings.values()) == settings
    assert 0.0 <= bands.entropy < 1e-3
    # The last structure is that of geometry.in.next_step, whose volume is not that of the beginning.
    last = SAMPLES / "01_MgMn2O4_afm_relax" / "geometry.in.next_step"
    words = [line.split() for line in last.read_text().splitlines()]
    vectors = [[float(x) for x in one[1:4]] for one in words if one[:1] == ["lattice_vector"]]
    np.testing.assert_allclose(relaxed.cell.lattice, vectors, atol=1e-7)
    assert relaxed.cell.formula == "Mg2Mn4O8"
    assert relaxed.cell.moments[0] == 0.0  # antiferromagnetic
    assert relaxed.cell.moments[1] > 10
    assert (bands.gap_from, bands.relaxed) == ("bands", False)
    assert bands.gap == pytest.approx(0.60084, abs=1e-5)
    assert found["02_MgMn2O4_afm_static/aims.out"].species == relaxed.species
    assert found["06_O2_relax_nonspin/aims.out"].k_density is None
    hybrid = found["08_HSE06_SOC_2D_killed/aims.out"]
    assert hybrid.settings["xc"] == "hse06 0.11 1/bohr + vdw_correction_hirshfeld"
    assert hybrid.settings["relativity"] == "atomic_zora scalar, spin-orbit coupling"
    assert hybrid.settings["species"] == "tight"


@needs_samples
def test_real_outputs_that_did_not_finish_are_left_out_with_the_verdict():
    failed = {
        one.place: one.failure.partition(":")[0] for one in find_calculations(SAMPLES).calculations if one.failure
    }
    assert failed == {
        "08_HSE06_SOC_2D_killed/aims.out": "interrupted",
        "16_derived_failures/relax_abort_nice.out.gz": "relaxation_not_converged",
        "16_derived_failures/relax_cut_in_scf_step3.out.gz": "interrupted",
        "16_derived_failures/scf_notconv_nice.out.gz": "scf_not_converged",
        "16_derived_failures/scf_notconv_nonice.out.gz": "scf_not_converged",
    }


def test_the_inputs_that_the_output_repeats_count_and_not_the_files_beside_it(tmp_path):
    output = write_run(tmp_path / "MgO", rocksalt("Mg"), -100.0, xc="hse06", k_grid=(4, 4, 4), hse_omega=0.2)
    before = read_aims(output, "MgO")
    for name in ("control.in", "geometry.in"):
        (output.parent / name).write_text("# the next calculation\n")
    assert read_aims(output, "MgO") == before
    assert before.settings["xc"] == "hse06 0.2 1/bohr"
    assert before.settings["k_grid"] == "4 4 4"
    assert (before.settings["smearing"], before.entropy) == ("gaussian 0.01 eV", 0.0)  # the default
    assert (before.energy, before.cell.formula) == (-100.0, "Mg1O1")
    assert before.is_usable


def test_the_smearing_is_read_with_its_entropy(tmp_path):
    output = write_run(
        tmp_path / "Pd",
        metal_of("Pd"),
        -100.0,
        change=lambda control: f"occupation_type methfessel-paxton 0.2 1\n{control}",
    )
    text, label = output.read_text(), "Electronic free energy        :"
    end = text.rindex(label) + len(label)
    output.write_text(f"{text[:end]}         -0.100250000000000E+03 eV{text[text.index(chr(10), end) :]}")
    found = read_aims(output, "Pd")
    assert found.settings["smearing"] == "methfessel-paxton 0.2 eV order 1"
    assert found.entropy == pytest.approx(0.25)


def test_inputs_are_read_from_files_where_the_output_does_not_repeat_them(tmp_path):
    output = write_run(tmp_path / "MgO", rocksalt("Mg"), -100.0, echo=False)
    assert read_aims(output, "MgO").settings["xc"] == "pbe"
    (output.parent / "control.in").unlink()
    assert read_aims(output, "MgO").failure == "no settings: the output repeats no control.in, and none lies beside it"
    (output.parent / "geometry.in").unlink()
    assert (
        read_aims(output, "MgO").failure == "no structure: the output repeats no geometry.in, and none lies beside it"
    )


@pytest.mark.parametrize(
    ("ends", "kind"), [("scf", "scf_not_converged"), ("cut", "interrupted"), ("aborted", "relaxation_not_converged")]
)
def test_an_output_that_did_not_end_well_has_a_structure_but_no_energy(tmp_path, ends, kind):
    one = read_aims(write_run(tmp_path / "MgO", rocksalt("Mg"), n_steps=3, ends=ends), "MgO")
    assert one.failure.startswith(f"{kind}: ")
    assert (one.energy, one.is_usable, one.cell.formula) == (None, False, "Mg1O1")


def test_every_cut_of_an_output_is_left_out_and_none_is_an_error(tmp_path):
    output = write_run(tmp_path / "MgO", rocksalt("Mg"), n_steps=2)
    whole = output.read_bytes()
    for part in range(20):
        output.write_bytes(whole[: part * len(whole) // 20])
        assert not read_aims(output, "MgO").is_usable, part
    compressed = output.with_name("aims.out.gz")
    compressed.write_bytes(gzip.compress(whole)[:-200])
    assert "compressed file is cut" in read_aims(compressed, "MgO").failure


def test_a_charged_cell_is_left_out(tmp_path):
    output = write_run(tmp_path / "MgO", rocksalt("Mg"), change=lambda control: f"charge 1.0\n{control}")
    assert read_aims(output, "MgO").failure == "the cell is charged (1)"


def test_numbers_are_compared_as_numbers_and_species_without_comments(tmp_path):
    plain = read_aims(write_run(tmp_path / "a", rocksalt("Mg")), "a")
    same = write_run(
        tmp_path / "b",
        rocksalt("Mg"),
        change=lambda control: control.replace("1e-4", "0.0001d0  # the same").replace("3.5  1.5", "3.50 1.5"),
    )
    written = read_aims(same, "b")
    assert written.species == plain.species
    other = read_aims(
        write_run(tmp_path / "c", rocksalt("Mg"), change=lambda c: c.replace("hydro 2 p 1.4", "hydro 2 p 1.8")), "c"
    )
    assert other.species != plain.species


def test_molecules_have_no_k_points_and_default_moments_count(tmp_path):
    water = read_aims(write_run(tmp_path / "w", WATER), "w")
    assert (water.k_density, water.cell.volume, "k_grid" in water.settings) == (None, None, False)
    output = write_run(
        tmp_path / "o", OXYGEN, spin="collinear", change=lambda control: f"default_initial_moment 1.0\n{control}"
    )
    assert read_aims(output, "o").cell.moments == (2.0, 2.0)
