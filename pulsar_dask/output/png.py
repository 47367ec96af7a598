"""Small pictures as PNG (ISO/IEC 15948), with a palette: 256 colours, of which some let through
what lies below."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Colour = tuple[int, int, int]
#: Index 0 is nothing, the others are greys from black to white.
GREYS: Sequence[Colour] = [(0, 0, 0), *((v * 255 // 254,) * 3 for v in range(255))]


def png(indices: Array, palette: Sequence[Colour]) -> bytes:
    """A picture; index 0 is transparent.

    Parameters
    ----------
    indices : ndarray of uint8, shape (height, width)
        The first row is the top one.
    palette : sequence of (red, green, blue)
    """
    height, width = indices.shape
    lines = np.zeros((height, width + 1), np.uint8)  # each begins with its filter, none
    lines[:, 1:] = indices
    head = struct.pack(">2I5B", width, height, 8, 3, 0, 0, 0)
    colours = bytes(part for colour in palette for part in colour)
    # noise has no repetitions to look for: a third of the time, and no larger
    packed = zlib.compressobj(strategy=zlib.Z_RLE)
    data = packed.compress(lines.data) + packed.flush()
    parts = ((b"IHDR", head), (b"PLTE", colours), (b"tRNS", b"\0"), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def data_uri(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")
