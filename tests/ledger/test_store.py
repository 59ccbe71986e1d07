"""The ledger keeps what was written to it, whole or not at all, for one driver at a time."""

import json
import math
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest

from sisso_sal.errors import CampaignError, LockedError, StorageError
from sisso_sal.ledger import rows as rows_module
from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.lock import NOTE, check_free, noted_driver
from sisso_sal.ledger.rows import APPLICATION_ID, SCHEMA_VERSION, Row, digest_of, unbroken
from sisso_sal.ledger.store import Ledger, read_ledger


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
    passing = {".lock", NOTE}
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir() if p.name not in passing}


def labels(folder):
    return fold(read_ledger(folder).events("label")).labels


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


@pytest.mark.usefixtures("closes_databases")
def test_events_are_read_back_in_order_with_number_and_time(run):
    before = datetime.now(UTC)
    with Ledger(run) as ledger:
        assert list(ledger.events()) == []
        assert ledger.last("label") is None
        assert ledger.append("created", {"goal": "≤0.3"})["seq"] == 1
        written = ledger.append_all([("label", {"id": "Mg O", "value": -0.1}), ("note", {"deep": {"a": [1, None]}})])
    with Ledger(run) as ledger:
        found = list(ledger.events())
        assert ledger.last("label") == found[1]
    assert found[1:] == written
    assert list(read_ledger(run).events()) == found
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
        with pytest.raises(StorageError, match=r"campaign\.db: cannot be written: NOT NULL constraint failed"):
            ledger.append_all([("label", {"id": "new", "value": 1.0}), (None, {})])
        with pytest.raises(ValueError, match="JSON compliant"):
            ledger.append_all([("label", {"id": "new", "value": 1.0}), ("label", {"id": "x", "value": math.nan})])
        with pytest.raises(TypeError):
            ledger.append_all([("label", {"id": "new", "value": 1.0}), ("label", {"id": object()})])
        assert "new" not in labels(filled)
        assert ledger.append("label", {"id": "after", "value": 2.0})["seq"] == 42
        assert ledger.append_all([]) == []
    assert len(read_ledger(filled).rows) == 42
    assert labels(filled)["after"] == 2.0


def test_a_crash_in_the_middle_of_a_write_leaves_whole_events(run):
    """A child writes batches of three until it is killed; every batch is there in full or not at all."""
    code = (
        "import sys; from sisso_sal.ledger.store import Ledger\n"
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


def test_a_second_driver_is_turned_away_within_two_seconds_and_changes_nothing(filled):
    with Ledger(filled) as ledger:
        start = time.monotonic()
        told = refused(filled, LockedError)
        assert time.monotonic() - start < 2.0
        driver = noted_driver(filled)
        assert (driver.host, driver.pid, driver.is_alive) == (socket.gethostname(), os.getpid(), True)
        who = f"another process is driving this run (process {os.getpid()} on {socket.gethostname()}, since {driver.since})"
        assert told == f"{filled}: {who}; wait for it, or end it with sisso-sal stop {filled}"
        with pytest.raises(LockedError, match="another process is driving this run"):
            check_free(filled)
        ledger.append("label", {"id": "still", "value": 1.0})
    assert LockedError.exit_code == 75
    assert labels(filled)["still"] == 1.0
    assert noted_driver(filled) is None
    check_free(filled)


def test_the_lock_holds_between_processes(filled):
    code = "import sys; from sisso_sal.ledger.store import Ledger; Ledger(sys.argv[1])"
    with Ledger(filled):
        before = contents(filled)
        done = subprocess.run([sys.executable, "-c", code, filled], capture_output=True, text=True, timeout=60)
        assert contents(filled) == before
    assert done.returncode == 1
    assert "LockedError" in done.stderr
    assert subprocess.run([sys.executable, "-c", code, filled], timeout=60).returncode == 0


def test_the_lock_of_a_process_that_died_does_not_hold(filled):
    code = (
        "import os, sys; from sisso_sal.ledger.store import Ledger\n"
        "ledger = Ledger(sys.argv[1]); ledger.append('label', {'id': 'last', 'value': 1.0}); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, filled], timeout=60).returncode == 9
    driver = noted_driver(filled)
    assert (driver.host, driver.is_alive) == (socket.gethostname(), False)
    with Ledger(filled):
        assert labels(filled)["last"] == 1.0


def test_the_lock_of_a_driver_on_another_host_is_not_broken_silently(filled):
    note = {"host": "login2", "pid": 123, "since": "2026-11-02T10:00:00+00:00"}
    (filled / NOTE).write_text(json.dumps(note))
    assert noted_driver(filled).is_alive is None
    assert refused(filled, LockedError) == (
        f"{filled}: process 123 on login2, since 2026-11-02T10:00:00+00:00, drives this run or was killed; make sure "
        "that it has ended, then give --take-over"
    )
    assert json.loads((filled / NOTE).read_text()) == note
    with Ledger(filled, take_over=True) as ledger:
        assert ledger.append("label", {"id": "mine", "value": 1.0})["seq"] == 42
    assert noted_driver(filled) is None


def test_a_driver_whose_job_has_ended_holds_nobody(filled, monkeypatch, tmp_path):
    """The next job of a chain runs on another host."""
    squeue = tmp_path / "squeue"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    note = {"host": "node7", "pid": 123, "since": "2026-11-02T10:00:00+00:00", "job": "41"}
    (filled / NOTE).write_text(json.dumps(note))
    squeue.write_text("#!/bin/sh\necho '41 main R'\n")
    squeue.chmod(0o755)
    assert "drives this run or was killed" in refused(filled, LockedError)
    squeue.write_text("#!/bin/sh\necho 'Invalid job id specified' >&2; exit 1\n")
    assert noted_driver(filled).is_alive is False
    with Ledger(filled) as ledger:
        assert len(list(ledger.events())) == 41
    (filled / NOTE).write_text(json.dumps(note | {"job": "41; ls"}))
    assert noted_driver(filled) is None


def test_a_note_of_a_driver_that_cannot_be_read_holds_nobody(filled):
    (filled / NOTE).write_text('{"host": "log')
    with Ledger(filled) as ledger:
        assert len(list(ledger.events())) == 41


def _note_of(**changes):
    return json.dumps({"host": socket.gethostname(), "pid": 123, "since": "2026-11-02T10:00:00+00:00"} | changes)


@pytest.mark.parametrize(
    "note",
    [
        *(_note_of(pid=pid) for pid in (-1, 0, "1", 1.5, True, None, [1], 2**31, 2**63 - 1)),
        _note_of(host=["a"]),
        _note_of(host=""),
        _note_of(since="yesterday"),
        _note_of(since=5),
        '{"host": "a", "pid": ' + 5000 * "9" + "}",
        3000 * "[",
        "[]",
        '{"host": "log',
        '"\\ud800"',
        "",
        "\x00",
    ],
)
def test_a_note_of_a_driver_that_is_none_is_told_in_one_line_and_no_process_is_asked(filled, note, monkeypatch):
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a signal was sent"))
    (filled / NOTE).write_text(note)
    told = []
    assert noted_driver(filled, told.append) is None
    (line,) = told
    assert line.startswith(f"{filled / NOTE}: ")
    assert line.endswith("; the note of the last driver is passed over")
    assert "\n" not in line
    with Ledger(filled) as ledger:
        assert ledger.notes == told
        assert ledger.append("label", {"id": "mine", "value": 1.0})["seq"] == 42
    assert not (filled / NOTE).exists()


def test_a_planted_link_in_the_place_of_scratch_is_not_followed_and_scratch_of_killed_drivers_goes(filled, tmp_path):
    other = tmp_path / "other"
    other.write_text("of somebody else")
    left = [f".{name}{number}.part" for name in ("campaign.db", NOTE, "campaign.jsonl") for number in ("", ".0a1b")]
    for name in left:
        (filled / name).symlink_to(other)
    content = (filled / "campaign.db").read_bytes()
    (filled / "campaign.db").write_bytes(content[:-1000])
    with Ledger(filled) as ledger:
        assert len(list(ledger.events())) == 41
    assert other.read_text() == "of somebody else"
    assert [name for name in left if os.path.lexists(filled / name)] == []


@pytest.mark.parametrize(
    "change",
    [{"seq": 0}, {"seq": -1}, {"seq": 2**63}, {"seq": "1"}, {"seq": True}, {"seq": 1.0}, {"time": "now"}, {"time": 5},
     {"time": "2026-01-01"}, {"event": ""}, {"event": None}, {"event": 101 * "a"}, {"data": None}, {"data": b"{}"},
     {"data": "\ud800"}, {"digest": "x"}, {"digest": None}, {"digest": 32 * "G"}],
)  # fmt: skip
def test_a_row_of_wrong_type_or_range_is_none(change):
    row = Row(1, "2026-01-01T00:00:00.000+00:00", "stop", "{}", "22db101c3ab4e2ac27f72ef71184b5ca")
    assert unbroken([row]) == [row]
    assert unbroken([row._replace(**change)]) == []


@pytest.mark.parametrize("data", ["[]", "7", "{", '{"a": 1e999}', '{"a": ' + 400 * "9" + "}", 400 * "[" + 400 * "]"])
def test_a_valid_chain_of_an_event_whose_data_is_no_object_is_refused_by_name_and_number(filled, data):
    last = read_ledger(filled).rows[-1]
    digest = digest_of(last.digest, 42, last.time, "label", data)
    with closing(sqlite3.connect(filled / "campaign.db", isolation_level=None)) as connection:
        connection.execute("INSERT INTO events VALUES (42, ?, 'label', ?, ?)", (last.time, data, digest))
    with pytest.raises(CampaignError, match=r"^ledger: event 42, label: needs [^\n]*$"):
        labels(filled)


def test_what_could_not_be_read_back_is_not_written(filled):
    with (
        Ledger(filled) as ledger,
        pytest.raises(CampaignError, match="event 42, created: needs integers of at most 64"),
    ):
        ledger.append("created", {"settings": {"seed": 10**30}})
    assert len(read_ledger(filled).rows) == 41


def test_a_link_in_the_place_of_the_lock_is_not_followed(filled, tmp_path):
    (tmp_path / "other").write_text("of somebody else")
    (filled / ".lock").unlink(missing_ok=True)
    (filled / ".lock").symlink_to(tmp_path / "other")
    with pytest.raises(CampaignError, match=r"\.lock: needs a file, found a link$"):
        Ledger(filled)
    assert (tmp_path / "other").read_text() == "of somebody else"


def test_text_that_no_file_can_hold_is_refused_before_it_is_written(filled):
    with Ledger(filled) as ledger, pytest.raises(CampaignError, match="needs text that UTF-8 can hold"):
        ledger.append("failure", {"id": "a", "reason": "\udcff"})
    assert len(read_ledger(filled).rows) == 41


def test_a_database_of_another_id_with_a_copy_beside_it_is_restored(filled):
    edit(filled, "PRAGMA application_id=5")
    with Ledger(filled) as ledger:
        (note,) = ledger.notes
        assert len(list(ledger.events())) == 41
    assert "(its application id is 5)" in note


def test_a_refused_ledger_does_not_keep_its_lock(filled):
    edit(filled, f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    for _ in range(2):
        with pytest.raises(CampaignError, match="update sisso-sal"):
            Ledger(filled)


def test_a_newer_schema_is_refused_untouched(filled):
    edit(filled, f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    assert refused(filled) == f"{filled}/campaign.db: needs ledger schema 2 or older, found 3; update sisso-sal"
    edit(filled, "PRAGMA journal_mode=WAL")
    assert refused(filled).endswith("needs ledger schema 2 or older, found 3; update sisso-sal")


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_another_database_is_refused_untouched(run, mode):
    run.mkdir(parents=True)
    edit(run, f"PRAGMA journal_mode={mode}", "CREATE TABLE events (a)", "INSERT INTO events VALUES (1)")
    assert refused(run) == f"{run}/campaign.db: needs a campaign ledger, found another SQLite database"


@pytest.mark.usefixtures("closes_databases")
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
        assert ledger.append("created", {})["seq"] == 1
    with closing(sqlite3.connect(run / "campaign.db")) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_every_write_reaches_the_disk_before_it_counts(run):
    """EXTRA is FULL, and that the journal is gone is on disk too."""
    with Ledger(run) as ledger:
        assert ledger._connection.execute("PRAGMA synchronous").fetchone() == (3,)
        assert ledger._connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def older(folder):
    """A ledger as schema 1 had it."""
    folder.mkdir(parents=True)
    edit(
        folder,
        "CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, event TEXT NOT NULL,"
        " data TEXT NOT NULL) STRICT",
        f"PRAGMA application_id={APPLICATION_ID}",
        "PRAGMA user_version=1",
        """INSERT INTO events (time, event, data) VALUES ('2026-10-01T10:00:00.000+00:00', 'label',"""
        """ '{"id": "MgO", "value": 0.1}'), ('2026-10-01T10:00:01.000+00:00', 'label', '{"id": "CaO", "value": -2.5}')""",
    )


@pytest.mark.usefixtures("closes_databases")
def test_an_older_schema_is_read_as_it_is_and_brought_forward_by_the_next_driver(run):
    older(run)
    before = contents(run)
    assert labels(run) == {"MgO": 0.1, "CaO": -2.5}
    assert contents(run) == before
    with Ledger(run) as ledger:
        assert ledger.notes == []
        assert ledger.append("label", {"id": "TiO2", "value": 1.0})["seq"] == 3
    with closing(sqlite3.connect(run / "campaign.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        rows = connection.execute("SELECT seq, time, event, data, digest FROM events ORDER BY seq").fetchall()
    digest = ""
    for row in rows:
        digest = digest_of(digest, *row[:4])
        assert row[4] == digest
    assert [row[1] for row in rows[:2]] == ["2026-10-01T10:00:00.000+00:00", "2026-10-01T10:00:01.000+00:00"]
    assert labels(run) == {"MgO": 0.1, "CaO": -2.5, "TiO2": 1.0}


def test_bringing_an_older_schema_forward_happens_in_one_transaction(run, monkeypatch):
    older(run)
    before = (run / "campaign.db").read_bytes()

    def failing(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(rows_module, "insert_rows", failing)
        with pytest.raises(StorageError, match=r"campaign\.db: cannot be written: database or disk is full"):
            Ledger(run)
    assert labels(run) == {"MgO": 0.1, "CaO": -2.5}
    assert (run / "campaign.db").read_bytes() == before


def test_a_reader_waits_for_a_writer_and_is_not_in_its_way(filled):
    path = filled / "campaign.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        timer = threading.Timer(0.3, writer.execute, ["COMMIT"])
        timer.start()
        start = time.monotonic()
        assert len(read_ledger(filled).rows) == 41
        timer.join()
    assert 0.2 < time.monotonic() - start < 5


def test_a_writer_that_never_ends_is_told_and_taken_for_no_damage(filled, monkeypatch):
    monkeypatch.setattr(rows_module, "WAIT", 0.1)
    with closing(sqlite3.connect(filled / "campaign.db", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LockedError, match=r"campaign\.db: another process has been writing for 0 s; try again"):
            read_ledger(filled)


def test_a_reader_after_a_kill_in_the_middle_of_a_write_sees_the_events_before_it(filled):
    """The journal that such a write leaves is played back."""
    code = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('PRAGMA cache_size=1'); c.execute('BEGIN')\n"
        "c.executemany('INSERT INTO events VALUES (?, ?, ?, ?, ?)', [(i, 'x' * 999, '', '', '') for i in range(100, 400)])\n"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, filled / "campaign.db"], timeout=60, check=False)
    assert (filled / "campaign.db-journal").exists()
    reading = read_ledger(filled)
    assert (len(reading.rows), reading.damage) == (41, "")
    assert not (filled / "campaign.db-journal").exists()


def test_a_folder_without_a_ledger_is_told(tmp_path):
    with pytest.raises(CampaignError, match=r"needs a run folder, found no campaign\.db in it$"):
        read_ledger(tmp_path)


def test_an_interrupted_making_is_made_again(run):
    """What a crash during the first transaction leaves: pages in the file, and a journal that says it had none."""
    with Ledger(run):
        pass
    (run / "campaign.jsonl").unlink()
    size, sector = (run / "campaign.db").stat().st_size, 512
    header = bytes.fromhex("d9d505f920a163d7") + struct.pack(">IIIII", 0, 7, 0, sector, 4096)
    (run / "campaign.db-journal").write_bytes(header.ljust(sector, b"\0"))
    with Ledger(run) as ledger:
        assert ledger.append("created", {})["seq"] == 1
    assert (run / "campaign.db").stat().st_size == size
    assert not (run / "campaign.db-journal").exists()


def test_the_ledger_is_readable_with_nothing_but_sqlite(filled):
    with closing(sqlite3.connect(filled / "campaign.db")) as connection:
        rows = connection.execute("SELECT event, data FROM events WHERE event = 'label' ORDER BY seq").fetchall()
    assert [json.loads(data)["id"] for _, data in rows] == [f"M{i}" for i in range(40)]
