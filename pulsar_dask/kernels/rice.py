"""Rice decompression of image tiles, without the GIL.

Almost every tile-compressed raw frame is Rice-coded (fpack, cameras' and observatories'
archives). astropy's decoder holds the GIL, so that threads would wait for each other; this
one does not. The format: FITS standard 4.0, section 10.4.1, and R. White's description in
the appendix of Pence et al. 2009, PASP 121, 414.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pulsar_dask.kernels.native import Compiled
from pulsar_dask.kernels.pixels import SWAP

Array = np.ndarray[Any, Any]
#: Bytes that must follow the compressed tiles in memory; what they hold does not matter.
SPARE = 24
_decode = Compiled("ricecode.decode")


def decode_rice(
    data: Array, starts: Array, lengths: Array, out: Array, *, block: int, bytepix: int
) -> int:
    """Decode compressed tiles that follow each other in an image's rows.

    Parameters
    ----------
    data : ndarray of uint8
        A part of the heap, and `SPARE` bytes more.
    starts, lengths : ndarray of int64, shape (tiles,)
        Where each compressed tile lies in `data`, in bytes.
    out : ndarray, shape (tiles, pixels)
        Filled; 1-, 2- or 4-byte integers, big-endian or native, C-contiguous.
    block : int
        Pixels in a coding block (the keyword BLOCKSIZE).
    bytepix : int
        Bytes of a coded pixel, 1, 2 or 4 (BYTEPIX); no less than those of `out`.

    Returns
    -------
    int
        Index of the first damaged tile; -1 if there is none.
    """
    bits = out.view(f"i{out.itemsize}") if out.itemsize > 1 else out
    swap = SWAP and out.dtype.str[0] == ">"
    return int(_decode(data, starts, lengths, bits, swap, block, bytepix))
