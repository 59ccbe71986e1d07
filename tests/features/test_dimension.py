"""Unit exponents: algebra, reading, printing, conversion."""

from fractions import Fraction

import pytest

from sisso_sal.errors import UnitError
from sisso_sal.features.dimension import (
    NONE,
    Dimension,
    conversion_factor,
    parse_unit,
    same_quantity_in_other_units,
)

EV, LENGTH = parse_unit("eV"), parse_unit("AA")


def test_product_adds_exponents():
    product = EV * EV * LENGTH
    assert product == Dimension((("eV", Fraction(2)), ("Å", Fraction(1))))


def test_factors_that_cancel_leave_no_trace():
    assert (EV * LENGTH) / EV == LENGTH
    assert EV / EV == NONE
    assert (EV / EV).is_none
    assert not EV.is_none


def test_order_of_factors_does_not_matter():
    assert EV * LENGTH == LENGTH * EV
    assert hash(EV * LENGTH) == hash(LENGTH * EV)


@pytest.mark.parametrize("power", [2, 3, 6, -1, Fraction(1, 2), Fraction(1, 3)])
def test_a_power_scales_every_exponent(power):
    assert dict(((EV**2 / LENGTH) ** power).exponents) == {"eV": 2 * Fraction(power), "Å": -Fraction(power)}


def test_power_zero_is_no_unit():
    assert EV**0 == NONE


def test_roots_undo_powers():
    assert ((EV / LENGTH) ** 6) ** Fraction(1, 6) == EV / LENGTH
    assert EV ** Fraction(1, 2) != EV


@pytest.mark.parametrize("text", ["", "1", "-", "none", "Dimensionless", "unitless", "  "])
def test_words_for_no_unit(text):
    assert parse_unit(text) is NONE


@pytest.mark.parametrize("text", ["AA", "Å", "angstrom", "Angstrom", "Ang", " AA "])
def test_names_of_one_unit(text):
    assert parse_unit(text) == LENGTH


def test_compound_units():
    assert parse_unit("eV/AA**3") == EV / LENGTH**3
    assert parse_unit("eV/atom") == EV / parse_unit("atom")
    assert parse_unit("kJ/mol").exponents == (("kJ", Fraction(1)), ("mol", Fraction(-1)))
    assert parse_unit("eV**0.5") == EV ** Fraction(1, 2)


def test_units_of_one_quantity_stay_apart():
    assert parse_unit("meV") != EV
    assert parse_unit("nm") != LENGTH


@pytest.mark.parametrize(
    ("dimension", "text"),
    [
        (EV, "eV"),
        (EV**2, "eV**2"),
        (EV ** Fraction(1, 3), "eV**(1/3)"),
        (EV / LENGTH, "eV/Å"),
        (NONE / LENGTH**2, "1/Å**2"),
        (NONE / (EV * LENGTH), "1/(eV*Å)"),
        (NONE, ""),
    ],
)
def test_text(dimension, text):
    assert str(dimension) == text


@pytest.mark.parametrize("power", [1, 2, -1, Fraction(1, 2), Fraction(-3, 2)])
def test_text_reads_back(power):
    dimension = (EV / LENGTH**2) ** power
    assert parse_unit(str(dimension)) == dimension


def test_unknown_unit_is_a_base_unit_with_one_warning():
    parse_unit.cache_clear()
    with pytest.warns(UserWarning, match=r"^unit 'zork' is not known: kept as a base unit of its own$") as caught:
        found = parse_unit("zork")
    assert len(caught) == 1
    assert found.exponents == (("zork", Fraction(1)),)
    assert parse_unit("zork") == found  # warnings are errors: a second one would fail here
    assert found != EV
    assert parse_unit("zork**2/eV") == found**2 / EV


@pytest.mark.filterwarnings("ignore:unit 'Pauling' is not known:UserWarning")
def test_pauling_is_a_unit_of_its_own():
    pauling = parse_unit("Pauling")
    assert [power for _, power in pauling.exponents] == [1]
    assert pauling not in (EV, LENGTH)
    assert pauling / pauling == NONE


@pytest.mark.parametrize("text", ["eV/", "eV +", "**2", "eV)", "2 eV", "1000"])
def test_text_that_is_no_unit(text):
    with pytest.raises(UnitError) as caught:
        parse_unit(text)
    assert str(caught.value).startswith(f"unit '{text}': needs a ")


def test_conversion():
    assert conversion_factor("meV", "eV") == pytest.approx(1e-3, rel=1e-12)
    assert conversion_factor("AA", "angstrom") == 1.0
    assert conversion_factor("kJ/mol", "kJ/mol") == 1.0


@pytest.mark.parametrize(
    ("found", "needed", "message"),
    [
        ("eV", "AA", "needs a unit that converts to 'AA', found 'eV'"),
        ("", "eV", "needs a unit that converts to 'eV', found 'none'"),
        ("eV", "", "needs a unit that converts to 'none', found 'eV'"),
        ("degC", "K", "needs a unit that converts to 'K', found 'degC': the two scales have different zeros"),
    ],
)
def test_conversion_that_cannot_be(found, needed, message):
    with pytest.raises(UnitError) as caught:
        conversion_factor(found, needed)
    assert str(caught.value) == message


def test_columns_that_measure_one_quantity_in_other_units():
    units = {"EA": "eV", "IP": "meV", "r": "AA", "n": "", "gap": "eV", "d": "nm", "m": ""}
    assert same_quantity_in_other_units(units) == [("EA", "IP"), ("r", "d")]
