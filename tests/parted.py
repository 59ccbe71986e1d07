"""Functions of a part that tests send to other processes."""

import os
import signal
import time
from pathlib import Path

from sisso_sal.errors import InputError


def square(part):
    return part * part


def slow_square(part):
    time.sleep(0.2)
    return part * part


def marked_square(folder, part):
    Path(folder, str(part)).touch()
    return slow_square(part)


def pid(part):
    return os.getpid()


def unlucky(part):
    if part == 3:
        raise InputError("part 3: needs luck")
    return part


def dies_once(folder, part):
    """Every fourth part kills its worker the first time."""
    mark = Path(folder, str(part))
    if part % 4 == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return part * part


def always_dies(part):
    if part == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return part * part


def announces(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)


def counts(file):
    with open(file, "a") as log:
        log.write("1\n")


def threads(part):
    import numpy  # noqa: F401
    from threadpoolctl import threadpool_info

    names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
    blas = sorted({one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"})
    return {name: os.environ.get(name) for name in names} | {"blas": blas}
