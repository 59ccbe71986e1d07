"""The compact file of energies: the same after a round trip, the same bytes again, and defects in one line."""

import gzip

import pandas as pd
import pytest
from programs import program

from sisso_sal.errors import TableError
from sisso_sal.fidelity.energies import Described, read_energies, write_energies
from sisso_sal.fidelity.potentials import Potential
from sisso_sal.oracle.engines.relaxation import RelaxationSettings, Relaxed

POTENTIAL = Potential(name="chgnet", model="0.3.0", version="0.4.2", weights=32 * "a", scheme="mp2020")
OUTCOMES = {
    ("O2Ti", "rutile"): Relaxed(energy=-9.38857, steps=4, volume=10.62, max_force=0.0123),
    ("Ti", "element"): Relaxed(energy=-7.9, steps=2, volume=17.0, max_force=0.0),
    ("O3W", "ReO3"): Relaxed(energy=None, steps=60, volume=9.5, max_force=0.3, reason="not converged: forces, 0.1"),
    ("HfO2", "fluorite"): Relaxed(energy=None, steps=0, volume=None, max_force=None, reason="no finite energy"),
}
FORMULAS = {"O2Ti": "TiO2", "Ti": "Ti", "O3W": "WO3", "HfO2": "HfO2"}
STRUCTURES = {(key, name): Described(FORMULAS[key], f"{n:08x}") for n, (key, name) in enumerate(OUTCOMES)}


@pytest.mark.parametrize("name", ["energies.csv", "energies.csv.gz"])
def test_a_round_trip(tmp_path, name):
    settings = RelaxationSettings(force_tolerance=0.05, max_steps=80)
    write_energies(tmp_path / name, OUTCOMES, STRUCTURES, POTENTIAL, settings)
    read = read_energies(tmp_path / name)
    assert read.outcomes == OUTCOMES
    assert (read.potential, read.potential.scheme, read.settings) == (POTENTIAL, "mp2020", settings)
    assert read.formulas == FORMULAS
    assert read.starts == {key: one.start for key, one in STRUCTURES.items()}
    write_energies(tmp_path / f"again-{name}", dict(reversed(OUTCOMES.items())), STRUCTURES, POTENTIAL, settings)
    assert (tmp_path / f"again-{name}").read_bytes() == (tmp_path / name).read_bytes()


def test_a_plain_table_has_no_origin_and_what_did_not_converge_has_no_energy(tmp_path):
    (tmp_path / "e.csv").write_text(
        "formula,structure,energy (eV/atom),converged\nMgO,rocksalt,-6.3,True\nWO3,ReO3,-8,False\n"
    )
    read = read_energies(tmp_path / "e.csv")
    assert (read.potential, read.settings) == (None, None)
    assert read.outcomes["MgO", "rocksalt"].energy == -6.3
    (tmp_path / "twice.csv").write_text((tmp_path / "e.csv").read_text() + "O1Mg1,rocksalt,-6.3,True\n")
    assert read_energies(tmp_path / "twice.csv").outcomes == read.outcomes
    assert (read.outcomes["O3W", "ReO3"].energy, read.outcomes["O3W", "ReO3"].reason) == (None, "not converged")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"formula,energy (eV/atom)\nMgO,-6\n", "found no 'structure'"),
        (
            b"formula,structure,energy (eV/atom)\nMgO,rocksalt,low\n",
            "row 1 (line 2), column 'energy (eV/atom)': needs a number, found 'low'",
        ),
        (b"formula,structure,energy (eV/atom)\nMgO,a,nan\n", "column 'energy (eV/atom)': needs a number, found 'nan'"),
        (
            b"formula,structure,energy (eV/atom)\nMgTiO3,a,-6\nTi1Mg1O3,a,-7\n",
            "row 2 (line 3): needs one result for each structure, found another one for 'a' of Ti1Mg1O3",
        ),
        (b"# by hand\nformula,structure,energy (eV/atom)\nMgO,a,-6\n", "line 1: needs how the energies were made"),
        (gzip.compress(b"formula,structure,energy (eV/atom)\nMgO,a,-6\n", mtime=0)[:-12], "needs a whole gzip file"),
    ],
)
def test_a_file_with_a_defect(tmp_path, content, told):
    (tmp_path / "e.csv").write_bytes(content)
    with pytest.raises(TableError) as caught:
        read_energies(tmp_path / "e.csv")
    assert told in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(TableError, match="there is no such file"):
        read_energies(tmp_path / "e.csv")


def test_the_shipped_file_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    script = program("data/build_estimates.py")
    table = pd.DataFrame({"formula": ["MgO", "MgTiO3", "ZnO"], script.TARGET: [0.1, None, None]})
    monkeypatch.setattr(script, "HERE", tmp_path)
    table.to_csv(tmp_path / "oxides.csv", index=False)
    common = ["--potential", "springs:Springs", "--output", str(tmp_path / "e.csv.gz")]
    monkeypatch.setattr(script, "CHUNK", 3)
    script.main([*common, "--hours", "0", "--parts", str(tmp_path / "none")])
    assert not (tmp_path / "e.csv.gz").exists()
    script.main([*common, "--parts", str(tmp_path / "a")])
    whole = (tmp_path / "e.csv.gz").read_bytes()
    starts = script.planned_starts(pd.read_csv(tmp_path / "oxides.csv", index_col="formula"), 1)
    assert starts[0].formula == "Mg"
    assert {start.formula for start in starts[:4]} == {"Mg", "MgO"}
    n = len(starts)
    script.main([*common, "--parts", str(tmp_path / "b")])
    assert (tmp_path / "e.csv.gz").read_bytes() == whole
    assert (tmp_path / "b" / "parts.jsonl").read_text() == ""
    changed = pd.read_csv(tmp_path / "e.csv.gz", comment="#", dtype=str, keep_default_na=False)
    changed.loc[0, "start"] = "00000000"
    first = gzip.decompress(whole).decode().partition("\n")[0]
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(f"{first}\n{changed.to_csv(index=False)}".encode(), mtime=0))
    script.main([*common, "--parts", str(tmp_path / "c")])
    assert (tmp_path / "e.csv.gz").read_bytes() == whole
    assert len((tmp_path / "c" / "parts.jsonl").read_text().splitlines()) == 1
    told = capsys.readouterr().out.splitlines()[:6]
    assert told[0] == f"{n} structures, 0 of them in e.csv.gz"
    assert told[-2] == f"{n} structures, {n} of them in e.csv.gz"
