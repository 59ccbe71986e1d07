"""What is to be written, and the pieces that the languages share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from sisso_sal.errors import SettingsError
from sisso_sal.features.dimension import parse_unit
from sisso_sal.features.expression import as_factor
from sisso_sal.features.names import quoted
from sisso_sal.features.operators import OPERATORS
from sisso_sal.models.linear import REACH, SISSOModel, Term
from sisso_sal.models.transform import TargetTransform
from sisso_sal.system.printable import printable

POWERS = {f"sisso_{row.name}": row.body for row in OPERATORS.values() if row.body}
"""Bodies of the functions that an export brings along; the same text in Python, C and Fortran, and what numpy computes."""


@dataclass(frozen=True)
class Job:
    """What is to be written; `names` maps each primary feature, sorted, to what stands for it in the text.

    Numbers of the models have `n_digits` significant digits already, but for the intercept of a product, which is a logarithm.
    """

    models: tuple[SISSOModel, ...]
    target: str
    target_unit: str
    units: dict[str, str]
    scale: float
    names: dict[str, str]
    task: str = ""
    n_digits: int | None = None

    @property
    def is_ensemble(self) -> bool:
        return len(self.models) > 1

    @property
    def needed(self) -> int:
        """Fewest valid members that give a mean."""
        return max(2, (len(self.models) + 1) // 2)

    @property
    def has_power(self) -> bool:
        """Whether the inverse of a Yeo-Johnson transform is needed."""
        return any(model.link.kind == "yeo-johnson" for model in self.models)

    @property
    def has_link(self) -> bool:
        """Whether a model has learned a transformed target."""
        return any(not model.link.is_identity for model in self.models)

    def arguments(self, model: SISSOModel) -> list[str]:
        """Identifiers of the primary features of one model."""
        return [self.names[name] for name in model.primaries()]

    def title(self) -> str:
        kind = f"mean of an ensemble of {len(self.models)} SISSO models" if self.is_ensemble else "a SISSO model"
        of_task = f" of {self.task}" if self.task else ""
        return printable(f"{self.target}{of_task}{f' ({self.target_unit})' if self.target_unit else ''}, {kind}")

    def input(self, name: str) -> str:
        """Primary feature and unit, for a comment."""
        return printable(f"primary feature {name!r}, {unit_phrase(self.units.get(name, ''))}")

    def inputs(self) -> list[str]:
        """A line for each input: what stands for which primary feature."""
        return [f"{short}: {self.input(name)}" for name, short in self.names.items()]

    def about(self) -> list[str]:
        """Title and a line for each input."""
        return [self.title(), *self.inputs()]

    def undefined(self) -> str:
        """When there is no prediction."""
        if self.is_ensemble:
            return f"NaN where fewer than {self.needed} of {len(self.models)} members are valid."
        if self.has_link:
            return "NaN where a descriptor is undefined or the sum is beyond the range of the transform."
        return "NaN where a descriptor is undefined."

    def spread(self) -> str:
        """What the standard deviation is."""
        return f"The standard deviation is that of the valid members, times {self.scale!r}."

    def formula(self, model: SISSOModel) -> list[str]:
        """The model in identifiers, a line for each term, every coefficient with its unit."""
        unit = str(parse_unit(self.target_unit)) if model.link.is_identity else ""
        if model.is_product:
            return [printable(line) for line in model.equation(self.target).splitlines()]
        head = model.link.phrase(quoted(self.target))
        lines = [printable(f"{head} = {model.intercept!r}{f' [{unit}]' if unit else ''}")]
        for term, unit in zip(model.terms, model.coefficient_units(self.target_unit), strict=True):
            factor = as_factor(term.expression, "text", self.names)
            size = " ".join(filter(None, [digits(abs(term.coefficient)), unit]))
            lines.append(printable(f"    {sign_of(term.coefficient)} {size} * {factor}"))
        return lines


def rounded(models: Iterable[SISSOModel], form: str, n_digits: int) -> tuple[SISSOModel, ...]:
    """Models whose intercepts and coefficients have so many significant digits, for people to read; not logarithms of factors.

    Raises
    ------
    SettingsError
        The form predicts.
    """
    if form != "latex":
        raise SettingsError(f"digits: needs the format latex, found {form}, which predicts and keeps all digits")

    def short(value: float) -> float:
        return float(f"{value:.{n_digits}g}")

    return tuple(
        replace(
            one,
            intercept=one.intercept if one.is_product else short(one.intercept),
            terms=tuple(replace(t, coefficient=short(t.coefficient)) for t in one.terms),
        )
        for one in models
    )


def unit_phrase(unit: str) -> str:
    return f"in {unit}" if unit else "no unit"


def digits(value: float) -> str:
    return repr(float(value))


def sign_of(value: float) -> str:
    return "-" if math.copysign(1.0, value) < 0 else "+"


def limits(term: Term) -> tuple[float, float]:
    """Smallest and largest value of a descriptor with which a member is valid."""
    margin = REACH * (term.high - term.low)
    return float(term.low - margin), float(term.high + margin)


def inverse_step(link: TargetTransform, exp: str, power: str, number: Callable[[float], str] = digits) -> str:
    """Assignment that turns `total` from the sum into the target; `exp` and `power` are the functions for it."""
    if link.kind == "log":
        return f"total = {exp}(total)"
    centre, scale, exponent = map(number, (link.centre, link.scale, link.exponent))
    return f"total = {centre} + {scale} * {power}(total, {exponent})"


def functions_called(job: Job, language: str) -> list[str]:
    """Functions that the descriptors call in a language, sorted."""
    codes = (summand.to_code(language, job.names) for model in job.models for summand in model.summands)
    return sorted({name for code in codes for name in re.findall(r"(\w+)\(", code)})


def document(*blocks: Iterable[str]) -> str:
    """Blocks of lines with an empty line between them."""
    return "\n\n".join("\n".join(block) for block in map(list, blocks) if block) + "\n"


def docstring(lines: list[str]) -> list[str]:
    """Lines of Python with this text as a docstring."""
    text = "\n".join(lines).replace("\\", "\\\\").replace('"', '\\"')
    closing = "\n" if len(lines) > 1 else ""
    return f'"""{text}{closing}"""'.split("\n")


def indented(lines: Iterable[str], by: int = 4) -> list[str]:
    return [" " * by + line if line else "" for line in lines]


def assignments(
    job: Job, model: SISSOModel, language: str, check: str, number: Callable[[float], str] = digits
) -> list[str]:
    """Assignments that leave the prediction in `total`; for a member, `check` is the assignment to `valid`."""
    steps = [f"total = {number(model.intercept)}"]
    for term, summand in zip(model.terms, model.summands, strict=True):
        steps.append(f"descriptor = {summand.to_code(language, job.names)}")
        if job.is_ensemble:
            low, high = map(number, limits(term))
            steps.append(check.format(f"descriptor, {low}, {high}"))
        steps.append(f"total = total + {number(term.coefficient)} * descriptor")
    return steps
