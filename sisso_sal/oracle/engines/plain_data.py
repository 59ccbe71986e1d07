"""Results of foreign programs as plain data: what JSON can hold and what reads it back accepts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sisso_sal.system.documents import LARGEST_INTEGER

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """The same data in lists, dictionaries, text, numbers and None.

    Calculators of ASE leave what they like in their results: scalars and arrays of NumPy in any precision, tensors, infinities,
    objects of their own. A number that is not finite becomes None, because no reader of JSON has to accept it. An integer of more
    than 64 bits becomes a float, an unknown object its text.

    Examples
    --------
    >>> import numpy as np
    >>> plain({"moments": np.array([1.5, np.nan], dtype=np.float32), 1: (np.int64(2), {"Mg"})})
    {'moments': [1.5, None], '1': [2, ['Mg']]}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return int(value) if abs(value) <= LARGEST_INTEGER else float(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return [plain(inner) for inner in sorted(value, key=str)]
    if hasattr(value, "tolist"):  # scalars and arrays of NumPy, tensors
        return plain(value.tolist())
    return plain(str(value))
