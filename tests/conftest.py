"""Fixtures of several folders of tests."""

import gc
import importlib
import os
import sqlite3
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from forks import shared
from hypothesis import settings

collect_ignore = [] if find_spec("jobflow") else ["makers.py"]

# The same examples in every run, so that no test depends on luck. `pytest --hypothesis-profile random` draws others, four times as
# many, and prints for each failure what repeats it.
settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=25)
settings.register_profile("random", derandomize=False, deadline=None, print_blob=True, database=None, max_examples=100)
settings.load_profile("fixed")


def pytest_configure(config):
    """With STRICT_WARNINGS=1 a warning of any package is an error, but for those that pyproject.toml lists as known."""
    if os.environ.get("STRICT_WARNINGS") == "1":
        config.getini("filterwarnings").insert(0, "error")  # a later line counts more


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session):
    """In a fresh clone one worker compiles kernels while another one compiles the tests; each then finds what the other did."""
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw1":
        kernels().compile_regression()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session):
    """What was collected stays to the end: to look through it for garbage again and again took a tenth of the time of the tests."""
    gc.collect()
    gc.freeze()
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw0":  # the other one is still collecting
        kernels().compile_classes()
        kernels().compile_trees()


def kernels():
    """Imported late: the process that hands out the tests needs no numba."""
    return importlib.import_module("compiled")


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_ones_own(tmp_path_factory):
    """Neither the settings file nor the environment of whoever runs the tests counts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("configuration")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        for name in [name for name in os.environ if name.startswith("SISSO_SAL_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def kernels_on_disk():
    """A command that compiles kernels says so, and tests compare what commands say."""
    kernels().compile_regression()


@pytest.fixture(scope="session")
def forks():
    """Calls the real command in processes that start in milliseconds."""
    return shared()


@pytest.fixture
def closes_databases():
    """What the test calls closes each connection to SQLite that it opens, before the garbage collector does it."""
    before = {id(connection) for connection in open_databases()}
    gc.disable()
    yield
    left = [connection for connection in open_databases() if id(connection) not in before]
    gc.enable()
    assert left == []


def open_databases():
    # By type, as proxies may be broken.
    connections = [thing for thing in gc.get_objects() if issubclass(type(thing), sqlite3.Connection)]
    return [connection for connection in connections if is_open(connection)]


def is_open(connection):
    try:
        return connection.total_changes >= 0
    except sqlite3.ProgrammingError:
        return False


@pytest.fixture
def in_memory():
    """A folder on which a sync costs nothing, where there is one: what is tested is the order of things, not the disk."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)
