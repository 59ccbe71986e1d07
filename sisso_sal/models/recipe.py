"""All settings of an ensemble in one frozen record, checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sisso_sal.errors import FitError, SettingsError
from sisso_sal.features.space import SpaceSettings
from sisso_sal.models.aggregation import MEANS
from sisso_sal.models.baseline import wanted_columns
from sisso_sal.models.correction import KINDS as CORRECTIONS
from sisso_sal.models.fitting import SearchSettings, search_settings, space_settings
from sisso_sal.models.posterior import N_SCORED
from sisso_sal.models.recalibration import FEWEST
from sisso_sal.models.recalibration import KINDS as RECALIBRATIONS
from sisso_sal.models.transform import KINDS as TRANSFORMS
from sisso_sal.system.documents import LARGEST_INTEGER

LOSSES = ("squared", "huber")
"""Losses by name."""

POSITIVE = ("auto", "yes", "no")
"""Whether a target is never below zero, by name."""

_KNOWN: dict[str, Sequence[str]] = {
    "target_transform": TRANSFORMS,
    "loss": LOSSES,
    "aggregation": MEANS,
    "correction": CORRECTIONS,
    "recalibrate": RECALIBRATIONS,
    "positive": POSITIVE,
}


@dataclass(frozen=True, kw_only=True)
class EnsembleRecipe:
    """How an ensemble is made; see `SISSOEnsemble` for what each setting means.

    Attributes
    ----------
    space : SpaceSettings
    search : SearchSettings
    members : int
    dropout : float
    adapt : bool
    target_transform, loss, aggregation, correction, recalibrate, positive : str
    low : tuple of str
    seed : int

    Raises
    ------
    SettingsError
        A setting is out of range.

    Examples
    --------
    >>> EnsembleRecipe(space=SpaceSettings(), search=SearchSettings(dim=3)).changed(dim=1, members=5).search.dim
    1
    """

    space: SpaceSettings
    search: SearchSettings
    members: int = 30
    dropout: float = 0.2
    adapt: bool = True
    target_transform: str = "none"
    loss: str = "squared"
    aggregation: str = "mean"
    correction: str = "both"
    recalibrate: str = "isotonic"
    positive: str = "auto"
    low: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.members, int | np.integer) and self.members >= 2):
            raise SettingsError(f"members: needs an integer >= 2, found {self.members!r}")
        if not (isinstance(self.seed, int | np.integer) and 0 <= self.seed <= LARGEST_INTEGER):
            raise SettingsError(f"random_state: needs an integer from 0 to {LARGEST_INTEGER}, found {self.seed!r}")
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"dropout: needs a share from 0 to below 1, found {self.dropout!r}")
        for name, values in _KNOWN.items():
            if getattr(self, name) not in values:
                raise SettingsError(f"{name}: needs one of {', '.join(values)}, found {getattr(self, name)!r}")

    @property
    def rungs(self) -> list[int]:
        """Rungs that members are searched for in."""
        return list(range(1, self.space.rung + 1)) if self.adapt and self.space.rung > 1 else [self.space.rung]

    @property
    def dims(self) -> range:
        """Numbers of terms that members may have."""
        return range(1 if self.adapt else self.search.dim, self.search.dim + 1)

    def floor(self, labels: np.ndarray) -> float:
        """The lowest value that the target can have: 0, or minus infinity.

        Raises
        ------
        FitError
            The target is said to be positive, and a label is not.
        """
        lowest = float(labels.min(initial=np.inf))
        if self.positive == "yes" and lowest < 0:
            raise FitError(f"positive: needs labels of at least 0, found {lowest:g}")
        is_positive = lowest >= 0 and len(labels) >= FEWEST and float(labels.max()) > 0
        return 0.0 if self.positive == "yes" or (self.positive == "auto" and is_positive) else -np.inf

    def space_of(self, rung: int) -> SpaceSettings:
        """The settings of the feature space of a rung."""
        return replace(self.space, rung=rung)

    def changed(self, **settings: Any) -> EnsembleRecipe:
        """The same with other settings; `rung`, `dim`, `n_sis` and `n_scored` go where they belong."""
        space = {name: settings.pop(name) for name in ("rung",) if name in settings}
        search = {name: settings.pop(name) for name in ("dim", "n_sis", "n_scored") if name in settings}
        return replace(self, space=replace(self.space, **space), search=replace(self.search, **search), **settings)


_OWN = ("members", "dropout", "adapt", *_KNOWN)
"""Settings that an ensemble and its recipe call by the same name."""


def recipe_of(settings: Mapping[str, Any]) -> EnsembleRecipe:
    """All parameters of a `SISSOEnsemble`, checked.

    Raises
    ------
    SettingsError
        One is out of range.
    """
    return EnsembleRecipe(
        space=space_settings(settings),
        search=search_settings(settings, n_models=1, n_scored=N_SCORED),
        seed=settings["random_state"],
        low=wanted_columns(settings["low"]),
        **{name: settings[name] for name in _OWN},
    )
