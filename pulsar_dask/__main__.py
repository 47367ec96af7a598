"""``python -m pulsar_dask TOOL …``."""

from pulsar_dask.cli import tools

if __name__ == "__main__":
    tools.run("python -m pulsar_dask")
