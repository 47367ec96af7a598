"""What the user names as input (a folder, a mask, a sequence, a list), as paths."""

from __future__ import annotations

import glob
import io
import itertools
import math
import os
import re
import select
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pulsar_dask.errors import PulsarError, PulsarWarning, printable, reason

#: File names that are FITS: .fit .fits .fts, in any case, also with .fz or .gz.
FITS_NAME = re.compile(r"\.(fit|fits|fts)(\.(fz|gz))?$", re.IGNORECASE)
_LIST_NAME = re.compile(r"\.(txt|lst)$", re.IGNORECASE)
_NUMBERED = re.compile(
    r"^(?P<prefix>.*?)(?P<number>[0-9]+)(?P<suffix>\.(?:fit|fits|fts)(?:\.(?:fz|gz))?)$",
    re.IGNORECASE | re.DOTALL,
)
#: Characters of a line, and lines, beyond which a file is no list of names: the longest path
#: that a system takes, and more frames than a night has.
_LONGEST_LINE = 32_767
_MOST_LINES = 1_000_000
#: Seconds in which something has to come through a named pipe.
_PIPE_PATIENCE = 5
#: Beyond this no pixel is, and single precision ends not far above it.
MOST_ADU = 1e30


@dataclass(frozen=True)
class Inputs:
    """The files that a spec stands for, in natural order, each once."""

    paths: tuple[str, ...]
    """Absolute paths."""
    explicit: frozenset[str]
    """Those that were named one by one rather than found in a folder or through a mask."""
    folders: tuple[str, ...]
    """Folders in which something was looked for."""
    remarks: tuple[str, ...] = ()
    """What was passed over, in words."""


def find_inputs(
    spec: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    sequence: bool = True,
    recursive: bool = False,
) -> Inputs:
    """Resolve an input spec to files.

    Parameters
    ----------
    spec : path or iterable of paths
        A folder, a mask (``bias*.fit``), a list (``@list.txt``, ``list.txt``), files, a cube
        (``bias.zarr``), or one numbered file, which stands for its sequence from that number on.
    sequence : bool
        Whether one numbered file stands for its sequence.
    recursive : bool
        Whether a folder's folders are entered.

    Raises
    ------
    PulsarError
        Something named does not exist or holds no FITS file.
    """
    inputs = resolve(spec, sequence=sequence, recursive=recursive)
    for remark in inputs.remarks:
        warnings.warn(PulsarWarning(remark), stacklevel=2)
    return inputs


def resolve(
    spec: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    sequence: bool = True,
    recursive: bool = False,
) -> Inputs:
    """`find_inputs` without a warning."""
    remarks: list[str] = []
    texts = as_texts(spec)
    found: list[str] = []
    explicit: set[str] = set()
    folders: list[str] = []
    for text in texts:
        if not text:
            raise PulsarError('a name is empty (""): is a variable of the shell not set?')
        if "\0" in text:
            raise PulsarError(f"{printable(text)}: no such file or folder")
        if is_store(text):
            found.append(os.path.abspath(text))
            folders.append(os.path.dirname(os.path.abspath(text)))
            continue
        if os.path.isdir(text):
            found += _in_folder(text, recursive)
            folders.append(os.path.abspath(text))
            continue
        if has_mask(text):
            named = _in_mask(text)
        elif is_list(text):
            named = _in_list(list_path(text), among=len(texts) > 1 and not text.startswith("@"))
            explicit.update(named)
        elif not os.path.exists(text):
            last = len(texts) > 1 and _NUMBER.fullmatch(text)
            hint = "; a number comes last, after the input" if last else ""
            raise PulsarError(f"{printable(text)}: no such file or folder{hint}")
        elif len(texts) == 1 and sequence and _NUMBERED.match(os.path.basename(text)):
            named = _sequence_from(text, remarks)
        else:
            named = [os.path.abspath(text)]
            explicit.update(named if len(texts) == 1 else [])
        found += named
        folders += [os.path.dirname(p) for p in named]
    return Inputs(
        tuple(sorted(_once(found, remarks), key=natural_key)),
        frozenset(explicit),
        tuple(dict.fromkeys(folders)),
        tuple(remarks),
    )


def as_texts(spec: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    """The words of an input spec."""
    return [at_home(s) for s in ([spec] if isinstance(spec, (str, os.PathLike)) else spec)]


def at_home(path: str | os.PathLike[str]) -> str:
    """A path, its leading ``~`` or ``~name`` as a shell takes it; unless it exists as it is.

    A shell leaves it as it is within quotes and behind ``--option=`` and ``@``.
    """
    text = os.fspath(path)
    if text.startswith("@~") and not os.path.lexists(text):
        return "@" + at_home(text[1:])
    if not text.startswith("~") or os.path.lexists(text):
        return text
    name = text.replace(os.altsep or os.sep, os.sep).split(os.sep)[0]
    try:
        home = os.path.expanduser(name)
    except ValueError:  # characters that no name of a user has
        return text
    # Windows makes a folder of any name
    return home + text[len(name) :] if name == "~" or os.path.isdir(home) else text


def is_store(path: str) -> bool:
    """Whether an argument is a Zarr store, of whatever format."""
    return path.lower().rstrip("/\\").endswith(".zarr") and any(
        os.path.isfile(os.path.join(path, name)) for name in ("zarr.json", ".zgroup", ".zarray")
    )


def is_list(text: str) -> bool:
    """Whether an argument names a list: ``@list.txt`` or ``list.txt``."""
    if os.path.exists(text):
        return bool(_LIST_NAME.search(text))
    return text.startswith("@")


def list_path(text: str) -> str:
    """The file that a list's argument names."""
    return text if os.path.exists(text) else text[1:]


def has_mask(text: str) -> bool:
    """Whether an argument is a mask, not a file whose name happens to look like one."""
    return glob.has_magic(text) and not text.startswith("@") and not os.path.exists(text)


def natural_key(path: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which frame2 comes before frame10."""
    parts = re.split(r"(\d+)", path)
    return tuple((1, int(p), p) if p.isdecimal() else (0, 0, p) for p in parts)


def sequence_siblings(path: str) -> tuple[str, str, int, str] | None:
    """What files of one numbered sequence share: folder, prefix, digit count, suffix."""
    folder, name = os.path.split(os.path.abspath(path))
    match = _NUMBERED.match(name)
    if not match:
        return None
    prefix, suffix = match["prefix"], match["suffix"].lower()
    return folder, prefix, len(match["number"]), suffix


def same_file(a: str, b: str) -> bool:
    """Whether two paths name one file, be it by a hard link, however they are spelled.

    The system says which files are one; where its numbers of files mean nothing (some network
    folders give a file another one each time), the names do, links resolved.
    """
    number = file_number(a)
    if number is not None and number == file_number(b):
        return True
    return os.path.normcase(os.path.realpath(a)) == os.path.normcase(os.path.realpath(b))


def file_number(path: str) -> tuple[int, int] | None:
    """The system's numbers of what a path leads to; None where it has none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None


# --- numbers ---------------------------------------------------------------------------

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?", re.IGNORECASE)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_LIKE_A_NUMBER = re.compile(r"[+-]?[.,]?\d[\w.,']*")


def number(text: str) -> float:
    """The number that a text is; infinite where it is too large for a float.

    Raises
    ------
    ValueError
        It is none; the message says how to write it.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return float(text)
    plain = re.sub(r"(?<=[0-9])[_'](?=[0-9])", "", text)
    pointed = plain.replace(",", ".")
    if plain.count(",") == 1 and _NUMBER.fullmatch(pointed):
        whole = plain.replace(",", "")
        also = f" (or {whole})" if re.search(r",[0-9]{3}$", plain) else ""
        raise ValueError(f"write it with a point: {pointed}{also}")
    if _NUMBER.fullmatch(plain):
        raise ValueError(f"write it as {plain}")
    raise ValueError("not a number")


def as_number(text: str) -> float | None:
    """The number of ADU that an argument is, unless it is a file's name.

    Raises
    ------
    PulsarError
        It is a number that no pixel has, or one that is written in another way.
    """
    if os.path.lexists(text):
        return None
    try:
        value = number(text)
    except ValueError as error:
        if not _LIKE_A_NUMBER.fullmatch(text) or FITS_NAME.search(text) or _LIST_NAME.search(text):
            return None
        why = "" if str(error) == "not a number" else f" ({error})"
        raise PulsarError(
            f"{printable(text)}: no such file or folder, and not a number of ADU as 100 or 4.5{why}"
        ) from None
    return finite(value, text)


def finite(value: float, text: object = None) -> float:
    """A number of ADU; a PulsarError for one that no pixel can have."""
    value = float(value)
    shown = printable(value if text is None else text)
    if not math.isfinite(value):
        raise PulsarError(f"{shown}: not a finite number; give ADU, such as 100")
    if abs(value) > MOST_ADU:
        raise PulsarError(f"{shown}: more than a pixel can have; give ADU, such as 100")
    return value


# --- the forms -----------------------------------------------------------------------


def _in_folder(folder: str, recursive: bool) -> list[str]:
    found = []

    def fail(error: OSError) -> None:
        raise PulsarError(f"{printable(error.filename)}: {reason(error)}") from error

    for parent, folders, names in os.walk(folder, onerror=fail):
        found += [os.path.abspath(os.path.join(parent, n)) for n in names if _wanted(n)]
        if not recursive:
            folders.clear()
    if not found:
        more = "" if recursive else " (folders in it are entered with --recursive)"
        raise PulsarError(
            f"{printable(folder)}: no FITS file (.fit, .fits, .fts) in this folder{more}"
        )
    return found


def _in_mask(mask: str) -> list[str]:
    # a link to nothing or a pipe is no less meant than in a folder, and is refused when scanned
    names = [p for p in glob.iglob(mask, recursive=True) if not os.path.isdir(p)]
    found = [os.path.abspath(p) for p in names if _wanted(os.path.basename(p))]
    if not found:
        why = "no file matches this mask" if not names else "no FITS file matches this mask"
        raise PulsarError(f"{printable(mask)}: {why}{_literal_folder(mask)}")
    return found


def _literal_folder(mask: str) -> str:
    """What to write where a folder's own name is taken for a mask."""
    folder, name = os.path.split(mask)
    if not glob.has_magic(folder) or not os.path.isdir(folder):
        return ""
    escaped = printable(os.path.join(glob.escape(folder), name))
    return f'; for the folder {printable(folder)} itself write "{escaped}"'


def _wanted(name: str) -> bool:
    return bool(FITS_NAME.search(name)) and not name.startswith(".")


def _in_list(path: str, *, among: bool = False) -> list[str]:
    """The files that a list names; `among` other files, one may not have been meant as a list."""
    try:
        return _listed(path)
    except PulsarError as error:
        if not among:
            raise
        raise PulsarError(
            f"{error}. A .txt or .lst is read as a list of files; "
            "a folder's name or a quoted mask takes the FITS files only"
        ) from error


def _listed(path: str) -> list[str]:
    name = printable(path)
    if not path:
        raise PulsarError("@: the list's name is missing, as in @list.txt")
    if os.path.isdir(path):
        raise PulsarError(f"{name}: a folder, not a list; name it without the @")
    folder = os.path.dirname(os.path.abspath(path))
    found = []
    for number, line in enumerate(_list_lines(path), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        # a name may end in blanks, and blanks may stand around a name
        texts = dict.fromkeys((entry, line))
        places = [p for text in texts for p in (at_home(text), os.path.join(folder, text))]
        existing = next((p for p in places if "\0" not in p and os.path.isfile(p)), None)
        where = f"{name}, line {number}: {_shortened(entry)}"
        if existing is None:
            there = next((p for p in places if "\0" not in p and os.path.exists(p)), None)
            if entry.startswith("@"):
                raise PulsarError(f"{where} is a list; a list names files, not lists")
            if there is not None:
                what = "a folder" if os.path.isdir(there) else "not a regular file"
                raise PulsarError(f"{where} is {what}; a list names files")
            raise PulsarError(
                f"{where}: no such file, neither from the current folder nor from the list's"
            )
        if same_file(existing, path):
            raise PulsarError(f"{where} is this list itself; a list names files, not lists")
        if _LIST_NAME.search(existing):
            raise PulsarError(f"{where} is a list; a list names files, not lists")
        found.append(os.path.abspath(existing))
    if not found:
        raise PulsarError(f"{name}: the list names no file")
    return found


def _list_lines(path: str) -> Iterator[str]:
    """The lines of a list without their ends; what is no list is not held whole."""
    try:
        with open(path, "rb", opener=open_text) as raw:
            # PowerShell writes UTF-16
            wide = raw.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff")
            text = io.TextIOWrapper(
                raw,
                encoding="utf-16" if wide else "utf-8-sig",
                errors="replace" if wide else "surrogateescape",
                newline=None,
            )
            for number in itertools.count(1):
                line = text.readline(_LONGEST_LINE + 1)
                if not line:
                    return
                if len(line) > _LONGEST_LINE:
                    raise PulsarError(f"{printable(path)}, line {number}: too long for a name")
                if number > _MOST_LINES:
                    raise PulsarError(f"{printable(path)}: over {_MOST_LINES} lines are no list")
                yield line.removesuffix("\n")
    except OSError as error:
        raise PulsarError(f"{printable(path)}: {reason(error)}") from error


def open_text(path: str, flags: int) -> int:
    """An opener for `open`: a named pipe that nobody writes to is not waited for without end."""
    if not stat.S_ISFIFO(os.lstat(path).st_mode) or not hasattr(select, "poll"):
        return os.open(path, flags)
    pipe = os.open(path, flags | os.O_NONBLOCK)
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    if not waiting.poll(_PIPE_PATIENCE * 1000):
        os.close(pipe)
        raise PulsarError(f"{printable(path)}: a pipe through which nothing comes")
    os.set_blocking(pipe, True)
    return pipe


def _shortened(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= 300 else f"{shown[:300]}…"


def _sequence_from(path: str, remarks: list[str]) -> list[str]:
    shared = sequence_siblings(path)
    match = _NUMBERED.match(os.path.basename(path))
    assert shared is not None
    assert match is not None
    folder, prefix, digits, suffix = shared
    first = int(match["number"])
    numbers = {}
    # a2.FIT belongs to the sequence of a1.fit, except where there is an a2.fit
    try:
        entries = os.listdir(folder)
    except OSError as error:
        raise PulsarError(
            f"{printable(folder)}: {error.strerror}, so the sequence of {printable(path)} cannot "
            "be looked for; --no-sequence takes this one file"
        ) from error
    for name in sorted(entries, key=lambda n: n.endswith(match["suffix"])):
        other = _NUMBERED.match(name)
        if (
            other
            and (other["prefix"], len(other["number"])) == (prefix, digits)
            and other["suffix"].lower() == suffix
            and int(other["number"]) >= first
            and not os.path.isdir(os.path.join(folder, name))
        ):
            numbers[int(other["number"])] = os.path.join(folder, name)
    gaps = _ranges(sorted(numbers), lambda n: f"{prefix}{n:0{digits}d}{match['suffix']}")
    if gaps:
        remarks.append(
            f"the sequence of {printable(os.path.basename(path))} has gaps, "
            f"passed over: {printable(gaps)}"
        )
    return list(numbers.values())


def _ranges(numbers: Sequence[int], name: Callable[[int], str]) -> str:
    gaps = []
    for a, b in itertools.pairwise(numbers):
        if b == a + 2:
            gaps.append(name(a + 1))
        elif b > a + 2:
            gaps.append(f"{name(a + 1)} to {name(b - 1)}")
    return ", ".join(gaps)


def _once(paths: Iterable[str], remarks: list[str]) -> list[str]:
    seen: dict[str, str] = {}
    twice = []
    for path in paths:
        real = os.path.normcase(os.path.realpath(path))
        if real in seen:
            twice.append(path)
        else:
            seen[real] = path
    if twice:
        more = f" and {len(twice) - 3} more" if len(twice) > 3 else ""
        names = ", ".join(printable(os.path.basename(p)) for p in twice[:3])
        remarks.append(f"named twice, counted once: {names}{more}")
    return list(seen.values())
