"""Tables of candidates: features from formulas, and candidate oxides."""

from __future__ import annotations

from pathlib import Path

import click

from sisso_sal.cli.help import Command
from sisso_sal.cli.options import COMMON, ELEMENTS, JSON, OUT_FILE, TABLE, check_free, dumps, names, number, write
from sisso_sal.cli.terminal import next_step, note
from sisso_sal.errors import InputError

_MOST_LISTED = 1_000_000


@click.command(cls=Command, short_help="Make features from formulas of oxides")
@TABLE
@click.option("--formula", metavar="COLUMN", help="Column of formulas of oxides; by default the first text column.")
@ELEMENTS
@OUT_FILE
@JSON
@COMMON
def featurize(table, formula, exclude_elements, only_elements, out, force, as_json, quiet, debug):
    """Make primary features from the formulas of oxides in TABLE, add them to the table and print it as CSV.

    Rows for which a feature is not known are left out and counted; nothing is imputed.

    \b
    Example:
      sisso-sal featurize formulas.csv --out candidates.csv
    """
    import pandas as pd

    from sisso_sal.api.inputs import tell_rejected
    from sisso_sal.data.columns import read_columns
    from sisso_sal.oxides.element_groups import unwanted_formulas
    from sisso_sal.oxides.primary_features import featurize as make

    check_free(out, force)
    file = read_columns(table)
    for line in file.notes:
        note(line)
    texts = {c.name: c for c in file.columns if c.values is None}
    name = formula or next(iter(texts), None)
    if name not in texts:
        problem = f"no '{formula}' among: {', '.join(texts) or 'none'}" if formula else "no text column"
        raise InputError(f"{table}: needs a text column of formulas, found {problem}")
    formulas = texts[name].texts()
    features, rejected = make(formulas)
    unwanted = unwanted_formulas(list(features.index), exclude_elements or (), only_elements or ())
    features, rejected = features.loc[[text not in unwanted for text in features.index]], [*rejected, *unwanted.items()]
    reasons = dict(rejected)
    kept = [i for i, text in enumerate(formulas) if text not in reasons]
    if not kept:
        raise InputError(f"{table}: needs formulas of oxides in '{name}'; {rejected[0][0]}: {rejected[0][1]}")
    replaced = [c.header for c in file.columns if c.header in features.columns]
    if replaced:
        note(f"replaced by the values made from formulas: {', '.join(replaced)}")
    old = {c.header: [c.texts()[i] for i in kept] for c in file.columns if c.header not in features.columns}
    frame = pd.concat([pd.DataFrame(old), features.reset_index(drop=True)], axis=1)
    tell_rejected(rejected, note)
    plain = [c.header for c in file.columns if c.is_text and c.header in old]
    _write_table(frame, plain, rejected, out, force, as_json)
    next_step(f"add a column with the known values, then sisso-sal discover {out or 'FILE'}", err=True)


@click.command(cls=Command, short_help="Make charge-balanced candidate oxides")
@click.option(
    "--elements", metavar="A,B,…", callback=names, help="Metals to combine; 67 metals and metalloids by default."
)
@click.option(
    "--metals",
    type=click.Choice(["1", "2", "3", "1,2", "2,3", "1,2,3"]),
    default="2",
    show_default=True,
    help="Metals in an oxide; those of three have no prototypes.",
)
@click.option(
    "--max-index",
    type=click.IntRange(1, 99),
    default=6,
    show_default=True,
    help="Largest index of a metal in oxides of three metals.",
)
@click.option(
    "--features", is_flag=True, help="Add the primary features; oxides for which one is not known are left out."
)
@ELEMENTS
@OUT_FILE
@JSON
@COMMON
def pool(elements, metals, max_index, features, exclude_elements, only_elements, out, force, as_json, quiet, debug):
    """Print charge-balanced candidate oxides, with possible structure prototypes, as CSV.

    \b
    Example:
      sisso-sal pool --elements Ti,Zr,Ba,Sr --features --out candidates.csv
    """
    import pandas as pd

    from sisso_sal.api.inputs import tell_rejected
    from sisso_sal.oxides.element_groups import unwanted_formulas
    from sisso_sal.oxides.pool import candidate_oxides
    from sisso_sal.oxides.primary_features import featurize as make

    check_free(out, force)
    sizes = tuple(int(n) for n in metals.split(","))
    if 3 in sizes:
        _check_number(elements, max_index)
    oxides = list(candidate_oxides(elements, n_metals=sizes, max_index=max_index))
    unwanted = unwanted_formulas([c.formula for c in oxides], exclude_elements or (), only_elements or ())
    oxides = [oxide for oxide in oxides if oxide.formula not in unwanted]
    frame = pd.DataFrame(
        {
            "formula": [c.formula for c in oxides],
            "prototypes": [" ".join(c.prototypes) for c in oxides],
            "oxidation_states": [" ".join(f"{metal}{state:+d}" for metal, state in c.oxidation_states) for c in oxides],
        }
    )
    rejected = list(unwanted.items())
    if features:
        values, without = make(frame["formula"])
        rejected += without
        frame = frame.set_index("formula").loc[values.index].join(values).reset_index()
    tell_rejected(rejected, note)
    _write_table(frame, ["formula"], rejected, out, force, as_json)
    note(f"{len(frame)} candidate oxides")
    more = "add a column with the known values" if features else f"sisso-sal featurize {out or 'FILE'}"
    next_step(f"{more}, then sisso-sal discover", err=True)


def _check_number(elements: tuple[str, ...] | None, max_index: int) -> None:
    """Refuse more oxides of three metals than a table should have."""
    from sisso_sal.oxides.pool import count_candidates

    n = count_candidates(elements, 3, max_index)
    if n > _MOST_LISTED:
        metals = f"metals={','.join(elements)}," if elements else ""
        raise InputError(
            f"pool: needs at most {_MOST_LISTED} oxides of three metals for a table, found {n}: name fewer "
            "--elements, take a smaller --max-index, or screen them in parts: "
            f"sisso-sal screen MODEL oxides:{metals}max_metals=3,max_index={max_index}"
        )


def _write_table(
    frame, ids: list[str], rejected: list[tuple[str, str]], out: Path | None, force: bool, as_json: bool
) -> None:
    """Write the table as CSV (`ids`: columns of text), or as JSON with the rows that were left out."""
    from sisso_sal.data.spreadsheet import csv_of

    if as_json:
        rows = [
            {k: number(v) if isinstance(v, float) else v for k, v in row.items()} for row in frame.to_dict("records")
        ]
        left_out = [{"id": name, "reason": reason} for name, reason in rejected]
        write(dumps({"rows": rows, "left_out": left_out}), out, force)
    else:
        write(csv_of(frame, ids), out, force)
