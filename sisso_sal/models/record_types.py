"""Parts that all records of files are made of: numbers with bounds, arrays, and what is said of a fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from sisso_sal.errors import InputError, ModelFileError
from sisso_sal.system.documents import explained

Count = Annotated[int, Field(strict=True, ge=0)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Size = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Text = Annotated[str, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Limit = Count | Size
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
"""A number that stays an integer if it is one."""


def _array(value: Any) -> np.ndarray:
    """Rows of numbers, or one row, as an array; what is none has no shape that fits."""
    rows = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    if not all(isinstance(row, list) and {*map(type, row)} <= {int, float} for row in rows):
        return np.full((), np.nan)
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.full((), np.nan)


Numbers = Annotated[np.ndarray, PlainValidator(_array)]
"""Whose shape and finiteness are checked where its size is known."""


def need(holds: bool, message: str) -> None:
    """Raise a ValueError with the message unless something holds."""
    if not holds:
        raise ValueError(message)


def need_numbers(name: str, values: np.ndarray, *shape: int) -> None:
    """Raise a ValueError unless an array has a shape and all its values are finite."""
    size = " x ".join(map(str, shape))
    need(values.shape == shape and bool(np.isfinite(values).all()), f"{name}: needs {size} finite numbers")


class Record(BaseModel):
    """A part of a file. Other keys are left alone, as later versions may have more."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, defer_build=True)


@contextmanager
def inside(place: str) -> Iterator[None]:
    """Say of a fault where it is.

    Examples
    --------
    >>> with inside("members.3"):
    ...     raise ModelFileError("intercept: needs 0, found 1")
    Traceback (most recent call last):
        ...
    sisso_sal.errors.ModelFileError: members.3.intercept: needs 0, found 1
    """
    try:
        yield
    except InputError as error:
        raise ModelFileError(f"{place}.{error}") from error


R = TypeVar("R", bound=Record)


def read_record(kind: type[R], data: Any) -> R:
    """A record from plain data; one that is read already is returned as it is.

    Raises
    ------
    ModelFileError
        A key is missing, a value is of another type or out of its bounds, or parts do not fit together.

    Examples
    --------
    >>> from sisso_sal.models.records import NamedRecord
    >>> read_record(NamedRecord, {"name": "gap", "unit": "eV"}).unit
    'eV'
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise ModelFileError(explained(error)) from error
