"""The examples that README and docs show, found and run; ``python tests/examples.py PAGE…`` puts in what they print now.

A page is one session in one folder, with the shipped data in ``data``. Its fenced blocks are steps:

- ``console``: lines that start with ``$`` are commands, the others what they print on stdout;
- ``python``: run in one namespace; a ``text`` block after ``<!-- output -->`` holds what the block before printed.

``…`` stands for anything that is printed. Numbers may differ in the last digits, as processors sum in different orders.
A comment before a block changes what is done with it: ``<!-- file: NAME -->`` writes the block to a file, ``<!-- not run:
REASON -->`` leaves it out, ``<!-- run with: OPTIONS -->`` adds options that make the commands quick, and what they print
is then not compared.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner

from sisso_sal.cli import cli

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted(
        path
        for path in (ROOT / "docs").rglob("*.md")
        if not {"_build", "notebooks", "trials", "generated"} & set(path.relative_to(ROOT).parts)
    ),
    *sorted((ROOT / "benchmarks/trials").glob("*.md")),
]
FENCE = re.compile(
    r"(?:^<!-- (?P<word>file|not run|run with|output):? ?(?P<told>.*?) ?-->\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$",
    re.M | re.S,
)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.]*\w)")
TOLERANCE = 0.02
"""Relative, of numbers with a fraction; or two units of the last digit shown."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its kind, its text, where it stands, and what a comment before it says."""

    kind: str
    body: str
    start: int
    word: str
    told: str

    def commands(self) -> list[tuple[str, str]]:
        """(command, what is shown of its output) of a console block."""
        joined = re.sub(r"\\\n(?:> )?\s*", "", self.body)
        parts = re.split(r"^\$ ", joined, flags=re.M)
        return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts[1:]]


def blocks(text: str) -> list[Block]:
    return [
        Block(m["kind"], m["body"], m.start("body"), m["word"] or "", m["told"] or "") for m in FENCE.finditer(text)
    ]


def is_example(block: Block) -> bool:
    return block.kind in {"console", "python"} and block.word != "not run"


def differs(shown: str, found: str) -> str:
    """Empty where `found` is what is shown, but for spaces, `…`, and the last digits of numbers; else what is different.

    >>> differs("RMSE  0.173 eV", "RMSE 0.174 eV"), differs("a\\n…\\nz", "a\\nb\\nc\\nz")
    ('', '')
    >>> differs("RMSE 0.173 eV", "RMSE 0.273 eV")
    'needs 0.173, found 0.273'
    """
    wanted = [float(n) for n in NUMBER.findall(shown)]
    digits = [len(n.partition("e")[0].partition(".")[2]) for n in NUMBER.findall(shown)]
    pieces = [re.escape(piece) for piece in NUMBER.split(_plain(shown))]
    pattern = r"(-?\d[\d.e+-]*)".join(pieces)
    pattern = re.sub(r"(?m)^…\\?\n", lambda _: r"(?:.*\n)*?", pattern)
    pattern = re.sub(r"\\\n…$", lambda _: r"(?:\n.*)*", pattern)
    match = re.fullmatch(pattern.replace("…", ".*?").replace("\\ ", " +"), _plain(found))
    if match is None:
        return f"needs\n{shown}\nfound\n{found}"
    for want, places, got in zip(wanted, digits, match.groups(), strict=True):
        rough = {"rel_tol": TOLERANCE, "abs_tol": 2.01 * 10**-places} if places else {"rel_tol": 0.0}
        if not math.isclose(want, float(got), **rough):
            return f"needs {want}, found {got}"
    return ""


def _plain(text: str) -> str:
    return "\n".join(re.sub(r"(?<=\S) +", " ", line.rstrip()) for line in text.strip().splitlines())


@dataclass
class Session:
    """One page, run from top to bottom in one folder."""

    folder: Path
    namespace: dict = field(default_factory=lambda: {"__name__": "__main__"})
    printed: str = ""

    def __post_init__(self):
        (self.folder / "data").symlink_to(ROOT / "data")

    def command(self, line: str, more: str = "") -> str:
        """What a command prints; its own process where it is more than one plain call of sisso-sal."""
        line = f"{re.sub(r'  +# .*', '', line)} {more}".strip()
        words = shlex.split(line)
        if words[0] == "sisso-sal" and not re.search(r"[|<>;&`]", re.sub(r"'[^']*'|\"[^\"]*\"", "", line)):
            with warnings.catch_warnings(action="ignore"):  # the command shows them as notes
                done = CliRunner().invoke(cli, words[1:], catch_exceptions=False)
            code, out, err = done.exit_code, done.stdout, done.stderr
        else:
            path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
            shell = subprocess.run(
                ["bash", "-c", line], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False, timeout=300
            )  # fmt: skip
            code, out, err = shell.returncode, shell.stdout, shell.stderr
        if code and not line.endswith("2>&1"):
            raise AssertionError(f"$ {line}\nexit code {code}\n{err}")
        return out

    def run(self, block: Block) -> list[tuple[str, str]]:
        """(what is shown, what was printed) of everything that is to be compared."""
        if block.word == "file":
            Path(block.told).write_text(block.body, encoding="utf-8")
        elif block.word == "output":
            return [(block.body, self.printed)]
        elif block.kind == "python" and is_example(block):
            out = io.StringIO()
            with contextlib.redirect_stdout(out), warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="unit '.*' is not known")
                exec(compile(block.body, "<example>", "exec"), self.namespace)
            self.printed = out.getvalue()
        elif block.kind == "console" and is_example(block):
            more = block.told if block.word == "run with" else ""
            done = [(shown, self.command(line, more)) for line, shown in block.commands()]
            return [] if more else done
        return []


def _written(page: Path) -> str:
    """The page with what its examples print now; output that is shown in part, with `…`, stays."""
    text = page.read_text(encoding="utf-8")
    parts, end = [], 0
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        session = Session(Path(folder))
        for block in blocks(text):
            body = block.body
            for shown, found in session.run(block):
                if shown.strip() and (wrong := differs(shown, found)):
                    if "…" in shown:
                        print(f"{page}: mend by hand: {wrong}")
                    else:
                        body = body.replace(shown, found.strip("\n") + "\n", 1)
            parts += [text[end : block.start], body]
            end = block.start + len(block.body)
    return "".join([*parts, text[end:]])


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:]):
        page.write_text(_written(page.resolve()), encoding="utf-8")
