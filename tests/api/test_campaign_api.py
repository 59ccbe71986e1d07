"""The front door in Python: the same campaign as by the command, with defaults alone and with objects of one's own."""

import subprocess
import sys
from pathlib import Path

import pytest
from lines import KNOWN, MATERIALS, N_KNOWN, TRUE, Lines, space_of, state, table_of

import sisso_sal
from sisso_sal import Campaign
from sisso_sal.errors import CampaignError, InputError, LockedError, SettingsError, TableError
from sisso_sal.ledger.store import Ledger
from sisso_sal.protocols import Answer, Receipt, SurrogateKind

SMALL = {"rung": 1, "dim": 1, "n_sis": 20, "members": 4, "batch": 3, "seed": 5, "with_report": False}


@pytest.fixture
def table(tmp_path):
    table_of(MATERIALS, tmp_path / "tables")
    return tmp_path / "tables" / "materials.csv"


class Truth:
    """An oracle of one's own that answers at once, and fails for one candidate."""

    poll = 0.01

    def __init__(self, fails=()):
        self.fails, self.asked, self.is_closed = fails, {}, False
        self.barred = {"M29": "cannot be made"}

    def describe(self):
        return {"oracle": "truth"}

    def differences(self, labels):
        return []

    def submit(self, request):
        self.asked[request.intent] = request
        return Receipt(request.intent, "job")

    def query(self, request):
        return Receipt(request.intent, "job") if request.intent in self.asked else None

    def collect(self, receipts):
        ids = {receipt.intent: self.asked[receipt.intent].id for receipt in receipts}
        return [
            Answer(intent, kind="invalid", reason="melts") if id in self.fails else Answer(intent, TRUE[id], 0.1)
            for intent, id in ids.items()
        ]

    def close(self):
        self.is_closed = True


def test_a_step_proposes_what_the_command_proposes(table, tmp_path, forks):
    campaign = Campaign(table, out=tmp_path / "run", **SMALL)
    summary = campaign.step()
    command = [
        "discover", table, "--out", tmp_path / "other", "--rung", "1", "--dim", "1",
        "--n-sis", "20", "--members", "4", "--batch", "3", "--seed", "5", "--no-report", "--quiet",
    ]  # fmt: skip
    assert forks.call(*command, lines=False).code == 0
    assert [p["id"] for p in summary["proposals"]] == campaign.proposals["id"].tolist()
    for name in ("predictions.csv", "proposals.csv", "model.json"):
        here, there = (tmp_path / run / "iter-0001" / name for run in ("run", "other"))
        assert here.read_bytes() == there.read_bytes()


def test_results_that_are_handed_in_are_learned(table, tmp_path):
    campaign = Campaign(table, out=tmp_path / "run", **SMALL)
    assert campaign.proposals.empty
    campaign.step()
    first = campaign.proposals["id"][0]
    assert campaign.label(first, TRUE[first], 0.05) == 1
    assert campaign.label(first, TRUE[first], 0.05) == 0
    with pytest.raises(CampaignError, match=r"replace=True\) changes it"):
        campaign.label(first, 99.0)
    summary = campaign.step()
    assert (summary["iteration"], summary["n_labelled"]) == (2, N_KNOWN + 1)
    assert state(tmp_path / "run").errors == {first: 0.05}
    assert first not in campaign.proposals["id"].tolist()
    assert campaign.status()["iteration"] == 2


def test_a_campaign_with_an_oracle_of_ones_own_runs_to_its_end(table, tmp_path):
    oracle = Truth(fails={"M02"})
    with Campaign(table, out=tmp_path / "run", oracle=oracle, budget=6, **SMALL) as campaign:
        summary = campaign.run()
    assert oracle.is_closed
    assert summary["campaign"]["stop"]["kind"] == "budget"
    now = state(tmp_path / "run")
    assert len(now.asked) == 6
    assert all(now.labels[id] == TRUE[id] for id in now.asked if id not in {"M02"})
    assert "M29" not in now.asked


def test_another_object_continues_and_other_settings_are_refused(table, tmp_path):
    first = Campaign(table, out=tmp_path / "run", **SMALL).step()
    again = Campaign(table, out=tmp_path / "run", **SMALL).run()
    assert again == first | {"is_new": False}
    with pytest.raises(CampaignError, match="goal: min -> max"):
        Campaign(table, goal="max", out=tmp_path / "run", **SMALL).step()


def test_a_table_that_was_read_and_a_space_are_taken_as_they_are(table, tmp_path):
    read = table_of(MATERIALS, tmp_path / "tables")
    first = Campaign(read, out=tmp_path / "a", **SMALL).preview()
    second = Campaign(space_of(MATERIALS, tmp_path / "tables"), out=tmp_path / "b", **SMALL).preview()
    assert first["proposals"] == second["proposals"]
    assert not (tmp_path / "a").exists()
    assert Campaign(read, **SMALL).folder.as_posix() == "runs/materials"


def test_a_data_frame_is_taken_like_its_file(table, tmp_path):
    first = Campaign(table, out=tmp_path / "a", **SMALL).preview()
    campaign = Campaign(MATERIALS, out=tmp_path / "b", **SMALL)
    assert campaign.preview()["proposals"] == first["proposals"]
    indexed = Campaign(MATERIALS.set_index("formula"), out=tmp_path / "c", **SMALL)
    assert indexed.space.describe()["digest"] == campaign.space.describe()["digest"]
    assert Campaign(MATERIALS, **SMALL).folder.as_posix() == "runs/table"
    with pytest.raises(TableError, match="table: needs columns of numbers or text"):
        Campaign(MATERIALS.assign(mixed=[1, "a", *[None] * (len(MATERIALS) - 2)]), out=tmp_path / "d", **SMALL)


def test_a_surrogate_that_was_registered_runs_to_the_report(table, tmp_path, monkeypatch):
    from sisso_sal.models import registry

    kinds = {"lines": SurrogateKind("lines", "lines", lambda settings, seed, threads: Lines())}
    monkeypatch.setattr(registry, "SURROGATES", kinds)
    campaign = Campaign(table, out=tmp_path / "run", surrogate="lines", batch=2, with_report=False)
    assert campaign.step()["n_members"] == 4
    assert len(campaign.proposals) == 2


def test_progress_and_lines_reach_the_caller(table, tmp_path):
    lines, calls = [], []
    campaign = Campaign(
        table, out=tmp_path / "run", tell=lines.append, progress=lambda *call: calls.append(call), **SMALL
    )
    campaign.step()
    assert lines[-1].startswith(f"iteration 1: {KNOWN.sum()} labels")
    assert calls[-1][0] == calls[-1][1]


def test_what_is_wrong_is_told_at_once(table, tmp_path):
    with pytest.raises(SettingsError, match="unknown setting 'bach'"):
        Campaign(table, out=tmp_path / "run", bach=3)
    with pytest.raises(SettingsError, match="oracle: needs "):
        Campaign(table, out=tmp_path / "run", oracle="oracle-of-delphi")
    with pytest.raises(CampaignError, match="needs a run"):
        Campaign(table, out=tmp_path / "run", **SMALL).label("M02", 1.0)
    campaign = Campaign(table, out=tmp_path / "run", **SMALL)
    campaign.step()
    with Ledger(tmp_path / "run"), pytest.raises(LockedError):
        campaign.step()


def test_what_no_option_could_be_is_refused_at_once(table, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(InputError, match=r"oracle: needs an object .* found 3$"):
        Campaign(table, out=out, oracle=3)
    with pytest.raises(InputError, match=r"threads: needs a whole number >= 1, found 'x'"):
        Campaign(table, out=out, threads="x")
    for options, message in (
        ({"goal": "minimum"}, "goal: needs "),
        ({"acquisition": "hit"}, "did you mean 'hits'"),
        ({"surrogate": "forrest"}, "did you mean 'forest'"),
    ):
        with pytest.raises(SettingsError, match=message):
            Campaign(table, out=out, **options)
    campaign = Campaign(table, out=out, **SMALL)
    with pytest.raises(InputError, match="label of 'M02': needs a number as its value, found 'a'"):
        campaign.label("M02", "a")
    assert not out.exists()


def test_settings_that_the_surrogate_does_not_use_are_told_and_do_not_stop_a_run(table, tmp_path):
    lines, out = [], tmp_path / "run"
    forest = {"surrogate": "forest", "batch": 3, "with_report": False, "tell": lines.append}
    Campaign(table, out=out, **forest).step()
    assert not [line for line in lines if "does not use" in line]
    again = Campaign(table, out=out, members=7, **forest)
    assert "the surrogate forest does not use these settings: members" in lines
    assert again.settings.ensemble.members == 30
    assert not again.step()["is_new"]


def test_an_answer_that_is_no_number_is_a_failure(table, tmp_path):
    class Wrong(Truth):
        def collect(self, receipts):
            return [Answer(receipt.intent, "x") for receipt in receipts]

    Campaign(table, out=tmp_path / "run", oracle=Wrong(), budget=2, **SMALL).run()
    failed = state(tmp_path / "run").failed
    assert [case.failures[-1]["kind"] for case in failed] == ["invalid"] * 2
    assert failed[0].failures[-1]["reason"] == "needs a finite number as the label, found 'x'"


def test_the_report_is_written_where_it_says(table, tmp_path):
    campaign = Campaign(table, out=tmp_path / "run", **SMALL)
    campaign.step()
    path = campaign.report()
    assert path == tmp_path / "run" / "report.html"
    assert "<!doctype html>" in path.read_text(encoding="utf-8").lower()


def test_public_names_are_listed_and_can_be_imported():
    assert dir(sisso_sal) == sorted(sisso_sal.__all__)
    for name in sisso_sal.__all__:
        assert getattr(sisso_sal, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Campaing'"):
        _ = sisso_sal.Campaing


def test_the_package_is_the_command_and_is_typed():
    done = subprocess.run([sys.executable, "-m", "sisso_sal", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"sisso-sal, version {sisso_sal.__version__}"
    assert (Path(sisso_sal.__file__).parent / "py.typed").exists()
