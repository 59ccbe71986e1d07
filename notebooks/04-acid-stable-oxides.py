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
# # Acid-stable oxides for water splitting
#
# An anode that splits water in acid has to survive 1.23 V and more at pH 0; few oxides do. Nair, Foppa and Scheffler
# (npj Comput. Mater. 2025, doi 10.1038/s41524-025-01596-4) searched for more with SISSO ensembles: 250 oxides from
# hybrid density-functional theory, then one calculation after the other where the ensemble expected the largest
# improvement, out of 1470 candidates.
#
# Here the same path is gone on the shipped table: measured stabilities in the place of computed ones (see
# [Data](../data.md)), so that everything can be checked by everybody. The numbers differ from theirs; the steps are
# the same.

# %%
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from sisso_sal import SISSOEnsemble
from sisso_sal.acquisition.scores import expected_improvement
from sisso_sal.report.figures import draw as figures
from sisso_sal.report.run_view import RunView

warnings.filterwarnings("ignore", message="unit 'Pauling'")  # the scale of electronegativity: kept as a unit of its own

# %% [markdown]
# ## The published settings
# Two operations, two terms, 50 features from each screening, five residuals, ten bootstrap members that each lack some
# of the primary features, and nothing but formulas: no correction, no recalibration.

# %%
published = {
    "rung": 2, "dim": 2, "n_sis": 50, "n_residual": 5, "members": 10, "dropout": 0.2, "adapt": False,
    "correction": "none", "recalibrate": "none",
}  # fmt: skip
table = pd.read_csv("../data/oxides.csv", index_col="formula")
target = "dG_pbx (eV/atom)"
known = table[table[target].notna()]
candidates = table[table[target].isna()].drop(columns=target)
X, y = known.drop(columns=target), known[target]
ensemble = SISSOEnsemble(**published).fit(X, y)
print(f"{sum(ensemble.n_features_.values())} features searched for {len(ensemble.members_)} members")
print(ensemble.members_[ensemble.typical_members(X, 1)[0][0]].equation("dG_pbx", "eV/atom"))

# %% [markdown]
# ## Expected improvement
# How much lower than the best known value is a candidate expected to be, over all that it may be? A large sigma helps
# as much as a low mean: the score explores and exploits.

# %%
told = ensemble.predict_distribution(candidates)
best = y.min()
gain = expected_improvement(told.mean, told.std, best)
ranked = pd.DataFrame(
    {"mean": told.mean, "sigma": told.std, "formulas that count": told.n_valid, "expected improvement": gain},
    index=candidates.index,
).sort_values("expected improvement", ascending=False)
ranked.head(8).round(3)

# %% [markdown]
# Look at sigma: what leads the list is what the formulas know least. One label that lies far below all others makes it
# worse, as only a large sigma can promise more. In rehearsals this cost evaluations (see [decision
# 8](../decisions/0008-probability-of-a-hit.md)), so another question is better: what is the *probability* to be among
# the best tenth? The command asks it of all the evaluations that are ahead ([decision
# 16](../decisions/0016-search-looks-ahead.md)).

# %%
default = SISSOEnsemble(rung=1, members=12).fit(X, y)
shown = pd.concat([X, candidates.iloc[::4]])
view = RunView.of(default, shown, pd.Series(y.reindex(shown.index), name=target))
pd.DataFrame(view.proposals)[["id", "mean", "std", "score"]].round(3).head(8)

# %% [markdown]
# ## A rehearsal with the loop
# The real loop, with an oracle that looks labels up: forty of the hundred measured values are known at the start, the
# others are hidden in a second table. The campaign asks for five at a time. Everything is in a run folder; kill it and
# give the command again, and it goes on.

# %%
folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(1)
hidden = rng.permutation(len(known))[40:]
start = known.copy()
start.iloc[hidden, start.columns.get_loc(target)] = np.nan
start.to_csv(folder / "candidates.csv")
known.to_csv(folder / "truth.csv")

# %%
command = "discover candidates.csv --oracle lookup:truth.csv --budget 10 --batch 5 --rung 1 --members 8 --quiet"
told = subprocess.check_output([sys.executable, "-m", "sisso_sal.cli", *command.split()], cwd=folder, text=True)
print("\n".join(told.splitlines()[-4:]))

# %%
figures.learning_curve(folder / "runs/candidates")

# %% [markdown]
# The line is the best so far; the error below may well rise, as what is asked for is unlike what is known. Was it
# luck? [How many calculations does active learning save?](03-how-many-calculations-are-saved.py) repeats such a
# campaign from many starts, against chance.
#
# ## The materials map
# Where the stable ones lie, and what the campaign asked for. This is the picture to take to the laboratory.

# %%
figures.descriptor_map(view)

# %% [markdown]
# A prediction for a composition says nothing about whether the compound exists. The next step is a calculation: [From
# a chosen oxide to FHI-aims inputs and a Pourbaix diagram](05-from-an-oxide-to-a-pourbaix-diagram.py).
