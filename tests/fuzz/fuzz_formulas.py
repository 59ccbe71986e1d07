"""Formulas of features with odd names: what `fit` prints reads back to the same tree; texts that are none are refused."""

import csv
import io
import json

from fuzz_calls import Case
from fuzz_text import TEXTS
from odd_names import ODD, PLAIN

from sisso_sal.errors import InputError
from sisso_sal.features.expression import Expression
from sisso_sal.features.reading import parse_formula
from sisso_sal.features.unit_rules import IGNORED

OPERATORS = (
    "add",
    "sub",
    "mult",
    "div",
    "abs_diff",
    "abs",
    "inv",
    "sq",
    "cb",
    "sqrt",
    "cbrt",
    "exp",
    "neg_exp",
    "log",
    "sin",
    "cos",
)


def formula(rng, folder):
    """A table with odd names for `fit --json`."""
    names = [name for name in (*ODD, *PLAIN) if _is_header(name)]
    chosen = rng.sample(names, 3)
    rows = [["id", *chosen, "the target"]]
    rows += [[f"M{n}", *(f"{rng.uniform(0.5, 2):.4f}" for _ in range(4))] for n in range(10)]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    (folder / "table.csv").write_text(text.getvalue(), encoding="utf-8")
    operators = ",".join(rng.sample(OPERATORS, 5))
    options = (
        "--rung",
        rng.choice("112"),
        "--dim",
        "2",
        "--n-sis",
        "5",
        "--operators",
        operators,
        "--threads",
        "1",
        "--no-units",
    )
    arguments = ("fit", "table.csv", "--target", "the target", "--id", "id", *options, "--json")
    return Case(arguments, check=lambda done: _unreadable(done, rng))


def _is_header(name):
    """Whether a name can be a column's: not empty, no unit in it, and what UTF-8 can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return bool(name.strip()) and name.isprintable() and not set(name) & set("()[],/ ")


def _unreadable(done, rng):
    if done.code:
        return ""
    for model in json.loads(done.out)["models"]:
        for term in model["terms"]:
            names = _names_in(term["tree"])
            units = dict.fromkeys(names, "")
            text = term["expression"]
            if parse_formula(text, units, rules=IGNORED) != Expression.from_json(term["tree"], units, rules=IGNORED):
                return f"{text} reads back as another tree"
            at = rng.randrange(len(text) + 1)
            other = text[:at] + rng.choice((*TEXTS, *"()+-*/`")) + text[at + rng.randrange(3) :]
            try:
                again = parse_formula(other, units, rules=IGNORED)
            except InputError as error:
                if "\n" in str(error) or len(str(error)) > 400:
                    return f"{other!r} is refused with a long message: {error}"
            else:
                if parse_formula(str(again), units, rules=IGNORED) != again:
                    return f"{other!r}, as {again}, reads back as another tree"
    return ""


def _names_in(tree):
    return {tree} if isinstance(tree, str) else {name for part in tree[1:] for name in _names_in(part)}
