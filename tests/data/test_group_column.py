"""A column that says which rows are one material: its role, its errors, and the space that knows it."""

import re

import numpy as np
import pandas as pd
import pytest

from sisso_sal.data.table import read_table, read_targets
from sisso_sal.errors import TableError
from sisso_sal.spaces.table import TableSpace

FRAME = pd.DataFrame(
    {
        "id": list("abcdef"), "batch": [1, 2, None, 1, None, 2], "phase": ["x", "", "y", "x", "y", ""],
        "EA (eV)": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "gap (eV)": [1.0, 2.0, 3.0, 4.0, 5.0, None],
    }
)  # fmt: skip


def test_it_is_no_feature_and_is_kept_as_text():
    plain = read_table(FRAME.drop(columns="batch"))
    table = read_table(FRAME, target="gap", group="batch")
    assert table.feature_names == plain.feature_names == ("EA",)
    assert table.group_name == "batch"
    assert table.text["batch"] == ("1", "2", "", "1", "", "2")
    assert "batch" not in [one.name for one in table.left_out]
    assert table.digest() != read_table(FRAME, target="gap", drop=["batch"]).digest()
    assert list(table.to_frame()["batch"]) == ["1", "2", "", "1", "", "2"]


@pytest.mark.parametrize(("group", "expected"), [("batch", [0, 1, 2, 0, 4, 1]), ("phase", [0, 1, 2, 0, 2, 5])])
def test_an_empty_cell_is_a_material_of_its_own(group, expected):
    frame = FRAME[["id", group, "EA (eV)", "gap (eV)"]]
    groups = TableSpace(read_table(frame, target="gap", group=group)).groups
    first = {number: row for row, number in reversed(list(enumerate(groups.tolist())))}
    assert [first[number] for number in groups.tolist()] == expected


def test_a_space_without_it_leaves_the_choice_to_compositions_and_features():
    space = TableSpace(read_table(FRAME, target="gap"))
    assert space.groups is None
    assert space.settings["group"] is None
    assert TableSpace(read_table(FRAME, target="gap", group="phase")).settings["group"] == "phase"


def test_equal_numbers_are_one_group_however_they_are_written(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("id,batch,x,y\na,1,1,2\nb,1.0,2,3\nc,1e0,3,\nd,2,4,5\n")
    assert read_table(path, group="batch").text["batch"] == ("1", "1", "1", "2")


def test_ids_are_looked_for_beside_it_unless_it_names_each_row():
    repeated = FRAME.drop(columns=["id", "batch"])
    assert read_table(repeated, group="phase").id_name == "row"
    assert read_table(FRAME, target="gap", group="id").id_name == "id"
    assert read_table(FRAME[["phase", "id", "EA (eV)", "gap (eV)"]], group="phase").id_name == "id"


def test_both_tables_of_two_targets_have_it():
    two = FRAME.assign(cost=[1.0, None, 3.0, 4.0, 5.0, 6.0])
    tables = read_targets_of(two)
    assert [table.group_name for table in tables] == ["phase", "phase"]
    assert [table.target_name for table in tables] == ["gap", "cost"]


def read_targets_of(frame):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        frame.to_csv(f"{folder}/table.csv", index=False)
        return read_targets(f"{folder}/table.csv", ["gap", "cost"], group="phase", drop=["batch"])


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"group": "batches"}, "group column 'batches' is missing; did you mean 'batch'?"),
        ({"group": "gap", "target": "gap"}, "column 'gap (eV)' cannot be the group and also be the target"),
        (
            {"group": "batch", "features": ["EA", "batch"]},
            "column 'batch' cannot be the group and also be a feature or a target",
        ),
        ({"group": "batch", "drop": ["batch"]}, "column 'batch' cannot be the group and also be dropped"),
    ],
)
def test_a_column_with_another_role_is_refused(wanted, problem):
    with pytest.raises(TableError, match=f"^[^:]*: {re.escape(problem)}$"):
        read_table(FRAME, **wanted)


def test_the_only_column_with_gaps_cannot_be_both():
    frame = FRAME.drop(columns="batch")
    with pytest.raises(TableError, match=r"column 'gap \(eV\)' cannot be the group and also be the target$"):
        read_table(frame, group="gap", require_target=True)


def test_rows_that_are_set_aside_take_their_groups_along():
    frame = FRAME.assign(**{"EA (eV)": [1.0, np.nan, 3.0, 4.0, 5.0, 6.0]})
    table = read_table(frame, target="gap", group="batch")
    assert table.ids == tuple("acdef")
    assert table.text["batch"] == ("1", "", "1", "", "2")
