"""Lights one after the other, and the names that they get."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pulsar_dask.cli.report import Report
from pulsar_dask.errors import NotMade, PulsarError, count, printable
from pulsar_dask.frames.frame import Frame
from pulsar_dask.inputs.words import FITS_NAME
from pulsar_dask.masters.calibration import Calibration
from pulsar_dask.tools.keeps import FAILED, MADE, THERE
from pulsar_dask.tools.options import Options

Goes = Iterator[str | None]
"""Of a light: see `lights.Calibrating.calibrate_light`."""


def calibrate_all(
    lights: Sequence[Frame],
    outputs: Sequence[str],
    chosen: Callable[[Frame], Calibration],
    calibrate_light: Callable[[Frame, str, Callable[[Frame], Calibration]], Goes],
    options: Options,
    report: Report,
    what: str,
    without: Sequence[tuple[str, str]] = (),
) -> None:
    """Calibrate lights one after the other, each being brought to the disk while the next one is
    computed; one that fails costs only itself. `without` are others that have failed already, and
    why.

    Raises
    ------
    PulsarError
        When all others are done: how many were not.
    """
    there = 0
    failed = [*without]
    for name, why in failed:
        options.page.light(name, FAILED, None, "", why)
    total = len(lights) + len(failed)
    jobs = [
        (light, path, os.path.lexists(path)) for light, path in zip(lights, outputs, strict=True)
    ]
    goes = (calibrate_light(light, path, chosen) for light, path, _ in jobs)
    for number, ((light, path, again), last) in enumerate(zip(jobs, _behind(goes), strict=True), 1):
        try:
            done = last()
        except PulsarError as error:
            if total == 1 or options.debug or options.strict:
                raise
            failed.append((light.name, error.on_command_line))
            options.page.light(light.name, FAILED, light, path, error.on_command_line)
            lost = PulsarError(f"{light.name}: {error.text}", error.code)
            lost.frames = (light.path,)
            report.error(lost)
            continue
        there += done is None
        options.page.light(light.name, THERE if done is None else MADE, light, path)
        words = "is there, of the same files" if done is None else f"| {done}" if done else ""
        if again and done is not None:
            words += ", in place of what is there" if report.dry else ", replaces what was there"
        report.say(f"[{number}/{len(lights)}] {light.name} -> {printable(path)} {words}".rstrip())
    already = f", {count(there, what)} there already" if there else ""
    would = "would be " if report.dry else ""
    report.say(f"{count(total - len(failed) - there, what)} {would}calibrated{already}")
    report.end()
    if failed:
        not_made = NotMade(f"{len(failed)} of {count(total, what)} could not be calibrated")
        not_made.reasons = tuple(failed)
        raise not_made


def _behind(lights: Iterable[Goes]) -> Iterator[Callable[[], str | None]]:
    """Of each light what tells how it ended, once it has: its first go is made here, the second in
    another thread, beside the first one of the next light."""
    before: list[Callable[[], str | None]] = []
    with ThreadPoolExecutor(1) as pool:
        for goes in lights:
            try:
                next(goes)
            except PulsarError as error:
                yield from (*before, _end(goes, error))
                before = []
                continue
            this = _end(goes, pool.submit(next, goes))
            yield from before
            before = [this]
        yield from before


def _end(goes: Goes, second: Future[str | None] | PulsarError) -> Callable[[], str | None]:
    def end() -> str | None:
        if isinstance(second, PulsarError):
            raise second
        words = second.result()
        for _ in goes:
            pass
        return words

    return end


def _is_folder(output: str) -> bool:
    return os.path.isdir(output) or output.endswith(("/", os.sep))


def output_names(output: str, lights: Sequence[Frame], report: Report) -> list[str]:
    """Paths of calibrated lights; it is said how several are counted.

    In a folder they have the names of the lights; one light has the name that is given, several
    are counted on from the digits of ``name0001.fit``, or from 1.

    Raises
    ------
    PulsarError
        Two would have one name.
    """
    if _is_folder(output):
        names = [re.sub(r"\.(fz|gz)$", "", os.path.basename(f.path), flags=re.I) for f in lights]
        seen: dict[str, Frame] = {}
        for light, name in zip(lights, names, strict=True):
            other = seen.setdefault(name.casefold(), light)
            if other is not light:
                raise PulsarError(
                    f"{printable(other.path)} and {printable(light.path)} would both be "
                    f"{printable(name)}; calibrate them into two folders"
                )
        return [os.path.join(output, name) for name in names]
    if not FITS_NAME.search(output) or re.search(r"\.(fz|gz)$", output, re.IGNORECASE):
        raise PulsarError(
            f"{printable(output)}: a calibrated light is a .fit, .fits or .fts; name it so, or a "
            "folder that is there"
        )
    if len(lights) == 1:
        return [output]
    root, ending = os.path.splitext(output)
    digits = re.search(r"\d+$", root)
    start, width = (int(digits[0]), len(digits[0])) if digits else (1, 4)
    stem = root[: digits.start()] if digits else root
    found = [f"{stem}{start + i:0{width}}{ending}" for i in range(len(lights))]
    are = "would be" if report.dry else "are"
    report.say(f"{printable(found[0])} to {os.path.basename(found[-1])} {are} written")
    return found
