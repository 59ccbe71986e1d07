"""Tables to choose from: features from formulas, and candidate oxides."""

from __future__ import annotations

import click

from sisso_sal.cli.options import COMMON, OUT_FILE, TABLE, check_free, names, note, tell_rejected, write
from sisso_sal.errors import InputError


@click.command()
@TABLE
@click.option("--formula", metavar="COLUMN", help="Column of formulas of oxides; by default the first text column.")
@OUT_FILE
@COMMON
def featurize(table, formula, out, force, quiet, debug):
    """Add primary features, made from the formulas of oxides, to TABLE and print it as CSV.

    Rows whose features are not all known are left out and counted; nothing is imputed.

    \b
    Example:
      sisso-sal featurize formulas.csv --out candidates.csv
    """
    import pandas as pd

    from sisso_sal.data.columns import read_columns
    from sisso_sal.data.elements import featurize as make

    check_free(out, force)
    file = read_columns(table)
    texts = {c.name: c for c in file.columns if c.values is None}
    name = formula or next(iter(texts), None)
    if name not in texts:
        found = f"no '{formula}' among: {', '.join(texts) or 'none'}" if formula else "no text column"
        raise InputError(f"{table}: needs a text column of formulas, found {found}")
    formulas = texts[name].texts()
    features, rejected = make(formulas)
    reasons = dict(rejected)
    kept = [i for i, text in enumerate(formulas) if text not in reasons]
    if not kept:
        raise InputError(f"{table}: needs formulas of oxides in '{name}'; {rejected[0][0]}: {rejected[0][1]}")
    replaced = [c.header for c in file.columns if c.header in features.columns]
    if replaced:
        note(f"replaced by the values made from formulas: {', '.join(replaced)}")
    old = {c.header: [c.texts()[i] for i in kept] for c in file.columns if c.header not in features.columns}
    frame = pd.concat([pd.DataFrame(old), features.reset_index(drop=True)], axis=1)
    tell_rejected(rejected)
    write(frame.to_csv(index=False), out, force)


@click.command()
@click.option(
    "--elements", metavar="A,B,…", callback=names, help="Metals to combine; 67 metals and metalloids by default."
)
@click.option(
    "--metals", type=click.Choice(["1", "2", "1,2"]), default="2", show_default=True, help="Metals in an oxide."
)
@click.option("--features", is_flag=True, help="Add the primary features; oxides without all of them are left out.")
@OUT_FILE
@COMMON
def pool(elements, metals, features, out, force, quiet, debug):
    """Print charge-balanced candidate oxides, with the prototypes they may take, as CSV.

    \b
    Example:
      sisso-sal pool --elements Ti,Zr,Ba,Sr --features --out candidates.csv
    """
    import pandas as pd

    from sisso_sal.data.elements import featurize as make
    from sisso_sal.data.pool import candidate_oxides

    check_free(out, force)
    found = list(candidate_oxides(elements, n_metals=tuple(int(n) for n in metals.split(","))))
    frame = pd.DataFrame(
        {
            "formula": [c.formula for c in found],
            "prototypes": [" ".join(c.prototypes) for c in found],
            "oxidation_states": [" ".join(f"{metal}{state:+d}" for metal, state in c.oxidation_states) for c in found],
        }
    )
    if features:
        values, rejected = make(frame["formula"])
        frame = frame.set_index("formula").loc[values.index].join(values).reset_index()
        tell_rejected(rejected)
    write(frame.to_csv(index=False), out, force)
    note(f"{len(frame)} candidate oxides")
