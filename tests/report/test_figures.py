"""Figures of both kinds, and the command that writes them."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hostile import HOSTILE
from matplotlib.mathtext import MathTextParser
from odd_names import ODD, PLAIN
from scipy.stats import binomtest

from sisso_sal import SISSOEnsemble, SISSORegressor
from sisso_sal.errors import InputError
from sisso_sal.features.expression import Expression
from sisso_sal.oracle.stability.diagram import stability_map
from sisso_sal.oracle.stability.pourbaix import Conditions, Species
from sisso_sal.report.figures import draw as figures
from sisso_sal.report.figures.course import course
from sisso_sal.report.figures.interactive_map import axis_title
from sisso_sal.report.figures.materials_map import Axis
from sisso_sal.report.figures.out_of_bag import (
    binomial_quantile,
    calibration_curve,
    out_of_bag,
    range_of_share,
    reliability_of_hits,
)
from sisso_sal.report.figures.paper_text import TypesetLabel


def by_name(figure):
    return {trace.name: trace for trace in figure.data}


def test_the_map_has_every_material_in_its_place(view):
    traces = by_name(figures.descriptor_map(view))
    known, candidates, proposed = (traces[name] for name in ("known", "candidates", "proposed"))
    assert len(known.x) == view.labelled.sum()
    labels = dict(zip(view.ids, view.values("label"), strict=True))
    shown = {row[0]: value for row, value in zip(known.customdata, known.marker.color, strict=True)}
    assert shown.pop("&lt;b&gt;&amp;&quot;&#x27;$_²&lt;/script&gt;*") == pytest.approx(labels[HOSTILE], rel=1e-3)
    assert shown == {id: pytest.approx(labels[id], rel=1e-3) for id in shown}
    assert [row[0] for row in proposed.customdata] == [id for id in view.ids if id in {p["id"] for p in view.proposals}]
    assert len(candidates.x) + len(proposed.x) == (~view.labelled).sum()
    assert list(traces["failed"].text) == [view.state.failed[0].id]
    std = by_name(figures.descriptor_map(view, colour="std"))["candidates"]
    expected = dict(zip(view.ids, view.values("std"), strict=True))
    assert list(std.marker.color) == pytest.approx([expected[row[0]] for row in std.customdata], rel=1e-3)


AXES = {
    "a/b": ("`a/b`", r"{\text{‘a/b’}}"),
    "E*A**2": ("`E&#42;A&#42;&#42;2`", r"{\text{‘E*A**2’}}"),
    "frac_$x": ("`frac_&#36;x`", r"{\text{‘frac_\$x’}}"),
    "%{y}<b>": ("`&#37;{y}&lt;b&gt;`", r"{\text{‘%\{y\}<b>’}}"),
    "a\\b": ("`a\\\\b`", r"{\text{‘a}\backslash\backslash\text{b’}}"),
    'x"y': ('`x"y`', r'{\text{‘x"y’}}'),
    "two\nlines": (r"`two\nlines`", r"{\text{‘two}\backslash\text{nlines’}}"),
    "χ": ("χ", r"\chi"),
}


@pytest.mark.parametrize("name", AXES)
def test_a_name_that_is_no_identifier_is_quoted_on_an_axis(name):
    difference = Expression.apply("sub", Expression.primary(name), Expression.primary("r_s"))
    axis = Axis(difference, np.ones(2), False, 0.0, 1.0)
    plotly, matplotlib = AXES[name]
    assert axis_title("d1", axis) == f"d1 = {plotly} - r<sub>s</sub>"
    assert TypesetLabel.of_expression("d1", difference, "").lines[0] == rf"d1 = ${matplotlib} - r_{{\mathrm{{s}}}}$"


@pytest.mark.parametrize("name", [name for name in (*ODD, *PLAIN) if name not in {"日本", "\U0001f600"}])
def test_matplotlib_draws_any_name(name):
    """But for two whose letters its font lacks."""
    inner = Expression.apply(
        "div", Expression.primary(name), Expression.apply("add", Expression.primary("frac"), Expression.primary("q"))
    )
    label = TypesetLabel.of_expression("d1", Expression.apply("sq", inner), "")
    assert r"\dfrac{" in label.lines[0]
    assert r"\mathrm{frac}" in label.lines[0]
    MathTextParser("agg").parse(label.lines[0])
    for line in label.fitted(60.0, 8.0).split("\n"):
        assert line.count("$") - line.count(r"\$") in range(0, 20, 2)
        MathTextParser("agg").parse(line)


def test_figures_of_trust_show_the_out_of_bag_predictions(view):
    seen = out_of_bag(view)
    points = figures.parity(view).data[1]
    assert list(points.x) == pytest.approx(seen.known.tolist(), rel=1e-3)
    assert list(points.y) == pytest.approx(seen.predicted.tolist(), rel=1e-3)
    low, high = seen.told.interval(0.95)
    assert list(points.error_y.array) == pytest.approx((high - seen.predicted).tolist(), rel=1e-3)
    assert list(points.error_y.arrayminus) == pytest.approx((seen.predicted - low).tolist(), rel=1e-3)
    mirrored = figures.parity(view, residuals=True).data[1].error_y
    assert (list(mirrored.array), list(mirrored.arrayminus)) == (
        list(points.error_y.arrayminus),
        list(points.error_y.array),
    )
    assert list(figures.parity(view, residuals=True).data[1].y) == pytest.approx(seen.residual.tolist(), rel=1e-3)
    curve = by_name(figures.calibration(view))["recalibrated (isotonic)"]
    assert list(curve.y) == pytest.approx(calibration_curve(view).recalibrated.tolist(), rel=1e-3)
    sizes = by_name(figures.error_against_sigma(view))["each label"].y
    assert list(sizes) == pytest.approx(np.abs(seen.residual).tolist(), rel=1e-3)


def test_the_learning_curve_and_what_recurs(view):
    traces = by_name(figures.learning_curve(view))
    assert list(traces["best so far"].y) == pytest.approx(course(view).best.tolist(), rel=1e-3)
    assert len(traces["computed"].x) == view.labelled.sum() - 20
    bars = figures.feature_frequency(view, "operators").data[0]
    assert dict(zip(bars.y, bars.x, strict=True)) == view.summary["recurrence"]["operators"]
    with pytest.raises(InputError, match="kind: needs one of primaries, operators, descriptors, found 'units'"):
        figures.feature_frequency(view, "units")
    with pytest.raises(InputError, match="backend: needs plotly or matplotlib, found 'gnuplot'"):
        figures.parity(view, backend="gnuplot")
    with pytest.raises(InputError, match=r"columns: needs backend='matplotlib', because .* found 'plotly'"):
        figures.parity(view, columns=2)
    with pytest.raises(InputError, match="columns: needs 1 or 2, found 3"):
        figures.parity(view, backend="matplotlib", columns=3)
    with pytest.raises(InputError, match="colour: needs one of mean, std, score, found 'red'"):
        figures.descriptor_map(view, colour="red")


def test_pourbaix_shows_the_energy_and_the_products():
    oxide = Species("TiO2", {"Ti": 1, "O": 2}, mu=-9.21)
    ion = Species("TiO++", {"Ti": 1, "O": 1}, charge=2, mu=-5.98, state="aqueous")
    found = stability_map(oxide, [ion])
    field = figures.pourbaix(found, "TiO2", Conditions(pH=1.0)).data[0]
    np.testing.assert_allclose(np.array(field.z, dtype=float)[150], found.energy[150], atol=2e-3, rtol=1e-2)
    assert field.text[0][0] == " + ".join(found.mixtures[int(found.energies[:, 0, 0].argmax())])
    axes = figures.pourbaix(found, "TiO2", backend="matplotlib").axes[0]
    assert axes.get_xlabel() == "pH"


def test_the_command_writes_the_page_and_every_figure(forks, campaign, tmp_path):
    assert (campaign / "run" / "report.html").exists()  # by discover
    done = forks.call("report", "run", "--format", "svg", "--out", tmp_path / "figures", "--json", cwd=campaign)
    assert done.code == 0, done
    files = json.loads(done.out)["files"]
    assert {path.rpartition("/")[2] for path in files} >= {
        "map-1.svg", "parity.svg", "residuals.svg", "calibration.svg", "error-against-sigma.svg", "learning-curve.svg",
        "primaries.svg", "operators.svg", "descriptors.svg", "search-map.svg",
    }  # fmt: skip
    for path in files:
        with open(path, encoding="utf-8") as file:
            assert "<svg" in file.read(2000)
    done = forks.call("report", "run", "--iteration", 1, "--out", tmp_path / "first.html", cwd=campaign)
    assert (done.code, done.out) == (0, f"{tmp_path}/first.html\n")
    assert ", iteration 1</title>" in (tmp_path / "first.html").read_text(encoding="utf-8")


def test_the_command_says_what_is_wrong(forks, campaign, tmp_path):
    line = forks.call("report", campaign / "run", "--columns", 2, cwd=tmp_path)
    assert (line.code, line.error) == (
        2, "error: --columns: needs --format pdf, png or svg, found html: a page is as wide as its window",
    )  # fmt: skip
    line = forks.call("report", "nowhere", cwd=tmp_path)
    assert line.code == 2
    assert line.error.startswith("error: nowhere")
    shutil.copytree(campaign / "run", tmp_path / "run")
    (tmp_path / "run" / "iter-0001" / "model.json").write_text("{", encoding="utf-8")
    line = forks.call("report", "run", "--iteration", 1, cwd=tmp_path)
    assert line.code == 2
    assert line.error == (
        "error: run/iter-0001/model.json: differs from what was written; the next discover makes the files of the newest "
        "iteration again"
    )


def test_the_report_that_discover_leaves_says_what_to_do_next(campaign):
    text = (campaign / "run" / "report.html").read_text(encoding="utf-8")
    assert "run discover with a larger --budget to continue" in text
    assert "a driver is running" not in text


def test_discover_goes_on_where_no_report_can_be_written(forks, campaign, tmp_path):
    shutil.copy(campaign / "table.csv", tmp_path)
    small = ("--rung", 1, "--dim", 1, "--members", 4, "--n-sis", 5, "--correction", "none")
    done = forks.call("discover", "table.csv", "--out", "run", "--no-report", *small, cwd=tmp_path, lines=False)
    assert (done.code, (tmp_path / "run" / "report.html").exists()) == (0, False)
    (tmp_path / "run" / "report.html").mkdir()
    forks.call("label", "run", "M02", "0.5", cwd=tmp_path)
    done = forks.call("discover", "table.csv", "--out", "run", *small, cwd=tmp_path, lines=False)
    assert done.code == 0
    assert "note: the report was not written: run/report.html: cannot be written: Is a directory" in done.err


def test_models_show_themselves_in_notebooks():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.uniform(1, 2, (40, 2)), columns=["r_s (AA)", "<i> (eV)"])
    y = (2.5 * X["r_s (AA)"] ** 2).rename("gap (eV)")
    assert "SISSORegressor" in SISSORegressor()._repr_html_()
    regressor = SISSORegressor(rung=1, dim=1).fit(X, y)
    shown = regressor._repr_mimebundle_()["text/html"]
    assert shown == regressor._repr_html_()
    assert "<msubsup><mi>r</mi><mtext>s</mtext><mn>2</mn></msubsup>" in shown
    assert "2.5\xa0eV\u202fÅ<sup>−2</sup>" in shown
    ensemble = SISSOEnsemble(members=4, rung=1, dim=1, n_sis=5).fit(X, y.rename("what (??)"))
    shown = ensemble._repr_html_()
    assert "<b>SISSO ensemble</b> of 4 formulas, rung 1, 1 term, on 40 samples" in shown
    assert "what (??)" in shown
    assert "<i> " not in shown


@pytest.mark.parametrize("n", [1, 2, 10, 75, 1000, 5000])
@pytest.mark.parametrize("q", [0.025, 0.3, 0.975])
def test_binomial_quantiles_are_those_of_scipy(n, q):
    from scipy.stats import binom

    p = np.linspace(0.01, 0.99, 99)
    assert np.array_equal(binomial_quantile(q, n, p), binom.ppf(q, n, p))


def test_the_range_of_a_share_is_wilsons_and_holds_the_share():
    """Bars of negative length cannot be drawn."""
    for n in range(1, 60):
        for hits in range(n + 1):
            own = range_of_share(hits / n, n)
            wanted = binomtest(hits, n).proportion_ci(0.95, method="wilson")
            assert (own["low"], own["high"]) == pytest.approx((wanted.low, wanted.high), abs=1e-12)
            assert 0.0 <= own["low"] <= hits / n <= own["high"] <= 1.0


def test_reliability_is_claimed_against_real_by_fifths(view):
    """Each label is claimed by a recalibration that did not use it; the range is Wilson's."""
    goal = f"<={float(np.median(view.values('label')[view.labelled])):.4f}"
    wanted = replace(view, summary=view.summary | {"wanted": goal})
    found = reliability_of_hits(wanted)
    seen = out_of_bag(wanted)
    assert sum(row["n"] for row in found.rows) == len(seen.known)
    reached = (seen.known <= float(goal[2:])).sum()
    assert sum(row["n"] * row["real"] for row in found.rows) == pytest.approx(reached)
    for row in found.rows:
        ends = binomtest(round(row["real"] * row["n"]), row["n"]).proportion_ci(method="wilson")
        assert (row["low"], row["high"]) == pytest.approx((ends.low, ends.high), abs=1e-12)
    points = figures.reliability(wanted).data[1]
    assert list(points.x) == pytest.approx([row["claimed"] for row in found.rows], rel=1e-3)
    assert len(figures.reliability(wanted, backend="matplotlib").axes[0].lines) >= 2
    for no_bound in ({"wanted": "min"}, {"wanted": None}):
        with pytest.raises(InputError, match="needs a goal with a bound"):
            figures.reliability(replace(view, summary=view.summary | no_bound))
