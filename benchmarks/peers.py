"""The programs that are measured: what each is run with, and which are missing here."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Stack:
    """A folder that holds frames and no other FITS file."""

    folder: Path
    count: int
    width: int
    height: int

    @property
    def paths(self) -> list[Path]:
        return sorted(p for p in self.folder.iterdir() if p.is_file())

    @property
    def pixels(self) -> int:
        """Of one frame."""
        return self.width * self.height

    def __str__(self) -> str:
        size = f"{self.width} x {self.height}"
        return f"{self.count} x {size} ({self.count * self.pixels * 2 / 1e9:.3g} GB)"


@dataclass
class Job:
    """A program, ready to be run in a folder of its own."""

    name: str
    argv: list[str]
    folder: Path
    output: Path | None = None
    version: str = ""
    env: dict[str, str] = field(default_factory=dict)
    stdin: Path | None = None
    leftovers: tuple[str, ...] = ()
    """Masks of what a run leaves in its folder and the next one must not find."""
    before: Callable[[], None] = lambda: None
    """Called before each run, not timed."""

    def prepare(self) -> None:
        for mask in self.leftovers:
            for path in self.folder.glob(mask):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.before()

    def written(self) -> int:
        """Bytes of the files that a run has left besides its result."""
        kept = {path for mask in self.leftovers for path in self.folder.glob(mask)}
        return sum(p.stat().st_size for p in kept if p.is_file() and p != self.output)


class Missing(Exception):
    """A peer is not installed; the text says what to install."""


# --- ours ------------------------------------------------------------------------------


def tool(name: str) -> str:
    """Path of one of our commands: beside the running interpreter, else on PATH."""
    beside = Path(sysconfig.get_path("scripts")) / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise Missing(f"`{name}` is not installed")
    return found


def med(stack: Stack, folder: Path, *options: str, name: str = "pulsar-dask `med`") -> Job:
    output = folder / "ours.fit"
    argv = [tool("med"), str(stack.folder), str(output), "--overwrite", "--quiet", *options]
    return Job(name, argv, folder, output, package("pulsar-dask"))


def cat(stack: Stack, folder: Path) -> Job:
    # Through a shell that becomes cat, because the output has to go to /dev/null and not to
    # the log.
    argv = ["sh", "-c", 'exec cat "$@" > /dev/null', "sh", *map(str, stack.paths)]
    return Job("`cat` of the frames", argv, folder)


# --- the peers -------------------------------------------------------------------------


def siril(stack: Stack, folder: Path) -> Job:
    script = "requires 1.0.0\nstack frame_ med -nonorm -out=result\n"
    return _siril(stack, folder, script, "Siril `stack med`", ("frame_.seq", "result.fit"))


def siril_clipped(stack: Stack, folder: Path, how: str, name: str) -> Job:
    script = f"requires 1.0.0\nset32bits\nstack frame_ rej {how} 3 3 -nonorm -out=result\n"
    return _siril(stack, folder, script, f"Siril `{name}`", ("frame_.seq", "result.fit"))


def siril_flats(stack: Stack, folder: Path, dark: Path) -> Job:
    """Siril writes each calibrated frame before it stacks."""
    shutil.copy(dark, folder / "dark.fit")
    script = f"requires 1.0.0\n{_siril_calibrate()} frame_ -dark=dark\n"
    script += "stack pp_frame_ med -norm=mul -out=result\n"
    leftovers = ("*.seq", "pp_frame_*", "result.fit")
    return _siril(stack, folder, script, "Siril `preprocess -dark`, `stack med`", leftovers)


def siril_lights(stack: Stack, folder: Path, masters: Path, *, listed: bool) -> Job:
    for name in ("dark120s.fit", "flat_l.fit", "cosme120s.lst"):
        (folder / name).symlink_to(masters / name)
    options = "-dark=dark120s -flat=flat_l" + (" -cc=bpm cosme120s.lst" if listed else "")
    script = f"requires 1.0.0\nset32bits\n{_siril_calibrate()} frame_ {options}\n"
    name = f"Siril `{_siril_calibrate()}`, " + ("with the list" if listed else "no list")
    leftovers = ("*.seq", "pp_frame_*")
    job = _siril(stack, folder, script, name, leftovers)
    return replace(job, output=folder / "pp_frame_00001.fit")


def _siril_calibrate() -> str:
    return "preprocess" if _siril_version() < (1, 2) else "calibrate"


def _siril(stack: Stack, folder: Path, script: str, name: str, leftovers: tuple[str, ...]) -> Job:
    version = ".".join(map(str, _siril_version()))
    # Frames that are named as Siril names a sequence need no `convert`.
    link(stack, folder)
    (folder / "script.ssf").write_text(script)
    return Job(
        name,
        ["siril-cli", "-d", str(folder), "-s", str(folder / "script.ssf")],
        folder,
        folder / "result.fit",
        version,
        env={"HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},  # its defaults
        leftovers=leftovers,
    )


def _siril_version() -> tuple[int, ...]:
    if not shutil.which("siril-cli"):
        raise Missing("Siril (Debian: `siril`)")
    return tuple(map(int, says("siril-cli", "--version").split(".")))


def gnuastro(stack: Stack, folder: Path) -> Job:
    program = shutil.which("astarithmetic")
    if not program:
        raise Missing("Gnuastro (Debian: `gnuastro`)")
    output = folder / "result.fits"
    argv = [program, *map(str, stack.paths), str(stack.count), "median"]
    argv += ["--globalhdu=0", "--quiet", f"--output={output}"]
    name = "Gnuastro `astarithmetic … median`"
    version = says("astarithmetic", "--version")
    return Job(name, argv, folder, output, version, leftovers=("result.fits",))


def iraf(
    stack: Stack,
    folder: Path,
    how: str = 'combine="median", reject="none"',
    name: str = "IRAF `imcombine`",
) -> Job:
    program = shutil.which("irafcl")
    if not program:
        raise Missing("IRAF (Debian: `iraf`)")
    names = link(stack, folder)
    (folder / "list").write_text("\n".join(names) + "\n")
    script = folder / "script.cl"
    script.write_text(
        f'images\nimmatch\nimcombine ("@list", "result.fits", {how}, outtype="real")\nlogout\n'
    )
    return Job(
        name,
        [program],
        folder,
        folder / "result.fits",
        says("irafcl", "-v"),
        env={"HOME": str(folder), "USER": "bench", "TERM": "dumb"},
        stdin=script,
        leftovers=("result.fits",),
    )


def swarp(stack: Stack, folder: Path) -> Job:
    program = shutil.which("SWarp") or shutil.which("swarp")
    if not program:
        raise Missing("SWarp (Debian: `swarp`)")
    (folder / "list").write_text("\n".join(map(str, stack.paths)) + "\n")
    off = ("RESAMPLE", "SUBTRACT_BACK", "WRITE_XML")
    argv = [program, "@list", "-COMBINE_TYPE", "MEDIAN"]
    argv += [word for name in off for word in (f"-{name}", "N")]
    argv += ["-IMAGEOUT_NAME", "result.fits", "-WEIGHTOUT_NAME", "weight.fits"]
    output = folder / "result.fits"
    version = says(program, "--version")
    leftovers = ("result.fits", "weight.fits")
    return Job("SWarp `MEDIAN`", argv, folder, output, version, leftovers=leftovers)


def gnuastro_clipped(stack: Stack, folder: Path) -> Job:
    job = gnuastro(stack, folder)
    words = [*job.argv]
    at = words.index("median")
    words[at - 1 : at + 1] = [str(stack.count), "3", "0.2", "sigclip-mean"]
    return replace(job, name="Gnuastro `astarithmetic … sigclip-mean`", argv=words)


def by_hand_clipped(stack: Stack, folder: Path, package_: str) -> Job:
    """Means clipped at 3 deviations, as the package's documentation has it."""
    names = {
        "ccdproc": "`ccdproc.combine(sigma_clip=True)`",
        "astropy": "`astropy.stats.sigma_clip` by hand, 64 rows at a time",
    }
    return _by_hand(stack, folder, f"{package_}-clipped", names[package_], package_)


def ccdproc(stack: Stack, folder: Path) -> Job:
    name = '`ccdproc.combine(method="median", mem_limit=4e9)`'
    return _by_hand(stack, folder, "ccdproc", name, "ccdproc")


def by_numpy(stack: Stack, folder: Path) -> Job:
    return _by_hand(stack, folder, "numpy", "NumPy by hand", "numpy")


def as_pulsar(stack: Stack, folder: Path) -> Job:
    """The way of the program whose tools these are."""
    name = "PULSAR's way by hand (all as float64, `np.partition`)"
    return _by_hand(stack, folder, "pulsar", name, "numpy")


def by_dask(stack: Stack, folder: Path) -> Job:
    return _by_hand(stack, folder, "dask", "dask by hand (`da.median`)", "dask")


def _by_hand(stack: Stack, folder: Path, how: str, name: str, needs: str) -> Job:
    python = interpreter_with(needs)
    output = folder / "result.fits"
    argv = [python, str(HERE / "byhand.py"), how, str(output), *map(str, stack.paths)]
    return Job(name, argv, folder, output, package(needs, python))


PEERS: dict[str, Callable[[Stack, Path], Job]] = {
    "siril": siril,
    "gnuastro": gnuastro,
    "iraf": iraf,
    "swarp": swarp,
    "ccdproc": ccdproc,
    "numpy": by_numpy,
    "pulsar": as_pulsar,
    "dask": by_dask,
}

# --- what is installed -----------------------------------------------------------------

EXTRA_PYTHON: list[str] = []
"""Interpreters beside the running one in which packages are looked for."""


def interpreter_with(module: str) -> str:
    """The first interpreter that has a package."""
    if importlib.util.find_spec(module):
        return sys.executable
    for python in EXTRA_PYTHON:
        if imports(python, module):
            return python
    raise Missing(f"{module} (PyPI: `{module}`, here or in an interpreter of `--extra-python`)")


def imports(python: str, module: str) -> bool:
    try:
        done = subprocess.run([python, "-c", f"import {module}"], capture_output=True)
    except OSError:
        return False
    return done.returncode == 0


def package(name: str, python: str = sys.executable) -> str:
    """Version of a Python package."""
    if python == sys.executable:
        try:
            return version(name)
        except PackageNotFoundError:
            return "?"
    return says(python, "-c", f"from importlib.metadata import version as v; print(v('{name}'))")


def says(*argv: str) -> str:
    """The first number with dots in what a program answers: its version."""
    try:
        answer = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    found = re.search(r"\d+(\.\d+)+", answer.stdout + answer.stderr)
    return found[0] if found else "?"


def link(stack: Stack, folder: Path) -> list[str]:
    """Short names for the frames, in the folder where a program runs."""
    names = []
    for i, path in enumerate(stack.paths, 1):
        names.append(f"frame_{i:05d}{path.suffix}")
        (folder / names[-1]).symlink_to(path)
    return names
