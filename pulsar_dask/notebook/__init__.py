"""What a notebook has: frames, masters and lights as lazy arrays of xarray."""

from __future__ import annotations

import pulsar_dask.notebook.accessor  # noqa: F401 - arrays have .pulsar from here on
