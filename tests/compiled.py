"""Whether the kernels are compiled: `make test-nojit` runs them as plain Python, for coverage."""

import os

import pytest
from hypothesis import settings

IS_COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"

needs_compiled = pytest.mark.skipif(not IS_COMPILED, reason="takes minutes where kernels are plain Python")


def examples_of(most):
    """How many examples a property is tested with: all by `make test-fuzz`, a share by `make test` (see conftest.py)."""
    return max(min(most, 5), most * settings.default.max_examples // 100) if IS_COMPILED else 2
