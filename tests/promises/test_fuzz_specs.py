"""Input forms and command lines, against a plain account of what they stand for."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import shutil
import warnings
from pathlib import Path

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulsar_dask.errors import PulsarError, PulsarWarning, printable
from pulsar_dask.inputs.find import find_inputs, resolve
from pulsar_dask.tools.commands import tools

SUFFIXES = [".fit", ".fits", ".FTS", ".fit.gz", ".fits.fz"]
stems = st.one_of(
    st.sampled_from(["a1", "a2", "a03", "a3", "b", "-1", "1", "a[1]", "*", "@x", "#a", " a ", "~"]),
    st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=6),
    st.text("a01.[]*?-!", min_size=1, max_size=6),
)
file_names = st.one_of(
    st.builds(str.__add__, stems, st.sampled_from([*SUFFIXES, ".txt", ".lst", ""])), stems
)


def tree(folder: Path, wanted: list[str], lists: dict[str, list[str]]) -> list[str]:
    """A new folder with files of these names, as far as the file system takes them."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "sub").mkdir(parents=True)
    for name in wanted:
        with contextlib.suppress(OSError, ValueError):
            (folder / name).write_bytes(b"x")
    for name, entries in lists.items():
        text = "\n".join(entries).encode("utf-8", "surrogateescape")
        (folder / name).write_bytes(text)
    return sorted(n for n in os.listdir(folder) if os.path.isfile(folder / n))


def is_fits(name: str) -> bool:
    lower = name.lower()
    lower = lower.removesuffix(".gz").removesuffix(".fz") if lower[-3:] in (".gz", ".fz") else lower
    return lower.endswith((".fit", ".fits", ".fts")) and not name.startswith(".")


def sequence(name: str, there: list[str]) -> set[str] | None:
    """The files of one numbered sequence; None for a name without number."""
    lower = name.lower()
    suffix = next((s for s in sorted(ENDS, key=len, reverse=True) if lower.endswith(s)), None)
    if suffix is None:
        return None
    stem = name[: -len(suffix)]
    digits = len(stem) - len(stem.rstrip("0123456789"))
    if not digits:
        return None
    prefix, first = stem[:-digits], int(stem[-digits:])
    found: dict[int, str] = {}
    for other in there:
        rest = other[: -len(suffix)]
        tail = rest.removeprefix(prefix)
        if (
            other.lower().endswith(suffix)
            and rest.startswith(prefix)
            and len(tail) == digits
            and set(tail) <= set("0123456789")
            and int(tail) >= first
        ):
            same_end = other.endswith(name[-len(suffix) :])
            if same_end or int(tail) not in found:
                found[int(tail)] = other
    return set(found.values())


ENDS = [s + z for s in (".fit", ".fits", ".fts") for z in ("", ".fz", ".gz")]


def expected(spec: str, there: list[str], lists: dict[str, list[str]]) -> set[str] | None:
    """Names of the files that a spec stands for in the current folder; None: an error."""
    if spec in there and not spec.lower().endswith((".txt", ".lst")):
        found = sequence(spec, there)
        return {spec} if found is None else found
    if spec in ("", "sub"):
        return None
    name = spec if spec in there else spec.removeprefix("@")
    if name in there:  # a list
        entries = lists.get(name)
        if entries is None:
            return None
        found = set()
        for entry in entries:
            text = entry.strip()
            if not text or text.startswith("#"):
                continue
            taken = text if text in there else entry
            if taken not in there or taken.lower().endswith((".txt", ".lst")):
                return None
            found.add(taken)
        return found or None
    if spec.startswith("@"):
        return None
    if any(c in spec for c in "*?["):
        hidden = spec.startswith(".")
        found = {
            n
            for n in there
            if fnmatch.fnmatchcase(n, spec) and is_fits(n) and (hidden or n[0] != ".")
        }
        return found or None
    return None


@given(
    st.lists(file_names, min_size=1, max_size=8),
    st.dictionaries(
        st.sampled_from(["one.txt", "two.lst", "@three"]),
        st.lists(st.one_of(file_names, st.sampled_from(["", "# x", "one.txt", "sub"])), max_size=4),
        max_size=2,
    ),
    st.data(),
)
def test_a_spec_stands_for_what_it_says(here, monkeypatch, wanted, lists, data):
    folder = here / "tree"
    monkeypatch.chdir(here)
    there = tree(folder, wanted, lists)
    monkeypatch.chdir(folder)
    # a line of a list ends where Python's universal newlines end it, and is cut there
    lists = {
        name: "\n".join(entries).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for name, entries in lists.items()
    }
    for name in lists:
        raw = (folder / name).read_bytes()
        if raw.startswith(b"\xef\xbb\xbf") or raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return
    spec = data.draw(
        st.one_of(
            st.sampled_from([*there, *("@" + n for n in lists), "sub", ""]),
            st.text("a*?[]-!.fit01", min_size=1, max_size=7),
            st.sampled_from(
                ["*.fit", "a*", "[a-", "[!a]*", "**", "*.FTS", "@", "@gone", "gone.fit"]
            ),
            file_names,
        )
    )
    if "**" in spec or os.sep in spec or spec in (".", ".."):
        return  # has a test of its own
    truth = expected(spec, there, lists)
    try:
        inputs = resolve(spec)
    except PulsarError as error:
        assert str(error).isprintable()  # noqa: PT017
        assert truth is None, (spec, there)
        return
    assert {os.path.relpath(p) for p in inputs.paths} == truth, (spec, there)
    assert len(set(inputs.paths)) == len(inputs.paths)
    assert all(printable(remark) == remark for remark in inputs.remarks)


@given(
    st.lists(
        st.one_of(
            file_names,
            st.text(max_size=8),
            st.text("*?[]./@~\0a", max_size=8),
            st.sampled_from(["", ".", "..", "sub", "**", "**/*.fit", "@", "\0", "a\0*", "~", "//"]),
        ),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
    st.booleans(),
)
@example(["a\0*"], True, False)
@example(["[\ud800*"], True, True)
def test_any_spec_is_files_or_an_error(here, monkeypatch, specs, sequences, recursive):
    folder = here / "tree"
    monkeypatch.chdir(here)
    tree(folder, ["a1.fit", "a2.fit", "b.fits.fz", "[x].fit"], {"one.txt": ["a1.fit"]})
    (folder / "sub" / "c1.fit").write_bytes(b"x")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder / "sub"))
    monkeypatch.chdir(folder)
    if any(spec.startswith(("/", "..", "./..", "~/")) or ".." in spec for spec in specs):
        specs = [spec.replace("..", "a").lstrip("/") for spec in specs]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PulsarWarning)
            found = find_inputs(specs, sequence=sequences, recursive=recursive)
    except PulsarError as error:
        assert str(error).isprintable()  # noqa: PT017
        return
    assert found.paths
    for path in found.paths:
        assert os.path.isfile(path)
        assert os.path.commonpath([path, str(folder)]) == str(folder)


# --- command lines -----------------------------------------------------------------------------

odd_arguments = st.one_of(
    st.just(""),
    st.sampled_from(
        "-q -v -h -- - -1 -1.fit -.5 -5 --memory --memory=2 --memory=nan --threads 3 1e400 4,5 "
        "--no-sequence --overwrite --dtype float32 --scheduler local:2 --bias --dark --cosme "
        "--hot-pixels=7 --origin top --origin=up --output-dir . a.fit b.fit --vers -qv -q5 "
        "--exposure-tolerance=-1 --scheduler=x --memory=".split()
    ),
    st.text(st.characters(exclude_characters="\0"), max_size=6),
    st.builds("--{}".format, st.text(st.characters(exclude_characters="\0"), max_size=6)),
    st.builds("-{}".format, st.text("0123456789.eqvh-\x1b", max_size=4)),
)


@given(
    st.sampled_from(sorted(tools.commands)),
    st.lists(odd_arguments, max_size=6),
)
@example("med", ["-1", "a", "-2"])
@example("make_cosme", ["-1", "-2", "-3"])
@example("med", ["a", "--memory"])
@example("med", ["--memory", "-1", "a"])
def test_any_command_line_is_taken_or_refused(name, args):
    command = tools.commands[name]
    before = list(args)
    try:
        context = command.make_context(name, list(args))
    except click.ClickException as error:
        assert error.exit_code == 2  # noqa: PT017
        assert "\0" not in error.format_message()  # noqa: PT017
        return
    except click.exceptions.Exit as end:  # --help, --version
        assert end.exit_code == 0  # noqa: PT017
        return
    assert args == before
    taken = []
    for param in command.params:
        value = context.params.get(param.name)
        if isinstance(param, click.Argument):
            taken += value if isinstance(value, tuple) else [value]
    assert all(isinstance(text, str) and "\0" not in text for text in taken)
    # arguments are taken in the order in which they stand
    rest = iter(before)
    assert all(any(text == other for other in rest) for text in taken)


@pytest.mark.parametrize("recursive", [False, True])
def test_masks_over_folders_stay_in_them(here, recursive):
    (here / "in" / "deep").mkdir(parents=True)
    (here / "out").mkdir()
    for name in ("in/a.fit", "in/deep/b.fit", "out/c.fit"):
        (here / name).write_bytes(b"x")
    found = find_inputs("in/**/*.fit", recursive=recursive).paths
    assert {os.path.basename(p) for p in found} == {"a.fit", "b.fit"}
