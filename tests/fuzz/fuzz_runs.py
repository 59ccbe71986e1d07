"""Run folders that were broken, answers of oracles and notes of people: what was recorded stays, and the campaign goes on."""

import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from fuzz_calls import Case, in_process
from fuzz_text import TEXTS, VALUES, changed, damaged, json_with
from lines import MATERIALS, TRUE

SMALL = (
    "--rung",
    "1",
    "--dim",
    "1",
    "--n-sis",
    "5",
    "--operators",
    "add,mult",
    "--members",
    "4",
    "--threads",
    "1",
    "--quiet",
)
GOOD = 3


@cache
def _run(kind):
    """A folder with a table and a run: ``labelled`` after two iterations with a lookup, ``waiting`` for what was proposed."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    MATERIALS.to_csv(folder / "materials.csv", index=False)
    truth = MATERIALS[["formula"]].assign(**{"gap (eV)": MATERIALS["formula"].map(TRUE)})
    truth.to_csv(folder / "truth.csv", index=False)
    oracle = ("--oracle", "lookup:truth.csv", "--budget", "4") if kind == "labelled" else ()
    done = in_process(Case(("discover", "materials.csv", "--out", "run", "--batch", "2", *oracle, *SMALL)), folder)
    assert done.code == 0, done.err
    return folder


def _copy(kind, folder):
    shutil.copytree(_run(kind), folder, dirs_exist_ok=True)
    return folder / "run"


def labels_of(run):
    """The labels that the database holds, by id, read without the program; none where it cannot be read."""
    labels = {}
    try:
        with closing(sqlite3.connect(f"{(run / 'campaign.db').absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT data FROM events WHERE event = 'label'").fetchall()
            labels |= {event["id"]: event["value"] for event in (json.loads(data) for (data,) in rows)}
    except (sqlite3.Error, ValueError, TypeError, KeyError):
        pass
    return labels


def _break(path, run, rng):
    """Damage or remove a file of a run, put another kind of thing in its place, or put notes beside it."""
    content = path.read_bytes()
    way = rng.randrange(8)
    if way == 0:
        path.unlink()
    elif way == 1:
        path.unlink()
        path.mkdir()
    elif way == 2:
        path.unlink()
        path.symlink_to(rng.choice(("/dev/null", "nowhere", "/dev/full", path.name)))
    elif way == 3 and path.suffix == ".json":
        try:
            path.write_text(json_with(changed(json.loads(content), rng)))
        except ValueError:
            path.write_bytes(b"")
    elif way == 4:
        (run / "inbox").mkdir(exist_ok=True)
        (run / "inbox" / "000000-x.json").write_text(_note(rng))
        (run / ".driver.json").write_text(json_with(changed({"host": "x", "pid": 1, "since": "now"}, rng)))
    elif way == 5:
        path.write_bytes(rng.choice((b"", b"\x00" * 100, b"{}", b"[]", b"null", b"PAR1", "é".encode("latin-1"))))
    else:
        path.write_bytes(damaged(content, rng))


def broken_folder(rng, folder):
    """A run in which one file was damaged, removed, or is another kind of thing; any command that takes a run."""
    run = _copy("labelled", folder)
    before = labels_of(run)
    files = sorted(path for path in run.rglob("*") if path.is_file())
    path = rng.choice([*files, run / "campaign.db", run / "campaign.jsonl", run / "campaign.toml"])
    _break(path, run, rng)
    arguments = rng.choice(
        (
            ("status", "run"),
            ("status", "run", "--json"),
            ("ledger", "run"),
            ("report", "run"),
            ("label", "run", "M02", "1.5"),
            ("retry", "run"),
            ("stop", "run"),
            ("export", "run"),
            ("predict", "run", "materials.csv"),
            ("discover", "materials.csv", "--out", "run", "--batch", "2", *SMALL),
            (
                "discover",
                "materials.csv",
                "--out",
                "run",
                "--batch",
                "2",
                "--oracle",
                "lookup:truth.csv",
                "--budget",
                "6",
                *SMALL,
            ),
        )
    )
    was_ledger = path.name in {"campaign.db", "campaign.jsonl"}

    def check(done):
        after = labels_of(run)
        if not was_ledger and (lost := before.keys() - after.keys()):
            return f"the labels of {', '.join(sorted(lost))} are gone"
        if was_ledger and done.code == 0 and arguments[0] in {"label", "discover"} and before.keys() - after.keys():
            return f"{path.name}: the labels of {', '.join(sorted(before.keys() - after.keys()))} are gone"
        return ""

    return Case(arguments, frozenset({0, 1, 2, 3, 75}), check)


def _note(rng):
    note = {"note": rng.choice(("label", "failed", "retry", "stop")), "id": "M02", "value": 1.5, "error": None, "reason": "x",
            "ids": [], "source": "person", "replace": False}  # fmt: skip
    notes = changed([note], rng, rng.randrange(3))
    return (
        json_with(notes) if rng.random() < 0.8 else damaged(json_with(notes).encode(), rng).decode("utf-8", "replace")
    )


def answer_or_note(rng, folder):
    """A campaign whose command answers one candidate with anything and the others as asked, or finds a note in the inbox."""
    if rng.random() < 0.35:
        return _inbox(rng, folder)
    MATERIALS.to_csv(folder / "materials.csv", index=False)
    whole = {"value": 1.5, "error": 0.1, "core_hours": 2.0, "id": None, "failure": None, "reason": None}
    answer = {key: value for key, value in whole.items() if value is not None and rng.random() < 0.8}
    if rng.random() < 0.3:
        answer |= {"failure": rng.choice(("scf_not_converged", "invalid", "x", [1])), "reason": rng.choice(VALUES)}
    text = json_with(changed(answer, rng, rng.randrange(3)))
    if rng.random() < 0.3:
        text = rng.choice(("starting\n", "\x1b[1m", "[", rng.choice(TEXTS))) + text
    content = text.encode() if rng.random() < 0.8 else damaged(text.encode(), rng)
    (folder / "odd").write_bytes(content)
    (folder / "good").write_text(json.dumps({"value": GOOD}))
    script = folder / "answer.sh"
    script.write_text('#!/bin/sh\nhere=$(dirname "$0")\n[ "$1" = M02 ] && cat "$here/odd" || cat "$here/good"\n')
    script.chmod(0o755)
    command = f"command:{script} {{id}}"
    arguments = ("discover", "materials.csv", "--out", "run", "--batch", "10", "--oracle", command, "--budget", "10",
                 "--retries", "0", *SMALL)  # fmt: skip

    def check(done):
        labels = labels_of(folder / "run")
        lost = [id for id, known in zip(MATERIALS["formula"], MATERIALS["gap (eV)"].notna(), strict=True)
                if not known and id != "M02" and labels.get(id) != GOOD]  # fmt: skip
        if lost:
            return f"the answers for {', '.join(lost)} are lost: {done.err[-200:]}"
        again = in_process(Case(arguments), folder)
        return "" if again.code in {0, 3} else f"the next start ends with {again.code}: {again.err[-200:]}"

    return Case(arguments, frozenset({0, 3}), check)


def _inbox(rng, folder):
    run = _copy("waiting", folder)
    (run / "inbox").mkdir()
    (run / "inbox" / "000000-a.json").write_text(_note(rng))
    (run / "inbox" / "000001-b.json").write_text(json.dumps([{"note": "label", "id": "M05", "value": 2.5}]))

    def check(done):
        return "" if labels_of(run).get("M05") == 2.5 else f"the note behind is lost: {done.err[-200:]}"

    return Case(("discover", "materials.csv", "--out", "run", "--batch", "2", *SMALL), frozenset({0, 3}), check)
