"""What is known of a frame, and the conventions of the programs that wrote it.

A `Frame` is a small immutable value made from headers alone. Reading pixels is a
function of it, so it travels to any thread, process or machine.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from pulsar_dask.errors import DAMAGED, printable
from pulsar_dask.frames.about import NOTHING, About, Value
from pulsar_dask.frames.holds import Holds
from pulsar_dask.kernels.pixels import PixelType, Tile

if TYPE_CHECKING:
    from astropy.io import fits

Array = np.ndarray[Any, Any]


class Looking(Protocol):
    """A look at the pixels of frames while they are read; see `kernels.survey.Looking`."""

    def over(self, images: Array) -> Look: ...


class Look(Protocol):
    """The same, of a tile; see `kernels.survey.Look`."""

    def of(self, part: slice) -> Look: ...

    def at(self) -> None: ...

    def prepared(self) -> tuple[int, Array] | None: ...

    def forget(self) -> None: ...


class Stored(Protocol):
    """How the pixels of a frame are stored: the value of its format, small and frozen.

    All that reads pixels goes through it and knows no format. What is here holds for a format
    that says nothing else; each has its own `header` and `read`. Methods are called on the value
    of the frame, or of the first of the frames, that they are given.
    """

    way_out: ClassVar[str] = DAMAGED
    """What to do about a damaged file."""
    coded: ClassVar[bool] = False
    """Whether the data unit that DATASUM is of holds other bytes than the pixels."""
    waits: ClassVar[bool] = False
    """Whether reading is waiting for bytes and no computing: then several threads do it."""

    @property
    def token(self) -> int:
        """Which image of its file it is."""
        return 0

    @property
    def chosen(self) -> int | str | None:
        """By which index or name it was chosen, where its file holds several images."""
        return None

    @property
    def kept(self) -> bool:
        """Whether its pixels lie in a file, so that they can be read again in a year."""
        return True

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of a compression tile or chunk; (1, 1) where pixels lie as they are."""
        return 1, 1

    @property
    def rice(self) -> object | None:
        """How to decode its pixels, where they are Rice-coded integers."""
        return None

    @property
    def expanded(self) -> bool:
        """Whether its pixels have to be expanded into a scratch file before a tile is read."""
        return False

    @property
    def at_once(self) -> int:
        """Frames of this format that are read in one go."""
        return 1

    @property
    def unit(self) -> tuple[int, int] | None:
        """Byte at which its data unit begins in its file, and its length without padding; None
        where there is no such thing to read."""
        return None

    def place(self, path: str) -> str:
        """What a user knows a frame of that path by: its file, or the store that it is in."""
        return path

    def file(self, path: str) -> str | None:
        """The file whose size and time tell whether a frame of that path is as it was scanned;
        None: nothing does."""
        return path

    def origin(self, frame: Frame) -> str:
        """The file that its pixels came from."""
        return frame.path

    def header(self, frame: Frame) -> fits.Header:
        """The header of its image, as it would be were it not compressed."""
        raise NotImplementedError

    def header_texts(self, frame: Frame) -> list[bytes]:
        """The cards of its headers, 80 bytes each, not parsed: those of the image, then those that
        stand in where it lacks one."""
        text: str = self.header(frame).tostring(sep="", padding=False, endcard=False)
        return [text.encode("latin-1", "replace")]

    def read(self, frames: Sequence[Frame], tile: Tile, out: Array, *, sums: bool) -> Array | None:
        """Read a tile of up to `at_once` frames of this format, as their pixels are stored.

        Parameters
        ----------
        frames : sequence of Frame
        tile : Tile
        out : ndarray, shape (frames, tile height, tile width), dtype of the stored pixels
            To be filled.
        sums : bool
            Whether sums of the bytes that are read are wanted.

        Returns
        -------
        ndarray of uint64, shape (frames, 2), or None
            Both sums (see `checksum.Sums`), if they are wanted and are known here.
        """
        raise NotImplementedError

    def read_and_look(
        self, frames: Sequence[Frame], tile: Tile, out: Array, *, sums: bool, look: Look
    ) -> Array | None:
        """`read`, and look at what was read while it is in the cache."""
        found = self.read(frames, tile, out, sums=sums)
        look.at()
        return found

    def parts(self, frame: Frame) -> Iterator[bytes | memoryview]:
        """All pixels of a frame that is `expanded`, in order."""
        return iter(())

    def beside(self, frame: Frame) -> dict[str, Frame]:
        """Planes of a master that lie in one file with its image, by name."""
        return {}

    def checks(self, frame: Frame) -> bool:
        """Whether what is read is compared with checksums that are none of a header."""
        return False

    # --- what that holds in memory, known from headers before a pixel is read ------------------

    @property
    def expanders(self) -> int | None:
        """Threads of which more expand nothing faster; None: each helps."""
        return None

    def holds(self, frames: Sequence[Frame], *, compiled: bool) -> Holds:
        """What reading a tile of frames of this format holds beside its pixels, those aside that
        are expanded."""
        return Holds()

    def expanding_bytes(self, frame: Frame, *, compiled: bool) -> int:
        """What expanding a frame holds in each thread."""
        return 0

    def sum_bytes(self, frame: Frame, stretch: int, *, compiled: bool) -> int:
        """What reading a frame for its sums alone holds in each thread, in parts of so many bytes
        or of whole compression tiles and chunks."""
        return 2 * stretch


@dataclass(frozen=True, slots=True)
class Stated:
    """The checksums that a frame's header states (FITS standard 4.0, section 4.4.2.7)."""

    data: int | None
    """DATASUM of the HDU."""
    header: int | None
    """Where there is a CHECKSUM, the sum of the header: with that of the data it is -0."""
    pixels: int | None
    """What DATASUM was before the image was compressed."""
    order: tuple[int, int] | None = None
    """Of a master of this program: DATASUM, and the sum of those data that sees their order. A
    program that changes pixels and leaves this card gives the data another DATASUM."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One image in one file, as its headers describe it. No pixel has been read."""

    path: str
    """Absolute path."""
    shape: tuple[int, ...]
    """(y, x) or (plane, y, x), in pixels."""
    pixels: PixelType
    stored: Stored
    """Where they lie in the file, and how they are read."""
    size: int
    """Bytes in the file when it was scanned."""
    mtime_ns: int
    """Time of last change when it was scanned, in ns."""
    about: About = NOTHING
    """What its cards say of it."""
    inode: int = 0
    """Number of the file and time of its status, where it was scanned; see
    `openfiles.check_unchanged`."""
    ctime_ns: int = 0
    stated: Stated | None = None
    """Checksums in its header, where there are any."""
    plane: str | None = None
    """Of what is no image but a plane of a master of this program: its name."""

    @property
    def file(self) -> str | None:
        """The file whose size and time tell whether the frame is as it was scanned."""
        return self.stored.file(self.path)

    @property
    def place(self) -> str:
        """What a user knows it by: its file, or the store that it is in."""
        return self.stored.place(self.path)

    @property
    def key(self) -> str:
        """Which image of which file it is: what its sums are known by."""
        return image_key(self.path, self.stored.chosen)

    @property
    def name(self) -> str:
        """Its file's, fit for a terminal."""
        return printable(os.path.basename(self.path))

    @property
    def kind(self) -> str | None:
        """ "bias", "dark", "flat", "light", "other"; None for an unlabelled frame."""
        return self.about.kind

    @property
    def is_master(self) -> bool:
        return self.about.master is not None

    @property
    def exposure(self) -> float | None:
        """Seconds."""
        return self.about.exposure

    @property
    def filter(self) -> str | None:
        return self.about.filter

    @property
    def date(self) -> str | None:
        """DATE-OBS as written."""
        return self.about.date

    @property
    def temperature(self) -> float | None:
        """Measured, °C; where it was not, that which the camera was to hold."""
        about = self.about
        return about.set_point if about.temperature is None else about.temperature

    @property
    def colour_cards(self) -> tuple[tuple[str, Value], ...]:
        """What its cards say of its colours."""
        return self.about.colours

    @property
    def nbytes(self) -> int:
        """Bytes of the stored pixels, not compressed."""
        return math.prod(self.shape) * self.pixels.stored.itemsize


def image_key(path: str, chosen: int | str | None) -> str:
    """What an image is known by: its file, and which of several it is there."""
    return path if chosen is None else f"{path}[{chosen}]"


def named(frames: Sequence[Frame], most: int = 3) -> str:
    """Some of the files, and how many more."""
    more = f" and {len(frames) - most} more" if len(frames) > most else ""
    return ", ".join(frame.name for frame in frames[:most]) + more
