"""The plan: how an image is cut into tiles, and the memory that each one takes.

It is a pure function of shapes, types, threads and a budget. It knows what a tile costs because
the costs are declared, in bytes, one name each; what it adds up to is what is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pulsar_dask.errors import PulsarError
from pulsar_dask.frames.holds import GB, MB, Phase
from pulsar_dask.kernels.pixels import Grid

#: Bytes of stored pixels in a tile that are fastest (15 to 40 MB; measured).
TARGET = 20 * MB
#: Least bytes to read of one frame at a time, where the budget allows: below, the cost of a
#: read counts more than its bytes (200 frames: 7.0 s at 64 kB, 4.4 s at 256 kB, no less above).
READ_RUN = 256_000
#: Of frames that are smaller than that: bytes of a tile that are enough, and least bytes to read.
MOST_TILE, LEAST_RUN = 4 * TARGET, 8_192
#: Times its stored pixels that a tile of `TARGET` may hold; beyond, it is smaller.
MOST_HELD = 4


@dataclass(frozen=True)
class Costs:
    """What a pipeline holds, in bytes, besides the process itself."""

    per_pixel: dict[str, int]
    """Name of a buffer: bytes for each pixel of a tile, in each thread."""
    per_thread: dict[str, int] = field(default_factory=dict)
    """Bytes in each thread, whatever the tile."""
    phases: tuple[Phase, ...] = ()
    """Held beside that in each thread, one after the other."""
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "phases", self.phases or (Phase(),))

    def phase(self, area: int) -> Phase:
        """The phase in which a thread holds the most, with tiles of so many pixels."""
        return max(
            self.phases, key=lambda p: (_sum(p.pixel) + _sum(p.edge)) * area + _sum(p.thread)
        )

    def cut_evenly(self) -> Costs:
        """The same where all tiles are of one size."""
        return replace(self, phases=tuple(replace(p, edge={}) for p in self.phases))

    def lines(self) -> set[tuple[int, int, int]]:
        """What a thread holds at one time or another, as bytes, bytes for each pixel of a tile,
        and bytes where only one thread is at it."""
        thread, pixel = _sum(self.per_thread), _sum(self.per_pixel)
        lines = {
            (thread + _sum(p.thread), pixel + _sum(p.pixel) + _sum(p.edge), _sum(p.alone))
            for p in self.phases
        }
        return lines | {(_sum(self.earlier), 0, 0)}

    def held(self, threads: int, area: int) -> int:
        """Bytes that so many threads hold with tiles of so many pixels: one of them what it holds
        alone, while the others are where they hold the most."""
        lines = self.lines()
        others = max(thread + pixel * area for thread, pixel, _ in lines)
        return (threads - 1) * others + max(t + pixel * area + alone for t, pixel, alone in lines)

    def most_pixels(self, threads: int, room: int) -> int:
        """The most pixels that a tile can have for `held` to stay within some bytes."""
        most, lines = room, self.lines()
        for thread, pixel, _ in lines:
            for other, more, alone in lines:
                if each := (threads - 1) * pixel + more:
                    left = room - (threads - 1) * thread - other - alone
                    most = min(most, left // each)
        return most


def _sum(parts: Mapping[str, int]) -> int:
    return sum(parts.values())


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
    ahead: int = 0
    """Tiles that are read beside those of the threads where the storage is slow; see `readers`.
    The budget has room for them, the parts do without."""

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
    pixel = max(pixel for _, pixel, _ in costs.lines())
    base = process + sum(costs.fixed.values())
    expanding, after = sum(costs.expanding.values()), sum(costs.after.values())
    low_height, low_width = min(block[0], rows), columns
    if block[1] < columns:  # columns can be cut; 4096 pixels still make a useful read
        low_width = min(columns, -(-4096 // block[1]) * block[1])
    least = low_height * low_width
    fewest = 1 if slots is None else threads
    for count in range(max(1, threads), fewest - 1, -1):
        if budget - base >= max(expanding, after, costs.held(count, least)):
            break
    else:
        needed = base + max(expanding, after, costs.held(fewest, least))
        where = "" if slots is None else f" in a process with {threads} threads"
        raise PulsarError(
            f"⟦memory⟧ {budget / GB:.3g} is too little: "
            f"this needs at least {math.ceil(needed / GB * 100) / 100:.2f} GB{where}",
            "memory",
        )
    most = costs.most_pixels(count, budget - base)
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
    if (frame := costs.stored * rows * columns // costs.frames) < READ_RUN:  # of many small ones
        shared = max(shared, min(frame * costs.frames // MOST_TILE, frame // LEAST_RUN))
    if len(grid) < shared and width == columns and rows > low_height:
        planes = shape[0] if len(shape) == 3 else 1
        share = -(-rows * planes // shared)
        height = min(height, max(low_height, -(-share // low_height) * low_height))
        grid = Grid(shape, height, width)
    # as many tiles, but none much smaller than the others: the largest is what is held
    height = _even(rows, height, low_height)
    width = _even(columns, width, block[1])
    grid = Grid(shape, height, width)
    count = min(count, len(grid))
    area = min(height, rows) * width
    if rows % height == 0 == columns % width:
        costs = costs.cut_evenly()
    parts = {"process": process, **costs.fixed}
    phase = costs.phase(area)
    for threaded in (costs.per_thread, phase.thread):
        parts |= {name: count * size for name, size in threaded.items()}
    for pixels_of in (costs.per_pixel, phase.pixel, phase.edge):
        parts |= {name: count * size * area for name, size in pixels_of.items()}
    others = dict.fromkeys([*costs.earlier, *(name for p in costs.phases for name in p.alone)])
    if (more := base + costs.held(count, area) - _sum(parts)) > 0:
        parts[f"{', '.join(others)}, beyond a tile"] = more
    expanders = min(threads, costs.expanders or threads)
    expanders = max(1, min(expanders, (budget - base) // expanding)) if expanding else 1
    before = {"process": process, **costs.fixed}
    before |= {name: expanders * size for name, size in costs.expanding.items()}
    after_all = {"process": process, **costs.fixed, **costs.after}
    ahead = min(count, len(grid) - count) if slots is None else 0
    while ahead and base + costs.held(count + ahead, area) > budget:
        ahead -= 1
    return Plan(grid, count, budget, parts, 0, expanders, before, after_all, ahead)


def _even(length: int, part: int, step: int) -> int:
    """The least that the parts can be, whole steps long, for there to be as many as of `part`."""
    each = -(-length // -(-length // part))
    return min(part, -(-each // step) * step)


@dataclass(frozen=True)
class Resources:
    """What a process that computes has and may take."""

    budget: int
    """Bytes, all in all."""
    process: int
    """Bytes that it holds already, its libraries loaded, and what they will still take."""
    threads: int
    slots: int | None = None
    """Threads of all processes that share the tiles; None: this is the only one."""
    target: int = TARGET
    """Bytes of stored pixels that a tile should have."""
    waiting: int = 0
    """Results for each thread that wait to be sent."""
    where: str = ""
    """What it is called in an error."""
