"""Plain formulas beside pymatgen: the same bits, the same refusals."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition

from sisso_sal.errors import InputError
from sisso_sal.oxides.elements import atomic_fractions, element_data, parse_formula
from sisso_sal.oxides.formulas import cannot_be_formula, plain_atoms

DATA = Path(__file__).parents[2] / "data"


def by_pymatgen(text):
    """Atoms of each element as pymatgen counts them, in alphabetical order; None for what is no formula of the table's elements."""
    try:
        amounts = {str(symbol): float(n) for symbol, n in Composition(text, strict=True).items()}
    except (ValueError, TypeError, KeyError):
        return None
    return dict(sorted(amounts.items())) if amounts and set(amounts) <= set(element_data()) else None


def by_us(text):
    try:
        return parse_formula(text)
    except InputError:
        return None


SYMBOLS = st.sampled_from(sorted(element_data()))
NUMBERS = st.one_of(
    st.just(""),
    st.integers(0, 30).map(str),
    st.floats(1e-9, 100).map(lambda x: f"{x:.3f}"),
    st.sampled_from(["0.5", ".25", "2.", "1e3", "0.000000001", "007", "12345678901234567890", "1.2.3", "1" * 400]),
)
ATOMS = st.builds(str.__add__, SYMBOLS, NUMBERS)


def _bracketed(inner):
    pairs = st.sampled_from(["()", "[]", "{}", "(]"])
    group = st.builds(
        lambda pair, parts, n: f"{pair[0]}{''.join(parts)}{pair[1]}{n}", pairs, st.lists(inner, max_size=3), NUMBERS
    )
    return st.one_of(inner, group)


FORMULAS = st.lists(st.recursive(ATOMS, _bracketed, max_leaves=6), min_size=1, max_size=5).map("".join)
NEARLY = st.text(st.sampled_from("OHFeCaSrx 0123.()[]-*@e_·²é"), max_size=12)


@given(FORMULAS)
def test_a_formula_has_the_bits_that_pymatgen_gives(text):
    ours, theirs = by_us(text), by_pymatgen(text)
    assert ours == theirs
    assert list(ours or ()) == list(theirs or ())


@given(NEARLY)
def test_what_is_nearly_a_formula_is_read_or_refused_as_by_pymatgen(text):
    assert by_us(text) == (by_pymatgen(text) if text.strip() else None)
    if cannot_be_formula(text):
        assert by_pymatgen(text) is None


@given(st.text(st.sampled_from("ABabeO019 -._()/"), max_size=10))
def test_what_cannot_be_a_formula_is_none(text):
    if cannot_be_formula(text):
        assert by_pymatgen(text) is None


@given(st.lists(FORMULAS, min_size=1, max_size=6))
def test_the_shares_have_the_bits_of_the_amounts_one_by_one(texts):
    amounts, found = [by_pymatgen(text) for text in texts], atomic_fractions(texts)
    if any(row is None for row in amounts):
        assert found is None
        return
    expected = np.zeros((len(texts), len(element_data())))
    for row, atoms in zip(expected, amounts, strict=True):
        row[[list(element_data()).index(symbol) for symbol in atoms]] = list(atoms.values())
    with np.errstate(invalid="ignore"):
        assert np.array_equal(found, expected / expected.sum(axis=1, keepdims=True), equal_nan=True)


@pytest.mark.parametrize("name", ["oxides.csv", "melting.csv"])
def test_every_formula_of_the_data_is_plain_and_as_by_pymatgen(name):
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        texts = [row[0] for row in csv.reader(file)][1:]
    for text in texts:
        assert plain_atoms(text) is not None
        assert parse_formula(text) == by_pymatgen(text)


def test_deuterium_and_tritium_are_hydrogen():
    assert parse_formula("D2O") == parse_formula("T2O") == by_pymatgen("D2O") == {"H": 2.0, "O": 1.0}
    assert parse_formula("HDO") == {"H": 2.0, "O": 1.0}


@pytest.mark.parametrize("text", ["Y3N@C80", " Mg O ", "Li1e-1 O", "Fe2 (S O4)3", "Mg-1O", "O1.2.3", "(H1e999)0O"])
def test_odd_formulas_are_as_by_pymatgen(text):
    assert by_us(text) == by_pymatgen(text)


def test_hydrates_nested_brackets_and_repeated_elements():
    assert parse_formula("CuSO4(H2O)5") == {"Cu": 1.0, "H": 10.0, "O": 9.0, "S": 1.0}
    assert parse_formula("K4[Fe(CN)6]3") == {"C": 18.0, "Fe": 3.0, "K": 4.0, "N": 18.0}
    assert plain_atoms("CH3COOH") == [("C", 1.0), ("H", 3.0), ("C", 1.0), ("O", 1.0), ("O", 1.0), ("H", 1.0)]
    assert atomic_fractions([]).shape == (0, len(element_data()))
