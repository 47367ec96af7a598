"""What goes wrong, in words that a user can act on."""

from __future__ import annotations

import warnings


class PulsarError(Exception):
    """A failure a user can cause or mend; its text names the file and the way out."""


class PulsarWarning(UserWarning):
    """Something that was worked around; its text says what it means for the result."""


def warn(text: str) -> None:
    """Issue a `PulsarWarning`."""
    warnings.warn(PulsarWarning(text), stacklevel=3)


def printable(text: object) -> str:
    """`text` with control and other unprintable characters escaped, fit for a terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode()
        for c in str(text)
    )


def terminal_text(text: object) -> str:
    """Lines fit for a terminal: `printable` but for the ends of lines."""
    return "\n".join(map(printable, str(text).split("\n")))


def count(n: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "frame"), count(2, "frame")
    ('1 frame', '2 frames')
    """
    return f"{n} {noun}" + ("" if n == 1 else "s")
