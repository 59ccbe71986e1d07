"""Arrow reads plain text files at once, to the cells that reading record by record gives, and leaves all others alone."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sisso_sal.data import bulk
from sisso_sal.data.bulk import plain_columns
from sisso_sal.data.delimited import TextFile, laid_out
from sisso_sal.data.table import read_table
from sisso_sal.errors import TableError


@pytest.fixture(autouse=True)
def small_files_too(monkeypatch):
    monkeypatch.setattr(bulk, "SMALLEST", 0)


def columns_one_by_one(file, n_columns):
    """Trimmed cells by column, or None where a record has another number of cells."""
    _, *records = file.records()
    if any(len(cells) != n_columns for _, cells in records):
        return None
    return [[cells[column].strip() for _, cells in records] for column in range(n_columns)]


CELLS = st.text(st.sampled_from("ab1.5-e' \t·é\u00a0NaN"), max_size=4)


@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3).map(",".join), min_size=1, max_size=8),
    odd=st.sampled_from(["", "\n", "\n\n", "  \n", "a,b\n", "1,2,3,4\n", ",,\n", "NA,null,nan\n"]),
    end=st.sampled_from(["\n", "\r\n"]),
    above=st.sampled_from(["", "# made by hand\n", "\n"]),
)
def test_cells_are_those_of_the_records(tmp_path_factory, rows, odd, end, above):
    path = tmp_path_factory.mktemp("bulk") / "t.csv"
    text = above + "name,x,y\n" + "\n".join(rows) + "\n" + odd + "last,1,2"
    path.write_bytes(text.replace("\n", end).encode())
    file = TextFile(str(path), False, ",", above.count("\n") if above.startswith("#") else 0)
    line, header = next(file.records())
    assert header == ["name", "x", "y"]
    found, expected = plain_columns(file, line, 3), columns_one_by_one(file, 3)
    if expected is None or odd == "  \n":  # a line of spaces is passed over, by the careful way alone
        assert found is None
    else:
        assert [column.to_pylist() for column in found] == expected


@pytest.mark.parametrize(
    "content",
    [
        b'name,x\n"a,b",1\nc,2\n',
        b"name,x\na\r,1\nc,2\n",
        b"name,x\na\0,1\nc,2\n",
        b"name,x\na\xff,1\nc,2\n",
        b"name,x\na,1,3\nc,2\n",
        b"name,x\n" + b"a" * (csv.field_size_limit() + 1) + b",1\nc,2\n",
        b"name\na\n",
    ],
)
def test_what_is_not_plain_is_left_to_the_careful_way(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    n_columns = content.partition(b"\n")[0].count(b",") + 1
    assert plain_columns(TextFile(str(tmp_path / "t.csv"), False), 1, n_columns) is None


def test_small_files_are_read_record_by_record(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("name,x\na,1\nb,2\n")
    assert plain_columns(laid_out(str(tmp_path / "t.csv"), is_packed=False), 1, 2) is not None
    monkeypatch.undo()
    assert plain_columns(laid_out(str(tmp_path / "t.csv"), is_packed=False), 1, 2) is None


def test_messages_name_the_line(tmp_path):
    lines = ["name;x;y", *(f"m{number};{number}.5;1" for number in range(50)), "m50;1.5 (2);1", "m51;2.5;"]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(TableError, match=r"t\.csv: row 51 \(line 52\), column 'x': needs a number, found '1\.5 \(2\)'"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("\n".join([*lines[:40], "m;1"]) + "\n")
    with pytest.raises(TableError, match=r"t\.csv: row 40 \(line 41\): needs 3 cells as in the header, found 2"):
        read_table(tmp_path / "t.csv")
