"""What programs get of a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import run

import pulsar_dask

PACKAGE = Path(pulsar_dask.__file__).parent
SCHEMA = json.loads((PACKAGE / "cli" / "run.schema.json").read_text())


def document(*args: Any, cwd: Path, status: int = 0, **more: Any) -> tuple[dict[str, Any], str]:
    """The document of ``--json``, which agrees with its schema, and what stderr has."""
    done = run(*args, "--json", cwd=cwd, status=status, **more)
    found = json.loads(done.stdout)
    pytest.importorskip("jsonschema").validate(found, SCHEMA)
    assert found["status"] == status
    return found, done.stderr
