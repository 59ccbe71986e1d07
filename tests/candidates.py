"""Made-up oxides, with and without labels, and the command on them."""

import numpy as np
import pandas as pd
from forks import shared

METALS = ("Li", "Na", "Mg", "Al", "Ti", "V", "Fe", "Sr", "Y", "Zr")
QUICK = (
    "--rung",
    "1",
    "--dim",
    "2",
    "--n-sis",
    "6",
    "--n-residual",
    "2",
    "--members",
    "6",
    "--threads",
    "1",
    "--quiet",
)


def oxides(n, seed):
    """Formulas that all differ, and made-up features."""
    rng = np.random.default_rng(seed)
    every = [
        f"{a}{i}{b}{j}O{k}"
        for a in METALS
        for b in METALS
        if a < b
        for i in (2, 3, 5)
        for j in (2, 3, 7)
        for k in (4, 9)
    ]
    frame = pd.DataFrame({"formula": rng.permutation(every)[:n]})
    for name, low, high in (("EA (eV)", 0.5, 2), ("IP (eV)", 5, 9), ("r (AA)", 1, 2), ("z", -1, 1)):
        frame[name] = rng.uniform(low, high, n)
    return frame


def labelled(frame):
    """The frame with a target that formulas and elements explain in part."""
    of_element = frame["formula"].str.contains("Ti") * 0.7
    target = frame["IP (eV)"] / frame["r (AA)"] - 2 * frame["EA (eV)"] + 0.4 * np.sin(5 * frame["z"]) + of_element
    return frame.assign(**{"gap (eV)": target})


def exact(path):
    """A table whose numbers are those in the file to the last bit, with every version of pandas."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in frame.columns:
        try:
            frame[name] = frame[name].replace("", "nan").astype(float)
        except ValueError:  # a column of text
            continue
    return frame


def call(*arguments, folder, code=0):
    done = shared().call(*map(str, arguments), cwd=folder, lines=False, kill_after=300)
    assert done.code == code, done.err
    return done
