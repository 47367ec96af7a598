"""Files that hold images and are no FITS files: what they are, and how to make FITS of them."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from pulsar_dask.errors import printable


class Other(NamedTuple):
    """A kind of file."""

    endings: str
    what: str
    """As it is said of one."""
    way_out: str
    magic: tuple[bytes, ...] = ()
    """How one may begin."""
    preview: bool = False
    """Whether it commonly lies beside frames, to be looked at."""


_SIRIL = "makes FITS of {}: its command `convert`, or its Conversion tab"
#: What is said of a kind, by its endings. Of two with one beginning the ending tells.
OTHERS = (
    Other("bz2", "compressed by bzip2", "`bunzip2 -k {all}` expands {them}", (b"BZh",)),
    Other("xz lzma", "compressed by xz", "`unxz -k {all}` expands {them}", (b"\xfd7zXZ\0",)),
    Other("zst", "compressed by zstd", "`unzstd {all}` expands {them}", (b"\x28\xb5\x2f\xfd",)),
    Other("lz4", "compressed by lz4", "`unlz4 -m {all}` expands {them}", (b"\x04\x22\x4d\x18",)),
    Other("z", "compressed by compress", "`gunzip {all}` expands {them}", (b"\x1f\x9d",)),
    Other("zip", "a ZIP archive", "`unzip NAME` unpacks it", (b"PK\3\4",)),
    Other("7z", "a 7-Zip archive", "`7z x NAME` unpacks it", (b"7z\xbc\xaf\x27\x1c",)),
    Other("rar", "a RAR archive", "`unrar x NAME` unpacks it", (b"Rar!",)),
    Other("tar tgz tbz2 txz", "a tar archive", "`tar -xf NAME` unpacks it"),
    Other(
        "xisf",
        "a PixInsight image (XISF)",
        "PixInsight saves {them} as FITS: File > Save As, of many the script BatchFormatConversion",
        (b"XISF0100",),
    ),
    Other(
        "cr2 cr3 crw nef nrw arw sr2 srf dng raf orf rw2 pef srw 3fr iiq x3f kdc erf mrw",
        "a raw file of a camera",
        f"Siril {_SIRIL}",
        (b"FUJIFILMCCD-RAW", b"IIRO", b"IIU\0", b"FOVb", b"HEAPCCDR", b"\0\0\0\x18ftypcrx"),
    ),
    Other("tif tiff", "a TIFF image", f"Siril {_SIRIL}", (b"II*\0", b"MM\0*")),
    Other("png", "a PNG image", f"Siril {_SIRIL}", (b"\x89PNG",), True),
    Other("jpg jpeg", "a JPEG image", f"Siril {_SIRIL}", (b"\xff\xd8\xff",), True),
    Other("bmp pnm ppm pgm pic", "an image of another format", f"Siril {_SIRIL}"),
    Other("ser", "a SER video", f"Siril {_SIRIL}", (b"LUCAM-RECORDER",)),
    Other("avi mp4 mov mkv wmv", "a video", f"Siril {_SIRIL}", (b"\x1aE\xdf\xa3",)),
    Other(
        "h5 hdf5 npy npz asdf",
        "an array of another format",
        "astropy writes FITS: `fits.writeto(name, array)`",
        (b"\x89HDF\r\n\x1a\n", b"\x93NUMPY", b"#ASDF"),
    ),
    Other("html htm", "a web page, as of a download that failed", "fetch the file again",
          (b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML")),
    Other("", "a pointer of Git LFS", "`git lfs pull` fetches the file",
          (b"version https://git-lfs",)),
)  # fmt: skip
#: What is FITS but for its ending.
_FITS = Other(
    "fz fitz new imh",
    "FITS under another ending",
    "rename {them}: names end in .fit, .fits or .fts, also with .fz or .gz",
    (b"SIMPLE  =",),
)
_BY_ENDING = {ending: other for other in (*OTHERS, _FITS) for ending in other.endings.split()}
#: A FITS name that some program has compressed: a frame, beyond doubt.
_PACKED = re.compile(r"(.*\.(?:fit|fits|fts))\.(?:bz2|xz|lzma|zst|lz4|z|zip|7z|rar)", re.I | re.S)
_HEAD = 32


def kind_of(path: str, head: bytes | None = None) -> Other | None:
    """What a file is by how it begins, else by its ending; None where neither is known here."""
    if head is None:
        head = b""
        with contextlib.suppress(OSError, ValueError):
            if os.path.isfile(path):  # a pipe is not waited for
                with open(path, "rb") as file:
                    head = file.read(_HEAD)
    named = _BY_ENDING.get(os.path.splitext(path)[1][1:].lower())
    found = [o for o in (*OTHERS, _FITS) if head.startswith(o.magic)] if head else []
    if named and (named in found or not found or found[0].what == "a TIFF image"):
        return named  # many a raw file begins as a TIFF
    if head[8:11] == b"AVI":
        return _BY_ENDING["avi"]
    return found[0] if found else named


def told(paths: Sequence[str], kind: Other) -> str:
    """What files of one kind are, and the way out."""
    ending = os.path.splitext(paths[0])[1]
    one = len(paths) == 1
    every = printable(os.path.basename(paths[0]) if one else f"*{ending}")
    way_out = kind.way_out.replace("{all}", every).replace("{them}", "it" if one else "them")
    return f"{kind.what}; {way_out.replace('{}', 'it' if one else 'them')}"


def what_else(paths: Sequence[str]) -> str:
    """What is there where no FITS file is, of the commonest kind that is known; maybe nothing."""
    seen = [path for path in paths if not os.path.basename(path).startswith(".")]
    kinds = [(path, kind) for path in seen if (kind := kind_of(path))]
    if not kinds:
        return ""
    common = Counter(kind for _, kind in kinds).most_common(1)[0][0]
    those = sorted(path for path, kind in kinds if kind == common)
    more = f" and {len(those) - 1} more" if len(those) > 1 else ""
    return f": {printable(os.path.basename(those[0]))}{more}: {told(those, common)}"


def packed(paths: Sequence[str]) -> str:
    """What to say of frames of which only some are expanded; one alone may be a spare copy."""
    there = set(paths)
    those = sorted(p for p in paths if (m := _PACKED.fullmatch(p)) and m[1] not in there)
    if len(those) < 2:
        return ""
    kind = _BY_ENDING[os.path.splitext(those[0])[1][1:].lower()]
    name = printable(os.path.basename(those[0]))
    return f"passed over: {name} and {len(those) - 1} more: {told(those, kind)}"
