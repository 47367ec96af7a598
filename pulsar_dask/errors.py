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
