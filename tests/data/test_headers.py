"""Headers and the text of units: every form that people write, and none that they do not mean."""

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.data.headers import COMMON_UNITS, header_notes, split_header
from sisso_sal.data.unit_text import known_power, read_factors
from sisso_sal.errors import UnitError


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("EA [eV]", ("EA", "eV")),
        ("EA[eV]", ("EA", "eV")),
        ("S [J/(mol K)]", ("S", "J/(mol K)")),
        ("N [-]", ("N", "-")),
        ("T [K]", ("T", "K")),
        ("EN [Pauling]", ("EN", "Pauling")),
        ("radius/Å", ("radius", "Å")),
        ("radius/A\u030a", ("radius", "A\u030a")),
        ("IP/eV", ("IP", "eV")),
        ("IP / eV", ("IP", "eV")),
        ("V/Å3", ("V", "Å3")),
        ("ω/cm-1", ("ω", "cm-1")),
        ("E/(eV/atom)", ("E", "eV/atom")),
        ("D/(g cm-3)", ("D", "g cm-3")),
        ("m/kg", ("m", "kg")),
        ("w/%", ("w", "%")),
        ("f(x)/Å", ("f(x)", "Å")),
        ("EA, eV", ("EA", "eV")),
        ("r_s, Å", ("r_s", "Å")),
        ("v, m/s", ("v", "m/s")),
        ("S, J/(mol K)", ("S", "J/(mol K)")),
        ("gap (PBE), eV", ("gap (PBE)", "eV")),
        ("c/a, Å", ("c/a", "Å")),
        ("x/y (eV)", ("x/y", "eV")),
        ("E* (eV)", ("E*", "eV")),
        ("n/V (1/Å3)", ("n/V", "1/Å3")),
    ],
)
def test_a_unit_in_brackets_behind_a_slash_or_a_comma(header, expected):
    assert split_header(header) == expected


@pytest.mark.parametrize(
    "name",
    [
        "c/a", "a/b", "c/d", "d/b", "I/P", "E/A", "T/K", "G/K", "B/G", "V/V0", "mass/m", "m/e", "F/(m g)", "E/atom", "E/mol",
        "V/atom", "eV/atom", "kJ/mol", "Fe/Co", "HOMO/LUMO", "min/max", "a/b/c", "E/eV/atom", "d/(a+b)", "1/Å", "/Å", "x/",
        "a, b", "a, c", "T, K", "U, V", "x,", ",eV", "/,Å", "x[0]", "x[1]", "x[Fe]", "x[C]", "[eV]", "T[K]", "gap [PBE]",
        "Eg_eV", "E_F", "N_A", "r_cov", "EA eV", "I/P/E-A", "r+s", "2theta", "radius/foo", "x, foo", "E (eV)/atom",
    ],
)  # fmt: skip
def test_what_is_likelier_a_name_stays_one(name):
    assert split_header(name) == (name, "")
    if not name.endswith("/"):
        assert split_header(f"{name} (eV)") == (name, "eV")


@given(st.text("abEVKÅ/,()[] _1-", max_size=14))
@settings(deadline=None)
def test_splitting_loses_nothing_and_a_header_written_from_it_is_split_alike(header):
    name, unit = split_header(header)
    assert set(name + unit) <= set(header)
    if name and unit:
        assert split_header(f"{name} ({unit})") == (name, unit)


def test_notes_say_what_was_read_and_what_was_not():
    assert header_notes(["EA (eV)", "IP [eV]", "N_val", "c/a", "E/atom", "x[Fe]", "r_cov", "E_F"]) == []
    assert header_notes(["radius/Å", "EA, eV"]) == [
        "units read: 'radius/Å' as 'radius' in 'Å', 'EA, eV' as 'EA' in 'eV'"
    ]
    assert header_notes(["Eg_eV", "T/K", "EA eV", "E/eV/atom", "k/(W/(m K))", "x[C]"]) == [
        "no unit read from 'Eg_eV', 'T/K', 'EA eV', 'E/eV/atom', 'k/(W/(m K))' and 1 more; where there is one, "
        "write it as in 'Eg (eV)'"
    ]
    assert header_notes(["k/(W/(m K))"])[0].endswith("write it as in 'k (W/(m K))'")
    assert header_notes(["r (A)", "J (A/m2)"]) == ["'r (A)', 'J (A/m2)': A is ampere; for ångström write Å or AA"]
    assert header_notes(["T (°C)"])[0].startswith("'T (°C)': the zero of this scale is arbitrary")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("g cm-3", {"g": 1, "cm": -3}),
        ("g·cm^-3", {"g": 1, "cm": -3}),
        ("g.cm-3", {"g": 1, "cm": -3}),
        ("W·m⁻¹·K⁻¹", {"W": 1, "m": -1, "K": -1}),
        ("W m−1 K−1", {"W": 1, "m": -1, "K": -1}),
        ("eV*Å", {"eV": 1, "Å": 1}),
        ("eV Å", {"eV": 1, "Å": 1}),
        ("Å^3", {"Å": 3}),
        ("Å ** 3", {"Å": 3}),
        ("Å³", {"Å": 3}),
        ("Å^{-3}", {"Å": -3}),
        ("eV³⁄²", {"eV": Fraction(3, 2)}),
        ("eV³⁄₂", {"eV": Fraction(3, 2)}),
        ("eV^(3/2)", {"eV": Fraction(3, 2)}),
        ("eV**0.5", {"eV": Fraction(1, 2)}),
        ("J/mol/K", {"J": 1, "mol": -1, "K": -1}),
        ("J/(mol K)", {"J": 1, "mol": -1, "K": -1}),
        ("(eV/Å)^2", {"eV": 2, "Å": -2}),
        ("1/Å", {"Å": -1}),
        ("1/(eV*Å)", {"eV": -1, "Å": -1}),
        ("at.%", {"at.%": 1}),
        ("eV/f.u.", {"eV": 1, "f.u.": -1}),
        ("eV per atom", {"eV": 1, "atom": -1}),
        ("meV per square Å", {"meV": 1, "Å": -2}),
        ("m s squared", {"m": 1, "s": 2}),
        ("μm", {"µm": 1}),
        ("°C", {"°C": 1}),
        ("", {}),
        (" Unitless ", {}),
    ],
)
def test_products_powers_and_fractions(text, expected):
    assert dict(read_factors(text)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m//s", "needs a product of units such as eV/Å**3, g cm-3 or J/(mol K), found '/'"),
        ("m%s", "needs a product of units such as eV/Å**3, g cm-3 or J/(mol K), found '%'"),
        ("m**9**9**9", "needs a product of units such as eV/Å**3, g cm-3 or J/(mol K), found '**'"),
        ("J/mol K", "needs parentheses where more than one unit is below the line, as in J/(mol K), found a product"),
        ("W/m·K", "needs parentheses where more than one unit is below the line, as in J/(mol K), found a product"),
        ("10^3 kg", "needs a product of units without numbers (multiply the values instead), found 10"),
        (
            "m^13",
            "needs powers other than 0 with at most 12 above and below the line, such as 3, -1/2 or 0.5, found 13",
        ),
        ("m^0.333", "needs powers other than 0 with at most 12 above and below the line"),
        ("m^999999999999999999999999999999", "needs powers other than 0 with at most 12"),
        ("m^0", "needs powers other than 0"),
        ("(m^4)^4", "needs powers other than 0 with at most 12"),
        ("m^(1/0)", "needs a power such as **2, ^-1 or ^(1/2), found '1/0'"),
        ("m^", "needs a power such as **2, ^-1 or ^(1/2), found 'its end'"),
        ("((((((m))))))", "needs at most 4 parentheses inside each other, found more"),
        ("(m", "found no closing parenthesis"),
        ("m)", "found ')'"),
        ("eV/", "found nothing behind it"),
        ("m" * 129, "needs at most 128 characters, found 129"),
        ("<b>", "found '<'"),
    ],
)
def test_what_is_no_unit_is_refused_at_once(text, message):
    start = time.monotonic()
    with pytest.raises(UnitError) as caught:
        read_factors(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 1


@given(st.text("mseV9^*/() .-³⁄²%", max_size=40))
@settings(deadline=None)
def test_any_text_is_read_or_refused(text):
    try:
        factors = read_factors(text)
    except UnitError:
        return
    assert all(0 < abs(power.numerator) <= 12 and power.denominator <= 12 for _, power in factors)


def test_digits_belong_to_a_name_that_is_known_with_them_or_not_at_all():
    known = {"Å", "H2O", "a0", "a"}.__contains__
    assert [known_power(word, known) for word in ("Å3", "H2O", "a0", "unit7", "Å")] == [
        ("Å", 3), ("H2O", 1), ("a0", 1), ("unit7", 1), ("Å", 1)
    ]  # fmt: skip


def test_every_common_unit_is_one_name_of_the_grammar():
    for name in COMMON_UNITS:
        assert read_factors(name) == ((name, 1),)
