"""Lines as a terminal shows them best: broken between words, warnings and errors in colour. What is
no terminal gets them as they are."""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from typing import Any

_COLOURS = {"warning": "\033[33m", "error": "\033[1;31m"}
_END = "\033[0m"
_LABEL = re.compile(r"(warning|[Ee]rror):", re.M)
#: Fewer columns are no terminal that says how wide it is.
_LEAST = 20


def painted(text: str, level: str, stream: Any, *, wrap: bool = True) -> str:
    """A text for a stream: as lines of its width, the label in the colour of its level."""
    if wrap and _is_terminal(stream):
        wide = shutil.get_terminal_size().columns
        text = "\n".join(_broken(line, wide) for line in text.split("\n"))
    if level in _COLOURS and in_colour(stream):
        text = _LABEL.sub(lambda label: f"{_COLOURS[level]}{label[0]}{_END}", text, count=1)
    return text


def _broken(line: str, wide: int) -> str:
    if wide < _LEAST or len(line) < wide:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(
        line,
        wide - 1,
        subsequent_indent=indent,
        break_long_words=False,  # a path that is copied stays whole
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def in_colour(stream: Any) -> bool:
    """Whether colours are wanted: NO_COLOR forbids them (no-color.org), FORCE_COLOR and
    CLICOLOR_FORCE demand them, CLICOLOR=0 is for none (bixense.com/clicolors); else where there is
    a terminal that has some."""
    if os.environ.get("NO_COLOR"):
        return False
    demanded = (os.environ.get(name, "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))
    if any(value not in ("", "0") for value in demanded):
        return True
    if os.environ.get("CLICOLOR") == "0" or os.environ.get("TERM") == "dumb":
        return False
    return _is_terminal(stream)


def _is_terminal(stream: Any) -> bool:
    return bool(stream.isatty())
