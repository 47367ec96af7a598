"""Whether a cube holds the pixels of the files that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dask.system import CPU_COUNT

from pulsar_dask.engine.make import make
from pulsar_dask.engine.recipe import Recipe
from pulsar_dask.engine.sink import Executor
from pulsar_dask.errors import printable
from pulsar_dask.formats import holding
from pulsar_dask.frames import stack
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.holds import Holds
from pulsar_dask.frames.provenance import Source, in_store
from pulsar_dask.masters.cube import cube_layer
from pulsar_dask.output.compare_sink import CompareSink, DifferingFrames
from pulsar_dask.tools.judged import Findings
from pulsar_dask.tools.options import Options
from pulsar_dask.tools.origins import find_origins, say_problems


def check_cube(
    frames: Sequence[Frame],
    folders: Sequence[str],
    executor: Callable[[], Executor],
    options: Options,
    findings: Findings,
) -> None:
    """Compare all pixels of a cube with those of the files that it was made of."""
    sources = [
        Source("input", path, in_store(path)) for path in (f.stored.origin(f) for f in frames)
    ]
    origins = find_origins(sources, folders, lambda frames: options.threads or CPU_COUNT)
    say_problems(origins, findings)
    pairs = [
        (frame, origin.file)
        for frame, origin in zip(frames, origins, strict=True)
        if isinstance(origin.file, Frame)
    ]
    differing = _differing_pixels(pairs, executor, options) if pairs else []
    findings.say_all(
        [
            f"input {printable(file.path)}: {n} of its pixels are others than in the cube"
            for (_, file), n in zip(pairs, differing, strict=True)
            if n
        ]
    )
    same = differing.count(0)
    findings.say(f"{same} of {len(frames)} frames have the pixels of their files")


def _differing_pixels(
    pairs: Sequence[tuple[Frame, Frame]], executor: Callable[[], Executor], options: Options
) -> list[int]:
    """How many pixels of each frame of a cube are not those of its file."""
    cube, files = zip(*pairs, strict=True)
    stack.check_shapes([*cube, *files])
    layer = cube_layer(files)
    size = cube[0].pixels.native.itemsize
    holds = Holds(pixel={"cube": len(cube) * size, "comparison": 3 * len(cube)})
    take = DifferingFrames(cube, str(cube[0].pixels.native))
    sink = CompareSink(layer, take, holds + holding.reading_holds(cube))
    make(Recipe((), (layer,)), [sink], executor(), memory=options.memory, summed=())
    return [int(n) for n in sink.total]
