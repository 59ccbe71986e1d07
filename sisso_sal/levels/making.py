"""How the surrogate of each level of theory is made."""

from __future__ import annotations

from collections.abc import Callable

from sisso_sal.data.headers import split_header
from sisso_sal.levels.ladder import MakeLevel
from sisso_sal.protocols import Surrogate
from sisso_sal.settings.campaign import CampaignSettings

MANY = 500
"""Values of a lower level above which trees learn them: an ensemble would take long, and says little more."""

ROWS_BESIDE = 2
"""Values that a formula needs beside one for each term."""


def maker(
    make: Callable[[CampaignSettings, int], Surrogate], settings: CampaignSettings, seed: int, n_levels: int
) -> MakeLevel:
    """How the surrogate of each level is made; with many values it is one of trees.

    Parameters
    ----------
    make : callable
        (settings, seed) -> an unfitted surrogate.
    settings : CampaignSettings
    seed : int
        Of the highest level.
    n_levels : int
        Lower levels.
    """

    def made(low: tuple[str, ...], number: int, n_values: int) -> Surrogate:
        is_last = number == n_levels
        given = settings.ensemble.low or () if is_last else ()
        names = {split_header(column)[0]: None for column in (*low, *given)}
        ensemble = settings.ensemble.model_copy(update={"low": tuple(names) if names or not is_last else None})
        own = settings.model_copy(update={"ensemble": ensemble})
        if not is_last:
            own = _of_lower(own, n_values)
        return make(own, seed + 1 + number if not is_last else seed)

    return made


def _of_lower(settings: CampaignSettings, n_values: int) -> CampaignSettings:
    """The settings without what was said of the target, and with no more terms than so many values allow."""
    kind = "trees" if n_values > MANY else settings.surrogate
    ensemble = settings.ensemble.model_copy(update={"transform": "none", "positive": "auto"})
    dim = settings.model.dim
    model = settings.model.model_copy(update={"dim": None if dim is None else max(1, min(dim, n_values - ROWS_BESIDE))})
    return settings.model_copy(update={"goal": "min", "surrogate": kind, "ensemble": ensemble, "model": model})
