from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from clusters import Cluster

# What lies in support says what was found where its assertions fail, as tests do.
pytest.register_assert_rewrite(*(p.stem for p in Path(__file__).with_name("support").glob("*.py")))
from few import also, keep_few  # noqa: E402
from helpers import REAL, run, write_frame  # noqa: E402

collect_ignore = ["support"]

settings.register_profile(
    "suite",
    deadline=None,
    max_examples=25,
    derandomize=True,  # what fails must not pass the next time; `make soak` looks further
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile(
    "soak", parent=settings.get_profile("suite"), max_examples=5000, derandomize=False
)
settings.load_profile("suite")


# A shell lets what it starts in the background ignore Ctrl-C, and so would the commands that the
# tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before those marked more are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    keep_few(items)


@pytest.fixture
def real() -> Path:
    """The folder of real frames."""
    if not REAL.is_dir():
        pytest.skip("the folder of real frames is not there")
    return REAL


@pytest.fixture
def fitsverify() -> None:
    if shutil.which("fitsverify") is None:
        pytest.skip("fitsverify is not installed")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and two workers."""
    from clusters import cluster_in

    with cluster_in(tmp_path_factory.mktemp("cluster"), 2) as made:
        yield made


@pytest.fixture(params=["threads", *also("cluster")])
def executing(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Options of a command: computed in its own threads, and on the cluster that other tests
    have, too. To start one for a command alone (local:2) takes six seconds of a processor."""
    if request.param == "threads":
        return ()
    return "--scheduler", request.getfixturevalue("cluster").address


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames that take their time, since gzip tiles are expanded by one thread."""
    folder = tmp_path_factory.mktemp("slow")
    rng = np.random.default_rng(5)
    for i in range(6):
        image = rng.integers(-2000, 2000, (900, 1500)).astype("i2")
        cards = {"EXPTIME": 1.0, "FILTER": "L"}
        path = folder / f"f{i}.fit.fz"
        write_frame(path, image, cards=cards, place="tiled", compression="GZIP_1")
    run("med", "f*.fz", "truth.fit", cwd=folder)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """After `make soak`: each fault, how often it was tried, what was left behind."""
    reports = [r for found in terminalreporter.stats.values() for r in found]
    rows = {
        value
        for report in reports
        if isinstance(report, pytest.TestReport) and report.passed and report.when == "call"
        for name, value in report.user_properties
        if name == "fault"
    }
    if rows:
        terminalreporter.section("faults: tried, left behind, what was found")
    for fault, tried, left, how in sorted(map(tuple, rows)):
        terminalreporter.line(f"{fault:60} {tried:6} {left:4}   {how}")
