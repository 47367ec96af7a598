"""The compiled half of `rice`.

The code of a pixel is so many zeros, a one, and the `shift` lowest bits as they are. Where a
code begins is known only when the one before it is, so what counts is how few steps lead from
one to the next: four pixels are taken from one word of the data, and whether they fitted into
it is asked once, afterwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from pulsar_dask.kernels.codecache import part
from pulsar_dask.kernels.pixels import SWAP
from pulsar_dask.kernels.rice import SPARE
from pulsar_dask.kernels.vectors import byteswap

# Addresses are passed, not arrays: their references would be counted for each block of pixels.


@intrinsic
def _leading_zeros(typingctx: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], context.get_constant(types.boolean, False))

    return x(x), codegen


@intrinsic
def _load64(typingctx: Any, address: Any) -> Any:
    """Eight bytes as a big-endian number."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = context.get_value_type(types.uint64)
        value = builder.load(builder.inttoptr(args[0], word.as_pointer()), align=1)
        return builder.bswap(value) if SWAP else value

    return types.uint64(types.int64), codegen


@intrinsic
def _store(typingctx: Any, like: Any, address: Any, i: Any, value: Any) -> Any:
    """The low bits of `value` as element `i` of those of the type of `like`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(like)
        first = builder.inttoptr(args[1], kind.as_pointer())
        builder.store(builder.trunc(args[3], kind), builder.gep(first, [args[2]]))
        return context.get_dummy_value()

    return types.void(like, types.int64, types.int64, types.uint64), codegen


_ONE, _FULL = np.uint64(1), np.uint64(64)
#: No shift by more than this is defined.
_MOST = np.uint64(63)
#: Bits of a word that are data, wherever in a byte it begins.
_SURE = np.uint64(57)


@part
def decode(data, starts, lengths, out, swap, block, bytepix):  # type: ignore[no-untyped-def]
    base = data.ctypes.data
    for tile in range(starts.shape[0]):
        start, length = starts[tile], lengths[tile]
        if length < bytepix or start < 0 or start > data.shape[0] - SPARE - length:
            return tile
        row = out[tile]
        end = 8 * (start + length)  # positions are those of bits
        like = row.dtype.type(0)
        at = _tile(base, 8 * start, end, like, row.ctypes.data, row.shape[0], block, bytepix)
        # past the end, or bytes are left that no pixel came from
        if at > end or end - at >= 8:
            return tile
        if swap:
            for j in range(row.shape[0]):
                row[j] = byteswap(row[j])
    return -1


@part
def _tile(base, at, end, like, row, n, block, bytepix):  # type: ignore[no-untyped-def]
    """Decode a tile that begins at bit `at`; returns where it ends, beyond `end` if damaged."""
    fs_bits = 3 if bytepix == 1 else 4 if bytepix == 2 else 5
    fs_max = 6 if bytepix == 1 else 14 if bytepix == 2 else 25
    last = _bits(base, at) >> np.uint64(64 - 8 * bytepix)
    at += 8 * bytepix
    i = 0
    while i < n and at <= end:
        stop = min(i + block, n)
        fs = np.int64(_bits(base, at) >> np.uint64(64 - fs_bits)) - 1
        at += fs_bits
        if fs < 0:
            for j in range(i, stop):
                _store(like, row, j, last)
        elif fs == fs_max:
            at, last = _as_they_are(base, at, end, 8 * bytepix, last, like, row, i, stop)
        else:
            shift = np.uint64(fs)
            while i + 4 <= stop and at <= end:
                bits = _bits(base, at)
                used, a = _first(bits, shift)
                bits <<= used & _MOST
                length, b = _first(bits, shift)
                used += length
                bits <<= length & _MOST
                length, c = _first(bits, shift)
                used += length
                bits <<= length & _MOST
                length, d = _first(bits, shift)
                used += length
                if used <= _SURE:
                    at += np.int64(used)
                    last += _unfold(a)
                    _store(like, row, i, last)
                    last += _unfold(b)
                    _store(like, row, i + 1, last)
                    last += _unfold(c)
                    _store(like, row, i + 2, last)
                    last += _unfold(d)
                    _store(like, row, i + 3, last)
                else:
                    at, last = _one_by_one(base, at, end, shift, last, like, row, i, i + 4)
                i += 4
            if i < stop:
                at, last = _one_by_one(base, at, end, shift, last, like, row, i, stop)
        i = stop
    return at


@part
def _bits(base, at):  # type: ignore[no-untyped-def]
    """The bits at a position, the next one highest, `_SURE` of them or more."""
    return _load64(base + (at >> 3)) << np.uint64(at & 7)


@part
def _unfold(code):  # type: ignore[no-untyped-def]
    """0, 1, 2, 3, 4 … as 0, -1, 1, -2, 2 …"""
    return (code >> _ONE) ^ -(code & _ONE)


@part
def _as_they_are(base, at, end, width, last, like, row, i, stop):  # type: ignore[no-untyped-def]
    for j in range(i, stop):
        if at > end:
            break
        last += _unfold(_bits(base, at) >> np.uint64(64 - width))
        at += width
        _store(like, row, j, last)
    return at, last


@part
def _first(bits, shift):  # type: ignore[no-untyped-def]
    """Length of the first code in a word, and what it says; the latter only if it fits."""
    zeros = _leading_zeros(bits)
    length = zeros + shift + _ONE
    return length, (bits >> ((_FULL - length) & _MOST)) + ((zeros - _ONE) << shift)


@part
def _one_by_one(base, at, end, shift, last, like, row, i, stop):  # type: ignore[no-untyped-def]
    for j in range(i, stop):
        if at > end:
            break
        bits = _bits(base, at)
        length, code = _first(bits, shift)
        if length <= _SURE:
            at += np.int64(length)
        else:
            zeros = np.uint64(0)
            while bits >> np.uint64(8) == 0 and at <= end:
                zeros += np.uint64(56)
                at += 56
                bits = _bits(base, at)
            zeros += _leading_zeros(bits)
            at += np.int64(_leading_zeros(bits)) + 1
            # shifted twice, since a shift by 64 is not defined
            code = (zeros << shift) | ((_bits(base, at) >> _ONE) >> (_MOST - shift))
            at += np.int64(shift)
        last += _unfold(code)
        _store(like, row, j, last)
    return at, last
