"""Models of several dimensions, the best few of each, and which of them is to be taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Generic, Protocol, Self, TypeVar

from sisso_sal.errors import SettingsError
from sisso_sal.models.trade_off import TradeOff


class HasDimension(Protocol):
    """A model that knows its number of terms."""

    @property
    def dimension(self) -> int: ...


M = TypeVar("M", bound=HasDimension)


class RankedModels(Generic[M]):
    """What formulas for one target and those for several tasks have in common.

    Attributes
    ----------
    alternatives : list of list of model
        The best few of each dimension, best first.
    trade_off : TradeOff or None
    """

    alternatives: list[list[M]]
    trade_off: TradeOff | None

    @property
    def models(self) -> list[M]:
        """The best of each dimension."""
        return [models[0] for models in self.alternatives]

    @property
    def model(self) -> M:
        """The best of the largest dimension."""
        return self.alternatives[-1][0]

    @property
    def recommended(self) -> M | None:
        """The model that `trade_off` recommends."""
        if self.trade_off is None:
            return None
        dimension, rank = self.trade_off.recommended
        return next(models[rank - 1] for models in self.alternatives if models[0].dimension == dimension)

    def with_recommended(self) -> Self:
        """The same with the recommended model as `model`.

        Raises
        ------
        SettingsError
            None is recommended.
        """
        if (model := self.recommended) is None:
            raise SettingsError(
                "recommended: needs a model of fit --n-models, found one without errors of held-out labels"
            )
        lower = [models for models in self.alternatives if models[0].dimension < model.dimension]
        whole: Any = self  # each of them is a dataclass
        return replace(whole, alternatives=[*lower, [model]], trade_off=None)
