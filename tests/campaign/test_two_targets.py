"""Two targets with a law that is known: who is on the front, who is proposed, and what must not matter."""

import numpy as np
import pandas as pd
import pytest

from sisso_sal.acquisition.front import expected_hypervolume_improvement, probability_not_dominated
from sisso_sal.campaign.two_targets import compromises
from sisso_sal.data.table import read_targets
from sisso_sal.errors import FitError, InputError, SettingsError, TableError
from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.sisso import SISSO
from sisso_sal.report.text.two_targets import pareto_text
from sisso_sal.spaces.table import TableSpace

SMALL = {
    "rung": 1,
    "dim": 1,
    "n_sis": 5,
    "members": 6,
    "dropout": 0.0,
    "operators": ("add", "mult", "div"),
    "correction": "none",
}
N, N_KNOWN = 60, 30


def planted():
    """60 rows: cost = a b is to be small, gain = a / b + 0.3 to be large. The first 30 are known; the best compromises are not."""
    rng = np.random.default_rng(5)
    a, b, c = rng.uniform(1, 3, (3, N)).round(3)
    b[N_KNOWN:] = np.where(np.arange(N - N_KNOWN) < 4, 0.85, b[N_KNOWN:])
    frame = pd.DataFrame({"id": [f"m{i:02d}" for i in range(N)], "a (eV)": a, "b": b, "c (AA)": c})
    frame["cost (eV)"] = (a * b).round(4)
    frame["gain (eV)"] = (a / b + 0.3).round(4)
    return frame


def gapped():
    frame = planted()
    frame.loc[N_KNOWN:, ["cost (eV)", "gain (eV)"]] = np.nan
    frame.loc[[3, 7], "gain (eV)"] = np.nan  # half known
    frame.loc[N_KNOWN, "cost (eV)"] = planted().loc[N_KNOWN, "cost (eV)"]
    return frame


def proposed(frame, path, targets=("cost", "gain"), goals=("min", "max"), batch=4, reference=None, make=None):
    frame.to_csv(path, index=False)
    make = make or (lambda: SISSO(SISSOEnsemble(**SMALL).get_params()))
    spaces = [TableSpace(table) for table in read_targets(path, targets)]
    return compromises(spaces, goals, batch, make, reference=reference)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return proposed(gapped(), tmp_path_factory.mktemp("pareto") / "table.csv")


def naive_front(frame):
    """By the definition, with the goals of the law."""
    rows = frame.dropna().set_index("id")[["cost (eV)", "gain (eV)"]]
    return {
        i
        for i, (cost, gain) in rows.iterrows()
        if not any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in rows.to_numpy())
    }


def test_the_front_is_that_of_the_rows_with_both_targets_known(found):
    names = [found.ids[i] for i in found.front]
    assert set(names) == naive_front(gapped())
    known = gapped().set_index("id").loc[names]
    assert known["cost (eV)"].is_monotonic_increasing
    assert known["gain (eV)"].is_monotonic_increasing


def test_the_best_compromises_are_proposed_and_a_batch_repeats_nothing(found):
    names = [found.ids[i] for i in found.picks]
    assert len(set(names)) == 4
    assert set(names) <= {f"m{i}" for i in range(N_KNOWN, N_KNOWN + 4)} | naive_front(planted())
    law = planted()
    for objective, header in zip(found.objectives, ("cost (eV)", "gain (eV)"), strict=True):
        assert objective.mean == pytest.approx(law[header].to_numpy(), abs=0.05)
    assert np.all(np.diff(found.gains) <= 1e-12)
    assert found.alone[found.picks[0]] == found.gains[0] == np.nanmax(found.alone)


def test_what_is_known_is_certain_and_rows_with_both_are_never_proposed(found):
    frame = gapped()
    for objective, header in zip(found.objectives, ("cost (eV)", "gain (eV)"), strict=True):
        known = frame[header].notna().to_numpy()
        assert np.array_equal(objective.mean[known], frame[header][known])
        assert np.all(objective.std[known] == 0)
        assert np.all(objective.std[~known] > 0)
    both = frame.notna().all(axis=1).to_numpy()
    assert np.array_equal(found.candidates, ~both)
    assert not both[found.picks].any()
    assert np.isnan(found.alone[both]).all()
    document = found.document()
    counts = {"n_labelled": 28, "n_candidates": 32, "n_half_labelled": 3, "n_without_prediction": 0}
    assert {key: document[key] for key in counts} == counts
    half = next((p for p in document["proposals"] if p["id"] == f"m{N_KNOWN}"), None)
    assert half is not None
    assert (half["known"], half["std"][0]) == ([True, False], 0.0)
    assert half["mean"][0] == planted().loc[N_KNOWN, "cost (eV)"]


def test_gains_and_chances_are_those_of_the_functions_with_the_signs_turned(found):
    cost, gain = found.objectives
    mean, std = np.column_stack([cost.mean, -gain.mean]), np.column_stack([cost.std, gain.std])
    front, worst = found.labels[found.front] * [1, -1], found.reference * [1, -1]
    rows = found.candidates
    assert np.array_equal(found.alone[rows], expected_hypervolume_improvement(mean, std, front, worst)[rows])
    assert np.array_equal(found.not_dominated[rows], probability_not_dominated(mean, std, front)[rows])
    ends = found.labels[found.front]
    assert found.reference[0] == pytest.approx(ends[:, 0].max() + 0.1 * np.ptp(ends[:, 0]))
    assert found.reference[1] == pytest.approx(ends[:, 1].min() - 0.1 * np.ptp(ends[:, 1]))


def test_neither_target_is_a_feature_of_the_other(tmp_path):
    """The second target is a copy of the first and known for every row: as a feature it would say everything."""
    frame = planted().drop(columns=["gain (eV)"])
    frame["copy (eV)"] = frame["cost (eV)"]
    frame.loc[N_KNOWN:, "cost (eV)"] = np.nan
    seen = []

    class Watched(SISSO):
        def fit(self, space, rows, labels, errors, progress=None):
            seen.append([feature.header for feature in space.features])
            return super().fit(space, rows, labels, errors, progress)

    settings = SISSOEnsemble(**SMALL).get_params()
    found = proposed(frame, tmp_path / "t.csv", ("cost", "copy"), ("min", "min"), make=lambda: Watched(settings))
    assert seen == [["a (eV)", "b", "c (AA)"]]
    assert [o.model is None for o in found.objectives] == [False, True]
    assert np.all(found.objectives[1].std == 0)
    assert {"cost", "copy"}.isdisjoint(found.objectives[0].model["recurrence"]["primaries"])


def test_order_of_rows_and_of_targets_changes_nothing(found, tmp_path):
    names = [found.ids[i] for i in found.picks]
    shuffled = gapped().sample(frac=1, random_state=1)
    again = proposed(shuffled, tmp_path / "rows.csv")
    assert [again.ids[i] for i in again.picks] == names
    assert [again.ids[i] for i in again.front] == [found.ids[i] for i in found.front]
    assert again.gains == pytest.approx(found.gains, rel=1e-9)
    turned = proposed(gapped(), tmp_path / "turned.csv", ("gain", "cost"), ("max", "min"))
    assert [turned.ids[i] for i in turned.picks] == names
    assert turned.gains == pytest.approx(found.gains, rel=1e-9)
    assert turned.reference[::-1].tolist() == found.reference.tolist()
    assert [turned.ids[i] for i in turned.front] == [found.ids[i] for i in found.front][::-1]


def test_turning_the_sign_of_a_target_and_its_goal_changes_nothing(found, tmp_path):
    frame = gapped()
    frame["gain (eV)"] *= -1
    turned = proposed(frame, tmp_path / "sign.csv", goals=("min", "min"))
    assert [turned.ids[i] for i in turned.picks] == [found.ids[i] for i in found.picks]
    assert turned.gains == pytest.approx(found.gains, rel=1e-3)


def test_a_reference_of_ones_own_limits_what_counts(tmp_path):
    tight = proposed(gapped(), tmp_path / "t.csv", reference=(1.2, 1.0))
    assert tight.reference.tolist() == [1.2, 1.0]
    assert tight.document()["reference"] == "given"
    costs = tight.objectives[0].mean[tight.picks]
    assert np.all(costs < 1.2)


def test_without_candidates_there_is_the_front_alone(tmp_path):
    def never():
        raise AssertionError("nothing is to be learned")

    found = proposed(planted(), tmp_path / "t.csv", make=never)
    assert {found.ids[i] for i in found.front} == naive_front(planted())
    assert found.document()["proposals"] == []


def test_what_cannot_be_done_is_told(tmp_path):
    frame, path = gapped(), tmp_path / "t.csv"
    with pytest.raises(SettingsError, match="goal: needs min or max for each of two targets, found '<=1'"):
        proposed(frame, path, goals=("min", "<=1"))
    with pytest.raises(SettingsError, match="batch: needs a number >= 1, found 0"):
        proposed(frame, path, batch=0)
    with pytest.raises(TableError, match=r"needs targets that differ, found 'cost \(eV\)' twice"):
        proposed(frame, path, ("cost", "cost (eV)"))
    apart = frame.assign(**{"gain (eV)": frame["gain (eV)"].where(frame["cost (eV)"].isna(), np.nan)})
    apart.loc[[40, 41, 42], "gain (eV)"] = [1.0, 2.0, 3.0]
    with pytest.raises(InputError, match="both targets known that differ in each, found 0; give --reference"):
        proposed(apart, path)
    alike = frame.assign(**{"gain (eV)": frame["gain (eV)"].where(frame.index == 50, np.nan)})
    alike.loc[50, "gain (eV)"] = 1.0
    same = frame.assign(**{"gain (eV)": frame["gain (eV)"].where(frame["gain (eV)"].isna(), 2.0)})
    with pytest.raises(
        FitError, match=r"^\S*t\.csv: target 'gain': needs a target that varies, found 2 on every sample$"
    ):
        proposed(same, path, reference=(3, 1))
    with pytest.raises(FitError, match=r"t\.csv: target 'gain': needs two labels or more, found 1$"):
        proposed(alike, path, reference=(3, 1))


def test_proposals_of_unstable_structures_are_marked(tmp_path):
    frame = gapped().assign(phonons_chgnet="dynamically unstable: -0.87 THz at X")
    document = proposed(frame, tmp_path / "table.csv", batch=2).document()
    assert [one["unstable"] for one in document["proposals"]] == ["chgnet: -0.87 THz at X"] * 2
    text = pareto_text(document)
    assert text.count("  chgnet: -0.87 THz at X\n") == 2
    assert "unstable: an imaginary mode of the relaxed structure" in text
