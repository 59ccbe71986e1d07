"""Inputs on which SISSO 3.5 was run; tests that use them skip where they are not beside the project."""

from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1].parent / "shared" / "reference" / "tasks"


def shared_tasks(name: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of the primary features, their values (n_primary, n_samples), and the second column (n_samples,) of a train.dat."""
    file = FOLDER / name / "train.dat"
    if not file.exists():
        pytest.skip(f"needs ../shared/reference/tasks/{name}")
    header, *rows = (line.split() for line in file.read_text().splitlines() if line.strip())
    numbers = np.array([row[1:] for row in rows], dtype=float).T
    return header[2:], np.ascontiguousarray(numbers[1:]), numbers[0]
