"""``python -m benchmarks`` is ``python benchmarks/bench.py``."""

import runpy
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # where its parts are
runpy.run_path(str(HERE / "bench.py"), run_name="__main__")
