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
# # From a table to formulas and a map
#
# **You will learn** to get short formulas from a table, to see how reliable they are, and to read a map of the
# materials that should be tried next. **It takes** half a minute of computing and fifteen minutes to read.
#
# The stability in acid is known for a hundred oxides, from measured free energies, but not for four thousand others.
#
# The settings are small, so that the notebook runs in seconds: twelve formulas with one term or two, each term with one
# operation at most (`rung=1`). By default `sisso-sal discover` fits thirty formulas, tries terms with up to two operations
# and up to three terms, and chooses what predicts best.

# %%
import warnings

import pandas as pd

from sisso_sal import SISSOEnsemble, SISSORegressor
from sisso_sal.oxides.elements import atomic_fractions
from sisso_sal.report.figures import draw as figures
from sisso_sal.report.run_view import RunView

warnings.filterwarnings("ignore", message="unit 'Pauling'")  # the scale of electronegativity: kept as a unit of its own

SETTINGS = {"rung": 1, "dim": 2, "members": 12}

# %% [markdown]
# ## The table
# There is one row for each material. Units are in the headers. The target is the free energy of decomposition in acid
# (at 1.23 V and pH 0), computed from measured free energies of formation. A lower value means a more stable oxide;
# below zero the oxide does not decompose. For candidates the target is empty. The table also has an estimate of the
# target by a universal potential, which is left out here ([notebook
# 6](06-from-a-universal-potential-to-measured-stability.py) is about it).

# %%
table = pd.read_csv("../data/oxides.csv", index_col="formula").drop(columns="dG_pbx_chgnet (eV/atom)")
target = "dG_pbx (eV/atom)"
known = table[table[target].notna()]
print(f"{len(known)} known, {len(table) - len(known)} candidates, {table.shape[1] - 1} primary features")
known.sort_values(target).head(5).iloc[:, :6]

# %% [markdown]
# ## One formula
# SISSO combines the primary features with operators into expressions. It keeps the twenty (`n_sis`) that correlate most
# with the target, and fits each of them. Then it keeps twenty more that correlate most with what the best of these
# formulas leave over, and fits all pairs of the forty. The expressions in a formula are its *descriptors*. Units decide
# which quantities may be added.

# %%
X, y = known.drop(columns=target), known[target]
single = SISSORegressor(rung=1, dim=2, n_sis=20).fit(X, y)
for model in single.models_:
    print(model.equation("dG_pbx", "eV/atom"), "\n")

# %% [markdown]
# The formula with two terms is the best of all pairs that were kept. It need not contain the best single term. The number
# of expressions that were searched, and why others were left out:

# %%
print("features by rung:", single.n_features_)
print("left out:", single.rejected_)

# %% [markdown]
# ## Many formulas
# One formula has no error bar. An ensemble of formulas has: each member is fitted to a bootstrap sample of the
# oxides, without a fifth of the primary features. Whether members have one term or two is chosen by their errors on
# oxides that they did not see. Decision trees and Gaussian processes then learn what the formulas leave over (the
# *correction*). Some of the processes also see the composition of the oxide.

# %%
ensemble = SISSOEnsemble(**SETTINGS).fit(X, y, composition=atomic_fractions(list(X.index)))
ensemble

# %% [markdown]
# What many members have in common is more reliable than any single member. The figure shows how many members use each
# primary feature.

# %%
candidates = table[table[target].isna()].drop(columns=target).iloc[::4]  # every fourth, for a small page
shown = pd.concat([X, candidates])
labels = pd.Series(y.reindex(shown.index), name=target)
view = RunView.of(ensemble, shown, labels, composition=atomic_fractions(list(shown.index)))
figures.feature_frequency(view)

# %% [markdown]
# ## How good is it?
# Each oxide is predicted *out of bag*: by the members whose sample did not contain it, and by a correction that did not
# see it. Points on the diagonal are exact; bars are 95 % prediction intervals.

# %%
figures.parity(view)

# %% [markdown]
# ## The map
# The axes are the descriptors of the most typical formula. If this formula has one term, the second axis is a
# descriptor of another formula. Squares are known oxides, circles are candidates in the colour of their prediction, and
# diamonds are the proposals by rank. Along a dotted line the formula has the same value. The prediction is that of the
# whole ensemble with its correction, so colours and lines need not agree.

# %%
figures.descriptor_map(view)

# %% [markdown]
# ## What to try next
# The score is the probability that the oxide reaches the goal: to be one of the most stable tenth of the oxides that are
# shown here.

# %%
pd.DataFrame(view.proposals)[["id", "mean", "std", "score"]].round(3).head(8)

# %% [markdown]
# `sisso-sal discover data/oxides.csv` does all of this with larger settings, and stores everything in a run folder.
# To save the model and use it elsewhere, see `save_model`, `sisso-sal predict` and `sisso-sal export`.
#
# ## Exercises
# 1. Fit `SISSORegressor` with `dim=3`. Does the third term make the error much smaller? Is the formula still one of the
#    pairs, with one term more?
# 2. Remove the feature that most members use (`X.drop(columns=…)`). Which one takes its place, and how much worse is the
#    error out of bag, `ensemble.calibration_.mae`?
# 3. Draw the map coloured by uncertainty: `figures.descriptor_map(view, colour="std")`. Where is sigma large?
# 4. Write the map for a paper: `save_figure(figures.descriptor_map(view, backend="matplotlib", columns=1), "map.pdf")` with
#    `from sisso_sal.report.figures.saved import save_figure`.
