"""What README and docs tell a reader to run, run."""

import re
import shlex
from itertools import takewhile

import click
import pytest
from examples import PAGES, ROOT, Session, blocks, differs, is_example

from sisso_sal.cli import cli

RUN = [page for page in PAGES if any(is_example(block) for block in blocks(page.read_text(encoding="utf-8")))]
ASSIGNED = r"""(?:[A-Z_]+=(?:"[^"]*"|\S+) )*"""
LINE = re.compile(rf"^(?:    |\$ ){ASSIGNED}(sisso-sal .*?)(?:\s+#.*)?$", re.M)


def name(page):
    return str(page.relative_to(ROOT))


@pytest.mark.docs
@pytest.mark.parametrize("page", RUN, ids=name)
def test_the_examples_of_a_page_run_and_print_what_is_shown(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    session = Session(tmp_path)
    for block in blocks(page.read_text(encoding="utf-8")):
        for shown, found in session.run(block):
            if shown.strip():
                assert not (wrong := differs(shown, found)), wrong


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_shown_exists_with_its_options(page):
    for line in LINE.findall(re.sub(r" \\\n(?:> )?\s*", " ", page.read_text(encoding="utf-8"))):
        every = list(takewhile(lambda word: word not in {"|", ">", "2>&1", "&&"}, shlex.split(line)))[1:]
        split = every.index("--") if "--" in every else len(every)
        for words in (every[:split], every[split + 1 :]):  # `slurm … -- COMMAND` has two
            command = cli
            while isinstance(command, click.Group) and words and not words[0].startswith("-"):
                command = command.commands[words.pop(0)]
            known = {name for parameter in command.params for name in parameter.opts}
            assert {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)} <= known | {"-h", "--help"}, line


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_make_target_shown_exists(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"^(?:    |\$ )make ([a-z-]+)|`make ([a-z-]+)`", text, re.M):
        assert re.search(rf"^{''.join(target)}:", makefile, re.M), target


def test_blocks_that_are_not_run_say_why():
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            assert block.word != "not run" or len(block.told.split()) >= 3, f"{page}: {block.body}"


@pytest.mark.parametrize(
    ("shown", "found", "same"),
    [
        ("Features: 15 of rung 0", "Features: 15 of rung 0\n", True),
        ("Features: 15 of rung 0", "Features: 16 of rung 0", False),
        ("RMSE 0.173", "RMSE 0.175", True),
        ("RMSE 0.173", "RMSE 0.183", False),
        ("TiO2  -0.138", "TiO2 -0.138", True),
        ("TiO2  -0.138", "TiO3 -0.138", False),
        ("first\n…\nlast", "first\nsecond\nthird\nlast", True),
        ("first\n…\nlast", "first\nsecond\nthird", False),
        ("done in … s", "done in 3.2 s", True),
        ("  indented", "indented", True),
        ("a\n  b", "a\nb", False),
    ],
)
def test_shown_output_is_compared(shown, found, same):
    assert bool(differs(shown, found)) is not same
