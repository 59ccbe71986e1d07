"""Fixtures of several files."""

import pytest

from sisso_sal.models import members


@pytest.fixture
def drawn(monkeypatch):
    """The problems of every ensemble that is fitted in the test: their weights are the bootstrap counts."""
    problems = []
    original = members.draw_members

    def spy(*arguments):
        problems[:] = original(*arguments)
        return list(problems)

    monkeypatch.setattr(members, "draw_members", spy)
    return problems
