"""Compiled code without Numba, which is needed to compile and takes half a second to load.

A kernel is compiled once (`building`) for the types of its arguments; the object code is kept, and
from then on loaded by LLVM's linker alone and called through ctypes, without the GIL. What is found
where it is kept runs, so nobody else may be able to write there: that is looked at before.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import os
import stat
import struct
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pulsar_dask.errors import printable, warn
from pulsar_dask.kernels.locks import turn
from pulsar_dask.kernels.private import is_closed, is_private

#: What hears that kernels are compiled, before the first one is; once in a process.
COMPILING: list[Callable[[], None]] = []
Array = np.ndarray[Any, Any]
_LOCK = threading.RLock()
_LOADED: list[_Code] = []


def is_loaded() -> bool:
    """Whether compiled code is in use, so that more of it costs next to nothing."""
    return bool(_LOADED)


def if_loaded(code: Compiled) -> Compiled | None:
    """Compiled code, or None where none is in use and little is to be done."""
    return code if _LOADED else None


class Compiled:
    """A function of a module of kernels, compiled for the types of the arguments that come.

    It takes arrays in native byte order and numbers, and returns numbers or nothing. It may not
    make arrays (they would be Numba's), and nothing it does may raise.

    Parameters
    ----------
    place : str
        ``"module.function"``: a function that `codecache.part` decorates, in a module of this
        room, which nothing imports but `building`.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._codes: dict[tuple[Any, ...], _Code] = {}

    def __call__(self, *arguments: Any) -> Any:
        return self._code(arguments)(arguments)

    def prepared(self, *arguments: Any) -> tuple[int, Array]:
        """For other kernels to call (`vectors.call`): its address, and the row of words that it
        takes. The arrays have to be kept."""
        code = self._code(arguments)
        return code.address, np.frombuffer(code.row(arguments), np.int64)

    def _code(self, arguments: tuple[Any, ...]) -> _Code:
        known = tuple(map(_known, arguments))
        code = self._codes.get(known)
        if code is None:
            with _LOCK:
                code = self._codes.get(known)
                code = code or _Code.of(self.place, tuple(map(_kind, arguments)))
                self._codes[known] = code
        return code


def _known(value: Any) -> Any:
    """What `_kind` depends on: found in a tenth of the time, at each call."""
    if isinstance(value, np.ndarray):
        flags = value.flags
        return value.dtype, value.ndim, flags.c_contiguous, flags.aligned
    return value.dtype if isinstance(value, np.generic) else type(value)


def _kind(value: Any) -> str:
    """The type of an argument: of an array that of its elements, dimensions, and whether they
    follow each other and lie where the processor likes them."""
    if isinstance(value, np.ndarray):
        flags = value.flags
        layout = "C" if flags.c_contiguous else "A"
        return f"{value.dtype.str} {value.ndim} {layout}{'' if flags.aligned else ' unaligned'}"
    if isinstance(value, np.generic):
        return value.dtype.str
    return {bool: "|b1", int: "<i8", float: "<f8"}[type(value)]


class _Code:
    """A kernel for some types: takes and returns its values in a row of 64-bit words."""

    def __init__(self, address: int, kinds: tuple[str, ...], returns: str) -> None:
        self.address = address
        self._call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
        self._takes = "".join(
            "q" * (1 + 2 * int(kind.split()[1])) if " " in kind else _WORD[kind[1]]
            for kind in kinds
        )
        self._size = 8 * len(self._takes)
        self._many, self._returns = returns[:1] == "(", returns.strip("(")

    @staticmethod
    def of(place: str, kinds: tuple[str, ...]) -> _Code:
        """Loaded from where it is kept, or else compiled and kept."""
        key = hashlib.sha256(repr((place, kinds, _made_by())).encode()).hexdigest()[:32]
        name = f"{place}-{key}.code"
        content = find_kept(name)
        if content is None:
            while COMPILING:
                COMPILING.pop()()
            with turn(_private(), name):  # another process may be at it
                content = find_kept(name) or _built(place, kinds, key, name)
        returns, _, code = content.partition(b"\n")
        address = _link(code, f"pulsar_{key}")
        _LOADED.append(_Code(address, kinds, returns.decode("ascii")))
        return _LOADED[-1]

    def row(self, arguments: tuple[Any, ...]) -> Any:
        """The words, and room for what is returned."""
        words: list[Any] = []
        for value in arguments:
            if isinstance(value, np.ndarray):
                words += (value.__array_interface__["data"][0], *value.shape, *value.strides)
            else:
                words.append(value.item() if isinstance(value, np.generic) else value)
        packed = struct.pack(self._takes, *words)
        return ctypes.create_string_buffer(packed, self._size + 8 * len(self._returns))

    def __call__(self, arguments: tuple[Any, ...]) -> Any:
        row = self.row(arguments)
        self._call(ctypes.addressof(row))
        found = struct.unpack_from(self._returns, row, self._size)
        return found if self._many else found[0] if found else None


def _built(place: str, kinds: tuple[str, ...], key: str, name: str) -> bytes:
    from pulsar_dask.kernels import building

    content = building.build(place, kinds, f"pulsar_{key}")
    keep(name, content)
    return content


#: By the letter of a NumPy type how a number is put into a word.
_WORD = {"b": "q", "i": "q", "u": "Q", "f": "d"}


@functools.cache
def _made_by() -> tuple[Any, ...]:
    """What object code depends on: the processor, versions, settings, and the source."""
    import llvmlite
    import llvmlite.binding as llvm

    numba = os.path.dirname(importlib.util.find_spec("numba").origin)  # type: ignore
    here = os.path.dirname(__file__)
    sources = sorted(os.path.join(here, name) for name in os.listdir(here) if name[-3:] == ".py")
    digest = hashlib.sha256()
    for path in (os.path.join(numba, "_version.py"), *sources):
        with open(path, "rb") as file:
            digest.update(file.read())
    settings = sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_"))
    return (
        digest.hexdigest(),
        llvmlite.__version__,
        sys.version,
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
        [item for item in settings if item[0] != "NUMBA_CACHE_DIR"],
    )


@functools.cache
def _linker() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


def _link(code: bytes, name: str) -> int:
    """The address of a function of object code."""
    import llvmlite.binding as llvm

    linker = _linker()
    linker.add_object_file(llvm.ObjectFileRef.from_data(code))
    linker.finalize_object()
    return int(linker.get_function_address(name))


# --- where it is kept ---------------------------------------------------------------------------


def find_kept(name: str) -> bytes | None:
    """What is kept by a name, if it is whole and nobody else can have put it there."""
    for folder in _private():
        with contextlib.suppress(OSError), open(os.path.join(folder, name), "rb") as file:
            status = os.fstat(file.fileno())
            if not (stat.S_ISREG(status.st_mode) and is_closed(status)):
                continue
            digest, content = file.read(32), file.read()
            if hashlib.sha256(content).digest() == digest:
                return content
    return None


def keep(name: str, content: bytes) -> None:
    """Keep it in the first folder where that is safe and can be written to."""
    for folder in _private():
        with contextlib.suppress(OSError):
            os.makedirs(folder, 0o700, exist_ok=True)
            file, path = tempfile.mkstemp(".part", f".{name}.", folder)
            try:
                with os.fdopen(file, "wb") as part:
                    part.write(hashlib.sha256(content).digest() + content)
                os.chmod(path, 0o644)
                os.replace(path, os.path.join(folder, name))
            except BaseException:
                os.unlink(path)
                raise
            return
    say_not_kept(next((f for f in folders() if os.path.isdir(f) and not is_private(f)), None))


def folders() -> Iterator[str]:
    """That of NUMBA_CACHE_DIR, that of this package, one of the user's own."""
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        yield given
    yield os.path.join(os.path.dirname(__file__), "__pycache__")
    yield own_folder()


def _private() -> Iterator[str]:
    return filter(is_private, folders())


def own_folder() -> str:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser(r"~\AppData\Local")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "pulsar-dask")


@functools.cache
def say_not_kept(folder: str | None) -> None:
    """Once; `folder` is one that others can write to."""
    why = "compiled code is not kept, since no folder for it can be written to"
    if folder is not None:
        why = (
            f"{printable(folder)}: others can write there, so compiled code is neither loaded from "
            "it nor kept"
        )
    warn(
        f"{why}, which costs time in each run; set NUMBA_CACHE_DIR to a folder that only you can "
        "write to",
        "no-cache",
    )
