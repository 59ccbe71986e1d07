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
# **You will learn** where the standard deviation of a prediction, sigma, comes from, how to see whether it is correct, and
# what is done if it is not. **It takes** about a minute of computing and twenty minutes to read.
#
# The notebook looks at bootstrap samples, dropout of primary features and calibration, one after the other.

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
table = pd.read_csv("../data/oxides.csv", index_col="formula").drop(columns="dG_pbx_chgnet (eV/atom)")
target = "dG_pbx (eV/atom)"
known = table[table[target].notna()]
X, y = known.drop(columns=target), known[target]
candidates = table[table[target].isna()].drop(columns=target)

# %% [markdown]
# ## The disagreement of members is the uncertainty
# There are twenty formulas, each from another bootstrap sample of the same hundred oxides. Where the labels determine
# the answer, the formulas agree. Elsewhere they disagree. The figure shows three candidates, with one dot for each
# formula:

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
    title="Smallest, median and largest sigma",
)
figure

# %% [markdown]
# ## What dropout adds
# Bootstrap samples of one table are similar to each other. Without dropout most members find the same descriptor, and
# their disagreement is too small. Dropout removes a fraction of the primary features from each member, so that the
# member must find another formula. With too much dropout, members lack important features.

# %%
rows = []
for dropout in (0.0, 0.2, 0.4):
    fitted = SISSOEnsemble(**SETTINGS, dropout=dropout, correction="none").fit(X, y)
    different = len({tuple(sorted(str(term.expression) for term in member.terms)) for member in fitted.members_})
    spread = fitted.predict_distribution(candidates).std_raw
    rows.append(
        {
            "dropout": dropout,
            "different formulas": different,
            "median sigma": np.nanmedian(spread),
            "mean absolute error": fitted.formula_calibration_.mae,
            "rank correlation of sigma and error": fitted.formula_calibration_.spearman,
        }
    )
pd.DataFrame(rows).set_index("dropout").round(3)

# %% [markdown]
# ## Is sigma calibrated?
# Sigma is calibrated if the fraction of labels inside an interval equals the probability of the interval. This must
# be tested with labels that the model was not fitted on: each oxide is predicted by the members that did not draw it
# (*out of bag*). This needs no further fits.
#
# The diagonal is perfect calibration. With a hundred oxides, even a perfect sigma scatters within the band.

# %%
ensemble = SISSOEnsemble(**SETTINGS).fit(X, y)
view = RunView.of(ensemble, X, y)
figures.calibration(view)

# %% [markdown]
# The raw curve is for sigma before recalibration. The other curve is recalibrated: the errors determine the
# distribution of each prediction (`isotonic`): how wide it is for which value, and how far each side reaches. For
# each oxide the recalibration is determined from the other nine tenths of the oxides, so that the curve is a fair
# test.

# %%
calibration = ensemble.calibration_
pd.DataFrame(
    {
        "raw": [calibration.coverage95_raw, calibration.miscalibration_area_raw],
        "recalibrated": [calibration.coverage95, calibration.miscalibration_area],
        "a perfect sigma": [0.95, calibration.noise_floor],
    },
    index=["inside the 95 % interval", "miscalibration area"],
).round(3)

# %% [markdown]
# ## Are the errors larger where sigma is larger?
# Calibration is a property of all oxides together. A sigma that is the same for all oxides could be calibrated, but
# would be useless. The oxides are therefore put into five groups by sigma. The error should increase from group to
# group.

# %%
figures.error_against_sigma(view)

# %% [markdown]
# ## A test with unseen oxides
# Thirty oxides are removed before the fit. This is repeated five times. Are their labels inside the intervals as
# often as the intervals say?

# %%
rng = np.random.default_rng(0)
small = {**SETTINGS, "members": 10}
inside = []
for _ in range(5):
    away = rng.permutation(len(y))[:30]
    kept = np.setdiff1d(np.arange(len(y)), away)
    predicted = SISSOEnsemble(**small).fit(X.iloc[kept], y.iloc[kept]).predict_distribution(X.iloc[away])
    low, high = predicted.interval95
    truth = y.iloc[away].to_numpy()
    inside.append(
        {
            "raw sigma": coverage(truth - predicted.mean, predicted.std_raw, 0.95),
            "interval": np.mean((low <= truth) & (truth <= high)),
        }
    )
pd.DataFrame(inside).agg(["mean", "min", "max"]).round(2)

# %% [markdown]
# Seventy labels do not determine the tail of the errors, so the results of single tests scatter. For this reason the
# report always shows the band of a perfect sigma with the curve.
#
# Sigma is *not* reliable for a kind of material without any labelled example. Every prediction therefore has the
# distance to its nearest labelled neighbour and the fraction of formulas that extrapolate. In the list of proposals
# these are the flags F and E.
#
# ## Exercises
# 1. Set `members` to 5 and to 60. What happens to the rank correlation of sigma and error?
# 2. Fit with `recalibrate="scale"` instead of the default `"isotonic"`. Is the calibration curve inside the band?
# 3. Leave all oxides of titanium out of the fit and predict them. Is sigma larger for them, and large enough?
