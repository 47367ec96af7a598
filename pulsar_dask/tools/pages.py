"""What a command makes, kept for its report (`--report`), and the figures of it for programs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pulsar_dask.cli.report import Report, size_text
from pulsar_dask.cli.voices import for_programs
from pulsar_dask.engine import memory
from pulsar_dask.engine.recipe import Product
from pulsar_dask.engine.sink import Run
from pulsar_dask.errors import PulsarError, count
from pulsar_dask.formats import reading
from pulsar_dask.formats.scan import scan_frames
from pulsar_dask.frames.frame import Frame
from pulsar_dask.masters.figures import figures
from pulsar_dask.output.ours import is_ours
from pulsar_dask.output.page import check_page, write_page
from pulsar_dask.output.picture_sink import PictureSink
from pulsar_dask.output.survey_sink import SurveySink
from pulsar_dask.tools.keeps import FAILED, Lit
from pulsar_dask.tools.outputs import is_store_name
from pulsar_dask.tools.record import group_of
from pulsar_dask.tools.repeat import commands
from pulsar_dask.tools.shots import Shot
from pulsar_dask.tools.verdict import once, verdict, verdict_on_lights
from pulsar_dask.tools.withoutlight import noise_of_sources

#: Lights of which a picture is shown: the first ones of different masters.
PICTURED = 6
#: Squares of the pictures of all masters of a report, and of one at least: a byte or so in a page.
SQUARES, LEAST = 1_400_000, 60_000


class Page:
    """What is kept for a report, which there is where it has a path."""

    def __init__(
        self, path: str | None = None, *, overwrite: bool = False, against: str | None = None
    ) -> None:
        self.path, self._overwrite, self._against = path, overwrite, against
        self.shots: list[Shot] = []
        self._figured: list[tuple[Product, str, Mapping[str, Any]]] = []
        """Products, where they lie, and their figures."""
        self._lights: list[Lit] = []
        self._why: dict[str, Sequence[str]] = {}
        """What is to be said of the masters of lights, by paths of these."""
        self._pictured: set[object] = set()
        """What calibrated lights of which there is a picture."""
        self._states: list[str] = []
        """What was found of each, where masters of another time are looked at."""
        self._began = time.perf_counter()
        if path is not None:
            check_page(path, overwrite=overwrite)

    def sinks(self, sinks: Sequence[Any]) -> list[PictureSink]:
        """Those that look at the masters of others."""
        if self.path is None:
            return []
        lists = {sink.layer.name: sink.path for sink in sinks if sink.lines is not None}
        found = []
        of_masters = {s.product.layer.name for s in sinks if getattr(s, "product", None)}
        for sink in sinks:
            product: Product | None = getattr(sink, "product", None)
            if product is None:
                if sink.lines is not None and sink.layer.name not in of_masters:
                    image = sink.layer.reads[0]  # a list of an image that is there
                    found.append(PictureSink(sink.layer, image.shape, name=image.name))
                continue
            shape = product.frames[0].shape
            old, old_list = None, None
            if product.kind != "light":
                old, old_list = self.old(sink.path, shape, lists.get(product.layer.name))
            elif not self._is_pictured(product):
                continue
            found.append(
                PictureSink(
                    product.layer,
                    shape,
                    name=product.name,
                    planes=[n for n in product.dtypes if n not in ("image", "quality")],
                    product=product,
                    old=old,
                    old_list=old_list,
                )
            )
        return found

    def _is_pictured(self, product: Product) -> bool:
        """Whether a light is one of those of which a picture is shown."""
        masters = frozenset(s.path for s in product.sources)
        if masters in self._pictured or len(self._pictured) == PICTURED:
            return False
        self._pictured.add(masters)
        return True

    def chose(self, why: Mapping[str, Sequence[str]]) -> None:
        """See `Keeps`."""
        self._why |= why

    def light(self, name: str, state: str, *more: Any) -> None:
        """See `Keeps`."""
        if self.path is not None:
            self._lights.append(Lit(name, state, *more))

    def old(
        self, path: str, shape: tuple[int, ...], list_: str | None
    ) -> tuple[Frame | None, str | None]:
        """The master that one is compared with, and its list: what has its name already; or what
        was named, of a folder that of the same name."""
        if (there := self._against) is not None:
            if os.path.isdir(there) and not is_store_name(there):
                there = os.path.join(there, os.path.basename(path))
            folder = os.path.dirname(there)
            list_ = os.path.join(folder, os.path.basename(list_)) if list_ else None
            return _scanned(there, shape), list_
        return (_scanned(path, shape) if is_ours(path, changed=True) else None), list_

    def took(
        self,
        run: Run,
        sinks: Sequence[Any],
        looks: Sequence[SurveySink],
        pictures: Sequence[PictureSink],
    ) -> dict[str, Mapping[str, Any]]:
        """Keep what a run has made.

        Returns
        -------
        dict
            `figures` of each product, by its name.
        """
        seen = {look.product.name: look for look in looks}
        hot = {s.layer.name: s.hot.positions() for s in sinks if hasattr(s, "hot")}
        paths = {s.product.name: s.path for s in sinks if getattr(s, "product", None) is not None}
        by_name = {picture.product.name: picture for picture in pictures if picture.product}
        told: dict[str, Mapping[str, Any]] = {}
        wanted = bool(pictures) or for_programs()
        for picture in pictures:
            if picture.product is None:
                image, listed = picture.layer.reads[0], hot.get(picture.layer.name)
                shot = Shot(image.name, image.path, picture, run, None, listed)
                self.shots.append(shot)
        for product in run.recipe.products:
            look = seen.get(product.name) if wanted else None
            said = look.said if look is not None else ()
            odd = {f.path for s in said for f in s.frames}
            found = look.surveyed if look is not None else None
            noise = self._noise_without_light(product, wanted=wanted)
            told[product.name] = figures(product, run, found, odd=odd, read_noise=noise)
            path = os.path.abspath(paths.get(product.name, ""))
            self._figured.append((product, path, told[product.name]))
            if product.name in by_name and product.name in paths:
                self.shots.append(
                    Shot(
                        product.file,
                        path,
                        by_name[product.name],
                        run,
                        product,
                        hot.get(product.layer.name) if pictures else None,
                        said,
                        told[product.name],
                    )
                )
        return told

    def add(
        self,
        run: Run,
        picture: PictureSink,
        looks: Sequence[SurveySink],
        name: str,
        master: Frame,
        product: Product | None,
        hot: Any,
        state: str,
    ) -> None:
        """Keep what was found of a master that was made before."""
        told: Mapping[str, Any] = {}
        for look in looks if product is not None else ():
            odd = {f.path for s in look.said for f in s.frames}
            noise = self._noise_without_light(look.product)
            told = figures(look.product, run, look.surveyed, odd=odd, read_noise=noise)
            self._figured.append((look.product, master.path, told))
        said = looks[0].said if looks else ()
        facts = () if product is not None else (("looked at", "its image alone"),)
        shot = Shot(name, master.path, picture, run, product, hot, said, told, facts)
        self.shots.append(shot)
        self._states.append(state)

    def _noise_without_light(self, product: Product, *, wanted: bool = True) -> float | None:
        """Of a dark that is out of flats, else of biases of the same settings, where they were made
        here; else of the frames that what is out of them was made of."""
        if not product.levels or not wanted:
            return None
        taken = {source.path for source in product.sources}
        settings = group_of(product.frames)["settings"]
        for kind in ("dark", "bias"):
            for other, path, told in self._figured:
                if other.kind != kind or "noise_of_frame" not in told:
                    continue
                own = path in taken
                if own or (kind == "bias" and group_of(other.frames)["settings"] == settings):
                    return float(told["noise_of_frame"])
        return noise_of_sources(product.sources)

    def write(
        self,
        report: Report,
        warnings: Sequence[str],
        error: PulsarError | None = None,
    ) -> None:
        """Write the report, if there is to be one, of what was made.

        Raises
        ------
        PulsarError
            It cannot be written.
        """
        if self.path is None or not (self.shots or self._lights or report.dry):
            return
        there = {os.path.abspath(self.path)} if os.path.lexists(self.path) else set()
        known = {"path": os.path.abspath(self.path), "what": "report", "replaces": bool(there)}
        if report.dry:
            if error is None:
                report.made(self.path, "report")
                report.know("planned", known)
            return
        from pulsar_dask.tools.sheet import sheet  # which not every run needs

        most = max(LEAST, SQUARES // max(1, len(self.shots)))
        try:
            sheets = [sheet(shot, _master(shot.path), most) for shot in self.shots]
            lit = self._lit(warnings) if self._lights else None
        finally:
            reading.close_files()
        names = [shot.name for shot in self.shots]
        again = " or ".join(dict.fromkeys(self._states)) or None
        title = names[0] if len(names) == 1 else f"{len(names)} masters"
        frames = len({f.path for shot in self.shots for f in shot.frames})
        says: dict[str, Any] = {"again": again, "error": error}
        if self._lights:
            title = count(len(self._lights), "light")
            said = verdict_on_lights([one.state for one in self._lights], warnings, **says)
        else:
            said = verdict(names, frames, warnings, **says)
        content = {
            "title": f"Report on {title}",
            "verdict": said,
            "lights": lit,
            "sheets": sheets,
            "heard": None,
            "commands": list(commands(self._made(), makes=again is None)),
            "facts": self._facts(),
        }
        write_page(self.path, content, overwrite=self._overwrite)
        report.replaced |= there
        report.made(self.path, "report")
        report.know("products", known)

    def _lit(self, warnings: Sequence[str]) -> dict[str, Any]:
        from pulsar_dask.tools.lightpage import lights
        from pulsar_dask.tools.sheet import unit_of

        odd = {path for remark in once(warnings) for path in remark.frames}
        some = [one.light for one in self._lights if one.light is not None]
        return lights(self._lights, self._why, odd, unit_of(some))

    def _made(self) -> list[str]:
        """Outputs that say what they were made of."""
        if self._lights:
            return [os.path.abspath(one.path) for one in self._lights if one.state != FAILED]
        return [shot.path for shot in self.shots if shot.product is not None]

    def _facts(self) -> list[tuple[str, str]]:
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        seconds = time.perf_counter() - self._began
        peak = size_text(memory.peak_resident())
        return [("written", now), ("took", f"{seconds:.1f} s, peak memory {peak}")]


def _master(path: str) -> Frame:
    return scan_frames([path])[0]


def _scanned(path: str, shape: tuple[int, ...]) -> Frame | None:
    """A master that can be compared with one of that shape."""
    try:
        frame = scan_frames([path])[0]
    except (PulsarError, OSError):
        return None
    return frame if frame.shape == shape else None
