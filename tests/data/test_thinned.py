"""A table without some of its rows: all other bytes stay, whatever the file is."""

import gzip

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from sisso_sal.data.table import read_table
from sisso_sal.data.thinned import check_thinnable, without_rows
from sisso_sal.errors import InputError

PLAIN = "formula,EN,gap (eV)\nMgO,1.3,7.8\nCaO,1.0,\nBaO,0.9,4.4\nSrO,0.95,5.2\n"


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (PLAIN, "formula,EN,gap (eV)\nCaO,1.0,\nSrO,0.95,5.2\n"),
        (PLAIN.replace("\n", "\r\n"), "formula,EN,gap (eV)\r\nCaO,1.0,\r\nSrO,0.95,5.2\r\n"),
        ("\ufeff# ours\n\n" + PLAIN.replace(",", ";"), "\ufeff# ours\n\nformula;EN;gap (eV)\nCaO;1.0;\nSrO;0.95;5.2\n"),
        (PLAIN.rstrip("\n"), "formula,EN,gap (eV)\nCaO,1.0,\nSrO,0.95,5.2"),
        (PLAIN.replace("CaO", '"CaO"').replace("1.0", " 1.00"), 'formula,EN,gap (eV)\n"CaO", 1.00,\nSrO,0.95,5.2\n'),
        (PLAIN.replace("BaO,", "\nBaO,"), "formula,EN,gap (eV)\nCaO,1.0,\n\nSrO,0.95,5.2\n"),
    ],
)
def test_the_other_lines_of_a_text_file_stay_to_the_last_byte(tmp_path, content, expected):
    path = written(tmp_path / "gaps.csv", content)
    assert without_rows(read_table(path), {"MgO", "BaO"}) == expected.encode()


def test_a_record_of_several_lines_goes_or_stays_as_a_whole(tmp_path):
    content = 'formula,note,EN,gap (eV)\nMgO,"two\nlines",1.3,7.8\nCaO,"a\n\nb",1.0,\nBaO,,0.9,4.4\n'
    table = read_table(written(tmp_path / "gaps.csv", content))
    assert without_rows(table, {"MgO"}).decode() == 'formula,note,EN,gap (eV)\nCaO,"a\n\nb",1.0,\nBaO,,0.9,4.4\n'
    assert without_rows(table, {"CaO"}).decode() == 'formula,note,EN,gap (eV)\nMgO,"two\nlines",1.3,7.8\nBaO,,0.9,4.4\n'


def test_rows_by_number_count_those_that_are_set_aside(tmp_path):
    table = read_table(written(tmp_path / "gaps.csv", "EN,r,gap\n1.3,2,7.8\n,3,1.0\n0.9,4,4.4\n0.8,5,\n"), target="gap")
    assert table.ids == ("1", "3", "4")
    assert without_rows(table, {"3"}).decode() == "EN,r,gap\n1.3,2,7.8\n,3,1.0\n0.8,5,\n"


def test_a_packed_file_stays_packed(tmp_path):
    path = written(tmp_path / "gaps.csv.gz", gzip.compress(PLAIN.encode()))
    assert gzip.decompress(without_rows(read_table(path), {"CaO"})).decode() == PLAIN.replace("CaO,1.0,\n", "")


def test_a_parquet_file_keeps_its_columns_and_types(tmp_path):
    frame = pd.DataFrame(
        {"formula": ["MgO", "CaO", "BaO"], "EN": [1.3, 1.0, 0.9], "n": [1, 2, 4], "gap (eV)": [7.8, np.nan, 4.4]}
    )
    path = tmp_path / "gaps.parquet"
    frame.to_parquet(path)
    out = written(tmp_path / "fewer.parquet", without_rows(read_table(path), {"MgO"}))
    assert pq.read_schema(out).equals(pq.read_schema(path), check_metadata=False)
    pd.testing.assert_frame_equal(pd.read_parquet(out).reset_index(drop=True), frame[1:].reset_index(drop=True))


def test_what_is_read_again_is_the_table_without_these_rows(tmp_path):
    table = read_table(written(tmp_path / "gaps.csv", PLAIN))
    again = read_table(written(tmp_path / "fewer.csv", without_rows(table, {"SrO"})))
    assert again.ids == ("MgO", "CaO", "BaO")
    assert again.features.tolist() == table.features[:3].tolist()


def test_a_workbook_the_table_itself_and_another_ending_are_refused(tmp_path):
    book = tmp_path / "gaps.xlsx"
    pd.DataFrame({"formula": ["MgO", "CaO"], "EN": [1.3, 1.0], "gap": [7.8, None]}).to_excel(book, index=False)
    with pytest.raises(
        InputError, match=r"gaps.xlsx: needs a text or Parquet file .* found a workbook; save it as CSV"
    ):
        check_thinnable(book, tmp_path / "fewer.xlsx")
    path = written(tmp_path / "gaps.csv", PLAIN)
    with pytest.raises(InputError, match=r"gaps.csv: needs another file than the table itself"):
        check_thinnable(path, path)
    with pytest.raises(InputError, match=r"needs a name that ends in '.csv' as that of the table, found '.parquet'"):
        check_thinnable(path, tmp_path / "fewer.parquet")
    check_thinnable(path, tmp_path / "fewer.csv")
