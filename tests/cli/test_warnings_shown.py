"""Warnings that a person who runs a command can act on are notes; those of packages about themselves are not."""

import sys
import warnings

import pytest

from sisso_sal import cli
from sisso_sal.errors import SissoSalWarning


@pytest.mark.parametrize(
    ("category", "shown"),
    [(SissoSalWarning, True), (UserWarning, True), (FutureWarning, False), (DeprecationWarning, False)],
)
def test_a_warning_is_a_note_if_it_can_be_acted_on(category, shown, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["sisso-sal"])  # and not pytest's, which may have -q
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = cli._show_warning
        warnings.warn("gcd is deprecated", category, stacklevel=1)
    assert ("gcd is deprecated" in capsys.readouterr().err) is shown
