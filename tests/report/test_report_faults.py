"""Whatever goes wrong in a report: the campaign goes on, one line tells it, and the report can be made again."""

import errno
import importlib
import json
import os
import shutil
import subprocess

import pytest
from forks import shared
from lines import events, timeless

from sisso_sal import Campaign
from sisso_sal.errors import UnitError
from sisso_sal.report.figures.saved import save_figures
from sisso_sal.report.page.document import write_report
from sisso_sal.report.run_view import RunView

PAGE = "sisso_sal.report.page.document"
SMALL = {"rung": 1, "dim": 2, "n_sis": 10, "members": 6, "batch": 3, "budget": 6}
WHOLE = [
    ("sisso_sal.report.run_view.RunView.read", ValueError("no such iteration")),
    (f"{PAGE}.described", UnitError("unit 'dB': cannot be used")),
    (f"{PAGE}.status_document", KeyError("best")),
    (f"{PAGE}.report_html", RecursionError("too deep\nsecond line")),
    (f"{PAGE}.plotly_script", MemoryError()),
    (f"{PAGE}.write_whole", OSError(errno.ENOSPC, "No space left on device")),
]
PARTS = [
    (f"{PAGE}.materials_map", "map 1"),
    (f"{PAGE}.interactive.parity", "figure parity"),
    (f"{PAGE}.interactive.learning_curve", "figure course"),
    (f"{PAGE}.calibration_curve", "figure calibration"),
    (f"{PAGE}.formula_html", "formula 1"),
    (f"{PAGE}._recurrence", "what recurs"),
    (f"{PAGE}._certain", "what is certain"),
]


def plant(monkeypatch, place, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(place, fail)


@pytest.fixture
def run(campaign, tmp_path):
    """A finished run folder whose report is gone, beside its table."""
    shutil.copytree(campaign, tmp_path / "again")
    (tmp_path / "again" / "run" / "report.html").unlink()
    return tmp_path / "again" / "run"


def continued(run, monkeypatch, **more):
    told = []
    monkeypatch.chdir(run.parent)
    with Campaign("table.csv", oracle="lookup:truth.csv", out="run", tell=told.append, **SMALL, **more) as campaign:
        assert [line.partition(":")[0] for line in told] == ["members 6"]
        told.clear()
        return campaign.run(), told


@pytest.mark.parametrize(("place", "error"), WHOLE, ids=[place.rpartition(".")[2] for place, _ in WHOLE])
def test_a_report_that_fails_stops_no_campaign(run, monkeypatch, place, error):
    before = events(run)
    with monkeypatch.context() as planted:
        plant(planted, place, error)
        summary, told = continued(run, monkeypatch)
    lines = [line for line in told if line.startswith("the report was not written: ")]
    assert len(lines) == 1, told
    assert lines[0].endswith("; sisso-sal report run makes it again")
    assert "\n" not in lines[0]
    assert summary["report"]["file"] is None
    assert summary["report"]["problem"] in lines[0]
    assert summary["iteration"] == 3
    assert events(run) == before
    summary, told = continued(run, monkeypatch)  # nothing is new but the report
    assert told == []
    assert summary["report"] == {"file": "run/report.html", "problem": None}
    assert events(run) == before


@pytest.mark.parametrize(("place", "part"), PARTS, ids=[part for _, part in PARTS])
def test_a_part_that_fails_is_left_out_and_named(run, monkeypatch, place, part):
    plant(monkeypatch, place, ZeroDivisionError("by zero & more"))
    summary, told = continued(run, monkeypatch)
    assert len(told) == 1
    assert f"{part} (ZeroDivisionError: by zero & more)" in told[0]
    assert told[0].startswith("the report lacks a part: ")
    assert part in summary["report"]["problem"]
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "These parts could not be made: " in text
    assert f"{part} (ZeroDivisionError: by zero &amp; more)" in text
    for proposal in RunView.read(run).proposals:
        assert proposal["id"] in text


def test_a_whole_page_names_no_part(view, tmp_path):
    assert write_report(view, tmp_path / "report.html") == []
    assert "could not be made" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_report_older_than_the_last_event_is_written_again(campaign, tmp_path, monkeypatch):
    shutil.copytree(campaign, tmp_path / "again")
    report = tmp_path / "again" / "run" / "report.html"
    written = report.stat().st_mtime_ns
    continued(report.parent, monkeypatch)
    assert report.stat().st_mtime_ns == written  # nothing is new
    database = report.with_name("campaign.db").stat()
    report.write_text("of an earlier iteration")
    os.utime(report, ns=(database.st_mtime_ns - 1, database.st_mtime_ns - 1))
    continued(report.parent, monkeypatch)
    assert report.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_figure_that_fails_takes_no_other_with_it(view, tmp_path, monkeypatch):
    from sisso_sal.errors import SissoSalError
    from sisso_sal.report.figures import saved

    few = {name: saved._makers(view, 1)[name] for name in ("parity", "calibration", "learning-curve")}
    monkeypatch.setattr(saved, "_makers", lambda view, columns: few)
    plant(monkeypatch, "sisso_sal.report.figures.paper.calibration", ValueError("bins"))
    with pytest.raises(SissoSalError, match=r"1 of 3 figures cannot be made: calibration \(ValueError: bins\)$"):
        save_figures(view, tmp_path, "svg")
    made = {path.stem for path in tmp_path.glob("*.svg")}
    assert made == set(saved._makers(view, 1)) - {"calibration"}


def with_fault(*arguments, place, cwd):
    """The command in a process of its own in which a function of the report fails."""
    module, _, name = place.rpartition(".")
    assert hasattr(importlib.import_module(module), name)
    code = f"import {module} as module\ndef fail(*args, **kwargs): raise ValueError('planted')\nmodule.{name} = fail\n"
    done = shared().call(*arguments, cwd=cwd, lines=False, kill_after=600, first=code)
    return subprocess.CompletedProcess(arguments, done.code, done.out, done.err)


def test_exit_code_and_ledger_are_as_without_the_fault(campaign, tmp_path):
    for name in ("table.csv", "truth.csv"):
        shutil.copy(campaign / name, tmp_path)
    options = [part for key, value in SMALL.items() for part in (f"--{key.replace('_', '-')}", value)]
    arguments = ("discover", "table.csv", "--out", "run", "--oracle", "lookup:truth.csv", *options)
    done = with_fault(*arguments, place=f"{PAGE}.described", cwd=tmp_path)
    assert done.returncode == 3, done.stderr  # a calculation failed, as in the fixture
    told = "the report was not written: ValueError: planted; sisso-sal report run makes it again"
    assert done.stderr.count(told) == 1
    assert "Traceback" not in done.stderr
    assert "Report: missing (ValueError: planted); sisso-sal report run makes it again" in done.stdout
    assert timeless(events(tmp_path / "run")) == timeless(events(campaign / "run"))

    done = with_fault(*arguments, "--json", "--debug", place="sisso_sal.report.run_view.fold", cwd=tmp_path)
    assert done.returncode == 3
    assert json.loads(done.stdout)["report"] == {"file": None, "problem": "ValueError: planted"}
    assert "Traceback" in done.stderr

    done = with_fault(*arguments, place="sisso_sal.report.text.results.discover_text", cwd=tmp_path)
    assert done.returncode == 3
    assert "note: a part of the summary is not shown: ValueError: planted; sisso-sal status run" in done.stderr
    assert "Report: run/report.html" in done.stdout

    done = with_fault("report", "run", place=f"{PAGE}.described", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: run: the report cannot be made: ValueError: planted\n"
