"""Every column of a table is used or named with the reason, every row likewise."""

import io
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sisso_sal.data.roles import Wanted
from sisso_sal.data.table import read_table, read_targets, read_wanted
from sisso_sal.errors import TableError
from sisso_sal.spaces.snapshot import ids_of

MESSY = """\
,name,gap (eV),EA (eV),phase,r (AA),day,P (GPa),empty,all_na,on
0,m0,1.5,1.0,4/mmm,1.1,2024-01-05,1.0,,n/a,True
1,m1,,2.0,-43m,,2024-01-06,1.0,,n/a,False
2,m2,2.5,3.5,4/mmm,1.3,2024-01-07,1.0,,NA,True
3,m3,3.5,,6/mmm,1.4,2024-01-08,1.0,,n/a,True
4,m4,1.0,4.5,4/mmm,1.7,2024-01-09,1.0,,n/a,False
"""
REASONS = {
    "Unnamed: 0": "numbers the rows", "phase": "text", "day": "dates", "P (GPa)": "constant", "empty": "empty",
    "all_na": "no value",
}  # fmt: skip


def columns_of(table):
    return {one.name: one.reason for one in table.left_out if one.kind == "column"}


def rows_of(table):
    return {one.name: one.reason for one in table.left_out if one.kind == "row"}


@pytest.fixture
def messy(tmp_path):
    path = tmp_path / "messy.csv"
    path.write_text(MESSY)
    return path


def test_columns_that_cannot_serve_and_rows_with_gaps_are_left_out_and_named(messy):
    table = read_table(messy, target="gap")
    assert table.feature_names == ("EA", "r", "on")
    assert table.id_name == "name"
    assert columns_of(table) == REASONS
    assert rows_of(table) == {"m1": "gap in 'r (AA)'", "m3": "gap in 'EA (eV)'"}
    assert table.ids == ("m0", "m2", "m4")
    np.testing.assert_array_equal(table.features, [[1, 1.1, 1], [3.5, 1.3, 1], [4.5, 1.7, 0]])
    np.testing.assert_array_equal(table.target, [1.5, 2.5, 1.0])
    assert table.text["phase"] == ("4/mmm", "4/mmm", "4/mmm")
    assert pickle.loads(pickle.dumps(table)).left_out == table.left_out


def test_dropped_columns_are_not_used_for_anything(messy):
    table = read_table(messy, target="gap", id="row", drop=["r (AA)", "EA", "name"])
    assert table.feature_names == ("on",)
    assert table.n_rows == 5
    assert (table.id_name, "name" in table.text) == ("row", False)
    assert columns_of(table)["r (AA)"] == columns_of(table)["EA (eV)"] == "named to be dropped"


def test_only_the_columns_that_are_asked_for_are_features(messy):
    table = read_table(messy, target="gap", require_target=True, features=["r", "P"])
    assert table.feature_names == ("r",)
    assert columns_of(table)["P (GPa)"] == "constant"
    assert columns_of(table)["EA (eV)"] == "not a chosen feature"
    assert rows_of(table) == {"m1": "gap in 'r (AA)'"}


def test_a_table_to_predict_may_have_constant_columns_and_sets_rows_with_gaps_aside(messy):
    table = read_table(messy, features=["P", "r"])
    assert table.feature_names == ("P", "r")
    assert table.ids == ("m0", "m2", "m3", "m4")
    assert rows_of(table) == {"m1": "gap in 'r (AA)'"}


@pytest.mark.parametrize("numbers", [("0", "1", "2"), ("1", "2", "3"), ("7", "3", "12")])
@pytest.mark.parametrize("header", ["", "Unnamed: 0", "Unnamed: 0.1"])
def test_an_index_column_is_no_feature(tmp_path, header, numbers):
    rows = "\n".join(f"{number},{value},{value}" for number, value in zip(numbers, (5, 3, 9), strict=True))
    (tmp_path / "t.csv").write_text(f"{header},x,y\n{rows}\n")
    table = read_table(tmp_path / "t.csv", target="y")
    assert table.feature_names == ("x",)
    assert list(columns_of(table).values()) == ["numbers the rows"]
    asked = read_table(tmp_path / "t.csv", target="y", id=header or "Unnamed: 0")
    assert asked.ids == numbers
    assert columns_of(asked) == {}


def test_names_below_an_empty_first_header_are_the_ids(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, None]}, index=["MgO", "CaO"])
    frame.to_csv(tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv").ids == ("MgO", "CaO")


def test_an_unnamed_index_of_numbers_of_a_data_frame_is_no_feature():
    frame = pd.DataFrame({"x": [1.0, 2.0, 4.0], "y": [1.0, None, 2.0]}, index=[7, 2, 9])
    table = read_table(frame)
    assert table.feature_names == ("x",)
    assert columns_of(table) == {"Unnamed: 0": "numbers the rows"}
    named = read_table(frame.rename_axis("Z"))
    assert named.feature_names == ("Z", "x")


def test_a_table_keeps_the_numbers_of_its_rows_when_some_are_set_aside(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,2\n,\n3,4\n5,\n")
    table = read_table(tmp_path / "t.csv", target="y")
    assert table.ids == ("1", "3", "4")
    assert ids_of(table.to_frame(), table.id_name) == ["1", "3", "4"]


def test_two_targets_set_the_same_rows_aside(messy):
    first, second = read_targets(messy, ["gap", "r"], drop=["EA"])
    assert first.ids == second.ids == ("m0", "m1", "m2", "m3", "m4")
    assert first.left_out == second.left_out
    assert "r (AA)" not in columns_of(first)


CELL = st.one_of(
    st.sampled_from(["", "1.0", "1.0", "2", "1.2D+00", "n/a", "text", "4/mmm", "2024-01-05", "True", "5%", "-"]),
    st.integers(0, 4).map(str),
)


@given(
    st.integers(1, 6).flatmap(lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), min_size=2, max_size=8)),
    st.booleans(),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_column_is_used_or_named_and_so_is_every_row(tmp_path, rows, is_to_learn):
    headers = [f"c{j}" for j in range(len(rows[0]))]
    lines = [",".join(["y", "key", *headers])] + [",".join([str(i * i), f"m{i}", *row]) for i, row in enumerate(rows)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    try:
        table = read_table(tmp_path / "t.csv", **({"target": "y"} if is_to_learn else {"features": ["y"]}))
    except TableError:
        return
    used = {table.header(name) for name in (*table.feature_names, table.id_name)} | ({"y"} if is_to_learn else set())
    if table.target_name is not None:
        used.add(table.header(table.target_name))
    assert sorted([*used, *columns_of(table)]) == sorted(["y", "key", *headers])
    assert sorted([*table.ids, *rows_of(table)]) == [f"m{i}" for i in range(len(rows))]
    assert np.isfinite(table.features).all()


PHONONS = """\
formula,a (eV),gap (eV),lowest_mode_chgnet (THz),F_vib_chgnet (eV/atom),phonons_chgnet
MgO,1.0,7.8,7.1,0.042,stable
CaO,1.5,,-1.2,,dynamically unstable: -1.20 THz at X
SrO,2.5,5.3,,,not known: the supercell has 300 atoms
BaO,3.5,4.4,2.1,0.031,stable
"""
NUMBERS = {"lowest_mode_chgnet (THz)", "F_vib_chgnet (eV/atom)"}


def test_numbers_on_phonons_are_no_features_and_set_no_row_aside(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text(PHONONS)
    table = read_table(path)
    assert (table.ids, table.feature_names, table.target_name) == (("MgO", "CaO", "SrO", "BaO"), ("a",), "gap")
    asked = {name for name, reason in columns_of(table).items() if "only where it is named" in reason}
    assert asked == NUMBERS
    assert table.text["phonons_chgnet"][0] == "stable"


def test_numbers_on_phonons_have_the_role_that_they_are_given(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text(PHONONS)
    chosen = read_table(path, target="gap", features=["a", "F_vib_chgnet"])
    assert (chosen.ids, chosen.feature_units) == (("MgO", "BaO"), ("eV", "eV/atom"))
    vibrations = read_table(path, target="F_vib_chgnet")
    assert (vibrations.target_name, vibrations.ids) == ("F_vib_chgnet", ("MgO", "SrO", "BaO"))  # CaO has no gap
    assert vibrations.feature_names == ("a", "gap")
    dropped = read_table(path, target="gap", drop=["lowest_mode_chgnet"])
    assert columns_of(dropped)["lowest_mode_chgnet (THz)"] == "named to be dropped"


def test_without_the_text_they_are_numbers_like_all_others(tmp_path):
    path = tmp_path / "p.csv"
    pd.read_csv(io.StringIO(PHONONS)).drop(columns="phonons_chgnet").to_csv(path, index=False)
    table = read_table(path, target="gap")
    assert (table.ids, len(table.feature_names)) == (("MgO", "BaO"), 3)


@pytest.mark.parametrize("others", [["phonons_chgnet"], ["lowest_mode_chgnet (THz)", "phonons_chgnet"], []])
@pytest.mark.parametrize("features", [None, ["a"]])
def test_numbers_on_phonons_are_no_target_unless_they_are_named(tmp_path, others, features):
    path = tmp_path / "p.csv"
    pd.read_csv(io.StringIO(PHONONS)).drop(columns=others).to_csv(path, index=False)
    assert read_table(path, features=features, require_target=True).target_name == "gap"
    assert read_table(path, target="F_vib_chgnet", features=features).target_name == "F_vib_chgnet"


LACKING = """\
formula,gap (eV),a,gap_pbe (eV),gap_chgnet (eV),H_f_sevenn (eV/atom)
MgO,7.8,1,5.0,7.0,-3
CaO,,2,,6.0,
SrO,5.3,3,3.0,,-2
BaO,,4,2.0,4.0,-1
"""


def lacking(tmp_path, **roles):
    path = tmp_path / "l.csv"
    path.write_text(LACKING)
    return read_table(path, target="gap", **roles)


def test_estimates_with_gaps_are_left_out_where_nothing_fills_them(tmp_path):
    table = lacking(tmp_path, drop=["gap_pbe"])
    assert (table.ids, table.feature_names, table.partial) == (("MgO", "CaO", "SrO", "BaO"), ("a",), None)
    assert columns_of(table)["gap_chgnet (eV)"] == "gaps in 1 row, which only discover fills"
    (tmp_path / "m.csv").write_text(LACKING.replace(",gap_pbe (eV)", ",b").replace(",,6.0", ",9,6.0"))
    assert read_table(tmp_path / "m.csv").target_name == "gap"


def test_estimates_with_gaps_set_rows_aside_where_they_are_asked_for(tmp_path):
    lacking(tmp_path)
    wanted = Wanted(target="gap", drop=["gap_pbe", "H_f_sevenn"], whole=["gap_chgnet"])
    table = read_wanted(tmp_path / "l.csv", wanted)
    assert (table.ids, table.feature_names) == (("MgO", "CaO", "BaO"), ("a", "gap_chgnet"))
    chosen = lacking(tmp_path, features=["a", "gap_chgnet (eV)"])
    assert (chosen.ids, chosen.feature_names) == (("MgO", "CaO", "BaO"), ("a", "gap_chgnet"))


def test_what_a_level_lacks_is_kept_apart(tmp_path):
    table = lacking(tmp_path, partial=["gap_pbe (eV)", "nowhere"])
    assert (table.ids, table.feature_names) == (("MgO", "CaO", "SrO", "BaO"), ("a",))
    assert (table.partial_names, table.partial_units) == (
        ("gap_pbe", "gap_chgnet", "H_f_sevenn"),
        ("eV", "eV", "eV/atom"),
    )
    np.testing.assert_array_equal(table.partial[:, 0], [5.0, np.nan, 3.0, 2.0])
    again = read_table(table.to_frame(), target="gap", partial=["gap_pbe"])
    assert again == table
    assert lacking(tmp_path, partial=[], drop=["gap_pbe"]) != table
    assert pickle.loads(pickle.dumps(table)) == table
