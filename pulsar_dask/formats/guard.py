"""What a damaged file makes libraries raise, told as an error of ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from pulsar_dask.errors import PulsarError, exhausted, printable
from pulsar_dask.formats.hdus import DAMAGED, DAMAGED_STORE, refusal
from pulsar_dask.frames.frame import Frame


def guarded(read: Callable[..., Any]) -> Callable[..., Any]:
    """`read`, with what a damaged file makes the libraries raise told as a PulsarError."""

    def guarded(frame: Frame, *args: Any) -> Any:
        try:
            return read(frame, *args)
        except PulsarError:
            raise
        except Exception as error:
            place = os.path.dirname(frame.file) if frame.storage == "zarr" else frame.path
            if text := exhausted(error):
                raise PulsarError(f"{printable(place)}: {text}") from error
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            way_out = DAMAGED
            if frame.storage == "zarr":  # what zarr says goes on with bytes
                reason, way_out = str(reason).split(". ")[0], DAMAGED_STORE
            raise refusal(place, f"its pixels cannot be read ({reason})", way_out) from error

    return guarded
