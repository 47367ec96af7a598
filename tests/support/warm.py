"""Compiled code, loaded and warm: once it is there, the tools use it for small stacks too."""

from pulsar_dask.combine import method
from pulsar_dask.kernels.loaded import Kernel
from pulsar_dask.kernels.loading import warm_up
from pulsar_dask.kernels.pixels import PixelType

warm_up([Kernel(1, PixelType(16), method("median"), (">i2",))])
