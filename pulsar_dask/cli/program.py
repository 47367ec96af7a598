"""Running a tool as a program: its signals, its exit status, and its streams, which may be
gone."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

from pulsar_dask.cli.listen import listen
from pulsar_dask.cli.voices import VOICES, Event, error_event, tell, warning_event
from pulsar_dask.errors import PulsarError, PulsarWarning, exhausted, printable, reason

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


#: An error whose text is the help; click 8.1 has none.
_HELP: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
_came: list[int] = []
"""The signals that came."""


class Running:
    """Gives a click command its exit statuses and its one-line errors."""

    name: str | None

    def run(self, name: str | None = None) -> None:
        """Run as a program: parse `sys.argv`, work, exit."""
        debug = "--debug" in sys.argv
        name = name or self.name or "pulsar-dask"
        label = f"{name}: error: "
        say = True
        sys.stdout, sys.stderr = streams = _unfailing(sys.stdout), _unfailing(sys.stderr)
        try:
            handle(_interrupt)
            warnings.showwarning = _show_warning
            warnings.simplefilter("always" if debug else "ignore")
            warnings.simplefilter("always", PulsarWarning)
            listen(name, sys.argv[1:])
            status = self.main(prog_name=name, standalone_mode=False)  # type: ignore[attr-defined]
            status = status if isinstance(status, int) else 0
        except SystemExit as error:  # what has to be said was said
            say = False
            status = error.code if isinstance(error.code, int) else 1
        except click.ClickException as error:
            if not isinstance(error, _HELP):
                reword(error, printable)  # it repeats arguments as they are
            shown = io.StringIO()
            error.show(file=shown)
            data = {"code": "usage", "text": error.format_message(), "frames": ()}
            tell(Event(shown.getvalue().removesuffix("\n"), "error", data=data))
            status = error.exit_code
        except (KeyboardInterrupt, click.Abort):
            status = INTERRUPTED
        except Exception as error:
            if debug and not _came:
                raise
            status = 1
            if not _came:
                tell(error_event(_known(error), label))
        handle(lambda number, frame: _end(status, flush=False))
        if _came and _came[0] == signal.SIGINT and say:
            data = {"code": "interrupted", "frames": ()}
            words = f"interrupted; {_what_was_written()}"
            tell(Event(words, "error", data=data, label=f"{name}: "))
        lost = _lost(streams)
        if lost:
            tell(error_event(lost, label))
        status = status or int(bool(lost))
        for voice in VOICES:
            voice.end(status)
        if not lost and (lost := _lost(streams)):  # the document itself
            tell(error_event(lost, label))
        _end(status or bool(lost))


# --- signals -------------------------------------------------------------------------------


def _interrupt(number: int, frame: Any) -> None:
    _came.append(number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(TERMINATED)


def _end(status: int, *, flush: bool = True) -> None:
    """End at once. All is closed by now, and to take the libraries down in order would cost a
    tenth of a second, in which Python would no longer heed our handlers of signals."""
    for stream in (sys.stdout, sys.stderr):
        if flush:
            stream.flush()
    if _came:  # libraries may have made something else of it, or nothing
        die(_came[0])
    os._exit(status)


# --- streams -------------------------------------------------------------------------------


class _Raw(io.RawIOBase):
    """The bytes of a standard stream: what it does not take is lost, and no error."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self.raw.fileno())

    def isatty(self) -> bool:
        return bool(self.raw.isatty())

    def write(self, data: Any) -> int:
        while self.error is None:
            try:
                if (count := self.raw.write(data)) is not None:
                    return int(count)
                time.sleep(0.01)  # a pipe that does not block, and is full
            except OSError as error:
                self.error = error
        return len(data)


class _Unfailing(io.TextIOWrapper):
    """A standard stream that does not stop the work: whoever read it may have gone, the disk may
    be full."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        stream.flush()
        self.bytes = _Raw(getattr(stream.buffer, "raw", stream.buffer))
        super().__init__(
            io.BufferedWriter(self.bytes),
            stream.encoding,
            "backslashreplace",  # a name that a Windows code page lacks is no reason to stop
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )

    @property
    def lost(self) -> str | None:
        """Why something was not written, unless nobody is there who would read it."""
        self.flush()
        error = self.bytes.error
        if error is None or error.errno in _GONE or self.isatty():
            return None
        return error.strerror


#: What a stream says whose other end has gone; Windows says EINVAL of a pipe.
_GONE = {errno.EPIPE, errno.ECONNRESET, errno.EBADF}
_GONE |= {errno.EINVAL} if os.name == "nt" else set()


def _unfailing(stream: Any) -> Any:
    if stream is None:  # it was closed
        return open(os.devnull, "w", encoding="utf-8")
    return _Unfailing(stream) if isinstance(stream, io.TextIOWrapper) else stream


# --- words ---------------------------------------------------------------------------------


def _lost(streams: Sequence[Any]) -> PulsarError | None:
    """The error where something could not be said."""
    lost = [one.lost for one in (*streams, *VOICES) if getattr(one, "lost", None)]
    if not lost:
        return None
    return PulsarError(f"{lost[0]}: not all messages could be written; all else is done", "said")


def _show_warning(message: Any, category: Any, *args: Any, **kwargs: Any) -> None:
    tell(warning_event(message))


def _what_was_written() -> str:
    done = getattr(sys.modules.get("pulsar_dask.files.transaction"), "DONE", [])
    names = ", ".join(map(printable, done))
    return f"whole and in place: {names}" if done else "nothing was written"


def _known(error: Exception) -> PulsarError:
    """Any error in words, with a code."""
    if isinstance(error, PulsarError):
        return error
    if known := exhausted(error):
        return PulsarError(known, "system")
    if isinstance(error, OSError) and error.strerror:
        place = f"{printable(error.filename)}: " if error.filename else ""
        return PulsarError(f"{place}{reason(error)}", "system")
    text = str(error).strip().split("\n")[0]
    return PulsarError(
        f"{type(error).__name__}: {printable(text)}\n"
        "this should not happen; --debug shows where, for a report",
        "internal",
    )


def reword(error: click.ClickException, change: Callable[[str], str]) -> None:
    """Change the text of an error of click's."""
    if error.message:
        vars(error)["message"] = change(error.message)
