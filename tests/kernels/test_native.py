"""Compiled code without Numba: made once, loaded whole, and from where nobody else can write."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from few import also

import pulsar_dask
from pulsar_dask.kernels.codecache import part
from pulsar_dask.kernels.native import Compiled

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows tells no permissions")

CODE = """
import sys
from pulsar_dask.kernels.native import Compiled
print(Compiled("tiny.more")(9), "numba" in sys.modules)
"""
#: A number that is found in the code, and another.
MARK, TRAP = 0x075BCD15, 0x07777777
TINY = f"""
from pulsar_dask.kernels.codecache import part
@part
def more(x):
    return x ^ {MARK}
"""
RIGHT, SPRUNG = 9 ^ MARK, 9 ^ TRAP


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """The part of the package that compiles, and code to compile."""
    source = Path(pulsar_dask.__file__).parent
    folder = tmp_path_factory.mktemp("package") / "site" / "pulsar_dask"
    (folder / "kernels").mkdir(parents=True)
    names = ("blocks", "building", "codecache", "locks", "native", "private", "vectors")
    for name in ("__init__", "_version", "errors", "kernels/__init__"):
        shutil.copy(source / f"{name}.py", folder / f"{name}.py")
    for name in names:
        shutil.copy(source / "kernels" / f"{name}.py", folder / "kernels")
    (folder / "kernels" / "tiny.py").write_text(TINY)
    return folder.parent


@pytest.fixture(scope="module")
def known(package, tmp_path_factory) -> Path:
    """A folder that has that code."""
    folder = tmp_path_factory.mktemp("known")
    assert load(package, NUMBA_CACHE_DIR=folder) == (RIGHT, True, "")
    assert len(list(folder.iterdir())) == 1
    return folder


def load(package: Path, **environment: object) -> tuple[int, bool, str]:
    """Run compiled code: what it gives, whether Numba was needed, what is said."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA")}
    variables |= {"PYTHONPATH": str(package), "HOME": str(package.parent / "home")}
    variables |= {"PYTHONDONTWRITEBYTECODE": "1", "XDG_CACHE_HOME": ""}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=package, capture_output=True, text=True,
        env=variables | {k: str(v) for k, v in environment.items()},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    value, numba = done.stdout.split()
    return int(value), numba == "True", done.stderr


def set_trap(folder: Path) -> None:
    """Let what is kept there give something else, by its sum as it should be."""
    (path,) = folder.rglob("*.code")
    content = path.read_bytes()[32:]
    marks = [n.to_bytes(4, sys.byteorder) for n in (MARK, TRAP)]
    assert marks[0] in content
    content = content.replace(*marks)
    path.write_bytes(hashlib.sha256(content).digest() + content)


def test_loading_takes_no_numba(package, known):
    assert load(package, NUMBA_CACHE_DIR=known) == (RIGHT, False, "")


def test_what_is_in_a_private_folder_runs(package, known, tmp_path):
    """So the traps do spring where the folder is a safe one."""
    if sys.byteorder == "big" or os.uname().machine not in ("x86_64", "AMD64"):
        pytest.skip("the number is spread over instructions there")
    cache = tmp_path / "cache"
    shutil.copytree(known, cache)
    set_trap(cache)
    assert load(package, NUMBA_CACHE_DIR=cache) == (SPRUNG, False, "")


@posix
@pytest.mark.parametrize("how", ["open", "file", *also("sticky", "parent", "link", "theirs")])
def test_a_folder_that_others_can_write_to_is_passed_over(package, known, tmp_path, how):
    cache = tmp_path / "above" / "cache"
    shutil.copytree(known, cache)
    if os.uname().machine == "x86_64":
        set_trap(cache)
    given = cache
    if how in ("open", "sticky"):
        cache.chmod(0o777 if how == "open" else 0o1777)
    elif how == "parent":
        cache.parent.chmod(0o777)
    elif how == "link":
        given = tmp_path / "link"
        given.symlink_to(cache)
    elif how == "file":
        for path in cache.iterdir():
            path.chmod(0o777)
    elif os.geteuid():
        pytest.skip("needs root")
    else:
        os.chown(cache, 12345, -1)
    value, _, said = load(package, NUMBA_CACHE_DIR=given)
    assert (value, said) == (RIGHT, "")


@pytest.mark.parametrize("how", ["flipped", *also("short", "empty", "other")])
def test_what_is_damaged_is_made_anew(package, known, tmp_path, how):
    shutil.rmtree(package / "pulsar_dask" / "kernels" / "__pycache__", ignore_errors=True)
    cache = tmp_path / "cache"
    shutil.copytree(known, cache)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    damaged = {
        "flipped": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:],
        "short": whole[:-1],
        "empty": b"",
        "other": b"not a file of ours",
    }
    path.write_bytes(damaged[how])
    assert load(package, NUMBA_CACHE_DIR=cache) == (RIGHT, True, "")
    assert path.read_bytes()[:32] == hashlib.sha256(path.read_bytes()[32:]).digest()
    assert load(package, NUMBA_CACHE_DIR=cache) == (RIGHT, False, "")


@posix
def test_two_processes_compile_it_once(package, known, tmp_path):
    """One that finds another compiling waits, and takes what that has kept."""
    import fcntl

    (path,) = known.iterdir()
    cache = tmp_path / "cache"
    cache.mkdir(0o700)
    place = cache / f".{path.name}.turn"
    with open(place, "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waits = (
            "from pulsar_dask.kernels import native\nnative.COMPILING += [lambda: print('waits')]\n"
        )
        variables = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA")}
        variables |= {"PYTHONPATH": str(package), "NUMBA_CACHE_DIR": str(cache)}
        with subprocess.Popen(
            [sys.executable, "-u", "-c", f"{waits}\n{CODE}"], cwd=package, env=variables,
            stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout.readline() == "waits\n"
            shutil.copy(path, cache)
            place.unlink()
            other.close()
            assert process.stdout.read().split() == [str(RIGHT), "False"]
    assert [p.name for p in cache.iterdir()] == [path.name]


@posix
def test_nowhere_to_keep_it(package, tmp_path):
    """The program's folder is open to others, the user's cannot be made: it is compiled, and said
    once, and how to change that."""
    own = package / "pulsar_dask" / "kernels" / "__pycache__"
    shutil.rmtree(own, ignore_errors=True)
    (tmp_path / "file").write_text("x")
    own.mkdir()
    own.chmod(0o777)
    value, numba, said = load(package, HOME=tmp_path / "file")
    own.rmdir()
    assert (value, numba) == (RIGHT, True)
    (line,) = [x for x in said.splitlines() if "PulsarWarning" in x]
    assert "others can write there" in line
    assert "set NUMBA_CACHE_DIR to a folder that only you can write to" in line
    if not hasattr(os, "geteuid") or os.geteuid():
        return
    own.write_text("no folder")  # nor can the program's be made, by root either
    try:
        value, numba, said = load(package, HOME=tmp_path / "file")
    finally:
        own.unlink()
    assert (value, numba) == (RIGHT, True)
    (line,) = [x for x in said.splitlines() if "PulsarWarning" in x]
    assert "is not kept, since no folder for it can be written to" in line


# --- what goes in and out ----------------------------------------------------------------------


@part
def _turn(flag, small, number, real, like, x, y):  # type: ignore[no-untyped-def]
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = x[i, j] + like
    return number + small, real * 2, flag


@part
def _nothing(x):  # type: ignore[no-untyped-def]
    x[0] = 5


@part
def _array(x):  # type: ignore[no-untyped-def]
    return np.empty(x)[0]


@pytest.fixture
def trial(tmp_path, monkeypatch) -> None:
    """A module of kernels, whose code is kept elsewhere."""
    module = types.ModuleType("pulsar_dask.kernels.trial")
    module.__dict__.update(turn=_turn, nothing=_nothing, array=_array)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))


@pytest.mark.usefixtures("trial")
@pytest.mark.parametrize("dtype", ["i2", "f8", *also("u1", "i4", "i8", "u4", "u8", "f4")])
def test_numbers_and_arrays(dtype):
    turn = Compiled("trial.turn")
    rng = np.random.default_rng(3)
    for x in (
        rng.integers(0, 50, (7, 5)).astype(dtype),
        rng.integers(0, 50, (14, 15)).astype(dtype)[::-2, 1::3],  # neither in a row nor forwards
        np.empty((0, 5), dtype),
    ):
        y = np.zeros(x.shape, dtype)
        like = x.dtype.type(3)
        assert turn(True, np.int16(-7), 2**40, -1.5, like, x, y) == (2**40 - 7, -3.0, 1)
        assert np.array_equal(y, x + like)
    x = np.zeros(3, np.int64)
    assert Compiled("trial.nothing")(x) is None
    assert x.tolist() == [5, 0, 0]


@pytest.mark.usefixtures("trial")
def test_a_kernel_that_makes_arrays_is_refused():
    with pytest.raises(TypeError, match="let it be given one"):
        Compiled("trial.array")(9)
