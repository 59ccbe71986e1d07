"""What all plotly figures share: plain data (``{"data": […], "layout": {…}}``), rounded numbers, names and units as markup."""

from __future__ import annotations

import re
from html import escape
from typing import Any

import numpy as np

from sisso_sal.features.expression import Expression
from sisso_sal.features.names import is_plain, quoted
from sisso_sal.features.typeset import written
from sisso_sal.system.printable import printable

Spec = dict[str, Any]

DIGITS = 4


def spec(data: list[Spec], x: str, y: str, **layout: Any) -> Spec:
    axes = {"automargin": True, "zeroline": False}
    common = {
        "xaxis": {"title": {"text": x}, **axes, **layout.pop("xaxis", {})},
        "yaxis": {"title": {"text": y}, **axes, **layout.pop("yaxis", {})},
        "hovermode": "closest",
        "margin": {"l": 60, "r": 20, "t": 50, "b": 55},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.01, "xanchor": "left", "x": 0},
    }
    return {"data": data, "layout": common | layout}


LOOK: Spec = {
    "paper_bgcolor": "#ffffff", "plot_bgcolor": "#ffffff", "template": "none",
    "font": {"color": "#1a1a1a", "size": 12, "family": "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"},
    "hoverlabel": {"align": "left", "bgcolor": "#ffffff", "bordercolor": "#999999", "font": {"color": "#1a1a1a"}},
}  # fmt: skip
_AXIS = {"gridcolor": "#e6e6e6", "linecolor": "#666666", "tickcolor": "#666666", "showline": True, "ticks": "outside"}


def looked_at(figure: Spec) -> Spec:
    """A figure with the colours and letters of the report, which the page sets itself, by its theme.

    Examples
    --------
    >>> looked_at(spec([], "labels", "error"))["layout"]["xaxis"]["gridcolor"]
    '#e6e6e6'
    """
    layout = LOOK | figure["layout"]
    axes = {key: _AXIS | axis for key, axis in layout.items() if key.startswith(("xaxis", "yaxis"))}
    return {"data": figure["data"], "layout": layout | axes}


def shortened(values: Any, digits: int = DIGITS) -> list[float | None]:
    """Numbers to so many digits; None where there is none, as JSON needs it.

    Examples
    --------
    >>> shortened([1.23456, -123456.0, 0.0, float("nan")], 3)
    [1.23, -123000.0, 0.0, None]
    """
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values)
    size = np.abs(np.where(known & (values != 0), values, 1.0))
    places = digits - 1 - np.floor(np.log10(size))
    up, down = 10.0 ** np.clip(places, 0, 290), 10.0 ** np.clip(-places, 0, 290)  # one of the two is 1
    rounded = np.round(np.where(known, values, 0.0) * up / down) / up * down
    return [value if is_known else None for value, is_known in zip(rounded.tolist(), known.tolist(), strict=True)]


def markup(expression: Expression) -> str:
    """A descriptor in the HTML that plotly knows.

    Examples
    --------
    >>> r = Expression.primary("r_cov", "AA")
    >>> markup(Expression.apply("mult", Expression.apply("six_pow", r), Expression.primary("q")))
    'r<sub>cov</sub><sup>6</sup>·q'
    """
    symbols = {name: _symbol(name) for name in expression.primaries()}
    text = written(expression, "ascii", symbols)
    return re.sub(r"\*\*(\d+)", r"<sup>\1</sup>", text).replace("*", "·")


def _symbol(name: str) -> str:
    head, _, index = name.partition("_")
    return f"{head}<sub>{index}</sub>" if is_plain(name) and head and index else plain(quoted(name))


def plain(text: str) -> str:
    """Any text as it is: no markup, no variable of a template, no formula, one line.

    Examples
    --------
    >>> plain('a<b "%{x}"')
    'a&lt;b "&#37;{x}"'
    """
    marked = escape(printable(text), quote=False)  # plotly shows &quot; as it stands
    return re.sub(r"[%$*]", lambda mark: f"&#{ord(mark[0])};", marked)


def unit_markup(unit: str) -> str:
    """The text of a unit in the HTML that plotly knows.

    Examples
    --------
    >>> unit_markup("eV*Å**2/Pauling"), unit_markup("Å**(1/6)")
    ('eV·Å<sup>2</sup>/Pauling', 'Å<sup>1/6</sup>')
    """
    return re.sub(r"\*\*(?:\(([-\d/]+)\)|(-?\d+))", r"<sup>\1\2</sup>", escape(unit)).replace("*", "·")


def header_markup(target: str, unit: str) -> str:
    """Target with its unit, as on an axis.

    Examples
    --------
    >>> header_markup("gap", "eV/Å**2")
    'gap (eV/Å<sup>2</sup>)'
    """
    return plain(target) + in_parentheses(unit)


def in_parentheses(unit: str) -> str:
    """A unit behind a name; "" for none.

    Examples
    --------
    >>> in_parentheses("eV"), in_parentheses("")
    (' (eV)', '')
    """
    return f" ({unit_markup(unit)})" if unit else ""
