"""Good tables are read exactly; every defect of a bad one is told with file, row and column."""

import csv
import pickle
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sisso_sal.data.headers import split_header
from sisso_sal.data.table import Table, read_table, read_targets
from sisso_sal.errors import TableError

GOOD = "formula,EA (eV),r_s (AA),EN (Pauling),N_val,g_pbx (eV/atom)\n"
ROWS = ["MgO,1.5,0.66,3.1,2,0.12\n", "CaO,1.25,0.99,1.0,2,\n", "Al2O3,1,0.5,1.61,3,-0.5\n"]


def unused(table):
    return {one.name: one.reason for one in table.left_out if one.kind == "column"}


def write(folder, content, name="t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture
def oxides(tmp_path):
    return write(tmp_path, GOOD + "".join(ROWS), "oxides.csv")


# Good tables


def test_roles_units_and_values_follow_from_the_columns(oxides):
    table = read_table(oxides)
    assert table.path == str(oxides)
    assert table.ids == ("MgO", "CaO", "Al2O3")
    assert table.id_name == "formula"
    assert table.feature_names == ("EA", "r_s", "EN", "N_val")
    assert table.feature_units == ("eV", "AA", "Pauling", "")
    np.testing.assert_array_equal(table.features, [[1.5, 0.66, 3.1, 2], [1.25, 0.99, 1.0, 2], [1, 0.5, 1.61, 3]])
    assert (table.target_name, table.target_unit) == ("g_pbx", "eV/atom")
    np.testing.assert_array_equal(table.target, [0.12, np.nan, -0.5])
    np.testing.assert_array_equal(table.labelled, [True, False, True])
    assert table.n_rows == 3
    assert table.left_out == ()
    assert table.header("EA") == "EA (eV)"


def test_nothing_of_a_table_can_be_changed(oxides):
    table = read_table(oxides)
    assert table.features.flags.c_contiguous
    for array in (table.features, table.target):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    with pytest.raises(AttributeError):
        table.path = "x"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        table.text["formula"] = ()  # pyright: ignore[reportIndexIssue]


@pytest.mark.parametrize("target", ["g_pbx (eV/atom)", "g_pbx", " g_pbx "])
def test_a_target_is_named_by_header_or_by_name(oxides, target):
    assert read_table(oxides, target=target) == read_table(oxides)


def test_a_target_without_gaps_is_given_and_gaps_stay_in_no_feature(tmp_path):
    path = write(tmp_path, "id,x,y\na,1,2\nb,2,3\n")
    assert read_table(path).target is None
    assert not read_table(path).labelled.any()
    table = read_table(path, target="x", require_target=True)
    assert table.feature_names == ("y",)
    assert table.labelled.all()


def test_chosen_features_come_in_the_order_asked_for(oxides):
    table = read_table(oxides, features=["N_val", "EA (eV)"])
    assert table.feature_names == ("N_val", "EA")
    np.testing.assert_array_equal(table.features[:, 0], [2, 2, 3])
    assert unused(table) == {"r_s (AA)": "not a chosen feature", "EN (Pauling)": "not a chosen feature"}
    assert table.target_name == "g_pbx"


def test_columns_beside_chosen_features_may_be_damaged_or_have_gaps(tmp_path):
    path = write(tmp_path, "id,x,y,z,w\na,1,,n/a,\nb,2,3,4,\nc,3,,5,1\n")
    table = read_table(path, features=["x"])
    assert table.target is None
    assert list(unused(table)) == ["y", "z", "w"]
    np.testing.assert_array_equal(table.features, [[1], [2], [3]])


def test_a_prediction_may_have_one_row_and_constant_columns(tmp_path):
    assert read_table(write(tmp_path, "id,x\na,1\n")).n_rows == 1
    assert read_table(write(tmp_path, "id,x\na,1\nb,1\n")).feature_names == ("x",)
    assert read_table(write(tmp_path, "id,x,y\na,1,\n"), features=["x"]).features.shape == (1, 1)


def test_a_target_that_is_all_gaps_is_kept_when_named(tmp_path):
    table = read_table(write(tmp_path, "id,x,y\na,1,\nb,2,\n"), target="y")
    assert table.target_name == "y"
    assert not table.labelled.any()


def test_without_numbers_there_are_no_features_but_the_text_is_there(tmp_path):
    table = read_table(write(tmp_path, "name,formula,gap (eV)\na,MgO,7.8\nb,CaO,\n"))
    assert table.features.shape == (2, 0)
    assert table.text == {"name": ("a", "b"), "formula": ("MgO", "CaO")}
    assert unused(table) == {"formula": "text"}
    assert len(table.digest()) == 64


def test_ids_are_row_numbers_without_text_or_on_request(tmp_path):
    table = read_table(write(tmp_path, "x,y\n1,2\n2,\n"))
    assert (table.ids, table.id_name) == (("1", "2"), "row")
    twins = write(tmp_path, "kind,x\nspinel,1\nspinel,2\n")
    assert read_table(twins, id="row").ids == ("1", "2")
    assert unused(read_table(twins, id="row")) == {"kind": "text"}


def test_a_numeric_id_keeps_its_digits(tmp_path):
    table = read_table(write(tmp_path, "number,x\n007,1\n010,2\n"), id="number")
    assert table.ids == ("007", "010")
    assert table.feature_names == ("x",)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("EA (eV)", ("EA", "eV")),
        ("EN (Pauling)", ("EN", "Pauling")),
        ("N_val", ("N_val", "")),
        ("f(x) (eV)", ("f(x)", "eV")),
        ("a (b) c", ("a (b) c", "")),
        ("S (J/(mol K))", ("S", "J/(mol K)")),
        ("EA(eV)", ("EA", "eV")),
        ("N ()", ("N", "")),
        ("(eV)", ("(eV)", "")),
        ("EA eV)", ("EA eV)", "")),
        ("  EA  ( eV ) ", ("EA", "eV")),
    ],
)
def test_a_header_is_split_at_its_trailing_parentheses(header, expected):
    assert split_header(header) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfid,x,y\na,1,2\nb,2,\n",
        b"id,x,y\r\na,1,2\r\nb,2,\r\n",
        b"id,x,y\ra,1,2\rb,2,\r",
        b"id,x,y\n\na,1,2\n\nb,2,\n\n",
        b" id , x , y \n a, 1 , 2\n b , +2.0, \n",
        b'"id","x","y"\n"a","1","2"\n"b","2e0",""',
    ],
)
def test_spelling_of_the_file_does_not_matter(tmp_path, content):
    plain = read_table(write(tmp_path, "id,x,y\na,1,2\nb,2,\n", "plain.csv"))
    assert read_table(write(tmp_path, content)) == plain


def test_a_quoted_cell_may_hold_commas_and_line_breaks(tmp_path):
    table = read_table(write(tmp_path, 'id,x\n"a, b",1\n"c\nd",2\n'))
    assert table.ids == ("a, b", "c\nd")


def test_true_and_false_count_as_one_and_zero(tmp_path):
    table = read_table(write(tmp_path, "id,metal,x\na,True,1\nb,FALSE,2\nc,true,3\n"))
    np.testing.assert_array_equal(table.features[:, 0], [1, 0, 1])
    frame = pd.DataFrame({"id": ["a", "b", "c"], "metal": [True, False, True], "x": [1.0, 2.0, 3.0]})
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet") == table


@given(st.lists(st.floats(min_value=-1e100, max_value=1e100), min_size=2, max_size=20), st.randoms())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_are_read_exactly_as_python_reads_them(tmp_path, numbers, random):
    spelt = [random.choice([repr(x), f"{x:.25e}", f"{x:+.17g}"]) for x in numbers]
    path = write(tmp_path, "x\n" + "\n".join(spelt) + "\n")
    assert read_table(path).features[:, 0].tolist() == [float(cell) for cell in spelt]


def test_several_targets_share_the_features_and_are_none_themselves(tmp_path):
    path = write(tmp_path, "name,A (eV),x,B\nm,1,1,\nn,,2,4\no,3,3,5\n")
    first, second = read_targets(path, ["B", "A (eV)"])
    assert (first.target_name, second.target_name, second.target_unit) == ("B", "A", "eV")
    assert first.feature_names == second.feature_names == ("x",)
    assert (first.ids, first.left_out, second.left_out) == (("m", "n", "o"), (), ())
    assert (first.labelled.tolist(), second.labelled.tolist()) == ([False, True, True], [True, False, True])
    assert second == read_table(write(tmp_path, "name,A (eV),x\nm,1,1\nn,,2\no,3,3\n", "alone.csv"), target="A")


@pytest.mark.parametrize(
    ("content", "targets", "told"),
    [
        ("A,B,x\n1,,1\n2,,2\n", ["A", "B"], "t.csv: target column 'B' needs a known value, found none"),
        ("A,B,x\n1,n/a,1\n2,3,2\n", ["A", "B"], "t.csv: row 1 (line 2), column 'B': needs a number, found 'n/a'"),
        (
            "A,B,C,D\n1,1,1,1\n2,3,,2\n3,4,2,\n",
            ["A", "B"],
            "t.csv: needs at least two rows with a number for every feature, found one",
        ),
        ("A,B,C\n1,1,1\n2,3,2\n", ["A", "A"], "t.csv: needs targets that differ, found 'A' twice"),
    ],
)
def test_what_several_targets_cannot_be_is_told(tmp_path, content, targets, told):
    path = write(tmp_path, content)
    with pytest.raises(TableError) as caught:
        read_targets(path, targets)
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(told)


def test_csv_and_parquet_give_equal_tables(oxides, tmp_path):
    table = read_table(oxides)
    table.to_frame().to_parquet(tmp_path / "a.parquet")
    from_parquet = read_table(tmp_path / "a.parquet")
    from_parquet.to_frame().to_csv(tmp_path / "b.csv", index=False)
    assert from_parquet == table == read_table(tmp_path / "b.csv")
    assert hash(from_parquet) == hash(table)
    assert from_parquet.headers == table.headers


def test_parquet_of_many_types_is_read_as_numbers_and_text(tmp_path):
    columns = {
        "kind": pa.array(["a", "b", "c"]).dictionary_encode(),
        "i": pa.array([1, 2, 3], pa.int8()),
        "u": pa.array([1, 2, 2**63], pa.uint64()),
        "f": pa.array([0.5, 1.5, 2.5], pa.float32()),
        "d": pa.array([1, 2, 3], pa.decimal128(5, 2)),
        "day": pa.array([0, 1, 2], pa.date32()),
        "y": pa.array([1.0, None, float("nan")]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.ids == ("a", "b", "c")
    assert table.feature_names == ("i", "u", "f", "d")
    np.testing.assert_array_equal(table.features, [[1, 1, 0.5, 1], [2, 2, 1.5, 2], [3, 2.0**63, 2.5, 3]])
    np.testing.assert_array_equal(table.target, [1, np.nan, np.nan])
    assert table.text["day"] == ("1970-01-01", "1970-01-02", "1970-01-03")


def test_content_decides_what_a_file_is_not_its_name(oxides, tmp_path):
    table = read_table(oxides)
    table.to_frame().to_parquet(tmp_path / "odd.csv")
    assert read_table(tmp_path / "odd.csv") == table


def test_the_digest_sees_content_and_not_the_path(oxides, tmp_path):
    digest = read_table(oxides).digest()
    text = GOOD + "".join(ROWS)
    assert read_table(write(tmp_path, text, "elsewhere.csv")).digest() == digest
    for old, new in [("1.5", "1.5000000000000002"), ("(eV)", "(J)"), ("MgO", "BeO"), ("0.12", "0.13"), ("r_s", "r_p")]:
        assert read_table(write(tmp_path, text.replace(old, new))).digest() != digest


def test_a_table_survives_pickling(oxides):
    table = read_table(oxides)
    again = pickle.loads(pickle.dumps(table))
    assert again == table
    assert not again.features.flags.writeable


def test_a_table_made_by_hand_must_fit_together(oxides):
    table = read_table(oxides)
    parts = dict(zip(Table.__dataclass_fields__, table.__reduce__()[1], strict=True))
    with pytest.raises(TableError, match=r"features of shape \(2, 4\), found \(3, 4\)"):
        Table(**{**parts, "ids": ("a", "b")})
    with pytest.raises(TableError, match=r"a target of shape \(3,\), found \(2,\)"):
        Table(**{**parts, "target": np.zeros(2)})


def test_an_unknown_header_is_refused_with_a_suggestion(oxides):
    with pytest.raises(TableError, match=r"oxides.csv: there is no column 'N_vall'; did you mean 'N_val'\?"):
        read_table(oxides).header("N_vall")


# Bad tables

LABELS = "id,x,y\na,1,2\nb,2,\nc,4,5\n"
SIXTEEN = "".join(f"m{i},{i},{i if i % 2 else ''}\n" for i in range(1, 17))

BAD = {
    # content, options, what the message must say after the path
    "bars": (
        "id|x|y\na|1|2\n",
        {},
        "line 1: needs commas, semicolons or tabs between the columns, found vertical bars",
    ),
    "two separators": (
        "id;x (a,b)\na;1,5\n",
        {},
        "line 1: needs one separator of columns, found that both commas and semicolons would do",
    ),
    "decimal commas": (
        'id,x\na,"1,5"\nb,"2,5"\n',
        {},
        "row 1 (line 2), column 'x': needs a decimal point and no other sep",
    ),
    "a decimal comma": ('id,x\na,1\nb,"2,5"\n', {}, "row 2 (line 3), column 'x': needs a decimal point"),
    "bare decimal commas": (
        "id,x,y\na,1,5,2,5\n",
        {},
        "row 1 (line 2): needs 3 cells as in the header, found 5 (decimal",
    ),
    "short row": ("id,x,y\na,1,2\nb,1\n", {}, "row 2 (line 3): needs 3 cells as in the header, found 2"),
    "short row after breaks": (
        'id,x\n"a\n\nb",1\n\nc\n',
        {},
        "row 2 (line 6): needs 2 cells as in the header, found 1",
    ),
    "duplicate ids": (
        "id,x\na,1\nb,2\na,3\n",
        {},
        "row 3 (line 4), column 'id': ids must differ, found 'a' again after row 1",
    ),
    "empty id": ("id,x\na,1\n,2\n", {}, "row 2 (line 3), column 'id': needs an id, found an empty cell"),
    "duplicate columns": (
        "id,x,x\na,1,2\n",
        {},
        "line 1: column names must differ, found 'x' in column 2 ('x') and column 3",
    ),
    "duplicate names": (
        "id,EA (eV),EA (J)\na,1,2\n",
        {},
        "line 1: column names must differ, found 'EA' in column 2 ('EA (eV)') and column 3 ('EA (J)')",
    ),
    "empty header": ("id,x,\na,1,2\n", {}, "line 1: column 3 needs a header, found an empty one"),
    "no header": ("1,2,3\n4,5,6\n", {}, "line 1: needs column names, found only numbers, '1' first"),
    "n/a in a feature": (
        "id,x,y\n" + SIXTEEN + "m17,n/a,1\n",
        {},
        "row 17 (line 18), column 'x': needs a number, found 'n/a'",
    ),
    "text in a feature": ("id,x\na,1\nb,two\nc,3\n", {}, "row 2 (line 3), column 'x': needs a number, found 'two'"),
    "half text": ("id,x\na,1\nb,two\n", {}, "row 2 (line 3), column 'x': needs a number, found 'two'"),
    "underscore": ("id,x\na,1\nb,1_000\nc,3\n", {}, "row 2 (line 3), column 'x': needs a number, found '1_000'"),
    "hexadecimal": ("id,x\na,1\nb,0x10\nc,3\n", {}, "row 2 (line 3), column 'x': needs a number, found '0x10'"),
    "Fortran exponent": ("id,x\na,1\nb,1d3\nc,3\n", {}, "row 2 (line 3), column 'x': needs a number, found '1d3'"),
    "nan in a target": (
        "id,x,y\na,1,2\nb,2,nan\nc,3,nan\n",
        {"target": "y"},
        "row 2 (line 3), column 'y': needs a number, found 'nan'; leave the cell empty where a value is unknown",
    ),
    "a target of nan": (
        "id,x,y\na,1,nan\nb,2,nan\n",
        {"target": "y"},
        "row 1 (line 2), column 'y': needs a number, found 'nan'; leave the cell empty where a value is unknown",
    ),
    "no target but blanks": (
        "id,x,y\na,1,\nb,2,\n",
        {"require_target": True},
        "needs a target, found no column with gaps; choose with --target (numeric columns: 'x'; only empty cells: 'y')",
    ),
    "one whole row": (
        "id,x,v,y\na,1,1,2\nb,,2,3\nc,3,,4\n",
        {"target": "y"},
        "needs at least two rows with a number for every feature, found one",
    ),
    "no whole row": (
        "id,x,v,y\na,1,,2\nb,,2,3\nc,2,,4\nd,,3,1\n",
        {"target": "y"},
        "needs a row with a number for every feature, found none; there are gaps in 'x' (2 of 4 rows), 'v' (2 of 4 rows); "
        "leave out columns with --drop, for instance --drop x",
    ),
    "infinite": ("id,x\na,1\nb,-inf\n", {}, "row 2 (line 3), column 'x': needs a finite number, found '-inf'"),
    "overflow": ("id,x\na,1\nb,1e999\n", {}, "row 2 (line 3), column 'x': needs a finite number, found '1e999'"),
    "absurd": (
        "id,x\na,1\nb,1e308\n",
        {},
        "row 2 (line 3), column 'x': needs a number no larger than 1e+100 in size, fou",
    ),
    "absurd target": (
        "id,x,y\na,1,-1e308\nb,2,\n",
        {},
        "row 1 (line 2), column 'y': needs a number no larger than 1e+100",
    ),
    "empty file": ("", {}, "needs a header and rows, found an empty file"),
    "only a BOM": (b"\xef\xbb\xbf", {}, "needs a header and rows, found only blank lines"),
    "blank lines": ("\n\n  \n", {}, "needs a header and rows, found only blank lines"),
    "header only": ("id,x,y\n", {}, "needs at least one row below the header, found none"),
    "one row": ("id,x,y\na,1,2\n", {"target": "y"}, "needs at least two rows to learn from, found one"),
    "latin-1": (b"id,x\na,1\nb\xe9,2\n", {}, "line 3: needs UTF-8 text, found byte 0xe9; save the table as UTF-8"),
    "UTF-16": ("id,x\na,1\n".encode("utf-16"), {}, "needs UTF-8 text, found UTF-16; save it as UTF-8"),
    "binary": (b"id,x\n\x00\x01,1\n", {}, "needs CSV, Parquet or xlsx, found binary data"),
    "spreadsheet": (
        b"PK\x03\x04xx",
        {},
        "needs CSV, Parquet or xlsx, found another archive or spreadsheet; export the table",
    ),
    "compressed": (b"BZh91AY&SY", {}, "needs CSV, Parquet or xlsx, found a compressed file; unpack it first"),
    "cut gzip": (b"\x1f\x8b\x08xx", {}, "needs a whole gzip file, found: "),
    "old Excel": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        {},
        "needs CSV, Parquet or xlsx, found an old Excel file; save it as",
    ),
    "open quote": (
        'id,x\na,1\n"b,2\nc,3\n',
        {},
        "line 3: needs well-formed CSV, found: a quotation mark opens here and",
    ),
    "text after a quote": ('id,x\n"a"b,1\n', {}, "line 2: needs well-formed CSV, found: "),
    "too many columns": (
        ",".join(f"c{i}" for i in range(10_000)) + "\n" + "1," * 9_999 + "1\n",
        {},
        "line 1: needs at most 4096 columns, found 10000",
    ),
    "several gapped columns": (
        "id,x,y\na,1,2\nb,,2\nc,3,\nd,4,\n",
        {},
        "needs one column with gaps as the target, found 'x' (1 gaps, first in row 2), 'y' (2 gaps, first in row 3); "
        "choose with --target",
    ),
    "no gapped column": (
        "id,x,y\na,1,2\nb,2,3\n",
        {"require_target": True},
        "needs a target, found no column with gaps; choose with --target (numeric columns: 'x', 'y')",
    ),
    "no gapped column but classes": (
        "id,x,phase\na,1,metal\nb,2,insulator\n",
        {"require_target": True},
        "needs a target, found no column with gaps; choose with --target (numeric columns: 'x'; "
        "text, which fit takes as classes: 'phase')",
    ),
    "no label": (
        "id,x,y\na,1,\nb,2,\n",
        {"target": "y", "require_target": True},
        "target column 'y' needs a known value",
    ),
    "target misspelt": (LABELS, {"target": "Y"}, "target column 'Y' is missing; did you mean 'y'?"),
    "target is text": (
        LABELS,
        {"target": "id", "id": "row"},
        "row 1 (line 2), column 'id': the target needs a number, fo",
    ),
    "target is id": (LABELS, {"target": "x", "id": "x"}, "column 'x' cannot be the target and also an id or feature"),
    "target is feature": (LABELS, {"target": "x", "features": ["x"]}, "column 'x' cannot be the target and also an id"),
    "id is feature": (LABELS, {"id": "x", "features": ["x"]}, "column 'x' cannot be the id and also a feature"),
    "id misspelt": (LABELS, {"id": "idd"}, "id column 'idd' is missing; did you mean 'id'?"),
    "feature missing": (LABELS, {"features": ["nothing like it"]}, "feature column 'nothing like it' is missing"),
    "feature twice": (LABELS, {"features": ["x", "x"]}, "feature 'x' is asked for twice"),
    "feature is text": (
        LABELS,
        {"features": ["id"]},
        "row 1 (line 2), column 'id': a feature needs a number, found 'a'",
    ),
    "feature of gaps": (
        "id,x,y\na,1,\nb,2,\n",
        {"features": ["y"]},
        "feature column 'y' needs numbers, found only empty cells",
    ),
    "drop misspelt": (LABELS, {"drop": ["xx"]}, "drop column 'xx' is missing; did you mean 'x'?"),
    "drop the target": (LABELS, {"target": "y", "drop": ["y"]}, "column 'y' cannot be dropped and also be the target"),
    "drop the id": (LABELS, {"id": "id", "drop": ["id"]}, "column 'id' cannot be dropped and also be the id"),
    "drop a feature": (
        LABELS,
        {"features": ["x"], "drop": ["x"]},
        "column 'x' cannot be dropped and also be a feature",
    ),
    "several spoilt columns": (
        "id,x,w v,y\na,1,2,1\nb,n/a,3,2\nc,3,?,4\n",
        {"target": "y"},
        "row 2 (line 3), column 'x': needs a number, found 'n/a'; leave the cell empty where a value is unknown; the same kind of "
        "fault in 'w v' (row 3); or leave the columns out with --drop 'x,w v'",
    ),
    "long cell": (
        "id,x\na,1\nb,2\nc," + "q" * 999 + "\n",
        {},
        "row 3 (line 4), column 'x': needs a number, found 'qqqqq",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_defect_is_told_with_its_place(tmp_path, case):
    content, options, message = BAD[case]
    path = write(tmp_path, content)
    with pytest.raises(TableError, match=re.escape(f"{path}: {message}")) as caught:
        read_table(path, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 400


@pytest.mark.parametrize("at", [0, 1, 40_000, 70_000])
def test_the_line_is_right_however_far_down(tmp_path, at):
    rows = [f'"m{i}\n{i}",{i}\n' if i % 7 == 0 else f"m{i},{i}\n" for i in range(70_001)]
    line = 2 + sum(row.count("\n") for row in rows[:at])
    rows[at] = rows[at].rsplit(",", 1)[0] + ",bad\n"
    path = write(tmp_path, "id,x\n" + "".join(rows))
    with pytest.raises(
        TableError, match=re.escape(f"row {at + 1} (line {line}), column 'x': needs a number, found 'bad'")
    ):
        read_table(path)


def test_a_folder_a_missing_file_and_a_missing_folder_are_told_apart(tmp_path):
    write(tmp_path, LABELS, "oxides.csv")
    with pytest.raises(TableError, match="needs a CSV or Parquet file, found a folder"):
        read_table(tmp_path)
    with pytest.raises(TableError, match=r"oxide.csv: there is no such file; similar names there: oxides.csv"):
        read_table(tmp_path / "oxide.csv")
    with pytest.raises(TableError, match="there is no folder"):
        read_table(tmp_path / "nowhere" / "oxides.csv")
    with pytest.raises(TableError, match="cannot be read: embedded null byte"):
        read_table("a\0b.csv")
    with pytest.raises(TableError, match="needs a regular file, found a device"):
        read_table("/dev/null")


def parquet(folder, columns):
    pq.write_table(pa.table(columns), folder / "t.parquet")
    return folder / "t.parquet"


BAD_PARQUET = {
    "infinite": ({"x": [1.0, np.inf]}, "row 2, column 'x': needs a finite number, found 'inf'"),
    "absurd": ({"x": [1.0, 1e308]}, "row 2, column 'x': needs a number no larger than 1e+100 in size, found '1e+308'"),
    "nested": ({"x": [[1.0], [2.0]]}, "column 'x' needs numbers or text, found 'list<element: double>'"),
    "bytes": ({"x": [b"1", b"2"]}, "column 'x' needs numbers or text, found 'binary'"),
    "spoilt text": ({"x": ["1", "2", "bad"]}, "row 3, column 'x': needs a number, found 'bad'"),
    "no rows": ({"x": pa.array([], pa.float64())}, "needs at least one row below the header, found none"),
    "units": ({"EA (eV)": [1.0], "EA (J)": [2.0]}, "column names must differ, found 'EA' in column 1 ('EA (eV)') and"),
    "wide": ({f"c{i}": [1.0] for i in range(4097)}, "needs at most 4096 columns, found 4097"),
}


@pytest.mark.parametrize("case", BAD_PARQUET)
def test_a_defect_of_a_parquet_file_is_told_with_its_place(tmp_path, case):
    columns, message = BAD_PARQUET[case]
    path = parquet(tmp_path, columns)
    with pytest.raises(TableError, match=re.escape(f"{path}: {message}")):
        read_table(path)


def test_damaged_parquet_is_refused_wherever_it_is_cut(tmp_path):
    whole = parquet(tmp_path, {"id": ["a", "b"], "x": [1.0, 2.0]}).read_bytes()
    for cut in range(0, len(whole), 23):
        with pytest.raises(TableError, match=r"needs a (readable )?Parquet file, found"):
            read_table(write(tmp_path, whole[:cut], "t.parquet"))
    with pytest.raises(TableError, match="it does not begin with 'PAR1'"):
        read_table(write(tmp_path, LABELS, "t.pq"))


def accepted_or_refused(path, **options):
    try:
        table = read_table(path, **options)
    except TableError:
        return
    assert np.isfinite(table.features).all()
    assert len(set(table.ids)) == table.n_rows


@given(st.binary(max_size=200), st.booleans())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_bytes_are_a_table_or_a_told_defect(tmp_path, content, require_target):
    accepted_or_refused(write(tmp_path, content), require_target=require_target)


CELLS = st.one_of(
    st.sampled_from(
        ["", " ", "nan", "n/a", "inf", "1e308", "1,5", "True", '"', "-", "a", "MgO", "0x1", "١", "\n", "\r"]
    ),
    st.floats().map(repr),
    st.integers().map(str),
    st.text(max_size=5),
)


@given(
    st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=6)),
    st.fixed_dictionaries(
        {},
        optional={
            "target": st.sampled_from(["a", "1", "x"]),
            "id": st.sampled_from(["row", "a"]),
            "require_target": st.booleans(),
            "features": st.lists(st.sampled_from(["a", "b", "x"]), max_size=2),
        },
    ),
    st.booleans(),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_cells_are_a_table_or_a_told_defect(tmp_path, rows, options, named):
    with open(tmp_path / "t.csv", "w", newline="", encoding="utf-8", errors="replace") as file:
        csv.writer(file).writerows([list("abcx"[: len(rows[0])]), *rows] if named else rows)
    accepted_or_refused(tmp_path / "t.csv", **options)
