"""Values as they lie in a file."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: dtype of an output: BITPIX, BZERO (FITS standard 4.0, table 11).
OUTPUT_TYPES = {
    "uint8": (8, 0),
    "int16": (16, 0),
    "uint16": (16, 32768),
    "int32": (32, 0),
    "uint32": (32, 2147483648),
    "float32": (-32, 0),
    "float64": (-64, 0),
}


def to_dtype(values: Array, dtype: str) -> tuple[Array, int, int]:
    """float64 values as an output type.

    Integers are rounded half to even and clipped; a missing value (NaN) becomes 0 there.

    Returns
    -------
    data : ndarray of `dtype`
    clipped : int
        Values outside the range of an integer type.
    missing : int
        Values that are NaN.
    """
    gone = np.isnan(values)
    missing = int(np.count_nonzero(gone))
    if np.dtype(dtype).kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(dtype), 0, missing
    info = np.iinfo(dtype)
    rounded = np.rint(np.where(gone, 0.0, values) if missing else values)
    clipped = int(np.count_nonzero((rounded < info.min) | (rounded > info.max)))
    return np.clip(rounded, info.min, info.max, out=rounded).astype(dtype), clipped, missing


def encode(values: Array, dtype: str) -> tuple[Array, int, int]:
    """Values as they lie in a file of a type, big-endian; how many were clipped, how many are
    missing (see `to_dtype`)."""
    if values.dtype == dtype and values.dtype.kind != "f":  # counts and flags
        return values.astype(values.dtype.newbyteorder(">")), 0, 0
    native, clipped, missing = to_dtype(values, dtype)
    if OUTPUT_TYPES[dtype][1]:
        native = native.view(f"i{native.itemsize}") ^ np.iinfo(f"i{native.itemsize}").min
    return native.astype(native.dtype.newbyteorder(">")), clipped, missing


#: Bytes for each pixel while values are rounded to integers: those without missing ones, the
#: rounded ones, and which are missing.
_ROUNDING_BYTES = 8 + 8 + 1
#: What `encode` makes at once of a type: the values in native order, and its result.
ENCODED_COPIES = 2


def encoding_bytes(dtype: str, copies: int) -> int:
    """Bytes for each pixel that `to_dtype` holds beside its values, and then so many copies of
    its result, it among them."""
    rounding = 0 if np.dtype(dtype).kind == "f" else _ROUNDING_BYTES
    return max(rounding, copies * np.dtype(dtype).itemsize)
