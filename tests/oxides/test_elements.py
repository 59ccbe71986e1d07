"""Primary features from compositions: the averages, the oxidation states, the refusals, and the published values."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sisso_sal.data.table import read_table
from sisso_sal.errors import InputError, SissoSalWarning
from sisso_sal.features.dimension import parse_unit
from sisso_sal.oxides.elements import atomic_fractions, composition_of, element_data, parse_formula
from sisso_sal.oxides.oxidation_states import oxidation_states
from sisso_sal.oxides.primary_features import PRIMARY_FEATURES, featurize

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "data" / "oxides_gpbx.csv"


@pytest.fixture(scope="module")
def published():
    if not PUBLISHED.exists():
        pytest.skip(f"the published oxides are not beside this checkout ({PUBLISHED.name})")
    return pd.read_csv(PUBLISHED, index_col=0)


def states(formula):
    return [(s.element, s.amount, s.state) for s in oxidation_states(parse_formula(formula))]


def unit(header):
    return header.partition("(")[2].removesuffix(")")


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("TiO2", [("Ti", 1, 4), ("O", 2, -2)]),
        ("PbMoO4", [("Mo", 1, 6), ("Pb", 1, 2), ("O", 4, -2)]),
        ("FeWO4", [("Fe", 1, 2), ("W", 1, 6), ("O", 4, -2)]),
        ("Fe3O4", [("Fe", 1, 2), ("Fe", 2, 3), ("O", 4, -2)]),
        ("Pb3O4", [("Pb", 2, 2), ("Pb", 1, 4), ("O", 4, -2)]),
        ("CuAlO2", [("Al", 1, 3), ("Cu", 1, 1), ("O", 2, -2)]),
        ("La0.5Sr0.5CoO3", [("Co", 0.5, 3), ("Co", 0.5, 4), ("La", 0.5, 3), ("Sr", 0.5, 2), ("O", 3, -2)]),
        ("BaO2", [("Ba", 1, 2), ("O", 2, -1)]),
        ("KO2", [("K", 1, 1), ("O", 2, -0.5)]),
        ("Ti3O", [("Ti", 2, 0), ("Ti", 1, 2), ("O", 1, -2)]),
    ],
)
def test_oxidation_states(formula, expected):
    assert states(formula) == expected


@pytest.mark.parametrize("formula", ["LaOF", "BaO10", "MgArO2"])
def test_what_cannot_be_balanced_is_refused(formula):
    with pytest.raises(InputError, match="no charge-balanced oxidation states"):
        oxidation_states(parse_formula(formula))


def test_every_header_has_a_readable_unit():
    headers = [feature.header for feature in PRIMARY_FEATURES]
    assert len(headers) == len(set(headers)) >= 12
    assert "EN (Pauling)" in headers  # a unit of its own
    readable = [header for header in headers if header != "EN (Pauling)"]
    lengths = {header for header in readable if str(parse_unit(unit(header))) == str(parse_unit("AA"))}
    assert lengths == {"r_cov (AA)", "r_vdw (AA)", "r_cat (AA)"}


def test_averages_by_hand():
    features, rejected = featurize(["SrTiO3"])
    assert not rejected
    strontium, titanium, oxygen = (element_data()[e].values for e in ("Sr", "Ti", "O"))
    row = features.loc["SrTiO3"]

    def atoms(header):
        return (strontium[header] + titanium[header] + 3 * oxygen[header]) / 5

    assert row["IP (eV)"] == pytest.approx(atoms("IP (eV)"))
    assert row["EN (Pauling)"] == pytest.approx((0.95 + 1.54 + 3 * 3.44) / 5)
    assert row["AN"] == pytest.approx((38 + 22 + 8) / 3)
    assert row["CE (eV)"] == pytest.approx(strontium["CE (eV)"] + titanium["CE (eV)"])
    assert row["r_cat (AA)"] == pytest.approx((strontium["r_cat (AA)"] + titanium["r_cat (AA)"]) / 2)
    assert row["max_OS"] == 4
    weights, values = np.array([0.2, 0.2, 0.6]), np.array([2, 4, -2])
    assert row["stdev_OS"] == pytest.approx(np.sqrt(weights @ values**2 / (1 - weights @ weights)))


def test_only_the_composition_matters():
    features, _ = featurize(["SrTiO3", "TiSrO3", "Sr2Ti2O6", "Ti(SrO3)"])
    assert (features.to_numpy() == features.to_numpy()[0]).all(axis=1)[[0, 1, 3]].all()
    np.testing.assert_allclose(features.to_numpy()[2], features.to_numpy()[0], rtol=1e-12)


def test_rejected_with_a_reason_and_nothing_lost():
    given = ["TiO2", "Xx2O3", "PmO", "Ti02", "NaCl", "", None, 3.5, float("nan"), "PuO2", "BaO10", "ZnO"]
    features, rejected = featurize(given)
    assert list(features.index) == ["TiO2", "ZnO"]
    assert len(features) + len(rejected) == len(given)
    assert [reason for _, reason in rejected] == [
        "formula 'Xx2O3': needs elements of the table, found Xx",
        "element Pm: no value of r_vdw (AA)",
        "needs an oxide: oxygen and at least one other element",
        "needs an oxide: oxygen and at least one other element",
        "formula '': needs a chemical formula",
        "formula None: needs a chemical formula",
        "formula 3.5: needs a chemical formula",
        "formula nan: needs a chemical formula",
        "element Pu: no value of e_H (eV)",
        "no charge-balanced oxidation states",
    ]


def test_no_formula_at_all_gives_an_empty_table():
    features, rejected = featurize([])
    assert features.shape == (0, len(PRIMARY_FEATURES))
    assert rejected == []


def test_import_is_light():
    code = (
        "import sys, sisso_sal.oxides.elements; print([m for m in ('pymatgen', 'pandas', 'numpy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("header", ["r_cov (AA)", "AN", "IP (eV)", "EN (Pauling)", "N_val", "N_unf"])
def test_equal_to_the_published_columns(published, header):
    features, rejected = featurize(published.index)
    assert len(rejected) <= 3
    np.testing.assert_allclose(features[header], published.loc[features.index, header], atol=1e-6)


def test_close_to_the_published_columns(published):
    features, _ = featurize(published.index)
    theirs = published.loc[features.index]
    assert abs(features["EA (eV)"] - theirs["EA (eV)"]).max() < 0.005
    for header, least in {"CE (eV)": 0.85, "e_H (eV)": 0.75}.items():
        assert np.corrcoef(features[header], theirs[header])[0, 1] > least
    # A published 0 stands for oxidation states that could not be guessed.
    guessed = theirs["max_OS"] > 0
    for header, least in {"max_OS": 0.94, "stdev_OS": 0.99}.items():
        assert np.corrcoef(features.loc[guessed, header], theirs.loc[guessed, header])[0, 1] > least


def test_atomic_fractions_are_shares_of_atoms_by_element():
    found = atomic_fractions(["SrTiO3", "TiO2", "Ca3(PO4)2", "La0.5Sr0.5MnO3", "Ti2O4"])
    elements = list(element_data())
    expected = [
        {"O": 3 / 5, "Sr": 1 / 5, "Ti": 1 / 5},
        {"O": 2 / 3, "Ti": 1 / 3},
        {"Ca": 3 / 13, "O": 8 / 13, "P": 2 / 13},
        {"La": 0.1, "Mn": 0.2, "O": 0.6, "Sr": 0.1},
        {"O": 2 / 3, "Ti": 1 / 3},
    ]
    assert found == pytest.approx(np.array([[row.get(element, 0.0) for element in elements] for row in expected]))
    assert atomic_fractions(["SrTiO3", "row 17"]) is None


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("oxide,a\nMgO,1\nTiO2,2\n", ["MgO", "TiO2"]),
        ("name,Formula,a\nrow 1,MgO,1\nrow 2,TiO2,2\n", ["MgO", "TiO2"]),
        ("name,composition,a\nMgO,CaO,1\nTiO2,ZrO2,2\n", ["MgO", "TiO2"]),  # the ids come first
        ("name,group,a\nrow 1,C,1\nrow 2,N,2\n", None),  # a letter in a column of another name is no formula
        ("name,formula,a\nrow 1,MgO,1\nrow 2,unknown,2\n", None),
    ],
)
def test_the_composition_of_a_table_is_that_of_its_ids_or_of_a_column_of_formulas(tmp_path, text, formulas):
    (tmp_path / "t.csv").write_text(text)
    found = composition_of(read_table(tmp_path / "t.csv"))
    if formulas is None:
        assert found is None
    else:
        assert np.array_equal(found, atomic_fractions(formulas))


def test_a_few_ids_that_are_no_formulas_are_named(tmp_path):
    (tmp_path / "t.csv").write_text("oxide,a\nMgO,1\nxtal-7,2\nTiO2,3\nCaO,1\nBaO,1\nsample,4\n")
    with pytest.warns(
        SissoSalWarning, match=r"t\.csv: compositions are left out, id 'xtal-7' and 1 more being no formula"
    ):
        assert composition_of(read_table(tmp_path / "t.csv")) is None
