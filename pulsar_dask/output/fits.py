"""FITS files of masters: tiles go to their place in them as they come."""

from __future__ import annotations

import functools
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from astropy.io import fits

from pulsar_dask.errors import PulsarError
from pulsar_dask.files.atomic import AtomicFile
from pulsar_dask.files.place import Place, new_token
from pulsar_dask.formats.hdus import BLOCK
from pulsar_dask.formats.reading import to_values
from pulsar_dask.frames.planes import PLANES, Plane
from pulsar_dask.frames.provenance import Trace, history_cards
from pulsar_dask.kernels.checksum import MINUS_ZERO, ORDER_CARD, both_sums, encode_checksum
from pulsar_dask.kernels.ordersum import Sums
from pulsar_dask.kernels.pixels import PixelType, Tile
from pulsar_dask.output.encoding import OUTPUT_TYPES
from pulsar_dask.output.laid import Laid

Array = np.ndarray[Any, Any]


#: Bytes of a file that are brought to the disk and read back while others are computed.
_PART = 8 << 20
#: Cards kept free for warnings that come when pixels have been seen.
_SPARE_CARDS = 24


class _Hdu:
    """An image, or none, in a FITS file: its header, where it lies, the sums of its data."""

    def __init__(self, cards: fits.Header, start: int, texts: Texts, spare: int = 0) -> None:
        self.cards, self.start = cards, start
        self._texts = texts
        self.sums = Sums()
        self._length = len(self._written({}, {}, (), spare))
        self.data_start = start + self._length

    def _written(
        self,
        sums: Mapping[str, Sums],
        written: Mapping[str, int],
        notes: Sequence[str],
        spare: int = 0,
    ) -> str:
        text: str = self.cards.tostring(endcard=False, padding=False)
        text += history_cards(self._texts(sums, written, notes))
        return (text + "END".ljust(80)).ljust(_whole(len(text) + 80 * (1 + spare)))

    def seal(
        self, sums: Mapping[str, Sums], written: Mapping[str, int], notes: Sequence[str]
    ) -> Array:
        """The header as it is in the file, its checksums put in."""
        if "DATASUM" in self.cards:
            self.cards["DATASUM"] = str(self.sums.words).ljust(10)
        if ORDER_CARD in self.cards:
            self.cards[ORDER_CARD] = self.sums.text
        left = list(notes)
        while left and len(self._written(sums, written, left)) > self._length:
            left.pop()  # there is room for all that the tools say
        # cards that are blank fill the block that was kept free, before END
        more = (self._length - len(self._written(sums, written, left))) // 80
        text = self._with_blanks(sums, written, left, more)
        total = both_sums(_ascii(text)) + self.sums
        self.cards["CHECKSUM"] = encode_checksum(~total.words & MINUS_ZERO)
        return _ascii(self._with_blanks(sums, written, left, more))

    def _with_blanks(
        self,
        sums: Mapping[str, Sums],
        written: Mapping[str, int],
        notes: Sequence[str],
        blanks: int,
    ) -> str:
        text = self._written(sums, written, notes).rstrip()
        assert text.endswith("END")
        return (text[:-3] + " " * (80 * blanks) + "END").ljust(self._length)


Texts = Callable[[Mapping[str, Sums], Mapping[str, int], Sequence[str]], list[str]]


def _whole(length: int) -> int:
    return -(-length // BLOCK) * BLOCK


def _ascii(text: str) -> Array:
    return np.frombuffer(text.encode("ascii"), np.uint8)


class FitsFile:
    """A FITS file whose images are written tile by tile, in any order.

    Memory does not grow with the images. `put` may be called from several threads. Used as
    a context manager: `commit` makes the file appear, else nothing is left of it. With `verify`
    it is read back from the disk before.
    """

    def __init__(
        self,
        path: str,
        shape: tuple[int, ...],
        dtypes: Mapping[str, str],
        header: fits.Header,
        trace: Trace = Trace(),  # noqa: B008
        *,
        verify: bool = True,
        shared: bool = False,
        passing: bool = False,
    ) -> None:
        """`dtypes` are the types of the images by plane: "image" is the primary one, others are
        extensions of their names, in upper case. `shared` if other processes put tiles there,
        `passing` if it is one of many and need not stay in memory."""
        self.shape, self.dtypes = shape, dict(dtypes)
        for dtype in self.dtypes.values():
            if dtype not in OUTPUT_TYPES:
                raise PulsarError(f"dtype {dtype}: not one of {', '.join(OUTPUT_TYPES)}", "write")
        self.clipped = 0
        """Pixels that did not fit an integer type."""
        self.missing = 0
        """Pixels without any value."""
        home = os.path.dirname(os.path.abspath(path))
        self._hdus: dict[str, _Hdu] = {}
        self._end = 0
        primary = "image" if "image" in self.dtypes else ""
        self._add(primary, header, functools.partial(trace.texts, home), _SPARE_CARDS)
        for name in self.dtypes:
            if name != primary:
                self._add(name, fits.Header(), lambda *known: [])
        self._written: Counter[int] = Counter()  # bytes of each part of the file
        self._verify = verify
        self._sealed = False
        self._lock = threading.Lock()
        self._token = new_token() if shared else b""
        self.file = AtomicFile(path, self._end, token=self._token, passing=passing)
        planes = {name: (self._hdus[name].data_start, t) for name, t in self.dtypes.items()}
        self._here = Laid(self.file, shape[-2], shape[-1], planes)

    def _add(self, name: str, cards: fits.Header, texts: Texts, spare: int = 0) -> None:
        size = 0
        if name:
            pixel = abs(OUTPUT_TYPES[self.dtypes[name]][0]) // 8
            size = int(np.prod(self.shape, dtype=object)) * pixel
        hdu = _Hdu(self._complete(name, cards), self._end, texts, spare)
        self._hdus[name] = hdu
        self._end = hdu.data_start + _whole(size)

    def _complete(self, name: str, cards: fits.Header) -> fits.Header:
        header = fits.Header()
        bitpix, bzero = OUTPUT_TYPES[self.dtypes[name]] if name else (8, 0)
        if not self._hdus:
            header["SIMPLE"] = (True, "conforms to FITS standard")
        else:
            header["XTENSION"] = ("IMAGE", "image extension")
        header["BITPIX"] = (bitpix, "array data type")
        header["NAXIS"] = (len(self.shape) if name else 0, "number of array dimensions")
        for i, length in enumerate(reversed(self.shape) if name else (), 1):
            header[f"NAXIS{i}"] = length
        if self._hdus:
            header["PCOUNT"], header["GCOUNT"] = 0, 1
            plane = PLANES.get(name, Plane(name))
            header["EXTNAME"] = (plane.extname, "name of the plane")
            if name == "uncertainty":
                header["UTYPE"] = ("StdDevUncertainty", "as astropy's CCDData names it")
        elif len(self.dtypes) > 1 or not name:
            header["EXTEND"] = True
            header["NEXTEND"] = (len(self.dtypes) - bool(name), "number of extensions")
        if bzero:
            header["BSCALE"] = 1
            header["BZERO"] = (bzero, "offset of unsigned integers")
        header["CHECKSUM"] = ("0" * 16, "checksum of this HDU")
        header["DATASUM"] = ("0".ljust(10), "checksum of the data")
        if name:
            header[ORDER_CARD] = (Sums().text, "DATASUM, sum that sees order")
        header.extend(cards.cards, unique=False, update=False, end=True)
        return header

    @property
    def there(self) -> Laid:
        """What puts tiles into the file where they are computed; `put` is told what it gives."""
        shared = Place.of(*self.file.opened, self._token) if self._token else self.file
        return replace(self._here, target=shared)

    def put(self, plane: str, tile: Tile, data: Sums | Array, clipped: int, missing: int) -> None:
        """Take in what was put into its place; and put it there if it is not (see `laid.Put`)."""
        if not isinstance(data, Sums):
            data = self._here.put(plane, tile, data, clipped, missing)[0]
            assert isinstance(data, Sums)
        if self._verify:
            runs, length = self._here.runs(plane, tile)
            for place in runs:
                self._settle(place, length)
        with self._lock:
            self._hdus[plane].sums += data
            self.clipped += clipped
            self.missing += missing

    def draft(self, plane: str, tile: Tile, data: Any) -> None:
        """Write what comes before the final values of a tile, which `put` writes over it."""
        self._here.put(plane, tile, data, 0, 0)

    def read(self, plane: str, tile: Tile) -> Array:
        """What was written of a tile of whole rows, as values."""
        bitpix, zero = OUTPUT_TYPES[self.dtypes[plane]]
        data = np.empty(tile.shape, PixelType(bitpix).stored)
        self.file.read_at(data, self._here.runs(plane, tile)[0].start)
        found: Array = to_values(data, PixelType(bitpix, 1.0, float(zero)))
        return found

    def _settle(self, offset: int, length: int) -> None:
        """Count what was written; a part that is full is settled."""
        first, last = offset // _PART, (offset + length - 1) // _PART
        for part in range(first, last + 1):
            inside = min(offset + length, (part + 1) * _PART) - max(offset, part * _PART)
            with self._lock:
                self._written[part] += inside
                full = self._written[part] == _PART
            if full:
                self.file.settle(part * _PART, (part + 1) * _PART)

    def set(self, keyword: str, value: float) -> None:
        """Give a card of the first header, that is there, its value."""
        next(iter(self._hdus.values())).cards[keyword] = value

    def seal(
        self,
        sums: Mapping[str, Sums] = {},
        written: Mapping[str, int] = {},
        notes: Sequence[str] = (),
    ) -> None:
        """Put in the checksums and bring the file to the disk.

        Parameters
        ----------
        sums : mapping
            Those of the inputs by their keys, for the trace.
        written : mapping
            CRC-32 of lists that are written beside it, by path.
        notes : sequence of str
            Warnings about it that have come since it was made.
        """
        whole = Sums()
        self.file.refresh()
        for hdu in self._hdus.values():
            text = hdu.seal(sums, written, notes)
            if len(text) != hdu.data_start - hdu.start:
                raise AssertionError("the header changed its size")
            self.file.write_at(text, hdu.start)
            whole += both_sums(text).later(hdu.start) + hdu.sums.later(hdu.data_start)
        if self._verify:
            self.file.seal(MINUS_ZERO, whole.order)
        else:
            self.file.seal()
        self._sealed = True

    def commit(self, check: Callable[[], None] | None = None, *, wait: bool = True) -> None:
        """Give the file its name, after `seal`; see `atomic.AtomicFile.commit`."""
        if not self._sealed:
            self.seal()
        self.file.commit(check, wait=wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.file.close()


class FitsMaster(FitsFile):
    """A `FitsFile` with one primary image."""

    def __init__(
        self,
        path: str,
        shape: tuple[int, ...],
        dtype: str,
        header: fits.Header,
        trace: Trace = Trace(),  # noqa: B008
        *,
        verify: bool = True,
        shared: bool = False,
    ) -> None:
        planes = {"image": dtype}
        super().__init__(path, shape, planes, header, trace, verify=verify, shared=shared)
        self.dtype = dtype

    def write(self, tile: Tile, values: Array) -> None:
        """Write the float64 values of a tile, shape (height, width), rounded once."""
        self.put("image", tile, *self._here.encode("image", tile, values))
