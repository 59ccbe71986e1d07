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
# A hundred oxides have a measured stability in acid; four thousand others do not. This notebook goes from the table to
# short formulas, asks how far to believe them, and ends with a map on which the next materials to try can be pointed
# at.
#
# The settings are small, so that it runs in seconds: formulas of one operation (`rung=1`) and twelve of them. What
# `sisso-sal discover` does by default is two operations, thirty formulas and a choice between the two.

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
# One row for each material, units in the headers. The target is the free energy that decomposition in acid gains (at
# 1.23 V and pH 0): the lower, the more stable; below zero the oxide survives. Candidates have a gap there.

# %%
table = pd.read_csv("../data/oxides.csv", index_col="formula")
target = "dG_pbx (eV/atom)"
known = table[table[target].notna()]
print(f"{len(known)} known, {len(table) - len(known)} candidates, {table.shape[1] - 1} primary features")
known.sort_values(target).head(5).iloc[:, :6]

# %% [markdown]
# ## One formula
# SISSO combines the primary features with operators into descriptors, keeps those that correlate with the target, and
# tries all pairs of them. Units decide what may be added to what.

# %%
X, y = known.drop(columns=target), known[target]
single = SISSORegressor(rung=1, dim=2, n_sis=20).fit(X, y)
for model in single.models_:
    print(model.equation("dG_pbx", "eV/atom"), "\n")

# %% [markdown]
# The model of two terms is the best of all pairs, not the best first term with something added. How many expressions
# were looked at, and why others were not:

# %%
print("features by rung:", single.n_features_)
print("left out:", single.rejected_)

# %% [markdown]
# ## Many formulas
# One formula has no error bar. An ensemble has: each member sees a bootstrap sample of the oxides and lacks a fifth of
# the primary features. What the members leave over is learned by trees and a Gaussian process, which also see which
# elements an oxide is made of.

# %%
ensemble = SISSOEnsemble(**SETTINGS).fit(X, y, composition=atomic_fractions(list(X.index)))
ensemble

# %% [markdown]
# What the members agree on is worth more than any one of them: how many of them use each primary feature.

# %%
candidates = table[table[target].isna()].drop(columns=target).iloc[::4]  # every fourth, for a small page
shown = pd.concat([X, candidates])
labels = pd.Series(y.reindex(shown.index), name=target)
view = RunView.of(ensemble, shown, labels, composition=atomic_fractions(list(shown.index)))
figures.feature_frequency(view)

# %% [markdown]
# ## How good is it?
# Each oxide is predicted by those members that did not see it. Points on the diagonal are right; bars are 95 %
# intervals.

# %%
figures.parity(view)

# %% [markdown]
# ## The map
# The axes are descriptors: those of the most typical formula, or, where it has one term, a second one beside it. Squares
# are measured, circles are predicted, diamonds are proposed. Oxides that lie together are alike *for this property*.

# %%
figures.descriptor_map(view)

# %% [markdown]
# ## What to try next
# The score is the probability to be among the best tenth of all oxides.

# %%
pd.DataFrame(view.proposals)[["id", "mean", "std", "score"]].round(3).head(8)

# %% [markdown]
# All of this is what `sisso-sal discover data/oxides.csv` does, with the larger settings, in a folder that remembers.
# To keep the model and use it elsewhere: `save_model`, `sisso-sal predict` and `sisso-sal export`.
