"""What the tests of the command line have in common."""

import pytest

from sisso_sal.engine.search import compile_for


@pytest.fixture(scope="session", autouse=True)
def compiled():
    """Kernels are on disk: a command that compiles them says so, and tests compare what commands say."""
    compile_for(3)
