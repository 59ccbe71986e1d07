"""The kinds of oracles are records: help, completion, messages and the making of one follow from them, those of plug-ins too."""

import os
import re
import subprocess
import sys

import click
import pytest
from lines import MATERIALS, TRUE, table_of

from sisso_sal.cli import known_values
from sisso_sal.cli.discover import discover
from sisso_sal.errors import SettingsError
from sisso_sal.oracle.doctor import oracle_check
from sisso_sal.oracle.registry import (
    ORACLES,
    OracleKind,
    check_oracle,
    known_labels,
    make_oracle,
    oracle_help,
    oracle_named,
)
from sisso_sal.settings import PEOPLE
from sisso_sal.settings.campaign import CampaignSettings, RunSettings

PLUG_IN = """
from sisso_sal.oracle.registry import OracleKind
from sisso_sal.protocols import Answer, Receipt

TRUE = {true}


class Factor:
    poll, barred = 0.0, {{}}

    def __init__(self, factor):
        self.factor = factor

    def describe(self):
        return {{"oracle": "factor", "factor": self.factor}}

    def differences(self, labels):
        return []

    def submit(self, request):
        return Receipt(request.intent, request.id)

    query = submit

    def collect(self, receipts):
        return [Answer(receipt.intent, value=self.factor * TRUE[receipt.job]) for receipt in receipts]

    def close(self):
        pass


KIND = OracleKind(
    written="factor:NUMBER", words="the truth times a number", make=lambda settings, run, table, rest: Factor(float(rest))
)
"""


@pytest.fixture
def plugged_in(tmp_path):
    """The environment of a command that sees a distribution with an oracle of its own."""
    place = tmp_path / "site"
    (place / "factor-1.0.dist-info").mkdir(parents=True)
    (place / "factor.py").write_text(PLUG_IN.format(true=TRUE))
    (place / "factor-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: factor\nVersion: 1.0\n")
    (place / "factor-1.0.dist-info" / "entry_points.txt").write_text("[sisso_sal.oracles]\nfactor = factor:KIND\n")
    paths = [str(place), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "250"}


def command(*arguments, environment, cwd):
    words = [sys.executable, "-m", "sisso_sal", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, env=environment, cwd=cwd, timeout=300)


def test_a_plug_in_is_in_the_help_and_in_the_message(plugged_in, tmp_path):
    """A campaign that one labels is in tests/plugin."""
    MATERIALS.to_csv(tmp_path / "materials.csv", index=False)
    text = " ".join(command("discover", "--help", environment=plugged_in, cwd=tmp_path).stdout.split())
    assert "jobflow:MAKER (a Maker of jobflow, package.module:Maker), factor:NUMBER (the truth times" in text
    refused = command("discover", "materials.csv", "--oracle", "factor", environment=plugged_in, cwd=tmp_path)
    assert refused.returncode == 2
    assert (
        "needs none, aims, structure, lookup:FILE, folder:PATH, command:COMMAND, jobflow:MAKER or factor:NUMBER, found 'factor'"
        in refused.stderr
    )


def test_help_completion_and_messages_are_made_from_the_records(monkeypatch):
    kinds = {
        "one": OracleKind(written="one", words="the first", make=lambda *_: None),
        "two": OracleKind(written="two:X", words="the second", make=lambda *_: None),
    }
    monkeypatch.setattr("sisso_sal.oracle.registry.ORACLES", kinds)
    option = next(parameter for parameter in discover.params if parameter.name == "oracle")
    context = click.Context(discover)
    assert (
        option.get_help_record(context)[1]
        == "Source of the labels: one (the first), two:X (the second); none by default."
    )
    assert known_values.oracles(context, option, "") == ["one", "two:"]
    assert known_values.oracles(context, option, "t") == ["two:"]
    for wrong in ("three", "one:x", "two", "two:", ""):
        with pytest.raises(SettingsError, match=f"^oracle: needs one or two:X, found '{re.escape(wrong)}'$"):
            oracle_named(wrong)
    assert oracle_named("two:a:b") == (kinds["two"], "a:b")


@pytest.mark.parametrize("kind", [7, OracleKind(written="two", words="", make="")])
def test_a_record_that_is_none_or_of_another_name_is_refused(monkeypatch, kind):
    monkeypatch.setattr("sisso_sal.oracle.registry.ORACLES", {"one": kind})
    with pytest.raises(
        SettingsError, match=r"^sisso_sal\.oracles: 'one': needs an OracleKind that is written 'one', found "
    ):
        oracle_help()


def test_the_records_say_how_they_are_named():
    assert {name: kind.written.partition(":")[0] for name, kind in ORACLES.items()} == {name: name for name in ORACLES}
    assert all(f"{kind.written} ({kind.words})" in oracle_help() for kind in ORACLES.values())


def test_where_people_label_there_is_no_oracle(tmp_path):
    assert RunSettings().oracle == PEOPLE
    assert make_oracle(CampaignSettings(), tmp_path, table_of(MATERIALS, tmp_path)) is None
    assert check_oracle(CampaignSettings()) == ""
    assert oracle_check(CampaignSettings()).as_dict() == {
        "name": "oracle", "status": "ok", "detail": "none, needs no calculations",
    }  # fmt: skip


def test_the_help_imports_nothing_that_computes(tmp_path):
    code = (
        "import sys; from sisso_sal.oracle.registry import oracle_help; oracle_help();"
        "print([name for name in ('numpy', 'pandas', 'pydantic', 'taskblaster', 'ase', 'pymatgen') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_doctor_says_what_would_compute_and_what_is_missing(monkeypatch):
    kinds = {
        "good": OracleKind(written="good", words="", make=lambda *_: None, check=lambda settings: "by hand"),
        "bad": OracleKind(written="bad", words="", make=lambda *_: None, check="test_oracle_registry:missing"),
    }
    monkeypatch.setattr("sisso_sal.oracle.registry.ORACLES", kinds)
    checks = [oracle_check(CampaignSettings(run=RunSettings(oracle=name))) for name in ("good", "bad", "ugly")]
    assert [(check.status, check.detail) for check in checks] == [
        ("ok", "by hand"),
        ("problem", "there is no hand"),
        ("problem", "oracle: needs good or bad, found 'ugly'"),
    ]


def missing(settings):
    raise SettingsError("there is no hand")


@pytest.mark.parametrize("written", ["none", "lookup:true.csv", "folder:.", "command:./run.sh {id}"])
def test_vibrations_are_refused_where_no_phases_are_computed(written):
    settings = CampaignSettings.model_validate({"run": {"oracle": written}, "label": {"vibrations": "chgnet"}})
    told = f"label.vibrations: needs an oracle aims or structure or jobflow:MAKER, found '{written}'"
    assert oracle_check(settings).detail == told
    for refused in (lambda: make_oracle(settings, "run", None), lambda: known_labels(settings, None)):
        with pytest.raises(SettingsError) as error:
            refused()
        assert str(error.value) == told
