"""Unit exponents: algebra, reading, printing, conversion."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.errors import SissoSalWarning, UnitError
from sisso_sal.features.dimension import (
    NONE,
    Dimension,
    check_units,
    conversion_factor,
    parse_unit,
    same_quantity_in_other_units,
)
from sisso_sal.features.symbols import latex_unit
from sisso_sal.models.display import unit_html

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
    with pytest.warns(SissoSalWarning, match=r"^unit 'zork' is not known: kept as a base unit of its own$") as caught:
        found = parse_unit("zork")
    assert [warning.filename for warning in caught] == [__file__]  # not a line of this package
    assert found.exponents == (("zork", Fraction(1)),)
    assert parse_unit("zork") == found  # warnings are errors: a second one would fail here
    assert found != EV
    assert parse_unit("zork**2/eV") == found**2 / EV


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


TEXTS = [
    ("Å3", "Å**3"), ("Å³", "Å**3"), ("\u212b", "Å"), ("A\u030a", "Å"), ("g cm-3", "g/cm**3"), ("kgf/mm2", "kgf/mm**2"),
    ("eV Å", "eV*Å"), ("eV³⁄²", "eV**(3/2)"), ("eV^(3/2)", "eV**(3/2)"), ("at.%", "at.%"), ("at%", "at.%"), ("%", "%"),
    ("e/atom", "e/atom"), ("eV/f.u.", "eV/f.u."), ("eV/fu", "eV/f.u."), ("μm", "µm"), ("µm", "µm"), ("1/Å", "1/Å"),
    ("Å-1", "1/Å"), ("deg", "deg"), ("°", "deg"), ("K", "K"), ("T", "T"), ("Pauling", "Pauling"), ("atoms", "atom"),
    ("bohr", "a_0"), ("a0", "a_0"), ("Ha", "E_h"), ("µB", "µ_B"), ("°C", "°C"), ("degC", "°C"), ("eV/°C", "eV/°C"),
    ("J/mol/K", "J/(K*mol)"), ("kJ/mol", "kJ/mol"), ("m/m", ""), ("dimensionless", ""), ("mmHg", "mmHg"), ("cmH2O", "cmH2O"),
    ("rydberg_constant", "rydberg_constant"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "printed"), TEXTS, ids=[text for text, _ in TEXTS])
def test_units_as_people_write_them(text, printed):
    assert str(parse_unit(text)) == printed
    assert parse_unit(printed) == parse_unit(text)


@pytest.mark.parametrize("text", ["dB", "dBm", "Np", "decade", "eV/dB", "mdB"])
def test_a_logarithmic_unit_is_refused(text):
    with pytest.raises(UnitError, match="needs a unit that c"):
        parse_unit(text)


def test_every_unit_of_pint_is_read_back_as_it_is_printed_or_refused():
    import pint

    refused = []
    for name in pint.UnitRegistry()._units:
        try:
            dimension = parse_unit(name)
        except UnitError:
            refused.append(name)
            continue
        assert parse_unit(str(dimension)) == dimension
        assert unit_html(dimension)
        assert latex_unit(dimension.exponents)
    assert 0 < len(refused) < 40  # logarithmic ones


NAMES = st.sampled_from(["eV", "Å", "AA", "K", "kJ", "mol", "atom", "f.u.", "at.%", "%", "°C", "µm", "Pauling", "zork"])
FACTORS = st.tuples(NAMES, st.sampled_from(["", "^2", "^-1", "^(1/3)", "**-2", "³", "⁻¹"]))


@pytest.mark.filterwarnings("ignore:unit 'zork' is not known:UserWarning")
@given(st.lists(FACTORS, min_size=1, max_size=4, unique_by=lambda factor: factor[0]), st.integers(0, 4))
@settings(deadline=None)
def test_what_is_printed_is_read_back_as_the_same_dimension(factors, n_below):
    texts = ["".join(factor) for factor in factors]
    above, below = texts[n_below:], texts[:n_below]
    dimension = parse_unit((" ".join(above) or "1") + (f"/({'·'.join(below)})" if below else ""))
    assert parse_unit(str(dimension)) == dimension
    assert unit_html(dimension).count("<sup>") == sum(power != 1 for _, power in dimension.exponents)


def test_powers_are_bounded_in_all():
    with pytest.raises(UnitError, match="at most 12"):
        parse_unit("m12 m")
    assert str(parse_unit("m12")) == "m**12"


def test_a_table_names_the_column_of_a_bad_unit():
    check_units("t.csv", [("EA (eV)", "eV"), ("N", "")])
    with pytest.raises(UnitError, match=r"^t\.csv: column 'x \(m//s\)': unit 'm//s': needs a product"):
        check_units("t.csv", [("EA (eV)", "eV"), ("x (m//s)", "m//s")])


def test_conversion():
    assert conversion_factor("eV/atom", "meV/atom") == pytest.approx(1e3, rel=1e-12)
    assert conversion_factor("g cm-3", "kg/m^3") == pytest.approx(1e3, rel=1e-12)
    assert conversion_factor("eV/°C", "eV/K") == 1.0  # differences of temperature
    assert conversion_factor("meV", "eV") == pytest.approx(1e-3, rel=1e-12)
    assert conversion_factor("AA", "angstrom") == 1.0
    assert conversion_factor("kJ/mol", "kJ/mol") == 1.0


@pytest.mark.parametrize(
    ("found", "needed", "message"),
    [
        ("eV", "AA", "needs a unit that converts to 'AA', found 'eV'"),
        ("eV/atom", "eV/mol", "needs a unit that converts to 'eV/mol', found 'eV/atom'"),
        ("eV/atom", "eV", "needs a unit that converts to 'eV', found 'eV/atom'"),
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
