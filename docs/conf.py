"""The documentation site: `make docs` builds it, and a warning is an error."""

import os
import shutil
from pathlib import Path

import sisso_sal

HERE = Path(__file__).parent

project = "sisso-sal"
author = "The sisso-sal developers"
copyright = f"2026, {author}"
release = version = sisso_sal.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_click",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "conf.py", "data", "figures.py"]
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
os.environ["PLOTLY_RENDERER"] = "notebook"  # figures that move, without the network

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True}
autosummary_generate = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = False  # an instance variable would lose the underscore at the end of its name
napoleon_preprocess_types = False
suppress_warnings = [
    "ref.python"
]  # the search and the campaign each have a Space: a type of that name may link to either


def setup(app):
    app.connect("autodoc-skip-member", _skip_generated)


def _skip_generated(app, what, name, obj, skip, options):
    """scikit-learn makes `set_fit_request` and its like, with references into its own pages."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def _bring_notebooks() -> None:
    """Sphinx reads only what lies below this folder; unchanged files keep their time, so that they are not read again.

    The notebooks find the data where they find it from their own folder.
    """
    data = HERE / "data"
    if not data.is_symlink():
        data.symlink_to(HERE.parent / "data")
    folder = HERE / "notebooks"
    folder.mkdir(exist_ok=True)
    sources = {path.name: path for path in (HERE.parent / "notebooks").glob("*.py")}
    for stale in set(folder.glob("*.py")) - {folder / name for name in sources}:
        stale.unlink()
    for name, path in sources.items():
        copy = folder / name
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            shutil.copyfile(path, copy)


_bring_notebooks()
