"""Tiles: the rectangles in which a stack is read, and the memory that each one takes.

The plan is a pure function of shapes, types, threads and a budget. It knows what a tile
costs because the costs are declared here, in bytes, one name each; what it adds up to is
what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from pulsar_dask.errors import PulsarError

MB = 10**6
GB = 10**9

#: Bytes of stored pixels in a tile that are fastest (15 to 40 MB; measured).
TARGET = 20 * MB
#: Least bytes to read of one frame at a time, where the budget allows: below, the cost of a
#: read counts more than its bytes (200 frames: 7.0 s at 64 kB, 4.4 s at 256 kB, no less above).
READ_RUN = 256_000


#: Times its stored pixels that a tile of `TARGET` may hold; beyond, it is smaller.
MOST_HELD = 4


def too_little(budget: int, needed: int, what: str = "this", *, where: str = "") -> PulsarError:
    """The error for what needs more bytes than the budget has."""
    return PulsarError(
        f"--memory {budget / GB:.3g} is too little: "
        f"{what} needs at least {math.ceil(needed / GB * 100) / 100:.2f} GB{where}"
    )


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of one plane: rows y to y + height, columns x to x + width."""

    plane: int
    y: int
    x: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width


@dataclass(frozen=True, slots=True)
class Grid:
    """An image cut into tiles of one size, the last ones smaller."""

    shape: tuple[int, ...]
    """(y, x) or (plane, y, x)."""
    height: int
    width: int

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """Tile lengths along each axis, as dask writes them."""
        rows, columns = self.shape[-2:]
        planes = ((1,) * self.shape[0],) if len(self.shape) == 3 else ()
        return (*planes, _cuts(rows, self.height), _cuts(columns, self.width))

    def __len__(self) -> int:
        return math.prod(len(c) for c in self.chunks)

    def __iter__(self) -> Iterator[tuple[tuple[int, ...], Tile]]:
        """(index of the tile along each axis, tile), in the order of the file."""
        rows, columns = self.shape[-2:]
        planes = range(self.shape[0]) if len(self.shape) == 3 else [None]
        for plane in planes:
            for i, y in enumerate(range(0, rows, self.height)):
                for j, x in enumerate(range(0, columns, self.width)):
                    tile = Tile(
                        plane or 0, y, x, min(self.height, rows - y), min(self.width, columns - x)
                    )
                    yield ((i, j) if plane is None else (plane, i, j)), tile


def _cuts(length: int, step: int) -> tuple[int, ...]:
    return tuple(min(step, length - start) for start in range(0, length, step))


@dataclass(frozen=True)
class Costs:
    """What a pipeline holds, in bytes, besides the process itself."""

    per_pixel: dict[str, int]
    """Name of a buffer: bytes for each pixel of a tile, in each thread."""
    per_thread: dict[str, int] = field(default_factory=dict)
    """Bytes in each thread, whatever the tile."""
    earlier: dict[str, int] = field(default_factory=dict)
    """Bytes in each thread before its first tile, which are gone by then."""
    expanding: dict[str, int] = field(default_factory=dict)
    """Bytes in each thread that expands frames, before any tile: so many threads as there is
    room for."""
    expanders: int | None = None
    """Threads that are enough for that; None: each helps."""
    after: dict[str, int] = field(default_factory=dict)
    """Bytes held once when the last tile is done."""
    fixed: dict[str, int] = field(default_factory=dict)
    """Bytes held once."""
    stored: int = 1
    """Bytes of stored pixels that are read for each pixel of a tile (frames x item size)."""
    frames: int = 1
    results: int = 8
    """Bytes for each pixel of a tile of what goes back from a worker of a cluster."""


@dataclass(frozen=True)
class Plan:
    """How a stack is cut, and what that holds."""

    grid: Grid
    threads: int
    budget: int
    """Bytes that the whole process may hold."""
    parts: dict[str, int]
    """Name of each part of the memory: bytes."""
    workers: int = 0
    """Processes of a cluster that hold as much each; 0: this process computes."""
    expanders: int = 1
    """Threads that expand frames before the first tile."""
    before: dict[str, int] = field(default_factory=dict)
    """The parts of the memory while they do."""
    after: dict[str, int] = field(default_factory=dict)
    """The parts of the memory when the last tile is done."""

    @property
    def total(self) -> int:
        return max(sum(held.values()) for held in (self.before, self.parts, self.after))


def plan_tiles(
    shape: tuple[int, ...],
    costs: Costs,
    *,
    budget: int,
    threads: int,
    process: int,
    block: tuple[int, int] = (1, 1),
    target: int = TARGET,
    slots: int | None = None,
) -> Plan:
    """Choose the tile: fast if the budget allows, smaller or on fewer threads if not.

    Parameters
    ----------
    shape : tuple of int
        (y, x) or (plane, y, x), in pixels.
    costs : Costs
        What the pipeline holds.
    budget : int
        Bytes that the process may hold, all in all.
    threads : int
        Threads that are wanted.
    process : int
        Bytes of the process itself: interpreter, libraries, compiled code, headers.
    block : (int, int)
        Rows and columns that are only read together (a compression tile).
    target : int
        Bytes of stored pixels that a tile should have.
    slots : int, optional
        Threads of all processes that share the tiles; `threads` are then those of this
        process, and all of them will compute, whatever the budget.

    Raises
    ------
    PulsarError
        The budget is too small; the message says the least that is needed.
    """
    rows, columns = shape[-2:]
    pixel = sum(costs.per_pixel.values())
    thread = sum(costs.per_thread.values())
    earlier = sum(costs.earlier.values())
    base = process + sum(costs.fixed.values())
    expanding, after = sum(costs.expanding.values()), sum(costs.after.values())
    low_height, low_width = min(block[0], rows), columns
    if block[1] < columns:  # columns can be cut; 4096 pixels still make a useful read
        low_width = min(columns, -(-4096 // block[1]) * block[1])
    least = low_height * low_width
    each = max(earlier, thread + pixel * least)
    for count in range(max(1, threads), 0 if slots is None else threads - 1, -1):
        if (budget - base) // count >= each and budget - base >= max(expanding, after):
            break
    else:
        needed = base + max(expanding, after, each if slots is None else threads * each)
        where = "" if slots is None else f" in a process with {threads} threads"
        raise too_little(budget, needed, where=where)
    most = ((budget - base) // count - thread) // pixel
    # where little is read for what a pixel holds, tiles need not be as large
    wanted = max(
        target // max(costs.stored, pixel // MOST_HELD),
        READ_RUN * costs.frames // costs.stored,
        low_height * columns,
    )
    pixels = max(least, min(most, wanted))
    if pixels >= low_height * columns:
        width = columns
        height = min(rows, pixels // columns // low_height * low_height)
    else:
        height = low_height
        width = min(columns, pixels // height // block[1] * block[1])
    # Not more threads than tiles, and the last round of tiles no lonelier than need be.
    grid = Grid(shape, height, width)
    shared = 4 * (slots or count)
    if len(grid) < shared and width == columns and rows > low_height:
        planes = shape[0] if len(shape) == 3 else 1
        share = -(-rows * planes // shared)
        height = min(height, max(low_height, -(-share // low_height) * low_height))
        grid = Grid(shape, height, width)
    count = min(count, len(grid))
    area = min(height, rows) * width
    parts = {"process": process, **costs.fixed}
    parts |= {name: count * size for name, size in costs.per_thread.items()}
    parts |= {name: count * size * area for name, size in costs.per_pixel.items()}
    if (more := earlier - thread - pixel * area) > 0:
        parts[f"{', '.join(costs.earlier)}, beyond a tile"] = count * more
    expanders = min(threads, costs.expanders or threads)
    expanders = max(1, min(expanders, (budget - base) // expanding)) if expanding else 1
    before = {"process": process, **costs.fixed}
    before |= {name: expanders * size for name, size in costs.expanding.items()}
    after_all = {"process": process, **costs.fixed, **costs.after}
    return Plan(grid, count, budget, parts, expanders=expanders, before=before, after=after_all)
