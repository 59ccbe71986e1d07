"""Settings in layers, and where each comes from: option > environment > campaign TOML > user TOML > default.

A variable of the environment is named after the option, ``SISSO_SAL_N_SIS``, or after section and key, ``SISSO_SAL_MODEL_N_SIS``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from sisso_sal.errors import SettingsError
from sisso_sal.settings.campaign import (
    CampaignSettings,
    flat_settings,
    known_settings,
    setting_named,
    validated,
)
from sisso_sal.system.documents import read_toml

PREFIX = "SISSO_SAL_"
NOT_SETTINGS = frozenset({"SISSO_SAL_REQUEST", "SISSO_SAL_ANSWER", "SISSO_SAL_FOLDER"})
"""What a command that computes labels finds in its environment."""

Kind = Literal["option", "environment", "campaign", "user", "default"]


@dataclass(frozen=True)
class Origin:
    """Where a setting comes from: the kind of its layer, and the place in it (option, variable or file)."""

    kind: Kind
    place: str = ""

    @property
    def told(self) -> str:
        """The place for a person who sees the command: "" for its options."""
        return {"option": "", "default": "the default"}.get(self.kind, self.place)

    def __str__(self) -> str:
        return f"{self.kind} {self.place}".strip()


@dataclass(frozen=True)
class LayeredSettings:
    """Effective settings, and the origin of each by section and key."""

    settings: CampaignSettings
    origins: Mapping[str, Origin]


def user_settings_of(created: Mapping[str, Any]) -> dict[str, Any]:
    """What a run took from the user's own file when it began, by section and key.

    Parameters
    ----------
    created : mapping
        The ledger's event ``created``.
    """
    values = flat_settings(created["settings"])
    origins = created.get("origins", {})
    return {name: values[name] for name, origin in origins.items() if origin["kind"] == "user" and name in values}


def user_file() -> Path:
    """The user's own settings, in the folder where the platform keeps configurations; it need not exist."""
    import platformdirs

    return platformdirs.user_config_path("sisso-sal", appauthor=False) / "settings.toml"


def layered(
    config: str | Path | None,
    options: Mapping[str, Any],
    environ: Mapping[str, str],
    user: Mapping[str, Any] | None = None,
) -> LayeredSettings:
    """Settings from all layers.

    Parameters
    ----------
    config : path or None
        The campaign's TOML file.
    options : mapping
        Flat, by the names of the options; None stands for an option that was not given.
    environ : mapping
        The environment.
    user : mapping, optional
        In place of the user's file what it had before, by section and key: a run keeps what it began with.

    Raises
    ------
    SettingsError
        A file cannot be read, a setting or a variable is unknown, or a value is out of range; the message names the place.

    Examples
    --------
    >>> found = layered(None, {"rung": 1}, {"SISSO_SAL_RUNG": "3", "SISSO_SAL_BATCH": "4"}, user={"batch": 5})
    >>> found.settings.model.rung, found.settings.batch, str(found.origins["batch"])
    (1, 4, 'environment SISSO_SAL_BATCH')
    """
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for name, value, origin in _all_layers(config, options, environ, user):
        values[name], origins[name] = value, origin

    def place(name: str) -> str:
        parts = name.split(".")
        prefixes = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
        origin = next((origins[prefix] for prefix in prefixes if prefix in origins), None)
        return origin.told if origin else ""

    settings = validated(values, place)
    return LayeredSettings(settings, {name: origins.get(name, Origin("default")) for name in known_settings()})


def _all_layers(
    config: str | Path | None, options: Mapping[str, Any], environ: Mapping[str, str], user: Mapping[str, Any] | None
) -> Iterator[tuple[str, Any, Origin]]:
    """Name, value and origin of everything that was given, lowest layer first."""
    if user is not None:
        yield from ((name, value, Origin("user", "user settings when the run began")) for name, value in user.items())
    elif (file := user_file()).exists():
        yield from ((name, value, Origin("user", str(file))) for name, value in flat_settings(read_toml(file)).items())
    if config is not None:
        values = flat_settings(read_toml(config))
        yield from ((name, value, Origin("campaign", str(config))) for name, value in values.items())
    yield from _from_environment(environ)
    for option, value in options.items():
        if value is not None:
            yield setting_named(option), value, Origin("option", f"--{option.replace('_', '-')}")


def variables() -> dict[str, str]:
    """The setting of each variable of the environment: by the name of its option, and by section and key.

    Examples
    --------
    >>> [variables()[name] for name in ("SISSO_SAL_BATCH", "SISSO_SAL_RUNG", "SISSO_SAL_MODEL_RUNG")]
    ['batch', 'model.rung', 'model.rung']
    """
    known = known_settings()
    short = {
        PREFIX + name.rpartition(".")[2].upper(): name
        for name in known
        if setting_named(name.rpartition(".")[2]) == name
    }
    return short | {PREFIX + name.replace(".", "_").upper(): name for name in known}


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Any, Origin]]:
    known, kinds = variables(), known_settings()
    seen: dict[str, str] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS or not environ[variable].strip():
            continue
        if variable not in known:
            close = get_close_matches(variable.removeprefix(PREFIX), [name.removeprefix(PREFIX) for name in known], n=1)
            hint = f"did you mean {PREFIX}{close[0]}?" if close else "sisso-sal config show lists the settings"
            raise SettingsError(f"{variable}: unknown setting in the environment; {hint}")
        name = known[variable]
        if name in seen:
            raise SettingsError(f"{variable}: needs to be given once, found {seen[name]} beside it")
        seen[name] = variable
        yield name, _parsed(environ[variable], kinds[name]), Origin("environment", variable)


def _parsed(text: str, kind: Any) -> Any:
    """Names with commas between them as a tuple, everything else as it stands: checking converts it."""
    takes_several = any(get_origin(part) is tuple for part in (kind, *get_args(kind)))
    return tuple(part.strip() for part in text.split(",") if part.strip()) if takes_several else text.strip()


def lines_with_origins(layers: LayeredSettings) -> str:
    """The settings as TOML, each line with its origin as a comment; what is not set is a comment altogether.

    Examples
    --------
    >>> text = lines_with_origins(layered(None, {"goal": "max"}, {}, user={}))
    >>> [" ".join(line.split()) for line in text.splitlines() if line.startswith("goal")]
    ['goal = "max" # option --goal']
    """
    values = flat_settings(layers.settings.model_dump(mode="json"))
    lines, current = [], ""
    for name in known_settings():
        section, _, key = name.rpartition(".")
        if section != current:
            lines += ["", f"[{section}]"]
            current = section
        value = values[name]
        text = f"# {key} is not set" if value is None else f"{key} = {_inline(value)}"
        lines.append((text, str(layers.origins[name])))
    width = max(len(line[0]) for line in lines if isinstance(line, tuple))
    return "\n".join(line if isinstance(line, str) else f"{line[0]:<{min(width, 44)}}  # {line[1]}" for line in lines)


def _inline(value: Any) -> str:
    """A value as TOML on one line, tables too.

    Examples
    --------
    >>> _inline({"a": [1, "x"], "b": {"c": True}})
    '{"a" = [1, "x"], "b" = {"c" = true}}'
    """
    import tomli_w

    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_inline(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").strip()
