"""The map of a campaign: what was known, what was found and in which order, and the frontier."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sisso_sal.errors import InputError
from sisso_sal.report.figures.course import course
from sisso_sal.report.figures.materials_map import Line
from sisso_sal.report.figures.paper_layout import PaperSheet
from sisso_sal.report.figures.paper_names import NamedMarks, level_texts, name_marks
from sisso_sal.report.figures.search import search_map
from sisso_sal.report.figures.searched import searched


def test_known_and_found_are_those_of_the_ledger_in_their_order(view):
    seen, run = searched(view), course(view)
    assert [str(id) for id in view.ids[seen.start]] == run.ids[: run.n_start]
    assert [str(id) for id in view.ids[seen.found]] == run.ids[run.n_start :]
    assert len(seen.found) == 5


def test_the_frontier_moves_whenever_a_better_label_came(view):
    seen = searched(view)
    label = view.values("label")
    best, expected = label[seen.start].min(), [(0, label[seen.start].min())]
    for n, row in enumerate(seen.found, 1):
        if label[row] < best:
            best = label[row]
            expected.append((n, best))
    assert list(seen.frontier) == expected
    assert {line.level for line in seen.plane.lines} <= {level for _, level in expected}


@pytest.mark.parametrize("formula", [1, 2, 3])
def test_on_the_frontier_the_formula_has_the_value_of_the_best_label(view, formula):
    """The formula has no more than two terms and no link, so it can be computed from the axes alone."""
    plane = searched(view, formula).plane
    model = plane.model
    weight = {str(term.expression): term.coefficient for term in model.terms}
    axes = {str(plane.x.expression), str(plane.y.expression)}
    assert set(weight) <= axes
    for line in plane.lines:
        along = {str(plane.x.expression): line.x, str(plane.y.expression): line.y}
        value = model.intercept + sum(weight[name] * along[name] for name in weight)
        assert value[1:-1] == pytest.approx(np.full(len(value) - 2, line.level), abs=1e-9)
        assert value[[0, -1]] == pytest.approx(
            np.full(2, line.level), abs=0.05
        )  # the ends lie between points on a curved line


def test_both_figures_show_them(view):
    seen = searched(view)
    traces = {trace.name: trace for trace in search_map(view).data}
    assert [row[0] for row in traces["computed, as they came"].customdata] == list(view.ids[seen.found])
    assert traces["computed, as they came"].text == ("1", "2", "3", "4", "5")
    assert len(traces["known at the start"].x) == len(seen.start)
    figure = search_map(view, backend="matplotlib", columns=1)
    FigureCanvasAgg(figure).draw()
    key = [text.get_text() for text in figure.legends[1].get_texts()]
    assert key == [f"{n} {view.ids[row]}" for n, row in enumerate(seen.found, 1)]
    numbers = [text for text in figure.axes[0].texts if text.get_text() in {"1", "2", "3", "4", "5"}]
    assert sorted(text.get_text() for text in numbers) == ["1", "2", "3", "4", "5"]
    low, high = figure.axes[0].get_xlim()
    assert ((seen.plane.x.values[seen.found] >= low) & (seen.plane.x.values[seen.found] <= high)).all()


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("apart", [0.3, 0.05, 0.012])
def test_names_of_close_frontiers_cover_no_other_name_and_no_other_frontier(apart, columns):
    """Lines side by side: however close they are, a name that is shown touches no line but its own."""
    along = np.linspace(0.0, 1.0, 100)
    lines = [Line(-0.1234 - 0.01 * k, 0.3 + 0.3 * along + k * apart, along) for k in range(3)]
    sheet = PaperSheet(columns, {1: 3.7, 2: 4.8})
    sheet.axes.set(xlim=(0, 1.3), ylim=(0, 1))
    for line in lines:
        sheet.axes.plot(line.x, line.y)
    figure = sheet.finish()
    name_marks(sheet, NamedMarks(["a"], np.array([0.1]), np.array([0.1]), np.ones(1), lines), ["a"])
    FigureCanvasAgg(figure).draw()
    texts = {text.get_text(): text.get_window_extent() for text in sheet.axes.texts}
    names = level_texts([line.level for line in lines])
    shown = [name for name in names if name in texts]
    assert len(shown) >= 2
    assert not [(a, b) for a, b in combinations(texts.values(), 2) if a.overlaps(b)]
    for name, line in zip(names, lines, strict=True):
        points = sheet.axes.transData.transform(np.column_stack([line.x, line.y]))
        dense = np.concatenate([points[:-1] + share * np.diff(points, axis=0) for share in np.linspace(0, 1, 20)])
        assert not [other for other in shown if other != name and texts[other].count_contains(dense)]


def test_without_formulas_there_is_no_map_of_a_campaign(silent):
    with pytest.raises(InputError, match="needs formulas for the map of a campaign, found a surrogate without"):
        search_map(silent)
