"""Modules that libraries load at their start, and that commands hardly ever come to: a third of the
time in which a command starts.

In their place stands one that loads them when something is taken from it. Only functions that
libraries take by name while they load are told beforehand: each is one that calls the module's own.
So whoever takes anything has what the module has. It is done for commands alone: a process that
imports this package keeps its libraries as they are.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from threading import Lock
from types import ModuleType
from typing import Any

#: Modules, and the functions that libraries take from them by name while they load.
LATE: Mapping[str, tuple[str, ...]] = {
    # downloads, for which it loads all units and constants
    "astropy.utils.data": (
        "_is_url",
        "_requires_fsspec",
        "download_file",
        "get_readable_fileobj",
    ),
    # the pixels of compressed images: numcodecs
    "astropy.io.fits.hdu.compressed._tiled_compression": (
        "_get_compression_setting",
        "compress_image_data",
        "decompress_image_data_section",
    ),
    # how a graph looks in a notebook: jinja2
    "dask.widgets": ("get_template",),
    # of which astropy wants to know whether something is an answer of it: ssl
    "http.client": (),
}


def postpone(late: Mapping[str, tuple[str, ...]] = LATE) -> None:
    """Have modules loaded when they are used, those that are not there yet."""
    finder: Any = _Finder({n: late[n] for n in late if n not in sys.modules})
    sys.meta_path.insert(0, finder)


class _Finder:
    """Finds what stands for modules, and makes it.

    Of no class of `importlib.abc`: to load that takes a tenth of the time in which help is there.
    """

    def __init__(self, late: Mapping[str, tuple[str, ...]]) -> None:
        self._late = dict(late)
        self._lock = Lock()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._late:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = self  # type: ignore[assignment]
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        functions = self._late.get(spec.name)
        return None if functions is None else _Late(spec.name, functions, self)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing yet."""

    def load(self, late: ModuleType) -> ModuleType:
        """The module itself, which takes its place."""
        name = late.__name__
        with self._lock:  # not while it loads: for that Python has locks that see a deadlock
            self._late.pop(name, None)
            if sys.modules.get(name) is late:
                del sys.modules[name]
        return importlib.import_module(name)


class _Late(ModuleType):
    """Stands for a module until it is used."""

    def __init__(self, name: str, functions: tuple[str, ...], finder: _Finder) -> None:
        super().__init__(name)
        self._functions, self._finder = functions, finder

    def __getattr__(self, name: str) -> Any:
        if name in self._functions:
            return self._calling(name)
        if name.startswith("__"):  # to look through all modules is not to use them
            raise AttributeError(name)
        return getattr(self._finder.load(self), name)

    def _calling(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            return getattr(self._finder.load(self), name)(*args, **more)

        call.__name__ = call.__qualname__ = name
        call.__module__ = self.__name__
        return call
