"""Columns that `estimate` makes are found as low columns by their names."""

import numpy as np
import pandas as pd
import pytest

from sisso_sal.data.estimated import ESTIMATED_BY
from sisso_sal.data.table import read_table
from sisso_sal.fidelity.columns import headers
from sisso_sal.fidelity.potentials import KINDS, Potential
from sisso_sal.models.baseline import low_of
from sisso_sal.spaces.table import TableSpace


def test_potentials_are_those_that_there_are():
    made = {Potential(name=name, model=model).tag for name, kind in KINDS.items() for model in kind.models}
    assert set(ESTIMATED_BY) == made


@pytest.mark.parametrize("tag", ESTIMATED_BY)
def test_the_estimate_of_the_target_is_found(tag):
    made = headers(tag)
    columns = {made["dG_pbx"]: np.arange(5.0), made["H_f"]: np.arange(5.0) ** 2, "a": np.arange(5.0)[::-1]}
    frame = pd.DataFrame(
        {"formula": ["MgO", "CaO", "SrO", "BaO", "ZnO"], "dG_pbx (eV/atom)": [0.1, 0.2, 0.3, 0.5, 0.4]}
    )
    space = TableSpace(read_table(frame.assign(**columns), target="dG_pbx (eV/atom)"))
    assert low_of(None, space) == (f"dG_pbx_{tag}",)
    assert low_of((), space) == ()
    other = TableSpace(
        read_table(
            frame.rename(columns={"dG_pbx (eV/atom)": "dG_pbx (meV/atom)"}).assign(**columns),
            target="dG_pbx (meV/atom)",
        )
    )
    assert low_of(None, other) == ()
