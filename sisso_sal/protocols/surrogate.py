"""What predicts: the seam Surrogate, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from sisso_sal.protocols.cause import reasons
from sisso_sal.protocols.space import Space

if TYPE_CHECKING:
    from sisso_sal.protocols.distribution import Distribution

Progress = Callable[[int, int], None]
"""Is called with (done, total) while something takes long."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a surrogate says of candidates.

    Attributes
    ----------
    mean : ndarray (n_candidates,)
        In the target's unit; NaN where too few members are valid.
    std : ndarray (n_candidates,)
        The standard deviation to act on (recalibrated where the surrogate recalibrates), in the target's unit.
    std_raw : ndarray (n_candidates,)
        Spread of the members as it is, in the target's unit.
    members : ndarray (n_members, n_candidates)
        Every member's prediction, invalid ones included as they came out; (0, n_candidates) where they were not kept.
    valid : ndarray (n_members, n_candidates) of bool
        False where a member left its domain.
    distribution : Distribution, optional
        From which interval, probability of a hit and expected improvement follow; by default a Gaussian of `mean` and `std`. In a
        campaign over classes it is that of `Distribution.of_hits`; `mean`, `std` and `members` are then probabilities to be a hit.
    formulas_mean : ndarray (n_candidates,), optional
        Mean of the formulas alone, where `mean` has a correction on top.
    outside : ndarray (n_candidates,), optional
        Share of members that extrapolate: a descriptor lies outside its training range.
    distance : ndarray (n_candidates,), optional
        Distance to the nearest labelled material in standardised primary features, in units of the median distance between a
        labelled material and the labelled one nearest to it.
    cause : ndarray (n_members, n_candidates) of int8, optional
        Why a member is not valid, a `Cause`; 0 where it is.
    range95 : ndarray (2, n_candidates), optional
        What takes the place of the 95 % interval where a distribution has none that says something, as that of classes.
    """

    mean: np.ndarray
    std: np.ndarray
    std_raw: np.ndarray
    members: np.ndarray
    valid: np.ndarray
    distribution: Distribution | None = None
    formulas_mean: np.ndarray | None = None
    outside: np.ndarray | None = None
    distance: np.ndarray | None = None
    cause: np.ndarray | None = None
    range95: np.ndarray | None = None

    @property
    def reason(self) -> np.ndarray:
        """ndarray (n_candidates,) of str: why there is no prediction, "" where there is one; see `reasons`."""
        return reasons(self.mean, self.cause)

    @property
    def n_valid(self) -> np.ndarray:
        """ndarray (n_candidates,) of int: members that are valid for each candidate."""
        return self.valid.sum(axis=0)

    @property
    def interval95(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end of the 95 % interval, (n_candidates,) each, in the target's unit."""
        return self.told.interval(0.95) if self.range95 is None else (self.range95[0], self.range95[1])

    @cached_property
    def told(self) -> Distribution:
        """The distribution of each candidate."""
        from sisso_sal.protocols.distribution import Distribution

        return Distribution(self.mean, self.std) if self.distribution is None else self.distribution

    def take(self, index: np.ndarray) -> Prediction:
        """The same for some candidates."""
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "distribution"}
        kept: dict[str, Any] = {name: None if part is None else part[..., index] for name, part in parts.items()}
        return Prediction(**kept, distribution=None if self.distribution is None else self.distribution.take(index))


@runtime_checkable
class Surrogate(Protocol):
    """What predicts: fitted on labelled candidates of a space, it gives a `Prediction` for any others.

    What else a surrogate can do is optional (`Described`, `Documented`, `HasOutOfBag`, `HasEstimates`, `Continues`); what is
    absent is skipped.
    """

    def fit(
        self, space: Space, rows: np.ndarray, labels: np.ndarray, errors: np.ndarray, progress: Progress | None = None
    ) -> Surrogate:
        """Learn from labels.

        Parameters
        ----------
        space : Space
        rows : ndarray (n_labelled,) of int
            Numbers of the labelled candidates.
        labels, errors : ndarray (n_labelled,)
            Labels and their standard deviations, in the target's unit; 0 where a label has no error.
        progress : callable, optional

        Returns
        -------
        Surrogate
            Itself.

        Raises
        ------
        FitError
            Nothing can be learned from these labels.
        """
        ...

    def predict(self, space: Space, rows: np.ndarray) -> Prediction:
        """The prediction for the candidates of these numbers: ndarray of int."""
        ...


def one_label(settings: Any) -> tuple[int, str]:
    """Of a surrogate that can be fitted on a single label."""
    return 1, ""


@dataclass(frozen=True)
class SurrogateKind:
    """A kind of surrogate, as the registry and the entry points of ``sisso_sal.surrogates`` have it.

    Attributes
    ----------
    name : str
        What ``--surrogate`` takes.
    summary : str
        A few words for the help.
    make : callable, or text "module:attribute" that is imported when it is needed
        (settings of the campaign, seed, threads or None) -> an unfitted surrogate.
    fewest_labels : callable
        (settings) -> labels that it needs before it can be fitted, and why, as in ``(5, " for dim 3")``.
    sections : tuple of str
        Sections of the settings that it uses (``model``, ``ensemble``); whoever sets another one is told that it has no effect.
    make_classes : callable or text, optional
        The same as `make` for campaigns over classes: labels are 1 where a class is one of those that are looked for, else 0, and
        predictions are probabilities, see `Prediction`. Without it the surrogate cannot predict classes.
    of_numbers : bool
        Whether it can predict numbers.
    """

    name: str
    summary: str
    make: Callable[[Any, int, int | None], Surrogate] | str
    fewest_labels: Callable[[Any], tuple[int, str]] = one_label
    sections: tuple[str, ...] = ()
    make_classes: Callable[[Any, int, int | None], Surrogate] | str | None = None
    of_numbers: bool = True

    def made(self, settings: Any, seed: int, threads: int | None) -> Surrogate:
        """An unfitted surrogate; see `make` and `make_classes`."""
        chosen = self.make if self.make_classes is None or not settings.looks_for_classes else self.make_classes
        make = resolve_name(chosen) if isinstance(chosen, str) else chosen
        return make(settings, seed, threads)


@runtime_checkable
class Described(Protocol):
    """A surrogate that tells of its fit, as plain data for terminal and page.

    Keys that reports know: n_members, rung, dim, choices, correction, sigma, calibration, formula_calibration, typical, recurrence,
    certain, n_features, rejected, materials. None of them has to be there.
    """

    def describe(self, space: Space) -> dict[str, Any]: ...


@runtime_checkable
class Documented(Protocol):
    """A surrogate that can be kept in a model file: its content as plain data, or None where it has found nothing."""

    def document(self, space: Space) -> dict[str, Any] | None: ...


@runtime_checkable
class HasOutOfBag(Protocol):
    """A surrogate that predicts the labels it learned from, each by what did not see it."""

    @property
    def out_of_bag(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and raw standard deviation, ndarray (n_labelled,) each, in the target's unit; NaN where there is none."""
        ...


@runtime_checkable
class MayTellNothing(Protocol):
    """A surrogate that can be fitted to labels from which nothing follows, as those of a single class."""

    @property
    def untold(self) -> str:
        """Why nothing can be told apart, after `fit`; "" where it can."""
        ...


@runtime_checkable
class HasEstimates(Protocol):
    """A surrogate that learned from features which estimate the target at low cost."""

    @property
    def estimates(self) -> Sequence[str]:
        """Their names, after `fit`."""
        ...


@runtime_checkable
class Continues(Protocol):
    """A surrogate that can begin where an earlier fit ended, so that one more label costs little.

    A campaign records what each fit hands over, so that whoever repeats a fit later begins from the same numbers.
    """

    def begin_from(self, handover: Mapping[str, Any]) -> None:
        """Take what an earlier fit of the same kind and settings handed over; before `fit`."""
        ...

    def handover(self) -> dict[str, Any] | None:
        """After `fit`: what a fit on more labels may begin from, as plain data for JSON; None where it would not."""
        ...
