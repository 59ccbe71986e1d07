"""Where shards begin and end."""

import os

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sisso_sal.errors import TableError
from sisso_sal.screening import shards
from sisso_sal.screening.shards import JOINED, MOST_ROWS, cut, parquet_files, shards_of

SIZES = st.lists(
    st.one_of(st.integers(0, 9), st.sampled_from([JOINED - 1, JOINED, JOINED + 1, MOST_ROWS, 3 * MOST_ROWS + 5]))
)


@given(SIZES)
def test_shards_have_every_row_once_and_in_order(sizes):
    rows = [(number, row) for number, size in enumerate(sizes) for row in (0, size) if size]
    found = []
    for groups, skip, n_rows in cut(sizes):
        assert 0 < n_rows <= MOST_ROWS
        assert len(groups) == 1 or (skip == 0 and n_rows == sum(sizes[number] for number in groups) <= JOINED)
        found += [
            (groups[0], skip),
            (groups[-1], (skip if len(groups) == 1 else 0) + (n_rows if len(groups) == 1 else sizes[groups[-1]])),
        ]
    assert sum(n for _, _, n in cut(sizes)) == sum(sizes)
    assert found == sorted(found)
    assert not rows or (found[0], found[-1]) == (rows[0], rows[-1])


def test_what_a_shard_is_named_by(tmp_path, monkeypatch):
    """Its content and place in the file; not the path, nor what stands before it in the pool, unless rows have no other name."""
    monkeypatch.setattr(shards, "JOINED", 20)
    frame = pd.DataFrame({"x": range(50)})
    for name in ("a", "b"):
        frame.to_parquet(tmp_path / f"{name}.parquet", row_group_size=10)
    one, two = ([*shards_of([str(tmp_path / f"{name}.parquet")])] for name in ("a", "b"))
    both = [*shards_of(parquet_files(str(tmp_path)))]
    assert [part.n_rows for part in both] == [20, 20, 10, 20, 20, 10]
    assert [part.first for part in both] == [0, 20, 40, 50, 70, 90]
    keys = [[part.key(by_number=number) for part in one + two] for number in (False, True)]
    assert keys[0] == [part.key(by_number=False) for part in both]
    assert keys[1] != [part.key(by_number=True) for part in both]
    moved = tmp_path / "c.parquet"
    os.rename(tmp_path / "b.parquet", moved)
    assert [part.key(by_number=False) for part in shards_of([str(moved)])] == keys[0][3:]
    frame.assign(x=7).to_parquet(moved, row_group_size=10)
    assert all(part.key(by_number=False) not in keys[0] for part in shards_of([str(moved)]))


def test_what_files_a_pool_has(tmp_path):
    for name in ("b.parquet", "in/a.pq", "_temporary/c.parquet", ".hidden.parquet", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [os.path.relpath(path, tmp_path) for path in parquet_files(str(tmp_path))]
    assert found == ["b.parquet", "in/a.pq"]
    assert parquet_files(str(tmp_path / "*.parquet")) == [str(tmp_path / "b.parquet")]
    with pytest.raises(TableError, match=r"\*\.csv: needs Parquet files, found none"):
        parquet_files(str(tmp_path / "*.csv"))


def test_a_part_of_a_file_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"x": range(50)}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(TableError, match="needs a Parquet file, found other content, or a part of one"):
        [*shards_of([str(path)])]
