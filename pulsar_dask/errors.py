"""What goes wrong, in words that a user can act on."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import warnings
from collections.abc import Iterator

# Only what Python has loaded by then: see `__init__`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: A parameter in a message, which a function has and a command line, where it is an option.
_PARAMETER = re.compile("⟦([a-z_]+)⟧")


class Remark(str):
    """What is to be warned of, with the code of its kind."""

    code: str
    frames: tuple[str, ...] = ()
    """Paths of the frames that it is about, where it is about some."""
    left_out = False
    """Whether these are left out."""

    def __new__(cls, text: str, code: str = "other") -> Remark:
        self = super().__new__(cls, text)
        self.code = code
        return self


def code_of(text: object) -> str:
    """That of a remark; of other texts "other"."""
    return getattr(text, "code", None) or "other"


class _Message(Exception):
    """A text that names parameters: ``⟦memory⟧`` is "`memory`" in Python, and "--memory" on a
    command line. Programs know its kind by `code`, which stays where words change; all are
    listed in docs/programs.md."""

    code: str = "other"
    frames: tuple[str, ...] = ()
    """Paths of the frames that it is about, where it is about some."""

    def __init__(self, text: object = "", code: str | None = None) -> None:
        self.text: str = str(text)
        self.code: str = code or getattr(text, "code", None) or type(self).code
        super().__init__(_PARAMETER.sub(r"`\1`", self.text))

    def __reduce__(self) -> Any:
        return type(self), (self.text, self.code), self.__dict__

    @property
    def on_command_line(self) -> str:
        """The text with options in place of parameters."""
        return _PARAMETER.sub(lambda match: f"--{match[1].replace('_', '-')}", self.text)


class PulsarError(_Message):
    """A failure a user can cause or mend; its text names the file and the way out."""


class PulsarWarning(_Message, UserWarning):
    """Something that was worked around; its text says what it means for the result."""

    left_out: bool = False
    """Whether these are left out."""


def exhausted(error: BaseException) -> str | None:
    """What to do about an error that tells that the system gives no more of something."""
    number = error.errno if isinstance(error, OSError) else None
    text = str(error).lower()
    if "can't start new thread" in text:
        return (
            "the system gives no further thread; take fewer with ⟦threads⟧, or raise the limits "
            "(`ulimit -u`, `ulimit -v`)"
        )
    if (
        isinstance(error, MemoryError)
        or number == errno.ENOMEM
        or "cannot allocate memory" in text
        or "failed to map segment" in text
    ):
        return (
            "the system gives no more memory; take less with ⟦memory⟧ and ⟦threads⟧, close other "
            "programs, or raise the limit (`ulimit -v`)"
        )
    if number in (errno.EMFILE, errno.ENFILE) or "too many open files" in text:
        return "too many open files; raise the limit (`ulimit -n`)"
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left ({error}); free some"
    return exhausted(error.__cause__) if error.__cause__ is not None else None


#: What to do where the system refuses a file or folder that is to be read.
_WAYS_OUT = {
    errno.ENOENT: "is the name right?",
    errno.ENOTDIR: "is the name right?",
    errno.EACCES: "allow this user to read it, or leave it out",
    errno.EPERM: "allow this user to read it, or leave it out",
    errno.EISDIR: "name a file",
}


def reason(error: OSError) -> str:
    """Why the system refuses something that is to be read, and the way out."""
    way_out = _WAYS_OUT.get(error.errno or 0)
    return f"{error.strerror or error}" + (f"; {way_out}" if way_out else "")


#: What to do about a file that is damaged.
DAMAGED = "copy it again or remove it from the input"


def refusal(path: str, what: str, way_out: str = DAMAGED) -> PulsarError:
    """The error that refuses a file, for a reason in words; both are made fit for a terminal."""
    error = PulsarError(f"{printable(path)}: {printable(what)}; {way_out}", "unreadable")
    error.frames = (path,)
    return error


def wrong_argument(name: str, value: object, give: str) -> PulsarError:
    """The error that refuses what a parameter was given, and says what to give."""
    import reprlib  # not before modules of the current folder are out of reach

    return PulsarError(f"⟦{name}⟧ {printable(reprlib.repr(value))}: give {give}", "argument")


class ClusterError(PulsarError):
    """A dask cluster does not do what it should."""

    code = "cluster"


class OneGroup(PulsarError):
    """What is wrong with the frames of one master, which does not cost the others."""


class NotMade(PulsarError):
    """Some masters were not made; `reasons` are (name, why)."""

    code = "not-made"
    reasons: tuple[tuple[str, str], ...] = ()


_TOLD: list[tuple[list[str], bool]] = []


def warn(
    text: str, code: str | None = None, *, frames: tuple[str, ...] = (), left_out: bool = False
) -> None:
    """Issue a `PulsarWarning`; where somebody wants none to be passed over, raise it.

    Parameters
    ----------
    text : str
    code : str, optional
        Of its kind, for programs; by default that of a `Remark`.
    frames : tuple of str
        Paths of the frames that it is about.
    left_out : bool
        Whether these are left out.
    """
    warning = PulsarWarning(text, code)
    warning.frames, warning.left_out = frames, left_out
    remark = Remark(str(warning), warning.code)
    remark.frames, remark.left_out = frames, left_out
    for texts, strict in _TOLD:
        if strict:
            raise PulsarError(f"{text} (⟦strict⟧ makes an error of this warning)", warning.code)
        texts.append(remark)
    warnings.warn(warning, stacklevel=3)


def note(text: str) -> None:
    """Keep what was warned of already, for what it is true of, too."""
    for texts, _ in _TOLD:
        texts.append(text)


@contextlib.contextmanager
def told(*, strict: bool = False) -> Iterator[list[str]]:
    """A list of what is warned of meanwhile, for those who keep it: a warning that scrolled away
    is none a year later. With `strict` each is an error."""
    texts: list[str] = []
    entry = texts, strict
    _TOLD.append(entry)
    try:
        yield texts
    finally:
        _TOLD[:] = [one for one in _TOLD if one is not entry]


def printable(text: object) -> str:
    """`text` with control and other unprintable characters escaped, fit for a terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode()
        for c in str(text)
    )


def shown(value: Any) -> str:
    """A value of a header for a message: fit for a terminal, cut where it is long."""
    text = printable(repr(value))
    return text if len(text) <= 70 else f"{text[:70]}…"


def terminal_text(text: object) -> str:
    """Lines fit for a terminal: `printable` but for the ends of lines; and what lies below the
    current folder named from there, as it was on the command line."""
    with contextlib.suppress(OSError):  # the folder is gone
        here = os.path.join(os.getcwd(), "")
        if len(here) > 1 and not any(here[:-1] in argument for argument in sys.argv):
            # where a path begins, and not within another
            text = re.sub(rf"(?<![\w.~/\\-]){re.escape(here)}(?=\S)", "", str(text))
    return "\n".join(map(printable, str(text).split("\n")))


def count(n: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "frame"), count(2, "frame")
    ('1 frame', '2 frames')
    """
    return f"{n} {noun}" + ("" if n == 1 else "s")
