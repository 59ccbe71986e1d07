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
# # How many calculations does active learning save?
#
# **You will learn** to simulate a campaign on known labels, and to compare strategies by what they find. **It takes** about a
# minute of computing and ten minutes to read.
#
# Nobody computes a thousand materials twice to answer this question. But where all labels are known, a campaign can
# be *simulated*: a strategy starts with a few labels, chooses the next material, gets its label, and never sees the
# others. At the end we count the good materials that it has found.
#
# The settings here are small: three starts and ten evaluations, in batches of five. The results of the default
# settings, with ten starts, are in [Ensembles](../ensembles.md). `sisso-sal replay TABLE` prints them.

# %%
# %matplotlib inline
import tempfile
import warnings
from functools import partial
from pathlib import Path

import pandas as pd

from sisso_sal import read_table
from sisso_sal.models.registry import make_surrogate
from sisso_sal.replay.simulate import Rules, Strategy, replay, targets
from sisso_sal.report.figures.targets_found import found_targets
from sisso_sal.settings.campaign import load_settings
from sisso_sal.spaces.table import TableSpace

warnings.filterwarnings("ignore", message="unit 'Pauling'")  # the scale of electronegativity: kept as a unit of its own

# %% [markdown]
# ## The task
# The table has the hundred oxides with a measured stability in acid. The ten most stable ones are the targets. Twenty
# random oxides are known at the start; on average two of them are targets.

# %%
known = pd.read_csv("../data/oxides.csv").drop(columns="dG_pbx_chgnet (eV/atom)").dropna()
path = Path(tempfile.mkdtemp(), "known.csv")
known.to_csv(path, index=False)
table = read_table(path, target="dG_pbx (eV/atom)", id="formula")
rules = Rules(n_start=20, evaluations=10, batch=5)
wanted = targets(table.target, rules)
print("targets:", ", ".join(id for id, is_target in zip(table.ids, wanted, strict=True) if is_target))

# %% [markdown]
# ## The strategies
# The strategies are: the ensemble of formulas with the acquisition `hits`, a random forest with the same
# acquisition, the largest distance from the known materials (pure exploration), and random choice. All start from the
# same oxides.

# %%
small = load_settings(None, {"rung": 1, "dim": 2, "members": 8})
forest = load_settings(None, {"surrogate": "forest"})
strategies = [
    Strategy("formulas", "hits", partial(make_surrogate, small, threads=1)),
    Strategy("forest", "hits", partial(make_surrogate, forest)),
    Strategy("distance", "distance"),
    Strategy("random", "random"),
]
document = replay(TableSpace(table), strategies, rules, seeds=3) | {"target": {"name": "dG_pbx", "unit": "eV/atom"}}
found_targets(document, columns=2)

# %% [markdown]
# Lines are means over the starts, bands are their 95 % intervals. With three starts the bands are wide. Differences
# inside the bands are not significant; a reliable comparison needs more starts.

# %%
pd.DataFrame(
    {
        name: {
            "known at the end": result["mean"],
            "new targets per evaluation, against chance": result["enrichment"]["mean"],
            "evaluations to half of the targets, against chance": result["acceleration"]
            and result["acceleration"]["mean"],
        }
        for name, result in document["strategies"].items()
    }
).T.round(2)

# %% [markdown]
# ## Which oxides were chosen
# The table shows the first start of the first strategy, with the label of each chosen oxide. A strategy that explores
# also chooses oxides that turn out to be poor. They show where no good materials are.

# %%
values = dict(zip(table.ids, table.target, strict=True))
hit = dict(zip(table.ids, wanted, strict=True))
pd.DataFrame(
    [{"oxide": id, "dG_pbx": values[id], "target": hit[id]} for id in document["strategies"]["formulas"]["picks"][0]],
    index=range(1, 11),
).round(3)

# %% [markdown]
# ## Does it work for my materials?
# Simulate a campaign with your own labels before you spend core-hours:
# `sisso-sal replay known.csv --target "gap (eV)"`. Two more difficult starts are useful tests: `--start worst` (only
# poor materials are known) and `--start without:Ti` (no known material contains this element). The gain depends more
# on the table than on the program: where there are many good materials, random choice finds them too.
#
# ## Exercises
# 1. Add a strategy with expected improvement: `Strategy("formulas, ei", "ei", partial(make_surrogate, small, threads=1))`.
# 2. Set `n_start=10`. Which strategy suffers most?
# 3. Set `seeds=6`. How much narrower are the bands?
