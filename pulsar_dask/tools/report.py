"""``pulsar-dask report``: what `--report` shows, of masters that were made before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pulsar_dask.engine.make import make
from pulsar_dask.engine.recipe import Product, Recipe
from pulsar_dask.engine.sink import Executor, Run
from pulsar_dask.errors import PulsarError, Remark, count, printable
from pulsar_dask.formats import reading
from pulsar_dask.formats.reading import read_header
from pulsar_dask.formats.scan import planes_in, scan_frames
from pulsar_dask.formats.zarr import in_cube
from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.planes import planes_path
from pulsar_dask.frames.provenance import Trace, read_trace, roles_of
from pulsar_dask.inputs.pixellists import TooMany, read_list
from pulsar_dask.masters.again import recipe_again
from pulsar_dask.masters.judged import judged
from pulsar_dask.masters.stack import images
from pulsar_dask.output.against import MOST_LISTED
from pulsar_dask.output.compare_sink import CompareSink, DifferingPixels
from pulsar_dask.output.picture_sink import PictureSink
from pulsar_dask.output.survey_sink import SurveySink
from pulsar_dask.tools.again import comparing_holds, planes_of
from pulsar_dask.tools.judged import Status
from pulsar_dask.tools.levels import surveying
from pulsar_dask.tools.meant import in_folder, threads_for
from pulsar_dask.tools.options import Options, telling
from pulsar_dask.tools.origins import Origin, find_origins
from pulsar_dask.tools.outputs import is_store_name

#: What is found where a master is made again, and where it is not.
SAME, ALONE = "made again of the same frames, every pixel is the same", "looked at alone"


@telling
def report(
    paths: Sequence[str], *, folders: Sequence[str] = (), recursive: bool = False, options: Options
) -> None:
    """Report on masters.

    Parameters
    ----------
    paths : sequence of str
        Masters, also of other programs, and folders of those of this one.
    folders : sequence of str
        Where the files are that they were made of, if not where they were.
    recursive : bool
        Whether the folders in a folder are entered.
    options : Options
        Its `page` has the path.
    """
    said = options.report()
    masters: dict[str, Frame] = {}
    for named in paths:
        folder = os.path.isdir(named) and not is_store_name(named)
        found = in_folder(named, recursive, tool="report") if folder else [named]
        for path in found:
            frame = scan_frames([path])[0]
            if not in_cube(frame) and frame.plane is None:
                masters[frame.place] = frame
            elif frame.plane is not None and not folder:
                raise PulsarError(
                    f"{printable(path)}: planes of a master, which are shown with it; name the "
                    "master",
                    "not-ours",
                )
            elif not folder:
                raise PulsarError(
                    f"{printable(path)}: a cube of frames, not a master; med, makedark and "
                    "makeflat make masters of it",
                    "not-ours",
                )
    if options.dry_run:
        options.report().say(f"{count(len(masters), 'master')} would be looked at")
        return
    # biases first: their noise is in what darks and flats tell of the camera
    order = {"bias": 0, "dark": 1, "flat": 2}
    with options.executor() as executor:
        for master in sorted(masters.values(), key=lambda f: order.get(f.kind or "", 3)):
            try:
                _look_at(master, folders, executor, options)
            finally:
                reading.close_files()
    said.end()


def _look_at(master: Frame, folders: Sequence[str], executor: Executor, options: Options) -> None:
    name, options_report = printable(os.path.basename(master.place)), options.report()
    history = map(str, read_header(master).get("HISTORY", []))
    trace = read_trace(history, os.path.dirname(master.place))
    options.warnings.extend(f"{name}: {note}" for note in trace.notes)
    there = _planes(master)
    shown = images("there", there)
    planes = [plane for plane in there if plane not in ("image", "quality")]
    named = next(iter(trace.written), None)
    old, old_list = options.page.old(master.place, master.shape, named)
    if old is not None and old.path == master.path:
        old = None
    picture = PictureSink(shown, master.shape, name=name, planes=planes, old=old, old_list=old_list)
    recipe, why = _recipe(master, trace, there, folders, executor, options)
    product: Product | None = None
    looks: list[SurveySink] = []
    compare: dict[str, CompareSink] = {}
    if recipe is not None:
        product = recipe.products[-1]
        looks = [SurveySink(product)] if product.survey is not None else []
        compare = {
            plane: CompareSink(product.layer, DifferingPixels(frame, plane), comparing_holds(frame))
            for plane, frame in there.items()
        }
    made = Recipe(recipe.products if recipe is not None else (), (shown,))
    sinks: list[Any] = [*looks, *compare.values(), picture]
    run = make(made, sinks, executor, memory=options.memory, threads=options.used, summed=())
    differ = _differing(name, compare)
    options.warnings.extend(differ)
    _judge(name, product, looks, run, options)
    if why:
        options.warnings.append(Remark(f"{name}: {why}", "incomplete"))
    state = ALONE if recipe is None else "made again of the same frames" if differ else SAME
    options_report.say(f"{name}: {state}")
    options.page.add(run, picture, looks, name, master, product, _hot(trace, master), state)


def _planes(master: Frame) -> dict[str, Frame]:
    """All that there is of a master, by plane; the image first."""
    found = planes_of(master) if master.is_master else {"image": master}
    beside = planes_path(master.path)
    if "image" in found and master.is_master and os.path.isfile(beside):
        found |= {name: f for name, f in planes_in(beside).items() if name not in found}
    return {name: frame for name, frame in found.items() if frame.shape == master.shape}


def _recipe(
    master: Frame,
    trace: Trace,
    there: dict[str, Frame],
    folders: Sequence[str],
    executor: Executor,
    options: Options,
) -> tuple[Recipe | None, str]:
    """How it is made again; or why that cannot be done."""
    if not any(source.role == "input" for source in trace.sources):
        return None, "it does not say what it was made of, so it is looked at alone"
    if trace.verb != "made":
        return None, "it is a light, which is looked at alone"
    origins = find_origins(trace.sources, folders, lambda frames: threads_for(frames, options))
    if bad := [o for o in origins if o.status is not Status.GOOD or o.file is None]:
        return None, _away(bad, len(origins))
    by_role = roles_of((origin.source, origin.file) for origin in origins)
    try:
        recipe = recipe_again(
            by_role,
            trace.steps,
            planes=("image", *(plane for plane in there if plane != "image")),
            threads=executor.slots,
            gigabytes=options.memory,
            surveyed=surveying(options),
        )
    except PulsarError as error:
        return None, f"{error.on_command_line}; it is looked at alone"
    *others, last = recipe.products
    sources = tuple(s for s in trace.sources if s.role != "input")
    kind = master.kind if master.is_master else None
    name = os.path.basename(master.place)
    last = replace(last, name=name, kind=kind, steps=trace.steps, sources=sources)
    return Recipe([*others, last]), ""


def _away(bad: Sequence[Origin], n: int) -> str:
    first = bad[0].problem
    away = [o for o in bad if o.status is Status.AWAY]
    what = "not where they were" if len(away) == len(bad) else "not what they were"
    return (
        f"{len(bad)} of the {count(n, 'file')} that it was made of are {what} ({first}), so it is "
        "looked at alone; ⟦inputs⟧ DIR says where they are now".replace("⟦inputs⟧", "--inputs")
    )


def _differing(name: str, compare: dict[str, CompareSink]) -> list[str]:
    found: list[str] = []
    for plane, sink in compare.items():
        differing, of = (int(n) for n in sink.total)
        if differing:
            what = "" if plane == "image" else f" of its {plane}"
            text = f"{name}: {differing} of {of} pixels{what}, made again of its frames, differ"
            found.append(Remark(text, "other"))
    return found


def _judge(
    name: str,
    product: Product | None,
    looks: Sequence[SurveySink],
    run: Run,
    options: Options,
) -> None:
    for look in looks:
        assert product is not None
        look.said = judged(product, look.surveyed, run)
        known = "\n".join(options.warnings)
        for said in look.said:
            if said.note or f"{name}: {said.text}" in known:
                _with_frames(options.warnings, f"{name}: {said.text}", said)
                continue
            remark = Remark(f"{name}: {said.text}", said.code)
            remark.frames = tuple(f.path for f in said.about)
            options.warnings.append(remark)


def _with_frames(warnings: list[str], text: str, said: Any) -> None:
    """What was warned of when it was made names its frames."""
    for i, known in enumerate(warnings):
        if known.startswith(text):
            remark = Remark(str(known), said.code)
            remark.frames = tuple(f.path for f in said.about)
            warnings[i] = remark


def _hot(trace: Trace, master: Frame) -> Any:
    """Columns and rows of the list that was written with it."""
    for path in trace.written:
        if os.path.isfile(path):
            try:
                places = read_list(path, master.shape, most=MOST_LISTED)
            except (PulsarError, TooMany):
                continue
            return places % master.shape[-1], places // master.shape[-1]
    return None
