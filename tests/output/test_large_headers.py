"""Headers of as many cards as a header may have: what they cost, what a master keeps of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from helpers import header_bytes, image_bytes, run, same, write_frame
from night import pixels

from pulsar_dask.formats.scan import scan_frame, scan_frames
from pulsar_dask.output.fits import FitsMaster
from pulsar_dask.output.header import clean_header, master_header

IMAGE = np.arange(12, dtype="i2").reshape(3, 4)

#: Cards of a kind, by their number.
KINDS: dict[str, Callable[[int], list[bytes]]] = {
    "numbers": lambda i: [f"K{i:07d}= {i:20d} / a number".encode()],
    "texts": lambda i: [f"K{i:07d}= 'text {i}'".encode()],
    "history": lambda i: [f"HISTORY step {i}".encode()],
    "blanks": lambda i: [b""],
    "long": lambda i: [f"K{i:07d}= '{i:60d}&'".encode(), f"CONTINUE  '{i:60d}'".encode()],
    "one long": lambda i: [b"CONTINUE  'a b c d&'" if i else b"LONGTEXT= 'a&'"],
    "hierarch": lambda i: [f"HIERARCH ESO DET NUMBER{i} = {i}".encode()],
    "repeated": lambda i: [b"SAME    =                    1"],
    "axes": lambda i: [f"CRVAL{i % 99 + 1:<3}=                  1.0".encode()],
    "damaged": lambda i: [b"?? %d" % i],
}


def cards_of(kind: str, count: int) -> dict[str, Any]:
    return {f"{i}.{j}": card for i in range(count) for j, card in enumerate(KINDS[kind](i))}


def lines_run(work: Callable[[], Any]) -> int:
    """Lines of Python that are run: a measure that no busy machine changes."""
    count = 0

    def trace(frame: Any, event: str, value: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    ("kind", "place"), [*((k, "primary") for k in KINDS), ("history", "extension")]
)
def test_the_cost_grows_as_the_number_of_cards(tmp_path, kind, place):
    def work(path: Path) -> None:
        header = master_header(scan_frames([str(path)]), kind=None)
        FitsMaster(f"{path}.out", (3, 4), "float32", header).__exit__()

    counts = []
    for count in (80, 80, 320):  # the first time more is loaded
        path = tmp_path / "a.fit"
        cards = cards_of(kind, count)
        more = {"primary_cards": cards} if place == "extension" else {}
        write_frame(path, IMAGE, cards=cards, place=place, **more)
        counts.append(lines_run(lambda path=path: work(path)))
    assert counts[2] < 4.1 * counts[1]  # 4 where each card costs the same


@pytest.mark.more
def test_a_header_of_the_most_cards(tmp_path):
    mixed = {
        f"{kind} {name}": card
        for kind in ("numbers", "history", "long")
        for name, card in cards_of(kind, 9000).items()
    }
    for i in range(3):
        write_frame(tmp_path / f"b{i}.fit", IMAGE + i, cards=mixed)
    run("med", "b*.fit", "m.fit", cwd=tmp_path)
    same(pixels(tmp_path / "m.fit"), (IMAGE + 1).astype("f4"))
    header = fits.getheader(tmp_path / "m.fit")
    assert header["K0008999"] == 8999
    assert "step 8999" in list(header["HISTORY"])
    assert header["NCOMBINE"] == 3


def test_order_of_cards_and_comments(tmp_path):
    """Cards stand as in the frame, those of the primary header behind; comments once."""
    primary = {
        "SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True,
        "FIRST": 1, "BOTH": 1, "a": b"HISTORY of both", "b": b"HISTORY of the file",
    }  # fmt: skip
    image = {"BOTH": 2, "c": b"HISTORY of both", "LAST": 3, "d": b"COMMENT at the end"}
    path = tmp_path / "a.fit"
    path.write_bytes(header_bytes(primary) + image_bytes(IMAGE, image, extension=True))
    frame = scan_frame(path)
    found = [(c.keyword, c.value) for c in clean_header(frame).cards]
    assert found == [
        ("BOTH", 2),
        ("HISTORY", "of both"),
        ("LAST", 3),
        ("COMMENT", "at the end"),
        ("FIRST", 1),
        ("HISTORY", "of the file"),
    ]
    words = [c.keyword for c in master_header([frame], kind="dark").cards]
    assert words[-1] == "HISTORY"
    assert words.index("CREATOR") < len(words) - 1


def test_a_text_without_end_is_left_out(tmp_path):
    cards = cards_of("one long", 5000) | {"AFTER": 1}
    frame = scan_frame(write_frame(tmp_path / "a.fit", IMAGE, cards=cards))
    header = clean_header(frame)
    assert "LONGTEXT" not in header
    assert header["AFTER"] == 1
    cards = cards_of("one long", 500)
    frame = scan_frame(write_frame(tmp_path / "b.fit", IMAGE, cards=cards))
    assert clean_header(frame)["LONGTEXT"] == "a" + 499 * "a b c d"
