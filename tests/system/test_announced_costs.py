"""What long work will take is said before it begins, and what does not fit into the memory is refused."""

import logging

import pytest

from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Cost
from sisso_sal.system import clock, costs


def cost(what="search", seconds=1.0, n_bytes=2**20, less="a smaller --n-sis"):
    return Cost(what, seconds, n_bytes, less)


@pytest.mark.parametrize(("seconds", "level"), [((2.0, 2.9), logging.DEBUG), ((2.0, 3.1), logging.INFO)])
def test_people_are_told_of_what_is_long_in_all(caplog, seconds, level):
    with caplog.at_level(logging.DEBUG, logger=costs.logger.name):
        costs.announce([cost(seconds=part) for part in seconds])
    assert [record.levelno for record in caplog.records] == [level]
    assert caplog.records[0].getMessage().startswith("about 5 s and 0.1 GiB: ")


def test_times_add_up_and_the_largest_memory_counts():
    parts = [cost("search", 100.0, 2**31), cost("correction", 200.0, 3 * 2**30), cost("choice", 0.2, 2**20)]
    assert costs.in_words(parts) == "about 5 min and 3.0 GiB: 100 s for search; 3 min for correction"


def test_a_command_counts_from_its_start(monkeypatch):
    monkeypatch.setattr(clock, "_began", [])
    assert costs.in_words([cost("search", 100.0, 2**31)]) == "about 100 s and 2.0 GiB: 100 s for search"
    monkeypatch.setattr(clock.time, "monotonic", lambda: 1000.0)
    monkeypatch.setattr(clock.time, "process_time", lambda: 2.5)
    clock.begin()
    monkeypatch.setattr(clock.time, "monotonic", lambda: 1010.0)
    told = "about 112 s and 2.0 GiB: 12 s until now; 100 s for search"
    assert costs.in_words([cost("search", 100.0, 2**31)]) == told


def test_a_part_that_does_not_fit_is_refused_before_anything_is_said(monkeypatch, caplog):
    monkeypatch.setattr(costs, "usable_memory", lambda: 2**30)
    with caplog.at_level(logging.DEBUG, logger=costs.logger.name), pytest.raises(SettingsError) as refusal:
        costs.announce([cost(n_bytes=2**30), cost("correction by 50000 labels", 9.0, 60 * 2**30, "fewer labels")])
    assert str(refusal.value) == "correction by 50000 labels: needs 60.0 GiB, found 1.0 GiB free; try fewer labels"
    assert caplog.records == []
