"""Compiled code, loaded and warm."""

from pulsar_dask.combine import method
from pulsar_dask.kernels.loaded import Kernel
from pulsar_dask.kernels.loading import warm_up
from pulsar_dask.kernels.pixels import PixelType

warm_up([Kernel(1, PixelType(16), method("median"), (">i2",))])
