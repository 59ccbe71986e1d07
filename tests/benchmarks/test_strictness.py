"""What makes a test fail: our own warnings and uncaught exceptions always, any warning of others only where that is asked for."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
import warnings

from hypothesis import settings

from sisso_sal.errors import SissoSalWarning


class Broken:
    def __del__(self):
        raise ValueError("in a finalizer")


def test_of_a_warning_of_another_package():
    warnings.warn("will go", DeprecationWarning)


def test_of_a_file_that_is_left_open():
    open(__file__)


def test_of_a_warning_of_ours():
    warnings.warn("a note", SissoSalWarning)


def test_of_an_exception_that_nobody_catches():
    Broken()


def test_of_random_examples():
    assert settings.default.derandomize and settings.default.database is None
"""
AT_IMPORT = "import warnings\nwarnings.warn('will go', FutureWarning)\ndef test_of_an_import(): pass\n"
OF_OTHERS = {"a_warning_of_another_package", "a_file_that_is_left_open", "an_import"}
OURS = {"a_warning_of_ours", "an_exception_that_nobody_catches"}


@pytest.mark.parametrize(
    ("strict", "options", "failed"),
    [
        ("1", (), OURS | OF_OTHERS),
        ("", ("--hypothesis-profile", "random"), OURS | {"random_examples"}),
    ],
)
def test_what_fails(tmp_path, strict, options, failed):
    (tmp_path / "test_five.py").write_text(TESTS)
    (tmp_path / "test_of_an_import.py").write_text(AT_IMPORT)
    words = [
        "-q",
        "-p",
        "conftest",
        "-p",
        "no:cacheprovider",
        "-c",
        ROOT / "pyproject.toml",
        "--continue-on-collection-errors",
    ]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}", "STRICT_WARNINGS": strict}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, *options, tmp_path], env=environment, capture_output=True, text=True
    )
    told = re.findall(r"^(?:FAILED|ERROR) .*test_of_(\w+)", done.stdout, re.MULTILINE)
    assert set(told) == failed, done.stdout + done.stderr
