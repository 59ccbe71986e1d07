"""Bands of the lowest structure: out of its static run, computed for themselves only where that run has none."""

import pytest

from sisso_sal.oracle.workflow import steps


def static(energy, has_bands=True, gap=1.0, state="successful"):
    return {
        "state": state,
        "energy_per_atom": energy,
        "has_bands": has_bands,
        "bandgap": gap,
        "structure": {},
        "core_hours": 2.0,
    }


def test_the_bands_of_the_lowest_static_run_are_taken(monkeypatch):
    monkeypatch.setattr(steps, "run_step", lambda *args: pytest.fail("was computed"))
    found = steps.lowest_bands(["a", "b", "c"], [static(-1.0), static(-2.0, gap=3.0), static(None, state="failed")], {})
    assert (found["lowest"], found["bandgap"], found["core_hours"]) == ("b", 3.0, 0.0)
    nothing = steps.lowest_bands(["a"], [static(None, state="failed")], {})
    assert (nothing["state"], nothing["lowest"], nothing["reason"]) == ("left_out", None, "no structure has an energy")
    equal = steps.lowest_bands(["a", "b"], [static(-1.0), static(-1.0)], {})
    assert equal["lowest"] == "a"


def test_they_are_computed_where_the_lowest_has_none(monkeypatch):
    asked = []
    made = {"state": "successful", "bandgap": 2.0, "band_reason": "", "core_hours": 1.0}
    monkeypatch.setattr(steps, "run_step", lambda step, *rest: asked.append(step) or made)
    monkeypatch.setattr(steps, "structure_of", lambda data: data)
    monkeypatch.setattr(steps, "engine_here", lambda engine: engine)
    pair = [static(-1.0), static(-2.0, has_bands=False)]
    found = steps.lowest_bands(["a", "b"], pair, {})
    assert (asked, found["lowest"], found["bandgap"]) == (["bands"], "b", 2.0)
    made["band_reason"] = "found a damaged file"
    broken = steps.lowest_bands(["a", "b"], pair, {})
    assert (broken["state"], broken["reason"]) == ("failed", "found a damaged file")
