"""The reason of each choice in the files of an iteration, in the ledger, in the terminal and in JSON."""

import json

import pandas as pd
import pytest

from sisso_sal.campaign.status import status_document
from sisso_sal.report.text.campaign import preview_text, status_text
from sisso_sal.report.text.results import discover_text
from sisso_sal.report.text.why import why_lines

KEYS = ("chosen_by", "rank", "probability", "reason", "why")


def test_an_iteration_keeps_the_reasons(view):
    for place, row in enumerate(view.proposals, 1):
        assert row["rank"] == place
        assert row["chosen_by"] == row["score"] == row["probability"]
        assert row["why"].startswith(row["reason"].split(",")[0])
    table = pd.read_csv(view.path / view.iteration.folder / "proposals.csv")
    assert table["why"].tolist() == [row["why"] for row in view.proposals]
    recorded = view.state.proposal["proposals"]
    assert [{key: row[key] for key in KEYS} for row in recorded] == [
        {key: row[key] for key in KEYS} for row in view.proposals
    ]


def test_the_terminal_says_them(view):
    text = discover_text({**view.summary, "is_new": True})
    lines = text.split("Why these:\n")[1].split("\n")
    assert len(lines) == len(view.proposals)
    for line, row in zip(lines, view.proposals, strict=True):
        assert line.endswith(f"{row['id']}: {row['why']}")
    assert max(map(len, discover_text({**view.summary, "is_new": True}, 60).split("Why these:")[1].split("\n"))) <= 60


def test_status_says_them_of_what_is_open(view):
    document = status_document(view.path, view.state, None)
    assert [row["id"] for row in document["reasons"]] == document["open"]
    assert [row["why"] for row in document["reasons"]] == [row["why"] for row in view.proposals]
    told = status_text({**document, "has_oracle": False})
    assert all(f"{row['id']}: {row['why']}" in told for row in document["reasons"])
    assert json.loads(json.dumps(document["reasons"])) == document["reasons"]


def test_the_place_by_the_score_alone_is_said_where_it_differs():
    rows = [{"id": "A", "why": "w", "rank": 1}, {"id": "B", "why": "v", "rank": 705}, {"id": "C", "why": ""}]
    assert why_lines(rows) == ["Why these:", " 1  A: w", " 2  B: v; place 705 by the score alone"]
    assert why_lines([{"id": "B", "why": "v", "rank": 8, "place": 8}]) == ["Why these:", " 8  B: v"]
    assert why_lines([{"id": "A"}]) == []
    with_level = {"id": "A", "why": "pbe first: 2 targets for its cost", "rank": 9, "level": "pbe"}
    assert why_lines([with_level])[1].endswith("for its cost")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_candidate_is_no_candidates(view, number):
    text = discover_text({**view.summary, "is_new": True, "n_candidates": number})
    assert f", {number} candidate{'' if number == 1 else 's'}, goal" in text


def test_a_dry_run_says_them(view):
    preview = {
        "run": "run", "iteration": 3, "is_new": True, "n_labelled": 9, "pending": [], "acquisition": "hits",
        "goal": "max", "target": {"name": "gap", "unit": "eV"}, "proposals": view.proposals,
    }  # fmt: skip
    assert view.proposals[0]["why"] in preview_text(preview)
