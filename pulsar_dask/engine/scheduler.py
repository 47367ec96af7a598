"""A dask scheduler: where it is, or one of our own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import CancelledError
from multiprocessing import resource_tracker
from typing import Any

import dask
from distributed import Client, LocalCluster, Security
from distributed.comm import parse_address, parse_host_port
from distributed.comm.registry import backends

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.files.atomicfolder import AtomicFolder
from pulsar_dask.files.interrupts import uninterrupted
from pulsar_dask.files.leftovers import remove_stale
from pulsar_dask.kernels.private import is_private

#: Of `local:N`: no pages that tell others of the machine what is computed.
_NO_PAGES: dict[str, list[str]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
_LOCAL = re.compile(r"local:([1-9]\d*)")


@contextlib.contextmanager
def connected(
    scheduler: str, *, threads: int, patience: float, logs: bool = False
) -> Iterator[Client]:
    """Connect to a cluster, or start one here.

    Parameters
    ----------
    scheduler : str
        ``tcp://host:port`` or another address that dask knows, a scheduler file (``.json``),
        or ``local:N``: N processes here, ended when the context is left.
    threads : int
        Threads of all processes of ``local:N``.
    logs : bool
        Whether dask may say on stderr what it thinks of things.
    patience : float
        Seconds without an answer of the scheduler, after which to give up.

    Raises
    ------
    PulsarError
        No scheduler answers.
    """
    if not logs:
        _silence()
    with contextlib.ExitStack() as stack:
        if local := _LOCAL.fullmatch(scheduler):
            address: Any = stack.enter_context(_local_cluster(int(local[1]), threads))
        elif scheduler.endswith(".json"):
            address = _address_in(scheduler)
        else:
            address = scheduler
        if isinstance(address, str):
            _check_address(scheduler, address)
        try:
            client = Client(address, timeout=min(10.0, patience), set_as_default=False)
        except (OSError, ValueError, TypeError, ImportError) as error:
            raise PulsarError(
                f"⟦scheduler⟧ {printable(scheduler)}: no dask scheduler answers there; "
                "start one with `dask scheduler` and workers with `dask worker`",
                "cluster",
            ) from error
        stack.callback(_close, client)
        yield client


def _close(client: Client) -> None:
    # a scheduler that has gone must not hold up the end
    with contextlib.suppress(Exception, CancelledError, asyncio.CancelledError):
        client.close(timeout=5)


@contextlib.contextmanager
def _local_cluster(workers: int, threads: int) -> Iterator[LocalCluster]:
    scratch = tempfile.gettempdir()
    if not is_private(scratch, shared=True):
        raise PulsarError(
            f"{printable(scratch)}: others can put their files in the place of those that the "
            "processes of ⟦scheduler⟧ local:N keep there; point TMPDIR to a folder of your own",
            "cluster",
        )
    remove_stale(scratch)  # what a kill has left; the workers died with it
    with (
        AtomicFolder(os.path.join(scratch, "pulsar-dask")) as folder,
        contextlib.ExitStack() as stack,
    ):
        # half a cluster cannot be closed, and Python would tell of what it left
        with uninterrupted(), _interrupts_are_ours(), dask.config.set(_NO_PAGES):
            cluster = LocalCluster(
                security=_only_us(folder.store),
                n_workers=workers,
                threads_per_worker=max(1, threads // workers),
                processes=True,
                memory_limit=0,  # the plan bounds it; dask would pause what comes near a limit
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
                local_directory=folder.store,
                scheduler_kwargs={
                    "local_directory": folder.store,
                    "dashboard_address": "127.0.0.1:0",  # else 8787, where others' may be
                },
                host="127.0.0.1",
            )
            stack.enter_context(cluster)
        yield cluster


def _only_us(folder: str) -> Security:
    """Credentials of this run alone, without which nobody connects: whoever may submit a task
    runs code as this user, and a port of loopback is open to all users of the machine.

    They lie in a file that this user alone reads, in a folder that goes when the run ends; given
    in memory, each process would write such files, which a kill would leave behind.
    """
    try:
        made = Security.temporary()
    except ImportError as error:
        raise PulsarError(
            "⟦scheduler⟧ local:N needs the package cryptography, so that nobody else reaches its "
            "processes; `pip install cryptography`, or use ⟦threads⟧",
            "cluster",
        ) from error
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "credentials.pem")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(made.tls_client_key + made.tls_client_cert)
    parts = ("client", "scheduler", "worker")
    roles = {f"tls_{part}_{what}": path for part in parts for what in ("cert", "key")}
    return Security(require_encryption=True, tls_ca_file=path, **roles)


@contextlib.contextmanager
def _interrupts_are_ours() -> Iterator[None]:
    """Threads and processes that begin meanwhile do not hear Ctrl-C, which a terminal sends to
    all; it is this process that ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # it would lift the block when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _address_in(path: str) -> str:
    """The address in a scheduler file."""
    try:
        with open(path, encoding="utf-8") as file:
            address = json.load(file)["address"]
            if "://" not in address:
                raise ValueError(address)
            return str(address)
    except FileNotFoundError as error:
        raise PulsarError(
            f"⟦scheduler⟧ {printable(path)}: no such file; "
            "`dask scheduler --scheduler-file NAME` writes it"
        ) from error
    except OSError as error:
        raise PulsarError(f"⟦scheduler⟧ {printable(path)}: {error.strerror}", "cluster") from error
    except (ValueError, KeyError, TypeError) as error:
        raise PulsarError(
            f"⟦scheduler⟧ {printable(path)}: not a scheduler file, as "
            "`dask scheduler --scheduler-file` writes it",
            "cluster",
        ) from error


def _check_address(scheduler: str, address: str) -> None:
    """Refuse what dask would make a client of that it cannot take apart again."""
    name = f"⟦scheduler⟧ {printable(scheduler)}"
    try:
        protocol, place = parse_address(address)
        backends[protocol]
        if protocol in ("tcp", "tls"):
            parse_host_port(place)
    except (ValueError, KeyError) as error:
        raise PulsarError(
            f"{name}: not an address that dask knows, such as tcp://host:8786", "cluster"
        ) from error
    try:
        secure = Security().get_connection_args("client")["ssl_context"]
    except OSError as error:
        raise PulsarError(
            f"{name}: the certificates cannot be read ({error.strerror})", "cluster"
        ) from error
    if address.startswith("tls://") and secure is None:
        raise PulsarError(
            f"{name}: tls needs certificates, which dask's settings name: "
            "distributed.comm.tls.ca-file and distributed.comm.tls.client",
            "cluster",
        )


def _silence() -> None:
    """What dask logs is said once more, and better, by our errors."""
    names = ["distributed", "tornado", "asyncio", *logging.root.manager.loggerDict]
    for name in names:
        if name.split(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
