"""An extension of Sphinx: the tree of all pages that stands beside each page, made once for the site.

Sphinx and furo make this tree again for each page, from copies of all tables of contents, and parse its HTML. That was nine tenths
of the build of this site. From page to page only the addresses change, and which branch is open. Here both are put into the text of
one tree. The pages are the same as without this extension, which `tests/examples/test_site.py` checks.
"""

import re
from collections import defaultdict
from functools import cache
from itertools import chain

from furo.navigation import get_navigation_tree
from sphinx.util.osutil import relative_uri

TAG = re.compile(r"(<(?:ul|li|a|input)\b[^>]*>|</(?:ul|li)>)")
LINK = re.compile(r'<a class="reference internal" href="([^"#]*)')
NO_PAGE = "_no_page"
"""Stands for a page that is not in the tree."""


class Tree:
    """The tree of pages, its text cut at the tags that change.

    Parameters
    ----------
    html : str
        The tree as furo shows it beside a page of the root folder that is not in the tree.
    """

    def __init__(self, html):
        self._parts = TAG.split(html)
        self._branches = self._find_branches()
        self._from = cache(self._see_from)

    def beside(self, uri) -> str:
        """The tree beside the page with this address, which is relative to the root of the site."""
        parts = list(self._from(uri.rpartition("/")[0]))
        branch = sorted(set(chain.from_iterable(self._branches.get(uri, []))))
        for at in branch:
            parts[at] = _marked(parts[at])
        if items := [at for at in branch if parts[at].startswith("<li")]:
            parts[items[-1]] = parts[items[-1]].replace('">', ' current-page">')
        return "".join(parts)

    def _find_branches(self) -> dict[str, list[list[int]]]:
        """By address: where the tags stand that are marked on this page, those of its entry and of all entries above."""
        branches, opened = defaultdict(list), []
        for at in range(1, len(self._parts), 2):
            tag = self._parts[at]
            if tag.startswith("</"):
                opened.pop()
            elif tag.startswith(("<ul", "<li")):
                opened.append([at])
            elif tag.startswith("<input"):
                opened[-1].append(at)  # also of a link before it: the list is the same
            elif link := LINK.match(tag):
                branches[link[1]] += [[at], *opened]
        return branches

    def _see_from(self, folder) -> list[str]:
        """The parts as a page of this folder sees them that is not in the tree."""
        page = f"{folder}/{NO_PAGE}".lstrip("/")
        return [
            LINK.sub(lambda link: link[0].removesuffix(link[1]) + relative_uri(page, link[1]), part)
            for part in self._parts
        ]


def _marked(tag: str) -> str:
    """This tag of an entry that is the page or above it; its box is checked, so that one sees what is below."""
    if tag == "<ul>":
        return '<ul class="current">'
    if tag.startswith("<li"):
        return re.sub(r'(?<=class="toctree-l)\d+', r"\g<0> current", tag)
    if tag.startswith("<input"):
        return tag.replace(' class="', ' checked="" class="')
    return re.sub(r'class="([^"]*)" href="[^"#]*(#?)', r'class="current \1" href="#', tag)


def setup(app):
    trees = {}

    def before_furo(app, pagename, templatename, context, doctree):
        del context["toctree"]  # furo has it make the tree
        if app.builder not in trees:
            html = app.builder._get_local_toctree(
                NO_PAGE, collapse=False, titles_only=True, maxdepth=-1, includehidden=True
            )
            trees[app.builder] = Tree(get_navigation_tree(html))

    def after_furo(app, pagename, templatename, context, doctree):
        context["furo_navigation_tree"] = trees[app.builder].beside(app.builder.get_target_uri(pagename))

    app.connect("html-page-context", before_furo, priority=400)
    app.connect("html-page-context", after_furo, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
