"""A figure of plotly or of matplotlib, from the maker of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sisso_sal.errors import InputError
from sisso_sal.report.figures.paper_layout import STYLE, check_columns
from sisso_sal.report.figures.plotly_data import looked_at
from sisso_sal.system.extras import require


def drawn(kind: tuple[str, int | None], makers: tuple[Callable[..., Any], Callable[..., Any]], *content: Any) -> Any:
    """A figure by the first maker for plotly, by the second, which also takes a number of columns, for matplotlib.

    Parameters
    ----------
    kind : (str, int or None)
        ``plotly`` or ``matplotlib``, and for the latter how many columns of a journal it is wide; 1 by default.
    makers : (callable, callable)
    *content
        What the makers draw.

    Raises
    ------
    InputError
        There is no such backend, or it has no columns.

    Examples
    --------
    >>> drawn(("plotly", None), (lambda: {"data": [], "layout": {"height": 300}}, None)).layout.height
    300
    """
    (backend, columns), (for_plotly, for_matplotlib) = kind, makers
    if backend == "matplotlib":
        return on_paper(for_matplotlib, *content, columns=1 if columns is None else columns)
    if backend != "plotly":
        raise InputError(f"backend: needs plotly or matplotlib, found '{backend}'")
    if columns is not None:
        raise InputError(
            "columns: needs backend='matplotlib', because a figure of plotly is as wide as its page; found 'plotly'"
        )
    require("plotly", "figures")
    from plotly.graph_objects import Figure

    return Figure(looked_at(for_plotly(*content)))


def on_paper(maker: Callable[..., Any], *content: Any, columns: int) -> Any:
    """A figure of matplotlib by a maker that takes a number of columns behind the content, in the style of papers.

    Raises
    ------
    InputError
        `columns` is neither 1 nor 2, or matplotlib is not installed.

    Examples
    --------
    >>> on_paper(lambda text, columns: text * columns, "ab", columns=2)
    'abab'
    """
    require("matplotlib", "figures")
    from matplotlib import rc_context

    with rc_context(STYLE):
        return maker(*content, check_columns(columns))
