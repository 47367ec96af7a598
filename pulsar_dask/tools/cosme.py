"""``cosme input_spec output list``: listed pixels replaced, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pulsar_dask.frames.frame import Frame
from pulsar_dask.masters.calibration import Calibration
from pulsar_dask.tools.eachlight import calibrate_all, output_names
from pulsar_dask.tools.lights import Calibrating
from pulsar_dask.tools.options import Options, lists_in, telling


@telling
def cosme(
    spec: Sequence[str], output: str, listed: str, *, asked: dict[str, Any], options: Options
) -> None:
    """Replace listed pixels of images; `asked` has "origin" and "drawn"."""
    report = options.report()
    found = options.search.frames(spec)
    plain = Calibration(lists=(listed,), origin_top=asked["origin"] == "top")
    with options.executor() as executor:
        run = Calibrating(
            options,
            report,
            executor,
            inputs=[*(f.path for f in found.frames), listed, *lists_in(spec)],
            dtype="input",
        )

        def chosen(frame: Frame) -> Calibration:
            if not asked["drawn"]:
                return plain
            native = frame.pixels.native
            top = float(np.iinfo(native).max) if native.kind in "iu" else 1.0
            return Calibration(lists=plain.lists, origin_top=plain.origin_top, drawn=top)

        frames = found.frames
        outputs = output_names(output, frames, report)
        calibrate_all(frames, outputs, chosen, run.calibrate_light, options, report, "image")
