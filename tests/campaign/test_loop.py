"""One step of discovery: what it records, that it repeats, what it refuses, and that it knows no kind of surrogate."""

import csv
import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from lines import (
    KNOWN,
    MATERIALS,
    MEMBERS,
    N_KNOWN,
    TRUTH,
    Lines,
    N,
    contents,
    events,
    outputs,
    settings_of,
    space_of,
    state,
    step,
    table_of,
    timeless,
)

from sisso_sal.acquisition import proposal as scoring
from sisso_sal.acquisition.batch import select
from sisso_sal.acquisition.registry import ACQUISITIONS
from sisso_sal.campaign import inputs, results
from sisso_sal.campaign.learning import Tools
from sisso_sal.campaign.loop import Talk, discover
from sisso_sal.campaign.summary import check_files
from sisso_sal.data.table import read_table
from sisso_sal.errors import CampaignError, FitError, LockedError, SettingsError
from sisso_sal.ledger.store import Ledger
from sisso_sal.oxides.elements import atomic_fractions
from sisso_sal.protocols import Continues, Described, Documented, Prediction, Surrogate
from sisso_sal.settings.campaign import CampaignSettings, load_settings
from sisso_sal.spaces.table import TableSpace

PROPOSAL = [
    "id",
    "mean",
    "std",
    "score",
    "low95",
    "high95",
    "formulas_mean",
    "n_valid",
    "outside",
    "distance",
    "chosen_by",
    "rank",
    "probability",
    "reason",
    "why",
    "contains",
    "unstable",
]


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


def plain(summary):
    """A summary without what differs from one run to the next."""
    return {key: value for key, value in summary.items() if key not in {"run", "campaign"}}


def predictions(run, iteration=1):
    return pd.read_csv(run / f"iter-{iteration:04d}" / "predictions.csv").set_index("id")


def test_the_surrogate_of_these_tests_fits_the_seam():
    surrogate = Lines()
    assert isinstance(surrogate, Surrogate)
    assert isinstance(surrogate, Described)
    assert isinstance(surrogate, Documented)


def test_a_run_folder_holds_what_the_design_says(run):
    summary = step(run)
    assert set(contents(run)) == {
        "campaign.toml",
        "campaign.db",
        "campaign.jsonl",
        "candidates.parquet",
        "iter-0001/model.json",
        "iter-0001/predictions.csv",
        "iter-0001/proposals.csv",
        "iter-0001/summary.json",
    }
    assert load_settings(run / "campaign.toml", {}) == settings_of(target="gap (eV)", id="formula")
    written = json.loads((run / "iter-0001" / "summary.json").read_text())
    assert written == {
        key: value for key, value in summary.items() if key not in {"run", "is_new", "campaign", "report"}
    }
    assert (summary["run"], summary["is_new"], summary["iteration"]) == (str(run), True, 1)
    assert (summary["n_labelled"], summary["n_candidates"]) == (N_KNOWN, N - N_KNOWN)
    assert (summary["n_without_prediction"], summary["n_invalid_predictions"]) == (0, 0)
    assert summary["target"] == {"name": "gap", "unit": "eV"}
    assert summary["told"] == ["gap", "eV", ["a", "b", "r"]]
    assert summary["settings"]["model"]["rung"] == 1
    best = int(np.nanargmin(np.where(KNOWN, TRUTH, np.nan)))
    assert summary["best"] == {"id": f"M{best:02d}", "value": TRUTH[best]}
    model = json.loads((run / "iter-0001" / "model.json").read_text())
    assert (model["target"], model["headers"]) == (["gap", "eV"], ["a (eV)", "b", "r (AA)"])
    table = read_table(run / "candidates.parquet", target="gap (eV)", id="formula")
    assert table == table_of(MATERIALS, run.parent / "tables")


def test_every_label_of_the_table_is_an_event_before_the_first_proposal(run):
    step(run)
    found = events(run)
    assert [event["event"] for event in found] == ["created", "candidates", *["label"] * N_KNOWN, "model", "proposal"]
    labels = [(event["id"], event["value"], event["source"]) for event in found[2:-2]]
    assert labels == [(f"M{i:02d}", TRUTH[i], "table") for i in range(N) if KNOWN[i]]
    created, proposal = found[0], found[-1]
    assert created["table"] == "materials.csv"
    assert created["digest"] == table_of(MATERIALS, run.parent / "tables").digest()
    assert {"python", "sisso-sal", "numpy", "scipy", "numba"} <= set(created["versions"])
    assert CampaignSettings.model_validate(created["settings"]) == settings_of(target="gap (eV)", id="formula")
    written = json.loads((run / "iter-0001" / "summary.json").read_text())
    assert proposal["proposals"] == written["proposals"]
    assert (proposal["iteration"], proposal["folder"], proposal["seed"]) == (1, "iter-0001", 5)


def test_the_proposals_are_the_best_scores_of_the_unlabelled(run):
    summary = step(run, batch=4)
    table = predictions(run)
    assert table["label"].notna().tolist() == KNOWN.tolist()
    order = table[~KNOWN].sort_values("score", ascending=False)
    assert [p["id"] for p in summary["proposals"]] == order.index[:4].tolist()
    for proposal in summary["proposals"]:
        row = table.loc[proposal["id"]]
        for name in ("mean", "std", "score", "low95", "high95"):
            assert proposal[name] == pytest.approx(
                row[name], rel=1e-14
            )  # older versions of pandas read all but the last bit
        assert proposal["n_valid"] == MEMBERS
        assert proposal["high95"] - proposal["mean"] == pytest.approx(1.959963984540054 * proposal["std"], rel=1e-12)
        assert (
            proposal["formulas_mean"] is proposal["outside"] is proposal["distance"] is None
        )  # this surrogate knows none of them
    written = pd.read_csv(run / "iter-0001" / "proposals.csv").astype(object)
    assert list(written.columns) == list(summary["proposals"][0]) == PROPOSAL
    for row, proposal in zip(
        written.where(written.notna(), None).to_dict("records"), summary["proposals"], strict=True
    ):
        assert (row.pop("id"), row.pop("contains"), row.pop("unstable")) == (proposal["id"], None, None)
        assert (row.pop("reason"), row.pop("why")) == (proposal["reason"], proposal["why"])
        for name, value in row.items():
            assert value is proposal[name] is None or value == pytest.approx(proposal[name], rel=1e-14)


def test_predictions_tell_out_of_bag_ones_of_the_labelled_only(run):
    step(run)
    table = predictions(run)
    space, known = space_of(MATERIALS, run.parent / "tables"), np.flatnonzero(KNOWN)
    surrogate = Lines().fit(space, known, TRUTH[KNOWN], np.zeros(N_KNOWN))
    assert table["oob_mean"][KNOWN].to_numpy() == pytest.approx(surrogate.out_of_bag[0], rel=1e-14)
    assert table["oob_mean"][~KNOWN].isna().all()
    assert not np.allclose(table["oob_mean"][KNOWN], table["mean"][KNOWN])
    expected = surrogate.predict(space, np.arange(N))
    assert table["mean"].to_numpy() == pytest.approx(expected.mean, rel=1e-12)
    assert table["std"].to_numpy() == pytest.approx(2 * expected.std_raw, rel=1e-9)
    assert table["std_raw"].to_numpy() == pytest.approx(expected.std_raw, rel=1e-9)
    assert table.index.tolist() == MATERIALS["formula"].tolist()


def test_the_step_improves_on_the_best_fitted_mean_of_the_labelled(run):
    summary = step(run, acquisition="pi")
    table = predictions(run)
    assert summary["improve_on"] == pytest.approx(table["mean"][KNOWN].min(), rel=1e-14)
    assert summary["improve_on"] != pytest.approx(summary["best"]["value"], abs=1e-3)
    from scipy.stats import norm

    chance = norm.cdf(summary["improve_on"], table["mean"], table["std"])
    assert table["score"].to_numpy() == pytest.approx(chance, rel=1e-9)


def test_the_settings_are_recorded_with_every_default(run):
    summary = step(run, dim=None, n_sis=None)
    assert (summary["settings"]["model"]["dim"], summary["settings"]["model"]["n_sis"]) == (3, 20)
    assert load_settings(run / "campaign.toml", {}).model.dim == 3
    assert step(run, dim=3, n_sis=20)["is_new"] is False


def test_the_step_improves_on_the_best_label_if_told_so(run):
    summary = step(run, acquisition="pi", improve_on="label")
    assert summary["improve_on"] == summary["best"]["value"] == TRUTH[KNOWN].min()
    assert summary["settings"]["improve_on"] == "label"


@pytest.mark.parametrize(("goal", "sign", "share"), [("min 20%", 1, 0.2), ("max 10%", -1, 0.1)])
def test_a_share_of_all_materials_becomes_a_bound(run, goal, sign, share):
    """Of the labels and, where there is none, the predictions with their spread: so many are expected to reach it."""
    summary = step(run, goal=goal, acquisition="hits")
    table = predictions(run)
    assert summary["wanted"][:2] == ("<=" if sign > 0 else ">=")
    bound = float(summary["wanted"][2:])
    from scipy.stats import norm

    def expected(bound):
        chances = norm.cdf(sign * (bound - table["mean"]) / table["std"])
        return np.where(KNOWN, sign * table["label"] <= sign * bound, chances).sum()

    wanted = round(share * len(table))
    assert expected(bound + sign * 1e-9) >= wanted >= expected(bound - sign * 1e-9)
    chance = [norm.cdf(sign * (bound - p["mean"]) / p["std"]) for p in summary["proposals"]]
    assert summary["expected_hits"] == pytest.approx(sum(chance), rel=1e-9)
    assert 0 < summary["expected_hits"] < 3


def test_without_a_bound_no_hits_are_expected(run):
    summary = step(run, acquisition="mean")
    assert (summary["wanted"], summary["expected_hits"]) == ("min", None)


def test_without_fitted_means_it_improves_on_the_best_label(run):
    summary = step(run, surrogate=lambda: Lines(blind=np.flatnonzero(KNOWN)))
    assert summary["improve_on"] == summary["best"]["value"] == TRUTH[KNOWN].min()
    assert len(summary["proposals"]) == 3


@pytest.mark.parametrize("goal", ["max", "<=0.3", ">=2.4", "1.0..1.4"])
def test_other_goals(run, goal):
    summary = step(run, goal=goal, batch=10)
    known = np.flatnonzero(KNOWN)
    far = {
        "max": -TRUTH[known],
        "<=0.3": TRUTH[known],
        ">=2.4": -TRUTH[known],
        "1.0..1.4": np.abs(TRUTH[known] - 1.2),
    }[goal]
    best = known[int(np.argmin(far))]
    assert summary["goal"] == goal
    assert summary["best"] == {"id": f"M{best:02d}", "value": TRUTH[best]}
    means = [p["mean"] for p in summary["proposals"]]
    first, last = np.mean(means[:3]), np.mean(means[-3:])
    if goal in {"max", ">=2.4"}:
        assert first > last + 0.3
    elif goal == "<=0.3":
        assert first < last - 0.3
    else:
        assert abs(first - 1.2) < abs(last - 1.2)


def test_the_same_call_again_gives_the_recorded_result(run):
    first = step(run)
    before, told = contents(run), events(run)

    def forbidden():
        raise AssertionError("nothing is to be learned")

    again = step(run, surrogate=forbidden)
    assert again == first | {"is_new": False}
    assert contents(run) == before
    assert events(run) == told


def test_the_same_inputs_elsewhere_give_the_same_files(run, tmp_path):
    step(run)
    step(tmp_path / "other")
    assert outputs(run) == outputs(tmp_path / "other")
    assert timeless(events(run)) == timeless(events(tmp_path / "other"))


def test_a_moved_run_continues_from_its_new_place(run, tmp_path):
    first = step(run)
    run.rename(tmp_path / "moved")
    again = step(tmp_path / "moved")
    assert again["run"] == str(tmp_path / "moved")
    assert plain(again) == plain(first) | {"is_new": False}


def refused(run, *, told, **arguments):
    before = contents(run)
    with pytest.raises(CampaignError) as caught:
        step(run, **arguments)
    assert contents(run) == before
    head, *lines = str(caught.value).split("\n")
    assert head == f"{run}: this run was started with other inputs; give another --out, or undo these changes:"
    assert lines == [f"  {line}" for line in told]


def changed(row, header, value):
    frame = MATERIALS.copy()
    frame.loc[row, header] = value
    return frame


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"batch": 4}, ["batch: 3 -> 4"]),
        ({"seed": 6, "goal": "max"}, ["goal: min -> max", "seed: 5 -> 6"]),
        ({"rung": 2, "members": 9}, ["model.rung: 1 -> 2", "ensemble.members: 4 -> 9"]),
        ({"operators": ("add", "sq")}, ["model.operators: None -> ('add', 'sq')"]),
    ],
)
def test_changed_settings_are_refused_with_a_diff(run, changes, told):
    step(run)
    refused(run, told=told, **changes)


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (changed(4, "gap (eV)", 9.5), [f"row 'M04', column 'gap (eV)': {TRUTH[4]} -> 9.5"]),
        (changed(3, "gap (eV)", np.nan), [f"row 'M03', column 'gap (eV)': {TRUTH[3]} -> nan"]),
        (changed(7, "b", 0.25), [f"row 'M07', column 'b': {MATERIALS['b'][7]} -> 0.25"]),
        (MATERIALS.drop(index=5), ["row 'M05': removed"]),
        (pd.concat([MATERIALS, MATERIALS[:1].assign(formula="new")]), ["row 'new': added"]),
        (MATERIALS.assign(N_val=np.arange(N) + 1.0), ["column 'N_val': added"]),
        (MATERIALS.drop(columns="b"), ["column 'b': removed"]),
        (MATERIALS.rename(columns={"r (AA)": "r (nm)"}), ["column 'r (AA)': removed", "column 'r (nm)': added"]),
        (MATERIALS.assign(note="x"), ["column 'note': added"]),
        (MATERIALS[::-1], ["rows or columns: in another order"]),
        (MATERIALS[["formula", "gap (eV)", "r (AA)", "b", "a (eV)"]], ["rows or columns: in another order"]),
        (MATERIALS.drop(index=[0, 1, 3]).assign(b=1.0 + np.arange(N - 3)), None),
    ],
)
def test_a_changed_table_is_refused_with_a_diff(run, frame, told):
    step(run)
    if told is None:
        rows = [i for i in range(N) if i not in {0, 1, 3}]
        told = [f"row 'M{i:02d}': removed" for i in (0, 1, 3)]
        told += [f"row 'M{i:02d}', column 'b': {MATERIALS['b'][i]} -> {1.0 + k}" for k, i in enumerate(rows[:5])]
        told += ["and 22 more"]
    refused(run, frame=frame, told=told)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            {"gap (eV)": "gap (meV)"},
            ["target: gap (eV) -> gap (meV)", "column 'gap (eV)': removed", "column 'gap (meV)': added"],
        ),
        ({"formula": "name"}, ["id: formula -> name", "column 'formula': removed", "column 'name': added"]),
    ],
)
def test_a_renamed_target_or_id_is_refused_with_a_diff(run, names, told):
    step(run)
    refused(run, frame=MATERIALS.rename(columns=names), told=told)


def test_another_choice_of_target_is_refused_with_a_diff(run):
    spare = MATERIALS.copy()
    spare["c (eV)"] = np.linspace(1, 2, N)
    step(run, frame=spare, roles={"target": "gap"})
    full = spare.assign(**{"gap (eV)": spare["gap (eV)"].fillna(1.0)})
    full.loc[3, "c (eV)"] = np.nan
    with pytest.raises(CampaignError, match=r"target: gap \(eV\) -> c \(eV\)"):
        step(run, frame=full, roles={"target": "c"})


def test_a_table_without_ids_names_its_rows_by_number(run):
    frame = MATERIALS.drop(columns="formula")
    step(run, frame=frame)
    other = changed(6, "b", 0.25).drop(columns="formula")
    refused(run, frame=other, told=[f"row '7', column 'b': {MATERIALS['b'][6]} -> 0.25"])
    refused(run, frame=frame[:-1], told=["row '30': removed"])


def test_numbers_as_ids_are_told_apart_from_rows(run):
    frame = MATERIALS.assign(formula=np.arange(N) * 10)
    summary = step(run, frame=frame, roles={"id": "formula"})
    assert {int(p["id"]) % 10 for p in summary["proposals"]} == {0}
    other = changed(6, "b", 0.25).assign(formula=np.arange(N) * 10)
    refused(
        run,
        frame=other,
        roles={"id": "formula"},
        told=[f"row '60', column 'b': {MATERIALS['b'][6]} -> 0.25"],
    )


@pytest.mark.parametrize("header", ["name (short)", "f(x)", "a (b) c"])
def test_the_id_column_may_have_parentheses(run, header):
    frame = MATERIALS.rename(columns={"formula": header})
    step(run, frame=frame)
    other = changed(6, "b", 0.25).rename(columns={"formula": header})
    refused(run, frame=other, told=[f"row 'M06', column 'b': {MATERIALS['b'][6]} -> 0.25"])


class Interrupted(Exception):
    pass


def interrupt(*_, **__):
    raise Interrupted


@pytest.mark.parametrize("place", ["settings", "table", "created", "fit", "model", "summary", "rename", "proposal"])
def test_a_step_that_was_interrupted_anywhere_is_done_again(run, tmp_path, monkeypatch, place):
    expected = step(tmp_path / "undisturbed")
    write, append_all = results.write_whole, Ledger.append_all
    arguments = {}
    with monkeypatch.context() as patch:
        if place == "settings":
            patch.setattr(inputs, "write_whole", interrupt)
        elif place == "table":
            patch.setattr(pd.DataFrame, "to_parquet", interrupt)
        elif place == "created":
            patch.setattr(Ledger, "append_all", interrupt)
        elif place == "fit":
            arguments["surrogate"] = interrupt
        elif place == "model":
            patch.setattr(Lines, "document", interrupt)
        elif place == "summary":
            patch.setattr(
                results, "write_whole", lambda path, text: interrupt() if path.suffix == ".json" else write(path, text)
            )
        elif place == "rename":
            patch.setattr(results.Path, "rename", interrupt)
        else:
            patch.setattr(
                Ledger, "append_all", lambda self, new: interrupt() if new[0][0] == "model" else append_all(self, new)
            )
        with pytest.raises(Interrupted):
            step(run, **arguments)
    if place == "proposal":
        assert (run / "iter-0001" / "summary.json").exists()
        assert events(run, "proposal") == []
    assert plain(step(run)) == plain(expected)
    assert outputs(run) == outputs(tmp_path / "undisturbed")
    assert timeless(events(run)) == timeless(events(tmp_path / "undisturbed"))


def test_what_an_interrupted_step_left_is_never_mixed_into_the_next(run):
    step(run)
    for name in ("iter-0002", ".iter-0002.part"):
        (run / name).mkdir()
        (run / name / "junk.txt").write_text("junk")
        (run / name / "model.json").write_text("junk")
    first = contents(run / "iter-0001")
    with Ledger(run) as ledger:
        ledger.append("label", {"id": "M02", "value": TRUTH[2], "source": "test"})
    summary = step(run)
    assert (summary["iteration"], summary["is_new"]) == (2, True)
    assert set(contents(run / "iter-0002")) == {"model.json", "predictions.csv", "proposals.csv", "summary.json"}
    assert list(run.glob(".*.part")) == []
    assert contents(run / "iter-0001") == first
    assert step(run) == summary | {"is_new": False}


def test_a_label_from_elsewhere_leads_to_the_next_step(run):
    first = step(run)
    found = first["proposals"][0]["id"]
    with Ledger(run) as ledger:
        ledger.append("label", {"id": found, "value": -50.0, "source": "test"})
    second = step(run)
    assert (second["iteration"], second["n_labelled"], second["n_candidates"]) == (2, N_KNOWN + 1, N - N_KNOWN - 1)
    assert second["best"] == {"id": found, "value": -50.0}
    assert found not in [p["id"] for p in second["proposals"]]
    assert predictions(run, 2)["label"][found] == -50.0
    assert np.isfinite(predictions(run, 2)["oob_mean"][found])
    assert np.isnan(predictions(run, 1)["label"][found])
    assert [event["iteration"] for event in events(run, "proposal")] == [1, 2]


def test_labelled_pending_and_failed_candidates_are_never_proposed(run):
    first = step(run, batch=10)
    assert len(first["proposals"]) == N - N_KNOWN == len({p["id"] for p in first["proposals"]})
    waiting, broken, done = (p["id"] for p in first["proposals"][:3])
    with Ledger(run) as ledger:
        ledger.append("intent", {"id": waiting, "intent": "1", "attempt": 1, "iteration": 1})
        ledger.append("failure", {"id": broken, "kind": "person", "reason": "none", "final": True, "source": "person"})
        ledger.append("label", {"id": done, "value": 1.0, "source": "test"})
    second = step(run, batch=10)
    assert {p["id"] for p in second["proposals"]} == {p["id"] for p in first["proposals"][3:]}


def test_candidates_without_prediction_are_counted_and_not_proposed(run):
    blind = np.flatnonzero(~KNOWN)[:4]
    summary = step(run, surrogate=lambda: Lines(blind=blind), batch=10, acquisition="std")
    assert (summary["n_without_prediction"], summary["n_invalid_predictions"]) == (4, 4 * MEMBERS)
    assert {p["id"] for p in summary["proposals"]} == {f"M{i:02d}" for i in np.flatnonzero(~KNOWN)[4:]}
    table = predictions(run)
    assert (table["n_valid"] == 0).sum() == 4
    assert table.loc[[f"M{i:02d}" for i in blind], ["mean", "std", "score"]].isna().all(axis=None)


@pytest.mark.parametrize("acquisition", ["random", "distance", "pi"])
def test_no_rule_proposes_a_candidate_without_prediction(run, acquisition):
    blind = np.flatnonzero(~KNOWN)[1:]
    summary = step(run, surrogate=lambda: Lines(blind=blind), batch=10, acquisition=acquisition)
    assert [p["id"] for p in summary["proposals"]] == [f"M{np.flatnonzero(~KNOWN)[0]:02d}"]


def test_where_nothing_can_be_proposed_the_step_says_so(run):
    summary = step(run, surrogate=lambda: Lines(blind=np.arange(N)))
    assert summary["proposals"] == []
    assert summary["n_without_prediction"] == N - N_KNOWN
    with (run / "iter-0001" / "proposals.csv").open() as file:
        assert list(csv.reader(file)) == [PROPOSAL]


@pytest.mark.parametrize("acquisition", sorted(ACQUISITIONS))
def test_every_acquisition_runs_and_repeats(run, tmp_path, acquisition):
    first = step(run, acquisition=acquisition, diversity=0.3)
    assert len(first["proposals"]) == 3
    assert first["acquisition"] == acquisition
    again = step(tmp_path / "again", acquisition=acquisition, diversity=0.3)
    assert again["proposals"] == first["proposals"]


def oxides_of(metals):
    """The materials under names that are formulas."""
    frame = MATERIALS.copy()
    frame["formula"] = [f"{metal}{n}O{n + 1}" for n in range(1, 7) for metal in metals]
    return frame


def test_proposals_of_unstable_structures_are_marked_and_those_on_phonons_are_no_features(run):
    frame = MATERIALS.assign(
        phonons_chgnet=["dynamically unstable: -3.21 THz at R" if i % 2 else "stable" for i in range(N)],
        phonons_sevenn=["dynamically unstable: -0.50 THz at X" if i % 3 else "" for i in range(N)],
        **{"F_vib_chgnet (eV/atom)": [math.nan if i % 2 else 0.01 * i for i in range(N)]},
    )
    summary = step(run, frame, batch=6)
    assert summary["told"][2] == ["a", "b", "r"]
    assert summary["set_aside"] == []
    chgnet, sevenn = "chgnet: -3.21 THz at R", "sevenn: -0.50 THz at X"
    for proposal in summary["proposals"]:
        row = int(proposal["id"][1:])
        assert proposal["unstable"] == ", ".join([chgnet] * (row % 2) + [sevenn] * (row % 3 > 0))
    marks = {proposal["unstable"] for proposal in summary["proposals"]}
    assert len(marks) > 1
    assert set(pd.read_csv(run / "iter-0001" / "proposals.csv")["unstable"].fillna("")) == marks


def test_candidates_with_excluded_elements_are_counted_learned_from_and_not_proposed(run):
    frame = oxides_of(["Mg", "Hg", "Ti", "U", "Sr"])
    free = step(run, frame, batch=10)
    assert {p["contains"] for p in free["proposals"]} >= {"Hg (toxic, scarce)", "U (radioactive, toxic)"}
    assert free["excluded"] == {"n": 0, "elements": {}}
    summary = step(run, frame, batch=10, exclude_elements=["toxic"])
    is_open = frame["gap (eV)"].isna()
    left = [name for name in frame.loc[is_open, "formula"] if "Hg" not in name and "U" not in name]
    assert sorted(p["id"] for p in summary["proposals"]) == sorted(left)
    counts = {symbol: int(frame.loc[is_open, "formula"].str.contains(symbol).sum()) for symbol in ("Hg", "U")}
    assert summary["excluded"] == {"n": int(is_open.sum()) - len(left), "elements": counts}
    assert summary["n_labelled"] == free["n_labelled"] == N_KNOWN
    assert (summary["iteration"], summary["is_new"]) == (2, True)
    assert events(run, "settings")[-1]["changes"] == ["run.exclude_elements: () -> ('toxic',)"]
    assert not step(run, frame, batch=10, exclude_elements=["toxic"])["is_new"]


def test_only_elements_leaves_the_others_out_and_both_settings_add_up(run):
    frame = oxides_of(["Mg", "Hg", "Ti", "U", "Sr"])
    summary = step(run, frame, batch=10, only_elements=["Mg", "Hg", "Sr"], exclude_elements=["Hg"])
    assert {p["id"][:2] for p in summary["proposals"]} == {"Mg", "Sr"}


def test_elements_cannot_be_excluded_where_names_are_no_formulas(run):
    with pytest.raises(SettingsError, match="elements can be excluded only where every candidate has a formula"):
        step(run, exclude_elements=["U"])
    with pytest.raises(SettingsError, match="needs elements or groups"):
        step(run, exclude_elements=["Unobtainium"])


def test_diversity_reaches_the_choice_of_the_batch(run, tmp_path):
    greedy, diverse = (
        step(folder, acquisition="mean", batch=4, diversity=diversity)
        for folder, diversity in ((run, 0.0), (tmp_path / "diverse", 1.0))
    )
    scores = predictions(tmp_path / "diverse")["score"].to_numpy()
    features = MATERIALS[["a (eV)", "b", "r (AA)"]].to_numpy()
    picks = select(scores, list(MATERIALS["formula"]), 4, excluded=KNOWN, features=features, diversity=1.0)
    assert [p["id"] for p in diverse["proposals"]] == [f"M{i:02d}" for i in picks]
    assert {p["id"] for p in diverse["proposals"]} != {p["id"] for p in greedy["proposals"]}


def test_diversity_sees_the_compositions_where_ids_are_formulas(run, monkeypatch):
    elements = ("Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Zn")
    oxides = [f"{elements[i % 10]}{1 + i // 10}O{7 + i % 7}" for i in range(N)]
    given = []

    def spy(*arguments, composition, **options):
        given.append(composition)
        return select(*arguments, composition=composition, **options)

    monkeypatch.setattr(scoring, "select", spy)
    step(run, MATERIALS.assign(formula=oxides), acquisition="mean", batch=4, diversity=1.0)
    step(run.parent / "other", acquisition="mean", batch=4, diversity=1.0)
    assert np.array_equal(given[0], atomic_fractions(oxides))
    assert given[1] is None


def test_the_seed_decides_random_choices(run, tmp_path):
    picks = [
        [p["id"] for p in step(tmp_path / f"run{seed}", acquisition="random", seed=seed)["proposals"]]
        for seed in range(5)
    ]
    assert len({tuple(p) for p in picks}) > 1
    with Ledger(tmp_path / "run0") as ledger:
        ledger.append("label", {"id": picks[0][0], "value": 1.0})
    second = step(tmp_path / "run0", acquisition="random", seed=0)
    assert [p["id"] for p in second["proposals"]] != picks[0]


def test_the_surrogate_gets_settings_and_a_seed_of_its_own_each_time(run):
    seen = []

    def make(settings, seed):
        seen.append((settings.model.rung, settings.target, seed))
        return Lines()

    for label in ("M02", "M05", None):
        discover(
            space_of(MATERIALS, run.parent / "tables"),
            settings_of(),
            run,
            Tools(make),
        )
        if label:
            with Ledger(run) as ledger:
                ledger.append("label", {"id": label, "value": 1.0})
    assert [(rung, target) for rung, target, _ in seen] == [(1, "gap (eV)")] * 3
    assert len({seed for *_, seed in seen}) == 3


class Counting(Lines):
    """Counts the fits that led to it."""

    before = 0

    def begin_from(self, handover):
        self.before = handover["fits"]

    def handover(self):
        return {"fits": self.before + 1}

    def document(self, space):
        return super().document(space) | (self.handover() or {})


def test_a_surrogate_begins_where_the_recorded_one_before_ended_also_when_it_is_made_again(run):
    assert isinstance(Counting(), Continues)
    for label in ("M02", "M05", None):
        step(run, surrogate=Counting)
        if label:
            with Ledger(run) as ledger:
                ledger.append("label", {"id": label, "value": 1.0})
    assert [event["handover"] for event in events(run, "model")] == [{"fits": 1}, {"fits": 2}, {"fits": 3}]
    before = outputs(run)
    assert json.loads(before["iter-0003/model.json"])["fits"] == 3
    shutil.rmtree(run / "iter-0003")
    step(run, surrogate=Counting)
    assert outputs(run) == before
    assert step(run, surrogate=Counting)["campaign"]["missing"] == []


def test_a_surrogate_that_cannot_begin_elsewhere_or_has_nothing_to_hand_over_records_nothing(run, tmp_path):
    class Silent(Counting):
        def handover(self):
            return None

    step(run)
    step(tmp_path / "other", surrogate=Silent, frame=MATERIALS)
    assert all("handover" not in event for place in (run, tmp_path / "other") for event in events(place, "model"))


def test_progress_reaches_the_surrogate(run):
    told = []
    discover(
        space_of(MATERIALS, run.parent / "tables"),
        settings_of(),
        run,
        Tools(lambda settings, seed: Lines(), progress=lambda done, total: told.append((done, total))),
    )
    assert told == [(1, 1)]


class Kriging:
    """A Gaussian process of scikit-learn; its members are draws from the posterior."""

    def fit(self, space, numbers, labels, errors, progress=None):
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, WhiteKernel

        self.process = GaussianProcessRegressor(RBF(1.0) + WhiteKernel(0.05), optimizer=None, normalize_y=True)
        self.process.fit(space.rows(numbers).matrix, labels)
        return self

    def predict(self, space, numbers):
        rows = space.rows(numbers).matrix
        mean, std = self.process.predict(rows, return_std=True)
        members = self.process.sample_y(rows, 6, random_state=0).T
        return Prediction(mean, std, std, members, np.ones(members.shape, dtype=bool))


def test_a_gaussian_process_that_tells_nothing_of_itself_is_a_surrogate_too(run):
    """With the default goal, a few steps with the true labels find the best material of all."""
    found = set(MATERIALS["formula"][KNOWN])
    for _ in range(4):
        summary = step(run, surrogate=Kriging, batch=2, acquisition="ei")
        with Ledger(run) as ledger:
            for proposal in summary["proposals"]:
                row = MATERIALS.index[MATERIALS["formula"] == proposal["id"]][0]
                ledger.append("label", {"id": proposal["id"], "value": TRUTH[row], "source": "test"})
                found.add(proposal["id"])
    assert len(found) == N_KNOWN + 8
    assert f"M{int(np.argmin(TRUTH)):02d}" in found
    assert not (run / "iter-0004" / "model.json").exists()
    assert summary["calibration"] is None
    assert predictions(run, 4)["oob_mean"].isna().all()


def test_the_campaign_knows_no_surrogate_of_its_own():
    code = (
        "import sys, sisso_sal.campaign.loop\n"
        "print(sorted(m for m in sys.modules if m.startswith(('sisso_sal.models', 'sisso_sal.engine',"
        " 'sisso_sal.features', 'sisso_sal.oracle', 'sklearn', 'numba'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.fixture(scope="module")
def sisso(tmp_path_factory):
    """A step with the real ensemble, and the same with rows and columns shuffled, on two threads."""
    from sisso_sal.models.registry import make_surrogate

    folder = tmp_path_factory.mktemp("sisso")
    settings = settings_of(n_sis=6, members=5, batch=4)
    shuffled = MATERIALS.sample(frac=1, random_state=1)[["r (AA)", "formula", "a (eV)", "gap (eV)", "b"]]
    summaries = []
    for name, frame, threads in (("plain", MATERIALS, 1), ("shuffled", shuffled, 2)):
        space = space_of(frame, folder / f"{name}-table")
        tools = Tools(lambda settings, seed, threads=threads: make_surrogate(settings, seed, threads))
        summaries.append(discover(space, settings, folder / name, tools))
    return folder, *summaries


def test_a_step_of_the_real_ensemble_can_be_predicted_again_from_its_model_file(sisso):
    from sisso_sal.models.files import load_model

    folder, summary, _ = sisso
    model, target, unit = load_model(folder / "plain" / "iter-0001" / "model.json")
    assert (target, unit, len(model.members_)) == ("gap", "eV", 5)
    columns = {
        name: MATERIALS[header].to_numpy() for name, header in zip("abr", ["a (eV)", "b", "r (AA)"], strict=True)
    }
    again, table = model.predict_distribution(columns), predictions(folder / "plain")
    assert table["mean"].to_numpy() == pytest.approx(again.mean, rel=1e-14)
    assert table["std"].to_numpy() == pytest.approx(again.std, rel=1e-14)
    assert table["n_valid"].tolist() == again.n_valid.tolist()
    calibration = summary["calibration"]
    assert calibration["n"] == table["oob_mean"].notna().sum() > 5
    error = (table["oob_mean"] - table["label"]).dropna()
    assert calibration["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-9)
    known = table.dropna(subset=["oob_mean", "oob_std"])
    told = model.recalibration_.distribution(*known[["oob_mean", "oob_std"]].to_numpy().T, model.model_.floor)
    assert calibration["scale"] == pytest.approx(np.median(told.std / known["oob_std"]), rel=1e-9)
    low, high = again.interval95
    assert table["low95"].to_numpy() == pytest.approx(low, rel=1e-14)
    assert table["high95"].to_numpy() == pytest.approx(high, rel=1e-14)
    for name in ("formulas_mean", "outside", "distance"):
        assert table[name].to_numpy() == pytest.approx(getattr(again, name), rel=1e-14)
    assert (table["distance"][KNOWN] == 0).all()
    assert (table["distance"][~KNOWN] > 0).all()
    assert summary["correction"] == "both"
    assert (table["formulas_mean"] - table["mean"]).abs().max() > 0.01


def test_the_order_of_rows_and_columns_and_the_threads_do_not_matter(sisso):
    folder, plain, shuffled = sisso
    assert shuffled["proposals"] == plain["proposals"]
    assert shuffled["best"] == plain["best"]
    assert (folder / "shuffled/iter-0001/model.json").read_bytes() == (
        folder / "plain/iter-0001/model.json"
    ).read_bytes()
    here, there = predictions(folder / "plain"), predictions(folder / "shuffled")
    pd.testing.assert_frame_equal(there.loc[here.index], here, check_exact=True)


def test_a_second_driver_is_turned_away(run):
    step(run)
    with Ledger(run):
        before = contents(run)
        with pytest.raises(LockedError):
            step(run)
        assert contents(run) == before


def test_a_folder_with_other_files_is_left_alone(run):
    run.mkdir()
    (run / "thesis.tex").write_text("x")
    with pytest.raises(CampaignError, match=r"run: needs a new folder or one of an earlier run, found other files$"):
        step(run)
    assert contents(run) == {"thesis.tex": b"x"}
    assert [p.name for p in run.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_becomes_a_run(run):
    run.mkdir()
    assert step(run)["is_new"]


@pytest.mark.parametrize("name", [None, "summary.json", "model.json", "predictions.csv"])
@pytest.mark.parametrize("learned_since", [False, True])
def test_files_of_the_newest_iteration_that_are_gone_or_changed_are_made_again(run, name, learned_since):
    first = step(run)
    before = outputs(run)
    if name is None:
        shutil.rmtree(run / "iter-0001")
    else:
        (run / "iter-0001" / name).write_text("{")
    if learned_since:  # what came later does not enter
        with Ledger(run) as ledger:
            ledger.append("failure", {"id": "M29", "kind": "person", "reason": "x", "final": False, "source": "person"})
    told = []
    again = step(run, more={"talk": Talk(told.append)})
    assert told == [f"{run}/iter-0001: files are missing or changed; making them again"]
    assert plain(again) == plain(first) | {"is_new": False}
    assert outputs(run) == before
    assert step(run)["campaign"]["missing"] == []


class OtherVersion(Lines):
    """The same with other last digits, as another version of a package gives them."""

    def predict(self, space, numbers):
        prediction = super().predict(space, numbers)
        return Prediction(
            prediction.mean + 1e-12, prediction.std, prediction.std_raw, prediction.members, prediction.valid
        )


def test_files_that_are_made_again_by_another_version_count_from_then_on(run):
    step(run)
    (run / "iter-0001" / "predictions.csv").unlink()
    lines = []
    step(run, surrogate=OtherVersion, more={"talk": Talk(lines.append)})
    assert any("the new files differ from the old ones" in line for line in lines)
    assert [event["event"] for event in events(run)][-1] == "remade"
    before = contents(run)
    lines.clear()
    assert not step(run, more={"talk": Talk(lines.append)})["is_new"]
    assert lines == []
    assert {name: content for name, content in contents(run).items() if name != ".driver.json"} == before
    check_files(run / "iter-0001", state(run).iterations[0].model)


def test_files_of_an_older_iteration_that_are_gone_are_told(run):
    step(run)
    with Ledger(run) as ledger:
        ledger.append("label", {"id": "M02", "value": TRUTH[2], "source": "test"})
    step(run)
    (run / "iter-0001" / "model.json").unlink()
    assert step(run)["campaign"]["missing"] == ["iter-0001/model.json"]


def test_a_lost_copy_of_the_table_is_told(run):
    step(run)
    (run / "candidates.parquet").unlink()
    assert not step(run)["is_new"]
    with pytest.raises(CampaignError, match="this run was started with other inputs"):
        step(run, frame=changed(6, "b", 0.25))


@pytest.mark.parametrize(
    ("frame", "error", "told"),
    [
        (
            MATERIALS.drop(columns=["a (eV)", "b", "r (AA)"]),
            FitError,
            "needs at least one numeric feature column, found none",
        ),
        (
            MATERIALS.assign(**{"gap (eV)": [1.0, 2.0, *[np.nan] * (N - 2)]}),
            FitError,
            "needs at least 3 labelled rows for dim 1, found 2",
        ),
        (
            MATERIALS.assign(**{"gap (eV)": TRUTH}),
            FitError,
            "needs rows with an empty 'gap' to choose from, found none",
        ),
    ],
)
def test_what_cannot_be_learned_from_leaves_no_folder(run, frame, error, told):
    with pytest.raises(error) as caught:
        step(run, frame=frame, roles={"target": "gap"})
    assert str(caught.value) == f"{run.parent / 'tables' / 'materials.csv'}: {told}"
    assert not run.exists()


@pytest.mark.parametrize(
    ("changes", "told"), [({"goal": "lowest"}, "goal: "), ({"acquisition": "eii"}, "acquisition: ")]
)
def test_impossible_settings_leave_no_folder(run, changes, told):
    with pytest.raises(SettingsError, match=f"^{told}needs "):
        step(run, **changes)
    assert not run.exists()


def test_a_table_without_target_is_refused(run):
    table = read_table(table_of(MATERIALS, run.parent / "tables").path, target="gap")
    bare = pd.read_csv(table.path).drop(columns="gap (eV)")
    bare.to_csv(run.parent / "bare.csv", index=False)
    with pytest.raises(FitError, match=r"bare\.csv: needs a target column with some values known, found none; name it"):
        discover(
            TableSpace(read_table(run.parent / "bare.csv")),
            settings_of(),
            run,
            Tools(lambda settings, seed: Lines()),
        )
    assert not run.exists()


def test_as_long_as_nothing_was_learned_a_run_may_start_anew(run):
    class Broken(Lines):
        def fit(self, space, numbers, labels, errors, progress=None):
            raise RuntimeError("the fit fails")

    with pytest.raises(RuntimeError, match="the fit fails"):
        step(run, surrogate=Broken)
    assert len(step(run, batch=2)["proposals"]) == 2
    assert len(events(run, "created")) == 2
    assert state(run).labels == dict(zip(MATERIALS["formula"][KNOWN], MATERIALS["gap (eV)"][KNOWN], strict=True))
    with pytest.raises(CampaignError, match="batch: 2 -> 4"):
        step(run, batch=4)


def test_a_run_of_a_version_with_other_settings_is_refused_in_one_line(run):
    step(run)
    created = events(run, "created")[0]
    older = {**created["settings"], "ensemble": {**created["settings"]["ensemble"], "bootstrap": "plain"}}
    before = inputs.State(created={**created, "settings": older})
    space = space_of(MATERIALS, run.parent / "tables")
    with pytest.raises(CampaignError, match=r"settings that this one does not have: ensemble\.bootstrap; give another"):
        inputs.all_changes(run, before, space, settings_of(), None, {})


def test_a_label_that_was_filled_in_is_learned(run):
    step(run)
    before = contents(run)
    frame = changed(2, "gap (eV)", TRUTH[2])
    second = step(run, frame=frame)
    assert (second["iteration"], second["n_labelled"]) == (2, KNOWN.sum() + 1)
    assert "M02" not in [p["id"] for p in second["proposals"]]
    assert predictions(run, 2)["label"]["M02"] == TRUTH[2]
    assert events(run, "label")[-1] | {"time": 0, "seq": 0} == {
        "time": 0, "seq": 0, "event": "label", "id": "M02", "value": TRUTH[2], "source": "table"
    }  # fmt: skip
    after = contents(run)
    assert {name for name in before if after[name] != before[name]} == {"campaign.db", "campaign.jsonl"}
    assert step(run, frame=frame) == {**second, "is_new": False}
    assert step(run) == {**second, "is_new": False}
    frame.loc[2, "gap (eV)"] = 9.5
    refused(run, frame=frame, told=[f"row 'M02', column 'gap (eV)': {TRUTH[2]} -> 9.5"])
    frame.loc[2, ["gap (eV)", "b"]] = TRUTH[2], 0.25
    frame.loc[5, "gap (eV)"] = TRUTH[5]
    refused(run, frame=frame, told=[f"row 'M02', column 'b': {MATERIALS['b'][2]} -> 0.25"])
