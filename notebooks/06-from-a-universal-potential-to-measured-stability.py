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
# # From a universal potential to measured stability in one formula
#
# **You will learn** to use a cheap estimate of the target, and to see what formulas add to it. **It takes** about a minute of
# computing and ten minutes to read.
#
# A universal potential such as CHGNet (Deng et al., Nat. Mach. Intell. 5, 1031 (2023)) relaxes an oxide in a second.
# From its energy and those of the competing phases follows the free energy of Pourbaix decomposition. It is close to
# the measured one, but not equal. What is left can be learned from few measurements, as a short formula.
#
# The shipped table has such an estimate in the column `dG_pbx_chgnet`, as [`sisso-sal estimate`](../howto/cheap-
# estimates.md) makes it. The energies are in `data/chgnet_energies.csv.gz`, so this notebook needs no potential.
#
# **A caveat.** The corrections in the potential's energies were fitted to measured oxides of the Materials Project,
# some of them in this table. So the estimates of these are better than those of a new oxide would be.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sisso_sal import SISSOEnsemble
from sisso_sal.oxides.elements import atomic_fractions

warnings.filterwarnings("ignore", message="unit 'Pauling'")  # the scale of electronegativity: kept as a unit of its own

table = pd.read_csv("../data/oxides.csv", index_col="formula")
target, estimate = "dG_pbx (eV/atom)", "dG_pbx_chgnet (eV/atom)"
known = table[table[target].notna() & table[estimate].notna()]
X, y, cheap = known.drop(columns=target), known[target], known[estimate]
print(f"{len(known)} oxides with a measurement and an estimate")

# %% [markdown]
# ## The estimate as it is


# %%
def root_mean_square(values):
    return float(np.sqrt(np.mean(np.square(values))))


slope, intercept = np.polyfit(cheap, y, 1)
print(
    f"as it is: RMSE {root_mean_square(cheap - y):.3f} eV/atom, rank correlation {cheap.corr(y, method='spearman'):.2f}"
)
print(
    f"straight line {slope:.2f} x {intercept:+.2f}: RMSE {root_mean_square(slope * cheap + intercept - y):.3f} eV/atom"
)

# %% [markdown]
# ## What formulas learn of the rest
# `low` names the columns that estimate the target. The ensemble then tries formulas for the target itself, for its
# difference to the estimate, and for the rest of a line through it. It keeps the form with the smallest error of
# labels that it did not see. The number or the line alone is the model, if formulas are not better by a standard
# error.

# %%
shares = atomic_fractions(known.index)
with_estimate = SISSOEnsemble(members=20, low=["dG_pbx_chgnet"]).fit(X, y, composition=shares)
without = SISSOEnsemble(members=20).fit(X.drop(columns=estimate), y, composition=shares)
for name, ensemble in (("without the estimate", without), ("with it", with_estimate)):
    print(f"{name}: RMSE {ensemble.calibration_.rmse:.3f} eV/atom out of bag")
for error in with_estimate.low_.errors:
    print(f"{error.what} {error.column}: mean absolute error {error.mae:.3f} eV/atom")

# %% [markdown]
# The most typical formula of the ensemble:

# %%
number, _ = with_estimate.typical_members(X, 1)[0]
print(with_estimate.members_[number].equation("dG_pbx", "eV/atom"))

# %% [markdown]
# ## Measured against predicted
# Each label is predicted by members that did not see it.

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 4), sharex=True, sharey=True, layout="constrained")
for axis, values, title in zip(
    axes, (cheap, with_estimate.oob_mean_), ("CHGNet", "and what formulas learn of the rest"), strict=True
):
    axis.axline((0, 0), slope=1, color="0.7", linewidth=1)
    axis.plot(values, y, "o", color="#0072b2", markersize=4, alpha=0.7)
    axis.set(title=title, xlabel="predicted (eV/atom)")
axes[0].set(ylabel="measured ΔG_pbx (eV/atom)", xlim=(-0.6, 2.2), ylim=(-0.6, 2.2))
plt.show()

# %% [markdown]
# ## For a campaign
# `sisso-sal discover data/oxides.csv` uses the column by itself. Candidates whose estimate is not computed yet keep
# their place: their estimate is predicted from those that are there, and their interval is wider ([Levels of
# theory](../howto/levels.md)).
#
# ## Exercises
# 1. Print `with_estimate.chosen_`: which form was chosen, for the target, a difference or the rest of a line?
# 2. Fit on thirty oxides only. Does the estimate help more or less than with all of them?
# 3. Add noise to the estimate, `cheap + rng.normal(0, 0.5, len(cheap))`. From how much noise on are formulas without it
#    as good?
