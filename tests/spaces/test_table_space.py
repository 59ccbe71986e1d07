"""A table as a space: it says what the table says, and parses each formula once."""

import pickle

import numpy as np
import pandas as pd
import pytest
from lines import KNOWN, MATERIALS, N, space_of, table_of

from sisso_sal.oxides import elements
from sisso_sal.oxides.elements import atomic_fractions
from sisso_sal.protocols import Quantity, Space
from sisso_sal.spaces.snapshot import ids_of, read_snapshot
from sisso_sal.spaces.table import TableSpace

OXIDES = [f"Mg{i % 4 + 1}O" for i in range(N)]


@pytest.fixture
def space(tmp_path):
    return space_of(MATERIALS, tmp_path)


def test_it_fits_the_seam(space):
    assert isinstance(space, Space)


def test_it_says_what_the_table_says(space):
    assert space.ids == tuple(MATERIALS["formula"])
    assert space.features == (Quantity("a", "eV", "a (eV)"), Quantity("b", "", "b"), Quantity("r", "AA", "r (AA)"))
    assert space.target == Quantity("gap", "eV", "gap (eV)")
    assert np.array_equal(space.labels, MATERIALS["gap (eV)"], equal_nan=True)
    assert not space.errors.any()
    assert space.settings == {"target": "gap (eV)", "id": "formula", "group": None}
    assert space.name.endswith("materials.csv")


def test_rows_are_those_of_the_numbers(space):
    numbers = np.array([7, 2, 2])
    some, everything = space.rows(numbers), space.rows()
    assert np.array_equal(some.matrix, everything.matrix[numbers])
    assert list(some.features) == ["a", "b", "r"]
    for column, name in enumerate(some.features):
        assert np.array_equal(some.features[name], some.matrix[:, column])
    assert some.composition is None


def test_blocks_are_all_numbers_once_in_order(space):
    blocks = list(space.blocks(7))
    assert [len(block) for block in blocks] == [7, 7, 7, 7, 2]
    assert np.concatenate(blocks).tolist() == list(range(N))


def test_formulas_are_read_once(tmp_path, monkeypatch):
    frame = MATERIALS.rename(columns={"formula": "id"}).assign(formula=OXIDES)
    read, original = [], elements._amounts

    def spy(formulas):
        read.append(formulas[0].as_py())
        return original(formulas)

    monkeypatch.setattr(elements, "_amounts", spy)
    space = space_of(frame, tmp_path, id="id")
    shares = space.rows(np.array([0, 4, 5])).composition
    assert np.array_equal(space.rows().composition, space.composition)
    assert read == [MATERIALS["formula"][0], OXIDES[0]]  # the ids first
    assert np.array_equal(shares, atomic_fractions([OXIDES[0], OXIDES[4], OXIDES[5]]))


def test_a_candidate_is_its_row_without_the_target(tmp_path):
    space = space_of(MATERIALS.assign(note="x"), tmp_path)
    row = MATERIALS.iloc[4]
    expected = {"formula": "M04", "note": "x", "a (eV)": row["a (eV)"], "b": row["b"], "r (AA)": row["r (AA)"]}
    assert space.candidate(4) == expected


def test_a_copy_in_another_process_is_the_same(space):
    again = pickle.loads(pickle.dumps(space))
    assert again.describe() == space.describe()
    assert np.array_equal(again.rows().matrix, space.rows().matrix)


def test_a_snapshot_holds_ids_and_features_under_their_headers(space, tmp_path):
    path = tmp_path / "candidates.parquet"
    path.write_bytes(space.snapshot())
    frame = read_snapshot(path, "formula")
    assert list(frame.index) == list(space.ids)
    for feature in space.features:
        assert np.array_equal(frame[feature.header], space.rows().features[feature.name])
    numbered = pd.DataFrame({"a": [1.0, 2.0]})
    assert ids_of(numbered, "row") == ids_of(numbered, None) == ["1", "2"]


def differences(space, path, changed, known=None, came_later=()):
    path.write_bytes(space.snapshot())
    labels = dict(zip(np.array(space.ids)[KNOWN], space.labels[KNOWN], strict=True)) if known is None else known
    return changed.differences(path, space.settings, labels, came_later)


def test_differences_name_columns_rows_and_cells(space, tmp_path):
    path = tmp_path / "candidates.parquet"
    assert differences(space, path, space) == []
    frame = MATERIALS.copy()
    frame.loc[3, "b"] = 9.0
    assert differences(space, path, space_of(frame, tmp_path / "b")) == [
        f"row 'M03', column 'b': {MATERIALS['b'][3]} -> 9.0"
    ]
    assert differences(space, path, space_of(MATERIALS.drop(columns="b"), tmp_path / "c")) == ["column 'b': removed"]
    assert differences(space, path, space_of(MATERIALS[MATERIALS["formula"] != "M29"], tmp_path / "d")) == [
        "row 'M29': removed"
    ]
    assert differences(space, path, space_of(MATERIALS.iloc[::-1], tmp_path / "e")) == [
        "rows or columns: in another order"
    ]


def test_a_gap_that_was_filled_is_no_difference_but_another_label_is(space, tmp_path):
    path, frame = tmp_path / "candidates.parquet", MATERIALS.copy()
    frame.loc[2, "gap (eV)"] = 1.5
    assert differences(space, path, space_of(frame, tmp_path / "b")) == []
    frame.loc[0, "gap (eV)"] = 1.5
    assert len(differences(space, path, space_of(frame, tmp_path / "c"))) == 1
    without = MATERIALS.copy()
    without.loc[0, "gap (eV)"] = np.nan
    assert len(differences(space, path, space_of(without, tmp_path / "d"))) == 1
    assert differences(space, path, space_of(without, tmp_path / "d"), came_later={"M00"}) == []


def test_a_table_without_a_target_has_no_label(tmp_path):
    table = table_of(MATERIALS, tmp_path)
    space = TableSpace(type(table)(**{**vars(table), "target": None, "target_name": None}))
    assert space.target is None
    assert np.isnan(space.labels).all()
    assert space.settings["target"] is None
