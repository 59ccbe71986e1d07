"""Acquisitions by name: the built-in ones, and those of installed plug-ins. None is imported before it is looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sisso_sal.errors import SettingsError
from sisso_sal.protocols import Acquisition
from sisso_sal.system.plugins import named, registered

if TYPE_CHECKING:
    from sisso_sal.acquisition.goal import Goal

_ROOM = "sisso_sal.acquisition"

ACQUISITIONS = registered(
    "sisso_sal.acquisitions",
    {
        "hits": f"{_ROOM}.scores:HITS",
        "mean": f"{_ROOM}.baselines:MEAN",
        "ei": f"{_ROOM}.scores:EI",
        "log_ei": f"{_ROOM}.scores:LOG_EI",
        "member_ei": f"{_ROOM}.members:MEMBER_EI",
        "pi": f"{_ROOM}.scores:PI",
        "lcb": f"{_ROOM}.scores:LCB",
        "mli": f"{_ROOM}.scores:MLI",
        "thompson": f"{_ROOM}.members:THOMPSON",
        "std": f"{_ROOM}.baselines:STD",
        "random": f"{_ROOM}.baselines:RANDOM",
        "distance": f"{_ROOM}.baselines:DISTANCE",
    },
)
"""Acquisitions by name, in the order in which the help lists them."""


def acquisition_named(name: str, goal: Goal | None = None) -> Acquisition:
    """The acquisition with this name.

    Raises
    ------
    SettingsError
        There is none, it cannot look for this goal, or it is that of a plug-in that cannot be used.

    Examples
    --------
    >>> acquisition_named("std").meaning
    'the standard deviation of the prediction'
    """
    acquisition = named("acquisition", name, ACQUISITIONS)
    if not isinstance(acquisition, Acquisition) or acquisition.name != name:
        raise SettingsError(f"acquisition: needs an `Acquisition` of the name '{name}', found {acquisition!r}")
    if goal is not None and goal.kind == "classes" and not acquisition.of_classes:
        names = ", ".join(one.name for one in map(installed, ACQUISITIONS) if one is not None and one.of_classes)
        raise SettingsError(f"acquisition: needs one of {names} for the classes {goal}, found '{name}'")
    if goal is not None and acquisition.needs_direction and not goal.has_direction:
        able = [one for one in map(installed, ACQUISITIONS) if one is not None and not one.needs_direction]
        names = ", ".join(one.name for one in able)
        raise SettingsError(f"acquisition: needs one of {names} for the window {goal}, found '{name}'")
    return acquisition


def installed(name: str) -> Acquisition | None:
    """The acquisition with this name; None where it cannot be had, as of a plug-in that has been uninstalled since.

    Examples
    --------
    >>> installed("no_such_acquisition") is None
    True
    """
    try:
        return acquisition_named(name)
    except SettingsError:
        return None


def meaning_of(name: str, classes: bool = False) -> str:
    """What the score of an acquisition is, as a phrase, for classes or numbers; of one that is not installed the name alone.

    Examples
    --------
    >>> meaning_of("hits"), meaning_of("no_such_acquisition")
    ('the probability to reach the goal', 'no_such_acquisition')
    """
    acquisition = installed(name)
    return name if acquisition is None else acquisition.explained(classes=classes)
