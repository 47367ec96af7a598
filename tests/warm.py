"""Compiled code, loaded and warm: once it is there, the tools use it for small stacks too."""

from pulsar_dask.combine import method
from pulsar_dask.kernels.loading import Kernel
from pulsar_dask.kernels.pixels import PixelType
from pulsar_dask.kernels.warmup import warm_up

warm_up([Kernel(1, PixelType(16), method("median"), (">i2",))])
