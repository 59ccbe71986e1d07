"""The map of a campaign: what was known, what was found and in which order, and the frontier."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sisso_sal.errors import InputError
from sisso_sal.report.figures.course import course
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


def test_without_formulas_there_is_no_map_of_a_campaign(silent):
    with pytest.raises(InputError, match="needs formulas for the map of a campaign, found a surrogate without"):
        search_map(silent)
