"""A message names only options that the command in hand has, or says which command has them."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from forks import shared
from lines import step

import sisso_sal
from sisso_sal.cli import cli
from sisso_sal.cli.hints import options_of, told

HERE = Path(sisso_sal.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
OTHERS = {"--force-reinstall", "--no-deps", "--no-cache-dir", "--nodes", "--ntasks-per-node"}
"""Options of pip and sbatch."""
SCRIPTS = {"system/slurm_scripts.py"}
"""Texts that are no messages: job scripts, with the options of other programs."""
COMMANDS = dict(cli.commands)


def documentation(nodes):
    """Texts that stand alone: docstrings."""
    bodies = [node.body for node in nodes if isinstance(getattr(node, "body", None), list)]
    return {id(each.value) for body in bodies for each in body if isinstance(each, ast.Expr)}


@cache
def messages():
    """Every text of the package with an option in it, with its place; f-strings whole, with a word for each value."""
    found = []
    for path in sorted(HERE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if str(path.relative_to(HERE)) in SCRIPTS or not OPTION.search(source):
            continue
        nodes = list(ast.walk(ast.parse(source)))
        skipped = documentation(nodes)
        skipped |= {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                text = "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
                text = node.value
            else:
                continue
            if OPTION.search(text):
                found.append((f"{path.relative_to(HERE)}:{node.lineno}", text))
    return found


def test_there_are_messages_from_many_rooms():
    assert {place.partition("/")[0] for place, _ in messages()} > {
        "cli",
        "campaign",
        "data",
        "features",
        "ledger",
        "models",
    }


def test_every_option_in_a_message_is_one_of_some_command():
    known = set().union(OTHERS, {"--help"}, *(options_of(one) for one in every(cli)))
    assert [
        (place, set(OPTION.findall(text)) - known) for place, text in messages() if set(OPTION.findall(text)) - known
    ] == []


def every(command):
    yield command
    for each in getattr(command, "commands", {}).values():
        yield from every(each)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_each_message_under_each_command_names_only_what_that_command_has(name):
    command = COMMANDS[name]
    for place, text in messages():
        said = told(text, command, COMMANDS)
        for found in OPTION.finditer(said):
            before = re.split(r"[;(\n]", said[: found.start()])[-1]
            owners = [other for other, one in COMMANDS.items() if found.group() in options_of(one)]
            assert (
                not owners
                or name in owners
                or any(re.search(rf"(?<![\w-]){other}(?![\w-])", before) for other in owners)
            ), (place, said)


def test_the_words_for_an_option_that_the_command_lacks():
    def under(name, text):
        return told(text, COMMANDS[name], COMMANDS)

    assert under("discover", "choose with --target") == "choose with --target"
    assert under("import-sisso", "at most 1e10 (--max-features)") == "at most 1e10 (the setting max_features)"
    assert under("import-sisso", "choose with --only-task") == "choose with --only-task"
    assert under("label", "choose another id with --id") == "choose another id with the setting id"
    assert under("retry", "then give --take-over") == "then give sisso-sal discover --take-over"
    assert under("discover", "is 1; --replace changes it") == "is 1; sisso-sal label --replace changes it"
    assert under("stop", "run discover with a larger --budget") == "run discover with a larger --budget"
    assert under("label", "(pip install --no-deps gpaw)") == "(pip install --no-deps gpaw)"
    assert told("choose with --target", None, COMMANDS) == "choose with --target"


def test_the_command_line_puts_messages_so(tmp_path):
    step(tmp_path / "run")
    (tmp_path / "results.csv").write_text("formula,gap (eV)\nM01,1.5\nM01,2.5\n")
    done = shared().call("label", "run", "--file", "results.csv", cwd=tmp_path)
    assert done.code == 2
    assert "--id" not in done.error
    assert "another id with the setting id" in done.error
