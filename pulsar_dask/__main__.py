"""``python -m pulsar_dask TOOL …``, as ``pulsar-dask TOOL …``."""

import os
import sys

if __name__ == "__main__":
    # `-m` looks for modules in the current folder first, where downloads lie that may be named
    # as one of them; with `-P`, and in an installed command, it does not.
    if not sys.flags.safe_path and sys.path[0] != os.path.dirname(os.path.dirname(__file__)):
        del sys.path[0]
    from pulsar_dask.start import tools

    tools()
