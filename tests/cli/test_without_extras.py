"""The core alone: what works without the packages of the extras, and what is said where one of them is needed."""

import json
import subprocess
import sys
from types import SimpleNamespace

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
import io, json
from contextlib import redirect_stderr, redirect_stdout
from sisso_sal.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv[1:], code, texts = words, 0, (io.StringIO(), io.StringIO())
    try:
        with redirect_stdout(texts[0]), redirect_stderr(texts[1]):
            main()
    except SystemExit as error:
        code = error.code
    print(json.dumps([code, *(text.getvalue() for text in texts)]))
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


CALLS = {
    "discover": ["discover", "table.csv", "--rung", "1", "--members", "4", "--batch", "2"],
    "export": ["export", "runs/table/iter-0001/model.json", "--format", "sympy"],
    "predict": ["predict", "runs/table/iter-0001/model.json", "table.csv", "--out", "predictions.csv"],
    "page": ["report", "runs/table"],
    "a plot, before the campaigns": ["replay", "table.csv", "--plot", "found.png"],
}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """A folder with a table, and what commands did that ran in it without the extras, one after the other in one process."""
    folder = tmp_path_factory.mktemp("core")
    (folder / "table.csv").write_text(TABLE)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, json.dumps([*CALLS.values()])], cwd=folder, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder, {
        name: SimpleNamespace(returncode=code or 0, stdout=out, stderr=err)
        for name, (code, out, err) in zip(CALLS, map(json.loads, done.stdout.splitlines()), strict=True)
    }


def test_the_core_fits_predicts_proposes_and_exports(campaign):
    folder, done = campaign
    assert done["discover"].returncode == 0, done["discover"].stderr
    assert "Best candidates for gap" in done["discover"].stdout
    assert (folder / "runs" / "table" / "iter-0001" / "proposals.csv").read_text().count("\n") == 3
    assert done["export"].returncode == 0
    assert "import" in done["export"].stdout
    predicted = done["predict"]
    assert (predicted.returncode, predicted.stderr.count("error")) == (0, 0)


def test_a_campaign_without_the_report_says_so_and_goes_on(campaign):
    folder, done = campaign
    line = "the report was not written: report: needs the package jinja2; pip install 'sisso-sal[report]'"
    assert line in done["discover"].stderr
    assert not (folder / "runs" / "table" / "report.html").exists()


@pytest.mark.parametrize(
    ("call", "code", "told"),
    [
        ("page", 1, "report: needs the package jinja2; pip install 'sisso-sal[report]'"),
        (
            "a plot, before the campaigns",
            2,
            "error: found.png: needs the package matplotlib; pip install 'sisso-sal[report]'",
        ),
    ],
)
def test_what_needs_an_extra_says_how_to_get_it(campaign, call, code, told):
    done = campaign[1][call]
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
