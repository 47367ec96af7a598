"""Flats taken as they are stored give what calibrated frames in memory give, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import write_frame
from night import XTRANS

from pulsar_dask import combine
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.frames.colour import Colours, colours
from pulsar_dask.kernels.correct import find_rings
from pulsar_dask.kernels.pixels import Grid, PixelType
from pulsar_dask.masters import calibrated, levels
from pulsar_dask.masters.flatgroup import FlatGroup, Minus
from pulsar_dask.masters.flatscales import frame_scales
from pulsar_dask.masters.survey import Survey

SHAPE = (37, 60)
XTRANS_CELLS = colours({"BAYERPAT": XTRANS}, SHAPE[0]).cells


@pytest.mark.few(2)
@pytest.mark.parametrize("cells", [None, ((0, 1), (2, 3)), XTRANS_CELLS])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4"])
@pytest.mark.parametrize("share", [0, 60, 3])
def test_the_same_values(tmp_path, monkeypatch, dtype, cells, share):
    """Also where so many are listed and missing that neighbours lie far away."""
    rng = np.random.default_rng(share)
    paths = []
    for i in range(5):
        image = rng.normal(100, 9, SHAPE).astype(dtype)
        image.flat[rng.integers(0, image.size, image.size // 9)] = 7
        image[5:20, 8:30] = 7
        paths.append(str(write_frame(tmp_path / f"f{i}.fit", image, cards={"BLANK": 7})))
    dark = write_frame(tmp_path / "d.fit", rng.normal(20, 2, SHAPE).astype("f4"))
    frames, (dark,) = tuple(scan_frames(paths)), scan_frames([str(dark)])
    size = SHAPE[0] * SHAPE[1]
    places = np.sort(rng.choice(size, size // share, replace=False)) if share else None
    listed = None if places is None else find_rings(places, SHAPE, cells or ((0,),))
    group = FlatGroup(frames, (Minus.of(dark),), listed, Colours(cells) if cells else None)
    assert calibrated.held_as_stored(group)
    made = [everything(group)]
    for module in (calibrated, levels):
        monkeypatch.setattr(module, "held_as_stored", lambda group: False)
    made.append(everything(group))
    for ours, same in zip(*made, strict=True):
        assert ours.tobytes() == same.tobytes()


def everything(group: FlatGroup) -> list[np.ndarray]:
    """Levels, then image, count and what was seen of all tiles, in two ways to cut them."""
    found = levels.frame_levels(group, 0, 5, (12, 25))
    scales = frame_scales(group.frames, 5000.0, found)
    values = [found.medians, found.colours, found.raw, np.array(found.uncorrected)]
    look = Survey(SHAPE, 5, PixelType(-32), calibrated.looked_at(group.frames))
    for size in ((18, 60), (11, 30)):
        for _, tile in Grid(SHAPE, *size):
            made = calibrated.flat_tile(
                tile, group, scales, method=combine.method("median"),
                planes=("image", "count"), survey=look,
            )  # fmt: skip
            seen = made["survey"]
            values += [made["image"], made["count"], seen.seen, seen.sample, seen.master]
    return values
