"""What a master was made of: HISTORY cards that name each input with the sum of its pixels.

A card is ``input dark_0001.fit DATASUM 3021345678``, with ``HDU SCI`` at its end where that one was
chosen of several images of the file; ``folder ../darks`` before it says where, from the master's
folder. The sum is the DATASUM that the image has in a FITS file that is not
compressed, so it stays the same when an archive compresses the frames. After the last of them,
``order`` and as many sums say in which order the pixels of each lay (`ordersum`); masters of the
first versions do not have it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from pulsar_dask._version import __version__
from pulsar_dask.frames.frame import Frame, image_key
from pulsar_dask.frames.step import Step
from pulsar_dask.kernels.ordersum import Sums

Role = Literal["input", "bias", "dark", "flat", "error", "list"]
ROLES: tuple[Role, ...] = get_args(Role)
_WIDTH = 72
_RECORD = re.compile(rf"({'|'.join(ROLES)}) (.*) DATASUM (\d{{10}})(?: HDU (.+))?", re.DOTALL)
_WRITTEN = re.compile(r"wrote (.*) CRC32 (\d{10})", re.DOTALL)
_FOLDER = "folder "
_NOTE = "warning: "
_ORDER = re.compile(r"order((?: [0-9a-f]{16})+)")
_BEGIN = re.compile(r"pulsar-dask \S+ (made|calibrated) this of")


@dataclass(frozen=True)
class Source:
    """A file that a master was made of."""

    role: Role
    path: str
    """As it was read; of a frame in a Zarr store, store/place/name."""
    store: bool = False
    """Whether it lies in a Zarr store."""
    sum: int | None = None
    """DATASUM of its pixels; of a list that of its bytes."""
    order: int | None = None
    """The sum of those that sees their order."""
    hdu: int | str | None = None
    """Of a file of several images: the one that was chosen, as it was chosen."""

    @staticmethod
    def of(role: Role, source: Frame) -> Source:
        return Source(role, source.path, source.place != source.path, hdu=source.stored.chosen)

    @staticmethod
    def of_list(path: str, sums: Sums) -> Source:
        return Source("list", os.path.abspath(path), sum=sums.words, order=sums.order)

    @property
    def key(self) -> str:
        """As that of its frame."""
        return image_key(self.path, self.hdu)

    @property
    def place(self) -> tuple[str, str]:
        """Folder and name; the name of a frame in a store begins with the store's."""
        folder, name = os.path.split(self.path)
        for _ in range(2 if self.store else 0):
            folder, part = os.path.split(folder)
            name = f"{part}/{name}"
        return folder, name


def roles_of(found: Iterable[tuple[Source, Any]]) -> dict[str, list[Any]]:
    """What was found of sources, by their roles: of each one there is."""
    by_role: dict[str, list[Any]] = {role: [] for role in ROLES}
    for source, one in found:
        by_role[source.role].append(one)
    return by_role


@dataclass(frozen=True)
class Trace:
    """What a master was made of, and how."""

    sources: tuple[Source, ...] = ()
    steps: tuple[Step | str, ...] = ()
    """What was done; in words, where that is not known here."""
    written: tuple[str, ...] = ()
    """Lists that are written beside it, for which it vouches."""
    notes: tuple[str, ...] = ()
    """Warnings about it."""
    verb: str = "made"
    """"calibrated" where it is still one frame, and no master."""

    def texts(
        self,
        home: str,
        sums: Mapping[str, Sums],
        written: Mapping[str, int] = MappingProxyType({}),
        notes: Sequence[str] = (),
    ) -> list[str]:
        """Texts of HISTORY cards, up to 72 characters each.

        Parameters
        ----------
        home : str
            The master's folder.
        sums : mapping
            By the keys of frames; those that are missing are 0 and take the same room.
        written : mapping
            CRC-32 of the lists that are written beside it, likewise.
        notes : sequence of str
            Further warnings.
        """
        records, last = [f"pulsar-dask {__version__} {self.verb} this of"], None
        orders: list[str] = []
        for source in self.sources:
            folder, name = source.place
            if folder != last:
                records.append(_FOLDER + _escape(_from(folder, home)))
                last = folder
            known = sums.get(source.key, Sums())
            if source.sum is not None:
                known = Sums(source.sum, source.order or 0)
            hdu = "" if source.hdu is None else f" HDU {_escape(str(source.hdu))}"
            records.append(f"{source.role} {_escape(name)} DATASUM {known.words:010}{hdu}")
            orders.append(f"{known.order:016x}")
        if orders:
            records.append(" ".join(["order", *orders]))
        steps = map(_escape, map(str, self.steps))
        lists = [_written(path, written.get(path, 0)) for path in self.written]
        told = [_NOTE + _escape(note) for note in (*self.notes, *notes)]
        return [part for text in (*records, *steps, *lists, *told) for part in _split(text)]


def _written(path: str, crc: int) -> str:
    return f"wrote {_escape(os.path.basename(path))} CRC32 {crc:010}"


def read_written(master: str) -> dict[str, int]:
    """What a FITS master vouches for: name and CRC-32 of lists that were written with it."""
    with open(master, "rb") as file:
        return written_by(file.read(1 << 23))


def written_by(head: bytes) -> dict[str, int]:
    """`read_written` of the first bytes of a master."""
    cards = [head[i : i + 80] for i in range(0, len(head), 80)]
    texts = [c[8:].decode("ascii", "replace").rstrip() for c in cards if c[:8] == b"HISTORY "]
    return written_in(texts)


def written_in(history: Iterable[str]) -> dict[str, int]:
    """`read_written` of the HISTORY of a master."""
    found = map(_WRITTEN.fullmatch, _own(_join(history)))
    return {_unescape(match[1]): int(match[2]) for match in found if match}


def _own(texts: list[str]) -> list[str]:
    """Those of the master itself: before them come the cards of the first frame, which may be
    a master, too."""
    begins = [i for i, text in enumerate(texts) if _BEGIN.fullmatch(text)]
    return texts[begins[-1] + 1 :] if begins else []


def read_trace(history: Iterable[str], home: str) -> Trace:
    """The trace in the HISTORY of a master, whose folder is `home`."""
    sources: list[Source] = []
    steps, written, notes, orders, folder = [], [], [], [], home
    texts = _join(history)
    verb = next((m[1] for t in reversed(texts) if (m := _BEGIN.fullmatch(t))), "made")
    for text in _own(texts):
        if match := _RECORD.fullmatch(text):
            path = os.path.join(folder, _unescape(match[2]))
            hdu = as_hdu(_unescape(match[4])) if match[4] else None
            sources.append(Source(match[1], path, in_store(path), int(match[3]), hdu=hdu))  # type: ignore[arg-type]
        elif match := _ORDER.fullmatch(text):
            orders = [int(order, 16) for order in match[1].split()]
        elif text.startswith(_FOLDER):
            folder = os.path.normpath(os.path.join(home, _unescape(text[len(_FOLDER) :])))
        elif match := _WRITTEN.fullmatch(text):
            written.append(os.path.join(home, _unescape(match[1])))
        elif text.startswith(_NOTE):
            notes.append(_unescape(text.removeprefix(_NOTE)))
        else:
            steps.append(Step.read(text) or text)
    if len(orders) == len(sources):
        sources = [replace(s, order=order) for s, order in zip(sources, orders, strict=True)]
    return Trace(tuple(sources), tuple(steps), tuple(written), tuple(notes), verb)


def as_hdu(text: str) -> int | str:
    """The index or the name of an HDU, as it is written.

    >>> as_hdu("2"), as_hdu("SCI,2")
    (2, 'SCI,2')
    """
    return int(text) if re.fullmatch("[0-9]{1,4}", text) else text


def in_store(path: str) -> bool:
    """Whether the path of a frame is one in a Zarr store."""
    return bool(re.search(r"\.zarr[/\\]\d+[/\\][^/\\]*$", path, re.IGNORECASE))


def _from(folder: str, home: str) -> str:
    try:
        path = os.path.relpath(folder, home)
    except ValueError:  # another drive of Windows
        path = folder
    return path.replace("\\", "/") if os.sep == "\\" else path


def _escape(text: str) -> str:
    """Printable ASCII that `_unescape` turns back, whatever the text.

    >>> _escape("Größe"), _unescape(_escape("a\\\\b\\n")) == "a\\\\b\\n"
    ('Gr\\\\xf6\\\\xdfe', True)
    """
    text = "".join(
        c if " " <= c <= "~" and c != "\\" else c.encode("unicode_escape").decode() for c in text
    )
    return text[:-1] + "\\x20" if text.endswith(" ") else text  # a card does not keep it


def _unescape(text: str) -> str:
    return text.encode("ascii", "replace").decode("unicode_escape", "replace")


def _split(text: str) -> list[str]:
    """A text in pieces that fit a card; "&" ends those that the next one continues."""
    if len(text) < _WIDTH or (len(text) == _WIDTH and not text.endswith("&")):
        return [text]
    step = _WIDTH - 1
    pieces = [text[i : i + step] for i in range(0, len(text), step)]
    return [piece + "&" for piece in pieces[:-1]] + pieces[-1:]


def _join(cards: Iterable[str]) -> list[str]:
    texts, open_ = [], ""
    for card in cards:
        if len(card) == _WIDTH and card.endswith("&"):
            open_ += card[:-1]
        else:
            texts.append(open_ + card)
            open_ = ""
    return texts


def plain_texts(trace: Trace) -> list[str]:
    """Inputs and steps without sums and folders, where nothing has been read yet."""
    names = [f"{source.role} {_escape(source.place[1])}" for source in trace.sources]
    return [
        part for text in (*names, *map(_escape, map(str, trace.steps))) for part in _split(text)
    ]


def history_cards(texts: Sequence[str]) -> str:
    """HISTORY cards, 80 characters each."""
    return "".join(f"HISTORY {text:<{_WIDTH}}" for text in texts)
