"""Fixtures of several files."""

import pytest

from sisso_sal.models.ensemble import SISSOEnsemble


@pytest.fixture
def drawn(monkeypatch):
    """The problems of every ensemble that is fitted in the test: their weights are the bootstrap counts."""
    problems = []
    original = SISSOEnsemble._draw

    def spy(self, *arguments):
        problems[:] = original(self, *arguments)
        return list(problems)

    monkeypatch.setattr(SISSOEnsemble, "_draw", spy)
    return problems
