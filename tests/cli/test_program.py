"""The tools as programs: signals and loops of a shell, streams that are closed, full or not read,
and folders that hold what is named as a module."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from few import also
from helpers import command, names, run, same
from night import pixels, stack, write_stack

import pulsar_dask
from pulsar_dask.tools.commands import tools

BIAS = stack(1, 3, 300)
DARKS = stack(2, 3, 400)
#: What a system puts into its folder of commands.
SCRIPT = Path(sys.executable).with_name("pulsar-dask")
posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such shell")
needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_stack(tmp_path / "bias", "b", BIAS, "Bias Frame", 0.0)
    write_stack(tmp_path / "darks", "d", DARKS, "Dark Frame", 2.0)
    return tmp_path


def shell(line: str, cwd: Path, **kwargs: Any) -> subprocess.Popen[str]:
    """Run a line of bash, in which $TOOLS are the tools, as a terminal would run it."""
    words = " ".join(f"'{word}'" for word in command())
    return subprocess.Popen(
        ["bash", "-c", line], cwd=cwd, env={**os.environ, "TOOLS": words}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **kwargs,
    )  # fmt: skip


def said(process: subprocess.Popen[str], status: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, (process.returncode, out, err)
    assert "Traceback" not in err
    return out, err


# --- signals ---------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("begun", [False, True])
def test_ctrl_c_ends_the_loop_of_a_shell(folder, number, begun):
    """A terminal sends it to the shell and to what runs; the shell ends if that died of it."""
    os.mkfifo(folder / "list")
    loop = 'for i in 1 2 3; do echo $i >> rounds; eval "$TOOLS" med @list m.fit; done; echo > after'
    process = shell(loop, folder)
    if begun:  # it waits for the list, until which it reads nothing
        end = os.open(folder / "list", os.O_WRONLY)
        time.sleep(0.05)
    else:
        while not (folder / "rounds").exists() or not (folder / "rounds").read_text():
            time.sleep(0.002)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=120)
        if not begun and process.returncode != -number and "runpy" in err:
            # Python itself was still beginning, and goes on with an error of its own
            for name in {*names(folder)} - {"bias", "darks"}:
                (folder / name).unlink()
            test_ctrl_c_ends_the_loop_of_a_shell(folder, number, begun)
            return
        assert process.returncode == -number, err
        assert "Traceback" not in err
    else:  # the tool alone
        while not (tool := child(process.pid)):
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGSTOP)  # else it begins another round
        os.kill(tool, number)
        process.kill()
        process.communicate()
    assert (folder / "rounds").read_text() == "1\n"
    assert not (folder / "after").exists()
    assert names(folder) == ["bias", "darks", "list", "rounds"]
    os.close(end) if begun else None


def child(pid: int) -> int | None:
    import psutil

    return next((c.pid for c in psutil.Process(pid).children()), None)


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_dies_of_its_signal(folder, number):
    os.mkfifo(folder / "list")
    process = subprocess.Popen(
        command("med", "@list", "m.fit"), cwd=folder, stderr=subprocess.PIPE, text=True
    )
    with open(folder / "list", "w"):
        time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == -number  # WIFSIGNALED
    words = "pulsar-dask: interrupted; nothing was written"
    assert err.strip() == (words if number == signal.SIGINT else "")
    assert names(folder) == ["bias", "darks", "list"]


@posix
def test_what_is_ignored_stays_ignored(folder):
    """As under nohup, and in the background of a shell."""
    os.mkfifo(folder / "list")
    ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
    process = subprocess.Popen(
        command("med", "@list", "m.fit"), cwd=folder, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, preexec_fn=ignore,
    )  # fmt: skip
    with open(folder / "list", "w") as file:
        process.send_signal(signal.SIGINT)
        file.write("bias/b0001.fit\nbias/b0002.fit\nbias/b0003.fit\n")
    said(process)
    assert "m.fit" in names(folder)


# --- streams ---------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    "line",
    [
        "{ eval $TOOLS makedark darks bias 2>&3; echo $? > status; } 3>err | true",
        "{ eval $TOOLS makedark darks bias 2>&1; echo $? > status; } | true",
        "eval $TOOLS makedark darks bias >&- 2>err; echo $? > status",
        "eval $TOOLS makedark darks bias <&- >&- 2>&-; echo $? > status",
        *also(
            "eval $TOOLS makedark darks bias >&- 2>&-; echo $? > status",
            "eval $TOOLS makedark darks bias --scheduler local:1 >&- 2>&- <&-; echo $? > status",
        ),
    ],
)
def test_whoever_reads_may_go(folder, line):
    said(shell(line, folder))
    assert (folder / "status").read_text() == "0\n"
    assert names(folder)[:3] == ["bias", "bias.fit", "cosme2s.lst"]
    dark = DARKS.astype("f8")
    bias = pixels(folder / "bias.fit").astype("f8")
    same(pixels(folder / "dark2s.fit"), (sorted_middle(dark) - bias).astype("f4"))
    if (folder / "err").exists():
        others = [w for w in (folder / "err").read_text().splitlines() if "warning: " not in w]
        assert others == []


def sorted_middle(images: Any) -> Any:
    assert len(images) == 3
    return images[0] + images[1] + images[2] - images.max(0) - images.min(0)


@posix
def test_help_may_be_cut(folder):
    for words in ("--help", "med --help"):
        line = f"{{ eval $TOOLS {words}; echo $? > status; }} | true"
        assert said(shell(line, folder)) == ("", "")
        assert (folder / "status").read_text() == "0\n"


@posix
@needs_full
def test_streams_on_a_full_disk(folder):
    """The work is done; the status tells that not all was said."""
    _, err = said(shell("eval $TOOLS med bias m.fit > /dev/full", folder), 1)
    assert err.endswith(
        "error: No space left on device: not all messages could be written; all else is done\n"
    )
    same(pixels(folder / "m.fit"), sorted_middle(BIAS.astype("f8")).astype("f4"))
    out, _ = said(shell("eval $TOOLS makedark darks 2> /dev/full", folder), 1)  # of few frames
    assert "dark2s.fit" in out
    same(pixels(folder / "dark2s.fit"), sorted_middle(DARKS.astype("f8")).astype("f4"))
    said(shell("eval $TOOLS med bias n.fit > /dev/full 2>&1", folder), 1)
    same(pixels(folder / "n.fit"), pixels(folder / "m.fit"))
    said(shell("eval $TOOLS med gone x.fit > /dev/full 2>&1", folder), 1)


# --- the current folder ----------------------------------------------------------------------


@functools.cache
def modules() -> set[str]:
    """What a run imports and Python itself, which looks in the current folder, has not before."""
    parts = (
        "tools.commands",
        "inputs.prefetch",
        "tools.med",
        "tools.makedark",
        "tools.makeflat",
        "tools.verify",
        "engine.cluster",
        "notebook.cube",
    )
    work = ["numba", "cryptography.x509", *(f"pulsar_dask.{part}" for part in parts)]
    found = []
    for more in ([], work):
        script = f"import sys, {', '.join(['runpy', 'importlib.util', *more])}; print(*sys.modules)"
        line = [sys.executable, "-c", script]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        found.append({name.split(".")[0] for name in done.stdout.split()})
    roots = found[1] - found[0] | {"numpy", "click", "json", "dask", "multiprocessing", "pickle"}
    assert len(roots) > 50
    return roots - {"pulsar_dask"}


def plant(folder: Path) -> None:
    """Put modules there that leave a mark when they are imported."""
    for name in modules():
        mark = f"open({str(folder / 'MARK')!r}, 'a').write({name!r} + ' ')\n"
        (folder / f"{name}.py").write_text(mark)


@pytest.mark.parametrize("way", ["pulsar-dask", *also("python -m")])
def test_downloads_are_not_imported(folder, way):
    if way == "pulsar-dask" and not SCRIPT.exists():
        pytest.skip("the package is not installed")
    plant(folder)
    start = [str(SCRIPT)] if way == "pulsar-dask" else [sys.executable, "-m", "pulsar_dask"]
    for words in (
        ["med", "bias", "l.fit", "--scheduler", "local:1"],
        ["cube", "bias", "c.zarr"],
        ["verify", "l.fit"],
        ["--help"],
    ):
        done = subprocess.run([*start, *words], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert not (folder / "MARK").exists(), (words, (folder / "MARK").read_text())
    assert (folder / "l.fit").exists()


# --- pulsar-dask -----------------------------------------------------------------------------


def test_all_tools_are_commands_of_one(folder):
    help_text = run("--help", cwd=folder).stdout
    listed = {name for words in tools.sections.values() for name in words}
    assert listed == set(tools.commands)
    for name in listed:
        assert f"\n  {name} " in help_text
        assert f"Usage: pulsar-dask {name} " in run(name, "--help", cwd=folder).stdout
    assert run("--version", cwd=folder).stdout == f"pulsar-dask {pulsar_dask.__version__}\n"
    assert run("median", cwd=folder, status=2).stderr.startswith("Usage: pulsar-dask ")


def test_the_installed_command(folder):
    script = shutil.which("pulsar-dask", path=str(SCRIPT.parent))
    if script is None:
        pytest.skip("the package is not installed")
    done = subprocess.run([script, "med", "bias", "m.fit"], cwd=folder, capture_output=True)
    assert done.returncode == 0
    same(pixels(folder / "m.fit"), sorted_middle(BIAS.astype("f8")).astype("f4"))


def test_help_loads_nothing_heavy(folder):
    script = (
        "import sys; sys.argv = ['pulsar-dask', *sys.argv[1:]]\n"
        "from pulsar_dask import __main__ as start\n"
        "from pulsar_dask.tools import commands\n"
        "try: commands.tools.main(standalone_mode=False)\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    for words in (["--help"], ["med", "--help"], ["verify", "--help"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *words], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0
        heavy = {"numpy", "dask", "distributed", "astropy", "numba", "xarray", "zarr", "asyncio"}
        assert not heavy & set(done.stderr.split())
