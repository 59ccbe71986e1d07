"""Campaigns over classes: labels are text in the ledger, the lookup, the command and what people hand in."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from sisso_sal import Campaign, load_model
from sisso_sal.errors import CampaignError, InputError, SettingsError, TableError
from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.store import read_ledger
from sisso_sal.models.display import descriptor_html, number_html
from sisso_sal.report.figures.course import course
from sisso_sal.report.figures.out_of_bag import out_of_bag, reliability_of_hits
from sisso_sal.report.figures.saved import save_figures
from sisso_sal.report.page.document import report_html
from sisso_sal.report.run_view import RunView

N = 60
FOREST = {"surrogate": "forest", "batch": 4, "with_report": False}
FORMULAS = {
    "rung": 1,
    "dim": 1,
    "n_sis": 5,
    "operators": ("add", "div"),
    "members": 4,
    "batch": 4,
    "with_report": False,
}


def truth():
    """A cubic phase where a is much larger than b, else a hexagonal one; of some of the latter a third name."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"name": [f"M{i:02d}" for i in range(N)]})
    frame["a (AA)"], frame["b (AA)"] = rng.uniform(1, 2, (2, N)).round(4)
    frame["phase"] = np.where(frame["a (AA)"] > 1.25 * frame["b (AA)"], "cubic", "hexagonal")
    frame.loc[frame["a (AA)"] < 1.2, "phase"] = "rock salt"
    return frame


def tables(folder, n_known=20):
    """A table with gaps, and one with every class."""
    frame = truth()
    frame.to_csv(folder / "truth.csv", index=False)
    frame.loc[n_known:, "phase"] = ""
    frame.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


@pytest.fixture
def table(tmp_path):
    return tables(tmp_path)


def events(run, kind):
    return [event for event in read_ledger(run).events() if event["event"] == kind]


def test_labels_of_a_table_and_of_people_are_names_in_the_ledger(table, tmp_path):
    campaign = Campaign(table, goal="=cubic", out=tmp_path / "run", **FOREST)
    campaign.step()
    (first, *_) = campaign.proposals["id"]
    campaign.label(first, " rock salt ")
    summary = campaign.step()
    phases = truth().set_index("name")["phase"]
    labels = {event["id"]: (event["class"], event["value"]) for event in events(tmp_path / "run", "label")}
    expected = {f"M{i:02d}": phases.iloc[i] for i in range(20)} | {first: "rock salt"}
    assert labels == {id: (name, float(name == "cubic")) for id, name in expected.items()}
    assert summary["classes"] == pd.Series(expected).value_counts().to_dict()
    assert summary["hits"] == list(expected.values()).count("cubic")
    state = fold(read_ledger(tmp_path / "run").events())
    assert state.told == expected


def test_what_is_no_class_is_refused(table, tmp_path):
    campaign = Campaign(table, goal="=cubic", out=tmp_path / "run", **FOREST)
    campaign.step()
    (first, second, *_) = campaign.proposals["id"]
    for value in (0.5, "", "two\nlines", None, True):
        with pytest.raises(InputError, match=f"^label of '{first}': needs the name of a class, found"):
            campaign.label(first, value)
    with pytest.raises(CampaignError, match=r"needs the name of a class, without an error, found 'cubic' ± 0\.1"):
        campaign.label(first, "cubic", 0.1)
    campaign.label(first, "cubic")
    with pytest.raises(CampaignError, match=r"is already cubic; .* changes it to hexagonal"):
        campaign.label(first, "hexagonal")
    campaign.label(first, "hexagonal", replace=True)
    campaign.label(second, 225)  # a whole number is a name, as in a table
    assert campaign.step()["classes"]["225"] == 1


def test_a_numeric_campaign_takes_no_name(tmp_path):
    frame = truth().drop(columns="phase")
    frame["y"] = (frame["a (AA)"] / frame["b (AA)"]).where(frame.index < 20)
    campaign = Campaign(frame, goal="max", id="name", out=tmp_path / "run", **FOREST)
    campaign.step()
    with pytest.raises(InputError, match="needs a number as its value, found 'cubic'"):
        campaign.label(campaign.proposals["id"].iloc[0], "cubic")


def test_a_campaign_with_a_lookup_stops_at_its_hits_and_continues_after_it(table, tmp_path):
    """The second start has nothing to take back, and the labels of both are names."""
    oracle = f"lookup:{tmp_path / 'truth.csv'}"
    run = tmp_path / "run"
    first = Campaign(table, goal="=cubic", out=run, oracle=oracle, hits=6, **FORMULAS).run()
    assert first["campaign"]["stop"]["kind"] == "hits"
    assert first["hits"] >= 6
    second = Campaign(table, goal="=cubic", out=run, oracle=oracle, hits=8, **FORMULAS).run()
    assert second["hits"] >= 8
    phases = truth().set_index("name")["phase"]
    labels = events(run, "label")
    assert {event["id"]: event["class"] for event in labels} == phases[[event["id"] for event in labels]].to_dict()
    assert len({event["id"] for event in labels}) == len(labels)


def test_an_oracle_that_says_otherwise_is_refused(table, tmp_path):
    oracle = f"lookup:{tmp_path / 'truth.csv'}"
    Campaign(table, goal="=cubic", out=tmp_path / "run", oracle=oracle, budget=4, **FOREST).run()
    told = events(tmp_path / "run", "label")[-1]
    frame = truth().set_index("name")
    frame.loc[told["id"], "phase"] = "orthorhombic"
    frame.reset_index().to_csv(tmp_path / "truth.csv", index=False)
    with pytest.raises(CampaignError, match=f"row '{told['id']}': {told['class']} -> orthorhombic"):
        Campaign(table, goal="=cubic", out=tmp_path / "run", oracle=oracle, budget=8, **FOREST).run()


def test_a_changed_class_of_the_table_is_refused_and_a_new_one_is_learned(table, tmp_path):
    Campaign(table, goal="=cubic", out=tmp_path / "run", **FOREST).step()
    frame = pd.read_csv(table, keep_default_na=False)
    frame.loc[40, "phase"] = "cubic"
    frame.to_csv(table, index=False)
    summary = Campaign(table, goal="=cubic", out=tmp_path / "run", **FOREST).step()
    assert (summary["iteration"], summary["n_labelled"]) == (2, 21)
    was = frame.loc[3, "phase"]
    frame.loc[3, "phase"] = "monoclinic"
    frame.to_csv(table, index=False)
    with pytest.raises(CampaignError, match=f"row 'M03', column 'phase': {was} -> monoclinic"):
        Campaign(table, goal="=cubic", out=tmp_path / "run", **FOREST).step()
    frame.loc[3, "phase"] = was
    frame.to_csv(table, index=False)
    with pytest.raises(CampaignError, match="goal: =cubic -> =hexagonal"):
        Campaign(table, goal="=hexagonal", out=tmp_path / "run", **FOREST).step()


def test_a_command_answers_with_names_and_a_number_in_their_place_is_a_failure(tmp_path):
    table = tables(tmp_path, n_known=48)
    answers = {id: {"value": phase} for id, phase in truth().set_index("name")["phase"].items()}
    for place, answer in enumerate(({"value": 0.5}, {"value": ["cubic"]}, {"value": "cubic", "error": 0.1})):
        answers[f"M{50 + place}"] = answer
    for id, answer in answers.items():
        (tmp_path / f"{id}.json").write_text(json.dumps(answer))
    only = {"surrogate": "forest", "batch": 12, "retries": 0, "calculations": 12, "with_report": False}
    command = f"command:cat {tmp_path}/{{id}}.json"
    Campaign(table, goal="=cubic", out=tmp_path / "run", oracle=command, **only).run()
    failed = {event["id"]: event["reason"] for event in events(tmp_path / "run", "failure")}
    assert failed.keys() == {"M50", "M51", "M52"}
    assert "needs the name of a class as the label, found 0.5" in failed["M50"]
    labels = {event["id"]: event["class"] for event in events(tmp_path / "run", "label")}
    assert labels == {id: name for id, name in truth().set_index("name")["phase"].items() if id not in failed}


@pytest.mark.parametrize("surrogate", ["sisso", "logistic"])
def test_it_begins_without_a_hit_by_what_is_unlike_all_others(tmp_path, surrogate):
    frame = truth()
    kept = frame["phase"].where((frame["phase"] == "hexagonal") & (frame.index < 30))
    frame.assign(phase=kept).to_csv(tmp_path / "table.csv", index=False)
    settings = {**FORMULAS, "surrogate": surrogate, "target": "phase"}
    settings = settings if surrogate == "sisso" else {**FOREST, "surrogate": surrogate, "target": "phase"}
    told = []
    campaign = Campaign(tmp_path / "table.csv", goal="=cubic", out=tmp_path / "run", tell=told.append, **settings)
    summary = campaign.step()
    assert [line for line in told if "no row is 'cubic' so far" in line]
    assert summary["untold"] == "no label is a hit so far, so nothing tells hits apart"
    X = frame[["a (AA)", "b (AA)"]].to_numpy()
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    known = kept.notna().to_numpy()
    apart = np.array([np.sort(np.linalg.norm(row - X[known], axis=1))[0] for row in X])
    apart[known] = -1.0
    assert campaign.proposals["id"].iloc[0] in frame["name"].iloc[np.argsort(-apart)[:3]].tolist()
    (n,) = {json.dumps(row["mean"]) for row in summary["proposals"]}
    assert float(n) == pytest.approx(1 / (known.sum() + 2))


def test_the_report_speaks_of_classes_and_probabilities(table, tmp_path):
    pytest.importorskip("plotly")
    pytest.importorskip("matplotlib")
    campaign = Campaign(table, goal="=cubic,rock salt", out=tmp_path / "run", **{**FORMULAS, "with_report": True})
    summary = campaign.step()
    page = (tmp_path / "run" / "report.html").read_text()
    view = RunView.read(tmp_path / "run")
    assert page.count("These parts could not be made") == 0
    assert "P(cubic or rock salt)" in page
    assert f"{summary['hits']} of 20 labels are cubic or rock salt" in page
    assert "best known" not in page
    claims = reliability_of_hits(view)
    assert claims is not None
    assert sum(row["n"] for row in claims.rows) <= 20
    with pytest.raises(InputError, match="needs a target that is a number"):
        out_of_bag(view)
    assert view.header == "P(cubic or rock salt)"
    names = {path.name for path in save_figures(view, tmp_path / "figures", "png")}
    assert names == {"map-1.png", "reliability.png", "learning-curve.png", "primaries.png"}
    hits = np.cumsum([event["value"] for event in events(tmp_path / "run", "label")])
    assert course(view).best.tolist() == [hits[-1]] * 20
    assert report_html(view).count("<h1>phase cubic or rock salt</h1>") == 1
    assert set(filter(None, view.known_as)) <= {"cubic", "hexagonal", "rock salt"}


def test_the_report_typesets_the_log_odds_of_the_members(table, tmp_path):
    """Numbers of each formula on the page are those of its member in the model file; ln(p/(1-p)) is what it says of rows."""
    pytest.importorskip("plotly")
    summary = Campaign(table, goal="=cubic", out=tmp_path / "run", **FORMULAS).step()
    view = RunView.read(tmp_path / "run")
    page = report_html(view)
    boxes = re.findall(r'<article class="formula-box".*?</article>', page, flags=re.DOTALL)
    assert len(boxes) == len(summary["typical"]) > 0
    members = load_model(tmp_path / "run" / "iter-0001" / "model.json")[0].members_
    for row, box in zip(summary["typical"], boxes, strict=True):
        assert "<pre>" not in box
        assert '<mi>ln</mi><mspace width="0.17em"/>' in box
        assert "<mfrac><mi>p</mi><mrow><mn>1</mn><mo>−</mo><mi>p</mi></mrow></mfrac>" in box
        (lane,) = members[row["member"]].lanes
        coefficients = [term.coefficient for term in lane.terms]
        told = re.findall(r'<span class="number">(.*?)(?:\u00a0.*?)?</span>', box)
        assert told == [number_html(lane.intercept), *(number_html(abs(value)) for value in coefficients)]
        assert [descriptor_html(term.expression, factor=True) in box for term in lane.terms] == [True] * lane.dimension
        assert "Descriptors and their ranges in training" in box
        said = members[row["member"]].probability(view.columns)[:, 1]
        assert np.log(said / (1 - said)) == pytest.approx(lane.predict(view.columns)[0])


def test_columns_are_found_by_the_class_and_else_asked_for(table, tmp_path):
    frame = truth()
    frame["twin"] = frame["phase"]
    with pytest.raises(
        TableError, match=r"goal '=cubic': needs the column of the classes, found 'phase', 'twin'; choose"
    ):
        Campaign(frame, goal="=cubic", out=tmp_path / "run", **FOREST).step()
    with pytest.raises(TableError, match="found none that has one of them; choose it with --target"):
        Campaign(table, goal="=tetragonal", out=tmp_path / "run", **FOREST).step()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"low": ("a",)}, "low: needs a target that is a number, found the goal '=cubic'"),
        ({"transform": "yeo-johnson"}, "transform: needs a target that is a number"),
        ({"loss": "huber"}, "loss: needs a target that is a number"),
        ({"improve_on": "label"}, "improve_on: needs a target that is a number"),
        ({"oracle": "structure"}, "oracle: needs one of none, lookup:FILE, command:COMMAND for the classes =cubic"),
        ({"oracle": "aims"}, "oracle: needs one of none, lookup:FILE, command:COMMAND for the classes =cubic"),
        ({"surrogate": "process"}, "surrogate: needs one of sisso, forest, logistic for the classes =cubic"),
        ({"acquisition": "ei"}, "acquisition: needs one of hits, .* for the classes =cubic, found 'ei'"),
    ],
)
def test_what_does_not_work_is_refused_in_one_line(table, tmp_path, changes, told):
    with pytest.raises(SettingsError, match=f"^{told}") as error:
        Campaign(table, goal="=cubic", out=tmp_path / "run", **changes)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_levels_of_theory_are_refused(table, tmp_path):
    (tmp_path / "levels.toml").write_text(
        'goal = "=cubic"\n[[level]]\nname = "low"\ncost = 1\ncolumn = "b"\n[[level]]\nname = "high"\ncost = 10\n'
    )
    with pytest.raises(SettingsError, match="level: needs a target that is a number, found the goal '=cubic'"):
        Campaign(table, config=tmp_path / "levels.toml", out=tmp_path / "run")
