"""The documentation site: `make docs` builds it, and a warning is an error."""

import gc
import os
import re
import shutil
import sys
from inspect import isfunction
from pathlib import Path

from sphinx.addnodes import pending_xref

import sisso_sal

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "sisso-sal"
author = "The sisso-sal developers"
copyright = f"2026, {author}"
release = version = sisso_sal.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",  # the program that shows formulas lies in the site, not on the network
    "sphinx_click",
    "navigation",  # docs/navigation.py
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "conf.py", "data", "figures.py", "navigation.py"]
default_role = "literal"
smartquotes = False  # two hyphens are an option

html_theme = "furo"
html_title = f"sisso-sal {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}

myst_heading_anchors = 3

# Notebooks are kept as scripts in notebooks/, run once, and run again when they change.
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "error"  # a notebook warns of nothing
nb_ipywidgets_js: dict = {}  # widgets need a running notebook; without their scripts a page needs no network
os.environ["PLOTLY_RENDERER"] = "notebook"  # figures that move, without the network

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_use_type_comments = False  # there are none; to look for them takes a tenth of the build
autodoc_default_options = {"members": True}
autosummary_generate = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = False  # an instance variable would lose the underscore at the end of its name
napoleon_preprocess_types = False

# What documents are made of lives long, and by default is looked through for garbage so often that it takes a quarter of the time.
gc.set_threshold(50_000, 20, 100)


def setup(app):
    app.connect("autodoc-skip-member", _skip_generated)
    app.connect("source-read", _link_trials)
    app.connect("doctree-read", _keep_words)
    app.connect("sphinx-click-process-description", _keep_columns)
    app.connect("html-page-context", _load_nothing)
    app.connect("build-finished", lambda app, exception: gc.freeze())  # nor is it looked through at the end


def _load_nothing(app, pagename, templatename, context, doctree):
    """Plotly puts a MathJax from a network beside each figure of a notebook; no figure has formulas for it."""
    if "body" in context:
        context["body"] = re.sub(r'<script src="https://[^"]*/mathjax/[^"]*"></script>', "", context["body"])


def _skip_generated(app, what, name, obj, skip, options):
    """Skips what the docstring of the class has already, or nobody wrote.

    scikit-learn makes `set_fit_request` and its like, with references into its own pages. A function that is the default of a
    dataclass field looks like a method.
    """
    is_default = what == "class" and isfunction(obj) and obj.__name__ != name
    return True if is_default or (name.startswith("set_") and name.endswith("_request")) else None


def _keep_columns(app, context, lines):
    """Examples and tables in the help of a command keep their columns: sphinx-click has them as lines of a proportional font.

    They are literal, but for a heading, which ends with a colon.
    """
    done = []
    for line in lines:
        text = line.removeprefix("|").removeprefix(" ") if line.startswith("|") else None
        if text is None:
            done.append(line)
        elif not text.endswith(":"):
            if not (done and done[-1].startswith("    ")):
                done += ["", ".. code-block:: text", ""]
            done.append("   " + (text or " "))
        else:
            done += ["", text]
    lines[:] = done


def _keep_words(app, doctree):
    """A word such as `n` or `path` in the type of a parameter is no reference, although attributes have this name."""
    for node in list(doctree.findall(pending_xref)):
        if node.get("refspecific") and node["reftarget"].isidentifier() and node["reftarget"].islower():
            node.replace_self(node.children)


def _link_trials(app, docname, source):
    """Pages link to the files of `benchmarks/trials`; the site has them in its folder `trials`."""
    for up in ("", "../"):
        source[0] = source[0].replace(f"]({up}../benchmarks/trials/", f"]({up}trials/")


def _bring(folder: Path, pattern: str) -> None:
    """Copies files below this folder, because Sphinx reads nothing else. Unchanged files are not read again."""
    target = HERE / folder.name
    target.mkdir(exist_ok=True)
    sources = {path.name: path for path in folder.glob(pattern)}
    for stale in set(target.glob(pattern)) - {target / name for name in sources}:
        stale.unlink()
    for name, path in sources.items():
        copy = target / name
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            shutil.copyfile(path, copy)


def _link_data() -> None:
    """Notebooks find the data where they find it from their own folder."""
    if not (HERE / "data").is_symlink():
        (HERE / "data").symlink_to(HERE.parent / "data")


_link_data()
_bring(HERE.parent / "notebooks", "*.py")
_bring(HERE.parent / "benchmarks/trials", "*.md")
