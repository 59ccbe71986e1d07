"""Surrogates by name: a record each, those of installed packages included. What computes is imported when one is made."""

from __future__ import annotations

from sisso_sal.protocols import Surrogate, SurrogateKind
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.system.plugins import named, registered

_TO_COMPARE_WITH = "sisso_sal.models.surrogates"


def _labels_for_terms(settings: CampaignSettings) -> tuple[int, str]:
    """Terms, an intercept, and one label more."""
    dim = settings.model.completed(ensemble=True).dim or 1
    return dim + 2, f" for dim {dim}"


def _two_labels(settings: CampaignSettings) -> tuple[int, str]:
    return 2, ""


_BUILT_IN = (
    SurrogateKind(
        "sisso",
        "an ensemble of formulas and what it learns from their residuals",
        "sisso_sal.models.sisso:make_sisso",
        _labels_for_terms,
        ("model", "ensemble"),
    ),
    SurrogateKind(
        "no-formulas",
        "the ensemble's trees and processes without formulas",
        "sisso_sal.models.no_formulas:make_no_formulas",
        _two_labels,
        ("ensemble",),
    ),
    SurrogateKind("trees", "extremely randomised trees", f"{_TO_COMPARE_WITH}:make_trees", _two_labels),
    SurrogateKind("forest", "a random forest", f"{_TO_COMPARE_WITH}:make_forest", _two_labels),
    SurrogateKind("process", "a Gaussian process", f"{_TO_COMPARE_WITH}:make_process", _two_labels),
)
SURROGATES = registered("sisso_sal.surrogates", {kind.name: kind for kind in _BUILT_IN})
"""All kinds by name: those of the program, and those of installed packages (entry points ``sisso_sal.surrogates``)."""


def surrogate_named(name: str) -> SurrogateKind:
    """The kind of surrogate with this name.

    Raises
    ------
    SettingsError
        There is none, or it is that of a plug-in that cannot be used.

    Examples
    --------
    >>> surrogate_named("forest").summary
    'a random forest'
    """
    return named("surrogate", name, SURROGATES)


def unused_sections(name: str) -> frozenset[str]:
    """Sections of the settings on formulas that the surrogate with this name does not use.

    Examples
    --------
    >>> sorted(unused_sections("forest")), sorted(unused_sections("sisso"))
    (['ensemble', 'model'], [])
    """
    return frozenset({"model", "ensemble"} - {*surrogate_named(name).sections})


def make_surrogate(settings: CampaignSettings, seed: int, threads: int | None = None) -> Surrogate:
    """The unfitted surrogate that settings name.

    Parameters
    ----------
    settings : CampaignSettings
    seed : int
    threads : int or None
        All usable cores by default.

    Raises
    ------
    SettingsError
        There is no such surrogate.

    Examples
    --------
    >>> make_surrogate(CampaignSettings(surrogate="forest"), 7).seed
    7
    """
    return surrogate_named(settings.surrogate).made(settings, seed, threads)
