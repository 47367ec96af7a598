"""The house keeps its order: which room a file lies in says what it may know.

Fast, and from the text alone: nothing of the package is imported.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pulsar_dask"

#: The rooms, from the ground up: a file imports from its own room and from those before it.
ROOMS = (
    "kernels", "files", "inputs", "frames", "formats", "combine", "engine", "masters", "output",
    "cli", "tools", "notebook",
)  # fmt: skip
#: What lies in no room: words that all rooms use, and the doors, from which no room imports.
GROUND = ("errors", "_version")
DOORS = ("__init__", "__main__", "start", "demo")

#: Lines of a file, and of imports in a row from a door to the ground.
LINES = 300
FLOORS = 10
#: What may be longer: kernels that say in their docstring why they are long (`Long: …`).
LONG = ("kernels",)
#: Libraries' names that may change with any version: imported in one file, which says why.
PRIVATE = ("dask._task_spec", "numba.core", "llvmlite.ir")


class House:
    """A package, as its text says."""

    def __init__(self, root: Path) -> None:
        self.name = root.name
        self.files = {
            path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted(root.rglob("*.py"))
        }
        self.trees = {file: ast.parse(text) for file, text in self.files.items()}
        self.modules = {_module(root.name, file): file for file in self.files}
        self.texts = set(self.modules) - {root.name}

    def faults(self) -> Iterator[str]:
        """A sentence for each thing that does not lie where it belongs."""
        yield from self._strangers()
        yield from self._upwards()
        yield from self._circles()
        yield from self._long()
        yield from self._private()
        yield from self._floors()

    @functools.cached_property
    def imports(self) -> dict[str, dict[str, int]]:
        """What a file imports of the package, with the first line that does: at its head, inside
        of functions, for types alone, and by a module's name in a text."""
        return {file: dict(self._imports(file)) for file in self.files}

    def _imports(self, file: str) -> Iterator[tuple[str, int]]:
        first: dict[str, int] = {}
        for name, line in self._names(file):
            other = self.modules.get(name)
            if other not in (None, file):
                first[other] = min(line, first.get(other, line))
        yield from first.items()

    def _names(self, file: str) -> Iterator[tuple[str, int]]:
        """Modules that a file names, those of libraries too."""
        package = _module(self.name, file).split(".")
        if not file.endswith("__init__.py"):
            package.pop()
        for node in ast.walk(self.trees[file]):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package[: len(package) + 1 - node.level] if node.level else []
                module = ".".join([*above, *([node.module] if node.module else [])])
                for alias in node.names:
                    inner = f"{module}.{alias.name}"
                    own = module.split(".")[0] == self.name and inner not in self.modules
                    yield module if own else inner, node.lineno
            elif isinstance(node, ast.Constant) and node.value in self.texts:
                yield node.value, node.lineno

    def _path(self, file: str) -> str:
        return f"{self.name}/{file}"

    def _strangers(self) -> Iterator[str]:
        for file in self.files:
            room = _room(file)
            if "/" in file and room not in ROOMS + DOORS:
                yield (
                    f"{self._path(file)}: {room} is no room; put the file into one of "
                    f"{', '.join(ROOMS)}, or give the new room its place among ROOMS"
                )
            elif "/" not in file and room not in GROUND + DOORS:
                yield f"{self._path(file)} lies in no room; put it into one of {', '.join(ROOMS)}"

    def _upwards(self) -> Iterator[str]:
        for file, others in self.imports.items():
            for other, line in others.items():
                low, high = _room(file), _room(other)
                if _height(low) < _height(high):
                    yield (
                        f"{self._path(file)}:{line} imports {_module(self.name, other)}: {low} "
                        f"lies below {high}; move what it needs into {low} or a room below"
                    )

    def _circles(self) -> Iterator[str]:
        for circle in _circles(self.imports):
            line = " -> ".join(map(self._path, [*circle, circle[0]]))
            yield (
                f"{line}: a circle of imports; move what {self._path(circle[-1])} needs of "
                f"{self._path(circle[0])} into a file below both"
            )

    def _long(self) -> Iterator[str]:
        for file, text in self.files.items():
            lines = len(text.splitlines())
            if lines <= LINES:
                continue
            if _room(file) not in LONG:
                yield (
                    f"{self._path(file)} has {lines} lines, more than {LINES}: it holds more "
                    "than one idea; give the second a file of its own in this room"
                )
            elif "\nLong: " not in (ast.get_docstring(self.trees[file]) or ""):
                yield (
                    f"{self._path(file)} has {lines} lines, more than {LINES}; a kernel may, but "
                    "its docstring says why in a paragraph that begins with “Long: ”"
                )

    def _private(self) -> Iterator[str]:
        for library in PRIVATE:
            users = [
                file
                for file in self.files
                if any(f"{name}.".startswith(f"{library}.") for name, _ in self._names(file))
            ]
            for file in users[1:]:
                yield (
                    f"{self._path(file)} imports {library}, which is private and belongs into one "
                    f"file alone; take what it needs from {self._path(users[0])}"
                )
            for file in users[:1]:
                if library not in (ast.get_docstring(self.trees[file]) or ""):
                    yield (
                        f"{self._path(file)} imports {library}, which is private; its docstring "
                        "is to say why"
                    )

    def _floors(self) -> Iterator[str]:
        if not _circles(self.imports):
            chain = self.chain()
            if len(chain) > FLOORS:
                yield (
                    f"{len(chain)} files stand on each other, more than {FLOORS}: "
                    f"{' -> '.join(map(self._path, chain))}; let one of them be given what it "
                    "imports from the next"
                )

    def chain(self) -> list[str]:
        """The longest row of files of which each imports the next."""

        @functools.cache
        def below(file: str) -> list[str]:
            return [file, *max((below(other) for other in self.imports[file]), key=len, default=[])]

        return max((below(file) for file in self.files), key=len, default=[])


def _module(package: str, file: str) -> str:
    parts = [package, *Path(file).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room(file: str) -> str:
    return Path(file).with_suffix("").parts[0]


def _height(room: str) -> int:
    return 0 if room in GROUND else 1 + (ROOMS.index(room) if room in ROOMS else len(ROOMS))


def _circles(imports: Mapping[str, Mapping[str, int]]) -> list[list[str]]:
    """A shortest circle through each file that lies in one, each circle once."""
    found: dict[frozenset[str], list[str]] = {}
    for start in imports:
        rows = [[start]]
        seen: set[str] = set()
        while rows:
            row = rows.pop(0)
            if start in imports[row[-1]]:
                found.setdefault(frozenset(row), row)
                break
            for other in imports[row[-1]]:
                if other not in seen:
                    seen.add(other)
                    rows.append([*row, other])
    return list(found.values())


def test_the_house_is_in_order():
    faults = list(House(PACKAGE).faults())
    assert not faults, "\n" + "\n".join(faults)


# --- and the test sees what it is for ----------------------------------------------------------

#: A small house in order.
SOUND = {
    "__init__.py": "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from house.tools import med\n",
    "errors.py": "import os\n",
    "start.py": "def run():\n    from house.tools import med\n",
    "kernels/__init__.py": "",
    "kernels/median.py": "import numpy\nfrom house.errors import Error\n",
    "formats/__init__.py": "",
    "formats/fits.py": "from house.kernels import median\nfrom . import words\n",
    "formats/words.py": "from ..errors import Error\n",
    "engine/graph.py": '''"""Tasks; `dask._task_spec` is private, but this is so."""
import dask._task_spec
import house.formats.fits as fits
''',
    "tools/med.py": "from house.engine.graph import Graph\nfrom house.kernels.median import a\n",
}


def build(folder: Path, files: Mapping[str, str]) -> House:
    for name, text in files.items():
        path = folder / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return House(folder / "house")


def test_a_house_in_order(tmp_path):
    house = build(tmp_path, SOUND)
    assert list(house.faults()) == []
    assert house.imports == {
        "__init__.py": {"tools/med.py": 3},
        "errors.py": {},
        "start.py": {"tools/med.py": 2},
        "kernels/__init__.py": {},
        "kernels/median.py": {"errors.py": 2},
        "formats/__init__.py": {},
        "formats/fits.py": {"kernels/median.py": 1, "formats/words.py": 2},
        "formats/words.py": {"errors.py": 1},
        "engine/graph.py": {"formats/fits.py": 3},
        "tools/med.py": {"engine/graph.py": 1, "kernels/median.py": 2},
    }
    # a door, a tool, the graph, a format, a kernel or words, and the ground
    assert [len(house.chain()), house.chain()[1:4], house.chain()[-1]] == [
        6, ["tools/med.py", "engine/graph.py", "formats/fits.py"], "errors.py"
    ]  # fmt: skip


UP = (
    "house/formats/new.py:{} imports house.engine.graph: formats lies below engine; move what it "
    "needs into formats or a room below"
)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (1, "from house.engine.graph import Graph\n"),
        (1, "from house.engine import graph\n"),
        (1, "import house.engine.graph\n"),
        (1, "import os, house.engine.graph as graph\n"),
        (1, "from ..engine.graph import Graph\n"),
        (1, "from ..engine import graph\n"),
        (3, "class Fits:\n    def read(self):\n        from house.engine.graph import Graph\n"),
        (3, "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import house.engine.graph\n"),
        (2, "import importlib\nimportlib.import_module('house.engine.graph')\n"),
        (2, "import sys\nsys.modules.get('house.engine.graph')\n"),
        (2, "try:\n    from house.engine.graph import Graph\nexcept ImportError:\n    pass\n"),
    ],
)
def test_an_import_that_runs_up(tmp_path, line, text):
    house = build(tmp_path, SOUND | {"formats/new.py": text})
    assert list(house.faults()) == [UP.format(line)]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"kernels/new.py": "from house import Frame\n"},
            "house/kernels/new.py:1 imports house: kernels lies below __init__; move what it needs "
            "into kernels or a room below",
        ),
        (
            {"_version.py": "def f():\n    from house.kernels.median import a\n"},
            "house/_version.py:2 imports house.kernels.median: _version lies below kernels; move "
            "what it needs into _version or a room below",
        ),
        (
            {"formats/words.py": "def f():\n    from house.formats.fits import read\n"},
            "house/formats/fits.py -> house/formats/words.py -> house/formats/fits.py: a circle of "
            "imports; move what house/formats/words.py needs of house/formats/fits.py into a file "
            "below both",
        ),
        (
            {"garden/path.py": ""},
            "house/garden/path.py: garden is no room; put the file into one of kernels, files, "
            "inputs, frames, formats, combine, engine, masters, output, cli, tools, notebook, or "
            "give the new room its place among ROOMS",
        ),
        (
            {"shed.py": ""},
            "house/shed.py lies in no room; put it into one of kernels, files, inputs, frames, "
            "formats, combine, engine, masters, output, cli, tools, notebook",
        ),
        (
            {"tools/long.py": "#\n" * 301},
            "house/tools/long.py has 301 lines, more than 300: it holds more than one idea; give "
            "the second a file of its own in this room",
        ),
        (
            {"kernels/long.py": '"""A kernel."""\n' + "#\n" * 300},
            "house/kernels/long.py has 301 lines, more than 300; a kernel may, but its docstring "
            "says why in a paragraph that begins with “Long: ”",
        ),
        (
            {"kernels/new.py": "from dask._task_spec import Task\n"},
            "house/kernels/new.py imports dask._task_spec, which is private and belongs into one "
            "file alone; take what it needs from house/engine/graph.py",
        ),
        (
            {"kernels/new.py": "def f():\n    from llvmlite import ir\n"},
            "house/kernels/new.py imports llvmlite.ir, which is private; its docstring is to say "
            "why",
        ),
        (
            {"kernels/new.py": "from numba import core\n"},
            "house/kernels/new.py imports numba.core, which is private; its docstring is to say "
            "why",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_does_not_lie_where_it_belongs(tmp_path, files, says):
    assert list(build(tmp_path, SOUND | files).faults()) == [says]


def test_what_is_no_fault(tmp_path):
    files = {
        "kernels/long.py": '"""A kernel.\n\nLong: one loop, unrolled.\n"""\n' + "#\n" * 300,
        "tools/full.py": "#\n" * 300,
        "kernels/numba.py": "import numba\nfrom numba import types\nimport dask\n",
        "kernels/words.py": "NAME = 'house'\nOTHER = 'engine.graph'\n",
    }
    assert list(build(tmp_path, SOUND | files).faults()) == []


def test_a_circle_of_three_and_one_of_two(tmp_path):
    files = {
        "formats/a.py": "from house.formats import b\n",
        "formats/b.py": "from house.formats import c\n",
        "formats/c.py": "from house.formats import a, d\n",
        "formats/d.py": "from house.formats import c\n",
    }
    faults = list(build(tmp_path, SOUND | files).faults())
    assert [fault.split(": ")[0] for fault in faults] == [
        "house/formats/a.py -> house/formats/b.py -> house/formats/c.py -> house/formats/a.py",
        "house/formats/c.py -> house/formats/d.py -> house/formats/c.py",
    ]


def test_a_house_too_high(tmp_path):
    files = {f"engine/f{i:02}.py": f"from house.engine import f{i + 1:02}\n" for i in range(FLOORS)}
    files[f"engine/f{FLOORS:02}.py"] = ""
    (fault,) = build(tmp_path, SOUND | files).faults()
    assert fault.startswith(f"{FLOORS + 1} files stand on each other, more than {FLOORS}: ")
    assert "house/engine/f00.py -> house/engine/f01.py -> " in fault
    assert fault.endswith("; let one of them be given what it imports from the next")
