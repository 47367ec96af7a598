"""Compiled code, loaded and warm: once it is there, the tools use it for small stacks too."""

from pulsar_dask.frame import PixelType
from pulsar_dask.combine import method
from pulsar_dask.kernels import Kernel, warm_up

warm_up([Kernel(1, PixelType(16), method("median"), (">i2",))])
