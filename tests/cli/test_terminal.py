"""What people see: a real terminal, its width and its colours."""

from __future__ import annotations

import os
import re
import struct
import subprocess

import pytest
from helpers import command, run
from night import stack, write_stack

pytestmark = pytest.mark.skipif(os.name != "posix", reason="no such terminals")
COLOURS = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES")


def on_terminal(*args, cwd, width=60, **env):
    """What a command shows on a terminal of so many columns."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    plain = {k: v for k, v in os.environ.items() if k not in COLOURS}
    process = subprocess.Popen(
        command(*args), cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
        env={**plain, "TERM": "xterm", **env}, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end has gone
            break
        if not part:
            break
        seen += part
    os.close(ours)
    process.wait(60)
    return seen.decode().replace("\r\n", "\n")


@pytest.fixture
def folder(tmp_path):
    write_stack(tmp_path / "darks", "d", stack(1, 3, 300), "Dark Frame", 2.0)
    return tmp_path


def test_lines_are_broken_between_words(folder):
    text = on_terminal("makedark", "gone-and-lost", "--threads", "1", cwd=folder, NO_COLOR="1")
    assert max(map(len, text.split("\n"))) < 60
    assert "\033" not in text
    flat = re.sub(r"\s+", " ", text)
    assert "error: gone-and-lost: no such file or folder" in flat
    warned = on_terminal("makedark", "darks", "--threads", "1", cwd=folder, NO_COLOR="1")
    lines = [line.rstrip() for line in re.split(r"[\n\r]", warned)]
    (first,) = [
        i for i, line in enumerate(lines) if line.startswith("warning: dark2s.fit: 3 frames")
    ]
    assert lines[first + 1].startswith("  ")


def test_colours(folder):
    bad = ("med", "gone", "m.fit")
    assert "\033[1;31merror:\033[0m gone" in on_terminal(*bad, cwd=folder)
    assert "\033[33mwarning:\033[0m" in on_terminal("makedark", "darks", cwd=folder)
    for env in ({"NO_COLOR": "1"}, {"CLICOLOR": "0"}, {"TERM": "dumb"}):
        assert "\033[1;31m" not in on_terminal(*bad, cwd=folder, **env)
    assert "\033" not in run(*bad, cwd=folder, status=1).stderr
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):
        env = {k: v for k, v in os.environ.items() if k not in COLOURS} | {name: "1"}
        assert "\033[1;31merror:" in run(*bad, cwd=folder, status=1, env=env).stderr
