"""Whether it worked, in a sentence; then each warning, with its frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pulsar_dask.errors import PulsarError, Remark, count, printable
from pulsar_dask.inputs.words import FITS_NAME
from pulsar_dask.tools.keeps import FAILED, MADE, THERE

#: Names in a sentence, and frames of a warning that its own text names.
NAMED, TOLD = 4, 3
#: Things that were not made of which the reason is told.
REASONS = 20
#: Code of what is said of the masters of lights.
OF_MASTERS = "calibrator"


def some(names: Sequence[str], most: int = NAMED) -> str:
    """Names in a sentence.

    >>> some(["a", "b", "c"]), some(["a", "b", "c"], 2)
    ('a, b and c', 'a, b and 1 more')
    """
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def verdict(
    masters: Sequence[str],
    frames: int,
    warnings: Sequence[str],
    error: PulsarError | None = None,
    *,
    again: str | None = None,
) -> dict[str, Any]:
    """The verdict on masters.

    Parameters
    ----------
    masters : sequence of str
        Their names.
    frames : int
        That they were made of.
    warnings : sequence of str
        Texts, or `errors.Remark`, which know of frames.
    error : PulsarError, optional
        What was not done.
    again : str, optional
        What was found where masters of another time are looked at.

    Returns
    -------
    dict
        `state` ("good", "look", "bad"), `text`, and `remarks`: each text with names of frames.
    """
    made, of = some(masters), count(frames, "frame")
    one = len(masters) == 1
    if error is not None:
        text = f"Not all was done. {made} {'is' if one else 'are'} there." if made else ""
        return _bad(text or "Nothing was made.", warnings, error)
    if again:
        good, look = f"{made}: {again}, and nothing is odd.", (f"{made}: {again}, with ", ".")
    else:
        was = "was" if one else "were"
        good = f"It worked: {made} {was} made of {of}, and nothing about them is odd."
        look = "It worked, with ", f": {made}, of {of}."
    return _of_warnings(good, look, warnings, again=again)


def verdict_on_lights(
    states: Sequence[str],
    warnings: Sequence[str],
    *,
    error: PulsarError | None = None,
    again: str | None = None,
) -> dict[str, Any]:
    """The verdict on lights, by what became of each."""
    warnings = once(warnings)
    made, there, failed = map(states.count, (MADE, THERE, FAILED))
    parts = [f"{count(made, 'light')} {_were(made)} calibrated"] if made or not there else []
    parts += [f"{count(there, 'light')} {_were(there)} there already"] if there else []
    text = " and ".join(parts)
    if error is not None:
        return _bad(f"Not all was done: {text}, and {failed} could not be.", warnings, error)
    good, look = f"It worked: {text}, and nothing is odd.", ("It worked, with ", f": {text}.")
    return _of_warnings(good, look, warnings)


def once(warnings: Sequence[str]) -> list[Remark]:
    """What holds for several lights said once. What is odd about masters is of no one light."""
    found: dict[str, list[str]] = {}
    for warning in warnings:
        head, colon, rest = warning.partition(": ")
        # the beginning of a text is the name of a light, or that of its output
        named = colon and FITS_NAME.search(head)
        found.setdefault(rest if named else warning, []).append(warning)
    remarks = []
    for text, some in found.items():
        all_of = f"{some[0].partition(': ')[0]} and {len(some) - 1} more: {text}"
        remark = Remark(some[0] if len(some) == 1 else all_of, getattr(some[0], "code", "other"))
        frames = dict.fromkeys(f for w in some for f in getattr(w, "frames", ()))
        remark.frames = tuple(frames) if remark.code != OF_MASTERS else ()
        remarks.append(remark)
    return remarks


def _bad(text: str, warnings: Sequence[str], error: PulsarError) -> dict[str, Any]:
    """Not all was done; what was not, and why, stands first."""
    reasons = [f"{name}: {why}" for name, why in getattr(error, "reasons", ())]
    told = reasons[:REASONS] or [error.on_command_line]
    if len(reasons) > REASONS:
        told.append(f"and {len(reasons) - REASONS} more like these")
    first = [{"text": printable(text), "frames": []} for text in told]
    return {"state": "bad", "text": text, "remarks": first + _shown(_remarks(warnings))}


def _of_warnings(
    good: str, look: tuple[str, str], warnings: Sequence[str], again: str | None = None
) -> dict[str, Any]:
    """All was done; `look` stands around what is to be looked at."""
    remarks = _remarks(warnings)
    shown = _shown(remarks)
    odd = list(dict.fromkeys(name for r in remarks for name in r["frames"]))
    out = {n for w in warnings if getattr(w, "left_out", False) for n in _names(w.frames)}  # type: ignore[attr-defined]
    if odd:
        word = "It worked, but" if not again else "Look at this:"
        what = f"look at {count(len(odd), 'frame')}"
        if out:
            what = f"{count(len(out), 'frame')} did not belong and {_were(len(out))} left out"
            odd = [n for n in odd if n in out]
        what = what if again is None else what.replace("look at ", "")
        return {"state": "look", "text": f"{word} {what}: {some(odd)}.", "remarks": shown}
    if warnings:
        text = count(len(warnings), "warning").join(look)
        return {"state": "look", "text": text, "remarks": shown}
    return {"state": "good", "text": good, "remarks": shown}


def _remarks(warnings: Sequence[str]) -> list[dict[str, Any]]:
    return [{"text": text, "frames": _names(getattr(text, "frames", ()))} for text in warnings]


def _shown(remarks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Remarks without the names that stand in their texts."""
    return [r | {"frames": r["frames"] if len(r["frames"]) > TOLD else []} for r in remarks]


def _were(n: int) -> str:
    return "was" if n == 1 else "were"


def _names(paths: Sequence[str]) -> list[str]:
    return [printable(os.path.basename(path)) for path in paths]
