"""Claimed probabilities of classes against the shares that came, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sisso_sal.models.class_calibration import BINS, ClassCalibration
from sisso_sal.models.class_model import ClassName
from sisso_sal.report.figures.colours import COLOURS
from sisso_sal.report.figures.out_of_bag import binomial_quantile
from sisso_sal.report.figures.paper_layout import PaperSheet
from sisso_sal.report.figures.paper_text import TypesetLabel, plain

BLUE, VERMILION = COLOURS[:2]
_SMALLEST, _LARGEST = 8.0, 50.0
"""Area of marks in points squared, and what the most samples add to it."""

_HEIGHTS = {1: 4.3, 2: 6.2}


def noise_band(calibration: ClassCalibration) -> np.ndarray:
    """Share that calibrated probabilities show in each bin with a probability of 95 %, by chance alone: ndarray (n_bins, 2).

    Examples
    --------
    >>> told = ClassCalibration(100, 0.5, 0.7, 0.5, 0.0, 0.0, 0.0, [{"n": 100, "claimed": 0.5, "real": 0.5}])
    >>> noise_band(told)
    array([[0.4, 0.6]])
    """
    rows = calibration.reliability
    ends = [
        [binomial_quantile(q, int(row["n"]), np.array([row["claimed"]]))[0] / row["n"] for q in (0.025, 0.975)]
        for row in rows
    ]
    return np.array(ends, dtype=float)


def reliability_figure(
    told: ClassCalibration, raw: ClassCalibration, classes: Sequence[ClassName], columns: int
) -> Any:
    """Reliability of the out-of-bag probabilities, after and before the scaling, with what chance alone shows.

    Parameters
    ----------
    told, raw : ClassCalibration
        After and before the scaling.
    classes : sequence
    columns : int
        Of a journal that it is wide, 1 or 2.
    """
    sheet = PaperSheet(columns, _HEIGHTS, nrows=2, sharex=True, height_ratios=[4.0, 1.0])
    above, below = sheet.panels
    rows, band = told.reliability, noise_band(told)
    starts = np.array([min(int(row["claimed"] * BINS), BINS - 1) / BINS for row in rows])
    floor = f"calibrated, 95 % range (miscalibration below {told.noise_floor95:.3f})"
    above.bar(
        starts,
        band[:, 1] - band[:, 0],
        1.0 / BINS,
        band[:, 0],
        align="edge",
        color="0.87",
        linewidth=0,
        zorder=1,
        label=floor,
    )
    above.plot([0, 1], [0, 1], "--", color="#888888", linewidth=0.8, zorder=2)
    looks: tuple[tuple[ClassCalibration, dict[str, Any], str], ...] = (
        (told, {"marker": "o", "c": BLUE, "edgecolors": "white", "linewidths": 0.4}, "scaled"),
        (raw, {"marker": "s", "c": "none", "edgecolors": VERMILION, "linewidths": 1.0}, "mean of the members"),
    )
    for one, style, name in looks:
        n, claimed, real = (np.array([row[key] for row in one.reliability]) for key in ("n", "claimed", "real"))
        above.scatter(claimed, real, _SMALLEST + _LARGEST * np.sqrt(n / n.max()), zorder=3, clip_on=False, **style)
        above.scatter([], [], 24.0, label=f"{name} (miscalibration {one.miscalibration:.3f})", **style)
    below.bar(
        starts, [row["n"] for row in rows], 1.0 / BINS, align="edge", color=BLUE, edgecolor="white", linewidth=0.5
    )
    above.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    is_two = len(classes) == 2
    own = f"‘{plain(str(classes[1]))}’" if is_two else "a class"
    sheet.label("y", TypesetLabel.of("share that came, out of bag"))
    sheet.label("y", TypesetLabel.of("samples" if is_two else "claims"), below)
    sheet.label("x", TypesetLabel.of(f"claimed probability of {own}"), below)
    return sheet.finish()
