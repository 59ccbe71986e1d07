"""Cells of text are numbers, text, or nearly numbers, for which the message says what to write."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sisso_sal.data.cells import LARGEST, classified, number_in

FINITE = st.floats(min_value=-LARGEST, max_value=LARGEST)


def read(cells, *, commas=False):
    (column,), converted = classified([pa.chunked_array([cells], pa.string())], commas=commas)
    return column, bool(converted)


def as_fortran(number, form):
    return format(number, form).upper().replace("E", "D")


@given(st.lists(FINITE, min_size=1), st.sampled_from([".17e", "+.17e"]), st.booleans(), st.booleans())
def test_a_number_as_fortran_or_with_a_typographic_minus_reads_the_same(numbers, form, is_lower, has_minus):
    cells = [as_fortran(number, form) for number in numbers]
    cells = [cell.lower() for cell in cells] if is_lower else cells
    cells = [cell.replace("-", "−", 1) if has_minus and cell.startswith("-") else cell for cell in cells]
    column, _ = read(cells)
    assert column.values.tolist() == numbers
    assert [number_in(cell) for cell in cells] == numbers


@given(st.lists(st.floats(min_value=-1e6, max_value=1e6).map(lambda number: round(number, 4)), min_size=1))
def test_decimal_commas_read_as_points_do_or_are_refused(numbers):
    cells = [f"{number:.4f}".replace(".", ",") for number in numbers]
    column, converted = read(cells, commas=True)
    assert converted
    assert column.values.tolist() == numbers
    assert column.texts() == tuple(f"{number:.4f}" for number in numbers)
    refused, _ = read(cells, commas=False)
    assert (refused.values, refused.bad) == (None, 0)


@pytest.mark.parametrize(
    ("cells", "advice"),
    [
        (["4%", "8 %"], "needs a number, found '4%'; write 4, with % as the unit in the header, or the fraction"),
        (["7.2350±0.1", "2.0 ± 0.1"], "needs a number, found '7.2350±0.1'; write 7.2350, without the error"),
        (["7.2+/-0.1", "1"], "needs a number, found '7.2+/-0.1'; write 7.2, without the error"),
        (["7.2(1)", "7.25(12)"], "needs a number, found '7.2(1)'; write 7.2, without the error in brackets"),
        (["1.5 eV", "2 eV"], "needs a number, found '1.5 eV'; write 1.5, with the unit eV in the header"),
        (["1.5eV", "2.0eV"], "needs a number, found '1.5eV'; write 1.5, with the unit eV in the header"),
        (["20 °C", "30 °C"], "needs a number, found '20 °C'; write 20, with the unit °C in the header"),
        (["1 234", "2\u2009345.5"], "needs a number, found '1 234'; write it without separators of thousands"),
        (["1'234", "2’345"], """needs a number, found "1'234"; write it without separators of thousands"""),
        (["1.234,5", "2.345,6"], "needs a number, found '1.234,5'; write it without separators of thousands"),
        (["<0.5", "0.7"], "needs a number, found '<0.5'; write 0.5, or leave the cell empty"),
        (["1/2", "1/3"], "needs a number, found '1/2'; write the fraction as a decimal number"),
        (["1.5-2.0", "2.5–3.0"], "needs a number, found '1.5-2.0'; write one number"),
        (["–1.5", "2"], "needs a number, found '–1.5'; write -1.5, with the minus sign of the keyboard"),
        (["1.5*", "2"], "needs a number, found '1.5*'; write 1.5, without the mark"),
        (["3d5", "1"], "needs a number, found '3d5'"),
    ],
)  # fmt: skip
def test_a_cell_that_begins_as_a_number_and_does_not_end_as_one_is_told(cells, advice):
    column, _ = read(cells)
    assert (column.values, column.bad, column.problem, column.reason) == (None, 0, advice, "")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["q", "p"], "text"),
        (["4/mmm", "-43m", "6/mmm"], "text"),
        (["2H-MoS2", "4H-SiC"], "text"),
        (["2H", "2H", "3R"], "text"),
        (["0.5Li2O-0.5SiO2", "0.3Li2O-0.7SiO2"], "text"),
        (["1 MgO", "2 CaO"], "text"),
        (["3d5", "3d6"], "text"),
        (["Fe2O3", "MgO", "1"], "text"),
        (["2024-01-05", "05.01.2024", "1/2/2024"], "dates"),
        (["n/a", "NaN", "-"], "no value"),
    ],
)
def test_text_is_text_also_where_it_begins_with_a_digit(cells, reason):
    column, _ = read(cells)
    assert (column.values, column.reason) == (None, reason)


MARKS = {
    # columns; values of each, or None where it is refused
    "sure": ([["1,5", "2"], ["1,234", "2,345"]], [[1.5, 2], [1.234, 2.345]]),
    "thousands or decimals": ([["1,234", "2,345"]], [None]),
    "whole": ([["1", "2"]], [[1, 2]]),
    "points beside commas": ([["1,5", "2,5"], ["0.5", "2.25"]], [[1.5, 2.5], [0.5, 2.25]]),
    "points that may separate thousands": ([["1,5", "2,5"], ["1.234", "2.345"]], [[1.5, 2.5], None]),
    "points alone": ([["1.234", "2.345"]], [[1.234, 2.345]]),
    "both in one column": ([["1,5", "2.5"]], [None]),
}


@pytest.mark.parametrize("case", MARKS)
def test_a_decimal_comma_is_read_where_it_can_be_nothing_else(case):
    columns, expected = MARKS[case]
    found, _ = classified([pa.chunked_array([cells], pa.string()) for cells in columns], commas=True)
    assert [None if one.values is None else one.values.tolist() for one in found] == expected
    assert [one.bad is None for one in found] == [values is not None for values in expected]


def test_the_message_on_a_comma_of_two_meanings_says_both():
    column, _ = read(["5", "1,234"], commas=True)
    assert column.bad == 1
    assert column.problem == (
        "needs one meaning, found '1,234', a decimal number or one with a separator of thousands; write 1.2340 or 1234"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "needs a number, found ''"), ("nan", "needs a number, found 'nan'; leave"), ("1e999", "needs a finite number"),
     ("1e101", "needs a number no larger than 1e+100"), ("1,5", "needs a decimal point and no other separator")],
)  # fmt: skip
def test_a_text_that_is_no_number_is_refused_as_in_a_table(text, told):
    with pytest.raises(ValueError) as caught:
        number_in(text)
    assert str(caught.value).startswith(told)
