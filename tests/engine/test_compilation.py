"""Kernels that do not count references to arrays must not give any to those that count."""

from inspect import getclosurevars

import numba
import pytest
from compiled import compile_classes, compile_regression, needs_compiled

from sisso_sal.engine import (
    _duplicates,
    _hulls,
    _logistic,
    _logistic_bounds,
    _overlap,
    _pairs,
    _scores,
    _subsets,
    _thresholds,
    _values,
)
from sisso_sal.engine._compilation import VIEWS

MODULES = (_duplicates, _hulls, _logistic, _logistic_bounds, _overlap, _pairs, _scores, _subsets, _thresholds, _values)


def kernels(module):
    return {name: item for name, item in vars(module).items() if hasattr(item, "nopython_signatures")}


def counts(kernel):
    return kernel.targetoptions.get("_nrt", True)


def holds_an_array(kind):
    return isinstance(kind, numba.types.Array) or any(map(holds_an_array, getattr(kind, "types", ())))


def gives_arrays(kernel):
    return any(holds_an_array(signature.return_type) for signature in kernel.nopython_signatures)


@needs_compiled
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_who_does_not_count_gives_arrays_only_to_those_that_do_not_count_either(module):
    compile_regression()
    compile_classes()
    own = kernels(module)
    for kernel in own.values():
        called = [other for other in getclosurevars(kernel.py_func).globals.values() if other in own.values()]
        if counts(kernel):
            assert [other for other in called if not counts(other) and gives_arrays(other)] == []
        elif not kernel.targetoptions.get("no_cpython_wrapper"):
            assert not gives_arrays(kernel)  # to Python, which counts


@needs_compiled
def test_the_check_sees_arrays_that_are_given_back():
    @numba.njit(**{**VIEWS, "cache": False})
    def part(values):
        return values[1:], 2

    part.compile((numba.float64[::1],))
    assert gives_arrays(part)
    assert not counts(part)
    assert sum(len(kernels(module)) for module in MODULES) > 30
    assert not gives_arrays(_pairs.sweep_products)
