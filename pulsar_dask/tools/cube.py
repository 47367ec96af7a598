"""``cube input_spec output.zarr``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pulsar_dask.cli.program import INTERRUPTED
from pulsar_dask.cli.report import Report
from pulsar_dask.errors import PulsarError, count, printable, warn
from pulsar_dask.frames.passed import why_passed
from pulsar_dask.output.cuberesume import OtherPixels
from pulsar_dask.output.cubestore import CubeStore, write
from pulsar_dask.tools.options import Options, telling
from pulsar_dask.tools.outputs import check_order
from pulsar_dask.tools.watch import Planned, watching


@telling
def cube(spec: Sequence[str], output: str, *, options: Options) -> None:
    """Write frames as one store."""
    report = options.report()
    check_order(spec, output)
    found = options.search.frames(spec)
    frames, planes = found.frames, found.planes
    report.passed_over(why_passed(planes), planes)
    store = CubeStore(output, frames, overwrite=options.overwrite)
    if store.complete:
        report.made(output, f"{count(len(frames), 'frame')}, complete already")
        _know(store, report, "products", made=False)
        return
    if not store.grid and os.path.lexists(output):
        report.replaced.add(store.path)
    if store.grid:
        done, of = store.progress()
        report.say(f"{done} of {of} chunks are there already")
    try:
        with options.executor() as executor, watching(report, options.quiet) as watch:
            write(store, executor, memory=options.memory, threads=options.used, watch=watch)
    except Planned:
        report.made(output, f"{store.dtype}, {count(len(frames), 'frame')}")
        _know(store, report, "planned")
        report.end()
        return
    except OtherPixels:
        raise
    except BaseException as error:
        done, of = store.progress() if store.grid else (0, 0)
        if not done:
            raise
        stays = f"{done} of {of} chunks are in it and stay, the same command takes it up again"
        if isinstance(error, PulsarError):
            raise PulsarError(
                f"{error.text}\n{printable(output)} is not complete: {stays}", error.code
            ) from error
        warn(f"{printable(output)} is not complete: {stays}", "incomplete")
        if isinstance(error, KeyboardInterrupt):
            raise SystemExit(INTERRUPTED) from error
        raise
    report.made(output, f"{store.dtype}, {count(len(frames), 'frame')}")
    _know(store, report, "products")
    report.end()


def _know(store: CubeStore, report: Report, kind: str, *, made: bool = True) -> None:
    report.know(
        kind,
        {
            "path": store.path,
            "what": "cube",
            "made": made,
            "replaces": store.path in report.replaced,
            "shape": [len(store.frames), *store.shape],
            "dtype": str(store.dtype),
            "frames": [frame.path for frame in store.frames],
        },
    )
