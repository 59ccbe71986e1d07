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
# The stability in acid was measured for a hundred oxides, but not for four thousand others. This notebook goes from
# the table to short formulas, shows how reliable they are, and ends with a map of the materials that should be tried
# next.
#
# The settings are small, so that the notebook runs in seconds: twelve formulas of one operation (`rung=1`). By
# default `sisso-sal discover` fits thirty formulas of one operation and thirty of two operations, and chooses between
# them.

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
# (at 1.23 V and pH 0). A lower value means a more stable oxide; below zero the oxide does not decompose. For
# candidates the target is empty.

# %%
table = pd.read_csv("../data/oxides.csv", index_col="formula").drop(columns="dG_pbx_chgnet (eV/atom)")
target = "dG_pbx (eV/atom)"
known = table[table[target].notna()]
print(f"{len(known)} known, {len(table) - len(known)} candidates, {table.shape[1] - 1} primary features")
known.sort_values(target).head(5).iloc[:, :6]

# %% [markdown]
# ## One formula
# SISSO combines the primary features with operators into descriptors, keeps those that correlate with the target, and
# fits all pairs of them. Units decide which features may be added.

# %%
X, y = known.drop(columns=target), known[target]
single = SISSORegressor(rung=1, dim=2, n_sis=20).fit(X, y)
for model in single.models_:
    print(model.equation("dG_pbx", "eV/atom"), "\n")

# %% [markdown]
# The model with two terms is the best of all pairs. It need not contain the best single term. The number of
# expressions that were searched, and why others were left out:

# %%
print("features by rung:", single.n_features_)
print("left out:", single.rejected_)

# %% [markdown]
# ## Many formulas
# One formula has no error bar. An ensemble of formulas has: each member is fitted to a bootstrap sample of the
# oxides, without a fifth of the primary features. Trees and Gaussian processes learn the residuals of the members.
# Some of them also use the composition of the oxide.

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
# Each oxide is predicted by the members that were not fitted on it. Points on the diagonal are exact; bars are 95 %
# intervals.

# %%
figures.parity(view)

# %% [markdown]
# ## The map
# The axes are the descriptors of the most typical formula. If this formula has one term, the second axis is a
# descriptor of another formula. Squares are measured, circles are predicted, diamonds are proposed. Oxides that lie
# close together are similar *for this property*.

# %%
figures.descriptor_map(view)

# %% [markdown]
# ## What to try next
# The score is the probability that an oxide is among the best tenth of all oxides.

# %%
pd.DataFrame(view.proposals)[["id", "mean", "std", "score"]].round(3).head(8)

# %% [markdown]
# `sisso-sal discover data/oxides.csv` does all of this with larger settings, and stores everything in a run folder.
# To save the model and use it elsewhere, see `save_model`, `sisso-sal predict` and `sisso-sal export`.
