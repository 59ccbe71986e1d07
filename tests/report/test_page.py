"""The report in a real browser: what it shows, what it answers to, and that it asks nobody for anything."""

import base64
import itertools
import json
import re
import shutil
import tempfile
from dataclasses import replace

import numpy as np
import pytest
from hostile import HOSTILE

from sisso_sal.report.figures.course import course
from sisso_sal.report.figures.materials_map import materials_map
from sisso_sal.report.page import sections
from sisso_sal.report.page.document import report_html

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
from selenium.webdriver import ActionChains, Keys  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver")

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-3d-apis", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,900",
)  # fmt: skip


class Page:
    """A report in a browser."""

    def __init__(self, driver, path):
        self.driver, self.path = driver, path

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def open(self, width=1200, dark=False, media=""):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.media(dark, media)
        self.driver.get(f"file://{self.path}")
        WebDriverWait(self.driver, 60).until(lambda _: self.run("return document.documentElement.dataset.drawn"))
        self.run("for (const more of document.querySelectorAll('#more-map')) more.open = true")
        return self

    def media(self, dark, media=""):
        wanted = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wanted.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.find(selector).text

    def click(self, selector):
        self.run(
            "document.querySelector(arguments[0]).scrollIntoView({block: 'center', behavior: 'instant'})", selector
        )
        self.find(selector).click()

    def hover(self, x, y):
        """Text of the box that a point of the map shows.

        A mouse is never still: the move that comes while the map is drawn anew is lost, the next one is not.
        """
        steps = itertools.cycle((0, 1))

        def moved(_):
            right, down = self.pixel(x, y)
            chain = ActionChains(self.driver, duration=50)
            chain.move_to_element_with_offset(self.find("#map-plot"), right + next(steps), down).pause(0.2).perform()
            return self.find("#map-plot .hoverlayer").get_attribute("textContent")

        return WebDriverWait(self.driver, 30).until(moved)

    def trace(self, role):
        """x, y, colours and customdata of a trace of the map, and whether it is visible."""
        return self.run(
            """const gd = document.getElementById('map-plot');
            const t = gd.data.find((trace) => trace.meta && trace.meta.role === arguments[0]);
            return {x: t.x, y: t.y, color: t.marker.color, ids: t.customdata.map((row) => row[0]), visible: t.visible,
                    title: gd.layout.coloraxis.colorbar.title.text};""",
            role,
        )

    def pixel(self, x, y):
        """Where a point of the map lies from the middle of the map, in pixels."""
        self.run("document.getElementById('map-plot').scrollIntoView({block: 'center', behavior: 'instant'})")
        return self.run(
            """const gd = document.getElementById('map-plot'), l = gd._fullLayout, box = gd.getBoundingClientRect();
            return [l.xaxis.d2p(arguments[0]) + l.xaxis._offset - box.width / 2,
                    l.yaxis.d2p(arguments[1]) + l.yaxis._offset - box.height / 2].map(Math.round);""",
            x,
            y,
        )


@pytest.fixture(scope="module")
def page(view, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report_html(view), encoding="utf-8")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        yield Page(driver, path)
        driver.quit()


@pytest.fixture(scope="module")
def opened(page):
    page.driver.get("about:blank")  # the browser's own first page asks for its parts
    page.driver.get_log("performance")
    return page.open()


def test_it_asks_nobody_and_the_console_is_silent(opened):
    logs = [json.loads(entry["message"])["message"] for entry in opened.driver.get_log("performance")]
    asked = [log["params"]["request"]["url"] for log in logs if log["method"] == "Network.requestWillBeSent"]
    assert f"file://{opened.path}" in asked
    assert [url for url in asked if not url.startswith(("file://", "data:", "blob:", "chrome://"))] == []
    assert opened.driver.get_log("browser") == []
    shown = opened.run("return document.querySelectorAll('.js-plotly-plot .main-svg').length")
    assert shown >= 6
    assert opened.run("return document.querySelectorAll('canvas').length") == 0


def test_hostile_names_are_text(opened):
    names = opened.run(
        "return [...document.querySelectorAll('.id')].map((name) => [name.textContent, name.children.length])"
    )
    assert HOSTILE in {text for text, _ in names}
    assert {n for _, n in names} == {0}
    found = opened.find("#find input")
    found.clear()
    found.send_keys(HOSTILE, Keys.ENTER)
    assert opened.text("#map-said").startswith(f"{HOSTILE}: predicted ")


def test_hover_tells_formula_and_numbers(opened, view):
    trace = opened.trace("proposed")
    told = opened.hover(trace["x"][0], trace["y"][0])
    proposal = next(p for p in view.proposals if p["id"] in told)
    assert f"{proposal['mean']:.3g}" in told.replace("−", "-")
    assert "gap (eV)" in told
    assert "sigma" in told
    first = materials_map(view).x.expression
    assert all(name in told for name in first.primaries())


def test_a_box_selects_what_lies_in_it_and_copies_the_ids(opened, view):
    found = materials_map(view)
    (left, top), (right, bottom) = (
        opened.pixel(found.x.low + share * (found.x.high - found.x.low), found.y.high - share * (found.y.high - found.y.low))
        for share in (0.02, 0.7)
    )  # fmt: skip
    assert (found.x.is_log, found.y.is_log) == (False, False)
    area = opened.find("#map-plot")
    chain = ActionChains(opened.driver).move_to_element_with_offset(area, left, top).click_and_hold()
    chain.move_to_element_with_offset(area, right, bottom).release().perform()
    WebDriverWait(opened.driver, 10).until(lambda _: opened.find("#selection").is_displayed())
    x0, x1, y0, y1 = (
        float(opened.find(f"#region [name={name}]").get_attribute("value")) for name in ("x0", "x1", "y0", "y1")
    )
    x, y = (np.float32(axis.values) for axis in (found.x, found.y))
    expected = set(view.ids[(x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)])
    listed = opened.find("#selected-ids").get_attribute("value").split("\n")
    assert set(listed) == expected
    assert 0 < len(expected) < len(view.ids)
    known = sum(view.labelled[list(view.ids).index(id)] for id in listed)
    assert opened.text("#selected-count") == f"{len(listed)} selected: {len(listed) - known} candidates, {known} known"
    opened.click("#selection [data-copy=selected]")
    plural = "" if len(listed) == 1 else "s"
    WebDriverWait(opened.driver, 10).until(
        lambda _: opened.text("#selection .said") == f"copied, {len(listed)} line{plural}"
    )
    search = opened.find("#find input")
    search.clear()
    search.send_keys(Keys.CONTROL, "v")
    assert search.get_attribute("value").split(" ") == listed  # a field has one line
    opened.click("#clear")
    assert not opened.find("#selection").is_displayed()


def test_a_region_can_be_typed_and_given_as_csv(opened, view):
    opened.run("document.querySelectorAll('#region input').forEach((input) => { input.value = ''; })")
    middle = float(np.median(materials_map(view).x.values))
    opened.find("#region [name=x0]").send_keys(f"{middle:.6f}", Keys.ENTER)
    listed = opened.find("#selected-ids").get_attribute("value").split("\n")
    assert set(listed) == set(view.ids[np.float32(materials_map(view).x.values) >= np.float32(f"{middle:.6f}")])
    scores = dict(zip(view.ids, np.where(view.labelled, -np.inf, view.values("score")), strict=True))
    assert [scores[id] for id in listed] == sorted((scores[id] for id in listed), reverse=True)
    opened.click("#clear")


def test_layers_and_maps_change(opened, view):
    assert opened.trace("candidates")["title"] == "gap (eV)"
    opened.click("[name=colour][value=std]")
    trace = opened.trace("candidates")
    std = dict(zip(view.ids, view.values("std"), strict=True))
    assert trace["title"] == "sigma (eV)"
    assert trace["color"] == pytest.approx([std[id] for id in trace["ids"]], rel=1e-3)
    opened.click("[name=colour][value=score]")
    assert opened.trace("candidates")["title"] == "score: hits"
    opened.click("[name=colour][value=mean]")
    before = opened.trace("known")["x"]
    opened.click("[name=formula][value='1']")
    assert opened.trace("known")["x"] == pytest.approx(materials_map(view, 2).x.values[view.labelled], rel=1e-5)
    assert opened.trace("known")["x"] != before
    assert opened.find(".about-map[data-map='1']").is_displayed()
    assert not opened.find(".about-map[data-map='0']").is_displayed()
    opened.click("[name=formula][value='0']")
    opened.click("[name=show][value=known]")
    assert opened.trace("known")["visible"] is False
    opened.click("[name=show][value=known]")


def test_everything_is_reached_by_keys(opened, view):
    opened.run("document.activeElement.blur(); window.scrollTo(0, 0)")
    reached = set()
    for _ in range(90):
        ActionChains(opened.driver).send_keys(Keys.TAB).perform()
        reached.add(
            opened.run("const e = document.activeElement; return e.id || e.name || e.dataset.copy || e.className")
        )
    assert {
        "skip",
        "theme",
        "map-plot",
        "formula",
        "colour",
        "show",
        "drag",
        "whole",
        "wanted",
        "x0",
        "proposed",
        "equation",
    } <= reached
    opened.run("document.getElementById('map-plot').focus()")
    ActionChains(opened.driver).send_keys(Keys.HOME).perform()
    open_rows = np.flatnonzero(~view.labelled & np.isfinite(view.values("score")))
    best = view.ids[open_rows[np.argmax(view.values("score")[open_rows])]]
    assert f"by score. {best}: predicted" in opened.text("#map-said")
    ActionChains(opened.driver).send_keys(Keys.ARROW_RIGHT).perform()
    assert opened.text("#map-said").startswith("2 of ")
    outline = opened.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


CONTRAST = """
const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
const ground = (node) => { for (let e = node; e; e = e.parentElement) {
  const c = numbers(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
const poor = [];
for (const node of document.querySelectorAll('main *, header *')) {
  if (node.closest("svg, .js-plotly-plot, .glyph")) continue;
  if (![...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
  if (!node.getClientRects().length) continue;
  const [a, b] = [luminance(numbers(getComputedStyle(node).color)), luminance(ground(node))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) poor.push([node.tagName, node.textContent.slice(0, 30), ratio]);
}
return poor;
"""


def test_light_and_dark_can_be_read(page):
    for is_dark, ground in ((False, "rgb(255, 255, 255)"), (True, "rgb(20, 23, 27)")):
        page.open(dark=is_dark)
        assert page.run("return getComputedStyle(document.body).backgroundColor") == ground
        assert page.run(CONTRAST) == []
        ink = page.run("return getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()")
        assert page.run("return document.getElementById('map-plot').layout.font.color") == ink
    page.click("#theme")
    assert page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.media(dark=True, media="print")
    assert page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.run("return getComputedStyle(document.querySelector('.tools')).display") == "none"


def test_the_first_answer_needs_no_scrolling(page, view):
    page.open(width=1400)
    order = page.run("return [...document.querySelectorAll('main section')].map((section) => section.id)")
    assert order[:7] == ["answer", "map", "proposals", "results", "accuracy", "formulas", "features"]
    first = view.proposals[0]
    assert page.text("#answer .next").startswith(f"Next: {first['id']}, ")
    assert first["why"] in page.text("#answer .next")
    rows = page.run(
        "return [...document.querySelectorAll('.short tbody tr:not(.details)')].map((row) => row.innerText)"
    )
    assert len(rows) == len(view.proposals)
    for row, proposal in zip(rows, view.proposals, strict=True):
        assert proposal["reason"] in row
        assert f"{proposal['probability']:.0%}".replace("%", "") in row
    ends = page.run(
        "return ['#map-plot', '.short'].map((name) => document.querySelector(name).getBoundingClientRect().bottom)"
    )
    assert max(ends) <= 900
    assert page.run("return document.getElementById('map-plot').layout.annotations.length") == len(view.proposals)
    page.open(width=400)
    assert page.run("return document.querySelector('.short').getBoundingClientRect().bottom") <= 1600


def test_details_unfold_and_say_what_the_choice_rests_on(page, view):
    page.open()
    details = page.find("#details-1")
    assert not details.is_displayed()
    page.click("[aria-controls=details-1]")
    assert details.is_displayed()
    assert page.find("[aria-controls=details-1]").get_attribute("aria-expanded") == "true"
    assert view.proposals[0]["why"] in details.text
    assert "place 1 by the score alone" in details.text
    page.click("#unfold-all")
    shown = page.driver.find_elements(By.CSS_SELECTOR, ".details")
    assert [one.is_displayed() for one in shown] == [True] * len(view.proposals)
    page.click("#unfold-all")
    assert not any(one.is_displayed() for one in shown)


def test_features_say_what_they_are_wherever_they_stand(page, view):
    page.open()
    name = next(iter(view.units))
    page.click("#unfold-all")
    for place in ("#proposals .feature", "#formulas math [data-feature]", ".bars .feature"):
        page.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center', behavior: 'instant'})", place)
        feature = page.find(place)
        ActionChains(page.driver).move_to_element(feature).perform()
        tip = page.find("#tip")
        assert tip.is_displayed()
        name = feature.get_attribute("data-feature")
        assert tip.text.startswith(f"{name}: what it is was not said")
        known = view.columns[name][view.labelled]
        assert f"known from {known.min():.4g} to {known.max():.4g}" in tip.text
    ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
    assert not page.find("#tip").is_displayed()


IN_PRINT = """
const right = document.documentElement.clientWidth + 1;
const shown = [...document.querySelectorAll("main *")].filter((e) => e.getClientRects().length && !e.closest("math, svg"));
const cut = shown.filter((e) => e.getBoundingClientRect().right > right || e.scrollWidth > e.clientWidth + 1 &&
  getComputedStyle(e).overflowX !== "visible" && e.clientWidth);
const plots = [...document.querySelectorAll(".js-plotly-plot")].map((plot) => {
  const box = plot.querySelector(".main-svg").getBoundingClientRect();
  return [box.width, box.height, plot.getBoundingClientRect().width];
});
return [cut.map((e) => e.outerHTML.slice(0, 100)), plots];
"""
"""What does not fit the width of the paper, and the sizes of the figures and of their places."""


@pytest.mark.parametrize("dark", [False, True])
def test_paper_has_all_of_it_on_few_pages(page, dark):
    page.open(width=1400, dark=dark)
    paper = {"printBackground": False, "preferCSSPageSize": True}
    printed = base64.b64decode(page.driver.execute_cdp_cmd("Page.printToPDF", paper)["data"])
    pages = re.findall(rb"/Type\s*/Page\b", printed)
    assert 2 <= len(pages) <= 4
    assert b"/Subtype /Image" not in printed  # figures are lines and letters
    width = round((210 - 2 * 13) / 25.4 * 96)
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.media(dark=dark, media="print")
    assert page.run("return getComputedStyle(document.querySelector('.tools')).display") == "none"
    cut, plots = page.run(IN_PRINT)
    assert cut == []
    assert len(plots) >= 6
    for wide, high, place in plots:
        assert wide <= place + 1
        assert 0.3 < high / wide < 1.2
    page.media(dark=False)
    assert page.driver.get_log("browser") == []


def test_a_telephone_shows_it_without_scrolling_sideways(page):
    page.open(width=400)
    assert page.run("return document.querySelectorAll('.modebar').length") == 0  # it would lie on legends
    assert page.run("return document.documentElement.scrollWidth") <= 400
    wide = page.run(
        """return [...document.querySelectorAll('main > section > *')]
        .filter((e) => e.getBoundingClientRect().right > 401).map((e) => e.outerHTML.slice(0, 80));"""
    )
    assert wide == []
    assert page.run("return document.getElementById('map-plot').layout.xaxis.title.text") == "d1"
    assert page.driver.get_log("browser") == []


@pytest.fixture
def of_another(page, tmp_path):
    """Opens the report of another view in the same browser."""

    def opened(view):
        path = tmp_path / "other.html"
        path.write_text(report_html(view), encoding="utf-8")
        return Page(page.driver, path).open()

    return opened


def test_a_long_campaign_has_no_more_pages(of_another, view, monkeypatch):
    """On paper its table has the first and the last iterations alone, and says so; on the screen it has all."""
    fits = [{**fit, "iteration": n} for n, fit in enumerate(course(view).fits * 12, 1)]
    monkeypatch.setattr(sections, "course", lambda _: replace(course(view), fits=fits))
    long = of_another(view)
    rows = """return [...document.querySelectorAll('#course tbody tr')].filter((r) => r.offsetHeight)
        .map((r) => +r.cells[0].innerText);"""
    assert long.run(rows) == list(range(1, len(fits) + 1))
    assert "on the screen" not in long.text("#course")
    printed = base64.b64decode(long.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) <= 4
    long.media(dark=False, media="print")
    assert long.run(rows) == [1, 2, *range(len(fits) - 9, len(fits) + 1)]
    assert "The first two and the last ten iterations" in long.text("#course")
    long.media(dark=False)


def test_a_page_without_formulas_draws_and_answers(of_another, silent):
    other = of_another(silent)
    figures = other.run(
        "return [...document.querySelectorAll('[data-figure].js-plotly-plot')].map((f) => f.dataset.figure)"
    )
    assert figures == ["parity", "residuals", "calibration", "sigma", "reliability", "course"]
    plane = materials_map(silent)
    assert other.trace("known")["x"] == pytest.approx(plane.x.values[silent.labelled], rel=1e-5)
    other.click("#proposals [data-find]")
    assert other.text("#map-said").startswith(f"{silent.proposals[0]['id']}: predicted ")
    other.click("[name=colour][value=std]")
    assert other.trace("candidates")["title"] == "sigma (eV)"
    shown = other.text("main")
    assert "nan" not in shown.lower().split()
    assert "None" not in shown
    assert other.driver.get_log("browser") == []


def test_a_page_without_a_map_draws_the_rest(of_another, silent):
    other = of_another(replace(silent, columns={"a": silent.columns["a"]}, units={"a": "eV"}))
    assert other.run("return document.querySelectorAll('.js-plotly-plot').length") == 6
    other.click("#theme")
    other.click("[data-copy=proposed]")
    WebDriverWait(other.driver, 10).until(lambda _: other.text("#proposals .said").startswith("copied, "))
    assert other.driver.get_log("browser") == []
