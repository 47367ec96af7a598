"""The sums of frames, and what does not match those that their headers state."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from pulsar_dask.errors import Remark, printable
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.formats.openfiles import guarded, open_plain
from pulsar_dask.formats.reading import read_tile, sum_part
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.checksum import MINUS_ZERO, both_sums
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.kernels.pixels import Grid

Array = np.ndarray[Any, Any]
#: Bytes of a block of FITS.
BLOCK = 2880
#: Bytes that are read at a time where a file is read for its sum alone.
STRETCH = 4_000_000


def pixel_sums(frame: Frame) -> Sums:
    """Sums of the image as a FITS file holds it that is not compressed, from a reading of its own.

    Raises
    ------
    PulsarError
        The file cannot be read, is damaged, or has changed since it was scanned.
    """
    rows = max(1, STRETCH // (frame.shape[-1] * frame.pixels.stored.itemsize))
    block = 1 if frame.stored.expanded else frame.stored.block[0]
    rows = -(-rows // block) * block
    total = Sums()
    for _, tile in Grid(frame.shape, min(rows, frame.shape[-2]), frame.shape[-1]):
        image = np.empty((1, *tile.shape), frame.pixels.stored)
        read_tile([frame], tile, image, counted=None)
        total += sum_part(frame, tile, tile, image[0])[0]
    return total


def pixel_sum(frame: Frame) -> int:
    """Of the `pixel_sums` the one that DATASUM is."""
    return pixel_sums(frame).words


def data_sum(frame: Frame) -> int:
    """DATASUM of a frame's HDU as it lies in its file, padding included; of a gzipped one
    without it, of a Zarr store as `pixel_sum`.

    Raises
    ------
    PulsarError
        As `pixel_sums`.
    """
    if frame.stored.unit is None:
        return pixel_sum(frame)
    return int(guarded(_unit_sum)(frame, *frame.stored.unit))


def _unit_sum(frame: Frame, start: int, length: int) -> int:
    end = min(frame.size, start + -(-length // BLOCK) * BLOCK)
    file, total = open_plain(frame), Sums()
    part = np.empty(STRETCH, np.uint8)
    for place in range(start, end, STRETCH):
        part = part[: end - place]
        file.read_into(part, place)
        total += both_sums(part, place - start)
    return total.words


def check_sums(
    frames: Sequence[Frame], ledger: Ledger, threads: int
) -> tuple[dict[str, Sums], list[str]]:
    """The sums of frames, and what does not match those that their headers state.

    Parameters
    ----------
    frames : sequence of Frame
    ledger : Ledger
        What was counted while they were read; where that is not all of a frame, it is read
        again.
    threads : int

    Returns
    -------
    sums : dict
        `pixel_sums` of each frame by its key.
    remarks : list of str
        In words, with the way out.
    """
    with ThreadPoolExecutor(max(1, threads)) as pool:
        found = list(pool.map(functools.partial(_check_sum, ledger=ledger), frames))
    sums = {frame.key: total for frame, (total, _) in zip(frames, found, strict=True)}
    remarks: list[str] = []
    for problem, means in _MISMATCHES.items():
        odd = [f.path for f, (_, text) in zip(frames, found, strict=True) if text == problem]
        more = f" (and of {len(odd) - 1} more)" if len(odd) > 1 else ""
        if odd:
            remarks.append(Remark(f"{printable(odd[0])}{more}: {problem}; {means}", "checksum"))
    return sums, remarks


#: What does not match: what that means.
_MISMATCHES = {
    "the data do not match their DATASUM": (
        "they were changed or damaged after that was written, copy the file again or leave it out"
    ),
    "the header does not match its CHECKSUM": "it was edited or damaged after that was written",
    "the data are not in the order in which they were written": (
        "rows or blocks of them have changed places, copy the file again or leave it out"
    ),
}


def _check_sum(frame: Frame, ledger: Ledger) -> tuple[Sums, str | None]:
    sums = ledger.sums(frame.key, frame.nbytes)
    if sums is None:
        sums = pixel_sums(frame)
    return sums, _mismatch(frame, sums)


def _mismatch(frame: Frame, sums: Sums) -> str | None:
    """What does not match the sums that a header states."""
    stated = frame.stated
    if stated is None:
        return None
    pixels = sums.words
    data_problem, header_problem, order_problem = _MISMATCHES
    if not frame.stored.coded:
        data = pixels
        if stated.data not in (None, data):  # what is in the padding counts, too
            data = data_sum(frame)
    elif stated.pixels == pixels:
        data = stated.data if stated.data is not None else data_sum(frame)
    else:
        data = data_sum(frame)
    if not _same_sum(stated.data, data):
        return data_problem
    if stated.order is not None and stated.order[0] == pixels and stated.order[1] != sums.order:
        return order_problem
    if stated.header is not None and not _same_sum(MINUS_ZERO, stated.header + data):
        # without a DATASUM it may be either
        return header_problem if stated.data is not None else data_problem
    return None


def _same_sum(stated: int | None, found: int) -> bool:
    """Whether two sums are the same in ones' complement, where 0 and -0 are."""
    return stated is None or (stated - found) % MINUS_ZERO == 0
