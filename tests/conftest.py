"""Fixtures of several folders of tests."""

import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def in_memory():
    """A folder on which a sync costs nothing, where there is one: what is tested is the order of things, not the disk."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)
