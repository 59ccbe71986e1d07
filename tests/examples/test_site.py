"""The documentation site: complete, and built without a warning."""

import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sisso_sal
from sisso_sal.cli import cli

ROOT = Path(__file__).parents[2]
INTERNAL = {"sisso_sal.__main__", "sisso_sal.cli"}
"""What nobody imports from outside."""


def test_the_reference_names_every_package_and_module():
    page = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
    named = re.findall(r"^   (sisso_sal[\w.]*)$", page, re.M)
    found = {module.name for module in pkgutil.iter_modules(sisso_sal.__path__, "sisso_sal.")}
    assert sorted(named) == sorted(found - INTERNAL)


def test_the_page_of_the_command_line_begins_with_discover_and_has_every_command():
    page = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    (words,) = re.findall(r"^   :commands: (.*?)\n```", page, re.M | re.S)
    ordered = [word.strip() for word in words.split(",")]
    assert ordered[0] == "discover"
    assert sorted(ordered) == sorted(cli.commands)


TREE = ".. toctree::\n   :caption: First & last\n\n"
SMALL = {
    "index": f"{TREE}   self\n   a\n   how/b\n   Elsewhere <https://example.org/x>\n\n.. toctree::\n   :hidden:\n\n   a\n   how/c",
    "a": "A section\n---------",
    "how/b": f"{TREE}   deep/d\n   c",
    "how/c": "",
    "how/deep/d": f"{TREE}   e",
    "how/deep/e": "",
    "how/alone": "",
}
"""Pages of a site: branches, a link to elsewhere, pages that stand twice in the tree, and one that does not."""


@pytest.mark.docs
def test_the_tree_beside_a_page_is_the_one_that_furo_makes(tmp_path):
    for name, text in SMALL.items():
        page = tmp_path / "site" / f"{name}.rst"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(f"{name} <&>\n{'=' * 20}\n\n{text}\n", encoding="utf-8")
    pages = []
    for number, extensions in enumerate(("sphinx.ext.viewcode", "sphinx.ext.viewcode,navigation")):
        out = tmp_path / str(number)
        subprocess.run(
            [sys.executable, "-m", "sphinx", "-C", "-q", "-D", f"extensions={extensions}", "-D", "html_theme=furo",
             tmp_path / "site", out],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "docs"), *sys.path])}, capture_output=True, check=True,
        )  # fmt: skip
        pages.append({str(path.relative_to(out)): path.read_text(encoding="utf-8") for path in out.rglob("*.html")})
    assert pages[0] == pages[1]
    assert set(pages[1]) > {f"{name}.html" for name in SMALL}
    assert pages[1]["how/deep/e.html"].count('checked=""') == 2


@pytest.mark.docs
def test_the_site_is_built_without_a_warning_and_shows_the_notebooks(tmp_path):
    copies = ROOT / "docs/notebooks"
    before = set(copies.iterdir()) if copies.is_dir() else set()
    built = subprocess.run(  # it runs the notebooks, and what they write on stderr is an error
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", tmp_path / "doctrees", ROOT / "docs", tmp_path / "html"],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    notebooks = {notebook.name for notebook in (ROOT / "notebooks").glob("*.py")}
    assert {path.name for path in set(copies.iterdir()) - before} <= notebooks  # they leave nothing behind
    for name in notebooks:
        page = (tmp_path / "html" / "notebooks" / name).with_suffix(".html").read_text(encoding="utf-8")
        # A picture that it made: those that its text shows keep their names.
        assert re.search(r'src="\.\./_images/[0-9a-f]{64}\.|class="plotly-graph-div"', page), name
    pages = [page.read_text(encoding="utf-8") for page in (tmp_path / "html").rglob("*.html")]
    loaded = r'<script[^>]+src="(https?:[^"]+)|<link rel="stylesheet"[^>]+href="(https?:[^"]+)'
    assert {address for page in pages for address in re.findall(loaded, page)} == set()  # the site needs no network
    assert (tmp_path / "html/_static/mathjax/tex-chtml.js").exists()
    reference = (tmp_path / "html" / "reference" / "cli.html").read_text(encoding="utf-8")
    assert "--acquisition" in reference
    assert re.search(
        r"<pre><span></span> *sisso-sal report runs/candidates\n", reference
    )  # examples keep their columns
    estimator = (tmp_path / "html" / "reference" / "generated" / "sisso_sal.models.ensemble.html").read_text(
        encoding="utf-8"
    )
    assert "oob_mean_" in estimator
