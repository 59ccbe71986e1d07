"""What is looked for: the least or greatest value, a bound, a window, a share of all materials, or some classes."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from sisso_sal.errors import SettingsError
from sisso_sal.protocols.distribution import HIT_BOUND, Distribution
from sisso_sal.settings import names_classes
from sisso_sal.system.printable import in_list


@dataclass(frozen=True)
class Goal:
    """What is looked for.

    Attributes
    ----------
    kind : str
        ``min``, ``max``, ``below`` (at most `high`), ``above`` (at least `low`), ``window`` (from `low` to `high`), ``lowest`` or
        ``highest`` (the lowest or highest `share` of all materials), or ``classes`` (one of `classes`).
    low, high : float
        In the target's unit; infinite where there is no bound.
    share : float
        0 to 1, for ``lowest`` and ``highest``; else 0.
    classes : tuple of str
        Names, for ``classes``; else none. The label of a material is then 1 where its class is one of them and 0 where it is
        another, and `low` lies between (`HIT_BOUND`).

    Examples
    --------
    >>> Goal.parse("<=0.3")
    Goal(kind='below', low=-inf, high=0.3, share=0.0, classes=())
    >>> Goal.parse("1.2..1.8").kind
    'window'
    >>> str(Goal.parse("min 10%").resolved(Distribution.certain(np.arange(20.0))))
    '<=1'
    """

    kind: str
    low: float = -np.inf
    high: float = np.inf
    share: float = 0.0
    classes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Goal:
        """Read ``min``, ``max``, ``min 10%``, ``max 10%``, ``<=0.3``, ``>=2``, ``1.2..1.8`` or ``=perovskite,ilmenite``.

        Spaces within a number are refused. A class whose name has a comma stands in double quotes.

        Raises
        ------
        SettingsError
            The text is none of these.

        Examples
        --------
        >>> Goal.parse('=rock salt, "ABO3, cubic"').classes
        ('rock salt', 'ABO3, cubic')
        """
        if names_classes(text):
            return cls("classes", low=HIT_BOUND, classes=_classes_in(text))
        compact = text if re.search(r"\d\s+\d", text) else "".join(text.split())
        number = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
        if compact in {"min", "max"}:
            return cls(compact)
        if match := re.fullmatch(r"(min|max)(\d+\.?\d*|\.\d+)%", compact):
            share = float(Decimal(match[2]).scaleb(-2))
            if 0 < share < 1:
                return cls("lowest" if match[1] == "min" else "highest", share=share)
        if (match := re.fullmatch(rf"([<>])=?({number})", compact)) and np.isfinite(bound := float(match[2])):
            return cls("below", high=bound) if match[1] == "<" else cls("above", low=bound)
        if match := re.fullmatch(rf"({number})\.\.({number})", compact):
            low, high = float(match[1]), float(match[2])
            if -np.inf < low < high < np.inf:
                return cls("window", low=low, high=high)
        raise SettingsError(
            f"goal: needs min, max, 'min 10%', '<=0.3', '>=2', '1.2..1.8' or '=CLASS', found '{text.strip()}'"
        )

    def __str__(self) -> str:
        low, high = _shortest(self.low), _shortest(self.high)
        percent = f"{Decimal(repr(float(self.share))).scaleb(2):f}%"
        forms = {"below": f"<={high}", "above": f">={low}", "window": f"{low}..{high}"}
        forms |= {
            "lowest": f"min {percent}",
            "highest": f"max {percent}",
            "classes": f"={','.join(map(in_list, self.classes))}",
        }
        return forms.get(self.kind, self.kind)

    def in_words(self, target: str, unit: str = "") -> str:
        """What is looked for, as a phrase.

        Examples
        --------
        >>> Goal.parse("min").in_words("gap"), Goal.parse("1.2..1.8").in_words("gap", "eV")
        ('the smallest gap', 'gap from 1.2 to 1.8 eV')
        """
        tail = f" {unit}" if unit else ""
        return {
            "min": f"the smallest {target}",
            "max": f"the largest {target}",
            "below": f"{target} of at most {self.high:g}{tail}",
            "above": f"{target} of at least {self.low:g}{tail}",
            "window": f"{target} from {self.low:g} to {self.high:g}{tail}",
            "lowest": f"the lowest {100 * self.share:g} % of {target}",
            "highest": f"the highest {100 * self.share:g} % of {target}",
            "classes": f"{target} {_either(self.classes)}",
        }[self.kind]

    @property
    def bound_in_words(self) -> str:
        """The bound alone, to four digits; where there is none, the goal as it is written in the settings.

        Examples
        --------
        >>> Goal.parse("<=0.3").bound_in_words, Goal.parse("max").bound_in_words, Goal.parse("=A,B").bound_in_words
        ('at most 0.3', 'max', 'A or B')
        """
        bounds = {"below": f"at most {self.high:.4g}", "above": f"at least {self.low:.4g}"}
        return (bounds | {"window": f"{self.low:.4g} to {self.high:.4g}", "classes": _either(self.classes)}).get(
            self.kind, str(self)
        )

    @property
    def sign(self) -> float:
        """1 where small values are good, -1 where large ones are."""
        return -1.0 if self.kind in {"max", "above", "highest", "classes"} else 1.0

    @property
    def has_direction(self) -> bool:
        """Whether small values are good, or large ones; a window has no direction."""
        return self.kind != "window"

    @property
    def has_bound(self) -> bool:
        """Whether a single value tells if the goal is reached."""
        return self.kind in {"below", "above", "window", "classes"}

    def label_of(self, name: str) -> float:
        """1 where a class is one of those that are looked for, else 0.

        Examples
        --------
        >>> goal = Goal.parse("=perovskite")
        >>> goal.label_of("perovskite"), goal.label_of("ilmenite")
        (1.0, 0.0)
        """
        return 1.0 if name in self.classes else 0.0

    def labels_of(self, names: Sequence[str]) -> np.ndarray:
        """ndarray (n,): the same of n names, NaN where one is empty."""
        return np.array([self.label_of(name) if name else np.nan for name in names], dtype=np.float64)

    def with_share(self, share: float) -> Goal:
        """``min`` and ``max`` with the best `share`, 0 to 1, of all materials as the goal; any other goal as it is.

        Examples
        --------
        >>> str(Goal.parse("max").with_share(0.1)), str(Goal.parse("<=2").with_share(0.1))
        ('max 10%', '<=2')
        """
        kinds = {"min": "lowest", "max": "highest"}
        return Goal(kinds[self.kind], share=share) if self.kind in kinds else self

    def resolved(self, told: Distribution) -> Goal:
        """``lowest`` and ``highest`` with the bound that k of n materials are expected to reach; any other goal as it is.

        Predictions scatter less than the truth, so a quantile of predicted values would be too easy a bound.

        Parameters
        ----------
        told : Distribution
            Of all n materials, certain where there is a label. Only what is finite counts. The sum over the n of the probabilities
            to reach the bound is k = max(1, round(share n)); without spread it is the k-th lowest (highest).

        Raises
        ------
        SettingsError
            A share is wanted and no value is finite.
        """
        if self.kind not in {"lowest", "highest"}:
            return self
        finite = np.isfinite(told.centre) & np.isfinite(told.scale)
        if not finite.any():
            raise SettingsError(f"goal: needs values to find the bound of '{self}', found none that is finite")
        k, told = max(1, round(self.share * int(finite.sum()))), told.take(finite)
        if self.kind == "lowest":
            return Goal("below", high=_expected_bound(told, k))
        return Goal("above", low=-_expected_bound(told, k, mirrored=True))

    def reached(self, values: np.ndarray) -> np.ndarray:
        """Which values are within the bounds, the bounds included; NaN is not.

        Parameters
        ----------
        values : ndarray (n,)
            In the target's unit.

        Returns
        -------
        ndarray (n,) of bool

        Raises
        ------
        SettingsError
            The goal has no bound: ``min``, ``max``, or a share that is not resolved.

        Examples
        --------
        >>> Goal.parse("1..2").reached(np.array([0.9, 1.0, np.nan]))
        array([False,  True, False])
        """
        self.need_bound()
        return (values >= self.low) & (values <= self.high)

    def need_bound(self) -> None:
        """Raise `SettingsError` where there is no bound."""
        if not self.has_bound:
            raise SettingsError(f"goal: needs a bound to say what is reached, found '{self}'")

    def distance(self, values: np.ndarray) -> np.ndarray:
        """What orders values, smaller is better: the signed value, for a window its distance to the middle; target's unit."""
        if self.kind == "window":
            return np.abs(values - 0.5 * (self.low + self.high))
        return self.sign * values

    def best(self, values: np.ndarray) -> int:
        """Number of the best of some values; the first of equals."""
        return int(np.nanargmin(self.distance(values)))


def _expected_bound(told: Distribution, k: int, mirrored: bool = False) -> float:
    """The lowest bound that at least k are expected not to exceed, whatever their order.

    `mirrored` counts values with the other sign. Where a certain value or a floor decides, it is that value to the last bit, else
    exact to 1e-11 of the largest scale.
    """
    sign = -1.0 if mirrored else 1.0
    told = told.take(np.lexsort((told.scale, sign * told.centre)))
    certain, rest = sign * told.centre[told.scale == 0], told.take(told.scale > 0)
    if not len(rest):
        return float(certain[k - 1])
    jumps = np.sort(np.append(certain, [sign * told.floor] if np.isfinite(told.floor) else []))

    def counted(bound: float) -> float:
        spread = rest.at_least(-bound) if mirrored else rest.at_most(bound)
        return float(spread.sum()) + int(np.searchsorted(certain, bound, side="right"))

    far, places = 40 * float(rest.scale.max()), np.append(jumps, sign * rest.centre)
    low, high = float(places.min()) - far, float(places.max()) + far
    found = {bound: counted(bound) for bound in (low, high)}
    if found[low] >= k:
        return low
    number = 0
    while high - low > 1e-12 * far and low < low + 0.5 * (high - low) < high:
        # Every second step along the chord, which is nearer where the count is smooth.
        share = (k - found[low]) / (found[high] - found[low]) if number % 2 else 0.5
        middle = low + float(np.clip(share, 0.01, 0.99)) * (high - low)
        if not low < middle < high:
            break
        found[middle] = counted(middle)
        low, high = (low, middle) if found[middle] >= k else (middle, high)
        number += 1
    return next((float(jump) for jump in jumps if low < jump <= high and counted(float(jump)) >= k), high)


def _classes_in(text: str) -> tuple[str, ...]:
    """The names behind the equals sign, each once."""
    listed = text.strip()[1:]
    try:
        names = [name.strip() for name in next(csv.reader([listed], skipinitialspace=True, strict=True), [])]
    except csv.Error:
        names = []
    if not names or not all(names) or len(set(names)) < len(names) or listed.lstrip().startswith("="):
        needed = "names of classes that differ, with commas between them, such as '=perovskite,ilmenite'"
        raise SettingsError(f"goal: needs {needed}, found '{text.strip()}'")
    return tuple(names)


def _either(names: Sequence[str]) -> str:
    *others, last = names or ("",)
    return f"{', '.join(others)} or {last}" if others else last


def _shortest(bound: float) -> str:
    """Six digits where they are all there is, else as many as it takes to read the same number again."""
    return f"{bound:g}" if float(f"{bound:g}") == bound else repr(float(bound))
