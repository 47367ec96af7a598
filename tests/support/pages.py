"""Reports as someone has them who opens them."""

from __future__ import annotations

import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, opened
from pngs import decoded

in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not here")


class Reader(HTMLParser):
    """Text, tags and attributes of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.text += " "

    def handle_data(self, data):
        self.text += data

    @property
    def words(self) -> str:
        """The text, with single spaces."""
        return re.sub(r"\s+", " ", self.text)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.tags if name == tag]


def check_still(page: Reader) -> None:
    """Nothing is loaded, nothing runs, and pictures have texts."""
    for _, attributes in page.tags:
        for name in ("src", "href", "data", "action", "srcset", "poster", "background"):
            assert str(attributes.get(name, "#")).startswith(("data:", "#"))
    assert not re.search(r"url\(|@import|http-equiv=.refresh", page.source)
    assert not page.all("script")
    assert all(image["alt"] for image in page.all("img"))
    assert all(svg["aria-label"] for svg in page.all("svg"))


def check_opened(page: Path, folder: Path) -> str:
    """The verdict as it is read, at both widths, in light and in dark."""
    wide, narrow = opened(page, 1280, folder), opened(page, 390, folder, dark=True)
    for width, one in ((1280, wide), (390, narrow)):
        assert one.beyond == []
        assert one.wide <= width
        assert one.console == []
        assert one.loaded == []
        assert one.broken == 0
        assert one.cut == []
        assert all(one.images)
        assert all(one.charts)
    assert wide.back != narrow.back
    assert wide.verdict.split() == narrow.verdict.split()
    return wide.verdict


def pictures(page: Reader) -> list[np.ndarray]:
    sources = [image["src"].partition("base64,")[2] for image in page.all("img")]
    return [decoded(b64decode(source))[1] for source in sources]
