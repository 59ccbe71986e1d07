"""The list of certain descriptors on the page."""

import re
from dataclasses import replace

import pytest

from sisso_sal.report.page.document import report_html


def part(view, certain):
    """The section as text without tags and with single spaces; "" if there is none."""
    html = report_html(replace(view, summary={**view.summary, "certain": certain}))
    found = re.search(r'<h3 id="certain">(.*?)</div>', html, re.DOTALL)
    return found.group(1) if found else ""


def rows(html):
    plain = re.sub(r"<math.*?</math>", "formula", html, flags=re.DOTALL)
    plain = re.sub(r'<span class="feature"[^>]*>(.*?)</span>', r"\1", plain)
    return re.findall(r'<th scope="row">(.*?)</th>.*?<td class="number">(.*?)</td>', plain, re.DOTALL)


def certain_of(*shares):
    descriptors = [
        {"expression": f"x{number}", "tree": "x", "probability": share, "n_members": 9}
        for number, share in enumerate(shares)
    ]
    return {"threshold": 0.9, "primaries": {"a": 0.95, "b<": 0.1}, "descriptors": descriptors}


def test_the_run_tells_how_probable_descriptors_are(view):
    said = view.summary["certain"]
    found = rows(part(view, said))
    assert len(found) == len(said["primaries"]) + len(said["descriptors"])
    assert [name.replace("<strong>", "").replace("</strong>", "") for name, _ in found][: len(said["primaries"])] == [
        *said["primaries"]
    ]
    assert any("formula" in name for name, _ in found)


@pytest.mark.parametrize(("shares", "is_any"), [((0.95, 0.5), True), ((0.9, 0.5), False), ((), False)])
def test_what_is_certain_is_bold_and_what_is_not_is_said(view, shares, is_any):
    html = part(view, certain_of(*shares))
    assert ("No descriptor is certain" in html) != is_any
    found = rows(html)
    assert found[:2] == [("<strong>a</strong>", "95\u202f%"), ("b&lt;", "10\u202f%")]
    assert [name.startswith("<strong>") for name, _ in found[2:]] == [share > 0.9 for share in shares]


@pytest.mark.parametrize("said", [None, {}])
def test_a_surrogate_that_says_nothing_of_it_has_no_list(view, said):
    assert part(view, said) == ""
