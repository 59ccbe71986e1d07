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
# # Acid-stable oxides, and the map of a campaign
#
# **You will learn** to run a campaign with the published settings, to read its map, and to do the same with a table of
# your own. **It takes** about a minute of computing and twenty minutes to read. [From a table to formulas and a
# map](01-from-a-table-to-formulas.py) comes first.
#
# An anode that splits water in acid must be stable at 1.23 V and more at pH 0. Few oxides are. Nair, Foppa and
# Scheffler (npj Comput. Mater. 2025, doi 10.1038/s41524-025-01596-4) searched for more such oxides with ensembles of
# SISSO formulas. They started with 250 oxides from hybrid density-functional theory. Then they computed one candidate
# after the other, each time the one with the largest expected improvement.
#
# This notebook does these steps with the shipped table. Its stabilities follow from measured free energies of
# formation instead of computed ones (see [Data](../data.md)), so that everybody can check the results. The table, and
# therefore every number, differs from the published one.

# %%
# %matplotlib inline
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from sisso_sal import Campaign
from sisso_sal.report.figures import draw as figures
from sisso_sal.report.figures.course import course
from sisso_sal.report.figures.search import search_map
from sisso_sal.report.run_view import RunView

warnings.filterwarnings("ignore", message="unit 'Pauling'")  # the scale of electronegativity: kept as a unit of its own
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## The published settings
# Two operations (`rung`), two terms (`dim`), 50 features from each screening, five residuals, ten bootstrap members,
# each without some of the primary features, and expected improvement (`ei`), one material at a time. Only formulas are
# used: no choice of a smaller space, no correction and no recalibration, which are on by default.

# %%
PUBLISHED = {
    "rung": 2, "dim": 2, "n_sis": 50, "n_residual": 5, "members": 10, "dropout": 0.2, "acquisition": "ei", "batch": 1,
    "adapt": False, "correction": "none", "recalibrate": "none",
}  # fmt: skip

# %% [markdown]
# ## A rehearsal in which something is to be found
# The table has a hundred oxides with a known stability. Forty of them are known at the start. The sixty others are
# candidates: the ten most stable ones, and fifty at random. The campaign does not see their labels; a second file
# answers for the calculation (`lookup`). Everything is stored in a run folder. If the campaign is killed, the same
# lines continue it ([A campaign from Python](../howto/python.md)).


# %%
def rehearse(table, target, goal, name, n_known=40, n_best=10, budget=30):
    """A campaign on the labelled rows of a table, whose best rows are hidden at the start; its view and the best rows."""
    labelled = table[table[target].notna()]
    best = list(labelled[target].sort_values(ascending=goal == "min").index[:n_best])
    others = np.random.default_rng(0).permutation([id for id in labelled.index if id not in best])
    start = labelled.copy()
    start.loc[~start.index.isin(others[:n_known]), target] = np.nan
    place = folder / name
    place.mkdir()
    start.to_csv(place / "candidates.csv")
    labelled.to_csv(place / "truth.csv")
    with Campaign(
        place / "candidates.csv", target=target.partition(" (")[0], goal=goal, oracle=f"lookup:{place / 'truth.csv'}",
        out=place / "run", budget=budget, with_report=False, **PUBLISHED,
    ) as campaign:  # fmt: skip
        campaign.run()
        print("Stopped:", campaign.status()["stop"]["why"])
    return RunView.read(place / "run"), best


def found(view, best):
    """What the campaign had computed, in the order in which it came, and whether it is one of the best."""
    seen = course(view)
    new = slice(seen.n_start, None)
    rows = {"material": seen.ids[new], view.header: seen.value[new], "best so far": seen.best[new]}
    table = pd.DataFrame(rows, index=range(1, len(seen.ids[new]) + 1))
    return table.assign(**{"one of the best": table["material"].isin(best)})


# %%
oxides = pd.read_csv("../data/oxides.csv", index_col="formula").drop(columns="dG_pbx_chgnet (eV/atom)")
target = "dG_pbx (eV/atom)"
view, best = rehearse(oxides, target, "min", "oxides")
computed = found(view, best)
start_best = course(view).best[0]
print(f"Best at the start: {start_best:.3f} eV/atom, at the end: {computed['best so far'].iloc[-1]:.3f} eV/atom")
print(f"Of the ten most stable oxides {computed['one of the best'].sum()} were found in {len(computed)} evaluations;")
print(f"random choice finds {len(computed) * 10 / 60:.0f} on average.")
computed.round(3)

# %% [markdown]
# Each row is one fit of ten formulas, one proposal and one answer. Was the result due to chance? [How many
# calculations does active learning save?](03-how-many-calculations-are-saved.py) repeats such a campaign from many
# starts and compares it with random choice.

# %%
figures.learning_curve(view)

# %% [markdown]
# The line is the best value so far. The error in the lower panel is that of the formulas out of bag. It need not
# decrease, because the requested oxides differ from the known ones.
#
# ## The map of the campaign
# The formulas of the campaign have two terms, so the plane of the two descriptors d1 and d2 shows everything that such
# a formula knows of an oxide. The axes are those of the most typical formula of the last fit, the one closest to the
# median of all ten:

# %%
print(view.summary["typical"][0]["equation"])

# %% [markdown]
# Circles were known at the start. Diamonds were computed by the campaign; their numbers say in which order. Grey dots
# were never asked for. The *frontier* is the line on which the formula has the value of the best oxide known so far:
# dashed at the start, and a new line each time a better oxide came. An oxide beyond the last line would be the best, by
# this formula.

# %%
search_map(view)

# %% [markdown]
# A formula is not exact, so oxides that are better than the frontier may lie on its other side. How good is it, for
# the labels that it was fitted to, and the mean of all ten formulas out of bag?

# %%
print(f"most typical formula: RMSE {view.summary['typical'][0]['rmse']:.3f} eV/atom in training")
print(f"all ten formulas: RMSE {view.summary['calibration']['rmse']:.3f} eV/atom out of bag")

# %% [markdown]
# The same map for a paper, one column wide. `sisso-sal report RUN --format pdf` writes it with all other figures.

# %%
search_map(view, backend="matplotlib", columns=1)

# %% [markdown]
# ## Expected improvement likes a large sigma
# The expected improvement is the mean of how far a candidate lies below the best known value; values above the best
# count as zero. It grows with sigma. Here is the sigma of what was proposed, as a rank among all candidates of the
# same fit: 1 is the largest sigma.

# %%
ranks = []
for number in range(1, len(computed) + 1):
    earlier = RunView.read(view.path, number)
    sigma, chosen = earlier.values("std"), earlier.proposals[0]["id"]
    candidates = np.flatnonzero(~earlier.labelled & np.isfinite(sigma))
    larger = (sigma[candidates] > sigma[earlier.ids == chosen]).sum()
    ranks.append({"proposed": chosen, "rank of its sigma": int(larger) + 1, "candidates": len(candidates)})
ranks = pd.DataFrame(ranks, index=range(1, len(ranks) + 1))
share = (ranks["rank of its sigma"] <= ranks["candidates"] / 4).mean()
print(f"{share:.0%} of the proposals are in the quarter of the candidates with the largest sigma")
ranks.head(8)

# %% [markdown]
# By chance a quarter would be. In simulated campaigns this preference cost evaluations ([decision
# 8](../decisions/0008-probability-of-a-hit.md)). The default of the command is another score, the *probability* to be
# among the best tenth ([decision 28](../decisions/0028-the-likeliest-first.md)).
#
# ## All candidates of the table
# The same settings on the whole table, with all hundred labels: what would be computed first? There is no answer to
# look up, so the campaign proposes and waits.

# %%
whole = Campaign(oxides.reset_index(), out=folder / "whole", with_report=False, **(PUBLISHED | {"batch": 10}))
whole.step()
whole.close()
whole_view = RunView.read(folder / "whole")
pd.DataFrame(whole_view.proposals)[["id", "mean", "std", "score", "n_valid"]].round(3)

# %%
figures.descriptor_map(whole_view)

# %% [markdown]
# Here squares are known, circles are candidates, coloured by their prediction, and diamonds are the proposals, numbered
# by rank.
#
# ## A table of your own
# The table needs the published format: one row for each material, its name in the first column, one column with the
# target, which is empty where it is not known, and one column for each primary feature; units stand in parentheses in
# the headers. It is the format of SISSO++ too. As an example of a table of your own, this one has another target, the
# melting temperature, and the goal is a high one.

# %%
melting = pd.read_csv("../data/melting.csv", index_col="formula")
own = melting.join(oxides.drop(columns=target), how="inner")
own.to_csv(folder / "own.csv")
print("\n".join((folder / "own.csv").read_text(encoding="utf-8").splitlines()[:3]))

# %%
TABLE, TARGET, GOAL = folder / "own.csv", "T_melt (K)", "max"  # put yours here
mine = pd.read_csv(TABLE, index_col=0)
print(f"{mine[TARGET].notna().sum()} labels, {mine.shape[1] - 1} primary features")
my_view, my_best = rehearse(mine, TARGET, GOAL, "own", n_known=30, budget=15)
my_computed = found(my_view, my_best)
print(f"Of the ten best {my_computed['one of the best'].sum()} were found in {len(my_computed)} evaluations;")
n_hidden = mine[TARGET].notna().sum() - 30
print(f"random choice finds {len(my_computed) * 10 / n_hidden:.1f} on average.")
my_computed.round(3)

# %%
search_map(my_view)

# %% [markdown]
# A prediction for a composition says nothing about whether the compound exists. The next step is a calculation: [From
# a chosen oxide to FHI-aims inputs and a Pourbaix diagram](05-from-an-oxide-to-a-pourbaix-diagram.py).
#
# ## Exercises
# 1. Draw the map in the plane of the second typical formula: `search_map(view, formula=2)`. Do the oxides that were
#    found lie together there too?
# 2. Repeat the rehearsal with `"acquisition": "hits"` in the settings. Does it find more of the ten?
# 3. Remove the last three entries of `PUBLISHED`, which switch the defaults off. What do correction and recalibration
#    change in the error out of bag?
# 4. Put your own table into `TABLE`, and hide its best ten. Does the campaign find them sooner than random choice?
