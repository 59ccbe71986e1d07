"""The ledger keeps what was written to it, whole or not at all, for one driver at a time."""

import json
import math
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest

from sisso_sal.campaign.ledger import APPLICATION_ID, SCHEMA_VERSION, Ledger
from sisso_sal.errors import CampaignError, LockedError


@pytest.fixture
def run(tmp_path):
    return tmp_path / "runs" / "first"


@pytest.fixture
def filled(run):
    with Ledger(run) as ledger:
        ledger.append("created", {"settings": {"goal": "min"}, "table": "a.csv"})
        ledger.append_all([("label", {"id": f"M{i}", "value": i / 7}) for i in range(40)])
    return run


def contents(folder):
    """Bytes and time of change of every file."""
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir() if p.name != ".lock"}


def refused(folder, kind=CampaignError):
    before = contents(folder)
    with pytest.raises(kind) as caught:
        Ledger(folder)
    assert contents(folder) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit(folder, *statements):
    with closing(sqlite3.connect(folder / "campaign.db", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_events_are_read_back_in_order_with_number_and_time(run):
    before = datetime.now(UTC)
    with Ledger(run) as ledger:
        assert list(ledger.events()) == []
        assert ledger.last("label") is None
        assert ledger.append("created", {"goal": "≤0.3"}) == 1
        assert ledger.append_all([("label", {"id": "Mg O", "value": -0.1}), ("note", {"deep": {"a": [1, None]}})]) == 3
    with Ledger(run) as ledger:
        found = list(ledger.events())
        assert ledger.last("label") == found[1]
    assert [event["seq"] for event in found] == [1, 2, 3]
    assert [event["event"] for event in found] == ["created", "label", "note"]
    assert (found[0]["goal"], found[1]["id"], found[1]["value"]) == ("≤0.3", "Mg O", -0.1)
    assert found[2]["deep"] == {"a": [1, None]}
    for event in found:
        written = datetime.fromisoformat(event["time"])
        assert written.tzinfo is not None
        assert -0.001 <= (written - before).total_seconds() < 60


def test_floats_keep_every_bit(run):
    values = [0.1 + 0.2, 1e-308, 5e-324, 1.7976931348623157e308, -0.0, 1 / 3]
    with Ledger(run) as ledger:
        ledger.append_all([("label", {"id": str(i), "value": value}) for i, value in enumerate(values)])
    with Ledger(run) as ledger:
        found = [event["value"] for event in ledger.events("label")]
    assert [value.hex() for value in found] == [value.hex() for value in values]


def test_events_of_one_kind(filled):
    with Ledger(filled) as ledger:
        assert [event["event"] for event in ledger.events("created")] == ["created"]
        assert len(list(ledger.events("label"))) == 40
        assert list(ledger.events("nothing")) == []


def test_several_events_are_written_all_or_none(filled):
    with Ledger(filled) as ledger:
        with pytest.raises(CampaignError, match=r"campaign\.db: cannot be written: NOT NULL constraint failed"):
            ledger.append_all([("label", {"id": "new", "value": 1.0}), (None, {})])
        with pytest.raises(ValueError, match="JSON compliant"):
            ledger.append_all([("label", {"id": "new", "value": 1.0}), ("label", {"id": "x", "value": math.nan})])
        with pytest.raises(TypeError):
            ledger.append_all([("label", {"id": "new", "value": 1.0}), ("label", {"id": object()})])
        assert "new" not in ledger.labels()
        assert ledger.append("label", {"id": "after", "value": 2.0}) == 42
    with Ledger(filled) as ledger:
        assert len(list(ledger.events())) == 42
        assert ledger.labels()["after"] == 2.0


def test_a_crash_in_the_middle_of_a_write_leaves_whole_events(run):
    """A child writes batches of three until it is killed; every batch is there in full or not at all."""
    code = (
        "import sys; from sisso_sal.campaign.ledger import Ledger\n"
        "with Ledger(sys.argv[1]) as ledger:\n"
        "    for i in range(10**6):\n"
        "        ledger.append_all([('label', {'id': f'{i}-{j}', 'value': 'x' * 3000}) for j in range(3)])\n"
        "        print(i, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, run], stdout=subprocess.PIPE, text=True)
    with child:
        for _ in range(20):
            told = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = [int(line) for line in child.stdout.read().splitlines()]
    told = max([told, *rest])
    with Ledger(run) as ledger:
        ids = [event["id"] for event in ledger.events()]
        ledger.append("label", {"id": "after", "value": 0.5})
    assert ids == [f"{i}-{j}" for i in range(len(ids) // 3) for j in range(3)]
    assert len(ids) // 3 in {told + 1, told + 2}


def test_labels_pending_and_failed_are_folds_over_the_events(run):
    with Ledger(run) as ledger:
        assert (ledger.labels(), ledger.pending(), ledger.failed()) == ({}, set(), set())
        ledger.append_all([("submission", {"id": name, "job": f"j-{name}"}) for name in "abcd"])
        assert ledger.pending() == set("abcd")
        ledger.append("label", {"id": "a", "value": 1.0})
        ledger.append("failure", {"id": "b", "reason": "walltime"})
        ledger.append("label", {"id": "z", "value": 3.0})
        assert ledger.pending() == {"c", "d"}
        assert ledger.failed() == {"b"}
        assert ledger.labels() == {"a": 1.0, "z": 3.0}
        ledger.append("label", {"id": "a", "value": 1.5})
        assert ledger.labels() == {"a": 1.5, "z": 3.0}
        assert ledger.last("label")["value"] == 1.5


def test_a_second_driver_is_turned_away_within_two_seconds_and_changes_nothing(filled):
    with Ledger(filled) as ledger:
        start = time.monotonic()
        told = refused(filled, LockedError)
        assert time.monotonic() - start < 2.0
        assert told == f"{filled}: another process is driving this run; wait for it or stop it"
        ledger.append("label", {"id": "still", "value": 1.0})
    assert LockedError.exit_code == 75
    with Ledger(filled) as ledger:
        assert ledger.labels()["still"] == 1.0


def test_the_lock_holds_between_processes(filled):
    code = "import sys; from sisso_sal.campaign.ledger import Ledger; Ledger(sys.argv[1])"
    with Ledger(filled):
        before = contents(filled)
        done = subprocess.run([sys.executable, "-c", code, filled], capture_output=True, text=True, timeout=60)
        assert contents(filled) == before
    assert done.returncode == 1
    assert "LockedError" in done.stderr
    assert subprocess.run([sys.executable, "-c", code, filled], timeout=60).returncode == 0


def test_the_lock_of_a_process_that_died_does_not_hold(filled):
    code = (
        "import os, sys; from sisso_sal.campaign.ledger import Ledger\n"
        "ledger = Ledger(sys.argv[1]); ledger.append('label', {'id': 'last', 'value': 1.0}); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, filled], timeout=60).returncode == 9
    with Ledger(filled) as ledger:
        assert ledger.labels()["last"] == 1.0


def test_a_refused_ledger_does_not_keep_its_lock(filled):
    edit(filled, f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    for _ in range(2):
        with pytest.raises(CampaignError, match="update sisso-sal"):
            Ledger(filled)


def test_a_newer_schema_is_refused_untouched(filled):
    edit(filled, f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    assert refused(filled) == f"{filled}/campaign.db: needs ledger schema 1 or older, found 2; update sisso-sal"
    edit(filled, "PRAGMA journal_mode=WAL")
    assert refused(filled).endswith("needs ledger schema 1 or older, found 2; update sisso-sal")


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_another_database_is_refused_untouched(run, mode):
    run.mkdir(parents=True)
    edit(run, f"PRAGMA journal_mode={mode}", "CREATE TABLE events (a)", "INSERT INTO events VALUES (1)")
    assert refused(run) == f"{run}/campaign.db: needs a campaign ledger, found another SQLite database"


def test_another_file_is_refused_untouched(run):
    run.mkdir(parents=True)
    (run / "campaign.db").write_text("id,value\nMgO,0.8\n" * 100)
    assert refused(run) == f"{run}/campaign.db: needs a campaign ledger, cannot be read: file is not a database"


def test_a_folder_in_the_place_of_the_ledger_is_refused(run):
    (run / "campaign.db").mkdir(parents=True)
    with pytest.raises(CampaignError, match=r"campaign\.db: needs a campaign ledger, cannot be read: "):
        Ledger(run)


def test_a_run_that_cannot_be_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(CampaignError, match=r"cannot be made a run folder: (File exists|Not a directory)$"):
            Ledger(place)


def test_an_empty_file_becomes_a_ledger(run):
    run.mkdir(parents=True)
    (run / "campaign.db").touch()
    with Ledger(run) as ledger:
        assert ledger.append("created", {}) == 1
    with closing(sqlite3.connect(run / "campaign.db")) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_every_write_reaches_the_disk_before_it_counts(run):
    with Ledger(run) as ledger:
        assert ledger._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert ledger._connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.parametrize("flip", [0xFF, 0x01])
def test_damage_is_told_and_nothing_else_is_raised(filled, flip):
    """Bytes of the file are spoilt in turn; the ledger is refused, or read as far as SQLite and JSON can tell."""
    path = filled / "campaign.db"
    whole = path.read_bytes()
    told = []
    for start in range(0, len(whole), 41):
        path.write_bytes(whole[:start] + bytes(b ^ flip for b in whole[start : start + 9]) + whole[start + 9 :])
        try:
            with Ledger(filled) as ledger:
                assert len(list(ledger.events())) <= 41
                ledger.labels()
                ledger.pending()
        except CampaignError as error:
            told.append(str(error))
    assert len(told) > 20
    assert [message for message in told if not message.startswith(f"{path}: ") or "\n" in message] == []


def test_an_interrupted_making_is_made_again(run):
    """What a crash during the first transaction leaves: pages in the file, and a journal that says it had none."""
    with Ledger(run):
        pass
    size, sector = (run / "campaign.db").stat().st_size, 512
    header = bytes.fromhex("d9d505f920a163d7") + struct.pack(">IIIII", 0, 7, 0, sector, 4096)
    (run / "campaign.db-journal").write_bytes(header.ljust(sector, b"\0"))
    with Ledger(run) as ledger:
        assert ledger.append("created", {}) == 1
    assert (run / "campaign.db").stat().st_size == size
    assert not (run / "campaign.db-journal").exists()


def test_a_cut_file_is_refused(filled):
    path = filled / "campaign.db"
    whole = path.read_bytes()
    for end in range(100, len(whole), 1500):
        path.write_bytes(whole[:end])
        assert refused(filled).startswith(f"{path}: ")


def test_the_ledger_is_readable_with_nothing_but_sqlite(filled):
    with closing(sqlite3.connect(filled / "campaign.db")) as connection:
        rows = connection.execute("SELECT event, data FROM events WHERE event = 'label' ORDER BY seq").fetchall()
    assert [json.loads(data)["id"] for _, data in rows] == [f"M{i}" for i in range(40)]
