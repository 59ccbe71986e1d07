"""What terminal and page say of materials unlike the known ones."""

from sisso_sal.report.summary import shift_text
from sisso_sal.report.text.results import fit_text

TOLD = {"by": "clusters", "n_families": 5, "factor": 1.26, "rmse": 0.0312, "rmse_one_by_one": 0.02}
SAID = (
    "for materials unlike the known ones (5 families of similar features left out): RMSE 0.0312 eV instead of 0.02; "
    "sigma times up to 1.3"
)
CALIBRATION = {"n": 40, "rmse": 0.021, "mae": 0.011, "coverage95": 0.94}


def fitted(**more):
    return {
        "target": {"name": "gap", "unit": "eV"}, "n_samples": 40, "n_features": {"0": 3}, "rejected": {}, "models": [],
        "calibration": CALIBRATION, **more,
    }  # fmt: skip


def test_the_terminal_says_it_below_the_out_of_bag_errors():
    lines = fit_text(fitted(shift=TOLD)).splitlines()
    place = lines.index(f"  {SAID}")
    assert lines[place - 1] == "  RMSE 0.021 eV, mean absolute error 0.011 eV"
    assert lines[place + 1] == "  coverage of the 95 % prediction interval: 94%"


def test_nothing_is_said_where_no_family_was_left_out():
    silent = fit_text(fitted())
    for told in (None, TOLD | {"rmse": None}, TOLD | {"rmse_one_by_one": None}):
        assert shift_text({"shift": told}, "eV") == ""
        assert fit_text(fitted(shift=told)) == silent
    assert "unlike" not in silent
