"""What the terminal says of calibration and scores."""

import numpy as np

from sisso_sal.models.calibration import calibrate
from sisso_sal.models.recalibration import FEWEST, FEWEST_PARTED
from sisso_sal.report.text.results import discover_text


def summary(n_errors=40, kind="isotonic"):
    """Of a fit whose errors are those of an honest sigma."""
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.1, 0.3, n_errors)
    labels = rng.normal(0, sigma)
    found = calibrate(labels, np.zeros(n_errors), sigma, kind)[0].as_dict() if n_errors else None
    proposal = {
        "id": "MgO", "mean": 0.1, "std": 0.2, "low95": -0.3, "high95": 0.5, "formulas_mean": 0.2, "score": 1.2, "n_valid": 3,
        "outside": 0.0, "distance": 1.0, "contains": "",
    }  # fmt: skip
    return {
        "iteration": 1, "is_new": True, "target": {"name": "gap", "unit": "eV"}, "goal": "min",
        "acquisition": "hits",
        "n_labelled": 40, "n_candidates": 9, "n_without_prediction": 0, "proposals": [proposal],
        "excluded": {"n": 0, "elements": {}},
        "best": {"id": "TiO2", "value": 0.0}, "wanted": "<=0.3", "expected_hits": 0.6, "n_members": 3, "rung": 1, "dim": 1,
        "choices": [], "correction": "none", "sigma": "recalibrated", "calibration": found, "formula_calibration": found,
        "typical": [], "recurrence": {"primaries": {"a": 1.0}}, "n_features": {"0": 2}, "rejected": {}, "run": "runs/a",
        "settings": {},
    }  # fmt: skip


def test_what_the_score_is_stands_under_the_table_in_the_words_of_the_acquisition():
    def told(name):
        lines = discover_text({**summary(), "acquisition": name}).splitlines()
        return [line for line in lines if line.startswith("score: ")]

    assert told("hits") == ["score: the probability to reach the goal"]
    assert told("std") == ["score: the standard deviation of the prediction, in eV"]
    assert told("of_a_plug_in_that_is_gone") == []


CERTAIN = {
    "threshold": 0.9,
    "primaries": {"a": 1.0, "b c": 0.95, "d": 0.31},
    "descriptors": [
        {"expression": f"a*{name}", "tree": ["mult", "a", name], "probability": share, "n_members": 9}
        for name, share in (("b", 0.93), ("d", 0.4), ("e", 0.2), ("f", 0.1))
    ],
}


def test_what_is_certain_and_what_is_less_so():
    text = discover_text({**summary(), "certain": CERTAIN})
    assert (
        "\nCertain, with a probability above 90% over all models that were scored:\n"
        "  primary features: a 100%, `b c` 95%; less probable: d 31%\n"
        "  descriptors: a*b 93%; less probable: a*d 40%, a*e 20%\n"
    ) in text


def test_nothing_certain_is_said():
    text = discover_text({**summary(), "certain": {"threshold": 0.9, "primaries": {"a": 0.2}, "descriptors": []}})
    assert "\n  primary features: none; less probable: a 20%\n  descriptors: none\n" in text
    assert "Certain" not in discover_text({**summary(), "certain": None})


def test_figures_of_a_recalibration_are_not_sold_as_evidence():
    assert "recalibration makes the coverage right on average" in discover_text(summary())
    few = discover_text(summary(FEWEST_PARTED - 1))
    assert f"judged by the same {FEWEST_PARTED - 1} residuals that it was fitted to" in few
    fewer = discover_text(summary(FEWEST - 1))
    assert f"  no recalibration: it needs residuals of {FEWEST} materials at least, found {FEWEST - 1}\n" in fewer
    assert "no recalibration" not in few
    plain = discover_text(summary(kind="none"))
    assert "coverage of the 95 % prediction interval: 9" in plain
    assert "recalibration" not in plain


def test_without_errors_the_accuracy_is_not_known():
    assert (
        "Accuracy: not known; it is measured with out-of-bag predictions that have a standard deviation"
        in discover_text(summary(0))
    )


def test_what_was_left_out_for_its_elements_is_counted_and_what_a_proposal_contains_is_marked():
    document = summary()
    assert "contains" not in discover_text(document)
    document["excluded"] = {"n": 2, "elements": {"Hg": 2, "U": 1}}
    document["proposals"][0]["contains"] = "Mg (scarce)"
    text = discover_text(document)
    assert "2 candidates left out for their elements: Hg (2), U (1)\n" in text
    assert "Mg (scarce)\n" in text
    assert "\ncontains: --exclude-elements leaves such candidates out" in text


def test_a_proposal_that_is_dynamically_unstable_is_marked():
    document = summary()
    assert "unstable" not in discover_text(document)
    document["proposals"][0]["unstable"] = "chgnet: -3.21 THz at R"
    head, row = discover_text(document).split("Best candidates")[1].splitlines()[1:3]
    assert (head.split()[-1], row.endswith("  chgnet: -3.21 THz at R")) == ("unstable", True)
    assert "\nunstable: an imaginary mode of the relaxed structure" in discover_text(document)
