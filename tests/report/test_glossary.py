"""What features are, in whose words, and that no words are taken for what they are not of."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sisso_sal import SISSOEnsemble
from sisso_sal.api.inputs import read_candidates
from sisso_sal.oxides.primary_features import PRIMARY_FEATURES, featurize
from sisso_sal.report.page.document import report_html
from sisso_sal.report.page.glossary import Words, features_told, words_of_features
from sisso_sal.report.run_view import RunView
from sisso_sal.settings.campaign import CampaignSettings

OXIDES = [
    "MgO",
    "CaO",
    "SrO",
    "BaO",
    "ZnO",
    "TiO2",
    "ZrO2",
    "HfO2",
    "Al2O3",
    "Ga2O3",
    "In2O3",
    "MgTiO3",
    "CaTiO3",
    "ZnTiO3",
]


@pytest.fixture(scope="module")
def oxides():
    """A view of oxides with three shipped features, an own one, and a cheap estimate."""
    made = featurize(OXIDES)[0]
    table = made[["r_cov (AA)", "IP (eV)", "N_val"]].to_numpy()
    X = pd.DataFrame(table, columns=["r_cov (AA)", "IP (eV)", "N_val"], index=OXIDES)
    X["own (eV)"] = np.linspace(1, 2, len(X))
    X["gap_chgnet (eV)"] = X["IP (eV)"] / 2
    y = (X["IP (eV)"] - X["own (eV)"]).rename("gap (eV)").where(np.arange(len(X)) < 10)
    return RunView.of(SISSOEnsemble(members=2, rung=0, dim=1, correction="none").fit(X[:10], y[:10]), X, y)


def test_shipped_features_have_meaning_and_source(oxides):
    shipped = {feature.header.split(" ")[0]: feature for feature in PRIMARY_FEATURES}
    words = words_of_features(oxides)
    for name in ("r_cov", "IP", "N_val"):
        assert words[name] == Words(shipped[name].meaning, shipped[name].source)
    assert words["own"] == Words("", "")
    assert (
        words["gap_chgnet"].meaning == "cheap estimate of the target from energies with the universal potential chgnet"
    )
    assert all(feature.source for feature in PRIMARY_FEATURES if feature.header != "AN")


def test_a_column_of_that_name_with_other_values_is_none_of_them(oxides):
    columns = {**oxides.columns, "IP": oxides.columns["IP"] * 1.01}
    words = words_of_features(replace(oxides, columns=columns))
    assert (words["IP"], words["r_cov"].meaning) == (Words("", ""), "covalent radius, mean over atoms")
    assert words_of_features(replace(oxides, units={**oxides.units, "IP": "J"}))["IP"] == Words("", "")
    assert words_of_features(replace(oxides, table=oxides.table.assign(id=list("abcdefghijklmn"))))["r_cov"] == Words(
        "", ""
    )


def test_own_words_come_first(oxides):
    own = {"own (eV)": {"meaning": "what I measured", "source": "my book"}, "IP": {"meaning": "mine"}}
    words = words_of_features(replace(oxides, summary={**oxides.summary, "settings": {"features": own}}))
    assert (words["own"], words["IP"]) == (Words("what I measured", "my book"), Words("mine", ""))
    told = {row["name"]: row for row in features_told(oxides)}
    known = oxides.columns["own"][oxides.labelled]
    assert (told["own"]["low"], told["own"]["high"]) == (known.min(), known.max())
    assert told["own"]["outside"] == 1.0


def test_the_page_has_a_row_for_each(view):
    settings = {**view.summary["settings"], "features": {"a": {"meaning": "first <b>", "source": "S & T"}}}
    html = report_html(replace(view, summary={**view.summary, "settings": settings}))
    glossary = html.split('<table class="glossary">')[1].split("</table>")[0]
    assert glossary.count('<th scope="row">') == len(view.units)
    assert "first &lt;b&gt;" in glossary
    assert "S &amp; T" in glossary


def test_settings_take_a_text_or_both(tmp_path):
    settings = CampaignSettings.model_validate({"features": {"a": "first", "b": {"meaning": "second", "source": "S"}}})
    assert [(one.meaning, one.source) for one in settings.features.values()] == [("first", ""), ("second", "S")]
    other = CampaignSettings()
    assert settings.on_machine_of(other) == other  # words may change while a campaign goes on
    table = pd.DataFrame({"id": list("uvwx"), "a (eV)": [1.0, 2, 3, 5], "c": [4.0, 3, 1, 2], "y": [1.0, 2, None, None]})
    told = []
    read_candidates(table, settings, tell=told.append)
    assert [line for line in told if "features" in line] == [
        f"described in section features, but no feature of {read_candidates(table, other).path}: b"
    ]
