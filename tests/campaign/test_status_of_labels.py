"""Where labels came from, in one word, as the state of a campaign tells it."""

from pathlib import Path

import pytest

from sisso_sal.campaign.status import status_document
from sisso_sal.ledger.fold import fold
from sisso_sal.report.text.campaign import status_text


def told(*sources):
    events = [
        {
            "seq": n,
            "time": "2026-01-01T00:00:00+00:00",
            "event": "label",
            "id": f"M{n}",
            "value": float(n),
            "source": source,
        }
        for n, source in enumerate(sources, 1)
    ]
    return status_document(Path("run"), fold(events), None)


@pytest.mark.parametrize("source", ["person", "file", "folder", "oracle"])
def test_labels_are_counted_by_their_source(source):
    document = told("table", source, source)
    assert document["sources"] == {source: 2, "table": 1}
    assert f"3 labelled (2 from {source}, 1 from table)" in status_text(document)


def test_a_campaign_with_the_labels_of_its_table_says_nothing_more():
    assert "2 labelled\n" in status_text(told("table", "table"))


def test_a_label_that_is_replaced_has_the_newer_source():
    events = [
        {"seq": 1, "time": "2026-01-01T00:00:00+00:00", "event": "label", "id": "M", "value": 1.0, "source": "oracle"},
        {"seq": 2, "time": "2026-01-01T00:00:00+00:00", "event": "label", "id": "M", "value": 2.0, "source": "person"},
    ]
    assert status_document(Path("run"), fold(events), None)["sources"] == {"person": 1}
