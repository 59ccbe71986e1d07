"""What a learner of the rest that formulas leave must do: extremely randomised trees and Gaussian processes do it.

Each gives mean and sigma of new rows, the same of every training row as if that row had been left out. They are plain data: a
copy or a pickle of one predicts the same digits.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Learner(Protocol):
    """What a correction is made of.

    `rows` (n, n_inputs) are standardised and hold what the learner sees; `formula` (n,) is the mean of the formulas.
    """

    @property
    def left_out_mean(self) -> np.ndarray: ...

    @property
    def left_out_std(self) -> np.ndarray: ...

    @property
    def kinship(self) -> float:
        """Weight of compositions beside the features; 0 where they are not seen."""
        ...

    def predict(self, rows: np.ndarray, formula: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sigma (n,) each; the bits of a row depend on that row alone."""
        ...
