"""Quasi-particle gaps and RPA energies: written by the stand-in as FHI-aims writes them, read by verdict and document."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("pyfhiaims")

import aims_stand_in
from species import write_species
from stand_in_beyond import RPA_SHIFT, quasi_particle_edges
from stand_in_energy import gap_of

from sisso_sal.errors import SettingsError
from sisso_sal.oracle.calculations.equal_settings import groups_of
from sisso_sal.oracle.calculations.folder import find_calculations
from sisso_sal.oracle.engines.aims import calculation_document, run_aims
from sisso_sal.oracle.engines.aims_beyond import RPA_DEFINITION, BeyondTrace
from sisso_sal.oracle.engines.aims_inputs import preset
from sisso_sal.oracle.engines.aims_verdict import ENERGY_DEFINITION
from sisso_sal.oxides.phases import molecule
from sisso_sal.oxides.prototypes import prototype_structure

COMMAND = f"{sys.executable} {Path(aims_stand_in.__file__)}"
GW = {"qpe_calc": "gw_expt", "frequency_points": "40", "anacon_type": "1"}
RPA = {"total_energy_method": "rpa"}
OXIDE = prototype_structure("rocksalt", {"A": ("Mg", 2.0)})


@pytest.fixture
def run(tmp_path):
    write_species(tmp_path / "species", ["Mg", "O", "H"])

    def once(structure=OXIDE, name="run", **changes):
        settings = preset("static", **{"xc": "pbe", "species_dir": str(tmp_path / "species"), **changes})
        verdict = run_aims(tmp_path / name, structure, settings, command=COMMAND)
        return verdict, calculation_document(tmp_path / name, structure, verdict, label="static")

    return once


@pytest.mark.parametrize("spin", ["none", "collinear"])
def test_a_crystal_has_the_gap_of_its_quasi_particles(run, spin):
    bare, _ = run(name="bare", spin=spin)
    verdict, document = run(extra=GW, spin=spin)
    vbm, cbm = quasi_particle_edges(gap_of(["Mg", "O"], "pbe"))
    assert verdict.verdict == document["verdict"] == "finished"
    assert (document["vbm"], document["cbm"]) == pytest.approx((vbm, cbm), abs=1e-7)
    assert document["bandgap"] == pytest.approx(cbm - vbm, abs=1e-7)
    assert verdict.gap_eV > bare.gap_eV
    assert document["energy"] == bare.energy_eV
    assert document["energy_definition"] == ENERGY_DEFINITION
    assert (bare.gap_definition, verdict.gap_definition) == ("", "quasi-particle levels")


def test_along_bands_the_gap_is_that_of_the_bands(run):
    verdict, document = run(extra=GW, bands=True, band_density=3.0)
    vbm, cbm = quasi_particle_edges(gap_of(["Mg", "O"], "pbe"))
    assert verdict.gap_definition == "quasi-particle bands"
    assert document["has_bands"]
    assert document["bandgap"] == pytest.approx(cbm - vbm - 0.25, abs=1e-7)


@pytest.mark.parametrize("spin", ["none", "collinear"])
def test_a_molecule_has_the_gap_of_its_table_of_levels(run, spin):
    verdict, document = run(molecule("H2O"), extra=GW, spin=spin)
    vbm, cbm = quasi_particle_edges(gap_of(["O", "H", "H"], "pbe"))
    assert verdict.verdict == "finished"
    assert document["bandgap"] == pytest.approx(cbm - vbm, abs=2e-4)  # four digits in the table
    assert document["vbm"] == pytest.approx(vbm, abs=1e-4)


def test_the_energy_by_rpa_is_the_energy_of_the_document(run):
    bare, _ = run(name="bare")
    verdict, document = run(extra=RPA)
    assert document["energy"] == pytest.approx(bare.energy_eV + RPA_SHIFT, abs=1e-6)
    assert document["energy_per_atom"] == pytest.approx(document["energy"] / 2)
    assert (verdict.energy_definition, document["energy_definition"]) == (RPA_DEFINITION, RPA_DEFINITION)
    assert verdict.gap_eV == bare.gap_eV


def test_in_a_folder_they_are_no_calculations_of_the_functional(run, tmp_path):
    """An energy by RPA beside one of PBE would make a hull of two methods, a gap of PBE under GW a label of the wrong one."""
    run(name="folder/bare")
    rpa, _ = run(name="folder/rpa", extra=RPA)
    bands, _ = run(name="folder/gw", extra=GW, bands=True, band_density=3.0)
    found = {one.place.split("/")[0]: one for one in find_calculations(tmp_path / "folder").calculations}
    groups = {group.settings["xc"]: group.calculations for group in groups_of(found.values())}
    assert groups == {
        "pbe": (found["bare"],),
        "pbe + total_energy_method rpa": (found["rpa"],),
        "pbe + qpe_calc gw_expt": (found["gw"],),
    }
    assert found["rpa"].energy == rpa.energy_eV
    assert (found["gw"].gap, found["gw"].gap_from) == (bands.gap_eV, "bands")
    assert found["gw"].gap > found["bare"].gap


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (GW, "qpe_calc gw_expt needs quasi-particle energies on both sides of the gap, found none"),
        (RPA, "total_energy_method rpa needs a finite RPA total energy, found none"),
    ],
)
def test_a_nice_day_without_what_was_asked_for_is_a_failure(run, monkeypatch, extra, told):
    """Not the gap or the energy of the functional under another name."""
    monkeypatch.setenv("STAND_IN_FAULTS", "beyond:MgO")
    verdict, document = run(extra=extra)
    assert (verdict.verdict, verdict.reason) == ("failed", told)
    assert (document["state"], document["energy"], document["bandgap"]) == ("failed", None, None)


@pytest.mark.parametrize("extra", [{"sc_self_energy": "scgw"}, {"total_energy_method": "mp2"}])
def test_methods_whose_result_nobody_reads_are_refused(extra):
    with pytest.raises(
        SettingsError, match=r"a method whose result is read \(qpe_calc, total_energy_method rpa\), not extra '"
    ):
        preset("static", extra=extra)


def test_numbers_that_are_none_are_no_results():
    trace = BeyondTrace()
    for line in ("  qpe_calc gw", "  Valence band maximum (VBM) from the GW calculation is ****** eV",
                 "  Conduction band mininum (CBM) from the GW calculation is NaN eV"):  # fmt: skip
        trace.read(line)
    assert trace.edges() is None
    assert "found none" in trace.missing()
    trace.read("  total_energy_method rpa")
    trace.read("    RPA total energy             :   -10.0 Ha,   -272.11384500 eV")
    assert trace.rpa == -272.113845
    trace.begin_cycle()
    assert trace.rpa is None


def test_a_table_knows_its_columns_and_its_end():
    """A z-factor behind the energy and a count of times after the table change nothing; a comment asks for nothing."""
    trace = BeyondTrace()
    for line in ("  # qpe_calc gw", "   GW quasi-particle energy levels",
                 "  state  occ_num  e_gs  e_x^ex  e_x^gs  e_c^gs  e_c^nloc  e_qp  z-factor",
                 "  1  2.0000  -9.0  -1.0  -1.0  -1.0  0.5  -10.5  0.8", "  2  0.0000  1.0  -1.0  -1.0  -1.0  0.5  2.5  0.8",
                 "   Quasiparticle HOMO level (eV):  -10.5 -10.5", "  3  0.0  1 2 3 4 5 -99.0 8"):  # fmt: skip
        trace.read(line)
    assert trace.asked == {}
    assert trace.edges() == (-10.5, 2.5, "quasi-particle levels")
