"""Tables as people have them, for `fit`: each column is used or named, each row is used or counted."""

import gzip
import json

from fuzz_calls import Case
from fuzz_text import TEXTS, damaged

NAMES = (
    "EA",
    "r_s",
    "N_val",
    "radius",
    "gap",
    "a/b",
    "E-A",
    "d b",
    "ρ",
    "χ_A",
    "EN",
    "2r",
    "sin",
    "log(x)",
    "IP",
    "alpha",
    "x'",
    "Eg_eV",
)
UNITS = (
    "", "", "", "eV", "Å", "AA", "AA**3", "Å³", "g cm-3", "kgf/mm2", "at.%", "%", "Pauling", "dB", "m**9**9**9", "m//s", "A",
    "°C", "eV^(1/2)", "eV³⁄²", "kJ/mol", "J/(mol K)", "e/atom", "µm", "K", "foo", "1", "-", "(", "eV)(", "9" * 80,
)  # fmt: skip
SMALL = ("--rung", "1", "--dim", "1", "--n-sis", "4", "--operators", "add,mult,div", "--threads", "1")


def header(rng, name):
    """A name with or without unit, in one of the ways in which people write it."""
    unit = rng.choice(UNITS)
    if not unit or rng.random() < 0.3:
        return name
    return rng.choice(("{0} ({1})", "{0} [{1}]", "{0}/{1}", "{0}, {1}", "{0}_{1}", "{0}({1})", " {0} ( {1} ) ")).format(
        name, unit
    )


def cells(rng, n):
    """A column of one family, perhaps with some odd cells."""
    values = [round(rng.uniform(0.5, 2.0), 4) for _ in range(n)]
    family = rng.choice(
        (*("plain",) * 16, "d", "percent", "error", "text", "date", "constant", "gap", "empty", "huge", "tiny",
         "integer", "group", "comma", "boolean", "minus", "space", "index", "scale")
    )  # fmt: skip
    column = {
        "d": [f"{value:.3f}D+00" for value in values],
        "percent": [f"{value}%" for value in values],
        "error": [f"{value}±0.1" for value in values],
        "text": [rng.choice(("cubic", "hex", "A", "B")) for _ in values],
        "date": ["2026-01-02" for _ in values],
        "constant": ["1.5"] * n,
        "empty": [""] * n,
        "huge": [f"{value}e200" for value in values],
        "tiny": [f"{value}e-300" for value in values],
        "integer": [str(rng.randrange(9)) for _ in values],
        "group": ["4/mmm"] * n,
        "comma": [str(value).replace(".", ",") for value in values],
        "boolean": [rng.choice(("True", "false")) for _ in values],
        "minus": [f"\u2212{value}" for value in values],
        "space": [f" {value}\u00a0" for value in values],
        "index": [str(row) for row in range(n)],
        "scale": [f"{value}e{rng.randrange(-20, 20)}" for value in values],
    }.get(family, [str(value) for value in values])
    if family == "gap":
        column[rng.randrange(n)] = ""
    if rng.random() < 0.06:
        column[rng.randrange(n)] = rng.choice((*TEXTS, "n/a", "inf", "-", "1.2.3", "0x10", "1_000", "1e999", "?"))
    return column


def table(rng, folder):
    """A table for `fit --json`."""
    n = rng.choice((1, 2, 5, 9, *(12,) * 8, 14))
    names = rng.sample(NAMES, rng.choice((0, 1, 2, 3, 3, 4)))
    columns = {"name": [f"M{row}" for row in range(n)]} if rng.random() < 0.8 else {}
    target = "y (eV)"
    known = [f"{rng.uniform(-1, 3):.3f}" for _ in range(n)]
    columns[target] = [value if rng.random() < 0.8 else "" for value in known] if rng.random() < 0.9 else cells(rng, n)
    columns |= {header(rng, name): cells(rng, n) for name in names}
    if rng.random() < 0.06:
        columns = {"Unnamed: 0": [str(row) for row in range(n)], **columns}
    if rng.random() < 0.05 and n > 2:
        columns[next(iter(columns))][1] = columns[next(iter(columns))][0]
    separator = rng.choice((*(",",) * 9, ";", ";", "\t", "|"))
    lines = [[*columns], *map(list, zip(*columns.values(), strict=True))]
    text = (
        rng.choice(("\n", "\n", "\r\n")).join(
            separator.join(_quoted(cell, separator) for cell in line) for line in lines
        )
        + "\n"
    )
    if rng.random() < 0.08:
        text = rng.choice(("# made by hand\n", "\n\n", "% a\n% b\n", "sep=;\n")) + text
    whole = content = (b"\xef\xbb\xbf" if rng.random() < 0.05 else b"") + text.encode()
    if rng.random() < 0.1:
        content = damaged(content, rng)
    is_whole = content == whole
    name = "table.csv"
    if rng.random() < 0.05:
        content, name = gzip.compress(content), rng.choice(("table.csv.gz", "table.csv"))
    (folder / name).write_bytes(content)
    named = ("--target", "y") if rng.random() < 0.5 else ()
    more = rng.choice(((), (), (), ("--no-units",), ("--id", "row"), ("--no-intercept",)))
    if names and rng.random() < 0.15:
        more = (rng.choice(("--drop", "--columns")), ",".join(rng.sample([*names, "EN"], 2)))
    return Case(("fit", name, *named, *more, *SMALL, "--json"), check=lambda done: _unnamed(done, columns, n, is_whole))


def _quoted(cell, separator):
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in (separator, '"', "\n", "\r")) else cell


def _unnamed(done, columns, n, is_whole):
    """The columns and rows that are neither used nor named."""
    if done.code or not is_whole:
        return ""
    document = json.loads(done.out)
    used, named = document["n_features"]["0"], len(document["left_out"])
    if used + named + 2 < len(columns):  # one is the target and one the id
        return f"{len(columns)} columns, {used} are features, {named} named as left out: {done.err[-200:]}"
    target = columns["y (eV)"] if document["target"]["name"] == "y" else None
    if target is not None and document["n_samples"] + len(document["set_aside"]) + target.count("") < n:
        return f"{n} rows, {document['n_samples']} samples, {len(document['set_aside'])} set aside: {done.err[-200:]}"
    return ""
