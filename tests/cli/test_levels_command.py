"""Levels of theory from the shell: a settings file with [[level]], a campaign with lookups, results of people, and replay."""

import json

import numpy as np
import pandas as pd
import pytest

from sisso_sal import Campaign
from sisso_sal.errors import InputError

from test_commands import call  # isort: skip

N, N_KNOWN = 36, 14
SETTINGS = """
goal = ">=2.6"
acquisition = "hits"
batch = 2
target = "gap (eV)"

[model]
rung = 1
dim = 1

[ensemble]
members = 4

[[level]]
name = "cheap"
cost = 1
column = "gap_cheap (eV)"
oracle = "lookup:cheap.csv"

[[level]]
name = "dear"
cost = 10
{dear}
"""


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"formula": [f"M{i:02d}" for i in range(N)]})
    for header in ("a (eV)", "b (eV)", "r (AA)"):
        frame[header] = rng.uniform(0.5, 2.0, N).round(3)
    y = (2 * frame["a (eV)"] - frame["b (eV)"] + rng.normal(0, 0.4, N)).round(4)
    cheap = (y - 0.3 + rng.normal(0, 0.05, N)).round(4)
    frame.assign(**{"gap (eV)": y}).to_csv(tmp_path / "truth.csv", index=False)
    frame.assign(**{"gap_cheap (eV)": cheap}).to_csv(tmp_path / "cheap.csv", index=False)
    frame.assign(**{"gap (eV)": y, "gap_cheap (eV)": cheap}).to_csv(tmp_path / "all.csv", index=False)
    frame.assign(**{"gap (eV)": y.where(frame.index < N_KNOWN)}).to_csv(tmp_path / "open.csv", index=False)
    (tmp_path / "levels.toml").write_text(SETTINGS.format(dear='oracle = "lookup:truth.csv"'))
    (tmp_path / "people.toml").write_text(SETTINGS.format(dear=""))
    return tmp_path


def sal(folder, *arguments, code=0):
    return call(*arguments, folder=folder, code=code)


def test_a_campaign_with_levels_from_the_shell(folder):
    done = sal(folder, "discover", "open.csv", "--config", "levels.toml", "--budget", 60, "--out", "run")
    lines = done.stdout.splitlines()
    place = lines.index("Levels of theory:")
    assert lines[place + 1].startswith("  cheap (cost 1): ")
    assert lines[place + 2].startswith("  dear (cost 10): ")
    assert any(line.startswith("cost ") and " of 60 (" in line and " cheap, " in line for line in lines)
    assert "model.json, predictions.csv, levels.csv, proposals.csv" in done.stdout
    status = json.loads(sal(folder, "status", "run", "--json").stdout)
    cheap, dear = status["levels"]
    assert cheap["evaluations"] >= 5
    assert 50 <= cheap["evaluations"] + 10 * dear["evaluations"] <= 60
    assert "gap_cheap" in (folder / "run" / "report.html").read_text()
    assert "findings" not in sal(folder, "ledger", "run", "--verify").stdout
    again = sal(folder, "discover", "open.csv", "--config", "levels.toml", "--budget", 60, "--out", "run")
    assert "(as recorded; there is no new label)" in again.stdout


def test_a_dry_run_says_at_which_level_and_why(folder):
    options = ("discover", "open.csv", "--config", "levels.toml", "--out", "run", "--dry-run")
    document = json.loads(sal(folder, *options, "--json").stdout)
    assert {(row["level"], row["score"]) for row in document["proposals"]} == {("cheap", None)}
    assert "its label is known: to learn what the level says" in sal(folder, *options).stdout
    assert not (folder / "run").exists()


def test_people_compute_the_last_level(folder):
    done = sal(folder, "discover", "open.csv", "--config", "people.toml", "--out", "run")
    assert "  dear" in done.stdout
    first = json.loads(sal(folder, "status", "run", "--json").stdout)["open"][0]
    assert f"sisso-sal label run {first} VALUE" in done.stderr + done.stdout
    sal(folder, "label", "run", first, 2.5, "--level", "dear")
    sal(folder, "label", "run", "--file", "cheap.csv", "--level", "cheap", "--replace")
    found = json.loads(sal(folder, "status", "run", "--json").stdout)
    assert found["levels"][0]["evaluations"] == N
    told = sal(folder, "label", "run", first, 2.5, "--level", "dera", code=2)
    assert told.stderr == "error: level: needs one of cheap, dear, found 'dera'\n"


def test_replay_says_what_levels_save(folder):
    options = (
        "--n-start",
        10,
        "--evaluations",
        20,
        "--seeds",
        2,
        "--surrogates",
        "no-formulas",
        "--workers",
        1,
        "--goal",
        "max",
    )
    arguments = ("replay", "all.csv", "--config", "levels.toml", *options)
    document = json.loads(sal(folder, *arguments, "--json").stdout)
    assert list(document["strategies"]) == [
        "no-formulas, levels",
        "no-formulas, the last level alone",
        "all of cheap, best first",
    ]
    for result in document["strategies"].values():
        for cost, found in zip(result["cost"], result["found"], strict=True):
            assert cost[0] == 0.0
            assert cost[-1] <= 200
            assert np.all(np.diff(cost) > 0)
            assert np.all(np.diff(found) >= 0)
    alone, first = (
        document["strategies"]["no-formulas, the last level alone"],
        document["strategies"]["all of cheap, best first"],
    )
    assert set(np.diff(alone["cost"][0])) == {10.0}
    assert first["cost"][0][N] == N
    text = sal(folder, *arguments).stdout
    assert text.startswith(f"4 targets among {N} materials (goal max); 10 labels to start (random), budget 200")
    assert "cost until half" in text
    refused = sal(folder, *arguments, "--plot", "x.png", code=2)
    assert refused.stderr.startswith("error: --plot: needs a campaign without levels of theory")


def test_the_column_of_the_last_level_is_the_target(folder):
    text = (folder / "levels.toml").read_text().replace('target = "gap (eV)"\n', "", 1)
    (folder / "levels.toml").write_text(text.replace("cost = 10\n", 'cost = 10\ncolumn = "gap (eV)"\n', 1))
    options = ("--batch", 1, "--n-start", 10, "--evaluations", 1, "--seeds", 1, "--surrogates", "trees", "--workers", 1)
    done = sal(folder, "replay", "all.csv", "--config", "levels.toml", *options, "--json")
    assert json.loads(done.stdout)["n_materials"] == N


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "dear"', 'name = "cheap"', "level: needs a name of its own for each level; two have 'cheap'"),
        ("cost = 10\n", "cost = 0.5\n", "the order of their costs, the last one counts; 'dear' costs less than 'cheap'"),
        ('column = "gap_cheap (eV)"\n', "", "level: needs a column for level 'cheap'"),
        ("cost = 1\n", "cost = -1\n", "bad.toml: level 1 (cheap): cost: needs greater than 0, found -1"),
        ("cost = 10\n", "", "bad.toml: level 2 (dear): cost: needs a value, found none"),
        ("cost = 1\n", 'cost = 1\ncalculation = { workers = 1 }\n', "level 1 (cheap): unknown setting 'calculation.workers'"),
        ('name = "dear"', 'name = "CHEAP"', "level: needs names that differ in more than upper and lower case, found 'cheap' and"),
        ("lookup:cheap.csv", "lookup:none.csv", "level 1 (cheap): none.csv: there is no such file"),
        ("lookup:truth.csv", "lookup:none.csv", "level 2 (dear): none.csv: there is no such file"),
        ('name = "cheap"', 'name = "very cheap"', "level 1 (very cheap): name: needs a name of at most 32 letters, digits"),
        ('acquisition = "hits"', 'acquisition = "ei"', "acquisition: needs 'hits' for a campaign with levels, found 'ei'"),
        ('column = "gap_cheap (eV)"', 'column = " "', "bad.toml: level 1 (cheap): column: needs a header of a column, found ' '"),
        ('column = "gap_cheap (eV)"', 'colum = "gap_cheap (eV)"', "unknown setting 'level.colum'; did you mean 'column'?"),
    ],
)  # fmt: skip
def test_levels_that_make_no_ladder_are_refused(folder, old, new, told, monkeypatch):
    monkeypatch.chdir(folder)
    text = (folder / "levels.toml").read_text()
    assert old in text
    (folder / "bad.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        Campaign("open.csv", config="bad.toml", out="run", with_report=False)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (folder / "run").exists()


def test_doctor_looks_at_the_oracle_of_each_level(folder):
    text = (folder / "levels.toml").read_text().replace('oracle = "lookup:cheap.csv"', 'oracle = "structure"', 1)
    text = text.replace("cost = 1\n", 'cost = 1\ncalculation = { calculator = "no_such_package:Calculator" }\n', 1)
    (folder / "levels.toml").write_text(text)
    done = sal(folder, "doctor", "--config", "levels.toml", "--json", code=1)
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["oracle of cheap"]["status"] == "problem"
    assert checks["oracle"] == {"name": "oracle", "status": "ok", "detail": "lookup:truth.csv, needs no calculations"}


def test_a_table_in_another_unit_is_refused_by_the_level_and_not_as_a_second_target(folder):
    frame = pd.read_csv(folder / "open.csv")
    cheap = 1000 * pd.read_csv(folder / "cheap.csv")["gap_cheap (eV)"]
    frame.assign(**{"gap_cheap (meV)": cheap.where(frame.index % 2 == 0)}).to_csv(folder / "milli.csv", index=False)
    done = sal(folder, "discover", "milli.csv", "--config", "levels.toml", "--out", "run", code=2)
    assert done.stderr.splitlines()[-1] == (
        "error: level cheap: needs its column as the table has it, 'gap_cheap (meV)', found 'gap_cheap (eV)'"
    )


def test_a_column_of_a_level_that_is_text_or_dropped_is_refused(folder):
    frame = pd.read_csv(folder / "open.csv").assign(**{"gap_cheap (eV)": "high"})
    frame.to_csv(folder / "text.csv", index=False)
    done = sal(folder, "discover", "text.csv", "--config", "levels.toml", "--out", "run", code=2)
    assert done.stderr.endswith("error: text.csv: level cheap: needs numbers in column 'gap_cheap (eV)', found text\n")
    options = ("--config", "levels.toml", "--drop", "gap_cheap", "--out", "run")
    dropped = sal(folder, "discover", "all.csv", *options, code=2)
    assert "level cheap: needs numbers in column 'gap_cheap (eV)', found it among the columns to drop" in dropped.stderr
    assert not (folder / "run").exists()


def test_a_level_of_all_materials_stops_with_the_budget(folder):
    options = (
        "--n-start",
        10,
        "--evaluations",
        2,
        "--seeds",
        1,
        "--surrogates",
        "no-formulas",
        "--workers",
        1,
        "--goal",
        "max",
    )
    document = json.loads(sal(folder, "replay", "all.csv", "--config", "levels.toml", *options, "--json").stdout)
    assert document["strategies"]["all of cheap, best first"]["cost"][0][-1] == 20


def test_the_unit_of_a_level_that_is_not_known_is_told(folder):
    text = (folder / "people.toml").read_text().replace('column = "gap_cheap (eV)"', 'column = "gap_cheap (Foo)"')
    (folder / "foo.toml").write_text(text.replace('oracle = "lookup:cheap.csv"', ""))
    done = sal(folder, "discover", "open.csv", "--config", "foo.toml", "--dry-run")
    assert "note: unit 'Foo' is not known: kept as a base unit of its own\n" in done.stderr
    (folder / "foo.toml").write_text(text.replace("(Foo)", "(eV**)"))
    refused = sal(folder, "discover", "open.csv", "--config", "foo.toml", code=2)
    assert "level cheap: column 'gap_cheap (eV**)': " in refused.stderr
