"""The commands that stand in a report: what made it, and what verifies it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence

from pulsar_dask.cli.listen import COMMAND

#: Outputs that are verified by their names, and not by those of their folders.
NAMED = 20


def commands(made: Sequence[str], *, makes: bool) -> Iterator[dict[str, str]]:
    """Commands, and what they are for.

    Parameters
    ----------
    made : sequence of str
        Paths of outputs that say what they were made of.
    makes : bool
        Whether this command has made them.
    """
    here = f"cd {shlex.quote(os.getcwd())}"
    if makes and COMMAND:
        yield {"what": "The command that made this:", "text": f"{here}\n{shlex.join(COMMAND)}"}
    paths = made if len(made) <= NAMED else list(dict.fromkeys(map(os.path.dirname, made)))
    if paths:
        words = " ".join(shlex.quote(os.path.relpath(path)) for path in paths)
        text = f"{here}\npulsar-dask verify --all {words}"
        yield {"what": "To see whether the files still give the same pixels:", "text": text}
