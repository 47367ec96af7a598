"""What happens to files and folders."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest


def snapshot(folder: Path) -> dict[str, tuple[int, bytes | str | None]]:
    """Everything in a folder, hidden files too: what it is, what files hold, where links lead."""
    found: dict[str, tuple[int, bytes | str | None]] = {}
    for path in sorted(folder.rglob("*")):
        name, mode = os.path.relpath(path, folder), path.lstat().st_mode
        if stat.S_ISLNK(mode):
            found[name] = stat.S_IFMT(mode), os.readlink(path)
        else:
            found[name] = stat.S_IFMT(mode), path.read_bytes() if stat.S_ISREG(mode) else None
    return found


def flip(path: Path, byte: int, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= bit
    path.write_bytes(data)


POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
LINUX_ROOT = sys.platform == "linux" and os.geteuid() == 0


@contextlib.contextmanager
def mounted(place, *options):
    if not LINUX_ROOT:
        pytest.skip("needs Linux and root")
    line = ["mount", "-t", "tmpfs", *options, "tmpfs", str(place)]
    if subprocess.run(line, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def disturb(path, how):
    """Harm an input; what replaces it has its size and time."""
    status = path.stat()
    if how == "truncated":
        os.truncate(path, status.st_size // 2)
    elif how == "removed":
        path.unlink()
    elif how == "replaced":
        other = path.with_name("other")
        other.write_bytes(bytes(status.st_size))
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.replace(other, path)
    else:
        with open(path, "r+b") as file:
            file.seek(10_000)
            file.write(b"new")
