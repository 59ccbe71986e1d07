"""A space without a list of candidates runs through the campaign: it generates what is proposed, also after a restart."""

import io

import numpy as np
import pandas as pd
import pytest
from lines import events, state

from sisso_sal import Campaign
from sisso_sal.errors import CampaignError, SettingsError
from sisso_sal.protocols import Answer, Maximiser, Quantity, Receipt, Rows, Space
from sisso_sal.report.run_view import RunView

SETTINGS = {"surrogate": "process", "acquisition": "ei", "batch": 2, "seed": 1, "with_report": False}


def law(x):
    return (x - 0.73) ** 2


class Line:
    """The numbers from 0 to 1, of which five are known; the id of a candidate says its place."""

    name = "line"
    features = (Quantity("x", "", "x"),)
    target = Quantity("y", "eV", "y (eV)")

    def __init__(self):
        self.settings = {"target": "y (eV)", "id": "place"}
        self.places = list(np.linspace(0.0, 0.5, 5).round(6))

    @property
    def ids(self):
        return tuple(f"{place:.6f}" for place in self.places)

    @property
    def labels(self):
        return np.array([law(place) if number < 5 else np.nan for number, place in enumerate(self.places)])

    @property
    def errors(self):
        return np.zeros(len(self.places))

    @property
    def groups(self):
        return np.arange(len(self.places))

    def rows(self, numbers=None):
        places = np.array(self.places)[slice(None) if numbers is None else numbers]
        return Rows({"x": places}, places[:, None])

    def blocks(self, size):
        yield np.arange(len(self.places))

    def candidate(self, number):
        return {"x": self.places[number]}

    def describe(self):
        return {"table": "line", "digest": "0 to 1", "n_rows": 5, "n_features": 1}

    def snapshot(self):
        content = io.BytesIO()
        pd.DataFrame({"place": self.ids, "x": self.places}).to_parquet(content)
        return content.getvalue()

    def differences(self, snapshot, settings, known, came_later):
        return []

    def recall(self, ids):
        self._add([float(id) for id in ids])

    def maximise(self, score, n, rng):
        places = rng.random(300).round(6)
        values = score(places[:, None])
        best = places[np.argsort(-values, kind="stable")][:n]
        self._add(best)
        numbers = np.array([self.places.index(place) for place in best])
        return numbers, best[:, None]

    def _add(self, places):
        self.places += [place for place in places if place not in self.places]


class Answers:
    """Labels at once."""

    poll = 0.01

    def __init__(self):
        self.barred, self.asked = {}, {}

    def describe(self):
        return {"oracle": "law"}

    def differences(self, labels):
        return []

    def submit(self, request):
        self.asked[request.intent] = request.candidate["x"]
        return Receipt(request.intent, "job")

    def query(self, request):
        return Receipt(request.intent, "job") if request.intent in self.asked else None

    def collect(self, receipts):
        return [Answer(receipt.intent, law(self.asked[receipt.intent])) for receipt in receipts]

    def close(self):
        pass


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


def test_it_fits_the_seams():
    assert isinstance(Line(), Space)
    assert isinstance(Line(), Maximiser)


def test_the_campaign_finds_the_best_place_among_those_that_are_generated(run):
    summary = Campaign(Line(), oracle=Answers(), out=run, budget=8, **SETTINGS).run()
    assert summary["campaign"]["stop"]["kind"] == "budget"
    labels = state(run).labels
    assert len(labels) == 5 + 8
    assert min(labels.values()) < 1e-3 < law(0.5)
    assert abs(float(min(labels, key=labels.__getitem__)) - 0.73) < 0.03
    assert all(value == law(float(id)) for id, value in labels.items())


def test_another_process_goes_on_with_the_same_candidates(run, tmp_path):
    oracle = Answers()
    Campaign(Line(), oracle=oracle, out=run, budget=4, **SETTINGS).run()
    again = Campaign(Line(), oracle=oracle, out=run, budget=8, **SETTINGS)
    again.run()
    assert len(state(run).asked) == 8
    assert set(state(run).labels) <= set(again.space.ids)
    Campaign(Line(), oracle=Answers(), out=tmp_path / "whole", budget=8, **SETTINGS).run()
    assert state(run).labels == state(tmp_path / "whole").labels


def test_a_generated_candidate_takes_a_label_by_hand_and_a_stranger_does_not(run):
    campaign = Campaign(Line(), out=run, **SETTINGS)
    campaign.step()
    first = campaign.proposals["id"][0]
    assert Campaign(Line(), out=run, **SETTINGS).label(first, law(float(first))) == 1
    with pytest.raises(CampaignError, match="is no candidate"):
        campaign.label("0.999999", 1.0)
    assert Campaign(Line(), out=run, **SETTINGS).step()["n_labelled"] == 6


def test_each_iteration_keeps_its_candidates_and_the_report_reads_them(run):
    Campaign(Line(), oracle=Answers(), out=run, budget=4, **SETTINGS).run()
    view = RunView.read(run)
    kept = pd.read_parquet(run / events(run, "model")[-1]["folder"] / "candidates.parquet")
    assert list(view.ids) == list(kept["place"])
    assert np.array_equal(view.columns["x"], kept["x"])
    scores = view.values("score")
    proposed = [proposal["id"] for proposal in view.proposals]
    assert np.isfinite(scores[np.isin(view.ids, proposed)]).all()
    assert "candidates.parquet" in events(run, "model")[-1]["files"]


def test_an_acquisition_that_uses_no_prediction_is_refused(run):
    with pytest.raises(SettingsError, match="needs one that scores each point by itself"):
        Campaign(Line(), out=run, **{**SETTINGS, "acquisition": "distance"}).step()
    assert not run.exists()
