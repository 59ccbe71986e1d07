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
# **You will learn** what has to be computed for the stability of one oxide in acid, how the inputs of FHI-aims are written,
# and to read a Pourbaix diagram. **It takes** half a minute of computing and fifteen minutes to read.
#
# An oxide was chosen, for example zircon, ZrSiO₄. What must be computed to know whether it is stable in acid? Its
# energy, the energies of all phases that it could become, and the free energies of the dissolved ions. This notebook
# writes the inputs and draws the diagram. The calculations between these steps need a cluster ([First-principles
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
from sisso_sal.oracle.stability.aqueous import aqueous_species
from sisso_sal.oracle.stability.diagram import stability_map
from sisso_sal.oracle.stability.labels import needed_formulas
from sisso_sal.oracle.stability.pourbaix import Conditions, decompose
from sisso_sal.oxides.phases import starting_structures
from sisso_sal.oxides.prototypes import prototype_structures
from sisso_sal.report.figures import draw as figures

CHOSEN = "ZrSiO4"

# %% [markdown]
# ## What has to be computed
# The candidate, its metals, every other oxide of these metals, water and hydrogen must be computed. A missing
# competitor makes the candidate look more stable than it is, so a label waits for all of them.

# %%
needed_formulas(CHOSEN)

# %% [markdown]
# ## Starting structures
# Starting structures are structure types that fit the stoichiometry, scaled to the ionic radii. The structure with
# the lowest energy after relaxation counts. A campaign uses three starts by default. More starts are useful if the
# true structure comes later in the list, such as quartz for SiO₂.

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
# PBE is used for the relaxation and HSE06 for the energy. These are the keywords of the relaxation. Settings are
# checked before anything is written.

# %%
settings = preset("relax", force_tolerance=5e-3)
for keyword, value in settings.keywords(periodic=True, magnetic=False).items():
    print(f"{keyword:24}{value}")

# %% [markdown]
# `control.in` also contains the basis set of each element. The basis sets come with FHI-aims, not with this program:
# give their folder in `AIMS_SPECIES_DIR`. Without basis sets nothing is written, because such an input would be
# useless.

# %%
name, structure = next(prototype_structures(CHOSEN))
folder = tempfile.mkdtemp()
try:
    write_inputs(folder, structure, settings)
    print(f"{name}: wrote", *sorted(os.listdir(folder)))
except InputError as error:
    print(error)

# %% [markdown]
# A campaign writes these inputs, runs them and reads the outputs automatically:
# `sisso_sal.oracle.workflow.tasks.Workflow`. Each phase is computed once, however many candidates need it.

# %% [markdown]
# ## From energies to a diagram
# Here the energies of formation are the measured ones, from which the shipped table was made. Computed energies are
# used in the same way. ZrSiO₄ can become ZrO₂, SiO₂ and dissolved species of both. A linear program finds the mixture
# with the lowest free energy.

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
    result = decompose(solids[formula], competitors(formula))
    rows.append(
        {
            "oxide": formula,
            "ΔG (eV/atom)": result.energy,
            "in the table": table[formula],
            "becomes": dict(result.products),
        }
    )
pd.DataFrame(rows).set_index("oxide").round(3)

# %% [markdown]
# These are the conditions of the label: 1.23 V, pH 0, a millionth mol per litre. TiO₂ is stable, MgO dissolves, and
# zircon is just not stable: zirconium dissolves and silica remains. In less concentrated acid zircon is stable:

# %%
pd.DataFrame(
    {
        f"pH {pH}": {f: decompose(solids[f], competitors(f), Conditions(pH=pH)).energy for f in ("TiO2", CHOSEN, "MgO")}
        for pH in (0, 4, 8, 12)
    }
).round(3)

# %% [markdown]
# ## The Pourbaix diagram
# The colour is the free energy of decomposition. Inside the thick line the oxide is stable. The dashed lines are the
# limits between which water itself is stable.

# %%
figures.pourbaix(stability_map(solids[CHOSEN], competitors(CHOSEN)), CHOSEN, backend="matplotlib")

# %% [markdown]
# ## Exercises
# 1. Choose another oxide of the table, such as `TiO2` or `MgO`: how does its diagram differ?
# 2. Draw the diagram for a higher concentration of the dissolved species: `Conditions(concentration=1.0)` as third
#    argument of `stability_map`. Is the stable region larger or smaller?
# 3. Print the keywords of `preset("static")`. Which functional does it have?
