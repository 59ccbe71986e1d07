"""The core alone: what works without the packages of the extras, and what is said where one of them is needed."""

import subprocess
import sys

import pytest

from sisso_sal.system.extras import EXTRA_OF

WITHOUT = f"""
import sys
from importlib import metadata
absent = {sorted(EXTRA_OF)}
sys.modules.update(dict.fromkeys(absent))
version = metadata.version
def version_of(name):
    if name in absent:
        raise metadata.PackageNotFoundError(name)
    return version(name)
metadata.version = version_of
from sisso_sal.cli import main
main()
"""
TABLE = """formula,gap (eV),EA (eV),r_s (AA)
MgO,7.8,1.32,0.97
CaO,7.1,1.10,1.15
SrO,5.9,1.02,1.31
BaO,4.2,0.93,1.49
ZnO,3.4,1.61,0.88
CdO,2.2,1.55,1.05
NiO,4.3,1.48,0.83
CoO,2.6,1.42,0.88
FeO,2.4,1.37,0.92
Mn(O),3.6,1.29,0.97
Al2O3,8.8,1.51,0.68
Ga2O3,4.9,1.66,0.76
In2O3,2.9,1.63,0.94
Y3N@C80,,1.40,1.00
Ca(Mg)2O3,,1.25,1.03
Mg2Ca O3,,1.28,1.00
"""


def without(folder, *words):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *map(str, words)], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """A folder with a table, and a discover command that ran in it without the extras."""
    folder = tmp_path_factory.mktemp("core")
    (folder / "table.csv").write_text(TABLE)
    done = without(folder, "discover", "table.csv", "--rung", 1, "--members", 4, "--batch", 2)
    return folder, done


def test_the_core_fits_predicts_proposes_and_exports(campaign):
    folder, done = campaign
    assert done.returncode == 0, done.stderr
    assert "Best candidates for gap" in done.stdout
    assert (folder / "runs" / "table" / "iter-0001" / "proposals.csv").read_text().count("\n") == 3
    model = folder / "runs" / "table" / "iter-0001" / "model.json"
    exported = without(folder, "export", model, "--format", "sympy")
    assert exported.returncode == 0
    assert "import" in exported.stdout
    predicted = without(folder, "predict", model, "table.csv", "--out", "predictions.csv")
    assert (predicted.returncode, predicted.stderr.count("error")) == (0, 0)


def test_a_campaign_without_the_report_says_so_and_goes_on(campaign):
    folder, done = campaign
    line = "the report was not written: report: needs the package jinja2; pip install 'sisso-sal[report]'"
    assert line in done.stderr
    assert not (folder / "runs" / "table" / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["report", "runs/table"], 1, "report: needs the package jinja2; pip install 'sisso-sal[report]'"),
        (
            ["replay", "table.csv", "--plot", "found.png"],
            2,
            "error: found.png: needs the package matplotlib; pip install 'sisso-sal[report]'",
        ),
    ],
    ids=["page", "a plot, before the campaigns"],
)
def test_what_needs_an_extra_says_how_to_get_it(campaign, words, code, told):
    done = without(campaign[0], *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
