"""What is left of a ledger that was cut or overwritten: the earlier events, told in one line, and the next appends load back."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from itertools import islice

import pytest
from compiled import STEP, drawn, examples_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sisso_sal.campaign.verify import findings
from sisso_sal.errors import CampaignError, StorageError
from sisso_sal.ledger.rows import COPY
from sisso_sal.ledger.store import DATABASE, Ledger, read_ledger

N_EVENTS = 41


@pytest.fixture
def run(in_memory):
    with Ledger(in_memory / "run") as ledger:
        ledger.append("created", {"settings": {"goal": "≤0.3"}})
        for i in range(N_EVENTS - 1):
            ledger.append("label", {"id": f"M{i}", "value": i / 7})
    return in_memory / "run"


def files(run):
    return (run / DATABASE).read_bytes(), (run / COPY).read_bytes()


def put(run, database, copy):
    for path in [*run.glob(f"{DATABASE}*"), *run.glob(f"{COPY}.damaged*")]:
        path.unlink()
    for name, content in ((DATABASE, database), (COPY, copy)):
        if content is None:
            (run / name).unlink(missing_ok=True)
        else:
            (run / name).write_bytes(content)


def goes_on(run, expected):
    """The ledger opens with the expected rows, and what is appended then loads back with them."""
    with Ledger(run) as ledger:
        notes = ledger.notes
        assert [event["seq"] for event in ledger.events()] == [row.seq for row in expected]
        ledger.append_all([("label", {"id": "after", "value": 1.5}), ("label", {"id": "that", "value": 2.5})])
    reading = read_ledger(run)
    assert reading.damage == ""
    assert reading.rows[:-2] == expected
    assert [event["id"] for event in list(reading.events())[-2:]] == ["after", "that"]
    with Ledger(run) as ledger:
        assert ledger.notes == []
    return notes


def last_pages(database):
    """Where the bytes of the last two events begin: the first of their pages."""
    size = int.from_bytes(database[16:18], "big")
    places = [database.rindex(text) for text in (b'{"id": "M38"', b'{"id": "M39"')]
    return min(places) // size * size


@pytest.mark.parametrize("step", [pytest.param(61, id="some"), pytest.param(1, id="all", marks=pytest.mark.faults)])
def test_the_database_cut_at_every_byte_of_the_pages_of_the_last_two_events_loses_nothing(run, step):
    rows = read_ledger(run).rows
    database, copy = files(run)
    first = last_pages(database)
    assert len(database) - first >= 4096
    for cut in range(first, len(database), step):
        put(run, database[:cut], copy)
        reading = read_ledger(run)
        assert reading.rows == rows
        assert reading.damage != ""
        assert files(run) == (database[:cut], copy)
        (note,) = goes_on(run, rows)
        assert f"{N_EVENTS} events were saved, the last a label of {rows[-1].time}" in note
        assert note.endswith("; the damaged file is kept as campaign.db.damaged-1")
        assert (run / "campaign.db.damaged-1").read_bytes() == database[:cut]


def test_database_and_copy_cut_at_every_byte_of_the_last_two_events_leave_the_earlier_ones(run):
    rows = read_ledger(run).rows
    database, copy = files(run)
    start = copy[:-1].rindex(b"\n", 0, copy[:-1].rindex(b"\n")) + 1
    for cut in range(start, len(copy), 7):
        put(run, database[: last_pages(database) + 50], copy[:cut])
        whole = copy[:cut].count(b"\n")
        assert whole in {N_EVENTS - 2, N_EVENTS - 1}
        (note,) = goes_on(run, rows[:whole])
        assert f"{whole} events were saved" in note


def test_the_copy_cut_at_every_byte_of_its_last_two_lines_is_mended_from_the_database(run):
    rows = read_ledger(run).rows
    database, copy = files(run)
    start = copy[:-1].rindex(b"\n", 0, copy[:-1].rindex(b"\n")) + 1
    for cut in [0, *range(start, len(copy))]:
        put(run, database, copy[:cut])
        with Ledger(run) as ledger:
            assert ledger.notes == []
        assert files(run) == (database, copy)
    put(run, database, None)
    assert goes_on(run, rows) == []
    assert len((run / COPY).read_bytes().splitlines()) == N_EVENTS + 2


def test_a_database_cut_without_copy_gives_what_its_whole_pages_hold(run):
    rows = read_ledger(run).rows
    database, _ = files(run)
    put(run, database[: last_pages(database) + 2000], None)
    found = read_ledger(run).rows
    assert 20 < len(found) < N_EVENTS
    assert found == rows[: len(found)]
    (note,) = goes_on(run, found)
    assert f"{len(found)} events were saved" in note


@pytest.mark.parametrize("database", [None, b""])
def test_a_database_that_is_gone_is_made_again_from_its_copy(run, database):
    rows = read_ledger(run).rows
    put(run, database, files(run)[1])
    assert read_ledger(run).rows == rows
    (note,) = goes_on(run, rows)
    assert f"{N_EVENTS} events were saved" in note
    assert note.endswith("kept as campaign.db.damaged-1") is (database is not None)


def test_a_database_from_before_the_last_events_gets_them_from_its_copy(run):
    """A power cut can bring an old journal back, and a person an old file."""
    earlier, _ = files(run)
    with Ledger(run) as ledger:
        ledger.append("label", {"id": "paid", "value": 9.5})
    rows = read_ledger(run).rows
    put(run, earlier, files(run)[1])
    (note,) = goes_on(run, rows)
    assert f"(it ends at event {N_EVENTS}, its copy at {N_EVENTS + 1})" in note


def test_an_event_that_was_edited_is_told_and_replaced_from_the_copy(run):
    rows = read_ledger(run).rows
    with closing(sqlite3.connect(run / DATABASE, isolation_level=None)) as connection:
        connection.execute("UPDATE events SET data = replace(data, 'M3\"', 'X3\"') WHERE seq = 5")
    reading = read_ledger(run)
    assert reading.damage == "event 5 is not what was written"
    assert reading.rows == rows
    (note,) = goes_on(run, rows)
    assert "(event 5 is not what was written)" in note


def test_a_copy_of_another_run_is_not_believed(run, in_memory):
    with Ledger(in_memory / "other") as ledger:
        ledger.append_all([("label", {"id": f"X{i}", "value": 1.0}) for i in range(99)])
    rows = read_ledger(run).rows
    put(run, files(run)[0], (in_memory / "other" / COPY).read_bytes())
    (note,) = goes_on(run, rows)
    assert "(line 1 is not event 1): written again from the ledger's 41 events" in note
    assert b"X0" not in files(run)[1]


def test_where_nothing_can_be_saved_that_is_told_and_the_file_left_alone(run):
    database, _ = files(run)
    put(run, database[:4096], None)
    with pytest.raises(CampaignError) as caught:
        Ledger(run)
    told = "database disk image is malformed"
    assert str(caught.value) == (
        f"{run / DATABASE}: the ledger is damaged ({told}) and no event can be read, neither in it nor in a copy"
    )
    assert (run / DATABASE).read_bytes() == database[:4096]


def test_a_disk_that_is_full_while_saving_leaves_the_damaged_file_and_the_copy(run, monkeypatch):
    from sisso_sal.ledger import salvage

    rows = read_ledger(run).rows
    database, copy = files(run)
    put(run, database[:-1000], copy)

    def full(source, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(salvage.shutil, "copyfileobj", full)
        with pytest.raises(StorageError, match=r"campaign\.db: cannot be written: No space left on device$"):
            Ledger(run)
    assert files(run) == (database[:-1000], copy)
    goes_on(run, rows)


@settings(deadline=None, max_examples=examples_of(60))
@given(st.data())
def test_whatever_is_overwritten_an_unbroken_part_from_the_start_is_found(tmp_path_factory, data):
    """Bytes of both files are spoilt; what is read is a prefix of what was written, never anything else."""
    run = tmp_path_factory.mktemp("spoilt")
    with Ledger(run) as ledger:
        ledger.append_all([("label", {"id": f"M{i}", "value": i / 7}) for i in range(30)])
    rows = read_ledger(run).rows
    spoilt = []
    for content in files(run):
        place = data.draw(st.integers(100, len(content) - 1))
        noise = data.draw(st.binary(min_size=1, max_size=40))
        spoilt.append((content[:place] + noise + content[place + len(noise) :])[: len(content)])
    put(run, *spoilt)
    reading = read_ledger(run)
    assert reading.rows == rows[: len(reading.rows)]
    assert reading.damage != "" or reading.rows == rows
    if reading.rows:
        goes_on(run, reading.rows)


def broken_lines(line):
    """The line with one byte changed, at each place: to another sign, to the end of a line, to what is no text."""
    for place in range(len(line)):
        for byte in {*b"x\n\xff\x000}", line[place] ^ 1} - {line[place]}:
            yield line[:place] + bytes([byte]) + line[place + 1 :]


@drawn
def test_one_byte_changed_anywhere_in_the_last_line_of_the_copy_stops_no_writer(run):
    database, copy = files(run)
    start = copy[:-1].rindex(b"\n") + 1
    for line in islice(broken_lines(copy[start:]), 0, None, STEP):
        put(run, database, copy[:start] + line)
        with Ledger(run) as ledger:
            (note,) = ledger.notes
        assert note == (
            f"{run / COPY} was damaged (line 41 is not event 41): written again from the ledger's 41 events; the damaged file is "
            "kept as campaign.jsonl.damaged-1"
        )
        assert files(run) == (database, copy)
        (run / f"{COPY}.damaged-1").unlink()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda lines: [*lines[:4], b"{}\n", *lines[5:]], "line 5 is not event 5"),
        (lambda lines: [*lines[:4], *lines[5:]], "line 5 is not event 5"),
        (lambda lines: lines[::-1], "line 1 is not event 1"),
        (lambda lines: [*lines, lines[-1]], "there is more after line 41"),
        (
            lambda lines: [*lines, b'{"seq": "42", "time": [], "event": null, "digest": 1, "data": 7}\n'],
            "there is more after line 41",
        ),
        (lambda lines: [400 * b"["], "line 1 is not event 1"),
        (lambda lines: [b'{"seq": ' + 5000 * b"9" + b"}\n"], "line 1 is not event 1"),
        (lambda lines: [b"\x00\xff" * 5000], "line 1 is not event 1"),
    ],
    ids=["one-line", "a-line-missing", "turned-round", "a-line-twice", "wrong-types", "brackets", "digits", "noise"],
)
def test_any_other_damage_of_the_copy_is_mended_from_the_database_and_said_once(run, spoil, told):
    rows = read_ledger(run).rows
    database, copy = files(run)
    spoilt = b"".join(spoil(copy.splitlines(keepends=True)))
    put(run, database, spoilt)
    assert findings(run) == (41, [f"{COPY}: {told}; the next discover repairs it"])
    with Ledger(run) as ledger:
        (note,) = ledger.notes
    assert f"({told})" in note
    assert files(run) == (database, copy)
    assert (run / f"{COPY}.damaged-1").read_bytes() == spoilt
    assert goes_on(run, rows) == []


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_what_stands_in_the_place_of_the_copy_is_moved_aside_and_never_followed(run, kind):
    database, copy = files(run)
    other = run / "other"
    other.write_text("of somebody else")
    (run / COPY).unlink()
    make = {"folder": os.mkdir, "link": lambda path: os.symlink(other, path), "pipe": os.mkfifo}[kind]
    make(run / COPY)
    with Ledger(run) as ledger:
        (note,) = ledger.notes
    assert "(it is no file)" in note
    assert files(run) == (database, copy)
    assert other.read_text() == "of somebody else"


def test_events_that_only_the_copy_has_are_found_although_an_earlier_line_of_it_is_damaged(run):
    earlier, _ = files(run)
    with Ledger(run) as ledger:
        ledger.append("label", {"id": "paid", "value": 9.5})
    rows = read_ledger(run).rows
    lines = files(run)[1].splitlines(keepends=True)
    put(run, earlier, b"".join([*lines[:9], b"spoilt\n", *lines[10:]]))
    notes = goes_on(run, rows)
    assert "(it ends at event 41, its copy at 42)" in notes[0]
    assert "(line 10 is not event 10)" in notes[1]


@settings(deadline=None, max_examples=examples_of(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, 10**9),
    pages=st.lists(st.booleans(), min_size=64, max_size=64),
    lines=st.lists(st.booleans(), min_size=60, max_size=60),
    noise=st.binary(min_size=8, max_size=40),
    place=st.sampled_from([0, 100, 2048]),
)
def test_whatever_is_spoilt_in_both_nothing_is_lost_unless_both_lose_the_same_event(
    in_memory, number, pages, lines, noise, place
):
    """The database loses whole pages of events, the copy any lines of other events."""
    run = in_memory / f"{number}"
    shutil.rmtree(run, ignore_errors=True)
    with Ledger(run) as ledger:
        ledger.append_all([("label", {"id": f"M{i}", "value": i / 7, "source": 300 * "x"}) for i in range(60)])
    rows = read_ledger(run).rows
    database, copy = files(run)
    size = int.from_bytes(database[16:18], "big")
    leaves = [n for n in range(2, len(database) // size) if database[n * size] == 13]
    lost = set()
    for page in [page for page, is_hit in zip(leaves, pages, strict=False) if is_hit]:
        content = database[page * size : (page + 1) * size]
        lost |= {i for i in range(60) if f'"M{i}"'.encode() in content}
        start = page * size + place
        database = database[:start] + noise + database[start + len(noise) :]
    kept = copy.splitlines(keepends=True)
    spoilt = [noise + b"\n" if lines[i] and i not in lost else line for i, line in enumerate(kept)]
    put(run, database, b"".join(spoilt))
    assert read_ledger(run).rows == rows
    goes_on(run, rows)


def test_a_line_of_the_copy_is_json_with_the_event_in_it(run):
    lines = [json.loads(line) for line in (run / COPY).read_text(encoding="utf-8").splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, N_EVENTS + 1))
    assert lines[0]["data"] == {"settings": {"goal": "≤0.3"}}
    assert (lines[5]["event"], lines[5]["data"]) == ("label", {"id": "M4", "value": 4 / 7})
