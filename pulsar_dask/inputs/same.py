"""One file under two names, as it may be among many."""

from __future__ import annotations

import os
import unicodedata
from typing import Literal

from pulsar_dask.inputs.sequence import Numbered
from pulsar_dask.inputs.words import file_number, same_file


class Same:
    """A path, to be compared with many others as `spec.same_file` does."""

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path)
        self._text = os.path.normcase(self.path)
        self._number = file_number(path)
        self._sequence = Numbered.of(self.path)
        self._folders: dict[str, str] = {}

    def relation(self, other: str) -> Literal["file", "sequence"] | None:
        """Whether another path is this file, be it by a hard link, or one of its sequence."""
        if self._number is not None and self._number == file_number(other):
            return "file"
        real = self._real(other)
        if self._text == os.path.normcase(real):
            return "file"
        return "sequence" if self._is_sibling(real) else None

    def _real(self, path: str) -> str:
        """`realpath`, which looks at each folder above: that is done once for many files of one."""
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if name in ("", ".", ".."):
            return os.path.realpath(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], name)

    def is_file(self, other: str) -> bool:
        """Whether another path is this file, be it by a hard link."""
        return self.relation(other) == "file"

    def is_name(self, other: str) -> bool:
        """Whether another path is this very name of the file: a hard link is not."""
        if not self.is_file(other):
            return False
        real = os.path.realpath(other)
        (folder, name), (there, theirs) = os.path.split(self.path), os.path.split(real)
        return _plain(name) == _plain(theirs) and same_file(folder, there)

    def _is_sibling(self, real: str) -> bool:
        mine = self._sequence
        theirs = Numbered.of(real) if mine is not None else None
        if mine is None or theirs is None or not mine.counts_as(theirs):
            return False
        texts = [(n.prefix, n.suffix.lower()) for n in (mine, theirs)]
        if texts[0] != texts[1] and (
            [*map(_plain, texts[0])] != [*map(_plain, texts[1])] or _tells_case(real)
        ):
            return False
        return mine.folder == theirs.folder or same_file(mine.folder, theirs.folder)


def _plain(text: object) -> str:
    """A name without what some file systems do not tell apart."""
    return unicodedata.normalize("NFC", str(text)).casefold()


def _tells_case(path: str) -> bool:
    """Whether a file's folder tells upper from lower case."""
    folder, name = os.path.split(path)
    return file_number(os.path.join(folder, name.swapcase())) != file_number(path)
