"""What primary features are, in words, for the glossary of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class FeatureSettings(BaseModel):
    """What a primary feature is; it changes no result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    meaning: str = Field(min_length=1, description="What it is, in a few words.")
    source: str = Field(default="", description="Where its values are from.")


def _in_words(features: Any) -> Any:
    """A text alone is the meaning."""
    if not isinstance(features, Mapping):
        return features
    return {name: {"meaning": one} if isinstance(one, str) else one for name, one in features.items()}


FeatureWords = Annotated[dict[str, FeatureSettings], BeforeValidator(_in_words)]
"""Features by their names; a text stands for its meaning."""
