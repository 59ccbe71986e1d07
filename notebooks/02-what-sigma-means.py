# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What sigma means
#
# Every prediction comes with a standard deviation. Where does it come from, is it honest, and what is done when it is
# not? Bootstrap samples, dropout of primary features and calibration, each looked at by itself.

# %%
import warnings

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from sisso_sal import SISSOEnsemble
from sisso_sal.models.calibration import coverage
from sisso_sal.report.figures import draw as figures
from sisso_sal.report.run_view import RunView

warnings.filterwarnings("ignore", message="unit 'Pauling'")  # the scale of electronegativity: kept as a unit of its own

SETTINGS = {"rung": 1, "dim": 2, "members": 20}

# %%
table = pd.read_csv("../data/oxides.csv", index_col="formula")
target = "dG_pbx (eV/atom)"
known = table[table[target].notna()]
X, y = known.drop(columns=target), known[target]
candidates = table[table[target].isna()].drop(columns=target)

# %% [markdown]
# ## Members disagree, and that is the point
# Twenty formulas, each from another bootstrap sample of the same hundred oxides. Where the samples settle the answer,
# the formulas agree; where they do not, they spread. Three candidates, one dot for each formula:

# %%
formulas = SISSOEnsemble(**SETTINGS, correction="none", recalibrate="none").fit(X, y)
prediction = formulas.predict_distribution(candidates)
whole = np.flatnonzero(prediction.n_valid == SETTINGS["members"])
by_spread = whole[np.argsort(prediction.std_raw[whole])]
three = by_spread[[0, len(by_spread) // 2, -1]]
figure = go.Figure()
for row in three:
    figure.add_trace(
        go.Box(
            y=prediction.members[:, row],
            name=candidates.index[row],
            boxpoints="all",
            pointpos=0,
            jitter=0.4,
            line_width=1,
        )
    )
figure.update_layout(
    height=380,
    showlegend=False,
    template="simple_white",
    yaxis_title=target,
    title="Surely known, as most are, hardly known",
)
figure

# %% [markdown]
# ## What dropout adds
# Bootstrap samples of one table are much alike: without dropout most members find the same descriptor, and agree too
# well. Dropout takes a share of the primary features away from each member, so that it has to find another way to say
# the same thing. Too much of it, and members lack what matters.

# %%
rows = []
for dropout in (0.0, 0.2, 0.4):
    found = SISSOEnsemble(**SETTINGS, dropout=dropout, correction="none").fit(X, y)
    different = len({tuple(sorted(str(term.expression) for term in member.terms)) for member in found.members_})
    spread = found.predict_distribution(candidates).std_raw
    rows.append(
        {
            "dropout": dropout,
            "different formulas": different,
            "median sigma": np.nanmedian(spread),
            "mean absolute error": found.formula_calibration_.mae,
            "rank correlation of sigma and error": found.formula_calibration_.spearman,
        }
    )
pd.DataFrame(rows).set_index("dropout").round(3)

# %% [markdown]
# ## Is it honest?
# A sigma is honest when the share of labels inside an interval is the probability of that interval. It must be asked
# of predictions that the model was not fitted on: each oxide is predicted by the members that did not draw it (*out of
# bag*), at no extra cost.
#
# The diagonal is perfect. A perfect sigma would still scatter on a hundred oxides, within the band.

# %%
ensemble = SISSOEnsemble(**SETTINGS).fit(X, y)
view = RunView.of(ensemble, X, y)
figures.calibration(view)

# %% [markdown]
# The raw curve is what the spread says as it comes. The other one is recalibrated: the errors themselves say how many
# sigmas are needed for each level (`isotonic`). Every oxide is judged by what the other nine tenths say, so the curve
# does not flatter itself.

# %%
found = ensemble.calibration_
pd.DataFrame(
    {
        "as it comes": [found.coverage95_raw, found.miscalibration_area_raw],
        "recalibrated": [found.coverage95, found.miscalibration_area],
        "a perfect sigma": [0.95, found.noise_floor],
    },
    index=["inside the 95 % interval", "miscalibration area"],
).round(3)

# %% [markdown]
# ## Does it know where it errs?
# Calibration is about all oxides together. A sigma that is the same for all could be calibrated and useless. So the
# oxides are put into five groups by their sigma: the error should grow from group to group.

# %%
figures.error_against_sigma(view)

# %% [markdown]
# ## The acid test
# Thirty oxides are taken away before anything is fitted, five times over. Do their labels lie where the intervals say?

# %%
rng = np.random.default_rng(0)
small = {**SETTINGS, "members": 10}
inside = []
for _ in range(5):
    away = rng.permutation(len(y))[:30]
    kept = np.setdiff1d(np.arange(len(y)), away)
    told = SISSOEnsemble(**small).fit(X.iloc[kept], y.iloc[kept]).predict_distribution(X.iloc[away])
    low, high = told.interval95
    truth = y.iloc[away].to_numpy()
    inside.append(
        {
            "raw sigma": coverage(truth - told.mean, told.std_raw, 0.95),
            "interval": np.mean((low <= truth) & (truth <= high)),
        }
    )
pd.DataFrame(inside).agg(["mean", "min", "max"]).round(2)

# %% [markdown]
# Seventy labels do not pin down the tail of the errors, so single tests scatter. That is why the report always shows
# the band of a perfect sigma beside the curve.
#
# What sigma does *not* know: a kind of material of which there is no example at all. For that, every prediction
# carries the distance to its nearest labelled neighbour and the share of formulas that extrapolate; the flags F and E
# in the list of proposals.
