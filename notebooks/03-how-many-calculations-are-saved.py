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
# Nobody computes a thousand materials twice to find out. But where all labels are known, a campaign can be *replayed*:
# a strategy starts with a few labels, asks for the next one, is shown it, and never sees the others. Then the good
# ones that it found are counted.
#
# Small settings here: three starts and ten evaluations, in batches of five. The figures of the default settings, with
# ten starts, are in [Ensembles](../ensembles.md); `sisso-sal replay TABLE` makes them.

# %%
# %matplotlib inline
import tempfile
import warnings
from functools import partial
from pathlib import Path

import pandas as pd

from sisso_sal import read_table
from sisso_sal.models.surrogates import make_surrogate
from sisso_sal.replay.simulate import Rules, Strategy, replay, targets
from sisso_sal.report.figures.draw import found_targets

warnings.filterwarnings("ignore", message="unit 'Pauling'")  # the scale of electronegativity: kept as a unit of its own

# %% [markdown]
# ## The game
# The hundred oxides with a measured stability in acid. The ten most stable are the targets; twenty random ones are
# known at the start, about two of them targets by chance.

# %%
known = pd.read_csv("../data/oxides.csv").dropna()
path = Path(tempfile.mkdtemp(), "known.csv")
known.to_csv(path, index=False)
table = read_table(path, target="dG_pbx (eV/atom)", id="formula")
rules = Rules(n_start=20, evaluations=10, batch=5)
wanted = targets(table.target, rules)
print("targets:", ", ".join(id for id, is_target in zip(table.ids, wanted, strict=True) if is_target))

# %% [markdown]
# ## The players
# The ensemble of formulas with a search that looks ahead, a random forest with the same question, the largest distance
# from what is known (pure exploration), and chance. All start from the same oxides.

# %%
small = {"rung": 1, "dim": 2, "members": 8}
strategies = [
    Strategy("formulas", "search", partial(make_surrogate, "sisso", small)),
    Strategy("forest", "search", partial(make_surrogate, "forest", {})),
    Strategy("distance", "distance"),
    Strategy("random", "random"),
]
document = replay(table, strategies, rules, seeds=3) | {"target": {"name": "dG_pbx", "unit": "eV/atom"}}
found_targets(document)

# %% [markdown]
# Lines are means over the starts, bands their 95 % intervals. With three starts the bands are wide: differences inside
# them mean nothing, and a claim needs more starts.

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
# ## What was picked
# The first start of the first player, with what each evaluation brought. A strategy that explores picks some that turn
# out badly; without them it would not know where not to look.

# %%
values = dict(zip(table.ids, table.target, strict=True))
hit = dict(zip(table.ids, wanted, strict=True))
pd.DataFrame(
    [{"oxide": id, "dG_pbx": values[id], "target": hit[id]} for id in document["strategies"]["formulas"]["picks"][0]],
    index=range(1, 11),
).round(3)

# %% [markdown]
# ## Would it work on my material class?
# Replay your own labels before you spend core hours: `sisso-sal replay known.csv --target "gap (eV)"`. Two harder
# starts are worth a look: `--start worst` (only poor materials are known) and `--start without:Ti` (an element was
# never seen). How large the gain can be depends on the table more than on the program: where the good ones are many,
# chance finds them too.
