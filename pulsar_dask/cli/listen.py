"""Who is to hear what a command says, as its command line asks: known before that is understood, so
that what is wrong with it is heard, too."""

from __future__ import annotations

from collections.abc import Sequence

from pulsar_dask._version import __version__
from pulsar_dask.cli.voices import TERMINAL, VOICES, Log

#: The command that runs, as it was given.
COMMAND: list[str] = []
#: Ask for nothing but a text.
_TEXTS = {"-h", "--help", "--version"}
#: Have a --log that is something else.
_OWN_LOG = {"newflat"}


def listen(name: str, arguments: Sequence[str]) -> None:
    """Begin to keep what is said, for ``--json`` and ``--log FILE``.

    Raises
    ------
    PulsarError
        The log cannot be written.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    words = list(arguments[:end])
    tool = name
    if name == "pulsar-dask":
        tool = next((word for word in words if not word.startswith("-")), name)
    COMMAND[:] = command = [name, *arguments]
    if "--json" in words and not _TEXTS.intersection(words):
        from pulsar_dask.cli.document import Document

        TERMINAL.aside = True
        VOICES.append(Document(tool, command, __version__))
    if (path := _value(words, "--log")) and tool not in _OWN_LOG:
        from pulsar_dask.inputs.words import at_home

        VOICES.append(Log(at_home(path), command, __version__))


def _value(words: Sequence[str], option: str) -> str | None:
    """That of an option, the last that is given."""
    found = None
    for i, word in enumerate(words):
        if word == option and i + 1 < len(words):
            found = words[i + 1]
        elif word.startswith(f"{option}="):
            found = word.partition("=")[2]
    return found
