"""Tables as people have them: what is read, what is left out and named, and what is refused with what to write."""

import json
import random

import pytest
from click.testing import CliRunner

from sisso_sal.api.campaign import Campaign
from sisso_sal.cli import cli
from sisso_sal.errors import SettingsError
from sisso_sal.report.page.document import report_html
from sisso_sal.report.run_view import RunView
from sisso_sal.settings.campaign import load_settings

QUICK = ("--rung", "1", "--dim", "1", "--threads", "1")
SMALL = (*QUICK, "--members", "4", "--no-adapt", "--correction", "none", "--batch", "2")


def run(*arguments, code=0):
    done = CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="sisso-sal")
    assert done.exit_code == code, done.output
    return done


def cells(n=24):
    """Header and rows of oxides with a gap for every fourth; the target is EA times r_s."""
    draw = random.Random(3)
    yield ["name", "gap (eV)", "EA (eV)", "IP (eV)", "r_s (AA)"]
    for i in range(n):
        EA, IP, r_s = (round(draw.uniform(1, 3), 4) for _ in range(3))
        yield [f"M{i:02d}", "" if i % 4 == 3 else f"{EA * r_s:.6f}", f"{EA:.4f}", f"{IP:.4f}", f"{r_s:.4f}"]


def table(folder, change=lambda row, number: row, separator=",", head=""):
    rows = [separator.join(change(row, number)) for number, row in enumerate(cells())]
    (folder / "t.csv").write_text(head + "\n".join(rows) + "\n")
    return folder / "t.csv"


def with_columns(**columns):
    """More columns: a constant cell, or a function of the number of the row."""

    def change(row, number):
        made = [cell(number) if callable(cell) else cell for cell in columns.values()]
        return [*row, *(columns if number == 0 else made)]

    return change


def changed(column, convert):
    return lambda row, number: (
        row if number == 0 else [convert(c) if j == column and c else c for j, c in enumerate(row)]
    )


def terms(done):
    return [term["expression"] for term in json.loads(done.stdout)["models"][0]["terms"]]


def test_numbers_as_fortran_prints_them_are_read(tmp_path):
    path = table(tmp_path, changed(4, lambda cell: f"{float(cell) / 10:.5f}D+01"))
    done = run("fit", path, *QUICK, "--json")
    assert terms(done) == ["EA*r_s"]
    assert done.stderr == ""
    assert json.loads(done.stdout)["left_out"] == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed(4, lambda cell: f"{cell}%"), "column 'r_s (AA)': needs a number, found '2.6397%'; write 2.6397, with % as"),
        (changed(1, lambda cell: f"{cell}±0.1"), "column 'gap (eV)': needs a number, found '"),
    ],
)  # fmt: skip
def test_numbers_with_more_behind_them_are_refused_with_their_place(tmp_path, change, told):
    path = table(tmp_path, change)
    message = str(run("fit", path, *QUICK, "--target", "gap", code=1).exception)
    assert message.startswith(f"{path}: row 1 (line 2), {told.partition('found')[0]}")
    assert "write " in message
    assert "\n" not in message


def test_columns_that_cannot_serve_are_named_in_one_note_in_json_and_in_the_report(tmp_path):
    change = with_columns(cls=lambda i: "qp"[i % 2], P="1.0", day=lambda i: f"2024-01-{i:02d}", nothing="")
    done = run("discover", table(tmp_path, change), "--out", tmp_path / "run", *SMALL, "--json")
    notes = [line for line in done.stderr.splitlines() if "feature" in line]
    assert notes == [
        "note: 4 columns are not used as a feature: 'cls' (text); 'P' (constant); 'day' (dates); 'nothing' (empty)"
    ]
    summary = json.loads(done.stdout)
    expected = {"cls": "text", "P": "constant", "day": "dates", "nothing": "empty"}
    assert {one["column"]: one["reason"] for one in summary["left_out"]} == expected
    page = report_html(RunView.read(tmp_path / "run"))
    assert "Not used of the table: 4 columns and 0 rows" in page
    assert '<tr><th scope="row">cls</th><td>text</td></tr>' in page


def test_a_column_that_does_not_vary_over_the_rows_with_a_target_is_named_by_fit(tmp_path):
    change = with_columns(**{"T (K)": lambda i: "300" if i % 4 else str(i), "s": lambda i: f"{i}e-300"})
    done = run("fit", table(tmp_path, change), *QUICK, "--json")
    assert done.stderr == (
        "note: not used as a feature: 'T (K)' (constant in the rows with a target); 's' (in the rows with a target too small to be "
        "squared, at most 2.3e-299; choose a unit in which it is near 1)\n"
    )
    document = json.loads(done.stdout)
    assert [one["column"] for one in document["left_out"]] == ["T (K)", "s"]
    assert document["n_features"]["0"] == 3
    done = run("fit", tmp_path / "t.csv", *QUICK, "--no-intercept", "--json")
    assert json.loads(done.stdout)["left_out"] == []


def test_two_hundred_columns_of_text_are_one_short_note(tmp_path):
    change = with_columns(**{f"c{j}": lambda i: "qp"[i % 2] for j in range(200)})
    done = run("fit", table(tmp_path, change), *QUICK, "--json")
    (line,) = done.stderr.splitlines()
    assert line.endswith("'c6', 'c7' and 192 more (text)")
    assert len(line) < 150
    assert len(json.loads(done.stdout)["left_out"]) == 200


def test_rows_with_a_gap_in_a_feature_are_set_aside_counted_and_named(tmp_path):
    path = table(tmp_path, lambda row, number: row if number not in (3, 5) else [*row[:2], "", *row[3:]])
    done = run("fit", path, "--target", "gap", *QUICK, "--json")
    assert done.stderr == (
        "note: 2 of 24 rows are set aside: 'M02', 'M04' (gap in 'EA (eV)'); to keep rows, leave out columns with --drop\n"
    )
    document = json.loads(done.stdout)
    assert document["set_aside"] == [{"id": name, "reason": "gap in 'EA (eV)'"} for name in ("M02", "M04")]
    assert (document["n_samples"], terms(done)) == (16, ["EA*r_s"])
    run("fit", path, "--target", "gap", *QUICK, "--out", tmp_path / "model.json")
    done = run("predict", tmp_path / "model.json", path, "--json")
    assert [one["id"] for one in json.loads(done.stdout)["set_aside"]] == ["M02", "M04"]
    assert len(json.loads(done.stdout)["predictions"]) == 22


@pytest.mark.parametrize(
    ("text", "n_skipped"), [("# data of our group\n# 2024\n", 2), ("% ours\n", 1), ("// ours\n", 1)]
)
def test_comment_lines_above_the_header_are_skipped_and_told(tmp_path, text, n_skipped):
    done = run("fit", table(tmp_path, head=text), *QUICK, "--json")
    assert terms(done) == ["EA*r_s"]
    assert "above the header" in done.stderr
    assert len(json.loads(done.stdout)["table_notes"]) == 1
    assert ("2 comment lines" in done.stderr) == (n_skipped == 2)


def test_columns_to_drop_and_columns_to_use_are_settings_of_every_command(tmp_path):
    path = table(tmp_path, with_columns(**{'"x,1"': lambda i: str(i * i)}))
    chosen = {
        (): {"EA", "IP", "r_s", "x,1"},
        ("--drop", '"x,1",IP (eV)'): {"EA", "r_s"},
        ("--columns", "r_s,EA"): {"EA", "r_s"},
    }
    for number, (options, expected) in enumerate(chosen.items()):
        run("fit", path, *QUICK, *options, "--out", tmp_path / f"{number}.json")
        assert {one["name"] for one in json.loads((tmp_path / f"{number}.json").read_text())["primaries"]} == expected
    run("tune", path, "--drop", "IP", "--rungs", "1", "--dims", "1", "--n-sis-values", "5", "--members-values", "4", "--dropouts",
        "0", "--transforms", "none", "--folds", "2", "--out", tmp_path / "tuned.toml")  # fmt: skip
    assert load_settings(tmp_path / "tuned.toml", {}).drop == ("IP",)
    found = run(
        "discover",
        path,
        "--config",
        tmp_path / "tuned.toml",
        "--out",
        tmp_path / "run",
        "--correction",
        "none",
        "--json",
    )
    assert {"column": "IP (eV)", "reason": "named to be dropped"} in json.loads(found.stdout)["left_out"]
    assert load_settings(tmp_path / "run" / "campaign.toml", {}).drop == ("IP",)
    again = run("discover", path, "--config", tmp_path / "tuned.toml", "--drop", "EA", "--out", tmp_path / "run", "--correction",
                "none", code=1)  # fmt: skip
    assert "drop: ('IP',) -> ('EA',)" in str(again.exception)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--drop", "E_A"), "drop column 'E_A' is missing; did you mean 'EA'?"),
        (("--columns", "EA,r_p"), "feature column 'r_p' is missing; did you mean 'r_s'?"),
        (("--drop", "EA,IP,r_s"), "needs a column that can be a feature, found none among 'EA (eV)', 'IP (eV)', 'r_s (AA)'"),
        (("--columns", "name"), "row 1 (line 2), column 'name': a feature needs a number, found 'M00'"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_chosen_are_refused(tmp_path, options, told):
    path = table(tmp_path)
    assert f"{path}: {told}" in str(run("fit", path, *QUICK, *options, code=1).exception)


def test_a_campaign_from_python_takes_columns_and_drop(tmp_path):
    path = table(tmp_path, separator=";")
    quick = {"rung": 1, "dim": 1, "members": 4, "with_report": False, "out": tmp_path / "run"}
    campaign = Campaign(path, drop=["IP"], **quick)
    assert [feature.name for feature in campaign.space.features] == ["EA", "r_s"]
    assert Campaign(path, columns=["r_s"], **quick).space.features[0].name == "r_s"
    with pytest.raises(
        SettingsError, match="drop: needs a file or a DataFrame, found candidates whose columns are fixed"
    ):
        Campaign(campaign.space, drop=["IP"], **quick)
    with pytest.raises(SettingsError, match="columns: needs features of the table, found --formula"):
        Campaign(path, columns=["EA"], formula="name", **quick)


def test_columns_are_completed_in_a_list(tmp_path, monkeypatch):
    path = table(tmp_path, separator=";", head="# ours\n")
    for words, expected in [("EA,", ["EA,gap", "EA,IP", "EA,name", "EA,r_s"]), ("EA,r", ["EA,r_s"])]:
        environment = {
            "COMP_WORDS": f"sisso-sal fit {path} --drop {words}",
            "COMP_CWORD": "4",
            "_SISSO_SAL_COMPLETE": "bash_complete",
        }
        done = CliRunner().invoke(cli, [], prog_name="sisso-sal", env=environment)
        assert sorted(line.partition(",")[2] for line in done.stdout.split()) == sorted(expected)
