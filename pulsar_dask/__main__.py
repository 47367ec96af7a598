"""``python -m pulsar_dask TOOL …``."""

from pulsar_dask.start import tools

if __name__ == "__main__":
    tools()
