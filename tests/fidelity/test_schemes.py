"""Schemes: their arithmetic, and fits to measured enthalpies that find what was planted."""

from pathlib import Path

import numpy as np
import pytest

from sisso_sal.errors import InputError, TableError
from sisso_sal.fidelity.fitted import fit_scheme
from sisso_sal.fidelity.schemes import SCHEMES
from sisso_sal.oracle.engines.relaxation import Relaxed
from sisso_sal.oracle.stability.measured import read_enthalpies
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.structures import formula_key

OXIDES = ["MgO", "CaO", "SrO", "BaO", "Li2O", "Na2O", "TiO2", "SnO2", "Al2O3", "NiO", "NiTiO3", "Ni2SiO4", "SiO2"]


def relaxed(energy):
    return Relaxed(energy=energy, steps=1, volume=10.0, max_force=0.0)


def planted(oxygen, shifts, noise=0.0):
    """Measured enthalpies, and energies that a scheme with these numbers relates to them."""
    rng = np.random.default_rng(0)
    elements = {e for f in OXIDES for e in parse_formula(f)} - {"O"}
    energy = {e: -1.0 - 0.1 * i for i, e in enumerate(sorted(elements))}
    measured, outcomes = {}, {(e, "element"): relaxed(x) for e, x in energy.items()}
    for formula in OXIDES:
        amounts = parse_formula(formula)
        n = sum(amounts.values())
        measured[formula] = -2.5 - 0.3 * amounts["O"] / n
        zero = sum(k * (oxygen if e == "O" else energy[e] - shifts.get(e, 0.0)) for e, k in sorted(amounts.items()))
        outcomes[formula_key(formula), "best"] = relaxed((zero / n + measured[formula]) + noise * rng.normal())
        outcomes[formula_key(formula), "higher"] = relaxed(0.0)
        outcomes[formula_key(formula), "failed"] = Relaxed(
            energy=None, steps=1, volume=None, max_force=None, reason="x"
        )
    return measured, outcomes


def test_the_oxygen_energy_is_found():
    fit = fit_scheme(*planted(-4.3, {}))
    assert fit.scheme.oxygen == pytest.approx(-4.3, abs=1e-9)
    assert fit.scheme.shifts == {}
    assert (fit.n_oxides, fit.left_out) == (len(OXIDES), ())
    assert fit.loo == pytest.approx(0.0, abs=1e-9)


def test_a_shift_is_found_where_it_pays_and_nowhere_else():
    fit = fit_scheme(*planted(-4.3, {"Ni": -2.5}, noise=0.02))
    assert list(fit.scheme.shifts) == ["Ni"]
    assert fit.scheme.shifts["Ni"] == pytest.approx(-2.5, abs=0.15)
    assert 0.01 < fit.rms < fit.loo < 0.04


def test_an_error_of_an_oxide_left_out_is_that_of_a_fit_without_it():
    measured, outcomes = planted(-4.3, {}, noise=0.1)
    few = [f for f in OXIDES if "Ni" not in f]  # no metal has three oxides: no shift is looked for
    measured = {f: measured[f] for f in few}
    fit = fit_scheme(measured, outcomes)
    assert fit.scheme.shifts == {}
    errors = []
    for formula in few:
        others = fit_scheme({f: h for f, h in measured.items() if f != formula}, outcomes).scheme
        amounts = parse_formula(formula)
        n = sum(amounts.values())
        zero = sum(k * (others.oxygen if e == "O" else outcomes[e, "element"].energy) for e, k in amounts.items())
        errors.append(outcomes[formula_key(formula), "best"].energy - zero / n - measured[formula])
    assert fit.loo == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-9)


def test_what_has_no_energy_is_left_out_and_told():
    measured, outcomes = planted(-4.3, {})
    del outcomes["Si", "element"]
    fit = fit_scheme(measured | {"ZnO": -1.8}, outcomes)
    assert fit.left_out == ("Ni2SiO4", "SiO2", "ZnO")
    with pytest.raises(InputError, match=r"needs at least 3 measured oxides with an energy, found 1$"):
        fit_scheme({"MgO": -3.0, "ZnO": -1.8}, outcomes)


def test_shifts_are_of_oxides_alone():
    scheme = SCHEMES["mp-uncorrected"]
    assert scheme.correction({"Ni": 1.0}) == 0.0
    assert scheme.correction({"Ni": 1.0, "O": 1.0}) == pytest.approx(-2.541 - 0.687)


def test_the_corrections_are_those_that_pymatgen_has():
    """Of A. Wang et al. (2021), which pymatgen ships for its own purposes."""
    import re

    import pymatgen

    (file,) = {
        found.resolve() for place in pymatgen.__path__ for found in Path(place).rglob("MP2020Compatibility.yaml")
    }
    text = file.read_text()
    mixing = text[text.index("O:") : text.index("F:")]
    known = {m: float(x) for m, x in re.findall(r"(\w+): (-\d\.\d+)", mixing)}
    known["O"] = float(re.search(r"oxide: (-[\d.]+)", text)[1])
    assert dict(SCHEMES["mp-uncorrected"].shifts) == known


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("formula,H (eV/atom)\nMgO,-3\n", "needs the columns formula and 'H_f (eV/atom)', found no 'H_f (eV/atom)'"),
        ("formula,H_f (eV/atom)\nMgO,-3\nNaCl,-2\n", "needs oxides without hydrogen, found 'NaCl'"),
    ],
)
def test_a_file_of_enthalpies_that_cannot_be_used(tmp_path, text, told):
    (tmp_path / "h.csv").write_text(text)
    with pytest.raises(TableError) as caught:
        read_enthalpies(tmp_path / "h.csv")
    assert told in str(caught.value)
