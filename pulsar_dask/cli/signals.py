"""How a program ends: by its signal, where one came."""

from __future__ import annotations

import os
import signal
from typing import Any, NoReturn

INTERRUPTED, TERMINATED = 130, 143
"""Exit statuses where there are no signals to die of; and what a shell makes of those."""


_WINDOWS = os.name == "nt"


_CONTROL_C_EXIT = 0xC000013A - 2**32


def die(number: int) -> NoReturn:
    """End as a signal ends a program. A shell that sees an exit status instead takes the signal
    for handled, and goes on with its loop."""
    if _WINDOWS:
        os._exit(_CONTROL_C_EXIT if number == signal.SIGINT else TERMINATED)
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    signal.raise_signal(number)
    os._exit(128 + number)


def handle(handler: Any) -> None:
    """Let a function handle Ctrl-C and SIGTERM, unless they are ignored as under nohup."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
