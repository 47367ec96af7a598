"""A tool run by ``python peak.py RESULT HAIR words…`` in a process started anew, which leaves in a
file what it took: its peak, as the system counts it, the plans that it made, and how many kernels
came after them.

Where a plan asks for more memory than it is given, it gets what it asks for and a hair (GB) more;
with a hair of 0 it is refused, as it is for everybody else."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

PLANS: list[dict[str, Any]] = []


def peak() -> int:
    """The most bytes that were resident since the program began."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]
    except (OSError, TypeError):  # with what the parent held when it forked
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else used * 1024


def main() -> None:
    result, hair = sys.argv.pop(1), float(sys.argv.pop(1))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the tools do before they load it
    from pulsar_dask import __main__ as start
    from pulsar_dask.engine import cut
    from pulsar_dask.errors import PulsarError
    from pulsar_dask.kernels import native

    make, leave = cut.plan_tiles, os._exit

    def noted(*args: Any, **given: Any) -> Any:
        try:
            plan = make(*args, **given)
        except PulsarError as error:
            least = re.search(r"at least ([\d.]+) GB", str(error))
            if not hair or least is None:
                raise
            plan = make(*args, **given | {"budget": int((float(least[1]) + hair) * 1e9)})
        said = {"total": plan.total, "budget": plan.budget, "parts": plan.parts}
        said |= {"threads": plan.threads, "process": given["process"]}
        PLANS.append(said | {"kernels": len(native._LOADED)})
        return plan

    def told(status: int) -> None:
        late = len(native._LOADED) - PLANS[-1]["kernels"] if PLANS else 0
        Path(result).write_text(json.dumps({"peak": peak(), "plans": PLANS, "late": late}))
        leave(status)

    cut.plan_tiles, os._exit = noted, told  # type: ignore[assignment]
    start.tools()


if __name__ == "__main__":
    main()
