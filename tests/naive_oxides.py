"""Slow, obvious twins of what `sisso_sal.oxides` does with many oxides at once."""

import itertools
import math
from functools import reduce
from operator import add

from sisso_sal.oxides.elements import element_data, parse_formula
from sisso_sal.oxides.oxidation_states import oxidation_states
from sisso_sal.oxides.pool import reduced_formula

PER_ATOM = ("r_cov (AA)", "alpha (AA**3)", "EA (eV)", "IP (eV)", "EN (Pauling)", "N_val", "N_unf")
PER_ELEMENT = ("r_vdw (AA)", "e_H (eV)", "e_s (eV)", "AN")


def in_turn(terms):
    """The sum of floats without the compensation that `sum` has since Python 3.12."""
    return reduce(add, terms)


def primary_features(formula):
    """Header -> value of one oxide."""
    composition, elements = parse_formula(formula), element_data()
    metals = [symbol for symbol in composition if symbol != "O"]
    n_atoms = in_turn(composition.values())
    out = {h: in_turn(n * elements[e].value(h) for e, n in composition.items()) / n_atoms for h in PER_ATOM}
    out |= {h: in_turn(elements[e].value(h) for e in composition) / len(composition) for h in PER_ELEMENT}
    out["r_cat (AA)"] = in_turn(elements[e].value("r_cat (AA)") for e in metals) / len(metals)
    out["CE (eV)"] = in_turn(elements[e].value("CE (eV)") for e in metals)
    states = oxidation_states(composition)
    weights = [s.amount / in_turn(s.amount for s in states) for s in states]
    mean = in_turn(w * s.state for w, s in zip(weights, states, strict=True))
    variance = in_turn(w * ((s.state - mean) * (s.state - mean)) for w, s in zip(weights, states, strict=True))
    out["max_OS"] = max(float(s.state) for s in states)
    out["stdev_OS"] = math.sqrt(variance / (1.0 - in_turn(w * w for w in weights)))
    return out


def balanced_formulas(metals, max_index):
    """Formulas of all oxides of exactly these metals in common states, with indices of metals up to `max_index`."""
    formulas = set()
    for indices in itertools.product(range(1, max_index + 1), repeat=len(metals)):
        for states in itertools.product(*(element_data()[metal].common for metal in metals)):
            charge = in_turn(n * state for n, state in zip(indices, states, strict=True))
            if charge % 2 == 0 and math.gcd(*indices, charge // 2) == 1:
                formulas.add(reduced_formula(dict(zip(metals, indices, strict=True)) | {"O": charge // 2}))
    return formulas
