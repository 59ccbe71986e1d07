"""What computed labels rest on, in `status` and on the page: one line for each, more of it unfolds."""

import dataclasses
import re

import pytest

from sisso_sal.campaign.status import status_document
from sisso_sal.errors import CampaignError
from sisso_sal.ledger.fold import check, fold
from sisso_sal.report.page.document import report_html
from sisso_sal.report.text.campaign import SHOWN, status_text

TRIED = [
    {
        "structure": "rocksalt",
        "magnetic_order": "FM",
        "found": "FM",
        "outcome": "converged",
        "energy": -5.0,
        "reason": "",
    },
    {
        "structure": "rocksalt-afm-II",
        "magnetic_order": "AFM-II",
        "found": "AFM",
        "outcome": "converged",
        "energy": -5.1,
    },
    {"structure": "wurtzite", "magnetic_order": "FM", "outcome": "failed", "energy": None, "reason": "<killed>"},
]
DETAILS = {
    "structure": "rocksalt-afm-II",
    "magnetic_order": "AFM-II",
    "coverage": "1 of 3 structure types, 2 of 4 magnetic orders, 1 structure failed",
    "differences": ["TiO2 (rutile, static): occupation_type is gaussian 0.05, of the others the default"],
    "phases": [
        {
            "formula": "NiO",
            "lowest": "rocksalt-afm-II",
            "magnetic_order": "AFM-II",
            "types": [3, 2, 1],
            "orders": [4, 3, 2],
            "tried": TRIED,
        }
    ],
}


@pytest.fixture
def told(view):
    """A view of the campaign in which one label says what it rests on."""

    def with_labels(details, n=1):
        events, last = list(view.events), view.events[-1]
        for id in list(view.ids)[:n]:
            made = {
                "event": "label",
                "id": str(id),
                "value": 1.25,
                "source": "oracle",
                "intent": f"a-{len(events)}",
                "details": details,
            }
            events.append({**made, "seq": len(events) + 1, "time": last["time"]})
            check(events[-1])
        return dataclasses.replace(view, state=fold(events))

    return with_labels


def test_a_line_for_each_label_and_one_where_settings_differ(told):
    view = told(DETAILS)
    document = status_document(view.path, view.state, None)
    (label,) = document["labels"]
    assert (label["magnetic_order"], label["phases"][0]["orders"], label["value"]) == ("AFM-II", [4, 3, 2], 1.25)
    text = status_text(document)
    (line,) = [line for line in text.splitlines() if "rocksalt-afm-II" in line]
    assert re.search(
        r"1\.25 +rocksalt-afm-II +AFM-II +1 of 3 structure types, 2 of 4 magnetic orders, 1 structure failed$", line
    )
    assert "its calculations differ: TiO2 (rutile, static): occupation_type is gaussian 0.05" in text
    narrow = status_text(document, width=60)
    assert "columns left out to fit the width: converged of those known" in narrow


def test_without_magnetism_or_details_nothing_is_said_of_it(told, view):
    plain = {**DETAILS, "magnetic_order": "", "differences": []}
    text = status_text(status_document(view.path, told(plain).state, None))
    assert "magnetic order  " not in text
    assert "differ" not in text
    assert status_document(view.path, view.state, None)["labels"] == []
    assert "converged of those known" not in status_text(status_document(view.path, view.state, None))


def test_of_many_labels_the_newest_are_shown(told):
    view = told(DETAILS, SHOWN + 2)
    text = status_text(status_document(view.path, view.state, None))
    assert "and 2 more" in text


def test_the_page_unfolds_what_was_tried(told, view):
    page = report_html(told(DETAILS))
    section = page.partition('<section id="rests-on">')[2].partition("</section>")[0]
    assert "settings differ" in section
    assert "<summary>1 of 3 structure types, 2 of 4 magnetic orders, 1 structure failed</summary>" in section
    assert "failed: &lt;killed&gt;" in section
    assert "<strong>rocksalt-afm-II</strong>" in section
    assert '<section id="rests-on">' not in report_html(view)


def test_a_ledger_with_details_of_another_shape_is_refused():
    event = {
        "event": "label",
        "id": "NiO",
        "value": 1.0,
        "details": {**DETAILS, "phases": [{"formula": "NiO", "types": [1, 2]}]},
    }
    with pytest.raises(CampaignError, match=r"^ledger: label: details\.phases\.0\.types: needs "):
        check(event)
