"""Whether it worked, in a sentence; then each warning, with its frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pulsar_dask.errors import count, printable

#: Names in a sentence, and frames of a warning that its own text names.
NAMED, TOLD = 4, 3


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
    error: str | None = None,
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
    error : str, optional
        What was not done.
    again : str, optional
        What was found where masters of another time are looked at.

    Returns
    -------
    dict
        `state` ("good", "look", "bad"), `text`, and `remarks`: each text with names of frames.
    """
    remarks = [{"text": text, "frames": _names(getattr(text, "frames", ()))} for text in warnings]
    shown = [r | {"frames": r["frames"] if len(r["frames"]) > TOLD else []} for r in remarks]
    odd = list(dict.fromkeys(name for r in remarks for name in r["frames"]))
    out = {n for w in warnings if getattr(w, "left_out", False) for n in _names(w.frames)}  # type: ignore[attr-defined]
    made, of = some(masters), count(frames, "frame")
    one = len(masters) == 1
    if error:
        text = f"Not all was done. {some(masters)} {'is' if one else 'are'} there." if made else ""
        shown.insert(0, {"text": error, "frames": []})
        return {"state": "bad", "text": text or "Nothing was made.", "remarks": shown}
    if odd:
        word = "It worked, but" if not again else "Look at this:"
        what = f"look at {count(len(odd), 'frame')}"
        if out:
            what = f"{count(len(out), 'frame')} did not belong and {_were(len(out))} left out"
            odd = [n for n in odd if n in out]
        what = what if again is None else what.replace("look at ", "")
        return {"state": "look", "text": f"{word} {what}: {some(odd)}.", "remarks": shown}
    if warnings:
        them = count(len(warnings), "warning")
        text = f"{again or f'It worked, with {them}'}: {made}, of {of}."
        if again:
            text = f"{made}: {again}, with {them}."
        return {"state": "look", "text": text, "remarks": shown}
    is_ = "was" if one else "were"
    text = f"It worked: {made} {is_} made of {of}, and nothing about them is odd."
    if again:
        text = f"{made}: {again}, and nothing is odd."
    return {"state": "good", "text": text, "remarks": shown}


def _were(n: int) -> str:
    return "was" if n == 1 else "were"


def _names(paths: Sequence[str]) -> list[str]:
    return [printable(os.path.basename(path)) for path in paths]
