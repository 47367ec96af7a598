"""Rice decompression of image tiles, without the GIL.

Almost every tile-compressed raw frame is Rice-coded (fpack, cameras' and observatories'
archives). astropy's decoder holds the GIL, so that threads would wait for each other; this
one does not. The format: FITS standard 4.0, section 10.4.1, and R. White's description in
the appendix of Pence et al. 2009, PASP 121, 414.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from pulsar_dask.compiled import SWAP, byteswap, jit

Array = np.ndarray[Any, Any]


def decode_rice(
    data: Array, starts: Array, lengths: Array, out: Array, *, block: int, bytepix: int
) -> int:
    """Decode compressed tiles that follow each other in an image's rows.

    Parameters
    ----------
    data : ndarray of uint8
        A part of the heap.
    starts, lengths : ndarray of int64, shape (tiles,)
        Where each compressed tile lies in `data`, in bytes.
    out : ndarray, shape (tiles, pixels)
        Filled; 1-, 2- or 4-byte integers, big-endian or native, C-contiguous.
    block : int
        Pixels in a coding block (the keyword BLOCKSIZE).
    bytepix : int
        Bytes of a coded pixel: 1, 2 or 4 (BYTEPIX).

    Returns
    -------
    int
        Index of the first damaged tile; -1 if there is none.
    """
    bits = out.view(f"i{out.itemsize}") if out.itemsize > 1 else out
    swap = SWAP and out.dtype.str[0] == ">"
    return int(_decode(data, starts, lengths, bits, swap, block, bytepix))


@intrinsic
def _leading_zeros(typingctx: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], cgutils.false_bit)

    return x(x), codegen


@intrinsic
def _load64(typingctx: Any, data: Any, at: Any) -> Any:
    """Eight bytes of a uint8 array as a big-endian number; there is no check of bounds."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        word = ir.IntType(64)
        place = builder.bitcast(builder.gep(array.data, [args[1]]), word.as_pointer())
        value = builder.load(place, align=1)
        return builder.bswap(value) if SWAP else value

    return types.uint64(data, types.int64), codegen


@intrinsic
def _as_type(typingctx: Any, like: Any, value: Any) -> Any:
    """The low bits of a uint64 as the integer type of `like`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.trunc(args[1], context.get_value_type(like))

    return (like(like, value), codegen) if isinstance(like, types.Integer) else None


@jit
def _decode(data, starts, lengths, out, swap, block, bytepix):  # type: ignore[no-untyped-def]
    one = np.uint64(1)
    width = np.uint64(8 * bytepix)
    fs_bits = np.uint64(3 if bytepix == 1 else 4 if bytepix == 2 else 5)
    fs_max = 6 if bytepix == 1 else 14 if bytepix == 2 else 25
    full = np.uint64(64)
    mask = (one << width) - one
    for tile in range(starts.shape[0]):
        row = out[tile]
        n = row.shape[0]
        at = starts[tile]
        end = at + lengths[tile]
        if lengths[tile] < bytepix or at < 0 or end > data.shape[0]:
            return tile
        last = np.uint64(0)
        for _ in range(bytepix):
            last = (last << np.uint64(8)) | np.uint64(data[at])
            at += 1
        bits = np.uint64(0)  # unread bits, the next one highest
        have = np.uint64(0)
        spent = np.int64(0)  # bits that were made up after the end of the data
        i = 0
        while i < n:
            stop = min(i + block, n)
            if have < np.uint64(32):
                bits, have, at, spent = _refill(data, bits, have, at, end, spent)
            fs = np.int64(bits >> (full - fs_bits)) - 1
            bits <<= fs_bits
            have -= fs_bits
            if fs < 0:
                value = _as_type(row[0], last)
                if swap:
                    value = byteswap(value)
                for j in range(i, stop):
                    row[j] = value
            elif fs == fs_max:  # coded as they are
                for j in range(i, stop):
                    if have < np.uint64(32):
                        bits, have, at, spent = _refill(data, bits, have, at, end, spent)
                    difference = bits >> (full - width)
                    bits <<= width
                    have -= width
                    last = (last + ((difference >> one) ^ -(difference & one))) & mask
                    value = _as_type(row[0], last)
                    row[j] = byteswap(value) if swap else value
            else:
                shift = np.uint64(fs)
                for j in range(i, stop):
                    if have < np.uint64(40):
                        bits, have, at, spent = _refill(data, bits, have, at, end, spent)
                    zeros = np.uint64(0)
                    while bits == np.uint64(0):  # only where one pixel stands far out
                        zeros += have
                        have = np.uint64(0)
                        bits, have, at, spent = _refill(data, bits, have, at, end, spent)
                        if spent > 64:
                            return tile
                    run = _leading_zeros(bits)
                    zeros += run
                    bits = (bits << run) << one
                    have -= run + one
                    if have < shift:
                        bits, have, at, spent = _refill(data, bits, have, at, end, spent)
                    # shifted twice, since a shift by 64 is not defined
                    difference = (zeros << shift) | ((bits >> one) >> (full - one - shift))
                    bits <<= shift
                    have -= shift
                    last = (last + ((difference >> one) ^ -(difference & one))) & mask
                    value = _as_type(row[0], last)
                    row[j] = byteswap(value) if swap else value
            if spent > np.int64(have):
                return tile
            i = stop
        if np.int64(have) - spent + 8 * (end - at) >= 8:  # bytes that no pixel came from
            return tile
    return -1


@jit
def _refill(data, bits, have, at, end, spent):  # type: ignore[no-untyped-def]
    """Unread bits, filled up to 56 or more; zeros follow the end of the data."""
    if at + 8 <= end:  # eight bytes at once, of which those that fit count
        taken = (np.uint64(63) - have) >> np.uint64(3)
        bits |= _load64(data, at) >> have
        have += taken << np.uint64(3)
        bits &= ~np.uint64(0) << (np.uint64(64) - have)
        return bits, have, at + np.int64(taken), spent
    while have <= np.uint64(56):
        if at < end:
            bits |= np.uint64(data[at]) << (np.uint64(56) - have)
            at += 1
        else:
            spent += 8
        have += np.uint64(8)
    return bits, have, at, spent
