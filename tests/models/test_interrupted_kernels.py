"""Ctrl-C while a kernel runs."""

import importlib
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
from compiled import needs_compiled

import sisso_sal

INTERRUPTED = """
import os, signal, threading, time
import numpy as np
from sisso_sal.models.trees import grown_on_all

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
rng = np.random.default_rng(0)
rows, target = rng.normal(size=(400, 60)), rng.normal(size=400)
grown_on_all(rows, target, np.ones(400), 1)

def interrupt():
    time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)

for _ in range(5):
    threading.Thread(target=interrupt).start()
    try:
        while True:
            grown_on_all(rows, target, np.ones(400), 1)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@needs_compiled
def test_an_interruption_of_a_kernel_is_raised_when_it_ends():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split()) == (0, ["interrupted"] * 5), done.stderr


def kernels():
    """Compiled functions that Python calls, by name."""
    from numba.core.dispatcher import Dispatcher

    for module in pkgutil.walk_packages(sisso_sal.__path__, "sisso_sal."):
        if module.name.rpartition(".")[2].startswith("_") or module.name == "sisso_sal.models.kernel":
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, Dispatcher) and not value.targetoptions.get("no_cpython_wrapper"):
                    yield f"{module.name}.{name}", value


@needs_compiled
def test_no_kernel_returns_an_array(small_ensemble):
    """To make an array for Python, compiled code calls a Python function, and crashes if an interruption is raised there."""
    from numba.core import types

    def has_array(kind):
        return isinstance(kind, types.Array) or any(map(has_array, getattr(kind, "types", ())))

    signatures = {name: kernel.nopython_signatures for name, kernel in kernels()}
    assert {"sisso_sal.models._branches.grow", "sisso_sal.engine._duplicates.cluster"} <= {
        n for n, s in signatures.items() if s
    }
    assert [name for name, own in signatures.items() if any(has_array(one.return_type) for one in own)] == []


@pytest.fixture
def small_ensemble():
    """Something that calls the kernels."""
    from sisso_sal.models.ensemble import SISSOEnsemble

    rng = np.random.default_rng(1)
    table = rng.uniform(1.0, 2.0, (60, 4))
    return (
        SISSOEnsemble(members=4, rung=1, dim=2, n_sis=10, threads=1)
        .fit(table, table[:, 0] * table[:, 1])
        .predict(table)
    )
