"""A table reads the same from every format, and what a format cannot be is told in one line."""

import csv
import gzip
import io
import re
import sys
import zipfile

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sisso_sal.data.columns import read_columns
from sisso_sal.data.formats import headers_of
from sisso_sal.data.table import read_table
from sisso_sal.errors import TableError

HEADER = ["name", "gap (eV)", "x", "r (AA)"]
ROWS = [["MgO", "7.8", "1.5", "-2"], ["CaO", "", "0.25", "3"], ["a; b, c", "4.5", "1e-3", "7"]]


def delimited(rows, separator, commas=False):
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(
        [rows[0]] + [[row[0], *(cell.replace(".", ",") if commas else cell for cell in row[1:])] for row in rows[1:]]
    )
    return text.getvalue().encode()


def workbook(folder, sheets, name="t.xlsx"):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(folder / name)
    return folder / name


def typed(rows):
    return [rows[0]] + [[row[0], *(float(cell) if cell else None for cell in row[1:])] for row in rows[1:]]


def write(folder, content, name="t.csv"):
    (folder / name).write_bytes(content)
    return folder / name


FORMS = {
    "semicolons": lambda rows: delimited(rows, ";"),
    "tabs": lambda rows: delimited(rows, "\t"),
    "semicolons and decimal commas": lambda rows: delimited(rows, ";", commas=True),
    "tabs and decimal commas": lambda rows: delimited(rows, "\t", commas=True),
    "gzip": lambda rows: gzip.compress(delimited(rows, ",")),
    "gzip and tabs": lambda rows: gzip.compress(delimited(rows, "\t")),
    "comments": lambda rows: b"# ours, 2024\n\n% and theirs\n// 1;2\n" + delimited(rows, ","),
    "a line for a spreadsheet program": lambda rows: b"sep=;\n" + delimited(rows, ";"),
    "a byte-order mark and comments": lambda rows: b"\xef\xbb\xbf# ours\n" + delimited(rows, ";"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_reads_the_same_in_every_form(tmp_path, form):
    plain = read_table(write(tmp_path, delimited([HEADER, *ROWS], ","), "plain.csv"))
    assert plain.feature_names == ("x", "r")
    path = write(tmp_path, FORMS[form]([HEADER, *ROWS]))
    assert read_table(path) == plain
    assert [header.strip() for header in headers_of(str(path))] == HEADER


def test_a_table_reads_the_same_from_a_workbook(tmp_path):
    plain = read_table(write(tmp_path, delimited([HEADER, *ROWS], ",")))
    path = workbook(tmp_path, {"data": [["# ours"], [], *typed([HEADER, *ROWS])], "notes": [["x"]], "more": []})
    table = read_table(path)
    assert table == plain
    assert table.notes == (
        "a comment line above the header is skipped: '# ours'",
        "only the first sheet, 'data', is read, not 'notes', 'more'",
    )
    assert headers_of(str(path)) == HEADER


NUMBERS = st.floats(min_value=-1e15, max_value=1e15, allow_subnormal=False).map(lambda number: float(f"{number:.4f}"))
TABLES = st.lists(st.lists(NUMBERS, min_size=2, max_size=2), min_size=2, max_size=6)


@given(TABLES, st.sampled_from([form for form in FORMS if "commas" not in form]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_numbers_read_the_same_in_every_form(tmp_path, rows, form):
    rows = [["name", "x", "y"], *([f"m{i}", *map(repr, row)] for i, row in enumerate(rows))]
    plain = read_table(write(tmp_path, delimited(rows, ","), "plain.csv"))
    assert read_table(write(tmp_path, FORMS[form](rows))) == plain


def test_decimal_commas_are_told(tmp_path):
    table = read_table(write(tmp_path, delimited([HEADER, *ROWS], ";", commas=True)))
    assert table.notes == ("decimal commas are read in: gap (eV), x",)
    assert read_columns(tmp_path / "t.csv").columns[2].texts() == ("1.5", "0.25", "1e-3")


COMMENTS = {
    # lines, header that is read, comment lines that are skipped
    "comments": ("# a\n# b\nid,x\na,1\nb,2\n", ["id", "x"], 2),
    "a comment as wide as the header": ("# by us, 2024\nid,x\na,1\nb,2\n", ["id", "x"], 1),
    "a header that begins with a mark": ("#id,x\na,1\nb,2\n", ["#id", "x"], 0),
    "comments above such a header": ("# a\n\n# id,x\na,1\nb,2\n", ["# id", "x"], 1),
    "a header of per cent": ("%Ni,%Fe\n10,20\n20,10\n", ["%Ni", "%Fe"], 0),
    "text below such a header": ("#id,kind\na,q\nb,p\n", ["#id", "kind"], 0),
    "one column": ("# a\nx\n1\n2\n", ["x"], 1),
}


@pytest.mark.parametrize("case", COMMENTS)
def test_comment_lines_above_the_header_are_skipped_and_told(tmp_path, case):
    text, header, n_skipped = COMMENTS[case]
    file = read_columns(write(tmp_path, text.encode()))
    assert [column.header for column in file.columns] == header
    assert file.n_rows == 2
    told = re.findall(r"^(a|\d+) comment lines? above the header", "\n".join(file.notes))
    assert told == ([] if n_skipped == 0 else ["a" if n_skipped == 1 else str(n_skipped)])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_the_line_in_a_message_counts_comments(tmp_path, mark, packed):
    rows = [["id", "x"], ['a"\n', "1"], ["b", "2"], ["c", "bad"], ["d", "4"]]
    content = b"# one\n\n# two\n" + delimited(rows, mark)
    path = write(tmp_path, gzip.compress(content) if packed else content)
    with pytest.raises(TableError, match=re.escape(f"{path}: row 3 (line 8), column 'x': needs a number, found 'bad'")):
        read_table(path)


def test_the_row_in_a_message_is_that_of_the_sheet(tmp_path):
    path = workbook(tmp_path, {"s": [["# ours"], ["id", "x"], ["a", 1], [], ["b", 2.5], ["c", "bad"]]})
    with pytest.raises(TableError, match=re.escape("row 3 (sheet row 6), column 'x': needs a number, found 'bad'")):
        read_table(path)


def test_cells_of_a_workbook_keep_their_type_as_text_would(tmp_path):
    day = pd.Timestamp("2024-01-05").to_pydatetime()
    path = workbook(tmp_path, {"s": [["id", "on", "day", "n", None], ["a", True, day, 3], ["b", False, day, 1e-300]]})
    on, when, n = read_columns(path).columns[1:]
    assert on.values.tolist() == [1, 0]
    assert (when.texts(), when.read.reason) == (("2024-01-05", "2024-01-05"), "dates")
    assert n.values.tolist() == [3, 1e-300]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([["id", "x"], ["a", 1, 2]], "sheet row 2: needs 2 cells as in the header, found 3"),
        ([], "needs a header and rows, found an empty sheet 's'"),
        ([["id", "x"]], "needs at least one row below the header, found none"),
        (
            [["id", "x"], ["a", "=1+1"], ["b", "=2+1"]],
            "sheet row 2, column 2: needs a value, found a formula that was never",
        ),
        ([["id", None, "x"], ["a", 1, 2]], "sheet row 1: column 2 needs a header, found an empty one"),
    ],
)
def test_what_a_workbook_cannot_be_is_told(tmp_path, rows, told):
    path = workbook(tmp_path, {"s": rows})
    with pytest.raises(TableError, match=re.escape(f"{path}: {told}")):
        read_table(path)


def test_a_damaged_workbook_is_refused_wherever_it_is_cut(tmp_path):
    whole = workbook(tmp_path, {"s": typed([HEADER, *ROWS])}).read_bytes()
    for cut in range(4, len(whole), len(whole) // 40):
        with pytest.raises(TableError, match=r"found another archive|needs a readable workbook"):
            read_table(write(tmp_path, whole[:cut], "cut.xlsx"))


def test_a_workbook_without_openpyxl_says_what_to_install(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(
        TableError, match=re.escape("needs the package openpyxl to read a workbook; pip install 'sisso-sal[excel]'")
    ):
        read_table(tmp_path / "t.xlsx")


def test_what_unpacks_to_too_much_is_refused(tmp_path):
    path = write(tmp_path, gzip.compress(b"id,x\n" + b"a,1\n" * 5_000_000), "t.csv.gz")
    with pytest.raises(TableError, match="needs a packed file that unpacks to at most 16 MiB, found more"):
        read_table(path)
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"0" * 20_000_000)
    with pytest.raises(TableError, match="needs a workbook that unpacks to at most 16 MiB, found 19 MiB"):
        read_table(tmp_path / "t.xlsx")


def test_cut_gzip_is_refused(tmp_path):
    whole = gzip.compress(delimited([HEADER, *ROWS], ","))
    for cut in range(2, len(whole)):
        with pytest.raises(TableError, match="needs a whole gzip file, found: "):
            read_table(write(tmp_path, whole[:cut]))
    with pytest.raises(TableError, match="found a compressed file; unpack it first"):
        read_table(write(tmp_path, gzip.compress(whole)))


@pytest.mark.parametrize("text", ["id,x;z\na,1;2\n", "a;b,c\n1;2,3\n4;5,6\n"])
def test_two_separators_that_would_both_do_are_refused(tmp_path, text):
    with pytest.raises(
        TableError, match="line 1: needs one separator of columns, found that both commas and semicolons would do"
    ):
        read_table(write(tmp_path, text.encode()))


def test_columns_with_neither_header_nor_value_are_left_out_and_told(tmp_path):
    table = read_table(write(tmp_path, b"id,x,,y,\na,1,,2,\nb,2,,,\n"))
    assert table.feature_names == ("x",)
    assert table.notes == ("columns with neither a header nor a value are left out: 3, 5",)
    with pytest.raises(TableError, match="line 1: column 3 needs a header, found an empty one"):
        read_table(write(tmp_path, b"id,x,,y,\na,1,,2,\nb,2,7,,\n"))
