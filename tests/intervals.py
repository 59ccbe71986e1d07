"""Numbers with the rounding that they may have: an interval that holds the value whatever the order in which a sum was made."""

import math

ROUNDING = 8 * 2.0**-53
"""Of each operation, relative to the largest of its operands and its result, so that terms that cancel leave their rounding."""


class Interval:
    """All numbers from `low` to `high`; any number at all, or none, where one of them is NaN."""

    def __init__(self, low, high, *sizes):
        wide = ROUNDING * max(abs(low), abs(high), *map(abs, sizes), 0.0) if sizes else 0.0
        self.low, self.high = low - wide, high + wide
        if math.isinf(low) or math.isinf(high) or self.low != self.low:  # beyond the largest number anything may come
            self.low = self.high = math.nan

    def __contains__(self, value):
        return math.isnan(self.low) or math.isnan(self.high) or self.low <= value <= self.high

    def __add__(self, other):
        return Interval(self.low + other.low, self.high + other.high, *self.ends, *other.ends)

    def __neg__(self):
        return Interval(-self.high, -self.low)

    def __sub__(self, other):
        return self + -other

    def __mul__(self, other):
        products = [a * b for a in self.ends for b in other.ends]
        return _spanned(products)

    def __rtruediv__(self, one):
        return Interval(one, one) / self

    def __truediv__(self, other):
        if math.isnan(other.low) or other.low <= 0.0 <= other.high:
            return Interval(math.nan, math.nan)
        return _spanned([a / b for a in self.ends for b in other.ends])

    def __pow__(self, power):
        values = [_power(end, power) for end in self.ends]
        if power % 2 == 0 and self.low <= 0.0 <= self.high:
            values.append(0.0)
        return _spanned(values)

    def __abs__(self):
        return _spanned([*map(abs, self.ends), *([0.0] if self.low <= 0.0 <= self.high else [])])

    @property
    def ends(self):
        return self.low, self.high


def _spanned(values):
    if any(map(math.isnan, values)):
        return Interval(math.nan, math.nan)
    return Interval(min(values), max(values), *values)


def _power(value, power):
    try:
        return value**power
    except OverflowError:
        return math.inf


def _growing(function):
    """On intervals a function that grows; where it is not defined on all of the interval, anything may come."""

    def on_interval(interval):
        try:
            return _spanned([function(end) for end in interval.ends])
        except (ValueError, OverflowError):
            return Interval(math.nan, math.nan)

    return on_interval


def _wave(function):
    def on_interval(interval):
        if math.isnan(interval.low):
            return interval
        middle, half = 0.5 * (interval.low + interval.high), 0.5 * (interval.high - interval.low)
        return Interval(function(middle) - half, function(middle) + half, 1.0)

    return on_interval


FUNCTIONS = {
    "abs": abs,
    **{name: _growing(getattr(math, name)) for name in ("sqrt", "cbrt", "exp", "log")},
    **{name: _wave(getattr(math, name)) for name in ("sin", "cos")},
}
