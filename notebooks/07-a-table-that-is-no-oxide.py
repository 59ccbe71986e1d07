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
# # A table that is no oxide
#
# **You will learn** to make primary features for materials of your own, first from their compositions and then from
# physics that you know, to see what your own descriptors are worth, and to explore the map with pick lists. **It takes**
# about a minute of computing and fifteen minutes to read.
#
# `sisso-sal featurize` makes features of oxides. For other materials you make them yourself, with a few lines of Python.
# The example is the enthalpy of formation of 114 halides such as NaCl and ZrF₄, measured values from the CRC Handbook
# (see [Data](../data.md)). Thirty of them are known, the others are candidates. Their labels are used at the end only,
# to see how good the predictions were.

# %%
import warnings

import numpy as np
import pandas as pd

from sisso_sal import SISSOEnsemble
from sisso_sal.oxides.elements import atomic_fractions, element_data, parse_formula
from sisso_sal.oxides.ions import ionic_radius
from sisso_sal.report.figures import draw as figures
from sisso_sal.report.run_view import RunView

warnings.filterwarnings("ignore", message="unit 'Pauling'")  # the scale of electronegativity: kept as a unit of its own

target = "H_f (eV/atom)"
measured = pd.read_csv("../data/halides.csv", index_col="formula")[target]
is_known = pd.Series(False, index=measured.index)
is_known[np.random.default_rng(0).permutation(measured.index)[:30]] = True
labels = measured.where(is_known)
print(f"{is_known.sum()} known, {(~is_known).sum()} candidates")

# %% [markdown]
# ## Features from the composition
# A halide MXₙ has a metal M and a halogen X. Elemental values of both are features, and so is n, which is the oxidation
# state of the metal. Units in the headers matter: only quantities of the same unit are added.

# %%
HEADERS = ("IP (eV)", "EA (eV)", "EN (Pauling)", "r_cov (AA)", "alpha (AA**3)")


def parts(formula):
    """Metal, halogen, and how many halogens there are for each metal."""
    (metal, n_metal), (halogen, n_halogen) = sorted(
        parse_formula(formula).items(), key=lambda part: part[0] in {"F", "Cl", "Br", "I"}
    )
    return metal, halogen, n_halogen / n_metal


def of_composition(formula):
    metal, halogen, n = parts(formula)
    row = {"n": n}
    for header in HEADERS:
        name, _, unit = header.partition(" ")
        for element, place in ((metal, "M"), (halogen, "X")):
            row[f"{name}_{place} {unit}"] = element_data()[element].value(header)
    return row


composition = pd.DataFrame([of_composition(formula) for formula in measured.index], index=measured.index)
composition.head(3)

# %% [markdown]
# ## Features from physics
# A salt is held together by the attraction of its ions. Kapustinskii estimated this lattice energy from charges and radii
# alone: $U = 12.6\,\mathrm{eV\,Å}\;\nu\,z_+ z_-/r_0\,(1 - 0.345\,\mathrm{Å}/r_0)$ for a formula unit, with $\nu$ ions, their
# charges, and the sum $r_0$ of the radii (A. F. Kapustinskii, Q. Rev. Chem. Soc. 10, 283 (1956)). The radii are those of
# Shannon for six neighbours. Such a descriptor is one more column of the table.

# %%
HALIDE_RADIUS = {symbol: ionic_radius(symbol, -1, 6) for symbol in ("F", "Cl", "Br", "I")}


def of_physics(formula):
    metal, halogen, n = parts(formula)
    r_metal, r_halogen = ionic_radius(metal, n, 6), HALIDE_RADIUS[halogen]
    r_0 = r_metal + r_halogen
    lattice = 1213.8 / 96.485 * (n + 1) * n / r_0 * (1 - 0.345 / r_0)  # eV for a formula unit
    return {"r_M (AA)": r_metal, "r_X (AA)": r_halogen, "U (eV/atom)": lattice / (n + 1)}


physics = pd.DataFrame([of_physics(formula) for formula in measured.index], index=measured.index)
physics.loc[["NaCl", "ZrF4"]].round(3)

# %% [markdown]
# ## What are they worth?
# The same ensemble is fitted to three tables: with features of the composition, with those of physics, and with both.
# The error *out of bag* is that of the known halides, each predicted without its label. This is all that one can know in
# a real search. The last column is the error of the candidates, whose labels the fit did not see.

# %%
tables = {"composition": composition, "physics": physics, "both": composition.join(physics)}
shares = atomic_fractions(list(measured.index))
known = is_known.to_numpy()
fitted, rows = {}, []
for name, X in tables.items():
    ensemble = SISSOEnsemble(members=15).fit(X[known], measured[known], composition=shares[known])
    fitted[name] = ensemble
    told = ensemble.predict_distribution(X[~known], shares[~known])
    rows.append(
        {
            "features": name,
            "number": X.shape[1],
            "out of bag (eV/atom)": ensemble.calibration_.mae,
            "candidates (eV/atom)": np.abs(told.mean - measured[~known]).mean(),
        }
    )
errors = pd.DataFrame(rows).set_index("features")
errors.round(3)

# %% [markdown]
# The numbers are mean absolute errors. For comparison: if the mean of the known halides were the prediction of all
# candidates, the error would be

# %%
print(f"{np.abs(measured[~known] - measured[known].mean()).mean():.3f} eV/atom")

# %% [markdown]
# The features of the composition are better than those of physics alone, and both together are about as good as the
# composition. A lattice energy is only half of the story: it takes energy to make the ions. Here are the most typical
# formulas of the three ensembles:

# %%
for name, ensemble in fitted.items():
    number, _ = ensemble.typical_members(tables[name], 1)[0]
    print(f"{name}:", ensemble.members_[number].equation("H_f", "eV/atom"), sep="\n", end="\n\n")

# %% [markdown]
# The difference of the electronegativities is no surprise. Pauling made his scale from enthalpies of such compounds, and
# the ensemble found his choice again. Which features do all fifteen formulas use?

# %%
view = RunView.of(fitted["both"], tables["both"], labels, composition=shares, target=target)
figures.feature_frequency(view)

# %% [markdown]
# ## Known against predicted
# The known halides, out of bag, with 95 % intervals:

# %%
figures.parity(view)

# %% [markdown]
# How many of the candidates lie inside their 95 % interval?

# %%
told = fitted["both"].predict_distribution(tables["both"][~known], shares[~known])
low, high = told.interval95
print(f"{((low <= measured[~known]) & (measured[~known] <= high)).mean():.0%} of {(~known).sum()}")

# %% [markdown]
# ## The map
# Squares are known, circles are candidates, diamonds are the ten most promising ones: here the goal is a low enthalpy of
# formation, that is, a stable halide.

# %%
figures.descriptor_map(view)

# %% [markdown]
# ## Explore it
# In a running notebook (`pip install 'sisso-sal[notebook]'`) the map has pick lists: any descriptor or feature on the
# axes, any number as colour, layers to show and hide. Draw a box around materials, and `explorer.selected` has their ids.
# Two maps that are linked share their selection.
#
# ![The map with pick lists](../figures/explorer.png)

# %% tags=["remove-output"]
from sisso_sal.report.explorer import descriptor_map

explorer = descriptor_map(fitted["both"], tables["both"].assign(**{target: labels}))
explorer

# %% [markdown]
# A selection can also be made by ids, and used in a table. These are the ten candidates with the best scores:

# %%
explorer.select([proposal["id"] for proposal in view.proposals])
pd.DataFrame({"predicted": pd.DataFrame(view.proposals).set_index("id")["mean"], "measured": measured}).loc[
    explorer.selected
].round(3)

# %% [markdown]
# ## Exercises
# 1. Add a descriptor of your own as a column of `physics`, for example the ratio of the radii or the difference of the
#    electronegativities. Does it appear in the formulas? Does the error out of bag change?
# 2. Remove `U (eV/atom)`. Can formulas of `r_M`, `r_X` and `n` take its place?
# 3. Repeat it with another seed of `default_rng`. How much do the errors in the table scatter?
# 4. Replace `halides.csv` by a table of your own: change `parts` and the headers, or leave the features of the composition
#    away and use your own columns only.
# 5. In the explorer, put `U` on the x axis and the target on the y axis. Which halides lie far from the others?
