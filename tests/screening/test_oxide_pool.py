"""Oxides that are enumerated, and tables of formulas alone."""

import numpy as np
import pandas as pd
import pytest
from candidates import QUICK, call

from sisso_sal.api.prediction import columns_for
from sisso_sal.api.screening import ScreeningWish, screen_pool
from sisso_sal.errors import TableError
from sisso_sal.models.files import read_model
from sisso_sal.oxides.elements import atomic_fractions
from sisso_sal.oxides.enumeration import OxideEnumeration
from sisso_sal.screening import oxide_pool, pools
from sisso_sal.system.executors import HERE

KNOWN = (
    "Li2O",
    "MgO",
    "Al2O3",
    "TiO2",
    "Fe2O3",
    "SrO",
    "SrTiO3",
    "MgAl2O4",
    "Li2TiO3",
    "LiAlO2",
    "MgTiO3",
    "Al2TiO5",
    "V2O5",
    "Y2O3",
)
POOL = "oxides:metals=Li,Ti,Al,max_metals=3,max_index=8"


@pytest.fixture(scope="module")
def of_formulas(tmp_path_factory):
    """A model of features that are made from formulas."""
    folder = tmp_path_factory.mktemp("formulas")
    pd.DataFrame({"formula": KNOWN, "gap (eV)": np.linspace(1, 8, len(KNOWN))}).to_csv(
        folder / "table.csv", index=False
    )
    call("fit", "table.csv", "--target", "gap", *QUICK, "--dim", "1", "--out", "model.json", folder=folder)
    return folder / "model.json"


def test_enumerated_oxides_are_predicted_as_a_table_of_their_formulas(tmp_path, of_formulas, monkeypatch):
    monkeypatch.setattr(oxide_pool, "N_OXIDES", 50)
    monkeypatch.setattr(oxide_pool, "N_ROWS", 37)
    wanted, oxides = ScreeningWish(goal=">=5", top=12, keeps_all=True), OxideEnumeration.parse(POOL)
    document = screen_pool(of_formulas, POOL, tmp_path / "out", wanted, HERE)
    found = pd.concat([pd.read_parquet(path) for path in sorted((tmp_path / "out" / "predictions").iterdir())])
    assert len(found) == document["n_rows"] == oxides.count() > 100
    assert document["n_shards"] > 3
    found[["id"]].rename(columns={"id": "formula"}).to_csv(tmp_path / "formulas.csv", index=False)
    model = read_model(of_formulas).model
    table, columns = columns_for(model, tmp_path / "formulas.csv", None, None, lambda line: None)
    told = model.predict_distribution(columns, atomic_fractions(table.ids))
    assert table.ids == tuple(found["id"])
    np.testing.assert_allclose(found["mean"], told.mean, rtol=1e-9)
    np.testing.assert_allclose(found["std"], told.std, rtol=1e-9)
    again = screen_pool(of_formulas, POOL, tmp_path / "out", wanted, HERE)
    assert again["run"]["n_shards"] == 0
    other = screen_pool(of_formulas, POOL.replace("Al", "V"), tmp_path / "other", wanted, HERE)
    assert other["run"]["n_shards"] == other["n_shards"]


def test_features_are_made_where_the_pool_has_none(tmp_path, of_formulas, monkeypatch):
    """Row by row; what is no oxide is counted."""
    monkeypatch.setattr(pools, "N_ROWS", 5)
    formulas = pd.DataFrame({"formula": [*KNOWN, "NaCl", "LiTi2O4", "LiTiO"]})
    formulas.to_parquet(tmp_path / "pool.parquet")
    notes = []
    wanted = ScreeningWish(goal="min", keeps_all=True)
    document = screen_pool(
        of_formulas, str(tmp_path / "pool.parquet"), tmp_path / "out", wanted, HERE, tell=notes.append
    )
    assert notes == ["the model's features are made from formulas"]
    assert document["without_prediction"].pop("no features can be made from the formula") >= 1
    found = pd.read_parquet(tmp_path / "out" / "predictions").set_index("id")
    formulas[:-3].to_csv(tmp_path / "known.csv", index=False)
    model = read_model(of_formulas).model
    table, columns = columns_for(model, tmp_path / "known.csv", None, None, lambda line: None)
    told = model.predict_distribution(columns, atomic_fractions(table.ids))
    np.testing.assert_allclose(found.loc[list(KNOWN), "mean"], told.mean, rtol=1e-9)
    assert found.loc["NaCl", "reason"] == "no features can be made from the formula"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_without_the_features_and_without_formulas_says_both(tmp_path, of_formulas, form):
    table = pd.DataFrame({"id": ["x", "y"] if form == "csv" else [1, 2], "b": [2.0, 4.0]})
    if form == "csv":
        table.to_csv(tmp_path / "pool.csv", index=False)
    else:
        table.to_parquet(tmp_path / "pool.parquet")
    needed = "formulas are needed where the table has none of the model's columns, here '"
    with pytest.raises(TableError, match=needed) as error:
        screen_pool(of_formulas, str(tmp_path / f"pool.{form}"), tmp_path / "out", ScreeningWish(goal=">=5"), HERE)
    assert str(error.value).startswith(str(tmp_path / f"pool.{form}: "))
