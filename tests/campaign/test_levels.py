"""A campaign with levels of theory: who computes what, what the ledger says of it, and what people add."""

import json
import shlex

import numpy as np
import pandas as pd
import pytest
from lines import KNOWN, MATERIALS, TRUE, Lines, N, contents, events, outputs, settings_of, space_of, state
from oracles import Cluster

from sisso_sal.campaign.inbox import hand_in
from sisso_sal.campaign.learning import Tools
from sisso_sal.campaign.loop import discover
from sisso_sal.campaign.status import status_document
from sisso_sal.errors import CampaignError, SettingsError
from sisso_sal.protocols import Answer
from sisso_sal.report.run_view import RunView
from sisso_sal.report.text.campaign import status_text
from sisso_sal.report.text.results import discover_text

CHEAP = {id: value + 0.3 * np.sin(7 * number) for number, (id, value) in enumerate(TRUE.items())}
LEVELS = [
    {"name": "cheap", "cost": 1, "column": "gap_cheap (eV)", "oracle": "command:cheap"},
    {"name": "dear", "cost": 10, "oracle": "command:dear"},
]


@pytest.fixture
def run(in_memory):
    return in_memory / "run"


def clusters(folder, **more):
    cheap = Cluster(folder / "cheap", answer=lambda intent, id: Answer(intent, value=CHEAP[id], core_hours=0.5), **more)
    return {"cheap": cheap, "": Cluster(folder / "dear", **more)}


def campaign(run, oracles, frame=MATERIALS, levels=LEVELS, once=False, surrogate=Lines, **changes):
    lower = {name: oracle for name, oracle in oracles.items() if name}
    tools = Tools(lambda settings, seed: surrogate(), lambda settings: (3, ""), oracles.get(""), lower=lower)
    table = space_of(frame, run.parent / "tables", target="gap (eV)", partial=["gap_cheap (eV)"])
    settings = settings_of(**{"goal": ">=2.5", "acquisition": "hits", "level": levels, **changes})
    return discover(table, settings, run, tools, once=once)


def at(run, kind, level):
    return [event["id"] for event in events(run, kind) if event.get("level") == level]


def test_cheap_calculations_come_first_and_all_of_it_is_in_the_ledger(run, in_memory):
    oracles = clusters(in_memory)
    summary = campaign(run, oracles, budget=60)
    first = events(run, "proposal")[0]["proposals"]
    assert [row["level"] for row in first] == ["cheap"] * 5
    assert all(TRUE[row["id"]] == state(run).labels[row["id"]] for row in first)  # labels are known: these are pairs
    assert {row["because"] for row in first} == {"its label is known: to learn what the level says"}
    cheap, dear = at(run, "label", "cheap"), at(run, "intent", None)
    assert [id for _, id in oracles["cheap"].started] == at(run, "intent", "cheap")
    assert sorted(cheap) == sorted(at(run, "intent", "cheap")) == sorted(at(run, "receipt", "cheap"))
    assert len(dear) >= 2
    assert state(run).at("cheap").labels == {id: CHEAP[id] for id in cheap}
    assert {id: state(run).labels[id] for id in dear} == {id: TRUE[id] for id in dear}
    found = summary["campaign"]
    assert found["levels"] == [
        {"name": "cheap", "cost": 1, "evaluations": len(cheap)}, {"name": "dear", "cost": 10, "evaluations": len(dear)},
    ]  # fmt: skip
    assert 50 < len(cheap) + 10 * len(dear) <= 60
    assert found["core_hours"] == 0.5 * len(cheap) + 2.0 * len(dear)
    assert found["stop"]["kind"] == "budget"
    assert f"({len(cheap)} cheap, {len(dear)} dear)" in status_text(found)


def test_what_was_learned_of_the_levels_is_in_the_files_of_the_iteration(run, in_memory):
    campaign(run, clusters(in_memory), budget=60)
    folder = run / events(run, "model")[-1]["folder"]
    table = pd.read_csv(folder / "levels.csv", index_col="id")
    known = state(run).at("cheap").labels
    assert list(table) == ["gap_cheap (eV)", "gap_cheap std"]
    assert sorted(table.index[table["gap_cheap std"] == 0]) == sorted(known)
    np.testing.assert_allclose(table.loc[list(known), "gap_cheap (eV)"], list(known.values()))
    kept = pd.read_parquet(folder / "candidates.parquet").set_index("formula")
    pd.testing.assert_series_equal(kept["gap_cheap (eV)"], table["gap_cheap (eV)"], check_names=False)
    assert "level" in pd.read_csv(folder / "proposals.csv")


def test_values_of_the_table_are_known_and_a_gap_is_no_reason_to_set_a_row_aside(run, in_memory):
    frame = MATERIALS.assign(**{"gap_cheap (eV)": [CHEAP[id] for id in MATERIALS["formula"]]})
    frame.loc[[2, 5], "gap_cheap (eV)"] = np.nan
    oracles = clusters(in_memory)
    summary = campaign(run, oracles, frame, budget=30)
    assert summary["levels"]["lower"][0]["n_known"] + summary["levels"]["lower"][0]["n_predicted"] == N
    assert {id for _, id in oracles["cheap"].started} <= {"M02", "M05"}
    assert len(at(run, "intent", None)) >= 2


class Crash(Exception):
    pass


@pytest.mark.parametrize("place", ["submit", "accepted", "collect"])
@pytest.mark.parametrize("when", [1, 3])
def test_a_driver_that_dies_anywhere_loses_nothing(run, in_memory, place, when):
    calm = in_memory / "calm"
    calm.mkdir()
    campaign(calm / "run", clusters(calm), budget=40)
    left = [when]

    def trouble(what, intent):
        if what == place:
            left[0] -= 1
            if left[0] == 0:
                raise Crash

    with pytest.raises(Crash):
        campaign(run, clusters(in_memory, trouble=trouble), budget=40)
    oracles = clusters(in_memory)
    campaign(run, oracles, budget=40)
    assert outputs(run).keys() == outputs(calm / "run").keys()
    assert state(run).at("cheap").labels == state(calm / "run").at("cheap").labels
    assert state(run).labels == state(calm / "run").labels
    for oracle in oracles.values():
        ids = [id for _, id in oracle.started]
        assert len(set(ids)) == len(ids)


def test_people_add_the_values_of_a_level(run, in_memory):
    oracles = clusters(in_memory)
    del oracles[""]
    levels = [LEVELS[0], {"name": "dear", "cost": 10}]
    summary = campaign(run, oracles, levels=levels)
    open_rows = [row["id"] for row in summary["proposals"]]
    assert open_rows
    assert all(row["level"] is None for row in summary["proposals"])
    assert summary["campaign"]["stop"] is None
    assert summary["campaign"]["open"] == open_rows
    before = len(at(run, "label", "cheap"))
    first = open_rows[0]
    assert hand_in(run, [{"note": "label", "id": first, "value": TRUE[first], "level": "dear"}], print).n_events == 1
    note = {"note": "label", "id": "M00", "value": 1.5, "level": "cheap", "replace": True}
    assert hand_in(run, [note], print).n_events == 1
    assert state(run).at("cheap").labels["M00"] == 1.5
    assert state(run).labels["M00"] == TRUE["M00"]
    again = campaign(run, oracles, levels=levels)
    assert again["n_labelled"] == KNOWN.sum() + 1
    assert len(at(run, "label", "cheap")) >= before
    with pytest.raises(CampaignError, match=r"^level: needs one of cheap, dear, found 'dera'$"):
        hand_in(run, [{"note": "label", "id": first, "value": 1.0, "level": "dera"}], print)


def test_a_level_that_fails_for_a_candidate_is_not_asked_for_it_again(run, in_memory):
    oracles = clusters(in_memory)
    oracles["cheap"].answer = lambda intent, id: Answer(intent, kind="not_converged", reason="no", core_hours=0.1)
    campaign(run, oracles, budget=40, retries=0)
    failed = [case.id for case in state(run).at("cheap").failed]
    asked = [id for _, id in oracles["cheap"].started]
    assert sorted(asked) == sorted(failed)
    assert len(set(asked)) == len(asked)
    assert len(at(run, "label", None)) == KNOWN.sum() + len(at(run, "intent", None))
    document = status_document(run, state(run), None)
    assert {row["level"] for row in document["failed"]} == {"cheap"}
    assert f"{failed[0]} (cheap)" in status_text(document)


def test_other_levels_are_refused_for_the_same_run(run, in_memory):
    campaign(run, clusters(in_memory), budget=20)
    dearer = [{**LEVELS[0], "cost": 2}, LEVELS[1]]
    before = contents(run)
    with pytest.raises(CampaignError, match=r"level\.cheap\.cost: 1\.0 -> 2\.0"):
        campaign(run, clusters(in_memory), levels=dearer, budget=20)
    assert contents(run) == before


def test_levels_are_weighed_by_hits_only(run, in_memory):
    with pytest.raises(SettingsError, match=r"^acquisition: needs 'hits' for a campaign with levels, found 'ei'$"):
        campaign(run, clusters(in_memory), acquisition="ei")


def test_the_view_tells_which_values_are_predicted(run, in_memory):
    campaign(run, clusters(in_memory), budget=30)
    table = pd.read_csv(run / events(run, "model")[-1]["folder"] / "levels.csv", index_col="id")
    view = RunView.read(run)
    assert list(view.guessed) == ["gap_cheap"]
    np.testing.assert_array_equal(view.guessed["gap_cheap"], table.loc[list(view.ids), "gap_cheap std"])
    assert (view.guessed["gap_cheap"] > 0).any()
    assert np.isfinite(view.columns["gap_cheap"]).all()


def test_lost_files_are_made_again_as_they_were_though_the_budget_is_larger_now(run, in_memory):
    oracles = clusters(in_memory, delay=lambda intent: 100)
    campaign(run, oracles, budget=28, once=True)
    folder = run / events(run, "model")[-1]["folder"]
    before = contents(folder)
    (folder / "proposals.csv").unlink()
    campaign(run, oracles, budget=500, once=True)
    assert not events(run, "remade")
    assert contents(folder) == before


def test_a_larger_budget_goes_on_where_a_smaller_one_ended(run, in_memory):
    oracles = clusters(in_memory)
    few = campaign(run, oracles, budget=28)
    assert few["campaign"]["stop"]["kind"] == "budget"
    assert few["proposals"] == []
    assert f"No candidate can be proposed: {few['campaign']['stop']['why']}." in discover_text(few)
    more = campaign(run, oracles, budget=60)
    assert more["campaign"]["stop"]["kind"] == "budget"
    assert more["n_labelled"] > few["n_labelled"]
    before = contents(run)
    campaign(run, oracles, budget=60)
    assert contents(run) == before


def test_a_budget_for_one_calculation_that_counts_is_spent_on_it(run, in_memory):
    summary = campaign(run, clusters(in_memory), budget=10)
    assert summary["n_labelled"] == KNOWN.sum() + 1
    assert summary["campaign"]["stop"]["why"] == "the budget of 10 is spent"


def test_a_level_that_the_budget_cannot_teach_is_not_begun_and_the_summary_says_so(run, in_memory):
    oracles = clusters(in_memory)
    campaign(run, oracles, budget=14, once=True)
    summary = campaign(run, oracles, budget=14)
    assert not oracles["cheap"].started
    assert summary["n_labelled"] == KNOWN.sum() + 1
    first = json.loads((run / "iter-0001" / "summary.json").read_text())
    told = "not begun, as 5 labelled materials to learn from and a calculation that counts cost 15, and 14 of the budget is left"
    assert first["levels"]["lower"][0]["because"] == told
    assert f"cheap (cost 1): 0 values; {told}" in discover_text({**summary, **first})


def test_the_command_that_is_next_can_be_pasted_whatever_the_ids_are(run):
    odd = MATERIALS.assign(formula=[f"it's M{number}; x" for number in range(N)])
    people = [{**LEVELS[0], "oracle": "none"}, {"name": "dear", "cost": 10}]
    summary = campaign(run.parent / "a run", {}, odd, levels=people)
    words = shlex.split(summary["campaign"]["next"].partition(", for this")[0])
    first = summary["proposals"][0]["id"]
    assert words == ["sisso-sal", "label", str(run.parent / "a run"), first, "VALUE", "--level", "cheap"]


def test_the_last_level_has_the_column_of_the_target_by_name_or_header(run, in_memory):
    named = [LEVELS[0], {**LEVELS[1], "column": "gap"}]
    campaign(run, clusters(in_memory), levels=named, budget=20)
    assert campaign(run, clusters(in_memory), levels=named, budget=20)["campaign"]["stop"]["kind"] == "budget"
    other = [LEVELS[0], {**LEVELS[1], "column": "gap_hse (eV)"}]
    told = r"^level dear: needs the target 'gap \(eV\)' as its column, found 'gap_hse \(eV\)'$"
    with pytest.raises(SettingsError, match=told):
        campaign(in_memory / "other", clusters(in_memory), levels=other)


@pytest.mark.parametrize(
    ("column", "told"),
    [("gap (meV)", r"found the target 'gap \(meV\)'$"), ("gap_cheap (meV)", r"found 'gap_cheap' of two levels$")],
)
def test_two_levels_of_one_column_are_refused_whatever_the_unit(run, in_memory, column, told):
    levels = [LEVELS[0], {"name": "middle", "cost": 2, "column": column}, LEVELS[1]]
    with pytest.raises(SettingsError, match=told):
        campaign(run, clusters(in_memory), levels=levels)


def test_a_level_in_another_unit_than_the_table_is_refused(run, in_memory):
    frame = MATERIALS.assign(**{"gap_cheap (meV)": [1000 * CHEAP[id] for id in MATERIALS["formula"]]})
    told = r"^level cheap: needs its column as the table has it, 'gap_cheap \(meV\)', found 'gap_cheap \(eV\)'$"
    with pytest.raises(SettingsError, match=told):
        campaign(run, clusters(in_memory), frame)


def test_the_view_has_no_level_of_too_few_values(run, in_memory):
    frame = MATERIALS.assign(**{"gap_cheap (eV)": np.where(np.arange(N) < 3, 1.0 + np.arange(N), np.nan)})
    campaign(run, {"": clusters(in_memory)[""]}, frame, levels=[], once=True)
    view = RunView.read(run)
    assert list(view.columns) == ["a", "b", "r"]
    assert all(np.isfinite(values).all() for values in view.columns.values())


def test_the_next_thing_to_do_is_said_of_whoever_computes_the_level(run, in_memory):
    oracles = clusters(in_memory)
    people = [{**LEVELS[0], "oracle": "none"}, LEVELS[1]]
    summary = campaign(run, {"": oracles[""]}, levels=people, oracle="command:dear")
    first = summary["proposals"][0]["id"]
    told = f"sisso-sal label {run} {first} VALUE --level cheap, for this and the others; then run the discover command again"
    assert summary["campaign"]["next"] == told
    other = in_memory / "other"
    del oracles[""]
    begun = campaign(other, oracles, levels=[LEVELS[0], {"name": "dear", "cost": 10}], once=True)
    assert begun["campaign"]["next"] == "run the discover command again: 5 calculations are running"
