"""Figures for papers: their size, labels that are wrapped, names that do not cover each other, square axes, fonts inside."""

import re
import zlib
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sisso_sal import SISSOEnsemble
from sisso_sal.report.figures import draw, paper
from sisso_sal.report.figures.course import course
from sisso_sal.report.figures.name_places import Room, crossed, line_to, name_places, overlap
from sisso_sal.report.figures.paper_text import BREAK, size_of, wrapped
from sisso_sal.report.figures.saved import save_figure
from sisso_sal.report.run_view import RunView

INCHES = {1: 3.375, 2: 7.0}
LONG = (
    "Number of valence electrons of the host (1)", "d-band centre of the impurity, slab (eV)",
    "Surface energy of the host, closest-packed facet (eV)", "Ionization energy of the impurity $ {Pauling} (eV)",
)  # fmt: skip
TARGET = "Segregation energy of the impurity from the bulk to the surface layer (eV)"


@pytest.fixture(scope="module")
def long_names():
    """A run with long names of features, target and materials; its proposals lie close together."""
    rng = np.random.default_rng(2)
    X = pd.DataFrame(rng.uniform(1, 3, (70, 4)), columns=list(LONG))
    X.index = [f"Pt{k} in the (111) surface of Mo" for k in range(70)]
    y = (X[LONG[1]] / X[LONG[0]] - X[LONG[2]] / X[LONG[0]]).rename(TARGET)
    ensemble = SISSOEnsemble(members=6, rung=1, dim=2, n_sis=8, dropout=0.0, correction="none").fit(X[:40], y[:40])
    return RunView.of(ensemble, X, y.where(np.arange(70) < 40))


def drawn(figure):
    FigureCanvasAgg(figure).draw()
    return figure


def boxes_of(texts):
    return [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]


def texts_of(figure):
    """All texts outside of legends: labels, ticks that are shown, names, levels."""
    for axes in figure.axes:
        yield from axes.texts
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            yield axis.label
            for tick in axis.get_major_ticks():
                if min(low, high) <= tick.get_loc() <= max(low, high):
                    yield from (text for text in (tick.label1, tick.label2) if text.get_visible())


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize(
    "kind", ["map", "parity", "residuals", "calibration", "sigma", "course", "primaries", "descriptors"]
)
def test_no_text_covers_another_or_leaves_the_figure(long_names, kind, columns):
    view = long_names
    make = {
        "map": draw.descriptor_map, "parity": draw.parity, "calibration": draw.calibration, "sigma": draw.error_against_sigma,
        "course": draw.learning_curve,
        "residuals": lambda view, **how: draw.parity(view, residuals=True, **how),
        "primaries": draw.feature_frequency,
        "descriptors": lambda view, **how: draw.feature_frequency(view, "descriptors", **how),
    }[kind]  # fmt: skip
    figure = drawn(make(view, backend="matplotlib", columns=columns))
    assert figure.get_size_inches()[0] == INCHES[columns]
    assert figure.get_size_inches()[1] <= 9.5
    boxes = boxes_of(texts_of(figure))
    legends = [legend.get_window_extent() for legend in figure.legends]
    assert not [(a, b) for a, b in combinations(boxes + legends, 2) if a.overlaps(b)]
    for box in boxes + legends:
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1
    data = [axes.get_window_extent() for axes in figure.axes]
    assert not any(legend.overlaps(box) for legend in legends for box in data)


def names_on(figure, ids):
    """Names beside marks, or those of the key below the axes."""
    beside = [text for text in figure.axes[0].texts if text.get_text() in ids]
    key = [text for legend in figure.legends for text in legend.get_texts() if text.get_text().partition(" ")[2] in ids]
    return beside or key


@pytest.mark.parametrize(("columns", "n"), [(1, 3), (1, 12), (1, 25), (2, 12)])
def test_every_proposal_is_named_once(long_names, columns, n):
    rows = long_names.table[~long_names.labelled].head(n).to_dict("records")
    view = replace(long_names, summary=long_names.summary | {"proposals": rows})
    figure = drawn(draw.descriptor_map(view, backend="matplotlib", columns=columns))
    ids = {row["id"] for row in rows}
    names = names_on(figure, ids)
    named = [re.sub(r"^\d+ ", "", text.get_text()) for text in names]
    assert sorted(named) == sorted(ids)
    assert not any(a.overlaps(b) for a, b in combinations(boxes_of(names), 2))


def test_the_map_of_a_campaign_names_its_proposals_beside_their_marks(view):
    figure = drawn(draw.descriptor_map(view, backend="matplotlib", columns=2))
    ids = {proposal["id"] for proposal in view.proposals}
    assert {text.get_text() for text in names_on(figure, ids)} == ids
    assert {text.get_text() for text in figure.legends[0].get_texts()} >= {"candidate", "known", "proposed"}


def test_numbers_in_formulas_are_subscripts_and_other_names_stay_as_they_are(long_names):
    ids = np.array([f"Ti{k}O{k + 1}" for k in range(2, 72)], dtype=object)
    rows = long_names.table[~long_names.labelled].head(2).to_dict("records")
    texts = []
    for named in (ids, np.array([f"sample {k}" for k in range(70)], dtype=object)):
        proposals = [row | {"id": named[40 + place]} for place, row in enumerate(rows)]
        view = replace(
            long_names, table=long_names.table.assign(id=named), summary=long_names.summary | {"proposals": proposals}
        )
        figure = drawn(draw.descriptor_map(view, backend="matplotlib", columns=2))
        texts.append({text.get_text() for text in figure.axes[0].texts})
    assert texts[0] >= {"Ti$_{42}$O$_{43}$", "Ti$_{43}$O$_{44}$"}
    assert texts[1] >= {"sample 40", "sample 41"}


@pytest.mark.parametrize("rmse", [(0.797, 0.767), (1.0, 0.999), (0.1,)])
def test_all_errors_are_inside_the_axes_of_the_course_and_its_label_inside_the_figure(view, rmse):
    seen = course(view)
    fits = [{**seen.fits[0], "n_labelled": 20 + place, "rmse": value} for place, value in enumerate(rmse)]
    figure = drawn(paper.learning_curve(view, replace(seen, fits=fits), columns=2))
    below = figure.axes[1]
    assert below.get_ylim()[0] == 0.0
    assert below.get_ylim()[1] > 1.05 * max(rmse)
    assert below.yaxis.label.get_window_extent().x0 >= 0.0


@pytest.mark.parametrize("columns", [1, 2])
def test_parity_and_calibration_are_squares(long_names, columns):
    for make in (draw.parity, draw.calibration):
        axes = drawn(make(long_names, backend="matplotlib", columns=columns)).axes[0]
        assert axes.get_xlim() == axes.get_ylim()
        box = axes.get_window_extent()
        assert box.width == pytest.approx(box.height, rel=1e-6)


def test_a_figure_does_not_depend_on_the_settings_of_a_reader(long_names):
    from matplotlib import rc_context

    with rc_context({"font.size": 20, "axes.labelsize": 30, "lines.linewidth": 9}):
        figure = draw.parity(long_names, backend="matplotlib")
    assert figure.axes[0].xaxis.label.get_fontsize() == 8.0


def test_files_have_the_size_of_columns_and_their_fonts_inside(long_names, tmp_path):
    figures = {"parity": draw.parity, "descriptors": draw.feature_frequency, "wide": draw.descriptor_map}
    for name, make in figures.items():
        path = tmp_path / f"{name}.pdf"
        save_figure(make(long_names, backend="matplotlib", columns=2 if name == "wide" else 1), path)
        content = path.read_bytes()
        width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", content)[1])
        assert width == pytest.approx(72 * INCHES[2 if name == "wide" else 1], abs=0.01), path
        assert b"/Type3" not in content
        assert b"/CIDFontType2" in content  # TrueType
        parts = [zlib.decompress(part) for part in streams(content) if part[:1] == b"x"]
        assert any(part[:4] in {b"\0\1\0\0", b"true"} for part in parts), path  # a font file
    save_figure(draw.parity(long_names, backend="matplotlib"), tmp_path / "parity.svg")
    assert "<text" not in (tmp_path / "parity.svg").read_text(encoding="utf-8")  # letters are outlines
    save_figure(draw.parity(long_names, backend="matplotlib"), tmp_path / "parity.png")
    header = (tmp_path / "parity.png").read_bytes()[16:20]
    assert int.from_bytes(header, "big") == round(300 * INCHES[1])


def streams(content):
    return re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)


@given(
    st.lists(st.text(st.sampled_from("abcdefgh_(),-"), min_size=1, max_size=30), min_size=1, max_size=8),
    st.integers(30, 200),
)
def test_wrapping_keeps_every_letter_and_the_width(words, room):
    text = " ".join(words)
    lines = wrapped(text, room, 8.0).split("\n")
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(size_of(line, 8.0)[0] <= room for line in lines)


def test_lines_break_behind_operators():
    assert wrapped(f"alpha·{BREAK}beta·{BREAK}gamma", 60.0, 8.0) == "alpha·beta·\ngamma"


@given(st.integers(0, 10**6), st.integers(1, 15))
def test_names_are_apart_from_each_other_from_marks_and_from_lines(seed, n):
    rng = np.random.default_rng(seed)
    marks = rng.uniform(20, 180, (n, 2))
    sizes = np.column_stack([rng.uniform(10, 50, n), np.full(n, 8.0)])
    frame, taken = np.array([0.0, 0.0, 200.0, 200.0]), np.array([[90.0, 90.0, 110.0, 100.0]])
    boxes = name_places(marks, 4.0, sizes, Room(frame, taken, np.column_stack([marks, np.ones(n)])))
    assume(boxes is not None)
    assert boxes[:, 2:] - boxes[:, :2] == pytest.approx(sizes)
    assert (boxes >= 0).all()
    assert (boxes <= 200).all()
    assert not overlap(boxes, np.vstack([taken, np.hstack([marks - 4.0, marks + 4.0])])).any()
    others = ~np.eye(n, dtype=bool)
    assert not (overlap(boxes, boxes) & others).any()
    assert not (crossed(marks, line_to(marks, boxes), boxes) & others).any()


def test_a_lone_name_stands_at_its_mark_and_no_room_is_told():
    room = Room(np.array([0.0, 0.0, 100.0, 100.0]), np.empty((0, 4)), np.empty((0, 3)))
    box = name_places(np.array([[50.0, 50.0]]), 3.0, np.array([[20.0, 8.0]]), room)[0]
    assert np.hypot(*(line_to(np.array([50.0, 50.0]), box) - 50.0)) < 6.0
    assert name_places(np.array([[50.0, 50.0]]), 3.0, np.array([[120.0, 8.0]]), room) is None


@pytest.mark.parametrize(
    ("start", "end", "passes"),
    [((0, 5), (20, 5), True), ((0, 5), (9, 5), False), ((0, 11), (20, 11), False), ((12, 5), (13, 6), True),
     ((0, 0), (20, 40), False),
     ((5, 15), (25, -5), True), ((15, 0), (15, 20), True)],
)  # fmt: skip
def test_a_line_crosses_a_box(start, end, passes):
    found = crossed(np.array([start], dtype=float), np.array([end], dtype=float), np.array([[10.0, 0.0, 20.0, 10.0]]))
    assert bool(found[0, 0]) is passes
