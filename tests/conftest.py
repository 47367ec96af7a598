from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from helpers import REAL
from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite",
    deadline=None,
    max_examples=60,
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
