"""The one place of the version."""

__version__ = "0.2.0"
#: The program, as CREATOR of its files and folders names it.
CREATOR = "pulsar-dask"
