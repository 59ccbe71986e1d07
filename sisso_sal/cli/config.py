"""Settings: their current values, where each comes from, and their JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sisso_sal.cli.help import Group
from sisso_sal.cli.options import COMMON, JSON, dumps, load_layers
from sisso_sal.cli.terminal import emit, next_step, note

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"


@click.group(cls=Group, short_help="Settings: values, where each comes from, schema", invoke_without_command=True)
@click.pass_context
def config(ctx: click.Context) -> None:
    """The settings: their current values, where each comes from, and their schema.

    The value of a setting comes from the first of these that contains it: an option of the command, an environment variable
    (SISSO_SAL_RUNG for --rung), the settings file of --config, your own settings file, the default. A run that is continued keeps
    the values that it took from your own file at its start.
    """
    if ctx.invoked_subcommand is None:
        emit(ctx.get_help(), is_styled=True)


@config.command(short_help="Print the settings, and where each comes from")
@click.option("--origin", is_flag=True, help="Show where each setting comes from.")
@click.option("--config", "file", type=click.Path(path_type=Path), help="Settings file, as for the other commands.")
@JSON
@COMMON
def show(origin, file, as_json, quiet, debug):
    """Print the settings that discover would use, as TOML. The output can be saved as a file for --config.

    \b
    Examples:
      sisso-sal config show --origin
      SISSO_SAL_RUNG=1 sisso-sal config show --config tuned.toml --json
    """
    from sisso_sal.settings.campaign import flat_settings
    from sisso_sal.settings.layers import lines_with_origins, user_file
    from sisso_sal.settings.written import settings_toml

    layers = load_layers(file, {})
    own = user_file()
    if as_json:
        document: dict[str, Any] = {"settings": layers.settings.model_dump(mode="json"), "user_file": str(own)}
        if origin:
            flat = flat_settings(document["settings"])
            document["origins"] = {name: {"value": flat[name], **vars(layers.origins[name])} for name in flat}
        emit(dumps(document))
        return
    emit(lines_with_origins(layers) if origin else settings_toml(layers.settings).rstrip())
    note(f"your own settings file is {own}" + ("" if own.exists() else ", which does not exist yet"))
    next_step("sisso-sal config show > settings.toml, then sisso-sal discover TABLE --config settings.toml", err=True)


@config.command(short_help="Print the JSON Schema of settings files")
@COMMON
def schema(quiet, debug):
    """Print the JSON Schema of settings files. Editors use it to check a settings file while you write it.

    \b
    Example:
      sisso-sal config schema > settings.schema.json
    """
    emit(dumps(settings_schema()))
    next_step(
        "keep it beside your settings files, and write #:schema ./settings.schema.json as their first line, for editors",
        err=True,
    )


def settings_schema() -> dict[str, Any]:
    """The JSON Schema of a settings file; a setting is described by the help of its option."""
    from sisso_sal.cli.discover import discover
    from sisso_sal.settings.campaign import CampaignSettings, setting_named

    made = CampaignSettings.model_json_schema()
    options = [option for option in discover.params if isinstance(option, click.Option)]
    options.sort(key=lambda option: not (option.name or "").startswith("no_"))  # the option of the same name says more
    helps = dict(_described(option) for option in options)
    properties = dict(made["properties"])
    for section, described in made["properties"].items():
        if "$ref" in described:
            inner = made["$defs"][described["$ref"].rpartition("/")[2]]["properties"]
            properties |= {f"{section}.{key}": entry for key, entry in inner.items()}
    for key, text in helps.items():
        if (name := setting_named(key)) in properties:
            properties[name]["description"] = text
    return {"$schema": SCHEMA_ID, "title": "Settings of sisso-sal", **{k: v for k, v in made.items() if k != "title"}}


def _described(option: click.Option) -> tuple[str, str]:
    """The key of the setting that an option changes, and the description of the setting."""
    name, text = option.name or "", option.help or ""
    if name.startswith("no_"):
        return name.removeprefix("no_"), f"False is {option.opts[0]}: {text}"
    return {"id_column": "id"}.get(name, name), text
