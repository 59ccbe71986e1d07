"""The command line for people: help that fits, hints, completion, colour, and what a narrow terminal shows."""

import json
import os
import pty
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from sisso_sal.cli import cli
from sisso_sal.cli.run import Number
from sisso_sal.cli.terminal import colour, fitted
from sisso_sal.report.text.table import aligned


def commands(command=cli, path=()):
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


def run(*arguments, code=0, **environment):
    done = CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="sisso-sal", env=environment)
    assert done.exit_code == code, done.output
    return done


def test_every_help_fits_80_columns_has_examples_and_every_command_a_heading():
    for path, command in commands():
        text = CliRunner().invoke(cli, [*path, "--help"], terminal_width=80).output
        assert [line for line in text.splitlines() if len(line) > 80] == [], path
        if path and not isinstance(command, click.Group):
            assert re.search(r"^  Examples?:$", text, re.M), path
            assert command.short_help, path
            assert "INTEGER" not in text, path
    overview = run("--help").output
    headed = re.findall(r"^  ([a-z-]+)  ", overview.partition("Campaigns:")[2], re.M)
    assert sorted(headed) == sorted(cli.commands)
    headings = re.findall(r"^(\w.*):$", run("discover", "--help").output, re.M)
    assert headings == [
        "Columns of the table", "What to look for", "A pool of millions", "Labels, and when to stop", "Ensemble", "Formulas",
        "Settings and run folder", "Where it is computed", "Other options",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, None),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, True),
        ({"FORCE_COLOR": "0"}, None),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colour_follows_the_environment_and_else_the_terminal(environment, expected, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert colour() is expected


def on_terminal(*arguments, columns=60, **environment):
    """What a terminal of so many columns gets to show."""
    ours, theirs = pty.openpty()
    kept = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "FORCE_COLOR"}}
    with subprocess.Popen(
        [sys.executable, "-m", "sisso_sal", *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
        env=kept | {"COLUMNS": str(columns), "TERM": "xterm"} | environment,
    ) as child:  # fmt: skip
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the child has closed its side
                break
            if not part:
                break
            shown += part
    os.close(ours)
    return child.returncode, shown.decode().replace("\r\n", "\n")


def test_a_narrow_terminal_gets_lines_that_fit_and_colour_unless_it_is_not_wanted():
    code, shown = on_terminal()
    assert code == 0
    assert max(map(len, shown.splitlines())) <= 60
    assert "  sisso-sal discover candidates.csv" in shown
    code, shown = on_terminal("fti")
    assert (code, shown.startswith("\x1b[31m\x1b[1merror:")) == (2, True)
    for unwanted in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert on_terminal("fti", **unwanted)[1].startswith("error: No such command 'fti'")


@given(
    words=st.lists(st.from_regex(r"[a-z(]{1,20}", fullmatch=True)),
    indent=st.integers(0, 6),
    columns=st.integers(25, 90),
)
@example(words=["a", "a" * 19], indent=5, columns=25)
def test_lines_are_broken_between_words_and_nothing_is_lost(words, indent, columns):
    text = " " * indent + " ".join(words)
    broken = fitted(text, columns)
    assert broken.split() == text.split()
    assert all(len(line) <= columns for line in broken.split("\n"))
    assert fitted(text, None) == text


@given(st.data())
def test_a_table_leaves_out_columns_in_order_until_it_fits(data):
    n = data.draw(st.integers(2, 6))
    cells = st.text("abc1", min_size=1, max_size=12)
    rows = data.draw(st.lists(st.tuples(*[cells] * n), min_size=1, max_size=4))
    rows.insert(0, tuple(f"h{j}" for j in range(n)))
    width, spare = data.draw(st.integers(8, 70)), list(range(n - 1, 0, -1))
    shown = aligned(rows, width=width, spare=spare).split("\n")
    gone = shown.pop().partition(": ")[2].split(", ") if len(shown) > len(rows) else []
    assert gone == [f"h{j}" for j in spare[: len(gone)]]
    assert all(len(line) <= width for line in shown)
    whole = aligned([row[: n - len(gone)] for row in rows]).split("\n")
    if gone:  # one column less would not have been enough
        wider = aligned([row[: n - len(gone) + 1] for row in rows]).split("\n")
        padded = sum(max(len(row[j]) for row in rows) + 2 for j in range(n - len(gone) + 1)) - 2
        assert padded > width
        assert len(wider) == len(rows)
    assert all(line == full or line == full[: width - 1] + "…" for line, full in zip(shown, whole, strict=True))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("people") / "table.csv"
    path.write_text("name,gap (eV),r_s (AA),r_val\nA,1,2,3\nB,,4,5\nC,2,1,7\n")
    return path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("fit TABLE --target ", ["name", "gap", "r_s", "r_val"]),
        ("discover TABLE --id r_", ["r_s", "r_val"]),
        ("fit nowhere.csv --target ", []),
        ("fit TABLE --operators add,sq", ["add,sq", "add,sqrt"]),
        ("discover TABLE --acquisition lo", ["log_ei"]),
        ("discover TABLE --loss ", ["squared", "huber"]),
        ("discover TABLE --improve-on l", ["label"]),
        ("export model.json --format l", ["latex"]),
        ("impo", ["import-sisso"]),
        ("fit TABLE --n-", ["--n-sis", "--n-residual", "--n-models"]),
        ("label nowhere ", []),
    ],
)
def test_the_shell_completes_columns_values_and_commands(table, line, expected):
    words = f"sisso-sal {line}".replace("TABLE", str(table))
    done = run(_SISSO_SAL_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1))
    assert [found.partition(",")[2] for found in done.stdout.split()] == expected


def test_columns_of_a_parquet_file_are_completed(table):
    pd = pytest.importorskip("pandas")
    path = table.with_suffix(".parquet")
    pd.read_csv(table).to_parquet(path)
    words = f"sisso-sal fit {path} --target g"
    done = run(_SISSO_SAL_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD="4")
    assert done.stdout == "plain,gap\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_the_shell_asks_this_program(shell):
    done = run("completion", shell)
    assert f"_SISSO_SAL_COMPLETE={shell}_complete" in done.stdout
    assert done.stderr.startswith("Next: put it into ~/.")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1,2", "needs a decimal point and no other separator, found '1,2'"),
        ("x", "needs a number, found 'x'"),
        ("1_0", "needs a number, found '1_0'"),
        ("12%", "needs a number, found '12%'; write 12, with % as the unit in the header, or the fraction"),
        ("inf", "needs a finite number, found 'inf'"),
        ("-1e101", "needs a number no larger than 1e+100 in size, found '-1e101'"),
    ],
)
def test_a_value_that_is_no_number_is_told(text, told):
    with pytest.raises(click.BadParameter) as caught:
        Number().convert(text, None, None)
    assert caught.value.message == told


@pytest.mark.parametrize("text", ["-0.125", "-1.25D-01", "−.125", "-125d-3"])
def test_a_value_is_read_as_a_table_reads_it(text):
    assert Number().convert(text, None, None) == -0.125


def test_a_run_that_is_misspelt_is_suggested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("oxides", "sulphides"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "campaign.db").touch()
    for given_name, told in [("runs/oxids", "did you mean runs/oxides?"), ("oxides", "did you mean runs/oxides?"),
                             ("qqq", "runs here: runs/oxides, runs/sulphides")]:  # fmt: skip
        message = str(run("status", given_name, code=1).exception)
        assert message == f"{given_name}: needs a run folder, found none of this name; {told}"


def test_tables_are_printed_as_json_too():
    document = json.loads(run("pool", "--elements", "Ti,Sr", "--features", "--json").stdout)
    assert document.keys() == {"rows", "left_out"}
    assert {row["formula"] for row in document["rows"]} >= {"SrTiO3"}
    assert document["rows"][0]["r_cov (AA)"] > 0


def test_a_logarithmic_unit_is_refused_before_anything_is_written(forks, tmp_path):
    (tmp_path / "t.csv").write_text("name,x0 (dB),x1 (eV),y (eV)\na,1,2,3\nb,2,1,4\nc,3,5,\n")
    done = forks.call("discover", "t.csv", "--out", "run", cwd=tmp_path)
    assert done.code == 2
    assert done.error.startswith("error: t.csv: column 'x0 (dB)': unit 'dB': needs a unit that can be multiplied")
    assert not (tmp_path / "run").exists()
