"""Completion by the shell of values that come from the table, the run or the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

import click
from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], list[str] | list[CompletionItem]]


def _starting(texts: Iterable[str], incomplete: str) -> list[str]:
    return [text for text in texts if text.startswith(incomplete)]


def _argument(ctx: click.Context, name: str) -> Path:
    """The path of an argument that is already typed; click has not parsed it yet when the value of an option is completed."""
    names = [parameter.name for parameter in ctx.command.params if isinstance(parameter, click.Argument)]
    place = names.index(name) if name in names else len(ctx.args)
    return Path(ctx.params.get(name) or (ctx.args[place] if place < len(ctx.args) else ""))


def columns(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of the columns of the table that is already typed, without their units."""
    from sisso_sal.data.formats import headers_of
    from sisso_sal.data.headers import split_header
    from sisso_sal.errors import TableError

    try:
        headers = headers_of(str(_argument(ctx, "table")))
    except (TableError, OSError, ValueError):  # nothing to complete; the command itself reports the error
        return []
    return _starting((split_header(header)[0] for header in headers), incomplete)


def several_columns(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The next column in a list with commas."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{name}" for name in columns(ctx, parameter, last) if name not in taken]


def values(setting: str, *more: str) -> Complete:
    """Completion of the values of a setting (section and key), and of `more` values."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        from sisso_sal.settings.campaign import known_settings

        return _starting([*map(str, get_args(known_settings().get(setting, Any))), *more], incomplete)

    return complete


def operators(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The next operator in a list with commas."""
    from sisso_sal.features.operators import OPERATORS

    return _next_of(OPERATORS, incomplete)


def param_operators(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The next operator with parameters in a list with commas."""
    from sisso_sal.features.parameters import RULES

    return _next_of(RULES, incomplete)


def _next_of(known: Iterable[str], incomplete: str) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{name}" for name in _starting(known, last) if name not in taken]


def elements(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Groups of elements and symbols, after what was listed already."""
    from sisso_sal.oxides.element_groups import element_groups
    from sisso_sal.oxides.elements import element_data

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _starting([*element_groups(), *element_data()], last)]


def acquisitions(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names with a summary of each, which zsh and fish show."""
    from sisso_sal.acquisition.registry import ACQUISITIONS, installed

    records = [record for name in _starting(ACQUISITIONS, incomplete) if (record := installed(name))]
    return [CompletionItem(record.name, help=record.summary) for record in records]


def acquisitions_in_words() -> str:
    """All names and the default, as the help lists them."""
    from sisso_sal.acquisition.registry import ACQUISITIONS
    from sisso_sal.settings.campaign import CampaignSettings

    return f"{', '.join(ACQUISITIONS)}; {CampaignSettings.model_fields['acquisition'].default} by default."


def surrogates_in_words() -> str:
    """The help of ``--surrogate``, made from the records."""
    from sisso_sal.models.registry import SURROGATES
    from sisso_sal.settings.campaign import CampaignSettings

    default = CampaignSettings.model_fields["surrogate"].default
    kinds = "; ".join(f"{name}: {kind.summary}" for name, kind in SURROGATES.items())
    return f"What predicts. {kinds}. {default} by default."


def surrogates(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Kinds of surrogates, those of installed packages among them."""
    from sisso_sal.models.registry import SURROGATES

    return _starting(SURROGATES, incomplete)


def ways_to_select(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Ways to choose among many primary features."""
    from sisso_sal.models.variables import KINDS

    return _starting(KINDS, incomplete)


def oracles(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of oracles; those that need an argument end with a colon."""
    from sisso_sal.oracle.registry import oracle_kinds

    return _starting((f"{name}:" if kind.takes_more else name for name, kind in oracle_kinds().items()), incomplete)


def candidates(which: str) -> Complete:
    """Completion of ids of the run that is already typed: those "proposed" and not submitted, or those that "failed"."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        from sisso_sal.campaign.status import status_document
        from sisso_sal.errors import SissoSalError
        from sisso_sal.ledger.fold import fold
        from sisso_sal.ledger.store import read_ledger

        run = _argument(ctx, "run")
        try:
            document = status_document(run, fold(read_ledger(run).events()), None)
        except SissoSalError:
            return []
        ids = [case["id"] for case in document["failed"]] if which == "failed" else document["open"]
        return _starting(ids, incomplete)

    return complete
