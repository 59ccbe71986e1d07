"""The learning curve as text and picture, from documents alone."""

import copy

import pytest

from sisso_sal.report.figures.labels_needed import error_against_labels
from sisso_sal.report.text.learning_curve import advice, best_order, learning_curve_text


def number(value, part=0.1, **more):
    return {"value": value, "low": value * (1 - part), "high": value * (1 + part), **more}


def document():
    sizes = [20, 28, 40, 57, 80]
    points = [
        {"labels": n, "rmse": number(n**-0.5, error=0.01), "mae": number(0.7 * n**-0.5, error=0.01)} for n in sizes
    ]
    law = {
        "points": [
            {"labels": n, **number((n * 0.8) ** -0.5), "gain": number(0.1 - 0.1 * (100 / n) ** 0.5)} for n in (100, 200, 400)
        ],
        "line": [{"labels": n, **number(n**-0.5)} for n in (20, 80, 200, 400)],
    }  # fmt: skip
    enough = {"labels": 80, "of": 80, "kept": 100, "rmse": 0.1118, "rmse_of_all": 0.1118, "error": 0.0}
    made = {
        "target": {"name": "gap", "unit": "eV"}, "folds": 5, "repeats": 2, "n_labels": 100, "n_groups": 90, "sizes": sizes,
        "curves": {order: copy.deepcopy(points) for order in ("random", "error", "coverage")},
        "extrapolation": {"rmse": law, "mae": law},
        "last_half": {"labels": 40, "of": 80, "before": 0.158, "now": 0.112, "fall": 0.046, "low": 0.02, "high": 0.07},
        "enough": {"random": enough, "error": dict(enough), "coverage": {**enough, "labels": 57, "kept": 72, "rmse": 0.1149}},
        "against_random": {"error": [{"labels": n, **number(1.0)} for n in sizes[:-1]], "coverage": []},
    }  # fmt: skip
    return made | {"advice": advice(made)}


def test_sentences_say_what_more_labels_bring_and_which_rows_are_enough():
    assert document()["advice"] == [
        "With all 100 labels the RMSE is about 0.112 (0.101 to 0.123) eV.",
        "Twice as many would lower it to about 0.079 (0.071 to 0.087) eV: by 0.029 (0.026 to 0.032).",
        "Four times as many would lower it to about 0.056 (0.050 to 0.061) eV: by 0.050 (0.045 to 0.055).",
        "The last half of the labels lowered the error (40 to 80 labels, RMSE 0.158 to 0.112 eV) by 0.046 (0.020 to 0.070).",
        "By coverage (farthest first), 57 of 80 rows reach the error of all: RMSE 0.115 against 0.112 eV (± 0.000).",
    ]


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        ({"value": 0.01, "low": 0.0, "high": 0.05}, "by 0.010 (nothing to 0.050)."),
        ({"value": 0.0, "low": 0.0, "high": 0.001}, "by next to nothing."),
    ],
)
def test_a_gain_that_may_be_none_is_told_as_such(gain, said):
    made = document()
    made["extrapolation"]["rmse"]["points"][1]["gain"] = gain
    assert advice(made)[1].endswith(said)


def test_a_fall_within_its_uncertainty_too_few_sizes_and_no_rows_to_spare_are_told():
    made = document()
    made["last_half"]["low"] = -0.01
    made["extrapolation"]["rmse"] = None
    made["enough"]["coverage"] = made["enough"]["random"]
    said = advice(made)
    assert said[0] == "100 labels are too few for an extrapolation: it needs four sizes."
    assert said[1].endswith("by less than its uncertainty: 0.046 (-0.010 to 0.070).")
    assert "no rows to spare" in said[2]


def test_orders_that_are_better_or_worse_than_random_are_named_with_their_sizes():
    made = document()
    made["against_random"]["error"][0] |= {"value": 1.2, "low": 1.1}
    made["against_random"]["error"][2] |= {"value": 0.8, "high": 0.9}
    made["against_random"]["error"][3] |= {"value": 0.7, "high": 0.9}
    assert advice(made)[-1] == (
        "Worst predicted first, the RMSE is smaller with 40 labels (20%) and 57 labels (30%) and larger with 20 labels (20%) "
        "than in random order."
    )


def test_of_orders_with_equally_few_rows_that_of_the_smaller_error_is_the_best():
    enough = document()["enough"]
    assert best_order(enough) == "coverage"
    enough["error"] |= {"labels": 57, "rmse": 0.1}
    assert best_order(enough) == "error"
    enough["random"] |= {"labels": 57, "rmse": 0.1}
    assert best_order(enough) == "random"


def test_the_text_has_a_row_for_each_size_and_says_what_went():
    made = document() | {
        "pruned": {"out": "fewer.csv", "order": "coverage", "kept": 72, "gone": [f"s{k}" for k in range(28)]}
    }
    lines = learning_curve_text(made).splitlines()
    assert (
        lines[0] == "100 labels of 90 materials, 5 folds, 2 repeats; errors of rows that were not learned from, in eV:"
    )
    assert [line.split()[0] for line in lines[3:8]] == ["20", "28", "40", "57", "80"]
    assert lines[-1] == (
        "fewer.csv has 72 of the 100 rows with a label, and all without one. 28 went, those nearest to others in their features: "
        "s0, s1, s2, s3, s4, s5 …"
    )
    narrow = learning_curve_text(made, 60).splitlines()
    assert max(map(len, narrow[2:8])) <= 60
    made["pruned"]["gone"] = []
    assert learning_curve_text(made).endswith("fewer.csv has all rows: there are none to spare.")


def test_the_picture_has_a_line_for_each_order_and_the_extrapolation():
    axes = error_against_labels(document()).axes[0]
    assert axes.get_legend_handles_labels()[1] == [
        "at random", "worst predicted first", "farthest first", "extrapolation of the random order", "its 95 % interval",
    ]  # fmt: skip
    assert axes.get_ylabel() == "RMSE of rows not learned from (eV)"
    assert axes.get_xscale() == "log"
    made = document()
    made["extrapolation"]["rmse"] = None
    assert len(error_against_labels(made).axes[0].lines) == 3
