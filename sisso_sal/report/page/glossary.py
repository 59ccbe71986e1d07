"""What each primary feature is: in the user's words, in the program's where it made the values, or not known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sisso_sal.data.estimated import ESTIMATED_BY, is_estimated
from sisso_sal.data.headers import split_header
from sisso_sal.errors import SissoSalError
from sisso_sal.features.dimension import parse_unit
from sisso_sal.oxides.primary_features import PRIMARY_FEATURES, featurize
from sisso_sal.report.figures.plotly_data import unit_markup
from sisso_sal.report.run_view import RunView

N_COMPARED = 20
"""Materials whose values are computed again, to know that a column is what the program makes."""

SAME = 1e-4
"""Largest relative difference of equal values; shipped tables have six digits."""


def features_told(view: RunView) -> list[dict[str, Any]]:
    """The glossary: each primary feature, those in most formulas first.

    ``name``, ``unit`` and ``unit_text``, ``meaning`` and ``source``, the range over the labelled materials (``low``, ``high``), the
    share of the candidates ``outside`` of it, and the ``share`` of formulas with it (None without formulas).
    """
    shares = view.summary.get("recurrence", {}).get("primaries")
    words, features = words_of_features(view), []
    for name, unit in view.units.items():
        values = view.columns[name]
        known, other = values[view.labelled], values[~view.labelled]
        outside = float(((other < known.min()) | (other > known.max())).mean()) if len(other) and len(known) else None
        low, high = (float(known.min()), float(known.max())) if len(known) else (None, None)
        features.append(
            {
                "name": name, "unit": unit, "unit_text": unit_markup(str(parse_unit(unit))) if unit else "",
                "share": None if shares is None else shares.get(name, 0.0),
                "low": low, "high": high, "outside": outside, "meaning": words[name].meaning, "source": words[name].source,
            }
        )  # fmt: skip
    return sorted(features, key=lambda row: (-(row["share"] or 0.0), row["name"]))


class Words(NamedTuple):
    """What a feature is, and where its values are from; "" where that is not known."""

    meaning: str
    source: str


def words_of_features(view: RunView) -> dict[str, Words]:
    """The words for each primary feature of a view, by its name.

    Those of the settings come first. A column is one of `PRIMARY_FEATURES` if it has that name and unit, and the values that are
    computed from the formulas of some materials are those of the table.
    """
    own = (view.summary.get("settings") or {}).get("features") or {}
    given = {split_header(name)[0]: Words(one["meaning"], one.get("source", "")) for name, one in own.items()}
    made = _made(view)
    return {name: given.get(name) or made.get(name) or _estimated(view, name) for name in view.columns}


def _made(view: RunView) -> dict[str, Words]:
    """Features that the program makes from formulas, with the values that it makes."""
    shipped = {split_header(feature.header): feature for feature in PRIMARY_FEATURES}
    wanted = {name: shipped[name, unit] for name, unit in view.units.items() if (name, unit) in shipped}
    rows = np.flatnonzero(view.labelled)[:N_COMPARED]
    if not wanted or not len(rows):
        return {}
    try:
        values, refused = featurize([str(id) for id in view.ids[rows]])
    except SissoSalError:
        return {}
    if refused or len(values) != len(rows):
        return {}
    return {
        name: Words(feature.meaning, feature.source)
        for name, feature in wanted.items()
        if np.allclose(view.columns[name][rows], np.asarray(values[feature.header]), rtol=SAME, atol=1e-9)
    }


def _estimated(view: RunView, name: str) -> Words:
    """Of a column of ``estimate``, and of a lower level of theory."""
    if is_estimated(name):
        potential = max((one for one in ESTIMATED_BY if name.endswith(f"_{one}")), key=len)
        what = name.removesuffix(f"_{potential}")
        of = "the target" if what == view.target else what
        return Words(
            f"cheap estimate of {of} from energies with the universal potential {potential}", "sisso-sal estimate"
        )
    levels: list[Mapping[str, Any]] = (view.summary.get("levels") or {}).get("lower") or []
    if any(split_header(level["column"])[0] == name for level in levels):
        return Words("the target at a lower level of theory; predicted where it is not known", "")
    return Words("", "")
