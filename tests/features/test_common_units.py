"""The table of usual units says of each name what pint would say."""

import subprocess
import sys
from fractions import Fraction

import pint
import pytest

from sisso_sal.errors import UnitError
from sisso_sal.features import unit_names
from sisso_sal.features.common_units import COMMON
from sisso_sal.features.dimension import parse_unit, same_quantity_in_other_units

USUAL = (
    *("eV", "meV", "eV/atom", "meV/atom", "Å", "AA", "pm", "nm", "bohr", "Bohr", "Ha", "Hartree", "Ry", "kJ/mol", "kcal/mol"),
    *("GPa", "K", "g cm-3", "AA**3", "Å^3", "e", "µB", "mu_B", "Debye", "C/m^2", "V", "Pauling", "atom", "f.u.", "at.%", "%"),
    *("J/(mol K)", "W/(m K)", "S/cm", "THz", "u", "amu", "°", "1", ""),
)  # fmt: skip


@pytest.fixture(scope="module")
def registry():
    return pint.UnitRegistry()


@pytest.mark.parametrize("name", COMMON)
def test_a_usual_unit_is_that_of_pint(registry, name):
    unit = COMMON[name]
    in_pint = registry.get_name(unit_names._ALIASES.get(name, name))
    assert unit.name == in_pint
    assert unit.symbol == registry.get_symbol(in_pint).replace("\u03bc", "\u00b5")
    assert unit.powers == dict(registry.Unit(in_pint).dimensionality)
    zero, one, two = (registry.Quantity(x, in_pint).to_root_units().magnitude for x in (0.0, 1.0, 2.0))
    assert zero == 0.0
    assert two == pytest.approx(2 * one, rel=1e-15)


def said(names):
    """What is said of each name: whether it is known, its symbol or why there is none, and what it measures.

    By a new registry: pint adds each unit with a prefix that was asked for, and then lets it have another prefix.
    """
    unit_names._registry.cache_clear()
    unit_names._name_in_pint.cache_clear()
    answers = {}
    for name in names:
        try:
            symbol = unit_names.symbol_of(name)
            measured = unit_names.measured(((symbol, Fraction(1)),)) if symbol else None
            answers[name] = unit_names.is_known(name), symbol, measured
        except UnitError as error:
            answers[name] = str(error)
    unit_names._name_in_pint.cache_clear()
    unit_names._warn_once.cache_clear()
    return answers


@pytest.mark.filterwarnings("ignore::sisso_sal.errors.SissoSalWarning")
def test_with_the_table_and_without_every_name_of_pint_means_the_same(monkeypatch):
    units = [*pint.UnitRegistry()._units]
    prefixed = [f"{prefix}{name}" for prefix in ("k", "m", "micro") for name in units if "_" not in name]
    names = [*units, *prefixed, *COMMON, *unit_names._ALIASES, *unit_names.OWN, "blorp", "unit", "units"]
    with_table = said(names)
    monkeypatch.setattr(unit_names, "COMMON", {})
    without = said(names)
    assert len(with_table) > 2500
    assert {name: (with_table[name], without[name]) for name in with_table if with_table[name] != without[name]} == {}


@pytest.mark.parametrize("powers", [(1, -1), (2, 1), (3, -2), (Fraction(1, 3), 1), (Fraction(-1, 2), Fraction(3, 2))])
@pytest.mark.parametrize(
    "units", [("eV", "Å"), ("GPa", "Å"), ("eV", "atom"), ("kJ", "mol"), ("blorp", "K"), ("W", "eV")]
)
def test_products_measure_the_same_with_the_table_and_without(monkeypatch, units, powers):
    exponents = tuple((unit, Fraction(power)) for unit, power in zip(units, powers, strict=True))
    with_table = unit_names.measured(exponents)
    monkeypatch.setattr(unit_names, "COMMON", {})
    assert unit_names.measured(exponents) == with_table


def test_a_usual_unit_and_one_that_only_pint_knows_are_compared():
    units = {"a": "GPa", "b": "psi", "c": "eV/AA**3", "d": "meV", "e": "barn", "f": "AA**2"}
    assert same_quantity_in_other_units(units) == [("a", "b"), ("a", "c"), ("e", "f")]


def test_usual_units_need_no_pint():
    code = (
        "import sys\nfrom sisso_sal.features.dimension import parse_unit, same_quantity_in_other_units\n"
        f"units = {USUAL!r}\nprinted = [str(parse_unit(unit)) for unit in units]\n"
        "pairs = same_quantity_in_other_units(dict(zip(units, units)))\n"
        "print('pint' in sys.modules, printed, len(pairs))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    printed = [str(parse_unit(unit)) for unit in USUAL]
    pairs = same_quantity_in_other_units(dict(zip(USUAL, USUAL, strict=True)))
    assert done.stdout == f"False {printed} {len(pairs)}\n"
    assert len(pairs) > 10
