"""The documentation site: complete, and built without a warning."""

import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sisso_sal

ROOT = Path(__file__).parents[2]
INTERNAL = re.compile(
    r"sisso_sal\.(cli|progress|machine|storage|doctor|campaign\.\w+|report\.\w+|export\.\w+|engine\.plan|models\.fitting"
    r"|models\.display|data\.columns|data\.sisso_\w+)"
)
"""Modules that nobody imports from outside."""


def test_the_reference_names_every_public_module():
    named = set(
        re.findall(r"^   (sisso_sal[\w.]*)$", (ROOT / "docs/reference/python.md").read_text(encoding="utf-8"), re.M)
    )
    modules = {
        module.name
        for module in pkgutil.walk_packages(sisso_sal.__path__, "sisso_sal.")
        if not module.ispkg and not re.search(r"\._", module.name) and not INTERNAL.match(module.name)
    }
    assert modules - named == set()
    found = {module.name for module in pkgutil.walk_packages(sisso_sal.__path__, "sisso_sal.")}
    assert named - found == set()


@pytest.mark.docs
def test_the_site_is_built_without_a_warning_and_shows_the_notebooks(tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", tmp_path / "doctrees", ROOT / "docs", tmp_path / "html"],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    for notebook in (ROOT / "notebooks").glob("*.py"):
        page = (tmp_path / "html" / "notebooks" / f"{notebook.stem}.html").read_text(encoding="utf-8")
        assert re.search(r"<img|plotly-graph-div", page), notebook.name
    reference = (tmp_path / "html" / "reference" / "cli.html").read_text(encoding="utf-8")
    assert "--acquisition" in reference
