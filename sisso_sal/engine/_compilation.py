"""How the kernels are compiled.

A kernel calls only kernels of its own file, and tuples and constants that a kernel uses stand in its file too: the cache of numba
does not notice a change in another file. What kernels of two files have to do passes from one to the other in arrays.

``reassoc``, ``contract`` and ``nsz`` let sums run in vector registers; nothing assumes away NaN or infinity, which mean invalid.
"""

from __future__ import annotations

from typing import Any

FLAGS = {"reassoc", "contract", "nsz"}
OPTIONS: dict[str, Any] = {"_nrt": True, "nogil": True, "cache": True, "error_model": "numpy", "fastmath": FLAGS}
INNER: dict[str, Any] = OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""For kernels that only other kernels call: without a way in from Python they compile faster."""
VIEWS: dict[str, Any] = OPTIONS | {"_nrt": False}
"""For kernels that make no array, only views of those that they get. Otherwise numba counts the references to each array of a tuple
at every call and every slice, with atomic operations: that took half the time of a sweep. A kernel that makes an array does not
compile with this. Whether a kernel counts is said for each one, because those that it calls would else do as it does.
"""
INNER_VIEWS: dict[str, Any] = INNER | {"_nrt": False}
"""The same for kernels that only other kernels call."""
IN_ORDER: dict[str, Any] = VIEWS | {"fastmath": False}
"""For sums whose last bit must be the same wherever the kernel is used: a kernel is compiled anew into each of those that call it,
and with `FLAGS` each of them may sum in another order.
"""
