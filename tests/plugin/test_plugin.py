"""An installed package adds a surrogate, an acquisition and an oracle, and no file of sisso-sal knows their names."""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from forks import Forks

from sisso_sal.ledger.store import read_ledger

HERE = Path(__file__).parent
HEADERS = ["a (eV)", "b (eV)", "c (eV)"]
N, N_KNOWN, BATCH = 30, 12, 2
MINE = ("--surrogate", "neighbours", "--acquisition", "optimism")


def install(site):
    """What an installer does with the package, without one: the module, and the metadata of its pyproject."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    metadata = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    for module in {value.partition(":")[0] for group in project["entry-points"].values() for value in group.values()}:
        shutil.copy(HERE / f"{module}.py", site)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())])
        for group, entries in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n\n".join(groups) + "\n")


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Calls the command where the package is installed; its exit code is checked."""
    site = tmp_path_factory.mktemp("site")
    install(site)
    with Forks(tmp_path_factory.mktemp("forks"), site=site) as server:

        def call(*arguments, cwd=None, code=0):
            done = server.call(*arguments, cwd=cwd, lines=False)
            assert done.code == code, done.err
            assert "Traceback" not in done.out + done.err
            return done

        yield call


def materials():
    """The target is a + b; it is known for the first rows."""
    frame = pd.DataFrame(np.random.default_rng(6).uniform(0, 3, (N, 3)).round(3), columns=HEADERS)
    frame.insert(0, "name", [f"M{i:02d}" for i in range(N)])
    frame.insert(1, "gap (eV)", (frame["a (eV)"] + frame["b (eV)"]).where(frame.index < N_KNOWN))
    return frame


@pytest.fixture(scope="module")
def work(command, tmp_path_factory):
    """A folder with a table, and a campaign of two batches that has ended."""
    folder = tmp_path_factory.mktemp("work")
    materials().to_csv(folder / "table.csv", index=False)
    budget = ("--batch", BATCH, "--budget", 2 * BATCH)
    command("discover", "table.csv", *MINE, "--oracle", "sum:a (eV)+b (eV)", *budget, "--out", "run", cwd=folder)
    return folder


def proposals(work):
    return [event["proposals"] for event in read_ledger(work / "run").events("proposal")]


def nearest_labels(frame, labels, id):
    """The labels of the three materials nearest to one, by the definition."""
    known = frame.loc[list(labels), HEADERS]
    scale = known.std(ddof=0)
    distance = (((known - frame.loc[id, HEADERS]) / scale) ** 2).sum(axis=1)
    return np.array([labels[other] for other in distance.sort_values(kind="stable").index[:3]])


def test_the_campaign_is_predicted_scored_and_labelled_by_the_package(work):
    frame = materials().set_index("name")
    labels = frame["gap (eV)"].dropna().to_dict()
    assert [len(batch) for batch in proposals(work)] == [BATCH, BATCH, BATCH]
    for batch in proposals(work):
        scores = {}
        for id in frame.index.difference(list(labels)):
            near = nearest_labels(frame, labels, id)
            scores[id] = (near.std(ddof=1) - near.mean(), near.mean(), near.std(ddof=1))
        best = sorted(scores, key=lambda id: -scores[id][0])[:BATCH]
        assert [row["id"] for row in batch] == best
        for row in batch:
            assert (row["score"], row["mean"], row["std"]) == pytest.approx(scores[row["id"]], rel=1e-9)
        labels |= {id: frame.loc[id, "a (eV)"] + frame.loc[id, "b (eV)"] for id in best}
    asked = {event["id"]: event["value"] for event in read_ledger(work / "run").events("label")}
    assert {id: asked[id] for batch in proposals(work)[:2] for id in (row["id"] for row in batch)} == pytest.approx(
        {row["id"]: labels[row["id"]] for batch in proposals(work)[:2] for row in batch}
    )


def test_the_same_command_again_changes_nothing(work, command):
    before = (work / "run" / "campaign.jsonl").read_bytes()
    budget = ("--batch", BATCH, "--budget", 2 * BATCH)
    done = command("discover", "table.csv", *MINE, "--oracle", "sum:a (eV)+b (eV)", *budget, "--out", "run", cwd=work)
    assert "optimistic end of the prediction" in done.out
    done = command(
        "discover", "table.csv", *MINE, "--oracle", "sum:a (eV)+b (eV)", *budget, "--out", "run", "--json", cwd=work
    )
    campaign = json.loads(done.out)["campaign"]
    assert (campaign["oracle"], campaign["has_oracle"]) == ("sum:a (eV)+b (eV)", True)
    assert (work / "run" / "campaign.jsonl").read_bytes() == before


def test_status_report_and_page_tell_of_it(work, command):
    assert f"{N_KNOWN + 2 * BATCH}" in command("status", "run", cwd=work).out
    page = (work / "run" / "report.html").read_text(encoding="utf-8")
    assert "optimistic end of the prediction" in page
    assert all(row["id"] in page for row in proposals(work)[-1])
    command("report", "run", "--out", "again.html", cwd=work)
    assert (work / "again.html").stat().st_size > 10_000


def test_it_is_in_the_help_and_refused_where_it_is_misused(work, command):
    words = " ".join(command("discover", "--help").out.split())
    assert [part for part in ("neighbours", "optimism", "sum:A+B") if part not in words] == []
    done = command("discover", "table.csv", *MINE, "--oracle", "sum", "--out", "other", cwd=work, code=2)
    assert done.error.startswith("error: oracle: needs none, ")
    assert done.error.endswith(" or sum:A+B, found 'sum'")
    assert not (work / "other").exists()


def test_it_replays(work, command):
    frame = materials()
    frame["gap (eV)"] = frame["a (eV)"] + frame["b (eV)"]
    frame.to_csv(work / "known.csv", index=False)
    rules = ("--n-start", 8, "--evaluations", 4, "--seeds", 2, "--workers", 1, "--target", "gap", "--json")
    chosen = ("--surrogates", "neighbours", "--acquisitions", "optimism,mean")
    document = json.loads(command("replay", "known.csv", *rules, *chosen, cwd=work).out)
    names = {"neighbours optimism", "neighbours mean", "random", "distance"}
    assert set(document["strategies"]) == names
    assert [len(picks) for picks in document["strategies"]["neighbours optimism"]["picks"]] == [4, 4]


def test_without_the_package_its_names_are_unknown(work, forks):
    done = forks.call("discover", "table.csv", *MINE, "--out", "none", cwd=work, lines=False)
    assert done.code == 2
    assert "found 'neighbours'" in done.error
