"""What a search went through, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sisso_sal.models.records import FileRecord


@dataclass(frozen=True)
class SearchCounts:
    """What a search went through.

    Attributes
    ----------
    n_samples : int
        Of positive weight.
    n_features : dict of str to int
        Features of each rung.
    rejected : dict of str to dict of str to int
        Per rung the features left out, by cause.
    n_singular : int
        Subsets that L0 found singular.
    is_complete : bool
        False if Ctrl-C came before all dimensions were done.
    """

    n_samples: int
    n_features: dict[str, int]
    rejected: dict[str, dict[str, int]]
    n_singular: int
    is_complete: bool

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "n_samples": self.n_samples,
            "n_features": self.n_features,
            "rejected": self.rejected,
            "n_singular": self.n_singular,
            "complete": self.is_complete,
        }

    @classmethod
    def of_file(cls, record: FileRecord) -> SearchCounts:
        """The inverse of `to_json`, from a file that was read."""
        return cls(record.n_samples, record.n_features, record.rejected, record.n_singular, record.complete)
