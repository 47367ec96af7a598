"""Pages in a headless Chromium, as someone who looks at them has them."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-default-apps --disable-extensions --enable-logging=stderr --log-level=0"
).split()
#: Measures the page in the frame, and leaves what it finds in its own.
_LOOK = """
const frame = document.querySelector("iframe");
frame.onload = () => {
  const page = frame.contentDocument, all = [...page.images];
  document.title = "looked";
  document.body.append(Object.assign(document.createElement("pre"), {id: "found", textContent:
    JSON.stringify({
      wide: page.documentElement.scrollWidth,
      broken: all.filter(i => !i.complete || !i.naturalWidth).length,
      images: all.map(i => i.alt),
      charts: [...page.querySelectorAll("svg")].map(s => s.getAttribute("aria-label")),
      verdict: page.querySelector(".verdict").innerText,
      back: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
      loaded: frame.contentWindow.performance.getEntriesByType("resource").map(e => e.name),
      beyond: [...page.querySelectorAll("body *")].filter(
        e => !e.closest(".wide *") && e.getBoundingClientRect().right > frame.clientWidth + 1
      ).map(e => `${e.tagName} ${e.textContent.slice(0, 60)}`),
      cut: [...page.querySelectorAll("svg text")].filter(t => {
        const a = t.getBoundingClientRect(), s = t.closest("svg").getBoundingClientRect();
        return a.left < s.left - 1 || a.right > s.right + 1;
      }).map(t => t.textContent),
    })}));
};
"""


@dataclass(frozen=True)
class Opened:
    """What a browser has of a page."""

    wide: int
    broken: int
    images: list[str]
    charts: list[str]
    verdict: str
    back: str
    loaded: list[str]
    beyond: list[str]
    cut: list[str]
    console: list[str]


def opened(page: Path, width: int, folder: Path, *, dark: bool = False) -> Opened:
    """Open a page so many pixels wide; `folder` is for what that takes."""
    text = html.escape(page.read_text(encoding="utf-8"), quote=True)
    outer = folder / f"{page.stem}-{width}.html"
    outer.write_text(
        f'<!doctype html><meta charset="utf-8"><body style="margin:0">'
        f'<iframe style="border:0;width:{width}px;height:3000px" srcdoc="{text}"></iframe>'
        f"<script>{_LOOK}</script>",
        encoding="utf-8",
    )
    done = chromium(outer, "--dump-dom", "--virtual-time-budget=5000", folder=folder, dark=dark)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return Opened(**json.loads(html.unescape(found[1])), console=console)


def chromium(
    page: Path, *words: str, folder: Path, dark: bool = False
) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    scheme = ("--blink-settings=preferredColorScheme=0",) if dark else ()
    command = [CHROMIUM, *_OPTIONS, *scheme, f"--user-data-dir={folder / 'browser'}", *words]
    return subprocess.run(
        [*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=False
    )
