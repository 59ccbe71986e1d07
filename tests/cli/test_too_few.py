"""Tables from which nothing can be fitted: every command says which table, and what it needs."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from sisso_sal.cli import cli
from sisso_sal.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve rows: a target that is the same on all, one with gaps, families of which one is small, and few classes."""
    path = tmp_path_factory.mktemp("few")
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 2, (2, 12))
    frame = pd.DataFrame({"name": [f"M{i}" for i in range(12)], "a (eV)": a, "b (eV)": b})
    frame.assign(y=[2.5] * 8 + [np.nan] * 4).to_csv(path / "flat.csv", index=False)
    frame.assign(y=a, family="x").to_csv(path / "one.csv", index=False)
    frame.assign(y=a, family=["x"] * 9 + ["z"] * 3).to_csv(path / "small.csv", index=False)
    estimate = (a + 0.1).round(2)
    estimate[2:5] = np.nan
    low = frame[["name"]].assign(**{"y (eV)": a, "kind": "x", "y_pbe (eV)": estimate})
    low.loc[8:, "y (eV)"] = np.nan
    low.to_csv(path / "low.csv", index=False)
    frame.assign(phase=["u", "u", "v", "v"] + [""] * 8).to_csv(path / "phases.csv", index=False)
    return path


QUICK = ("--rung", "0", "--threads", "1", "-q")
MEMBERS = ("--members", "3")
CASES = [
    (("fit", "flat.csv", *QUICK), "needs a target that varies, found 2.5 on every sample"),
    (("fit", "flat.csv", *QUICK, *MEMBERS), "needs a target that varies, found 2.5 on every sample"),
    (("fit", "flat.csv", *QUICK, "--select", "2"), "needs a target that varies, found 2.5 on every sample"),
    (("tune", "flat.csv", "-q"), "needs a target that varies, found 2.5 on every sample"),
    (("discover", "flat.csv", *QUICK), "needs a target that varies, found 2.5 on every sample"),
    (
        ("discover", "low.csv", *QUICK, "--target", "y", "--low", "y_pbe"),
        "needs a feature with a number in every row, found only 'y_pbe (eV)' (gaps in 3 of 12 rows); 'kind' (text), and ids that "
        "are no formulas of oxides",
    ),
    (("fit", "one.csv", *QUICK, "--target", "y", "--task", "family"), "needs at least two tasks, found 1"),
    (
        ("fit", "small.csv", *QUICK, "--target", "y", "--task", "family", "--dim", "3"),
        "needs at least 5 labelled samples of each task for dim 3, found 3 of 'z'",
    ),
    (
        ("fit", "small.csv", *QUICK, "--target", "y", "--task", "family", "--dim", "2", *MEMBERS),
        "needs at least 4 labelled samples of each task for dim 2, found 3 of 'z'",
    ),
    (
        ("fit", "phases.csv", *QUICK, "--target", "phase", "--dim", "3"),
        "needs at least 5 labelled samples for dim 3, found 4 samples",
    ),
    (
        ("fit", "phases.csv", *QUICK, "--target", "phase", "--dim", "2", *MEMBERS),
        "needs samples that some member did not see, found none of 4; add samples or members, or lower dim",
    ),
]


@pytest.mark.parametrize(("words", "told"), CASES, ids=[" ".join(words[:2]) for words, _ in CASES])
def test_the_message_begins_with_the_table(folder, monkeypatch, words, told):
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(cli, words)
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == f"{words[1]}: {told}"


def test_an_import_names_the_input(tmp_path, monkeypatch):
    """The table that is made on the way is in a scratch folder, which nobody needs to know."""
    lines = ["materials y a b", *(f"M{k} 2.5 {1 + k / 7} {3 - k / 9}" for k in range(8))]
    (tmp_path / "train.dat").write_text("\n".join(lines))
    (tmp_path / "SISSO.in").write_text(
        "ptype=1\nntask=1\nnsample=8\nnsf=2\nops='(+)'\nfcomplexity=0\ndesc_dim=1\nnf_sis=1\n"
    )
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["import-sisso", ".", "-q"])
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == "train.dat: needs a target that varies, found 2.5 on every sample"
