"""Writes data/oxides.csv: measured acid stability of oxides, and candidates for which it is not known.

Run in the development environment:  python data/build_oxides.py [--output FILE] [--compare OTHER.csv]
Sources, rules and counts stand in data/README.md.
"""

import argparse
import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.units
import chemicals
import numpy as np
import pandas as pd
from ase.phasediagram import parse_formula as parse_ase
from ase.phasediagram import solvated
from chemicals.elements import periodic_table
from chemicals.heat_capacity import CRC_standard_data
from chemicals.identifiers import search_chemical

from sisso_sal.errors import InputError
from sisso_sal.fidelity.columns import EstimateQuestion
from sisso_sal.fidelity.energies import read_energies
from sisso_sal.fidelity.estimates import estimates, settled
from sisso_sal.oracle.stability.aqueous import aqueous_species
from sisso_sal.oracle.stability.dissolution import missing_species
from sisso_sal.oracle.stability.pourbaix import Species, decompose
from sisso_sal.oxides.elements import parse_formula
from sisso_sal.oxides.metals import METALS
from sisso_sal.oxides.pool import TERNARY_PROTOTYPES, candidate_oxides, reduced_formula
from sisso_sal.oxides.primary_features import featurize

HERE = Path(__file__).resolve().parent
OVERRIDES = HERE / "formula_overrides.csv"
CRC_IONS = Path(chemicals.__file__).parent / "Electrolytes" / "CRC Thermodynamic Properties of Aqueous Ions.tsv"
ENERGIES = HERE / "chgnet_energies.csv.gz"
TARGET, ESTIMATE = "dG_pbx (eV/atom)", "dG_pbx_chgnet (eV/atom)"
TEMPERATURE = 298.15
GUARD = 3000.0  # J/mol, for the identity Gf = Hf - T (S - sum of the elements' S)
SETTLED = 1e-3  # eV/atom, by how much a solid without a measured Gibbs energy may move a label
DIATOMIC = {"O", "F", "Cl", "Br", "I"}  # their entropies are tabulated for a mole of molecules
JOULE_PER_MOL = ase.units.J / ase.units.mol
DISAGREE = "enthalpy, entropy and Gibbs energy disagree"
CANDIDATE_PROTOTYPES = {
    *("delafossite", "alpha-NaFeO2", "perovskite", "ilmenite", "scheelite", "zircon", "wolframite"),
    *("spinel", "CaFe2O4", "olivine", "K2NiF4", "pyrochlore", "thortveitite", "pseudobrookite"),
}


@dataclass(frozen=True)
class Solid:
    """A solid of the CRC table; enthalpy and Gibbs energy of formation in J/mol, entropy in J/(mol K)."""

    formula: str
    composition: dict[str, float]
    enthalpy: float
    gibbs: float
    entropy: float
    cas: str = ""

    def species(self, gibbs: float | None = None) -> Species:
        """For the linear program, in eV; ``gibbs`` stands in for a value that is not tabulated."""
        mu = (self.gibbs if gibbs is None else gibbs) * JOULE_PER_MOL
        return Species(self.formula, self.composition, mu=mu)

    def per_atom(self) -> float:
        """Gibbs energy of formation, in J/mol of atoms."""
        return self.gibbs / sum(self.composition.values())

    def identity_gap(self) -> float:
        """Gf - Hf + T (S - sum of the elements' S), in J/mol; NaN if one of them is not tabulated."""
        entropies = {e: getattr(periodic_table, e).S0 for e in self.composition}
        elements = sum(n * (entropies[e] / 2 if e in DIATOMIC else entropies[e]) for e, n in self.composition.items())
        return self.gibbs - self.enthalpy + TEMPERATURE * (self.entropy - elements)


def crc_oxides(causes: Counter[str]) -> list[Solid]:
    """Every solid of the CRC table made of oxygen and one or two of the metals."""
    with OVERRIDES.open(newline="", encoding="utf-8") as handle:
        overrides = {row["cas"]: row["formula"] for row in csv.DictReader(handle)}
    solids = []
    for cas, row in CRC_standard_data.dropna(subset=["Hfs"]).iterrows():
        try:
            composition = parse_formula(overrides.get(cas) or search_chemical(cas).formula)
        except (InputError, ValueError):
            causes["no readable formula"] += 1
            continue
        metals = composition.keys() - {"O"}
        if "O" in composition and metals and metals <= set(METALS) and len(metals) <= 2:
            name = reduced_formula(composition)
            solids.append(Solid(name, composition, float(row["Hfs"]), float(row["Gfs"]), float(row["S0s"]), cas))
    return solids


def verified(solids: Iterable[Solid], causes: Counter[str]) -> list[Solid]:
    """The solids whose three quantities are tabulated and agree, the most stable one of each formula."""
    best: dict[str, Solid] = {}
    for solid in solids:
        gap = solid.identity_gap()
        if np.isnan(gap):
            causes["Gibbs energy not tabulated"] += 1
        elif abs(gap) > GUARD:
            causes[DISAGREE] += 1
        else:
            rival = best.get(solid.formula)
            causes["less stable polymorph"] += rival is not None
            if rival is None or solid.per_atom() < rival.per_atom():
                best[solid.formula] = solid
    return [best[formula] for formula in sorted(best)]


def ase_ions(metals: Iterable[str]) -> list[Species]:
    """Dissolved species of metals with O and H in ASE's table (Johnson et al. 1992, Pourbaix 1966)."""
    found = {}
    for name, energy in solvated(set(metals)):
        composition, charge, _ = parse_ase(name)
        ion = Species(name.removesuffix("(aq)"), composition, charge, energy, "aqueous")
        if ion.metals:
            found[ion.name] = ion
    return list(found.values())


def crc_ions(metals: set[str]) -> list[Species]:
    """Dissolved species of these metals with O and H in the CRC table."""
    table = pd.read_csv(CRC_IONS, sep="\t").dropna(subset=["Gf(aq)"])
    ions = []
    for formula, gibbs in zip(table["Formula"], table["Gf(aq)"], strict=True):
        neutral, sign, digits = re.fullmatch(r"(.*?)([+-])(\d*)", formula).groups()
        composition = parse_formula(neutral)
        ion_metals = composition.keys() - {"O", "H"}
        if ion_metals and ion_metals <= metals:
            charge = int(sign + (digits or "1"))
            ions.append(Species(formula, composition, charge, float(gibbs) * JOULE_PER_MOL, "aqueous"))
    return ions


def dissolved_species() -> list[Species]:
    """ASE's species, and the CRC's for the metals that ASE has none of."""
    ions = ase_ions(METALS)
    covered = {metal for ion in ions for metal in ion.metals}
    return ions + crc_ions(set(METALS) - covered)


def labels(solids: Sequence[Solid], known: Sequence[Solid], causes: Counter[str]) -> dict[str, float]:
    """Formula -> decomposition free energy in eV/atom of the oxides for which it is settled.

    ``known`` are the verified solids. The other ``solids`` have a Gibbs energy only by estimate (enthalpy plus the mean
    entropy term per oxygen atom of the verified ones); they never enter a label, but one that they would change is
    left out.
    """
    ions = dissolved_species()
    competitors = [solid.species() for solid in known]
    per_oxygen = np.mean([(s.gibbs - s.enthalpy) / s.composition["O"] for s in known])
    formulas = {solid.formula for solid in known}
    estimated = [s.species(s.enthalpy + per_oxygen * s.composition["O"]) for s in solids if s.formula not in formulas]
    found = {}
    for solid, target in zip(known, competitors, strict=True):
        missing = [missing_species(metal, ions, competitors) for metal in sorted(target.metals)]
        first = next(filter(None, missing), None)
        reason = None if first is None else f"dissolved {first.name}: {first.known}"
        if reason is None:
            energy = decompose(target, [*ions, *competitors]).energy
            if decompose(target, [*ions, *competitors, *estimated]).energy > energy + SETTLED:
                reason = "decided by a solid without a measured Gibbs energy"
        if reason is None:
            found[solid.formula] = energy
        else:
            causes[reason] += 1
    return found


def build(causes: Counter[str]) -> pd.DataFrame:
    """The whole table: formula, target (NaN for candidates), primary features."""
    solids = crc_oxides(causes)
    causes["oxides of one or two metals in the CRC table"] = len(solids)
    target = labels(solids, verified(solids, causes), causes)
    prototypes = [p for p in TERNARY_PROTOTYPES if p.name in CANDIDATE_PROTOTYPES]
    candidates = [c.formula for c in candidate_oxides(n_metals=[2], prototypes=prototypes) if c.formula not in target]
    features, rejected = featurize([*target, *candidates])
    for formula, reason in rejected:
        causes[f"{'label' if formula in target else 'candidate'} without features: {reason}"] += 1
    features.insert(0, TARGET, [target.get(formula, np.nan) for formula in features.index])
    features[ESTIMATE] = estimated(list(features.index))
    return features


def estimated(formulas: Sequence[str]) -> list[float]:
    """The target as it follows from the energies with CHGNet that are there; NaN where it does not."""
    file = read_energies(ENERGIES)
    question = EstimateQuestion(rule="binary", ions=aqueous_species(METALS))
    scheme, _ = settled(file.potential, (file.outcomes, file.formulas))
    rows = estimates(formulas, (file.outcomes, file.formulas), scheme, question, {})
    return [row.values.get("dG_pbx", np.nan) for row in rows]


def write(table: pd.DataFrame, path: Path) -> None:
    """As CSV with six significant digits."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["formula", *table.columns])
        for formula, *values in table.itertuples():
            writer.writerow([formula, *("" if np.isnan(value) else f"{value:.6g}" for value in values)])


def compare(table: pd.DataFrame, path: Path) -> None:
    """Prints the agreement with another table: first column formulas, second column eV/atom."""
    other = pd.read_csv(path)
    reference = {
        proportions(formula): float(value) for formula, value in zip(other.iloc[:, 0], other.iloc[:, 1], strict=True)
    }
    ours = table[TARGET].dropna()
    common = {f: (value, reference[proportions(f)]) for f, value in ours.items() if proportions(f) in reference}
    values = np.array(list(common.values()))
    difference = values[:, 0] - values[:, 1]
    print(f"compared with {path.name}: {len(common)} common oxides, Pearson {np.corrcoef(values.T)[0, 1]:.3f},")
    print(f"  differences: mean {difference.mean():+.3f}, mean absolute {abs(difference).mean():.3f} eV/atom; largest:")
    for formula in sorted(common, key=lambda f: -abs(common[f][0] - common[f][1]))[:6]:
        print(f"  {formula}: {common[formula][0]:.3f} here, {common[formula][1]:.3f} there")


def proportions(formula: str) -> frozenset[tuple[str, float]]:
    """The same for all formulas of a composition."""
    amounts = parse_formula(formula)
    return frozenset((element, round(n / sum(amounts.values()), 9)) for element, n in amounts.items())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE / "oxides.csv")
    parser.add_argument("--compare", type=Path, help="a CSV with formulas and values in eV/atom")
    options = parser.parse_args(arguments)
    causes: Counter[str] = Counter({DISAGREE: 0})
    table = build(causes)
    write(table, options.output)
    n_labelled = int(table[TARGET].notna().sum())
    known = table[ESTIMATE].notna()
    print(f"{n_labelled} labelled oxides, {len(table) - n_labelled} candidates, {table.shape[1] - 2} primary features")
    print(f"{known.sum()} estimates with CHGNet, {(known & table[TARGET].notna()).sum()} of them of labelled oxides")
    for cause, count in sorted(causes.items()):
        print(f"  {count:5d}  {cause}")
    if options.compare:
        compare(table, options.compare)


if __name__ == "__main__":
    main()
