"""Formulas as chemists write them, names beside points, pictures of cells, and the script that a page holds."""

import hashlib
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sisso_sal
from sisso_sal.oxides.prototypes import prototype_structures
from sisso_sal.report.chemistry import are_formulas, elements_of, named, subscripted
from sisso_sal.report.figures.cell import SIZE, cell_svg
from sisso_sal.report.figures.labels import HEIGHT, LETTER, LINE, WIDTH, placed
from sisso_sal.report.page.document import plotly_script, report_html
from sisso_sal.report.page.materials import cell_of, links

BUNDLE = Path(sisso_sal.__file__).parent / "report" / "page" / "plotly"


@pytest.mark.parametrize(
    ("id", "shown"),
    [
        ("Tl2Ru2O7", "Tl<sub>2</sub>Ru<sub>2</sub>O<sub>7</sub>"),
        ("Zn0.9Ga0.1P0.1S0.9", "Zn<sub>0.9</sub>Ga<sub>0.1</sub>P<sub>0.1</sub>S<sub>0.9</sub>"),
        ("ZnHg3(SCl2)2", "ZnHg<sub>3</sub>(SCl<sub>2</sub>)<sub>2</sub>"),
        ("mp-1234", "mp-1234"),
        ("M12", "M12"),
        ("Ca(OH2", "Ca(OH2"),
        ("<i>TiO2", "&lt;i&gt;TiO2"),
        ("a\nb", r"a\nb"),
    ],
)
def test_numbers_of_formulas_are_subscripts(id, shown):
    assert subscripted(id) == shown
    assert named(id, True) == f'<span class="id">{shown}</span>'


@given(st.text(max_size=12))
def test_any_other_name_stays_text(id):
    shown = subscripted(id)
    assert re.sub(r"</?sub>", "", shown).count("<") == 0
    if not elements_of(id):
        assert "<" not in shown


def test_sample_numbers_are_no_formulas():
    assert are_formulas(["TiO2", "MgO", "Al2O3", "C60"])
    assert not are_formulas([f"S{n}" for n in range(40)])
    assert not are_formulas(["TiO2", "sample 1", "sample 2"])


def test_links_lead_to_the_formula():
    found = {link.name: urlsplit(link.address) for link in links("CaTiO3")}
    assert all(address.scheme == "https" for address in found.values())
    assert unquote(found["COD"].query) == "formula=Ca O3 Ti"
    assert found["OQMD"].path.endswith("/CaTiO3")
    assert links("M07") == []


@pytest.mark.parametrize("formula", ["TiO2", "MgAl2O4", "Tl2Ru2O7"])
def test_a_cell_shows_all_its_atoms(formula):
    name, structure = next(iter(prototype_structures(formula)))
    svg = ElementTree.fromstring(cell_svg(structure, f"{formula} <{name}>"))
    circles = svg.findall("circle")
    symbols = {site.specie.symbol for site in structure}
    assert len(circles) - len(symbols) >= len(structure)
    assert len(svg.findall("line")) == 12
    assert {text.text for text in svg.findall("text")} == symbols
    for circle in circles:
        x, y, r = (float(circle.get(key)) for key in ("cx", "cy", "r"))
        assert -0.5 <= x - r <= x + r <= SIZE + 0.5
        assert y - r >= -0.5
    assert svg.find("title").text == f"{formula} <{name}>"


def test_a_cubic_corner_stands_at_eight_corners():
    _, structure = next(iter(prototype_structures("MgO", ["rocksalt"])))
    at_corner = sum(np.allclose(site.frac_coords % 1, 0) for site in structure)
    assert at_corner == 1
    assert cell_of("MgO")[1].count("<circle") >= 8
    assert (cell_of("M07"), cell_of("NaCl")) == (None, None)


def boxes(x, y, lengths):
    middles = np.column_stack([WIDTH * np.asarray(x), HEIGHT * np.asarray(y)]) + placed(x, y, lengths)
    half = np.column_stack([0.5 * LETTER * np.asarray(lengths), np.full(len(lengths), 0.5 * LINE)])
    return middles - half, middles + half


@given(st.integers(0, 10_000), st.integers(1, 10), st.integers(3, 10))
def test_names_keep_off_each_other_and_the_edge(seed, n, letters):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0.05, 0.95, n), rng.uniform(0.05, 0.95, n)
    low, high = boxes(x, y, [letters] * n)
    assert (low > -1).all()
    assert (high < np.array([WIDTH, HEIGHT]) + 1).all()
    common = [
        np.prod(np.clip(np.minimum(high[a], high[b]) - np.maximum(low[a], low[b]), 0, None))
        for a in range(n)
        for b in range(a)
    ]
    assert sum(common) <= 0.02 * n * LETTER * letters * LINE


def test_the_bundle_is_the_one_that_is_named():
    code = (BUNDLE / "plotly-basic.min.js").read_bytes()
    about = (BUNDLE / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(code).hexdigest() in about
    version = re.search(r"plotly\.js \(basic - minified\) v([\d.]+)", code[:200].decode())[1]
    assert f"plotly.js {version}," in about
    assert "MIT License" in (BUNDLE / "LICENSE").read_text(encoding="utf-8")
    assert "</script" not in plotly_script()


def test_a_page_is_small(view):
    assert len(report_html(view).encode()) < 2_000_000
