"""Figures of replay, tune, pareto and fit --n-models: long names have room, nothing covers anything, and colour is not all."""

from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sisso_sal.campaign.two_targets import compromises
from sisso_sal.data.table import read_targets
from sisso_sal.errors import InputError
from sisso_sal.models.surrogates import Forest
from sisso_sal.report.figures.error_against_complexity import error_against_complexity
from sisso_sal.report.figures.front import front_figure
from sisso_sal.report.figures.labels_needed import error_against_labels
from sisso_sal.report.figures.saved import save_figure
from sisso_sal.report.figures.targets_found import found_targets
from sisso_sal.spaces.table import TableSpace

INCHES = {1: 3.375, 2: 7.0}
LONG = "Segregation energy of the impurity from the bulk to the surface layer, $ {closest-packed} facet"
STRATEGIES = (
    "sisso hits", "no-formulas hits", "forest hits", "process hits", "trees mean", "random", "farthest first", "a $ {b}",
    "estimate dG_pbx_chgnet as it is, of a universal potential", "a-plug-in-with-a-long-name probability_of_improvement",
)  # fmt: skip


def replayed(names=STRATEGIES, n_starts=5):
    rng = np.random.default_rng(0)
    found = {
        name: {"found": np.cumsum(rng.random((n_starts, 31)) < 0.1 + 0.03 * k, axis=1).clip(0, 12).tolist()}
        for k, name in enumerate(names)
    }
    target = {"name": LONG}
    return {"n_targets": 12, "n_materials": 100, "rules": {"n_start": 20}, "target": target, "strategies": found}


def curves():
    sizes = [20, 28, 40, 57, 80]
    points = [{"labels": n, "rmse": {"value": 2 / n**0.5, "low": 1.8 / n**0.5, "high": 2.2 / n**0.5}} for n in sizes]
    line = [
        {"labels": n, "value": 2 / n**0.5, "low": 1.8 / n**0.5, "high": 2.2 / n**0.5} for n in (20, 80, 100, 113, 400)
    ]
    return {
        "target": {"name": LONG, "unit": "eV*Å**2/atom"}, "n_labels": 100,
        "curves": dict.fromkeys(("random", "error", "coverage"), points),
        "extrapolation": {"rmse": {"line": line, "points": line[2:]}},
    }  # fmt: skip


def judged():
    sizes = [{"dimension": k, "mae": 0.2 / k, "mae_error": 0.02, "rmse": 0.3} for k in (1, 2, 3)]
    formulas = [
        {"dimension": k, "rank": r, "complexity": k + r, "rmse": 0.1, "mae": 0.2 / k + 0.01 * r, "mae_error": 0.01}
        for k in (1, 2, 3)
        for r in (1, 2, 3, 4)
    ]
    trade_off = {"sizes": sizes, "formulas": formulas, "recommended": [2, 1], "n_folds": 10, "n_materials": 50}
    return {"target": {"name": LONG, "unit": "eV*Å**2/atom"}, "trade_off": trade_off}


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """Two targets with long names over materials with long names; the proposals lie close together."""
    rng = np.random.default_rng(0)
    a, b, c = rng.uniform(1, 3, (3, 80))
    frame = pd.DataFrame({"name": [f"Pt{k} in the (111) surface of Mo" for k in range(80)], "a": a, "b": b, "c": c})
    known = np.arange(80) < 40
    frame[f"{LONG} (eV/atom)"] = np.where(known, a * b - c, np.nan)
    frame["price of a kilogram (USD)"] = np.where(known, 10 - 2 * a - b, np.nan)
    path = tmp_path_factory.mktemp("two") / "two.csv"
    frame.to_csv(path, index=False)
    spaces = [TableSpace(table) for table in read_targets(path, list(frame.columns[-2:]))]
    return compromises(spaces, ["min", "min"], 10, Forest)


MAKERS = {
    "replay": lambda _: (found_targets, replayed()),
    "replay of four": lambda _: (found_targets, replayed(STRATEGIES[:2] + STRATEGIES[-2:])),
    "labels": lambda _: (error_against_labels, curves()),
    "trade-off": lambda _: (error_against_complexity, judged()),
    "front": lambda chosen: (front_figure, chosen),
}


def boxes_of(figure):
    """Of all texts that are seen: labels, numbers at ticks, names."""
    for axes in figure.axes:
        yield from (text.get_window_extent() for text in axes.texts if text.get_text())
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            texts = [
                axis.label,
                *(t.label1 for t in axis.get_major_ticks() if min(limits) <= t.get_loc() <= max(limits)),
            ]
            yield from (text.get_window_extent() for text in texts if text.get_text() and text.get_visible())


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("kind", MAKERS)
def test_no_text_covers_another_leaves_the_figure_or_covers_data_from_the_legend(chosen, kind, columns):
    make, content = MAKERS[kind](chosen)
    figure = make(content, columns=columns)
    FigureCanvasAgg(figure).draw()
    assert figure.get_size_inches()[0] == INCHES[columns]
    assert figure.get_size_inches()[1] <= 9.0
    legends = [legend.get_window_extent() for legend in figure.legends]
    boxes = [*boxes_of(figure), *legends]
    assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    for box in boxes:
        assert min(box.x0, box.y0) >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1
    assert legends
    assert not any(legend.overlaps(axes.get_window_extent()) for legend in legends for axes in figure.axes)


def test_strategies_differ_in_colour_or_dash_and_neighbours_in_both():
    lines = [line for line in found_targets(replayed()).axes[0].get_lines() if len(line.get_xdata()) == 31]
    styles = [(line.get_color(), line.get_linestyle()) for line in lines]
    assert len(set(styles)) == len(STRATEGIES)
    assert all(one[0] != other[0] and one[1] != other[1] for one, other in pairwise(styles))


def test_the_data_keep_their_height_under_a_long_legend():
    heights = []
    for names in (STRATEGIES[:2], STRATEGIES):
        figure = found_targets(replayed(names))
        FigureCanvasAgg(figure).draw()
        heights.append(figure.axes[0].get_window_extent().height / figure.dpi)
    assert heights[1] > 0.9 * heights[0]


def test_ticks_end_where_the_evaluations_end_and_one_start_has_no_interval():
    figure = found_targets(replayed(n_starts=1))
    FigureCanvasAgg(figure).draw()
    assert max(figure.axes[0].get_xticks()) <= 30
    assert not [label for label in figure.axes[0].get_legend_handles_labels()[1] if "interval" in label]


@pytest.mark.parametrize("kind", MAKERS)
def test_a_pdf_holds_its_fonts_and_three_columns_are_refused(chosen, kind, tmp_path):
    make, content = MAKERS[kind](chosen)
    save_figure(make(content), tmp_path / "figure.pdf")
    assert b"/FontFile2" in (tmp_path / "figure.pdf").read_bytes()
    with pytest.raises(InputError, match="columns: needs 1 or 2, found 3"):
        make(content, columns=3)
