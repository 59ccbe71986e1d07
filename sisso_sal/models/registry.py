"""Surrogates by name: a record each, those of installed packages included. What computes is imported when one is made."""

from __future__ import annotations

from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Surrogate, SurrogateKind
from sisso_sal.settings.campaign import CampaignSettings
from sisso_sal.system.plugins import named, registered

_TO_COMPARE_WITH = "sisso_sal.models.surrogates"
_OF_CLASSES = "sisso_sal.models.class_surrogates"


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
        f"{_OF_CLASSES}:make_hit_formulas",
    ),
    SurrogateKind(
        "no-formulas",
        "the ensemble's trees and processes without formulas",
        "sisso_sal.models.no_formulas:make_no_formulas",
        _two_labels,
        ("ensemble",),
    ),
    SurrogateKind("trees", "extremely randomised trees", f"{_TO_COMPARE_WITH}:make_trees", _two_labels),
    SurrogateKind(
        "forest",
        "a random forest",
        f"{_TO_COMPARE_WITH}:make_forest",
        _two_labels,
        make_classes=f"{_OF_CLASSES}:make_hit_forest",
    ),
    SurrogateKind("process", "a Gaussian process", f"{_TO_COMPARE_WITH}:make_process", _two_labels),
    SurrogateKind(
        "logistic",
        "a logistic regression, for classes alone",
        f"{_OF_CLASSES}:make_hit_logistic",
        make_classes=f"{_OF_CLASSES}:make_hit_logistic",
        of_numbers=False,
    ),
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


def check_surrogate(settings: CampaignSettings) -> None:
    """Refuse a surrogate that cannot predict what the goal asks for.

    Raises
    ------
    SettingsError
        There is no such surrogate, it predicts no classes, or nothing else; the message names those that can.

    Examples
    --------
    >>> check_surrogate(CampaignSettings(surrogate="process", goal="=perovskite"))
    Traceback (most recent call last):
        ...
    sisso_sal.errors.SettingsError: surrogate: needs one of sisso, forest, logistic for the classes =perovskite, found 'process'
    """
    kind, of_classes = surrogate_named(settings.surrogate), settings.looks_for_classes
    if not _fits(kind, of_classes):
        able = ", ".join(
            one.name for one in SURROGATES.values() if isinstance(one, SurrogateKind) and _fits(one, of_classes)
        )
        wanted = f"the classes {settings.goal.strip()}" if of_classes else f"the goal {settings.goal}"
        raise SettingsError(f"surrogate: needs one of {able} for {wanted}, found '{kind.name}'")


def _fits(kind: SurrogateKind, of_classes: bool) -> bool:
    return kind.make_classes is not None if of_classes else kind.of_numbers


def fewest_labels(settings: CampaignSettings) -> tuple[int, str]:
    """Labels that the surrogate of these settings needs, and why; of classes one, with which a campaign can begin."""
    return (1, "") if settings.looks_for_classes else surrogate_named(settings.surrogate).fewest_labels(settings)


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
        There is no such surrogate, or it cannot predict what the goal asks for.

    Examples
    --------
    >>> make_surrogate(CampaignSettings(surrogate="forest"), 7).seed
    7
    """
    check_surrogate(settings)
    return surrogate_named(settings.surrogate).made(settings, seed, threads)
