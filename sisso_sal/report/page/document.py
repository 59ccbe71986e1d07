"""The report of a run: one HTML file that needs no network."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sisso_sal.campaign.status import status_document
from sisso_sal.errors import InputError, reason_of
from sisso_sal.features.expression import Expression
from sisso_sal.ledger.lock import noted_driver
from sisso_sal.models.display import descriptor_html, formula_html, log_odds_html, unit_html
from sisso_sal.models.linear import SISSOModel
from sisso_sal.report.chemistry import are_formulas, named
from sisso_sal.report.figures import interactive
from sisso_sal.report.figures.course import course
from sisso_sal.report.figures.interactive_map import descriptor_map
from sisso_sal.report.figures.materials_map import MaterialsMap, materials_map, number_of_maps
from sisso_sal.report.figures.out_of_bag import (
    calibration_curve,
    groups_by_sigma,
    has_out_of_bag,
    has_out_of_bag_sigma,
    out_of_bag,
    reliability_of_hits,
)
from sisso_sal.report.page.glossary import features_told
from sisso_sal.report.page.materials import cell_of, links
from sisso_sal.report.page.sections import decimals_of, described, filters
from sisso_sal.report.run_view import RunView
from sisso_sal.system.documents import steering_escaped
from sisso_sal.system.extras import require
from sisso_sal.system.printable import printable
from sisso_sal.system.storage import write_whole

T = TypeVar("T")

N_KEPT = 120_000
"""Materials that a page can hold and stay under 15 MB."""

_TEMPLATE = "page.html.jinja"
_RECURRING = (("Primary features", "primaries"), ("Operators", "operators"))


def write_report(view: RunView, path: Path, *, is_over: bool = False) -> list[str]:
    """Write the report of a run, whole or not at all; a figure or formula that cannot be made is left out and named in it.

    Parameters
    ----------
    view : RunView
    path : Path
    is_over : bool
        Whether the driver that is noted in the folder ends now.

    Returns
    -------
    list of str
        What was left out and why, a line for each part.

    Raises
    ------
    StorageError
        The file cannot be written; an earlier one is as it was.
    """
    parts = Parts()
    write_whole(path, report_html(view, is_over=is_over, parts=parts))
    return parts.lacking


class Parts:
    """Makes the parts of a page that it can do without, and keeps what could not be made."""

    def __init__(self) -> None:
        self.lacking: list[str] = []

    def made(self, name: str, make: Callable[[], T]) -> list[T]:
        """The part, in a list; after an error the list is empty."""
        try:
            return [make()]
        except Exception as error:
            self.lacking.append(f"{name} ({reason_of(error)})")
            return []


def report_html(view: RunView, *, is_over: bool = False, parts: Parts | None = None) -> str:
    """The report as text: template, style, script and data in one; what `parts` could not make is named in it.

    Raises
    ------
    InputError
        The view is not of a run folder.
    """
    if view.state is None or view.path is None:
        raise InputError(f"{view.title}: needs a run folder for a report, found an ensemble without one")
    parts = parts or Parts()
    here, driver = Path(__file__).parent, None if is_over else noted_driver(view.path)
    for package in ("jinja2", "plotly"):
        require(package, "report")
    environment = _environment()
    environment.filters.update(filters(view.unit, decimals_of(view.values("std"))))
    environment.filters["feature"] = partial(_feature, known=view.units)
    environment.filters["named"] = partial(named, with_subscripts=are_formulas(view.ids))
    data, axes = _data(view, parts)
    typical = _typical(view, parts)
    recurrence = [row for rows in parts.made("what recurs", partial(_recurrence, view)) for row in rows]
    certain = parts.made("what is certain", partial(_certain, view))
    return environment.get_template(_TEMPLATE).render(
        **described(view, status_document(view.path, view.state, driver)),
        maps=axes,
        pictures=_pictures(view, parts),
        links={proposal["id"]: links(proposal["id"]) for proposal in view.proposals},
        figures=data["figures"].keys(),
        typical=typical,
        recurrence=recurrence,
        certain=certain[0] if certain else None,
        groups=groups_by_sigma(out_of_bag(view)) if "sigma" in data["figures"] else [],
        claims=reliability_of_hits(view) if "reliability" in data["figures"] else None,
        lacking=parts.lacking,
        n_kept=min(N_KEPT, len(view.ids)),
        style=(here / "page.css").read_text(encoding="utf-8"),
        script=(here / "page.js").read_text(encoding="utf-8"),
        plotly=plotly_script(),
        data=as_script(data),
    )


def _feature(name: Any, known: Mapping[str, str]) -> Any:
    """A feature with its entry of the glossary as a tooltip; what is none, or HTML already, stays."""
    from markupsafe import Markup

    if type(name) is not str or name not in known:
        return name
    shown = printable(name)
    return Markup('<span class="feature" data-feature="{}" tabindex="0">{}</span>').format(shown, shown)


@cache
def _environment() -> Any:
    """Kept, since compiling the template takes half the time of a report; names from tables are escaped and in one line."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_in_print,
    )  # fmt: skip


def _in_print(value: Any) -> Any:
    """Text as it can be seen, with the spaces that do not break; what is HTML already stays."""
    return printable(value, keep="\u00a0\u202f") if type(value) is str else value


def plotly_script() -> str:
    """The code of the bundle of plotly.js that the page draws with."""
    path = Path(__file__).parent / "plotly" / "plotly-basic.min.js"
    return path.read_text(encoding="utf-8").replace("</script", "<\\/script")


def as_script(data: Any) -> str:
    """JSON that may stand in a script element, whatever names it holds.

    Examples
    --------
    >>> as_script({"id": "</script>"})
    '{"id":"\\\\u003c/script>"}'
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return steering_escaped(text.replace("<", "\\u003c"))


def _data(view: RunView, parts: Parts) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the script draws and searches, figures and all materials with their places on each map; and what is said of the maps."""
    rows = _kept(view)
    maps = [
        made
        for rank in range(1, number_of_maps(view) + 1)
        for made in parts.made(f"map {rank}", partial(_map, view, rank, rows))
    ]
    data = {
        "maps": [spec for spec, _, _ in maps],
        "places": [places for _, places, _ in maps],
        "figures": {name: spec for name, make in _figures(view).items() for spec in parts.made(f"figure {name}", make)},
        "ids": list(view.ids[rows]),
        "columns": {name: packed(view.values(name)[rows]) for name in ("label", "mean", "std", "score")},
        "classes": [view.known_as[row] for row in rows] if view.is_of_classes else None,
        "proposed": [proposal["id"] for proposal in view.proposals],
        "target": view.header,
        "features": {
            printable(row["name"]): {key: row[key] for key in ("meaning", "source", "unit_text", "low", "high")}
            for row in features_told(view)
        },
    }
    return data, [said for _, _, said in maps]


def _map(view: RunView, rank: int, rows: np.ndarray) -> tuple[Any, dict[str, str], dict[str, Any]]:
    """The map of a formula as plotly has it, the places of the rows on it, and what the page says of it."""
    plane = materials_map(view, rank)
    places = {"x": packed(plane.x.values[rows]), "y": packed(plane.y.values[rows])}
    return descriptor_map(view, plane, "mean"), places, _axes_and_notes(plane)


def _pictures(view: RunView, parts: Parts) -> dict[str, tuple[str, str]]:
    """Structure type and picture of the starting cell of each proposal; none where the user's structures come first."""
    label = (view.summary.get("settings") or {}).get("label") or {}
    if label.get("structures") or label.get("structure_column"):
        return {}
    made = {row["id"]: parts.made(f"cell of {row['id']}", partial(cell_of, row["id"])) for row in view.proposals}
    return {id: picture for id, found in made.items() for picture in found if picture is not None}


def _figures(view: RunView) -> dict[str, Callable[[], Any]]:
    """How each figure that the surrogate gives numbers for is made."""
    makers: dict[str, Callable[[], Any]] = {"course": lambda: interactive.learning_curve(view, course(view))}
    if has_out_of_bag(view):
        makers["parity"] = lambda: interactive.parity(view, out_of_bag(view), residuals=False)
        makers["residuals"] = lambda: interactive.parity(view, out_of_bag(view), residuals=True)
    if has_out_of_bag_sigma(view):
        makers["calibration"] = lambda: interactive.calibration(calibration_curve(view))
        makers["sigma"] = lambda: interactive.error_against_sigma(view, out_of_bag(view))
    claims = reliability_of_hits(view)
    if claims is not None:
        makers["reliability"] = lambda: interactive.reliability(claims)
    return makers


def _kept(view: RunView) -> np.ndarray:
    """Rows that can be searched and selected: all, or those known and the best-scored `N_KEPT`; ndarray of int, in order."""
    score = np.where(view.labelled, np.inf, np.nan_to_num(view.values("score"), nan=-np.inf))
    best = np.argsort(-score, kind="stable")[:N_KEPT]
    return np.union1d(best, np.flatnonzero(np.isin(view.ids, [proposal["id"] for proposal in view.proposals])))


def packed(values: np.ndarray) -> str:
    """float32 in little-endian order, base64: a third of the length of digits.

    Examples
    --------
    >>> packed(np.array([1.0]))
    'AACAPw=='
    """
    with np.errstate(over="ignore"):
        return base64.b64encode(np.asarray(values).astype("<f4").tobytes()).decode()


def _axes_and_notes(plane: MaterialsMap) -> dict[str, Any]:
    return {
        "x": descriptor_html(plane.x.expression), "y": descriptor_html(plane.y.expression), "x_unit": _unit_of(plane.x.expression),
        "y_unit": _unit_of(plane.y.expression), "x_log": plane.x.is_log, "y_log": plane.y.is_log, "n_drawn": len(plane.drawn),
        "n_candidates": plane.n_candidates, "n_outside": plane.n_outside, "n_undefined": plane.n_undefined,
        "has_lines": bool(plane.lines), "notes": plane.notes,
    }  # fmt: skip


def _unit_of(expression: Expression) -> str:
    """Unit of a descriptor as HTML; "" for none."""
    return "" if expression.dimension is None else unit_html(expression.dimension)


def _typical(view: RunView, parts: Parts) -> list[dict[str, Any]]:
    """The typical formulas; typeset where the formulas are there, else as the surrogate wrote them."""
    rows = view.summary.get("typical") or []
    if view.log_odds or view.ensemble is not None:
        made = [parts.made(f"formula {n}", partial(_typeset, view, row)) for n, row in enumerate(rows, 1)]
        return [formula for one in made for formula in one]
    return [{**row, "html": None, "terms": []} for row in rows if row.get("equation")]


def _typeset(view: RunView, row: Mapping[str, Any]) -> dict[str, Any]:
    members: Sequence[SISSOModel] = view.log_odds if view.ensemble is None else view.ensemble.members
    model = members[row["member"]]
    terms = [
        {
            "html": descriptor_html(term.expression), "unit": _unit_of(term.expression), "low": term.low, "high": term.high,
            "complexity": term.expression.complexity,
        }
        for term in model.terms
    ]  # fmt: skip
    html = log_odds_html(model) if view.log_odds else formula_html(model, view.target, view.unit)
    return {**row, "html": html, "terms": terms}


def _certain(view: RunView) -> dict[str, Any] | None:
    """Primary features and descriptors with their probabilities, and whether any of each is certain; None where nothing is said."""
    from markupsafe import Markup

    said = view.summary.get("certain")
    if not said:
        return None
    known = view.ensemble.certain.descriptors if view.ensemble and view.ensemble.certain else ()
    typeset = {str(one.expression): Markup(descriptor_html(one.expression)) for one in known}
    descriptors = [
        (typeset.get(row["expression"], row["expression"]), row["probability"]) for row in said["descriptors"]
    ]
    is_certain = any(share > said["threshold"] for _, share in descriptors)
    return {**said, "primaries": list(said["primaries"].items()), "descriptors": descriptors, "is_any": is_certain}


def _recurrence(view: RunView, most: int = 12) -> list[tuple[str, list[tuple[Any, float]]]]:
    """Titles, and the names that recur in the formulas with their shares; descriptors are typeset where that is possible."""
    from markupsafe import Markup

    shares = view.summary.get("recurrence", {})
    members = [] if view.ensemble is None else view.ensemble.members
    known = {str(term.expression): term.expression for member in members for term in member.terms}
    typeset = [
        (Markup(descriptor_html(known[text])) if text in known else text, share)
        for text, share in list(shares.get("descriptors", {}).items())[:most]
    ]
    named = [(title, list(shares.get(key, {}).items())) for title, key in _RECURRING]
    return [(title, rows) for title, rows in [*named, ("Descriptors", typeset)] if rows]
