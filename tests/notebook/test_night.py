"""The notebook of the documentation, run as it stands there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import pulsar_dask

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")

ROOT = Path(pulsar_dask.__file__).parents[1]
NIGHT = ROOT / "pulsar_dask" / "docs" / "night.ipynb"


@pytest.mark.more
def test_a_night_in_a_notebook(tmp_path, monkeypatch):
    """From frames to masters, lights and a report, without a line that is in vain: its cells assert
    what they show, pictures come out, and nothing is warned of."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(NIGHT, 4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=where).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    pictures = [out for out in outputs if "image/png" in out.get("data", {})]
    assert len(pictures) == 4
    assert not [out.text for out in outputs if out.get("name") == "stderr"]
    said = "".join(out.text for out in outputs if out.output_type == "stream")
    for part in ("dark_300s_0007.fit: level of", "the sky has 6", "7 good", "night/report.html"):
        assert part.replace("/", os.sep) in said, said
    assert (tmp_path / "night" / "report.html").stat().st_size > 10_000
