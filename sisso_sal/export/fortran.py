"""Models as a Fortran 2008 module."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from sisso_sal.export.job import POWERS, Job, assignments, digits, document, functions_called, indented, inverse_step
from sisso_sal.models.linear import SISSOModel

FORTRAN_WIDTH = 132


_FORTRAN_INVERSE_POWER = (
    "power = merge(2.0_dp - exponent, exponent, x < 0.0_dp)",
    "total = abs(x)",
    "if (abs(power) > 0.0_dp) total = sisso_log1p(power * total) / power",
    "total = sign(sisso_expm1(total), x)",
)
"""Inverse of the transform of Yeo and Johnson."""

_INVERSE_CALLS = ["sisso_expm1", "sisso_log1p"]


def write_fortran(job: Job) -> str:
    calls = functions_called(job, "fortran")
    head = [
        *_fortran_comment([*job.about(), job.undefined(), "Compile without -ffast-math, which breaks NaN."]),
        "module sisso_model",
        "  use, intrinsic :: ieee_arithmetic, only: ieee_is_finite, ieee_quiet_nan, ieee_value",
        "  use, intrinsic :: iso_fortran_env, only: dp => real64",
        *("  implicit none", "  private", "  public :: sisso_predict"),
        *_fortran_interface(_from_c_library(calls) + _INVERSE_CALLS * job.has_power),
        "contains",
    ]
    powers = (
        _fortran_function(name, ["x"], "total", [f"total = {POWERS[name]}"], ["real(dp) :: total"])
        for name in calls
        if name in POWERS
    )
    declared = ["real(dp) :: total, power"]
    inverse = _fortran_function("sisso_inverse_power", ["x", "exponent"], "total", [*_FORTRAN_INVERSE_POWER], declared)
    functions = _fortran_ensemble(job) if job.is_ensemble else [_fortran_single(job)]
    blocks = [*powers, *([inverse] if job.has_power else []), *functions]
    return document(head, *(indented(_folded(block), 2) for block in blocks), ["end module sisso_model"])


def _from_c_library(calls: list[str]) -> list[str]:
    """Those of the functions called that Fortran lacks and the module does not define."""
    return [name for name in calls if name.startswith("sisso_") and name not in POWERS]


def _fortran_interface(names: list[str]) -> list[str]:
    """What the C library has and Fortran lacks; `sisso_` before the name in C."""
    if not names:
        return []
    bodies = (
        [
            f'pure function {name}(x) bind(c, name="{name.removeprefix("sisso_")}") result(total)',
            "  use, intrinsic :: iso_c_binding, only: c_double",
            "  real(c_double), value, intent(in) :: x",
            "  real(c_double) :: total",
            f"end function {name}",
        ]
        for name in names
    )
    return ["  interface", *indented(line for body in bodies for line in body), "  end interface"]


def _fortran_comment(lines: list[str]) -> list[str]:
    width = FORTRAN_WIDTH - 12
    folded = (textwrap.wrap(line, width, subsequent_indent="    ", replace_whitespace=False) for line in lines)
    return [f"! {line}" for part in folded for line in part]


def _fortran_number(value: float) -> str:
    text = f"{digits(value)}_dp"
    return f"({text})" if text.startswith("-") else text


def _folded(lines: Iterable[str]) -> list[str]:
    """Lines short enough for Fortran, with continuations between tokens."""
    folded = []
    for line in lines:
        while len(line) > FORTRAN_WIDTH - 4:
            cut = max(m.end() for m in re.finditer(r"[ (),]", line[: FORTRAN_WIDTH - 8]))
            folded.append(f"{line[:cut].rstrip()} &")
            line = f"      {line[cut:].lstrip()}"
        folded.append(line)
    return folded


def _fortran_function(name: str, names: Iterable[str], result: str, body: list[str], declared: list[str]) -> list[str]:
    names = list(names)
    return [
        f"elemental function {name}({', '.join(names)}) result({result})",
        *(f"  real(dp), intent(in) :: {argument}" for argument in names),
        *(f"  {line}" for line in [*declared, *body]),
        f"end function {name}",
    ]


def _fortran_inverse(model: SISSOModel) -> list[str]:
    if model.link.is_identity:
        return []
    low, high = map(_fortran_number, model.link.limits)
    limited = f"if (.not. (total >= {low} .and. total <= {high})) total = ieee_value(1.0_dp, ieee_quiet_nan)"
    return [limited, inverse_step(model.link, "exp", "sisso_inverse_power", _fortran_number)]


def _fortran_single(job: Job) -> list[str]:
    declared = ["real(dp) :: total, descriptor"]
    body = [
        *assignments(job, job.models[0], "fortran", "", _fortran_number),
        *_fortran_inverse(job.models[0]),
        "if (.not. ieee_is_finite(total)) total = ieee_value(1.0_dp, ieee_quiet_nan)",
    ]
    function = _fortran_function("sisso_predict", job.names.values(), "total", body, declared)
    return [*_fortran_comment(job.formula(job.models[0])), *function]


def _fortran_ensemble(job: Job) -> list[list[str]]:
    inside = "valid = ieee_is_finite(descriptor) .and. descriptor >= low .and. descriptor <= high"
    arguments = ["descriptor", "low", "high"]
    blocks = [_fortran_function("sisso_inside", arguments, "valid", [inside], ["logical :: valid"])]
    for number, model in enumerate(job.models, 1):
        body = [
            "valid = .true.",
            *assignments(job, model, "fortran", "valid = valid .and. sisso_inside({})", _fortran_number),
            *_fortran_inverse(model),
            "if (.not. (valid .and. ieee_is_finite(total))) total = ieee_value(1.0_dp, ieee_quiet_nan)",
        ]
        declared = ["real(dp) :: total, descriptor", "logical :: valid"]
        function = _fortran_function(f"sisso_member_{number}", job.arguments(model), "total", body, declared)
        blocks.append([*_fortran_comment([f"Member {number}:", *job.formula(model)]), *function])
    return [*blocks, _fortran_mean(job)]


def _fortran_mean(job: Job) -> list[str]:
    members = (f"sisso_member_{i}({', '.join(job.arguments(model))})" for i, model in enumerate(job.models, 1))
    body = [
        *(f"real(dp), intent(in) :: {name}" for name in job.names.values()),
        "real(dp), intent(out) :: mean, std",
        f"real(dp) :: values({len(job.models)})",
        f"logical :: valid({len(job.models)})",
        "integer :: i",
        *(f"values({i}) = {call}" for i, call in enumerate(members, 1)),
        "valid = ieee_is_finite(values)",
        "i = count(valid)",
        "mean = ieee_value(1.0_dp, ieee_quiet_nan)",
        "std = mean",
        f"if (i >= {job.needed}) then",
        "  mean = sum(values, mask=valid) / i",
        f"  std = {digits(job.scale)}_dp * sqrt(sum((values - mean)**2, mask=valid) / (i - 1))",
        "end if",
    ]
    head = f"elemental subroutine sisso_predict({', '.join(job.names.values())}, mean, std)"
    return [*_fortran_comment([job.spread()]), head, *indented(body, 2), "end subroutine sisso_predict"]
