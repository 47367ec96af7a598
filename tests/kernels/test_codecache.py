"""Compiled code is loaded only from where nobody else can write: loading it runs it."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from few import also

import pulsar_dask
from pulsar_dask.kernels.private import is_private

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows tells no permissions")

CODE = """
from pulsar_dask.kernels.tiny import more
print(more(9), more.stats.cache_path)
"""
TINY = """
from pulsar_dask.kernels.codecache import cached
@cached()
def more(x):
    return x + 1
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A part of the package, and code to compile, where they can be tampered with."""
    folder = tmp_path_factory.mktemp("package") / "site" / "pulsar_dask"
    folder.mkdir(parents=True)
    (folder / "kernels").mkdir()
    kernels = (
        "kernels/__init__",
        "kernels/private",
        "kernels/codecache",
        "kernels/locks",
        "kernels/native",
    )
    for name in ("__init__", "_version", "errors", *kernels):
        shutil.copy(Path(pulsar_dask.__file__).parent / f"{name}.py", folder / f"{name}.py")
    (folder / "kernels" / "tiny.py").write_text(TINY)
    return folder.parent


@pytest.fixture(scope="module")
def known(package, tmp_path_factory) -> Path:
    """A cache of that code."""
    folder = tmp_path_factory.mktemp("known")
    total, found, said = load(package, NUMBA_CACHE_DIR=folder)
    assert (total, said) == (10, "")
    assert Path(found).is_relative_to(folder)
    return folder


def load(package: Path, **environment: object) -> tuple[int, str, str]:
    """Run compiled code: what it gives, where its cache is, what is said."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA")}
    variables |= {"PYTHONPATH": str(package), "HOME": str(package.parent / "home")}
    variables |= {"PYTHONDONTWRITEBYTECODE": "1", "XDG_CACHE_HOME": ""}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=package, capture_output=True, text=True,
        env=variables | {k: str(v) for k, v in environment.items()},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    total, place = done.stdout.split()
    return int(total), place, done.stderr


class Trap:
    """What writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return (open, (str(self.path), "w"))


def set_traps(folder: Path, sprung: Path) -> int:
    """Let all that was compiled before spring a trap when it is loaded."""
    found = [*folder.rglob("*.nbi"), *folder.rglob("*.nbc")]
    for path in found:
        path.write_bytes(pickle.dumps(Trap(sprung)))
    return len(found)


def test_a_cache_of_the_user_is_used(package, known, tmp_path):
    """So the traps do spring where the cache is a safe one."""
    cache = tmp_path / "cache"
    shutil.copytree(known, cache)
    assert set_traps(cache, tmp_path / "sprung")
    load(package, NUMBA_CACHE_DIR=cache)
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "how", ["open", "file", *also("sticky", "parent", "link", "folder", "theirs")]
)
def test_a_cache_that_others_can_write_to_is_not_loaded(package, known, tmp_path, how):
    cache = tmp_path / "above" / "cache"
    shutil.copytree(known, cache)
    assert set_traps(cache, tmp_path / "sprung")
    given = cache
    if how in ("open", "sticky"):
        cache.chmod(0o777 if how == "open" else 0o1777)
    elif how == "parent":
        cache.parent.chmod(0o777)
    elif how == "link":
        given = tmp_path / "link"
        given.symlink_to(cache)
    elif how == "theirs":
        if os.geteuid():
            pytest.skip("needs root")
        os.chown(cache, 12345, -1)
    else:
        for path in cache.rglob("*") if how == "file" else cache.iterdir():
            path.chmod(0o777)
    total, found, said = load(package, NUMBA_CACHE_DIR=given)
    assert not (tmp_path / "sprung").exists()
    assert (total, said) == (10, "")
    assert Path(found) == package / "pulsar_dask" / "kernels" / "__pycache__"  # the next safe place


@pytest.mark.more
def test_the_folder_of_the_program_is_open(package):
    """Then it is kept with the user; where that is open, too, it is compiled anew, and said."""
    load(package)
    own = package / "pulsar_dask" / "kernels" / "__pycache__"
    home, sprung = package.parent / "home", package.parent / "sprung"
    own.chmod(0o777)
    assert set_traps(own, sprung)
    total, found, said = load(package)
    assert (total, said) == (10, "")
    assert Path(found).is_relative_to(home / ".cache" / "pulsar-dask")
    (home / ".cache").chmod(0o777)
    assert set_traps(home, sprung)
    total, found, said = load(package, NUMBA_CACHE_DIR="/tmp")
    assert (total, found) == (10, "None")
    (line,) = [x for x in said.splitlines() if "PulsarWarning" in x]
    assert "others can write there" in line
    assert "set NUMBA_CACHE_DIR to a folder that only you can write to" in line
    assert not sprung.exists()
    own.chmod(0o755)


def test_all_that_is_compiled_is_asked(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    code = (
        "from pulsar_dask.kernels import clipping_compiled\n"
        "functions = vars(clipping_compiled).values()\n"
        "places = {f.stats.cache_path for f in functions if hasattr(f, 'stats')}\n"
        "print(len(places), *places)"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "open")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert str(tmp_path) not in done.stdout
    assert done.stderr == ""


def test_what_is_private(tmp_path):
    mine, shared = tmp_path / "mine", tmp_path / "shared"
    for folder in (mine, shared):
        folder.mkdir()
    shared.chmod(0o1777)
    (tmp_path / "link").symlink_to(mine)
    cases = {
        (mine, False): True,
        (mine / "new" / "er", False): True,
        (shared, False): False,
        (shared, True): True,
        (shared / "new", False): True,
        (tmp_path / "link", False): False,
        (tmp_path / "link", True): True,
        (tmp_path / "link" / "new", False): True,
    }
    for (folder, own), private in cases.items():
        assert is_private(str(folder), shared=own) == private, folder
    mine.chmod(0o777)
    is_private.cache_clear()
    assert not is_private(str(mine), shared=True)
    assert not is_private(str(mine / "new"))
    assert not is_private(str(tmp_path / "link" / "new"))
    is_private.cache_clear()
