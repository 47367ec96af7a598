"""The compiled half of `ordersum`: both sums of bytes in one pass, while they are in the cache,
and the reading that brings them there. Without the GIL."""

from __future__ import annotations

import struct
import sys
import time
from typing import Any

import numpy as np
from numba import types

from pulsar_dask.kernels import ordersum
from pulsar_dask.kernels.codecache import part
from pulsar_dask.kernels.pixels import SWAP
from pulsar_dask.kernels.vectors import byte_at, call, lane, nothing, product, words_at

_BLOCK, _WEIGHTS = ordersum.BLOCK_WORDS, ordersum.WEIGHTS
# Plain integers would be signed, and signed with unsigned ones make floats.
_PRIME, _STEP = np.uint64(ordersum.PRIME), np.uint64(ordersum.STEP)
_LOW29, _LOW32 = np.uint64((1 << 29) - 1), np.uint64(0xFFFFFFFF)
_3, _8, _24, _29, _32, _61 = (np.uint64(n) for n in (3, 8, 24, 29, 32, 61))
_0, _1 = np.uint64(0), np.uint64(1)


@part
def _fold(a):  # type: ignore[no-untyped-def]
    """A number congruent modulo the prime, below 2**61 + 8."""
    return (a & _PRIME) + (a >> _61)


@part
def _times(a, b):  # type: ignore[no-untyped-def]
    """A product modulo the prime, of numbers below 2**61 + 8 one below that as well."""
    a_low, a_high, b_low, b_high = a & _LOW32, a >> _32, b & _LOW32, b >> _32
    low, middle, high = a_low * b_low, a_low * b_high + a_high * b_low, a_high * b_high
    # 2**64 is 8, and 2**61 is 1
    return _fold((high << _3) + (middle >> _29) + ((middle & _LOW29) << _32) + _fold(low))


@part
def _power(n):  # type: ignore[no-untyped-def]
    """The weight of a block."""
    result, base = _1, _STEP
    while n:
        if n & 1:
            result = _times(result, base)
        base = _times(base, base)
        n >>= 1
    return result


@part
def _partial(address, count, skip):  # type: ignore[no-untyped-def]
    """A word of which there are `count` bytes, from byte `skip` on."""
    word = _0
    for k in range(4):
        word <<= _8
        if skip <= k < skip + count:
            word |= byte_at(address + k - skip)
    return word


@part
def _run(address, count, table):  # type: ignore[no-untyped-def]
    """Sums of whole words within a block: plain, and with their weights."""
    words_a = nothing()
    words_b = words_a
    heavy_a = words_a
    heavy_b = words_a
    # a lane adds up 45 products at most, see `ordersum.WEIGHTS`
    for i in range(0, count - 15, 16):
        a = words_at(address + 4 * i, SWAP)
        b = words_at(address + 4 * i + 32, SWAP)
        words_a = words_a + a
        words_b = words_b + b
        heavy_a = heavy_a + product(a, words_at(table + 4 * i, False))
        heavy_b = heavy_b + product(b, words_at(table + 4 * i + 32, False))
    words_a = words_a + words_b
    words = _0
    heavy = _0
    for i in range(8):
        words += lane(words_a, i)
        heavy += _fold(lane(heavy_a, i)) + _fold(lane(heavy_b, i))
        heavy = _fold(heavy)
    return words, heavy


@part
def _row(address, length, offset, weights, power):  # type: ignore[no-untyped-def]
    """Both sums of bytes that lie together, the first `offset` bytes into a data unit."""
    words = _0
    order = _0
    heavy = _0
    end = address + length
    j = offset // 4 % _BLOCK
    skip = offset % 4
    table = np.intp(weights.ctypes.data)
    while address < end:
        if not skip:
            count = min(_BLOCK - j, (end - address) // 4)
            plain, weighed = _run(address, count, table + 4 * j)
            words += plain
            heavy = _fold(heavy + weighed)
            done = count - count % 16
            address += 4 * done
            j += done
        # what is left of a run, and words that are not whole
        while address < end and j < _BLOCK and (skip or count % 16 or end - address < 4):
            size = min(4 - skip, end - address)
            word = _partial(address, size, skip)
            words += word
            heavy = _fold(heavy + word * np.uint64(weights[j]))
            address += size
            j += 1
            if skip:
                skip = 0
                break
            count -= 1
        if j == _BLOCK or address >= end:
            order = _fold(order + _times(heavy, power))
            power = _times(power, _STEP)
            heavy = _0
            j = 0
    return words, order


@part
def byte_sums(address, n, length, pitch, offset, step, weights):  # type: ignore[no-untyped-def]
    """See `ordersum.sums_of_words`.

    Parameters
    ----------
    address : int
        Where `n` rows of `length` bytes lie in memory, `pitch` bytes from one to the next; an
        array would be compiled for once more if nobody may write to it.
    offset, step : int
        Where the first one begins in a data unit, and bytes from one to the next there.
    weights : ndarray of uint32
        `ordersum.WEIGHTS`.
    """
    words = _0
    order = _0
    for i in range(n):
        at = offset + i * step
        power = _power(at // (4 * _BLOCK))
        plain, weighed = _row(address + i * pitch, length, at, weights, power)
        words += plain
        order = _fold(order + weighed)
    return words, order


#: Whole blocks that are summed together, and so many bytes that are looked at together: they are in
#: the L2 cache, which is as fast for that, and each look costs a call.
_BLOCKS = 11
_PIECE = _BLOCKS * 4 * _BLOCK
_LOOK = 8 * _PIECE


@part
def _sum_and_look(address, rows, length, first, step, weights, sums, i, then, words, size):  # type: ignore[no-untyped-def]
    """Of file `i`, whose bytes lie at an address; see `read_rows`."""
    plain = _0
    order = _0
    jump = _power(_BLOCKS)
    done = seen = 0
    for row in range(rows):
        at = first + row * step
        power = _1
        end = done + length
        n = 0
        while done < end:
            follows = n == _PIECE
            n = min(end - done, _PIECE - at % _PIECE)
            if i < sums.shape[0]:
                power = _times(power, jump) if follows else _power(at // (4 * _BLOCK))
                more, weighed = _row(address + done, n, at, weights, power)
                plain += more
                order = _fold(order + weighed)
            done += n
            at += n
            if then and (done - seen >= _LOOK or done == rows * length):
                words[words.shape[0] - 4] = seen // size
                words[words.shape[0] - 3] = done // size
                call(then, np.intp(words.ctypes.data))
                seen = done
    if i < sums.shape[0]:
        sums[i, 0], sums[i, 1] = plain, order


#: Of the C library; not on Windows.
_pread = types.ExternalFunction(
    "pread", types.intp(types.intc, types.uintp, types.uintp, types.int64)
)


_clock = types.ExternalFunction("clock_gettime", types.intc(types.intc, types.uintp))
_WALL, _BUSY = (getattr(time, f"CLOCK_{name}", 0) for name in ("MONOTONIC", "THREAD_CPUTIME_ID"))


_usage = types.ExternalFunction("getrusage", types.intc(types.intc, types.uintp))
#: By what the system is asked how often a thread has left the processor of itself, and which word
#: says it, where it tells (Linux, whose `struct rusage` has words of 8 bytes then).
_OF_THREAD = 1 if sys.platform == "linux" and struct.calcsize("l") == 8 else 0
_LEFT = 16


@part
def _left(room):  # type: ignore[no-untyped-def]
    """How often this thread has left the processor of itself; a large number each time later where
    that is not told."""
    if _OF_THREAD == 0:
        room[18] += 1 << 32
        return room[18]
    _usage(_OF_THREAD, np.uintp(room.ctypes.data))
    return room[_LEFT]


@part
def _idle(room):  # type: ignore[no-untyped-def]
    """Nanoseconds, from some time on, in which this thread did not compute."""
    _clock(_WALL, np.uintp(room.ctypes.data))
    wall = room[0] * 1_000_000_000 + room[1]
    _clock(_BUSY, np.uintp(room.ctypes.data))
    return wall - (room[0] * 1_000_000_000 + room[1])


@part
def read_rows(files, offsets, step, out, first, weights, sums, then, words, size, clock):  # type: ignore[no-untyped-def]
    """Positioned reads of several files, without Python in between.

    Parameters
    ----------
    files, offsets : ndarray of int64, shape (n,)
        Descriptors, and where the first row begins in each file.
    step : int
        Bytes from one row to the next in a file.
    out : ndarray of uint8, shape (n, rows, length)
        Filled.
    first, weights :
        As `offset` and `weights` of `byte_sums`.
    sums : ndarray of uint64, shape (n, 2) or (0, 2)
        Filled with the `byte_sums` of each file, where it has room.
    then : int
        Address of a kernel that is called with `words` for bytes that are in the cache; 0: of none.
    words : ndarray of int64
        Its last four words are made the first and the next of those pixels, and the numbers of the
        file and the next one, from the number on that it has.
    size : int
        Bytes of a pixel.
    clock : ndarray of int64, shape (20,)
        Its last word is made the nanoseconds that the reads waited.

    Returns
    -------
    int
        How many files were read; after a failure less than n.
    """
    n, rows, length = out.shape
    idle, left = _idle(clock), _left(clock)
    to: Any = np.intp(out.ctypes.data)
    number = words[words.shape[0] - 2] if then else 0
    for i in range(n):
        for row in range(rows):
            done = 0
            while done < length:
                got = _pread(files[i], to + done, length - done, offsets[i] + row * step + done)
                if got <= 0:
                    return i
                done += got
            to += length
        start = to - rows * length
        if then:
            words[words.shape[0] - 2] = number + i
            words[words.shape[0] - 1] = number + i + 1
        _sum_and_look(start, rows, length, first, step, weights, sums, i, then, words, size)
    # a busy machine makes a thread wait, too, but then it does not leave of itself
    clock[19] = _idle(clock) - idle if 2 * (_left(clock) - left) >= n else 0
    return n
