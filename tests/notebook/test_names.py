"""What type checkers and readers see of the public names, which are imported when first used."""

from __future__ import annotations

import ast
import inspect
import pydoc
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pulsar_dask

ROOT = Path(pulsar_dask.__file__).parents[1]


def test_each_name_is_known_to_type_checkers():
    """By an import that only they see; and no other name is taken for one."""
    tree = ast.parse(Path(pulsar_dask.__file__).read_text("utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: node.module for node in imports for alias in node.names}
    for name, place in pulsar_dask._PLACES.items():
        assert seen[name] == f"pulsar_dask.{place}"
    assert {*pulsar_dask._PLACES} | {"PulsarError", "PulsarWarning", "__version__"} == {
        *pulsar_dask.__all__
    }
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pulsar_dask.nothing


def test_types_are_found_where_it_is_installed_to_be_edited():
    """By a path, which type checkers follow, and no finder, which they do not run."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["tool"]["setuptools"]["package-dir"] == {"": "."}
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["pulsar_dask"]
    assert (ROOT / "pulsar_dask" / "py.typed").is_file()


def test_help_is_a_guide():
    """It names each function, in the order in which a night needs them, and shows their help."""
    text = pydoc.plain(pydoc.render_doc(pulsar_dask))
    guide = inspect.getdoc(pulsar_dask) or ""
    for name in pulsar_dask.__all__:
        if callable(getattr(pulsar_dask, name)):
            assert name in guide, name
    assert "    dark_masters(" in text
    ordered = ["open_frames", "check_frames", "dark_masters", "hot_pixels", "to_fits"]
    places = [guide.index(name) for name in ordered]
    assert places == sorted(places)


@pytest.mark.soak
def test_a_type_checker_follows_it(tmp_path):
    (tmp_path / "use.py").write_text(
        "import pulsar_dask as pulsar\n"
        "cube = pulsar.open_frames('d', kind='dark', threads=2)\n"
        "reveal_type(cube)\n"
        "reveal_type(pulsar.hot_pixels(cube[0], 5))\n"
        "pulsar.median('d', recusive=True)\n"
        "pulsar.nothing\n"
    )
    line = [sys.executable, "-m", "mypy", "--follow-imports=silent", tmp_path / "use.py"]
    said = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    for part in (
        '3: note: Revealed type is "xarray.core.dataarray.DataArray"',
        '4: note: Revealed type is "xarray.core.dataset.Dataset"',
        '5: error: Unexpected keyword argument "recusive" for "median"',
        '6: error: Module has no attribute "nothing"',
        "Found 2 errors in 1 file",
    ):
        assert part in said, said
