"""What a process uses of its machine."""

import os
import platform
import subprocess
import sys

import pytest

from sisso_sal.system.machine import usable_cores


@pytest.mark.parametrize(("given", "threads"), [(None, {1}), ("2", {2})])
def test_blas_starts_with_one_thread_unless_told_otherwise(given, threads):
    code = (
        "import os; from sisso_sal.system.machine import start_blas; before = dict(os.environ); start_blas()\n"
        "import numpy, scipy.linalg.cython_blas; from threadpoolctl import threadpool_info\n"
        "assert dict(os.environ) == before\n"
        "print(*{pool['num_threads'] for pool in threadpool_info() if pool['internal_api'] == 'openblas'})"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment |= {} if given is None else {"OPENBLAS_NUM_THREADS": given}
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    found = {int(word) for word in out.split()}
    if not found:
        pytest.skip("NumPy and SciPy have another BLAS here")
    if given is None or usable_cores() > 1:  # a library takes no more threads than there are cores
        assert found == threads


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_kept_for_the_next_array():
    """Also where a threshold was given, as Dask does for its workers: no new pages for each array."""
    code = (
        "import resource, sys\nimport numpy as np\nfrom sisso_sal.system.machine import keep_freed_memory\n"
        "if sys.argv[1] == 'kept': keep_freed_memory()\n"
        "for i in range(3): np.ones(1 << 20)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for i in range(100): np.ones(1 << 20)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}

    def faults(how):
        done = subprocess.run(
            [sys.executable, "-c", code, how], env=environment, capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert faults("kept") < 0.2 * faults("not")
