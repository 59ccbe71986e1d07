"""Units of a table from its headers: what is noted, what is refused, and that the formulas have them."""

import numpy as np
import pandas as pd
import pytest

from sisso_sal import Campaign, SISSORegressor
from sisso_sal.api.inputs import read_candidates, read_two_targets
from sisso_sal.data.table import read_table
from sisso_sal.errors import UnitError
from sisso_sal.settings.campaign import CampaignSettings

ROWS = "a,7.2,2.0,10.8,0.98,4\nb,2.1,2.9,9.3,1.78,8\nc,7.8,1.3,8.2,1.62,7\nd,,1.1,7.7,1.50,6\n"


def read(tmp_path, header):
    told = []
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n{ROWS}", encoding="utf-8")
    return read_candidates(path, CampaignSettings(), tell=told.append), told


def test_brackets_slash_and_comma_give_units_and_are_noted(tmp_path):
    table, told = read(tmp_path, 'id,Eg_eV,EA [eV],"IP, eV",radius/Å,N_val')
    assert dict(zip(table.feature_names, table.feature_units, strict=True)) == {
        "EA": "eV", "IP": "eV", "radius": "Å", "N_val": ""
    }  # fmt: skip
    assert told == [
        "units read: 'IP, eV' as 'IP' in 'eV', 'radius/Å' as 'radius' in 'Å'",
        "no unit read from 'Eg_eV'; where there is one, write it as in 'Eg (eV)'",
    ]


def test_products_and_powers_are_units_without_a_word(tmp_path):
    table, told = read(tmp_path, "id,gap (eV),D (g cm-3),k (W·m⁻¹·K⁻¹),HV (kgf/mm2),x (at.%)")
    assert told == []
    assert table.feature_units == ("g cm-3", "W·m⁻¹·K⁻¹", "kgf/mm2", "at.%")


def test_a_table_without_any_unit_gets_one_note(tmp_path):
    _, told = read(tmp_path, "id,y,a,b,c/a,N")
    assert told == [
        "no column has a unit in its header, so no formula is excluded by units; write units as in 'EA (eV)'"
    ]
    _, told = read(tmp_path, "id,y (eV),a,b,c,N")
    assert told == []


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "id,y (eV),x0 (dB),b,c,d",
            "column 'x0 (dB)': unit 'dB': needs a unit that can be multiplied, found a logarithmic one",
        ),
        ("id,y (m//s),a,b,c,d", "column 'y (m//s)': unit 'm//s': needs a product of units"),
        ("id,y (eV),a,b (m%s),c,d", "column 'b (m%s)': unit 'm%s': needs a product of units"),
        ("id,y (eV),a,b,c (m**9**9**9),d", "column 'c (m**9**9**9)': unit 'm**9**9**9': needs a product of units"),
    ],
)
def test_a_unit_that_cannot_be_used_is_refused_with_file_and_column(tmp_path, header, message):
    with pytest.raises(UnitError) as caught:
        read(tmp_path, header)
    assert str(caught.value).startswith(f"{tmp_path / 't.csv'}: {message}")
    with pytest.raises(UnitError) as caught:
        Campaign(read_table(tmp_path / "t.csv"), out=tmp_path / "run")
    assert message in str(caught.value)


def test_the_second_of_two_targets_is_checked_too(tmp_path):
    told = []
    path = tmp_path / "t.csv"
    path.write_text(f"id,y (eV),z (dB),b,c,d\n{ROWS}")
    with pytest.raises(UnitError, match=r"t\.csv: column 'z \(dB\)': unit 'dB'"):
        read_two_targets(path, ["y", "z"], CampaignSettings(), None, told.append)


def test_an_estimator_names_the_column():
    X = pd.DataFrame({"a (eV)": [1.0, 2.0, 3.0, 4.0], "b (dB)": [2.0, 1.0, 4.0, 3.0]})
    with pytest.raises(UnitError, match=r"^features: column 'b \(dB\)': unit 'dB'"):
        SISSORegressor(rung=0, dim=1).fit(X, X["a (eV)"].rename("y"))
    with pytest.raises(UnitError, match=r"^features: column 'b \(dB\)': unit 'm//s'"):
        SISSORegressor(rung=0, dim=1, units=("eV", "m//s")).fit(X, X["a (eV)"].rename("y"))


def test_units_in_other_forms_exclude_the_same_formulas():
    X = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0, 6.0], "b": [2.0, 1.0, 4.5, 3.0, 9.0], "r": [1.0, 3.0, 2.0, 2.5, 1.5]})
    y = (X["a"] + X["b"]).rename("y")

    def counts(*headers):
        fitted = SISSORegressor(rung=1, dim=1, n_sis=3).fit(X.set_axis(headers, axis=1), y)
        return fitted.n_features_, fitted.rejected_, str(fitted.models_[-1].terms[0].expression)

    expected = counts("a (eV)", "b (eV)", "r (AA)")
    assert counts("a [eV]", "b, eV", "r/Å") == expected
    assert counts("a", "b", "r") != expected


def test_gaps_of_a_lower_level_stay_with_their_rows_where_features_are_made_from_formulas():
    frame = pd.DataFrame({"formula": ["MgO", "Qq3", "CaO", "TiO2", "ZnO"], "gap (eV)": [7.8, 1.0, 7.0, 3.0, None]})
    frame["gap_pbe (eV)"] = [4.7, 9.9, None, 1.9, 0.8]
    settings = CampaignSettings.model_validate({"target": "gap", "ensemble": {"low": ("gap_pbe",)}})
    table = read_candidates(frame, settings, with_gaps=True)
    assert table.ids == ("MgO", "CaO", "TiO2", "ZnO")
    assert table.to_frame()["gap_pbe (eV)"].tolist() == pytest.approx([4.7, np.nan, 1.9, 0.8], nan_ok=True)
