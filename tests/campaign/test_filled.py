"""Cells of a column with gaps that come into the table of a run after it began."""

import numpy as np
import pandas as pd
import pytest
from lines import KNOWN, MATERIALS, TRUE, Lines, N, contents, events, settings_of, space_of, state
from test_levels import CHEAP, LEVELS, campaign

from sisso_sal.campaign.inbox import hand_in
from sisso_sal.campaign.learning import Tools
from sisso_sal.campaign.loop import Talk, discover
from sisso_sal.campaign.preview import preview
from sisso_sal.campaign.stopping import spent
from sisso_sal.errors import CampaignError

HEADER = "gap_cheap (eV)"
GAPS = np.arange(N) % 2 == 1


@pytest.fixture
def run(in_memory):
    return in_memory / "run"


def with_gaps(gaps):
    return MATERIALS.assign(**{HEADER: MATERIALS["formula"].map(CHEAP).mask(gaps)})


def step(run, gaps, frame=None, **more):
    """One step without an oracle on the table with these gaps: no level is named, and people label."""
    talk = Talk(tell=more.pop("told", [].append))
    frame = with_gaps(gaps) if frame is None else frame
    tools = Tools(lambda settings, seed: Lines(), lambda settings: (3, ""))
    space = space_of(frame, run.parent / "tables", target="gap (eV)", partial=[HEADER])
    settings = settings_of(goal=">=2.5", acquisition="hits")
    if more.pop("dry", False):
        return preview(space, settings, run, tools)
    return discover(space, settings, run, tools, talk=talk)


def known_at_last(run):
    table = pd.read_csv(run / events(run, "model")[-1]["folder"] / "levels.csv", index_col="id")
    return table[HEADER][table["gap_cheap std"] == 0].to_dict()


def test_what_is_filled_in_is_taken_as_new_knowledge(run):
    step(run, GAPS)
    now, told = GAPS & (np.arange(N) > 20), []
    dry = step(run, now, dry=True)
    assert (dry["is_new"], dry["iteration"]) == (True, 2)
    again = step(run, now, told=told.append)
    new = {id: CHEAP[id] for id in MATERIALS["formula"][GAPS & ~now]}
    assert [event["values"] for event in events(run, "filled")] == [new]
    assert "taken from the table: 10 new cells of 'gap_cheap (eV)'" in told
    assert (again["iteration"], again["is_new"]) == (2, True)
    assert known_at_last(run) == pytest.approx({id: CHEAP[id] for id in MATERIALS["formula"][~now]})
    assert [row["id"] for row in again["proposals"]] == [row["id"] for row in dry["proposals"]]
    before = contents(run)
    assert step(run, now)["is_new"] is False
    assert contents(run) == before


def test_the_fit_is_that_of_a_run_that_began_with_these_cells(run, in_memory):
    step(run, GAPS)
    step(run, GAPS & (np.arange(N) > 20))
    step(run, np.zeros(N, dtype=bool))
    whole = known_at_last(run)
    assert whole == pytest.approx(CHEAP)
    other = in_memory / "other"
    step(other, GAPS & (np.arange(N) > 20))
    pd.testing.assert_frame_equal(
        pd.read_csv(run / "iter-0002" / "levels.csv"), pd.read_csv(other / "iter-0001" / "levels.csv")
    )


def test_a_value_that_was_there_must_not_change_and_may_be_left_out_where_the_ledger_has_it(run):
    step(run, GAPS)
    step(run, GAPS & (np.arange(N) != 1))
    before = contents(run)
    for row, shown in ((0, float(CHEAP["M00"])), (1, float(CHEAP["M01"]))):
        changed = with_gaps(GAPS & (np.arange(N) != 1))
        changed.loc[row, HEADER] = 9.0
        with pytest.raises(CampaignError, match=rf"row 'M0{row}', column 'gap_cheap \(eV\)': {shown!r} -> 9.0"):
            step(run, GAPS, changed)
    assert contents(run) == before
    removed = with_gaps(GAPS)
    removed.loc[0, HEADER] = np.nan
    with pytest.raises(CampaignError, match=r"row 'M00', column 'gap_cheap \(eV\)': .* -> nan"):
        step(run, GAPS, removed)
    step(run, GAPS)  # the table of the start; the ledger has the cell
    assert contents(run) == before
    assert "M01" in known_at_last(run)


def test_lost_files_are_made_again_without_what_came_later(run):
    step(run, GAPS)
    before = contents(run / "iter-0001")
    (run / "iter-0001" / "levels.csv").unlink()
    labels = {"note": "label", "id": MATERIALS["formula"][~KNOWN].iloc[0], "value": 1.0}
    hand_in(run, [labels], print)
    told = []
    step(run, np.zeros(N, dtype=bool), told=told.append)
    assert len(state(run).iterations) == 2
    assert not events(run, "remade")
    assert contents(run / "iter-0001").items() <= before.items()


def test_cells_of_a_level_cost_nothing(run, in_memory):
    frame = with_gaps(GAPS)
    campaign(run, {}, frame, levels=[{**LEVELS[0], "oracle": "none"}, {"name": "dear", "cost": 10}])
    levels = [{**LEVELS[0], "oracle": "none"}, {"name": "dear", "cost": 10}]
    campaign(run, {}, with_gaps(np.zeros(N, dtype=bool)), levels=levels)
    assert len(state(run).filled[HEADER]) == GAPS.sum()
    assert not state(run).at("cheap").cases
    settings = settings_of(goal=">=2.5", acquisition="hits", level=levels, budget=100)
    assert spent(state(run), settings) == 0
    assert known_at_last(run) == pytest.approx(CHEAP)


def test_a_file_of_labels_that_the_table_has_costs_nothing(run):
    levels = [{**LEVELS[0], "oracle": "none"}, {"name": "dear", "cost": 10}]
    campaign(run, {}, with_gaps(GAPS), levels=levels)
    notes = [
        {"note": "label", "id": id, "value": CHEAP[id], "source": "file", "level": "cheap"}
        for id in MATERIALS["formula"]
    ]
    assert hand_in(run, notes, print).n_events == GAPS.sum()
    assert set(state(run).at("cheap").asked) == {*MATERIALS["formula"][GAPS]}
    with pytest.raises(CampaignError, match=r"^label of 'M00': is already .*; --replace .* changes it to 9.0$"):
        hand_in(run, [{**notes[0], "value": 9.0}], print)
    assert hand_in(run, [{**notes[0], "value": 9.0, "replace": True}], print).n_events == 1
    assert TRUE["M00"] == state(run).labels["M00"]


def test_many_cells_are_one_event_that_is_read_back(run):
    n = 6000
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"formula": [f"X{i:05d}" for i in range(n)], "a (eV)": rng.uniform(1, 2, n), "b": rng.uniform(1, 2, n)}
    )
    frame["gap (eV)"] = np.where(np.arange(n) < 20, 2 * frame["a (eV)"] - frame["b"], np.nan)
    cheap = frame["a (eV)"] + rng.normal(0, 0.1, n)
    step(run, None, frame.assign(**{HEADER: cheap.where(np.arange(n) < 40)}))
    step(run, None, frame.assign(**{HEADER: cheap}))
    (event,) = events(run, "filled")
    assert len(event["values"]) == n - 40
    (run / "campaign.jsonl").unlink()
    assert len(state(run).filled[HEADER]) == n - 40
