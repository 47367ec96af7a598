"""Names of outputs on a command line, before any work is done for them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.inputs.words import has_mask
from pulsar_dask.output.ours import is_ours


def check_order(spec: Sequence[str], output: str) -> None:
    """Ask whether input and output are the wrong way round, where only the second is there."""
    first = spec[0]
    if len(spec) > 1 or first.startswith(("@", "=")) or has_mask(first) or os.path.lexists(first):
        return
    list_wanted = first.lower().endswith(".lst")
    if has_mask(output) or (os.path.exists(output) and (list_wanted or not is_ours(output))):
        raise PulsarError(
            f"{printable(first)}: no such file or folder. Is the order right? "
            f"The input comes first, the output (here {printable(output)}) last",
            "input",
        )


def check_name(output: str) -> None:
    """Refuse the name of an output that no file can have, before any work is done for it."""
    name = printable(output)
    if os.path.isdir(output) and not is_store_name(output):
        raise PulsarError(f"{name} is a folder; the output, which comes last, is a file", "output")
    try:
        os.lstat(output)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        short = name if len(name) < 80 else f"{name[:76]}…"
        raise PulsarError(f"{short}: {error.strerror}; name another output", "output") from error


def is_store_name(path: str) -> bool:
    return path.lower().rstrip("/\\").endswith(".zarr")
