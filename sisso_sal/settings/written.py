"""Settings as TOML text, and what differs between two of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sisso_sal.settings.campaign import CampaignSettings


def settings_toml(settings: CampaignSettings, *, given_only: bool = False, without: Collection[str] = ()) -> str:
    """The settings as TOML text, all of them or those that are no defaults; `load_settings` reads it back.

    Sections `without` are left out: those that a run does not use, which have their defaults.

    Examples
    --------
    >>> from sisso_sal.settings.campaign import load_settings
    >>> settings_toml(load_settings(None, {"batch": 3}), given_only=True)
    'batch = 3\\n'
    """
    import tomli_w

    kept = settings.model_dump(mode="json", exclude_unset=given_only, exclude={*without})
    return tomli_w.dumps(_without_none(kept))


def _without_none(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_none(value) for key, value in data.items() if value is not None}
    return [_without_none(value) for value in data] if isinstance(data, list) else data


def differences(old: CampaignSettings, new: CampaignSettings, places: Mapping[str, str] | None = None) -> list[str]:
    """One line for each setting that differs, with the place where the new value was given if that is known.

    Examples
    --------
    >>> from sisso_sal.settings.campaign import load_settings
    >>> differences(CampaignSettings(), load_settings(None, {"rung": 1}))
    ['model.rung: 2 -> 1']
    >>> differences(CampaignSettings(), load_settings(None, {"batch": 3}), {"batch": "SISSO_SAL_BATCH"})
    ['batch: 10 -> 3 (SISSO_SAL_BATCH)']
    """
    suffixes = {name: f" ({place})" for name, place in (places or {}).items() if place}
    before, after = dict(_flat(old.model_dump())), dict(_flat(new.model_dump()))
    return [
        f"{name}: {before.get(name)} -> {after.get(name)}{suffixes.get(name, '')}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _flat(data: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    out = []
    for key, value in data.items():
        if key == "level":  # a list of tables, each with a name
            value = {level["name"]: {k: v for k, v in level.items() if k != "name"} for level in value}
        out += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return out
