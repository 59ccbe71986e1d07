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
# # From a chosen oxide to FHI-aims inputs and a Pourbaix diagram
#
# An oxide was chosen: zircon, ZrSiO₄, say. What has to be computed before one knows whether it survives in acid? Its
# energy, the energies of everything it could turn into, and the free energies of the dissolved ions. This notebook
# writes the inputs and draws the diagram; the calculations in between take a cluster ([First-principles
# labels](../first-principles.md)).

# %%
# %matplotlib inline
import os
import sys
import tempfile
from collections import Counter

import pandas as pd

from sisso_sal.errors import InputError
from sisso_sal.oracle.engines.aims_inputs import preset, write_inputs
from sisso_sal.oracle.stability.diagram import stability_map
from sisso_sal.oracle.stability.labels import aqueous_species
from sisso_sal.oracle.stability.phases import needed_formulas, starting_structures
from sisso_sal.oracle.stability.pourbaix import Conditions, decompose
from sisso_sal.oxides.prototypes import prototype_structures
from sisso_sal.report.figures import draw as figures

CHOSEN = "ZrSiO4"

# %% [markdown]
# ## What has to be computed
# The candidate, its metals, every other oxide of these metals, water and hydrogen. A competitor that is left out makes
# the candidate look more stable than it is, so a label waits for all of them.

# %%
needed_formulas(CHOSEN)

# %% [markdown]
# ## Where the atoms are at the start
# Structure types that fit the stoichiometry, scaled to the ionic radii. The lowest one after relaxation counts, so
# more starts than the three that a campaign takes by default are worth their cost where the true structure is among
# the later ones: quartz for SiO₂.

# %%
pd.DataFrame(
    [
        {
            "phase": formula,
            "start": name,
            "atoms": len(structure),
            "volume (Å³/atom)": round(structure.volume / len(structure), 2) if hasattr(structure, "volume") else None,
        }
        for formula in needed_formulas(CHOSEN)
        for name, structure in starting_structures(formula, limit=5)
    ]
)

# %% [markdown]
# ## FHI-aims inputs
# PBE to relax, HSE06 on top. These are the keywords of the relaxation; settings are checked before anything is
# written.

# %%
settings = preset("relax", force_tolerance=5e-3)
for keyword, value in settings.keywords(periodic=True, magnetic=False).items():
    print(f"{keyword:24}{value}")

# %% [markdown]
# `control.in` also holds the basis set of each element. It comes with FHI-aims, not with this program: give the folder
# in `AIMS_SPECIES_DIR`. Without it nothing is written, because an input without basis functions would run and mean
# nothing.

# %%
name, structure = next(prototype_structures(CHOSEN))
folder = tempfile.mkdtemp()
try:
    write_inputs(folder, structure, settings)
    print(f"{name}: wrote", *sorted(os.listdir(folder)))
except InputError as error:
    print(error)

# %% [markdown]
# A whole campaign writes, runs and reads these by itself: `sisso_sal.oracle.workflow.tasks.Workflow`. Each phase is computed
# once, however many candidates need it.

# %% [markdown]
# ## From energies to a diagram
# As energies of formation stand those that were measured, from which the shipped table was made; computed ones go the
# same way. ZrSiO₄ can become ZrO₂, SiO₂ and dissolved species of both; a linear program finds the mixture of them that
# gains most.

# %%
sys.path.insert(0, "../data")
from build_oxides import crc_oxides, verified

solids = {solid.formula: solid.species() for solid in verified(crc_oxides(Counter()), Counter())}
table = pd.read_csv("../data/oxides.csv", index_col="formula")["dG_pbx (eV/atom)"]


def competitors(formula):
    metals = solids[formula].metals
    return [*aqueous_species(metals), *(solid for solid in solids.values() if solid.metals <= metals)]


rows = []
for formula in ("TiO2", CHOSEN, "MgO"):
    found = decompose(solids[formula], competitors(formula))
    rows.append(
        {
            "oxide": formula,
            "ΔG (eV/atom)": found.energy,
            "in the table": table[formula],
            "becomes": dict(found.products),
        }
    )
pd.DataFrame(rows).set_index("oxide").round(3)

# %% [markdown]
# These are the conditions of the label: 1.23 V, pH 0, a millionth mol per litre. TiO₂ stays, MgO dissolves, and zircon
# just fails: zirconium goes into solution and silica stays behind. In less concentrated acid it is stable:

# %%
pd.DataFrame(
    {
        f"pH {pH}": {f: decompose(solids[f], competitors(f), Conditions(pH=pH)).energy for f in ("TiO2", CHOSEN, "MgO")}
        for pH in (0, 4, 8, 12)
    }
).round(3)

# %% [markdown]
# ## The Pourbaix diagram
# Colour is what decomposition gains; inside the thick line nothing is gained and the oxide is stable. The dashed lines
# bound the window in which water itself is stable.

# %%
figures.pourbaix(stability_map(solids[CHOSEN], competitors(CHOSEN)), CHOSEN, backend="matplotlib")
