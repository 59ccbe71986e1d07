"""What other packages add: objects that installed distributions declare as entry points, beside the built-in ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pkgutil import resolve_name
from typing import Any

from sisso_sal.errors import SettingsError


def registered(group: str, built_in: Mapping[str, Any]) -> Mapping[str, Any]:
    """The built-in objects of a kind and those of installed plug-ins, by name.

    Nothing is read or imported by this call. The entry points are read when a name is looked up or the names are listed, once in a
    process; an object is imported when it is looked up.

    Parameters
    ----------
    group : str
        Of the entry points, for example ``sisso_sal.acquisitions``.
    built_in : mapping of str to object
        A text ``module:attribute`` stands for an object that is imported when it is looked up.

    Returns
    -------
    Mapping
        Built-in names first, in their order, then those of plug-ins in alphabetical order. Looking up an unknown name raises
        `KeyError`, see `named`. Any use raises `SettingsError` where a plug-in has a name that is taken, and a look-up where the
        plug-in cannot be imported; both name its distribution.

    Examples
    --------
    >>> numbers = registered("sisso_sal.examples", {"tau": "math:tau", "one": 1})
    >>> list(numbers), round(numbers["tau"], 2), numbers["one"]
    (['tau', 'one'], 6.28, 1)
    """
    return _Registered(group, built_in)


def named(what: str, name: str, known: Mapping[str, Any]) -> Any:
    """The object of this name.

    Parameters
    ----------
    what : str
        What it is called in the message.
    name : str
    known : mapping
        See `registered`.

    Raises
    ------
    SettingsError
        There is none, or it is that of a plug-in that cannot be used.

    Examples
    --------
    >>> named("number", "two", {"one": 1, "two": 2})
    2
    """
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise SettingsError(f"{what}: needs one of {', '.join(known)}, found '{name}'{hint}")
    return known[name]


class _Registered(Mapping[str, Any]):
    """See `registered`."""

    def __init__(self, group: str, built_in: Mapping[str, Any]):
        self._group, self._built_in = group, built_in

    def __getitem__(self, name: str) -> Any:
        plugged_in = self._plugged_in()
        if name in plugged_in:
            return _loaded(plugged_in[name])
        value = self._built_in[name]
        return resolve_name(value) if isinstance(value, str) else value

    def __iter__(self) -> Iterator[str]:
        return iter([*self._built_in, *self._plugged_in()])

    def __len__(self) -> int:
        return len(self._built_in) + len(self._plugged_in())

    def __contains__(self, name: object) -> bool:
        return name in self._built_in or name in self._plugged_in()

    def _plugged_in(self) -> Mapping[str, EntryPoint]:
        taken: dict[str, EntryPoint] = {}
        for entry in _entries(self._group):
            other = "sisso-sal" if entry.name in self._built_in else None
            other = _distribution(taken[entry.name]) if entry.name in taken else other
            if other is not None:
                raise SettingsError(
                    f"{self._group}: needs a plug-in whose name is not taken, found '{entry.name}' of {_distribution(entry)}, "
                    f"a name of {other}; uninstall or rename it"
                )
            taken[entry.name] = entry
        return taken


@cache
def _entries(group: str) -> tuple[EntryPoint, ...]:
    """In alphabetical order."""
    return tuple(sorted(entry_points(group=group), key=lambda entry: (entry.name, _distribution(entry))))


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:  # a plug-in is foreign code: whatever it raises, one line tells whose it is
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise SettingsError(
            f"{entry.group}: needs a plug-in that can be imported, found '{entry.name}' of {_distribution(entry)} "
            f"({entry.value}): {text}"
        ) from error


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "an unknown distribution"
