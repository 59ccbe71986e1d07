"""The benchmark of starting structures: reasons, and how many of the published oxides have a structure."""

import numpy as np
import pytest
from programs import ROOT, program


@pytest.fixture(scope="module")
def structures():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield program("benchmarks/structures.py")


def test_an_oxide_has_structures_or_a_reason(structures):
    assert [name for name, _ in structures.starts_of("BaO2")][:2] == ["BaO2", "MgO2"]
    assert structures.starts_of("BaO10") == "no charge-balanced oxidation states"
    assert structures.starts_of("Ba5V5O14").startswith("no structure type with this stoichiometry is known")


def test_errors_in_percent(structures):
    assert structures.rms([0.03, -0.04]) == "rms 3.5 %, median of sizes 3.5 %, 2 oxides"


@pytest.mark.faults
def test_most_of_the_published_oxides_have_a_structure(structures):
    if not (table := structures.SHARED / "oxides_gpbx.csv").exists():
        pytest.skip(f"the published oxides are not beside this checkout ({table.name})")
    starts = {formula: structures.starts_of(formula) for formula in structures.formulas_of(table)}
    assert len(starts) == 250
    found = {formula: one for formula, one in starts.items() if not isinstance(one, str)}
    assert len(found) >= 225
    errors = [error for *_, error in structures.relaxed(found, structures.ENERGIES)]
    assert len(errors) > 40
    assert np.sqrt(np.mean(np.square(errors))) < 0.06
