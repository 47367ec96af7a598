"""``array.pulsar.to_fits("dark120s.fit")``: the functions, of the array that stands before them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import xarray as xr


def _of(module: str, name: str) -> Callable[..., Any]:
    """A method that is a function of its object; what it needs is loaded when it is called."""

    def method(self: Any, *args: Any, **more: Any) -> Any:
        function = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        return function(self._array, *args, **more)

    method.__name__ = name
    method.__doc__ = f"See `pulsar_dask.{name}`, whose first argument this is."
    return method


class _Accessor:
    def __init__(self, array: Any) -> None:
        self._array = array

    def __dir__(self) -> list[str]:
        return [name for name in vars(type(self)) if not name.startswith("_")]


@xr.register_dataset_accessor("pulsar")  # type: ignore[no-untyped-call]
class OfDataset(_Accessor):
    """What a Dataset of masters can do."""

    to_fits = _of("files", "to_fits")


@xr.register_dataarray_accessor("pulsar")  # type: ignore[no-untyped-call]
class OfArray(_Accessor):
    """What a master or a cube can do."""

    to_fits = _of("files", "to_fits")
    to_ccddata = _of("ccddata", "to_ccddata")
    hot_pixels = _of("hotpixels", "hot_pixels")
    median = _of("masters", "median")
    master = _of("masters", "master")
    dark_masters = _of("masters", "dark_masters")
    flat_masters = _of("masters", "flat_masters")
    check_frames = _of("levels", "check_frames")
    calibrate = _of("lights", "calibrate")
