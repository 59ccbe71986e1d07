"""Arrow columns to and from Python without `pa.array`, `pa.scalar` and `to_numpy`, which import pandas: longer than a small fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def text_array(cells: Sequence[str]) -> pa.StringArray:
    """An Arrow array of texts.

    Examples
    --------
    >>> text_array(["a", "", "ångström"]).to_pylist()
    ['a', '', 'ångström']
    """
    encoded = [cell.encode() for cell in cells]
    ends = np.zeros(len(cells) + 1, dtype=np.int32)
    np.cumsum([len(cell) for cell in encoded], out=ends[1:])
    return pa.StringArray.from_buffers(len(cells), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def bytes_of(texts: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Texts as UTF-8, ndarray of uint8, and where each begins and the last ends, (n + 1,) of int32; none of them is null.

    Examples
    --------
    >>> data, ends = bytes_of(text_array(["a", "bc", "d"])[1:])
    >>> bytes(data[ends[0] : ends[1]]), ends.tolist()
    (b'bc', [1, 3, 4])
    """
    _, ends, data = texts.buffers()
    places = (
        np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1] if ends else np.zeros(1, np.int32)
    )
    return np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8), places


EMPTY: pa.Scalar = text_array([""])[0]
"""The text of no characters."""

_NAN: pa.Scalar = pa.Array.from_buffers(pa.float64(), 1, [None, pa.py_buffer(np.array([np.nan]))])[0]
_FALSE: pa.Scalar = pa.Array.from_buffers(pa.bool_(), 1, [None, pa.py_buffer(b"\0")])[0]


def numbers_of(column: pa.ChunkedArray) -> np.ndarray:
    """The float64 numbers of a column: ndarray (n_rows,), NaN where there is none.

    Examples
    --------
    >>> numbers_of(pa.chunked_array([[1.5, None], [2.0]])).tolist()
    [1.5, nan, 2.0]
    """
    return _joined(pc.fill_null(column, _NAN), np.dtype(np.float64))


def truths_of(column: pa.ChunkedArray) -> np.ndarray:
    """The booleans of a column: ndarray (n_rows,) of bool, False where there is none.

    Examples
    --------
    >>> truths_of(pa.chunked_array([[True, None], [False]])).tolist()
    [True, False, False]
    """
    bits = pc.fill_null(column, _FALSE)
    return _joined(bits.cast(pa.uint8()), np.dtype(np.uint8)).view(np.bool_)


def _joined(column: pa.ChunkedArray, kind: np.dtype) -> np.ndarray:
    return np.concatenate([np.empty(0, kind), *(np.from_dlpack(chunk) for chunk in column.chunks if len(chunk))])
