"""The benchmark of campaigns for a class: its table, its commands and what it counts, by hand."""

import json

import pytest
from programs import ROOT, program
from reference import FOLDER


@pytest.fixture(scope="module")
def bench():
    return program("benchmarks/class_campaign.py")


def told(claimed, real):
    return {"p_hit": {"claimed": claimed, "real": real}}


def document(shift):
    """Of two starts and two evaluations: the others find `shift` fewer."""
    found = [[4, 5, 6 + shift], [2, 2, 3 + shift]]
    of = {
        "sisso hits": told(1.5, 2.0),
        "forest hits": told(1.25, 1.0),
        "logistic hits": told(0.5, 0.75),
        "random": None,
    }
    return {"strategies": {name: {"found": found, "honesty": honesty} for name, honesty in of.items()}}


def test_perovskites_are_the_first_rows_of_the_reference(bench):
    if not (FOLDER / "P1").exists():
        pytest.skip("needs ../shared/reference/tasks/P1")
    frame = bench.table_of(FOLDER / "P1" / "train.dat")
    assert frame["structure"].value_counts().to_dict() == {"perovskite": 313, "other": 263}
    assert list(frame) == ["formula", "rA (AA)", "rB (AA)", "rX (AA)", "nA", "nB", "nX", "structure"]
    says = (FOLDER / "P1" / "SISSO.in").read_text()
    assert f"nsample=({bench.N_PEROVSKITES},{len(frame) - bench.N_PEROVSKITES})" in says


def test_without_the_reference_it_says_what_it_needs(bench, tmp_path):
    with pytest.raises(SystemExit, match=r"train\.dat: needs this file of the reference inputs, found none"):
        bench.table_of(tmp_path / "train.dat")


def test_evaluations_until_so_many_more_hits(bench):
    found = [[4, 5, 5, 6], [2, 2, 3, 3], [0, 0, 0, 1]]
    assert bench.until(found, 1) == f"{(1 + 2 + 3) / 3:.1f}"
    assert bench.until(found, 2) == "over 3"
    assert bench.until([*found, [0, 2, 2, 2], [1, 3, 3, 3]], 2) == "over 3 in 2 of 5"


def test_the_table_and_the_claims_of_either_goal(bench, monkeypatch):
    monkeypatch.setattr(bench, "HITS", (1, 2))
    lines = bench.table_of_hits({"perovskite": document(0), "other": document(1)})
    assert lines[1] == "|---|---|---|---|---|---|"
    assert lines[2:] == [
        "| perovskites | 1 | 1.5 | 1.5 | 1.5 | 1.5 |",
        "| | 2 | over 2 in 1 of 2 | over 2 in 1 of 2 | over 2 in 1 of 2 | over 2 in 1 of 2 |",
        "| the others | 1 | 1.5 | 1.5 | 1.5 | 1.5 |",
        "| | 2 | 2.0 | 2.0 | 2.0 | 2.0 |",
    ]
    said = bench.claims({"perovskite": document(0), "other": document(1)})
    assert said[0] == "formulas: 1.5 claimed, 2.0 came; 1.5 claimed, 2.0 came"
    assert [line.partition(":")[0] for line in said] == ["formulas", "random forest", "logistic regression"]


@pytest.mark.usefixtures("quick_goals")
def test_the_replays_run_and_are_kept(bench, monkeypatch, tmp_path, capfd):
    """The whole program on few rows; a second call runs nothing."""
    monkeypatch.setattr(
        "sys.argv", ["class_campaign.py", "--out", str(tmp_path), "--rungs", "0", "--seeds", "1", "--workers", "1"]
    )
    bench.main()
    out = capfd.readouterr().out
    assert f"$ sisso-sal replay {tmp_path}/abx3.csv --goal =perovskite --rung 0 --n-start 10 --evaluations 2" in out
    kept = json.loads((tmp_path / "perovskite-rung0-1seeds.json").read_text())
    assert set(bench.STRATEGIES) <= set(kept["strategies"])
    assert kept["n_targets"] == 30
    bench.main()
    assert "$" not in capfd.readouterr().out


@pytest.fixture
def quick_goals(bench, monkeypatch, tmp_path):
    """One goal, two evaluations, 60 made rows of which 30 are perovskites."""
    lines = ["materials rA rB rX nA nB nX"]
    lines += [f"M{k} {1 + 0.01 * k} {0.7 + 0.013 * (k * 7 % 60)} 1.4 1 2 -1" for k in range(60)]
    (tmp_path / "train.dat").write_text("\n".join(lines))
    monkeypatch.setattr(bench, "REFERENCE", tmp_path / "train.dat")
    monkeypatch.setattr(bench, "N_PEROVSKITES", 30)
    monkeypatch.setattr(bench, "GOALS", {"perovskite": "perovskites"})
    monkeypatch.setattr(bench, "RULES", {"n-start": 10, "evaluations": 2, "batch": 2})


def test_the_page_says_the_command():
    page = (ROOT / "docs/howto/classes.md").read_text(encoding="utf-8")
    assert "`python benchmarks/class_campaign.py`" in page
