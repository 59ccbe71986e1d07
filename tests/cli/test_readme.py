"""What the README tells a reader to run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sisso_sal.cli import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CAMPAIGNS = (ROOT / "docs" / "campaign.md").read_text(encoding="utf-8")


def test_the_python_example_runs():
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code[1]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("dG_pbx (eV/atom) = ")
    assert " * " in run.stdout


@pytest.mark.parametrize("line", re.findall(r"^    (sisso-sal .*?)(?:\s+#.*)?$", README + CAMPAIGNS, re.MULTILINE))
def test_every_command_shown_exists_with_its_options(line):
    words = line.split()[1:]
    command = cli.commands[words[0]]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert CliRunner().invoke(cli, [words[0], "--help"]).exit_code == 0


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"make ([a-z-]+)", README) + re.findall(r"`make ([a-z-]+)`", CAMPAIGNS)
    assert {"discover", "test", "test-faults", "bench"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
