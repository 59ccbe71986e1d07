"""The comparison of two checkouts must see every digit, and say where."""

import doctest

import pytest
from programs import ROOT, program

same = program("benchmarks/same.py")
RESULT = {"proposals": [{"id": "a", "mean": 0.1, "std": None, "flags": [True, False]}], "n": 7}


def changed(**changes):
    return {**RESULT, "proposals": [RESULT["proposals"][0] | changes]}


def test_examples_in_docstrings():
    tests = doctest.testmod(same)
    assert tests.attempted >= 3
    assert tests.failed == 0


@pytest.mark.parametrize(
    ("this", "place"),
    [
        (changed(mean=0.1 + 2**-56), "proposals.0.mean: 0.10000000000000002 here, 0.1 there"),
        (changed(id="b"), "proposals.0.id: 'b' here, 'a' there"),
        (changed(std=float("nan")), "proposals.0.std: nan here, None there"),
        (changed(flags=[1, 0]), "proposals.0.flags.0: 1 here, True there"),
        (changed(flags=[True]), "proposals.0.flags: 1 entries here, 2 there"),
        ({"proposals": RESULT["proposals"]}, "n: only there"),
        ({**RESULT, "proposals": {}}, "proposals: {} here, [{'id': 'a', 'mean': 0.1, 'std': None, 'flags': [True, False]}] there"),
    ],
)  # fmt: skip
def test_a_difference_is_seen_and_its_place_is_named(this, place):
    assert same.difference(this, RESULT) == place


@pytest.mark.parametrize("this", [RESULT, RESULT | {"new": 1.0}, RESULT | {"n": 7.0}])
def test_no_difference(this):
    assert same.difference(this, RESULT) == ""


def test_zero_has_a_sign_and_nan_is_nan():
    assert same.difference([-0.0], [0.0]) == "0: -0.0 here, 0.0 there"
    assert same.difference([float("nan")], [float("nan")]) == ""
    assert same.difference([2**60 + 1], [2**60]) != ""


def test_words_and_times_are_no_results():
    assert same.difference({"seconds": 1.0, "equation": "y = x"}, {"seconds": 2.0, "equation": "y = z"}) == ""


def test_cells_of_a_csv_file(tmp_path):
    (tmp_path / "table.csv").write_text("id,mean\na,0.10\nb,\n")
    assert same.columns(tmp_path / "table.csv") == {"id": ["a", "b"], "mean": [0.1, ""]}


def test_a_folder_without_the_package_is_refused(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="empty: needs a checkout with the package"):
        same.Checkout(tmp_path / "empty", tmp_path)


def test_one_line_for_each_part_and_exit_code_1(monkeypatch, capsys):
    parts = {"steady": lambda checkout: {"value": 1.0}, "moved": lambda checkout: {"value": len(checkout.folder.name)}}
    monkeypatch.setattr(same, "PARTS", parts)
    monkeypatch.setattr("sys.argv", ["same.py", str(ROOT), "--parts", "steady"])
    same.main()
    folders = iter(["a", "bb"])
    monkeypatch.setattr(same.Checkout, "__init__", lambda self, root, _: setattr(self, "folder", ROOT / next(folders)))
    monkeypatch.setattr("sys.argv", ["same.py", str(ROOT), "--parts", "steady,moved"])
    with pytest.raises(SystemExit) as ended:
        same.main()
    assert ended.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" (")[0] for line in lines] == [
        "steady: equal, 1 numbers", "steady: equal, 1 numbers", "moved: value: 1 here, 2 there",
    ]  # fmt: skip
