"""Fixtures of several folders of tests."""

import os
import tempfile
from pathlib import Path

import pytest
from forks import shared


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_ones_own(tmp_path_factory):
    """Neither the settings file nor the environment of whoever runs the tests counts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("configuration")))
        for name in [name for name in os.environ if name.startswith("SISSO_SAL_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def forks():
    """Calls the real command in processes that start in milliseconds."""
    return shared()


@pytest.fixture
def in_memory():
    """A folder on which a sync costs nothing, where there is one: what is tested is the order of things, not the disk."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)
