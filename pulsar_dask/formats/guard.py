"""What a damaged file makes libraries raise, told as an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pulsar_dask.errors import PulsarError, exhausted, printable, refusal
from pulsar_dask.frames.frame import Frame


def guarded(read: Callable[..., Any]) -> Callable[..., Any]:
    """`read`, with what a damaged file makes the libraries raise told as a PulsarError."""

    def guarded(frame: Frame, *args: Any, **more: Any) -> Any:
        try:
            return read(frame, *args, **more)
        except PulsarError:
            raise
        except Exception as error:
            if text := exhausted(error):
                raise PulsarError(f"{printable(frame.place)}: {text}") from error
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            what, way_out = f"its pixels cannot be read ({reason})", frame.stored.way_out
            raise refusal(frame.place, what, way_out) from error

    return guarded
